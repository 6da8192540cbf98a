//! What a supervisor tells the world: its events, one after another, and the state of each child. The sink journals,
//! counts and alerts; nothing here decides.

use serde::Serialize;
use strum::{Display, IntoStaticStr};

use super::spec::{ChildName, RuntimeKind};
use crate::domain::ids::Incarnation;
use crate::domain::mode::FaultClass;
use crate::domain::record::Record;
use crate::domain::time::Timestamp;

/// What happened to a child (or, for the last two, to the supervisor itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Display, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    Added,
    Starting,
    Started,
    Ready,
    Exited,
    /// No progress, or not started or ready in time.
    Stalled,
    /// A restart was charged to the intensity and will come.
    RestartScheduled,
    /// A failure during a group restart that was charged already.
    Coalesced,
    /// An operator asked for a restart; nothing is charged.
    RestartRequested,
    Stopping,
    Killed,
    /// It did not die of a kill: it spins. Its supervisor gives up on it and escalates.
    Unkillable,
    Removed,
    /// A request that makes no sense in the present state.
    Refused,
    Escalated,
    /// Every child is gone and so is the supervisor.
    Finished,
}

/// One line of the event stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SupervisionEvent {
    pub at: Timestamp,
    pub supervisor: ChildName,
    pub child: ChildName,
    pub incarnation: Incarnation,
    pub what: EventKind,
    pub class: Option<FaultClass>,
    pub detail: String,
}

impl From<&SupervisionEvent> for Record {
    fn from(event: &SupervisionEvent) -> Self {
        Self::Supervision {
            child: event.child.to_string(),
            incarnation: event.incarnation,
            event: event.what.to_string(),
            class: event.class,
            detail: event.detail.clone(),
        }
    }
}

/// Where a child stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Display, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ChildState {
    Down,
    /// Waiting for its backoff.
    Waiting,
    Starting,
    Started,
    Ready,
    Stopping,
    Killing,
}

/// A child as a status page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChildView {
    pub name: ChildName,
    pub supervisor: ChildName,
    pub runtime: RuntimeKind,
    pub incarnation: Incarnation,
    /// Starts after the first one, operator's restarts included.
    pub restarts: u64,
    pub state: ChildState,
    pub since: Timestamp,
    pub last_exit: Option<String>,
}
