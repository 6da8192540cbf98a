//! A panic in each kind of child: that child is restarted, nobody else is, and trading goes on.

use super::*;

/// Every kind that is restarted, and whom its fault may take along: the feed has its connection to the market's server.
const KINDS: [(&str, &[&str]); 13] = [
    ("executor/alpha", &[]),
    ("stream/beta", &[]),
    ("market/BTCUSDT", &[]),
    ("strategy/flip", &[]),
    ("strategy/score", &[]),
    ("feed/embedded/0", &[]),
    ("risk_manager", &[]),
    ("metronome", &[]),
    ("kill_switch", &[]),
    ("watchdog", &[]),
    ("safety_beat", &[]),
    ("api", &[]),
    ("exchange_server", &["feed/embedded/0"]),
];

#[test]
fn a_panic_restarts_its_child_alone_and_is_in_the_journal() {
    let mut daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
    trades_on(&mut daemon, &ACCOUNTS);
    for (child, touched) in KINDS {
        breaks_and_returns(&mut daemon, child, "panic", touched);
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.home.log());
    for (child, _) in KINDS {
        let rows = supervision_of(&daemon.home, child);
        let exit = rows.iter().find(|(_, event, ..)| event == "exited").unwrap_or_else(|| panic!("{child}: {rows:?}"));
        assert_eq!((exit.0, exit.2.as_str()), (1, "panic"), "{child}: {rows:?}");
        assert!(exit.3.contains("injected panic"), "{child}: {rows:?}");
        for event in ["restart_scheduled", "started"] {
            assert!(rows.iter().any(|(_, what, ..)| what == event), "{child} expected {event}, found {rows:?}");
        }
    }
    let verified = daemon.home.command(&["audit", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
}

#[test]
fn a_panic_in_the_watch_over_the_journal_halts_everything_and_ends_the_daemon_latched() {
    let mut daemon = Daemon::start(BUSY);
    trades_on(&mut daemon, &ACCOUNTS);
    inject_to_the_end(&daemon, "journal", "panic");
    spins::ends_halted_and_stays_so(daemon, "journal");
}
