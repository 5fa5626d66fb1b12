//! Sends folders of JSONL payloads to an Ed-Fi API.

pub mod clock;
pub mod config;
pub mod error;
pub mod exit;
pub mod interrupt;
pub mod model;
pub mod resource;
#[cfg(feature = "sandbox")]
pub mod sandbox;
