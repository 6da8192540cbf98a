//! Funding: on the UTC grid, or by hand, longs pay shorts the rate of what they hold at the mark, or the other way round.

use std::time::Duration;

use rust_decimal::{Decimal, RoundingStrategy};

use super::super::report::AccountReason;
use super::super::{Exchange, ExchangeOutput, Reject};
use super::account::MONEY_PLACES;
use super::income::{Booking, IncomeKind};
use super::mark::FundingPoint;
use crate::domain::ids::Symbol;
use crate::domain::money::Ratio;
use crate::domain::order::PositionSide;
use crate::domain::time::Timestamp;

const HOUR: Duration = Duration::from_secs(3_600);

impl Exchange {
    /// Charges funding on a symbol now, at this rate or at the one that has come together; the grid goes on as before.
    ///
    /// # Errors
    /// When the symbol is not listed.
    pub fn charge_funding_now(
        &mut self,
        now: Timestamp,
        symbol: Symbol,
        rate: Option<Ratio>,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<(), Reject> {
        let index = self.symbol_index(symbol).ok_or(Reject::UnknownSymbol)?;
        let rate = rate.unwrap_or_else(|| self.markets[index].perpetual.funding_rate());
        self.charge_funding(now, index, rate);
        self.check_margins(now, index, out);
        Ok(())
    }

    /// The rate of the next funding of a symbol, whatever the market says; without one, the market's again.
    ///
    /// # Errors
    /// When the symbol is not listed.
    pub fn force_funding_rate(&mut self, symbol: Symbol, rate: Option<Ratio>) -> Result<(), Reject> {
        let index = self.symbol_index(symbol).ok_or(Reject::UnknownSymbol)?;
        self.markets[index].perpetual.forced_rate = rate;
        Ok(())
    }

    /// Charges funding when the grid says so. A grid point that the exchange did not live through is not made up for.
    pub(super) fn fund_on_grid(&mut self, now: Timestamp, symbol: usize) {
        let interval = HOUR * self.markets[symbol].perpetual.rules.funding_hours.max(1);
        let due = self.markets[symbol].perpetual.next_funding;
        if due.is_some_and(|due| now < due) {
            return;
        }
        let since = now.0.rem_euclid(i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX));
        self.markets[symbol].perpetual.next_funding = Some(Timestamp(now.0 - since) + interval);
        if due.is_some() {
            let rate = self.markets[symbol].perpetual.funding_rate();
            self.charge_funding(now, symbol, rate);
            let perpetual = &mut self.markets[symbol].perpetual;
            perpetual.premium = (Decimal::ZERO, 0);
            perpetual.forced_rate = None;
        }
    }

    fn charge_funding(&mut self, now: Timestamp, symbol: usize, rate: Ratio) {
        let market = &mut self.markets[symbol];
        let Some(mark) = market.reference() else { return };
        let point = FundingPoint { symbol: market.instrument.symbol, at: now, rate, mark: market.instrument.price(mark) };
        market.perpetual.remember(point);
        self.changes.funding(&point);
        let unit = self.markets[symbol].unit;
        for account in 0..self.accounts.len() {
            let Some(slot) = self.accounts[account].slots.get_mut(&symbol) else { continue };
            let (mut paid, isolated) = (Decimal::ZERO, slot.isolated);
            let mut rows = Vec::new();
            for side in [PositionSide::Both, PositionSide::Long, PositionSide::Short] {
                let leg = slot.leg_mut(side);
                if leg.lots == 0 {
                    continue;
                }
                // Rounded against the account, as fees are.
                let amount = (-unit.money(i128::from(leg.lots) * i128::from(mark.0)) * rate.0)
                    .round_dp_with_strategy(MONEY_PLACES, RoundingStrategy::ToNegativeInfinity);
                if isolated {
                    leg.isolated += amount;
                }
                paid += amount;
                rows.push(amount);
            }
            if rows.is_empty() {
                continue;
            }
            self.accounts[account].wallet += paid;
            self.accounts[account].margin.updated_at = now;
            self.changes.account(account);
            for amount in rows {
                self.note_income(now, account, Booking::of(symbol, IncomeKind::FundingFee, amount));
            }
            // Of a cross position the venue tells the balance alone.
            self.report_account(now, account, AccountReason::FundingFee, isolated.then_some(symbol), paid);
        }
    }
}
