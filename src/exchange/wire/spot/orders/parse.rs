//! A new order's parameters: which of them a type needs, which it may not have, and the engine's words for them. A list's legs
//! have the same ones under names of their own.

use rust_decimal::Decimal;

use crate::domain::ids::{ClientOrderId, Symbol};
use crate::domain::money::{Money, Price, Quantity, Ratio};
use crate::domain::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce};
use crate::exchange::core::request::{Extras, OrderRequest, Trailing};
use crate::exchange::core::spot::SpotReject;
use crate::exchange::core::{Exchange, Reject};
use crate::exchange::wire::{Parameters, Problem};

use super::refused;
use super::report::Detail;

/// Decimal places that spot's assets have.
const PLACES_MAX: u32 = 8;
/// Smaller ones are the venue's own.
const STRATEGY_TYPE_MIN: i64 = 1_000_000;

/// `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Type {
    Limit,
    Market,
    StopLoss,
    StopLossLimit,
    TakeProfit,
    TakeProfitLimit,
    LimitMaker,
}

impl Type {
    const fn has_price(self) -> bool {
        matches!(self, Self::Limit | Self::StopLossLimit | Self::TakeProfitLimit | Self::LimitMaker)
    }

    const fn has_time_in_force(self) -> bool {
        matches!(self, Self::Limit | Self::StopLossLimit | Self::TakeProfitLimit)
    }

    pub const fn has_trigger(self) -> bool {
        self.is_stop() || self.is_take_profit()
    }

    pub const fn is_stop(self) -> bool {
        matches!(self, Self::StopLoss | Self::StopLossLimit)
    }

    pub const fn is_take_profit(self) -> bool {
        matches!(self, Self::TakeProfit | Self::TakeProfitLimit)
    }

    const fn kind(self, price: Price, trigger: Price) -> OrderKind {
        match self {
            Self::Market => OrderKind::Market,
            Self::Limit | Self::LimitMaker => OrderKind::Limit { price },
            Self::StopLoss => OrderKind::StopMarket { trigger },
            Self::StopLossLimit => OrderKind::StopLimit { trigger, price },
            Self::TakeProfit => OrderKind::TakeProfitMarket { trigger },
            Self::TakeProfitLimit => OrderKind::TakeProfitLimit { trigger, price },
        }
    }
}

/// The names that an order's parameters have in a request.
#[derive(Debug, Clone)]
pub struct Names {
    pub client: String,
    pub price: String,
    pub stop: String,
    pub trailing: String,
    pub iceberg: String,
    pub time_in_force: String,
    pub strategy_id: String,
    pub strategy_type: String,
    /// What makes it a pegged order, which no symbol here takes.
    pub pegs: Vec<String>,
}

impl Names {
    pub fn plain() -> Self {
        Self { client: "newClientOrderId".to_owned(), ..Self::prefixed("") }
    }

    /// `aboveStopPrice`, `pendingBelowPrice`, …
    pub fn prefixed(prefix: &str) -> Self {
        let name = |word: &str| match (prefix, word.split_at(1)) {
            ("", _) => word.to_owned(),
            (_, (first, rest)) => format!("{prefix}{}{rest}", first.to_ascii_uppercase()),
        };
        Self {
            client: name("clientOrderId"),
            price: name("price"),
            stop: name("stopPrice"),
            trailing: name("trailingDelta"),
            iceberg: name("icebergQty"),
            time_in_force: name("timeInForce"),
            strategy_id: name("strategyId"),
            strategy_type: name("strategyType"),
            pegs: ["pegPriceType", "pegOffsetType", "pegOffsetValue"].map(name).to_vec(),
        }
    }
}

/// An order as it is asked for; the engine names it where the client did not.
#[derive(Debug, Clone)]
pub struct Draft {
    request: OrderRequest,
    is_named: bool,
}

impl Draft {
    pub fn named(mut self, exchange: &mut Exchange) -> OrderRequest {
        if !self.is_named {
            self.request.order.client_order_id = exchange.fresh_name();
        }
        self.request
    }
}

/// What an order has beside its own parameters.
#[derive(Debug, Clone, Copy)]
pub struct Common {
    pub symbol: Symbol,
    pub side: Side,
    pub r#type: Type,
    /// `None` for a market order by its quote quantity.
    pub quantity: Option<Decimal>,
    pub prevention: SelfTradePrevention,
}

pub fn side(parameters: &Parameters, name: &str) -> Result<Side, Problem> {
    match parameters.required(name)? {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(Problem::INVALID_SIDE),
    }
}

pub fn order_type(parameters: &Parameters, name: &str) -> Result<Type, Problem> {
    parameters.required_choice(name, Problem::INVALID_ORDER_TYPE)
}

/// `selfTradePreventionMode`; the symbols' default is EXPIRE_MAKER.
pub fn prevention(parameters: &Parameters) -> Result<SelfTradePrevention, Problem> {
    Ok(match parameters.word("selfTradePreventionMode") {
        None => SelfTradePrevention::default(),
        Some("NONE") => SelfTradePrevention::None,
        Some("EXPIRE_TAKER") => SelfTradePrevention::ExpireTaker,
        Some("EXPIRE_MAKER") => SelfTradePrevention::ExpireMaker,
        Some("EXPIRE_BOTH") => SelfTradePrevention::ExpireBoth,
        Some("DECREMENT") => SelfTradePrevention::Decrement,
        Some("TRANSFER") => return Err(refused(Reject::Spot(SpotReject::PreventionNotAllowed))),
        Some(_) => return Err(Problem::invalid("selfTradePreventionMode")),
    })
}

/// `newOrderRespType`.
pub fn detail(parameters: &Parameters, otherwise: Detail) -> Result<Detail, Problem> {
    let chosen = parameters.choice("newOrderRespType", |text| text.parse().ok(), Problem::invalid("newOrderRespType"))?;
    Ok(chosen.unwrap_or(otherwise))
}

/// A decimal with no more places than an asset has.
pub fn decimal(parameters: &Parameters, name: &str) -> Result<Option<Decimal>, Problem> {
    match parameters.decimal(name)? {
        Some(value) if value.normalize().scale() > PLACES_MAX => Err(Problem::precision(name)),
        value => Ok(value),
    }
}

pub fn required_decimal(parameters: &Parameters, name: &str) -> Result<Decimal, Problem> {
    decimal(parameters, name)?.ok_or_else(|| Problem::missing(name))
}

pub fn client_id(parameters: &Parameters, name: &str) -> Result<Option<ClientOrderId>, Problem> {
    parameters.client_id(name)?.map(|text| ClientOrderId::new(text).map_err(|_| Problem::invalid(name))).transpose()
}

/// The order of `POST /api/v3/order`.
pub fn single(parameters: &Parameters) -> Result<(Draft, Type), Problem> {
    let symbol = parameters.symbol()?;
    let side = side(parameters, "side")?;
    let r#type = order_type(parameters, "type")?;
    let (quantity, quote) = (decimal(parameters, "quantity")?, decimal(parameters, "quoteOrderQty")?);
    match (r#type, quantity, quote) {
        (Type::Market, None, None) => return Err(Problem::missing_both("quantity", "quoteOrderQty")),
        (Type::Market, Some(_), Some(_)) => return Err(Problem::of(-1128, "Combination of optional parameters invalid.")),
        (Type::Market, ..) => {}
        (_, _, Some(_)) => return Err(Problem::not_required("quoteOrderQty")),
        (_, None, None) => return Err(Problem::missing("quantity")),
        (_, Some(_), None) => {}
    }
    let common = Common { symbol, side, r#type, quantity, prevention: prevention(parameters)? };
    let mut draft = order(parameters, &Names::plain(), common)?;
    draft.request.extras.quote_quantity = quote.map(Money);
    Ok((draft, r#type))
}

/// An order under these names.
pub fn order(parameters: &Parameters, names: &Names, common: Common) -> Result<Draft, Problem> {
    let r#type = common.r#type;
    let price = allowed(r#type.has_price(), decimal(parameters, &names.price)?, &names.price)?;
    if r#type.has_price() && price.is_none() {
        return Err(Problem::missing(&names.price));
    }
    let (trigger, trailing) = trigger(parameters, names, r#type)?;
    let time_in_force = time_in_force(parameters, names, r#type)?;
    let iceberg = iceberg(parameters, names, r#type, time_in_force)?;
    let name = client_id(parameters, &names.client)?;
    let strategy_type = parameters.integer::<i64>(&names.strategy_type)?;
    if strategy_type.is_some_and(|number| number < STRATEGY_TYPE_MIN) {
        return Err(Problem::of(-1134, "`strategyType` was less than 1000000."));
    }
    if names.pegs.iter().any(|peg| parameters.has(peg)) {
        return Err(Problem::of(-2010, "Pegged orders are not supported for this symbol."));
    }
    let extras = Extras {
        iceberg_quantity: iceberg.map(Quantity),
        trailing,
        strategy_id: parameters.integer(&names.strategy_id)?,
        strategy_type,
        ..Extras::default()
    };
    let order = NewOrder {
        client_order_id: name.map_or_else(placeholder, Ok)?,
        symbol: common.symbol,
        side: common.side,
        position_side: PositionSide::Both,
        kind: r#type.kind(Price(price.unwrap_or_default()), Price(trigger.unwrap_or_default())),
        time_in_force,
        quantity: Quantity(common.quantity.unwrap_or_default()),
        reduce_only: false,
        self_trade_prevention: common.prevention,
    };
    Ok(Draft { request: OrderRequest { order, extras }, is_named: name.is_some() })
}

/// Stands until the engine gives a name.
fn placeholder() -> Result<ClientOrderId, Problem> {
    ClientOrderId::new("-").map_err(|_| Problem::UNKNOWN)
}

fn allowed<T>(is_allowed: bool, value: Option<T>, name: &str) -> Result<Option<T>, Problem> {
    if value.is_some() && !is_allowed { Err(Problem::not_required(name)) } else { Ok(value) }
}

/// Stop price and trail: a stop has one of them at least.
fn trigger(parameters: &Parameters, names: &Names, r#type: Type) -> Result<(Option<Decimal>, Option<Trailing>), Problem> {
    let stop = allowed(r#type.has_trigger(), decimal(parameters, &names.stop)?, &names.stop)?;
    let delta = allowed(r#type.has_trigger(), parameters.integer::<u32>(&names.trailing)?, &names.trailing)?;
    if r#type.has_trigger() && stop.is_none() && delta.is_none() {
        return Err(Problem::missing_both(&names.stop, &names.trailing));
    }
    let trailing = delta.map(|delta| Trailing { activation: stop.map(Price), callback: Ratio(Decimal::new(i64::from(delta), 4)) });
    Ok((stop, trailing))
}

fn time_in_force(parameters: &Parameters, names: &Names, r#type: Type) -> Result<TimeInForce, Problem> {
    let words = |text: &str| match text {
        "GTC" => Some(TimeInForce::GoodTilCanceled),
        "IOC" => Some(TimeInForce::ImmediateOrCancel),
        "FOK" => Some(TimeInForce::FillOrKill),
        _ => None,
    };
    let given = parameters.choice(&names.time_in_force, words, Problem::INVALID_TIME_IN_FORCE)?;
    match allowed(r#type.has_time_in_force(), given, &names.time_in_force)? {
        Some(given) => Ok(given),
        None if r#type.has_time_in_force() => Err(Problem::missing(&names.time_in_force)),
        None if r#type == Type::LimitMaker => Ok(TimeInForce::PostOnly),
        None => Ok(TimeInForce::GoodTilCanceled),
    }
}

fn iceberg(parameters: &Parameters, names: &Names, r#type: Type, time_in_force: TimeInForce) -> Result<Option<Decimal>, Problem> {
    let given = decimal(parameters, &names.iceberg)?.filter(|quantity| !quantity.is_zero());
    let given = allowed(r#type.has_price(), given, &names.iceberg)?;
    let rests = matches!(time_in_force, TimeInForce::GoodTilCanceled | TimeInForce::PostOnly);
    if given.is_some() && !rests {
        let (iceberg, time_in_force) = (&names.iceberg, &names.time_in_force);
        return Err(Problem::said(-1160, format!("Parameter '{iceberg}' is not supported if '{time_in_force}' is not GTC.")));
    }
    Ok(given)
}
