//! The orders of our accounts on one symbol: a slab of open orders, the two resting sides in price-time order, and the
//! stops that wait for their trigger. It keeps order; it decides nothing and knows no account.

use serde::{Deserialize, Serialize};

use crate::domain::ids::ClientOrderId;
use crate::domain::instrument::Ticks;
use crate::domain::order::{OrderKind, OrderStatus, PositionSide, SelfTradePrevention, Side, TimeInForce};
use crate::domain::time::Timestamp;

use super::TriggerPrice;
use super::margin::{Follow, TriggerPrices};
use super::request::{Extras, OrderRequest};
use super::spot::SpotState;

/// A trigger that has not fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    pub at: Ticks,
    /// Fires at or above `at`; else at or below.
    pub rising: bool,
    /// What it is held against. Not in the record: the order says it, or else the exchange.
    #[serde(skip)]
    pub by: TriggerPrice,
}

impl Trigger {
    #[must_use]
    pub const fn is_reached(self, price: Ticks) -> bool {
        if self.rising { price.0 >= self.at.0 } else { price.0 <= self.at.0 }
    }

    /// Where the trigger of this kind of order stands, on the grid; `None` for an order without one.
    #[must_use]
    pub fn of(kind: &OrderKind, side: Side, at: Ticks) -> Option<Self> {
        let rising = match kind {
            OrderKind::StopMarket { .. } | OrderKind::StopLimit { .. } => side == Side::Buy,
            OrderKind::TakeProfitMarket { .. } | OrderKind::TakeProfitLimit { .. } => side == Side::Sell,
            OrderKind::Market | OrderKind::Limit { .. } => return None,
        };
        Some(Self { at, rising, by: TriggerPrice::Last })
    }
}

/// One order inside the engine. Quantities are lots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: u64,
    /// Index of the account in the engine.
    #[serde(skip)]
    pub account: usize,
    pub client_order_id: ClientOrderId,
    pub side: Side,
    pub position_side: PositionSide,
    pub kind: OrderKind,
    pub time_in_force: TimeInForce,
    pub self_trade_prevention: SelfTradePrevention,
    pub reduce_only: bool,
    /// The worst price it trades at; `None` takes any.
    pub limit: Option<Ticks>,
    /// `Some` while it waits.
    pub trigger: Option<Trigger>,
    pub quantity: i64,
    pub filled: i64,
    /// External lots at its price that trade before it does; `QUEUE_UNKNOWN` at a level that was never shown.
    pub queue_ahead: i64,
    /// Lots × ticks of its fills.
    #[serde(default)]
    pub value: i128,
    #[serde(default)]
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What most orders do not ask for; apart, so that the others stay small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extras: Option<Box<Extras>>,
    /// The order list that it belongs to (spot).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_id: Option<u64>,
    /// Of a perpetual's trailing stop: how far it has followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    /// How often it was modified (perpetuals).
    #[serde(default)]
    pub modified: u32,
    /// The exchange's own, or ended by it: in either case it never rests, so that no record of open orders has one.
    #[serde(skip)]
    pub force: Option<Force>,
    /// What only a spot order has; idle on a perpetual.
    #[serde(default, skip_serializing_if = "SpotState::is_idle")]
    pub spot: SpotState,
}

/// Why the exchange itself closes a position, and ends the orders of whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Force {
    Liquidation,
    Deleverage,
}

/// The order joined a level behind the touch that the market data never showed: everything that may be there is ahead.
pub const QUEUE_UNKNOWN: i64 = i64::MAX;

impl Order {
    #[must_use]
    pub const fn remaining(&self) -> i64 {
        self.quantity - self.filled - self.spot.prevented
    }

    /// How it stands while it is open: parked ones are pending still.
    #[must_use]
    pub const fn open_status(&self) -> OrderStatus {
        if self.spot.parked { OrderStatus::Persisting } else { OrderStatus::Working }
    }

    /// Whether it may trade at `price`.
    #[must_use]
    pub const fn accepts(&self, price: Ticks) -> bool {
        match (self.limit, self.side) {
            (None, _) => true,
            (Some(limit), Side::Buy) => price.0 <= limit.0,
            (Some(limit), Side::Sell) => price.0 >= limit.0,
        }
    }

    /// The order as asked for, on the grid. The caller has checked the grid.
    #[must_use]
    pub fn new(id: u64, account: usize, request: &OrderRequest, grid: OnGrid, now: Timestamp) -> Self {
        let OrderRequest { order, extras } = request;
        Self {
            id,
            account,
            client_order_id: order.client_order_id,
            side: order.side,
            position_side: order.position_side,
            kind: order.kind,
            time_in_force: order.time_in_force,
            self_trade_prevention: order.self_trade_prevention,
            reduce_only: order.reduce_only,
            limit: grid.limit,
            trigger: grid.trigger.and_then(|at| Trigger::of(&order.kind, order.side, at)),
            quantity: grid.quantity,
            filled: 0,
            queue_ahead: 0,
            value: 0,
            created_at: now,
            updated_at: now,
            extras: (*extras != Extras::default()).then(|| Box::new(extras.clone())),
            list_id: None,
            follow: None,
            modified: 0,
            force: None,
            spot: SpotState::default(),
        }
    }
}

/// An order's numbers in ticks and lots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnGrid {
    pub limit: Option<Ticks>,
    pub trigger: Option<Ticks>,
    pub quantity: i64,
}

/// Where a resting order stands in its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    price: Ticks,
    slot: u32,
}

/// One resting side, worst first: the best order is the last, so that taking it moves nothing. At one price the older order
/// is nearer to the end.
#[derive(Debug, Clone, Default)]
struct RestingSide {
    keys: Vec<Key>,
}

/// All open orders of one symbol.
#[derive(Debug, Clone)]
pub struct OpenOrders {
    slots: Vec<Option<Order>>,
    free: Vec<u32>,
    bids: RestingSide,
    asks: RestingSide,
    waiting: Vec<u32>,
    by_last: Bounds,
    by_mark: Bounds,
}

/// The lowest rising and the highest falling trigger: one comparison each tells a price that nothing fires.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    rising_from: Ticks,
    falling_from: Ticks,
}

impl Bounds {
    const NONE: Self = Self { rising_from: Ticks(i64::MAX), falling_from: Ticks(i64::MIN) };

    const fn reach(&self, price: Ticks) -> bool {
        price.0 >= self.rising_from.0 || price.0 <= self.falling_from.0
    }

    fn add(&mut self, at: Ticks, rising: bool) {
        if rising {
            self.rising_from = self.rising_from.min(at);
        } else {
            self.falling_from = self.falling_from.max(at);
        }
    }
}

impl Default for OpenOrders {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            bids: RestingSide::default(),
            asks: RestingSide::default(),
            waiting: Vec::new(),
            by_last: Bounds::NONE,
            by_mark: Bounds::NONE,
        }
    }
}

/// Whether `price` has priority over `other` on this side.
#[must_use]
pub const fn is_better(side: Side, price: Ticks, other: Ticks) -> bool {
    match side {
        Side::Buy => price.0 > other.0,
        Side::Sell => price.0 < other.0,
    }
}

impl OpenOrders {
    fn side(&self, side: Side) -> &RestingSide {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut RestingSide {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    #[must_use]
    pub fn get(&self, slot: u32) -> Option<&Order> {
        self.slots.get(slot as usize).and_then(Option::as_ref)
    }

    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Order> {
        self.slots.get_mut(slot as usize).and_then(Option::as_mut)
    }

    /// Puts the order where it belongs: nowhere while its list has not come to it, among the waiting while it has a trigger, else
    /// behind its price.
    pub fn insert(&mut self, order: Order) -> u32 {
        let (side, limit, waits, parked) = (order.side, order.limit.unwrap_or_default(), order.trigger.is_some(), order.spot.parked);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(order);
                slot
            }
            None => {
                self.slots.push(Some(order));
                (self.slots.len() - 1) as u32
            }
        };
        if parked {
            return slot;
        }
        if waits {
            self.waiting.push(slot);
            self.find_next_triggers();
        } else {
            let keys = &mut self.side_mut(side).keys;
            let at = keys.partition_point(|key| is_better(side, limit, key.price));
            keys.insert(at, Key { price: limit, slot });
        }
        slot
    }

    pub fn remove(&mut self, slot: u32) -> Option<Order> {
        let order = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        if order.spot.parked {
            return Some(order);
        }
        if order.trigger.is_some() {
            self.waiting.retain(|waiting| *waiting != slot);
            self.find_next_triggers();
        } else {
            let keys = &mut self.side_mut(order.side).keys;
            // From the end: orders leave mostly at the touch.
            if let Some(at) = keys.iter().rposition(|key| key.slot == slot) {
                keys.remove(at);
            }
        }
        Some(order)
    }

    /// Moves the trigger of a waiting order.
    pub fn retrigger(&mut self, slot: u32, trigger: Trigger) {
        if let Some(order) = self.get_mut(slot).filter(|order| order.trigger.is_some()) {
            order.trigger = Some(trigger);
            self.find_next_triggers();
        }
    }

    /// The order with priority on a side.
    #[must_use]
    pub fn best(&self, side: Side) -> Option<(u32, Ticks)> {
        self.side(side).keys.last().map(|key| (key.slot, key.price))
    }

    #[must_use]
    pub fn has_resting(&self, side: Side) -> bool {
        !self.side(side).keys.is_empty()
    }

    /// The `n`th order of a side in price-time order.
    #[must_use]
    pub fn nth(&self, side: Side, n: usize) -> Option<(u32, Ticks)> {
        self.side(side).keys.iter().rev().nth(n).map(|key| (key.slot, key.price))
    }

    /// Calls `change` for each resting order at exactly `price`, oldest first.
    pub fn each_at(&mut self, side: Side, price: Ticks, mut change: impl FnMut(&mut Order)) {
        let (keys, slots) = match side {
            Side::Buy => (&self.bids.keys, &mut self.slots),
            Side::Sell => (&self.asks.keys, &mut self.slots),
        };
        let end = keys.partition_point(|key| !is_better(side, key.price, price));
        for key in keys[..end].iter().rev().take_while(|key| key.price == price) {
            if let Some(order) = slots[key.slot as usize].as_mut() {
                change(order);
            }
        }
    }

    /// Calls `change` for each resting order better than `price`, best first; for all of the side without a price.
    pub fn each_better(&mut self, side: Side, price: Option<Ticks>, mut change: impl FnMut(&mut Order)) {
        let (keys, slots) = match side {
            Side::Buy => (&self.bids.keys, &mut self.slots),
            Side::Sell => (&self.asks.keys, &mut self.slots),
        };
        for key in keys.iter().rev().take_while(|key| price.is_none_or(|price| is_better(side, key.price, price))) {
            if let Some(order) = slots[key.slot as usize].as_mut() {
                change(order);
            }
        }
    }

    /// Calls `change` for every resting order of a side, best first.
    pub fn each(&mut self, side: Side, change: impl FnMut(&mut Order)) {
        self.each_better(side, None, change);
    }

    /// Every open order, resting or waiting, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Order)> {
        self.slots.iter().enumerate().filter_map(|(slot, order)| order.as_ref().map(|order| (slot as u32, order)))
    }

    /// Whether that price may fire anything, or move a trailing stop.
    #[must_use]
    pub const fn wakes(&self, by: TriggerPrice, price: Ticks) -> bool {
        match by {
            TriggerPrice::Last => self.by_last.reach(price),
            TriggerPrice::Mark => self.by_mark.reach(price),
        }
    }

    /// The waiting orders that these prices fire, the oldest first: id and slot.
    #[must_use]
    pub fn fired(&self, prices: &TriggerPrices) -> Vec<(u64, u32)> {
        let fires = |slot: &u32| self.get(*slot).filter(|order| prices.fire(order)).map(|order| (order.id, *slot));
        let mut fired: Vec<(u64, u32)> = self.waiting.iter().filter_map(fires).collect();
        fired.sort_unstable();
        fired
    }

    /// Whether that order stands in that slot still, and waits.
    #[must_use]
    pub fn is_waiting(&self, (id, slot): (u64, u32)) -> bool {
        self.get(slot).is_some_and(|order| order.id == id && order.trigger.is_some())
    }

    /// Moves trailing stops after the prices, and names those that moved.
    pub fn follow(&mut self, prices: &TriggerPrices, mut moved: impl FnMut(u32, u64)) {
        let mut any = false;
        for slot in &self.waiting {
            // Invariant: `waiting` holds slots of open orders.
            let Some(order) = self.slots[*slot as usize].as_mut() else { continue };
            if order.follow_price(prices) {
                any = true;
                moved(*slot, order.id);
            }
        }
        if any {
            self.find_next_triggers();
        }
    }

    /// The waiting trigger that a move from `from` to `to` meets first, strictly between the two.
    #[must_use]
    pub fn trigger_between(&self, from: Ticks, to: Ticks) -> Option<Ticks> {
        let between = |at: &Ticks| if from < to { from < *at && *at < to } else { to < *at && *at < from };
        let met = self.waiting.iter().filter_map(|slot| self.get(*slot)?.trigger);
        let met = met.filter(|trigger| trigger.rising == (from < to)).map(|trigger| trigger.at).filter(between);
        if from < to { met.min() } else { met.max() }
    }

    fn find_next_triggers(&mut self) {
        (self.by_last, self.by_mark) = (Bounds::NONE, Bounds::NONE);
        for slot in &self.waiting {
            // Invariant: `waiting` holds slots of open orders with a trigger.
            let Some((order, trigger)) = self.slots[*slot as usize].as_ref().and_then(|order| Some((order, order.trigger?))) else {
                continue;
            };
            let bounds = match trigger.by {
                TriggerPrice::Last => &mut self.by_last,
                TriggerPrice::Mark => &mut self.by_mark,
            };
            bounds.add(trigger.at, trigger.rising);
            if let Some((at, rising)) = order.moves_at() {
                bounds.add(at, rising);
            }
        }
    }
}
