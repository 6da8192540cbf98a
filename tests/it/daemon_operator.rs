//! An operator's verbs on the command line against a daemon that trades: what they stop, by account, strategy, symbol and as
//! a whole, what goes on meanwhile, and who may start it again.

use std::sync::Arc;
use std::time::Duration;

use ringfence::domain::mode::{Mode, Scope};
use ringfence::domain::order::{OrderIntent, OrderStatus};
use ringfence::domain::record::Record;
use serde_json::{Value, json};

use crate::support::daemon::{BUSY, Daemon, Home};
use crate::support::ledger::Ledger;

const WITHIN: Duration = Duration::from_secs(60);
/// A strategy that holds waits for the market to turn, which it does several times a minute, now and then once in two.
const TURNS_WITHIN: Duration = Duration::from_secs(240);

/// A verb by ann, for a reason.
fn ask(home: &Home, verb: &str, scope: &[&str]) {
    let outcome = home.command(&[&[verb], scope, &["--by", "ann", "--reason", "drill"]].concat());
    assert_eq!(outcome.code, 0, "{verb} {scope:?}: {outcome:?}");
}

/// Orders meant after the scope was halted and before it was resumed: the gate let none of them leave.
fn check_nothing_left(home: &Home, scope: Scope, within: impl Fn(&OrderIntent) -> bool) {
    let ledger = Ledger::read(home);
    let standing = ledger.standing();
    let mut halted = false;
    let mut halts = 0;
    for (_, record) in &ledger.rows {
        match record {
            Record::ModeChanged { scope: changed, to, .. } if *changed == scope => {
                halted = *to == Mode::Halted;
                halts += u32::from(halted);
            }
            Record::OrderIntended { intent, order, .. } if halted && within(intent) => {
                let status = standing[&order.client_order_id];
                assert_eq!(status, OrderStatus::NotSent, "{} was meant after the halt of {scope}", order.client_order_id);
                assert!(ledger.trades.iter().all(|trade| trade.client_order_id != order.client_order_id));
            }
            _ => {}
        }
    }
    assert!(halts > 0, "the halt of {scope} is in the journal");
}

/// Until the strategies have wished for more on whatever `within` says.
fn wait_for_orders(daemon: &mut Daemon, home: &Home, what: &str, within: impl Fn(&OrderIntent) -> bool) {
    let count = || {
        let ledger = Ledger::read(home);
        ledger.rows.iter().filter(|(_, record)| matches!(record, Record::OrderIntended { intent, .. } if within(intent))).count()
    };
    let before = count();
    daemon.wait_until(what, TURNS_WITHIN, |_| count() > before + 1);
}

fn account<'s>(status: &'s Value, name: &str) -> &'s Value {
    status["accounts"].as_array().unwrap().iter().find(|account| account["name"] == name).unwrap()
}

fn busy() -> (Arc<Home>, Daemon) {
    let home = Home::new(BUSY);
    let mut daemon = home.start();
    daemon.wait_for_status("has resting orders on every account", WITHIN, |status| {
        status["accounts"].as_array().unwrap().iter().all(|account| account["open_orders"].as_u64() > Some(0))
    });
    (home, daemon)
}

#[test]
fn a_halted_account_stands_still_and_the_others_trade_on() {
    let (home, mut daemon) = busy();
    ask(&home, "halt", &["--account", "alpha"]);
    daemon.wait_for_status("shows alpha halted by the venue's own word", WITHIN, |status| {
        status["kill_switch"]["verified"] == json!(["alpha"]) && account(status, "alpha")["open_orders"] == 0
    });
    let status = daemon.status();
    assert_eq!((&status["mode"], &account(&status, "alpha")["mode"]), (&json!("Normal"), &json!("Halted")));
    assert_eq!(account(&status, "beta")["mode"], "Normal");
    wait_for_orders(&mut daemon, &home, "trades on beta", |intent| intent.account.as_str() == "beta");
    for unsigned in [&["resume", "--account", "alpha"][..], &["resume", "--account", "alpha", "--by", "ann"]] {
        assert_eq!(home.command(unsigned).code, 2, "{unsigned:?}");
    }
    assert_eq!(daemon.account("alpha")["mode"], "Halted");
    let alpha = Scope::Account("alpha".parse().unwrap());
    check_nothing_left(&home, alpha, |intent| intent.account.as_str() == "alpha");
    ask(&home, "resume", &["--account", "alpha"]);
    wait_for_orders(&mut daemon, &home, "trades on alpha again", |intent| intent.account.as_str() == "alpha");
    assert_eq!(home.command(&["halt", "--account", "delta"]).code, 2, "an account that is not configured");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    Ledger::read(&home).check_settled();
}

#[test]
fn a_halted_strategy_and_a_halted_symbol_stand_still_and_the_others_trade_on() {
    let (home, mut daemon) = busy();
    ask(&home, "halt", &["--strategy", "flip"]);
    wait_for_orders(&mut daemon, &home, "trades by score", |intent| intent.strategy.as_str() == "score");
    ask(&home, "halt", &["--symbol", "ETHUSDT"]);
    let open_on_eth = |daemon: &Daemon| {
        let (_, status) = daemon.get("/status");
        status["accounts"].as_array().unwrap().iter().filter_map(|account| account["open_orders"].as_u64()).sum::<u64>()
    };
    daemon.wait_until("has cancelled what rested on ETHUSDT", WITHIN, |daemon| open_on_eth(daemon) == 0);
    check_nothing_left(&home, Scope::Strategy("flip".parse().unwrap()), |intent| intent.strategy.as_str() == "flip");
    ask(&home, "resume", &["--strategy", "flip"]);
    wait_for_orders(&mut daemon, &home, "trades by flip again", |intent| intent.strategy.as_str() == "flip");
    check_nothing_left(&home, Scope::Symbol("ETHUSDT".parse().unwrap()), |intent| intent.symbol.as_str() == "ETHUSDT");
    ask(&home, "resume", &["--symbol", "ETHUSDT"]);
    wait_for_orders(&mut daemon, &home, "trades ETHUSDT again", |intent| intent.symbol.as_str() == "ETHUSDT");
    assert_eq!(daemon.status()["restrictions"], json!([]));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    Ledger::read(&home).check_settled();
}

#[test]
fn cancel_takes_open_orders_and_flatten_positions_without_a_halt() {
    let (home, mut daemon) = busy();
    let resting = Ledger::read(&home).open.into_iter().filter(|id| id.as_str().starts_with("rf-beta-")).collect::<Vec<_>>();
    ask(&home, "cancel", &["--account", "beta"]);
    daemon.wait_until("has cancelled beta's orders", WITHIN, |_| {
        let open = Ledger::read(&home).open;
        resting.iter().all(|id| !open.contains(id))
    });
    assert_eq!(daemon.account("beta")["mode"], "Normal");
    daemon.wait_until("has the venue's word for beta", WITHIN, |_| {
        home.audit("operator").iter().any(|row| row["payload"]["event"] == "emptied")
    });
    ask(&home, "flatten", &["--account", "gamma"]);
    let flat = |status: &Value| account(status, "gamma")["positions"] == json!([]) && account(status, "gamma")["open_orders"] == 0;
    let status = daemon.wait_for_status("has closed gamma's positions", WITHIN, flat);
    assert_eq!(account(&status, "gamma")["mode"], "ReduceOnly");
    assert_eq!(status["kill_switch"]["verified"], json!([]), "nothing is halted, whatever the venue shows");
    // The books are flat a moment before the venue has said so to the kill switch, which resumes nothing before.
    let resume = ["resume", "--account", "gamma", "--by", "ann", "--reason", "drill"];
    daemon.wait_until("lets gamma be resumed", WITHIN, |_| home.command(&resume).code == 0);
    wait_for_orders(&mut daemon, &home, "trades on gamma again", |intent| intent.account.as_str() == "gamma");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    Ledger::read(&home).check_settled();
}

#[test]
fn a_halt_of_everything_empties_every_account_and_flattens_where_configured() {
    let (home, mut daemon) = busy();
    ask(&home, "halt", &[]);
    // The kill switch's own reducing orders follow the cancels; the venue's word ends both.
    let all = |status: &Value| status["kill_switch"]["verified"] == json!(["alpha", "beta", "gamma"]);
    daemon.wait_for_status("has the venue's word for every account", WITHIN, all);
    assert!(Ledger::read(&home).open.is_empty());
    let status = daemon.wait_for_status("has flattened beta", WITHIN, |status| account(status, "beta")["positions"] == json!([]));
    assert_ne!(account(&status, "alpha")["positions"], json!([]), "alpha keeps its positions, as configured");
    check_nothing_left(&home, Scope::Global, |_| true);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    // What a person did and what came of it is in the journal, with name and reason.
    let operator = home.audit("operator");
    let halt = operator.iter().find(|row| row["kind"] == "operator_command").expect("the command's row");
    assert_eq!(
        (&halt["payload"]["verb"], &halt["payload"]["by"], &halt["payload"]["reason"]),
        (&json!("halt"), &json!("ann"), &json!("drill"))
    );
    assert_eq!(operator.iter().filter(|row| row["payload"]["event"] == "confirmed").count(), 3);
}
