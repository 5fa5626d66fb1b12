//! Every test that looks at the project from outside, in one binary; one module a subject.

mod district;
mod faults;
mod kills;
mod order;
mod resend;
mod sending;
mod signals;
mod state;
mod support;
