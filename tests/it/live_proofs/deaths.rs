//! No silent death: whatever long-lived task dies, by name, one kind after another.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use super::*;

/// C11's bound for an alert, and ours for the health.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// One of each kind of the trading tree.
const TRADING: [&str; 7] =
    ["executor/alpha", "stream/beta", "market/BTCUSDT", "strategy/flip", "feed/embedded/0", "risk_manager", "metronome"];
/// Of the safety root, whose fourth death within half a minute is the end of the daemon.
const SAFETY: [&str; 3] = ["kill_switch", "watchdog", "safety_beat"];
const OTHERS: [&str; 4] = ["dead_man", "listing", "exchange_server", "api"];

/// The event stream from now on.
fn events(daemon: &Daemon) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.address()).unwrap();
    let mut reader = BufReader::new(stream);
    // Its head is there when it listens.
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap() > 2 {}
    reader
}

/// Whether the stream tells an alert about it before it ends.
fn alerts_about(events: BufReader<TcpStream>, child: &str) -> bool {
    let mut lines = events.lines().map_while(Result::ok);
    lines.any(|line| line.starts_with("data:") && line.contains("\"kind\":\"alert\"") && line.contains(child))
}

/// The newest row of that child's end.
fn death(home: &Home, child: &str) -> Option<Value> {
    let rows = home.audit("supervision");
    rows.into_iter().rev().find(|row| row["payload"]["child"] == child && row["payload"]["event"] == "exited")
}

fn alert_row(home: &Home, child: &str) -> Option<Value> {
    let rows = home.audit("alerts");
    rows.into_iter().find(|row| row["payload"]["alarm"] == "child_died" && row["payload"]["subject"] == child)
}

/// When the health first named the child, by this process's clock; how late it is at most is the time between two questions.
fn degraded_at(daemon: &mut Daemon, child: &str) -> Duration {
    let mut first = None;
    daemon.wait_until(&format!("degrades for {child}"), WITHIN, |daemon| {
        let asked = now();
        let Ok((200, health)) = request(daemon.address(), "GET", "/health", "", None) else { return false };
        let health: Value = serde_json::from_str(&health).unwrap();
        let named = health["status"] == "degraded" && health["degraded"].to_string().contains(child);
        first = named.then_some(asked);
        named
    });
    first.unwrap()
}

/// The status, where the API is there to tell it.
fn status(daemon: &Daemon) -> Option<Value> {
    let (code, text) = request(daemon.address(), "GET", "/status", "", None).ok()?;
    (code == 200).then(|| serde_json::from_str(&text).unwrap())
}

/// Kills it and holds every surface against the time of its death.
fn dies_and_comes_back(daemon: &mut Daemon, child: &str) {
    let home = std::sync::Arc::clone(&daemon.home);
    let before = daemon.wait_for_status("has it", WITHIN, |status| restarts(status).contains_key(child));
    let allowance = round_trip(daemon) * 3;
    let events = events(daemon);
    inject(daemon, child, "panic");
    let seen = degraded_at(daemon, child);
    daemon.wait_until("has its death in the journal", WITHIN, |_| death(&home, child).is_some() && alert_row(&home, child).is_some());
    let died = at(&death(&home, child).unwrap());
    let alerted = at(&alert_row(&home, child).unwrap());
    let (health, alert) = (seen.saturating_sub(died), alerted.saturating_sub(died));
    eprintln!("{child}: in the health after {health:?}, an alert after {alert:?}");
    assert!(health <= TOLD_WITHIN + allowance, "{child}: in the health {health:?} after its death");
    assert!(alert <= TOLD_WITHIN, "{child}: an alert {alert:?} after its death");
    daemon.wait_until(&format!("has {child} back"), WITHIN, |daemon| {
        status(daemon).is_some_and(|status| restarts(&status)[child] > restarts(&before)[child])
    });
    let answers = |daemon: &Daemon| request(daemon.address(), "GET", "/ready", "", None).is_ok_and(|(code, _)| code == 200);
    daemon.wait_until("is ready again", WITHIN, |daemon| answers(daemon));
    let (_, alerts) = daemon.get("/alerts");
    assert!(alerts["open"].as_array().unwrap().iter().any(|alert| alert["subject"] == child), "{child} in {alerts:#}");
    // The server's own end takes the stream along.
    assert!(child == "api" || alerts_about(events, child), "{child}: no event");
}

#[test]
fn whoever_trades_dies_and_is_told_of_within_a_second_and_comes_back() {
    let mut daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
    let home = std::sync::Arc::clone(&daemon.home);
    for child in TRADING {
        dies_and_comes_back(&mut daemon, child);
    }
    let (_, metrics) = daemon.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    let count = |line: &str| -> u64 {
        let found = metrics.lines().find_map(|found| found.strip_prefix(line)).unwrap_or_else(|| panic!("{line} in {metrics}"));
        found.trim().parse().unwrap()
    };
    let all = count("ringfence_alert_published_seconds_count{sink=\"events\"}");
    let prompt = count("ringfence_alert_published_seconds_bucket{sink=\"events\",le=\"1\"}");
    eprintln!("{prompt} of {all} alerts were published within a second");
    assert!(all >= TRADING.len() as u64 && prompt * 100 >= all * 99, "{prompt} of {all}");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

#[test]
fn whoever_keeps_watch_or_serves_dies_and_is_told_of_within_a_second_and_comes_back() {
    for kinds in [&SAFETY[..], &OTHERS[..]] {
        let mut daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
        for child in kinds {
            dies_and_comes_back(&mut daemon, child);
        }
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.home.log());
    }
}

/// The journal has no successor within a life: everything is halted, and the next life has the alert that nobody could write.
#[test]
fn a_journal_that_dies_halts_everything_and_the_next_life_has_the_alert() {
    let mut daemon = Daemon::start(BUSY);
    inject(&daemon, "journal", "fail");
    assert_eq!(daemon.wait().code(), Some(1), "{}", daemon.home.log());
    let home = std::sync::Arc::clone(&daemon.home);
    drop(daemon);
    let mut next = home.spawn();
    next.wait_until("has the alert of the life before", WITHIN, |next| {
        let (_, alerts) = next.get("/alerts");
        let open = alerts["open"].as_array().unwrap();
        open.iter().any(|alert| alert["severity"] == "critical" && alert["text"].as_str().unwrap().contains("storage fault"))
    });
    assert_eq!(next.status()["mode"], "Halted");
}
