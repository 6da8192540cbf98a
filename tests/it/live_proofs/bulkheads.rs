//! Account bulkheads in one process: while one account's executor dies again and again under load, its neighbours' strategies lose
//! no intent, their orders reach the venue as before, and their decisions take as long as before.

use std::collections::BTreeSet;

use ringfence::domain::record::Record;

use super::*;
use crate::support::ledger::Ledger;

/// A strategy of its own for each account: its intents are numbered one after another, and a number that is missing is a message
/// that was lost.
fn load() -> String {
    let one = |account: &str| {
        format!(
            "[[strategies]]\nid = \"flip-{account}\"\nkind = \"ema_cross\"\naccounts = [\"{account}\"]\nsymbols = [\"BTCUSDT\", \"ETHUSDT\", \
             \"SOLUSDT\"]\ninterval = \"1s\"\n[strategies.settings]\nfast = 1\nslow = 2\norder_value = \"1000\"\nopen_at_start = true\n"
        )
    };
    ["alpha", "beta", "gamma"].map(one).concat()
}

/// Orders of each calm account in each half: enough that a quantile is more than one order's luck.
const ORDERS: u64 = 25;
const PANICS_MAX: u64 = 40;
/// What a machine that is busy with other tests adds to any one decision. A neighbour's restart, had anybody to wait for it, would
/// cost a backoff of 50 ms and a reconciliation.
const NOISE: Duration = Duration::from_millis(25);

/// Decision to the row of the order, for each order of the account in the given stretch of time.
fn decisions(ledger: &[(Duration, Record)], account: &str, from: Duration, until: Duration) -> Vec<Duration> {
    let within = |at: &Duration| (from..until).contains(at);
    let of = ledger.iter().filter(|(at, _)| within(at)).filter_map(|(at, record)| match record {
        Record::OrderIntended { intent, .. } if intent.account.as_str() == account => {
            Some(at.saturating_sub(Duration::from_nanos(u64::try_from(intent.decided_at.0).unwrap())))
        }
        _ => None,
    });
    let mut took: Vec<Duration> = of.collect();
    took.sort_unstable();
    took
}

/// Numbers of a strategy's intents that neither became an order nor were refused.
fn missing(ledger: &[(Duration, Record)], strategy: &str) -> Vec<u64> {
    let numbers: BTreeSet<u64> = ledger
        .iter()
        .filter_map(|(_, record)| match record {
            Record::OrderIntended { intent, .. } | Record::OrderRefused { intent, .. } if intent.strategy.as_str() == strategy => {
                Some(intent.id.0)
            }
            _ => None,
        })
        .collect();
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return Vec::new() };
    (*first..=*last).filter(|number| !numbers.contains(number)).collect()
}

#[test]
fn a_dying_executor_costs_its_neighbours_no_message_and_no_time() {
    let mut daemon = Daemon::start(&format!("{}{PATIENT}", load()));
    let home = std::sync::Arc::clone(&daemon.home);
    let sent = |status: &Value| ["beta", "gamma"].map(|account| orders(status, account));
    let more = |status: &Value, than: [u64; 2]| sent(status).iter().zip(than).all(|(now, before)| *now >= before + ORDERS);
    let first = sent(&daemon.wait_for_status("trades", WITHIN, |status| sent(status).iter().all(|sent| *sent > 0)));
    let calm_from = now();
    daemon.wait_for_status("trades in calm", WITHIN * 3, |status| more(status, first));
    let troubled_from = now();
    let second = sent(&daemon.status());
    let (mut last, mut panics) = (0, 0);
    daemon.wait_for_status_while("trades in trouble", WITHIN * 3, |daemon, status| {
        let executor = status["children"].as_array().unwrap().iter().find(|child| child["name"] == "executor/alpha").unwrap().clone();
        let incarnation = executor["incarnation"].as_u64().unwrap();
        if executor["state"] == "ready" && incarnation > last && panics < PANICS_MAX {
            (last, panics) = (incarnation, panics + 1);
            inject(daemon, "executor/alpha", "panic");
        }
        more(status, second) && panics >= 5
    });
    let until = now();
    // Alpha comes back as well, and everything is settled before the books are held side by side.
    let alpha = orders(&daemon.status(), "alpha");
    daemon.wait_for_status("trades for alpha again", WITHIN * 2, |status| orders(status, "alpha") > alpha);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    let rows: Vec<(Duration, Record)> =
        home.audit("orders").into_iter().map(|row| (at(&row), serde_json::from_value(row["payload"].clone()).unwrap())).collect();
    for account in ["beta", "gamma"] {
        let lost = missing(&rows, &format!("flip-{account}"));
        assert!(lost.is_empty(), "intents of {account} were lost: {lost:?}");
        let (calm, troubled) = (decisions(&rows, account, calm_from, troubled_from), decisions(&rows, account, troubled_from, until));
        assert!(calm.len() >= ORDERS as usize / 2 && troubled.len() >= ORDERS as usize / 2, "{} {}", calm.len(), troubled.len());
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let (before, beside) = (quantile(&calm, share), quantile(&troubled, share));
            eprintln!("{account} beside {panics} panics: decision to order {name} {beside:?}, {before:?} in calm");
            assert!(beside <= (before * 2).max(NOISE), "{account}: {name} {before:?} in calm, {beside:?} beside a dying executor");
        }
    }
    Ledger::read(&home).check_always();
}
