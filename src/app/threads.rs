//! Threads that stand below the tree: those that must be there before it and after it, so that no supervisor has them. The safety beat
//! looks at each; one that ended is in the health for as long as it is gone, in the journal and among the alerts. What such an
//! end means is decided here; restarting is their own matter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::embedded::Embedded;
use super::hub::RESTART_SHOWS;
use crate::actors::Surroundings;
use crate::domain::ids::Incarnation;
use crate::domain::mode::FaultClass;
use crate::domain::record::Record;
use crate::domain::time::Timestamp;
use crate::store::Emergency;
use crate::telemetry::logs;

/// What one look at a thread shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Vital {
    /// How often it died and went on.
    deaths: u64,
    /// It died and does not go on.
    ended: Option<String>,
}

/// What an end that is for good means for trading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// The rest goes on without it.
    Alert,
    /// The venue of some accounts is gone, by a fault of ours: nothing that it said can be relied on.
    HaltAndExit,
}

struct Look {
    name: String,
    means: Means,
    vital: Box<dyn Fn() -> Vital + Send + Sync>,
}

#[derive(Debug, Default)]
struct Seen {
    vital: Vital,
    died_at: Option<Timestamp>,
}

pub struct Threads {
    looks: Vec<Look>,
    seen: Mutex<BTreeMap<String, Seen>>,
}

impl Threads {
    #[must_use]
    pub fn new(emergency: Emergency, exchange: &Arc<Embedded>) -> Arc<Self> {
        let ended = |failed: bool, why: &str| Vital { deaths: 0, ended: failed.then(|| why.to_owned()) };
        let mut looks = vec![
            Look {
                name: "log_writer".to_owned(),
                means: Means::Alert,
                vital: Box::new(|| Vital { deaths: logs::writer_deaths(), ended: None }),
            },
            Look {
                name: "emergency_writer".to_owned(),
                means: Means::Alert,
                vital: Box::new(move || {
                    ended(emergency.has_failed(), "the file refused a write: what the journal does not take is kept nowhere")
                }),
            },
        ];
        for (place, name) in exchange.products().into_iter().enumerate() {
            let exchange = Arc::clone(exchange);
            let name = format!("exchange/{name}");
            let vital = Box::new(move || ended(!exchange.runs(place), "the engine's thread ended"));
            looks.push(Look { name, means: Means::HaltAndExit, vital });
        }
        Arc::new(Self { looks, seen: Mutex::default() })
    }

    /// One look at all of them; why everything is to be halted, if it is.
    pub fn look(&self, around: &Surroundings) -> Option<String> {
        let mut halt = None;
        for look in &self.looks {
            let vital = (look.vital)();
            let mut seen = self.lock();
            let before = seen.entry(look.name.clone()).or_default();
            if before.vital == vital {
                continue;
            }
            before.died_at = Some(around.clock.now());
            let (event, detail) = match &vital.ended {
                Some(why) => ("thread_failed", why.clone()),
                None => ("thread_restarted", format!("died {} times and went on", vital.deaths)),
            };
            let incarnation = Incarnation(vital.deaths + 1);
            before.vital = vital;
            drop(seen);
            if look.means == Means::HaltAndExit && event == "thread_failed" {
                halt = Some(format!("{}: {detail}", look.name));
            }
            let (child, class) = (look.name.clone(), Some(FaultClass::Panic));
            around.journal.note(vec![Record::Supervision { child, incarnation, event: event.to_owned(), class, detail }]);
        }
        halt
    }

    /// What of them a person should know, for the health.
    #[must_use]
    pub fn troubles(&self, now: Timestamp) -> Vec<String> {
        let seen = self.lock();
        let trouble = |(name, seen): (&String, &Seen)| {
            if let Some(why) = &seen.vital.ended {
                return Some(format!("{name} ended: {why}"));
            }
            let age = now.since(seen.died_at?);
            (age < RESTART_SHOWS).then(|| format!("{name} died {} s ago and went on", age.as_secs()))
        };
        seen.iter().filter_map(trouble).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        // Each change is one assignment.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
