//! The way of spans out of the process: a bounded queue, batches, OTLP over gRPC. The connection lives on a small runtime
//! of its own, because the batch thread blocks on the export and must never wait for a runtime that waits for it
//! (opentelemetry-rust #2715). A collector that is slow or gone costs spans, which are counted, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample, Span, SpanData,
    SpanExporter, SpanProcessor,
};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;

use super::{OtlpConfig, TelemetryError, trace};

/// Finished spans that wait for the collector. At about 1 KB a span this is 2 MB at most, and four full batches.
const QUEUE_SPANS: usize = 2_048;
/// Spans in one export: about 0.5 MB, well below gRPC's usual limit of 4 MB a message.
const BATCH_SPANS: usize = 512;
/// How old a span may get before it is sent in a batch that is not full.
const BATCH_DELAY: Duration = Duration::from_secs(5);
/// One export. Longer than a collector's bad moment, shorter than the queue lasts at a thousand spans a second.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The running export.
#[derive(Debug)]
pub struct Pipeline {
    provider: SdkTracerProvider,
    connection: Background,
}

/// The connection's runtime; ends without waiting, so that it may be dropped anywhere, also inside another runtime.
#[derive(Debug)]
struct Background(Option<tokio::runtime::Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Pipeline {
    /// Starts the export. The collector need not be there yet; nothing is traced before `install`.
    ///
    /// # Errors
    /// When the endpoint cannot be read or the thread cannot be started.
    pub fn start(config: &OtlpConfig) -> Result<Self, TelemetryError> {
        let refuse = |why: String| TelemetryError::Otlp { endpoint: config.endpoint.clone(), why };
        if !config.endpoint.starts_with("http://") && !config.endpoint.starts_with("https://") {
            return Err(refuse("it has neither http:// nor https:// in front".to_owned()));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(|source| TelemetryError::Thread { what: "otlp", source })?;
        // The lazy connection needs a runtime around it to be made on.
        let entered = runtime.enter();
        let exporter = OtlpExporter::builder()
            .with_tonic()
            .with_endpoint(&config.endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|error| refuse(error.to_string()))?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(config))
            .with_sampler(FlowSampler::new(config.sample_ratio))
            .with_span_processor(CountedQueue::new(exporter))
            .build();
        drop(entered);
        Ok(Self { provider, connection: Background(Some(runtime)) })
    }

    /// Makes `telemetry::trace` record into this pipeline.
    pub fn install(&self) {
        trace::install(self.provider.tracer("ringfence"));
    }

    /// Exports the `tracing` spans of this crate too (API requests, reloads). Only ours: ractor holds a span open for an
    /// actor's whole life, and the exporter's own HTTP/2 spans would feed themselves.
    pub(super) fn span_layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("ringfence"))
            .with_filter(Targets::new().with_target("ringfence", LevelFilter::INFO))
    }

    /// Sends what is finished. `false` when the collector did not take it within `timeout`.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        let provider = self.provider.clone();
        bounded("otlp-flush", timeout, move || provider.force_flush().is_ok()).unwrap_or(false)
    }

    /// Sends what is left and ends, at most `timeout`; what the collector did not take by then is lost.
    pub fn shutdown(self, timeout: Duration) {
        trace::uninstall();
        let Self { provider, connection } = self;
        let sent = bounded("otlp-shutdown", timeout, move || provider.shutdown_with_timeout(timeout).is_ok());
        if sent != Some(true) {
            tracing::warn!(timeout_ms = timeout.as_millis() as u64, "last spans lost, the collector did not take them in time");
        }
        drop(connection);
    }
}

/// Runs what may hang on a thread of its own and waits no longer than `timeout` for its answer.
fn bounded(name: &str, timeout: Duration, work: impl FnOnce() -> bool + Send + 'static) -> Option<bool> {
    let (done, answer) = sync_channel(1);
    std::thread::Builder::new().name(name.to_owned()).spawn(move || done.try_send(work())).ok()?;
    answer.recv_timeout(timeout).ok()
}

fn resource(config: &OtlpConfig) -> Resource {
    Resource::builder()
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", config.instance.clone()))
        .build()
}

/// Draws once for each trace; children follow their parent; landmarks are always recorded.
#[derive(Debug, Clone)]
struct FlowSampler {
    by_ratio: Sampler,
}

impl FlowSampler {
    fn new(ratio: f64) -> Self {
        Self { by_ratio: Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))) }
    }
}

impl ShouldSample for FlowSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_root = parent.is_none_or(|context| !context.span().span_context().is_valid());
        if is_root && trace::is_landmark(name) {
            return SamplingResult {
                decision: SamplingDecision::RecordAndSample,
                attributes: Vec::new(),
                trace_state: TraceState::default(),
            };
        }
        self.by_ratio.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

/// The SDK's batch processor behind a gate that counts. The SDK keeps the number of its drops to itself; here a span that
/// finds `QUEUE_SPANS` others waiting is counted and let go, so that the SDK's queue of the same size never overflows.
#[derive(Debug)]
struct CountedQueue {
    waiting: Arc<AtomicUsize>,
    batches: BatchSpanProcessor,
}

impl CountedQueue {
    fn new<E: SpanExporter + 'static>(exporter: E) -> Self {
        let waiting = Arc::new(AtomicUsize::new(0));
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE_SPANS)
            .with_max_export_batch_size(BATCH_SPANS)
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let exporter = CountedExporter { waiting: Arc::clone(&waiting), inner: exporter };
        Self { waiting, batches: BatchSpanProcessor::builder(exporter).with_batch_config(config).build() }
    }
}

fn count_lost(reason: &'static str, spans: usize) {
    metrics::counter!("ringfence_spans_lost_total", "reason" => reason).increment(spans as u64);
}

impl SpanProcessor for CountedQueue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::AcqRel) < QUEUE_SPANS {
            self.batches.on_end(span);
        } else {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            count_lost("queue_full", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

#[derive(Debug)]
struct CountedExporter<E> {
    waiting: Arc<AtomicUsize>,
    inner: E,
}

impl<E: SpanExporter> SpanExporter for CountedExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.waiting.fetch_sub(spans, Ordering::AcqRel);
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => metrics::counter!("ringfence_spans_sent_total").increment(spans as u64),
            Err(_) => count_lost("export_failed", spans),
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::Receiver;
    use std::time::Instant;

    use metrics_exporter_prometheus::PrometheusBuilder;
    use opentelemetry::trace::Tracer as _;

    use super::*;

    /// A collector that takes nothing until its sender is gone.
    #[derive(Debug)]
    struct Stuck(Mutex<Receiver<()>>);

    impl SpanExporter for Stuck {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let _ = self.0.lock().unwrap().recv();
            Ok(())
        }
    }

    #[test]
    fn a_stuck_collector_costs_counted_spans_and_never_blocks() {
        let (release, held) = sync_channel(0);
        let provider = SdkTracerProvider::builder().with_span_processor(CountedQueue::new(Stuck(Mutex::new(held)))).build();
        let tracer = provider.tracer("test");
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || (0..10_000).for_each(|_| drop(tracer.start("span"))));
        let text = recorder.handle().render();
        let lost = text.lines().find_map(|line| line.strip_prefix("ringfence_spans_lost_total{reason=\"queue_full\"} "));
        let lost: usize = lost.expect("losses are counted").parse().unwrap();
        // At most the queue and the batch that the collector holds were let in.
        assert!((10_000 - QUEUE_SPANS - BATCH_SPANS..=10_000 - QUEUE_SPANS).contains(&lost), "{lost}");
        drop(release);
        provider.shutdown().unwrap();
    }

    #[test]
    fn a_collector_that_is_not_there_does_not_hold_up_the_end() {
        let pipeline = Pipeline::start(&OtlpConfig::to("http://127.0.0.1:1")).unwrap();
        drop(pipeline.provider.tracer("test").start("span"));
        let started = Instant::now();
        pipeline.shutdown(Duration::from_millis(300));
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_refused_with_an_example() {
        let error = Pipeline::start(&OtlpConfig::to("127.0.0.1:4317")).unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:4317") && error.contains("http://"), "{error}");
    }

    #[test]
    fn the_ratio_decides_for_whole_traces_and_landmarks_are_always_kept() {
        let provider = SdkTracerProvider::builder().with_sampler(FlowSampler::new(0.0)).build();
        let tracer = provider.tracer("test");
        let sampled = |name: &'static str| opentelemetry::trace::Span::span_context(&tracer.start(name)).is_sampled();
        assert!(!sampled(trace::span::SIGNAL));
        assert!(sampled(trace::span::TICK) && sampled(trace::span::RESTART));
    }
}
