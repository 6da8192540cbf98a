//! Alerts: what a person must hear of, until a person has said that they did. The machine raises, joins what is the same,
//! tells again and louder what nobody acknowledged, and takes acknowledgements from named persons. It delivers nothing: what is
//! to be told is an effect, and each telling is a row of the journal, so that an alert outlives the process that raised it.
//!
//! Its state is what its own rows add up to ([`AlertBook`]), and a restart begins from that. Only the repetitions of the last
//! moment are not in it: they are counted here and written with the next telling.

mod alarm;
mod book;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, IntoStaticStr};

use super::outbox::Outbox;
use super::record::Record;
use super::time::Timestamp;

pub use alarm::{Alarm, of_fault, of_record};
pub use book::{Acknowledged, Alert, AlertBook};

/// What an alert is about. Alerts of one kind about one subject are one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Display, EnumIter, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AlertKind {
    /// A supervised child ended against its wish.
    ChildDied,
    /// A supervised child made no progress.
    ChildStalled,
    /// A supervisor gave up.
    GaveUp,
    /// A thread below the tree died or stood still.
    Thread,
    /// A mailbox is past its bound.
    Mailbox,
    /// A scope became stricter: by a fault, by a limit or by a person.
    Mode,
    /// The kill switch could not do its work, or the process ends by itself.
    KillSwitch,
    /// A fault that was counted against a budget.
    Fault,
    /// The venue showed something else than our books.
    Reconciliation,
    /// An order's outcome was lost.
    OrderUnknown,
    /// The wall clock was set.
    Clock,
    /// More alerts are open than are kept apart.
    Overflow,
}

/// How soon somebody must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Display, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Severity {
    Warning,
    /// Something stands still, or the daemon cannot keep a promise.
    Critical,
}

/// What is told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AlertEvent {
    Raised,
    /// It happened again, or became worse.
    Repeated,
    /// Nobody acknowledged it in time.
    Escalated,
    Acknowledged,
}

/// One telling, for whoever listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub event: AlertEvent,
    pub alert: Alert,
    /// When what it tells of happened: how late it is told is measured from here.
    pub since: Timestamp,
}

/// Why an acknowledgement was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    #[error("acknowledging alert {id} expected the name of a person and a reason, found {found}; give both")]
    Unnamed { id: u64, found: &'static str },
    #[error("expected an open alert, found none with the number {id}: `ringfence alerts` lists them")]
    NoSuchAlert { id: u64 },
    #[error("alert {id} was acknowledged by {by} already")]
    Already { id: u64, by: String },
}

/// A telling of the same alert follows the one before it by this at least: a child that dies in a circle is told twice a second
/// with its count, and not once a death. Half of the second within which everything is to be told.
const TOLD_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Alerts that are kept apart. A daemon of a hundred accounts has some three hundred children; whoever has a thousand open
/// alerts needs no thousand and first, but must hear that there is one.
pub const OPEN_MAX: usize = 1_000;
/// How often an alert becomes louder. Each time waits twice as long as the one before: after the fourth it is not the daemon
/// that has to be louder.
pub const LEVEL_MAX: u32 = 4;

/// The machine.
#[derive(Debug, Clone)]
pub struct Alerts {
    book: AlertBook,
    by_subject: BTreeMap<(AlertKind, String), u64>,
    /// When each was last told in this life, and how often it came since.
    quiet: BTreeMap<u64, Quiet>,
    /// How long a warning waits for its acknowledgement; a critical one waits a fifth of it.
    escalate_after: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Quiet {
    told_at: Timestamp,
    untold: u64,
    since: Timestamp,
}

impl Alerts {
    /// `book` is what an earlier life left open.
    #[must_use]
    pub fn new(book: AlertBook, escalate_after: Duration) -> Self {
        let by_subject = book.open().map(|alert| ((alert.kind, alert.subject.clone()), alert.id)).collect();
        Self { book, by_subject, quiet: BTreeMap::new(), escalate_after }
    }

    #[must_use]
    pub fn book(&self) -> &AlertBook {
        &self.book
    }

    /// Something happened at `since` that a person must hear of.
    pub fn raise(&mut self, now: Timestamp, since: Timestamp, alarm: Alarm, out: &mut Outbox<Record, Told>) {
        let known = self.by_subject.get(&(alarm.kind, alarm.subject.clone())).copied();
        match known {
            Some(id) => self.again(now, since, id, &alarm, out),
            None if self.book.open().len() >= OPEN_MAX && alarm.kind != AlertKind::Overflow => {
                self.raise(now, since, overflow(&alarm), out);
            }
            None => {
                let id = self.book.next_id();
                self.by_subject.insert((alarm.kind, alarm.subject.clone()), id);
                let Alarm { kind, severity, subject, text } = alarm;
                let alert = Alert { id, kind, severity, subject, text, times: 1, level: 0, raised_at: now, last_at: now, told_at: now };
                self.tell(now, since, AlertEvent::Raised, alert, None, out);
            }
        }
    }

    fn again(&mut self, now: Timestamp, since: Timestamp, id: u64, alarm: &Alarm, out: &mut Outbox<Record, Told>) {
        let Some(alert) = self.book.alert(id) else { return };
        let quiet = self.quiet.entry(id).or_insert(Quiet { told_at: alert.last_at, untold: 0, since });
        quiet.untold += 1;
        if quiet.untold == 1 {
            quiet.since = since;
        }
        let worse = alarm.severity > alert.severity;
        // The clock may have been set back between two lives: then it is told at once, and not in a year.
        let early = now >= quiet.told_at && now.since(quiet.told_at) < TOLD_AGAIN_AFTER;
        if worse || !early {
            let (times, since) = (alert.times + std::mem::take(&mut quiet.untold), quiet.since);
            let severity = alert.severity.max(alarm.severity);
            let alert = Alert { times, severity, text: alarm.text.clone(), last_at: now, ..alert.clone() };
            self.tell(now, since, AlertEvent::Repeated, alert, None, out);
        }
    }

    /// Tells what came again meanwhile, and makes louder what nobody acknowledged in its time.
    pub fn tick(&mut self, now: Timestamp, out: &mut Outbox<Record, Told>) {
        let untold: Vec<u64> = self.quiet.iter().filter(|(_, quiet)| quiet.untold > 0).map(|(id, _)| *id).collect();
        for id in untold {
            let (Some(quiet), Some(alert)) = (self.quiet.get_mut(&id), self.book.alert(id)) else { continue };
            if now >= quiet.told_at && now.since(quiet.told_at) < TOLD_AGAIN_AFTER {
                continue;
            }
            let (times, since) = (alert.times + std::mem::take(&mut quiet.untold), quiet.since);
            let alert = Alert { times, last_at: now, ..alert.clone() };
            self.tell(now, since, AlertEvent::Repeated, alert, None, out);
        }
        let due = |alert: &&Alert| {
            let patience = self.patience(alert.severity).saturating_mul(1 << alert.level.min(LEVEL_MAX));
            alert.level < LEVEL_MAX && now >= alert.told_at && now.since(alert.told_at) >= patience
        };
        let late: Vec<Alert> = self.book.open().filter(due).cloned().collect();
        for alert in late {
            // What came since it was last told is told with it.
            let untold = self.quiet.remove(&alert.id).map_or(0, |quiet| quiet.untold);
            let alert = Alert { level: alert.level + 1, times: alert.times + untold, told_at: now, ..alert };
            self.tell(now, now, AlertEvent::Escalated, alert, None, out);
        }
    }

    fn patience(&self, severity: Severity) -> Duration {
        match severity {
            Severity::Warning => self.escalate_after,
            Severity::Critical => self.escalate_after / 5,
        }
    }

    /// A person has heard it. What happens again from here on is a new alert.
    ///
    /// # Errors
    /// When the person or the reason is missing, or no such alert is open.
    pub fn acknowledge(
        &mut self,
        now: Timestamp,
        id: u64,
        by: &str,
        reason: &str,
        out: &mut Outbox<Record, Told>,
    ) -> Result<Alert, AckError> {
        let missing = if by.trim().is_empty() { Some("no name") } else { reason.trim().is_empty().then_some("no reason") };
        if let Some(found) = missing {
            return Err(AckError::Unnamed { id, found });
        }
        let Some(alert) = self.book.alert(id).cloned() else {
            let known = self.book.acknowledged().find(|known| known.alert.id == id);
            return Err(known.map_or(AckError::NoSuchAlert { id }, |known| AckError::Already { id, by: known.by.clone() }));
        };
        let untold = self.quiet.remove(&id).map_or(0, |quiet| quiet.untold);
        let alert = Alert { times: alert.times + untold, ..alert };
        self.by_subject.remove(&(alert.kind, alert.subject.clone()));
        self.tell(now, now, AlertEvent::Acknowledged, alert.clone(), Some((by.to_owned(), reason.to_owned())), out);
        Ok(alert)
    }

    /// One row and one telling of it. The machine goes on from what the row says, as a restart would.
    fn tell(
        &mut self,
        now: Timestamp,
        since: Timestamp,
        event: AlertEvent,
        alert: Alert,
        person: Option<(String, String)>,
        out: &mut Outbox<Record, Told>,
    ) {
        if event != AlertEvent::Acknowledged {
            self.quiet.insert(alert.id, Quiet { told_at: now, untold: 0, since: now });
        }
        let (by, reason) = person.unzip();
        let row = Record::Alert {
            id: alert.id,
            event,
            alarm: alert.kind,
            severity: alert.severity,
            subject: alert.subject.clone(),
            text: alert.text.clone(),
            times: alert.times,
            level: alert.level,
            by,
            reason,
        };
        self.book.apply(now, &row);
        out.persist(vec![row], vec![]);
        out.push(Told { event, alert, since });
    }
}

fn overflow(alarm: &Alarm) -> Alarm {
    Alarm {
        kind: AlertKind::Overflow,
        severity: Severity::Critical,
        subject: "alerts".to_owned(),
        text: format!(
            "{OPEN_MAX} alerts are open and no more are kept apart; the newest: {} {}: {}",
            alarm.kind, alarm.subject, alarm.text
        ),
    }
}
