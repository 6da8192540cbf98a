//! What an account asks about its orders and trades.

use std::time::Duration;

use serde::Serialize;

use crate::domain::ids::{Asset, ClientOrderId, Symbol};
use crate::domain::order::{SelfTradePrevention, Side, TradesFrom};
use crate::domain::time::Timestamp;
use crate::exchange::core::OrderName;
use crate::exchange::core::Reject;
use crate::exchange::core::report::{OrderView, TradeView};
use crate::exchange::core::spot::{Amendment, PreventedMatch, SpotReject};
use crate::exchange::shell::{Desk, TradesAsked};
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::numbers::{Padded, list_id_of};
use super::refused;
use super::report::{OrderInfo, Times};

const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1_000;
const WINDOW_MAX: Duration = Duration::from_secs(24 * 3_600);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v3/order", Security::Signed, one).method("order.status").weight(4),
        Route::get("/api/v3/openOrders", Security::Signed, open).method("openOrders.status").weight_of(open_weight),
        Route::get("/api/v3/allOrders", Security::Signed, all).method("allOrders").weight(20),
        Route::get("/api/v3/myTrades", Security::Signed, trades).method("myTrades").weight_of(trades_weight),
        Route::get("/api/v3/order/amendments", Security::Signed, amendments).method("order.amendments").weight(4),
        Route::get("/api/v3/myPreventedMatches", Security::Signed, prevented).method("myPreventedMatches").weight_of(prevented_weight),
        Route::get("/api/v3/myAllocations", Security::Signed, allocations).method("myAllocations").weight(20),
    ]
}

fn sends(parameters: &Parameters, wanted: &str) -> bool {
    parameters.iter().any(|(name, _)| name == wanted)
}

fn open_weight(parameters: &Parameters) -> u32 {
    if sends(parameters, "symbol") { 6 } else { 80 }
}

fn trades_weight(parameters: &Parameters) -> u32 {
    if sends(parameters, "orderId") { 5 } else { 20 }
}

fn prevented_weight(parameters: &Parameters) -> u32 {
    if sends(parameters, "orderId") { 20 } else { 2 }
}

/// `limit`: more than the venue gives is an error.
pub(super) fn limit_of(parameters: &Parameters) -> Result<usize, Problem> {
    match parameters.integer::<usize>("limit")? {
        None => Ok(LIMIT_DEFAULT),
        Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::invalid("limit")),
    }
}

/// At most a day between start and end.
pub(super) fn check_window((start, end): (Option<Timestamp>, Option<Timestamp>)) -> Result<(), Problem> {
    let (Some(start), Some(end)) = (start, end) else { return Ok(()) };
    if end < start {
        return Err(Problem::invalid("endTime"));
    }
    if end.since(start) > WINDOW_MAX { Err(Problem::of(-1127, "More than 24 hours between startTime and endTime.")) } else { Ok(()) }
}

/// A listed symbol.
fn listed(desk: &Desk<'_>, symbol: Symbol) -> Result<(), Reject> {
    desk.exchange.symbol_index(symbol).map(|_| ()).ok_or(Reject::UnknownSymbol)
}

async fn one(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let named = super::cancel::named(&parameters, "orderId", "origClientOrderId")?;
    parameters.finish()?;
    let account = context.account()?;
    let found = context.read(move |desk| {
        listed(desk, symbol)?;
        let name = named.id.map(OrderName::Id).or(named.client.map(OrderName::Client));
        let order = name.and_then(|name| desk.exchange.order(account, symbol, name)).ok_or(Reject::Spot(SpotReject::NoSuchOrder))?;
        let differs = named.client.is_some_and(|client| client != order.order.client_order_id);
        if differs { Err(Reject::Spot(SpotReject::NamesDiffer)) } else { Ok(order) }
    });
    Json::of(&OrderInfo::of(&found.await?.map_err(refused)?, Times::of(&context)))
}

fn shown(context: &Context, orders: &[OrderView]) -> Answer {
    let times = Times::of(context);
    Json::of(&orders.iter().map(|order| OrderInfo::of(order, times)).collect::<Vec<_>>())
}

async fn open(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.optional_symbol()?;
    parameters.finish()?;
    let account = context.account()?;
    let orders = context.read(move |desk| {
        symbol.map_or(Ok(()), |symbol| listed(desk, symbol))?;
        Ok(desk.exchange.open_orders(account, symbol))
    });
    shown(&context, &orders.await?.map_err(refused)?)
}

async fn all(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let from = parameters.integer::<u64>("orderId")?;
    let window = (parameters.time("startTime")?, parameters.time("endTime")?);
    let limit = limit_of(&parameters)?;
    parameters.finish()?;
    check_window(window)?;
    let account = context.account()?;
    let orders = context.read(move |desk| {
        listed(desk, symbol)?;
        Ok(desk.exchange.all_orders(account, symbol))
    });
    let mut orders = orders.await?.map_err(refused)?;
    orders.retain(|order| {
        from.is_none_or(|from| order.order.venue_order_id >= from)
            && window.0.is_none_or(|start| order.created_at >= start)
            && window.1.is_none_or(|end| order.created_at <= end)
    });
    // From a given place on, else the most recent.
    let skipped = if from.is_some() || window.0.is_some() { 0 } else { orders.len().saturating_sub(limit) };
    shown(&context, &orders[skipped..(skipped + limit).min(orders.len())])
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TradeInfo {
    symbol: Symbol,
    id: u64,
    order_id: u64,
    order_list_id: i64,
    price: Padded,
    qty: Padded,
    quote_qty: Padded,
    commission: Padded,
    commission_asset: Option<Asset>,
    time: i64,
    is_buyer: bool,
    is_maker: bool,
    is_best_match: bool,
}

impl TradeInfo {
    fn of(trade: &TradeView, times: Times) -> Self {
        let fill = &trade.fill;
        Self {
            symbol: fill.symbol,
            id: fill.trade_id,
            order_id: fill.venue_order_id,
            order_list_id: list_id_of(trade.list_id),
            price: Padded(fill.price.0),
            qty: Padded(fill.quantity.0),
            quote_qty: Padded((fill.price * fill.quantity).0),
            commission: Padded(trade.commission.map_or(fill.fee.0, |fee| fee.amount.0)),
            commission_asset: trade.commission.map(|fee| fee.asset),
            time: times.write(fill.at),
            is_buyer: fill.side == Side::Buy,
            is_maker: fill.maker,
            is_best_match: true,
        }
    }
}

async fn trades(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let (order, from) = (parameters.integer::<u64>("orderId")?, parameters.integer::<u64>("fromId")?);
    let window = (parameters.time("startTime")?, parameters.time("endTime")?);
    let limit = limit_of(&parameters)?;
    parameters.finish()?;
    if (window.0.is_some() || window.1.is_some()) && (order.is_some() || from.is_some()) {
        return Err(Problem::of(-1128, "Combination of optional parameters invalid."));
    }
    check_window(window)?;
    let account = context.account()?;
    // Nobody's trade has the id 0.
    let begins = match (from, window.0, order) {
        (Some(from), _, _) => Some(TradesFrom::After(from.saturating_sub(1))),
        (None, Some(start), _) => Some(TradesFrom::Since(start)),
        (None, None, order) => order.map(|_| TradesFrom::After(0)),
    };
    let until = window.1.unwrap_or(Timestamp(i64::MAX));
    // From a given place on, else the most recent.
    let newest = begins.is_none();
    let trades = context.read(move |desk| {
        listed(desk, symbol).map_err(refused)?;
        desk.trades(account, TradesAsked { symbol, begins, until, order, limit, newest }).map_err(|_| Problem::DISCONNECTED)
    });
    let times = Times::of(&context);
    Json::of(&trades.await??.iter().map(|trade| TradeInfo::of(trade, times)).collect::<Vec<_>>())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AmendmentInfo {
    symbol: Symbol,
    order_id: u64,
    execution_id: u64,
    orig_client_order_id: ClientOrderId,
    new_client_order_id: ClientOrderId,
    orig_qty: Padded,
    new_qty: Padded,
    time: i64,
}

async fn amendments(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let id = parameters.required_integer::<u64>("orderId")?;
    let from = parameters.integer::<u64>("fromExecutionId")?.unwrap_or(0);
    let limit = limit_of(&parameters)?;
    parameters.finish()?;
    let account = context.account()?;
    let order = context.read(move |desk| {
        listed(desk, symbol)?;
        desk.exchange.order(account, symbol, OrderName::Id(id)).ok_or(Reject::Spot(SpotReject::NoSuchOrder))
    });
    let (order, times) = (order.await?.map_err(refused)?, Times::of(&context));
    let info = |amendment: &Amendment| AmendmentInfo {
        symbol,
        order_id: id,
        execution_id: amendment.execution_id,
        orig_client_order_id: amendment.before,
        new_client_order_id: amendment.after,
        orig_qty: Padded(amendment.quantity_before.0),
        new_qty: Padded(amendment.quantity_after.0),
        time: times.write(amendment.at),
    };
    let wanted = order.spot.amendments.iter().filter(|amendment| amendment.execution_id >= from);
    Json::of(&wanted.take(limit).map(info).collect::<Vec<_>>())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreventedInfo {
    symbol: Symbol,
    prevented_match_id: u64,
    taker_order_id: u64,
    maker_symbol: Symbol,
    maker_order_id: u64,
    trade_group_id: i64,
    self_trade_prevention_mode: SelfTradePrevention,
    price: Padded,
    #[serde(skip_serializing_if = "Option::is_none")]
    taker_prevented_quantity: Option<Padded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maker_prevented_quantity: Option<Padded>,
    transact_time: i64,
}

async fn prevented(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let (id, order) = (parameters.integer::<u64>("preventedMatchId")?, parameters.integer::<u64>("orderId")?);
    let from = parameters.integer::<u64>("fromPreventedMatchId")?.unwrap_or(0);
    let limit = limit_of(&parameters)?;
    parameters.finish()?;
    if id.is_none() && order.is_none() {
        return Err(Problem::missing_both("preventedMatchId", "orderId"));
    }
    let account = context.account()?;
    let found = context.read(move |desk| {
        listed(desk, symbol)?;
        let wanted = desk.exchange.prevented_matches(account, symbol).filter(|found| {
            id.is_none_or(|id| found.id == id)
                && order.is_none_or(|order| found.taker_order == order || found.maker_order == order)
                && found.id >= from
        });
        Ok(wanted.take(limit).cloned().collect::<Vec<_>>())
    });
    let (found, times) = (found.await?.map_err(refused)?, Times::of(&context));
    let info = |found: &PreventedMatch| PreventedInfo {
        symbol,
        prevented_match_id: found.id,
        taker_order_id: found.taker_order,
        maker_symbol: found.symbol,
        maker_order_id: found.maker_order,
        trade_group_id: found.trade_group,
        self_trade_prevention_mode: found.mode,
        price: Padded(found.price.0),
        taker_prevented_quantity: found.taker_prevented.map(|quantity| Padded(quantity.0)),
        maker_prevented_quantity: found.maker_prevented.map(|quantity| Padded(quantity.0)),
        transact_time: times.write(found.at),
    };
    Json::of(&found.iter().map(info).collect::<Vec<_>>())
}

/// Smart order routing alone allocates.
async fn allocations(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    parameters.ignore(&["startTime", "endTime", "fromAllocationId", "limit", "orderId"]);
    parameters.finish()?;
    context.read(move |desk| listed(desk, symbol)).await?.map_err(refused)?;
    Ok(Json::raw("[]".to_owned()))
}
