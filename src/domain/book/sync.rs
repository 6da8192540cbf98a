//! Keeps a book true to the venue's stream: the order in which diffs and snapshots may be applied, spot and USD-M. It is
//! told diffs and snapshots and says what became of each; whoever drives it fetches the snapshot when the state asks for
//! one. While the chain is broken the book is not given out, because nothing may be decided on it.
//!
//! The rules are Binance's ("How to manage a local order book correctly"). Spot: drop `u <= lastUpdateId`, the first diff
//! kept has `U <= lastUpdateId + 1 <= u`, each next `U` is at most one past the book. USD-M: drop `u < lastUpdateId`, then each
//! diff's `pu` is the `u` before it. The venue asks of USD-M's first diff `U <= lastUpdateId`; `pu <= lastUpdateId` says as much
//! (nothing lies between `pu` and `U`) and also admits a snapshot taken exactly between two diffs.

use crate::domain::mutants::{self, Mutant};
use std::collections::VecDeque;

use super::Book;
use crate::domain::market_data::{DepthSnapshot, DepthUpdate};

/// Diffs kept while a snapshot is awaited. The fastest stream sends some 20 a second, so this covers 50 seconds, and a
/// snapshot takes one; past it the oldest go, and a snapshot that is too old for the rest is refused as one.
pub const BUFFERED_DIFFS_MAX: usize = 1024;

/// How the ids of consecutive diffs join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceRule {
    /// `U` follows the `u` before it.
    Spot,
    /// `pu` is the `u` before it.
    UsdM,
}

impl SequenceRule {
    /// The rule that a diff's shape tells: only USD-M diffs carry `pu`.
    #[must_use]
    pub fn of(update: &DepthUpdate) -> Self {
        if update.previous_id.is_some() { Self::UsdM } else { Self::Spot }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncState {
    /// The book is unknown: fetch a snapshot. Diffs are buffered.
    NeedsSnapshot,
    /// A snapshot stands and no diff has joined it yet. The book is true as of the snapshot.
    Joining,
    /// Every diff since the snapshot is in.
    Live,
}

/// What became of a diff or a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncOutcome {
    /// The book has it.
    Applied,
    /// Kept until a snapshot comes.
    Buffered,
    /// Older than the book: ignored.
    Stale,
    /// Something is missing before it: the book is unusable until a new snapshot joins. For a diff, the id it had to follow
    /// and the id it does follow; for a snapshot, the oldest id that would join the buffered diffs and the one it has.
    Gap { expected: u64, found: u64 },
}

/// A book with its place in the stream.
#[derive(Debug, Clone)]
pub struct BookSync {
    rule: SequenceRule,
    state: SyncState,
    book: Book,
    /// The newest id in the book.
    last_id: u64,
    buffer: VecDeque<DepthUpdate>,
}

impl BookSync {
    #[must_use]
    pub fn new(rule: SequenceRule) -> Self {
        Self { rule, state: SyncState::NeedsSnapshot, book: Book::new(), last_id: 0, buffer: VecDeque::new() }
    }

    #[must_use]
    pub fn state(&self) -> SyncState {
        self.state
    }

    /// The book, while it is true.
    #[must_use]
    pub fn book(&self) -> Option<&Book> {
        (self.state != SyncState::NeedsSnapshot).then_some(&self.book)
    }

    /// The newest update id in the book.
    #[must_use]
    pub fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The stream broke off (a reconnect): what was known is void.
    pub fn reset(&mut self) {
        self.state = SyncState::NeedsSnapshot;
        self.book.clear();
        self.buffer.clear();
        self.last_id = 0;
    }

    pub fn on_diff(&mut self, update: &DepthUpdate) -> SyncOutcome {
        if self.state == SyncState::NeedsSnapshot {
            self.keep(update.clone());
            return SyncOutcome::Buffered;
        }
        let outcome = self.apply(update);
        if let SyncOutcome::Gap { .. } = outcome {
            self.reset();
            self.keep(update.clone());
        }
        outcome
    }

    /// Takes a snapshot and joins the buffered diffs to it. One that is no newer than a living book is ignored.
    pub fn on_snapshot(&mut self, snapshot: &DepthSnapshot) -> SyncOutcome {
        if self.state != SyncState::NeedsSnapshot && snapshot.last_id <= self.last_id {
            return SyncOutcome::Stale;
        }
        if let Some(gap) = self.too_old(snapshot) {
            return gap;
        }
        self.book.apply_snapshot(snapshot);
        self.last_id = snapshot.last_id;
        self.state = SyncState::Joining;
        while let Some(update) = self.buffer.pop_front() {
            let outcome = self.apply(&update);
            if let SyncOutcome::Gap { .. } = outcome {
                // A hole inside the buffer: what is behind it may still join a later snapshot.
                let mut rest = std::mem::take(&mut self.buffer);
                rest.push_front(update);
                self.reset();
                self.buffer = rest;
                return outcome;
            }
        }
        SyncOutcome::Applied
    }

    /// A snapshot from before the first buffered diff cannot be joined; the buffer stays for the next one.
    fn too_old(&self, snapshot: &DepthSnapshot) -> Option<SyncOutcome> {
        let expected = oldest_joinable(self.rule, self.buffer.front()?);
        (snapshot.last_id < expected).then_some(SyncOutcome::Gap { expected, found: snapshot.last_id })
    }

    fn apply(&mut self, update: &DepthUpdate) -> SyncOutcome {
        let joining = self.state == SyncState::Joining;
        let stale = match self.rule {
            SequenceRule::UsdM if joining => update.final_id < self.last_id,
            _ => update.final_id <= self.last_id,
        };
        if stale {
            return SyncOutcome::Stale;
        }
        if let Some(gap) = self.gap(update, joining) {
            return gap;
        }
        self.book.apply_update(update);
        self.last_id = update.final_id;
        self.state = SyncState::Live;
        SyncOutcome::Applied
    }

    fn gap(&self, update: &DepthUpdate, joining: bool) -> Option<SyncOutcome> {
        let follows = oldest_joinable(self.rule, update);
        let broken = match self.rule {
            SequenceRule::UsdM if !joining => follows != self.last_id,
            _ => follows > self.last_id,
        };
        (broken && !mutants::on(Mutant::DepthGapIgnored)).then_some(SyncOutcome::Gap { expected: self.last_id, found: follows })
    }

    fn keep(&mut self, update: DepthUpdate) {
        if self.buffer.len() == BUFFERED_DIFFS_MAX {
            self.buffer.pop_front();
        }
        self.buffer.push_back(update);
    }
}

/// The id that a book must have reached for this diff to follow it.
fn oldest_joinable(rule: SequenceRule, update: &DepthUpdate) -> u64 {
    match (rule, update.previous_id) {
        (SequenceRule::UsdM, Some(previous)) => previous,
        // A USD-M diff without `pu` is as good as a spot one: only its own range is known.
        (SequenceRule::UsdM, None) | (SequenceRule::Spot, _) => update.first_id.saturating_sub(1),
    }
}
