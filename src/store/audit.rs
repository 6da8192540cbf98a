//! Questions to the journal, for the command line: who ordered what, what changed, what was restarted, what a person did,
//! and whether the rows are what was written. It opens the files for reading, beside a running daemon or without one.

use std::ops::ControlFlow;

use super::disk::Folder;
use super::error::JournalError;
use super::journal::{self, CHECKPOINT, COLUMNS, Head, HeadMark, RawRow, Segment, Walked};
use crate::domain::ids::{AccountId, ClientOrderId, Epoch};
use crate::domain::record::Record;
use crate::domain::time::Timestamp;

const ORDER_KINDS: &[&str] = &["order_intended", "order_refused", "order_changed", "filled"];
const CONFIG_KINDS: &[&str] = &["config_changed", "daemon_started"];
const SUPERVISION_KINDS: &[&str] = &["supervision", "daemon_started", "daemon_stopped"];
const ALERT_KINDS: &[&str] = &["alert"];
const OPERATOR_KINDS: &[&str] = &["operator_command", "kill_switch", "mode_changed"];

/// Which rows; everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub account: Option<AccountId>,
    pub client_order_id: Option<ClientOrderId>,
    /// From here on, itself included.
    pub since: Option<Timestamp>,
    /// Up to here, itself not.
    pub until: Option<Timestamp>,
    /// Rows after this one: where a reader that follows the journal left off.
    pub after_seq: Option<u64>,
    /// The newest so many; all without it.
    pub limit: Option<usize>,
}

/// A row as an auditor sees it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AuditRow {
    pub seq: u64,
    pub at: Timestamp,
    pub epoch: Epoch,
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_order_id: Option<String>,
    /// `None` when this version cannot read it; `payload` has it all the same.
    #[serde(skip)]
    pub record: Option<Record>,
    pub payload: Box<serde_json::value::RawValue>,
}

/// A journal to ask.
#[derive(Debug, Clone)]
pub struct Audit {
    directory: Folder,
}

impl Audit {
    /// # Errors
    /// When there is no journal in the data directory.
    pub fn open(data: impl Into<Folder>) -> Result<Self, JournalError> {
        let directory = existing(&data.into())?;
        Ok(Self { directory })
    }

    /// Intents, refusals, changes and fills of orders.
    ///
    /// # Errors
    /// When a file cannot be read, here and below.
    pub fn orders(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, JournalError> {
        self.rows(ORDER_KINDS, filter)
    }

    /// Changes of the configuration, and what each start began with.
    pub fn config(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, JournalError> {
        self.rows(CONFIG_KINDS, filter)
    }

    /// Starts, stops and everything that supervision did.
    pub fn supervision(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, JournalError> {
        self.rows(SUPERVISION_KINDS, filter)
    }

    /// What persons commanded, and what the kill switch and the ladder did.
    pub fn operator(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, JournalError> {
        self.rows(OPERATOR_KINDS, filter)
    }

    /// Alerts as they were told, and who acknowledged them.
    pub fn alerts(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, JournalError> {
        self.rows(ALERT_KINDS, filter)
    }

    /// Rows of these kinds, or of all for an empty list, ascending. No index: keeping one costs a sixth of the writer's
    /// bulk speed, and reading a million rows without one takes a fifth of a second.
    pub fn rows(&self, kinds: &[&str], filter: &AuditFilter) -> Result<Vec<AuditRow>, JournalError> {
        let limit = filter.limit.unwrap_or(usize::MAX);
        let mut newest_first = Vec::new();
        for number in journal::list(&self.directory)?.into_iter().rev() {
            let segment = Segment::open_for_reading(&self.directory, number)?;
            let mut rows = matching(&segment, kinds, filter, limit - newest_first.len())?;
            newest_first.append(&mut rows);
            let no_earlier = filter.after_seq.unwrap_or(0) >= segment.header()?.seq;
            if newest_first.len() >= limit || (no_earlier && filter.after_seq.is_some()) {
                break;
            }
        }
        newest_first.reverse();
        Ok(newest_first)
    }

    /// Shows every row that the filter lets through, ascending, with none kept: its kind, and its record where this version can
    /// read it. A limit is for lists and does not count here.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn each(&self, filter: &AuditFilter, mut see: impl FnMut(&str, Option<&Record>)) -> Result<(), JournalError> {
        for number in journal::list(&self.directory)? {
            let segment = Segment::open_for_reading(&self.directory, number)?;
            let (sql, values) = question(&[], filter, None);
            let read = segment.query(&sql, rusqlite::params_from_iter(values), |row| {
                if let Ok(row) = row {
                    see(row.columns.kind, serde_json::from_str(row.payload).ok().as_ref());
                }
                Ok(ControlFlow::Continue(()))
            });
            read.map_err(journal::database("read", &segment.path))?;
        }
        Ok(())
    }
}

fn existing(data: &Folder) -> Result<Folder, JournalError> {
    let directory = journal::directory_of(data);
    if directory.exists() {
        return Ok(directory);
    }
    let source = std::io::ErrorKind::NotFound.into();
    Err(JournalError::Io { doing: "find a journal in", path: directory.path().to_owned(), source })
}

/// The question to a segment and its values: the newest so many, newest first, or all of them, oldest first.
fn question(kinds: &[&str], filter: &AuditFilter, limit: Option<usize>) -> (String, Vec<rusqlite::types::Value>) {
    let mut sql = format!("SELECT {COLUMNS} FROM rows WHERE seq > ?1");
    let mut values: Vec<rusqlite::types::Value> = vec![journal::signed(filter.after_seq.unwrap_or(0)).into()];
    let mut demand = |clause: &str, value: Option<rusqlite::types::Value>| {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(&format!(" AND {clause} ?{}", values.len()));
        }
    };
    demand("account =", filter.account.map(|id| id.to_string().into()));
    demand("client_order_id =", filter.client_order_id.map(|id| id.to_string().into()));
    demand("at >=", filter.since.map(|at| at.0.into()));
    demand("at <", filter.until.map(|at| at.0.into()));
    if !kinds.is_empty() {
        // Invariant: kinds are this program's own words, without quotes.
        let list: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
        sql.push_str(&format!(" AND kind IN ({})", list.join(", ")));
    }
    sql.push_str(&format!(" AND kind <> '{CHECKPOINT}' ORDER BY seq"));
    if let Some(limit) = limit {
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        sql.push_str(&format!(" DESC LIMIT ?{}", values.len()));
    }
    (sql, values)
}

/// The matching rows of one segment, newest first.
fn matching(segment: &Segment, kinds: &[&str], filter: &AuditFilter, limit: usize) -> Result<Vec<AuditRow>, JournalError> {
    let (sql, values) = question(kinds, filter, Some(limit));
    let mut found = Vec::new();
    let read = segment.query(&sql, rusqlite::params_from_iter(values), |row| {
        found.push(row.map(|row| audit_row(&row)));
        Ok(ControlFlow::Continue(()))
    });
    read.map_err(journal::database("read", &segment.path))?;
    found.into_iter().map(|row| row.and_then(|row| row).map_err(|found| unreadable(segment, found))).collect()
}

fn audit_row(row: &RawRow<'_>) -> Result<AuditRow, String> {
    let payload = serde_json::value::RawValue::from_string(row.payload.to_owned());
    Ok(AuditRow {
        seq: row.columns.seq,
        at: row.columns.at,
        epoch: row.columns.epoch,
        kind: row.columns.kind.to_owned(),
        account: row.columns.account.map(str::to_owned),
        client_order_id: row.columns.client_order_id.map(str::to_owned),
        record: serde_json::from_str(row.payload).ok(),
        payload: payload.map_err(|error| format!("a payload in row {} that is no JSON: {error}", row.columns.seq))?,
    })
}

fn unreadable(segment: &Segment, found: String) -> JournalError {
    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{found}; run `ringfence audit verify`"));
    JournalError::Io { doing: "read a row of", path: segment.path.clone(), source }
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    pub segments: usize,
    /// Rows that prove each other, from the first one on that is here.
    pub rows: u64,
    /// Rows before those, which were archived: `audit verify` of the archive's files beside these proves them too.
    #[serde(skip_serializing_if = "is_none")]
    pub archived_rows: u64,
    pub last_seq: u64,
    pub last_hash: String,
    pub outcome: VerifyOutcome,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_none(rows: &u64) -> bool {
    *rows == 0
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyOutcome {
    Intact,
    Broken { row: u64, last_good: u64, why: String, expected: String, found: String },
}

/// Walks the whole chain, from the first row to the head. `progress` is told the rows so far.
///
/// # Errors
/// When there is no journal, or its directory cannot be listed. Damage is not an error here; it is the report.
pub fn verify(data: impl Into<Folder>, progress: impl FnMut(u64)) -> Result<VerifyReport, JournalError> {
    let directory = existing(&data.into())?;
    // The head first: a daemon that goes on writing is then ahead of it and never behind.
    let head = Head::read(&directory)?;
    let mut at_mark = None;
    let mark = match head {
        HeadMark::At(mark, _) => mark.seq,
        _ => 0,
    };
    let (segments, Walked { last, rows, broken, .. }) = journal::walk_all(
        &directory,
        |link| {
            if link.seq == mark {
                at_mark = Some(link.hash);
            }
        },
        progress,
    )?;
    let broken = match broken {
        Some(broken) => Some(broken),
        None => journal::check_head(last, head, at_mark),
    };
    let outcome = match broken {
        None => VerifyOutcome::Intact,
        Some(broken) => VerifyOutcome::Broken {
            row: broken.row,
            last_good: broken.last_good,
            why: broken.why,
            expected: broken.expected,
            found: broken.found,
        },
    };
    let archived_rows = journal::beginning(&directory, &journal::list(&directory)?).link.seq;
    Ok(VerifyReport { segments, rows, archived_rows, last_seq: last.seq, last_hash: last.hash.to_string(), outcome })
}
