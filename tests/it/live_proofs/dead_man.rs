//! The venue's own clock: an account whose executor stands still is emptied by the venue, and nobody else's is touched.

use super::*;
use crate::support::inside::Inside;

/// The executor stays wedged for the whole test, and the venue's clock is the shortest that there is.
const SLOW_TO_RESTART: &str = r#"
[[venues]]
id = "embedded"
kind = "binance_usdm"
environment = "embedded"
dead_mans_switch = "5s"

[supervision]
heartbeat_deadline = "10m"
"#;

/// The switch, one look at it, and a busy machine.
const CANCELLED_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn the_venue_cancels_a_wedged_accounts_orders_by_itself_and_nobody_elses() {
    let mut daemon = Daemon::start(&format!("{BUSY}{SLOW_TO_RESTART}"));
    let inside = Inside::of(&daemon);
    // By a person, so that no strategy cancels them for reasons of its own.
    for account in ["alpha", "beta"] {
        inside.rest_an_order(account, "ETHUSDT", "2000", "0.1", &format!("by-hand-{account}"));
    }
    // The switch is armed for symbols on which the daemon itself has orders open.
    let stops = |account: &str| {
        let open = inside.open(account).unwrap_or_default();
        open.iter().any(|name| name.starts_with("rf-"))
    };
    daemon.wait_until("has orders of its own on both accounts", WITHIN, |_| stops("alpha") && stops("beta"));
    let rests = |account: &str| inside.open(account).map(|open| open.contains(&format!("by-hand-{account}")));
    assert_eq!((rests("alpha"), rests("beta")), (Some(true), Some(true)));
    // Two looks of the switch: a wedge between arming and now leaves the venue's clock running.
    let looked = daemon.status()["uptime_seconds"].as_u64().unwrap();
    daemon.wait_for_status("has told the venue", WITHIN, |status| status["uptime_seconds"].as_u64().unwrap() >= looked + 3);
    inject(&daemon, "executor/alpha", "wedge");
    let began = Instant::now();
    daemon.wait_until("leaves alpha to the venue's clock", CANCELLED_WITHIN, |_| rests("alpha") == Some(false));
    eprintln!("the venue cancelled {:?} after the executor stood still", began.elapsed());
    assert_eq!(rests("beta"), Some(true), "nobody else's order was touched");
    let status = daemon.status();
    let incarnation = status["children"].as_array().unwrap().iter().find(|child| child["name"] == "executor/alpha").unwrap();
    assert_eq!(incarnation["incarnation"], 1, "it stands still: nobody of ours cancelled");
    assert_eq!(status["kill_switch"]["tripped"], false, "and nobody halted");
    let sent = orders(&status, "beta");
    daemon.wait_for_status("trades on for beta", WITHIN, |status| orders(status, "beta") > sent);
}
