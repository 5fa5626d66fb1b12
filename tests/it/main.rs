//! Every test that looks at the project from outside, in one binary; one module a subject.

mod district;
mod exits;
mod faults;
mod kills;
mod lines;
mod log;
mod order;
mod resend;
mod results;
mod sending;
mod signals;
mod state;
mod support;
