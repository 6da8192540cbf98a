//! The user events of spot, as the venue writes them: `executionReport`, `outboundAccountPosition`, `balanceUpdate` and
//! `listStatus`. Fields that appear only under conditions appear only then.

use serde::Serialize;
use serde_json::json;

use crate::domain::ids::{Asset, ClientOrderId, Symbol};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{OrderStatus, SelfTradePrevention, Side};
use crate::domain::time::Timestamp;
use crate::exchange::core::Reject;
use crate::exchange::core::report::{ExecutionType, OrderView, TradeView, UserEvent, UserReport};
use crate::exchange::core::spot::{ExpiryReason, ListView, SpotExecution};

use super::numbers::{Padded, list_id_of, time_in_force_of, trailing_delta, type_of};

/// The events that a report becomes; none for what spot does not tell.
#[must_use]
pub fn encode(report: &UserReport, microseconds: bool) -> Vec<String> {
    let time = |at: Timestamp| if microseconds { at.0.div_euclid(1_000) } else { at.as_millis() };
    let now = time(report.at);
    let text = match &report.event {
        UserEvent::Order { execution, order, trade, request_id, spot } => {
            let told = Told { execution: *execution, order, trade: trade.as_deref(), request_id: *request_id, spot: spot.as_ref() };
            serde_json::to_string(&told.report(now, &time))
        }
        UserEvent::Account { balances, .. } => {
            let balance = |asset: &Asset, free: Money, locked: Money| json!({ "a": asset, "f": Padded(free.0), "l": Padded(locked.0) });
            let balances: Vec<_> = balances.iter().map(|view| balance(&view.asset, view.free, view.locked)).collect();
            serde_json::to_string(&Position { e: "outboundAccountPosition", event_time: now, u: now, balances })
        }
        UserEvent::Balance { asset, delta } => {
            serde_json::to_string(&BalanceUpdate { e: "balanceUpdate", event_time: now, a: *asset, d: Padded(delta.0), clear_time: now })
        }
        UserEvent::OrderList(list) => serde_json::to_string(&list_status(list, now, time(list.at))),
        _ => return Vec::new(),
    };
    // Every field is a plain value: none can fail to be written.
    text.into_iter().collect()
}

#[derive(Serialize)]
struct Position {
    e: &'static str,
    #[serde(rename = "E")]
    event_time: i64,
    u: i64,
    #[serde(rename = "B")]
    balances: Vec<serde_json::Value>,
}

#[derive(Serialize)]
struct BalanceUpdate {
    e: &'static str,
    #[serde(rename = "E")]
    event_time: i64,
    a: Asset,
    d: Padded,
    #[serde(rename = "T")]
    clear_time: i64,
}

#[derive(Serialize)]
struct ListStatus {
    e: &'static str,
    #[serde(rename = "E")]
    event_time: i64,
    s: Symbol,
    g: u64,
    c: String,
    l: &'static str,
    #[serde(rename = "L")]
    list_order_status: &'static str,
    r: &'static str,
    #[serde(rename = "C")]
    list_client_order_id: ClientOrderId,
    #[serde(rename = "T")]
    transaction_time: i64,
    #[serde(rename = "O")]
    orders: Vec<Leg>,
}

#[derive(Serialize)]
struct Leg {
    s: Symbol,
    i: u64,
    c: ClientOrderId,
}

fn list_status(list: &ListView, now: i64, at: i64) -> ListStatus {
    ListStatus {
        e: "listStatus",
        event_time: now,
        s: list.symbol,
        g: list.id,
        c: list.contingency.to_string(),
        l: list.progress.kind(),
        list_order_status: list.progress.status(),
        r: "NONE",
        list_client_order_id: list.client_id,
        transaction_time: at,
        orders: list.legs.iter().map(|leg| Leg { s: list.symbol, i: leg.order_id, c: leg.client_order_id }).collect(),
    }
}

/// One execution report's parts.
struct Told<'a> {
    execution: ExecutionType,
    order: &'a OrderView,
    trade: Option<&'a TradeView>,
    request_id: Option<ClientOrderId>,
    spot: Option<&'a SpotExecution>,
}

#[derive(Serialize)]
struct ExecutionReport {
    e: &'static str,
    #[serde(rename = "E")]
    event_time: i64,
    s: Symbol,
    c: ClientOrderId,
    #[serde(rename = "S")]
    side: Side,
    o: &'static str,
    f: &'static str,
    q: Padded,
    p: Padded,
    #[serde(rename = "P")]
    stop_price: Padded,
    #[serde(rename = "F")]
    iceberg: Padded,
    g: i64,
    #[serde(rename = "C")]
    original: String,
    x: &'static str,
    #[serde(rename = "X")]
    status: &'static str,
    r: &'static str,
    i: u64,
    l: Padded,
    z: Padded,
    #[serde(rename = "L")]
    last_price: Padded,
    n: String,
    #[serde(rename = "N")]
    commission_asset: Option<Asset>,
    #[serde(rename = "T")]
    transaction_time: i64,
    t: i64,
    #[serde(rename = "v", skip_serializing_if = "Option::is_none")]
    prevented_match: Option<u64>,
    #[serde(rename = "I")]
    execution_id: u64,
    w: bool,
    m: bool,
    #[serde(rename = "M")]
    ignored: bool,
    #[serde(rename = "O")]
    created: i64,
    #[serde(rename = "Z")]
    value: Padded,
    #[serde(rename = "Y")]
    last_value: Padded,
    #[serde(rename = "Q")]
    quote_quantity: Padded,
    #[serde(rename = "W", skip_serializing_if = "Option::is_none")]
    working_time: Option<i64>,
    #[serde(rename = "V")]
    prevention_mode: SelfTradePrevention,
    #[serde(flatten)]
    conditional: Conditional,
}

/// What most reports do not have.
#[derive(Serialize)]
struct Conditional {
    #[serde(rename = "d", skip_serializing_if = "Option::is_none")]
    trailing_delta: Option<u32>,
    #[serde(rename = "D", skip_serializing_if = "Option::is_none")]
    trailing_time: Option<i64>,
    #[serde(rename = "j", skip_serializing_if = "Option::is_none")]
    strategy_id: Option<i64>,
    #[serde(rename = "J", skip_serializing_if = "Option::is_none")]
    strategy_type: Option<i64>,
    #[serde(rename = "A", skip_serializing_if = "Option::is_none")]
    prevented: Option<Padded>,
    #[serde(flatten)]
    prevention: Option<Prevented>,
    #[serde(rename = "eR", skip_serializing_if = "Option::is_none")]
    expiry: Option<ExpiryReason>,
}

/// What self-trade prevention did just now.
#[derive(Serialize)]
struct Prevented {
    #[serde(rename = "B")]
    last: Padded,
    u: i64,
    #[serde(rename = "U")]
    counter_order: u64,
    #[serde(rename = "Cs")]
    counter_symbol: Symbol,
    #[serde(rename = "pl")]
    execution: Padded,
    #[serde(rename = "pL")]
    price: Padded,
    #[serde(rename = "pY")]
    value: Padded,
}

impl Told<'_> {
    fn report(&self, now: i64, time: &dyn Fn(Timestamp) -> i64) -> ExecutionReport {
        let order = &self.order.order;
        let (last_price, last) = self.trade.map_or((Price::ZERO, Quantity::ZERO), |trade| (trade.fill.price, trade.fill.quantity));
        let commission = self.trade.and_then(|trade| trade.commission);
        ExecutionReport {
            e: "executionReport",
            event_time: now,
            s: order.symbol,
            c: self.request_id.unwrap_or(order.client_order_id),
            side: order.side,
            o: type_of(self.order),
            f: time_in_force_of(self.order),
            q: Padded(order.quantity.0),
            p: Padded(order.kind.limit_price().unwrap_or_default().0),
            stop_price: Padded(order.kind.trigger().unwrap_or_default().0),
            iceberg: Padded(self.order.extras.iceberg_quantity.unwrap_or_default().0),
            g: list_id_of(self.order.list_id),
            original: self.request_id.map_or_else(String::new, |_| order.client_order_id.to_string()),
            x: execution_type(self.execution),
            status: self.order.status(),
            r: self.spot.and_then(|spot| spot.refusal).map_or("NONE", reject_reason),
            i: order.venue_order_id,
            l: Padded(last.0),
            z: Padded(order.filled.0),
            last_price: Padded(last_price.0),
            n: commission.map_or_else(|| "0".to_owned(), |fee| format!("{:.8}", fee.amount.0)),
            commission_asset: commission.map(|fee| fee.asset),
            transaction_time: time(order.updated_at),
            t: self.trade.and_then(|trade| i64::try_from(trade.fill.trade_id).ok()).unwrap_or(-1),
            prevented_match: self.order.spot.prevented_match,
            execution_id: self.spot.map_or(0, |spot| spot.id),
            w: self.is_on_book(),
            m: self.trade.is_some_and(|trade| trade.fill.maker),
            ignored: self.trade.is_some(),
            created: time(self.order.created_at),
            value: Padded(self.order.value.0),
            last_value: Padded((last_price * last).0),
            quote_quantity: Padded(self.order.extras.quote_quantity.unwrap_or_default().0),
            working_time: self.order.working_at.map(time),
            prevention_mode: self.order.self_trade_prevention,
            conditional: self.conditional(time),
        }
    }

    fn conditional(&self, time: &dyn Fn(Timestamp) -> i64) -> Conditional {
        let delta = trailing_delta(self.order);
        let prevention = self.spot.and_then(|spot| spot.prevention);
        Conditional {
            trailing_delta: delta,
            trailing_time: delta.map(|_| self.order.spot.trailing_since.map_or(-1, time)),
            strategy_id: self.order.extras.strategy_id,
            strategy_type: self.order.extras.strategy_type,
            prevented: self.order.spot.prevented_match.map(|_| Padded(self.order.prevented.0)),
            prevention: prevention.map(|prevention| Prevented {
                last: Padded(prevention.quantity.0),
                u: prevention.trade_group,
                counter_order: prevention.counter_order,
                counter_symbol: self.order.order.symbol,
                execution: Padded(prevention.execution.0),
                price: Padded(prevention.price.0),
                value: Padded(prevention.value().0),
            }),
            expiry: self.order.spot.expiry,
        }
    }

    /// One without a limit is on the book when it comes, and never after.
    fn is_on_book(&self) -> bool {
        let order = &self.order.order;
        let rests = order.kind.limit_price().is_some() || self.execution == ExecutionType::New;
        let is_pending = order.status == OrderStatus::Persisting;
        self.order.working_at.is_some() && !order.status.is_terminal() && !is_pending && rests
    }
}

/// `r`: the reasons that have a word.
const fn reject_reason(refusal: Reject) -> &'static str {
    match refusal {
        Reject::Margin => "INSUFFICIENT_BALANCES",
        Reject::WouldTrigger => "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
        Reject::WouldTake => "WOULD_MATCH_IMMEDIATELY",
        _ => "NONE",
    }
}

const fn execution_type(execution: ExecutionType) -> &'static str {
    match execution {
        ExecutionType::New => "NEW",
        ExecutionType::Canceled => "CANCELED",
        ExecutionType::Replaced | ExecutionType::Amendment => "REPLACED",
        ExecutionType::Rejected => "REJECTED",
        ExecutionType::Trade | ExecutionType::Calculated => "TRADE",
        ExecutionType::Expired => "EXPIRED",
        ExecutionType::TradePrevention => "TRADE_PREVENTION",
    }
}
