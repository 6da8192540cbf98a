//! The control matrix: which control is where, as `config/controls.toml` says, and how much evidence of each a journal has. The file
//! is inside the binary, so that what is printed is what this build has. It counts and judges nothing; that the file is true of
//! the sources is held by an ordinary test.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::audit::{Audit, AuditFilter};
use super::error::JournalError;
use crate::domain::mode::Mode;
use crate::domain::record::Record;

const BUILT_IN: &str = include_str!("../../config/controls.toml");

/// The whole table, in the file's order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlMatrix {
    #[serde(rename = "control")]
    pub controls: Vec<ControlRow>,
    #[serde(rename = "check", default)]
    pub checks: Vec<CheckRow>,
}

/// One check by its name in refusals, and the tests that try it at its limit and one step past it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRow {
    pub name: String,
    pub tests: Vec<String>,
}

/// One control: what must be shown, where it is, what tries it, what it leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlRow {
    pub id: String,
    pub source: String,
    pub demand: String,
    #[serde(default = "yes")]
    pub offered: bool,
    /// Where it is not offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
    /// Checks of risk and of the executor, by their names in refusals.
    #[serde(default)]
    pub checks: Vec<String>,
    /// `path#name`, or a whole file.
    #[serde(default)]
    pub code: Vec<String>,
    /// `path#name`.
    pub tests: Vec<String>,
    /// Kinds of journal rows: `kind`, or `kind:word`.
    #[serde(default)]
    pub rows: Vec<String>,
    #[serde(default)]
    pub metrics: Vec<String>,
    #[serde(default)]
    pub api: Vec<String>,
}

const fn yes() -> bool {
    true
}

impl ControlMatrix {
    /// The table of this build.
    ///
    /// # Errors
    /// What is wrong with the file, which a test keeps from happening.
    pub fn built_in() -> Result<Self, String> {
        toml::from_str(BUILT_IN).map_err(|error| format!("config/controls.toml expected the control matrix, found: {error}"))
    }
}

/// How many rows of each kind a journal has: `kind` and `kind:word`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Evidence {
    counts: BTreeMap<String, u64>,
    /// Rows that were looked at.
    pub rows: u64,
}

impl Evidence {
    /// Counts the rows that the filter lets through, one at a time.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of(audit: &Audit, filter: &AuditFilter) -> Result<Self, JournalError> {
        let mut evidence = Self::default();
        audit.each(filter, |kind, record| evidence.count(kind, record))?;
        Ok(evidence)
    }

    fn count(&mut self, kind: &str, record: Option<&Record>) {
        self.rows += 1;
        *self.counts.entry(kind.to_owned()).or_default() += 1;
        if let Some(word) = record.and_then(word) {
            *self.counts.entry(format!("{kind}:{word}")).or_default() += 1;
        }
    }

    #[must_use]
    pub fn of_kind(&self, kind: &str) -> u64 {
        self.counts.get(kind).copied().unwrap_or_default()
    }

    /// What a control left behind, in the order of its row.
    pub fn of_control<'r>(&'r self, row: &'r ControlRow) -> impl Iterator<Item = (&'r str, u64)> {
        row.rows.iter().map(|kind| (kind.as_str(), self.of_kind(kind)))
    }
}

/// What tells rows of one kind apart.
fn word(record: &Record) -> Option<Cow<'_, str>> {
    let word = match record {
        Record::OrderRefused { control, .. } => Cow::from(control.as_str()),
        Record::OrderChanged { status, .. } => Cow::from(snake(&status.to_string())),
        Record::ModeChanged { to, .. } => Cow::from(match to {
            Mode::Normal => "normal",
            Mode::ReduceOnly => "reduce_only",
            Mode::CancelOnly => "cancel_only",
            Mode::Halted => "halted",
        }),
        Record::OperatorCommand { verb, .. } => Cow::from(verb.as_str()),
        Record::Supervision { event, .. } => Cow::from(event.as_str()),
        // Modes are told as `from → to`, which is the row of the mode's own.
        Record::KillSwitch { event, .. } if !event.contains(' ') => Cow::from(event.as_str()),
        Record::Alert { event, .. } => Cow::from(<&str>::from(*event)),
        Record::Reconciled { findings, .. } if !findings.is_empty() => Cow::from("differed"),
        _ => return None,
    };
    Some(word)
}

/// `NotSent` as rows of this table spell it.
fn snake(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for (place, c) in text.chars().enumerate() {
        if c.is_ascii_uppercase() && place > 0 && !out.ends_with('_') {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mode::Scope;
    use crate::domain::record::Entry;
    use crate::domain::time::Timestamp;
    use crate::store::{Ack, Journal, JournalOptions};

    #[test]
    fn the_built_in_table_is_read_whole() {
        let matrix = ControlMatrix::built_in().unwrap();
        let ids: Vec<&str> = matrix.controls.iter().map(|row| row.id.as_str()).collect();
        let wanted: Vec<String> = (1..=24).map(|number| format!("C{number:02}")).collect();
        assert_eq!(ids[..24], wanted.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn rows_are_counted_by_kind_and_by_what_tells_them_apart() {
        let data = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(data.path(), &JournalOptions::new("test", "hash")).unwrap();
        let mode = |to| Record::ModeChanged { scope: Scope::Global, from: Mode::Normal, to, cause: "x".to_owned(), by: None, reason: None };
        let command = |verb: &str| Record::OperatorCommand {
            verb: verb.to_owned(),
            scope: Scope::Global,
            by: "ann".to_owned(),
            reason: "x".to_owned(),
            outcome: "done".to_owned(),
        };
        let rows = [mode(Mode::Halted), mode(Mode::Normal), mode(Mode::Halted), command("halt"), command("resume")];
        let entries: Vec<Entry> = rows.into_iter().map(|record| Entry { at: Timestamp::from_millis(5), record }).collect();
        journal.handle().append(entries, Ack::None).unwrap();
        journal.close("test").unwrap();
        let audit = Audit::open(data.path()).unwrap();
        let evidence = Evidence::of(&audit, &AuditFilter::default()).unwrap();
        let counted = ["mode_changed", "mode_changed:halted", "operator_command:halt", "operator_command:flatten", "daemon_started"];
        assert_eq!(counted.map(|kind| evidence.of_kind(kind)), [3, 2, 1, 0, 1]);
        let later = AuditFilter { since: Some(Timestamp::from_millis(6)), ..AuditFilter::default() };
        assert_eq!(Evidence::of(&audit, &later).unwrap().of_kind("mode_changed"), 0);
        let matrix = ControlMatrix::built_in().unwrap();
        let c01: BTreeMap<_, _> = evidence.of_control(&matrix.controls[0]).collect();
        assert_eq!((c01["operator_command:halt"], c01["operator_command:cancel"]), (1, 0));
    }

    #[test]
    fn a_status_is_spelled_as_the_table_does() {
        assert_eq!((snake("NotSent"), snake("Unknown"), snake("not_sent")), ("not_sent".into(), "unknown".into(), "not_sent".into()));
    }
}
