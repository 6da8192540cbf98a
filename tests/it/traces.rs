//! The trace of an order, received over real OTLP: one trace from signal to fill, linked to the ticks behind it and to a
//! restart in between.

use std::collections::HashMap;
use std::time::Duration;

use ringfence::domain::ids::Symbol;
use ringfence::domain::order::TraceContext;
use ringfence::domain::time::Timestamp;
use ringfence::telemetry::OtlpConfig;
use ringfence::telemetry::otlp::Pipeline;
use ringfence::telemetry::trace::{self, ActiveSpan, Field, Outcome, span};

use crate::support::otlp::{OtlpReceiver, ReceivedSpan};

/// Generous: the test waits for an answer, not for this long.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The tracer is the process's, so both states are shown by one test.
#[test]
fn an_order_is_one_trace_with_links_to_its_ticks_and_to_a_restart() {
    assert!(!trace::enabled(), "traces are off until an endpoint is given");
    assert_eq!(trace::start_root(span::SIGNAL, &[], &[]).context(), None);
    let receiver = OtlpReceiver::start();
    let pipeline = Pipeline::start(&OtlpConfig::to(receiver.endpoint())).unwrap();
    pipeline.install();

    let trace_id = order_flow();
    assert!(pipeline.flush(TIMEOUT), "the collector takes the spans");
    let spans = receiver.wait_for(TIMEOUT, |spans| spans.len() >= 8);
    pipeline.shutdown(TIMEOUT);
    assert!(!trace::enabled());

    check_chain(&spans, trace_id);
    check_links(&spans, trace_id);
}

/// What the actors do with it, one after another; the context is all that passes between them.
fn order_flow() -> u128 {
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let mut signal = trace::start_root(span::SIGNAL, &[("strategy", Field::Text("ema")), ("quantity", Field::Shown(&"0.015"))], &[]);
    signal.link_tick(symbol, 7, Timestamp::from_millis(1));
    signal.link_tick(symbol, 8, Timestamp::from_millis(2));
    let intent = signal.context();
    signal.end();

    let risk = trace::start_child(span::RISK, intent, &[("reduce_only", Field::Flag(false))], &[]);
    let approved = hand_over(risk);
    let mut journal = trace::start_child(span::JOURNAL, approved, &[("rows", Field::Integer(1))], &[]);
    journal.event("durable", &[]);
    let durable = hand_over(journal);

    // The executor is restarted between the journal and the venue.
    let restart = trace::restart_context("executor/a1", 2, "panic").expect("traces are on");
    let mut venue = trace::start_child(span::VENUE, durable, &[("account", Field::Text("a1"))], &[restart]);
    venue.set("venue_order_id", Field::Integer(42));
    let accepted = hand_over(venue);
    let mut fill = trace::start_child(span::FILL, accepted, &[], &[]);
    fill.set_status(Outcome::Failed("nothing failed, to see it arrive"));
    fill.context().expect("traces are on").trace_id
}

/// A context goes through a message or a journal row, as text if need be.
fn hand_over(span: ActiveSpan) -> Option<TraceContext> {
    let text = serde_json::to_string(&span.context()).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn check_chain(spans: &[ReceivedSpan], trace_id: u128) {
    let flow: HashMap<&str, &ReceivedSpan> =
        spans.iter().filter(|span| span.trace_id == trace_id).map(|span| (span.name.as_str(), span)).collect();
    assert_eq!(flow.len(), 5, "{flow:#?}");
    assert_eq!(flow[span::SIGNAL].parent, None);
    for (parent, child) in
        [(span::SIGNAL, span::RISK), (span::RISK, span::JOURNAL), (span::JOURNAL, span::VENUE), (span::VENUE, span::FILL)]
    {
        assert_eq!(flow[child].parent, Some(flow[parent].span_id), "{child} is the child of {parent}");
        assert!(flow[parent].started_ns <= flow[child].started_ns, "{parent} begins before {child}");
    }
    assert_eq!(flow[span::SIGNAL].attributes["strategy"], "ema");
    assert_eq!(flow[span::SIGNAL].attributes["quantity"], "0.015");
    assert_eq!(flow[span::RISK].attributes["reduce_only"], "false");
    assert_eq!(flow[span::JOURNAL].events, ["durable"]);
    assert_eq!(flow[span::VENUE].attributes["venue_order_id"], "42");
    assert_eq!(flow[span::FILL].error.as_deref(), Some("nothing failed, to see it arrive"));
    assert!(flow.values().all(|span| span.service == "ringfence"));
}

fn check_links(spans: &[ReceivedSpan], trace_id: u128) {
    let links_of = |name: &str| &spans.iter().find(|span| span.trace_id == trace_id && span.name == name).expect("in the chain").links;
    let target = |link: &(u128, u64)| {
        let found = spans.iter().find(|span| (span.trace_id, span.span_id) == *link);
        found.expect("a link leads to a span that was received")
    };
    let ticks: Vec<&ReceivedSpan> = links_of(span::SIGNAL).iter().map(target).collect();
    assert_eq!(ticks.iter().map(|tick| tick.name.as_str()).collect::<Vec<_>>(), [span::TICK, span::TICK]);
    assert_eq!(ticks.iter().map(|tick| tick.attributes["sequence"].as_str()).collect::<Vec<_>>(), ["7", "8"]);
    assert!(ticks.iter().all(|tick| tick.trace_id != trace_id && tick.parent.is_none()), "a tick is a trace of its own");
    let restarts: Vec<&ReceivedSpan> = links_of(span::VENUE).iter().map(target).collect();
    assert_eq!(restarts.len(), 1);
    assert_eq!((restarts[0].name.as_str(), restarts[0].attributes["child"].as_str()), (span::RESTART, "executor/a1"));
}
