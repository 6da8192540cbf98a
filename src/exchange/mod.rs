pub mod instruments;
pub mod sources;
