//! What telemetry is told to do. Plain data; reading it from a file is `settings`' work.

use std::path::PathBuf;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One readable line an event, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line, for a log collector.
    Json,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogSink {
    #[default]
    Stderr,
    /// Appended to. For the time that the live summary owns the terminal.
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// `tracing_subscriber`'s filter syntax: `info,ringfence::venues=debug`.
    pub log_filter: String,
    pub log_format: LogFormat,
    pub log_sink: LogSink,
    /// Traces leave only when this is given.
    pub otlp: Option<OtlpConfig>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log_filter: "info".to_owned(), log_format: LogFormat::default(), log_sink: LogSink::default(), otlp: None }
    }
}

/// Where traces go and how many of them.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpConfig {
    /// The collector's gRPC address: `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// The share of order flows that are recorded, 0 to 1. Whole traces: a flow is recorded from signal to fill or not at all.
    pub sample_ratio: f64,
    /// `service.name` and `service.instance.id` of the traces.
    pub service_name: String,
    pub instance: String,
}

impl OtlpConfig {
    /// Everything recorded, under the daemon's own name.
    #[must_use]
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), sample_ratio: 1.0, service_name: "ringfence".to_owned(), instance: String::new() }
    }
}
