//! Order lists while they live: which orders they have, how far they have come, and what becomes of the others when one moves.
//! - **OCO**: as soon as one leg begins (its trigger fires, or it trades for the first time), the other expires.
//! - **OTO**: the pending orders stand nowhere until the working order has filled whole; if it ends otherwise, they end too.
//! - Whoever cancels one order of a list cancels the list.

use serde::{Deserialize, Serialize};

use crate::domain::ids::ClientOrderId;
use crate::domain::time::Timestamp;
use crate::exchange::core::report::UserEvent;
use crate::exchange::core::{Exchange, ExchangeOutput};

use super::admission::Viability;
use super::leaving::Ending;
use super::rows::ListRow;
use super::state::{Contingency, ExpiryReason, ListLeg, ListProgress, ListView};

/// How far a list has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The first order works, the others wait for it.
    Working,
    /// A pair, or the pending orders after the working one.
    Active,
    /// Its own doing ends or moves its orders just now: their ends are no news to it.
    Busy,
    Done,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct OrderList {
    pub id: u64,
    pub account: usize,
    pub symbol: usize,
    pub client_id: ClientOrderId,
    pub contingency: Contingency,
    /// In the order in which they are shown; the working order is the first.
    pub legs: Vec<ListLeg>,
    pub phase: Phase,
    pub at: Timestamp,
}

impl Exchange {
    /// Index of its symbol and slot of each order of a list that is open.
    pub(super) fn open_legs(&self, list: &OrderList) -> Vec<(usize, u32)> {
        let open = &self.accounts[list.account].open;
        let found = list.legs.iter().filter_map(|leg| {
            let place = open.get(&leg.client_order_id).copied()?;
            let order = self.markets[place.0].orders.get(place.1)?;
            (order.id == leg.order_id).then_some(place)
        });
        found.collect()
    }

    /// What the open orders of a list beside that one have locked. Parked ones have nothing.
    pub(super) fn held_by_pair(&self, list: u64, beside: u64) -> rust_decimal::Decimal {
        let Some(list) = self.spot.lists.get(&list) else { return rust_decimal::Decimal::ZERO };
        let orders = self.open_legs(list).into_iter().filter_map(|(symbol, slot)| self.markets[symbol].orders.get(slot));
        orders.filter(|order| order.id != beside).map(|order| order.spot.held).sum()
    }

    /// One of a pair has gone: the other locks all that it may cost.
    pub(super) fn carry_pair_alone(&mut self, list: u64) {
        let Some(list) = self.spot.lists.get(&list) else { return };
        let alone = self
            .open_legs(list)
            .into_iter()
            .find(|(symbol, slot)| self.markets[*symbol].orders.get(*slot).is_some_and(|order| !order.spot.parked));
        let Some((symbol, slot)) = alone else { return };
        let Some(order) = self.markets[symbol].orders.get(slot) else { return };
        let more = self.required(symbol, order) - order.spot.held;
        let (id, account, asset) = (order.id, order.account, self.paid_with(symbol, order.side));
        if let Some(stored) = self.markets[symbol].orders.get_mut(slot).filter(|_| !more.is_zero()) {
            stored.spot.held += more;
            self.changes.order(symbol, slot, id);
            self.change_locked(account, asset, more);
        }
    }

    /// An order begins to work or to trade: the other leg of its pair, if it has one, is out.
    pub(super) fn begin_leg(&mut self, now: Timestamp, symbol: usize, slot: u32, out: &mut Vec<ExchangeOutput>) {
        let Some((id, list)) = self.markets[symbol].orders.get(slot).and_then(|order| Some((order.id, order.list_id?))) else { return };
        let Some(pair) = self.spot.lists.get(&list).filter(|list| list.phase == Phase::Active) else { return };
        let is_other = |place: &(usize, u32)| self.markets[place.0].orders.get(place.1).is_some_and(|order| order.id != id);
        let Some((symbol, slot)) = self.open_legs(pair).into_iter().find(is_other) else { return };
        self.set_phase(list, Phase::Busy);
        self.end_spot(now, symbol, slot, Ending::Expired(ExpiryReason::OcoTrigger), out);
        self.set_phase(list, Phase::Active);
    }

    /// An order of a list has ended.
    pub(super) fn leg_ended(&mut self, now: Timestamp, id: u64, order: u64, ending: Ending, out: &mut Vec<ExchangeOutput>) {
        let Some(list) = self.spot.lists.get(&id).filter(|list| !matches!(list.phase, Phase::Busy | Phase::Done)) else { return };
        let phase = list.phase;
        if phase == Phase::Working && ending == Ending::Filled {
            return self.spot.ready.push_back(id);
        }
        let is_other = |place: &(usize, u32)| self.markets[place.0].orders.get(place.1).is_some_and(|other| other.id != order);
        let others: Vec<_> = self.open_legs(list).into_iter().filter(is_other).collect();
        let theirs = match (phase, ending) {
            (_, Ending::Canceled(request)) => Ending::Canceled(request),
            (Phase::Working, _) => Ending::Expired(ExpiryReason::OtoPhaseOneExpired),
            _ => Ending::Expired(ExpiryReason::OcoTrigger),
        };
        self.set_phase(id, Phase::Busy);
        for (symbol, slot) in others {
            self.end_spot(now, symbol, slot, theirs, out);
        }
        self.end_list(now, id);
    }

    /// The working order has filled: the pending ones go to the book, or expire where they cannot.
    pub(super) fn activate(&mut self, now: Timestamp, id: u64, out: &mut Vec<ExchangeOutput>) {
        let Some(list) = self.spot.lists.get(&id).filter(|list| list.phase == Phase::Working).cloned() else { return };
        self.set_phase(id, Phase::Busy);
        let places = self.open_legs(&list);
        let mut orders: Vec<_> = places.into_iter().filter_map(|(symbol, slot)| self.withdraw_spot(symbol, slot)).collect();
        orders.iter_mut().for_each(|order| {
            order.spot.parked = false;
            order.updated_at = now;
        });
        // A trail begins where the price is now.
        for order in orders.iter_mut().filter(|order| order.extras.as_ref().is_some_and(|extras| extras.trailing.is_some())) {
            self.begin_to_trail(now, list.symbol, order);
        }
        let refused = orders.iter().position(|order| self.check_spot(list.symbol, order) != Ok(Viability::Good));
        if let Some(refused) = refused {
            for (n, order) in orders.into_iter().enumerate() {
                let reason = if n == refused { ExpiryReason::Rejected } else { ExpiryReason::OcoTrigger };
                self.finish_spot(now, list.symbol, order, Ending::Expired(reason), out);
            }
            return self.end_list(now, id);
        }
        self.set_phase(id, Phase::Active);
        self.tell_list(now, id, ListProgress::Started);
        for mut order in orders {
            if order.trigger.is_none() {
                order.spot.working_at = Some(now);
            }
            self.tell_new(now, list.symbol, &order);
            self.start(now, list.symbol, order, out);
        }
    }

    pub(super) fn set_phase(&mut self, id: u64, phase: Phase) {
        if let Some(list) = self.spot.lists.get_mut(&id) {
            list.phase = phase;
            let list = list.clone();
            self.note_list(&list);
        }
    }

    /// All its orders have ended.
    fn end_list(&mut self, now: Timestamp, id: u64) {
        self.set_phase(id, Phase::Done);
        self.tell_list(now, id, ListProgress::Done);
        if let Some(list) = self.spot.lists.remove(&id) {
            let view = ListView { at: now, ..self.list_view(&list, ListProgress::Done) };
            let row = ListRow { account: self.accounts[list.account].id, phase: Phase::Done, view: view.clone() };
            self.changes.list(row);
            let closed = &mut self.accounts[list.account].spot.closed_lists;
            if closed.len() >= self.config.closed_kept {
                closed.pop_front();
            }
            closed.push_back(view);
        }
    }

    pub(super) fn note_list(&mut self, list: &OrderList) {
        let view = self.list_view(list, ListProgress::Started);
        self.changes.list(ListRow { account: self.accounts[list.account].id, phase: list.phase, view });
    }

    pub(super) fn tell_list(&mut self, now: Timestamp, id: u64, progress: ListProgress) {
        let Some(list) = self.spot.lists.get(&id).filter(|_| self.reports.is_on()) else { return };
        let (account, view) = (self.accounts[list.account].id, ListView { at: now, ..self.list_view(list, progress) });
        self.reports.add(now, account, || UserEvent::OrderList(std::sync::Arc::new(view)));
    }

    pub(super) fn list_view(&self, list: &OrderList, progress: ListProgress) -> ListView {
        ListView {
            id: list.id,
            client_id: list.client_id,
            symbol: self.markets[list.symbol].instrument.symbol,
            contingency: list.contingency,
            progress,
            legs: list.legs.clone(),
            at: list.at,
        }
    }
}
