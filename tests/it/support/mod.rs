//! What several integration tests need.

pub mod daemon;
pub mod otlp;
