//! A halt behind a million queued messages: from the request on nothing new leaves, and what is open is cancelled in its time.

use super::*;

/// From the request to the last order that leaves. What the test's own machine adds is measured beside it.
const BLOCKED_WITHIN: Duration = Duration::from_millis(10);
/// From the halt's row to the venue's word that nothing is open, for every account: two questions over loopback. The rest is for
/// machines on which five mailboxes with a million messages each take all processors.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(15);
const FLOODED: [&str; 5] = ["executor/alpha", "executor/beta", "executor/gamma", "risk_manager", "strategy/flip"];

/// Rows of orders that were handed to the venue.
fn departures(home: &Home) -> Vec<Duration> {
    let rows = home.audit("orders");
    let left = rows.iter().filter(|row| row["kind"] == "order_changed" && row["payload"]["status"].as_str() == Some("Submitted"));
    left.map(at).collect()
}

#[test]
fn a_halt_passes_a_million_queued_messages() {
    let mut daemon = Daemon::start(BUSY);
    let home = std::sync::Arc::clone(&daemon.home);
    daemon.wait_for_status("has orders to cancel", WITHIN, |status| {
        status["accounts"].as_array().unwrap().iter().all(|account| account["open_orders"].as_u64() > Some(0))
    });
    for child in FLOODED {
        inject(&daemon, child, "flood");
    }
    let behind = |status: &Value| {
        let waiting = status["children"].as_array().unwrap().iter().filter_map(|child| child["mailbox"].as_u64());
        waiting.max() > Some(500_000)
    };
    daemon.wait_for_status("is a million messages behind", WITHIN, behind);
    let allowance = round_trip(&daemon) * 2;
    let asked = now();
    let (code, answer) = daemon.post("/admin/halt", &json!({ "scope": "global", "by": "ann", "reason": "proof" }));
    let answered = now().saturating_sub(asked);
    assert_eq!(code, 200, "{answer}");
    assert!(behind(&daemon.status()), "the messages were still queued when the halt was answered");
    let all = |status: &Value| status["kill_switch"]["verified"].as_array().unwrap().len() == 3;
    daemon.wait_for_status("has the venue's word for every account", WITHIN, all);
    let operator = home.audit("operator");
    let halted = operator.iter().find(|row| row["kind"] == "mode_changed" && row["payload"]["to"] == "Halted").map(at).unwrap();
    let confirmed: Vec<Duration> =
        operator.iter().filter(|row| row["payload"]["event"] == "confirmed").map(|row| at(row).saturating_sub(halted)).collect();
    let late = departures(&home).into_iter().filter(|left| *left > asked).map(|left| left.saturating_sub(asked)).max();
    eprintln!(
        "halt answered after {answered:?} (a question takes up to {allowance:?}), halted after {:?}, last order left {late:?} after the request, \
         confirmed {confirmed:?} after the halt",
        halted.saturating_sub(asked)
    );
    assert!(late.unwrap_or_default() <= BLOCKED_WITHIN + allowance, "an order left {late:?} after the halt was asked for");
    assert_eq!(confirmed.len(), 3, "{operator:#?}");
    assert!(confirmed.iter().all(|took| *took <= CONFIRMED_WITHIN), "{confirmed:?}");
}
