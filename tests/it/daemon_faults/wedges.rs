//! A child that waits for ever: its heartbeat stops, it is killed and restarted, nobody else is touched.

use super::*;

const KINDS: [(&str, &[&str]); 11] = [
    ("executor/alpha", &[]),
    ("stream/beta", &[]),
    ("market/BTCUSDT", &[]),
    ("strategy/flip", &[]),
    ("feed/embedded/0", &[]),
    ("risk_manager", &[]),
    ("metronome", &[]),
    ("kill_switch", &[]),
    ("safety_beat", &[]),
    ("api", &[]),
    ("exchange_server", &["feed/embedded/0"]),
];

#[test]
fn a_wedge_is_found_by_its_missing_heartbeat_and_restarted_alone() {
    let mut daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
    trades_on(&mut daemon, &ACCOUNTS);
    for (child, touched) in KINDS {
        breaks_and_returns(&mut daemon, child, "wedge", touched);
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.home.log());
    for (child, _) in KINDS {
        let rows = supervision_of(&daemon.home, child);
        let stall = rows.iter().find(|(_, event, ..)| event == "stalled").unwrap_or_else(|| panic!("{child}: {rows:?}"));
        assert_eq!((stall.0, stall.2.as_str()), (1, "stall"), "{child}: {rows:?}");
    }
}

/// A wedged thread cannot be killed, and two watches must not run at once: a watchdog that cannot be replaced is the end.
#[test]
fn a_wedge_of_the_watchdog_halts_everything_and_ends_the_daemon_latched() {
    let mut daemon = Daemon::start(BUSY);
    trades_on(&mut daemon, &ACCOUNTS);
    inject_to_the_end(&daemon, "watchdog", "wedge");
    spins::ends_halted_and_stays_so(daemon, "watchdog");
}
