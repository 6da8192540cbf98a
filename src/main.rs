//! The binary: hands the command line to `cli` and turns its answer into an exit code.

use std::process::ExitCode;

use ringfence::cli::{self, BacktestOptions, Failure, Parts, RunOptions};
use ringfence::strategies;

fn main() -> ExitCode {
    let registry = strategies::registry();
    let parts = Parts { run: &run, backtest: &backtest, validator: &|kind, settings| registry.validate(kind, settings) };
    cli::main(std::env::args_os(), &parts)
}

fn run(_: RunOptions) -> Result<(), Failure> {
    Err(Failure::failed("run: not linked"))
}

fn backtest(_: BacktestOptions) -> Result<(), Failure> {
    Err(Failure::failed("backtest: not linked"))
}
