//! One binary for all integration tests, one file per behaviour: links stay few.

#![allow(clippy::disallowed_methods, reason = "a test waits for what it watches, with a deadline of wall time")]

mod cli;
mod data_features;
mod api;
mod support;
mod traces;
mod recorded_market;
mod settings;
mod journal;
mod tidy;
