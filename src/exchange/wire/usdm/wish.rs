//! A new order as a client words it: read from parameters, checked for what may stand together in the venue's order and with the
//! venue's codes, then put on the grid of its symbol as a request to the engine. Pure; whether the account may is the engine's
//! question.

use std::str::FromStr;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::domain::ids::{ClientOrderId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::money::{Price, Quantity, Ratio};
use crate::domain::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce};
use crate::domain::time::Timestamp;
use crate::exchange::core::request::{Extras, OrderRequest, PriceMatch, Trailing};
use crate::exchange::core::{Exchange, TriggerPrice};
use crate::exchange::wire::parameters::CLIENT_ID_RANGE;
use crate::exchange::wire::{Parameters, Problem};

use super::names::Names;
use super::order_json::Shows;
use super::text::Scales;

/// A GTD order lasts at least this long.
const GOOD_TILL_MIN: Duration = Duration::from_secs(600);
/// 9999-12-31 23:59:59 UTC, in milliseconds.
const GOOD_TILL_MAX: u64 = 253_402_300_799_000;
const CLIENT_ID_LENGTH_MAX: usize = 36;

pub const PRECISION: Problem = Problem::of(-1111, "Precision is over the maximum defined for this asset.");
const SWITCH_TO_ALGO: Problem =
    Problem::of(-4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.");
const INVALID_POSITION_SIDE: Problem = Problem::of(-4060, "Invalid position side.");
const INVALID_RESPONSE_TYPE: Problem = Problem::of(-1136, "Invalid newOrderRespType.");
const INVALID_PRICE_MATCH: Problem = Problem::of(-5037, "Invalid price match");
const PRICE_MATCH_WITH_MARKET: Problem = Problem::of(-5038, "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT");
const INVALID_PREVENTION: Problem = Problem::of(-5039, "Invalid self trade prevention mode");
const CLIENT_ID_LENGTH: Problem = Problem::of(-4015, "Client order id length should not be more than 36 chars");
const NO_DEPTH_FOR_MATCH: Problem = Problem::of(-5041, "No depth matches this BBO order");
const QUANTITY_WITH_CLOSE: Problem = Problem::of(-4137, "Quantity must be zero with closePosition equals true");
const GOOD_TILL: Problem = Problem::of(
    -5040,
    "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than 253402300799000 (UTC 9999-12-31 23:59:59)",
);

/// The address that an order came to, which says what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `/order` and `/batchOrders`: LIMIT and MARKET alone.
    Order,
    /// `/algoOrder`: what waits for a trigger.
    Algo,
    /// Aster's `/order`: everything.
    Aster,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderType {
    Limit,
    Market,
    Stop,
    StopMarket,
    TakeProfit,
    TakeProfitMarket,
    TrailingStopMarket,
}

impl OrderType {
    const fn waits(self) -> bool {
        !matches!(self, Self::Limit | Self::Market)
    }

    const fn has_price(self) -> bool {
        matches!(self, Self::Limit | Self::Stop | Self::TakeProfit)
    }

    const fn may_close_position(self) -> bool {
        matches!(self, Self::StopMarket | Self::TakeProfitMarket)
    }
}

/// How long an order lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasting {
    pub time_in_force: TimeInForce,
    /// `GTD`.
    pub good_till: Option<Timestamp>,
    /// `GTE_GTC`.
    pub with_position: bool,
}

impl Lasting {
    const fn of(time_in_force: TimeInForce) -> Self {
        Self { time_in_force, good_till: None, with_position: false }
    }
}

/// What was asked for; prices and quantities as they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub symbol: Symbol,
    pub side: Side,
    pub position_side: PositionSide,
    pub kind: OrderType,
    pub lasting: Lasting,
    pub quantity: Decimal,
    pub price: Option<Decimal>,
    pub price_match: Option<PriceMatch>,
    pub trigger: Option<Decimal>,
    pub activation: Option<Decimal>,
    pub callback: Option<Decimal>,
    /// Whether the caller said it at all: in hedge mode it may not.
    pub reduce_only: Option<bool>,
    pub close_position: bool,
    pub price_protect: bool,
    pub trigger_by: Option<TriggerPrice>,
    pub self_trade_prevention: SelfTradePrevention,
    pub client_id: ClientOrderId,
    pub shows: Shows,
}

impl Wish {
    /// Reads an order from its parameters; `names` gives its client id where it has none.
    ///
    /// # Errors
    /// The venue's, for what is missing, malformed or may not stand together.
    pub fn read(parameters: &Parameters, door: Door, now: Timestamp, names: &Names) -> Result<Self, Problem> {
        let symbol = parameters.symbol()?;
        let side = side(parameters)?;
        let kind: OrderType = parameters.required_choice("type", Problem::INVALID_ORDER_TYPE)?;
        match door {
            Door::Order if kind.waits() => return Err(SWITCH_TO_ALGO),
            Door::Algo if !kind.waits() => return Err(Problem::INVALID_ORDER_TYPE),
            _ => {}
        }
        let position_side = position_side(parameters)?;
        let lasting = lasting(parameters, kind, door, now)?;
        let close_position = parameters.boolean("closePosition")?.unwrap_or(false);
        if close_position && !kind.may_close_position() {
            return Err(Problem::said(-4136, format!("Target strategy invalid for orderType '{kind}',closePosition 'true'.")));
        }
        let reduce_only = parameters.boolean("reduceOnly")?;
        if close_position && reduce_only.is_some() {
            return Err(Problem::not_required("reduceOnly"));
        }
        let shows = response_type(parameters)?;
        let (price, price_match) = price(parameters, kind)?;
        let wish = Self {
            symbol,
            side,
            position_side,
            kind,
            lasting,
            quantity: quantity(parameters, close_position)?,
            price,
            price_match,
            trigger: trigger(parameters, kind, door)?,
            activation: parameters.decimal(if door == Door::Aster { "activationPrice" } else { "activatePrice" })?,
            callback: callback(parameters, kind, door)?,
            reduce_only,
            close_position,
            price_protect: parameters.boolean("priceProtect")?.unwrap_or(false),
            trigger_by: working_type(parameters)?,
            self_trade_prevention: prevention(parameters, door)?,
            client_id: client_id(parameters, door)?.unwrap_or_else(|| names.client_order_id()),
            shows,
        };
        Ok(wish)
    }

    /// The request to the engine, and the digits that its answer is written with.
    ///
    /// # Errors
    /// When the symbol is not listed, a number has too many digits, or the book has no price to match.
    pub fn request(&self, exchange: &Exchange) -> Result<(OrderRequest, Scales), Problem> {
        let index = exchange.symbol_index(self.symbol).ok_or(Problem::INVALID_SYMBOL)?;
        let instrument = exchange.instrument(index).ok_or(Problem::INVALID_SYMBOL)?;
        let scales = Scales::of(instrument);
        let matched = self.price_match.map(|matched| price_of(exchange, index, instrument, matched, self.side)).transpose()?;
        let request = self.on_grid(scales, matched)?;
        Ok((request, scales))
    }

    fn on_grid(&self, scales: Scales, matched: Option<Price>) -> Result<OrderRequest, Problem> {
        let price = |price: Decimal| within(price, scales.price).map(Price);
        let limit = matched.map(Ok).or_else(|| self.price.map(price)).transpose()?;
        let trigger = self.trigger.map(price).transpose()?.unwrap_or_default();
        let activation = self.activation.map(price).transpose()?;
        let order = NewOrder {
            client_order_id: self.client_id,
            symbol: self.symbol,
            side: self.side,
            position_side: self.position_side,
            kind: self.kind(limit.unwrap_or_default(), trigger, activation),
            time_in_force: self.lasting.time_in_force,
            quantity: Quantity(within(self.quantity, scales.quantity)?),
            reduce_only: self.reduce_only.unwrap_or(false),
            self_trade_prevention: self.self_trade_prevention,
        };
        let trailing = self.callback.map(|rate| Trailing { activation, callback: Ratio(rate / Decimal::ONE_HUNDRED) });
        let extras = Extras {
            trigger_by: self.trigger_by,
            price_protect: self.price_protect,
            close_position: self.close_position,
            trailing,
            with_position: self.lasting.with_position,
            good_till: self.lasting.good_till,
            price_match: self.price_match,
            ..Extras::default()
        };
        Ok(OrderRequest { order, extras })
    }

    fn kind(&self, price: Price, trigger: Price, activation: Option<Price>) -> OrderKind {
        match self.kind {
            OrderType::Limit => OrderKind::Limit { price },
            OrderType::Market => OrderKind::Market,
            OrderType::Stop => OrderKind::StopLimit { trigger, price },
            OrderType::StopMarket => OrderKind::StopMarket { trigger },
            OrderType::TakeProfit => OrderKind::TakeProfitLimit { trigger, price },
            OrderType::TakeProfitMarket => OrderKind::TakeProfitMarket { trigger },
            // Where it goes off is the engine's to find; it begins where it is activated.
            OrderType::TrailingStopMarket => OrderKind::StopMarket { trigger: activation.unwrap_or_default() },
        }
    }
}

/// # Errors
/// When it was not sent or is none.
pub fn side(parameters: &Parameters) -> Result<Side, Problem> {
    match parameters.required("side")? {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(Problem::INVALID_SIDE),
    }
}

/// # Errors
/// When it is none.
pub fn position_side(parameters: &Parameters) -> Result<PositionSide, Problem> {
    match parameters.word("positionSide") {
        None | Some("BOTH") => Ok(PositionSide::Both),
        Some("LONG") => Ok(PositionSide::Long),
        Some("SHORT") => Ok(PositionSide::Short),
        Some(_) => Err(INVALID_POSITION_SIDE),
    }
}

/// # Errors
/// When it is none.
pub fn price_match(parameters: &Parameters) -> Result<Option<PriceMatch>, Problem> {
    match parameters.word("priceMatch") {
        None | Some("NONE") => Ok(None),
        Some(word) => PriceMatch::from_str(word).map(Some).map_err(|_| INVALID_PRICE_MATCH),
    }
}

/// A price taken from the book as displayed.
///
/// # Errors
/// When the book is not that deep.
pub fn price_of(exchange: &Exchange, index: usize, instrument: &Instrument, matched: PriceMatch, side: Side) -> Result<Price, Problem> {
    let (opposite, depth) = matched.level();
    let (_, bids, asks) = exchange.book(index, depth).ok_or(NO_DEPTH_FOR_MATCH)?;
    let levels = if (side == Side::Buy) == opposite { asks } else { bids };
    levels.get(depth - 1).map(|level| instrument.price(level.price)).ok_or(NO_DEPTH_FOR_MATCH)
}

/// A number that has no more digits than its grid.
///
/// # Errors
/// -1111.
pub fn within(number: Decimal, digits: u32) -> Result<Decimal, Problem> {
    if number.normalize().scale() > digits { Err(PRECISION) } else { Ok(number) }
}

fn lasting(parameters: &Parameters, kind: OrderType, door: Door, now: Timestamp) -> Result<Lasting, Problem> {
    let till = parameters.integer::<u64>("goodTillDate")?.filter(|till| *till > 0);
    let word = match (parameters.word("timeInForce"), kind) {
        (Some(_), OrderType::Market) => return Err(Problem::not_required("timeInForce")),
        (None, OrderType::Limit) => return Err(Problem::missing("timeInForce")),
        (word, _) => word.unwrap_or("GTC"),
    };
    let in_force = match word {
        "GTC" | "GTE_GTC" => TimeInForce::GoodTilCanceled,
        "GTD" if door != Door::Aster => {
            let till = good_till(till, now)?;
            return Ok(Lasting { good_till: Some(till), ..Lasting::of(TimeInForce::GoodTilCanceled) });
        }
        // Nobody else sees our orders, so a hidden one is like any other.
        "HIDDEN" if door == Door::Aster => TimeInForce::GoodTilCanceled,
        "IOC" => TimeInForce::ImmediateOrCancel,
        "FOK" => TimeInForce::FillOrKill,
        "GTX" => TimeInForce::PostOnly,
        "RPI" if door != Door::Aster => TimeInForce::PostOnly,
        _ => return Err(Problem::INVALID_TIME_IN_FORCE),
    };
    if till.is_some() {
        return Err(Problem::not_required("goodTillDate"));
    }
    // What waits in the algo service alone knows whose position it is about.
    Ok(Lasting { with_position: word == "GTE_GTC" && door == Door::Algo, ..Lasting::of(in_force) })
}

/// To the second, as the venue keeps it.
fn good_till(till: Option<u64>, now: Timestamp) -> Result<Timestamp, Problem> {
    let millis = till.ok_or_else(|| Problem::missing("goodTillDate"))?;
    if millis >= GOOD_TILL_MAX {
        return Err(GOOD_TILL);
    }
    // Invariant: below the maximum it fits.
    let at = Timestamp::from_millis(i64::try_from(millis / 1_000 * 1_000).unwrap_or(i64::MAX));
    if at <= now + GOOD_TILL_MIN { Err(GOOD_TILL) } else { Ok(at) }
}

fn price(parameters: &Parameters, kind: OrderType) -> Result<(Option<Decimal>, Option<PriceMatch>), Problem> {
    let price = parameters.decimal("price")?;
    let matched = price_match(parameters)?;
    match (kind.has_price(), price, matched) {
        (true, Some(_), Some(_)) => Err(Problem::not_required("price")),
        (true, None, None) => Err(Problem::missing("price")),
        (false, _, Some(_)) => Err(PRICE_MATCH_WITH_MARKET),
        // Clients send a zero for "none".
        (false, Some(price), None) if !price.is_zero() => Err(Problem::not_required("price")),
        (false, _, None) => Ok((None, None)),
        (true, price, matched) => Ok((price, matched)),
    }
}

fn quantity(parameters: &Parameters, close_position: bool) -> Result<Decimal, Problem> {
    match (parameters.decimal("quantity")?, close_position) {
        (Some(quantity), true) if !quantity.is_zero() => Err(QUANTITY_WITH_CLOSE),
        (_, true) => Ok(Decimal::ZERO),
        (quantity, false) => quantity.ok_or_else(|| Problem::missing("quantity")),
    }
}

fn trigger(parameters: &Parameters, kind: OrderType, door: Door) -> Result<Option<Decimal>, Problem> {
    let name = if door == Door::Algo { "triggerPrice" } else { "stopPrice" };
    let trigger = parameters.decimal(name)?;
    match kind {
        OrderType::Limit | OrderType::Market | OrderType::TrailingStopMarket => match trigger {
            Some(price) if !price.is_zero() => Err(Problem::not_required(name)),
            _ => Ok(None),
        },
        _ => trigger.map(Some).ok_or_else(|| Problem::missing(name)),
    }
}

fn callback(parameters: &Parameters, kind: OrderType, door: Door) -> Result<Option<Decimal>, Problem> {
    let rate = parameters.decimal("callbackRate")?;
    if kind != OrderType::TrailingStopMarket {
        return match rate {
            Some(rate) if !rate.is_zero() => Err(Problem::not_required("callbackRate")),
            _ => Ok(None),
        };
    }
    let rate = rate.ok_or_else(|| Problem::missing("callbackRate"))?;
    // In percent, of one place.
    let max = Decimal::from(if door == Door::Aster { 5 } else { 10 });
    let valid = rate >= Decimal::new(1, 1) && rate <= max && rate.normalize().scale() <= 1;
    if valid { Ok(Some(rate)) } else { Err(Problem::invalid("callbackRate")) }
}

fn working_type(parameters: &Parameters) -> Result<Option<TriggerPrice>, Problem> {
    match parameters.word("workingType") {
        None => Ok(None),
        Some("CONTRACT_PRICE") => Ok(Some(TriggerPrice::Last)),
        Some("MARK_PRICE") => Ok(Some(TriggerPrice::Mark)),
        Some(word) => Err(Problem::said(-4031, format!("Invalid parameter working type: {word}"))),
    }
}

fn prevention(parameters: &Parameters, door: Door) -> Result<SelfTradePrevention, Problem> {
    match parameters.word(if door == Door::Aster { "stpMode" } else { "selfTradePreventionMode" }) {
        None | Some("EXPIRE_MAKER") => Ok(SelfTradePrevention::ExpireMaker),
        Some("NONE") => Ok(SelfTradePrevention::None),
        Some("EXPIRE_TAKER") => Ok(SelfTradePrevention::ExpireTaker),
        Some("EXPIRE_BOTH") => Ok(SelfTradePrevention::ExpireBoth),
        Some(_) => Err(INVALID_PREVENTION),
    }
}

fn client_id(parameters: &Parameters, door: Door) -> Result<Option<ClientOrderId>, Problem> {
    let name = if door == Door::Algo { "clientAlgoId" } else { "newClientOrderId" };
    if parameters.get(name).is_some_and(|text| text.len() > CLIENT_ID_LENGTH_MAX) {
        return Err(CLIENT_ID_LENGTH);
    }
    let Some(text) = parameters.client_id(name)? else { return Ok(None) };
    ClientOrderId::new(text).map(Some).map_err(|_| Problem::illegal(name, CLIENT_ID_RANGE))
}

/// What the answer shows: `ACK` unless `RESULT` was asked for.
///
/// # Errors
/// When it is another word.
fn response_type(parameters: &Parameters) -> Result<Shows, Problem> {
    match parameters.word("newOrderRespType") {
        None | Some("ACK") => Ok(Shows::Acceptance),
        Some("RESULT") => Ok(Shows::Standing),
        Some(_) => Err(INVALID_RESPONSE_TYPE),
    }
}

#[cfg(test)]
mod tests;
