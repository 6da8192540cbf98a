//! Matching: an order on its way through the opposite side, the trades that come of it, and what becomes of the rest.

use rust_decimal::Decimal;

use crate::domain::instrument::{Lots, Ticks};
use crate::domain::money::{Money, Price};
use crate::domain::order::{EndReason, Fill, SelfTradePrevention, Side, TimeInForce, VenueEvent};
use crate::domain::time::Timestamp;

use super::account::{BookedTrade, Slot, fee_of};
use super::orders::{Order, QUEUE_UNKNOWN, is_better};
use super::report::{AccountReason, TradeView};
use super::spot::Ending;
use super::{Exchange, ExchangeOutput};

/// Who is next on the opposite side.
pub(super) enum Counterparty {
    External { price: Ticks, quantity: i64 },
    Ours { price: Ticks, slot: u32 },
}

impl Counterparty {
    pub(super) const fn price(&self) -> Ticks {
        match self {
            Self::External { price, .. } | Self::Ours { price, .. } => *price,
        }
    }
}

/// One execution of one order.
#[derive(Clone, Copy)]
pub(super) struct Execution {
    pub price: Ticks,
    pub lots: i64,
    pub trade_id: u64,
    pub maker: bool,
}

impl Order {
    pub(super) fn execute(&mut self, now: Timestamp, execution: Execution) {
        self.filled += execution.lots;
        self.value += i128::from(execution.lots) * i128::from(execution.price.0);
        self.updated_at = now;
    }
}

impl Slot {
    /// Adds (`sign` 1) or removes (−1) an order from what the account has open.
    pub(super) fn count(&mut self, order: &Order, sign: i32) {
        let step = |count: &mut u32| *count = count.saturating_add_signed(sign);
        step(&mut self.open_orders);
        if order.reduce_only {
            step(&mut self.reducing_orders);
        }
        if order.trigger.is_some() {
            step(&mut self.waiting_orders);
        } else {
            self.expose(order, order.remaining() * i64::from(sign));
        }
    }

    /// Changes what a resting order of this kind may still cost by `lots` of it.
    fn expose(&mut self, order: &Order, lots: i64) {
        let (Some(limit), false) = (order.limit, order.reduce_only) else { return };
        let value = i128::from(lots) * i128::from(limit.0);
        match order.side {
            Side::Buy => self.open_buys += value,
            Side::Sell => self.open_sells += value,
        }
    }
}

impl Exchange {
    /// Sends a checked order to the book: it takes what it may, and the rest rests or expires.
    pub(super) fn execute(&mut self, now: Timestamp, symbol: usize, mut order: Order, out: &mut Vec<ExchangeOutput>) {
        if self.markets[symbol].unit.spot {
            return self.execute_spot(now, symbol, order, out);
        }
        let stopped = self.take(now, symbol, &mut order, out);
        let rests = order.limit.is_some() && matches!(order.time_in_force, TimeInForce::GoodTilCanceled | TimeInForce::PostOnly);
        if order.remaining() == 0 {
            self.finish(now, symbol, order, None, out);
        } else if let Some(ending) = stopped {
            self.finish(now, symbol, order, ending.reason(), out);
        } else if rests && self.can_fill(symbol, &order) > 0 {
            order.queue_ahead = self.queue_at(symbol, order.side, order.limit.unwrap_or_default());
            self.open(symbol, order);
        } else {
            self.finish(now, symbol, order, Some(EndReason::Expired), out);
        }
    }

    /// Trades with the opposite side while price, quantity and, on spot, funds allow. Says how the order ended, if it did by that.
    pub(super) fn take(&mut self, now: Timestamp, symbol: usize, taker: &mut Order, out: &mut Vec<ExchangeOutput>) -> Option<Ending> {
        let bound = taker.limit.or_else(|| self.market_bound(symbol, taker.side));
        loop {
            let next = self.counterparty(symbol, taker.side)?;
            if bound.is_some_and(|bound| is_better(taker.side.opposite(), bound, next.price())) {
                return None;
            }
            let wanted = self.wanted(symbol, taker, next.price());
            if wanted == 0 {
                return None;
            }
            match next {
                Counterparty::External { price, quantity } => {
                    let lots = wanted.min(quantity);
                    self.take_external(symbol, taker.side.opposite(), price, lots);
                    let trade_id = self.next_trade();
                    self.fill(now, symbol, taker, Execution { price, lots, trade_id, maker: false }, out);
                    self.markets[symbol].last = Some(price);
                }
                Counterparty::Ours { price, slot } => {
                    let ended = self.meet(now, symbol, taker, (price, slot), wanted, out);
                    if ended.is_some() {
                        return ended;
                    }
                }
            }
        }
    }

    /// How many lots a taker takes at a price: what it may of what it has left.
    fn wanted(&self, symbol: usize, taker: &Order, price: Ticks) -> i64 {
        if self.markets[symbol].unit.spot { self.affordable(symbol, taker, price) } else { self.can_fill(symbol, taker) }
    }

    /// One step against a resting order of ours: a trade, or self-trade prevention.
    fn meet(
        &mut self,
        now: Timestamp,
        symbol: usize,
        taker: &mut Order,
        (price, slot): (Ticks, u32),
        wanted: i64,
        out: &mut Vec<ExchangeOutput>,
    ) -> Option<Ending> {
        let maker = self.markets[symbol].orders.get(slot)?;
        if self.is_prevented(taker, maker) {
            return self.prevent(now, symbol, taker, (price, slot), out);
        }
        let can = self.can_fill(symbol, maker);
        if can == 0 {
            self.end_open(now, symbol, slot, EndReason::Expired, out);
            return None;
        }
        let lots = can.min(wanted);
        let trade_id = self.next_trade();
        self.fill_resting(now, symbol, slot, Execution { price, lots, trade_id, maker: true }, out);
        self.fill(now, symbol, taker, Execution { price, lots, trade_id, maker: false }, out);
        self.markets[symbol].last = Some(price);
        None
    }

    /// Two orders of one owner meet: the new one's mode says which of them expires.
    fn prevent(
        &mut self,
        now: Timestamp,
        symbol: usize,
        taker: &mut Order,
        met: (Ticks, u32),
        out: &mut Vec<ExchangeOutput>,
    ) -> Option<Ending> {
        if self.markets[symbol].unit.spot {
            return self.prevent_spot(now, symbol, taker, met, out);
        }
        let mode = taker.self_trade_prevention;
        if matches!(mode, SelfTradePrevention::ExpireMaker | SelfTradePrevention::ExpireBoth) {
            self.end_open(now, symbol, met.1, EndReason::SelfTradePrevented, out);
        }
        (mode != SelfTradePrevention::ExpireMaker).then_some(Ending::Prevented(None))
    }

    pub(super) fn is_prevented(&self, taker: &Order, maker: &Order) -> bool {
        taker.self_trade_prevention != SelfTradePrevention::None && self.accounts[taker.account].owner == self.accounts[maker.account].owner
    }

    /// The next to trade with an order of `side`: best price first; at one price the external queue ahead of our order, then
    /// our order, then the external quantity behind it.
    pub(super) fn counterparty(&self, symbol: usize, side: Side) -> Option<Counterparty> {
        let market = &self.markets[symbol];
        let opposite = side.opposite();
        let external = market.external.best_available(opposite);
        let ours = market.orders.best(opposite);
        let outside = |level: crate::domain::market_data::Level, quantity: i64| Counterparty::External { price: level.price, quantity };
        match (external, ours) {
            (None, None) => None,
            (Some(level), None) => Some(outside(level, level.quantity.0)),
            (None, Some((slot, price))) => Some(Counterparty::Ours { price, slot }),
            (Some(level), Some((slot, price))) if level.price == price => {
                let ahead = market.orders.get(slot).map_or(0, |order| order.queue_ahead.min(level.quantity.0));
                Some(if ahead > 0 { outside(level, ahead) } else { Counterparty::Ours { price, slot } })
            }
            (Some(level), Some((_, price))) if is_better(opposite, level.price, price) => Some(outside(level, level.quantity.0)),
            (Some(_), Some((slot, price))) => Some(Counterparty::Ours { price, slot }),
        }
    }

    /// The best price that an order of `side` could trade at.
    pub(super) fn best_opposite(&self, symbol: usize, side: Side) -> Option<Ticks> {
        self.counterparty(symbol, side).map(|next| next.price())
    }

    /// How much an order could fill at once: what fill-or-kill asks.
    pub(super) fn fillable(&self, symbol: usize, order: &Order) -> i64 {
        let market = &self.markets[symbol];
        let opposite = order.side.opposite();
        let within = |price: Ticks| order.accepts(price);
        let external: i64 = market.external.levels(opposite).take_while(|level| within(level.price)).map(|level| level.quantity.0).sum();
        let mut ours = 0;
        for n in 0.. {
            let Some((slot, price)) = market.orders.nth(opposite, n).filter(|(_, price)| within(*price)) else { break };
            let Some(maker) = market.orders.get(slot) else { break };
            if !self.is_prevented(order, maker) {
                ours += self.can_fill(symbol, maker);
            } else if order.self_trade_prevention != SelfTradePrevention::ExpireMaker {
                // The order would stop here; what stands at this price and beyond does not count.
                let before = market.external.levels(opposite).take_while(|level| is_better(opposite, level.price, price));
                return before.map(|level| level.quantity.0).sum::<i64>() + ours;
            }
        }
        (external + ours).min(self.can_fill(symbol, order))
    }

    /// Where the venue stops a market order: the PERCENT_PRICE band around the mark. Spot's goes as far as the book does.
    pub(super) fn market_bound(&self, symbol: usize, side: Side) -> Option<Ticks> {
        let market = &self.markets[symbol];
        if market.unit.spot {
            return None;
        }
        let mark = market.instrument.price(market.reference()?);
        let band = market.instrument.price_band.0;
        let (buy, sell) = (Decimal::ONE + band, Decimal::ONE - band);
        match side {
            Side::Buy => market.instrument.ticks(market.instrument.price_down(Price(mark.0 * buy))),
            Side::Sell => market.instrument.ticks(market.instrument.price_up(Price(mark.0 * sell))),
        }
    }

    /// How many lots of it may trade now: a reduce-only order no more than there is to reduce.
    pub(super) fn can_fill(&self, symbol: usize, order: &Order) -> i64 {
        if order.reduce_only { order.remaining().min(self.reducible(symbol, order)) } else { order.remaining() }
    }

    pub(super) fn reducible(&self, symbol: usize, order: &Order) -> i64 {
        self.accounts[order.account].slots.get(&symbol).map_or(0, |slot| slot.reducible(order.position_side, order.side))
    }

    pub(super) fn next_trade(&mut self) -> u64 {
        let id = self.next_trade_id;
        self.next_trade_id += 1;
        id
    }

    /// Takes external quantity; our orders at that price move up by as much.
    pub(super) fn take_external(&mut self, symbol: usize, side: Side, price: Ticks, lots: i64) {
        let market = &mut self.markets[symbol];
        market.external.consume(side, price, lots);
        market.orders.each_at(side, price, |order| advance(order, lots));
    }

    /// A resting order trades; filled whole, it leaves.
    pub(super) fn fill_resting(&mut self, now: Timestamp, symbol: usize, slot: u32, execution: Execution, out: &mut Vec<ExchangeOutput>) {
        if self.markets[symbol].unit.spot {
            return self.fill_resting_spot(now, symbol, slot, execution, out);
        }
        let Some(mut order) = self.markets[symbol].orders.get(slot).cloned() else { return };
        let leverage = self.starting_leverage(symbol);
        self.accounts[order.account].slot_mut(symbol, leverage).expose(&order, -execution.lots);
        order.execute(now, execution);
        let account = order.account;
        self.changes.order(symbol, slot, order.id);
        if let Some(stored) = self.markets[symbol].orders.get_mut(slot) {
            stored.execute(now, execution);
        }
        self.report_fill(now, symbol, &order, execution, out);
        if order.remaining() == 0
            && let Some(order) = self.withdraw(symbol, slot)
        {
            self.finish(now, symbol, order, None, out);
        }
        self.expire_useless(now, symbol, account, out);
    }

    /// An order that is not in the book trades.
    pub(super) fn fill(&mut self, now: Timestamp, symbol: usize, order: &mut Order, execution: Execution, out: &mut Vec<ExchangeOutput>) {
        order.execute(now, execution);
        if self.markets[symbol].unit.spot {
            return self.book_spot(now, symbol, order, execution, out);
        }
        self.report_fill(now, symbol, order, execution, out);
        self.expire_useless(now, symbol, order.account, out);
    }

    /// Books one side of a trade and tells its account.
    fn report_fill(&mut self, now: Timestamp, symbol: usize, order: &Order, execution: Execution, out: &mut Vec<ExchangeOutput>) {
        let market = &self.markets[symbol];
        let value = market.unit.money(i128::from(execution.lots) * i128::from(execution.price.0));
        let rate = if execution.maker { market.instrument.maker_fee } else { market.instrument.taker_fee };
        // The exchange's own orders cost a liquidation fee instead, if anything.
        let fee = if order.force.is_some() { Decimal::ZERO } else { fee_of(value, rate.0) };
        let fill = Fill {
            account: self.accounts[order.account].id,
            symbol: market.instrument.symbol,
            client_order_id: order.client_order_id,
            venue_order_id: order.id,
            trade_id: execution.trade_id,
            side: order.side,
            position_side: order.position_side,
            price: market.instrument.price(execution.price),
            quantity: market.instrument.quantity(Lots(execution.lots)),
            fee: Money(fee),
            fee_taken: None,
            maker: execution.maker,
            at: now,
        };
        let leverage = self.starting_leverage(symbol);
        let account = &mut self.accounts[order.account];
        account.slot_mut(symbol, leverage);
        let (side, position_side) = (order.side, order.position_side);
        let realized = account.book_trade(symbol, &BookedTrade { side, position_side, lots: execution.lots, value, fee, at: now });
        if account.trades.len() >= self.config.trades_kept {
            account.trades.pop_front();
        }
        let trade = TradeView { fill: fill.clone(), realized: Money(realized), list_id: order.list_id, commission: None };
        self.changes.account(order.account);
        self.changes.trade(&trade);
        self.report_trade(now, symbol, order, &trade);
        self.note_trade_income(now, order.account, symbol, &trade);
        self.report_account(now, order.account, AccountReason::Order, Some(symbol), Decimal::ZERO);
        self.accounts[order.account].trades.push_back(trade);
        out.push(ExchangeOutput { account: fill.account, event: VenueEvent::Filled(fill) });
    }

    /// Expires the account's reduce-only orders that have nothing left to reduce, and what lasts only with a position.
    fn expire_useless(&mut self, now: Timestamp, symbol: usize, account: usize, out: &mut Vec<ExchangeOutput>) {
        if !self.accounts[account].margin.algos.is_empty() {
            self.end_with_position(now, symbol, account);
        }
        let Some(slot) = self.accounts[account].slots.get(&symbol).filter(|slot| slot.reducing_orders > 0) else { return };
        let useless = |order: &Order| {
            order.account == account && order.reduce_only && slot.reducible(order.position_side, order.side) == 0 && order.remaining() > 0
        };
        let mut ends: Vec<(u64, u32)> =
            self.markets[symbol].orders.iter().filter(|(_, order)| useless(order)).map(|(slot, order)| (order.id, slot)).collect();
        ends.sort_unstable();
        for (_, slot) in ends {
            self.end_open(now, symbol, slot, EndReason::Expired, out);
        }
    }
}

/// `lots` ahead of the order traded.
pub(super) fn advance(order: &mut Order, lots: i64) {
    if order.queue_ahead != QUEUE_UNKNOWN {
        order.queue_ahead = (order.queue_ahead - lots).max(0);
    }
}
