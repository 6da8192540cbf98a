//! I3: what an account may come to hold at the venue, orders in flight and of unknown outcome included, stays within its limits.
//! Positions come from the venue's trades and orders from the checker's own book, so that an exposure that the daemon released too
//! early, forgot, or never knew of is here all the same. It is held against the limits whenever risk lets more of it pass: later
//! the price alone moves it. What a stranger traded counts once the daemon has booked it, as nobody could have known before.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{Fill, OrderIntent, PositionSide, Side};
use crate::domain::risk::limits::RiskLimits;

use super::super::venue::VenueFact;
use super::look::{Invariant, Look};
use super::observation::Observation;
use super::orders::Orders;

/// Signed quantities.
#[derive(Debug, Default, Clone, Copy)]
struct Held {
    both: Quantity,
    long: Quantity,
    short: Quantity,
}

/// What open orders may still buy and sell of a symbol.
#[derive(Debug, Default, Clone, Copy)]
struct Working {
    buying: Quantity,
    selling: Quantity,
}

type TradeKey = (AccountId, Symbol, u64, u64);

#[derive(Debug, Default)]
pub(super) struct Exposure {
    limits: RiskLimits,
    prices: BTreeMap<Symbol, Price>,
    held: BTreeMap<(AccountId, Symbol), Held>,
    /// Strangers' trades that the daemon has not booked.
    unseen: BTreeSet<TradeKey>,
}

impl Held {
    fn book(&mut self, fill: &Fill) {
        let moved = fill.side.signed(fill.moved());
        match fill.position_side {
            PositionSide::Both => self.both += moved,
            PositionSide::Long => self.long += moved,
            PositionSide::Short => self.short += moved,
        }
    }

    /// The larger of what is held when every buy fills and what is owed when every sell does.
    fn exposure(&self, working: Working) -> Quantity {
        let Working { buying, selling } = working;
        let net = (self.both + buying).max(selling - self.both).max(self.both.abs());
        let legs = (self.long + buying).max(selling - self.short);
        if self.long.is_zero() && self.short.is_zero() { net } else { legs }
    }
}

impl Working {
    fn add(&mut self, side: Side, quantity: Quantity) {
        match side {
            Side::Buy => self.buying += quantity,
            Side::Sell => self.selling += quantity,
        }
    }
}

impl Exposure {
    /// `orders` as they are before this observation.
    pub(super) fn observe(&mut self, look: &mut Look, orders: &Orders, seen: &Observation<'_>) {
        match seen {
            Observation::Began { limits, .. } | Observation::LimitsChanged { limits } => self.limits = (*limits).clone(),
            Observation::Reference { symbol, price } => {
                self.prices.insert(*symbol, *price);
            }
            Observation::Venue(VenueFact::Traded(fill)) if orders.get(fill.client_order_id).is_none() => {
                self.unseen.insert(key(fill));
            }
            Observation::Venue(VenueFact::Traded(fill)) => self.held.entry((fill.account, fill.symbol)).or_default().book(fill),
            Observation::Booked { fill } if self.unseen.contains(&key(fill)) => {
                self.unseen.remove(&key(fill));
                self.held.entry((fill.account, fill.symbol)).or_default().book(fill);
            }
            Observation::Approved { intent, .. } if !intent.reduce_only => self.approved(look, orders, intent),
            _ => {}
        }
    }

    fn approved(&self, look: &mut Look, orders: &Orders, intent: &OrderIntent) {
        let (account, symbol) = (intent.account, intent.symbol);
        let Some(price) = self.prices.get(&symbol).copied() else { return };
        let working = open(orders);
        let held = self.held.get(&(account, symbol)).copied().unwrap_or_default();
        let mut with = working.get(&(account, symbol)).copied().unwrap_or_default();
        let before = held.exposure(with);
        with.add(intent.side, intent.quantity);
        let after = held.exposure(with);
        look.at(Invariant::I3);
        if after <= before {
            return;
        }
        let limit =
            self.limits.account(account).and_then(|limits| limits.symbols.get(&symbol)).and_then(|limits| limits.max_position_value);
        if let Some(limit) = limit.filter(|limit| price * after > *limit) {
            let found = format!("{} with intent {} ({after} at {price})", price * after, intent.id);
            look.broke(Invariant::I3, format!("at most {limit} of {symbol} on {account}"), found);
        }
        let total = self.total(&working) + price * (after - before);
        if let Some(limit) = self.limits.max_capital.filter(|limit| total > *limit) {
            look.broke(Invariant::I3, format!("at most {limit} over all accounts"), format!("{total} with intent {}", intent.id));
        }
    }

    fn total(&self, working: &BTreeMap<(AccountId, Symbol), Working>) -> Money {
        let keys: BTreeSet<_> = self.held.keys().chain(working.keys()).copied().collect();
        let value = |key: (AccountId, Symbol)| {
            let held = self.held.get(&key).copied().unwrap_or_default();
            let working = working.get(&key).copied().unwrap_or_default();
            self.prices.get(&key.1).map_or(Money::ZERO, |price| *price * held.exposure(working))
        };
        keys.into_iter().map(value).sum()
    }
}

fn key(fill: &Fill) -> TradeKey {
    (fill.account, fill.symbol, fill.venue_order_id, fill.trade_id)
}

fn open(orders: &Orders) -> BTreeMap<(AccountId, Symbol), Working> {
    let mut working: BTreeMap<(AccountId, Symbol), Working> = BTreeMap::new();
    for known in orders.live().filter(|known| !known.order.reduce_only) {
        working.entry((known.account, known.order.symbol)).or_default().add(known.order.side, known.remaining());
    }
    working
}
