//! An Ed-Fi API in memory.
mod compact;
mod metadata;
mod order;
mod render;
pub use metadata::compact_model;
