//! The sandbox seen by its clients, over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Options, Received, Sandbox, Shape, start};

/// A client with a token and a connection that it keeps.
struct Client {
    address: String,
    stream: TcpStream,
    token: String,
}

/// What came back.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Client {
    fn of(sandbox: &Sandbox) -> Client {
        let address = sandbox.url().strip_prefix("http://").unwrap().to_owned();
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = Client { address, stream, token: String::new() };
        let form = "grant_type=client_credentials&client_id=key&client_secret=secret";
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        client.token = client.send("POST", "/oauth/token", headers, form).unwrap().json()["access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        client
    }

    /// `None` if the connection ends without an answer.
    fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Option<Reply> {
        let length = body.len();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more) {
                Ok(read @ 1..) => bytes.extend_from_slice(&more[..read]),
                _ => {
                    // There is nobody to connect to if the sandbox has stopped.
                    if let Ok(stream) = TcpStream::connect(&self.address) {
                        self.stream = stream;
                    }
                    return None;
                }
            }
        };
        let mut reply =
            Reply { status: 0, head: String::from_utf8(bytes[..head].to_vec()).unwrap(), body: String::new() };
        reply.status = reply.head[9..12].parse().unwrap();
        let length: usize = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = bytes.split_off(head);
        let read = body.len();
        body.resize(length, 0);
        self.stream.read_exact(&mut body[read..]).unwrap();
        reply.body = String::from_utf8(body).unwrap();
        Some(reply)
    }

    fn get(&mut self, path: &str) -> Reply {
        let token = format!("Authorization: Bearer {}\r\n", self.token);
        self.send("GET", path, &token, "").unwrap()
    }

    fn delete(&mut self, path: &str) -> Reply {
        let token = format!("Authorization: Bearer {}\r\n", self.token);
        self.send("DELETE", path, &token, "").unwrap()
    }

    fn try_post(&mut self, resource: &str, body: &Value) -> Option<Reply> {
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", self.token);
        self.send("POST", &format!("/data/v3/ed-fi/{resource}"), &headers, &body.to_string())
    }

    fn post(&mut self, resource: &str, body: &Value) -> Reply {
        self.try_post(resource, body).unwrap()
    }
}

fn sandbox(options: Options) -> (Sandbox, Client) {
    let sandbox = start(options).unwrap();
    let client = Client::of(&sandbox);
    (sandbox, client)
}

fn school(id: i64) -> Value {
    json!({
        "schoolId": id,
        "nameOfInstitution": "Grand Bend High School",
        "internetAccessDescriptor": "uri://ed-fi.org/InternetAccessDescriptor#Very high",
        "educationOrganizationCategories": [
            {"educationOrganizationCategoryDescriptor": "uri://ed-fi.org/EducationOrganizationCategoryDescriptor#School"}
        ],
        "gradeLevels": [{"gradeLevelDescriptor": "uri://ed-fi.org/GradeLevelDescriptor#Ninth grade"}]
    })
}

fn calendar(school: i64, year: i32) -> Value {
    json!({
        "calendarCode": "one",
        "calendarTypeDescriptor": "uri://ed-fi.org/CalendarTypeDescriptor#Student Specific",
        "schoolReference": {"schoolId": school},
        "schoolYearTypeReference": {"schoolYear": year}
    })
}

fn path(reply: &Reply, sandbox: &Sandbox) -> String {
    reply.header("location").unwrap().strip_prefix(&sandbox.url()).unwrap().to_owned()
}

#[test]
fn an_item_is_created_updated_shown_found_and_deleted() {
    let (sandbox, mut client) = sandbox(Options::default());
    let created = client.post("schools", &school(1));
    assert_eq!((created.status, created.body.as_str()), (201, ""));
    let at = path(&created, &sandbox);
    let id = at.strip_prefix("/data/v3/ed-fi/schools/").unwrap();
    assert!(id.len() == 32 && id.chars().all(|letter| letter.is_ascii_hexdigit()));

    let again = client.post("schools", &school(1));
    assert_eq!((again.status, again.header("location")), (200, created.header("location")));
    assert_eq!(again.header("etag"), created.header("etag"), "nothing differs");
    let mut renamed = school(1);
    renamed["internetAccessDescriptor"] = json!("uri://ed-fi.org/InternetAccessDescriptor#Other");
    let updated = client.post("schools", &renamed);
    assert_eq!(updated.status, 200);
    assert_ne!(updated.header("etag"), created.header("etag"));

    let shown = client.get(&at).json();
    assert_eq!((&shown["id"], &shown["internetAccessDescriptor"]), (&json!(id), &renamed["internetAccessDescriptor"]));
    assert!(shown["_etag"].is_string() && shown["_lastModifiedDate"].as_str().unwrap().ends_with('Z'));
    client.post("schools", &school(2));
    assert_eq!(client.get("/data/v3/ed-fi/schools?schoolId=2").json()[0]["schoolId"], 2);
    assert_eq!(
        client
            .get("/data/v3/ed-fi/schools?internetAccessDescriptor=uri://ed-fi.org/InternetAccessDescriptor%23Very+high")
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(client.get(&format!("/data/v3/ed-fi/schools?id={id}")).json().as_array().unwrap().len(), 1);
    assert_eq!(
        client.get("/data/v3/ed-fi/schools?unheardOf=2").json().as_array().unwrap().len(),
        2,
        "passed over, as by a real API"
    );

    let deleted = client.delete(&at);
    assert_eq!((deleted.status, deleted.header("content-length")), (204, None));
    assert_eq!((client.delete(&at).status, client.get(&at).status), (404, 404));
}

#[test]
fn pages_are_cut_as_asked_and_never_beyond_500() {
    let (_sandbox, mut client) = sandbox(Options::default());
    (1..=30).for_each(|id| assert_eq!(client.post("schools", &school(id)).status, 201));
    let ids = |reply: &Reply| -> Vec<i64> {
        reply.json().as_array().unwrap().iter().map(|item| item["schoolId"].as_i64().unwrap()).collect()
    };
    let first = client.get("/data/v3/ed-fi/schools");
    assert_eq!((ids(&first).len(), first.header("total-count")), (25, None));
    let rest = client.get("/data/v3/ed-fi/schools?offset=25&limit=500&totalCount=true");
    assert_eq!((ids(&rest), rest.header("total-count")), (vec![26, 27, 28, 29, 30], Some("30")));
    let counted = client.get("/data/v3/ed-fi/schools?limit=0&totalCount=true");
    assert_eq!((counted.body.as_str(), counted.header("total-count")), ("[]", Some("30")));
    let refused = client.get("/data/v3/ed-fi/schools?limit=501");
    assert_eq!((refused.status, refused.json()["title"].as_str()), (400, Some("Parameter Validation Failed")));
}

#[test]
fn a_reference_to_nothing_is_a_conflict_and_so_is_deleting_what_is_referred_to() {
    let (sandbox, mut client) = sandbox(Options::default());
    let missing = client.post("calendars", &calendar(1, 2025));
    assert_eq!(
        (missing.status, missing.json()["detail"].as_str()),
        (409, Some("The referenced 'School' item does not exist."))
    );
    assert_eq!(missing.header("content-type"), Some("application/problem+json; charset=utf-8"));
    let school = client.post("schools", &school(1));
    let calendar_created = client.post("calendars", &calendar(1, 2025));
    assert_eq!(calendar_created.status, 201);
    assert_eq!(client.post("calendars", &calendar(1, 1990)).status, 409, "no such school year");
    let referred = client.delete(&path(&school, &sandbox));
    assert_eq!((referred.status, referred.json()["title"].as_str()), (409, Some("Dependent Item Exists")));
    assert_eq!(client.delete(&path(&calendar_created, &sandbox)).status, 204);
    assert_eq!(client.delete(&path(&school, &sandbox)).status, 204);
}

#[test]
fn an_abstract_reference_is_met_by_any_kind_of_it() {
    let (_sandbox, mut client) = sandbox(Options::default());
    let cohort = json!({
        "cohortIdentifier": "c",
        "cohortTypeDescriptor": "uri://ed-fi.org/CohortTypeDescriptor#Study Hall",
        "educationOrganizationReference": {"educationOrganizationId": 7}
    });
    assert_eq!(client.post("cohorts", &cohort).status, 409);
    client.post("schools", &school(7));
    assert_eq!(client.post("cohorts", &cohort).status, 201);
}

#[test]
fn a_payload_that_breaks_its_schema_is_refused_with_every_error() {
    let (_sandbox, mut client) = sandbox(Options::default());
    let mut wrong = school(1);
    wrong["schoolId"] = json!("one");
    wrong["nameOfInstitution"] = Value::Null;
    let refused = client.post("schools", &wrong);
    assert_eq!(refused.status, 400);
    let errors = refused.json()["validationErrors"].clone();
    assert_eq!(errors.as_object().unwrap().keys().collect::<Vec<_>>(), ["$.schoolId", "$.nameOfInstitution"]);
    let mut with_id = school(1);
    with_id["id"] = json!("x");
    assert_eq!(client.post("schools", &with_id).json()["errors"].as_array().unwrap().len(), 1);
    assert_eq!(client.post("schools", &json!([])).status, 400);
    assert_eq!(client.post("schools", &json!("x")).status, 400);
}

#[test]
fn a_descriptor_must_exist_only_once_one_of_its_namespace_was_posted() {
    let (_sandbox, mut client) = sandbox(Options::default());
    assert_eq!(client.post("schools", &school(1)).status, 201);
    let grade = |code: &str| json!({"namespace": "uri://ed-fi.org/GradeLevelDescriptor", "codeValue": code, "shortDescription": code});
    assert_eq!(client.post("gradeLevelDescriptors", &grade("Tenth grade")).status, 201);
    let refused = client.post("schools", &school(1));
    assert_eq!(refused.status, 400);
    let errors = refused.json()["validationErrors"].clone();
    let path = "$.gradeLevels[0].gradeLevelDescriptor";
    assert_eq!(
        errors[path],
        json!(["GradeLevelDescriptor value 'uri://ed-fi.org/GradeLevelDescriptor#Ninth grade' does not exist."])
    );
    assert_eq!(client.post("gradeLevelDescriptors", &grade("Ninth grade")).status, 201);
    assert_eq!(client.post("gradeLevelDescriptors", &grade("Ninth grade")).status, 200);
    assert_eq!(client.post("schools", &school(1)).status, 200);
}

#[test]
fn errors_come_in_the_older_shape_when_asked_for() {
    let (_sandbox, mut client) = sandbox(Options { shape: Shape::Old, ..Options::default() });
    assert_eq!(
        client.post("calendars", &calendar(1, 2025)).body,
        r#"{"message":"The value supplied for the related 'school' resource does not exist."}"#
    );
    let invalid = client.post("schools", &json!({}));
    assert_eq!((invalid.status, &invalid.json()["message"]), (400, &json!("The request is invalid.")));
    assert!(invalid.json()["modelState"]["request.schoolId"].is_array());
    client.token.clear();
    let refused = client.post("schools", &school(1));
    assert_eq!((refused.status, refused.body.as_str()), (401, ""));
}

#[test]
fn requests_that_cannot_be_made_are_told_apart() {
    let (_sandbox, mut client) = sandbox(Options { forbid: vec!["staffs".into()], ..Options::default() });
    assert_eq!(client.post("unheardOf", &json!({})).status, 404);
    assert_eq!(client.get("/elsewhere").status, 404);
    let token = format!("Authorization: Bearer {}\r\n", client.token);
    assert_eq!(client.send("PUT", "/data/v3/ed-fi/schools", &token, "{}").unwrap().status, 405);
    assert_eq!(client.delete("/data/v3/ed-fi/schools").status, 405);
    let text = format!("{token}Content-Type: text/plain\r\ncorrelation-id: run-7\r\n");
    let refused = client.send("POST", "/data/v3/ed-fi/schools", &text, "{}").unwrap();
    assert_eq!((refused.status, &refused.json()["correlationId"]), (415, &json!("run-7")));
    let forbidden = client.post("staffs", &json!({}));
    assert_eq!(forbidden.json()["type"], "urn:ed-fi:api:security:authorization:access-denied:resource");
    client.token = "wrong".into();
    let refused = client.post("schools", &school(1));
    assert_eq!((refused.status, &refused.json()["errors"]), (401, &json!(["Invalid Authorization header."])));
}

#[test]
fn a_token_expires() {
    let (_sandbox, mut client) = sandbox(Options { token_lifetime: Duration::ZERO, ..Options::default() });
    assert_eq!(client.get("/data/v3/ed-fi/schools").status, 401);
}

#[test]
fn metadata_is_validated_by_its_etag() {
    let (sandbox, mut client) = sandbox(Options::default());
    for path in ["/", "/metadata/", "/metadata/data/v3/dependencies", "/metadata/data/v3/resources/swagger.json"] {
        let document = client.send("GET", path, "", "").unwrap();
        assert_eq!(document.status, 200, "{path}");
        let etag = document.header("etag").unwrap();
        let unchanged = client.send("GET", path, &format!("If-None-Match: {etag}\r\n"), "").unwrap();
        assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
        assert_eq!(client.send("GET", path, "If-None-Match: \"0\"\r\n", "").unwrap().status, 200);
    }
    let discovery = client.get("/").json();
    assert_eq!(discovery["urls"]["oauth"], format!("{}/oauth/token", sandbox.url()));
}

#[test]
fn faults_come_when_they_are_ordered() {
    let options =
        Options { fail_429: Some(2), fail_503: Some(3), retry_after: Some(9), record: true, ..Options::default() };
    let (sandbox, mut client) = sandbox(options);
    let replies: Vec<Reply> = (1..=3).map(|id| client.post("schools", &school(id))).collect();
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [201, 429, 503]);
    assert_eq!(
        replies.iter().map(|reply| reply.header("retry-after")).collect::<Vec<_>>(),
        [None, Some("9"), Some("9")]
    );
    let received = sandbox.received();
    let of = |received: &Received| (received.number, received.resource.clone(), received.status, received.stored);
    let expected = [(1, Some(201), true), (2, Some(429), false), (3, Some(503), false)];
    let expected = expected.map(|(number, status, stored)| (number, "ed-fi/schools".to_owned(), status, stored));
    assert_eq!(received.iter().map(of).collect::<Vec<_>>(), expected);
    assert_eq!(received[0].body, school(1).to_string().as_bytes());
    assert!(received.windows(2).all(|pair| pair[0].started < pair[0].ended && pair[0].ended < pair[1].started));
    assert_eq!(client.get("/sandbox/requests").json()[2]["status"], 503);
}

#[test]
fn every_second_cut_comes_after_the_payload_is_stored() {
    let (sandbox, mut client) = sandbox(Options { cut: Some(2), record: true, ..Options::default() });
    let replies = (1..=4).map(|id| client.try_post("schools", &school(id)).map(|reply| reply.status));
    assert_eq!(replies.collect::<Vec<_>>(), [Some(201), None, Some(201), None]);
    assert_eq!(client.post("schools", &school(4)).status, 200, "it had been stored");
    assert_eq!(
        sandbox.received().iter().map(|received| received.stored).collect::<Vec<_>>(),
        [true, false, true, true, true]
    );
    assert_eq!(client.get("/sandbox/stats").json()["unanswered"], 2);
}

#[test]
fn a_hanging_request_is_never_answered_and_does_not_keep_the_sandbox_from_stopping() {
    let (sandbox, mut client) = sandbox(Options { hang: Some(1), ..Options::default() });
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| {
            let request = "POST /data/v3/ed-fi/schools HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
            client.stream.write_all(request.as_bytes()).unwrap();
            client.stream.read(&mut [0; 1]).unwrap()
        });
        while sandbox.service.watch.stats(0)["unanswered"] != 1 {
            std::thread::yield_now();
        }
        sandbox.stop();
        assert_eq!(hanging.join().unwrap(), 0);
    });
}

#[test]
fn more_requests_at_a_time_than_allowed_are_turned_away() {
    let options = Options { max_concurrent: Some(1), latency: Duration::from_secs(600), ..Options::default() };
    let (sandbox, mut client) = sandbox(options);
    let mut slow = Client::of(&sandbox);
    std::thread::scope(|scope| {
        scope.spawn(move || slow.try_post("schools", &school(1)));
        while sandbox.service.watch.stats(0)["requests"] != 1 {
            std::thread::yield_now();
        }
        assert_eq!(client.post("schools", &school(2)).status, 429);
        let stats = client.get("/sandbox/stats").json();
        assert_eq!(
            (&stats["peakConcurrent"], &stats["tokens"], &stats["connections"]),
            (&json!(2), &json!(2), &json!(2))
        );
        sandbox.stop();
    });
}

#[test]
fn the_no_check_mode_takes_whatever_comes_for_a_known_resource() {
    let (_sandbox, mut client) = sandbox(Options { no_check: true, ..Options::default() });
    let first = client.post("schools", &json!({"no": "school"}));
    let second = client.post("schools", &json!({"no": "school"}));
    assert_eq!((first.status, second.status), (201, 201));
    assert_ne!(first.header("location"), second.header("location"));
    assert_eq!(client.post("unheardOf", &json!({})).status, 404);
    client.token.clear();
    assert_eq!(client.post("schools", &json!({})).status, 401);
}

#[test]
fn demanded_credentials_are_the_only_ones_that_get_a_token() {
    let sandbox = start(Options { credentials: Some(("key".into(), "secret".into())), ..Options::default() }).unwrap();
    let mut client = Client::of(&sandbox);
    let form = "grant_type=client_credentials&client_id=key&client_secret=other";
    let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(client.send("POST", "/oauth/token", headers, form).unwrap().status, 401);
}

#[test]
fn what_is_not_http_is_refused_and_the_connection_ends() {
    let (_sandbox, mut client) = sandbox(Options::default());
    let refused = client.send("POST", "/ no", "", "").unwrap();
    assert_eq!((refused.status, refused.header("connection")), (400, Some("close")));
    assert_eq!(client.stream.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn students_of_many_threads_all_arrive_once() {
    let (sandbox, mut client) = sandbox(Options::default());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let mut client = Client::of(&sandbox);
            scope.spawn(move || {
                for number in 0..50 {
                    // Every student comes from two threads.
                    let id = format!("{}", (thread / 2) * 50 + number);
                    let student =
                        json!({"studentUniqueId": id, "firstName": "A", "lastSurname": "B", "birthDate": "2010-01-01"});
                    assert!(matches!(client.post("students", &student).status, 200 | 201));
                }
            });
        }
    });
    let statuses = client.get("/sandbox/stats").json()["statuses"].clone();
    assert_eq!(statuses, json!({"200": 100, "201": 100}));
    assert_eq!(client.get("/data/v3/ed-fi/students?limit=0&totalCount=true").header("total-count"), Some("100"));
}

#[test]
fn a_folder_of_documents_replaces_the_built_in_model() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata/ods-5.3");
    if !folder.is_dir() {
        return;
    }
    let (sandbox, mut client) = sandbox(Options { metadata: Some(folder), ..Options::default() });
    let parent = json!({"parentUniqueId": "1", "firstName": "A", "lastSurname": "B"});
    assert_eq!(client.post("parents", &parent).status, 201);
    assert_eq!(client.post("contacts", &json!({})).status, 404);
    let discovery = client.get("/").json();
    assert_eq!(discovery["version"], "5.3");
    assert_eq!(discovery["urls"]["dataManagementApi"], format!("{}/data/v3/", sandbox.url()), "leads to itself");
}

#[test]
fn a_sandbox_that_is_stopped_ends_its_connections_and_frees_its_port() {
    let (sandbox, mut client) = sandbox(Options::default());
    sandbox.stop();
    assert_eq!(client.stream.read(&mut [0; 1]).unwrap(), 0);
    assert!(TcpStream::connect(&client.address).is_err(), "the port is free again");
}
