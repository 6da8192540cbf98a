//! A collector for tests: a real OTLP gRPC server on the loopback that keeps every span it is sent. It runs on a thread of
//! its own, so that tests with and without a runtime can wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// One span as it was received, in terms that a test asserts on.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedSpan {
    pub name: String,
    pub trace_id: u128,
    pub span_id: u64,
    /// `None` for the root of a trace.
    pub parent: Option<u64>,
    /// Trace and span id.
    pub links: Vec<(u128, u64)>,
    /// Values as text.
    pub attributes: HashMap<String, String>,
    pub events: Vec<String>,
    /// The error's description where the span failed.
    pub error: Option<String>,
    pub started_ns: u64,
    pub ended_ns: u64,
    /// `service.name` of the resource that it came with.
    pub service: String,
}

#[derive(Default)]
struct Store {
    spans: Mutex<Vec<ReceivedSpan>>,
    arrived: Condvar,
}

/// The running collector; it ends when it is dropped.
pub struct OtlpReceiver {
    endpoint: String,
    store: Arc<Store>,
    _runtime: tokio::runtime::Runtime,
}

impl OtlpReceiver {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let store = Arc::new(Store::default());
        let incoming = {
            let _entered = runtime.enter();
            TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap()
        };
        let endpoint = format!("http://{}", incoming.local_addr().unwrap());
        let service = TraceServiceServer::new(Collector(Arc::clone(&store)));
        runtime.spawn(Server::builder().serve_with_incoming(service, incoming));
        Self { endpoint, store, _runtime: runtime }
    }

    /// What a configuration's OTLP endpoint is set to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Waits until `enough` says so of everything received; panics with what was received when it does not in time.
    pub fn wait_for(&self, timeout: Duration, enough: impl Fn(&[ReceivedSpan]) -> bool) -> Vec<ReceivedSpan> {
        let deadline = Instant::now() + timeout;
        let mut spans = self.store.spans.lock().unwrap();
        while !enough(&spans) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the expected spans did not arrive within {timeout:?}; received: {spans:#?}");
            spans = self.store.arrived.wait_timeout(spans, left).unwrap().0;
        }
        spans.clone()
    }
}

struct Collector(Arc<Store>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = Vec::new();
        for resource_spans in request.into_inner().resource_spans {
            let resource = attributes(resource_spans.resource.map(|resource| resource.attributes).unwrap_or_default());
            let service = resource.get("service.name").cloned().unwrap_or_default();
            let spans = resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            received.extend(spans.map(|span| read(span, &service)));
        }
        self.0.spans.lock().unwrap().extend(received);
        self.0.arrived.notify_all();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn read(span: Span, service: &str) -> ReceivedSpan {
    ReceivedSpan {
        name: span.name,
        trace_id: trace_id(&span.trace_id),
        span_id: span_id(&span.span_id),
        parent: (!span.parent_span_id.is_empty()).then(|| span_id(&span.parent_span_id)),
        links: span.links.iter().map(|link| (trace_id(&link.trace_id), span_id(&link.span_id))).collect(),
        attributes: attributes(span.attributes),
        events: span.events.into_iter().map(|event| event.name).collect(),
        // 2 is STATUS_CODE_ERROR.
        error: span.status.filter(|status| status.code == 2).map(|status| status.message),
        started_ns: span.start_time_unix_nano,
        ended_ns: span.end_time_unix_nano,
        service: service.to_owned(),
    }
}

fn trace_id(bytes: &[u8]) -> u128 {
    u128::from_be_bytes(bytes.try_into().expect("a trace id has 16 bytes"))
}

fn span_id(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("a span id has 8 bytes"))
}

fn attributes(pairs: Vec<KeyValue>) -> HashMap<String, String> {
    pairs.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    }
}
