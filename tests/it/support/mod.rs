//! What several integration tests need.

pub mod daemon;
pub mod ledger;
pub mod otlp;
pub mod skip;
