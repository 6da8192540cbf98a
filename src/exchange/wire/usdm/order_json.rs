//! Orders as USD-M shows them: in the answer to a request, in a list, in the history of liquidations. Pure functions of what the
//! engine shows.

use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::ids::{ClientOrderId, Symbol};
use crate::domain::money::Price;
use crate::domain::order::{PositionSide, SelfTradePrevention, Side};
use crate::exchange::core::report::{OrderView, TradeView};

use super::text::{Fixed, Plain, Scales, money, percent, time_in_force, types, working_type};

/// What an answer shows of the order's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// That it was taken (`ACK`): as it came in, whatever has traded since.
    Acceptance,
    /// Where it stands.
    Standing,
}

/// An order in an answer to `/order`, `/openOrders`, `/allOrders` and their like.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderJson {
    order_id: u64,
    symbol: Symbol,
    #[serde(skip_serializing_if = "Option::is_none")]
    pair: Option<Symbol>,
    status: &'static str,
    client_order_id: ClientOrderId,
    price: Fixed,
    avg_price: Fixed,
    orig_qty: Fixed,
    executed_qty: Fixed,
    /// Of answers to what changes an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    cum_qty: Option<Fixed>,
    cum_quote: Fixed,
    time_in_force: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    reduce_only: bool,
    close_position: bool,
    side: Side,
    position_side: PositionSide,
    stop_price: Fixed,
    working_type: &'static str,
    price_protect: bool,
    orig_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    activate_price: Option<Fixed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    price_rate: Option<Plain>,
    price_match: &'static str,
    self_trade_prevention_mode: SelfTradePrevention,
    good_till_date: i64,
    /// Of answers to questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    update_time: i64,
}

impl OrderJson {
    /// The answer to a request that made, changed or ended the order.
    #[must_use]
    pub fn changed(view: &OrderView, scales: Scales, shows: Shows) -> Self {
        let mut order = Self::of(view, scales);
        if shows == Shows::Acceptance {
            order.status = "NEW";
            order.executed_qty = scales.quantity(Decimal::ZERO);
            order.avg_price = scales.average(Decimal::ZERO);
            order.cum_quote = scales.worth(Decimal::ZERO);
            order.update_time = view.created_at.as_millis();
        }
        Self { cum_qty: Some(order.executed_qty), ..order }
    }

    /// The answer to an amendment.
    #[must_use]
    pub fn modified(view: &OrderView, scales: Scales) -> Self {
        Self { pair: Some(view.order.symbol), ..Self::changed(view, scales, Shows::Standing) }
    }

    /// The answer to a question.
    #[must_use]
    pub fn asked(view: &OrderView, scales: Scales) -> Self {
        Self { time: Some(view.created_at.as_millis()), ..Self::of(view, scales) }
    }

    fn of(view: &OrderView, scales: Scales) -> Self {
        let order = &view.order;
        let (kind, orig_type) = types(view);
        let price = |price: Option<Price>| scales.price(price.unwrap_or_default().0);
        Self {
            order_id: order.venue_order_id,
            symbol: order.symbol,
            pair: None,
            status: view.status(),
            client_order_id: order.client_order_id,
            price: price(order.kind.limit_price()),
            avg_price: scales.average(view.average_price().0),
            orig_qty: scales.quantity(order.quantity.0),
            executed_qty: scales.quantity(order.filled.0),
            cum_qty: None,
            cum_quote: scales.worth(view.value.0),
            time_in_force: time_in_force(view),
            kind,
            reduce_only: order.reduce_only,
            close_position: view.extras.close_position,
            side: order.side,
            position_side: order.position_side,
            stop_price: price(order.kind.trigger()),
            working_type: working_type(view.extras.trigger_by),
            price_protect: view.extras.price_protect,
            orig_type,
            activate_price: view.extras.trailing.map(|trailing| price(trailing.activation)),
            price_rate: view.extras.trailing.map(|trailing| percent(trailing.callback)),
            price_match: view.extras.price_match.map_or("NONE", Into::into),
            self_trade_prevention_mode: view.self_trade_prevention,
            good_till_date: view.extras.good_till.map_or(0, |at| at.as_millis()),
            time: None,
            update_time: order.updated_at.as_millis(),
        }
    }
}

/// One row of `/userTrades`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TradeJson<'a> {
    symbol: Symbol,
    id: u64,
    order_id: u64,
    side: Side,
    price: Fixed,
    qty: Fixed,
    realized_pnl: Fixed,
    quote_qty: Fixed,
    commission: Fixed,
    commission_asset: &'a str,
    time: i64,
    position_side: PositionSide,
    buyer: bool,
    maker: bool,
}

impl<'a> TradeJson<'a> {
    #[must_use]
    pub fn of(trade: &TradeView, scales: Scales, quote: &'a str) -> Self {
        let fill = &trade.fill;
        Self {
            symbol: fill.symbol,
            id: fill.trade_id,
            order_id: fill.venue_order_id,
            side: fill.side,
            price: scales.price(fill.price.0),
            qty: scales.quantity(fill.quantity.0),
            realized_pnl: money(trade.realized.0),
            quote_qty: scales.worth((fill.price * fill.quantity).0),
            commission: money(fill.fee.0),
            commission_asset: quote,
            time: fill.at.as_millis(),
            position_side: fill.position_side,
            buyer: fill.side == Side::Buy,
            maker: fill.maker,
        }
    }
}
