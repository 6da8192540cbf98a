//! The real daemon on I/O that fails: every boundary that has a name is really reached, a daemon that dies there has a successor
//! that goes on from what is there, and a disk that refuses ends trading before an order leaves without its row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::support::daemon::{BUSY, Home};
use crate::support::io_faults::{IoFaults, When};

/// A file of the journal for some hundred rows, so that a run of seconds has rotations and checkpoints in it.
const SMALL_FILES: &str = "[journal]\ncheckpoint_every = 100\nrows_per_file = 150\n";
/// Three files full of rows take a busy machine that long.
const REACHED_WITHIN: Duration = Duration::from_secs(120);
/// The boundaries that a daemon reaches when it halts and when its journal has failed, and not by trading.
const BY_A_HALT: &[&str] = &["cancel.send", "latch.write", "latch.sync", "latch.rename"];
const BY_A_SICK_JOURNAL: &[&str] = &["emergency.write", "emergency.sync"];

fn home() -> Arc<Home> {
    Home::new(&format!("{SMALL_FILES}{BUSY}"))
}

/// The chain proves itself, and no order was intended twice.
fn makes_sense(home: &Home) {
    let verified = home.command(&["audit", "verify", "--json"]);
    assert!(verified.code == 0 && verified.json()["outcome"] == "intact", "{verified:?}");
    let mut intended = BTreeMap::new();
    for row in home.audit("orders").iter().filter(|row| row["kind"] == "order_intended") {
        let name = row["client_order_id"].as_str().unwrap();
        let before = intended.insert(name.to_owned(), row["seq"].clone());
        assert_eq!(before, None, "{name} was intended twice");
    }
    assert!(!intended.is_empty());
}

#[test]
fn every_boundary_is_reached() {
    let home = home();
    let faults = home.io_faults();
    let mut daemon = home.start();
    let by_trading = |name: &&str| !BY_A_HALT.contains(name) && !BY_A_SICK_JOURNAL.contains(name);
    let more_than = |names: &[&str], before: &BTreeMap<&str, u64>| names.iter().all(|name| faults.hits(name) > before[name]);
    let names: Vec<&str> = IoFaults::boundaries().filter(by_trading).collect();
    let none = faults.all_hits().into_keys().map(|name| (name, 1)).collect();
    daemon.wait_until("reaches what trading reaches", REACHED_WITHIN, |_| more_than(&names, &none));
    let before = faults.all_hits();
    assert_eq!(home.command(&["halt", "--by", "ann", "--reason", "tried"]).code, 0);
    daemon.wait_until("reaches what a halt reaches", REACHED_WITHIN, |_| more_than(BY_A_HALT, &before));
    let before = faults.all_hits();
    assert_eq!(home.command(&["inject", "journal", "fail"]).code, 0);
    assert_eq!(daemon.wait().code(), Some(1), "{}", home.log());
    assert!(more_than(BY_A_SICK_JOURNAL, &before), "{:?}", faults.all_hits());
    makes_sense(&home);
}

/// A life that ends at the boundary, and one that goes on from there.
fn killed_at(home: &Arc<Home>, boundary: &str, when: When) {
    let faults = home.io_faults();
    faults.heal();
    let mut daemon = home.start();
    let fired = faults.fired(boundary);
    // Not the first one: something lies behind it.
    faults.kill_at(boundary, 2, when);
    daemon.dies(REACHED_WITHIN);
    assert_eq!(faults.fired(boundary), fired + 1, "{boundary} {when:?}");
    faults.heal();
}

#[test]
fn a_daemon_that_is_killed_between_a_row_and_its_order_has_a_successor_that_knows_both() {
    let home = home();
    for boundary in ["journal.append", "journal.sync", "ack", "order.send", "order.answer", "checkpoint.write", "segment.make"] {
        for when in [When::Before, When::After] {
            killed_at(&home, boundary, when);
        }
    }
    let mut daemon = home.start();
    daemon.wait_until("trades on", REACHED_WITHIN, |daemon| daemon.status()["mode"] == "Normal");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    makes_sense(&home);
}

/// What refuses, and how.
type Refusal = (&'static str, fn(&IoFaults));

const REFUSALS: [Refusal; 3] = [
    ("journal.sync", |faults| faults.fail_at("journal.sync", 1, libc::EIO)),
    ("journal.append", |faults| faults.fail_from("journal.append", 1, libc::ENOSPC)),
    // What it did is on the disk, and nobody may rely on it.
    ("checkpoint.sync", |faults| faults.fail_after("checkpoint.sync", 1, libc::EIO)),
];

#[test]
fn a_disk_that_refuses_ends_trading_and_no_order_leaves_without_its_row() {
    for (boundary, refuse) in REFUSALS {
        let home = home();
        let faults = home.io_faults();
        let mut daemon = home.start();
        daemon.wait_until("trades", REACHED_WITHIN, |_| faults.hits("order.send") > 5);
        refuse(faults);
        daemon.wait_until("is refused", REACHED_WITHIN, |_| faults.fired(boundary) > 0);
        assert_eq!(daemon.wait().code(), Some(1), "{boundary}: {}", home.log());
        let sent = home.log().matches("order sent").count();
        faults.heal();
        let mut daemon = home.start();
        daemon.wait_until("is halted still", REACHED_WITHIN, |daemon| daemon.status()["mode"] == "Halted");
        assert_eq!(home.log().matches("order sent").count(), sent, "{boundary}: a halted daemon sends nothing");
        assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
        makes_sense(&home);
    }
}

#[test]
fn a_head_that_was_never_written_is_older_and_not_wrong() {
    let home = home();
    let faults = home.io_faults();
    let mut daemon = home.start();
    faults.pretend_at("journal.head", 1);
    faults.kill_at("ack", 2, When::Before);
    daemon.dies(REACHED_WITHIN);
    assert_eq!(faults.fired("journal.head"), 1);
    makes_sense(&home);
}
