//! OpenAPI documents: whatever their definitions refer to, reading them ends, and the model can be walked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lightbeam::api::openapi::{add, list};
use lightbeam::api::transport::http::Uri;
use lightbeam::model::{Model, Source};

fuzz_target!(|body: &[u8]| {
    let url = Uri::from_static("https://example.com/metadata");
    let _ = list(&url, body);
    let _ = add(&url, body, &mut Source::default());
    let Ok(document) = serde_json::from_slice(body) else { return };
    let Ok(model) = Model::from_openapi([&document]) else { return };
    for definition in model.definitions() {
        assert!(definition.references().iter().all(|referral| referral.path.starts_with('$')));
        let _ = (definition.key().count(), definition.schemas().len());
    }
});
