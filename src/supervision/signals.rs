//! Every signal of the system becomes one enum. SIGINT and SIGTERM ask for an ordered stop the first time and for an end
//! at once the second time; SIGHUP asks for the configuration to be read again. What they lead to is the daemon's business.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::Instant;

/// What the outside asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stop in order.
    Stop,
    /// Stop at once: asked a second time.
    StopNow,
    /// Read the configuration again.
    Reload,
}

/// Sends this process the signal that Ctrl-C would: for a terminal that no longer does.
///
/// # Errors
/// When the system refuses, which it does not for one's own process.
pub fn interrupt_self() -> io::Result<()> {
    // SAFETY: raise takes a number and touches no memory of ours.
    if unsafe { libc::raise(libc::SIGINT) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives the requests to stop back to the system, whose way is to end the process at once. For the last stretch of a stop,
/// when nobody listens any more.
pub fn unhandle() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: SIG_DFL is a valid disposition and no memory of ours; that a handler is replaced is what is wanted.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// One request may arrive twice (`timeout` signals the process and its group): within this it is the same one. A person's
/// second Ctrl-C comes later than that.
const SAME_REQUEST: Duration = Duration::from_millis(50);

/// Tells the first request to stop from the later ones.
#[derive(Debug, Clone, Copy, Default)]
struct StopRequests {
    asked: Option<Instant>,
}

impl StopRequests {
    fn next(&mut self, now: Instant) -> Signal {
        match self.asked {
            Some(first) if now.duration_since(first) >= SAME_REQUEST => Signal::StopNow,
            _ => {
                self.asked.get_or_insert(now);
                Signal::Stop
            }
        }
    }
}

/// The signals of this process from now on.
#[derive(Debug)]
pub struct Signals {
    interrupt: Stream,
    terminate: Stream,
    hangup: Stream,
    stops: StopRequests,
}

impl Signals {
    /// Takes over the process's handlers; needs a runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            stops: StopRequests::default(),
        })
    }

    /// The next one. Can be dropped and called again without losing any.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            // Stopping goes before reloading.
            biased;
            Some(()) = self.interrupt.recv() => self.stops.next(Instant::now()),
            Some(()) = self.terminate.recv() => self.stops.next(Instant::now()),
            Some(()) = self.hangup.recv() => Signal::Reload,
            // The streams of the process never end; if they did there would be nothing more to wait for.
            else => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_stops_in_order_and_every_later_one_at_once() {
        let mut stops = StopRequests::default();
        let first = Instant::now();
        let after = |millis| first + Duration::from_millis(millis);
        assert_eq!([0, 10, 50, 90].map(|millis| stops.next(after(millis))), [Signal::Stop, Signal::Stop, Signal::StopNow, Signal::StopNow]);
    }

    #[tokio::test]
    async fn a_hangup_of_this_process_arrives_as_a_reload() {
        let mut signals = Signals::listen().unwrap();
        let sent = std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(signals.next().await, Signal::Reload);
    }
}
