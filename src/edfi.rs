//! Facts of Ed-Fi, each stated once: what identifies a record. Pure: no input or output.

pub mod key;
