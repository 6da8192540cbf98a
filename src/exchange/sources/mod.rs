//! Where the exchange's market comes from.

pub mod recording;
