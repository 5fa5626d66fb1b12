//! Sends folders of JSONL payloads to an Ed-Fi API.

pub mod api;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod digest;
pub mod disk;
pub mod error;
pub mod exit;
pub mod interrupt;
pub mod model;
pub mod nearest;
pub mod observer;
pub mod outcome;
pub mod plan;
pub mod pool;
pub mod report;
pub mod resource;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod selector;
pub mod sift;
pub mod source;
pub mod state;
pub mod terminal;
pub mod text;
