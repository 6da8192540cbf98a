//! Faults that repeat: a child's guard gives up, what the child served is halted and nothing else, and a person's resume
//! brings it back.

use super::*;

/// Guards that give up before the ladder has counted anything.
const SHORT: &str = r#"
[supervision]
intensity = 2
backoff_max = "100ms"
[supervision.fault_budgets]
transport = { count = 1000, period = "1m" }
venue_reject = { count = 1000, period = "1m" }
data = { count = 1000, period = "1m" }
panic = { count = 1000, period = "1m" }
stall = { count = 1000, period = "1m" }
"#;

/// Panics in `child`, one after another, each in an incarnation of its own, until `over`.
fn panics_until(daemon: &mut Daemon, child: &str, over: impl Fn(&Value) -> bool) {
    let mut last = 0;
    daemon.wait_until(&format!("gives {child} up"), BACK_WITHIN, |daemon| {
        let status = daemon.status();
        if over(&status) {
            return true;
        }
        let running =
            children(&status).get(child).filter(|(_, state)| state == "ready" || state == "started").map(|(incarnation, _)| *incarnation);
        if let Some(incarnation) = running.filter(|incarnation| *incarnation > last) {
            last = incarnation;
            inject(daemon, child, "panic");
        }
        false
    });
}

/// Everybody's incarnation but that of the broken child, its guard and what stands under the same guard.
fn untouched(status: &Value, broken: &[&str]) -> BTreeMap<String, u64> {
    let mut incarnations = incarnations(status);
    incarnations.retain(|name, _| !broken.contains(&name.as_str()));
    incarnations
}

#[test]
fn an_executor_that_keeps_panicking_halts_its_account_alone_and_a_resume_brings_it_back() {
    let mut daemon = Daemon::start(&format!("{BUSY}{SHORT}"));
    let broken = ["executor/alpha", "stream/alpha", "guard/executor/alpha"];
    let before = untouched(&daemon.status(), &broken);
    panics_until(&mut daemon, "executor/alpha", |status| mode(status, "alpha") == "Halted");
    let status = daemon.wait_for_status("has let executor/alpha go", BACK_WITHIN, |status| {
        verified(status) == ["alpha"] && children(status).get("executor/alpha").is_none_or(|(_, state)| state == "down")
    });
    assert_eq!([mode(&status, "beta"), mode(&status, "gamma"), status["mode"].as_str().unwrap()], ["Normal"; 3], "{status:#}");
    let cause = status["restrictions"][0]["cause"].as_str().unwrap();
    assert!(cause.contains("guard/executor/alpha gave up") && cause.contains("more than 2 restarts"), "{cause}");
    trades_on(&mut daemon, &["beta", "gamma"]);
    let (fills, sent) = (account(&daemon.status(), "alpha")["fills"].clone(), orders(&daemon.status(), "alpha"));
    resume_in_the_end(&mut daemon, &json!({ "account": "alpha" }));
    daemon.wait_until("is whole again", BACK_WITHIN, |daemon| daemon.get("/ready").0 == 200);
    let status = daemon.wait_for_status("has executor/alpha reconciled", BACK_WITHIN, |status| {
        mode(status, "alpha") == "Normal" && children(status).get("executor/alpha").is_some_and(|(_, state)| state == "ready")
    });
    assert!(
        orders(&status, "alpha") >= sent && account(&status, "alpha")["fills"].as_u64() >= fills.as_u64(),
        "its history is kept: {status:#}"
    );
    trades_on(&mut daemon, &ACCOUNTS);
    assert_eq!(untouched(&daemon.status(), &broken), before, "nobody else was restarted");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.home.log());
}

/// The guard says it once, and nobody restarts it: were its word lost, the account's orders would stand for good.
#[test]
fn a_guard_that_gives_up_while_the_kill_switch_is_stuck_halts_its_account_all_the_same() {
    let mut daemon = Daemon::start(&format!("{BUSY}{SHORT}"));
    trades_on(&mut daemon, &ACCOUNTS);
    inject(&daemon, "kill_switch", "wedge");
    panics_until(&mut daemon, "executor/alpha", |status| {
        children(status).get("guard/executor/alpha").is_none_or(|(_, state)| state == "down")
    });
    let status = daemon.wait_for_status("has confirmed alpha", BACK_WITHIN, |status| verified(status) == ["alpha"]);
    let cause = status["restrictions"][0]["cause"].as_str().unwrap();
    assert!(cause.contains("guard/executor/alpha gave up"), "{cause}");
    assert_eq!(incarnation(&status, "kill_switch"), 2, "{status:#}");
    trades_on(&mut daemon, &["beta", "gamma"]);
}

#[test]
fn a_fault_budget_that_is_used_up_halts_the_account_while_its_executor_lives_on() {
    let mut daemon = Daemon::start(BUSY);
    panics_until(&mut daemon, "executor/beta", |status| mode(status, "beta") == "Halted");
    let status = daemon.wait_for_status("has confirmed beta", BACK_WITHIN, |status| verified(status) == ["beta"]);
    let cause = status["restrictions"][0]["cause"].as_str().unwrap();
    assert!(cause.contains("4 panic faults") && cause.contains("budget 3"), "{cause}");
    trades_on(&mut daemon, &["alpha", "gamma"]);
    resume_in_the_end(&mut daemon, &json!({ "account": "beta" }));
    trades_on(&mut daemon, &ACCOUNTS);
}

#[test]
fn a_strategy_that_keeps_panicking_halts_itself_alone_and_a_resume_brings_it_back() {
    let mut daemon = Daemon::start(&format!("{BUSY}{SHORT}"));
    let broken = ["strategy/flip", "guard/strategy/flip"];
    let before = untouched(&daemon.status(), &broken);
    let mode_of = |status: &Value| named(&status["strategies"], "id", "flip")["mode"].as_str().unwrap().to_owned();
    panics_until(&mut daemon, "strategy/flip", |status| mode_of(status) == "Halted");
    let status = daemon.status();
    assert_eq!(ACCOUNTS.map(|name| mode(&status, name).to_owned()), ["Normal"; 3], "{status:#}");
    let signals = |status: &Value, id: &str| named(&status["strategies"], "id", id)["signals"].as_u64().unwrap();
    daemon.wait_for_status("has the other strategy at work", TRADES_WITHIN, |now| signals(now, "score") > signals(&status, "score"));
    resume_in_the_end(&mut daemon, &json!({ "strategy": "flip" }));
    daemon.wait_for_status("has the strategy back", BACK_WITHIN, |now| {
        mode_of(now) == "Normal" && children(now).get("strategy/flip").is_some_and(|(_, state)| state == "ready")
    });
    daemon.wait_for_status("has the strategy at work", TRADES_WITHIN, |now| signals(now, "flip") > 0);
    trades_on(&mut daemon, &ACCOUNTS);
    assert_eq!(untouched(&daemon.status(), &broken), before, "nobody else was restarted");
}

#[test]
fn a_market_that_keeps_panicking_halts_its_symbol_alone_and_a_resume_brings_it_back() {
    let mut daemon = Daemon::start(&format!("{BUSY}{SHORT}"));
    let broken = ["market/SOLUSDT", "guard/market/SOLUSDT"];
    let before = untouched(&daemon.status(), &broken);
    let symbol = |status: &Value, name: &str| named(&status["symbols"], "name", name).clone();
    panics_until(&mut daemon, "market/SOLUSDT", |status| symbol(status, "SOLUSDT")["mode"] == "Halted");
    let status = daemon.status();
    assert_eq!([symbol(&status, "BTCUSDT")["mode"].clone(), status["mode"].clone()], ["Normal"; 2], "{status:#}");
    trades_on(&mut daemon, &ACCOUNTS);
    resume_in_the_end(&mut daemon, &json!({ "symbol": "SOLUSDT" }));
    let back = daemon.wait_for_status("has the market back", BACK_WITHIN, |now| {
        children(now).get("market/SOLUSDT").is_some_and(|(_, state)| state == "ready") && symbol(now, "SOLUSDT")["stale"] == false
    });
    let frames = |status: &Value| symbol(status, "SOLUSDT")["frames"].as_u64().unwrap();
    daemon.wait_for_status("has the market moving", BACK_WITHIN, |now| frames(now) > frames(&back));
    assert_eq!(untouched(&daemon.status(), &broken), before, "nobody else was restarted");
}

#[test]
fn a_risk_manager_that_keeps_panicking_halts_everything_and_ends_the_daemon_latched() {
    let mut daemon = Daemon::start(&format!("{BUSY}{SHORT}"));
    trades_on(&mut daemon, &ACCOUNTS);
    for incarnation in 1..=3 {
        daemon.wait_for_status("has a risk manager", BACK_WITHIN, |status| {
            children(status).get("risk_manager").is_some_and(|(number, state)| *number == incarnation && state == "ready")
        });
        inject_to_the_end(&daemon, "risk_manager", "panic");
    }
    spins::ends_halted_and_stays_so(daemon, "risk_manager");
}

#[test]
fn a_kill_switch_that_keeps_panicking_is_the_end_with_every_order_cancelled_and_the_halt_latched() {
    let mut daemon = Daemon::start(&format!("{BUSY}{SHORT}"));
    daemon.wait_for_status("has open orders to cancel", TRADES_WITHIN, |status| open_orders(status) > 0);
    for incarnation in 1..=4 {
        daemon.wait_for_status("has a kill switch", BACK_WITHIN, |status| {
            children(status).get("kill_switch").is_some_and(|(number, state)| *number == incarnation && state == "ready")
        });
        inject_to_the_end(&daemon, "kill_switch", "panic");
    }
    spins::ends_halted_and_stays_so(daemon, "kill_switch");
}

#[test]
fn faults_in_one_instant_are_answered_each_for_itself() {
    let mut daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
    trades_on(&mut daemon, &ACCOUNTS);
    let broken = ["executor/alpha", "executor/beta", "strategy/score", "market/BTCUSDT", "risk_manager", "kill_switch", "metronome"];
    let before = incarnations(&daemon.status());
    for (index, child) in broken.iter().enumerate() {
        inject(&daemon, child, if index % 2 == 0 { "panic" } else { "wedge" });
    }
    daemon.wait_for_status("has restarted them all", BACK_WITHIN, |status| {
        broken.iter().all(|child| incarnation(status, child) == before[*child] + 1)
    });
    daemon.wait_until("is ready again", BACK_WITHIN, |daemon| daemon.get("/ready").0 == 200);
    assert_eq!(untouched(&daemon.status(), &broken), {
        let mut rest = before;
        rest.retain(|name, _| !broken.contains(&name.as_str()));
        rest
    });
    trades_on(&mut daemon, &ACCOUNTS);
}
