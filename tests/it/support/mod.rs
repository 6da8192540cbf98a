//! What several integration tests need.

pub mod daemon;
pub mod otlp;
pub mod skip;
