//! `ringfence audit controls`: the control matrix of this build, and how much evidence of each control the journal has. Reads;
//! decides nothing.

use clap::Args;
use serde_json::json;

use crate::domain::time::Timestamp;
use crate::store::controls::{ControlMatrix, ControlRow, Evidence};
use crate::store::{Audit, AuditFilter};

use super::audit::{Place, time};
use super::failure::Failure;
use super::output;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only this control, such as C06, with all that is known of it
    #[arg(long, value_name = "ID")]
    control: Option<String>,
    /// Count evidence from this time on, such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Count evidence before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    #[command(flatten)]
    place: Place,
    /// Print the matrix as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let mut matrix = ControlMatrix::built_in().map_err(Failure::failed)?;
    if let Some(wanted) = &arguments.control {
        matrix.controls.retain(|row| row.id.eq_ignore_ascii_case(wanted));
        if matrix.controls.is_empty() {
            return Err(Failure::usage(format!("expected a control such as C06, found {wanted:?}: `ringfence audit controls` lists them")));
        }
    }
    let evidence = count(arguments)?;
    if arguments.json {
        return output::print_json(&as_json(&matrix, evidence.as_ref()));
    }
    if arguments.control.is_some() {
        return matrix.controls.iter().try_for_each(|row| output::print(&whole(row, evidence.as_ref())));
    }
    let mut table = output::table(["control", "source", "what must be shown", "checks", "tests", "evidence"]);
    for row in &matrix.controls {
        let shown = if row.offered { row.demand.clone() } else { format!("not offered: {}", row.why_not.as_deref().unwrap_or_default()) };
        let tests = row.tests.len().to_string();
        table.add_row([&row.id, &row.source, &shortened(&shown), &row.checks.join("\n"), &tests, &told(row, evidence.as_ref())]);
    }
    output::print(&format!("{table}\n"))?;
    match &evidence {
        Some(evidence) => output::print(&format!("evidence counted in {} rows; --control ID has code and tests\n", evidence.rows)),
        None => output::print("no journal there: no evidence is counted; --control ID has code and tests\n"),
    }
}

/// `None` where there is no journal: the matrix is this build's, with or without one.
fn count(arguments: &Arguments) -> Result<Option<Evidence>, Failure> {
    let Ok(audit) = Audit::open(&arguments.place.data_dir()?) else { return Ok(None) };
    let filter = AuditFilter { since: arguments.since, until: arguments.until, ..AuditFilter::default() };
    Evidence::of(&audit, &filter).map(Some).map_err(Failure::failed)
}

fn as_json(matrix: &ControlMatrix, evidence: Option<&Evidence>) -> serde_json::Value {
    let row = |row: &ControlRow| {
        let counted = evidence.map(|evidence| evidence.of_control(row).collect::<std::collections::BTreeMap<_, _>>());
        json!({ "control": row, "evidence": counted })
    };
    let rows: Vec<_> = matrix.controls.iter().map(row).collect();
    json!({ "controls": rows, "checks": matrix.checks, "rows_counted": evidence.map(|evidence| evidence.rows) })
}

/// What there is of it, one kind a line; what never happened is left out.
fn told(row: &ControlRow, evidence: Option<&Evidence>) -> String {
    let Some(evidence) = evidence else { return "–".to_owned() };
    let found: Vec<String> =
        evidence.of_control(row).filter(|(_, count)| *count > 0).map(|(kind, count)| format!("{kind} {count}")).collect();
    if found.is_empty() { "none yet".to_owned() } else { found.join("\n") }
}

fn whole(row: &ControlRow, evidence: Option<&Evidence>) -> String {
    let list = |what: &str, all: &[String]| {
        if all.is_empty() { String::new() } else { format!("{what}:\n  {}\n", all.join("\n  ")) }
    };
    let offered = row.why_not.as_ref().map_or_else(String::new, |why| format!("not offered: {why}\n"));
    let counted = evidence.map_or_else(String::new, |evidence| {
        let lines: Vec<String> = evidence.of_control(row).map(|(kind, count)| format!("{kind} {count}")).collect();
        list("rows in this journal", &lines)
    });
    let lists = [
        list("checks", &row.checks),
        list("code", &row.code),
        list("tests", &row.tests),
        list("metrics", &row.metrics),
        list("api", &row.api),
    ];
    format!("{} ({}): {}\n{offered}{}{counted}", row.id, row.source, row.demand, lists.concat())
}

/// A table's line; the JSON form and `--control` have it whole.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN - 1).chain(['…']).collect()
}
