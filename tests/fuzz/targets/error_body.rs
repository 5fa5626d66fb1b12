//! Error bodies: whatever the API answers, there is a message, each of one line and bounded, and a bounded delay.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lightbeam::api::reply::{Reply, refusal, retry_after};

fuzz_target!(|input: (u16, Option<String>, &[u8])| {
    let (status, header, body) = input;
    let reply = Reply { status, retry_after: header, body: body.to_vec(), ..Reply::default() };
    let refusal = refusal(&reply);
    assert!(!refusal.messages.is_empty());
    for message in &refusal.messages {
        assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
    }
    let _ = (refusal.text(), refusal.order_may_cure(), retry_after(&reply, "2026-01-01T00:00:00Z".parse().unwrap()));
});
