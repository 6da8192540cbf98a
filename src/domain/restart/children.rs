//! The table of children in start order, and where each of them stands. Bookkeeping only.

use std::collections::BTreeMap;

use super::event::{ChildState, ChildView};
use super::spec::{ChildName, ChildSpec, Readiness};
use crate::domain::ids::Incarnation;
use crate::domain::time::Timestamp;

/// Why a running child was told to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// A shutdown, a group restart, an operator: no fault of its own.
    Ordered,
    /// It made no progress, in these words.
    Stall(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Life {
    Down,
    Waiting { until: Timestamp },
    Starting { due: Timestamp, reported_ready: bool },
    Started { ready_due: Option<Timestamp> },
    Ready,
    Stopping { kill_at: Timestamp },
    Killing { give_up_at: Timestamp, why: Why },
}

/// What an operator's request wants once the child is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum After {
    #[default]
    Nothing,
    Start,
    Remove,
    /// Removed, and another child of the same name takes its place.
    Replace(Box<ChildSpec>),
}

#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) spec: ChildSpec,
    pub(super) incarnation: Incarnation,
    pub(super) life: Life,
    pub(super) since: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) beat_due: Option<Timestamp>,
    /// Failures in a row, each within the stable period of its start.
    pub(super) consecutive: u32,
    pub(super) last_exit: Option<String>,
    pub(super) after: After,
}

impl Child {
    const fn new(spec: ChildSpec, last: Incarnation) -> Self {
        Self {
            spec,
            incarnation: last,
            life: Life::Down,
            since: Timestamp::ZERO,
            started_at: None,
            beat_due: None,
            consecutive: 0,
            last_exit: None,
            after: After::Nothing,
        }
    }

    /// Whether an actor may exist for it: everything between the order to start and the news of its end.
    pub(super) const fn is_alive(&self) -> bool {
        !matches!(self.life, Life::Down | Life::Waiting { .. })
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.life, Life::Started { .. } | Life::Ready)
    }

    pub(super) fn enter(&mut self, now: Timestamp, life: Life) {
        self.life = life;
        self.since = now;
    }

    pub(super) fn enter_started(&mut self, now: Timestamp, reported_ready: bool) {
        self.started_at = Some(now);
        self.beat_due = self.spec.heartbeat.map(|silence| now + silence);
        let life = match self.spec.readiness {
            Readiness::Reported { within } if !reported_ready => Life::Started { ready_due: within.map(|deadline| now + deadline) },
            _ => Life::Ready,
        };
        self.enter(now, life);
    }

    /// The next moment at which time alone changes something for this child.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let own = match self.life {
            Life::Down | Life::Ready => None,
            Life::Waiting { until } => Some(until),
            Life::Starting { due, .. } => Some(due),
            Life::Started { ready_due } => ready_due,
            Life::Stopping { kill_at } => Some(kill_at),
            Life::Killing { give_up_at, .. } => Some(give_up_at),
        };
        let beat = if self.is_running() { self.beat_due } else { None };
        own.into_iter().chain(beat).min()
    }

    /// Moves every running deadline back: time in which the supervisor itself did not run counts against nobody.
    pub(super) fn excuse(&mut self, by: std::time::Duration) {
        match &mut self.life {
            Life::Down | Life::Ready | Life::Waiting { .. } | Life::Started { ready_due: None } => {}
            Life::Starting { due: at, .. }
            | Life::Started { ready_due: Some(at) }
            | Life::Stopping { kill_at: at }
            | Life::Killing { give_up_at: at, .. } => *at = *at + by,
        }
        if let Some(at) = &mut self.beat_due {
            *at = *at + by;
        }
    }

    pub(super) const fn state(&self) -> ChildState {
        match self.life {
            Life::Down => ChildState::Down,
            Life::Waiting { .. } => ChildState::Waiting,
            Life::Starting { .. } => ChildState::Starting,
            Life::Started { .. } => ChildState::Started,
            Life::Ready => ChildState::Ready,
            Life::Stopping { .. } => ChildState::Stopping,
            Life::Killing { .. } => ChildState::Killing,
        }
    }

    pub(super) fn view(&self, supervisor: &ChildName) -> ChildView {
        ChildView {
            name: self.spec.name.clone(),
            supervisor: supervisor.clone(),
            runtime: self.spec.runtime,
            incarnation: self.incarnation,
            restarts: self.incarnation.0.saturating_sub(1),
            state: self.state(),
            since: self.since,
            last_exit: self.last_exit.clone(),
        }
    }
}

/// Children in start order, found by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Children {
    ordered: Vec<Child>,
    index: BTreeMap<ChildName, usize>,
}

impl Children {
    /// Adds a child at the end of the start order; `false` when the name is taken.
    pub(super) fn push(&mut self, spec: ChildSpec, last: Incarnation) -> bool {
        if self.index.contains_key(&spec.name) {
            return false;
        }
        self.index.insert(spec.name.clone(), self.ordered.len());
        self.ordered.push(Child::new(spec, last));
        true
    }

    pub(super) fn remove(&mut self, position: usize) {
        self.ordered.remove(position);
        self.index = self.ordered.iter().enumerate().map(|(at, child)| (child.spec.name.clone(), at)).collect();
    }

    pub(super) fn position(&self, name: &ChildName) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The position of a child that is alive in exactly this incarnation: news of any other is stale.
    pub(super) fn current(&self, name: &ChildName, incarnation: Incarnation) -> Option<usize> {
        self.position(name).filter(|at| self.ordered[*at].incarnation == incarnation && self.ordered[*at].is_alive())
    }

    pub(super) fn len(&self) -> usize {
        self.ordered.len()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Child> {
        self.ordered.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Child> {
        self.ordered.iter_mut()
    }

    /// The last child, in start order, at or after `from` that is alive.
    pub(super) fn last_alive(&self, from: usize) -> Option<usize> {
        (from..self.ordered.len()).rev().find(|at| self.ordered[*at].is_alive())
    }
}

impl std::ops::Index<usize> for Children {
    type Output = Child;
    fn index(&self, at: usize) -> &Child {
        &self.ordered[at]
    }
}

impl std::ops::IndexMut<usize> for Children {
    fn index_mut(&mut self, at: usize) -> &mut Child {
        &mut self.ordered[at]
    }
}
