//! What the daemon tells about itself: log lines, metrics and traces. `init` sets all three up for the process and gives
//! back a guard that is dropped last. Nothing here decides anything, and nothing here may block the thread that reports:
//! a full queue loses the report and counts the loss.

#![allow(clippy::disallowed_methods, reason = "uptime and the last moments of a process are of the machine's time")]

pub mod events;
mod log_file;
pub mod logs;
pub mod metrics;
pub mod otlp;
mod settings;
pub mod trace;

use std::time::Duration;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use logs::{LogFilter, LogFilterError};
pub use metrics::MetricsHandle;
pub use settings::{LogFormat, LogSink, OtlpConfig, TelemetryConfig};

/// How long the last spans and log lines may take to leave when nobody said otherwise. A collector that is away must
/// not hold up an exit that an operator or a service manager waits for.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error(transparent)]
    LogFilter(#[from] LogFilterError),
    #[error("log sink {path} expected a file that can be appended to, found: {source}; choose another path or log to stderr")]
    LogFile { path: std::path::PathBuf, source: std::io::Error },
    #[error("telemetry expected to be the first to set up {what} in this process, found another one already there")]
    AlreadySetUp { what: &'static str },
    #[error("telemetry expected to start its {what} thread, found: {source}")]
    Thread { what: &'static str, source: std::io::Error },
    #[error("otlp endpoint {endpoint:?} expected a URL such as \"http://127.0.0.1:4317\", found: {why}")]
    Otlp { endpoint: String, why: String },
    #[error("metrics expected a valid set of histogram buckets, found: {0}")]
    Metrics(String),
}

/// Holds telemetry up. Dropping it sends what is left, within `SHUTDOWN_TIMEOUT`; keep it until everything else is gone.
#[must_use = "dropping the guard stops logs and traces"]
#[derive(Debug)]
pub struct TelemetryGuard {
    filter: LogFilter,
    metrics: MetricsHandle,
    // Declared in the order they must go: spans first, because their last words are log lines.
    otlp: Option<otlp::Pipeline>,
    log_writer: logs::WriterGuard,
}

impl TelemetryGuard {
    /// The handle that a reload changes the log filter through.
    #[must_use]
    pub fn log_filter(&self) -> LogFilter {
        self.filter.clone()
    }

    /// What `/metrics` renders from.
    #[must_use]
    pub fn metrics(&self) -> MetricsHandle {
        self.metrics.clone()
    }

    /// The orderly end, each part at most `timeout`. Blocks: not for a runtime's worker thread.
    pub fn shutdown(mut self, timeout: Duration) {
        self.stop(timeout);
    }

    fn stop(&mut self, timeout: Duration) {
        if let Some(pipeline) = self.otlp.take() {
            pipeline.shutdown(timeout);
        }
        self.log_writer.flush(timeout);
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        self.stop(SHUTDOWN_TIMEOUT);
    }
}

/// Sets up logs, metrics and, where an endpoint is configured, traces, for the whole process, and makes panics log lines. Call once, before any
/// thread that reports.
///
/// # Errors
/// When a part of the configuration cannot be used, or telemetry was set up before.
pub fn init(config: TelemetryConfig) -> Result<TelemetryGuard, TelemetryError> {
    let (filter_layer, filter) = logs::filter(&config.log_filter)?;
    let (writer, log_writer) = logs::writer(&config.log_sink)?;
    let metrics = metrics::install()?;
    let otlp = config.otlp.as_ref().map(otlp::Pipeline::start).transpose()?;
    let spans = otlp.as_ref().map(otlp::Pipeline::span_layer);
    tracing_subscriber::registry()
        .with(spans)
        .with(logs::layer(config.log_format, writer, filter_layer))
        .try_init()
        .map_err(|_| TelemetryError::AlreadySetUp { what: "the log subscriber" })?;
    if let Some(pipeline) = &otlp {
        pipeline.install();
    }
    logs::install(&log_writer);
    logs::log_panics();
    Ok(TelemetryGuard { filter, metrics, otlp, log_writer })
}
