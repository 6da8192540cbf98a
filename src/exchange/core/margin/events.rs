//! What a USD-M account is told over its user stream about wallet and positions. Made only when somebody listens.

use rust_decimal::Decimal;

use super::super::Exchange;
use super::super::account::Account;
use super::super::report::{AccountReason, PositionChange, UserEvent, WalletChange};
use crate::domain::ids::Asset;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::PositionSide;
use crate::domain::time::Timestamp;

impl Exchange {
    /// Tells an account its wallet, and its positions on `symbol` where one is given. `change` is what came or went apart
    /// from profit and fees.
    pub(in super::super) fn report_account(
        &mut self,
        now: Timestamp,
        account: usize,
        reason: AccountReason,
        symbol: Option<usize>,
        change: Decimal,
    ) {
        if !self.reports.is_on() || self.markets.first().is_none_or(|market| market.unit.spot) {
            return;
        }
        let holder = &self.accounts[account];
        let wallet = WalletChange {
            asset: self.margin_asset(),
            wallet: Money(holder.wallet),
            cross_wallet: Money(holder.cross_wallet()),
            change: Money(change),
        };
        let positions = symbol.map(|symbol| self.position_changes(holder, symbol)).unwrap_or_default();
        let id = holder.id;
        self.reports.add(now, id, || UserEvent::Margin { reason, wallets: vec![wallet], positions });
    }

    /// Tells an account that an asset came or went.
    pub(super) fn report_transfer(&mut self, now: Timestamp, account: usize, reason: AccountReason, asset: Asset, change: Decimal) {
        if asset == self.margin_asset() {
            return self.report_account(now, account, reason, None, change);
        }
        let holder = &self.accounts[account];
        let amount = Money(holder.margin.others.get(&asset).copied().unwrap_or_default());
        let wallets = vec![WalletChange { asset, wallet: amount, cross_wallet: amount, change: Money(change) }];
        let id = holder.id;
        self.reports.add(now, id, || UserEvent::Margin { reason, wallets, positions: Vec::new() });
    }

    fn position_changes(&self, holder: &Account, symbol: usize) -> Vec<PositionChange> {
        let Some(slot) = holder.slots.get(&symbol) else { return Vec::new() };
        let market = &self.markets[symbol];
        let sides: &[PositionSide] = if slot.hedge { &[PositionSide::Long, PositionSide::Short] } else { &[PositionSide::Both] };
        let shown = sides.iter().map(|side| {
            let leg = slot.leg(*side);
            let value = market.reference().map(|mark| market.unit.money(i128::from(leg.lots) * i128::from(mark.0)));
            PositionChange {
                symbol: market.instrument.symbol,
                position_side: *side,
                quantity: Quantity((Decimal::from(leg.lots) * market.unit.step).normalize()),
                entry_price: Price(leg.entry_price(&market.unit)),
                break_even_price: Price(leg.break_even_price(&market.unit)),
                realized: Money(leg.realized),
                unrealized: Money(value.unwrap_or(leg.cost) - leg.cost),
                isolated: slot.isolated,
                isolated_wallet: Money(leg.isolated),
            }
        });
        shown.collect()
    }
}
