//! What an account may set: leverage, margin type, position mode, multi-assets mode, and the margin of an isolated position.
//! Each says the venue's no where the venue does.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::super::account::Slot;
use super::super::report::{AccountReason, UserEvent};
use super::super::{Exchange, Reject};
use super::UsdmReject;
use crate::domain::ids::{AccountId, Symbol};
use crate::domain::money::Money;
use crate::domain::order::PositionSide;
use crate::domain::time::Timestamp;

/// Changes of isolated margin that an account can still list. They are a part of its row in the record, which is written with
/// each trade: so they are few.
const ADJUSTMENTS_KEPT: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[strum(serialize_all = "UPPERCASE")]
pub enum MarginType {
    Crossed,
    Isolated,
}

/// One change of an isolated position's margin by hand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MarginAdjustment {
    pub symbol: Symbol,
    pub position_side: PositionSide,
    /// Negative: taken out.
    pub amount: Money,
    pub at: Timestamp,
}

impl Exchange {
    /// Sets an account's leverage on a symbol; the most that it carries then.
    ///
    /// # Errors
    /// The venue's no: an unknown symbol, a leverage that the symbol does not have, too large a position, too little margin.
    pub fn change_leverage(&mut self, now: Timestamp, account: AccountId, symbol: Symbol, leverage: u8) -> Result<Money, Reject> {
        let holder = self.account_index(account)?;
        let index = self.symbol_index(symbol).ok_or(Reject::UnknownSymbol)?;
        if leverage == 0 || leverage > self.markets[index].instrument.max_leverage {
            return Err(UsdmReject::InvalidLeverage.into());
        }
        let carries = self.markets[index].perpetual.rules.notional_max(leverage);
        let starting = self.starting_leverage(index);
        let slot = self.accounts[holder].slot_mut(index, starting).clone();
        if leverage < slot.leverage && slot.isolated && slot.legs().next().is_some() {
            return Err(UsdmReject::IsolatedLeverageReduction.into());
        }
        if self.exposure(index, &slot) > carries.0 {
            return Err(UsdmReject::MaxNotional.into());
        }
        let free_before = self.available(holder);
        self.accounts[holder].slot_mut(index, starting).leverage = leverage;
        if leverage < slot.leverage && self.available(holder) < Decimal::ZERO && free_before >= Decimal::ZERO {
            self.accounts[holder].slot_mut(index, starting).leverage = slot.leverage;
            return Err(UsdmReject::LeverageTooLow.into());
        }
        self.changes.account(holder);
        self.reports.add(now, account, || UserEvent::Leverage { symbol, leverage });
        Ok(carries)
    }

    /// Cross or isolated margin for an account's business on a symbol.
    ///
    /// # Errors
    /// The venue's no: it is so already, or orders or a position stand.
    pub fn change_margin_type(&mut self, now: Timestamp, account: AccountId, symbol: Symbol, to: MarginType) -> Result<(), Reject> {
        let holder = self.account_index(account)?;
        let index = self.symbol_index(symbol).ok_or(Reject::UnknownSymbol)?;
        let starting = self.starting_leverage(index);
        let multi_assets = self.accounts[holder].margin.multi_assets;
        let waiting = self.has_algos(holder, Some(index));
        let slot = self.accounts[holder].slot_mut(index, starting);
        let isolated = to == MarginType::Isolated;
        if slot.isolated == isolated {
            return Err(UsdmReject::SameMarginType.into());
        }
        if isolated && multi_assets {
            return Err(UsdmReject::IsolatedWithMultiAssets.into());
        }
        if slot.open_orders > 0 || waiting {
            return Err(UsdmReject::MarginTypeWithOrders.into());
        }
        if slot.legs().next().is_some() {
            return Err(UsdmReject::MarginTypeWithPosition.into());
        }
        slot.isolated = isolated;
        self.changes.account(holder);
        self.report_account(now, holder, AccountReason::MarginTypeChange, Some(index), Decimal::ZERO);
        Ok(())
    }

    /// Whether the account holds long and short apart.
    #[must_use]
    pub fn is_hedged(&self, account: AccountId) -> Option<bool> {
        self.account_index(account).ok().map(|index| self.accounts[index].hedge)
    }

    /// Hedge mode on or off, for the whole account.
    ///
    /// # Errors
    /// The venue's no: it is so already, or an order or a position stands anywhere.
    pub fn change_position_mode(&mut self, account: AccountId, hedge: bool) -> Result<(), Reject> {
        let index = self.account_index(account)?;
        let waiting = self.has_algos(index, None);
        let holder = &mut self.accounts[index];
        if holder.hedge == hedge {
            return Err(UsdmReject::SamePositionMode.into());
        }
        if !holder.open.is_empty() || waiting {
            return Err(UsdmReject::PositionModeWithOrders.into());
        }
        if holder.slots.values().any(|slot| slot.legs().next().is_some()) {
            return Err(UsdmReject::PositionModeWithPosition.into());
        }
        holder.hedge = hedge;
        holder.slots.values_mut().for_each(|slot| slot.hedge = hedge);
        self.changes.account(index);
        Ok(())
    }

    #[must_use]
    pub fn has_multi_assets(&self, account: AccountId) -> Option<bool> {
        self.account_index(account).ok().map(|index| self.accounts[index].margin.multi_assets)
    }

    /// Multi-assets mode on or off.
    ///
    /// # Errors
    /// The venue's no: it is so already, orders stand, or a symbol is isolated.
    pub fn change_multi_assets(&mut self, now: Timestamp, account: AccountId, on: bool) -> Result<(), Reject> {
        let index = self.account_index(account)?;
        let waiting = self.has_algos(index, None);
        let holder = &mut self.accounts[index];
        if holder.margin.multi_assets == on {
            return Err(UsdmReject::SameMultiAssets.into());
        }
        if on && holder.slots.values().any(|slot| slot.isolated) {
            return Err(UsdmReject::MultiAssetsWithIsolated.into());
        }
        if !holder.open.is_empty() || waiting {
            return Err(UsdmReject::MultiAssetsWithOrders.into());
        }
        holder.margin.multi_assets = on;
        self.changes.account(index);
        self.reports.add(now, account, || UserEvent::MultiAssets { on });
        Ok(())
    }

    /// Adds to an isolated position's margin, or takes from it where `amount` is negative.
    ///
    /// # Errors
    /// The venue's no: not isolated, no position, not enough on the side that pays.
    pub fn adjust_margin(
        &mut self,
        now: Timestamp,
        account: AccountId,
        symbol: Symbol,
        position_side: PositionSide,
        amount: Money,
    ) -> Result<(), Reject> {
        let holder = self.account_index(account)?;
        let index = self.symbol_index(symbol).ok_or(Reject::UnknownSymbol)?;
        if amount.is_zero() {
            return Err(UsdmReject::AmountNotPositive.into());
        }
        let slot = self.accounts[holder].slots.get(&index).filter(|slot| slot.isolated).ok_or(UsdmReject::MarginNotIsolated)?;
        if (position_side != PositionSide::Both) != slot.hedge {
            return Err(Reject::PositionSideMismatch);
        }
        let leg = *slot.leg(position_side);
        if leg.lots == 0 {
            return Err(UsdmReject::MarginWithoutPosition.into());
        }
        if amount.is_positive() && amount.0 > self.available(holder) {
            return Err(UsdmReject::CrossBalance.into());
        }
        let leverage = slot.leverage;
        if amount.is_negative() && leg.isolated + amount.0 < self.least_isolated(index, leg.lots, leg.cost, leverage) {
            return Err(UsdmReject::IsolatedBalance.into());
        }
        let starting = self.starting_leverage(index);
        self.accounts[holder].slot_mut(index, starting).leg_mut(position_side).isolated += amount.0;
        let kept = &mut self.accounts[holder].margin.adjustments;
        if kept.len() >= ADJUSTMENTS_KEPT {
            kept.pop_front();
        }
        kept.push_back(MarginAdjustment { symbol, position_side, amount, at: now });
        self.changes.account(holder);
        self.report_account(now, holder, AccountReason::MarginTransfer, Some(index), Decimal::ZERO);
        Ok(())
    }

    /// Changes of isolated margin by hand that are still remembered, oldest first.
    pub fn margin_adjustments(&self, account: AccountId, symbol: Symbol) -> impl Iterator<Item = &MarginAdjustment> {
        let index = self.account_index(account).ok();
        let kept = index.into_iter().flat_map(|index| &self.accounts[index].margin.adjustments);
        kept.filter(move |adjustment| adjustment.symbol == symbol)
    }

    /// What must stay with an isolated position: its initial margin and its open loss.
    fn least_isolated(&self, symbol: usize, lots: i64, cost: Decimal, leverage: u8) -> Decimal {
        let market = &self.markets[symbol];
        let Some(mark) = market.reference() else { return Decimal::MAX };
        let value = market.unit.money(i128::from(lots) * i128::from(mark.0));
        value.abs() / Decimal::from(leverage.max(1)) - (value - cost).min(Decimal::ZERO)
    }

    /// What an account has open on a symbol at the mark, the worse of all buys and of all sells filled.
    pub(in super::super) fn exposure(&self, symbol: usize, slot: &Slot) -> Decimal {
        let market = &self.markets[symbol];
        market.reference().map_or(Decimal::ZERO, |mark| slot.exposure(&market.unit, mark, 0, 0))
    }
}
