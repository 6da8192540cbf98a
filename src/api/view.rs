//! What the API shows. Plain data with a stable JSON form, shared by the server, the commands and the live summary. Money
//! is a string, as everywhere.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::domain::alerts::{AlertKind, Severity};
use crate::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation, StrategyId, Symbol};
use crate::domain::mode::{Mode, Scope};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{OrderStatus, PositionView, Side};
use crate::domain::time::Timestamp;

/// Whether the daemon may trade, and if not, what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    pub ready: bool,
    /// What is not ready yet, by name: `executor/a1`, `journal`. Empty when ready.
    pub waiting_for: Vec<String>,
}

/// Whether all is as it should be. The process is alive in either case, because it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: HealthStatus,
    /// What is not as it should be, for people: `executor/a1 is waiting`, `account/a1 is Halted: …`. Empty when well.
    pub degraded: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    Well,
    Degraded,
}

impl From<Vec<String>> for Health {
    fn from(degraded: Vec<String>) -> Self {
        Self { status: if degraded.is_empty() { HealthStatus::Well } else { HealthStatus::Degraded }, degraded }
    }
}

/// The whole daemon at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// The strictest mode that holds for everything.
    pub mode: Mode,
    pub ready: bool,
    pub at: Timestamp,
    pub uptime_seconds: u64,
    pub epoch: Epoch,
    pub build: BuildView,
    pub kill_switch: KillSwitchView,
    pub accounts: Vec<AccountStatus>,
    pub strategies: Vec<StrategyStatus>,
    pub symbols: Vec<SymbolStatus>,
    pub children: Vec<ChildStatus>,
    /// Modes that are not `Normal`, by what they cover.
    pub restrictions: Vec<Restriction>,
    /// The newest last; at most `RECENT_EVENTS`.
    pub events: Vec<PublicEvent>,
    /// That nobody has acknowledged, oldest first.
    #[serde(default)]
    pub alerts: Vec<AlertView>,
}

/// `GET /alerts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertsView {
    /// That nobody has acknowledged, oldest first.
    pub open: Vec<AlertView>,
    /// The last ones that somebody did, oldest first; all of them are in the journal.
    pub acknowledged: Vec<AcknowledgedView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertView {
    pub id: u64,
    pub kind: AlertKind,
    pub severity: Severity,
    /// Whom or what it is about.
    pub subject: String,
    pub text: String,
    pub times: u64,
    /// How often it became louder because nobody acknowledged it.
    pub level: u32,
    pub raised_at: Timestamp,
    pub last_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgedView {
    #[serde(flatten)]
    pub alert: AlertView,
    pub by: String,
    pub reason: String,
    pub at: Timestamp,
}

/// Events that a status carries: a screenful.
pub const RECENT_EVENTS: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildView {
    pub version: String,
    pub config_hash: String,
}

impl BuildView {
    /// This binary's version with the hash of the configuration that it runs on.
    #[must_use]
    pub fn current(config_hash: impl Into<String>) -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), config_hash: config_hash.into() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KillSwitchView {
    pub tripped: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Accounts for which the venue shows no open order since.
    #[serde(default)]
    pub verified: Vec<AccountId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountStatus {
    pub name: AccountId,
    pub mode: Mode,
    /// Orders sent since the data directory was made.
    pub orders: u64,
    pub fills: u64,
    pub open_orders: u64,
    pub wallet: Money,
    pub equity: Money,
    /// `null` while it is not known: the account is not reconciled, or a position has no price yet.
    pub day_pnl: Option<Money>,
    pub positions: Vec<PositionView>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategyStatus {
    pub id: StrategyId,
    /// `ema_cross`, `indicator_score`, …
    pub kind: String,
    pub running: bool,
    pub mode: Mode,
    pub accounts: Vec<AccountId>,
    pub symbols: Vec<Symbol>,
    pub signals: u64,
    pub refused: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SymbolStatus {
    pub name: Symbol,
    pub mode: Mode,
    pub bid: Option<Price>,
    pub ask: Option<Price>,
    pub last: Option<Price>,
    /// Since the newest frame, by our clock. `None` before the first.
    pub age_ms: Option<u64>,
    pub stale: bool,
    pub frames: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildStatus {
    pub name: String,
    pub incarnation: Incarnation,
    pub restarts: u64,
    /// `ready`, `starting`, `waiting`, `down`, …
    pub state: String,
    pub mailbox: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    pub scope: Scope,
    pub mode: Mode,
    pub cause: String,
}

/// Something that happened, as `/events` streams it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicEvent {
    /// Grows by one; a reader that sees a hole has missed something and reads `/status` again.
    pub id: u64,
    pub at: Timestamp,
    pub kind: EventKind,
    /// For people, in one line.
    pub text: String,
}

/// What an event is about; the name of the server-sent event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    Order,
    Fill,
    Mode,
    KillSwitch,
    Supervision,
    Market,
    Alert,
    Command,
    Reload,
    Daemon,
}

impl EventKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// `GET /admin/status`: the status, and what only an operator may see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdminStatusView {
    #[serde(flatten)]
    pub status: StatusView,
    /// The newest last; bounded by whoever publishes it.
    pub recent_orders: Vec<RecentOrder>,
    /// Every limit with its present use.
    pub risk: Vec<LimitUse>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecentOrder {
    pub account: AccountId,
    pub strategy: Option<StrategyId>,
    pub symbol: Symbol,
    pub client_order_id: ClientOrderId,
    pub side: Side,
    pub quantity: Quantity,
    pub filled: Quantity,
    pub status: OrderStatus,
    pub detail: Option<String>,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitUse {
    pub control: String,
    pub scope: Scope,
    pub limit: String,
    pub value: String,
}
