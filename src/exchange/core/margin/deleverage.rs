//! Auto-deleveraging: who stands where in its queue, and what happens to whose turn it is.

use rust_decimal::Decimal;

use super::super::Exchange;
use super::super::account::Account;
use crate::domain::ids::AccountId;
use crate::domain::order::PositionSide;

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
