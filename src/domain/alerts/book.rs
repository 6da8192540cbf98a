//! The alerts that the journal's rows add up to: those that are open, and the last ones that somebody acknowledged. It folds
//! and decides nothing.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{AlertEvent, AlertKind, Severity};
use crate::domain::record::Record;
use crate::domain::time::Timestamp;

/// Acknowledged alerts that are remembered; all of them are in the journal.
const ACKNOWLEDGED_MAX: usize = 100;

/// One alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    pub id: u64,
    pub kind: AlertKind,
    pub severity: Severity,
    /// Whom or what it is about: a child, a scope.
    pub subject: String,
    /// For people; of the newest time.
    pub text: String,
    /// How often it came.
    pub times: u64,
    /// How often it was made louder.
    pub level: u32,
    pub raised_at: Timestamp,
    /// When it was last told that it came again.
    pub last_at: Timestamp,
    /// When it was raised or last made louder.
    pub told_at: Timestamp,
}

/// An alert that a person has heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    #[serde(flatten)]
    pub alert: Alert,
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertBook {
    last: u64,
    open: BTreeMap<u64, Alert>,
    acknowledged: VecDeque<Acknowledged>,
}

impl AlertBook {
    /// Never used twice: it grows with every row that is kept.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.last + 1
    }

    #[must_use]
    pub fn alert(&self, id: u64) -> Option<&Alert> {
        self.open.get(&id)
    }

    /// Oldest first.
    pub fn open(&self) -> impl ExactSizeIterator<Item = &Alert> {
        self.open.values()
    }

    /// Oldest first.
    pub fn acknowledged(&self) -> impl ExactSizeIterator<Item = &Acknowledged> {
        self.acknowledged.iter()
    }

    /// Takes one row in; any other row changes nothing.
    pub fn apply(&mut self, at: Timestamp, row: &Record) {
        let Record::Alert { id, event, alarm, severity, subject, text, times, level, by, reason } = row else { return };
        self.last = self.last.max(*id);
        match event {
            AlertEvent::Raised => {
                let alert = Alert {
                    id: *id,
                    kind: *alarm,
                    severity: *severity,
                    subject: subject.clone(),
                    text: text.clone(),
                    times: *times,
                    level: *level,
                    raised_at: at,
                    last_at: at,
                    told_at: at,
                };
                self.open.insert(*id, alert);
            }
            AlertEvent::Repeated | AlertEvent::Escalated => {
                let Some(alert) = self.open.get_mut(id) else { return };
                (alert.severity, alert.times, alert.level) = (*severity, *times, *level);
                alert.text.clone_from(text);
                match event {
                    AlertEvent::Escalated => alert.told_at = at,
                    _ => alert.last_at = at,
                }
            }
            AlertEvent::Acknowledged => {
                let Some(mut alert) = self.open.remove(id) else { return };
                alert.times = *times;
                if self.acknowledged.len() >= ACKNOWLEDGED_MAX {
                    self.acknowledged.pop_front();
                }
                let (by, reason) = (by.clone().unwrap_or_default(), reason.clone().unwrap_or_default());
                self.acknowledged.push_back(Acknowledged { alert, by, reason, at });
            }
        }
    }
}
