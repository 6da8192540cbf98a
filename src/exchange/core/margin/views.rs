//! The numbers of an account and its positions as `GET /fapi/v2|v3/account`, `positionRisk`, `balance`, `symbolConfig` show
//! them. Changes nothing; money is rounded to the venue's eight places here and only here.

use rust_decimal::Decimal;

use super::super::account::{Account, Leg, Slot};
use super::super::{Exchange, Market};
use super::account::MarginSum;
use super::{Bracket, PerpetualRules};
use crate::domain::ids::{AccountId, Asset, Symbol};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::PositionSide;
use crate::domain::time::Timestamp;

const PLACES: u32 = 8;

/// One margin asset of an account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AssetMargin {
    pub asset: Asset,
    pub wallet: Money,
    pub cross_wallet: Money,
    /// Of all positions; `cross_unrealized` of the cross ones.
    pub unrealized: Money,
    pub cross_unrealized: Money,
    /// Wallet and open profit.
    pub margin_balance: Money,
    pub maintenance: Money,
    pub initial: Money,
    pub position_initial: Money,
    pub open_order_initial: Money,
    pub available: Money,
    pub withdrawable: Money,
    /// When the balance last changed.
    pub updated_at: Timestamp,
}

/// A USD-M account, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountMargin {
    pub hedge: bool,
    pub multi_assets: bool,
    /// The margin asset first; then what else was deposited.
    pub assets: Vec<AssetMargin>,
    pub positions: Vec<PositionRisk>,
}

/// One position, or the empty place of one.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionRisk {
    pub symbol: Symbol,
    pub position_side: PositionSide,
    pub margin_asset: Asset,
    /// Signed.
    pub quantity: Quantity,
    pub entry_price: Price,
    pub break_even_price: Price,
    pub mark_price: Price,
    /// Signed; at the mark.
    pub notional: Money,
    pub unrealized: Money,
    /// Zero: there is none.
    pub liquidation_price: Price,
    pub leverage: u8,
    /// What this leverage carries.
    pub notional_max: Money,
    pub isolated: bool,
    pub isolated_wallet: Money,
    /// Isolated wallet and open profit; zero on cross.
    pub isolated_margin: Money,
    pub initial: Money,
    pub position_initial: Money,
    pub open_order_initial: Money,
    pub maintenance: Money,
    /// What open buys and sells are worth.
    pub bid_notional: Money,
    pub ask_notional: Money,
    /// 0 (last) to 4 (first) in the queue of auto-deleveraging.
    pub adl_quantile: u8,
    /// A position or an open order stands here.
    pub is_active: bool,
    pub updated_at: Timestamp,
}

/// `GET /fapi/v1/symbolConfig`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SymbolSettings {
    pub symbol: Symbol,
    pub isolated: bool,
    pub leverage: u8,
    pub notional_max: Money,
}

fn rounded(value: Decimal) -> Money {
    Money(value.round_dp(PLACES))
}

impl Exchange {
    #[must_use]
    pub fn rules(&self, symbol: Symbol) -> Option<&PerpetualRules> {
        self.symbol_index(symbol).map(|index| &self.markets[index].perpetual.rules)
    }

    #[must_use]
    pub fn brackets(&self, symbol: Symbol) -> Option<&[Bracket]> {
        self.rules(symbol).map(|rules| rules.brackets.as_slice())
    }

    /// Every listed symbol, in the order of listing.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol> {
        self.markets.iter().map(|market| market.instrument.symbol)
    }

    #[must_use]
    pub fn symbol_settings(&self, account: AccountId, symbol: Symbol) -> Option<SymbolSettings> {
        let holder = &self.accounts[self.account_index(account).ok()?];
        let index = self.symbol_index(symbol)?;
        let slot = holder.slots.get(&index);
        let leverage = slot.map_or_else(|| self.starting_leverage(index), |slot| slot.leverage);
        let notional_max = self.markets[index].perpetual.rules.notional_max(leverage);
        Some(SymbolSettings { symbol, isolated: slot.is_some_and(|slot| slot.isolated), leverage, notional_max })
    }

    /// An account with its balances and every position, empty ones too.
    #[must_use]
    pub fn account_margin(&self, account: AccountId) -> Option<AccountMargin> {
        let index = self.account_index(account).ok()?;
        let holder = &self.accounts[index];
        Some(AccountMargin {
            hedge: holder.hedge,
            multi_assets: holder.margin.multi_assets,
            assets: self.asset_margins(index),
            positions: self.position_risks(account, None),
        })
    }

    fn asset_margins(&self, index: usize) -> Vec<AssetMargin> {
        let holder = &self.accounts[index];
        let (mut all, mut isolated) = (MarginSum::default(), MarginSum::default());
        for (index, slot) in holder.slots.iter().filter(|(_, slot)| !slot.is_idle()) {
            let sum = self.margin_of(&self.markets[*index], slot);
            all += sum;
            if slot.isolated {
                isolated += sum;
            }
        }
        let available = self.available(index).max(Decimal::ZERO);
        let updated_at = holder.margin.updated_at;
        let main = AssetMargin {
            asset: self.margin_asset(),
            wallet: rounded(holder.wallet),
            cross_wallet: rounded(holder.cross_wallet()),
            unrealized: rounded(all.unrealized),
            cross_unrealized: rounded(all.unrealized - isolated.unrealized),
            margin_balance: rounded(holder.wallet + all.unrealized),
            maintenance: rounded(all.maintenance),
            initial: rounded(all.position_initial + all.open_order_initial),
            position_initial: rounded(all.position_initial),
            open_order_initial: rounded(all.open_order_initial),
            available: rounded(available),
            withdrawable: rounded(self.withdrawable(index)),
            updated_at,
        };
        let others = holder.margin.others.iter().map(|(asset, amount)| AssetMargin {
            asset: *asset,
            wallet: rounded(*amount),
            cross_wallet: rounded(*amount),
            margin_balance: rounded(*amount),
            available: rounded(*amount),
            withdrawable: rounded(*amount),
            updated_at,
            ..AssetMargin::empty(*asset)
        });
        std::iter::once(main).chain(others).collect()
    }

    /// What may leave: what is free, and never open profit.
    pub(in super::super) fn withdrawable(&self, account: usize) -> Decimal {
        self.available(account).min(self.accounts[account].cross_wallet()).max(Decimal::ZERO)
    }

    /// The currency of every wallet here: what the first listed symbol is margined in.
    #[must_use]
    pub fn margin_asset(&self) -> Asset {
        let quote = self.markets.first().map_or("USDT", |market| market.instrument.quote.as_str());
        // Invariant: an instrument's quote is an asset's name, and so is the default.
        Asset::new(quote).expect("a quote currency")
    }

    /// Positions of an account, on one symbol or on all: one place a symbol in one-way mode, two in hedge mode.
    #[must_use]
    pub fn position_risks(&self, account: AccountId, symbol: Option<Symbol>) -> Vec<PositionRisk> {
        let Ok(holder) = self.account_index(account).map(|index| &self.accounts[index]) else { return Vec::new() };
        let sides: &[PositionSide] = if holder.hedge { &[PositionSide::Long, PositionSide::Short] } else { &[PositionSide::Both] };
        let wanted = |market: &Market| symbol.is_none_or(|symbol| market.instrument.symbol == symbol);
        let listed = self.markets.iter().enumerate().filter(|(_, market)| wanted(market));
        listed.flat_map(|(index, _)| sides.iter().map(move |side| self.position_risk(holder, index, *side))).collect()
    }

    fn position_risk(&self, holder: &Account, index: usize, side: PositionSide) -> PositionRisk {
        let market = &self.markets[index];
        let empty = Slot::new(self.starting_leverage(index), holder.hedge);
        let slot = holder.slots.get(&index).unwrap_or(&empty);
        let leg = slot.leg(side);
        let mark = market.reference().unwrap_or_default();
        let value = market.unit.money(i128::from(leg.lots) * i128::from(mark.0));
        let unrealized = value - leg.cost;
        let leverage = Decimal::from(slot.leverage.max(1));
        let (bids, asks) = open_values(market, slot, side);
        let position_initial = value.abs() / leverage;
        let open_order_initial = match side {
            PositionSide::Both => slot.margin(&market.unit, mark, 0, 0) - position_initial,
            PositionSide::Long => bids / leverage,
            PositionSide::Short => asks / leverage,
        };
        let with_lots = |lots: Decimal| if leg.lots == 0 { Decimal::ZERO } else { lots };
        PositionRisk {
            symbol: market.instrument.symbol,
            position_side: side,
            margin_asset: self.margin_asset(),
            quantity: Quantity((Decimal::from(leg.lots) * market.unit.step).normalize()),
            entry_price: Price(leg.entry_price(&market.unit)),
            break_even_price: Price(leg.break_even_price(&market.unit)),
            mark_price: self.mark_of(market),
            notional: rounded(value),
            unrealized: rounded(unrealized),
            liquidation_price: self.liquidation_price(holder, index, side),
            leverage: slot.leverage,
            notional_max: market.perpetual.rules.notional_max(slot.leverage),
            isolated: slot.isolated,
            isolated_wallet: rounded(leg.isolated),
            isolated_margin: if slot.isolated { rounded(with_lots(leg.isolated + unrealized)) } else { Money::ZERO },
            initial: rounded(position_initial + open_order_initial),
            position_initial: rounded(position_initial),
            open_order_initial: rounded(open_order_initial),
            maintenance: rounded(with_lots(market.perpetual.rules.maintenance(value.abs()))),
            bid_notional: rounded(bids),
            ask_notional: rounded(asks),
            adl_quantile: self.adl_quantile(holder.id, index, side),
            is_active: leg.lots != 0 || !bids.is_zero() || !asks.is_zero(),
            updated_at: leg.updated_at,
        }
    }

    /// Where the mark would liquidate a position if nothing else moved; zero where no price does.
    pub(in super::super) fn liquidation_price(&self, holder: &Account, index: usize, side: PositionSide) -> Price {
        let Some(slot) = holder.slots.get(&index).filter(|slot| slot.leg(side).lots != 0) else { return Price::ZERO };
        let market = &self.markets[index];
        let (balance, legs): (Decimal, Vec<&Leg>) = if slot.isolated {
            (slot.leg(side).isolated, vec![slot.leg(side)])
        } else {
            let (all, here) = (self.cross_margin(holder), self.margin_of(market, slot));
            let others = all.unrealized - here.unrealized - (all.maintenance - here.maintenance);
            (holder.cross_wallet() + others, slot.legs().map(|(_, leg)| leg).collect())
        };
        let mark = market.reference().unwrap_or_default();
        let at_mark = market.instrument.price(mark).0;
        // The bracket depends on the price that is looked for: once with the mark's, once more with the answer's.
        let first = critical_price(market, balance, &legs, at_mark);
        let price = first.and_then(|price| critical_price(market, balance, &legs, price)).unwrap_or_default();
        Price(price.max(Decimal::ZERO).round_dp(PLACES))
    }
}

/// The price at which balance and maintenance of these legs meet, with the brackets that they have at `assumed`.
fn critical_price(market: &Market, balance: Decimal, legs: &[&Leg], assumed: Decimal) -> Option<Decimal> {
    let (mut owed, mut slope) = (-balance, Decimal::ZERO);
    for leg in legs {
        let quantity = Decimal::from(leg.lots) * market.unit.step;
        let bracket = market.perpetual.rules.bracket((quantity * assumed).abs());
        owed += leg.cost - bracket.cumulative.0;
        slope += quantity - quantity.abs() * bracket.maintenance.0;
    }
    owed.checked_div(slope).filter(|price| *price > Decimal::ZERO)
}

/// What open buys and sells of a position's side are worth at their limits.
fn open_values(market: &Market, slot: &Slot, side: PositionSide) -> (Decimal, Decimal) {
    let (buys, sells) = (market.unit.money(slot.open_buys), market.unit.money(slot.open_sells));
    match side {
        PositionSide::Both => (buys, sells),
        PositionSide::Long => (buys, Decimal::ZERO),
        PositionSide::Short => (Decimal::ZERO, sells),
    }
}

impl AssetMargin {
    const fn empty(asset: Asset) -> Self {
        Self {
            asset,
            wallet: Money::ZERO,
            cross_wallet: Money::ZERO,
            unrealized: Money::ZERO,
            cross_unrealized: Money::ZERO,
            margin_balance: Money::ZERO,
            maintenance: Money::ZERO,
            initial: Money::ZERO,
            position_initial: Money::ZERO,
            open_order_initial: Money::ZERO,
            available: Money::ZERO,
            withdrawable: Money::ZERO,
            updated_at: Timestamp::ZERO,
        }
    }
}
