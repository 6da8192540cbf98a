//! The daemon's news: what the journal takes, in one line each, for the event stream, the live screen and the status page.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;

use crate::api::view::RECENT_EVENTS;
use crate::api::{EVENT_BUFFER, EventKind, PublicEvent};
use crate::domain::record::{Entry, Record};
use crate::domain::time::Timestamp;

/// How long a restart shows in `/health`: whoever looks once in ten seconds sees it.
pub const RESTART_SHOWS: Duration = Duration::from_secs(10);

pub struct Hub {
    sender: broadcast::Sender<Arc<PublicEvent>>,
    recent: Mutex<VecDeque<Arc<PublicEvent>>>,
    next: AtomicU64,
}

impl Default for Hub {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(EVENT_BUFFER), recent: Mutex::default(), next: AtomicU64::new(1) }
    }
}

impl Hub {
    pub fn tell(&self, at: Timestamp, kind: EventKind, text: String) {
        let event = Arc::new(PublicEvent { id: self.next.fetch_add(1, Ordering::Relaxed), at, kind, text });
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= RECENT_EVENTS {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&event));
        drop(recent);
        // Nobody listening is the usual case.
        drop(self.sender.send(event));
    }

    /// How many events a new reader is given.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What a person would want to read of a journal entry, if anything.
    pub fn entry(&self, entry: &Entry) {
        if let Some((kind, text)) = line(&entry.record) {
            self.tell(entry.at, kind, text);
        }
    }

    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<PublicEvent>> {
        self.sender.subscribe()
    }

    #[must_use]
    pub fn recent(&self) -> Vec<PublicEvent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|event| event.as_ref().clone()).collect()
    }
}

fn line(record: &Record) -> Option<(EventKind, String)> {
    let line = match record {
        Record::OrderIntended { intent, order, .. } => (
            EventKind::Order,
            format!("{} {} {} {} ({}, {})", intent.account, order.side, order.quantity, order.symbol, intent.strategy, intent.reason),
        ),
        Record::OrderRefused { intent, control, limit, value } => {
            (EventKind::Order, format!("{} {} refused: {control}: limit {limit}, found {value}", intent.account, intent.symbol))
        }
        Record::Filled { fill, .. } => {
            (EventKind::Fill, format!("{} {} {} {} at {}", fill.account, fill.side, fill.quantity, fill.symbol, fill.price))
        }
        Record::ModeChanged { scope, from, to, cause, .. } => (EventKind::Mode, format!("{scope} {from} → {to}: {cause}")),
        Record::KillSwitch { scope, event, detail } => (EventKind::KillSwitch, format!("{scope} {event}: {detail}")),
        Record::OperatorCommand { verb, scope, by, outcome, .. } => (EventKind::Command, format!("{by}: {verb} {scope}: {outcome}")),
        Record::Supervision { child, incarnation, event, detail, .. } => {
            (EventKind::Supervision, format!("{child} #{incarnation} {event} {detail}").trim_end().to_owned())
        }
        Record::ConfigChanged { changes, .. } => (EventKind::Command, format!("configuration: {}", changes.join("; "))),
        _ => return None,
    };
    Some(line)
}
