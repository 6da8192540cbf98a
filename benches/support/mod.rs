//! What several benches need.

pub mod rows;
