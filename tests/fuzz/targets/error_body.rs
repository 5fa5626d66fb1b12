//! Error bodies: whatever the API answers, there is a message, each of one line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lightbeam::api::reply::{Reply, refusal, retry_after};

fuzz_target!(|input: (u8, &str)| {
    let (status, text) = (300 + u16::from(input.0), input.1);
    let (header, body) = text.split_once('\n').unwrap_or(("", text));
    let reply = Reply { status, retry_after: Some(header.into()), body: body.into(), ..Reply::default() };
    let refusal = refusal(&reply);
    assert!(!refusal.messages.is_empty());
    for message in &refusal.messages {
        assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
    }
    let _ = (refusal.text(), refusal.order_may_cure());
    let _ = retry_after(&reply, "2026-01-01T00:00:00Z".parse().expect("a time"));
});
