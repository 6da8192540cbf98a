//! What is worth telling: one struct an event, whose `emit` writes the log line and counts the metric, so that the two
//! never disagree. Log text is lower case; everything that varies is a field. Emitting decides nothing.

use std::time::Duration;

use metrics::{counter, gauge};
use tracing::{error, info, warn};

use crate::domain::alerts::{AlertEvent, Severity, Told};
use crate::domain::ids::{AccountId, ClientOrderId, Incarnation, StrategyId, Symbol};
use crate::domain::mode::{FaultClass, Mode, Scope};
use crate::domain::order::{Fill, NewOrder, Refusal};
use crate::domain::reconcile::Finding;

// Log targets, by what an operator filters for.
const ORDERS: &str = "ringfence::orders";
const CONTROLS: &str = "ringfence::controls";
const SUPERVISION: &str = "ringfence::supervision";
const MARKET: &str = "ringfence::market";
const DAEMON: &str = "ringfence::daemon";
const ALERTS: &str = "ringfence::alerts";

/// An order left for the venue.
pub struct OrderSent<'a> {
    pub account: AccountId,
    pub strategy: StrategyId,
    pub order: &'a NewOrder,
}

impl OrderSent<'_> {
    pub fn emit(self) {
        let Self { account, strategy, order } = self;
        counter!("ringfence_orders_sent_total", "account" => account.to_string()).increment(1);
        info!(target: ORDERS, %account, %strategy, symbol = %order.symbol, side = %order.side, quantity = %order.quantity,
            client_order_id = %order.client_order_id, "order sent");
    }
}

/// Risk refused an intent.
pub struct OrderRefused<'a> {
    pub refusal: &'a Refusal,
}

impl OrderRefused<'_> {
    pub fn emit(self) {
        let Refusal { intent, account, strategy, symbol, control, limit, value } = self.refusal;
        counter!("ringfence_orders_refused_total", "account" => account.to_string(), "control" => control.clone()).increment(1);
        info!(target: ORDERS, %account, %strategy, %symbol, %intent, control, limit, value, "order refused by risk");
    }
}

/// The venue's definite no.
pub struct OrderRejected<'a> {
    pub account: AccountId,
    pub client_order_id: ClientOrderId,
    pub code: i32,
    pub message: &'a str,
}

impl OrderRejected<'_> {
    pub fn emit(self) {
        let Self { account, client_order_id, code, message } = self;
        counter!("ringfence_orders_rejected_total", "account" => account.to_string(), "code" => code.to_string()).increment(1);
        warn!(target: ORDERS, %account, %client_order_id, code, reason = message, "order rejected by the venue");
    }
}

/// An order's outcome was lost; its exposure stays reserved until the venue is asked.
pub struct OrderUnknown<'a> {
    pub account: AccountId,
    pub client_order_id: ClientOrderId,
    pub why: &'a str,
}

impl OrderUnknown<'_> {
    pub fn emit(self) {
        let Self { account, client_order_id, why } = self;
        counter!("ringfence_orders_unknown_total", "account" => account.to_string()).increment(1);
        warn!(target: ORDERS, %account, %client_order_id, why, "order outcome unknown");
    }
}

/// An execution.
pub struct FillSeen<'a> {
    pub fill: &'a Fill,
}

impl FillSeen<'_> {
    pub fn emit(self) {
        let Fill { account, symbol, client_order_id, side, price, quantity, fee, maker, .. } = self.fill;
        counter!("ringfence_fills_total", "account" => account.to_string()).increment(1);
        info!(target: ORDERS, %account, %symbol, %side, %price, %quantity, %fee, maker, %client_order_id, "fill");
    }
}

/// An account's books were compared with the venue's.
pub struct Reconciled<'a> {
    pub account: AccountId,
    pub findings: &'a [Finding],
}

impl Reconciled<'_> {
    pub fn emit(self) {
        let Self { account, findings } = self;
        for finding in findings {
            let (kind, repair) = (finding.kind().to_string(), finding.repair().to_string());
            counter!("ringfence_reconciliation_findings_total", "account" => account.to_string(), "finding" => kind, "repair" => repair)
                .increment(1);
        }
        if findings.is_empty() {
            info!(target: ORDERS, %account, "reconciled, books agree with the venue");
        } else {
            let told: Vec<String> = findings.iter().map(|finding| finding.told(account)).collect();
            warn!(target: ORDERS, %account, findings = told.join("; "), "reconciled, books were put right");
        }
    }
}

/// A child runs and said that it is ready.
pub struct ChildReady<'a> {
    pub child: &'a str,
    pub incarnation: Incarnation,
}

impl ChildReady<'_> {
    pub fn emit(self) {
        let Self { child, incarnation } = self;
        info!(target: SUPERVISION, child, %incarnation, "child ready");
    }
}

/// A child ended against its wish, or was ended because it made no progress.
pub struct ChildFailed<'a> {
    pub child: &'a str,
    pub incarnation: Incarnation,
    pub class: FaultClass,
    pub cause: &'a str,
}

impl ChildFailed<'_> {
    pub fn emit(self) {
        let Self { child, incarnation, class, cause } = self;
        counter!("ringfence_child_failures_total", "child" => child.to_owned(), "class" => <&str>::from(class)).increment(1);
        warn!(target: SUPERVISION, child, %incarnation, %class, cause, "child failed");
    }
}

/// A child was started again; `incarnation` is the new one.
pub struct ChildRestarted<'a> {
    pub child: &'a str,
    pub incarnation: Incarnation,
}

impl ChildRestarted<'_> {
    pub fn emit(self) {
        let Self { child, incarnation } = self;
        counter!("ringfence_child_restarts_total", "child" => child.to_owned()).increment(1);
        warn!(target: SUPERVISION, child, %incarnation, "child restarted");
    }
}

/// A supervisor gave up on a child; whoever is above it decides.
pub struct Escalated<'a> {
    pub supervisor: &'a str,
    pub class: FaultClass,
    pub cause: &'a str,
}

impl Escalated<'_> {
    pub fn emit(self) {
        let Self { supervisor, class, cause } = self;
        counter!("ringfence_escalations_total", "supervisor" => supervisor.to_owned(), "class" => <&str>::from(class)).increment(1);
        error!(target: SUPERVISION, supervisor, %class, cause, "fault escalated");
    }
}

/// A mailbox is past its bound.
pub struct MailboxAlarm<'a> {
    pub child: &'a str,
    pub depth: usize,
    pub bound: usize,
}

impl MailboxAlarm<'_> {
    pub fn emit(self) {
        let Self { child, depth, bound } = self;
        counter!("ringfence_mailbox_alarms_total", "child" => child.to_owned()).increment(1);
        warn!(target: SUPERVISION, child, depth, bound, "mailbox past its bound");
    }
}

/// A thread's heartbeat stopped.
pub struct ThreadStalled<'a> {
    pub thread: &'a str,
    pub silent_for: Duration,
}

impl ThreadStalled<'_> {
    pub fn emit(self) {
        let Self { thread, silent_for } = self;
        counter!("ringfence_thread_stalls_total", "thread" => thread.to_owned()).increment(1);
        error!(target: SUPERVISION, thread, silent_ms = millis(silent_for), "thread stalled");
    }
}

/// The wall clock was set, or the machine was suspended.
pub struct ClockStepped {
    pub ahead: bool,
    pub by: Duration,
}

impl ClockStepped {
    pub fn emit(self) {
        let Self { ahead, by } = self;
        counter!("ringfence_clock_steps_total", "direction" => if ahead { "ahead" } else { "behind" }).increment(1);
        let what = if ahead { "followed at once" } else { "our time runs at half speed until it is reached; a restart takes it at once" };
        warn!(target: DAEMON, by_ms = millis(by), ahead, what, "the wall clock is elsewhere");
    }
}

/// The ladder moved. `by` is a person's name when a person moved it.
pub struct ModeChanged<'a> {
    pub scope: Scope,
    pub from: Mode,
    pub to: Mode,
    pub cause: &'a str,
    pub by: Option<&'a str>,
}

impl ModeChanged<'_> {
    pub fn emit(self) {
        let Self { scope, from, to, cause, by } = self;
        gauge!("ringfence_mode", "scope" => scope.to_string()).set(f64::from(to as u8));
        if to > from {
            warn!(target: CONTROLS, %scope, %from, %to, cause, by, "mode lowered");
        } else {
            info!(target: CONTROLS, %scope, %from, %to, cause, by, "mode raised");
        }
    }
}

/// The kill switch tripped.
pub struct KillTripped<'a> {
    pub scope: Scope,
    pub cause: &'a str,
}

impl KillTripped<'_> {
    pub fn emit(self) {
        let Self { scope, cause } = self;
        counter!("ringfence_kill_switch_trips_total", "scope" => scope.to_string()).increment(1);
        error!(target: CONTROLS, %scope, cause, "kill switch tripped");
    }
}

/// The venue shows no open order of a killed account any more.
pub struct KillVerified {
    pub account: AccountId,
    pub took: Duration,
}

impl KillVerified {
    pub fn emit(self) {
        let Self { account, took } = self;
        counter!("ringfence_kill_switch_verified_total", "account" => account.to_string()).increment(1);
        warn!(target: CONTROLS, %account, took_ms = millis(took), "account halted, the venue shows no open order");
    }
}

/// A killed account still has open orders, or the venue cannot be asked. It goes on trying.
pub struct KillUnverified<'a> {
    pub account: AccountId,
    pub why: &'a str,
}

impl KillUnverified<'_> {
    pub fn emit(self) {
        let Self { account, why } = self;
        counter!("ringfence_kill_switch_unverified_total", "account" => account.to_string()).increment(1);
        error!(target: CONTROLS, %account, why, "account not yet halted, trying again");
    }
}

/// A person's command and what came of it.
pub struct CommandDone<'a> {
    pub verb: &'a str,
    pub scope: Scope,
    pub by: &'a str,
    pub reason: &'a str,
    pub outcome: &'a str,
}

impl CommandDone<'_> {
    pub fn emit(self) {
        let Self { verb, scope, by, reason, outcome } = self;
        counter!("ringfence_operator_commands_total", "verb" => verb.to_owned()).increment(1);
        warn!(target: CONTROLS, verb, %scope, by, reason, outcome, "operator command");
    }
}

/// The journal cannot be trusted any more.
pub struct JournalFailed<'a> {
    pub operation: &'a str,
    pub error: &'a dyn std::fmt::Display,
}

impl JournalFailed<'_> {
    pub fn emit(self) {
        let Self { operation, error } = self;
        counter!("ringfence_journal_failures_total").increment(1);
        error!(target: DAEMON, operation, %error, "journal failed");
    }
}

/// A configuration took effect. What could not is named, with what it needs.
pub struct ReloadApplied<'a> {
    pub changes: &'a [String],
    pub needs_restart: &'a [String],
    pub took: Duration,
}

impl ReloadApplied<'_> {
    pub fn emit(self) {
        let Self { changes, needs_restart, took } = self;
        counter!("ringfence_reloads_total", "outcome" => "applied").increment(1);
        let (changes, needs_restart) = (changes.join("; "), needs_restart.join("; "));
        info!(target: DAEMON, changes, needs_restart, took_ms = millis(took), "configuration reloaded");
    }
}

/// An account is no longer traded: a reload took it out.
pub struct AccountLeft<'a> {
    pub account: AccountId,
    /// What could not be cancelled.
    pub open_orders: usize,
    /// What stays at the venue with nobody to look after it; empty for nothing.
    pub positions: &'a str,
}

impl AccountLeft<'_> {
    pub fn emit(self) {
        let Self { account, open_orders, positions } = self;
        if open_orders == 0 && positions.is_empty() {
            info!(target: DAEMON, %account, "account no longer traded");
        } else {
            warn!(target: DAEMON, %account, open_orders, positions, "account no longer traded: what it holds is left to you");
        }
    }
}

/// A configuration was refused whole; the old one runs on.
pub struct ReloadRefused<'a> {
    pub errors: &'a [String],
}

impl ReloadRefused<'_> {
    pub fn emit(self) {
        counter!("ringfence_reloads_total", "outcome" => "refused").increment(1);
        for error in self.errors {
            error!(target: DAEMON, error, "configuration refused");
        }
        error!(target: DAEMON, errors = self.errors.len(), "reload refused whole, the old configuration runs on");
    }
}

/// A market was so far behind its feed that what waited for it was thrown away.
pub struct FramesDropped {
    pub symbol: Symbol,
    pub count: u64,
}

impl FramesDropped {
    pub fn emit(self) {
        let Self { symbol, count } = self;
        counter!("ringfence_feed_frames_dropped_total", "symbol" => symbol.to_string()).increment(count);
        warn!(target: MARKET, %symbol, count, "frames dropped");
    }
}

/// A market stream skipped something; the book is rebuilt.
pub struct FeedGap {
    pub symbol: Symbol,
    pub expected: u64,
    pub found: u64,
}

impl FeedGap {
    pub fn emit(self) {
        let Self { symbol, expected, found } = self;
        counter!("ringfence_feed_gaps_total", "symbol" => symbol.to_string()).increment(1);
        warn!(target: MARKET, %symbol, expected, found, "gap in the market stream");
    }
}

/// A market stream's connection was lost.
pub struct FeedLost<'a> {
    pub feed: &'a str,
    pub why: &'a str,
}

impl FeedLost<'_> {
    pub fn emit(self) {
        let Self { feed, why } = self;
        counter!("ringfence_feed_disconnects_total", "feed" => feed.to_owned()).increment(1);
        warn!(target: MARKET, feed, why, "market stream lost");
    }
}

/// A market stream is there (again).
pub struct FeedConnected<'a> {
    pub feed: &'a str,
    pub took: Duration,
}

impl FeedConnected<'_> {
    pub fn emit(self) {
        let Self { feed, took } = self;
        counter!("ringfence_feed_connects_total", "feed" => feed.to_owned()).increment(1);
        info!(target: MARKET, feed, took_ms = millis(took), "market stream connected");
    }
}

/// A market turned stale, or fresh again.
pub struct MarketFreshness {
    pub symbol: Symbol,
    pub stale: bool,
}

impl MarketFreshness {
    pub fn emit(self) {
        let Self { symbol, stale } = self;
        gauge!("ringfence_market_stale", "symbol" => symbol.to_string()).set(f64::from(u8::from(stale)));
        if stale {
            warn!(target: MARKET, %symbol, "market stale");
        } else {
            info!(target: MARKET, %symbol, "market fresh");
        }
    }
}

/// An alert was told: to the log as to everybody else.
pub struct AlertTold<'a> {
    pub told: &'a Told,
}

impl AlertTold<'_> {
    pub fn emit(self) {
        let Told { event, alert, .. } = self.told;
        counter!("ringfence_alerts_total", "kind" => <&str>::from(alert.kind), "event" => <&str>::from(*event)).increment(1);
        let (id, kind, severity, subject, text, times, level) =
            (alert.id, alert.kind, alert.severity, &alert.subject, &alert.text, alert.times, alert.level);
        if severity == Severity::Critical && *event != AlertEvent::Acknowledged {
            error!(target: ALERTS, id, %event, %kind, %severity, subject, times, level, text, "alert");
        } else {
            warn!(target: ALERTS, id, %event, %kind, %severity, subject, times, level, text, "alert");
        }
    }
}

/// A sink did not take an alert; the alert stays open.
pub struct AlertUndelivered<'a> {
    pub sink: &'a str,
    pub id: u64,
    pub why: &'a str,
}

impl AlertUndelivered<'_> {
    pub fn emit(self) {
        let Self { sink, id, why } = self;
        counter!("ringfence_alerts_undelivered_total", "sink" => sink.to_owned()).increment(1);
        warn!(target: ALERTS, sink, id, why, "alert not delivered");
    }
}

/// The daemon may trade.
pub struct DaemonReady<'a> {
    pub url: &'a str,
    pub took: Duration,
}

impl DaemonReady<'_> {
    pub fn emit(self) {
        let Self { url, took } = self;
        gauge!("ringfence_ready").set(1.0);
        info!(target: DAEMON, url, took_ms = millis(took), "ready");
    }
}

/// The daemon stops in order.
pub struct DaemonStopping<'a> {
    pub cause: &'a str,
}

impl DaemonStopping<'_> {
    pub fn emit(self) {
        gauge!("ringfence_ready").set(0.0);
        info!(target: DAEMON, cause = self.cause, "stopping");
    }
}

/// It has: the journal is closed.
pub struct DaemonStopped;

impl DaemonStopped {
    pub fn emit(self) {
        info!(target: DAEMON, "stopped in order");
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::domain::ids::IntentId;

    #[test]
    fn a_refusal_is_counted_by_account_and_control() {
        let refusal = Refusal {
            intent: IntentId(7),
            account: AccountId::new("a1").unwrap(),
            strategy: StrategyId::new("ema").unwrap(),
            symbol: Symbol::new("BTCUSDT").unwrap(),
            control: "price_collar".to_owned(),
            limit: "0.05".to_owned(),
            value: "0.2".to_owned(),
        };
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || OrderRefused { refusal: &refusal }.emit());
        let text = recorder.handle().render();
        assert!(text.contains("ringfence_orders_refused_total{account=\"a1\",control=\"price_collar\"} 1"), "{text}");
    }

    #[test]
    fn a_mode_is_a_gauge_that_follows_the_ladder() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let scope = Scope::Account(AccountId::new("a1").unwrap());
            ModeChanged { scope, from: Mode::Normal, to: Mode::Halted, cause: "daily_loss", by: None }.emit();
            ModeChanged { scope, from: Mode::Halted, to: Mode::ReduceOnly, cause: "resume", by: Some("ann") }.emit();
        });
        let text = recorder.handle().render();
        assert!(text.contains("ringfence_mode{scope=\"account/a1\"} 1"), "{text}");
    }
}
