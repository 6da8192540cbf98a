//! `ringfence data`: looks at market data files. Hands over to the readers of `data_features` and prints what they found.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::data_features;
use super::failure::Failure;
use super::output;

/// Look at market data files
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence data features --input candles.csv.gz --output features.csv")]
pub(super) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Features(FeaturesArguments),
}

/// Compute indicator columns from candles: a row out for each row in
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence data features --input candles.csv.gz --output features.csv")]
struct FeaturesArguments {
    /// Candles as CSV with columns open, high, low, close, volume; plain or .gz
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the features go; .gz compresses
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    match arguments.task {
        Task::Features(arguments) => features(&arguments),
    }
}

fn features(arguments: &FeaturesArguments) -> Result<(), Failure> {
    let summary = data_features::run(&arguments.input, &arguments.output).map_err(Failure::failed)?;
    if arguments.json {
        return output::print_json(&summary);
    }
    output::print(&format!("{} rows with {} columns in {}\n", summary.rows, summary.columns, arguments.output.display()))
}
