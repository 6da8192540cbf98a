//! While one account's executor dies again and again, the others' orders take as long as before and none of their messages
//! is lost.

use std::collections::BTreeSet;

use super::*;

/// Orders of the calm account that each half of the comparison has at least.
const ORDERS: u64 = 8;
/// So that the troubled half has some trouble, and stays within the intensity that `PATIENT` allows.
const PANICS: std::ops::Range<u64> = 10..60;
/// An order whose sender died before it could say whether it left is absent when the venue has said so twice, 12 s later.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

fn metric(daemon: &Daemon, line: &str) -> f64 {
    let (_, metrics) = daemon.get("/metrics");
    let found = metrics.as_str().unwrap().lines().find_map(|found| found.strip_prefix(line));
    found.map_or(0.0, |value| value.trim().parse().unwrap())
}

/// Orders of the account that the venue has answered, and those of them that took no longer than 25 ms. An order takes about
/// one millisecond; one that had to wait for its neighbour's restart would take a backoff of 100 ms and a reconciliation. How
/// long it takes exactly is for a benchmark to say.
fn acknowledged(daemon: &Daemon, account: &str) -> (u64, u64) {
    let all = metric(daemon, &format!("ringfence_order_ack_seconds_count{{account=\"{account}\"}}"));
    let prompt = metric(daemon, &format!("ringfence_order_ack_seconds_bucket{{account=\"{account}\",le=\"0.025\"}}"));
    (all as u64, prompt as u64)
}

#[test]
fn an_executor_that_dies_again_and_again_costs_the_other_accounts_nothing() {
    let mut daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
    let before = incarnations(&daemon.wait_for_status("trades for beta", TRADES_WITHIN, |status| orders(status, "beta") > 0));
    let (mut last, calm) = (0, acknowledged(&daemon, "beta"));
    daemon.wait_until("acknowledges beta's orders while alpha's executor dies", TRADES_WITHIN * 4, |daemon| {
        let status = daemon.status();
        let (incarnation, state) = &children(&status)["executor/alpha"];
        if state == "ready" && *incarnation > last && last < PANICS.end {
            last = *incarnation;
            inject(daemon, "executor/alpha", "panic");
        }
        last > PANICS.start && acknowledged(daemon, "beta").0 >= calm.0 + ORDERS
    });
    let troubled = acknowledged(&daemon, "beta");
    let (all, prompt) = (troubled.0 - calm.0, troubled.1 - calm.1);
    eprintln!("beside {last} panics {prompt} of {all} orders acknowledged at once");
    assert!(prompt * 2 > all, "only {prompt} of beta's {all} orders were acknowledged at once beside a dying executor");
    let after = incarnations(&daemon.status());
    for (name, number) in before.iter().filter(|(name, _)| *name != "executor/alpha") {
        assert_eq!(after.get(name), Some(number), "{name}");
    }
    trades_on(&mut daemon, &ACCOUNTS);
    every_order_has_its_word(&mut daemon);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.home.log());
}

/// An order that was lost on its way, or whose words were, would stay without a word of the venue's for good.
fn every_order_has_its_word(daemon: &mut Daemon) {
    let all: BTreeSet<String> = last_words(&daemon.home).into_keys().collect();
    assert!(all.len() as u64 > ORDERS, "{all:?}");
    let mut waiting = BTreeMap::new();
    daemon.wait_until("knows what became of every order", SETTLED_WITHIN, |daemon| {
        waiting = last_words(&daemon.home);
        waiting.retain(|id, status| all.contains(id) && OPEN_QUESTIONS.contains(&status.as_str()));
        waiting.is_empty()
    });
}

/// Stops and targets may rest for as long as they like; these may not.
const OPEN_QUESTIONS: [&str; 4] = ["intended", "submitted", "unknown", "pending_cancel"];

/// Each order's status as the journal has it last.
fn last_words(home: &Home) -> BTreeMap<String, String> {
    let status = |row: &Value| match row["kind"].as_str().unwrap() {
        "order_intended" => Some("intended".to_owned()),
        "order_changed" => Some(row["payload"]["status"].as_str().unwrap_or_default().to_ascii_lowercase()),
        _ => None,
    };
    let rows = home.audit("orders");
    let words = rows.iter().filter_map(|row| Some((row["client_order_id"].as_str()?.to_owned(), status(row)?)));
    words.collect()
}
