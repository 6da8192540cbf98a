//! The journal as the daemon has it, on a disk that fails as a seed says: the real segments, chain, writer, checkpoints,
//! recovery and repair, the real emergency log and latch, with SQLite's files in a device in memory. Rows are durable when
//! `commit` says so and not before; what a crash leaves of the others is the device's matter. It has no thread and no clock:
//! whoever owns it gives the writer its turns.

mod device;
mod fault;
mod handle;
mod inode;
mod port;
#[cfg(test)]
mod tests;
mod vfs;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::ids::AccountId;
use crate::domain::ladder::ModeTable;
use crate::domain::record::Entry;
use crate::domain::recovery::{AccountState, DaemonState};
use crate::domain::time::Timestamp;
use crate::store::{
    Ack, FoldedJournal, Folder, HaltedScope, JournalOptions, Latch, LatchState, Repair, Room, SteppedJournal, VerifyOutcome, repair, verify,
};

pub use device::{Accidents, Device};
pub use fault::DiskFault;

use super::{Class, Random};
use fault::Wanted;
use port::SimDisk;

/// Small, so that a run of some hundred rows has checkpoints in it, several segments, and logs that are copied and begun anew.
const ROWS_PER_SEGMENT: u64 = 150;
const CHECKPOINT_EVERY: u64 = 60;
/// A dozen commits until the log is copied into the database.
const ROOM: Room = Room { log_ahead: 192 << 10, emergency: 160 << 10 };
/// Where the daemon's data lie on the device.
const DATA: &str = "/srv/data";

/// A batch of rows on its way to the device; answered by `commit`, in the order of the tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What the journal says of a batch.
pub type Committed = (Ticket, Result<(), String>);

/// Answers, in the order in which they were given.
type Answers = Arc<Mutex<Vec<Committed>>>;

/// What keeps the writer from its turn.
#[derive(Debug, Clone, Copy)]
struct Stall {
    /// `None`: for ever.
    until: Option<Timestamp>,
    /// When there was first something to write.
    since: Option<Timestamp>,
}

pub struct SimJournal {
    // Before the disk: its connections end first.
    journal: SteppedJournal,
    folded: FoldedJournal,
    latch: Latch,
    device: Device,
    clock: Arc<AtomicI64>,
    answers: Answers,
    next: u64,
    /// Something was handed over that the device does not have yet.
    waiting: bool,
    stall: Option<Stall>,
    failed: Option<String>,
    stalled: bool,
}

impl SimJournal {
    /// Opens the journal on what a device holds, folds it and adopts the latch. The device can be opened again after an error.
    ///
    /// # Errors
    /// What is wrong with the journal: nothing may trade then. A broken chain stays broken until the operator repairs it.
    pub fn open(device: &Device, now: Timestamp) -> Result<(Self, DaemonState), String> {
        Self::try_open(device, now).inspect_err(|_| device.close_all())
    }

    fn try_open(device: &Device, now: Timestamp) -> Result<(Self, DaemonState), String> {
        let data = data(device);
        let clock = Arc::new(AtomicI64::new(now.0));
        let (journal, recovery) = SteppedJournal::open(&data, &options(&clock)).map_err(|error| error.to_string())?;
        let latch = Latch::new(&data);
        let mut state = recovery.into_state().map_err(|error| error.to_string())?;
        latch.adopt_into(&mut state, now);
        let folded = FoldedJournal::new(journal.handle().clone(), state.clone(), CHECKPOINT_EVERY);
        let opened = Self {
            journal,
            folded,
            latch,
            device: device.clone(),
            clock,
            answers: Answers::default(),
            next: 0,
            waiting: false,
            stall: None,
            failed: None,
            stalled: false,
        };
        Ok((opened, state))
    }

    /// What a person does when the journal does not open: looks where the chain breaks and accepts the loss of what follows.
    ///
    /// # Errors
    /// When the chain is not broken, or the device fails in this too.
    pub fn repair(device: &Device, now: Timestamp, by: &str, reason: &str) -> Result<String, String> {
        let data = data(device);
        let found = verify(&data, |_| {}).map_err(|error| error.to_string())?;
        let VerifyOutcome::Broken { last_good, .. } = found.outcome else { return Err("the chain is not broken".to_owned()) };
        let wanted = Repair { accept_loss_after: last_good, by: by.to_owned(), reason: reason.to_owned() };
        let repaired = repair(&data, &wanted, &options(&Arc::new(AtomicI64::new(now.0)))).map_err(|error| error.to_string());
        device.close_all();
        repaired.map(|report| format!("kept through row {}; {}", report.kept_through, report.was))
    }

    /// Queues rows for the writer, and folds them into the state.
    pub fn append(&mut self, rows: Vec<Entry>) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        let answers = Arc::clone(&self.answers);
        let ack = Ack::Callback(Box::new(move |result| {
            let result = result.map(drop).map_err(|fault| fault.to_string());
            answers.lock().unwrap_or_else(PoisonError::into_inner).push((ticket, result));
        }));
        let at = rows.last().map_or(Timestamp(self.clock.load(Ordering::Relaxed)), |row| row.at);
        let queued = self.folded.append(at, rows.into(), ack);
        if let Some(refused) = queued.refused {
            refused.settle(self.journal.emergency());
        }
        self.waiting = true;
        ticket
    }

    /// The writers' turn: everything that is queued becomes durable or fails. Empty while the device hangs.
    pub fn commit(&mut self, now: Timestamp) -> Vec<Committed> {
        self.clock.store(now.0, Ordering::Relaxed);
        if self.hangs(now) {
            return Vec::new();
        }
        self.journal.turn();
        self.journal.emergency_turn();
        self.waiting = false;
        self.failed = self.journal.handle().failure().map(|fault| fault.to_string());
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hangs(&mut self, now: Timestamp) -> bool {
        let Some(stall) = &mut self.stall else { return false };
        if stall.until.is_some_and(|until| until <= now) {
            self.stall = None;
            return false;
        }
        if self.waiting && stall.since.is_none() {
            stall.since = Some(now);
            self.stalled = true;
        }
        true
    }

    /// Whether something waits for the writers.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Since when the commit that is running hangs; a sick disk shows so.
    #[must_use]
    pub fn running_since(&self) -> Option<Timestamp> {
        self.stall.and_then(|stall| stall.since)
    }

    /// Why the journal takes nothing any more. A failed write or sync is never tried again: the daemon halts and ends.
    #[must_use]
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// What the rows so far add up to, durable or not.
    #[must_use]
    pub fn state(&self) -> &DaemonState {
        self.folded.state()
    }

    /// The same of one account: what its executor starts from.
    #[must_use]
    pub fn account(&self, account: AccountId) -> AccountState {
        self.state().accounts.get(&account).cloned().unwrap_or_else(|| AccountState::new(account))
    }

    /// Writes the latch, in its file or in the emergency log.
    ///
    /// # Errors
    /// When neither takes it: the halt then holds in this process only.
    pub fn store_latch(&mut self, modes: &ModeTable) -> Result<(), String> {
        let held = modes.iter().map(|entry| HaltedScope {
            scope: entry.scope,
            mode: entry.mode,
            since: entry.since,
            cause: entry.cause.clone(),
            by: None,
        });
        self.latch.store(&LatchState { halted: held.collect() }).map(drop).map_err(|error| error.to_string())
    }

    /// For the preallocated emergency file: on the device after the next turn, if it is well.
    pub fn emergency(&mut self, row: &Entry) -> bool {
        self.waiting = true;
        self.journal.emergency().record(row)
    }

    /// The machine lost its power, or only the process died (`power` false: what was written is in the page cache and stays).
    #[must_use]
    pub fn crash(self, power: bool, random: &mut Random) -> Device {
        let device = self.device.clone();
        if power {
            device.cut_power(Random::new(random.draw()));
        } else {
            device.kill();
        }
        device
    }

    /// The orderly end: what is queued, and a last row.
    ///
    /// # Errors
    /// Why it was none.
    pub fn close(self, now: Timestamp, reason: &str) -> Result<Device, String> {
        self.clock.store(now.0, Ordering::Relaxed);
        let device = self.device.clone();
        let closed = self.journal.close(reason).map_err(|fault| fault.to_string());
        device.close_all();
        closed.map(|()| device)
    }

    pub fn fail(&mut self, now: Timestamp, fault: &DiskFault) {
        match fault.wanted {
            Wanted::Device(fault) => self.device.fault(fault),
            Wanted::Stall { for_ns } => self.stall = Some(Stall { until: for_ns.map(|span| now + span), since: None }),
        }
    }

    /// The device is well again; a journal that failed stays failed until it is opened anew.
    pub fn heal(&mut self) {
        self.device.heal();
        self.stall = None;
    }

    /// Classes that had an effect since the last look.
    pub fn take_fired(&mut self) -> Vec<Class> {
        let mut fired = self.device.take_fired();
        if std::mem::take(&mut self.stalled) {
            fired.push(Class::F19Stall);
        }
        fired
    }
}

fn data(device: &Device) -> Folder {
    Folder::new(Arc::new(SimDisk::new(device)), DATA)
}

fn options(clock: &Arc<AtomicI64>) -> JournalOptions {
    let clock = Arc::clone(clock);
    JournalOptions {
        clock: Arc::new(move || Timestamp(clock.load(Ordering::Relaxed))),
        rows_per_segment: ROWS_PER_SEGMENT,
        room: ROOM,
        ..JournalOptions::new("sim", "")
    }
}
