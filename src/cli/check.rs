//! `ringfence check`: validates the configuration and shows every resolved value with the place it came from. Starts nothing.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::settings::{Problem, Problems, Settings, SettingsSource};

use super::Parts;
use super::failure::Failure;
use super::output;

/// Validate the configuration and print every value with its origin; starts nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence check --config ringfence.toml")]
pub(super) struct Arguments {
    /// The configuration, laid over the built-in default [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As for `ringfence run`
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print values, or mistakes, as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments, parts: &Parts<'_>) -> Result<(), Failure> {
    let source = SettingsSource { file: arguments.config, data_dir: arguments.data_dir };
    match (source.load(parts.validator), arguments.json) {
        (Ok(settings), false) => output::print(&values(&settings)),
        (Ok(settings), true) => output::print_json(&values_json(&settings)),
        (Err(problems), false) => Err(Failure::Configuration(problems)),
        (Err(problems), true) => {
            output::print_json(&mistakes_json(&problems))?;
            Err(Failure::Told(2))
        }
    }
}

fn values(settings: &Settings) -> String {
    let mut table = output::table(["key", "value", "origin"]);
    for row in settings.explain() {
        table.add_row([row.key.clone(), row.value.clone(), row.origin.to_string()]);
    }
    format!("{table}\nvalid; config hash {}\n", settings.config_hash())
}

fn values_json(settings: &Settings) -> serde_json::Value {
    let rows: Vec<_> =
        settings.explain().iter().map(|row| json!({ "key": row.key, "value": row.value, "origin": row.origin.to_string() })).collect();
    json!({ "valid": true, "config_hash": settings.config_hash(), "values": rows })
}

fn mistakes_json(problems: &Problems) -> serde_json::Value {
    let mistake = |problem: &Problem| {
        let line = problem.origin.line();
        json!({
            "file": line.as_ref().map(|(file, _)| file),
            "line": line.as_ref().map(|(_, line)| line),
            "origin": problem.origin.to_string(),
            "key": problem.key,
            "expected": problem.expected,
            "found": problem.found,
            "help": problem.help,
        })
    };
    json!({ "valid": false, "mistakes": problems.0.iter().map(mistake).collect::<Vec<_>>() })
}
