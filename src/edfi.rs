//! Facts of Ed-Fi, each stated once: what identifies a record, and what an API takes that its documents forbid. Pure: no input or output.

pub mod key;
pub mod tolerance;
