//! One file of the journal: a SQLite database with a run of rows and, in its header, the row that it continues. Only this
//! file speaks SQL for writing. It knows rows and no records, and it decides nothing about durability beyond the settings
//! it opens a database with.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use super::chain::Link;
use super::row::{Columns, Hash};
use crate::domain::ids::Epoch;
use crate::domain::time::Timestamp;
use crate::store::disk::{Folder, Open};
use crate::store::error::JournalError;

/// The layout below. A change of it is a new number.
const FORMAT: i64 = 1;
/// 8 KiB: measured against 4 and 16 KiB, one durable row costs the same as with 4 and bulk is a fifth faster; 16 loses on both.
pub(super) const PAGE_BYTES: u64 = 8192;
/// 8 MiB of cache: a commit touches the last page of the table and little else.
const CACHE_KIB: u32 = 8192;
/// How long a person's `sqlite3` may hold the write lock before it counts as a storage fault.
const BUSY: Duration = Duration::from_secs(2);

const SCHEMA: &str = "
    CREATE TABLE segment (
        format INTEGER NOT NULL, number INTEGER NOT NULL, previous_seq INTEGER NOT NULL, previous_hash BLOB NOT NULL) STRICT;
    CREATE TABLE rows (
        seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, account TEXT, client_order_id TEXT,
        hash BLOB NOT NULL, payload TEXT NOT NULL) STRICT;
    CREATE TABLE checkpoints (seq INTEGER PRIMARY KEY) STRICT;";

/// What a query must select to be read as rows.
pub(crate) const COLUMNS: &str = "seq, at, epoch, kind, account, client_order_id, hash, payload";

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub number: u32,
    pub path: PathBuf,
    pub connection: Connection,
}

/// A row as it lies in the file.
#[derive(Debug)]
pub(crate) struct RawRow<'a> {
    pub columns: Columns<'a>,
    pub hash: &'a [u8],
    pub payload: &'a str,
}

pub(crate) fn name_of(number: u32) -> String {
    format!("journal-{number:06}.db")
}

/// The numbers of the segments in the directory, ascending. A newest file without tables was being made when the process
/// died: it holds nothing, and it will be made again.
pub(crate) fn list(directory: &Folder) -> Result<Vec<u32>, JournalError> {
    let names = directory.names().map_err(|source| JournalError::Io { doing: "list", path: directory.path().to_owned(), source })?;
    let number = |name: &String| name.strip_prefix("journal-")?.strip_suffix(".db")?.parse().ok();
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    if numbers.last().is_some_and(|&newest| is_blank(directory, newest)) {
        numbers.pop();
    }
    Ok(numbers)
}

/// A file that cannot be read is not blank: whoever opens it says what is wrong with it.
fn is_blank(directory: &Folder, number: u32) -> bool {
    let tables = Segment::open_for_reading(directory, number).ok().and_then(|segment| {
        let sql = "SELECT count(*) FROM sqlite_schema";
        segment.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).ok()
    });
    tables == Some(0)
}

impl Segment {
    /// Makes the file, its tables and its header durable.
    pub(crate) fn create(directory: &Folder, number: u32, previous: Link, log_ahead: usize) -> Result<Self, JournalError> {
        let path = directory.file(&name_of(number));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = directory.connect(&name_of(number), flags).map_err(database("create", &path))?;
        let segment = Self { number, path, connection };
        segment.configure()?;
        let header = || -> rusqlite::Result<()> {
            let transaction = segment.connection.unchecked_transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.execute(
                "INSERT INTO segment VALUES (?1, ?2, ?3, ?4)",
                params![FORMAT, number, signed(previous.seq), &previous.hash.0[..]],
            )?;
            transaction.commit()
        };
        header().map_err(database("write the header of", &segment.path))?;
        directory.sync().map_err(|source| JournalError::Io { doing: "sync", path: directory.path().to_owned(), source })?;
        segment.write_log_ahead(directory, log_ahead)?;
        Ok(segment)
    }

    /// Opens the segment that rows are appended to.
    pub(crate) fn open_for_append(directory: &Folder, number: u32, log_ahead: usize) -> Result<Self, JournalError> {
        let path = directory.file(&name_of(number));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = directory.connect(&name_of(number), flags).map_err(database("open", &path))?;
        let segment = Self { number, path, connection };
        segment.configure()?;
        segment.header()?;
        // What a crash left in the log goes into the database, so that the log begins anew where it was written ahead.
        segment.empty_log(false).map_err(database("copy the log of", &segment.path))?;
        segment.write_log_ahead(directory, log_ahead)?;
        Ok(segment)
    }

    /// Opens a segment beside a daemon that may be writing it.
    pub(crate) fn open_for_reading(directory: &Folder, number: u32) -> Result<Self, JournalError> {
        let path = directory.file(&name_of(number));
        roll_back(directory, number);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = directory.connect(&name_of(number), flags).map_err(database("open", &path))?;
        connection.busy_timeout(BUSY).map_err(database("configure", &path))?;
        Ok(Self { number, path, connection })
    }

    fn configure(&self) -> Result<(), JournalError> {
        let configured = self.connection.busy_timeout(BUSY).and_then(|()| {
            // Closing copies nothing by itself: after a fault not one more byte is written.
            self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            // The log is emptied by the writer between commits, never inside one; `fullfsync` makes a sync a sync on macOS.
            self.connection.execute_batch(&format!(
                "PRAGMA page_size = {PAGE_BYTES}; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
                 PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -{CACHE_KIB}; PRAGMA temp_store = MEMORY;"
            ))?;
            run_to_the_end(&self.connection, "PRAGMA journal_mode = WAL")
        });
        configured.map_err(database("configure", &self.path))
    }

    /// Zeros behind the log's last frame: SQLite stops at the first frame whose checksum is wrong, and overwrites them.
    fn write_log_ahead(&self, directory: &Folder, bytes: usize) -> Result<(), JournalError> {
        let name = format!("{}-wal", name_of(self.number));
        let ahead = || -> std::io::Result<()> {
            let file = directory.open(&name, Open::Making)?;
            let length = file.length()?;
            let missing = bytes.saturating_sub(usize::try_from(length).unwrap_or(usize::MAX));
            if missing > 0 {
                file.write_all_at(&vec![0; missing], length)?;
            }
            file.sync()
        };
        ahead().map_err(|source| JournalError::Io { doing: "prepare", path: directory.file(&name), source })
    }

    /// The row that the first row of this segment continues.
    pub(crate) fn header(&self) -> Result<Link, JournalError> {
        let read = self.connection.query_row("SELECT format, previous_seq, previous_hash FROM segment", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, [u8; 32]>(2)?))
        });
        let (format, seq, hash) = read.map_err(database("read the header of", &self.path))?;
        if format != FORMAT {
            return Err(JournalError::Format { path: self.path.clone(), expected: FORMAT, found: format });
        }
        Ok(Link { seq: seq.unsigned_abs(), hash: Hash(hash) })
    }

    /// The newest checkpoint that the pointers name. A pointer is a short cut and not evidence: the row is proven by its hash.
    pub(crate) fn last_checkpoint(&self) -> Result<Option<u64>, JournalError> {
        let read = self.connection.query_row("SELECT max(seq) FROM checkpoints", [], |row| row.get::<_, Option<i64>>(0));
        Ok(read.map_err(database("read the checkpoints of", &self.path))?.map(i64::unsigned_abs))
    }

    /// The hash stored with a row.
    pub(crate) fn hash_of(&self, seq: u64) -> Result<Option<Hash>, JournalError> {
        let read = self.connection.query_row("SELECT hash FROM rows WHERE seq = ?1", [signed(seq)], |row| row.get::<_, [u8; 32]>(0));
        read.optional().map(|hash| hash.map(Hash)).map_err(database("read", &self.path))
    }

    /// The smallest row number in the file, `None` when it has no row yet.
    pub(crate) fn first_row(&self) -> Result<Option<i64>, JournalError> {
        let read = self.connection.query_row("SELECT min(seq) FROM rows", [], |row| row.get(0));
        read.map_err(database("read", &self.path))
    }

    /// Hands out the rows after `after`, ascending, until `take` says stop.
    ///
    /// # Errors
    /// What `take` returns, or SQLite's word on a damaged file.
    pub(crate) fn rows_after<E: From<rusqlite::Error>>(
        &self,
        after: u64,
        take: impl FnMut(Result<RawRow<'_>, String>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let sql = format!("SELECT {COLUMNS} FROM rows WHERE seq > ?1 ORDER BY seq");
        self.query(&sql, [signed(after)], take)
    }

    /// The same for a query of one's own that selects `COLUMNS`.
    pub(crate) fn query<E: From<rusqlite::Error>>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        mut take: impl FnMut(Result<RawRow<'_>, String>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            if take(raw_row(row))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// How many pages the log holds that the database does not have yet, after copying what can be copied.
    pub(crate) fn empty_log(&self, truncate: bool) -> rusqlite::Result<u64> {
        let sql = if truncate { "PRAGMA wal_checkpoint(TRUNCATE)" } else { "PRAGMA wal_checkpoint(PASSIVE)" };
        let (log, copied) = self.connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))?;
        Ok((log - copied).max(0).unsigned_abs())
    }

    /// Makes one file of a segment that is complete, and closes it. A reader that is in the way only leaves the log beside
    /// it, which is as durable; nobody waits for a reader here, because the writer's queue would wait too.
    pub(crate) fn retire(self) -> rusqlite::Result<()> {
        self.connection.busy_timeout(Duration::ZERO)?;
        self.empty_log(true)?;
        match run_to_the_end(&self.connection, "PRAGMA journal_mode = DELETE") {
            Err(error) if is_in_use(&error) => Ok(()),
            // A sync that fails here fails as every other does.
            retired => retired,
        }
    }

    /// Pages that a commit of so many bytes adds to the log, a little more rather than less: whole pages, and the last one
    /// of the table again.
    pub(crate) const fn log_pages(bytes: u64) -> u64 {
        bytes / PAGE_BYTES + 2
    }
}

/// A power cut while a segment was made or retired leaves a rollback journal beside it, which who only reads may not play
/// back, and then SQLite lets him read nothing. Beside a daemon that is just doing that, this waits for it.
fn roll_back(directory: &Folder, number: u32) {
    let name = name_of(number);
    if !directory.has(&format!("{name}-journal")) {
        return;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let rolled_back = directory.connect(&name, flags).and_then(|connection| {
        connection.busy_timeout(BUSY)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
    });
    // What is wrong then is told by whoever reads.
    drop(rolled_back);
}

/// A pragma that writes commits after the row that it returns: who stops at the row is told of no error of that commit.
fn run_to_the_end(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn is_in_use(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn raw_row<'a>(row: &'a rusqlite::Row<'_>) -> Result<RawRow<'a>, String> {
    let columns = Columns {
        seq: u64::try_from(integer(row, 0, "seq")?).map_err(|_| "a negative seq".to_owned())?,
        at: Timestamp(integer(row, 1, "at")?),
        epoch: Epoch(u32::try_from(integer(row, 2, "epoch")?).map_err(|_| "an epoch outside 32 bits".to_owned())?),
        kind: text(row, 3, "kind")?,
        account: optional_text(row, 4, "account")?,
        client_order_id: optional_text(row, 5, "client_order_id")?,
    };
    let hash = match row.get_ref(6) {
        Ok(ValueRef::Blob(bytes)) => bytes,
        _ => return Err("a hash that is no blob".to_owned()),
    };
    Ok(RawRow { columns, hash, payload: text(row, 7, "payload")? })
}

fn integer(row: &rusqlite::Row<'_>, index: usize, name: &str) -> Result<i64, String> {
    row.get_ref(index).ok().and_then(|value| value.as_i64().ok()).ok_or_else(|| format!("a column {name} that is no integer"))
}

fn text<'a>(row: &'a rusqlite::Row<'_>, index: usize, name: &str) -> Result<&'a str, String> {
    row.get_ref(index).ok().and_then(|value| value.as_str().ok()).ok_or_else(|| format!("a column {name} that is no UTF-8 text"))
}

fn optional_text<'a>(row: &'a rusqlite::Row<'_>, index: usize, name: &str) -> Result<Option<&'a str>, String> {
    match row.get_ref(index) {
        Ok(ValueRef::Null) => Ok(None),
        _ => text(row, index, name).map(Some),
    }
}

/// SQLite's integers are signed; a journal of more than 2^63 rows does not exist.
pub(crate) fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

pub(crate) fn database(doing: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Database { doing, path, source }
}
