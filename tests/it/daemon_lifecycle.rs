//! The daemon's life as its operator sees it: a start in an empty folder, readiness, trading, the ordered stop, and a
//! restart after `kill -9` in the middle.

use std::time::{Duration, Instant};

use ringfence::domain::order::OrderStatus;
use ringfence::domain::record::Record;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::support::daemon::{BUSY, Daemon, Home, request};
use crate::support::ledger::Ledger;

/// What a position of `BUSY` may be worth: one target, and what the price moved since.
const POSITION_MAX: i64 = 1_100;
const FILLS_WITHIN: Duration = Duration::from_secs(60);

fn every_account_has_a_fill(status: &Value) -> bool {
    accounts(status).iter().all(|account| account["fills"].as_u64() > Some(0))
}

fn accounts(status: &Value) -> &Vec<Value> {
    status["accounts"].as_array().expect("a list of accounts")
}

fn amount(value: &Value) -> Decimal {
    value.as_str().unwrap_or_else(|| panic!("expected an amount as a string, found {value}")).parse().unwrap()
}

#[test]
fn it_runs_in_an_empty_folder_without_a_configuration_and_every_account_trades() {
    let home = Home::new("");
    let mut daemon = home.start();
    let status = daemon.wait_for_status("has a fill on every account", FILLS_WITHIN, every_account_has_a_fill);
    assert_eq!((&status["mode"], &status["ready"], &status["epoch"]), (&json!("Normal"), &json!(true), &json!(1)));
    assert_eq!(accounts(&status).iter().map(|account| &account["name"]).collect::<Vec<_>>(), ["alpha", "beta", "gamma"]);
    for account in accounts(&status) {
        assert_eq!(account["mode"], "Normal");
        assert!(account["orders"].as_u64() > Some(0) && account["open_orders"].is_u64(), "{account:#}");
        assert!(amount(&account["equity"]) > Decimal::ZERO && amount(&account["wallet"]) > Decimal::ZERO);
        for position in account["positions"].as_array().unwrap() {
            assert!(!amount(&position["quantity"]).is_zero() && amount(&position["entry_price"]) > Decimal::ZERO);
        }
    }
    for child in status["children"].as_array().unwrap() {
        assert!(child["name"].is_string() && child["incarnation"] == 1 && child["restarts"] == 0, "{child:#}");
    }
    for name in ["risk_manager", "executor/alpha", "market/BTCUSDT", "strategy/trend", "journal", "kill_switch", "watchdog"] {
        assert_eq!(daemon.child(name)["state"], "ready", "{name}");
    }
    let (code, metrics) = daemon.get("/metrics");
    let metrics = metrics.as_str().unwrap();
    assert_eq!(code, 200);
    for figure in [
        "ringfence_fills_total{account=\"alpha\"}",
        "ringfence_mailbox_depth",
        "ringfence_journal_rows_total",
        "ringfence_journal_append_seconds",
    ] {
        assert!(metrics.contains(figure), "expected {figure} in {metrics}");
    }
    assert_eq!(daemon.get("/health"), (200, json!({ "status": "well", "degraded": [] })));
    assert_eq!(daemon.get("/ready"), (200, json!({ "ready": true, "waiting_for": [] })));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    assert!(home.data().join("exchange.db").exists() && home.data().join("journal").is_dir());
}

#[test]
fn it_answers_that_it_is_not_ready_while_something_is_missing() {
    let daemon = Daemon::start("");
    // A fault's restart waits for its backoff, some ten times as long as an answer takes; an operator's comes at once.
    let (code, _) = daemon.post("/admin/inject/executor/alpha", &json!({ "by": "ann", "reason": "to see it missing", "fault": "panic" }));
    assert_eq!(code, 200);
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut missing = false;
    while !(missing && daemon.get("/ready").0 == 200) {
        let (code, body) = daemon.get("/ready");
        match code {
            200 => assert_eq!(body["ready"], true),
            503 => {
                assert_eq!(body["ready"], false);
                missing |= body["waiting_for"].as_array().unwrap().contains(&json!("executor/alpha"));
            }
            other => panic!("{other}: {body}"),
        }
        assert_eq!(daemon.get("/health").0, 200);
        assert!(Instant::now() < deadline, "expected 503 and then 200 again, found missing {missing}, {code} {body}");
    }
    assert_eq!(daemon.child("executor/alpha")["incarnation"], 2);
}

#[test]
fn asked_to_stop_it_cancels_open_orders_closes_the_journal_and_exits_0() {
    let home = Home::new(BUSY);
    let mut daemon = home.start();
    with_resting_orders(&mut daemon);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    let ledger = Ledger::read(&home);
    ledger.check_settled();
    assert!(ledger.open.is_empty(), "left at the exchange: {:?}", ledger.open);
    let (_, last) = ledger.rows.last().unwrap();
    assert!(matches!(last, Record::DaemonStopped { reason, .. } if reason == "stopped in order"), "{last:?}");
    // With the strategies and risk gone first, nothing was left to send when the executors were told to stop.
    let stopped = ledger.rows.iter().position(|(_, record)| is_supervision(record, "execution", "stopping"));
    let intents_after =
        ledger.rows[stopped.expect("the executors' stop is in the journal")..].iter().filter(|(_, record)| is_intent(record));
    assert_eq!(intents_after.count(), 0);
}

#[test]
fn a_venue_of_a_second_a_request_is_waited_for_by_an_ordered_stop() {
    let home = Home::new(BUSY);
    let mut daemon = home.start();
    with_resting_orders(&mut daemon);
    let doors: Value = serde_json::from_str(&std::fs::read_to_string(home.data().join("exchange.json")).unwrap()).unwrap();
    let address = doors["usdm"]["rest"].as_str().unwrap().trim_start_matches("http://");
    let slow = json!({ "fault": { "delay": { "after_ms": 1_000 } }, "duration_ms": 600_000 });
    let (code, answer) = request(address, "POST", "/faults", "", Some(&slow)).unwrap();
    assert!(code < 300, "{answer}");
    let asked = Instant::now();
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    assert!(asked.elapsed() > Duration::from_secs(2), "expected a slow venue, found one that was asked within {:?}", asked.elapsed());
    let ledger = Ledger::read(&home);
    ledger.check_settled();
    assert!(ledger.open.is_empty(), "left at the exchange: {:?}", ledger.open);
}

fn is_intent(record: &Record) -> bool {
    matches!(record, Record::OrderIntended { .. })
}

fn is_supervision(record: &Record, name: &str, what: &str) -> bool {
    matches!(record, Record::Supervision { child, event, .. } if child == name && event == what)
}

#[test]
fn asked_to_stop_before_it_is_ready_it_stops_in_order() {
    let home = Home::new("");
    let mut daemon = home.spawn();
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    let ledger = Ledger::read(&home);
    ledger.check_settled();
    assert!(matches!(ledger.rows.last(), Some((_, Record::DaemonStopped { .. }))), "{:?}", ledger.rows.last());
}

#[test]
fn without_a_command_it_runs() {
    let home = Home::new("");
    let mut daemon = home.start_with(home.binary(&[]));
    assert_eq!(daemon.get("/ready").0, 200);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

#[test]
fn told_to_keep_open_orders_it_leaves_them_and_takes_them_up_again() {
    // A position that is just being reversed as the stop comes has no resting order.
    let holding = BUSY.replace("on_opposite = \"reverse\"", "on_opposite = \"hold\"");
    let home = Home::new(&format!("[daemon]\non_shutdown = \"keep\"\n{holding}"));
    let mut daemon = home.start();
    with_resting_orders(&mut daemon);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    let kept = Ledger::read(&home);
    kept.check_settled();
    assert!(!kept.open.is_empty(), "expected resting orders to be left at the exchange");
    // Without strategies nothing changes them but the market.
    home.configure("[daemon]\non_shutdown = \"keep\"\n[[strategies]]\nid = \"score\"\nkind = \"indicator_score\"\nenabled = false\naccounts = [\"*\"]\nsymbols = [\"ETHUSDT\"]\ninterval = \"1s\"\n");
    let mut daemon = home.start();
    let open: u64 = accounts(&daemon.status()).iter().filter_map(|account| account["open_orders"].as_u64()).sum();
    assert!(usize::try_from(open).unwrap() <= kept.open.len() && open > 0, "{open} of {:?}", kept.open);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    Ledger::read(&home).check_settled();
}

/// Until every account has orders that rest at the exchange.
fn with_resting_orders(daemon: &mut Daemon) {
    daemon.wait_for_status("has resting orders on every account", FILLS_WITHIN, |status| {
        accounts(status).iter().all(|account| account["open_orders"].as_u64() > Some(0))
    });
}

#[test]
fn asked_a_second_time_it_ends_at_once() {
    let home = Home::new(&format!("[daemon]\nshutdown_deadline = \"30s\"\n{BUSY}"));
    let mut daemon = home.start();
    with_resting_orders(&mut daemon);
    // A child that spins cannot be stopped in order, so that the first request alone would take the whole deadline.
    assert_eq!(daemon.post("/admin/inject/safety_beat", &json!({ "by": "ann", "reason": "drill", "fault": "spin" })).0, 200);
    daemon.signal(libc::SIGTERM);
    daemon.wait_until("is stopping", Duration::from_secs(30), |daemon| daemon.home.log().contains("stopping"));
    std::thread::sleep(Duration::from_millis(60));
    let asked = Instant::now();
    let status = daemon.terminate();
    assert_ne!(status.code(), Some(0), "{}", home.log());
    assert!(asked.elapsed() < Duration::from_secs(15), "half of the deadline and less, took {:?}", asked.elapsed());
}

/// How a life ends.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// So long after it first answered: within the start, or anywhere.
    After(Duration),
    /// So long after it sent an order: while answers, fills and rows are on their way.
    AtAnOrder(Duration),
}

/// The same deaths every time, unless `RINGFENCE_SEED` asks for others.
fn deaths() -> Vec<Death> {
    let mut seed: u64 = std::env::var("RINGFENCE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut below = move |bound: u64| {
        // Knuth's MMIX; the high bits are the random ones.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    let mut early = || Death::After(Duration::from_millis(below(4_000)));
    let [first, second, third] = [early(), early(), early()];
    let mut busy = || Death::AtAnOrder(Duration::from_micros(below(8_000)));
    vec![first, busy(), busy(), second, busy(), busy(), third, busy()]
}

fn die(mut daemon: Daemon, death: Death) {
    match death {
        Death::After(time) => std::thread::sleep(time),
        Death::AtAnOrder(time) => {
            let orders = |daemon: &Daemon| daemon.home.log().matches("order sent").count();
            let before = orders(&daemon);
            daemon.wait_until("sends an order", FILLS_WITHIN, |daemon| orders(daemon) > before);
            std::thread::sleep(time);
        }
    }
    daemon.kill();
}

#[test]
fn killed_in_the_middle_again_and_again_it_loses_nothing_and_doubles_nothing() {
    let home = Home::new(BUSY);
    let mut lives = 0;
    for death in deaths() {
        println!("life {} ends {death:?}", lives + 1);
        die(home.spawn(), death);
        lives += 1;
        Ledger::read(&home).check_always();
    }
    let mut daemon = home.start();
    lives += 1;
    let before = Ledger::read(&home).trades.len() as u64;
    let status = daemon.wait_for_status("trades on every account after the kills", FILLS_WITHIN, |status| {
        accounts(status).iter().filter_map(|account| account["fills"].as_u64()).sum::<u64>() > before + 3
    });
    assert_eq!(status["epoch"], lives);
    check_positions(&status);
    // An order that was journalled and not sent is given up when it surely cannot arrive any more.
    daemon.wait_until("knows the outcome of every order", FILLS_WITHIN, |_| {
        let uncertain = |status: &OrderStatus| matches!(status, OrderStatus::Unknown | OrderStatus::Persisting);
        !Ledger::read(&home).standing().values().any(uncertain)
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());

    let verified = home.command(&["audit", "verify", "--json"]);
    assert_eq!((verified.code, &verified.json()["outcome"]), (0, &json!("intact")), "{verified:?}");
    let ledger = Ledger::read(&home);
    ledger.check_settled();
    assert_eq!(ledger.epochs(), (1..=lives).collect::<Vec<_>>());
    for epoch in 2..=lives {
        assert_eq!(ledger.corrections(epoch), Vec::<&String>::new(), "start {epoch} found our books different from the exchange's");
    }
    let days = ledger.rows.iter().filter(|(_, record)| matches!(record, Record::DayOpened { .. })).count();
    assert!(days <= 6, "expected a day opened once for each account, twice at most over midnight, found {days}");
    check_against_the_exchange(&home, &ledger);
}

/// No strategy doubles a position because it forgot that it had one.
fn check_positions(status: &Value) {
    for account in accounts(status) {
        for position in account["positions"].as_array().unwrap() {
            let value = amount(&position["quantity"]).abs() * amount(&position["entry_price"]);
            assert!(value <= Decimal::from(POSITION_MAX), "{} {position:#}", account["name"]);
        }
    }
}

/// What a daemon without strategies rebuilds, against the exchange's own record.
fn check_against_the_exchange(home: &std::sync::Arc<Home>, ledger: &Ledger) {
    home.configure("[[strategies]]\nid = \"flip\"\nkind = \"ema_cross\"\nenabled = false\naccounts = [\"*\"]\nsymbols = [\"BTCUSDT\"]\ninterval = \"1s\"\n");
    let mut daemon = home.start();
    // Until every position has a price the day's figure is not known.
    let priced =
        |status: &Value| status["symbols"].as_array().unwrap().iter().all(|symbol| symbol["stale"] == false && symbol["last"].is_string());
    let known = |status: &Value| priced(status) && accounts(status).iter().all(|account| account["day_pnl"].is_string());
    let status = daemon.wait_for_status("has a price for every position", Duration::from_secs(20), known);
    for account in accounts(&status) {
        let name = account["name"].as_str().unwrap();
        let wallet = ledger.wallets.iter().find(|(id, _)| id.as_str() == name).map(|(_, wallet)| *wallet);
        assert_eq!(Some(amount(&account["wallet"])), wallet, "{name}");
        let ours: Vec<(String, Decimal)> = account["positions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|position| (position["symbol"].as_str().unwrap().to_owned(), amount(&position["quantity"])))
            .collect();
        let theirs = ledger.held().into_iter().filter(|((id, _), _)| id.as_str() == name);
        let theirs: Vec<(String, Decimal)> = theirs.map(|((_, symbol), quantity)| (symbol.to_string(), quantity)).collect();
        assert_eq!(ours, theirs, "{name}");
        let count = |wanted: &dyn Fn(&Record) -> bool| {
            ledger.rows.iter().filter(|(_, record)| record.account().is_some_and(|id| id.as_str() == name) && wanted(record)).count() as u64
        };
        assert_eq!(account["orders"].as_u64(), Some(count(&is_intent)), "{name}");
        assert_eq!(account["fills"].as_u64(), Some(count(&|record| matches!(record, Record::Filled { .. }))), "{name}");
        let opened = ledger.rows.iter().rev().find_map(|(_, record)| match record {
            Record::DayOpened { account, equity, .. } if account.as_str() == name => Some(equity.0),
            _ => None,
        });
        let pnl = amount(&account["equity"]) - opened.expect("the day was opened");
        assert_eq!(amount(&account["day_pnl"]), pnl, "{name}");
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

#[test]
fn a_halt_outlives_kill_9_and_ends_by_a_named_person_alone() {
    let home = Home::new(BUSY);
    let mut daemon = home.start();
    with_resting_orders(&mut daemon);
    let halted = home.command(&["halt", "--by", "ann", "--reason", "drill"]);
    assert_eq!(halted.code, 0, "{halted:?}");
    // At once: what the command reported must already be durable.
    daemon.kill();
    let orders = |home: &Home| Ledger::read(home).rows.iter().filter(|(_, record)| is_intent(record)).count();
    let before = orders(&home);

    let mut daemon = home.start();
    let none_open = |status: &Value| accounts(status).iter().all(|account| account["open_orders"] == 0);
    let all_verified = |status: &Value| status["kill_switch"]["verified"] == json!(["alpha", "beta", "gamma"]) && none_open(status);
    let status = daemon.wait_for_status("has swept every account again", Duration::from_secs(20), all_verified);
    assert_eq!((&status["mode"], &status["kill_switch"]["tripped"]), (&json!("Halted"), &json!(true)));
    assert!(status["kill_switch"]["cause"].as_str().unwrap().contains("ann"), "{status:#}");
    for account in accounts(&status) {
        assert_eq!(account["mode"], "Halted", "{account:#}");
    }
    let nameless = daemon.post("/admin/resume", &json!({}));
    assert_eq!(nameless.0, 422, "{nameless:?}");
    // Some bars later the strategies still could not trade.
    let frames = |status: &Value| status["symbols"][0]["frames"].as_u64().unwrap();
    let seen = frames(&daemon.status());
    daemon.wait_for_status("has seen two seconds of the market", Duration::from_secs(20), |status| frames(status) > seen + 150);
    assert_eq!(orders(&home), before, "no order while halted");
    assert_eq!(home.command(&["resume", "--by", "ben", "--reason", "looked at every account"]).code, 0);
    daemon.wait_for_status("trades again", FILLS_WITHIN, |_| orders(&home) > before);
    assert_eq!(daemon.status()["mode"], "Normal");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    Ledger::read(&home).check_settled();
}

#[test]
fn the_token_is_asked_for_by_everything_that_changes_anything() {
    let daemon = Daemon::start("");
    for path in ["/emergency_stop", "/admin/halt", "/admin/resume", "/admin/cancel", "/admin/flatten", "/admin/restart/risk_manager"] {
        let (code, _) = request(daemon.address(), "POST", path, "0123456789abcdef", Some(&json!({}))).unwrap();
        assert_eq!(code, 401, "{path}");
    }
    assert_eq!(daemon.status()["mode"], "Normal");
}
