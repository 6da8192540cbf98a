//! The application: where machines, actors, the exchange, the stores and the interfaces are put together. Whatever decides
//! is elsewhere; here is who knows whom.

mod alerts;
mod alive;
pub mod backtest;
mod control;
mod dead_man;
mod embedded;
mod embedded_market;
mod gauges;
mod hub;
mod keys;
mod kill;
mod last_resort;
mod listing;
pub mod memory;
mod overriding;
mod places;
mod reload;
pub mod run;
mod safety;
mod services;
mod shutdown;
mod sink;
mod threads;
mod tree;

use std::process::ExitCode;

use crate::cli::{self, Parts};
use crate::strategies::Registry;

/// Runs the command line with the strategies that `registry` knows: the whole of `main`, here for one's own binaries too.
#[must_use]
pub fn main_with(registry: Registry) -> ExitCode {
    let validator = |kind: &str, settings: &serde_json::Value| registry.validate(kind, settings);
    let parts = Parts {
        run: &|options| run::run(options, &registry),
        backtest: &|options| backtest::run(&options, &registry),
        kill: &kill::run,
        validator: &validator,
    };
    cli::main(std::env::args_os(), &parts)
}
