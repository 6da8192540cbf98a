//! Spot's part of the durable record: balances, lists, and how the record of an engine that kept positions is read.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{AccountId, Asset};
use crate::exchange::core::state::{AccountRow, RestoreError};
use crate::exchange::core::{Account, Exchange, Order};

use super::lists::{OrderList, Phase};
use super::state::ListView;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceRow {
    pub asset: Asset,
    #[serde(with = "rust_decimal::serde::str")]
    pub free: Decimal,
    #[serde(with = "rust_decimal::serde::str")]
    pub locked: Decimal,
}

/// A list, living or ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListRow {
    pub account: AccountId,
    pub phase: Phase,
    pub view: ListView,
}

impl ListRow {
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }
}

impl Exchange {
    pub(in crate::exchange::core) fn balance_rows(&self, account: &Account) -> Vec<BalanceRow> {
        let rows = self.spot.assets.iter().zip(&account.spot.balances);
        let rows = rows.map(|(asset, balance)| BalanceRow { asset: *asset, free: balance.free, locked: balance.locked });
        rows.filter(|row| !(row.free.is_zero() && row.locked.is_zero())).collect()
    }

    pub(in crate::exchange::core) fn list_rows(&self) -> Vec<ListRow> {
        let closed = self.accounts.iter().flat_map(|account| {
            account.spot.closed_lists.iter().map(|view| ListRow { account: account.id, phase: Phase::Done, view: view.clone() })
        });
        let live = self.spot.lists.values().map(|list| ListRow {
            account: self.accounts[list.account].id,
            phase: list.phase,
            view: self.list_view(list, super::state::ListProgress::Started),
        });
        let mut rows: Vec<ListRow> = closed.chain(live).collect();
        rows.sort_by_key(|row| row.view.id);
        rows
    }

    /// An account's balances. A record of before spot had any says in its wallet what was deposited and earned, and in its
    /// positions what of it was spent on what.
    pub(in crate::exchange::core) fn restore_balances(&mut self, account: usize, row: &AccountRow) {
        if !self.is_spot_engine() {
            return;
        }
        self.accounts[account].wallet = Decimal::ZERO;
        self.accounts[account].spot.balances.clear();
        for balance in &row.balances {
            let asset = self.spot.asset(balance.asset);
            let place = self.accounts[account].spot.balance_mut(asset);
            (place.free, place.locked) = (balance.free, balance.locked);
        }
        self.accounts[account].spot.locks_unknown = row.balances.is_empty();
        if !row.balances.is_empty() {
            return;
        }
        let Some(settlement) = self.settlement() else { return };
        let mut left = row.wallet;
        for slot in &row.symbols {
            let Some(symbol) = self.symbol_index(slot.symbol) else { continue };
            let base = self.markets[symbol].spot.base;
            self.accounts[account].spot.balance_mut(base).free += Decimal::from(slot.net.lots) * self.markets[symbol].unit.step;
            left -= slot.net.cost;
        }
        self.accounts[account].spot.balance_mut(settlement).free += left;
    }

    /// An order that was open: its lock is in the balances already, unless the record is of before there were any.
    pub(in crate::exchange::core) fn restore_spot_order(&mut self, symbol: usize, order: Order) {
        if !self.accounts[order.account].spot.locks_unknown {
            return self.insert_spot(symbol, order);
        }
        // Stops waited without funds then: one that cannot be paid now would not be taken, and is gone.
        if self.required(symbol, &order) <= self.free(order.account, self.paid_with(symbol, order.side)) {
            self.open_spot(symbol, order);
        }
    }

    pub(in crate::exchange::core) fn restore_lists(&mut self, rows: Vec<ListRow>) -> Result<(), RestoreError> {
        for ListRow { account, phase, view } in rows {
            let index = self.account_indices.get(&account).copied().ok_or(RestoreError::UnknownAccount { account })?;
            if phase == Phase::Done {
                self.accounts[index].spot.closed_lists.push_back(view);
                continue;
            }
            let symbol = self.symbol_index(view.symbol).ok_or(RestoreError::UnknownSymbol { symbol: view.symbol })?;
            let ListView { id, client_id, contingency, legs, at, .. } = view;
            self.spot.lists.insert(id, OrderList { id, account: index, symbol, client_id, contingency, legs, phase, at });
        }
        Ok(())
    }
}
