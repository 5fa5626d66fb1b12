//! Discovery documents: whatever they say, https never becomes http, and credentials stay with the host they are for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lightbeam::api::urls::{base, resolve};
use lightbeam::config::{Given, parse};

fuzz_target!(|input: (u8, &[u8])| {
    let Ok(document) = serde_json::from_slice(input.1) else { return };
    let modes = ["", "  mode: shared_instance\n", "  mode: year_specific\n", "  mode: instance_year_specific\n"];
    let mode = modes[usize::from(input.0) % modes.len()];
    let text = format!(
        "edfi_api:\n  base_url: https://example.com/api\n  client_id: a\n  client_secret: b\n  year: 2026\n{mode}"
    );
    let given = Given { params: Default::default(), sets: &[], env: &|_| None, year: 2026 };
    let Ok((config, _)) = parse("lightbeam.yaml".as_ref(), &text, &given) else { return };
    let base = base(&config.api).expect("a right address");
    let Ok(urls) = resolve(&base, &config.api, Ok(&document)) else { return };
    assert!(urls.data.starts_with("https://"), "{}", urls.data);
    for url in [Some(&urls.oauth), urls.dependencies.as_ref(), urls.open_api.as_ref()].into_iter().flatten() {
        assert_eq!(url.scheme_str(), Some("https"), "{url}");
    }
});
