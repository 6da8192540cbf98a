//! The daemon under a service manager that speaks systemd's protocol: when it says that it is ready, that it reloads, that it stops,
//! and that what feeds the watchdog stops with whatever stops.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::daemon::{BUSY, Daemon, Home, request};
use crate::support::stage::Stage;

const SOON: Duration = Duration::from_secs(60);
/// What the daemon is told: five looks a second.
const WATCHDOG: Duration = Duration::from_millis(800);
/// Two looks, and as much again for a busy machine.
const FED_LAST_WITHIN: Duration = Duration::from_millis(800);
/// The daemon's own watch out of the way: the feed alone is looked at.
const UNWATCHED: &str = "[supervision]\nthread_deadline = \"60s\"\n";

struct Manager(UnixDatagram);

impl Manager {
    fn new(home: &Home) -> Self {
        let socket = UnixDatagram::bind(home.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self(socket)
    }

    fn command(home: &Home) -> Command {
        let mut command = home.binary(&["run"]);
        if home.config().exists() {
            command.arg("--config").arg(home.config());
        }
        command.env("NOTIFY_SOCKET", home.path().join("notify")).env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        command.env_remove("WATCHDOG_PID");
        command
    }

    /// The next word, or none in that time.
    fn next(&self, within: Duration) -> Option<String> {
        let mut bytes = [0; 4096];
        self.0.set_read_timeout(Some(within.max(Duration::from_millis(1)))).unwrap();
        let length = self.0.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
    }

    /// The next word that is so; feeding is passed over.
    fn until(&self, wanted: &str) -> String {
        let (mut heard, deadline) = (Vec::new(), Instant::now() + SOON);
        while let Some(word) = self.next(deadline.saturating_duration_since(Instant::now())) {
            if word.contains(wanted) {
                return word;
            }
            heard.push(word);
        }
        panic!("expected {wanted:?}, found {heard:?}")
    }

    /// How long after `began` the last sign of life came, listening for so long.
    fn fed_last(&self, began: Instant, listen: Duration) -> Duration {
        let mut last = Duration::ZERO;
        while let Some(word) = self.next(listen.saturating_sub(began.elapsed())) {
            if word.contains("WATCHDOG=1") {
                last = began.elapsed();
            }
        }
        last
    }
}

fn start(config: &str) -> (Manager, Daemon) {
    let home = Home::new(config);
    let manager = Manager::new(&home);
    let daemon = home.start_with(Manager::command(&home));
    manager.until("READY=1\n");
    (manager, daemon)
}

fn inject(daemon: &Daemon, child: &str, fault: &str) {
    let body = json!({ "by": "drill", "reason": "test", "fault": fault });
    let answer = request(daemon.address(), "POST", &format!("/admin/inject/{child}"), &daemon.token(), Some(&body));
    assert!(answer.as_ref().map_or(true, |(code, _)| *code == 200), "{answer:?}");
}

#[test]
fn it_says_when_it_is_ready_how_it_stands_that_it_reloads_and_that_it_stops() {
    let (manager, mut daemon) = start(BUSY);
    assert_eq!(daemon.get("/ready").0, 200);
    assert!(manager.until("STATUS=").contains("Normal"));
    for _ in 0..3 {
        assert_eq!(manager.until("WATCHDOG=1"), "WATCHDOG=1\n");
    }
    daemon.signal(libc::SIGHUP);
    let reloading = manager.until("RELOADING=1");
    let since = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap_or_else(|| panic!("{reloading:?}"));
    assert!(since.parse::<u64>().is_ok_and(|since| since > 0), "{reloading:?}");
    manager.until("READY=1\n");
    let halted = daemon.post("/admin/halt", &json!({ "scope": "global", "by": "ann", "reason": "drill" }));
    assert_eq!(halted.0, 200, "{halted:?}");
    // The mode is told as soon as it holds, and its cause when its row is durable.
    let status = manager.until("ann");
    assert!(status.starts_with("STATUS=Halted"), "{status}");
    daemon.signal(libc::SIGTERM);
    manager.until("STOPPING=1\n");
    assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.home.log());
}

#[test]
fn while_an_account_waits_it_is_not_ready_and_says_for_what_it_waits() {
    let stage = Stage::open(21);
    stage.configure(false, false);
    std::fs::write(stage.key_file("alpha"), "the-key\nanother-secret\n").unwrap();
    let (manager, home) = (Manager::new(&stage.home), Arc::clone(&stage.home));
    let daemon = home.launch_with(Manager::command(&home));
    let status = manager.until("executor/alpha");
    assert!(status.starts_with("STATUS=") && status.contains("waiting for"), "{status}");
    let (began, mut heard) = (Instant::now(), Vec::new());
    while let Some(word) = manager.next(Duration::from_secs(3).saturating_sub(began.elapsed())) {
        heard.push(word);
    }
    assert!(heard.iter().all(|word| !word.contains("READY")), "{heard:?}");
    assert!(heard.iter().any(|word| word.contains("WATCHDOG=1")), "alive it is: {heard:?}");
    drop(daemon);
}

#[test]
fn without_a_manager_there_is_nobody_to_tell() {
    let daemon = Daemon::start("");
    assert!(daemon.status()["children"].as_array().unwrap().iter().all(|child| child["name"] != "service_manager"));
}

#[test]
fn a_trading_thread_that_spins_is_not_fed_for() {
    let (manager, mut daemon) = start(&format!("{BUSY}{UNWATCHED}"));
    manager.until("WATCHDOG=1");
    inject(&daemon, "strategy/flip", "spin");
    let began = Instant::now();
    let last = manager.fed_last(began, Duration::from_secs(4));
    assert!(last < FED_LAST_WITHIN, "fed {last:?} after the thread stood still");
    // Nobody would have ended it: this is what a watchdog is for.
    daemon.wait_until("still runs", SOON, |_| true);
}

/// With every thread of the services held up nobody answers there; the trading thread goes on.
#[test]
fn services_that_hang_are_not_fed_for() {
    let (manager, daemon) = start(&format!("{BUSY}{UNWATCHED}"));
    manager.until("WATCHDOG=1");
    for child in ["safety_beat", "api"] {
        inject(&daemon, child, "spin");
    }
    let began = Instant::now();
    // The daemon's own watch ends it after five seconds.
    let last = manager.fed_last(began, Duration::from_secs(4));
    assert!(last < FED_LAST_WITHIN, "fed {last:?} after the services stood still");
}
