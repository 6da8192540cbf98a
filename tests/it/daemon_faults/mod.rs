//! Faults injected into the real daemon, one kind of child after another, and what a user would notice: who is restarted, who
//! is not, who trades on, what is halted, and what the journal says of it afterwards.

mod bulkheads;
mod capital;
mod health;
mod intensity;
mod kill_switch;
mod panics;
mod spins;
mod wedges;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::daemon::{BUSY, Daemon, Home, request};

/// Budgets out of the way, for tests that break one child after another and mean each of them alone.
const PATIENT: &str = r#"
[supervision]
intensity = 100
backoff_max = "100ms"
[supervision.fault_budgets]
transport = { count = 1000, period = "1m" }
venue_reject = { count = 1000, period = "1m" }
data = { count = 1000, period = "1m" }
panic = { count = 1000, period = "1m" }
stall = { count = 1000, period = "1m" }
"#;

const ACCOUNTS: [&str; 3] = ["alpha", "beta", "gamma"];
/// A restart takes milliseconds, a reconciliation as long; the rest is for a machine that is busy with other tests.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// The strategies act on bars of a second and flip on every other one.
const TRADES_WITHIN: Duration = Duration::from_secs(30);

fn inject(daemon: &Daemon, child: &str, fault: &str) {
    let body = json!({ "by": "drill", "reason": "test", "fault": fault });
    let (code, answer) = daemon.post(&format!("/admin/inject/{child}"), &body);
    assert_eq!(code, 200, "{answer}");
}

/// The same where the daemon may end before it has answered.
fn inject_to_the_end(daemon: &Daemon, child: &str, fault: &str) {
    let body = json!({ "by": "drill", "reason": "test", "fault": fault });
    let answer = request(daemon.address(), "POST", &format!("/admin/inject/{child}"), &daemon.token(), Some(&body));
    assert!(answer.as_ref().map_or(true, |(code, _)| *code == 200), "{answer:?}");
}

fn resume(daemon: &Daemon, scope: &Value) -> (u16, Value) {
    daemon.post("/admin/resume", &json!({ "scope": scope, "by": "ada", "reason": "looked into it" }))
}

/// Resumes as soon as the kill switch lets it: when the venue has shown that nothing is open.
fn resume_in_the_end(daemon: &mut Daemon, scope: &Value) {
    daemon.wait_until("may be resumed", BACK_WITHIN, |daemon| resume(daemon, scope).0 == 200);
}

fn children(status: &Value) -> BTreeMap<String, (u64, String)> {
    let children = status["children"].as_array().expect("a list of children");
    let entry = |child: &Value| {
        let name = child["name"].as_str().unwrap().to_owned();
        (name, (child["incarnation"].as_u64().unwrap(), child["state"].as_str().unwrap().to_owned()))
    };
    children.iter().map(entry).collect()
}

fn incarnation(status: &Value, child: &str) -> u64 {
    children(status).get(child).map_or(0, |(incarnation, _)| *incarnation)
}

fn incarnations(status: &Value) -> BTreeMap<String, u64> {
    children(status).into_iter().map(|(name, (incarnation, _))| (name, incarnation)).collect()
}

fn named<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    list.as_array().and_then(|list| list.iter().find(|one| one[key] == name)).unwrap_or_else(|| panic!("expected {name} in {list:#}"))
}

fn account<'a>(status: &'a Value, name: &str) -> &'a Value {
    named(&status["accounts"], "name", name)
}

fn orders(status: &Value, name: &str) -> u64 {
    account(status, name)["orders"].as_u64().unwrap()
}

fn mode<'a>(status: &'a Value, name: &str) -> &'a str {
    account(status, name)["mode"].as_str().unwrap()
}

fn frames(status: &Value) -> u64 {
    status["symbols"].as_array().unwrap().iter().map(|symbol| symbol["frames"].as_u64().unwrap()).sum()
}

fn open_orders(status: &Value) -> u64 {
    ACCOUNTS.iter().map(|name| account(status, name)["open_orders"].as_u64().unwrap()).sum()
}

/// Accounts that are halted and for which the venue shows no open order.
fn verified(status: &Value) -> Vec<&str> {
    let verified = status["kill_switch"]["verified"].as_array().expect("a list of accounts");
    verified.iter().map(|name| name.as_str().unwrap()).collect()
}

fn halt(daemon: &Daemon, scope: &Value) -> (u16, Value) {
    daemon.post("/admin/halt", &json!({ "scope": scope, "by": "ada", "reason": "drill" }))
}

/// Every account of these sends an order from here on.
fn trades_on(daemon: &mut Daemon, accounts: &[&str]) {
    let before = daemon.status();
    let more = |status: &Value| accounts.iter().all(|name| orders(status, name) > orders(&before, name));
    daemon.wait_for_status(&format!("sends new orders for {accounts:?}"), TRADES_WITHIN, more);
}

/// The supervision rows of one child: incarnation, event, class, detail.
fn supervision_of(home: &Home, child: &str) -> Vec<(u64, String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = home.audit("supervision");
    let of = rows.iter().map(|row| &row["payload"]).filter(|row| row["child"] == child);
    of.map(|row| (row["incarnation"].as_u64().unwrap(), text(&row["event"]), text(&row["class"]), text(&row["detail"]))).collect()
}

/// What a fault in `child` must lead to: it is restarted once, nobody but it and `touched` is, all is ready again and every
/// account trades.
fn breaks_and_returns(daemon: &mut Daemon, child: &str, fault: &str, touched: &[&str]) {
    let before = daemon.status();
    let was = incarnations(&before);
    let began = Instant::now();
    inject(daemon, child, fault);
    // A broken API answers again when it is back.
    daemon.wait_until(&format!("answers after {fault} of {child}"), BACK_WITHIN, |daemon| {
        request(daemon.address(), "GET", "/status", "", None)
            .is_ok_and(|(_, status)| serde_json::from_str(&status).is_ok_and(|status| incarnation(&status, child) > was[child]))
    });
    let after = daemon.status();
    eprintln!("{child} after {fault}: restarted within {:?}", began.elapsed());
    daemon.wait_until(&format!("is ready again after {fault} of {child}"), BACK_WITHIN, |daemon| daemon.get("/ready").0 == 200);
    let status = daemon.wait_for_status("moves frames", BACK_WITHIN, |status| frames(status) > frames(&after));
    for (name, now) in incarnations(&status) {
        let expected = was.get(&name).copied().unwrap_or_default() + u64::from(name == child);
        let free = touched.contains(&name.as_str());
        assert!(now == expected || free && now >= expected, "{fault} of {child}: {name} expected incarnation {expected}, found {now}");
    }
    assert_eq!(status["mode"], "Normal", "{status:#}");
    trades_on(daemon, &ACCOUNTS);
}
