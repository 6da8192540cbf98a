//! A spot order before it is taken: the symbol's filters in the venue's order, then its name. It looks at no balance and at no
//! opposite order; `admission` does, when the order is really meant.

use rust_decimal::Decimal;

use crate::domain::instrument::{Instrument, Lots, Ticks};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce};
use crate::domain::time::Timestamp;
use crate::exchange::core::orders::OnGrid;
use crate::exchange::core::request::OrderRequest;
use crate::exchange::core::{Exchange, Market, Reject};

use super::filters::{SpotFilters, TrailingRange};
use super::funds::Counts;
use super::reject::SpotReject;

/// One basis point.
pub(super) const BASIS_POINTS: u32 = 10_000;

/// Who asks for an order on which symbol, and when.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub now: Timestamp,
    pub account: usize,
    pub symbol: usize,
}

impl Exchange {
    /// Every filter. `beside` counts the orders that come with this one.
    pub(super) fn check_filters(&self, asked: Asked, request: &OrderRequest, beside: Counts) -> Result<OnGrid, Reject> {
        let Asked { now, account, symbol } = asked;
        let market = &self.markets[symbol];
        let filters = &market.spot.filters;
        check_words(request)?;
        let (limit, trigger) = check_prices(&market.instrument, filters, request)?;
        let quantity = match request.extras.quote_quantity {
            Some(quote) => self.lots_for_quote(symbol, account, request, quote)?,
            None => check_lot_size(&market.instrument, request.order.quantity)?,
        };
        check_iceberg(&market.instrument, filters, request)?;
        check_market_lot_size(market, request)?;
        check_trailing(filters, request)?;
        let average = self.average_ticks(now, symbol).map(|ticks| ticks * market.instrument.price_step.0);
        check_percent_price(filters, request, average)?;
        check_notional(filters, request, average)?;
        self.check_position(account, symbol, request, quantity)?;
        self.check_counts(account, symbol, request, beside)?;
        Ok(OnGrid { limit, trigger, quantity })
    }

    /// No other open order has its name.
    pub(super) fn check_name(&self, account: usize, request: &OrderRequest) -> Result<(), Reject> {
        let taken = self.accounts[account].open.contains_key(&request.order.client_order_id);
        if taken { Err(Reject::DuplicateClientOrderId) } else { Ok(()) }
    }

    /// What the filters call the average price, in ticks: of the last minutes, else the last one.
    pub(super) fn average_ticks(&self, now: Timestamp, symbol: usize) -> Option<Decimal> {
        let market = &self.markets[symbol];
        let minutes = market.spot.filters.average_minutes;
        let average = if minutes == 0 { None } else { market.spot.average.over(now, minutes) };
        average.or_else(|| market.reference().map(|ticks| Decimal::from(ticks.0)))
    }

    /// MAX_POSITION: what is there of the base and what open buys would add.
    fn check_position(&self, account: usize, symbol: usize, request: &OrderRequest, lots: i64) -> Result<(), Reject> {
        let market = &self.markets[symbol];
        let Some(max) = market.spot.filters.max_position.filter(|_| request.order.side == Side::Buy) else { return Ok(()) };
        let holder = &self.accounts[account];
        let buying = holder.open.values().filter(|(index, _)| *index == symbol).filter_map(|(_, slot)| market.orders.get(*slot));
        let buying: i64 = buying.filter(|order| order.side == Side::Buy).map(|order| order.remaining()).sum();
        let held = holder.spot.balance(market.spot.base).total();
        if held + market.instrument.quantity(Lots(buying + lots)).0 > max.0 { Err(Reject::Spot(SpotReject::MaxPosition)) } else { Ok(()) }
    }

    fn check_counts(&self, account: usize, symbol: usize, request: &OrderRequest, beside: Counts) -> Result<(), Reject> {
        let filters = &self.markets[symbol].spot.filters;
        let counts = self.accounts[account].spot.counts.get(&symbol).copied().unwrap_or_default();
        if counts.orders + beside.orders >= filters.max_orders {
            return Err(Reject::TooManyOrders);
        }
        if is_algo(&request.order.kind) && counts.algos + beside.algos >= filters.max_algo_orders {
            return Err(Reject::TooManyStops);
        }
        Ok(())
    }
}

/// Stops and take-profits.
pub(super) const fn is_algo(kind: &OrderKind) -> bool {
    !matches!(kind, OrderKind::Market | OrderKind::Limit { .. })
}

/// What cannot stand together whatever the numbers are.
fn check_words(request: &OrderRequest) -> Result<(), Reject> {
    let order = &request.order;
    if order.position_side != PositionSide::Both {
        return Err(Reject::PositionSideMismatch);
    }
    // A sale only reduces, and may say so. Asked for of a purchase, it is a promise that cannot be kept.
    if order.reduce_only && order.side == Side::Buy {
        return Err(Reject::ReduceOnly);
    }
    let post_only = order.time_in_force == TimeInForce::PostOnly;
    let rests = order.time_in_force == TimeInForce::GoodTilCanceled || post_only;
    let unfit = (post_only && is_algo(&order.kind))
        || (request.extras.iceberg_quantity.is_some() && !(rests && order.kind.limit_price().is_some()))
        || (request.extras.quote_quantity.is_some() && order.kind != OrderKind::Market)
        || (request.extras.trailing.is_some() && !is_algo(&order.kind));
    if unfit { Err(Reject::Spot(SpotReject::UnsupportedCombination)) } else { Ok(()) }
}

/// PRICE_FILTER.
fn check_prices(instrument: &Instrument, filters: &SpotFilters, request: &OrderRequest) -> Result<(Option<Ticks>, Option<Ticks>), Reject> {
    let outside = |price: Price| price < filters.min_price || (filters.max_price.is_positive() && price > filters.max_price);
    let check = |price: Price, not_positive: Reject| match instrument.ticks(price) {
        _ if !price.is_positive() => Err(not_positive),
        Some(_) if outside(price) => Err(Reject::PriceOffGrid),
        Some(ticks) => Ok(ticks),
        None => Err(Reject::PriceOffGrid),
    };
    let limit = request.order.kind.limit_price().map(|price| check(price, Reject::PriceNotPositive)).transpose()?;
    // A trailing stop may go without a stop price, which is written as zero.
    let follows_at_once = request.extras.trailing.is_some_and(|trailing| trailing.activation.is_none());
    let trigger = request.order.kind.trigger().filter(|price| !(follows_at_once && price.is_zero()));
    Ok((limit, trigger.map(|price| check(price, Reject::TriggerNotPositive)).transpose()?))
}

/// LOT_SIZE.
pub(super) fn check_lot_size(instrument: &Instrument, quantity: Quantity) -> Result<i64, Reject> {
    if !quantity.is_positive() {
        return Err(Reject::QuantityNotPositive);
    }
    if quantity < instrument.min_quantity {
        return Err(Reject::QuantityTooSmall);
    }
    if quantity > instrument.max_quantity {
        return Err(Reject::QuantityTooLarge);
    }
    instrument.lots(quantity).map(|Lots(lots)| lots).ok_or(Reject::QuantityOffGrid)
}

/// LOT_SIZE of the shown part, and ICEBERG_PARTS.
fn check_iceberg(instrument: &Instrument, filters: &SpotFilters, request: &OrderRequest) -> Result<(), Reject> {
    let Some(shown) = request.extras.iceberg_quantity.filter(|shown| !shown.is_zero()) else { return Ok(()) };
    check_lot_size(instrument, shown)?;
    let quantity = request.order.quantity;
    if shown > quantity {
        return Err(Reject::Spot(SpotReject::IcebergTooLarge));
    }
    let too_many = Decimal::from(filters.iceberg_parts) * shown.0 < quantity.0;
    if too_many { Err(Reject::Spot(SpotReject::IcebergParts)) } else { Ok(()) }
}

fn check_market_lot_size(market: &Market, request: &OrderRequest) -> Result<(), Reject> {
    let too_large = request.order.kind == OrderKind::Market && request.order.quantity > market.spot.filters.market_max_quantity;
    if too_large { Err(Reject::Spot(SpotReject::MarketLotSize)) } else { Ok(()) }
}

/// TRAILING_DELTA.
fn check_trailing(filters: &SpotFilters, request: &OrderRequest) -> Result<(), Reject> {
    let Some(trailing) = request.extras.trailing else { return Ok(()) };
    let stops = matches!(request.order.kind, OrderKind::StopMarket { .. } | OrderKind::StopLimit { .. });
    let is_above = stops == (request.order.side == Side::Buy);
    let TrailingRange { min, max } = if is_above { filters.trailing_above } else { filters.trailing_below };
    let delta = trailing.callback.0 * Decimal::from(BASIS_POINTS);
    let inside = delta.fract().is_zero() && delta >= Decimal::from(min) && delta <= Decimal::from(max);
    if inside { Ok(()) } else { Err(Reject::Spot(SpotReject::TrailingDelta)) }
}

/// PERCENT_PRICE_BY_SIDE.
fn check_percent_price(filters: &SpotFilters, request: &OrderRequest, average: Option<Decimal>) -> Result<(), Reject> {
    let (Some(price), Some(average)) = (request.order.kind.limit_price(), average) else { return Ok(()) };
    let (up, down) = match request.order.side {
        Side::Buy => (filters.bid_up, filters.bid_down),
        Side::Sell => (filters.ask_up, filters.ask_down),
    };
    if price.0 > average * up.0 {
        return Err(Reject::PriceTooHigh);
    }
    if price.0 < average * down.0 { Err(Reject::PriceTooLow) } else { Ok(()) }
}

/// NOTIONAL; a market order is valued at the average price, and has no maximum.
fn check_notional(filters: &SpotFilters, request: &OrderRequest, average: Option<Decimal>) -> Result<(), Reject> {
    let kind = &request.order.kind;
    let price = kind.limit_price().or_else(|| kind.trigger().filter(|price| price.is_positive())).or(average.map(Price));
    let value = match (request.extras.quote_quantity, price) {
        (Some(quote), _) => quote,
        (None, Some(price)) => price * request.order.quantity,
        (None, None) => return Err(Reject::NoMarket),
    };
    let above = kind.limit_price().is_some() && filters.max_notional > Money::ZERO && value > filters.max_notional;
    if value < filters.min_notional || above { Err(Reject::NotionalTooSmall) } else { Ok(()) }
}

/// Whether a mode expires the resting order alone, so that the new one goes on as if it had not stood there.
pub(super) const fn passes_own(mode: SelfTradePrevention) -> bool {
    matches!(mode, SelfTradePrevention::ExpireMaker)
}
