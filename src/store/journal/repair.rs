//! The way out of a broken chain, taken by a named person: what follows the last good row is moved aside, never deleted, and
//! a new chain goes on from there, whose first row says who did it and why. It runs only on a journal that is broken and
//! that no daemon holds.

use std::ops::ControlFlow;
use std::path::PathBuf;

use rusqlite::params;

use super::chain::{self, Break, Link};
use super::head::{Head, HeadMark};
use super::row::CHECKPOINT;
use super::segment::{self, Segment, signed};
use super::writer::Writer;
use super::{JournalOptions, directory_of, recovery};
use crate::domain::ids::Epoch;
use crate::domain::mode::Scope;
use crate::domain::record::{Entry, Record};
use crate::store::disk::Folder;
use crate::store::error::JournalError;
use crate::store::lock::DirectoryLock;

/// More starts than this between the last good row and the end are not plausible: an epoch that claims it was tampered with.
const EPOCHS_LOST_MAX: u32 = 4096;

/// What a person accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The last good row, as `audit verify` names it. Another number is refused: nobody gives up good rows or keeps bad
    /// ones by a slip.
    pub accept_loss_after: u64,
    pub by: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairReport {
    pub kept_through: u64,
    /// What was wrong.
    pub was: String,
    /// Where the files with the broken rows are now; `None` when nothing was left to move.
    pub moved_to: Option<PathBuf>,
}

/// Repairs the journal of a data directory.
///
/// # Errors
/// When a daemon holds the directory, the chain is not broken, the row is not the last good one, the name or the reason is
/// empty, or the disk refuses.
pub fn repair(data: impl Into<Folder>, wanted: &Repair, options: &JournalOptions) -> Result<RepairReport, JournalError> {
    let data = data.into();
    let _lock = DirectoryLock::take(&data)?;
    let directory = directory_of(&data);
    let (broken, epoch) = find_break(&directory)?;
    check(wanted, &broken)?;
    let kept = wanted.accept_loss_after;
    let cut = Cut::plan(&directory, kept)?;
    let epoch = Epoch(epoch.0.max(cut.newest_epoch(&directory, epoch)) + 1);
    let moved_to = cut.carry_out(&directory, kept, options.room.log_ahead)?;
    let segment = match cut.append_to {
        Some(number) => Segment::open_for_append(&directory, number, options.room.log_ahead)?,
        None => Segment::create(&directory, cut.next, cut.last, options.room.log_ahead)?,
    };
    let was = format!("row {}: {}; expected {}, found {}", broken.row, broken.why, broken.expected, broken.found);
    let moved = moved_to.as_ref().map_or_else(|| "nothing was left to move".to_owned(), |path| format!("moved to {}", path.display()));
    let record = Record::OperatorCommand {
        verb: "audit repair".to_owned(),
        scope: Scope::Global,
        by: wanted.by.clone(),
        reason: wanted.reason.clone(),
        outcome: format!("rows after {kept} were given up ({moved}); {was}"),
    };
    let mut writer = Writer::new(directory.clone(), segment, Head::open(&directory, cut.last, epoch)?, cut.last, epoch, options);
    writer.write_now(vec![Entry { at: (options.clock)(), record }])?;
    writer.head.sync()?;
    Ok(RepairReport { kept_through: kept, was, moved_to })
}

fn find_break(directory: &Folder) -> Result<(Break, Epoch), JournalError> {
    let head = Head::read(directory)?;
    let (mark, head_epoch) = match head {
        HeadMark::At(mark, epoch) => (mark.seq, epoch),
        _ => (0, Epoch(0)),
    };
    let mut at_mark = None;
    let see = |link: Link| {
        if link.seq == mark {
            at_mark = Some(link.hash);
        }
    };
    let (_, walked) = chain::walk_all(directory, see, |_| {})?;
    let epoch = walked.epoch.unwrap_or_default().max(head_epoch);
    let lost = walked.broken.or_else(|| recovery::check_head(walked.last, head, at_mark));
    match lost {
        Some(broken) => Ok((broken, epoch)),
        None => Err(JournalError::RepairRefused {
            expected: "a broken journal".to_owned(),
            found: format!("{} rows that all prove each other", walked.rows),
            remedy: "there is nothing to repair".to_owned(),
        }),
    }
}

fn check(wanted: &Repair, broken: &Break) -> Result<(), JournalError> {
    let refuse =
        |expected: String, found: String, remedy: &str| Err(JournalError::RepairRefused { expected, found, remedy: remedy.to_owned() });
    if wanted.accept_loss_after != broken.last_good {
        let expected = format!("the last good row, {}", broken.last_good);
        return refuse(expected, format!("row {}", wanted.accept_loss_after), "look with `ringfence audit verify` and name that row");
    }
    if wanted.by.trim().is_empty() || wanted.reason.trim().is_empty() {
        return refuse("a name and a reason".to_owned(), "an empty one".to_owned(), "give --by NAME and --reason TEXT");
    }
    Ok(())
}

/// Which files stay, which one is cut, which ones go.
struct Cut {
    last: Link,
    /// The segment in which row `last` lies together with rows that go.
    shorten: Option<u32>,
    remove: Vec<u32>,
    append_to: Option<u32>,
    next: u32,
}

impl Cut {
    fn plan(directory: &Folder, kept: u64) -> Result<Self, JournalError> {
        let mut cut = Self { last: Link::genesis(), shorten: None, remove: Vec::new(), append_to: None, next: 1 };
        for number in segment::list(directory)? {
            let continues = number == cut.next && cut.shorten.is_none();
            match continues.then(|| chain::open_after(directory, number, cut.last)) {
                Some(Ok(segment)) if cut.last.seq < kept || number == 1 => {
                    let (walked, goes_on) = walk_until(&segment, cut.last, kept);
                    cut.last = walked;
                    cut.append_to = Some(number);
                    cut.next = number + 1;
                    if goes_on {
                        cut.shorten = Some(number);
                    }
                }
                _ => cut.remove.push(number),
            }
        }
        Ok(cut)
    }

    /// The newest epoch that the rows to be moved claim, as far as it is plausible.
    fn newest_epoch(&self, directory: &Folder, good: Epoch) -> u32 {
        let newest = |number: &u32| {
            let segment = Segment::open_for_reading(directory, *number).ok()?;
            segment.connection.query_row("SELECT max(epoch) FROM rows", [], |row| row.get::<_, Option<u32>>(0)).ok()?
        };
        let newest = self.remove.iter().chain(&self.shorten).filter_map(newest).max().unwrap_or_default();
        newest.min(good.0 + EPOCHS_LOST_MAX)
    }

    /// Copies first, then moves, then puts the copy in place: at each moment every row is in some file.
    fn carry_out(&self, directory: &Folder, kept: u64, log_ahead: usize) -> Result<Option<PathBuf>, JournalError> {
        if self.shorten.is_none() && self.remove.is_empty() {
            return Ok(None);
        }
        let aside = fresh_directory(directory, kept)?;
        let copies = aside.inside("kept");
        if let Some(number) = self.shorten {
            make_directory(&copies)?;
            copy_rows(directory, &copies, number, kept, log_ahead)?;
        }
        for &number in self.shorten.iter().chain(&self.remove) {
            move_files(directory, &aside, number)?;
        }
        if let Some(number) = self.shorten {
            move_files(&copies, directory, number)?;
            // Only an empty folder goes; what else lies in it is not ours.
            let _ = copies.remove_empty();
        }
        for folder in [directory, &aside] {
            folder.sync().map_err(|source| JournalError::Io { doing: "sync", path: folder.path().to_owned(), source })?;
        }
        Ok(Some(aside.path().to_owned()))
    }
}

/// Walks the good rows up to `kept`; says whether the file holds more than those.
fn walk_until(segment: &Segment, from: Link, kept: u64) -> (Link, bool) {
    let mut at_kept = from;
    let walked = chain::walk(segment, from, |_, link| {
        if link.seq <= kept {
            at_kept = link;
        }
    });
    (at_kept, walked.broken.is_some() || walked.last.seq > kept)
}

fn copy_rows(from: &Folder, to: &Folder, number: u32, kept: u64, log_ahead: usize) -> Result<(), JournalError> {
    let source = Segment::open_for_reading(from, number)?;
    let header = source.header()?;
    let copy = Segment::create(to, number, header, log_ahead)?;
    let copied = || -> rusqlite::Result<()> {
        let transaction = copy.connection.unchecked_transaction()?;
        source.rows_after::<rusqlite::Error>(header.seq, |row| {
            // A row that cannot be read comes after the last good one.
            let Some(row) = row.ok().filter(|row| row.columns.seq <= kept) else { return Ok(ControlFlow::Break(())) };
            let columns = row.columns;
            let values = params![
                signed(columns.seq),
                columns.at.0,
                columns.epoch.0,
                columns.kind,
                columns.account,
                columns.client_order_id,
                row.hash,
                row.payload
            ];
            transaction.prepare_cached("INSERT INTO rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(values)?;
            if columns.kind == CHECKPOINT {
                transaction.execute("INSERT INTO checkpoints VALUES (?1)", [signed(columns.seq)])?;
            }
            Ok(if columns.seq < kept { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        transaction.commit()
    };
    // One file without a log, so that it can be moved by its name.
    copied().and_then(|()| copy.retire()).map_err(segment::database("copy the good rows of", &source.path))
}

fn fresh_directory(directory: &Folder, kept: u64) -> Result<Folder, JournalError> {
    // A second repair at the same row is possible; a thousandth is a loop somewhere.
    let folders = (1..1000).map(|count| directory.inside(&format!("broken-after-row-{kept}-{count}")));
    let folder = folders.into_iter().find(|folder| !folder.exists()).unwrap_or_else(|| directory.inside("broken"));
    make_directory(&folder)?;
    Ok(folder)
}

fn make_directory(folder: &Folder) -> Result<(), JournalError> {
    folder.make_new().map_err(|source| JournalError::Io { doing: "create", path: folder.path().to_owned(), source })
}

/// Moves a segment with what SQLite keeps beside it.
fn move_files(from: &Folder, to: &Folder, number: u32) -> Result<(), JournalError> {
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("{}{suffix}", segment::name_of(number));
        if from.has(&name) {
            from.rename(&name, to, &name).map_err(|source| JournalError::Io { doing: "move", path: from.file(&name), source })?;
        }
    }
    Ok(())
}
