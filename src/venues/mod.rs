//! Venues as they speak: their texts in and out of domain types. Codecs are pure; transport is apart from them. Nothing
//! here knows an actor.

pub mod aster;
pub mod binance;
pub mod grid;
pub mod port;
