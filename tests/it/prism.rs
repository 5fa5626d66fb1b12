//! An independent judge: Prism's mock server, which knows nothing of Ed-Fi, judges mutated payloads by the same documents as
//! `validate` with `validate.strict`. Run by `make test-prism`, which installs Prism, so that the other tests need none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lightbeam::check::{Checker, Checkers, Notes};
use lightbeam::model::{Definition, Model};
use lightbeam::resource::Resource;
use lightbeam::sandbox::Options;
use serde_json::{Map, Value, json};

use crate::chance::Chance;
use crate::checker::object;
use crate::host::message;
use crate::support::{Folder, Stage, get, until};
use crate::validate::results;

/// Of these resources, as far as a document has them: flat ones, deep ones, with references, lists, dates, times, numbers and booleans.
const RESOURCES: [&str; 8] = [
    "students",
    "schools",
    "locations",
    "studentSchoolAssociations",
    "studentAssessments",
    "bellSchedules",
    "courseOfferings",
    "studentEducationOrganizationAssociations",
];
/// Payloads of each resource and document.
const PAYLOADS: usize = 60;

/// The classes of disagreements: what the message of `validate` holds, and why Prism does not refuse it. In each, `validate` refuses what the
/// document allows, but no API takes. There is none where Prism refuses and `validate` does not.
const CLASSES: [(&str, &str); 7] = [
    (" must be a descriptor such as ", "a descriptor is a URI, which documents do not say"),
    (", not 'uri://", "a URI names its descriptor, which documents do not say"),
    (" must have at least one item", "APIs want an item in a list that is required"),
    (" must differ from those before it", "items of a list have an identity"),
    (" must be the same as at ", "members of one part of the natural key are equal"),
    (" must be left out", "the server gives ids"),
    (" must be a whole number, not a decimal number", "the ODS reads 1.0 and 1e300 as no whole number"),
];

/// What both say of a payload.
#[derive(Debug, Default)]
struct Verdict {
    /// The messages of `validate`.
    ours: Vec<String>,
    /// The keywords of JSON Schema by which Prism refuses, with their places.
    theirs: Vec<String>,
}

impl Verdict {
    /// The classes of all messages of `validate`, if Prism accepts and each has one.
    fn classes(&self) -> Option<BTreeSet<usize>> {
        let class = |message: &String| CLASSES.iter().position(|(part, _)| message.contains(part));
        self.ours.iter().map(class).collect::<Option<BTreeSet<_>>>().filter(|_| self.theirs.is_empty())
    }
}

/// Prism and its address, ended when it is dropped.
struct Prism(Child, String);

impl Prism {
    fn start(document: &Path) -> Prism {
        let program = std::env::var("PRISM").expect("PRISM names the program: make test-prism installs it");
        // Somebody else may take the port between its release and Prism.
        for _ in 0..3 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut child = Command::new(&program)
                .args(["mock", "--errors", "-h", "127.0.0.1", "-p", &port.to_string()])
                .arg(document)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut ended = false;
            until("Prism listens", || {
                ended = child.try_wait().unwrap().is_some();
                ended || TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            if !ended {
                return Prism(child, format!("127.0.0.1:{port}"));
            }
        }
        panic!("Prism ends at once with {}", document.display());
    }

    /// By which keywords it refuses a payload.
    fn refuses(&self, resource: &Resource, payload: &Value) -> Vec<String> {
        let (address, body) = (&self.1, payload.to_string());
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!("POST /{resource} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
        write!(stream, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).unwrap();
        let (head, body) = message(&mut BufReader::new(stream)).unwrap();
        match head.split(' ').nth(1) {
            Some("201") => Vec::new(),
            Some("422") => {
                let body: Value = serde_json::from_slice(&body).unwrap();
                let told = |error: &Value| format!("{} {}", error["code"].as_str().unwrap(), error["location"]);
                body["validation"].as_array().unwrap().iter().map(told).collect()
            }
            _ => panic!("{resource} {payload}\n{head}{}", String::from_utf8_lossy(&body)),
        }
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The documents: genuine ones where they are at hand, else that of the sandbox.
fn documents() -> Vec<(String, Value)> {
    let genuine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/edfi-metadata");
    if genuine.is_dir() {
        let files = [
            "ods-5.3/resources.swagger2.json",
            "ds-5.0/resources.openapi3.json",
            "dms-2025-07/resources.openapi3.json",
        ];
        let read = |file: &str| serde_json::from_slice(&fs::read(genuine.join(file)).unwrap()).unwrap();
        return files.map(|file| (file.to_string(), read(file))).into();
    }
    println!("the genuine documents are not here: only the sandbox's own is tried");
    let stage = Stage::new();
    vec![("sandbox".into(), get(&stage.sandbox.url(), "/metadata/data/v3/resources/swagger.json"))]
}

/// What stands behind the name of a schema that may be null as well.
const OR_NULL: &str = "OrNull";

/// What a document says of these resources, and nothing else, so that Prism reads it fast. It differs from the document in one way: what is
/// optional may be null, which APIs take for nothing given, although documents up to 5.3 never say so.
fn cut_down(document: &Value) -> Value {
    let is_swagger = document.get("definitions").is_some();
    let schemas = document.get("definitions").unwrap_or_else(|| &document["components"]["schemas"]);
    let (mut paths, mut kept, mut todo) = (Map::new(), Map::new(), Vec::new());
    for name in RESOURCES.map(|name| format!("/ed-fi/{name}")) {
        let Some(post) = document["paths"][&name].get("post") else { continue };
        let mut post = post.clone();
        post.as_object_mut()
            .unwrap()
            .retain(|key, _| ["requestBody", "parameters", "consumes"].contains(&key.as_str()));
        post["responses"] = json!({"201": {"description": "Created"}});
        named(&post, &mut todo);
        // So is the collection told from other paths.
        paths.insert(name.clone(), json!({"post": post, "get": document["paths"][&name]["get"]}));
        if let Some(parameters) = paths[&name]["get"]["parameters"].as_array() {
            let own = parameters.iter().filter(|parameter| parameter.get("$ref").is_none()).cloned().collect::<Value>();
            paths[&name]["get"] = json!({"parameters": own, "responses": {"200": {"description": "Found"}}});
        }
    }
    let nullable = if is_swagger { "x-nullable" } else { "nullable" };
    while let Some(name) = todo.pop() {
        if kept.contains_key(&name) {
            continue;
        }
        let mut schema = schemas[name.trim_end_matches(OR_NULL)].clone();
        if name.ends_with(OR_NULL) {
            schema[nullable] = true.into();
        }
        let required: BTreeSet<String> =
            schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect();
        for (name, property) in schema["properties"].as_object_mut().into_iter().flatten() {
            let is_required = required.contains(name);
            match property.get("$ref").and_then(Value::as_str) {
                Some(reference) if !is_required => *property = json!({"$ref": format!("{reference}{OR_NULL}")}),
                Some(_) => {}
                None => property[nullable] = (!is_required).into(),
            }
        }
        named(&schema, &mut todo);
        kept.insert(name, schema);
    }
    match is_swagger {
        true => {
            json!({"swagger": "2.0", "info": {"title": "t", "version": "1"}, "consumes": ["application/json"], "paths": paths, "definitions": kept})
        }
        false => {
            json!({"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": paths, "components": {"schemas": kept}})
        }
    }
}

/// The names of the schemas that are referred to.
fn named(within: &Value, found: &mut Vec<String>) {
    match within {
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            found.extend(name.map(str::to_owned));
            members.values().for_each(|value| named(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| named(item, found)),
        _ => {}
    }
}

/// Changes one value, by its place: the members of objects and items of lists are counted through, depth first.
fn change(value: &mut Value, place: &mut usize, chance: &mut Chance) -> bool {
    let below: Vec<&mut Value> = match value {
        Value::Object(members) => members.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    for inner in below {
        if change(inner, place, chance) {
            return true;
        }
    }
    if *place > 0 {
        *place -= 1;
        return false;
    }
    let long = "x".repeat(2_000);
    let others = match value {
        Value::String(text) if text.starts_with("uri://") => {
            vec![json!("uri://ed-fi.org/OtherDescriptor#y"), json!("x"), json!(long), json!(""), json!(7)]
        }
        Value::String(text) if text.contains('T') && text.starts_with("20") => vec![
            json!("2025-08-31"),
            json!("2025-08-31T07:45:00"),
            json!("2025-08-31T07:45Z"),
            json!("2025-08-31T25:00:00Z"),
            json!("2025-08-31T07:45:00+05:00"),
        ],
        Value::String(text) if text.starts_with("20") => {
            vec![json!("2025-02-29"), json!("2025-8-31"), json!("1/2/2010"), json!("2025-08-31T00:00:00Z"), json!("")]
        }
        Value::String(_) => vec![json!(""), json!(long), json!("2025-02-29"), json!(7), json!(true), json!("x")],
        Value::Number(_) => {
            vec![json!("7"), json!(-1), json!(1.5), json!(1.0), json!(3_000_000_000_i64), json!(1e300), json!(false)]
        }
        Value::Bool(_) => vec![json!("true"), json!(1), json!("no")],
        Value::Array(items) => {
            let twice = items.first().map_or(json!([7]), |item| json!([item, item]));
            vec![json!([null]), json!([{}]), json!({}), json!("x"), json!([]), twice]
        }
        _ => vec![json!([]), json!("x"), json!({}), json!(7)],
    };
    *value = match chance.below(4) {
        0 => Value::Null,
        _ => others[chance.below(others.len() as u64) as usize].clone(),
    };
    true
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(members) => members.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}

/// A valid payload with one change, or none: a member gone, an unknown one, or another value somewhere.
fn mutated(mut payload: Value, chance: &mut Chance) -> Value {
    match chance.below(10) {
        0 => {}
        1 | 2 => remove(&mut payload, chance),
        3 if chance.percent(30) => payload["id"] = "1".into(),
        3 => payload["somethingElse"] = json!({"a": [1]}),
        _ => {
            let mut place = chance.below(count(&payload) as u64 - 1) as usize;
            change(&mut payload, &mut place, chance);
        }
    }
    payload
}

fn remove(payload: &mut Value, chance: &mut Chance) {
    let Some(members) = payload.as_object_mut().filter(|members| !members.is_empty()) else { return };
    let name = members.keys().nth(chance.below(members.len() as u64) as usize).unwrap().clone();
    match members[&name].is_object() && chance.percent(50) {
        true => remove(&mut members[&name], chance),
        false => drop(members.remove(&name)),
    }
}

/// A payload that is right.
fn right(definition: &Definition, checker: &Checker, chance: &mut Chance) -> Value {
    for _ in 0..10_000 {
        let payload = object(&definition.body, chance, 0);
        let mut notes = Notes::default();
        checker.check(payload.to_string().as_bytes(), &mut notes);
        if notes.faults.is_empty() {
            return payload;
        }
    }
    panic!("chance makes no payload of {} that is right", definition.resource);
}

/// The payloads to be judged.
fn payloads(stage: &Stage, chance: &mut Chance) -> BTreeMap<Resource, Vec<Value>> {
    let served = ["resources", "descriptors"]
        .map(|part| get(&stage.sandbox.url(), &format!("/metadata/data/v3/{part}/swagger.json")));
    let model = Model::from_openapi(&served).unwrap();
    let checkers = Checkers::new(model.definitions());
    let judged = model.definitions().iter().filter(|definition| !definition.resource.is_descriptor());
    let of_definition = |definition: &Definition| {
        let checker = checkers.get(&definition.resource).unwrap();
        let mut payload = || mutated(right(definition, checker, chance), chance);
        (definition.resource.clone(), (0..PAYLOADS).map(|_| payload()).collect())
    };
    judged.map(of_definition).collect()
}

/// What `validate` says of each payload, strictly, by resource and line.
fn ours(stage: &Stage, payloads: &BTreeMap<Resource, Vec<Value>>) -> BTreeMap<(Resource, usize), Vec<String>> {
    for (resource, payloads) in payloads {
        let lines: Vec<String> = payloads.iter().map(Value::to_string).collect();
        stage.data(&format!("{}.jsonl", resource.name()), &lines);
    }
    let methods = ["--set", "validate.strict", "true", "validate.methods", "[schema, descriptors, uniqueness]"];
    let (_, results) = results(stage, "validate", &methods);
    let mut told: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for resource in payloads.keys() {
        for entry in results["resources"][resource.name()]["failures"].as_array().unwrap() {
            let message = format!("{}: {}", entry["path"].as_str().unwrap(), entry["message"].as_str().unwrap());
            // Prism judges each payload by itself.
            let alone = entry.get("given_before").is_none();
            for line in entry["line_numbers"].as_array().unwrap().iter().filter(|_| alone) {
                let line = line.as_u64().unwrap() as usize - 1;
                told.entry((resource.clone(), line)).or_default().push(message.clone());
            }
        }
    }
    told
}

#[test]
#[ignore = "needs Prism: make test-prism"]
fn prism_comes_to_the_same_verdict_on_hundreds_of_mutated_payloads() {
    let mut chance = Chance::new(31);
    let (mut right, mut wrong, mut classes, mut unexplained) = (0, 0, [0; CLASSES.len()], Vec::new());
    for (name, document) in documents() {
        let folder = Folder::new();
        let file = folder.write("documents/resources.json", cut_down(&document).to_string());
        let stage = Stage::with(Options { metadata: Some(folder.0.join("documents")), ..Options::default() });
        let payloads = payloads(&stage, &mut chance);
        let mut ours = ours(&stage, &payloads);
        let prism = Prism::start(&file);
        for (resource, payloads) in &payloads {
            for (number, payload) in payloads.iter().enumerate() {
                let theirs = prism.refuses(resource, payload);
                let verdict = Verdict { ours: ours.remove(&(resource.clone(), number)).unwrap_or_default(), theirs };
                match (verdict.ours.is_empty(), verdict.theirs.is_empty(), verdict.classes()) {
                    (true, true, _) => right += 1,
                    (false, false, _) => wrong += 1,
                    (_, _, Some(of)) => of.into_iter().for_each(|class| classes[class] += 1),
                    _ => unexplained.push(format!("{name} {resource} {payload}\n{verdict:?}")),
                }
            }
        }
    }
    println!("both accept {right}, both refuse {wrong}");
    for ((_, reason), count) in CLASSES.iter().zip(classes) {
        println!("{count} only validate refuses: {reason}");
    }
    assert!(classes.iter().all(|count| *count > 0), "a class that nothing belongs to: {classes:?}");
    let shown = unexplained[..unexplained.len().min(8)].join("\n\n");
    assert!(unexplained.is_empty(), "{} disagree:\n{shown}", unexplained.len());
    assert!(right > 100 && wrong > 200, "{right} right, {wrong} wrong: too few of one kind to tell anything");
}
