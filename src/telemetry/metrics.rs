//! Metrics: one recorder for the process, rendered on request in Prometheus' text form. No listener of its own; the API
//! serves it. Gauges that only the process knows (memory, file descriptors, uptime) are read when it is rendered.

use std::time::{Duration, Instant};

use ::metrics::{Histogram, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::TelemetryError;
use crate::domain::ids::{AccountId, Symbol};
use crate::domain::money::Money;
use crate::domain::risk::DayTraffic;

/// Seconds. From an actor hop (a microsecond) over a durable append (some hundred) to a venue's bad day.
const SECONDS_BUCKETS: [f64; 14] = [1e-6, 2.5e-6, 5e-6, 1e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 1.0, 10.0];

/// Renders what was counted.
#[derive(Clone)]
pub struct MetricsHandle {
    prometheus: PrometheusHandle,
    started: Instant,
}

impl std::fmt::Debug for MetricsHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetricsHandle")
    }
}

impl MetricsHandle {
    /// Prometheus' text form, `text/plain; version=0.0.4`.
    #[must_use]
    pub fn render(&self) -> String {
        gauge!("ringfence_uptime_seconds").set(self.started.elapsed().as_secs_f64());
        if let Some(bytes) = process::resident_bytes() {
            gauge!("ringfence_process_resident_bytes").set(bytes as f64);
        }
        if let Some(count) = process::threads() {
            gauge!("ringfence_process_threads").set(count as f64);
        }
        if let Some(count) = process::open_files() {
            gauge!("ringfence_process_open_fds").set(count as f64);
        }
        self.prometheus.render()
    }

    /// Folds what was recorded into the histograms; without it they grow while nobody asks for them.
    pub fn upkeep(&self) {
        self.prometheus.run_upkeep();
    }
}

pub(super) fn install() -> Result<MetricsHandle, TelemetryError> {
    let prometheus = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
        .map_err(|error| TelemetryError::Metrics(error.to_string()))?
        .install_recorder()
        .map_err(|error| match error {
            BuildError::FailedToSetGlobalRecorder(_) => TelemetryError::AlreadySetUp { what: "the metrics recorder" },
            other => TelemetryError::Metrics(other.to_string()),
        })?;
    describe();
    gauge!("ringfence_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(MetricsHandle { prometheus, started: Instant::now() })
}

fn describe() {
    describe_gauge!("ringfence_venue_clock_offset_seconds", "How far the venue's clock is ahead of ours; NaN before it was read");
    describe_gauge!("ringfence_venue_used_weight", "Request weight that the venue has counted in this minute, or will");
    describe_gauge!("ringfence_build_info", "always 1; the version is in the label");
    describe_gauge!("ringfence_uptime_seconds", "time since start");
    describe_gauge!("ringfence_process_resident_bytes", "memory in use");
    describe_gauge!("ringfence_process_open_fds", "open file descriptors");
    describe_gauge!("ringfence_process_threads", "threads");
    describe_gauge!("ringfence_table_entries", "entries of a table that the daemon keeps, by table and owner");
    describe_gauge!("ringfence_journal_bytes", "the journal's files on the disk");
    describe_gauge!("ringfence_journal_segments", "the journal's files with rows");
    describe_gauge!("ringfence_mailbox_depth", "messages waiting for a child");
    describe_gauge!("ringfence_order_to_trade_ratio", "messages for each trade of the UTC day; NaN before the first trade");
    describe_gauge!("ringfence_day_messages", "new orders and cancels of the UTC day");
    describe_gauge!("ringfence_account_equity", "wallet plus open profit, settlement currency");
    describe_gauge!("ringfence_account_day_pnl", "equity less equity at the start of the UTC day; NaN while a position has no price");
    describe_gauge!("ringfence_mode", "0 Normal, 1 ReduceOnly, 2 CancelOnly, 3 Halted, by scope");
    describe_histogram!("ringfence_decision_seconds", "a strategy's decision to the order in the executor's outbox");
    describe_histogram!("ringfence_order_ack_seconds", "order sent to the venue's word on it");
    describe_histogram!("ringfence_journal_append_seconds", "rows that somebody waits for, queued to durable");
    describe_histogram!("ringfence_http_request_seconds", "API request to response");
    describe_histogram!("ringfence_alert_published_seconds", "what an alert tells of to the telling, by sink");
    describe_gauge!("ringfence_alerts_open", "alerts that nobody has acknowledged, by severity");
    describe_counter!("ringfence_alerts_total", "tellings of alerts, by kind and event");
    describe_counter!("ringfence_alerts_undelivered_total", "tellings that a sink did not take");
    describe_counter!("ringfence_orders_sent_total", "orders handed to the venue");
    describe_counter!("ringfence_orders_refused_total", "intents that risk refused, by control");
    describe_counter!("ringfence_orders_rejected_total", "orders that the venue refused");
    describe_counter!("ringfence_orders_unknown_total", "orders whose outcome was lost");
    describe_counter!("ringfence_fills_total", "executions");
    describe_counter!("ringfence_child_restarts_total", "restarts, by child and fault class");
    describe_counter!("ringfence_kill_switch_trips_total", "kill switch trips");
    describe_counter!("ringfence_mailbox_alarms_total", "mailboxes found past their bound");
    describe_counter!("ringfence_journal_failures_total", "journal faults");
    describe_counter!("ringfence_reloads_total", "configuration reloads, by outcome");
    describe_counter!("ringfence_feed_gaps_total", "gaps found in a market stream");
    describe_counter!("ringfence_feed_frames_dropped_total", "frames thrown away because their market was too far behind");
    describe_counter!("ringfence_clock_steps_total", "steps of the wall clock of a second and more, by direction");
    describe_counter!("ringfence_feed_disconnects_total", "market streams lost");
    describe_counter!("ringfence_spans_lost_total", "spans that never reached the collector, by reason");
    describe_counter!("ringfence_spans_sent_total", "spans that the collector took");
    describe_counter!("ringfence_log_lines_lost_total", "log lines lost to a slow sink");
    describe_counter!(
        "ringfence_reconciliation_findings_total",
        "differences from the venue that reconciliation found, by what they are and what was done"
    );
    describe_counter!("ringfence_child_failures_total", "children that ended against their wish, by fault class");
    describe_counter!("ringfence_escalations_total", "faults that a supervisor passed upwards");
    describe_counter!("ringfence_thread_stalls_total", "threads whose heartbeat stopped");
    describe_counter!("ringfence_panics_total", "panics, caught ones included");
    describe_counter!("ringfence_kill_switch_verified_total", "accounts that the venue showed to be without open orders");
    describe_counter!("ringfence_kill_switch_unverified_total", "attempts after which an account still had open orders");
    describe_counter!("ringfence_operator_commands_total", "operator commands, by verb");
    describe_counter!("ringfence_feed_connects_total", "market streams connected");
    describe_counter!("ringfence_journal_rows_total", "rows given to the journal");
    describe_gauge!("ringfence_market_stale", "1 while nothing may be decided on that market");
    describe_gauge!("ringfence_ready", "1 while the daemon may trade");
}

/// Messages waiting for a child.
pub fn mailbox_depth(child: &str, depth: usize) {
    gauge!("ringfence_mailbox_depth", "child" => child.to_owned()).set(depth as f64);
}

/// How full what the daemon keeps is: every table that could grow without end if a bound of it did not hold.
pub fn tables(owner: &str, entries: &[(&'static str, usize)]) {
    for (table, entries) in entries {
        gauge!("ringfence_table_entries", "table" => *table, "owner" => owner.to_owned()).set(*entries as f64);
    }
}

/// What the journal takes on the disk.
pub fn journal_files(segments: usize, bytes: u64) {
    gauge!("ringfence_journal_segments").set(segments as f64);
    gauge!("ringfence_journal_bytes").set(bytes as f64);
}

/// An account's books. A gauge is a statistic: the exact amounts are in `/status` and in the journal. What is not known is
/// not a number: a gauge that was shown once cannot be taken back, and its last value would pass for today's.
pub fn account_books(account: AccountId, equity: Money, day_pnl: Option<Money>) {
    gauge!("ringfence_account_equity", "account" => account.to_string()).set(statistic(equity));
    gauge!("ringfence_account_day_pnl", "account" => account.to_string()).set(day_pnl.map_or(f64::NAN, statistic));
}

/// Messages for each trade of the day, by account and symbol (C24); not a number on a day without a trade.
pub fn orders_to_trades(days: impl Iterator<Item = (AccountId, Symbol, DayTraffic)>) {
    for (account, symbol, DayTraffic { messages, trades, .. }) in days {
        let ratio = if trades == 0 { f64::NAN } else { messages as f64 / trades as f64 };
        let labels = [("account", account.to_string()), ("symbol", symbol.to_string())];
        gauge!("ringfence_order_to_trade_ratio", &labels).set(ratio);
        gauge!("ringfence_day_messages", &labels).set(messages as f64);
    }
}

/// A venue's clock and limits, as its accounts share them. A clock that nobody has read yet is not a number.
pub fn venue(venue: &str, clock_offset: Option<i64>, used_weight: u32) {
    let seconds = clock_offset.map_or(f64::NAN, |millis| millis as f64 / 1_000.0);
    gauge!("ringfence_venue_clock_offset_seconds", "venue" => venue.to_owned()).set(seconds);
    gauge!("ringfence_venue_used_weight", "venue" => venue.to_owned()).set(f64::from(used_weight));
}

/// The times of one account's orders. Made once, because looking a histogram up costs more than the decision it measures.
#[derive(Clone)]
pub struct OrderTimers {
    decision: Histogram,
    answer: Histogram,
}

impl OrderTimers {
    #[must_use]
    pub fn of(account: AccountId) -> Self {
        let name = account.to_string();
        Self { decision: histogram!("ringfence_decision_seconds"), answer: histogram!("ringfence_order_ack_seconds", "account" => name) }
    }

    /// The strategy's decision to the order in the executor's outbox.
    pub fn decided(&self, time: Duration) {
        self.decision.record(time.as_secs_f64());
    }

    /// Order sent to the venue's word on it.
    pub fn answered(&self, time: Duration) {
        self.answer.record(time.as_secs_f64());
    }
}

/// An alert reached a sink so long after what it tells of.
pub fn alert_published(sink: &'static str, took: Duration) {
    histogram!("ringfence_alert_published_seconds", "sink" => sink).record(took.as_secs_f64());
}

/// Alerts that nobody has acknowledged.
pub fn alerts_open(warnings: usize, critical: usize) {
    gauge!("ringfence_alerts_open", "severity" => "warning").set(warnings as f64);
    gauge!("ringfence_alerts_open", "severity" => "critical").set(critical as f64);
}

/// Rows that were given to the journal.
pub fn journal_rows(rows: usize) {
    ::metrics::counter!("ringfence_journal_rows_total").increment(rows as u64);
}

/// Rows that somebody waited for: from the queue to the disk.
pub fn journal_append_took(time: Duration) {
    histogram!("ringfence_journal_append_seconds").record(time.as_secs_f64());
}

/// API request to response.
pub fn http_request_took(route: &str, status: u16, time: Duration) {
    histogram!("ringfence_http_request_seconds", "route" => route.to_owned(), "status" => status.to_string()).record(time.as_secs_f64());
}

fn statistic(amount: Money) -> f64 {
    use rust_decimal::prelude::ToPrimitive as _;
    amount.0.to_f64().unwrap_or(f64::NAN)
}

/// What the operating system knows about this process. Linux keeps it in /proc; elsewhere the gauges are absent.
mod process {
    fn status(of: &str) -> Option<String> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        Some(status.lines().find_map(|line| line.strip_prefix(of))?.trim().to_owned())
    }

    pub(super) fn resident_bytes() -> Option<u64> {
        let kibibytes: u64 = status("VmRSS:")?.strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    pub(super) fn threads() -> Option<u64> {
        status("Threads:")?.parse().ok()
    }

    pub(super) fn open_files() -> Option<usize> {
        // One of them is the directory being read.
        Some(std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_render_has_the_process_and_what_was_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = MetricsHandle { prometheus: recorder.handle(), started: Instant::now() };
        let text = ::metrics::with_local_recorder(&recorder, || {
            mailbox_depth("executor/a1", 3);
            account_books(AccountId::new("a1").unwrap(), Money("1000.5".parse().unwrap()), Some(Money("-0.5".parse().unwrap())));
            account_books(AccountId::new("a2").unwrap(), Money::ZERO, Some(Money::ZERO));
            account_books(AccountId::new("a2").unwrap(), Money::ZERO, None);
            handle.render()
        });
        assert!(text.contains("ringfence_mailbox_depth{child=\"executor/a1\"} 3"), "{text}");
        assert!(text.contains("ringfence_account_equity{account=\"a1\"} 1000.5"), "{text}");
        assert!(text.contains("ringfence_account_day_pnl{account=\"a2\"} NaN"), "{text}");
        assert!(text.contains("ringfence_uptime_seconds"), "{text}");
        #[cfg(target_os = "linux")]
        assert!(text.contains("ringfence_process_resident_bytes") && text.contains("ringfence_process_open_fds"), "{text}");
    }
}
