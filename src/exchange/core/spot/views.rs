//! What spot answers about an account: lists, prevented matches, holdings as the in-process view has them. Changes nothing.

use rust_decimal::Decimal;

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{PositionSide, VenuePosition};
use crate::domain::time::Timestamp;
use crate::exchange::core::orders::Order;
use crate::exchange::core::{Account, Exchange, Market};

use super::state::{ListProgress, ListView, PreventedMatch, SpotView};

impl Exchange {
    /// A list of an account, living or ended.
    #[must_use]
    pub fn list(&self, account: AccountId, id: u64) -> Option<ListView> {
        self.lists(account).into_iter().find(|list| list.id == id)
    }

    /// The lists of an account that are still remembered, oldest first.
    #[must_use]
    pub fn lists(&self, account: AccountId) -> Vec<ListView> {
        let Ok(index) = self.account_index(account) else { return Vec::new() };
        let mut lists = self.open_lists(account);
        lists.extend(self.accounts[index].spot.closed_lists.iter().cloned());
        lists.sort_unstable_by_key(|list| list.id);
        lists
    }

    /// Those that have not ended.
    #[must_use]
    pub fn open_lists(&self, account: AccountId) -> Vec<ListView> {
        let Ok(index) = self.account_index(account) else { return Vec::new() };
        let live = self.spot.lists.values().filter(|list| list.account == index);
        live.map(|list| self.list_view(list, ListProgress::Started)).collect()
    }

    /// The prevented matches of an account on a symbol, oldest first. They are not kept across a restart.
    pub fn prevented_matches(&self, account: AccountId, symbol: Symbol) -> impl Iterator<Item = &PreventedMatch> {
        let concerns = move |found: &&PreventedMatch| found.symbol == symbol && (found.taker == account || found.maker == account);
        self.spot.prevented.iter().filter(concerns)
    }

    /// The average price that the filters go by.
    #[must_use]
    pub fn average_price(&self, now: Timestamp, symbol: usize) -> Option<Price> {
        let market = self.markets.get(symbol)?;
        Some(Price(self.average_ticks(now, symbol)? * market.instrument.price_step.0))
    }

    /// What a spot order shows beyond any order.
    pub(in crate::exchange::core) fn spot_view(order: &Order) -> SpotView {
        let Some(rare) = &order.spot.rare else { return SpotView::default() };
        SpotView {
            expiry: None,
            prevented_match: rare.prevented_match,
            trailing_since: rare.trail.since,
            amendments: rare.amendments.clone(),
        }
    }

    /// The settlement asset, and everything else as holdings: each asset once, under the first symbol that it is the base of.
    /// An asset that is no symbol's base has no place there.
    pub(in crate::exchange::core) fn holdings(&self, account: &Account) -> (Money, Vec<VenuePosition>) {
        let settlement = self.settlement();
        let wallet = settlement.map(|asset| account.spot.balance(asset).total()).unwrap_or_default();
        let held =
            account.spot.balances.iter().enumerate().filter(|(asset, balance)| Some(*asset) != settlement && !balance.total().is_zero());
        let shown = held.filter_map(|(asset, balance)| {
            let market = self.market_of_base(asset)?;
            let quantity = Quantity(balance.total().normalize());
            Some(VenuePosition {
                symbol: market.instrument.symbol,
                position_side: PositionSide::Both,
                quantity,
                entry_price: Price::ZERO,
                closable: Some(closable(market, quantity)),
            })
        });
        (Money(wallet), shown.collect())
    }

    /// What is there of the settlement asset, and what of it no order has locked.
    pub(in crate::exchange::core) fn cash(&self, account: &Account) -> (Money, Money) {
        let balance = self.settlement().map(|asset| account.spot.balance(asset)).unwrap_or_default();
        (Money(balance.total()), Money(balance.free))
    }

    /// Everything at the last prices, in the settlement asset. What has no price there counts as nothing.
    pub(in crate::exchange::core) fn spot_equity(&self, account: &Account) -> Money {
        let (wallet, _) = self.holdings(account);
        let Some(settlement) = self.settlement() else { return wallet };
        let priced = self.markets.iter().filter(|market| market.spot.quote == settlement);
        let mut counted = Vec::new();
        let worth = priced.filter_map(|market| {
            let (asset, reference) = (market.spot.base, market.reference()?);
            if counted.contains(&asset) {
                return None;
            }
            counted.push(asset);
            Some(market.instrument.price(reference).0 * account.spot.balance(asset).total())
        });
        Money(wallet.0 + worth.sum::<Decimal>())
    }

    fn market_of_base(&self, asset: usize) -> Option<&Market> {
        let settlement = self.settlement()?;
        let of_base = |market: &&Market| market.spot.base == asset;
        let paid = self.markets.iter().filter(of_base).find(|market| market.spot.quote == settlement);
        paid.or_else(|| self.markets.iter().find(of_base))
    }
}

/// What of a holding the venue would take in an order: whole lots, and neither too few nor worth too little.
fn closable(market: &Market, quantity: Quantity) -> Quantity {
    let lots = market.instrument.quantity_down(quantity);
    let worth = market.reference().map(|price| market.instrument.price(price) * lots);
    let too_small = lots < market.instrument.min_quantity || worth.is_some_and(|worth| worth < market.spot.filters.min_notional);
    if too_small { Quantity::ZERO } else { lots }
}
