//! An order in the venue's answers: as a new order, a cancelled one, an amended one, or one that was asked for. Fields that
//! appear only under conditions appear only then.

use serde::Serialize;

use crate::domain::ids::{ClientOrderId, Symbol};
use crate::domain::order::{SelfTradePrevention, Side};
use crate::domain::time::Timestamp;
use crate::exchange::core::report::{OrderView, TradeView};
use crate::exchange::core::spot::{Amended, Canceled, ExpiryReason, ListLeg, ListView, PreventedMatch};
use crate::exchange::wire::Context;

use super::numbers::{Padded, list_id_of, time_in_force_of, trailing_delta, type_of};

/// `newOrderRespType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Detail {
    Ack,
    Result,
    Full,
}

/// How this client wants its times.
#[derive(Clone, Copy)]
pub struct Times {
    microseconds: bool,
}

impl Times {
    pub const fn of(context: &Context) -> Self {
        Self { microseconds: context.microseconds }
    }

    pub const fn write(self, at: Timestamp) -> i64 {
        if self.microseconds { at.0.div_euclid(1_000) } else { at.as_millis() }
    }

    /// −1 for a time that has not come.
    fn maybe(self, at: Option<Timestamp>) -> i64 {
        at.map_or(-1, |at| self.write(at))
    }
}

/// What appears only under conditions, in any answer about an order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Conditional {
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strategy_type: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trailing_delta: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trailing_time: Option<i64>,
    self_trade_prevention_mode: SelfTradePrevention,
    #[serde(skip_serializing_if = "Option::is_none")]
    prevented_match_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prevented_quantity: Option<Padded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_reason: Option<ExpiryReason>,
}

impl Conditional {
    fn of(order: &OrderView, times: Times) -> Self {
        let delta = trailing_delta(order);
        Self {
            strategy_id: order.extras.strategy_id,
            strategy_type: order.extras.strategy_type,
            trailing_delta: delta,
            trailing_time: delta.map(|_| times.maybe(order.spot.trailing_since)),
            self_trade_prevention_mode: order.self_trade_prevention,
            prevented_match_id: order.spot.prevented_match,
            prevented_quantity: order.spot.prevented_match.map(|_| Padded(order.prevented.0)),
            expiry_reason: order.spot.expiry,
        }
    }
}

/// Everything of a new or a cancelled order but its names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Numbers {
    price: Padded,
    orig_qty: Padded,
    executed_qty: Padded,
    orig_quote_order_qty: Padded,
    cummulative_quote_qty: Padded,
    status: &'static str,
    time_in_force: &'static str,
    r#type: &'static str,
    side: Side,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_price: Option<Padded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iceberg_qty: Option<Padded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_time: Option<i64>,
    #[serde(flatten)]
    conditional: Conditional,
}

impl Numbers {
    fn of(order: &OrderView, times: Times) -> Self {
        Self {
            price: Padded(order.order.kind.limit_price().unwrap_or_default().0),
            orig_qty: Padded(order.order.quantity.0),
            executed_qty: Padded(order.order.filled.0),
            orig_quote_order_qty: Padded(order.extras.quote_quantity.unwrap_or_default().0),
            cummulative_quote_qty: Padded(order.value.0),
            status: order.status(),
            time_in_force: time_in_force_of(order),
            r#type: type_of(order),
            side: order.order.side,
            stop_price: order.order.kind.trigger().map(|price| Padded(price.0)),
            iceberg_qty: order.extras.iceberg_quantity.map(|quantity| Padded(quantity.0)),
            working_time: None,
            conditional: Conditional::of(order, times),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FillReport {
    price: Padded,
    qty: Padded,
    commission: Padded,
    commission_asset: String,
    trade_id: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreventedReport {
    prevented_match_id: u64,
    maker_symbol: Symbol,
    maker_order_id: u64,
    price: Padded,
    #[serde(skip_serializing_if = "Option::is_none")]
    taker_prevented_quantity: Option<Padded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maker_prevented_quantity: Option<Padded>,
}

/// A new order, or a cancelled one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderReport {
    symbol: Symbol,
    #[serde(skip_serializing_if = "Option::is_none")]
    orig_client_order_id: Option<ClientOrderId>,
    order_id: u64,
    order_list_id: i64,
    client_order_id: ClientOrderId,
    transact_time: i64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    numbers: Option<Numbers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fills: Option<Vec<FillReport>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prevented_matches: Vec<PreventedReport>,
}

impl OrderReport {
    pub fn placed(order: &OrderView, trades: &[TradeView], prevented: &[PreventedMatch], detail: Detail, times: Times) -> Self {
        let numbers = || Numbers { working_time: Some(times.maybe(order.working_at)), ..Numbers::of(order, times) };
        let match_of = |found: &PreventedMatch| PreventedReport {
            prevented_match_id: found.id,
            maker_symbol: found.symbol,
            maker_order_id: found.maker_order,
            price: Padded(found.price.0),
            taker_prevented_quantity: found.taker_prevented.map(|quantity| Padded(quantity.0)),
            maker_prevented_quantity: found.maker_prevented.map(|quantity| Padded(quantity.0)),
        };
        Self {
            symbol: order.order.symbol,
            orig_client_order_id: None,
            order_id: order.order.venue_order_id,
            order_list_id: list_id_of(order.list_id),
            client_order_id: order.order.client_order_id,
            transact_time: times.write(order.order.updated_at),
            numbers: (detail != Detail::Ack).then(numbers),
            fills: (detail == Detail::Full).then(|| trades.iter().map(fill_of).collect()),
            prevented_matches: if detail == Detail::Full { prevented.iter().map(match_of).collect() } else { Vec::new() },
        }
    }

    /// `name` is what the cancel was called.
    pub fn canceled(order: &OrderView, name: ClientOrderId, times: Times) -> Self {
        Self {
            symbol: order.order.symbol,
            orig_client_order_id: Some(order.order.client_order_id),
            order_id: order.order.venue_order_id,
            order_list_id: list_id_of(order.list_id),
            client_order_id: name,
            transact_time: times.write(order.order.updated_at),
            numbers: Some(Numbers::of(order, times)),
            fills: None,
            prevented_matches: Vec::new(),
        }
    }
}

fn fill_of(trade: &TradeView) -> FillReport {
    let commission = trade.commission;
    FillReport {
        price: Padded(trade.fill.price.0),
        qty: Padded(trade.fill.quantity.0),
        commission: Padded(commission.map_or(trade.fill.fee.0, |fee| fee.amount.0)),
        commission_asset: commission.map_or_else(String::new, |fee| fee.asset.to_string()),
        trade_id: trade.fill.trade_id,
    }
}

/// An order that was asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderInfo {
    symbol: Symbol,
    order_id: u64,
    order_list_id: i64,
    client_order_id: ClientOrderId,
    price: Padded,
    orig_qty: Padded,
    executed_qty: Padded,
    cummulative_quote_qty: Padded,
    status: &'static str,
    time_in_force: &'static str,
    r#type: &'static str,
    side: Side,
    stop_price: Padded,
    iceberg_qty: Padded,
    time: i64,
    update_time: i64,
    is_working: bool,
    working_time: i64,
    orig_quote_order_qty: Padded,
    #[serde(flatten)]
    conditional: Conditional,
}

impl OrderInfo {
    pub fn of(order: &OrderView, times: Times) -> Self {
        Self {
            symbol: order.order.symbol,
            order_id: order.order.venue_order_id,
            order_list_id: list_id_of(order.list_id),
            client_order_id: order.order.client_order_id,
            price: Padded(order.order.kind.limit_price().unwrap_or_default().0),
            orig_qty: Padded(order.order.quantity.0),
            executed_qty: Padded(order.order.filled.0),
            cummulative_quote_qty: Padded(order.value.0),
            status: order.status(),
            time_in_force: time_in_force_of(order),
            r#type: type_of(order),
            side: order.order.side,
            stop_price: Padded(order.order.kind.trigger().unwrap_or_default().0),
            iceberg_qty: Padded(order.extras.iceberg_quantity.unwrap_or_default().0),
            time: times.write(order.created_at),
            update_time: times.write(order.order.updated_at),
            is_working: order.working_at.is_some(),
            working_time: times.maybe(order.working_at),
            orig_quote_order_qty: Padded(order.extras.quote_quantity.unwrap_or_default().0),
            conditional: Conditional::of(order, times),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AmendedOrder {
    symbol: Symbol,
    order_id: u64,
    order_list_id: i64,
    orig_client_order_id: ClientOrderId,
    client_order_id: ClientOrderId,
    price: Padded,
    qty: Padded,
    executed_qty: Padded,
    prevented_qty: Padded,
    quote_order_qty: Padded,
    cumulative_quote_qty: Padded,
    status: &'static str,
    time_in_force: &'static str,
    r#type: &'static str,
    side: Side,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_price: Option<Padded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iceberg_qty: Option<Padded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_time: Option<i64>,
    #[serde(flatten)]
    conditional: Conditional,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AmendedList {
    order_list_id: u64,
    contingency_type: String,
    list_order_status: &'static str,
    list_client_order_id: ClientOrderId,
    symbol: Symbol,
    orders: Vec<LegReport>,
}

/// What an amendment made of an order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AmendReport {
    transact_time: i64,
    execution_id: u64,
    amended_order: AmendedOrder,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_status: Option<AmendedList>,
}

impl AmendReport {
    pub fn of(amended: &Amended, times: Times) -> Self {
        let order = &amended.order;
        let list = |list: &ListView| AmendedList {
            order_list_id: list.id,
            contingency_type: list.contingency.to_string(),
            list_order_status: list.progress.status(),
            list_client_order_id: list.client_id,
            symbol: list.symbol,
            orders: legs_of(list),
        };
        Self {
            transact_time: times.write(order.order.updated_at),
            execution_id: amended.execution_id,
            amended_order: AmendedOrder {
                symbol: order.order.symbol,
                order_id: order.order.venue_order_id,
                order_list_id: list_id_of(order.list_id),
                orig_client_order_id: amended.before,
                client_order_id: order.order.client_order_id,
                price: Padded(order.order.kind.limit_price().unwrap_or_default().0),
                qty: Padded(order.order.quantity.0),
                executed_qty: Padded(order.order.filled.0),
                prevented_qty: Padded(order.prevented.0),
                quote_order_qty: Padded(order.extras.quote_quantity.unwrap_or_default().0),
                cumulative_quote_qty: Padded(order.value.0),
                status: order.status(),
                time_in_force: time_in_force_of(order),
                r#type: type_of(order),
                side: order.order.side,
                stop_price: order.order.kind.trigger().map(|price| Padded(price.0)),
                iceberg_qty: order.extras.iceberg_quantity.map(|quantity| Padded(quantity.0)),
                working_time: order.working_at.map(|at| times.write(at)),
                conditional: Conditional::of(order, times),
            },
            list_status: amended.list.as_ref().map(list),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LegReport {
    symbol: Symbol,
    order_id: u64,
    client_order_id: ClientOrderId,
}

fn legs_of(list: &ListView) -> Vec<LegReport> {
    let leg = |leg: &ListLeg| LegReport { symbol: list.symbol, order_id: leg.order_id, client_order_id: leg.client_order_id };
    list.legs.iter().map(leg).collect()
}

/// A list, with its orders' reports where they are asked for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListReport {
    order_list_id: u64,
    contingency_type: String,
    list_status_type: &'static str,
    list_order_status: &'static str,
    list_client_order_id: ClientOrderId,
    transaction_time: i64,
    symbol: Symbol,
    orders: Vec<LegReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_reports: Option<Vec<OrderReport>>,
}

impl ListReport {
    pub fn of(list: &ListView, reports: Option<Vec<OrderReport>>, times: Times) -> Self {
        Self {
            order_list_id: list.id,
            contingency_type: list.contingency.to_string(),
            list_status_type: list.progress.kind(),
            list_order_status: list.progress.status(),
            list_client_order_id: list.client_id,
            transaction_time: times.write(list.at),
            symbol: list.symbol,
            orders: legs_of(list),
            order_reports: reports,
        }
    }
}

/// What a cancel ended: an order, or a list.
#[derive(Serialize)]
#[serde(untagged)]
pub enum CancelReport {
    Order(Box<OrderReport>),
    List(Box<ListReport>),
}

impl CancelReport {
    pub fn of(canceled: &Canceled, name: ClientOrderId, times: Times) -> Self {
        match canceled {
            Canceled::Order(order) => Self::Order(Box::new(OrderReport::canceled(order, name, times))),
            Canceled::List(list, orders) => {
                let reports = orders.iter().map(|order| OrderReport::canceled(order, name, times)).collect();
                Self::List(Box::new(ListReport::of(list, Some(reports), times)))
            }
        }
    }
}
