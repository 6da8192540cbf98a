//! The words of an order: what a strategy wants, what risk approved, what the venue is asked and what it answers. Types
//! only; the life cycle is stepped by `order_manager`, approval by `risk`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::Display;

pub use super::equity::{EquityPeaks, Liquidation, VenueMargin};
use super::ids::{AccountId, Asset, ClientOrderId, IntentId, StrategyId, Symbol};
use super::money::{Money, Price, Quantity};
use super::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum Side {
    Buy,
    Sell,
}

impl Side {
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }

    /// `quantity` with the sign that it moves a position by.
    #[must_use]
    pub fn signed(self, quantity: Quantity) -> Quantity {
        match self {
            Self::Buy => quantity,
            Self::Sell => -quantity,
        }
    }
}

/// Which leg of a position an order works on: `Both` in one-way mode, a leg in hedge mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Display)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum PositionSide {
    #[default]
    Both,
    Long,
    Short,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Display)]
pub enum TimeInForce {
    #[default]
    #[serde(rename = "GTC")]
    #[strum(serialize = "GTC")]
    GoodTilCanceled,
    #[serde(rename = "IOC")]
    #[strum(serialize = "IOC")]
    ImmediateOrCancel,
    #[serde(rename = "FOK")]
    #[strum(serialize = "FOK")]
    FillOrKill,
    /// Maker or nothing: GTX on USD-M, LIMIT_MAKER on spot.
    #[serde(rename = "GTX")]
    #[strum(serialize = "GTX")]
    PostOnly,
}

/// What becomes of an order that would trade with another order of the same account or owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Display)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum SelfTradePrevention {
    None,
    ExpireTaker,
    #[default]
    ExpireMaker,
    ExpireBoth,
    /// Spot: both get smaller by what would have traded; who has nothing left expires.
    Decrement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    Market,
    Limit {
        price: Price,
    },
    /// Becomes a market order when the trigger is reached: a buy at or above it, a sell at or below it.
    StopMarket {
        trigger: Price,
    },
    StopLimit {
        trigger: Price,
        price: Price,
    },
    /// Becomes a market order when the trigger is reached: a buy at or below it, a sell at or above it.
    TakeProfitMarket {
        trigger: Price,
    },
    TakeProfitLimit {
        trigger: Price,
        price: Price,
    },
}

impl OrderKind {
    #[must_use]
    pub const fn limit_price(&self) -> Option<Price> {
        match *self {
            Self::Limit { price } | Self::StopLimit { price, .. } | Self::TakeProfitLimit { price, .. } => Some(price),
            Self::Market | Self::StopMarket { .. } | Self::TakeProfitMarket { .. } => None,
        }
    }

    /// Whether such an order may stand in the book, where others can trade with it: one at a limit, also behind a trigger. At the
    /// market, and for the moment alone, an order never does.
    #[must_use]
    pub const fn may_rest(&self, time_in_force: TimeInForce) -> bool {
        self.limit_price().is_some() && !matches!(time_in_force, TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill)
    }

    #[must_use]
    pub const fn trigger(&self) -> Option<Price> {
        match *self {
            Self::StopMarket { trigger } | Self::StopLimit { trigger, .. } => Some(trigger),
            Self::TakeProfitMarket { trigger } | Self::TakeProfitLimit { trigger, .. } => Some(trigger),
            Self::Market | Self::Limit { .. } => None,
        }
    }
}

/// A W3C trace context as plain numbers, so that it can travel in messages and rows without a tracing library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    #[serde(with = "hex128")]
    pub trace_id: u128,
    pub span_id: u64,
    pub sampled: bool,
}

mod hex128 {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:032x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
    }
}

/// What a strategy wants done. It binds nobody: only `risk` can turn it into an `Approved<OrderIntent>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderIntent {
    pub id: IntentId,
    pub strategy: StrategyId,
    pub account: AccountId,
    pub symbol: Symbol,
    pub side: Side,
    #[serde(default)]
    pub position_side: PositionSide,
    pub kind: OrderKind,
    #[serde(default)]
    pub time_in_force: TimeInForce,
    pub quantity: Quantity,
    #[serde(default)]
    pub reduce_only: bool,
    /// Where the strategy will cut the loss of what this order opens. Risk counts the way there, and without one the way to the
    /// collar's end; whoever promises a stop places it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Price>,
    pub decided_at: Timestamp,
    /// Why, in a word or two, for the journal: `cross_up`, `stop_loss`.
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// An order as the venue is asked for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewOrder {
    pub client_order_id: ClientOrderId,
    pub symbol: Symbol,
    pub side: Side,
    #[serde(default)]
    pub position_side: PositionSide,
    pub kind: OrderKind,
    #[serde(default)]
    pub time_in_force: TimeInForce,
    pub quantity: Quantity,
    #[serde(default)]
    pub reduce_only: bool,
    #[serde(default)]
    pub self_trade_prevention: SelfTradePrevention,
}

impl NewOrder {
    /// Where others could trade with it, if anywhere.
    #[must_use]
    pub fn rests(&self) -> Option<(Symbol, Side)> {
        self.kind.may_rest(self.time_in_force).then_some((self.symbol, self.side))
    }
}

/// Where an order stands. `Unknown` is not a failure: its whole exposure stays reserved until the venue's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrderStatus {
    /// Approved and handed to the journal; not yet sent.
    Persisting,
    /// Sent, no answer yet.
    Submitted,
    /// Sent, and the answer was lost or said nothing definite.
    Unknown,
    /// Open at the venue, nothing filled or some.
    Working,
    /// A cancel was sent; it may still fill.
    PendingCancel,
    Filled,
    Canceled,
    Expired,
    Rejected,
    /// Never sent: the journal or the halt gate refused it.
    NotSent,
}

impl OrderStatus {
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Filled | Self::Canceled | Self::Expired | Self::Rejected | Self::NotSent)
    }
}

/// What the venue took its fee in, where that was not the settlement currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeeTaken {
    /// Out of the position's own currency: spot takes it out of what was bought, so that less arrives than was traded.
    /// [`Fill::fee`] is then its worth at the fill's price.
    FromPosition { quantity: Quantity },
    /// Out of a third asset (BNB), which no position here is in. [`Fill::fee`] is then zero: this is kept for the record.
    Elsewhere { asset: Asset, quantity: Quantity },
}

/// One execution. Unique by (account, symbol, order id, trade id).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fill {
    pub account: AccountId,
    pub symbol: Symbol,
    pub client_order_id: ClientOrderId,
    pub venue_order_id: u64,
    pub trade_id: u64,
    pub side: Side,
    #[serde(default)]
    pub position_side: PositionSide,
    pub price: Price,
    pub quantity: Quantity,
    /// In the settlement currency; negative is a rebate.
    pub fee: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_taken: Option<FeeTaken>,
    pub maker: bool,
    pub at: Timestamp,
}

impl Fill {
    #[must_use]
    pub fn is_wanted(&self, wanted: &TradesWanted) -> bool {
        wanted.get(&self.symbol).is_some_and(|from| from.reaches(self))
    }

    /// What the position moves by, unsigned. A fee that is taken out of the position makes a purchase smaller and a sale larger:
    /// with its worth charged as the fee, cash and holdings come out exact.
    #[must_use]
    pub fn moved(&self) -> Quantity {
        match (self.fee_taken, self.side) {
            (Some(FeeTaken::FromPosition { quantity }), Side::Buy) => self.quantity - quantity,
            (Some(FeeTaken::FromPosition { quantity }), Side::Sell) => self.quantity + quantity,
            (Some(FeeTaken::Elsewhere { .. }) | None, _) => self.quantity,
        }
    }
}

/// Where the list of an account's trades on one symbol begins. Trade ids ascend within a symbol and mean nothing beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TradesFrom {
    /// At a moment of our clock: none of the symbol is booked yet. Before any id, as far as order goes.
    Since(Timestamp),
    /// Behind that trade.
    After(u64),
}

impl TradesFrom {
    /// Whether a trade of the symbol is among them.
    #[must_use]
    pub fn reaches(self, fill: &Fill) -> bool {
        match self {
            Self::Since(at) => fill.at >= at,
            Self::After(trade) => fill.trade_id > trade,
        }
    }
}

/// The trades that a snapshot is to list: of these symbols, and of no other.
pub type TradesWanted = BTreeMap<Symbol, TradesFrom>;

/// What an executor asks of its venue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VenueCommand {
    Place(NewOrder),
    Cancel {
        symbol: Symbol,
        client_order_id: ClientOrderId,
    },
    /// Every open order of the account on that symbol, or on all of them.
    CancelAll {
        symbol: Option<Symbol>,
    },
    Query {
        symbol: Symbol,
        client_order_id: ClientOrderId,
    },
    /// Open orders, positions, balance and trades: what reconciliation needs.
    Snapshot {
        trades: TradesWanted,
    },
    SetLeverage {
        symbol: Symbol,
        leverage: u8,
    },
}

/// Why the venue ended an order that did not fill whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EndReason {
    Canceled,
    /// IOC or FOK remainder, or a post-only order that would have taken.
    Expired,
    SelfTradePrevented,
}

/// An order as the venue shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VenueOrder {
    pub client_order_id: ClientOrderId,
    pub venue_order_id: u64,
    pub symbol: Symbol,
    pub side: Side,
    #[serde(default)]
    pub position_side: PositionSide,
    pub kind: OrderKind,
    pub status: OrderStatus,
    pub quantity: Quantity,
    pub filled: Quantity,
    #[serde(default)]
    pub reduce_only: bool,
    pub updated_at: Timestamp,
}

/// A position as the venue shows it; `quantity` is signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VenuePosition {
    pub symbol: Symbol,
    #[serde(default)]
    pub position_side: PositionSide,
    pub quantity: Quantity,
    /// Zero where the venue keeps none, as on spot: our own is kept then, or the market's taken.
    pub entry_price: Price,
    /// What of it an order can close, unsigned; `None` for all of it. On spot a rest below the smallest order remains, because
    /// fees are taken out of what was bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closable: Option<Quantity>,
}

impl VenuePosition {
    /// Unsigned.
    #[must_use]
    pub fn to_close(&self) -> Quantity {
        self.closable.unwrap_or_else(|| self.quantity.abs())
    }
}

/// Why money moved without a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FundsKind {
    Funding,
    /// Paid in, paid out, or moved between wallets: no profit and no loss.
    Transfer,
    /// What the insurance fund took or gave when a position was liquidated.
    Insurance,
    /// A rebate, a bonus, a fee that belongs to no trade of ours.
    Other,
}

/// An entry of the venue's ledger that is no trade's profit or fee: booked once, by the venue's id (F16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundsMoved {
    pub kind: FundsKind,
    /// The venue's: unique within a kind and an account.
    pub id: u64,
    /// What the wallet moved by, in the settlement currency.
    pub amount: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<Symbol>,
    pub at: Timestamp,
}

/// One account at one moment, as the venue shows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct VenueSnapshot {
    pub open_orders: Vec<VenueOrder>,
    pub positions: Vec<VenuePosition>,
    /// Wallet balance in the settlement currency, realised profit and fees included, open profit not.
    pub wallet: Money,
    /// `wallet` is what is there beside the holdings, as on spot: what those cost is known to nobody but us.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside_holdings: bool,
    /// Ascending by trade id within a symbol.
    pub trades: Vec<Fill>,
    /// The venue's latest ledger entries, as far back as it likes: they are told apart by their ids. `wallet` has them all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub funds: Vec<FundsMoved>,
    /// Orders that left, have no answer, and may still arrive: what is shown is not the last word. Always 0 where an order arrives
    /// as it leaves.
    #[serde(default)]
    pub on_their_way: usize,
    /// `None` where the venue was not asked, or does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<VenueMargin>,
    /// By the venue's own clock, the newest change of money or positions that is in what it shows. `None` where it does not say, or
    /// where what it shows is not of one moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// What a venue answers or tells. Every one names the order that it is about; none is an answer to a caller's stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VenueEvent {
    Accepted {
        client_order_id: ClientOrderId,
        venue_order_id: u64,
        at: Timestamp,
    },
    /// The venue's definite no.
    Rejected {
        client_order_id: ClientOrderId,
        code: i32,
        message: String,
        at: Timestamp,
    },
    /// It did not leave: something of ours held it back.
    NotSent {
        client_order_id: ClientOrderId,
        why: String,
    },
    /// No definite answer: time-out, 5xx, broken connection.
    OutcomeUnknown {
        client_order_id: ClientOrderId,
        why: String,
    },
    Filled(Fill),
    Ended {
        client_order_id: ClientOrderId,
        reason: EndReason,
        filled: Quantity,
        at: Timestamp,
    },
    CancelRefused {
        client_order_id: ClientOrderId,
        code: i32,
        message: String,
    },
    /// The answer to `Query`: `None` when the venue does not know the order.
    OrderIs {
        client_order_id: ClientOrderId,
        order: Option<VenueOrder>,
    },
    /// The answer to `Snapshot`.
    SnapshotIs(VenueSnapshot),
    LeverageIs {
        symbol: Symbol,
        leverage: u8,
    },
    /// The venue cannot be traded at as this account is: its key may do too much, its settings cannot be made.
    Barred {
        why: String,
    },
    /// Something befell the account that only a snapshot tells whole: funding, a transfer, a change by somebody else.
    LookAgain {
        why: String,
    },
    /// A command that failed as a whole (a snapshot, a leverage change).
    CommandFailed {
        command: String,
        why: String,
    },
}

/// One order's standing after a change, as the executor tells risk, strategies and views. Each report is complete: a
/// reader that missed one is right again with the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderReport {
    pub account: AccountId,
    /// `None` for an order or a fill that was not ours (a person's hand, a liquidation).
    pub strategy: Option<StrategyId>,
    pub intent: Option<IntentId>,
    pub symbol: Symbol,
    pub client_order_id: ClientOrderId,
    pub side: Side,
    pub position_side: PositionSide,
    pub kind: OrderKind,
    pub reduce_only: bool,
    pub quantity: Quantity,
    /// Cumulative; never falls.
    pub filled: Quantity,
    pub status: OrderStatus,
    /// The execution that caused this report, told once per trade id.
    pub fill: Option<Fill>,
    pub detail: Option<String>,
    pub at: Timestamp,
    pub trace: Option<TraceContext>,
}

/// An account at one moment, from our own books.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountView {
    pub account: AccountId,
    pub wallet: Money,
    /// Wallet plus open profit at the mark price.
    pub equity: Money,
    /// Equity now less equity at the start of the UTC day. `None` while it is not known: a position has no price yet.
    pub day_pnl: Option<Money>,
    pub positions: Vec<PositionView>,
    /// `None` while the day's figure is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peaks: Option<EquityPeaks>,
    /// As the venue last showed it; what happened since is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<VenueMargin>,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionView {
    pub symbol: Symbol,
    pub position_side: PositionSide,
    /// Signed.
    pub quantity: Quantity,
    pub entry_price: Price,
    pub unrealized: Money,
}

/// Risk's no: which control, its limit, the value that broke it. All three are for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{control}: limit {limit}, found {value}")]
pub struct Refusal {
    pub intent: IntentId,
    pub account: AccountId,
    pub strategy: StrategyId,
    pub symbol: Symbol,
    /// The control's name in the control matrix: `price_collar`, `order_value`, …
    pub control: String,
    pub limit: String,
    pub value: String,
}
