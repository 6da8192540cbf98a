//! The events of a USD-M user stream as JSON, with every field that the venue sends. Pure: what happened, when it is told, and the
//! digits of the symbol go in; one text for each event comes out.

use std::fmt;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::ids::{Asset, ClientOrderId, Symbol};
use crate::domain::order::{PositionSide, SelfTradePrevention, Side};
use crate::domain::time::Timestamp;
use crate::exchange::core::margin::{AlgoView, PositionRisk};
use crate::exchange::core::report::{ExecutionType, OrderView, PositionChange, TradeView, UserEvent, UserReport, WalletChange};
use crate::exchange::wire::Dialect;

use super::text::{Fixed, Plain, Scales, actual_type, expiry_reason, money, percent, time_in_force, types, working_type};

/// What an event is called: clients choose by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum EventKind {
    OrderTradeUpdate,
    TradeLite,
    AccountUpdate,
    AccountConfigUpdate,
    AlgoUpdate,
    MarginCall,
}

/// One event, written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub text: String,
}

impl Event {
    /// `None` for what cannot be written as JSON, which no event is.
    fn of(kind: EventKind, value: &impl Serialize) -> Option<Self> {
        serde_json::to_string(value).ok().map(|text| Self { kind, text })
    }
}

#[derive(Serialize)]
struct Envelope<'a, B> {
    e: &'static str,
    #[serde(rename = "E")]
    told_at: i64,
    #[serde(rename = "T")]
    at: i64,
    #[serde(flatten)]
    body: &'a B,
}

/// What is known of a symbol where its events are written.
pub trait Digits {
    /// The digits of its numbers and the asset of its fees; the venue's widest where it is not known.
    fn of(&self, symbol: Symbol) -> (Scales, Asset);
}

/// Writes what a report tells, in the order in which the venue sends it. `told_at` is when.
pub fn write(report: &UserReport, told_at: Timestamp, dialect: Dialect, digits: &impl Digits) -> Vec<Event> {
    let when = Told { at: report.at.as_millis(), told_at: told_at.as_millis().max(report.at.as_millis()) };
    match &report.event {
        UserEvent::Order { execution, order, trade, .. } => {
            let (scales, asset) = digits.of(order.order.symbol);
            let mut events = Vec::with_capacity(2);
            if let (Some(trade), Dialect::Binance) = (trade, dialect) {
                events.extend(when.event_flat(EventKind::TradeLite, &TradeLite::of(order, trade, scales)));
            }
            let update = OrderUpdate { o: OrderFields::of(*execution, order, trade.as_deref(), scales, asset, when.at) };
            events.extend(when.event_flat(EventKind::OrderTradeUpdate, &update));
            events
        }
        UserEvent::Margin { reason, wallets, positions } => {
            let positions = positions.iter().map(|position| Position::of(position, digits.of(position.symbol).0)).collect();
            let a = Account { m: reason.to_string(), balances: wallets.iter().map(Balance::of).collect(), positions };
            when.event(EventKind::AccountUpdate, &AccountUpdate { a })
        }
        UserEvent::Leverage { symbol, leverage } => {
            when.event(EventKind::AccountConfigUpdate, &ConfigUpdate::Ac { s: *symbol, l: *leverage })
        }
        UserEvent::MultiAssets { on } => when.event(EventKind::AccountConfigUpdate, &ConfigUpdate::Ai { j: *on }),
        UserEvent::Algo(algo) if dialect == Dialect::Binance => {
            let o = AlgoFields::of(algo, digits.of(algo.order.order.symbol).0);
            when.event(EventKind::AlgoUpdate, &AlgoUpdate { o })
        }
        UserEvent::Algo(_) => Vec::new(),
        UserEvent::MarginCall { cross_wallet, positions } => {
            let p = positions.iter().map(|position| Called::of(position, digits.of(position.symbol).0)).collect();
            let call = MarginCall { e: EventKind::MarginCall.into(), told_at: when.told_at, cw: money(cross_wallet.0), p };
            Event::of(EventKind::MarginCall, &call).into_iter().collect()
        }
        // Spot's.
        UserEvent::Account { .. } | UserEvent::Balance { .. } | UserEvent::OrderList(_) => Vec::new(),
    }
}

/// The word that a listen key is good no more.
#[must_use]
pub fn listen_key_expired(key: &str, at: Timestamp) -> String {
    format!(r#"{{"e":"listenKeyExpired","E":{},"listenKey":"{key}"}}"#, at.as_millis())
}

#[derive(Clone, Copy)]
struct Told {
    at: i64,
    told_at: i64,
}

impl Told {
    fn event_flat(self, kind: EventKind, body: &impl Serialize) -> Option<Event> {
        let e: &'static str = kind.into();
        Event::of(kind, &Envelope { e, told_at: self.told_at, at: self.at, body })
    }

    fn event(self, kind: EventKind, body: &impl Serialize) -> Vec<Event> {
        self.event_flat(kind, body).into_iter().collect()
    }
}

#[derive(Serialize)]
struct TradeLite {
    s: Symbol,
    q: Fixed,
    p: Fixed,
    m: bool,
    c: ClientOrderId,
    #[serde(rename = "S")]
    side: Side,
    #[serde(rename = "L")]
    last_price: Fixed,
    l: Fixed,
    t: u64,
    i: u64,
}

impl TradeLite {
    fn of(order: &OrderView, trade: &TradeView, scales: Scales) -> Self {
        let (order, fill) = (&order.order, &trade.fill);
        Self {
            s: order.symbol,
            q: scales.quantity(order.quantity.0),
            p: scales.price(order.kind.limit_price().unwrap_or_default().0),
            m: fill.maker,
            c: order.client_order_id,
            side: order.side,
            last_price: scales.price(fill.price.0),
            l: scales.quantity(fill.quantity.0),
            t: fill.trade_id,
            i: order.venue_order_id,
        }
    }
}

#[derive(Serialize)]
struct OrderUpdate {
    o: OrderFields,
}

#[derive(Serialize)]
struct OrderFields {
    s: Symbol,
    c: ClientOrderId,
    #[serde(rename = "S")]
    side: Side,
    o: &'static str,
    f: &'static str,
    q: Fixed,
    p: Fixed,
    ap: Fixed,
    sp: Fixed,
    x: &'static str,
    #[serde(rename = "X")]
    status: &'static str,
    i: u64,
    l: Fixed,
    z: Fixed,
    #[serde(rename = "L")]
    last_price: Fixed,
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    fee: Option<Fixed>,
    #[serde(rename = "N", skip_serializing_if = "Option::is_none")]
    fee_asset: Option<Asset>,
    #[serde(rename = "T")]
    at: i64,
    t: u64,
    b: Plain,
    a: Plain,
    m: bool,
    #[serde(rename = "R")]
    reduce_only: bool,
    wt: &'static str,
    ot: &'static str,
    ps: PositionSide,
    cp: bool,
    #[serde(rename = "AP", skip_serializing_if = "Option::is_none")]
    activation: Option<Fixed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cr: Option<Plain>,
    #[serde(rename = "pP")]
    price_protect: bool,
    si: u8,
    ss: u8,
    rp: Fixed,
    #[serde(rename = "V")]
    prevention: SelfTradePrevention,
    pm: &'static str,
    gtd: i64,
    er: &'static str,
}

impl OrderFields {
    fn of(execution: ExecutionType, view: &OrderView, trade: Option<&TradeView>, scales: Scales, asset: Asset, at: i64) -> Self {
        let order = &view.order;
        let fill = trade.map(|trade| &trade.fill);
        let (now, sent) = types(view);
        let price = |price: Option<crate::domain::money::Price>| scales.price(price.unwrap_or_default().0);
        Self {
            s: order.symbol,
            c: order.client_order_id,
            side: order.side,
            // The exchange's own. What it only ended keeps its type.
            o: if view.force.is_some() && view.end.is_none() { "LIQUIDATION" } else { now },
            f: time_in_force(view),
            q: scales.quantity(order.quantity.0),
            p: price(order.kind.limit_price()),
            ap: scales.average(view.average_price().0),
            sp: price(order.kind.trigger()),
            x: execution_word(execution),
            status: view.status(),
            i: order.venue_order_id,
            l: scales.quantity(fill.map_or(Decimal::ZERO, |fill| fill.quantity.0)),
            z: scales.quantity(order.filled.0),
            last_price: scales.price(fill.map_or(Decimal::ZERO, |fill| fill.price.0)),
            fee: fill.map(|fill| money(fill.fee.0)),
            fee_asset: fill.map(|_| asset),
            at,
            t: fill.map_or(0, |fill| fill.trade_id),
            // What the account's open orders are worth: told by positionRisk.
            b: Plain(Decimal::ZERO),
            a: Plain(Decimal::ZERO),
            m: fill.is_some_and(|fill| fill.maker),
            reduce_only: order.reduce_only,
            wt: working_type(view.extras.trigger_by),
            ot: sent,
            ps: order.position_side,
            cp: view.extras.close_position,
            activation: view.extras.trailing.map(|trailing| price(trailing.activation)),
            cr: view.extras.trailing.map(|trailing| percent(trailing.callback)),
            price_protect: view.extras.price_protect,
            si: 0,
            ss: 0,
            rp: money(trade.map_or(Decimal::ZERO, |trade| trade.realized.0)),
            prevention: view.self_trade_prevention,
            pm: view.extras.price_match.map_or("NONE", Into::into),
            gtd: view.extras.good_till.map_or(0, |at| at.as_millis()),
            er: expiry_reason(view),
        }
    }
}

const fn execution_word(execution: ExecutionType) -> &'static str {
    match execution {
        ExecutionType::New => "NEW",
        ExecutionType::Canceled => "CANCELED",
        ExecutionType::Trade => "TRADE",
        ExecutionType::Replaced | ExecutionType::Amendment => "AMENDMENT",
        ExecutionType::Calculated => "CALCULATED",
        ExecutionType::Rejected => "REJECTED",
        // That it was self-trade prevention is in the status.
        ExecutionType::Expired | ExecutionType::TradePrevention => "EXPIRED",
    }
}

#[derive(Serialize)]
struct AccountUpdate {
    a: Account,
}

#[derive(Serialize)]
struct Account {
    m: String,
    #[serde(rename = "B")]
    balances: Vec<Balance>,
    #[serde(rename = "P")]
    positions: Vec<Position>,
}

#[derive(Serialize)]
struct Balance {
    a: Asset,
    wb: Fixed,
    cw: Fixed,
    bc: Plain,
}

impl Balance {
    fn of(wallet: &WalletChange) -> Self {
        Self { a: wallet.asset, wb: money(wallet.wallet.0), cw: money(wallet.cross_wallet.0), bc: Plain(wallet.change.0) }
    }
}

#[derive(Serialize)]
struct Position {
    s: Symbol,
    pa: Fixed,
    ep: Plain,
    bep: Plain,
    cr: Plain,
    up: Fixed,
    mt: &'static str,
    iw: Fixed,
    ps: PositionSide,
}

impl Position {
    fn of(position: &PositionChange, scales: Scales) -> Self {
        Self {
            s: position.symbol,
            pa: scales.quantity(position.quantity.0),
            ep: Plain(position.entry_price.0),
            bep: Plain(position.break_even_price.0),
            cr: Plain(position.realized.0),
            up: money(position.unrealized.0),
            mt: if position.isolated { "isolated" } else { "cross" },
            iw: money(position.isolated_wallet.0),
            ps: position.position_side,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum ConfigUpdate {
    Ac { s: Symbol, l: u8 },
    Ai { j: bool },
}

#[derive(Serialize)]
struct AlgoUpdate {
    o: AlgoFields,
}

#[derive(Serialize)]
struct AlgoFields {
    caid: ClientOrderId,
    aid: u64,
    at: &'static str,
    o: &'static str,
    s: Symbol,
    #[serde(rename = "S")]
    side: Side,
    ps: PositionSide,
    f: &'static str,
    q: Fixed,
    #[serde(rename = "X")]
    status: String,
    ai: String,
    ap: Fixed,
    aq: Fixed,
    act: &'static str,
    tp: Fixed,
    p: Fixed,
    #[serde(rename = "V")]
    prevention: SelfTradePrevention,
    wt: &'static str,
    pm: &'static str,
    cp: bool,
    #[serde(rename = "pP")]
    price_protect: bool,
    #[serde(rename = "R")]
    reduce_only: bool,
    #[serde(rename = "AP", skip_serializing_if = "Option::is_none")]
    activation: Option<Fixed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cr: Option<Plain>,
    tt: i64,
    gtd: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rm: Option<String>,
}

impl AlgoFields {
    fn of(view: &AlgoView, scales: Scales) -> Self {
        let (order, extras) = (&view.order.order, &view.order.extras);
        let trigger = order.kind.trigger().filter(|_| extras.trailing.is_none()).unwrap_or_default();
        Self {
            caid: view.client_algo_id(),
            aid: view.algo_id(),
            at: "CONDITIONAL",
            o: types(&view.order).1,
            s: order.symbol,
            side: order.side,
            ps: order.position_side,
            f: time_in_force(&view.order),
            q: scales.quantity(order.quantity.0),
            status: view.status.to_string(),
            ai: view.actual.map_or_else(String::new, |actual| actual.id.to_string()),
            ap: scales.average(view.actual.map(|actual| actual.average_price.0).unwrap_or_default()),
            aq: scales.quantity(view.actual.map(|actual| actual.filled.0).unwrap_or_default()),
            act: match actual_type(view) {
                "" => "0",
                word => word,
            },
            tp: scales.price(trigger.0),
            p: scales.price(order.kind.limit_price().unwrap_or_default().0),
            prevention: view.order.self_trade_prevention,
            wt: working_type(extras.trigger_by),
            pm: extras.price_match.map_or("NONE", Into::into),
            cp: extras.close_position,
            price_protect: extras.price_protect,
            reduce_only: order.reduce_only,
            activation: extras.trailing.map(|trailing| scales.price(trailing.activation.unwrap_or_default().0)),
            cr: extras.trailing.map(|trailing| percent(trailing.callback)),
            tt: view.triggered_at.map_or(0, |at| at.as_millis()),
            gtd: extras.good_till.map_or(0, |at| at.as_millis()),
            rm: view.reason.clone(),
        }
    }
}

/// The one event without a time of its own.
#[derive(Serialize)]
struct MarginCall {
    e: &'static str,
    #[serde(rename = "E")]
    told_at: i64,
    cw: Fixed,
    p: Vec<Called>,
}

#[derive(Serialize)]
struct Called {
    s: Symbol,
    ps: PositionSide,
    pa: Fixed,
    mt: &'static str,
    iw: Plain,
    mp: Plain,
    up: Plain,
    mm: Plain,
}

impl Called {
    fn of(position: &PositionRisk, scales: Scales) -> Self {
        Self {
            s: position.symbol,
            ps: position.position_side,
            pa: scales.quantity(position.quantity.0),
            mt: if position.isolated { "ISOLATED" } else { "CROSSED" },
            iw: Plain(position.isolated_wallet.0),
            mp: Plain(position.mark_price.0),
            up: Plain(position.unrealized.0),
            mm: Plain(position.maintenance.0),
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.into())
    }
}

#[cfg(test)]
mod tests;
