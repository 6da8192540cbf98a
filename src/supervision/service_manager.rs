//! What the service manager that started this process (systemd) is told: that it is ready, reloads, stops, how it stands, and that it
//! is alive. It goes over a socket that somebody else drains, so one thread alone writes to it and nobody waits for that thread.
//! Without such a manager nothing is told and no thread runs. Whether it is alive [`Pulse`] decides.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use super::child::Child;
use super::pulse::{Pulse, Sign};
use crate::domain::restart::ChildName;

/// Four looks in the time in which a sign of life must come: two may fail.
const LOOKS_IN_A_DEADLINE: u32 = 4;
/// Without a watchdog to feed there is nothing to look at; it looks whether it shall stop.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(1);
/// A watch that is shorter than that is none that a busy machine could keep.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(50);

/// What it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Everything runs; also after a reload.
    Ready,
    Reloading,
    Stopping,
    /// One line for people.
    Status(String),
}

/// The way to it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ServiceManager(Option<Arc<Line>>);

#[derive(Debug)]
struct Line {
    words: Sender<Word>,
    /// Taken up again by whoever comes after a writer that died.
    said: Mutex<Receiver<Word>>,
    /// In which time a sign of life must come.
    deadline: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment names, if it names one.
    #[must_use]
    pub fn of_environment() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Self::default();
        }
        let (words, said) = channel();
        Self(Some(Arc::new(Line { words, said: Mutex::new(said), deadline: sd_notify::watchdog_enabled() })))
    }

    /// Never waits.
    pub fn tell(&self, word: Word) {
        if let Some(line) = &self.0 {
            // The receiver lives as long as this does.
            let _ = line.words.send(word);
        }
    }

    /// Who writes, and looks at the signs of life. `None` where there is nobody to tell.
    #[must_use]
    pub fn child(&self, name: ChildName, signs: impl Fn() -> Vec<Sign> + Send + Sync + 'static) -> Option<Child> {
        let line = Arc::clone(self.0.as_ref()?);
        let look_every = line.deadline.map_or(LOOK_EVERY_MAX, |deadline| deadline / LOOKS_IN_A_DEADLINE);
        let look_every = look_every.clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
        let body = move |context: super::child::ChildContext| {
            let said = line.said.lock().unwrap_or_else(PoisonError::into_inner);
            let (mut pulse, mut next_look) = (Pulse::default(), Instant::now() + look_every);
            context.reporter.ready();
            while !context.stop.is_cancelled() {
                match said.recv_timeout(next_look.saturating_duration_since(Instant::now())) {
                    Ok(word) => write(&word),
                    Err(RecvTimeoutError::Timeout) => {
                        next_look = Instant::now() + look_every;
                        context.reporter.obey_injection_blocking();
                        if line.deadline.is_some() && pulse.beats(&signs()) {
                            send(&[NotifyState::Watchdog]);
                        }
                    }
                    // `line` holds the sender.
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            said.try_iter().for_each(|word| write(&word));
            Ok(())
        };
        // No heartbeat: a manager that does not read is no fault of ours, and nothing of ours hangs on it.
        Some(Child::thread(name, body))
    }
}

fn write(word: &Word) {
    match word {
        Word::Ready => send(&[NotifyState::Ready]),
        // The manager tells this reload from an earlier one by its time.
        Word::Reloading => match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(error) => {
                tracing::warn!(target: "ringfence::daemon", %error, "no monotonic time: the service manager is not told of the reload")
            }
        },
        Word::Stopping => send(&[NotifyState::Stopping]),
        Word::Status(text) => send(&[NotifyState::Status(&text.replace('\n', " "))]),
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(target: "ringfence::daemon", %error, "the service manager could not be told");
    }
}
