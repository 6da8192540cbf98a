//! What several integration tests need.

pub mod otlp;
pub mod skip;
