//! What a spot order does before and after its way through the opposite side, which is `core`'s: what it can pay for, how its
//! trades are booked, and what becomes of the rest.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::domain::instrument::{Lots, Ticks};
use crate::domain::money::{Money, Quantity};
use crate::domain::order::{FeeTaken, Fill, OrderStatus, Side, TimeInForce, VenueEvent};
use crate::domain::time::Timestamp;
use crate::exchange::core::account::fee_of;
use crate::exchange::core::matching::Execution;
use crate::exchange::core::orders::Order;
use crate::exchange::core::report::{Commission, ExecutionType, TradeView};
use crate::exchange::core::{Exchange, ExchangeOutput};

use super::admission::expiry_of;
use super::events::Told;
use super::leaving::Ending;

impl Exchange {
    /// Sends a checked order to the book: it takes what it may, and the rest rests or expires.
    pub(in crate::exchange::core) fn execute_spot(
        &mut self,
        now: Timestamp,
        symbol: usize,
        mut order: Order,
        out: &mut Vec<ExchangeOutput>,
    ) {
        order.spot.working_at = Some(order.spot.working_at.unwrap_or(now));
        let stopped = self.take(now, symbol, &mut order, out);
        let rests = order.limit.is_some() && matches!(order.time_in_force, TimeInForce::GoodTilCanceled | TimeInForce::PostOnly);
        if let Some(ending) = stopped {
            self.finish_spot(now, symbol, order, ending, out);
        } else if order.remaining() == 0 {
            self.finish_spot(now, symbol, order, Ending::Filled, out);
        } else if rests {
            order.queue_ahead = self.queue_at(symbol, order.side, order.limit.unwrap_or_default());
            self.open_spot(symbol, order);
        } else {
            let expiry = expiry_of(&order);
            self.finish_spot(now, symbol, order, Ending::Expired(expiry), out);
        }
    }

    /// Lots that a taker can pay for at a price. Only a market purchase goes by more than it was checked for: own orders that
    /// it expired on its way may have left it with dearer ones.
    pub(in crate::exchange::core) fn affordable(&self, symbol: usize, taker: &Order, price: Ticks) -> i64 {
        if taker.limit.is_some() || taker.side == Side::Sell {
            return taker.remaining();
        }
        let free = self.free(taker.account, self.paid_with(symbol, taker.side));
        let each = self.markets[symbol].unit.money(i128::from(price.0));
        let lots = free.checked_div(each).and_then(|lots| lots.floor().to_i64()).unwrap_or(i64::MAX);
        taker.remaining().min(lots.max(0))
    }

    /// A resting order trades; filled whole, it leaves. The other leg of its pair leaves first.
    pub(in crate::exchange::core) fn fill_resting_spot(
        &mut self,
        now: Timestamp,
        symbol: usize,
        slot: u32,
        execution: Execution,
        out: &mut Vec<ExchangeOutput>,
    ) {
        self.begin_leg(now, symbol, slot, out);
        let Some(order) = self.markets[symbol].orders.get(slot) else { return };
        let (account, asset) = (order.account, self.paid_with(symbol, order.side));
        let released = self.cost_of(symbol, order, execution.lots);
        let Some(stored) = self.markets[symbol].orders.get_mut(slot) else { return };
        stored.spot.held -= released;
        stored.execute(now, execution);
        let order = stored.clone();
        self.changes.order(symbol, slot, order.id);
        self.change_locked(account, asset, -released);
        self.book_spot(now, symbol, &order, execution, out);
        if order.remaining() == 0 {
            self.end_spot(now, symbol, slot, Ending::Filled, out);
        }
    }

    /// Books one side of a trade and tells its account.
    pub(in crate::exchange::core) fn book_spot(
        &mut self,
        now: Timestamp,
        symbol: usize,
        order: &Order,
        execution: Execution,
        out: &mut Vec<ExchangeOutput>,
    ) {
        let trade = self.spot_trade(now, symbol, order, execution);
        let (base, quote) = (self.markets[symbol].spot.base, self.markets[symbol].spot.quote);
        let value = (trade.fill.price * trade.fill.quantity).0;
        let fee = trade.commission.map_or(Decimal::ZERO, |commission| commission.amount.0);
        let (received, paid) = match order.side {
            Side::Buy => ((base, trade.fill.quantity.0 - fee), (quote, value)),
            Side::Sell => ((quote, value - fee), (base, trade.fill.quantity.0)),
        };
        self.change_free(order.account, received.0, received.1);
        self.change_free(order.account, paid.0, -paid.1);
        self.changes.trade(&trade);
        if self.reports.is_on() {
            let status = if order.remaining() == 0 { OrderStatus::Filled } else { OrderStatus::Working };
            let view = self.view(symbol, order, status);
            self.tell_order(now, trade.fill.account, view, Told { trade: Some(trade.clone()), ..Told::of(ExecutionType::Trade) });
        }
        let account = trade.fill.account;
        out.push(ExchangeOutput { account, event: VenueEvent::Filled(trade.fill.clone()) });
        let trades = &mut self.accounts[order.account].trades;
        if trades.len() >= self.config.trades_kept {
            trades.pop_front();
        }
        trades.push_back(trade);
    }

    /// The fee comes out of what is received: of a purchase the base, of a sale the quote.
    fn spot_trade(&self, now: Timestamp, symbol: usize, order: &Order, execution: Execution) -> TradeView {
        let market = &self.markets[symbol];
        let rate = if execution.maker { market.instrument.maker_fee } else { market.instrument.taker_fee };
        let (price, quantity) = (market.instrument.price(execution.price), market.instrument.quantity(Lots(execution.lots)));
        let (asset, amount) = match order.side {
            Side::Buy => (market.spot.base, fee_of(quantity.0, rate.0)),
            Side::Sell => (market.spot.quote, fee_of((price * quantity).0, rate.0)),
        };
        let (fee, fee_taken) = match order.side {
            Side::Buy => (price * Quantity(amount), Some(FeeTaken::FromPosition { quantity: Quantity(amount) })),
            Side::Sell => (Money(amount), None),
        };
        let fill = Fill {
            account: self.accounts[order.account].id,
            symbol: market.instrument.symbol,
            client_order_id: order.client_order_id,
            venue_order_id: order.id,
            trade_id: execution.trade_id,
            side: order.side,
            position_side: order.position_side,
            price,
            quantity,
            fee,
            fee_taken,
            maker: execution.maker,
            at: now,
        };
        let commission = Some(Commission { asset: self.spot.assets[asset], amount: Money(amount) });
        TradeView { fill, realized: Money::ZERO, list_id: order.list_id, commission }
    }
}
