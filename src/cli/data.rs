//! `ringfence data`: looks at market data files. Hands over to `data_features` and `data_inspect` and prints what they found.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::domain::ids::Symbol;
use crate::exchange::sources::recording::Options;

use super::data_features;
use super::data_inspect::{Inspection, inspect};
use super::failure::Failure;
use super::output;

/// Look at market data files
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence data inspect recordings/btcusdt.gz")]
pub(super) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Inspect(InspectArguments),
    Features(FeaturesArguments),
}

/// Check recordings: frames by kind, gaps, and the rebuilt book against the recorded ticker
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence data inspect recordings/btcusdt.gz --json")]
struct InspectArguments {
    /// Raw frames, candle CSV, or Binance public-data CSV; plain, .gz or .zip
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The symbol of files that name none [default: taken from the file's name]
    #[arg(long, value_name = "NAME")]
    symbol: Option<Symbol>,
    /// Stop at the first line that cannot be read, instead of counting it and going on
    #[arg(long)]
    strict: bool,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
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
        Task::Inspect(arguments) => inspect_files(&arguments),
        Task::Features(arguments) => features(&arguments),
    }
}

fn inspect_files(arguments: &InspectArguments) -> Result<(), Failure> {
    let bar = output::spinner("frames");
    let options = Options { symbol: arguments.symbol, ..Options::default() };
    let found = inspect(&arguments.files, &options, arguments.strict, &mut |frames| bar.set_position(frames));
    bar.finish_and_clear();
    let found = found.map_err(Failure::failed)?;
    if arguments.json { output::print_json(&found) } else { output::print(&findings(&found)) }
}

fn findings(found: &Inspection) -> String {
    let mut table = output::table(["what", "found"]);
    table.add_row(["frames".to_owned(), found.frames.to_string()]);
    for (kind, count) in &found.kinds {
        table.add_row([format!("  {kind}"), count.to_string()]);
    }
    for (reason, count) in &found.ignored {
        table.add_row([format!("  not used: {reason}"), count.to_string()]);
    }
    let symbols: Vec<&str> = found.symbols.iter().map(|symbol| symbol.as_str()).collect();
    table.add_row(["symbols", symbols.join(", ").as_str()]);
    if let Some(span) = &found.time_span {
        table.add_row(["time span".to_owned(), format!("{} to {}, {} s", span.first, span.last, span.seconds)]);
    }
    table.add_row(["sequence gaps".to_owned(), found.sequence_gaps.to_string()]);
    table.add_row(["candle gaps".to_owned(), found.candle_gaps.to_string()]);
    let tickers = format!("{} checked, {} mismatched", found.book_ticker_checked, found.book_ticker_mismatched);
    table.add_row(["book against ticker".to_owned(), tickers]);
    table.add_row(["lines that cannot be read".to_owned(), found.undecodable.count.to_string()]);
    let mut text = format!("{table}\n");
    let bad = found.undecodable.lines.iter().map(ToString::to_string);
    for line in found.warnings.iter().cloned().chain(bad) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn features(arguments: &FeaturesArguments) -> Result<(), Failure> {
    let summary = data_features::run(&arguments.input, &arguments.output).map_err(Failure::failed)?;
    if arguments.json {
        return output::print_json(&summary);
    }
    output::print(&format!("{} rows with {} columns in {}\n", summary.rows, summary.columns, arguments.output.display()))
}
