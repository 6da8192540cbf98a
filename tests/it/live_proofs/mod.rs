//! Proofs over the running daemon, with figures: what dies is seen within a second and comes back, a dying account costs its neighbours
//! nothing, a halt passes a million messages, a venue cancels for a daemon that cannot, a restart moves one counter. Times are
//! the daemon's own, from its journal, so that a busy machine that runs the test late does not make them longer.

mod bulkheads;
mod dead_man;
mod deaths;
mod halt;
mod restarts;
mod stress;
mod threads;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::daemon::{BUSY, Daemon, Home, request};

/// Budgets out of the way, for proofs that break things again and again and mean each alone.
const PATIENT: &str = r#"
[supervision]
intensity = 100
backoff_max = "100ms"
[supervision.fault_budgets]
transport = { count = 1000, period = "1m" }
venue_reject = { count = 1000, period = "1m" }
data = { count = 1000, period = "1m" }
panic = { count = 1000, period = "1m" }
stall = { count = 1000, period = "1m" }
"#;

/// A restart takes milliseconds; the rest is for a machine that is busy with other tests.
const WITHIN: Duration = Duration::from_secs(60);

fn inject(daemon: &Daemon, child: &str, fault: &str) {
    let body = json!({ "by": "drill", "reason": "proof", "fault": fault });
    // An API that dies of it may not answer; whoever waits for what must follow finds out.
    let _ = request(daemon.address(), "POST", &format!("/admin/inject/{child}"), &daemon.token(), Some(&body));
}

/// When a row was made, by the daemon's clock.
fn at(row: &Value) -> Duration {
    Duration::from_nanos(row["at"].as_u64().unwrap_or_else(|| panic!("expected a time in {row}")))
}

/// The same clock, as far as this process knows: the daemon's follows the wall's.
fn now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

/// How long a question to the daemon takes right now: what a busy machine adds to whatever is measured from here.
fn round_trip(daemon: &Daemon) -> Duration {
    let ask = || {
        let began = Instant::now();
        let _ = request(daemon.address(), "GET", "/health", "", None);
        began.elapsed()
    };
    (0..5).map(|_| ask()).max().unwrap_or_default()
}

/// Every child's restarts by name.
fn restarts(status: &Value) -> BTreeMap<String, u64> {
    let each = status["children"].as_array().unwrap().iter();
    each.map(|child| (child["name"].as_str().unwrap().to_owned(), child["restarts"].as_u64().unwrap())).collect()
}

fn orders(status: &Value, account: &str) -> u64 {
    let accounts = status["accounts"].as_array().unwrap();
    accounts.iter().find(|one| one["name"] == account).and_then(|one| one["orders"].as_u64()).unwrap()
}

/// The value below which that share of all is; of few it is the largest.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let place = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len());
    sorted[place - 1]
}
