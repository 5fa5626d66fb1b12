//! The results file of the Python lightbeam 0.1.12, key by key, for pipelines that load it into a table of just those
//! columns (`compat: python`).

use serde_json::{Map, Value, json};

/// The keys of the file, in its order. `resources` has a mapping for each resource.
const KEYS: [&str; 14] = [
    "started_at",
    "working_dir",
    "config_file",
    "data_dir",
    "api_url",
    "namespace",
    "namespace_overrides",
    "resources",
    "command",
    "completed_at",
    "runtime_sec",
    "total_records_processed",
    "total_records_skipped",
    "total_records_failed",
];

/// What the Python lightbeam would write in place of these results of send, validate or validate+send.
pub fn of(mut results: Value) -> Value {
    // What validate finds has a method where an answer has a status. Its validate+send writes what send has to say.
    let kind = if results["command"] == "validate" { "method" } else { "status_code" };
    if results["command"] == "validate+send" {
        results["command"] = "send".into();
    }
    let Value::Object(mut results) = results else { return results };
    if let Some(Value::Object(resources)) = results.get_mut("resources") {
        resources.values_mut().for_each(|value| *value = resource(value, kind));
    }
    let kept = KEYS.iter().filter_map(|key| Some((key.to_string(), results.remove(*key)?)));
    Value::Object(kept.collect())
}

fn resource(value: &Value, kind: &str) -> Value {
    let mut kept = Map::new();
    let is_some = |list: &Value| list.as_array().is_some_and(|list| !list.is_empty());
    if is_some(&value["failures"]) {
        kept.insert("failures".into(), failures(&value["failures"], kind).into());
    }
    if is_some(&value["successes"]) {
        kept.insert("successes".into(), value["successes"].clone());
    }
    for key in ["records_processed", "records_skipped", "records_failed"] {
        kept.insert(key.into(), value[key].clone());
    }
    kept.into()
}

/// One entry for each message of each failure: an answer with several faults is several failures there.
fn failures(all: &Value, kind: &str) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for failure in all.as_array().into_iter().flatten() {
        for message in messages(failure) {
            let same = |other: &&mut Value| {
                other[kind] == failure[kind] && other["message"] == message && other["file"] == failure["file"]
            };
            match kept.iter_mut().find(same) {
                Some(other) => add_lines(other, &failure["line_numbers"]),
                None => kept.push(json!({
                    kind: failure[kind],
                    "message": message,
                    "file": failure["file"],
                    "line_numbers": failure["line_numbers"],
                    "count": failure["count"],
                })),
            }
        }
    }
    kept
}

/// An answer's list of faults is a message for each; any other text has the status before it.
fn messages(failure: &Value) -> Vec<String> {
    let message = failure["message"].as_str().unwrap_or_default();
    match (failure["status_code"].as_u64(), failure["listed"] == true) {
        (Some(_), true) => message.split("; ").map(String::from).collect(),
        (Some(status), false) => vec![format!("{status}: {}", message.split("; ").next().unwrap_or(message))],
        (None, _) => vec![message.into()],
    }
}

fn add_lines(failure: &mut Value, more: &Value) {
    let lines = [&failure["line_numbers"], more].into_iter().filter_map(Value::as_array).flatten();
    let mut lines: Vec<u64> = lines.filter_map(Value::as_u64).collect();
    lines.sort_unstable();
    failure["count"] = lines.len().into();
    failure["line_numbers"] = lines.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u64, listed: bool, message: &str, line: u64) -> Value {
        json!({"status_code": status, "kind": "payload", "listed": listed, "message": message, "file": "a.jsonl",
               "count": 1, "line_numbers": [line], "correlation_id": null})
    }

    fn results(failures: Value) -> Value {
        let counts = json!({"records_processed": 2, "records_skipped": 0, "records_failed": 2, "records_created": 0,
                            "namespace": "ed-fi", "successes": [], "failures": failures, "left_out": []});
        json!({"command": "validate+send", "resources": {"students": counts}, "total_records_processed": 2,
               "total_records_refused": 2, "run_id": "x", "warnings": []})
    }

    #[test]
    fn only_its_keys_are_left_and_lists_only_where_there_is_something() {
        let kept = of(results(json!([])));
        let counts = json!({"records_processed": 2, "records_skipped": 0, "records_failed": 2});
        let expected = json!({"command": "send", "resources": {"students": counts}, "total_records_processed": 2});
        assert_eq!(kept, expected);
    }

    #[test]
    fn each_fault_of_an_answer_is_a_failure_and_the_same_one_is_counted() {
        let two = "birthDate is required. (at $.birthDate); firstName is required. (at $.firstName)";
        let one = "birthDate is required. (at $.birthDate)";
        let kept = of(results(json!([failure(400, true, two, 2), failure(400, true, one, 1)])));
        let entry = |message: &str, lines: &[u64]| {
            json!({"status_code": 400, "message": message, "file": "a.jsonl", "line_numbers": lines,
                   "count": lines.len()})
        };
        let expected = json!([entry(one, &[1, 2]), entry("firstName is required. (at $.firstName)", &[2])]);
        assert_eq!(kept["resources"]["students"]["failures"], expected);
    }

    #[test]
    fn what_validate_finds_has_a_method_and_what_send_says_a_status_even_where_there_was_no_answer() {
        let found =
            json!([{"method": "schema", "path": "$", "message": "x", "file": "a", "count": 1, "line_numbers": [1]}]);
        let keys = |command: &str| {
            let mut results = results(found.clone());
            results["command"] = command.into();
            let kept = of(results);
            let failure = kept["resources"]["students"]["failures"][0].as_object().unwrap();
            failure.keys().next().unwrap().clone()
        };
        assert_eq!([keys("validate"), keys("send"), keys("validate+send")], ["method", "status_code", "status_code"]);
    }

    #[test]
    fn a_single_text_has_the_status_before_it_and_no_model_state_behind_it() {
        let kept = of(results(json!([failure(400, false, "The request is invalid.; x: wrong", 1)])));
        assert_eq!(kept["resources"]["students"]["failures"][0]["message"], "400: The request is invalid.");
    }
}
