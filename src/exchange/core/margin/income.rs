//! The income ledger: every change of a wallet with its reason, so that a wallet is its deposit and the sum of its income.
//! Bounded here, longer in the record. Kept only where somebody listens over the wire.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::super::report::{AccountReason, TradeView};
use super::super::{Exchange, Reject};
use super::UsdmReject;
use crate::domain::ids::{AccountId, Asset, Symbol};
use crate::domain::money::Money;
use crate::domain::time::Timestamp;

/// Two rows a trade for as many trades as an account can list: 10,000 rows are about 1 MB.
const INCOME_KEPT: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum IncomeKind {
    Transfer,
    RealizedPnl,
    FundingFee,
    Commission,
    /// Paid to the insurance fund by a liquidation, or by the fund for what a liquidation left owing.
    InsuranceClear,
}

/// One row of `GET /fapi/v1/income`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IncomeRow {
    pub account: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<Symbol>,
    pub kind: IncomeKind,
    pub amount: Money,
    pub asset: Asset,
    pub at: Timestamp,
    /// Ascends over everything that the exchange books.
    pub transaction_id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade_id: Option<u64>,
}

impl Exchange {
    /// The income of an account that is still remembered, oldest first.
    pub fn income(&self, account: AccountId) -> impl Iterator<Item = &IncomeRow> {
        let index = self.account_index(account).ok();
        index.into_iter().flat_map(|index| &self.accounts[index].margin.income)
    }

    /// Money from outside, or back there where `amount` is negative.
    ///
    /// # Errors
    /// When more is to leave than is free, or nothing is to move.
    pub fn transfer(&mut self, now: Timestamp, account: AccountId, asset: Asset, amount: Money) -> Result<(), Reject> {
        let index = self.account_index(account)?;
        if amount.is_zero() {
            return Err(UsdmReject::AmountNotPositive.into());
        }
        let main = asset == self.margin_asset();
        let free =
            if main { self.withdrawable(index) } else { self.accounts[index].margin.others.get(&asset).copied().unwrap_or_default() };
        if -amount.0 > free {
            return Err(UsdmReject::BalanceTooSmall.into());
        }
        let holder = &mut self.accounts[index];
        holder.margin.updated_at = now;
        if main {
            holder.wallet += amount.0;
        } else {
            *holder.margin.others.entry(asset).or_default() += amount.0;
        }
        self.changes.account(index);
        self.note_income(now, index, None, IncomeKind::Transfer, amount.0, asset, None);
        let reason = if amount.is_positive() { AccountReason::Deposit } else { AccountReason::Withdraw };
        self.report_transfer(now, index, reason, asset, amount.0);
        Ok(())
    }

    /// What a trade did to the wallet, in the venue's two rows.
    pub(in super::super) fn note_trade_income(&mut self, now: Timestamp, account: usize, symbol: usize, trade: &TradeView) {
        let (realized, fee, id) = (trade.realized.0, trade.fill.fee.0, trade.fill.trade_id);
        let asset = self.margin_asset();
        if !realized.is_zero() {
            self.note_income(now, account, Some(symbol), IncomeKind::RealizedPnl, realized, asset, Some(id));
        }
        if !fee.is_zero() {
            self.note_income(now, account, Some(symbol), IncomeKind::Commission, -fee, asset, Some(id));
        }
    }

    /// Writes one row.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn note_income(
        &mut self,
        now: Timestamp,
        account: usize,
        symbol: Option<usize>,
        kind: IncomeKind,
        amount: Decimal,
        asset: Asset,
        trade_id: Option<u64>,
    ) {
        if !self.reports.is_on() {
            return;
        }
        let transaction_id = self.next_transaction_id;
        self.next_transaction_id += 1;
        let symbol = symbol.map(|symbol| self.markets[symbol].instrument.symbol);
        let holder = &mut self.accounts[account];
        let row = IncomeRow { account: holder.id, symbol, kind, amount: Money(amount), asset, at: now, transaction_id, trade_id };
        if holder.margin.income.len() >= INCOME_KEPT {
            holder.margin.income.pop_front();
        }
        holder.margin.income.push_back(row);
        self.changes.income(&row);
    }
}
