//! Documents that tell less than they should: what of a load is still sent, checked and deleted, and what the user learns.

use std::fs;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::stub::Stub;
use crate::support::Folder;
use crate::validate::{just, told};

/// Documents of an API whose `visits` have no key that could be told, and whose `rooms` are broken. Its descriptors have no paths.
fn odd_documents(url: &str) -> Vec<(&'static str, Value)> {
    let post = |schema: &str| json!({"requestBody": {"content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}}}});
    let marked = |names: &[&str]| -> Value {
        let parameter = |name: &&str| json!({"name": name, "in": "query", "x-Ed-Fi-isIdentity": true});
        json!({"parameters": names.iter().map(parameter).collect::<Vec<_>>()})
    };
    let text = json!({"type": "string"});
    let resources = json!({
        "openapi": "3.0.1",
        "components": {"schemas": {
            "edFi_visit": {"required": ["visitId"], "properties": {"visitId": text}},
            "edFi_room": {"required": ["roomId"], "properties": {"roomId": text, "seat": {"$ref": "#/components/schemas/edFi_seat"}}},
            "edFi_school": {"required": ["schoolId"], "properties": {"schoolId": {"type": "integer"},
                "code": {"type": "string", "pattern": "^(?=a)a+$"}, "name": {"type": "string", "pattern": r"^(?!\s).*(?<!\s)$"}}},
        }},
        "paths": {
            "/ed-fi/visits": {"get": marked(&["visitId", "hostId"]), "post": post("edFi_visit")},
            "/ed-fi/rooms": {"get": marked(&["roomId"]), "post": post("edFi_room")},
            "/ed-fi/schools": {"get": marked(&["schoolId"]), "post": post("edFi_school")},
        }
    });
    let entry = |name: &str| json!({"name": name, "endpointUri": format!("{url}/{name}"), "prefix": ""});
    let turn =
        |name: &str| json!({"resource": format!("/ed-fi/{name}"), "order": 1, "operations": ["Create", "Update"]});
    vec![
        (
            "/",
            json!({"urls": {"dependencies": format!("{url}/order"), "openApiMetadata": format!("{url}/list"),
            "oauth": format!("{url}/token"), "dataManagementApi": format!("{url}/data")}}),
        ),
        ("/order", json!(["visits", "rooms", "schools"].map(turn))),
        ("/list", json!([entry("Resources"), entry("Descriptors")])),
        ("/Resources", resources),
        ("/Descriptors", json!({"openapi": "3.0.1", "info": {"title": "none"}})),
        ("/token", json!({"access_token": "t", "expires_in": 1800, "token_type": "bearer"})),
    ]
}

/// A folder that is configured for an API of these documents, and that API, which has `record` whatever it is asked for.
fn api_of(
    documents: impl Fn(&str) -> Vec<(&'static str, Value)> + Send + Sync + 'static,
    record: String,
) -> (Folder, Stub) {
    let own_url = Arc::new(OnceLock::<String>::new());
    let known = own_url.clone();
    let stub = Stub::new(move |asked| {
        let (method, path) = asked.line.split_once(' ').unwrap();
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let documents = documents(known.get().map_or("", String::as_str));
        match (documents.iter().find(|(known, _)| *known == path), method) {
            (Some((_, document)), _) => (200, None, document.to_string()),
            (None, "POST") => (201, None, String::new()),
            (None, "DELETE") => (204, None, String::new()),
            (None, _) => (200, None, format!("[{record}]")),
        }
    });
    own_url.set(stub.url("").trim_end_matches('/').to_string()).unwrap();
    let folder = Folder::new();
    folder.config(&stub.url("/"), "");
    (folder, stub)
}

/// The API of [`odd_documents`], and payloads for it.
fn odd_api() -> (Folder, Stub) {
    let (folder, stub) = api_of(odd_documents, json!({"id": "1", "visitId": "v"}).to_string());
    folder.data("visits.jsonl", &[r#"{"visitId":"v"}"#.into()]);
    folder.data("rooms.jsonl", &[r#"{"roomId":"r"}"#.into()]);
    folder.data("schools.jsonl", &[r#"{"schoolId":4000000000,"code":"b","name":"ends with a blank "}"#.into()]);
    (folder, stub)
}

#[test]
fn send_says_once_of_each_resource_that_its_key_is_not_known_and_sends_it() {
    let (folder, stub) = odd_api();
    let run = folder.run(&["send"]).expect(0);
    let told = "visits: the documents do not tell where a payload holds hostId, a part of its natural key";
    run.tells(&[told, "rooms: the property seat of the OpenAPI schema edFi_room is broken"]);
    assert_eq!(run.err.matches(told).count(), 1);
    run.tells(&["ed-fi/rooms: the property seat of the OpenAPI schema edFi_room is broken: the OpenAPI document has no schema edFi_seat"]);
    assert_eq!(stub.lines().iter().filter(|line| line.starts_with("POST /data/")).count(), 3);
}

#[test]
fn validate_lists_what_it_cannot_check_and_checks_the_rest() {
    let (folder, _stub) = odd_api();
    let run = folder.run(&["validate", "--results-file", "results.json"]);
    let results: Value = serde_json::from_slice(&fs::read(folder.0.join("results.json")).unwrap()).unwrap();
    let unchecked = results["unchecked"].to_string();
    for part in [
        "what the API's documents say of rooms is broken (the property seat",
        "the natural keys of visits were not checked: the documents do not tell where a payload holds hostId",
        "the pattern ^(?=a)a+$ of code in schools cannot be checked",
    ] {
        assert!(unchecked.contains(part), "{part} is not in {unchecked}");
    }
    assert!(!unchecked.contains(" of name in schools"), "{unchecked}");
    just(
        &told(&results, "failures"),
        &["schools.jsonl:1 schema $.name: name must be one line that neither begins nor ends with a blank"],
    );
    run.expect(3);
}

#[test]
fn delete_refuses_a_resource_whose_key_is_not_known_and_deletes_nothing() {
    let (folder, stub) = odd_api();
    let run = folder.run(&["delete", "-s", "visits", "--yes"]);
    run.tells(&["not deleted: the documents do not tell where a payload holds hostId"]);
    assert!(
        stub.lines().iter().all(|line| !line.starts_with("DELETE") && !line.contains("/data/")),
        "{:?}",
        stub.lines()
    );
}

#[test]
fn where_marks_tell_only_part_of_a_key_no_record_of_another_school_is_deleted() {
    // As the Data Management Service describes it: the mark stands on the scalar alone, the schema of references has the whole key.
    let school = json!({"schoolId": {"type": "integer"}});
    let resources = json!({"openapi": "3.0.1", "components": {"schemas": {
        "EdFi_Visit": {"required": ["day", "schoolReference"], "properties": {"day": {"type": "string", "format": "date"},
            "schoolReference": {"$ref": "#/components/schemas/EdFi_School_Reference"}}},
        "EdFi_Visit_Reference": {"properties": {"day": {"type": "string", "format": "date"}, "schoolId": {"type": "integer"}}},
        "EdFi_School_Reference": {"required": ["schoolId"], "properties": school},
    }}, "paths": {"/ed-fi/visits": {
        "get": {"parameters": [{"name": "day", "in": "query", "x-Ed-Fi-isIdentity": true}]},
        "post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/EdFi_Visit"}}}}},
    }}});
    let held = json!({"id": "0a1b", "day": "2024-08-20", "schoolReference": {"schoolId": 2}}).to_string();
    let api = api_of(
        move |url| {
            let mut documents = odd_documents(url);
            documents.retain(|(path, _)| *path != "/Resources");
            documents.push(("/Resources", resources.clone()));
            documents
        },
        held,
    );
    let (folder, stub) = api;
    let visit = |school: u64| format!(r#"{{"day":"2024-08-20","schoolReference":{{"schoolId":{school}}}}}"#);
    folder.data("visits.jsonl", &[visit(1)]);
    let run = folder.run(&["delete", "-s", "visits", "--yes", "--set", "log_level", "DEBUG"]);
    run.tells(&[
        "asked for day 2024-08-20, schoolId 1, the API gave a record of another natural key: day 2024-08-20, schoolId 2",
        "the natural key of ed-fi/visits is day, schoolId; the parameters marked as its parts are day",
    ]);
    assert!(stub.lines().iter().all(|line| !line.starts_with("DELETE")));
    assert!(stub.lines().iter().any(|line| line.contains("day=2024-08-20&schoolId=1")), "{:?}", stub.lines());
    folder.data("visits.jsonl", &[visit(2)]);
    folder.run(&["delete", "-s", "visits", "--yes"]).expect(0);
    assert!(stub.lines().contains(&"DELETE /data/ed-fi/visits/0a1b".to_string()), "{:?}", stub.lines());
}
