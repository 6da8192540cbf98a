//! Controls that only show in the whole daemon: by the journal and the exchange's own record after it traded.

use std::time::Duration;

use ringfence::domain::order::SelfTradePrevention;
use ringfence::domain::record::Record;
use serde_json::{Value, json};

use crate::support::daemon::{BUSY, Daemon, Home};
use crate::support::ledger::Ledger;

const WITHIN: Duration = Duration::from_secs(60);

/// Two venues: two accounts on the one, one on the other.
const TWO_VENUES: &str = r#"
[[accounts]]
id = "alpha"
starting_funds = "100000"
[[accounts]]
id = "beta"
starting_funds = "50000"
[[accounts]]
id = "coin"
venue = "embedded_spot"
starting_funds = "50000"

[[symbols]]
name = "BTCUSDT"
[[symbols]]
name = "ETHUSDT"
[symbols.instrument]
kind = "spot"

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

[[strategies]]
id = "coins"
kind = "ema_cross"
accounts = ["coin"]
symbols = ["ETHUSDT"]
interval = "1s"
[strategies.settings]
fast = 1
slow = 2
order_value = "1000"
open_at_start = true
"#;

fn mode(status: &Value, account: &str) -> String {
    let accounts = status["accounts"].as_array().unwrap();
    accounts.iter().find(|one| one["name"] == account).unwrap()["mode"].as_str().unwrap().to_owned()
}

fn modes(status: &Value) -> [String; 3] {
    ["alpha", "beta", "coin"].map(|account| mode(status, account))
}

fn orders(status: &Value, account: &str) -> u64 {
    let accounts = status["accounts"].as_array().unwrap();
    accounts.iter().find(|one| one["name"] == account).unwrap()["orders"].as_u64().unwrap()
}

fn ask(home: &Home, verb: &str, venue: &str) -> i32 {
    home.command(&[verb, "--venue", venue, "--by", "ann", "--reason", "drill"]).code
}

#[test]
fn a_venues_accounts_are_emptied_and_nobody_elses() {
    let mut daemon = Daemon::start(TWO_VENUES);
    let home = std::sync::Arc::clone(&daemon.home);
    assert_eq!(ask(&home, "halt", "embedded"), 0);
    let status = daemon
        .wait_for_status("has the venue's word for both", WITHIN, |status| status["kill_switch"]["verified"] == json!(["alpha", "beta"]));
    assert_eq!(modes(&status), ["Halted", "Halted", "Normal"]);
    let sent = orders(&status, "coin");
    daemon.wait_for_status("trades on at the other venue", WITHIN, |status| orders(status, "coin") > sent);
    assert_eq!(ask(&home, "halt", "nowhere"), 2, "no account trades there");
    daemon.wait_until("may be resumed", WITHIN, |_| ask(&home, "resume", "embedded") == 0);
    assert_eq!(ask(&home, "halt", "embedded_spot"), 0);
    // An executor shows its mode with its next beat.
    daemon.wait_for_status("has the other venue's word", WITHIN, |status| {
        status["kill_switch"]["verified"] == json!(["coin"]) && modes(status) == ["Normal", "Normal", "Halted"]
    });
    // Each account is a command of its own in the journal.
    let commands = home.audit("operator").into_iter().filter(|row| row["payload"]["verb"] == "halt").map(|row| row["account"].clone());
    assert_eq!(commands.collect::<Vec<_>>(), [json!("alpha"), json!("beta"), json!("coin")]);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

/// A daemon that traded and stopped in order.
fn traded() -> std::sync::Arc<Home> {
    let mut daemon = Daemon::start(BUSY);
    daemon.wait_for_status("has fills on every account", WITHIN, |status| {
        status["accounts"].as_array().unwrap().iter().all(|account| account["fills"].as_u64() >= Some(3))
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.home.log());
    std::sync::Arc::clone(&daemon.home)
}

#[test]
fn every_order_at_the_venue_was_recorded_first_with_its_decision_strategy_account_and_times() {
    let home = traded();
    Ledger::read(&home).check_settled();
    let rows = home.audit("orders");
    let of = |id: &Value, kind: &str| rows.iter().filter(|row| row["client_order_id"] == *id && row["kind"] == kind).collect::<Vec<_>>();
    let intended: Vec<&Value> = rows.iter().filter(|row| row["kind"] == "order_intended").collect();
    assert!(!intended.is_empty());
    for row in intended {
        let (intent, id) = (&row["payload"]["intent"], &row["client_order_id"]);
        for field in ["strategy", "account", "symbol", "side", "quantity", "reason"] {
            assert!(intent[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {row}");
        }
        assert!(intent["decided_at"].as_u64() > Some(0) && intent["decided_at"].as_u64() <= row["at"].as_u64(), "{row}");
        assert!(row["payload"]["risk_incarnation"].as_u64() > Some(0), "who approved it: {row}");
        for later in of(id, "order_changed").iter().chain(&of(id, "filled")) {
            assert!(later["seq"].as_u64() > row["seq"].as_u64() && later["at"].as_u64() >= row["at"].as_u64(), "{later}");
        }
    }
}

/// A trade is a row, with its order, within a moment of the venue's time of it.
#[test]
fn every_trade_is_reported_at_once() {
    let home = traded();
    let rows = home.audit("orders");
    let mut late: Vec<Duration> = rows
        .iter()
        .filter(|row| row["kind"] == "filled")
        .map(|row| {
            let traded = row["payload"]["fill"]["at"].as_u64().unwrap();
            Duration::from_nanos(row["at"].as_u64().unwrap().saturating_sub(traded))
        })
        .collect();
    late.sort_unstable();
    let (middle, last) = (late[late.len() / 2], late[late.len() - 1]);
    eprintln!("{} trades recorded, half of them within {middle:?}, all within {last:?}", late.len());
    assert!(middle <= Duration::from_secs(1), "half of the trades were recorded later than {middle:?} after they happened");
}

#[test]
fn every_order_carries_self_trade_prevention() {
    let ledger = Ledger::read(&traded());
    let orders = ledger.rows.iter().filter_map(|(_, record)| match record {
        Record::OrderIntended { order, .. } => Some(order),
        _ => None,
    });
    let (mut all, mut bare) = (0, Vec::new());
    for order in orders {
        all += 1;
        if order.self_trade_prevention != SelfTradePrevention::ExpireMaker {
            bare.push(order.client_order_id);
        }
    }
    assert!(all > 0 && bare.is_empty(), "{bare:?} of {all}");
}
