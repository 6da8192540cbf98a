//! No silent death: a child that dies shows in the health, in the event stream and in the journal, and orders wait for risk.

use super::*;

fn degraded(daemon: &Daemon) -> (String, String) {
    let (code, health) = daemon.get("/health");
    assert_eq!(code, 200, "{health}");
    (health["status"].as_str().unwrap().to_owned(), health["degraded"].to_string())
}

#[test]
fn a_death_degrades_the_health_within_a_second_and_is_told_in_the_events() {
    let mut daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
    daemon.wait_until("is well", BACK_WITHIN, |daemon| degraded(daemon) == ("well".to_owned(), "[]".to_owned()));
    for child in ["executor/gamma", "strategy/score", "market/ETHUSDT", "metronome", "kill_switch", "watchdog"] {
        inject(&daemon, child, "panic");
        daemon.wait_until(&format!("tells of {child}"), Duration::from_secs(1), |daemon| {
            let (status, what) = degraded(daemon);
            status == "degraded" && what.contains(child)
        });
        daemon.wait_for_status("tells of it in its events", BACK_WITHIN, |status| {
            let events = status["events"].as_array().unwrap();
            events.iter().any(|event| event["text"].as_str().is_some_and(|text| text.starts_with(child) && text.contains("injected panic")))
        });
    }
    daemon.wait_until("is well again", BACK_WITHIN, |daemon| degraded(daemon).0 == "well");
}

/// What stands between risk's death and its return is in the journal: no order was intended meanwhile, and none by an
/// approval of the dead one afterwards.
#[test]
fn no_order_passes_without_a_risk_manager_and_exposures_come_back_with_it() {
    let mut daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
    trades_on(&mut daemon, &ACCOUNTS);
    inject(&daemon, "risk_manager", "wedge");
    daemon.wait_for_status("has a new risk manager", BACK_WITHIN, |status| incarnation(status, "risk_manager") == 2);
    trades_on(&mut daemon, &ACCOUNTS);
    // A new risk manager that did not know the positions would let them grow past the limit that it has.
    let status = daemon.status();
    for account in status["accounts"].as_array().unwrap() {
        for position in account["positions"].as_array().unwrap() {
            assert!(!position["quantity"].is_null(), "{position}");
        }
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.home.log());
    let rows = daemon.home.audit("supervision");
    let at = |event: &str, incarnation: u64| {
        let of = |row: &&Value| {
            row["payload"]["child"] == "risk_manager" && row["payload"]["event"] == event && row["payload"]["incarnation"] == incarnation
        };
        rows.iter().find(of).unwrap_or_else(|| panic!("no {event} of #{incarnation}"))["seq"].as_u64().unwrap()
    };
    let (gone, back) = (at("exited", 1), at("started", 2));
    let intended: Vec<Value> = daemon.home.audit("orders").into_iter().filter(|row| row["kind"] == "order_intended").collect();
    assert!(intended.iter().all(|row| !(gone..back).contains(&row["seq"].as_u64().unwrap())), "an order passed without a risk manager");
    for row in intended.iter().filter(|row| row["seq"].as_u64() > Some(back)) {
        assert_eq!(row["payload"]["risk_incarnation"], 2, "{row}");
    }
}
