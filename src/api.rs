//! The Ed-Fi API, as a loader sees it.

pub mod reply;
pub mod request;
pub mod retry;
pub mod transport;
