//! While one account's executor dies again and again, the others' orders take as long as before and none of their messages
//! is lost.

use super::*;

/// Orders of the two accounts that each half of the comparison has at least.
const ORDERS: u64 = 8;
/// What the ordinary noise of a shared machine adds to a mean of few orders.
const NOISE: Duration = Duration::from_millis(10);

/// Acknowledged orders so far, and the time that they took together.
fn acknowledged(daemon: &Daemon, account: &str) -> (u64, f64) {
    let (_, metrics) = daemon.get("/metrics");
    let value = |name: &str| -> f64 {
        let start = format!("{name}{{account=\"{account}\"}} ");
        let line = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix(start.as_str()));
        line.map_or(0.0, |value| value.parse().unwrap())
    };
    (value("ringfence_order_ack_seconds_count") as u64, value("ringfence_order_ack_seconds_sum"))
}

/// The mean time to an acknowledgement over the next orders of an account.
fn mean_of_the_next(daemon: &mut Daemon, account: &str, mut meanwhile: impl FnMut(&mut Daemon)) -> Duration {
    let (count, sum) = acknowledged(daemon, account);
    daemon.wait_until("acknowledges orders", TRADES_WITHIN * 2, |daemon| {
        meanwhile(daemon);
        acknowledged(daemon, account).0 >= count + ORDERS
    });
    let (later, total) = acknowledged(daemon, account);
    Duration::from_secs_f64((total - sum) / (later - count) as f64)
}

#[test]
fn an_executor_that_dies_again_and_again_costs_the_other_accounts_nothing() {
    let mut daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
    let calm = mean_of_the_next(&mut daemon, "beta", |_| {});
    let before = incarnations(&daemon.status());
    let mut last = 0;
    let troubled = mean_of_the_next(&mut daemon, "beta", |daemon| {
        let status = daemon.status();
        let ready = children(&status)["executor/alpha"].1 == "ready";
        if ready && incarnation(&status, "executor/alpha") > last {
            last = incarnation(&status, "executor/alpha");
            inject(daemon, "executor/alpha", "panic");
        }
    });
    eprintln!("acknowledged within {calm:?} on average, and within {troubled:?} beside {last} panics");
    assert!(last > 10, "{last} panics");
    assert!(troubled <= calm * 2 + NOISE, "beta's orders took {calm:?} in calm and {troubled:?} beside a dying executor");
    let after = incarnations(&daemon.status());
    for (name, number) in before.iter().filter(|(name, _)| *name != "executor/alpha") {
        assert_eq!(after.get(name), Some(number), "{name}");
    }
    trades_on(&mut daemon, &ACCOUNTS);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.home.log());
    every_order_has_its_end(&daemon.home);
}

/// An order that was lost on its way, or whose words were, has no end in the journal after an ordered stop.
fn every_order_has_its_end(home: &Home) {
    let rows = home.audit("orders");
    let id = |row: &Value| row["client_order_id"].as_str().unwrap_or_default().to_owned();
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for row in &rows {
        match row["kind"].as_str().unwrap() {
            "order_intended" => drop(last.insert(id(row), "intended".to_owned())),
            "order_changed" => drop(last.insert(id(row), row["payload"]["status"].to_string())),
            _ => {}
        }
    }
    assert!(last.len() as u64 > ORDERS, "{rows:?}");
    for (id, status) in last {
        let over = ["filled", "canceled", "cancelled", "expired", "rejected", "notsent", "not_sent"];
        let plain = status.trim_matches('"').to_ascii_lowercase();
        assert!(over.contains(&plain.as_str()), "order {id} expected to have ended, found {status}");
    }
}
