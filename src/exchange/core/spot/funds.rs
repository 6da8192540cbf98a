//! What accounts have: free and locked of each asset, what an order must lock, deposits and withdrawals. Exact; nothing is ever
//! negative, as nothing is taken that was not checked or locked before.

use std::collections::{BTreeMap, VecDeque};

use rust_decimal::Decimal;

use crate::domain::ids::{AccountId, Asset};
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::money::Money;
use crate::domain::order::Side;
use crate::domain::time::Timestamp;
use crate::exchange::core::account::amount_max;
use crate::exchange::core::orders::Order;
use crate::exchange::core::report::{AccountReason, BalanceView, UserEvent};
use crate::exchange::core::{Exchange, Reject};

use super::reject::SpotReject;
use super::state::ListView;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    pub free: Decimal,
    pub locked: Decimal,
}

impl Balance {
    #[must_use]
    pub fn total(&self) -> Decimal {
        self.free + self.locked
    }
}

/// An account's open orders on one symbol, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub orders: u32,
    pub algos: u32,
}

/// The part of an account that spot needs.
#[derive(Debug, Clone, Default)]
pub struct SpotAccount {
    /// By index of the asset.
    pub(super) balances: Vec<Balance>,
    /// By index of the symbol.
    pub(super) counts: BTreeMap<usize, Counts>,
    /// Lists that ended, newest last.
    pub(super) closed_lists: VecDeque<ListView>,
    pub(super) updated_at: Timestamp,
    /// Restored from a record of before there were locks.
    pub(super) locks_unknown: bool,
}

impl SpotAccount {
    pub(in crate::exchange::core) const fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    pub(super) fn balance(&self, asset: usize) -> Balance {
        self.balances.get(asset).copied().unwrap_or_default()
    }

    pub(super) fn balance_mut(&mut self, asset: usize) -> &mut Balance {
        if self.balances.len() <= asset {
            self.balances.resize(asset + 1, Balance::default());
        }
        &mut self.balances[asset]
    }

    pub(super) fn count(&mut self, symbol: usize, is_algo: bool, sign: i32) {
        let counts = self.counts.entry(symbol).or_default();
        counts.orders = counts.orders.saturating_add_signed(sign);
        if is_algo {
            counts.algos = counts.algos.saturating_add_signed(sign);
        }
    }
}

impl Exchange {
    /// Money comes in from outside.
    ///
    /// # Errors
    /// When the account is unknown, the engine is none of spot, or the amount is not positive or beyond all bounds.
    pub fn deposit(&mut self, now: Timestamp, account: AccountId, asset: Asset, amount: Money) -> Result<(), Reject> {
        self.move_money(now, account, asset, amount, AccountReason::Deposit)
    }

    /// Money goes out, as far as it is free.
    ///
    /// # Errors
    /// As `deposit`, and when less is free.
    pub fn withdraw_money(&mut self, now: Timestamp, account: AccountId, asset: Asset, amount: Money) -> Result<(), Reject> {
        self.move_money(now, account, asset, amount, AccountReason::Withdraw)
    }

    fn move_money(&mut self, now: Timestamp, account: AccountId, asset: Asset, amount: Money, reason: AccountReason) -> Result<(), Reject> {
        let index = self.account_index(account)?;
        if !self.is_spot_engine() {
            return Err(Reject::Spot(SpotReject::NotSpot));
        }
        if !amount.is_positive() || amount.0 > amount_max() {
            return Err(Reject::Spot(SpotReject::BadAmount));
        }
        let delta = if reason == AccountReason::Withdraw { -amount } else { amount };
        let place = self.spot.asset(asset);
        if (self.free(index, place) + delta.0).is_sign_negative() {
            return Err(Reject::Margin);
        }
        self.change_free(index, place, delta.0);
        self.reports.add(now, account, || UserEvent::Balance { asset, delta });
        self.tell_balances(now, reason);
        Ok(())
    }

    /// Moves what an account was opened with into the engine's settlement asset.
    pub(in crate::exchange::core) fn fund_spot(&mut self, account: usize) {
        if let Some(settlement) = self.settlement() {
            let deposit = std::mem::take(&mut self.accounts[account].wallet);
            self.accounts[account].spot.balance_mut(settlement).free += deposit;
        }
    }

    /// What the first symbol is paid with, by index: the currency of the in-process view.
    pub(super) fn settlement(&self) -> Option<usize> {
        self.markets.first().filter(|market| market.unit.spot).map(|market| market.spot.quote)
    }

    pub(super) fn free(&self, account: usize, asset: usize) -> Decimal {
        self.accounts[account].spot.balance(asset).free
    }

    pub(super) fn change_free(&mut self, account: usize, asset: usize, delta: Decimal) {
        self.accounts[account].spot.balance_mut(asset).free += delta;
        self.touch_balance(account, asset);
    }

    /// Locks more of an asset, or less of it where `delta` is negative.
    pub(super) fn change_locked(&mut self, account: usize, asset: usize, delta: Decimal) {
        if delta.is_zero() {
            return;
        }
        let balance = self.accounts[account].spot.balance_mut(asset);
        balance.free -= delta;
        balance.locked += delta;
        self.touch_balance(account, asset);
    }

    pub(super) fn touch_balance(&mut self, account: usize, asset: usize) {
        self.changes.account(account);
        if self.reports.is_on() {
            self.spot.touched.insert((account, asset));
        }
    }

    /// The asset that an order of this side pays with.
    pub(super) fn paid_with(&self, symbol: usize, side: Side) -> usize {
        let market = &self.markets[symbol].spot;
        match side {
            Side::Buy => market.quote,
            Side::Sell => market.base,
        }
    }

    /// What an order must lock for itself while it is open.
    pub(super) fn required(&self, symbol: usize, order: &Order) -> Decimal {
        if order.spot.parked { Decimal::ZERO } else { self.cost_of(symbol, order, order.remaining()) }
    }

    /// What `lots` of an open order have locked: at its limit, its stop price, or the last price, whichever it has first.
    pub(super) fn cost_of(&self, symbol: usize, order: &Order, lots: i64) -> Decimal {
        let market = &self.markets[symbol];
        if order.side == Side::Sell {
            return market.instrument.quantity(Lots(lots)).0;
        }
        let price = order.limit.or(order.trigger.map(|trigger| trigger.at)).or(market.reference());
        market.unit.money(i128::from(lots) * i128::from(price.unwrap_or(Ticks(0)).0))
    }

    /// One event for each account whose balances moved, with those balances whole.
    pub(super) fn tell_balances(&mut self, now: Timestamp, reason: AccountReason) {
        let touched = std::mem::take(&mut self.spot.touched);
        let mut balances = Vec::new();
        let mut touched = touched.into_iter().peekable();
        while let Some((account, asset)) = touched.next() {
            balances.push(self.balance_view(account, asset));
            if touched.peek().is_none_or(|(next, _)| *next != account) {
                self.accounts[account].spot.updated_at = now;
                let balances = std::mem::take(&mut balances);
                self.reports.add(now, self.accounts[account].id, || UserEvent::Account { reason, balances, positions: Vec::new() });
            }
        }
    }

    fn balance_view(&self, account: usize, asset: usize) -> BalanceView {
        let balance = self.accounts[account].spot.balance(asset);
        BalanceView { asset: self.spot.assets[asset], free: Money(balance.free), locked: Money(balance.locked) }
    }

    /// Every asset that an account has or that this exchange trades.
    #[must_use]
    pub fn balances(&self, account: AccountId) -> Vec<BalanceView> {
        let Ok(index) = self.account_index(account) else { return Vec::new() };
        (0..self.spot.assets.len()).map(|asset| self.balance_view(index, asset)).collect()
    }

    /// When an account's balances moved last; zero when they never did.
    #[must_use]
    pub fn balances_updated_at(&self, account: AccountId) -> Timestamp {
        self.account_index(account).map_or(Timestamp::ZERO, |index| self.accounts[index].spot.updated_at())
    }
}
