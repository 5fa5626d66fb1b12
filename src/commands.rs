//! One file a command, each readable on one screen.

pub mod plan;
pub mod prepare;
pub mod send;
