//! The gate between own orders (C23, I8): whatever of one owner's accounts may stand or come to stand on a symbol, by side and
//! price, so that a new order that could meet one of them is known before it leaves. Live, in flight, of unknown outcome, being
//! cancelled, waiting for a trigger: all count until the venue's word that they are over. It knows; what follows is `crossing`'s.
//!
//! **Who can meet whom.** A trade has a maker and a taker. An order that rests is one at a limit, also behind a trigger; at the
//! market (also behind a trigger), and IOC and FOK, an order never rests. Two orders can meet when one buys, the other sells,
//! at least one of them may rest, and the buyer's worst price is not below the seller's. The worst price of an order at the
//! market, triggered or not, is any price. The account, the strategy and the leg make no difference.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::super::ids::{AccountId, ClientOrderId, IntentId, OwnerId, StrategyId, Symbol};
use super::super::money::Price;
use super::super::mutants::{self, Mutant};
use super::super::order::{OrderIntent, OrderKind, OrderReport, OrderStatus, Side, TimeInForce};

/// One order of one account: ours by its intent, a stranger's by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OrderKey {
    pub(super) account: AccountId,
    pub(super) order: Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    Intent(IntentId),
    Named(ClientOrderId),
}

/// How far an order may go, and whether it may be there to be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) side: Side,
    /// The most that a buy pays, the least that a sell takes.
    worst: Price,
    pub(super) rests: bool,
}

/// An order at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) symbol: Symbol,
    pub(super) reach: Reach,
    pub(super) reduce_only: bool,
    /// As the venue knows it; `None` for an order that nobody has reported yet.
    pub(super) name: Option<ClientOrderId>,
    /// It was not let out yet.
    pub(super) waiting: bool,
    pub(super) strategy: Option<StrategyId>,
}

/// One side of one owner's symbol, by worst price.
#[derive(Debug, Default)]
struct Half {
    resting: BTreeSet<(Price, OrderKey)>,
    passing: BTreeSet<(Price, OrderKey)>,
}

#[derive(Debug, Default)]
struct Lane {
    buys: Half,
    sells: Half,
}

/// The gate. An order is looked up, put in and taken out in logarithmic time.
#[derive(Debug, Default)]
pub(super) struct Gate {
    lanes: BTreeMap<(Symbol, OwnerId), Lane>,
    orders: BTreeMap<OrderKey, (OwnerId, Standing)>,
}

impl OrderKey {
    pub(super) fn of(intent: &OrderIntent) -> Self {
        Self { account: intent.account, order: Known::Intent(intent.id) }
    }

    pub(super) fn reported(report: &OrderReport) -> Self {
        let order = report.intent.map_or(Known::Named(report.client_order_id), Known::Intent);
        Self { account: report.account, order }
    }
}

impl Reach {
    pub(super) fn of(side: Side, kind: OrderKind, time_in_force: TimeInForce) -> Self {
        let limit = kind.limit_price();
        let any = match side {
            Side::Buy => Price(Decimal::MAX),
            Side::Sell => Price::ZERO,
        };
        Self { side, worst: limit.unwrap_or(any), rests: kind.may_rest(time_in_force) }
    }
}

impl Standing {
    pub(super) fn intended(intent: &OrderIntent, waiting: bool) -> Self {
        let reach = Reach::of(intent.side, intent.kind, intent.time_in_force);
        Self { symbol: intent.symbol, reach, reduce_only: intent.reduce_only, name: None, waiting, strategy: Some(intent.strategy) }
    }

    /// A report does not say how long an order is in force: one at a limit counts as one that rests.
    fn reported(report: &OrderReport) -> Self {
        let reach = Reach::of(report.side, report.kind, TimeInForce::GoodTilCanceled);
        let name = Some(report.client_order_id);
        Self { symbol: report.symbol, reach, reduce_only: report.reduce_only, name, waiting: false, strategy: report.strategy }
    }
}

impl Half {
    fn set(&mut self, reach: Reach) -> &mut BTreeSet<(Price, OrderKey)> {
        if reach.rests { &mut self.resting } else { &mut self.passing }
    }
}

impl Lane {
    fn set(&mut self, reach: Reach) -> &mut BTreeSet<(Price, OrderKey)> {
        match reach.side {
            Side::Buy => self.buys.set(reach),
            Side::Sell => self.sells.set(reach),
        }
    }

    fn is_empty(&self) -> bool {
        [&self.buys, &self.sells].iter().all(|half| half.resting.is_empty() && half.passing.is_empty())
    }

    /// The orders that an order of that reach could meet, those nearest to it first within each kind.
    fn met_by(&self, reach: Reach) -> impl Iterator<Item = OrderKey> {
        let half = match reach.side {
            Side::Buy => &self.sells,
            Side::Sell => &self.buys,
        };
        let near = move |set: &BTreeSet<(Price, OrderKey)>| -> smallvec::SmallVec<[OrderKey; 4]> {
            match reach.side {
                Side::Buy => set.iter().take_while(|(price, _)| *price <= reach.worst).map(|(_, key)| *key).collect(),
                Side::Sell => set.iter().rev().take_while(|(price, _)| *price >= reach.worst).map(|(_, key)| *key).collect(),
            }
        };
        let passing = if reach.rests { near(&half.passing) } else { smallvec::SmallVec::new() };
        near(&half.resting).into_iter().chain(passing)
    }
}

impl Gate {
    pub(super) fn put(&mut self, owner: OwnerId, key: OrderKey, standing: Standing) {
        self.take(key);
        self.lanes.entry((standing.symbol, owner)).or_default().set(standing.reach).insert((standing.reach.worst, key));
        self.orders.insert(key, (owner, standing));
    }

    /// What a report says of an order: over, or there. How far it reaches is known better where it was approved here.
    pub(super) fn report(&mut self, owner: OwnerId, report: &OrderReport) -> bool {
        let key = OrderKey::reported(report);
        let ended = report.status.is_terminal();
        if ended || (report.status == OrderStatus::PendingCancel && mutants::on(Mutant::PendingCancelUncounted)) {
            return self.take(key).is_some();
        }
        match self.orders.get_mut(&key) {
            Some((_, standing)) => {
                standing.name = Some(report.client_order_id);
                standing.waiting = false;
            }
            None => self.put(owner, key, Standing::reported(report)),
        }
        false
    }

    pub(super) fn take(&mut self, key: OrderKey) -> Option<Standing> {
        let (owner, standing) = self.orders.remove(&key)?;
        let lane = (standing.symbol, owner);
        if let Some(found) = self.lanes.get_mut(&lane) {
            found.set(standing.reach).remove(&(standing.reach.worst, key));
            if found.is_empty() {
                self.lanes.remove(&lane);
            }
        }
        Some(standing)
    }

    fn of_account(&self, account: AccountId) -> impl Iterator<Item = (&OrderKey, &(OwnerId, Standing))> {
        let first = OrderKey { account, order: Known::Intent(IntentId(0)) };
        self.orders.range(first..).take_while(move |(key, _)| key.account == account)
    }

    /// An account's orders from its books: those that are open there, and of those known before what still waits here or is on
    /// its way.
    pub(super) fn begin(&mut self, account: AccountId, on_its_way: impl Fn(&OrderKey) -> bool, open: &[OrderReport], owner: OwnerId) {
        let is_open = |key: &OrderKey| open.iter().any(|report| OrderKey::reported(report) == *key);
        let stays = |key: &OrderKey, standing: &Standing| standing.waiting || on_its_way(key) || is_open(key);
        let gone: Vec<OrderKey> =
            self.of_account(account).filter(|(key, (_, standing))| !stays(key, standing)).map(|(key, _)| *key).collect();
        for key in gone {
            self.take(key);
        }
        for report in open {
            self.report(owner, report);
        }
    }

    pub(super) fn standing(&self, key: OrderKey) -> Option<&Standing> {
        self.orders.get(&key).map(|(_, standing)| standing)
    }

    /// Every order of the owner that an order of that reach could meet.
    pub(super) fn met_by(&self, owner: OwnerId, symbol: Symbol, reach: Reach) -> impl Iterator<Item = (OrderKey, &Standing)> {
        let lane = self.lanes.get(&(symbol, owner));
        lane.into_iter().flat_map(move |lane| lane.met_by(reach)).filter_map(|key| Some((key, self.standing(key)?)))
    }

    /// An account whose owner changed: its orders move to the new one's lanes.
    pub(super) fn move_to(&mut self, owner: OwnerId, account: AccountId) {
        let all: Vec<(OrderKey, Standing)> =
            self.of_account(account).filter(|(_, (before, _))| *before != owner).map(|(key, (_, standing))| (*key, *standing)).collect();
        for (key, standing) in all {
            self.put(owner, key, standing);
        }
    }
}
