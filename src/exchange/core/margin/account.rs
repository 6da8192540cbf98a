//! The perpetual side of an account: what it has beyond wallet, positions and orders, and how much margin everything holds.
//! Isolated margin is a part of the wallet that one position may lose; the rest of the wallet is cross margin.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::super::account::{Account, BookedTrade, Leg, Slot, share};
use super::super::{Exchange, Market};
use super::algo::AlgoView;
use super::income::IncomeRow;
use super::modify::OrderAmendment;
use super::settings::MarginAdjustment;
use crate::domain::ids::{Asset, ClientOrderId, Symbol};
use crate::domain::money::Money;
use crate::domain::time::Timestamp;

/// Balances have eight places.
pub(super) const MONEY_PLACES: u32 = 8;

/// What an account has on a perpetual exchange beside its wallet.
#[derive(Debug, Clone, Default)]
pub struct MarginState {
    /// Every asset counts as margin. The exchange has one margin asset, so that the flag changes no number.
    pub multi_assets: bool,
    /// Deposits in other assets than the margin asset: shown, and no margin.
    pub others: BTreeMap<Asset, Decimal>,
    /// When the wallet last changed.
    pub updated_at: Timestamp,
    /// What the account was warned of and has not recovered from: cross margin (`None`), or an isolated symbol.
    pub warned: BTreeSet<Option<usize>>,
    /// When all orders on a symbol are cancelled, unless the account says something before.
    pub countdowns: BTreeMap<Symbol, Timestamp>,
    /// Newest last.
    pub amendments: VecDeque<OrderAmendment>,
    /// Algo orders that wait, by client algo id: index of the symbol, slot.
    pub algos: BTreeMap<ClientOrderId, (usize, u32)>,
    /// Algo orders that went off or ended, newest last.
    pub ended_algos: VecDeque<AlgoView>,
    /// Newest last.
    pub income: VecDeque<IncomeRow>,
    /// By hand: `POST /fapi/v1/positionMargin`, newest last.
    pub adjustments: VecDeque<MarginAdjustment>,
}

/// The same for the durable record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MarginRow {
    pub multi_assets: bool,
    pub others: BTreeMap<Asset, Money>,
    pub updated_at: Timestamp,
    pub adjustments: Vec<MarginAdjustment>,
    pub countdowns: BTreeMap<Symbol, Timestamp>,
}

impl MarginRow {
    /// Whether there is nothing to write down.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl MarginState {
    pub(in super::super) fn row(&self) -> MarginRow {
        MarginRow {
            multi_assets: self.multi_assets,
            others: self.others.iter().map(|(asset, amount)| (*asset, Money(*amount))).collect(),
            updated_at: self.updated_at,
            adjustments: self.adjustments.iter().copied().collect(),
            countdowns: self.countdowns.clone(),
        }
    }

    pub(in super::super) fn restore(&mut self, row: &MarginRow) {
        self.multi_assets = row.multi_assets;
        self.others = row.others.iter().map(|(asset, amount)| (*asset, amount.0)).collect();
        self.updated_at = row.updated_at;
        self.adjustments = row.adjustments.iter().copied().collect();
        self.countdowns.clone_from(&row.countdowns);
    }
}

impl Leg {
    /// Notes what a trade made of the position `before`.
    pub(in super::super) fn note_trade(&mut self, before: &Self, realized: Decimal, trade: &BookedTrade) {
        // A position that is new, or turned, begins its own account.
        let fresh = before.lots == 0 || (before.lots > 0) != (self.lots > 0) && self.lots != 0;
        if fresh {
            (self.realized, self.paid) = (Decimal::ZERO, Decimal::ZERO);
        }
        self.realized += realized;
        self.paid += trade.fee;
        self.updated_at = trade.at;
    }

    /// Isolated margin follows the position: closed lots give theirs back, opened ones take what the leverage asks for.
    pub(in super::super) fn move_isolated(&mut self, before: &Self, lots: i64, leverage: u8) {
        let closes = before.lots != 0 && (before.lots > 0) != (lots > 0);
        if closes {
            let closed = lots.abs().min(before.lots.abs());
            self.isolated -= share(self.isolated, closed, before.lots.abs());
        }
        let opened_cost = match (closes, self.lots == 0 || (self.lots > 0) == (before.lots > 0)) {
            (false, _) => self.cost - before.cost,
            (true, true) => Decimal::ZERO,
            (true, false) => self.cost,
        };
        self.isolated +=
            (opened_cost.abs() / Decimal::from(leverage.max(1))).round_dp_with_strategy(MONEY_PLACES, RoundingStrategy::ToPositiveInfinity);
    }
}

/// What one side of an account's margin comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MarginSum {
    pub unrealized: Decimal,
    pub position_initial: Decimal,
    pub open_order_initial: Decimal,
    pub maintenance: Decimal,
}

impl std::ops::AddAssign for MarginSum {
    fn add_assign(&mut self, rhs: Self) {
        self.unrealized += rhs.unrealized;
        self.position_initial += rhs.position_initial;
        self.open_order_initial += rhs.open_order_initial;
        self.maintenance += rhs.maintenance;
    }
}

impl Account {
    /// The part of the wallet that stands behind all cross positions.
    #[must_use]
    pub fn cross_wallet(&self) -> Decimal {
        self.wallet - self.slots.values().map(Slot::isolated_wallet).sum::<Decimal>()
    }
}

impl Slot {
    /// Wallet set apart for the isolated positions here.
    #[must_use]
    pub fn isolated_wallet(&self) -> Decimal {
        self.net.isolated + self.long.isolated + self.short.isolated
    }
}

impl Exchange {
    /// The margin of an account's business on one symbol at the mark; nothing while there is no price.
    pub(in super::super) fn margin_of(&self, market: &Market, slot: &Slot) -> MarginSum {
        let Some(mark) = market.reference() else { return MarginSum::default() };
        let value = |lots: i64| market.unit.money(i128::from(lots) * i128::from(mark.0)).abs();
        let notional: Decimal = slot.legs().map(|(_, leg)| value(leg.lots)).sum();
        let position_initial = notional / Decimal::from(slot.leverage.max(1));
        MarginSum {
            unrealized: slot.unrealized(&market.unit, mark),
            position_initial,
            open_order_initial: slot.margin(&market.unit, mark, 0, 0) - position_initial,
            maintenance: slot.legs().map(|(_, leg)| market.perpetual.rules.maintenance(value(leg.lots))).sum(),
        }
    }

    /// Whether an algo order waits, on one symbol or on any.
    pub(super) fn has_algos(&self, account: usize, symbol: Option<usize>) -> bool {
        self.accounts[account].margin.algos.values().any(|(index, _)| symbol.is_none_or(|symbol| symbol == *index))
    }

    /// All cross positions of an account together.
    pub(in super::super) fn cross_margin(&self, account: &Account) -> MarginSum {
        let mut sum = MarginSum::default();
        for (index, slot) in account.slots.iter().filter(|(_, slot)| !slot.isolated && !slot.is_idle()) {
            sum += self.margin_of(&self.markets[*index], slot);
        }
        sum
    }
}
