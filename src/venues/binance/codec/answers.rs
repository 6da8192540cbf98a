//! What venues answer about orders, trades and accounts, typed. Fields that some product leaves out are optional; numbers are exact;
//! what nobody here uses is not read.

use rust_decimal::Decimal;
use serde::Deserialize;

use super::product::Product;
use super::read::{MaybeId, MaybeNumber, Number, Text, client_order_id};
use crate::domain::ids::{Asset, ClientOrderId, Symbol};
use crate::domain::money::{Price, Quantity, Ratio};
use crate::domain::order::{OrderKind, OrderStatus, PositionSide, Side, VenueOrder};
use crate::domain::time::Timestamp;

/// A word of the venue that is not known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} expected one of the documented words, found {found:?}")]
pub struct UnknownWord {
    pub field: &'static str,
    pub found: String,
}

fn word(field: &'static str, found: &str) -> UnknownWord {
    UnknownWord { field, found: found.chars().take(40).collect() }
}

/// # Errors
/// When it is neither side.
pub fn side(text: &str) -> Result<Side, UnknownWord> {
    match text {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        other => Err(word("side", other)),
    }
}

/// Spot has none, which is `Both`.
///
/// # Errors
/// When it is no leg.
pub fn position_side(text: &str) -> Result<PositionSide, UnknownWord> {
    match text {
        "BOTH" | "" => Ok(PositionSide::Both),
        "LONG" => Ok(PositionSide::Long),
        "SHORT" => Ok(PositionSide::Short),
        other => Err(word("positionSide", other)),
    }
}

/// # Errors
/// When the status is not known: whether the order lives cannot be guessed.
pub fn status(text: &str) -> Result<OrderStatus, UnknownWord> {
    Ok(match text {
        "NEW" | "PARTIALLY_FILLED" | "PENDING_NEW" | "PENDING_CANCEL" | "NEW_INSURANCE" | "NEW_ADL" => OrderStatus::Working,
        "FILLED" => OrderStatus::Filled,
        "CANCELED" => OrderStatus::Canceled,
        "EXPIRED" | "EXPIRED_IN_MATCH" => OrderStatus::Expired,
        "REJECTED" => OrderStatus::Rejected,
        other => return Err(word("status", other)),
    })
}

/// `TAKE_PROFIT` has a limit on futures and none on spot. A type that is not known is what its price says.
#[must_use]
pub fn kind(product: Product, order_type: &str, price: Decimal, trigger: Decimal) -> OrderKind {
    let (price, trigger) = (Price(price), Price(trigger));
    match order_type {
        "STOP_MARKET" | "STOP_LOSS" | "TRAILING_STOP_MARKET" => OrderKind::StopMarket { trigger },
        "STOP" | "STOP_LOSS_LIMIT" => OrderKind::StopLimit { trigger, price },
        "TAKE_PROFIT" if product.capabilities().holdings => OrderKind::TakeProfitMarket { trigger },
        "TAKE_PROFIT_MARKET" => OrderKind::TakeProfitMarket { trigger },
        "TAKE_PROFIT" | "TAKE_PROFIT_LIMIT" => OrderKind::TakeProfitLimit { trigger, price },
        "MARKET" | "LIQUIDATION" => OrderKind::Market,
        _ if price.is_positive() => OrderKind::Limit { price },
        _ => OrderKind::Market,
    }
}

/// An order as any request about it shows it, of spot or futures.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderAnswer<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    pub order_id: u64,
    #[serde(borrow, default)]
    pub client_order_id: Text<'a>,
    /// Of an order that was cancelled on spot, whose `clientOrderId` is the cancel's own.
    #[serde(borrow, default)]
    pub orig_client_order_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub status: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    pub order_type: Text<'a>,
    #[serde(borrow, default)]
    pub side: Text<'a>,
    #[serde(borrow, default)]
    pub position_side: Text<'a>,
    #[serde(default)]
    pub price: MaybeNumber,
    #[serde(default)]
    pub stop_price: MaybeNumber,
    #[serde(default)]
    pub orig_qty: MaybeNumber,
    #[serde(default)]
    pub executed_qty: MaybeNumber,
    #[serde(default)]
    pub reduce_only: bool,
    #[serde(default)]
    pub time: Option<i64>,
    #[serde(default)]
    pub update_time: Option<i64>,
    #[serde(default)]
    pub transact_time: Option<i64>,
    /// Spot, `FULL`: what the order traded at once.
    #[serde(borrow, default)]
    pub fills: Vec<ImmediateFill<'a>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImmediateFill<'a> {
    #[serde(default)]
    pub price: MaybeNumber,
    #[serde(default)]
    pub qty: MaybeNumber,
    #[serde(default)]
    pub commission: MaybeNumber,
    #[serde(borrow, default)]
    pub commission_asset: Option<Text<'a>>,
    pub trade_id: u64,
}

impl OrderAnswer<'_> {
    /// The name that the order was made under.
    #[must_use]
    pub fn name(&self) -> ClientOrderId {
        let name = self.orig_client_order_id.as_ref().filter(|name| !name.0.is_empty()).unwrap_or(&self.client_order_id);
        client_order_id(name.as_str(), self.order_id)
    }

    #[must_use]
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.transact_time.or(self.update_time).or(self.time).unwrap_or_default())
    }

    /// `None` when its symbol is none that is traded here.
    ///
    /// # Errors
    /// When a word of it is not known.
    pub fn order(&self, product: Product) -> Result<Option<VenueOrder>, UnknownWord> {
        let Some(symbol) = self.symbol.symbol() else { return Ok(None) };
        Ok(Some(VenueOrder {
            client_order_id: self.name(),
            venue_order_id: self.order_id,
            symbol,
            side: side(self.side.as_str())?,
            position_side: position_side(self.position_side.as_str())?,
            kind: kind(product, self.order_type.as_str(), self.price.or_zero(), self.stop_price.or_zero()),
            status: status(self.status.as_str())?,
            quantity: Quantity(self.orig_qty.or_zero()),
            filled: Quantity(self.executed_qty.or_zero()),
            reduce_only: self.reduce_only,
            updated_at: self.at(),
        }))
    }
}

/// A conditional order of the algo service.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlgoAnswer<'a> {
    pub algo_id: u64,
    #[serde(borrow)]
    pub client_algo_id: Text<'a>,
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub side: Text<'a>,
    #[serde(borrow, default)]
    pub position_side: Text<'a>,
    #[serde(borrow)]
    pub order_type: Text<'a>,
    #[serde(borrow)]
    pub algo_status: Text<'a>,
    #[serde(default)]
    pub quantity: MaybeNumber,
    #[serde(default)]
    pub price: MaybeNumber,
    #[serde(default)]
    pub trigger_price: MaybeNumber,
    #[serde(default)]
    pub reduce_only: bool,
    /// The order that its trigger made.
    #[serde(default)]
    pub actual_order_id: MaybeId,
    #[serde(default)]
    pub update_time: i64,
}

/// How a conditional order stands.
#[derive(Debug, Clone, PartialEq)]
pub enum AlgoStanding {
    /// It waits, or ended without having triggered.
    Itself(VenueOrder),
    /// It triggered: from then on its order is asked for by the venue's id and is known by this name.
    Became { client_order_id: ClientOrderId, symbol: Symbol, venue_order_id: u64 },
}

impl AlgoAnswer<'_> {
    #[must_use]
    pub fn name(&self) -> ClientOrderId {
        client_order_id(self.client_algo_id.as_str(), self.algo_id)
    }

    /// `None` when its symbol is none that is traded here.
    ///
    /// # Errors
    /// When a word of it is not known.
    pub fn standing(&self) -> Result<Option<AlgoStanding>, UnknownWord> {
        let Some(symbol) = self.symbol.symbol() else { return Ok(None) };
        if let Some(venue_order_id) = self.actual_order_id.0.filter(|id| *id > 0) {
            return Ok(Some(AlgoStanding::Became { client_order_id: self.name(), symbol, venue_order_id }));
        }
        let kind = kind(Product::BinanceUsdm, self.order_type.as_str(), self.price.or_zero(), self.trigger_price.or_zero());
        Ok(Some(AlgoStanding::Itself(VenueOrder {
            client_order_id: self.name(),
            venue_order_id: self.algo_id,
            symbol,
            side: side(self.side.as_str())?,
            position_side: position_side(self.position_side.as_str())?,
            kind,
            status: algo_status(self.algo_status.as_str())?,
            quantity: Quantity(self.quantity.or_zero()),
            filled: Quantity::ZERO,
            reduce_only: self.reduce_only,
            updated_at: Timestamp::from_millis(self.update_time),
        })))
    }
}

/// # Errors
/// When the status is not known.
pub fn algo_status(text: &str) -> Result<OrderStatus, UnknownWord> {
    Ok(match text {
        // A finished one without an order of its own has none that could be open.
        "NEW" | "TRIGGERING" | "TRIGGERED" => OrderStatus::Working,
        "FINISHED" | "EXPIRED" => OrderStatus::Expired,
        "CANCELED" => OrderStatus::Canceled,
        "REJECTED" => OrderStatus::Rejected,
        other => return Err(word("algoStatus", other)),
    })
}

/// One of the account's trades. It names its order by the venue's id alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TradeAnswer<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    pub id: u64,
    pub order_id: u64,
    pub price: Number,
    pub qty: Number,
    #[serde(default)]
    pub commission: MaybeNumber,
    #[serde(borrow, default)]
    pub commission_asset: Option<Text<'a>>,
    /// Futures say the side, spot whether it was the buyer.
    #[serde(borrow, default)]
    pub side: Option<Text<'a>>,
    #[serde(default)]
    pub is_buyer: bool,
    #[serde(borrow, default)]
    pub position_side: Text<'a>,
    #[serde(default, alias = "isMaker")]
    pub maker: bool,
    pub time: i64,
}

impl TradeAnswer<'_> {
    /// # Errors
    /// When its side is neither.
    pub fn side(&self) -> Result<Side, UnknownWord> {
        match &self.side {
            Some(text) => side(text.as_str()),
            None if self.is_buyer => Ok(Side::Buy),
            None => Ok(Side::Sell),
        }
    }
}

/// A spot account.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpotAccountAnswer<'a> {
    #[serde(default)]
    pub can_trade: bool,
    #[serde(borrow)]
    pub balances: Vec<SpotBalanceAnswer<'a>>,
    /// When the balances last changed.
    #[serde(default)]
    pub update_time: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct SpotBalanceAnswer<'a> {
    #[serde(borrow)]
    pub asset: Text<'a>,
    #[serde(default)]
    pub free: MaybeNumber,
    #[serde(default)]
    pub locked: MaybeNumber,
}

/// A futures account's amount of one asset.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BalanceAnswer<'a> {
    #[serde(borrow)]
    pub asset: Text<'a>,
    /// Wallet balance: open profit is not in it.
    pub balance: Number,
    /// What new orders may tie up.
    #[serde(default)]
    pub available_balance: MaybeNumber,
    /// When it last changed.
    #[serde(default)]
    pub update_time: Option<i64>,
}

/// A futures position, of `positionRisk`; the account's own list has no entry price in its third version.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PositionAnswer<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow, default)]
    pub position_side: Text<'a>,
    pub position_amt: Number,
    #[serde(default)]
    pub entry_price: MaybeNumber,
    #[serde(default)]
    pub mark_price: MaybeNumber,
    /// Absent in the third version: `symbolConfig` says them.
    #[serde(default)]
    pub leverage: MaybeNumber,
    #[serde(borrow, default)]
    pub margin_type: Text<'a>,
    /// Zero where no price would liquidate it.
    #[serde(default)]
    pub liquidation_price: MaybeNumber,
    /// Absent in the second version.
    #[serde(default)]
    pub maint_margin: MaybeNumber,
    /// In both versions, spelled so.
    #[serde(default, rename = "unRealizedProfit")]
    pub unrealized: MaybeNumber,
    /// When it last changed.
    #[serde(default)]
    pub update_time: Option<i64>,
}

/// The margin account, of which the wallet and the positions are used.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountAnswer<'a> {
    #[serde(borrow)]
    pub assets: Vec<AccountAssetAnswer<'a>>,
    #[serde(borrow, default)]
    pub positions: Vec<PositionAnswer<'a>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountAssetAnswer<'a> {
    #[serde(borrow)]
    pub asset: Text<'a>,
    pub wallet_balance: Number,
}

/// Something that moved the wallet, trades included.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncomeAnswer<'a> {
    #[serde(borrow, default)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub income_type: Text<'a>,
    pub income: Number,
    #[serde(borrow)]
    pub asset: Text<'a>,
    pub time: i64,
    /// Unique within a type and an account.
    pub tran_id: MaybeId,
}

/// Leverage and margin type of a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolSettings {
    pub symbol: Symbol,
    pub leverage: u8,
    pub isolated: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SymbolConfigAnswer<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub margin_type: Text<'a>,
    pub leverage: u8,
}

impl SymbolConfigAnswer<'_> {
    #[must_use]
    pub fn settings(&self) -> Option<SymbolSettings> {
        let isolated = self.margin_type.as_str().eq_ignore_ascii_case("ISOLATED");
        Some(SymbolSettings { symbol: self.symbol.symbol()?, leverage: self.leverage, isolated })
    }
}

impl PositionAnswer<'_> {
    /// Where positions say it (Aster).
    #[must_use]
    pub fn settings(&self) -> Option<SymbolSettings> {
        let leverage = u8::try_from(self.leverage.0?).ok()?;
        let isolated = self.margin_type.as_str().eq_ignore_ascii_case("ISOLATED");
        Some(SymbolSettings { symbol: self.symbol.symbol()?, leverage, isolated })
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerTimeAnswer {
    pub server_time: i64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PositionModeAnswer {
    pub dual_side_position: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MultiAssetsAnswer {
    pub multi_assets_margin: bool,
}

/// `accountConfig`: both at once.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountModes {
    pub dual_side_position: bool,
    pub multi_assets_margin: bool,
}

/// What a symbol was traded at last.
#[derive(Debug, Clone, Deserialize)]
pub struct PriceAnswer<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    pub price: Number,
}

/// A symbol's leverage brackets; the first is for the smallest positions and allows the most.
#[derive(Debug, Clone, Deserialize)]
pub struct BracketsAnswer<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(default)]
    pub brackets: Vec<BracketAnswer>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BracketAnswer {
    pub initial_leverage: u8,
}

impl BracketsAnswer<'_> {
    #[must_use]
    pub fn max_leverage(&self) -> Option<u8> {
        self.brackets.iter().map(|bracket| bracket.initial_leverage).max()
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct LeverageAnswer {
    pub leverage: u8,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenKeyAnswer<'a> {
    #[serde(borrow)]
    pub listen_key: Text<'a>,
}

/// What is answered where there is nothing to say: `{}`, or `{"code":200,"msg":"success"}`, the code a number or a text.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct DoneAnswer {}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyPermissions {
    /// Bound to addresses.
    pub ip_restrict: bool,
    pub enable_reading: bool,
    pub enable_withdrawals: bool,
    pub enable_internal_transfer: bool,
    pub permits_universal_transfer: bool,
    pub enable_spot_and_margin_trading: bool,
    pub enable_futures: bool,
}

impl KeyPermissions {
    /// Money can leave the account with it. A key that trades must not be able to.
    #[must_use]
    pub const fn can_move_money(&self) -> bool {
        self.enable_withdrawals || self.enable_internal_transfer || self.permits_universal_transfer
    }

    #[must_use]
    pub fn can_trade(&self, product: Product) -> bool {
        if product.capabilities().holdings { self.enable_spot_and_margin_trading } else { self.enable_futures }
    }
}

/// The account's own fees on a symbol, as shares of a trade's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commission {
    pub maker: Ratio,
    pub taker: Ratio,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FuturesCommissionAnswer {
    pub maker_commission_rate: Number,
    pub taker_commission_rate: Number,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpotCommissionAnswer {
    pub standard_commission: SpotRates,
    #[serde(default)]
    pub special_commission: SpotRates,
    #[serde(default)]
    pub tax_commission: SpotRates,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct SpotRates {
    #[serde(default)]
    pub maker: MaybeNumber,
    #[serde(default)]
    pub taker: MaybeNumber,
}

impl From<FuturesCommissionAnswer> for Commission {
    fn from(answer: FuturesCommissionAnswer) -> Self {
        Self { maker: Ratio(answer.maker_commission_rate.0), taker: Ratio(answer.taker_commission_rate.0) }
    }
}

/// All three are charged. A discount for paying in another coin is left out: what is paid is in each fill.
impl From<SpotCommissionAnswer> for Commission {
    fn from(answer: SpotCommissionAnswer) -> Self {
        let all = [answer.standard_commission, answer.special_commission, answer.tax_commission];
        let sum = |of: fn(&SpotRates) -> MaybeNumber| Ratio(all.iter().map(|rates| of(rates).or_zero()).sum());
        Self { maker: sum(|rates| rates.maker), taker: sum(|rates| rates.taker) }
    }
}

/// Why an account's instruments cannot be kept apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    #[error("an asset expected 1 to 16 of A-Z, 0-9, '_' and '-', found {found:?}")]
    Asset { found: String },
    #[error(
        "{first} and {second} are both positions in {base}: an account's holding of {base} cannot be told apart; configure one of them"
    )]
    SharedBase { base: Asset, first: Symbol, second: Symbol },
    #[error(
        "{first} is settled in {quote} and {second} in {another}: an account's wallet is in one currency; give each a venue of its own"
    )]
    TwoPurses { first: Symbol, quote: String, second: Symbol, another: String },
}
