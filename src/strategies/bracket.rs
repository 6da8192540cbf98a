//! A position between a stop and a target. Looks at what stands (position, working orders, prices) and says what is missing;
//! it sends nothing and knows no strategy. The rules:
//!
//! 1. An open position has a reduce-only stop for all of it, confirmed by the venue; and a reduce-only target.
//! 2. A stop that was refused, ended, or was not confirmed in time is not tried again: the position is closed at market, and
//!    that is tried until it is flat. Never naked.
//! 3. When the position is gone, whoever closed it, every order around it is cancelled, and the bracket is over when they
//!    are.
//!
//! It acts on the state and not on events, so missed reports, races between stop and target, a growing entry and a restart
//! among existing orders need no code of their own: the next look sees what stands.

use crate::domain::mutants::{self, Mutant};
use std::time::Duration;

use crate::domain::ids::{AccountId, IntentId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::money::{Price, Quantity, Ratio};
use crate::domain::order::{OrderKind, OrderStatus, Side};
use crate::domain::time::Timestamp;

use super::patience::wait_after;
use super::{Desk, Draft, WorkingOrder};

/// How long a filled market entry may still be coming in before what stands is protected: the fills of one market order
/// arrive within milliseconds, and waiting for its end gives one stop in place of two.
const ENTRY_MAX: Duration = Duration::from_secs(1);

/// How long a stop may be unconfirmed. A venue answers in well under a second; an executor that lost the answer asks again
/// within a few.
const CONFIRM_MAX: Duration = Duration::from_secs(5);

/// How far from the entry price the two orders are, as shares of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distances {
    pub stop: Ratio,
    pub target: Ratio,
}

/// What stands on one account's symbol.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    pub now: Timestamp,
    pub instrument: &'a Instrument,
    /// Signed.
    pub position: Quantity,
    pub entry_price: Option<Price>,
    /// What the symbol trades at.
    pub reference: Option<Price>,
    /// The strategy's orders that are not terminal.
    pub orders: &'a [WorkingOrder],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Entry,
    Stop,
    Target,
    Close,
}

impl Purpose {
    /// An order tells its purpose by its kind, so that it is known again after a restart.
    #[must_use]
    pub const fn of(order: &WorkingOrder) -> Self {
        match order.kind {
            _ if !order.reduce_only => Self::Entry,
            OrderKind::StopMarket { .. } | OrderKind::StopLimit { .. } => Self::Stop,
            OrderKind::TakeProfitMarket { .. } | OrderKind::TakeProfitLimit { .. } => Self::Target,
            OrderKind::Market | OrderKind::Limit { .. } => Self::Close,
        }
    }
}

/// What a bracket wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A reduce-only order against the position.
    Place {
        purpose: Purpose,
        side: Side,
        kind: OrderKind,
        quantity: Quantity,
        reason: &'static str,
    },
    Cancel {
        intent: IntentId,
        reason: &'static str,
    },
    /// Look again then, if nothing happens before.
    LookAgainAt(Timestamp),
    /// Flat, and no order is left.
    Over,
}

/// The little that has to be remembered between two looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bracket {
    distances: Distances,
    /// The newest stop placed or found. That it was there and is not any more is what tells a lost one from a first one.
    stop: Option<IntentId>,
    /// The sign that the position was first seen with. The other sign is nobody's wish: a stop and a target both filled.
    long: Option<bool>,
    /// Why the position is to be closed at market, once it is.
    closing: Option<&'static str>,
    /// When a position was first seen beside a working entry.
    filling_since: Option<Timestamp>,
    closes: Tries,
    targets: Tries,
}

/// Orders of one purpose placed so far for this position, and when the next one may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tries {
    count: u32,
    not_before: Timestamp,
}

impl Tries {
    fn placed(&mut self, now: Timestamp) {
        self.count = self.count.saturating_add(1);
        self.not_before = now + wait_after(self.count);
    }
}

impl Bracket {
    /// For a position that is about to be opened, or that is found open.
    #[must_use]
    pub fn new(distances: Distances) -> Self {
        Self { distances, stop: None, long: None, closing: None, filling_since: None, closes: Tries::default(), targets: Tries::default() }
    }

    /// Gives the position up: it is closed at market with the next look, under its stop.
    pub const fn close(&mut self, reason: &'static str) {
        if self.closing.is_none() {
            self.closing = Some(reason);
        }
    }

    /// The account was held against its venue: what there is of the entry is in the position, and it is protected with the next look.
    pub const fn recovered(&mut self) {
        self.filling_since = Some(Timestamp::ZERO);
    }

    #[must_use]
    pub const fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Looks at the account's symbol and has done what is missing. True when the bracket is over.
    pub fn look(&mut self, account: AccountId, symbol: Symbol, desk: &mut Desk<'_>) -> bool {
        let Some(instrument) = desk.instrument(symbol) else { return true };
        let actions = self.decide(&Situation {
            now: desk.now(),
            instrument,
            position: desk.position(account, symbol),
            entry_price: desk.entry_price(account, symbol),
            reference: desk.market(symbol).and_then(|market| market.reference()),
            orders: desk.working(account, symbol),
        });
        let mut over = false;
        for action in actions {
            match action {
                Action::Place { purpose, side, kind, quantity, reason } => {
                    let draft = Draft::market(account, symbol, side, quantity, reason).of_kind(kind).reducing();
                    let intent = desk.propose(draft);
                    self.placed(purpose, intent, desk.now());
                    // In time for an answer that does not come, and for what it would then take.
                    desk.wake_at(desk.now() + CONFIRM_MAX);
                }
                Action::Cancel { intent, reason } => desk.cancel(account, symbol, intent, reason),
                Action::LookAgainAt(at) => desk.wake_at(at),
                Action::Over => over = true,
            }
        }
        over
    }

    /// What is missing, in the order in which it must be done.
    pub fn decide(&mut self, situation: &Situation<'_>) -> Vec<Action> {
        if situation.position.is_zero() {
            return self.tidy(situation);
        }
        let long = situation.position.is_positive();
        if *self.long.get_or_insert(long) != long {
            self.close("position_flipped");
        }
        if self.closing.is_none() && self.entry_is_coming_in(situation) {
            let since = *self.filling_since.get_or_insert(situation.now);
            if situation.now.since(since) < ENTRY_MAX {
                return vec![Action::LookAgainAt(since + ENTRY_MAX)];
            }
        }
        let mut actions = cancel_other_side(situation);
        if self.closing.is_none() {
            self.keep_stop(situation, &mut actions);
            self.keep_target(situation, &mut actions);
        }
        // Either may have found that the position cannot be kept: then nothing of it is placed.
        match self.closing {
            Some(reason) => self.close_at_market(situation, reason),
            None => actions,
        }
    }

    /// Notes that an action's order was proposed.
    pub fn placed(&mut self, purpose: Purpose, intent: IntentId, now: Timestamp) {
        match purpose {
            Purpose::Stop => self.stop = Some(intent),
            Purpose::Target => self.targets.placed(now),
            Purpose::Close => self.closes.placed(now),
            Purpose::Entry => {}
        }
    }

    /// Flat: nothing that could open or close anything may stay. An entry that has not filled yet is waited for.
    fn tidy(&mut self, situation: &Situation<'_>) -> Vec<Action> {
        if situation.orders.is_empty() {
            return vec![Action::Over];
        }
        self.stop = None;
        self.long = None;
        self.filling_since = None;
        let keep_entry = self.closing.is_none();
        let is_kept = |order: &WorkingOrder| keep_entry && Purpose::of(order) == Purpose::Entry;
        let leftover = situation.orders.iter().filter(|order| !is_kept(order)).filter(|order| !order.is_being_canceled());
        leftover.map(|order| Action::Cancel { intent: order.intent, reason: "position_gone" }).collect()
    }

    /// A market entry with fills, whose end the venue has not told and nobody doubts.
    fn entry_is_coming_in(&self, situation: &Situation<'_>) -> bool {
        let coming_in = |order: &WorkingOrder| {
            Purpose::of(order) == Purpose::Entry && order.kind == OrderKind::Market && order.status != Some(OrderStatus::Unknown)
        };
        self.stop.is_none() && situation.orders.iter().any(coming_in)
    }

    fn keep_stop(&mut self, situation: &Situation<'_>, actions: &mut Vec<Action>) {
        let exit = exit_side(situation.position);
        let of_stop = |order: &&WorkingOrder| Purpose::of(order) == Purpose::Stop && order.side == exit;
        // After a restart, and after a flip, the newest stop that works for this side is ours.
        let found = || situation.orders.iter().rev().filter(of_stop).find(|order| !order.is_being_canceled()).map(|order| order.intent);
        self.stop = self.stop.or_else(found);
        let Some(newest) = self.stop else { return self.place_stop(situation, actions) };
        let Some(stop) = situation.orders.iter().find(|order| order.intent == newest) else { return self.close("stop_lost") };
        if !stop.is_confirmed() {
            let deadline = stop.since + CONFIRM_MAX;
            return if situation.now >= deadline { self.close("stop_unconfirmed") } else { actions.push(Action::LookAgainAt(deadline)) };
        }
        if stop.remaining() < situation.position.abs() && !mutants::on(Mutant::ChildNotCumulative) {
            return self.place_stop(situation, actions);
        }
        let older = situation.orders.iter().filter(of_stop).filter(|order| order.intent != newest && !order.is_being_canceled());
        actions.extend(older.map(|order| Action::Cancel { intent: order.intent, reason: "replaced" }));
    }

    fn place_stop(&mut self, situation: &Situation<'_>, actions: &mut Vec<Action>) {
        let exit = exit_side(situation.position);
        let trigger = situation.entry_price.and_then(|entry| self.distances.stop_price(entry, exit, situation.instrument));
        let Some(trigger) = trigger else { return self.close("no_stop_price") };
        if situation.reference.is_some_and(|price| reached(price, trigger, exit.opposite())) {
            return self.close("stop_loss");
        }
        actions.push(Action::Place {
            purpose: Purpose::Stop,
            side: exit,
            kind: OrderKind::StopMarket { trigger },
            quantity: situation.position.abs(),
            reason: "stop_loss",
        });
    }

    /// A target that is refused or ends is placed again after a while: the stop stands meanwhile.
    fn keep_target(&mut self, situation: &Situation<'_>, actions: &mut Vec<Action>) {
        let exit = exit_side(situation.position);
        let live = |order: &&WorkingOrder| Purpose::of(order) == Purpose::Target && order.side == exit && !order.is_being_canceled();
        let newest = situation.orders.iter().rev().find(live);
        let Some(target) = newest.filter(|order| !order.is_confirmed() || order.remaining() >= situation.position.abs()) else {
            return self.place_target(situation, actions);
        };
        if target.is_confirmed() {
            let older = situation.orders.iter().filter(live).filter(|order| order.intent != target.intent);
            actions.extend(older.map(|order| Action::Cancel { intent: order.intent, reason: "replaced" }));
        }
    }

    fn place_target(&mut self, situation: &Situation<'_>, actions: &mut Vec<Action>) {
        let exit = exit_side(situation.position);
        let trigger = situation.entry_price.and_then(|entry| self.distances.target_price(entry, exit, situation.instrument));
        let Some(trigger) = trigger else { return };
        if situation.reference.is_some_and(|price| reached(price, trigger, exit)) {
            return self.close("take_profit");
        }
        if situation.now < self.targets.not_before {
            return actions.push(Action::LookAgainAt(self.targets.not_before));
        }
        actions.push(Action::Place {
            purpose: Purpose::Target,
            side: exit,
            kind: OrderKind::TakeProfitMarket { trigger },
            quantity: situation.position.abs(),
            reason: "take_profit",
        });
    }

    /// Stops stay until the position is gone; an entry that could make it larger goes first.
    fn close_at_market(&self, situation: &Situation<'_>, reason: &'static str) -> Vec<Action> {
        let entries = situation.orders.iter().filter(|order| Purpose::of(order) == Purpose::Entry && !order.is_being_canceled());
        let mut actions: Vec<Action> = entries.map(|order| Action::Cancel { intent: order.intent, reason }).collect();
        let side = exit_side(situation.position);
        if situation.orders.iter().any(|order| Purpose::of(order) == Purpose::Close && order.side == side) {
            return actions;
        }
        if situation.now < self.closes.not_before {
            actions.push(Action::LookAgainAt(self.closes.not_before));
            return actions;
        }
        let quantity = situation.position.abs();
        actions.push(Action::Place { purpose: Purpose::Close, side, kind: OrderKind::Market, quantity, reason });
        actions
    }
}

impl Distances {
    /// Rounded towards the entry: a stop is never looser than asked.
    pub(super) fn stop_price(self, entry: Price, exit: Side, instrument: &Instrument) -> Option<Price> {
        let away = entry * self.stop;
        let price = match exit {
            Side::Sell => instrument.price_up(entry - away),
            Side::Buy => instrument.price_down(entry + away),
        };
        Some(price).filter(|price| price.is_positive())
    }

    /// Rounded away from the entry: a target never takes less than asked.
    fn target_price(self, entry: Price, exit: Side, instrument: &Instrument) -> Option<Price> {
        let away = entry * self.target;
        let price = match exit {
            Side::Sell => instrument.price_up(entry + away),
            Side::Buy => instrument.price_down(entry - away),
        };
        Some(price).filter(|price| price.is_positive())
    }
}

/// Orders around a position of the other sign, that flipped while nobody looked, protect nothing of this one.
fn cancel_other_side(situation: &Situation<'_>) -> Vec<Action> {
    let exit = exit_side(situation.position);
    let astray = |order: &&WorkingOrder| order.reduce_only && order.side != exit && !order.is_being_canceled();
    let cancel = |order: &WorkingOrder| Action::Cancel { intent: order.intent, reason: "position_flipped" };
    situation.orders.iter().filter(astray).map(cancel).collect()
}

/// The side that makes the position smaller.
fn exit_side(position: Quantity) -> Side {
    if position.is_positive() { Side::Sell } else { Side::Buy }
}

/// Whether a price is at or past a trigger that lies above it for `Sell`, below it for `Buy`.
fn reached(price: Price, trigger: Price, side: Side) -> bool {
    match side {
        Side::Sell => price >= trigger,
        Side::Buy => price <= trigger,
    }
}

#[cfg(test)]
pub(crate) mod tests;
