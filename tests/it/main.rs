//! Every test that looks at the project from outside, in one binary; one module a subject.

mod command_line;
mod configuration;
mod district;
mod exits;
mod faults;
mod folder;
mod kills;
mod lines;
mod log;
mod metadata;
mod order;
mod plans;
mod resend;
mod results;
mod sandbox;
mod secrets;
mod sending;
mod signals;
mod state;
mod stress;
mod stub;
mod support;
mod tidy;
