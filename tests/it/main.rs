//! One binary for all integration tests, one file per behaviour: links stay few.

mod api;
mod audit_command;
mod cli;
mod daemon_bad_input;
mod daemon_lifecycle;
mod data_features;
mod exchange_recording;
mod journal;
mod market_stream;
mod recorded_market;
mod settings;
mod supervision;
mod support;
mod traces;
