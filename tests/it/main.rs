//! Every test that looks at the project from outside, in one binary; one module a subject.

mod command_line;
mod configuration;
mod district;
mod folder;
mod metadata;
mod plans;
mod sandbox;
mod secrets;
mod sending;
mod stub;
mod support;
mod tidy;
