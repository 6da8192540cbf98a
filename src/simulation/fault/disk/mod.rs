//! The journal as the daemon sees it, over a device that outlives the daemon. Rows are durable when `commit` says so, and not
//! before; what a crash leaves of the others is the device's matter.

use std::collections::VecDeque;

use crate::domain::ids::Epoch;
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};
use crate::domain::record::{Entry, Record};
use crate::domain::recovery::DaemonState;
use crate::domain::time::Timestamp;

use super::{Class, Random};

/// What the journal stands on, and what survives a crash.
#[derive(Debug, Clone, Default)]
pub struct Device {
    rows: Vec<Entry>,
    /// The latch file: scopes that were halted when it was last written.
    latch: Vec<(Scope, String, Timestamp)>,
}

/// A batch of rows on its way to the device; answered by `commit`, in the order of the tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What the journal says of a batch.
pub type Committed = (Ticket, Result<(), String>);

/// A fault of the device, drawn by its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFault {
    pub class: Class,
}

impl DiskFault {
    #[must_use]
    pub fn draw(class: Class, _random: &mut Random) -> Self {
        Self { class }
    }
}

#[derive(Debug)]
pub struct SimJournal {
    device: Device,
    queued: VecDeque<(Ticket, Vec<Entry>)>,
    next: u64,
}

impl SimJournal {
    /// Opens the journal on what a device holds, folds it, adopts the latch, and takes the next epoch: a `DaemonStarted` row is
    /// the first that it writes.
    ///
    /// # Errors
    /// What is wrong with the journal: nothing may trade then, and the operator repairs it.
    pub fn open(mut device: Device, now: Timestamp) -> Result<(Self, DaemonState), String> {
        let mut state = DaemonState::default();
        device.rows.iter().for_each(|row| state.apply(row));
        let epoch = Epoch(state.epoch.0 + 1);
        let started = Entry { at: now, record: Record::DaemonStarted { epoch, version: "sim".to_owned(), config_hash: String::new() } };
        state.apply(&started);
        device.rows.push(started);
        for (scope, cause, since) in &device.latch {
            if state.modes.of(*scope) < Mode::Halted {
                state.modes.latch(*scope, cause, *since);
            }
        }
        Ok((Self { device, queued: VecDeque::new(), next: 0 }, state))
    }

    /// Queues rows for the writer.
    pub fn append(&mut self, rows: Vec<Entry>) -> Ticket {
        self.next += 1;
        self.queued.push_back((Ticket(self.next), rows));
        Ticket(self.next)
    }

    /// The writer's turn. Empty while nothing is decided yet.
    pub fn commit(&mut self, _now: Timestamp) -> Vec<Committed> {
        let mut told = Vec::new();
        for (ticket, rows) in self.queued.drain(..) {
            self.device.rows.extend(rows);
            told.push((ticket, Ok(())));
        }
        told
    }

    /// Whether rows wait for the writer.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.queued.is_empty()
    }

    /// How long the commit that is running has been running; a sick disk shows so.
    #[must_use]
    pub fn running_since(&self) -> Option<Timestamp> {
        None
    }

    /// Why the journal takes nothing any more. A failed write or sync is never tried again: the daemon halts and ends.
    #[must_use]
    pub fn failed(&self) -> Option<&str> {
        None
    }

    /// The latch file, written through beside the journal.
    pub fn store_latch(&mut self, modes: &ModeTable) {
        let halted = modes.iter().filter(|entry| entry.mode == Mode::Halted);
        self.device.latch = halted.map(|entry| (entry.scope, entry.cause.clone(), entry.since)).collect();
    }

    /// Straight into the preallocated emergency file.
    pub fn emergency(&mut self, _row: Entry) {}

    /// The machine lost its power, or only the process died (`power` false: what was written is in the page cache and stays).
    #[must_use]
    pub fn crash(self, _power: bool, _random: &mut Random) -> Device {
        self.device
    }

    pub fn fail(&mut self, _now: Timestamp, _fault: &DiskFault) {}

    /// The device is well again; a journal that failed stays failed until it is opened anew.
    pub fn heal(&mut self) {}

    /// Classes that had an effect since the last look.
    pub fn take_fired(&mut self) -> Vec<Class> {
        Vec::new()
    }
}
