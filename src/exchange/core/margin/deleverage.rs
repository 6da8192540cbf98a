//! Auto-deleveraging: who stands where in its queue, and what happens to whose turn it is.

use rust_decimal::Decimal;

use super::super::account::Account;
use super::super::matching::Execution;
use super::super::orders::{Force, Order};
use super::super::{Exchange, ExchangeOutput, Reject};
use super::UsdmReject;
use super::liquidation::Holding;
use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::Ticks;
use crate::domain::money::Quantity;
use crate::domain::order::{PositionSide, Side};
use crate::domain::time::Timestamp;

/// The queue is shown in fifths.
const QUANTILES: usize = 5;

impl Exchange {
    /// How soon a position would be deleveraged: 0 (last) to 4 (first).
    pub(super) fn adl_quantile(&self, account: AccountId, symbol: usize, side: PositionSide) -> u8 {
        let Some(long) = self.leg_is_long(account, symbol, side) else { return 0 };
        let queue = self.adl_queue(symbol, long);
        let Some(place) = queue.iter().position(|(holder, held)| self.accounts[*holder].id == account && *held == side) else { return 0 };
        ((queue.len() - place - 1) * QUANTILES / queue.len()) as u8
    }

    /// Auto-deleverages a position, or so much of it, at the mark.
    ///
    /// # Errors
    /// When there is no such position.
    pub fn deleverage(
        &mut self,
        now: Timestamp,
        account: AccountId,
        symbol: Symbol,
        side: PositionSide,
        quantity: Option<Quantity>,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<(), Reject> {
        let (account, symbol) = (self.account_index(account)?, self.symbol_index(symbol).ok_or(Reject::UnknownSymbol)?);
        let holding = Holding { account, symbol, side };
        let mark = self.markets[symbol].reference().ok_or(Reject::NoMarket)?;
        let held = self.lots_of(holding).abs();
        let lots = match quantity {
            Some(quantity) => self.markets[symbol].instrument.lots(quantity).ok_or(Reject::QuantityOffGrid)?.0.min(held),
            None => held,
        };
        if lots <= 0 {
            return Err(UsdmReject::MarginWithoutPosition.into());
        }
        let trade_id = self.next_trade();
        self.deleverage_holding(now, holding, Execution { price: mark, lots, trade_id, maker: false }, out);
        Ok(())
    }

    /// Closes what is left of a liquidated position with those who stand first in the queue of the other side. Where nobody here
    /// does, it was somebody of the wide world.
    pub(super) fn close_with_holders(
        &mut self,
        now: Timestamp,
        holding: Holding,
        order: &mut Order,
        price: Ticks,
        out: &mut Vec<ExchangeOutput>,
    ) {
        let symbol = holding.symbol;
        for (account, side) in self.adl_queue(symbol, order.side == Side::Buy) {
            let opposite = Holding { account, symbol, side };
            let lots = order.remaining().min(self.lots_of(opposite).abs());
            if lots <= 0 || account == holding.account {
                continue;
            }
            let execution = Execution { price, lots, trade_id: self.next_trade(), maker: false };
            self.deleverage_holding(now, opposite, execution, out);
            self.fill(now, symbol, order, execution, out);
        }
        if order.remaining() > 0 {
            let execution = Execution { price, lots: order.remaining(), trade_id: self.next_trade(), maker: false };
            self.fill(now, symbol, order, execution, out);
        }
    }

    fn deleverage_holding(&mut self, now: Timestamp, holding: Holding, execution: Execution, out: &mut Vec<ExchangeOutput>) {
        // Invariant: within the name's length and characters.
        let name = ClientOrderId::new("adl_autoclose").expect("a short name");
        let mut order = self.force_order(now, holding, execution.price, Force::Deleverage, name);
        order.quantity = execution.lots;
        self.report_forced(now, &order, holding.symbol);
        self.fill(now, holding.symbol, &mut order, execution, out);
        self.finish(now, holding.symbol, order, None, out);
    }

    fn leg_is_long(&self, account: AccountId, symbol: usize, side: PositionSide) -> Option<bool> {
        let holder = &self.accounts[self.account_index(account).ok()?];
        let lots = holder.slots.get(&symbol)?.leg(side).lots;
        (lots != 0).then_some(lots > 0)
    }

    /// Positions of one direction, the most profitable for its margin first: account, side.
    pub(super) fn adl_queue(&self, symbol: usize, long: bool) -> Vec<(usize, PositionSide)> {
        let mut queue: Vec<(Decimal, usize, PositionSide)> = Vec::new();
        for (index, account) in self.accounts.iter().enumerate() {
            for side in [PositionSide::Both, PositionSide::Long, PositionSide::Short] {
                if let Some(score) = self.adl_score(account, symbol, side, long) {
                    queue.push((score, index, side));
                }
            }
        }
        // Of equals the older account first: the queue is the same for the same inputs.
        queue.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        queue.into_iter().map(|(_, index, side)| (index, side)).collect()
    }

    /// The venue's ranking: profit over cost, times leverage where it is a profit, over leverage where it is a loss.
    fn adl_score(&self, account: &Account, symbol: usize, side: PositionSide, long: bool) -> Option<Decimal> {
        let slot = account.slots.get(&symbol)?;
        let leg = slot.leg(side);
        if leg.lots == 0 || (leg.lots > 0) != long {
            return None;
        }
        let market = &self.markets[symbol];
        let value = market.unit.money(i128::from(leg.lots) * i128::from(market.reference()?.0));
        let profit = (value - leg.cost).checked_div(leg.cost.abs())?;
        let leverage = Decimal::from(slot.leverage.max(1));
        Some(if profit > Decimal::ZERO { profit * leverage } else { profit / leverage })
    }
}
