//! The income ledger: every change of a wallet with its reason, so that a wallet is its deposit and the sum of its income.
//! Bounded here, longer in the record. Kept only where somebody listens over the wire.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::super::account::amount_max;
use super::super::report::{AccountReason, TradeView};
use super::super::{Exchange, Reject};
use super::UsdmReject;
use crate::domain::ids::{AccountId, Asset, Symbol};
use crate::domain::money::Money;
use crate::domain::time::Timestamp;

/// Rows that a trade makes: so many are kept for each trade that an account can list. 10,000 rows are about 1 MB.
const ROWS_A_TRADE: usize = 2;

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

/// A change of a wallet on its way into the ledger.
#[derive(Debug, Clone, Copy)]
pub(super) struct Booking {
    pub symbol: Option<usize>,
    pub kind: IncomeKind,
    pub amount: Decimal,
    /// `None`: the margin asset.
    pub asset: Option<Asset>,
    pub trade_id: Option<u64>,
}

impl Booking {
    /// Of a symbol, in the margin asset, by no trade.
    pub const fn of(symbol: usize, kind: IncomeKind, amount: Decimal) -> Self {
        Self { symbol: Some(symbol), kind, amount, asset: None, trade_id: None }
    }
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
        if amount.0.abs() > amount_max() {
            return Err(UsdmReject::AmountTooLarge.into());
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
        let booking = Booking { symbol: None, kind: IncomeKind::Transfer, amount: amount.0, asset: Some(asset), trade_id: None };
        self.note_income(now, index, booking);
        let reason = if amount.is_positive() { AccountReason::Deposit } else { AccountReason::Withdraw };
        self.report_transfer(now, index, reason, asset, amount.0);
        Ok(())
    }

    /// What a trade did to the wallet, in the venue's two rows.
    pub(in super::super) fn note_trade_income(&mut self, now: Timestamp, account: usize, symbol: usize, trade: &TradeView) {
        let rows = [(IncomeKind::RealizedPnl, trade.realized.0), (IncomeKind::Commission, -trade.fill.fee.0)];
        for (kind, amount) in rows.into_iter().filter(|(_, amount)| !amount.is_zero()) {
            let booking = Booking { trade_id: Some(trade.fill.trade_id), ..Booking::of(symbol, kind, amount) };
            self.note_income(now, account, booking);
        }
    }

    /// Writes one row.
    pub(super) fn note_income(&mut self, now: Timestamp, account: usize, booking: Booking) {
        if !self.reports.is_on() {
            return;
        }
        let transaction_id = self.next_transaction_id;
        self.next_transaction_id += 1;
        let Booking { symbol, kind, amount, asset, trade_id } = booking;
        let symbol = symbol.map(|symbol| self.markets[symbol].instrument.symbol);
        let asset = asset.unwrap_or_else(|| self.margin_asset());
        let holder = &mut self.accounts[account];
        let row = IncomeRow { account: holder.id, symbol, kind, amount: Money(amount), asset, at: now, transaction_id, trade_id };
        if holder.margin.income.len() >= self.config.trades_kept.saturating_mul(ROWS_A_TRADE) {
            holder.margin.income.pop_front();
        }
        holder.margin.income.push_back(row);
        self.changes.income(&row);
    }
}
