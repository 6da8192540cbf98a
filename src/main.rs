//! The binary: hands the command line to `cli` and turns its answer into an exit code.

use std::process::ExitCode;

use ringfence::cli::{self, BacktestOptions, Failure, Parts, RunOptions};
use ringfence::settings::any_strategy;

fn main() -> ExitCode {
    let parts = Parts { run: &run, backtest: &backtest, validator: &any_strategy };
    cli::main(std::env::args_os(), &parts)
}

fn run(_: RunOptions) -> Result<(), Failure> {
    Err(Failure::failed("run: not linked"))
}

fn backtest(_: BacktestOptions) -> Result<(), Failure> {
    Err(Failure::failed("backtest: not linked"))
}
