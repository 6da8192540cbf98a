//! `ringfence backtest`: runs the recording, shows progress, prints the figures. The only wall time in a backtest is its
//! speed, measured here.

use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::output::{print, print_json, table};
use crate::cli::{BacktestOptions, Failure};
use crate::simulation::backtest::{self, BacktestError, Outcome, Summary};
use crate::simulation::report;
use crate::strategies::Registry;

#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    events_per_second: u64,
}

/// # Errors
/// When the recording cannot be read or the report not written.
#[allow(clippy::disallowed_methods, reason = "the speed of a backtest is wall time by its nature")]
pub fn run(options: &BacktestOptions, registry: &Registry) -> Result<(), Failure> {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} events, {per_sec}, {elapsed}") {
        bar.set_style(style);
    }
    let began = Instant::now();
    let run = backtest::run(&options.settings, registry, &options.data, options.strict, |events| bar.set_position(events));
    let took = began.elapsed();
    bar.finish_and_clear();
    let outcome = run.map_err(failure)?;
    if let Some(path) = &options.report {
        write_report(path, &outcome, options)?;
    }
    for line in &outcome.undecodable {
        crate::cli::output::complain(&format!("ringfence: skipped {line}\n"));
    }
    for warning in &outcome.summary.warnings {
        crate::cli::output::complain(&format!("ringfence: {warning}\n"));
    }
    let events_per_second = (outcome.summary.events as f64 / took.as_secs_f64().max(1e-9)) as u64;
    if options.json {
        print_json(&Printed { summary: &outcome.summary, events_per_second })
    } else {
        print(&text(&outcome.summary, events_per_second))
    }
}

/// What was named wrongly is bad usage; what was in the files is a failure.
fn failure(error: BacktestError) -> Failure {
    match error {
        BacktestError::Assemble(_) | BacktestError::NoSymbols { .. } => Failure::usage(error),
        other => Failure::failed(other),
    }
}

fn write_report(path: &Path, outcome: &Outcome, options: &BacktestOptions) -> Result<(), Failure> {
    let names: Vec<String> =
        options.data.iter().filter_map(|file| file.file_name()).map(|name| name.to_string_lossy().into_owned()).collect();
    let page = report::html(&backtest::report(outcome, format!("Backtest of {}", names.join(", "))));
    std::fs::write(path, page).map_err(|error| Failure::failed(format!("{}: expected to write the report, found: {error}", path.display())))
}

fn text(summary: &Summary, events_per_second: u64) -> String {
    let mut figures = table(["figure", "value"]);
    let rows = [
        ("events", summary.events.to_string()),
        ("events per second", events_per_second.to_string()),
        ("orders", summary.orders.to_string()),
        ("fills", summary.fills.to_string()),
        ("rejected", summary.rejected.to_string()),
        ("refused by risk", summary.refused.to_string()),
        ("fees", summary.fees.to_string()),
        ("realised P&L", summary.realized_pnl.to_string()),
        ("final equity", summary.final_equity.to_string()),
        ("max drawdown", summary.max_drawdown.to_string()),
        ("undecodable lines", summary.undecodable.to_string()),
        ("trace hash", summary.trace_hash.clone()),
    ];
    for (name, value) in rows {
        figures.add_row([name, &value]);
    }
    let mut symbols = table(["symbol", "orders", "fills", "rejected", "refused", "volume", "fees", "realised P&L", "max position"]);
    for one in &summary.symbols {
        let cells = [
            one.symbol.to_string(),
            one.orders.to_string(),
            one.fills.to_string(),
            one.rejected.to_string(),
            one.refused.to_string(),
            one.volume.to_string(),
            one.fees.to_string(),
            one.realized_pnl.to_string(),
            one.max_position.to_string(),
        ];
        symbols.add_row(cells);
    }
    let restrictions: String = summary.restrictions.iter().map(|one| format!("restricted: {one}\n")).collect();
    format!("{figures}\n\n{symbols}\n{restrictions}")
}
