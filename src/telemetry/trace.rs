//! The trace of an order: signal → risk → journal → venue → fill, one trace, parent to child, across actors and restarts.
//! Spans are made by hand over the OpenTelemetry API, because a parent travels in a message and must be set before the
//! span begins. Off by default: then a call costs one atomic read, formats nothing and gives an inert span.
//!
//! A market tick has no span of its own; only when a signal was caused by it and is recorded does `ActiveSpan::link_tick`
//! emit one short `tick` span, so that the link leads somewhere.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use crate::domain::ids::Symbol;
use crate::domain::order::TraceContext;
use crate::domain::time::Timestamp;

/// The spans of an order, in their order. A trace is only useful when everybody spells them alike.
pub mod span {
    pub const SIGNAL: &str = "signal";
    pub const RISK: &str = "risk";
    pub const JOURNAL: &str = "journal";
    pub const VENUE: &str = "venue";
    pub const FILL: &str = "fill";
    /// A landmark: what a signal links to.
    pub const TICK: &str = "tick";
    /// A landmark: what the first span after a restart links to.
    pub const RESTART: &str = "restart";
}

/// Landmarks are recorded whatever the sample ratio: they are emitted only to be linked to.
pub(super) fn is_landmark(name: &str) -> bool {
    matches!(name, span::TICK | span::RESTART)
}

/// The value of an attribute, borrowed: nothing is formatted or copied unless the span is recorded.
#[derive(Clone, Copy)]
pub enum Field<'a> {
    Text(&'a str),
    Integer(i64),
    Flag(bool),
    /// Money and ids: their text.
    Shown(&'a dyn Display),
}

/// The attributes of a span: `&[("symbol", Field::Shown(&symbol))]`.
pub type Fields<'a> = &'a [(&'static str, Field<'a>)];

impl Field<'_> {
    fn owned(self) -> Value {
        match self {
            Self::Text(text) => Value::String(StringValue::from(text.to_owned())),
            Self::Integer(number) => Value::I64(number),
            Self::Flag(flag) => Value::Bool(flag),
            Self::Shown(shown) => Value::String(StringValue::from(shown.to_string())),
        }
    }
}

fn owned(fields: Fields<'_>) -> Vec<KeyValue> {
    fields.iter().map(|(key, field)| KeyValue::new(*key, field.owned())).collect()
}

static TRACER: ArcSwapOption<SdkTracer> = ArcSwapOption::const_empty();
/// Whether there is a tracer: the one read that every call costs while traces are off. It guards no data.
static ENABLED: AtomicBool = AtomicBool::new(false);

pub(super) fn install(tracer: SdkTracer) {
    TRACER.store(Some(Arc::new(tracer)));
    ENABLED.store(true, Ordering::Relaxed);
}

pub(super) fn uninstall() {
    ENABLED.store(false, Ordering::Relaxed);
    TRACER.store(None);
}

/// Whether traces are on. For work that only a trace needs.
#[must_use]
pub fn enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Begins a trace. Whether it is recorded is drawn here, by the sample ratio, for the whole trace.
#[must_use = "the span ends when it is dropped"]
pub fn start_root(name: &'static str, fields: Fields<'_>, links: &[TraceContext]) -> ActiveSpan {
    start(name, None, fields, links)
}

/// Begins a span under `parent`, which may have been made by another actor or before a restart. Without a parent (the
/// order was made while traces were off) it begins a trace.
#[must_use = "the span ends when it is dropped"]
pub fn start_child(name: &'static str, parent: Option<TraceContext>, fields: Fields<'_>, links: &[TraceContext]) -> ActiveSpan {
    start(name, parent, fields, links)
}

/// Emits the landmark of a child's restart, or of the daemon's own, for later spans to link to. `None` when traces are off.
#[must_use]
pub fn restart_context(child: &str, incarnation: u64, cause: &str) -> Option<TraceContext> {
    let fields = [("child", Field::Text(child)), ("incarnation", Field::Shown(&incarnation)), ("cause", Field::Text(cause))];
    start(span::RESTART, None, &fields, &[]).context()
}

fn start(name: &'static str, parent: Option<TraceContext>, fields: Fields<'_>, links: &[TraceContext]) -> ActiveSpan {
    if !enabled() {
        return ActiveSpan::off();
    }
    let tracer = TRACER.load();
    let Some(tracer) = tracer.as_ref() else { return ActiveSpan::off() };
    if let Some(parent) = parent.filter(|parent| !parent.sampled) {
        return ActiveSpan(Inner::Unrecorded(parent));
    }
    let builder = SpanBuilder::from_name(name)
        .with_attributes(owned(fields))
        .with_links(links.iter().map(|context| Link::with_context(to_otel(*context))).collect());
    let around = Context::new();
    let around = match parent {
        Some(parent) => around.with_remote_span_context(to_otel(parent)),
        None => around,
    };
    let span = tracer.build_with_context(builder, &around);
    let context = from_otel(span.span_context());
    if span.is_recording() { ActiveSpan(Inner::Recorded { span: Box::new(span), context }) } else { ActiveSpan(Inner::Unrecorded(context)) }
}

/// A span that has begun. It ends when it is dropped, so it may be kept beside the order that it is about.
#[derive(Debug)]
#[must_use = "the span ends when it is dropped"]
pub struct ActiveSpan(Inner);

#[derive(Debug)]
enum Inner {
    Off,
    /// The draw fell against this trace; its context travels on, so that the children agree.
    Unrecorded(TraceContext),
    Recorded {
        span: Box<Span>,
        context: TraceContext,
    },
}

impl ActiveSpan {
    /// An inert span, for a place that needs one where nothing is traced.
    pub const fn off() -> Self {
        Self(Inner::Off)
    }

    /// What travels in the message to whoever makes the child. `None` when traces are off.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        match &self.0 {
            Inner::Off => None,
            Inner::Unrecorded(context) | Inner::Recorded { context, .. } => Some(*context),
        }
    }

    #[must_use]
    pub fn is_recorded(&self) -> bool {
        matches!(self.0, Inner::Recorded { .. })
    }

    /// Something that happened at a moment within the span.
    pub fn event(&mut self, name: &'static str, fields: Fields<'_>) {
        if let Inner::Recorded { span, .. } = &mut self.0 {
            span.add_event(name, owned(fields));
        }
    }

    pub fn set(&mut self, key: &'static str, field: Field<'_>) {
        if let Inner::Recorded { span, .. } = &mut self.0 {
            span.set_attribute(KeyValue::new(key, field.owned()));
        }
    }

    pub fn set_status(&mut self, outcome: Outcome<'_>) {
        if let Inner::Recorded { span, .. } = &mut self.0 {
            span.set_status(match outcome {
                Outcome::Succeeded => Status::Ok,
                Outcome::Failed(why) => Status::error(why.to_owned()),
            });
        }
    }

    /// Says that `cause` is behind this span without being its parent: a restart in between, another order.
    pub fn link(&mut self, cause: TraceContext) {
        if let Inner::Recorded { span, .. } = &mut self.0 {
            span.add_link(to_otel(cause), Vec::new());
        }
    }

    /// Says that this tick is behind this span, and emits the tick's own short span for the link to lead to.
    pub fn link_tick(&mut self, symbol: Symbol, sequence: u64, at: Timestamp) {
        if self.is_recorded()
            && let Some(tick) = tick_context(symbol, sequence, at)
        {
            self.link(tick);
        }
    }

    /// Ends the span now. Dropping it does the same.
    pub fn end(self) {}
}

/// How a span's work went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    Succeeded,
    Failed(&'a str),
}

/// Emits the landmark of one market tick: call it only for a tick that caused something. `None` when traces are off.
#[must_use]
pub fn tick_context(symbol: Symbol, sequence: u64, at: Timestamp) -> Option<TraceContext> {
    let fields = [("symbol", Field::Shown(&symbol)), ("sequence", Field::Shown(&sequence)), ("venue_time", Field::Shown(&at))];
    start(span::TICK, None, &fields, &[]).context()
}

fn to_otel(context: TraceContext) -> SpanContext {
    let flags = if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    // Remote: the parent's span object is in another actor, or in a process that is gone.
    let remote = true;
    SpanContext::new(TraceId::from(context.trace_id), SpanId::from(context.span_id), flags, remote, TraceState::NONE)
}

fn from_otel(context: &SpanContext) -> TraceContext {
    TraceContext {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(context.span_id().to_bytes()),
        sampled: context.is_sampled(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_survives_the_way_through_opentelemetry() {
        for sampled in [true, false] {
            let context = TraceContext { trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, span_id: 0xb7ad_6b71_6920_3331, sampled };
            assert_eq!(from_otel(&to_otel(context)), context);
        }
    }

    #[test]
    fn an_inert_span_formats_nothing_and_has_no_context() {
        struct Explosive;
        impl Display for Explosive {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("formatted although traces are off");
            }
        }
        let mut span = ActiveSpan::off();
        span.event("sent", &[("order", Field::Shown(&Explosive))]);
        span.set("order", Field::Shown(&Explosive));
        assert_eq!(span.context(), None);
    }
}
