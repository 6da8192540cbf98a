//! A handler that never comes back on the trading thread: nobody there can act any more, so the daemon is halted from
//! outside of it, ends, and stays halted until a person resumes it.

use super::*;
use ringfence::supervision::SERVICES_WORKERS;

/// From a trading thread that stands still to a venue that shows no open order: 0.55 s, within a second by the watch's limit
/// (`STALL_LIMIT_DEFAULT`). The rest is for a machine that is busy with other tests, where this thread waits too.
const HALTED_WITHIN: Duration = Duration::from_secs(3);

/// Waits for the daemon to end by itself, then starts it again: it must come up halted, send nothing, and trade after a
/// named person resumed it.
pub(super) fn ends_halted_and_stays_so(mut daemon: Daemon, why: &str) {
    let ended = daemon.wait();
    assert_eq!(ended.code(), Some(1), "{}", daemon.home.log());
    let log = daemon.home.log();
    assert!(log.contains("halted and ended") && log.contains(why), "{log}");
    let mut next = daemon.home.spawn();
    let status = next.wait_for_status("has its safety tree", BACK_WITHIN, |status| incarnation(status, "kill_switch") > 0);
    assert_eq!(status["mode"], "Halted", "{status:#}");
    let status = next.wait_for_status("has confirmed every account", BACK_WITHIN, |status| {
        verified(status).len() == ACCOUNTS.len() && ACCOUNTS.iter().all(|name| orders(status, name) > 0)
    });
    let halted = ACCOUNTS.map(|name| orders(&status, name));
    let later = next.wait_for_status("sees the market move", BACK_WITHIN, |now| frames(now) > frames(&status) + 500);
    assert_eq!(ACCOUNTS.map(|name| orders(&later, name)), halted, "a halted daemon sends nothing");
    resume_in_the_end(&mut next, &json!("global"));
    trades_on(&mut next, &ACCOUNTS);
    assert_eq!(next.terminate().code(), Some(0), "{}", next.home.log());
    let exit = next.home.audit("operator").into_iter().find(|row| row["payload"]["event"] == "exit");
    let exit = exit.unwrap_or_else(|| panic!("expected the row of the exit\n{}", next.home.log()));
    assert!(exit["payload"]["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{exit}");
}

#[test]
fn a_spin_on_the_trading_thread_is_halted_from_outside_within_a_second() {
    let mut daemon = Daemon::start(BUSY);
    daemon.wait_for_status("has open orders to cancel", TRADES_WITHIN, |status| open_orders(status) > 0);
    inject(&daemon, "strategy/flip", "spin");
    let home = std::sync::Arc::clone(&daemon.home);
    let status = daemon.wait();
    assert_eq!(status.code(), Some(1), "{}", home.log());
    let at = |row: &Value| Duration::from_nanos(row["at"].as_u64().unwrap_or_else(|| panic!("{row}")));
    let rows = home.audit("operator");
    let injected = rows.iter().find(|row| row["payload"]["verb"] == "inject").unwrap_or_else(|| panic!("{rows:#?}"));
    let confirmed: Vec<&Value> = rows.iter().filter(|row| row["payload"]["event"] == "confirmed").collect();
    assert_eq!(confirmed.len(), ACCOUNTS.len(), "{rows:#?}");
    for row in &confirmed {
        let took = at(row).saturating_sub(at(injected));
        eprintln!("{} without an open order {took:?} after the injection", row["payload"]["scope"]);
        assert!(took <= HALTED_WITHIN, "expected no open order within {HALTED_WITHIN:?} of the injection, found {took:?}: {row}");
    }
    ends_halted_and_stays_so(daemon, "thread stood still");
}

/// With as many spinning children as the services have threads, no kill switch, no supervisor and no API is left; the trading
/// thread goes on.
#[test]
fn spins_on_every_thread_of_the_services_are_the_end_with_every_order_cancelled_and_the_halt_latched() {
    const SPINNING: [&str; SERVICES_WORKERS] = ["safety_beat", "api"];
    let mut daemon = Daemon::start(BUSY);
    daemon.wait_for_status("has open orders to cancel", TRADES_WITHIN, |status| open_orders(status) > 0);
    for child in SPINNING {
        inject_to_the_end(&daemon, child, "spin");
    }
    assert_eq!(daemon.wait().code(), Some(1), "{}", daemon.home.log());
    let log = daemon.home.log();
    assert_eq!(log.matches("the venue shows no open order").count(), ACCOUNTS.len(), "{log}");
    ends_halted_and_stays_so(daemon, "the services thread stood still");
}

/// It lives on another thread than trading, and nobody can kill it there either: its supervisor gives it up, and what it
/// would have done is done without it.
#[test]
fn a_kill_switch_that_spins_is_the_end_with_every_order_cancelled_and_the_halt_latched() {
    let mut daemon = Daemon::start(BUSY);
    daemon.wait_for_status("has open orders to cancel", TRADES_WITHIN, |status| open_orders(status) > 0);
    inject_to_the_end(&daemon, "kill_switch", "spin");
    ends_halted_and_stays_so(daemon, "kill_switch");
}
