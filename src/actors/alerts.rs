//! The desk where alarms become alerts: the machine behind a lock, stepped wherever an alarm is noticed, so that an alert is told
//! whoever else is dead by then. Its rows are queued for the journal and its listener hears of them in the same step; neither
//! waits for anything. It decides nothing and delivers nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::journal::JournalPort;
use crate::domain::alerts::{self, AckError, Acknowledged, Alarm, Alert, AlertBook, Alerts, Told};
use crate::domain::outbox::{Outbox, Step};
use crate::domain::record::{Entry, Record};
use crate::domain::time::Timestamp;
use crate::messages::Clock;

/// Hears of every telling, on the thread that noticed the alarm: it must be short.
pub type Listener = Arc<dyn Fn(&Told) + Send + Sync>;

/// Cheap to clone; all clones are one desk.
#[derive(Clone)]
pub struct AlertDesk(Arc<Inner>);

struct Inner {
    machine: Mutex<Alerts>,
    clock: Clock,
    listener: Listener,
}

impl AlertDesk {
    /// `book` is what an earlier life left open.
    #[must_use]
    pub fn new(book: AlertBook, escalate_after: Duration, clock: Clock, listener: Listener) -> Self {
        Self(Arc::new(Inner { machine: Mutex::new(Alerts::new(book, escalate_after)), clock, listener }))
    }

    /// Looks at a row that was queued just now, whether the journal took it or not.
    pub fn entry(&self, journal: &JournalPort, entry: &Entry) {
        if let Some(alarm) = alerts::of_record(&entry.record) {
            self.raise(journal, entry.at, alarm);
        }
    }

    /// What happened at `since`.
    pub fn raise(&self, journal: &JournalPort, since: Timestamp, alarm: Alarm) {
        self.step(journal, |machine, now, out| machine.raise(now, since, alarm, out));
    }

    /// # Errors
    /// When no person or no reason is named, or no such alert is open.
    pub fn acknowledge(&self, journal: &JournalPort, id: u64, by: &str, reason: &str) -> Result<Alert, AckError> {
        self.step(journal, |machine, now, out| machine.acknowledge(now, id, by, reason, out))
    }

    /// A few times a second is enough.
    pub fn tick(&self, journal: &JournalPort) {
        self.step(journal, |machine, now, out| machine.tick(now, out));
    }

    /// Open ones and those that were acknowledged last, oldest first.
    #[must_use]
    pub fn book(&self) -> (Vec<Alert>, Vec<Acknowledged>) {
        let machine = self.lock();
        (machine.book().open().cloned().collect(), machine.book().acknowledged().cloned().collect())
    }

    /// Under the lock to the end, so that rows and tellings come in the machine's order. The journal's observer, which leads
    /// back here, never alarms about an alert's own row.
    fn step<T>(&self, journal: &JournalPort, act: impl FnOnce(&mut Alerts, Timestamp, &mut Outbox<Record, Told>) -> T) -> T {
        let mut out = Outbox::new();
        let mut machine = self.lock();
        let result = act(&mut machine, self.0.clock.now(), &mut out);
        for step in out.drain() {
            match step {
                Step::Persist { rows, .. } => journal.note(rows),
                Step::Do(told) => (self.0.listener)(&told),
            }
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Alerts> {
        // A step that panicked half way has told too little at worst; the alerts themselves are whole rows.
        self.0.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::domain::alerts::{AlertEvent, AlertKind, Severity};
    use crate::domain::ids::Incarnation;
    use crate::domain::mode::FaultClass;
    use crate::domain::recovery::DaemonState;
    use crate::store::{Audit, AuditFilter, Journal, JournalOptions};

    fn death(child: &str) -> Record {
        Record::Supervision {
            child: child.to_owned(),
            incarnation: Incarnation(1),
            event: "exited".to_owned(),
            class: Some(FaultClass::Panic),
            detail: "panicked: x".to_owned(),
        }
    }

    /// A desk behind a journal, as the daemon has it, and how many tellings its listener heard.
    fn desk(data: &std::path::Path) -> (Journal, JournalPort, AlertDesk, Arc<AtomicU64>) {
        let (journal, _) = Journal::open(data, &JournalOptions::new("test", "hash")).unwrap();
        let (clock, heard) = (Clock::start(), Arc::new(AtomicU64::new(0)));
        let counting = Arc::clone(&heard);
        let listener = move |_: &Told| {
            counting.fetch_add(1, Ordering::SeqCst);
        };
        let desk = AlertDesk::new(AlertBook::default(), Duration::from_secs(60), clock.clone(), Arc::new(listener));
        let of_rows = desk.clone();
        let observer = Arc::new(move |port: &JournalPort, entry: &Entry| of_rows.entry(port, entry));
        let port = JournalPort::new(journal.handle(), journal.emergency(), DaemonState::default(), 20_000, clock, observer);
        (journal, port, desk, heard)
    }

    #[test]
    fn a_row_that_alarms_is_followed_by_its_alert_in_the_journal() {
        let data = tempfile::tempdir().unwrap();
        let (journal, port, desk, heard) = desk(data.path());
        port.note(vec![death("executor/alpha")]);
        assert_eq!(heard.load(Ordering::SeqCst), 1, "told before anybody waited for the disk");
        desk.acknowledge(&port, 1, "ann", "seen").unwrap();
        assert_eq!(port.state().alerts.open().len(), 0);
        journal.close("test").unwrap();
        let rows = Audit::open(data.path()).unwrap().rows(&["supervision", "alert"], &AuditFilter::default()).unwrap();
        let events: Vec<_> = rows
            .iter()
            .filter_map(|row| match row.record.as_ref()? {
                Record::Alert { id, event, alarm, severity, by, .. } => Some((*id, *event, *alarm, *severity, by.clone())),
                _ => None,
            })
            .collect();
        let of = |event, by: Option<&str>| (1, event, AlertKind::ChildDied, Severity::Warning, by.map(str::to_owned));
        assert_eq!(events, [of(AlertEvent::Raised, None), of(AlertEvent::Acknowledged, Some("ann"))]);
    }

    #[test]
    fn a_journal_that_failed_keeps_no_alert_from_being_told() {
        let data = tempfile::tempdir().unwrap();
        let (journal, port, desk, heard) = desk(data.path());
        journal.handle().inject_failure();
        while journal.handle().failure().is_none() {
            std::thread::yield_now();
        }
        port.note(vec![death("executor/alpha")]);
        assert_eq!((heard.load(Ordering::SeqCst), desk.book().0.len()), (1, 1));
        assert!(port.settle(Duration::from_secs(10)).taken >= 2, "the row and its alert are in the emergency file");
    }

    #[test]
    fn alarms_of_many_threads_are_each_counted_once() {
        let data = tempfile::tempdir().unwrap();
        let (_journal, port, desk, _) = desk(data.path());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let port = port.clone();
                scope.spawn(move || (0..250).for_each(|_| port.note(vec![death(&format!("executor/{}", thread % 2))])));
            }
        });
        let mut counted = 0;
        for _ in 0..2_000 {
            desk.tick(&port);
            counted = desk.book().0.iter().map(|alert| alert.times).sum();
            if counted == 1_000 {
                break;
            }
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(5));
        }
        assert_eq!((counted, desk.book().0.len()), (1_000, 2));
    }
}
