//! A sandbox that holds its caller to claims and profiles, and tells of them.

use std::fs;

use serde_json::{Value, json};

use crate::sandbox::Running;
use crate::support::{Folder, district, get, students, total};

/// A sandbox with a file of claims, and a folder whose configuration is for it.
struct Limited {
    folder: Folder,
    running: Running,
}

impl Limited {
    fn new(claims: &Value) -> Limited {
        let folder = Folder::new();
        let file = folder.write("claims.json", serde_json::to_string_pretty(claims).unwrap());
        let running = Running::new(&["--claims", file.to_str().unwrap()]);
        folder.config(&format!("http://{}", running.address), "");
        Limited { folder, running }
    }

    /// Sends and returns the results.
    fn send(&self, args: &[&str], exit: i32) -> Value {
        self.folder.run(&[&["send", "--results-file", "results.json"], args].concat()).expect(exit);
        serde_json::from_slice(&fs::read(self.folder.0.join("results.json")).unwrap()).unwrap()
    }

    /// The first record that is fetched.
    fn fetched(&self, resource: &str, args: &[&str]) -> Value {
        self.folder.run(&[&["fetch", "--force", "-s", resource, "--output", "out"], args].concat()).expect(0);
        let text = fs::read_to_string(self.folder.0.join(format!("out/{resource}.jsonl"))).unwrap();
        serde_json::from_str(text.lines().next().unwrap()).unwrap()
    }

    fn token_info(&self) -> Value {
        token_info(&self.running)
    }
}

fn token_info(running: &Running) -> Value {
    let token = running.token()["access_token"].as_str().unwrap().to_owned();
    let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    let answer = running.ask("POST /oauth/token_info", &headers, &format!("token={token}"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn one_descriptor(namespace: &str) -> String {
    json!({"namespace": namespace, "codeValue": "Fall", "shortDescription": "Fall"}).to_string()
}

#[test]
fn a_sandbox_without_claims_tells_that_its_caller_may_do_anything() {
    let limited = Limited::new(&json!({}));
    district(&limited.folder);
    limited.send(&["-s", "*Agencies,schools", "--partial-ok"], 0);
    let told = limited.token_info();
    assert_eq!((&told["active"], &told["client_id"]), (&json!(true), &json!("k")));
    assert_eq!((&told["namespace_prefixes"], &told["assigned_profiles"]), (&json!(["uri://"]), &json!([])));
    let organizations = told["education_organizations"].as_array().unwrap();
    let of = |kind: &str| organizations.iter().find(|told| told["type"] == kind).unwrap();
    assert_eq!(of("edfi.LocalEducationAgency")["education_organization_id"], 990100);
    let school = of("edfi.School");
    assert_eq!(school["school_id"], school["education_organization_id"]);
    assert!(school["name_of_institution"].is_string() && school["local_education_agency_id"] == 990100, "{school}");
    let resources = told["resources"].as_array().unwrap();
    let students = resources.iter().find(|entry| entry["resource"] == "/ed-fi/students").unwrap();
    assert_eq!(students["operations"], json!(["Create", "Read", "Update", "Delete"]));
    let url = format!("http://{}", limited.running.address);
    assert_eq!(get(&url, "/")["urls"]["oauthTokenIntrospection"], format!("{url}/oauth/token_info"));
}

#[test]
fn a_question_about_another_token_or_without_one_is_refused() {
    let running = Running::new(&[]);
    let token = running.token()["access_token"].as_str().unwrap().to_owned();
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for (headers, body, status) in [
        (form.to_owned(), format!("token={token}"), "401"),
        (format!("{form}{bearer}"), "token=other".into(), "400"),
        (format!("{form}{bearer}"), String::new(), "400"),
        (bearer.clone(), format!("token={token}"), "415"),
        (format!("{bearer}Content-Type: application/json\r\n"), json!({"token": token}).to_string(), "200"),
    ] {
        let answer = running.ask("POST /oauth/token_info", &headers, &body);
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
    }
    assert!(running.ask("GET /oauth/token_info", "", "").starts_with("HTTP/1.1 405"));
}

#[test]
fn what_the_claims_say_is_told_and_held() {
    let limited = Limited::new(&json!({
        "claim_set": {"name": "Assessment Vendor"},
        "education_organizations": [990100, {"education_organization_id": 7, "type": "edfi.School"}],
        "namespace_prefixes": ["uri://vendor.example"],
        "resources": [
            {"resource": "/ed-fi/students", "operations": ["Create", "Read"]},
            {"resource": "/ed-fi/termDescriptors", "operations": ["Create", "Read", "Update", "Delete"]},
            {"resource": "/elsewhere/unheardOf", "operations": ["Read"]}
        ],
        "active": true, "client_id": "theirs", "services": []
    }));
    let told = limited.token_info();
    assert_eq!(told["claim_set"]["name"], "Assessment Vendor");
    let organizations = json!([
        {"education_organization_id": 990100},
        {"education_organization_id": 7, "type": "edfi.School"}
    ]);
    assert_eq!((&told["education_organizations"], &told["client_id"]), (&organizations, &json!("k")));
    assert_eq!(told["resources"].as_array().unwrap().len(), 2);

    let foreign = one_descriptor("uri://ed-fi.org/TermDescriptor");
    limited.folder.data("termDescriptors.jsonl", &[one_descriptor("uri://vendor.example/TermDescriptor"), foreign]);
    limited.folder.data("students.jsonl", &students(2));
    limited.folder.data("programs.jsonl", &["{}".into()]);
    let results = limited.send(&[], 4);
    assert_eq!((total(&results, "created"), total(&results, "unsent")), (3, 1), "programs are 403 as a whole");
    let failures = results["resources"]["termDescriptors"]["failures"].to_string();
    assert!(failures.contains("403") && failures.contains("uri://ed-fi.org/TermDescriptor"), "{failures}");

    limited.folder.data("students.jsonl", &[students(1)[0].replace("Ada", "Eve")]);
    let updated = limited.send(&["-s", "students"], 4);
    assert!(updated["resources"]["students"]["failures"].to_string().contains("the action Update"), "{updated}");
    limited.folder.run(&["delete", "--yes", "-s", "students"]).tells(&["403"]);
    assert_eq!(limited.fetched("students", &[])["firstName"], "Ada");
}

#[test]
fn one_assigned_profile_applies_by_itself() {
    let limited = Limited::new(&json!({
        "assigned_profiles": ["Vendor"],
        "profiles": {"Vendor": {"students": {
            "read": {"exclude": ["birthDate", "otherNames"]},
            "write": {"include": ["firstName", "lastSurname", "birthDate"]}
        }}}
    }));
    let student = students(1)[0].replace('}', r#","middleName":"M","birthCity":"Here"}"#);
    limited.folder.data("students.jsonl", &[student]);
    limited.send(&[], 0);
    let shown = limited.fetched("students", &[]);
    assert_eq!((&shown["studentUniqueId"], &shown["lastSurname"]), (&json!("1"), &json!("Number 1")));
    for gone in ["birthDate", "otherNames", "middleName", "birthCity"] {
        assert_eq!(shown.get(gone), None, "{shown}");
    }
    assert!(shown["_etag"].is_string() && shown["visas"].is_array());
    limited.folder.data("schools.jsonl", &["{}".into()]);
    limited.folder.run(&["send", "-s", "schools"]).tells(&["schoolId"]);
    assert_eq!(limited.token_info()["assigned_profiles"], json!(["Vendor"]));
}

#[test]
fn of_several_profiles_each_request_names_one_and_lightbeam_does() {
    let limited = Limited::new(&json!({
        "assigned_profiles": ["Names", "Births-1.0"],
        "profiles": {
            "Names": {"students": {"read": {"include": ["firstName", "lastSurname", "birthDate"]}, "write": {}}},
            "Births-1.0": {"students": {"read": {"include": ["birthDate"]}, "write": {"include": ["birthDate"]}}},
            "Reader": {"students": {"read": {}}, "schools": {"read": {}, "write": {}}}
        }
    }));
    let plain = students(1);
    limited.folder.data("students.jsonl", &plain);
    limited.folder.run(&["send"]).expect(4).tells(&["403", "application/vnd.ed-fi.student.births-1.0.writable+json"]);
    limited.send(&["--set", "edfi_api.profile", "Names"], 0);

    // Under the other only what it covers changes, and it cannot create what it lacks.
    let births = ["--set", "edfi_api.profile", "births-1.0"];
    let later = plain[0].replace("2010", "2011").replace("Ada", "Eve");
    limited.folder.data("students.jsonl", &[later, students(2)[1].clone()]);
    let results = limited.send(&births, 3);
    assert_eq!((total(&results, "updated"), total(&results, "refused")), (1, 1));
    let why = results["resources"]["students"]["failures"].to_string();
    assert!(why.contains("'Births-1.0' leaves out what a new item requires"), "{why}");
    let shown = limited.fetched("students", &["--set", "edfi_api.profile", "names"]);
    assert_eq!((&shown["firstName"], &shown["birthDate"]), (&json!("Ada"), &json!("2011-01-01")));
    assert_eq!(limited.fetched("students", &births).get("firstName"), None);

    let url = format!("http://{}", limited.running.address);
    let listed = get(&url, "/metadata/");
    let entry = listed.as_array().unwrap().iter().find(|entry| entry["name"] == "Reader").unwrap();
    let path = entry["endpointUri"].as_str().unwrap().strip_prefix(&url).unwrap();
    let document = get(&url, path);
    assert_eq!((entry["prefix"].as_str(), document["paths"]["/ed-fi/students"].get("post")), (Some("Profiles"), None));
    let read = &document["paths"]["/ed-fi/students"]["get"]["responses"]["200"]["content"];
    assert!(read["application/vnd.ed-fi.student.reader.readable+json"].is_object(), "{read}");
}

#[test]
fn requests_that_name_no_such_profile_are_told_apart() {
    let limited = Limited::new(&json!({
        "profiles": {"Reader": {"students": {"read": {}}, "schools": {"read": {}, "write": {}}}}
    }));
    let token = limited.running.token()["access_token"].as_str().unwrap().to_owned();
    let ask = |line: &str, header: &str, media_type: &str| {
        let headers = format!("Authorization: Bearer {token}\r\n{header}: application/vnd.ed-fi.{media_type}+json\r\n");
        limited.running.ask(line, &headers, "{}")
    };
    for (line, header, media_type, status, kind) in [
        ("GET /data/v3/ed-fi/students", "Accept", "student.reader.readable", 200, "vnd.ed-fi.student.reader.readable"),
        ("GET /data/v3/ed-fi/students", "Accept", "student.other.readable", 406, "profile:invalid-profile-usage"),
        ("POST /data/v3/ed-fi/students", "Content-Type", "student.other.writable", 415, "invalid-profile-usage"),
        ("GET /data/v3/ed-fi/students", "Accept", "school.reader.readable", 400, "invalid-profile-usage"),
        ("GET /data/v3/ed-fi/students", "Accept", "student.reader.writable", 400, "invalid-profile-usage"),
        ("GET /data/v3/ed-fi/students", "Accept", "reader.readable", 400, "invalid-profile-usage"),
        ("GET /data/v3/ed-fi/programs", "Accept", "program.reader.readable", 400, "does not cover"),
        ("POST /data/v3/ed-fi/students", "Content-Type", "student.reader.writable", 405, "profile:method-usage"),
        ("POST /data/v3/ed-fi/schools", "Content-Type", "school.reader.writable", 400, "validationErrors"),
    ] {
        let answer = ask(line, header, media_type);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(kind), "{media_type}: {answer}");
    }
}

#[test]
fn a_profile_that_is_assigned_and_not_defined_covers_everything() {
    let limited = Limited::new(&json!({"assigned_profiles": ["One", "Two"]}));
    limited.folder.data("students.jsonl", &students(2));
    limited.folder.run(&["send"]).expect(4).tells(&["403"]);
    assert_eq!(total(&limited.send(&["--set", "edfi_api.profile", "two"], 0), "created"), 2);
    // What the sandbox writes as a configuration names one.
    let claims = limited.folder.0.join("claims.json");
    let file = limited.folder.0.join("written.yaml");
    let _running = Running::new(&["--claims", claims.to_str().unwrap(), "--write-config", file.to_str().unwrap()]);
    limited.folder.run(&["send", "-c", "written.yaml", "--data-dir", "data"]).expect(0);
}

#[test]
fn claims_that_cannot_be_read_are_told_with_file_and_line() {
    let folder = Folder::new();
    for (text, told) in [
        ("{\n  \"namespace_prefixes\": \"uri://x\"\n}", "bad.json, line 2, column"),
        ("{\n  \"claims\": []\n}", "bad.json, line 2, column 10: unknown field `claims`"),
        ("{", "bad.json, line 1, column 1: EOF"),
        (
            "{\"profiles\": {\"P\":\n {\"studnets\": {}}}}",
            "bad.json, line 2: the API has no resource studnets; did you mean students?",
        ),
        (
            "{\"profiles\": {\"P\": {\"students\": {\"read\": {\"exclude\":\n [\"birthdate\"]}}}}}",
            "bad.json, line 2: students have no member birthdate; did you mean birthDate?",
        ),
    ] {
        folder.write("bad.json", text);
        folder.run(&["sandbox", "--claims", "bad.json"]).expect(2).tells(&[told]);
    }
    folder.run(&["sandbox", "--claims", "none.json"]).expect(2).tells(&["cannot read the claims in none.json"]);
}
