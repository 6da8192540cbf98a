//! One binary for all integration tests, one file per behaviour: links stay few.

mod api;
mod audit_command;
mod cli;
mod data_features;
mod exchange_recording;
mod journal;
mod market_stream;
mod recorded_market;
mod replayed_market;
mod settings;
mod supervision;
mod support;
mod traces;
