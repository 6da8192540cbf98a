//! One binary for all integration tests, one file per behaviour: links stay few.

mod cli;
mod data_features;
mod api;
mod market_stream;
mod support;
mod traces;
mod recorded_market;
mod settings;
mod journal;
