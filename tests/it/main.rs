//! Every test that looks at the project from outside, in one binary; one module a subject.

mod district;
mod sending;
mod support;
