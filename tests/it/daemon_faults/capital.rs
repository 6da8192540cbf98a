//! A risk manager that is started again while an account's executor is silent: the account still counts, and holds nobody up.

use super::*;

/// One strategy on two accounts, and capital for the position of one of them. Nobody is killed for being silent.
const ROOM_FOR_ONE: &str = r#"
[[strategies]]
id = "flip"
kind = "ema_cross"
accounts = ["alpha", "beta"]
symbols = ["BTCUSDT"]
interval = "1s"
[strategies.settings]
fast = 1
slow = 2
order_value = "1000"
open_at_start = true

[risk]
max_capital = "1500"

[supervision]
heartbeat_deadline = "10m"
"#;

fn holds(status: &Value, name: &str) -> bool {
    let positions = account(status, name)["positions"].as_array().unwrap();
    positions.iter().any(|position| !position["quantity"].as_str().unwrap().parse::<rust_decimal::Decimal>().unwrap().is_zero())
}

/// Refusals of that account's orders by that control.
fn refusals(daemon: &Daemon, name: &str, control: &str) -> usize {
    let rows = daemon.home.audit("orders");
    let refused = rows.iter().filter(|row| row["kind"] == "order_refused").map(|row| &row["payload"]);
    refused.filter(|row| row["intent"]["account"] == name && row["control"] == control).count()
}

#[test]
fn a_silent_account_still_counts_for_a_risk_manager_that_was_started_again() {
    let mut daemon = Daemon::start(ROOM_FOR_ONE);
    let held = |status: &Value| ["alpha", "beta"].into_iter().find(|name| holds(status, name));
    let status = daemon.wait_for_status("holds a position", TRADES_WITHIN, |status| held(status).is_some());
    let holder = held(&status).unwrap();
    let other = if holder == "alpha" { "beta" } else { "alpha" };
    daemon.wait_until("has no room for the other account", TRADES_WITHIN, |daemon| refusals(daemon, other, "capital") > 0);
    inject(&daemon, &format!("executor/{holder}"), "wedge");
    let before = refusals(&daemon, other, "capital");
    inject(&daemon, "risk_manager", "panic");
    let again = |status: &Value| incarnation(status, "risk_manager") == 2;
    daemon.wait_for_status("has a new risk manager", BACK_WITHIN, again);
    daemon.wait_until("still has no room for the other account", TRADES_WITHIN, |daemon| {
        assert_eq!(orders(&daemon.status(), other), 0, "the silent account's capital was given away");
        // A bar may have been refused between the count and the panic.
        refusals(daemon, other, "capital") > before + 2
    });
    assert!(refusals(&daemon, holder, "reconciliation") > 0, "and its own orders wait for its executor");
    drop(daemon.kill());
}
