//! The threads of the daemon: one current-thread runtime on its own thread for everything hot, one multi-thread runtime
//! for everything that may take its time. A tiny task on a runtime bumps its [`ThreadHeartbeat`], so that the thread watch
//! sees from outside when no task there runs any more: on the one by a timer, on the other each time the watch asks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

use super::supervisor::RuntimeHandles;

/// One worker can block for a moment (a DNS lookup, a big JSON) while the other answers.
pub const SERVICES_WORKERS: usize = 2;
/// Twenty wake-ups a second: 0.0x % of a core, and a tenth of the time in which a stall must be found.
pub(super) const HEARTBEAT_EVERY: Duration = Duration::from_millis(50);

/// Counts up as long as its runtime runs tasks. Relaxed: the number is all that is read.
#[derive(Debug, Clone)]
pub struct ThreadHeartbeat {
    name: &'static str,
    beats: Arc<AtomicU64>,
    /// Where the system counts what its thread waits for processors; empty where it does not, and where there are several threads.
    waits: Arc<OnceLock<PathBuf>>,
    /// Where it beats only when it is asked to.
    asked: Option<Handle>,
}

impl ThreadHeartbeat {
    /// Starts to beat on that runtime, for as long as the runtime lives. It is no child: it must not depend on a supervisor
    /// that lives on the very thread it watches.
    #[must_use]
    fn start(name: &'static str, runtime: &Handle) -> Self {
        let heartbeat = Self { name, beats: Arc::default(), waits: Arc::default(), asked: None };
        let (beats, waits) = (Arc::clone(&heartbeat.beats), Arc::clone(&heartbeat.waits));
        runtime.spawn(async move {
            // Linux tells a thread its own place, and beside it the three numbers of its scheduling.
            if let Ok(own) = std::fs::read_link("/proc/thread-self") {
                waits.get_or_init(|| Path::new("/proc").join(own).join("schedstat"));
            }
            let mut tick = tokio::time::interval(HEARTBEAT_EVERY);
            // After a stall one beat is news enough.
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                beats.fetch_add(1, Relaxed);
            }
        });
        heartbeat
    }

    /// Beats when it is asked, for a runtime with several threads. One of them waits for timers on behalf of all; when that
    /// one is held up by a task, no timer fires until something from outside wakes another. An answer to a question from
    /// outside tells whether any of them is free, and wakes it.
    #[must_use]
    fn when_asked(name: &'static str, runtime: &Handle) -> Self {
        Self { name, beats: Arc::default(), waits: Arc::default(), asked: Some(runtime.clone()) }
    }

    /// Asks for a beat. Each question is a task of its own: one that waits in a busy thread's queue does not stand for the
    /// next.
    pub fn ask(&self) {
        if let Some(runtime) = &self.asked {
            let beats = Arc::clone(&self.beats);
            drop(runtime.spawn(async move { beats.fetch_add(1, Relaxed) }));
        }
    }

    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What its thread has waited for processors since it began; zero where nobody counts it.
    #[must_use]
    pub fn waited(&self) -> Duration {
        let told = self.waits.get().and_then(|place| std::fs::read_to_string(place).ok());
        let nanos = told.and_then(|told| told.split_ascii_whitespace().nth(1)?.parse().ok());
        Duration::from_nanos(nanos.unwrap_or_default())
    }

    #[must_use]
    pub fn beats(&self) -> u64 {
        self.beats.load(Relaxed)
    }
}

/// The two runtimes. Owned by the main thread; everybody else has handles.
#[derive(Debug)]
pub struct Runtimes {
    services: Runtime,
    trading: Handle,
    trading_heartbeat: ThreadHeartbeat,
    services_heartbeat: ThreadHeartbeat,
    stop: CancellationToken,
    trading_ended: mpsc::Receiver<()>,
}

impl Runtimes {
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start() -> io::Result<Self> {
        let services = Builder::new_multi_thread().worker_threads(SERVICES_WORKERS).thread_name("services").enable_all().build()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let trading = runtime.handle().clone();
        let stop = CancellationToken::new();
        let (ended, trading_ended) = mpsc::channel();
        let until = stop.clone();
        // A thread of its own, not a worker: hops between hot actors must not cross threads.
        std::thread::Builder::new().name("trading".to_owned()).spawn(move || {
            runtime.block_on(until.cancelled());
            drop(runtime);
            // Nobody waits any more when the process ended in a hurry.
            let _unheard = ended.send(());
        })?;
        let trading_heartbeat = ThreadHeartbeat::start("trading", &trading);
        let services_heartbeat = ThreadHeartbeat::when_asked("services", services.handle());
        Ok(Self { services, trading, trading_heartbeat, services_heartbeat, stop, trading_ended })
    }

    #[must_use]
    pub fn handles(&self) -> RuntimeHandles {
        RuntimeHandles { trading: self.trading.clone(), services: self.services.handle().clone() }
    }

    #[must_use]
    pub fn trading_heartbeat(&self) -> ThreadHeartbeat {
        self.trading_heartbeat.clone()
    }

    #[must_use]
    pub fn services_heartbeat(&self) -> ThreadHeartbeat {
        self.services_heartbeat.clone()
    }

    /// Runs the daemon's main future with the services runtime behind it.
    pub fn block_on<F: Future>(&self, main: F) -> F::Output {
        self.services.block_on(main)
    }

    /// Ends both runtimes; not from inside a task. Answers whether the trading thread ended in time: one that spins does
    /// not, and only the end of the process ends it.
    pub fn shutdown(self, wait: Duration) -> bool {
        self.stop.cancel();
        let in_time = self.trading_ended.recv_timeout(wait).is_ok();
        self.services.shutdown_timeout(wait);
        in_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_counts_what_the_trading_thread_waits_for_processors() {
        let runtimes = Runtimes::start().unwrap();
        let heartbeat = runtimes.trading_heartbeat();
        while heartbeat.beats() == 0 {
            std::thread::yield_now();
        }
        let told = std::fs::read_to_string(heartbeat.waits.get().unwrap()).unwrap();
        assert_eq!(told.split_ascii_whitespace().count(), 3, "{told}");
        assert!(runtimes.shutdown(Duration::from_secs(10)));
    }
}
