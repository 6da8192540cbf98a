//! Self-trade prevention: two orders of one owner meet, and one or both get smaller or end instead of trading. The new order's
//! mode decides.

use crate::domain::instrument::{Lots, Ticks};
use crate::domain::money::Quantity;
use crate::domain::order::{OrderStatus, SelfTradePrevention};
use crate::domain::time::Timestamp;
use crate::exchange::core::orders::Order;
use crate::exchange::core::report::ExecutionType;
use crate::exchange::core::{Exchange, ExchangeOutput};

use super::PREVENTED_KEPT;
use super::events::Told;
use super::leaving::Ending;
use super::state::{PreventedMatch, Prevention};

impl Exchange {
    /// Takes from both orders what their match may not have. Says how the taker ended, if it did.
    pub(in crate::exchange::core) fn prevent_spot(
        &mut self,
        now: Timestamp,
        symbol: usize,
        taker: &mut Order,
        (price, slot): (Ticks, u32),
        out: &mut Vec<ExchangeOutput>,
    ) -> Option<Ending> {
        let maker = self.markets[symbol].orders.get(slot)?;
        let (maker_id, meant) = (maker.id, maker.remaining().min(taker.remaining()));
        let (from_taker, from_maker) = match taker.self_trade_prevention {
            SelfTradePrevention::None => return None,
            SelfTradePrevention::ExpireMaker => (None, Some(maker.remaining())),
            SelfTradePrevention::ExpireTaker => (Some(taker.remaining()), None),
            SelfTradePrevention::ExpireBoth => (Some(taker.remaining()), Some(maker.remaining())),
            SelfTradePrevention::Decrement => (Some(meant), Some(meant)),
        };
        let matched = self.note_match(now, symbol, taker, slot, price, (from_taker, from_maker));
        let quantity = |lots| self.markets[symbol].instrument.quantity(Lots(lots));
        let prevention = |counter_order, lots| Prevention {
            match_id: matched.id,
            counter_order,
            trade_group: matched.trade_group,
            quantity: quantity(lots),
            execution: quantity(meant),
            price: matched.price,
        };
        let (at_maker, at_taker) =
            (from_maker.map(|lots| (lots, prevention(taker.id, lots))), from_taker.map(|lots| (lots, prevention(maker_id, lots))));
        if let Some((lots, prevention)) = at_maker {
            self.prevent_resting(now, symbol, slot, lots, prevention, out);
        }
        let (lots, prevention) = at_taker?;
        taker.spot.prevented += lots;
        taker.spot.rare_mut().prevented_match = Some(prevention.match_id);
        if taker.remaining() == 0 {
            return Some(Ending::Prevented(Some(prevention)));
        }
        self.tell_prevention(now, symbol, taker, prevention);
        None
    }

    fn prevent_resting(
        &mut self,
        now: Timestamp,
        symbol: usize,
        slot: u32,
        lots: i64,
        prevention: Prevention,
        out: &mut Vec<ExchangeOutput>,
    ) {
        let is_rest = self.markets[symbol].orders.get(slot).is_some_and(|order| order.remaining() == lots);
        let mut released = rust_decimal::Decimal::ZERO;
        if !is_rest {
            // What is left of it goes on alone, and has its whole lock then.
            self.begin_leg(now, symbol, slot, out);
            released = self.markets[symbol].orders.get(slot).map_or(released, |order| self.cost_of(symbol, order, lots));
        }
        let Some(stored) = self.markets[symbol].orders.get_mut(slot) else { return };
        stored.spot.held -= released;
        stored.spot.prevented += lots;
        stored.spot.rare_mut().prevented_match = Some(prevention.match_id);
        stored.updated_at = now;
        let order = stored.clone();
        if is_rest {
            return self.end_spot(now, symbol, slot, Ending::Prevented(Some(prevention)), out);
        }
        let asset = self.paid_with(symbol, order.side);
        self.changes.order(symbol, slot, order.id);
        self.change_locked(order.account, asset, -released);
        self.tell_prevention(now, symbol, &order, prevention);
    }

    fn tell_prevention(&mut self, now: Timestamp, symbol: usize, order: &Order, prevention: Prevention) {
        if self.reports.is_on() {
            let view = self.view(symbol, order, OrderStatus::Working);
            let told = Told { prevention: Some(prevention), ..Told::of(ExecutionType::TradePrevention) };
            self.tell_order(now, self.accounts[order.account].id, view, told);
        }
    }

    fn note_match(
        &mut self,
        now: Timestamp,
        symbol: usize,
        taker: &Order,
        slot: u32,
        price: Ticks,
        (from_taker, from_maker): (Option<i64>, Option<i64>),
    ) -> PreventedMatch {
        let id = self.spot.counters.next_match_id;
        self.spot.counters.next_match_id += 1;
        let market = &self.markets[symbol];
        let quantity = |lots: i64| -> Quantity { market.instrument.quantity(Lots(lots)) };
        let maker = market.orders.get(slot).map_or((taker.account, taker.id), |maker| (maker.account, maker.id));
        let matched = PreventedMatch {
            id,
            symbol: market.instrument.symbol,
            taker: self.accounts[taker.account].id,
            taker_order: taker.id,
            maker: self.accounts[maker.0].id,
            maker_order: maker.1,
            trade_group: i64::from(self.accounts[taker.account].owner),
            mode: taker.self_trade_prevention,
            price: market.instrument.price(price),
            taker_prevented: from_taker.map(quantity),
            maker_prevented: from_maker.map(quantity),
            at: now,
        };
        if self.spot.prevented.len() >= PREVENTED_KEPT {
            self.spot.prevented.pop_front();
        }
        self.spot.prevented.push_back(matched.clone());
        matched
    }
}
