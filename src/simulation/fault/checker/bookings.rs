//! I2 for trades (each of the venue's is booked exactly once), I5 (when faults are over both sides have the same) and I6 (the
//! wallet is its deposit and what the trades and the ledger come to, to the last digit).

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::RoundingStrategy;

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::money::{Money, Quantity};
use crate::domain::order::{Fill, OrderStatus, PositionSide, Side, VenuePosition, VenueSnapshot};
use crate::domain::record::Record;

use super::super::venue::{Truth, VenueFact};
use super::look::{Invariant, Look};
use super::observation::{LocalAccount, Observation};

/// The venue books in units of 1e-8 and cuts the rest of a partial close's cost off.
const PLACES: u32 = 8;

type TradeKey = (AccountId, Symbol, u64, u64);

/// One leg of one symbol, by the venue's trades.
#[derive(Debug, Default, Clone, Copy)]
struct Leg {
    quantity: Quantity,
    cost: Money,
}

/// One account's money, recomputed from nothing but its deposit, its trades and its ledger.
#[derive(Debug, Default, Clone)]
pub(super) struct Ledger {
    deposit: Money,
    realised: Money,
    fees: Money,
    funds: Money,
    legs: BTreeMap<(Symbol, PositionSide), Leg>,
}

#[derive(Debug, Default)]
pub(super) struct Bookings {
    ledgers: BTreeMap<AccountId, Ledger>,
    traded: BTreeSet<TradeKey>,
    /// Trades whose row is on the disk.
    durable: BTreeSet<TradeKey>,
    /// Trades that the running daemon has booked.
    booked: BTreeSet<TradeKey>,
    /// Trades whose row has no answer, and those whose row never got one: a restart may have found it or not.
    written: BTreeSet<TradeKey>,
    maybe: BTreeSet<TradeKey>,
}

impl Leg {
    /// What the fill realised.
    fn book(&mut self, fill: &Fill) -> Money {
        let moved = fill.side.signed(fill.moved());
        let closes = !self.quantity.is_zero() && self.quantity.is_positive() == (fill.side == Side::Sell);
        let closed = if closes { fill.moved().min(self.quantity.abs()) } else { Quantity::ZERO };
        let whole = self.quantity.abs();
        let share = if closed == whole { self.cost } else { share(self.cost, closed, whole) };
        self.cost = self.cost - share + fill.price * fill.side.signed(fill.moved() - closed);
        self.quantity += moved;
        -(fill.price * fill.side.signed(closed)) - share
    }
}

fn share(cost: Money, part: Quantity, whole: Quantity) -> Money {
    let exact = (cost.0 * part.0).checked_div(whole.0).unwrap_or_default();
    Money(exact.round_dp_with_strategy(PLACES, RoundingStrategy::ToZero))
}

impl Ledger {
    fn wallet(&self) -> Money {
        self.deposit + self.realised - self.fees + self.funds
    }

    /// What a venue shows that keeps no wallet beside its holdings.
    fn cash(&self) -> Money {
        self.wallet() - self.legs.values().map(|leg| leg.cost).sum()
    }

    #[cfg(test)]
    pub(super) fn realised(&self) -> Money {
        self.realised
    }

    pub(super) fn book(&mut self, fill: &Fill) {
        let leg = self.legs.entry((fill.symbol, fill.position_side)).or_default();
        self.realised += leg.book(fill);
        self.fees += fill.fee;
    }
}

impl Bookings {
    pub(super) fn observe(&mut self, look: &mut Look, seen: &Observation<'_>) {
        match seen {
            Observation::Began { holders, .. } => {
                let ledger = |deposit| Ledger { deposit, ..Ledger::default() };
                self.ledgers = holders.iter().map(|holder| (holder.account, ledger(holder.deposit))).collect();
            }
            Observation::DaemonDied { .. } => {
                self.booked.clear();
                self.maybe.append(&mut self.written);
            }
            Observation::Written { rows } => self.written.extend(rows.iter().filter_map(filled).map(key)),
            Observation::Booked { fill } => self.booked(look, fill),
            Observation::NotDurable { rows, .. } => {
                for fill in rows.iter().filter_map(filled) {
                    self.booked.remove(&key(fill));
                    self.maybe.insert(key(fill));
                }
            }
            Observation::Durable { rows } => rows.iter().filter_map(filled).for_each(|fill| self.durable(look, fill)),
            Observation::Venue(VenueFact::Traded(fill)) => {
                self.traded.insert(key(fill));
                self.ledgers.entry(fill.account).or_default().book(fill);
            }
            Observation::Venue(VenueFact::Funds { account, moved }) => self.ledgers.entry(*account).or_default().funds += moved.amount,
            Observation::Truth(truth) => self.exact(look, truth),
            Observation::Settled { local, truth, traded_again } => self.settled(look, local, truth, *traded_again),
            _ => {}
        }
    }

    fn booked(&mut self, look: &mut Look, fill: &Fill) {
        look.at(Invariant::I2);
        if !self.booked.insert(key(fill)) {
            look.broke(Invariant::I2, "a trade booked once", format!("{} again", named(&key(fill))));
        }
    }

    fn durable(&mut self, look: &mut Look, fill: &Fill) {
        look.at(Invariant::I2);
        let key = key(fill);
        self.written.remove(&key);
        if !self.traded.contains(&key) {
            look.broke(Invariant::I2, "trades in the journal that the venue made", format!("{}, which it did not", named(&key)));
        }
        if !self.durable.insert(key) {
            look.broke(Invariant::I2, "one row of a trade in the journal", format!("{} again", named(&key)));
        }
    }

    /// The venue's own money, held against what it must be.
    fn exact(&self, look: &mut Look, truth: &Truth) {
        for (account, shown) in &truth.accounts {
            let Some(ledger) = self.ledgers.get(account) else { continue };
            look.at(Invariant::I6);
            let wallet = if shown.beside_holdings { ledger.cash() } else { ledger.wallet() };
            if shown.wallet != wallet {
                let Ledger { deposit, realised, fees, funds, .. } = ledger;
                let expected = format!("a wallet of {wallet} on {account}: {deposit} + {realised} − {fees} + {funds}");
                look.broke(Invariant::I6, expected, shown.wallet.to_string());
            }
            let ours = ledger.legs.iter().filter(|(_, leg)| !leg.quantity.is_zero()).map(|(key, leg)| (*key, leg.quantity)).collect();
            let theirs = legs(&shown.positions);
            if theirs != ours {
                look.broke(Invariant::I6, format!("positions of {account} as its trades make them: {ours:?}"), format!("{theirs:?}"));
            }
        }
    }

    fn settled(&self, look: &mut Look, local: &[LocalAccount], truth: &Truth, traded_again: bool) {
        self.exact(look, truth);
        look.at(Invariant::I5);
        if !traded_again {
            look.broke(Invariant::I5, "trading to go on when faults are over", "that it did not");
        }
        for ours in local {
            match truth.accounts.get(&ours.account) {
                Some(theirs) => same(look, ours, theirs),
                None => look.broke(Invariant::I5, format!("{} at the venue", ours.account), "nothing of it"),
            }
        }
        look.at(Invariant::I2);
        let missed = || self.traded.difference(&self.durable).filter(|key| !self.maybe.contains(key) && !self.written.contains(key));
        if let Some(one) = missed().next() {
            let (one, count) = (named(one), missed().count());
            look.broke(Invariant::I2, "every trade of the venue in the journal", format!("{count} are not: {one}"));
        }
    }
}

/// Both sides' books of an account.
fn same(look: &mut Look, ours: &LocalAccount, theirs: &VenueSnapshot) {
    let account = ours.account;
    let mut differs = |what: &str, theirs: String, ours: String| {
        look.broke(Invariant::I5, format!("{account} {what} as at the venue: {theirs}"), ours);
    };
    if !ours.ready {
        differs("reconciled,", "its orders".to_owned(), "not reconciled".to_owned());
    }
    let here: BTreeMap<ClientOrderId, OrderStatus> = ours.open.iter().copied().collect();
    let there: BTreeSet<ClientOrderId> = theirs.open_orders.iter().map(|order| order.client_order_id).collect();
    if !here.keys().eq(there.iter()) {
        differs("open orders", format!("{there:?}"), format!("{here:?}"));
    }
    if let Some((id, status)) = here.iter().find(|(_, status)| **status != OrderStatus::Working) {
        differs("open orders known for sure", "working".to_owned(), format!("{id} {status}"));
    }
    if ours.wallet != theirs.wallet && !theirs.beside_holdings {
        differs("wallet", theirs.wallet.to_string(), ours.wallet.to_string());
    }
    let (here, there) = (legs(&ours.positions), legs(&theirs.positions));
    if here != there {
        differs("positions", format!("{there:?}"), format!("{here:?}"));
    }
}

fn legs(positions: &[VenuePosition]) -> BTreeMap<(Symbol, PositionSide), Quantity> {
    let held = positions.iter().filter(|position| !position.quantity.is_zero());
    held.map(|position| ((position.symbol, position.position_side), position.quantity)).collect()
}

fn filled(row: &Record) -> Option<&Fill> {
    match row {
        Record::Filled { fill, .. } => Some(fill),
        _ => None,
    }
}

fn key(fill: &Fill) -> TradeKey {
    (fill.account, fill.symbol, fill.venue_order_id, fill.trade_id)
}

fn named((account, symbol, order, trade): &TradeKey) -> String {
    format!("trade {trade} of {account}'s order {order} on {symbol}")
}
