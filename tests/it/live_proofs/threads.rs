//! Threads below the tree: the health names each that dies, the journal and the alerts have it, and what it means is done.

use super::*;

/// Ten looks, and a machine that is busy with other tests.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

fn told(daemon: &mut Daemon, thread: &str) -> Value {
    daemon.wait_until(&format!("names {thread} in its health"), WITHIN, |daemon| {
        let (_, health) = daemon.get("/health");
        health["status"] == "degraded" && health["degraded"].to_string().contains(thread)
    });
    let (_, alerts) = daemon.get("/alerts");
    let of = |alert: &&Value| alert["kind"] == "thread" && alert["subject"] == thread;
    alerts["open"].as_array().unwrap().iter().find(of).unwrap_or_else(|| panic!("no alert about {thread} in {alerts:#}")).clone()
}

/// From the command's row to the row about the thread, both by the daemon's clock.
fn seen_after(home: &Home, thread: &str) -> Duration {
    let asked = home.audit("operator").iter().rev().find(|row| row["payload"]["verb"] == "inject").map(at).unwrap();
    let rows = home.audit("supervision");
    let row = rows.iter().find(|row| row["payload"]["child"] == thread).unwrap_or_else(|| panic!("no row of {thread}"));
    at(row).saturating_sub(asked)
}

#[test]
fn writers_that_die_are_told_within_a_second_and_trading_goes_on() {
    let mut daemon = Daemon::start(BUSY);
    for (thread, fault, event) in [("log_writer", "panic", "went on"), ("emergency_writer", "fail", "refused a write")] {
        inject(&daemon, thread, fault);
        let alert = told(&mut daemon, thread);
        assert!(alert["text"].as_str().unwrap().contains(event), "{alert}");
        let took = seen_after(&daemon.home, thread);
        eprintln!("{thread}: seen {took:?} after it was asked to {fault}");
        assert!(took <= TOLD_WITHIN, "{thread}: {took:?}");
    }
    let sent = orders(&daemon.status(), "alpha");
    daemon.wait_for_status("trades on", WITHIN, |status| orders(status, "alpha") > sent);
    let lines = daemon.home.log().lines().count();
    daemon.wait_until("logs on", WITHIN, |daemon| daemon.home.log().lines().count() > lines);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.home.log());
}

/// The venue of every account is gone, by a fault of ours: halted, ended, latched; the next life has the venue back.
#[test]
fn an_exchange_whose_engine_dies_halts_everything_and_is_back_in_the_next_life() {
    let mut daemon = Daemon::start(BUSY);
    daemon.wait_for_status("trades", WITHIN, |status| orders(status, "alpha") > 0);
    inject(&daemon, "exchange", "panic");
    assert_eq!(daemon.wait().code(), Some(1), "{}", daemon.home.log());
    let home = std::sync::Arc::clone(&daemon.home);
    assert!(home.log().contains("exchange/usdm"), "{}", home.log());
    drop(daemon);
    let mut next = home.spawn();
    next.wait_until("is halted", WITHIN, |next| next.status()["mode"] == "Halted");
    next.wait_for_status("has the venue's word for every account", WITHIN, |status| {
        status["kill_switch"]["verified"].as_array().unwrap().len() == 3
    });
    let resumed = home.command(&["resume", "--by", "ann", "--reason", "a drill"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    let sent = orders(&next.status(), "alpha");
    next.wait_for_status("trades again", WITHIN, |status| orders(status, "alpha") > sent);
}
