//! Every fault that a venue can do, while three accounts trade there: afterwards the daemon's books are the exchange's to the last digit,
//! nothing was sent twice or lost, and everybody trades on. What the right behaviour is, `DESIGN` calls F01 to F24.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::support::daemon::{BUSY, Daemon, Home, request};
use crate::support::inside::Inside;
use crate::support::ledger::Ledger;

/// Faults of the venue are what is tested here, not how many of them are too many, nor how soon a busy machine runs a thread.
const PATIENT: &str = r#"
[supervision]
intensity = 50
thread_deadline = "10s"
heartbeat_deadline = "20s"
[supervision.fault_budgets]
transport = { count = 100000, period = "1m" }
venue_reject = { count = 100000, period = "1m" }
data = { count = 100000, period = "1m" }
"#;
const ACCOUNTS: [&str; 3] = ["alpha", "beta", "gamma"];
/// An unknown outcome is asked for until its request cannot arrive any more, a lost event is found by the comparison of every 30 s.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
const TRADES_ON_WITHIN: Duration = Duration::from_secs(120);

/// A daemon, and the exchange inside as anybody reaches it.
struct Stage {
    daemon: Daemon,
    exchange: String,
    inside: Inside,
}

impl Stage {
    fn open() -> Self {
        let daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
        let inside = Inside::of(&daemon);
        let mut stage = Self { daemon, exchange: inside.address.clone(), inside };
        stage.trades_on("start");
        stage
    }

    fn arm(&self, rule: &Value) {
        let (code, answer) = request(&self.exchange, "POST", "/faults", "", Some(rule)).unwrap();
        assert!(code < 300, "{rule}: {answer}");
    }

    fn armed(&self) -> Vec<Value> {
        let (_, answer) = request(&self.exchange, "GET", "/faults", "", None).unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()["faults"].as_array().unwrap().clone()
    }

    fn ask(&self, account: &str, path: &str) -> Option<Value> {
        self.inside.ask(account, path)
    }

    /// What of an account differs between the daemon and the exchange.
    fn difference(&self, account: &str) -> Option<String> {
        let Some(theirs) = self.ask(account, "/fapi/v3/account") else { return Some("the exchange does not answer".to_owned()) };
        let open = |path| self.ask(account, path).and_then(|list| Some(list.as_array()?.len()));
        let (plain, algos) = (open("/fapi/v1/openOrders"), open("/fapi/v1/openAlgoOrders"));
        let ours = self.daemon.account(account);
        let number = |value: &Value| value.as_str().unwrap().parse::<Decimal>().unwrap();
        let assets = theirs["assets"].as_array().unwrap();
        let wallet = number(&assets.iter().find(|asset| asset["asset"] == "USDT").unwrap()["walletBalance"]);
        if number(&ours["wallet"]) != wallet {
            return Some(format!("wallet: ours {}, theirs {wallet}", ours["wallet"]));
        }
        let held = |list: &Value, quantity: &str| -> BTreeMap<String, Decimal> {
            let each = list.as_array().unwrap().iter().map(|one| (one["symbol"].as_str().unwrap().to_owned(), number(&one[quantity])));
            each.filter(|(_, quantity)| !quantity.is_zero()).collect()
        };
        let (mine, shown) = (held(&ours["positions"], "quantity"), held(&theirs["positions"], "positionAmt"));
        if mine != shown {
            return Some(format!("positions: ours {mine:?}, theirs {shown:?}"));
        }
        let listed = plain.zip(algos).map(|(plain, algos)| (plain + algos) as u64);
        (ours["open_orders"].as_u64() != listed).then(|| format!("open orders: ours {}, theirs {listed:?}", ours["open_orders"]))
    }

    /// Waits until the books are the same at one moment.
    fn settles(&mut self, after: &str) {
        let (exchange, keys) = (self.exchange.clone(), self.inside.keys.clone());
        let mut last = Vec::new();
        let deadline = std::time::Instant::now() + SETTLED_WITHIN;
        loop {
            last.clear();
            last.extend(ACCOUNTS.iter().filter_map(|account| Some(format!("{account}: {}", self.difference(account)?))));
            if last.is_empty() {
                return;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "after {after}: {last:#?}\n{exchange} {}\n{}",
                keys.len(),
                self.daemon.home.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until every account has sent more orders than now.
    fn trades_on(&mut self, what: &str) {
        let sent = |daemon: &Daemon, account: &str| daemon.account(account)["orders"].as_u64().unwrap();
        let before = ACCOUNTS.map(|account| sent(&self.daemon, account));
        self.daemon.wait_until(&format!("trades on after {what}"), TRADES_ON_WITHIN, |daemon| {
            ACCOUNTS.iter().zip(before).all(|(account, before)| sent(daemon, account) > before)
        });
    }

    /// Arms, waits until it has done all that it was to do, and holds the books side by side.
    fn suffers(&mut self, name: &str, rules: &[Value]) {
        for rule in rules {
            self.arm(rule);
        }
        self.outlives(name);
    }

    /// Waits until nothing is armed any more, and holds the books side by side.
    fn outlives(&mut self, name: &str) {
        let exchange = self.exchange.clone();
        self.daemon.wait_until(&format!("meets {name}"), TRADES_ON_WITHIN, |_| {
            let answer = request(&exchange, "GET", "/faults", "", None).unwrap().1;
            let over = |told: Value| told["faults"].as_array().is_some_and(Vec::is_empty) && told["schedule"].is_null();
            serde_json::from_str::<Value>(&answer).is_ok_and(over)
        });
        self.settles(name);
    }

    fn resume(&self, account: &str) {
        let (code, answer) = self.daemon.post("/admin/resume", &json!({ "scope": { "account": account }, "by": "ann", "reason": "seen" }));
        assert!(code < 300, "{answer}");
    }

    /// Stopped in order, the journal and the exchange's record say the same of every order and trade.
    fn ends_alike(self) {
        let home = self.ends();
        Ledger::read(&home).check_always();
    }

    /// All is well again, and it stops in order.
    fn ends(mut self) -> Arc<Home> {
        assert!(self.armed().is_empty());
        self.trades_on("everything");
        self.settles("everything");
        assert_eq!(self.daemon.terminate().code(), Some(0), "{}", self.daemon.home.log());
        Arc::clone(&self.daemon.home)
    }
}

/// A figure of the daemon's metrics.
fn figure(daemon: &Daemon, name: &str) -> f64 {
    let (_, text) = request(daemon.address(), "GET", "/metrics", "", None).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("expected {name} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// The newest orders of all accounts, as a person sees them.
fn recent_orders(daemon: &Daemon) -> Vec<Value> {
    daemon.get("/admin/status").1["recent_orders"].as_array().unwrap().clone()
}

fn orders(fault: Value, count: u32) -> Value {
    json!({ "fault": fault, "verb": "POST", "route": "/fapi/v1/order", "count": count })
}

/// F01, F02, F09, F10, F23, F24: orders and questions whose answers are wrong, late or none.
#[test]
fn whatever_becomes_of_answers_the_books_are_the_exchanges() {
    let mut stage = Stage::open();
    stage.suffers("F01 a time-out after acceptance", &[orders(json!("timeout"), 4)]);
    stage.suffers("F01 a connection that is cut", &[orders(json!("hang_up"), 4)]);
    stage.suffers("F01 silence", &[orders(json!("silence"), 2)]);
    stage.suffers("F01 503 after", &[orders(json!({ "unknown_503": { "when": "after" } }), 3)]);
    stage.suffers("F01 503 before", &[orders(json!({ "unknown_503": { "when": "before" } }), 3)]);
    stage.suffers("F01 definite 503", &[orders(json!("unavailable_503"), 3)]);
    stage.suffers("F01 a gateway's page", &[orders(json!({ "gateway": { "status": 502, "when": "after" } }), 3)]);
    stage.suffers("F23 half an answer", &[orders(json!("garbage"), 3)]);
    let gone = json!({ "refuse": { "code": -2013, "msg": "Order does not exist.", "status": 400, "when": "after" } });
    stage.suffers(
        "F02 not found, soon after",
        &[json!({ "fault": gone, "verb": "GET", "route": "/fapi/v1/order", "duration_ms": 4_000 }), orders(json!("hang_up"), 3)],
    );
    stage.suffers("F10 too many", &[json!({ "fault": { "too_many_429": { "retry_after_s": 1 } }, "count": 2 })]);
    stage.suffers("F09 a clock that is ahead", &[json!({ "fault": { "skew_clock": { "millis": 8_000 } }, "duration_ms": 3_000 })]);
    stage.suffers("F09 a clock that is behind", &[json!({ "fault": { "skew_clock": { "millis": -8_000 } }, "duration_ms": 3_000 })]);
    stage.suffers("F24 stale answers", &[json!({ "fault": "stale", "duration_ms": 3_000 })]);
    stage.ends_alike();
}

/// F03: trades are told before the venue has answered the order that made them.
#[test]
fn a_fill_before_the_answer_is_booked_when_it_comes() {
    const ANSWERED_AFTER: Duration = Duration::from_secs(10);
    let mut stage = Stage::open();
    let fills = |daemon: &Daemon| ACCOUNTS.map(|account| daemon.account(account)["fills"].as_u64().unwrap());
    stage.settles("start");
    let late = json!({ "delay": { "after_ms": ANSWERED_AFTER.as_millis() as u64 } });
    stage.arm(&json!({ "fault": late, "verb": "POST", "route": "/fapi/v1/order", "duration_ms": 5_000 }));
    let (armed, before) = (std::time::Instant::now(), fills(&stage.daemon));
    stage.daemon.wait_until("books fills", TRADES_ON_WITHIN, |daemon| fills(daemon).iter().zip(before).all(|(now, before)| *now > before));
    assert!(armed.elapsed() < ANSWERED_AFTER, "no order that was made since then had an answer yet");
    stage.outlives("F03 fills before answers");
    stage.ends_alike();
}

/// F18: the clocks part by less than requests are refused for. No entry leaves until they agree again.
#[test]
fn clocks_that_part_hold_entries_back_until_they_agree_again() {
    const OFFSET: &str = "ringfence_venue_clock_offset_seconds{venue=\"embedded\"}";
    const HELD_BACK: &str = "expected the venue's clock within 1s of ours";
    let mut stage = Stage::open();
    assert!(figure(&stage.daemon, OFFSET).abs() < 1.0);
    stage.arm(&json!({ "fault": { "skew_clock": { "millis": 3_000 } }, "duration_ms": 600_000 }));
    stage.daemon.wait_until("holds entries back", TRADES_ON_WITHIN, |daemon| {
        let is_held_back = |order: &Value| order["detail"].as_str().is_some_and(|why| why.contains(HELD_BACK));
        figure(daemon, OFFSET) > 2.5 && recent_orders(daemon).iter().any(is_held_back)
    });
    assert!(ACCOUNTS.iter().all(|account| stage.daemon.account(account)["mode"] != "Halted"), "{}", stage.daemon.home.log());
    let (code, answer) = request(&stage.exchange, "DELETE", "/faults", "", None).unwrap();
    assert!(code < 300, "{answer}");
    stage.daemon.wait_until("believes the clock again", TRADES_ON_WITHIN, |daemon| figure(daemon, OFFSET).abs() < 1.0);
    stage.ends_alike();
}

/// F03 to F07, F11 to F13, F23: what the streams do.
#[test]
fn whatever_becomes_of_streams_the_books_are_the_exchanges() {
    let mut stage = Stage::open();
    let some = |fault: Value| json!({ "fault": fault, "percent": 40, "duration_ms": 3_000 });
    stage.suffers("F04 events twice", &[some(json!("duplicate_event"))]);
    stage.suffers("F04 events in another order", &[some(json!("swap_event"))]);
    stage.suffers("F04 late events", &[some(json!({ "delay_event": { "millis": 500 } }))]);
    stage.suffers("F05 lost events", &[some(json!("drop_event"))]);
    stage.suffers("F23 events that nobody can read", &[some(json!("corrupt_event")), some(json!("unknown_event"))]);
    stage.suffers("F05 a cut", &[json!({ "fault": { "cut": { "sockets": "user" } } })]);
    stage.suffers("F06 a listen key that ends unsaid", &[json!({ "fault": { "expire_listen_keys": { "told": false } } })]);
    stage.suffers("F07 a server that stops", &[json!({ "fault": "shutdown" })]);
    stage.suffers("F11 holes in the books", &[json!({ "fault": { "drop_diffs": { "diffs": 3 } } })]);
    stage.suffers("F12 silence of user streams", &[json!({ "fault": { "zombie": { "sockets": "user" } }, "duration_ms": 4_000 })]);
    stage.suffers("F12 silence of the market", &[json!({ "fault": { "zombie": { "sockets": "market" } }, "duration_ms": 4_000 })]);
    stage.suffers("F13 maintenance", &[json!({ "fault": { "maintenance": { "html": true } }, "duration_ms": 2_000 })]);
    stage.ends_alike();
}

/// One after another and several at a time, as a seed has it.
#[test]
fn whatever_a_schedule_draws_the_books_are_the_exchanges() {
    let mut stage = Stage::open();
    for seed in [7, 8] {
        let schedule = json!({ "seed": seed, "every_ms": 150, "duration_ms": 6_000 });
        stage.suffers(&format!("the schedule of seed {seed}"), &[json!({ "schedule": schedule })]);
    }
    stage.ends_alike();
}

/// F08, F14 to F17: what befalls orders, symbols and money.
#[test]
fn whatever_befalls_an_account_the_books_are_the_exchanges_and_nobody_else_notices() {
    let mut stage = Stage::open();
    let refused = json!({ "refuse": { "code": -2011, "msg": "Unknown order sent.", "status": 400 } });
    stage.suffers("F08 cancels that are refused", &[json!({ "fault": refused, "verb": "DELETE", "count": 2 })]);
    stage.suffers("F16 funding", &[json!({ "fault": { "funding": { "rate": "0.0013" } }, "symbol": "BTCUSDT" })]);
    stage.suffers(
        "F17 money moved by hand",
        &[json!({ "fault": { "transfer": { "asset": "USDT", "amount": "-123.45678901" } }, "account": "beta" })],
    );
    let by_hand = json!({ "fault": { "trade": { "side": "BUY", "quantity": "0.011" } }, "account": "beta", "symbol": "BTCUSDT" });
    stage.suffers("F17 a trade by hand", &[by_hand]);
    let reduces = |stage: &mut Stage, account: &'static str| {
        stage.daemon.wait_until("holds the account", SETTLED_WITHIN, |daemon| daemon.account(account)["mode"] == "ReduceOnly");
        // One that is being compared with its venue is CancelOnly for that moment.
        let held = |other: &str| matches!(stage.daemon.account(other)["mode"].as_str(), Some("ReduceOnly" | "Halted"));
        assert!(!ACCOUNTS.iter().any(|other| *other != account && held(other)), "{}", stage.daemon.home.log());
        stage.resume(account);
        stage.daemon.wait_until("lets it trade again", SETTLED_WITHIN, |daemon| daemon.account(account)["mode"] == "Normal");
    };
    reduces(&mut stage, "beta");
    stage.suffers("F15 a liquidation", &[json!({ "fault": "liquidate", "account": "gamma" })]);
    reduces(&mut stage, "gamma");
    let whole = json!({ "quantity_step": "1", "min_quantity": "1" });
    stage.suffers("F14 other filters", &[json!({ "fault": { "filters": whole }, "symbol": "SOLUSDT" })]);
    stage.daemon.wait_until("trades by the new rules", SETTLED_WITHIN, |daemon| {
        let by_the_new = |order: &Value| {
            let quantity = order["quantity"].as_str().unwrap();
            order["symbol"] == "SOLUSDT" && order["filled"] == order["quantity"] && !quantity.contains('.')
        };
        daemon.home.log().contains("the venue's rules changed") && recent_orders(daemon).iter().any(by_the_new)
    });
    stage.suffers(
        "F14 a coarser step",
        &[json!({ "fault": { "filters": { "quantity_step": "0.002", "min_quantity": "0.002" } }, "symbol": "BTCUSDT" })],
    );
    // Trades from outside have no intent here: what they came to was compared above.
    stage.ends();
}
