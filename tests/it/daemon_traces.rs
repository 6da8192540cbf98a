//! Traces of the real daemon, received over OTLP: from signal to fill each order is one trace, with links to the ticks
//! behind it and to a restart in between. A collector that is not there costs nothing but its spans.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Home};
use crate::support::otlp::{OtlpReceiver, ReceivedSpan};

/// Spans leave every five seconds; the market needs some time to reach a stop or a target.
const SOON: Duration = Duration::from_secs(240);

/// `flips` trades at every other bar. `holds` has a stop and a target so near that one of them fills within half a minute:
/// the market moves by 0.03 % a second, they are 0.12 % away.
fn config(endpoint: &str) -> String {
    format!(
        r#"
telemetry = {{ otlp_endpoint = "{endpoint}" }}
[[accounts]]
id = "alpha"
starting_funds = "100000"
[[symbols]]
name = "BTCUSDT"
[[symbols]]
name = "ETHUSDT"
synthetic = {{ volatility_millionths = 300 }}
[[strategies]]
id = "flips"
kind = "ema_cross"
accounts = ["*"]
symbols = ["BTCUSDT"]
interval = "1s"
settings = {{ fast = 1, slow = 2, order_value = "1000", open_at_start = true }}
{HOLDS}"#
    )
}

const HOLDS: &str = r#"[[strategies]]
id = "holds"
kind = "indicator_score"
accounts = ["*"]
symbols = ["ETHUSDT"]
interval = "1s"
[strategies.settings]
publish_above = "0.01"
side_from = "0.1"
min_signal_strength = "0.1"
stop_loss = "0.0012"
take_profit = "0.0012"
on_opposite = "hold"
"#;

fn open_orders(status: &Value) -> u64 {
    status["accounts"][0]["open_orders"].as_u64().unwrap_or_default()
}

fn inject_panic(daemon: &Daemon, child: &str) {
    let body = json!({ "by": "ann", "reason": "drill", "fault": "panic" });
    let (code, answer) = daemon.post(&format!("/admin/inject/{child}"), &body);
    assert_eq!(code, 200, "{answer}");
}

struct Spans(Vec<ReceivedSpan>);

impl Spans {
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a ReceivedSpan> {
        self.0.iter().filter(move |span| span.name == name)
    }

    fn at(&self, place: (u128, u64)) -> Option<&ReceivedSpan> {
        self.0.iter().find(|span| (span.trace_id, span.span_id) == place)
    }

    fn parent(&self, span: &ReceivedSpan) -> Option<&ReceivedSpan> {
        span.parent.and_then(|parent| self.at((span.trace_id, parent)))
    }

    /// From a span up to the root of its trace.
    fn chain(&self, span: &ReceivedSpan) -> Vec<String> {
        let mut chain = vec![span.name.clone()];
        let mut at = span;
        while let Some(parent) = self.parent(at) {
            chain.push(parent.name.clone());
            at = parent;
        }
        chain
    }

    /// Restart landmarks that a span links to.
    fn restarts(&self, span: &ReceivedSpan) -> Vec<&ReceivedSpan> {
        span.links.iter().filter_map(|link| self.at(*link)).filter(|target| target.name == "restart").collect()
    }

    /// What holds of every span, whatever happened.
    fn check_all(&self) {
        let known: HashSet<&str> = ["signal", "risk", "journal", "venue", "fill", "tick", "restart", "operator_command"].into();
        for span in &self.0 {
            assert!(known.contains(span.name.as_str()), "a span that is none of ours: {span:#?}");
            assert_eq!(span.service, "ringfence");
            assert!(span.ended_ns >= span.started_ns, "{span:#?}");
            assert!(span.parent.is_none() || self.parent(span).is_some(), "its parent never ended or was never sent: {span:#?}");
            for link in &span.links {
                assert!(self.at(*link).is_some(), "a link that leads nowhere: {span:#?}");
            }
        }
        for signal in self.named("signal") {
            assert_eq!(signal.parent, None);
            let ticks = signal.links.iter().filter_map(|link| self.at(*link)).filter(|target| target.name == "tick");
            let symbols: Vec<&String> = ticks.map(|tick| &tick.attributes["symbol"]).collect();
            assert_eq!(symbols, [&signal.attributes["symbol"]], "{signal:#?}");
        }
        let mut orders: HashMap<&str, u128> = HashMap::new();
        for span in self.0.iter().filter(|span| span.attributes.contains_key("client_order_id")) {
            let trace = *orders.entry(&span.attributes["client_order_id"]).or_insert(span.trace_id);
            assert_eq!(trace, span.trace_id, "an order has one trace: {span:#?}");
        }
    }
}

const CHAIN: [&str; 5] = ["fill", "venue", "journal", "risk", "signal"];

#[test]
fn from_signal_to_fill_is_one_trace_with_its_ticks_and_with_a_restart_in_between() {
    let receiver = OtlpReceiver::start();
    let home = Home::new(&config(receiver.endpoint()));
    let mut daemon = home.start();
    daemon.wait_for_status("has a stop and a target resting", SOON, |status| open_orders(status) >= 2);
    inject_panic(&daemon, "executor/alpha");
    daemon.wait_until("has restarted the executor", SOON, |daemon| {
        let executor = daemon.child("executor/alpha");
        executor["incarnation"] == 2 && executor["state"] == "ready"
    });
    // Whichever of the two fills, the other one ends unfilled: both are of the life before.
    let linked = |spans: &[ReceivedSpan], name: &str| {
        let spans = Spans(spans.to_vec());
        spans.named(name).any(|span| spans.restarts(span).iter().any(|restart| restart.attributes["child"] == "executor/alpha"))
    };
    receiver.wait_for(SOON, |spans| linked(spans, "fill") && linked(spans, "venue"));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    let spans = Spans(receiver.wait_for(SOON, |_| true));
    spans.check_all();

    let whole: Vec<&ReceivedSpan> = spans.named("fill").filter(|fill| spans.chain(fill) == CHAIN).collect();
    assert!(whole.len() >= 2, "{:#?}", spans.0);
    for fill in whole {
        let venue = spans.parent(fill).unwrap();
        assert_eq!(venue.attributes["client_order_id"], fill.attributes["client_order_id"]);
        assert!(venue.error.is_none() && spans.restarts(fill).is_empty(), "{fill:#?}");
    }
    let later: Vec<&ReceivedSpan> = spans.named("fill").filter(|fill| !spans.restarts(fill).is_empty()).collect();
    assert_eq!(later.len(), 1, "only the order from before has the restart in between: {later:#?}");
    assert_eq!(spans.chain(later[0]), ["fill", "signal"], "its trace goes on from what the journal kept");
    let other = spans.named("venue").find(|venue| venue.attributes.contains_key("status")).expect("the other one ended");
    assert!(["canceled", "expired"].contains(&other.attributes["status"].as_str()), "{other:#?}");
    assert_eq!(spans.restarts(other).len(), 1);
}

#[test]
fn after_a_kill_the_next_daemon_goes_on_in_the_traces_of_the_orders_that_it_finds() {
    let receiver = OtlpReceiver::start();
    // Far enough away that neither fills while the test looks on.
    let home = Home::new(&config(receiver.endpoint()).replace("0.0012", "0.02"));
    let mut daemon = home.start();
    daemon.wait_for_status("has a stop and a target resting", SOON, |status| open_orders(status) >= 2);
    let home: Arc<Home> = daemon.kill();
    let mut daemon = home.start();
    daemon.wait_for_status("has found its orders", SOON, |status| open_orders(status) >= 2);
    // Without their strategy they are cancelled.
    home.configure(&config(receiver.endpoint()).replace(HOLDS, ""));
    daemon.signal(libc::SIGHUP);
    daemon.wait_for_status("has cancelled them", SOON, |status| open_orders(status) == 0);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    let spans = Spans(receiver.wait_for(SOON, |_| true));
    let later: Vec<&ReceivedSpan> = spans.named("venue").filter(|venue| !spans.restarts(venue).is_empty()).collect();
    assert_eq!(later.len(), 2, "{:#?}", spans.0);
    for venue in later {
        assert_eq!(venue.attributes["status"], "canceled");
        assert!(venue.parent.is_some(), "it goes on under the signal of the life before: {venue:#?}");
        let cause = &spans.restarts(venue)[0].attributes["cause"];
        assert_eq!(cause, "the daemon was started again");
    }
}

#[test]
fn a_refused_order_ends_its_trace_at_risk_and_says_which_control() {
    let receiver = OtlpReceiver::start();
    let home = Home::new(&format!("risk = {{ max_order_value = \"10\" }}\n{}", config(receiver.endpoint())));
    let mut daemon = home.start();
    let refused = |status: &Value| status["strategies"].to_string().contains("\"refused\":0");
    daemon.wait_for_status("has refused something", SOON, |status| !refused(status));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    let spans = Spans(receiver.wait_for(SOON, |spans| spans.iter().any(|span| span.name == "risk")));
    spans.check_all();
    let risk = spans.named("risk").find(|risk| risk.error.is_some()).expect("a refusal");
    assert_eq!((risk.attributes["control"].as_str(), spans.chain(risk).len()), ("order_value", 2));
    assert!(!spans.0.iter().any(|span| span.parent == Some(risk.span_id)), "nothing comes of it");
}

#[test]
fn a_collector_that_is_not_there_costs_its_spans_and_nothing_else() {
    // A port that was free a moment ago and has nobody behind it.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let home = Home::new(&config(&format!("http://{closed}")));
    let mut daemon = home.start();
    daemon.wait_for_status("trades", SOON, |status| status["accounts"][0]["fills"].as_u64() > Some(2));
    daemon.wait_until("counts what is lost", SOON, |daemon| {
        let (_, text) = daemon.get("/metrics");
        text.as_str().is_some_and(|text| text.contains("ringfence_spans_lost_total{reason=\"export_failed\"}"))
    });
    assert_eq!(daemon.status()["ready"], true);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

#[test]
fn without_an_endpoint_nothing_of_it_is_there() {
    let home = Home::new(&config(""));
    let mut daemon = home.start();
    daemon.wait_for_status("trades", SOON, |status| status["accounts"][0]["fills"].as_u64() > Some(0));
    let (_, text) = daemon.get("/metrics");
    assert!(!text.as_str().expect("text").contains("ringfence_spans_"), "{text}");
    #[cfg(target_os = "linux")]
    {
        let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
        let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        let names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
        assert!(names.iter().all(|name| !name.contains("otlp") && !name.contains("OpenTelemetry")), "{names:?}");
    }
}
