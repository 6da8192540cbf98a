//! RTS 6, Article 10: the daemon at twice the highest rate of messages that it has seen. No frame is thrown away, no mailbox passes
//! its bound, everybody trades.

use super::*;

/// Long enough for a few bars, short enough for every run of the tests.
const MEASURED_FOR: Duration = Duration::from_secs(8);
/// Trades of the synthetic market, so many times the usual: more than twice the messages, as touches and depths come beside them.
const BUSIER: u32 = 12;

fn frames(status: &Value) -> u64 {
    status["symbols"].as_array().unwrap().iter().filter_map(|symbol| symbol["frames"].as_u64()).sum()
}

/// Frames a second over the time, and the highest of its seconds.
fn rates(daemon: &mut Daemon) -> (f64, f64) {
    let (began, first) = (Instant::now(), frames(&daemon.status()));
    let (mut peak, mut last) = (0.0_f64, (began, first));
    daemon.wait_for_status_while("shows a market for a while", MEASURED_FOR + WITHIN, |_, status| {
        let (at, seen) = (Instant::now(), frames(status));
        let since = at.duration_since(last.0).as_secs_f64();
        if since >= 1.0 {
            peak = peak.max((seen - last.1) as f64 / since);
            last = (at, seen);
        }
        at.duration_since(began) >= MEASURED_FOR
    });
    ((last.1 - first) as f64 / last.0.duration_since(began).as_secs_f64(), peak)
}

fn sum_of(daemon: &Daemon, metric: &str) -> f64 {
    let (_, metrics) = daemon.get("/metrics");
    let lines = metrics.as_str().unwrap().lines().filter(|line| line.starts_with(metric) && !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn twice_the_peak_of_messages_loses_nothing_and_keeps_every_mailbox_within_its_bound() {
    let mut usual = Daemon::start(BUSY);
    let (mean, peak) = rates(&mut usual);
    drop(usual.kill());
    let symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        .map(|name| format!("[[symbols]]\nname = \"{name}\"\n[symbols.synthetic]\ntrades_per_second = {}\n", 18 * BUSIER));
    let mut stressed = Daemon::start(&format!("{BUSY}{}", symbols.concat()));
    let before = ["alpha", "beta", "gamma"].map(|account| orders(&stressed.status(), account));
    let (rate, _) = rates(&mut stressed);
    eprintln!("usual {mean:.0} messages/s, peak {peak:.0}/s; stressed {rate:.0}/s");
    assert!(rate >= 2.0 * peak, "expected at least twice the peak of {peak:.0}/s, made {rate:.0}/s");
    stressed.wait_for_status("trades under it on every account", WITHIN, |status| {
        ["alpha", "beta", "gamma"].iter().zip(before).all(|(account, before)| orders(status, account) > before)
    });
    assert_eq!(sum_of(&stressed, "ringfence_feed_frames_dropped_total"), 0.0);
    assert_eq!(sum_of(&stressed, "ringfence_mailbox_alarms_total"), 0.0);
    let status = stressed.status();
    let deepest = status["children"].as_array().unwrap().iter().filter_map(|child| child["mailbox"].as_u64()).max();
    assert!(deepest < Some(1_000), "{status:#}");
    assert_eq!(status["mode"], "Normal");
    assert_eq!(stressed.terminate().code(), Some(0), "{}", stressed.home.log());
}
