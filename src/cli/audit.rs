//! `ringfence audit`: asks the journal, beside a running daemon or without one. Only `repair` writes, and only on a person's
//! explicit word.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::domain::ids::{AccountId, ClientOrderId};
use crate::domain::time::Timestamp;
use crate::settings::{SettingsSource, any_strategy};
use crate::store::{Audit, AuditFilter, AuditRow, JournalError, JournalOptions, Repair, VerifyOutcome, archive, repair, verify};

use super::client::RequiredSignature;
use super::failure::Failure;
use super::output;
use super::{audit_controls, audit_row};

/// Ask the journal: orders, configuration, supervision, operators; check or repair its chain
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence audit orders --account alpha --limit 20")]
pub(super) struct Arguments {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Intents, refusals, changes and fills of orders
    #[command(after_help = "Example: ringfence audit orders --account alpha --since 2026-01-31T08:00:00Z")]
    Orders(Filter),
    /// Changes of the configuration, and what each start began with
    #[command(after_help = "Example: ringfence audit config --limit 5")]
    Config(Filter),
    /// Starts, stops, and everything that supervision did
    #[command(after_help = "Example: ringfence audit supervision --json")]
    Supervision(Filter),
    /// What persons commanded, and what the kill switch and the ladder did
    #[command(after_help = "Example: ringfence audit operator")]
    Operator(Filter),
    /// Alerts as they were told, and who acknowledged them
    #[command(after_help = "Example: ringfence audit alerts --since 2026-01-31T08:00:00Z")]
    Alerts(Filter),
    /// The control matrix: each control with its source, checks, code and tests, and the journal's evidence of it
    #[command(after_help = "Example: ringfence audit controls --control C06")]
    Controls(audit_controls::Arguments),
    /// Walk the whole hash chain; exit code 1 when it is broken
    #[command(after_help = "Example: ringfence audit verify --data-dir ./data")]
    Verify(VerifyArguments),
    /// Move old rows, which no start needs, out of the data directory; copied and proven first
    #[command(after_help = "Example: ringfence audit archive --to /archive/ringfence --keep 2\n\n\
        Copied back beside the others, the files are verified and asked like before.")]
    Archive(ArchiveArguments),
    /// Give up the rows behind a break, as a named person with a reason; they are moved aside, not deleted
    #[command(after_help = "Example: ringfence audit repair --accept-loss-after 4711 --by ann --reason \"disk replaced\"")]
    Repair(RepairArguments),
}

/// Where the journal is.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The daemon's data directory [default: as configured]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The daemon's configuration, to find the data directory by
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Filter {
    /// Only rows about this account
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Only rows about this order, by its client order id
    #[arg(long, value_name = "ID")]
    order: Option<ClientOrderId>,
    /// From this time on, such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// The newest so many rows
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    place: Place,
    /// Print the rows as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct VerifyArguments {
    #[command(flatten)]
    place: Place,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ArchiveArguments {
    /// Where the files go
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The newest so many files stay, of a million rows each; more where a start needs them
    #[arg(long, value_name = "N", default_value_t = 2)]
    keep: usize,
    #[command(flatten)]
    place: Place,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RepairArguments {
    /// The last row to keep, exactly as `audit verify` names it
    #[arg(long, value_name = "ROW")]
    accept_loss_after: u64,
    #[command(flatten)]
    signature: RequiredSignature,
    #[command(flatten)]
    place: Place,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    match arguments.question {
        Question::Orders(filter) => ask(&filter, Audit::orders),
        Question::Config(filter) => ask(&filter, Audit::config),
        Question::Supervision(filter) => ask(&filter, Audit::supervision),
        Question::Operator(filter) => ask(&filter, Audit::operator),
        Question::Alerts(filter) => ask(&filter, Audit::alerts),
        Question::Controls(arguments) => audit_controls::execute(&arguments),
        Question::Verify(arguments) => verify_chain(&arguments),
        Question::Archive(arguments) => archive_rows(&arguments),
        Question::Repair(arguments) => repair_chain(arguments),
    }
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let time: jiff::Timestamp = text.parse().map_err(|_| format!("expected a time such as 2026-01-31T08:00:00Z, found {text:?}"))?;
    i64::try_from(time.as_nanosecond()).map(Timestamp).map_err(|_| format!("expected a time between 1678 and 2261, found {text:?}"))
}

impl Place {
    pub(super) fn data_dir(&self) -> Result<PathBuf, Failure> {
        match &self.data_dir {
            Some(data_dir) => Ok(data_dir.clone()),
            None => Ok(SettingsSource { file: self.config.clone(), data_dir: None }.load(&any_strategy)?.daemon.data_dir),
        }
    }
}

fn ask(filter: &Filter, question: fn(&Audit, &AuditFilter) -> Result<Vec<AuditRow>, JournalError>) -> Result<(), Failure> {
    let audit = Audit::open(&filter.place.data_dir()?).map_err(Failure::failed)?;
    let wanted = AuditFilter {
        account: filter.account,
        client_order_id: filter.order,
        since: filter.since,
        until: filter.until,
        after_seq: None,
        limit: Some(filter.limit),
    };
    let rows = question(&audit, &wanted).map_err(Failure::failed)?;
    if filter.json {
        return output::print_json(&rows);
    }
    let mut table = output::table(["row", "time", "epoch", "kind", "account", "what"]);
    for row in &rows {
        table.add_row([
            row.seq.to_string(),
            row.at.to_string(),
            row.epoch.0.to_string(),
            row.kind.clone(),
            row.account.clone().unwrap_or_default(),
            row.record.as_ref().map_or_else(|| row.payload.get().to_owned(), audit_row::summary),
        ]);
    }
    output::print(&format!("{table}\n"))
}

fn verify_chain(arguments: &VerifyArguments) -> Result<(), Failure> {
    let bar = output::spinner("rows");
    let report = verify(&arguments.place.data_dir()?, |rows| bar.set_position(rows)).map_err(Failure::failed)?;
    bar.finish_and_clear();
    if arguments.json {
        output::print_json(&report)?;
    }
    let told = match &report.outcome {
        VerifyOutcome::Intact => {
            let archived = match report.archived_rows {
                0 => String::new(),
                rows => format!("; rows 1 to {rows} are archived"),
            };
            format!(
                "intact: {} rows in {} segments, the last is row {} with hash {}{archived}\n",
                report.rows, report.segments, report.last_seq, report.last_hash
            )
        }
        VerifyOutcome::Broken { row, last_good, why, expected, found } => format!(
            "broken at row {row}: {why}; expected {expected}, found {found}\n\
             rows up to {last_good} prove each other. Keep a copy of the data directory; then\n  \
             ringfence audit repair --accept-loss-after {last_good} --by NAME --reason TEXT\n\
             moves what follows aside and starts a new chain there\n"
        ),
    };
    if !arguments.json {
        output::print(&told)?;
    }
    if report.outcome == VerifyOutcome::Intact { Ok(()) } else { Err(Failure::Told(1)) }
}

fn archive_rows(arguments: &ArchiveArguments) -> Result<(), Failure> {
    let report = archive(&arguments.place.data_dir()?, &arguments.to, arguments.keep).map_err(Failure::failed)?;
    if arguments.json {
        return output::print_json(&report);
    }
    let (files, to) = (report.segments.len(), arguments.to.display());
    output::print(&match files {
        0 => "nothing to archive: no file is old enough\n".to_owned(),
        _ => format!("{files} files, {} bytes, are in {to}; rows up to {} are archived\n", report.bytes, report.through),
    })
}

fn repair_chain(arguments: RepairArguments) -> Result<(), Failure> {
    let data_dir = arguments.place.data_dir()?;
    let RequiredSignature { by, reason } = arguments.signature;
    let wanted = Repair { accept_loss_after: arguments.accept_loss_after, by, reason };
    let options = JournalOptions::new(env!("CARGO_PKG_VERSION"), "");
    let report = repair(&data_dir, &wanted, &options).map_err(|error| match error {
        // Another row than the one that `verify` names is a slip of the person, not of the disk.
        JournalError::RepairRefused { .. } | JournalError::Locked { .. } => Failure::usage(error),
        error => Failure::failed(error),
    })?;
    let moved = report.moved_to.as_ref().map(|path| path.display().to_string());
    if arguments.json {
        return output::print_json(&json!({ "kept_through": report.kept_through, "was": report.was, "moved_to": moved }));
    }
    let moved = moved.unwrap_or_else(|| "nothing was left to move".to_owned());
    output::print(&format!("repaired: rows up to {} are kept ({}); what followed: {moved}\n", report.kept_through, report.was))
}
