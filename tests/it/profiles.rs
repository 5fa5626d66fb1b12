//! Keys that work under a profile: whatever is written and read of a resource that it covers names it, and nothing else does.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::host::{Asked, Host};
use crate::support::{Ended, Folder, students};

/// What the API's list of documents has of profiles.
#[derive(Clone, Copy, PartialEq)]
enum Listed {
    /// No list.
    Nothing,
    /// The documents of resources alone.
    NoProfile,
    /// The profile `SIS`, which covers students.
    Sis,
}

/// An API of students and schools that demands a profile for each request for students. Schools may have none.
struct Api {
    host: Host,
    folder: Folder,
    wrong: Arc<Mutex<Vec<String>>>,
}

fn header<'h>(asked: &'h Asked, name: &str) -> &'h str {
    let line = asked.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    line.map_or("", |line| line[name.len() + 1..].trim())
}

fn document(listed: Listed, url: &str) -> Value {
    let profile = json!({"name": "SIS", "endpointUri": format!("{url}/profiles/sis.json"), "prefix": "Profiles"});
    let resources = json!({"name": "Resources", "endpointUri": format!("{url}/resources.json"), "prefix": ""});
    match listed {
        Listed::Sis => json!([resources, profile]),
        _ => json!([resources]),
    }
}

impl Api {
    fn new(listed: Listed, covers_schools: bool) -> Api {
        let wrong = Arc::<Mutex<Vec<String>>>::default();
        let noted = wrong.clone();
        let host = Host::new(move |asked, wire| {
            let url = format!("http://{}", header(asked, "host"));
            let (method, path) = asked.line.split_once(' ').unwrap();
            let (path, query) = path.split_once('?').unwrap_or((path, ""));
            let refuse = |wire: &mut crate::host::Wire| {
                let kind = "urn:ed-fi:api:security:data-policy:incorrect-usage";
                wire.answer(403, "", &json!({"type": kind, "errors": ["name a profile"]}).to_string()).map(|()| true)
            };
            let (accept, content) = (header(asked, "accept"), header(asked, "content-type"));
            let resource = path.strip_prefix("/data/ed-fi/").and_then(|path| path.split('/').next());
            if let Some(resource) = resource {
                let (singular, covered) =
                    if resource == "students" { ("student", true) } else { ("school", covers_schools) };
                let named = |usage| format!("application/vnd.ed-fi.{singular}.sis.{usage}+json");
                let (given, usage) = if method == "POST" { (content, "writable") } else { (accept, "readable") };
                let is_named = given == named(usage);
                let is_plain = !given.contains("vnd.");
                if if covered { !is_named && method != "DELETE" } else { !is_plain } {
                    noted.lock().unwrap().push(format!("{} {given}", asked.line));
                    return refuse(wire);
                }
            }
            let order = |name: &str| json!({"resource": format!("/ed-fi/{name}"), "order": 1, "operations": ["Create", "Update"]});
            match (method, path) {
                ("GET", "/dependencies") => {
                    wire.answer(200, "", &json!([order("students"), order("schools")]).to_string())?
                }
                ("GET", "/metadata") if listed != Listed::Nothing => {
                    wire.answer(200, "", &document(listed, &url).to_string())?
                }
                ("GET", "/profiles/sis.json") => {
                    let write = ["application/vnd.ed-fi.student.sis.writable+json"];
                    let read = ["application/vnd.ed-fi.student.sis.readable+json"];
                    let item = json!({"get": {"produces": read}, "post": {"consumes": write}});
                    wire.answer(200, "", &json!({"swagger": "2.0", "paths": {"/ed-fi/students": item}}).to_string())?
                }
                ("GET", "/resources.json") => {
                    let schema = |name: &str| json!({"schema": {"$ref": format!("#/components/schemas/edFi_{name}")}});
                    let item = |name: &str, key: &str| {
                        json!({"get": {"parameters": [{"name": key, "in": "query", "x-Ed-Fi-isIdentity": true, "schema": {"type": "string"}}]},
                            "post": {"requestBody": {"content": {"application/json": schema(name)}}}})
                    };
                    let body = |key: &str| json!({"type": "object", "required": [key], "properties": {key: {"type": "string", "x-Ed-Fi-isIdentity": true}}});
                    let document = json!({"openapi": "3.0.1",
                        "paths": {"/ed-fi/students": item("student", "studentUniqueId"), "/ed-fi/schools": item("school", "schoolId")},
                        "components": {"schemas": {"edFi_student": body("studentUniqueId"), "edFi_school": body("schoolId")}}});
                    wire.answer(200, "", &document.to_string())?
                }
                ("POST", path) if path.starts_with("/data/") => wire.answer(201, "Location: /x/1\r\n", "")?,
                ("DELETE", _) => wire.answer(204, "", "")?,
                ("GET", "/data/ed-fi/students") => {
                    let id =
                        query.split("studentUniqueId=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or("7");
                    let page = match query.contains("limit=0") || query.contains("offset=1") {
                        true => "[]".to_string(),
                        false => json!([{"id": format!("id{id}"), "studentUniqueId": id}]).to_string(),
                    };
                    wire.answer(200, "Total-Count: 1\r\n", &page)?
                }
                ("GET", "/data/ed-fi/schools") => wire.answer(200, "Total-Count: 0\r\n", "[]")?,
                _ => return Ok(false),
            }
            Ok(true)
        });
        let folder = Folder::new();
        folder.data("students.jsonl", &students(40));
        folder.data("schools.jsonl", &[json!({"schoolId": "1"}).to_string()]);
        folder.config(&host.url, "");
        Api { host, folder, wrong }
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.folder.run(&[args, &["--set", "edfi_api.profile", "sis"]].concat())
    }

    /// Fails the test if a request named another profile than it should.
    #[track_caller]
    fn all_right(&self) {
        assert_eq!(*self.wrong.lock().unwrap(), [""; 0]);
    }
}

#[test]
fn every_payload_goes_under_the_profile_and_resources_that_its_document_does_not_cover_go_without() {
    let api = Api::new(Listed::Sis, false);
    api.run(&["send"]).expect(0);
    api.all_right();
    assert_eq!(api.host.asked("POST /data/ed-fi/students").len(), 40);
    assert!(api.host.asked("GET /resources.json").len() <= 1, "its own document tells enough");
}

#[test]
fn a_profile_without_a_document_is_named_for_every_resource() {
    for listed in [Listed::Nothing, Listed::NoProfile] {
        let api = Api::new(listed, true);
        api.run(&["send"]).expect(0);
        api.all_right();
        let without = api.folder.run(&["send", "--force"]);
        assert_ne!(without.code(), 0);
    }
}

#[test]
fn counting_fetching_looking_up_and_deleting_name_the_profile_too() {
    let api = Api::new(Listed::Sis, false);
    let counted = api.run(&["count"]).expect(0);
    assert_eq!(counted.out, "Records\tEndpoint\n1\tstudents\n");
    api.run(&["fetch", "--output", "out"]).expect(0).tells(&["1 record in 1 file"]);
    api.folder.data("students.jsonl", &[json!({"studentUniqueId": "7"}).to_string()]);
    api.run(&["delete", "--yes", "-s", "students"]).expect(0).tells(&["1 record deleted"]);
    api.run(&["truncate", "--yes", "-s", "students"]).expect(0).tells(&["1 record deleted"]);
    api.all_right();
    assert_eq!(api.host.asked("DELETE /data/ed-fi/students/id7").len(), 2);
}

#[test]
fn each_resource_can_have_a_profile_of_its_own_and_the_others_none() {
    let api = Api::new(Listed::NoProfile, false);
    api.folder.run(&["send", "--set", "edfi_api.profile.students", "sis"]).expect(0);
    api.folder.run(&["send", "--force", "--set", "edfi_api.profile", "{students: SIS}"]).expect(0);
    api.all_right();
    let unknown = api.folder.run(&["send", "--force", "--set", "edfi_api.profile", "{students: sis, studnets: x}"]);
    unknown.expect(0).tells(&["edfi_api.profile: the API has no resource studnets"]);
}

#[test]
fn a_profile_that_the_api_does_not_list_or_that_no_header_takes_is_told() {
    let api = Api::new(Listed::Sis, false);
    let other = api.folder.run(&["send", "--set", "edfi_api.profile", "sas"]);
    other.tells(&["edfi_api.profile: sas is none of the profiles that the API lists: SIS"]);
    for wrong in ["two words", "a/b", "sis;q=1", "[sis]"] {
        let ended = api.folder.run(&["send", "--set", "edfi_api.profile", wrong]).expect(2);
        ended.tells(&["edfi_api.profile: found", "expected the name of a profile"]);
    }
}
