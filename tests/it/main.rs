//! One binary for all integration tests, one file per behaviour: links stay few.

#![allow(clippy::disallowed_methods, reason = "a test waits for what it watches, with a deadline of wall time")]

mod api;
mod audit_command;
mod backtest_public_data;
mod cli;
mod controls;
mod crash_campaign;
mod daemon_alerts;
mod daemon_bad_input;
mod daemon_controls;
mod daemon_elsewhere;
mod daemon_faults;
mod daemon_lifecycle;
mod daemon_operator;
mod daemon_reload;
mod daemon_terminal;
mod daemon_traces;
mod data_features;
mod exchange_recording;
mod fuzz_adapters;
mod fuzz_wire;
mod io_boundaries;
mod journal;
mod live_market;
mod live_proofs;
mod market_stream;
mod recorded_market;
mod replayed_market;
mod settings;
mod simulate;
mod supervision;
mod support;
mod tidy;
mod traces;
mod venue_contract;
mod venue_payloads;
mod wire_command;
mod wire_faults_daemon;
mod wire_faults_on_demand;
mod wire_http;
mod wire_spot;
mod wire_usdm;
mod wire_ws_api;
