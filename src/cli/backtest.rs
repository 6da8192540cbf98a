//! `ringfence backtest`: recorded data through the same machines in virtual time. Reads settings and names of files, and
//! hands over to the simulation.

use std::path::PathBuf;

use clap::Args;

use crate::settings::{Settings, SettingsSource};

use super::Parts;
use super::failure::Failure;

/// Replay recorded market data through the same machines that trade, in virtual time
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence backtest --config config/backtest.toml --data recordings/btcusdt.gz --report report.html")]
pub(super) struct Arguments {
    /// The configuration; config/backtest.toml is ready for any recording
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Recordings, in the order in which they follow each other: raw frames, candle CSV, or Binance public-data CSV; plain,
    /// .gz or .zip
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    data: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Write an HTML report with equity, drawdown and fills
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Stop at the first line that cannot be read, as `backtest.strict = true` does
    #[arg(long)]
    strict: bool,
}

/// What the simulation is started with.
#[derive(Debug, Clone)]
pub struct BacktestOptions {
    pub settings: Settings,
    pub data: Vec<PathBuf>,
    pub json: bool,
    pub report: Option<PathBuf>,
    /// By the command line or by `backtest.strict`.
    pub strict: bool,
}

pub(super) fn execute(arguments: Arguments, parts: &Parts<'_>) -> Result<(), Failure> {
    let settings = SettingsSource { file: arguments.config.clone(), data_dir: None }.load(parts.validator)?;
    let strict = arguments.strict || settings.backtest.strict;
    let Arguments { data, json, report, .. } = arguments;
    (parts.backtest)(BacktestOptions { settings, data, json, report, strict })
}
