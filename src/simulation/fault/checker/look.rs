//! Where the checker's parts write down what they held against an invariant and what broke. Nothing is decided here.

use std::fmt;

use crate::domain::time::Timestamp;

/// The invariants by their numbers in ARCHITECTURE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::EnumIter, serde::Serialize)]
pub enum Invariant {
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    I9,
    I10,
    I11,
    I12,
}

const INVARIANTS: usize = 12;

/// What a step broke.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    pub invariant: Invariant,
    /// The number of the observation, from 1.
    pub step: u64,
    pub at: Timestamp,
    pub expected: String,
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, step, at, expected, found } = self;
        write!(f, "{invariant} at step {step}, {at}: expected {expected}, found {found}")
    }
}

/// One step's notebook.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) step: u64,
    pub(super) now: Timestamp,
    broken: Vec<Violation>,
    held: [u64; INVARIANTS],
}

impl Look {
    /// Something was held against an invariant.
    pub(super) fn at(&mut self, invariant: Invariant) {
        self.held[invariant as usize] += 1;
    }

    pub(super) fn broke(&mut self, invariant: Invariant, expected: impl Into<String>, found: impl Into<String>) {
        let (step, at) = (self.step, self.now);
        self.broken.push(Violation { invariant, step, at, expected: expected.into(), found: found.into() });
    }

    pub(super) fn take(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.broken)
    }

    pub(super) fn held(&self, invariant: Invariant) -> u64 {
        self.held[invariant as usize]
    }
}
