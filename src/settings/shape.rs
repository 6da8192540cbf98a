//! The settings after validation: typed, resolved, complete. Whoever holds a `Settings` need not check anything again.
//! Plain data; reading belongs to `sections`, cross-checks to `check`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use strum::{Display, EnumString, VariantNames};

use crate::domain::ids::{AccountId, OwnerId, StrategyId, Symbol, VenueId};
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::ladder::FaultBudgets;
use crate::domain::mode::Mode;
use crate::domain::money::{Money, Price, Quantity, Ratio};

use super::hard::{Hard, HardOnce, StrategyOwn};
use super::origin::Row;
use super::venues::{KeySource, VenueSpec};

/// Everything that the daemon, the backtest and the checks are told by configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    pub daemon: Daemon,
    pub journal: Journal,
    pub telemetry: Telemetry,
    pub alerts: Alerts,
    pub exchange: Exchange,
    /// Those of the file, and the exchange carried inside.
    pub venues: Vec<VenueSpec>,
    /// In the order of the file; disabled ones included.
    pub accounts: Vec<AccountSpec>,
    pub symbols: Symbols,
    pub risk: Risk,
    pub supervision: Supervision,
    /// In the order of the file; disabled ones included.
    pub strategies: Vec<StrategySpec>,
    pub backtest: Backtest,
    /// Each resolved value with its origin, in reading order. The hash and the diff are made from it.
    pub(super) rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Daemon {
    /// Journal, exchange record, token and lock file live here.
    pub data_dir: PathBuf,
    pub http_bind: SocketAddr,
    /// Further names that the HTTP interface is called by, beside its address.
    pub http_allowed_hosts: Vec<String>,
    /// A `tracing` filter: `info,ringfence::venues=debug`. The one key of this section that a reload applies.
    pub log: String,
    /// What an orderly stop does with open orders.
    pub on_shutdown: OpenOrders,
    /// How long an orderly stop may take before it is forced.
    pub shutdown_deadline: Duration,
    /// Whether faults may be injected over HTTP. Never on by default.
    pub fault_injection: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum OpenOrders {
    Cancel,
    Keep,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// Rows between two checkpoints: a restart replays at most so many.
    pub checkpoint_every: u64,
    /// Rows in a file before the next checkpoint opens a new one.
    pub rows_per_file: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// Where spans go over OTLP/gRPC; `None` is off.
    pub otlp_endpoint: Option<String>,
    pub service_name: String,
    /// The share of traces that is kept, 0 to 1.
    pub sample_ratio: Ratio,
    /// Readable lines, or one JSON object a line.
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Alerts {
    /// How long a warning waits for a person before it becomes louder; a critical alert waits a fifth of it.
    pub escalate_after: Duration,
    /// Where alerts are posted to, as JSON; `None` is nowhere.
    pub webhook: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// The exchange carried inside.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    pub market: MarketSource,
    /// Seeds the synthetic market.
    pub seed: u64,
    /// Recordings that the `recording` market replays.
    pub files: Vec<PathBuf>,
    /// Where the `live` market is asked for and heard, in place of the venues' own addresses: requests and streams.
    pub live: Option<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum MarketSource {
    Synthetic,
    Recording,
    /// A venue's own public streams, as they come.
    Live,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AccountSpec {
    pub id: AccountId,
    pub venue: VenueId,
    /// Whether the file says so.
    pub venue_named: bool,
    /// Where its key is; the exchange carried inside gives its accounts keys itself.
    pub key: Option<KeySource>,
    /// Orders of accounts with one owner never meet.
    pub owner: OwnerId,
    pub enabled: bool,
    /// Paid in once, when the embedded exchange first sees the account; in a backtest at its start.
    pub starting_funds: Money,
    /// Long and short legs side by side instead of one net position.
    pub hedge_mode: bool,
    /// Set and verified on every symbol before the account trades; `None` leaves what is set.
    pub leverage: Option<u8>,
    pub margin_type: Option<MarginType>,
    /// What the kill switch does with the account beyond cancelling its orders.
    pub on_kill: OnKill,
}

/// Which money stands for a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum MarginType {
    /// The whole wallet.
    Crossed,
    /// What was put up for it.
    Isolated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum OnKill {
    Cancel,
    Flatten,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Symbols {
    /// `symbols = "from-data"`: whatever the recording holds.
    FromData,
    /// In the order of the file; disabled ones included.
    Listed(Vec<SymbolSpec>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct SymbolSpec {
    pub name: Symbol,
    /// Always there once the settings are checked.
    pub venue: Option<VenueId>,
    pub enabled: bool,
    pub synthetic: SyntheticOverride,
    pub instrument: InstrumentOverride,
}

/// Deviations from how the synthetic market makes this symbol.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyntheticOverride {
    /// The first price of the first day.
    pub opens_at: Option<Price>,
    /// Relative standard deviation over one second, in millionths.
    pub volatility_millionths: Option<u32>,
    /// Typical quantity at the best price, and of a small trade.
    pub touch: Option<Quantity>,
    pub trade: Option<Quantity>,
    pub trades_per_second: Option<u32>,
}

/// Deviations from the bundled instrument table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InstrumentOverride {
    pub kind: Option<InstrumentKind>,
    pub price_step: Option<Price>,
    pub quantity_step: Option<Quantity>,
    pub min_quantity: Option<Quantity>,
    pub max_quantity: Option<Quantity>,
    pub min_notional: Option<Money>,
    pub price_band: Option<Ratio>,
    pub maker_fee: Option<Ratio>,
    pub taker_fee: Option<Ratio>,
    pub max_leverage: Option<u8>,
}

/// All limits. A limit that is `None` is not configured, and risk then lets no order pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Risk {
    /// For every account and symbol without a value of its own.
    pub defaults: Limits,
    pub accounts: BTreeMap<AccountId, Limits>,
    pub symbols: BTreeMap<Symbol, Limits>,
    /// Positions plus working orders of all accounts together.
    pub max_capital: Option<Money>,
    /// The same intent again within this time is refused.
    pub duplicate_window: Duration,
    /// A market silent for longer is stale: nothing is decided on it.
    pub stale_after: Duration,
    /// Each strategy's own.
    pub strategies: BTreeMap<StrategyId, StrategyOwn>,
    pub once: HardOnce,
}

/// Limits of one account on one symbol, or a layer of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// How far an order's price may be from the reference price.
    pub price_collar: Option<Ratio>,
    pub max_order_value: Option<Money>,
    pub max_order_quantity: Option<Quantity>,
    /// Position plus working orders, per account and symbol.
    pub max_position_value: Option<Money>,
    /// New, amend and cancel together, per account.
    pub max_messages: Option<Rate>,
    /// Per account, counted from the start of the UTC day.
    pub max_daily_loss: Option<Money>,
    pub hard: Hard,
}

/// So many within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub period: Duration,
}

/// What a scope is held to when its budget of faults is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum HeldTo {
    ReduceOnly,
    CancelOnly,
    Halted,
}

impl From<HeldTo> for Mode {
    fn from(held: HeldTo) -> Self {
        match held {
            HeldTo::ReduceOnly => Self::ReduceOnly,
            HeldTo::CancelOnly => Self::CancelOnly,
            HeldTo::Halted => Self::Halted,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Supervision {
    /// Restarts of one supervisor's children within `period` before it gives up and escalates.
    pub intensity: u32,
    pub period: Duration,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    /// A child that ran this long starts again with the smallest backoff.
    pub stable_after: Duration,
    /// A child without progress for longer is wedged and restarted.
    pub heartbeat_deadline: Duration,
    /// A trading thread without a beat for longer is spinning: everything is halted from outside.
    pub thread_deadline: Duration,
    /// Faults of a class within its period before the ladder steps down. Invariant and storage faults have no budget.
    pub fault_budgets: FaultBudgets,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StrategySpec {
    pub id: StrategyId,
    /// Names the code: `indicator_score`, `ema_cross`, or a kind that the caller registered.
    pub kind: String,
    pub enabled: bool,
    /// Resolved: `["*"]` became every enabled account.
    pub accounts: Vec<AccountId>,
    pub symbols: SymbolSelection,
    /// The bar interval; candle recordings bring their own.
    pub interval: Duration,
    /// As the kind's own settings struct reads it; the kind's validator has accepted it.
    pub settings: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum SymbolSelection {
    /// `["*"]`: every enabled symbol, or every symbol of the recording.
    All,
    Named(Vec<Symbol>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Backtest {
    /// Stop at the first line of a recording that cannot be read; else count it and go on.
    pub strict: bool,
    /// From a decision to its effect at the venue.
    pub order_latency: Duration,
}

impl Settings {
    pub fn enabled_accounts(&self) -> impl Iterator<Item = &AccountSpec> {
        self.accounts.iter().filter(|account| account.enabled)
    }

    pub fn enabled_strategies(&self) -> impl Iterator<Item = &StrategySpec> {
        self.strategies.iter().filter(|strategy| strategy.enabled)
    }

    /// The enabled symbols of the file; none where they come from the data.
    pub fn enabled_symbols(&self) -> impl Iterator<Item = &SymbolSpec> {
        let listed = match &self.symbols {
            Symbols::FromData => &[],
            Symbols::Listed(symbols) => symbols.as_slice(),
        };
        listed.iter().filter(|symbol| symbol.enabled)
    }
}

impl SymbolSelection {
    /// What the selection means where `available` can be traded.
    #[must_use]
    pub fn resolve(&self, available: &[Symbol]) -> Vec<Symbol> {
        match self {
            Self::All => available.to_vec(),
            Self::Named(symbols) => symbols.iter().copied().filter(|symbol| available.contains(symbol)).collect(),
        }
    }
}

impl InstrumentOverride {
    /// The instrument with every deviation in place.
    #[must_use]
    pub fn apply(&self, mut instrument: Instrument) -> Instrument {
        fn set<T: Copy>(value: &mut T, deviation: Option<T>) {
            *value = deviation.unwrap_or(*value);
        }
        set(&mut instrument.kind, self.kind);
        set(&mut instrument.price_step, self.price_step);
        set(&mut instrument.quantity_step, self.quantity_step);
        set(&mut instrument.min_quantity, self.min_quantity);
        set(&mut instrument.max_quantity, self.max_quantity);
        set(&mut instrument.min_notional, self.min_notional);
        set(&mut instrument.price_band, self.price_band);
        set(&mut instrument.maker_fee, self.maker_fee);
        set(&mut instrument.taker_fee, self.taker_fee);
        set(&mut instrument.max_leverage, self.max_leverage);
        instrument
    }
}

impl Risk {
    /// The limits of one account on one symbol. An account's or a symbol's own value replaces the default, so an override
    /// may widen as well as narrow; where both have one, the stricter counts.
    #[must_use]
    pub fn limits_for(&self, account: AccountId, symbol: Symbol) -> Limits {
        let by_account = self.accounts.get(&account).copied().unwrap_or_default();
        let by_symbol = self.symbols.get(&symbol).copied().unwrap_or_default();
        let all = self.defaults;
        Limits {
            price_collar: stricter(by_account.price_collar, by_symbol.price_collar).or(all.price_collar),
            max_order_value: stricter(by_account.max_order_value, by_symbol.max_order_value).or(all.max_order_value),
            max_order_quantity: by_symbol.max_order_quantity.or(all.max_order_quantity),
            max_position_value: stricter(by_account.max_position_value, by_symbol.max_position_value).or(all.max_position_value),
            max_messages: by_account.max_messages.or(all.max_messages),
            max_daily_loss: by_account.max_daily_loss.or(all.max_daily_loss),
            hard: by_account.hard.over(by_symbol.hard).over(all.hard),
        }
    }
}

fn stricter<T: Ord>(left: Option<T>, right: Option<T>) -> Option<T> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (one, other) => one.or(other),
    }
}
