//! Markets that the exchange can show: generated or recorded. A source is pure: it is asked what happened up to a moment.

pub mod recording;
pub mod synthetic;
