//! Sends folders of JSONL payloads to an Ed-Fi API.

pub mod api;
pub mod clock;
pub mod config;
pub mod digest;
pub mod disk;
pub mod error;
pub mod exit;
pub mod interrupt;
pub mod outcome;
pub mod resource;
pub mod source;
