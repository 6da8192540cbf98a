//! Amendments that keep an order's place: a smaller quantity, under a new name or the old one. The legs of a pair have one
//! quantity, so that amending one amends both.

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::Lots;
use crate::domain::money::Quantity;
use crate::domain::order::OrderStatus;
use crate::domain::time::Timestamp;
use crate::exchange::core::report::{ExecutionType, OrderView};
use crate::exchange::core::{Exchange, ExchangeOutput, Reject};

use super::cancel::Named;
use super::checks::check_lot_size;
use super::events::Told;
use super::reject::SpotReject;
use super::state::{Amendment, ListProgress, ListView};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AmendRequest {
    pub symbol: Symbol,
    pub named: Named,
    pub quantity: Quantity,
    /// What it is called from now on.
    pub name: ClientOrderId,
}

/// An amended order, as it stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct Amended {
    pub order: OrderView,
    pub execution_id: u64,
    pub before: ClientOrderId,
    pub list: Option<ListView>,
}

impl Exchange {
    /// Makes an open order smaller where it stands.
    ///
    /// # Errors
    /// The venue's definite no; the order is as it was then.
    pub fn amend_order(
        &mut self,
        now: Timestamp,
        account: AccountId,
        request: &AmendRequest,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<Amended, Reject> {
        let index = self.account_index(account)?;
        let symbol = self.symbol_index(request.symbol).ok_or(Reject::UnknownSymbol)?;
        let (_, slot) = self.find_named(index, request.symbol, request.named)?.ok_or(Reject::Spot(SpotReject::AmendUnknown))?;
        let lots = self.check_amendment(index, symbol, slot, request)?;
        let list_id = self.markets[symbol].orders.get(slot).and_then(|order| order.list_id);
        let pair = list_id.map(|list| self.pair_of(list, slot)).unwrap_or_default();
        let (execution_id, before) = self.amend_one(now, symbol, slot, lots, request.name);
        for other in &pair {
            let name = self.markets[symbol].orders.get(*other).map(|order| order.client_order_id);
            if let Some(name) = name {
                self.amend_one(now, symbol, *other, lots, name);
            }
        }
        self.lock_anew(symbol, std::iter::once(slot).chain(pair));
        if let Some(list) = list_id.filter(|_| before != request.name) {
            self.tell_list(now, list, ListProgress::Updated);
        }
        self.settle_spot(now, out);
        let order = self.markets[symbol].orders.get(slot).ok_or(Reject::UnknownOrder)?;
        let status = if order.spot.parked { OrderStatus::Persisting } else { OrderStatus::Working };
        let list = list_id.and_then(|list| self.list(account, list));
        Ok(Amended { order: self.view(symbol, order, status), execution_id, before, list })
    }

    fn check_amendment(&self, account: usize, symbol: usize, slot: u32, request: &AmendRequest) -> Result<i64, Reject> {
        let market = &self.markets[symbol];
        let order = market.orders.get(slot).ok_or(Reject::UnknownOrder)?;
        let lots = check_lot_size(&market.instrument, request.quantity)?;
        let spot = |reject| Err(Reject::Spot(reject));
        if lots == order.quantity {
            return spot(SpotReject::AmendNothing);
        }
        if lots > order.quantity {
            return spot(SpotReject::AmendIncrease);
        }
        if lots <= order.filled + order.spot.prevented {
            return spot(SpotReject::AmendTooFar);
        }
        if order.kind.limit_price().is_some_and(|price| price * request.quantity < market.spot.filters.min_notional) {
            return Err(Reject::NotionalTooSmall);
        }
        if order.spot.rare.as_ref().is_some_and(|rare| rare.amendments.len() >= market.spot.filters.max_amends as usize) {
            return spot(SpotReject::MaxAmends);
        }
        let taken = request.name != order.client_order_id && self.accounts[account].open.contains_key(&request.name);
        if taken { Err(Reject::DuplicateClientOrderId) } else { Ok(lots) }
    }

    /// The other order of a pair, where both stand alike: of an OCO, or of what an OTO has pending.
    fn pair_of(&self, list: u64, slot: u32) -> Vec<u32> {
        let Some(list) = self.spot.lists.get(&list) else { return Vec::new() };
        let orders = &self.markets[list.symbol].orders;
        let is_parked = |slot: u32| orders.get(slot).is_some_and(|order| order.spot.parked);
        let legs = self.open_legs(list).into_iter().map(|(_, leg)| leg);
        legs.filter(|leg| *leg != slot && is_parked(*leg) == is_parked(slot)).collect()
    }

    fn amend_one(&mut self, now: Timestamp, symbol: usize, slot: u32, lots: i64, name: ClientOrderId) -> (u64, ClientOrderId) {
        let execution_id = self.spot.counters.next_execution_id;
        let market = &mut self.markets[symbol];
        let (quantity_after, instrument) = (market.instrument.quantity(Lots(lots)), &market.instrument);
        let quantity_of = |lots| instrument.quantity(Lots(lots));
        let Some(order) = market.orders.get_mut(slot) else { return (execution_id, name) };
        let before = order.client_order_id;
        let quantity_before = quantity_of(order.quantity);
        order.quantity = lots;
        order.client_order_id = name;
        order.updated_at = now;
        // What is shown of an iceberg changes only where it would be more than there is.
        if let Some(shown) = order.extras.as_mut().and_then(|extras| extras.iceberg_quantity.as_mut()) {
            *shown = (*shown).min(quantity_after);
        }
        order.spot.rare_mut().amendments.push(Amendment { execution_id, before, after: name, quantity_before, quantity_after, at: now });
        let order = order.clone();
        self.changes.order(symbol, slot, order.id);
        let open = &mut self.accounts[order.account].open;
        open.remove(&before);
        open.insert(name, (symbol, slot));
        if let Some(list) = order.list_id.and_then(|list| self.spot.lists.get_mut(&list)) {
            list.legs.iter_mut().filter(|leg| leg.order_id == order.id).for_each(|leg| leg.client_order_id = name);
            let list = list.clone();
            self.note_list(&list);
        }
        let status = if order.spot.parked { OrderStatus::Persisting } else { OrderStatus::Working };
        let mut view = self.view(symbol, &order, status);
        // A report of a request names the order as it was, and the request apart.
        view.order.client_order_id = before;
        let told = Told { request_id: Some(name), ..Told::of(ExecutionType::Replaced) };
        if self.tell_order(now, self.accounts[order.account].id, view, told) == 0 {
            self.spot.counters.next_execution_id += 1;
        }
        (execution_id, before)
    }

    /// Lets go of what these orders have locked, and locks again what they may cost now.
    fn lock_anew(&mut self, symbol: usize, slots: impl Iterator<Item = u32> + Clone) {
        for (slot, again) in slots.clone().map(|slot| (slot, false)).chain(slots.map(|slot| (slot, true))) {
            let Some(order) = self.markets[symbol].orders.get(slot) else { continue };
            let (account, asset) = (order.account, self.paid_with(symbol, order.side));
            let shared =
                order.list_id.filter(|_| !order.spot.parked).map_or(rust_decimal::Decimal::ZERO, |list| self.held_by_pair(list, order.id));
            let wanted =
                if again { (self.required(symbol, order) - shared).max(rust_decimal::Decimal::ZERO) } else { rust_decimal::Decimal::ZERO };
            let more = wanted - order.spot.held;
            if let Some(stored) = self.markets[symbol].orders.get_mut(slot) {
                stored.spot.held = wanted;
            }
            self.change_locked(account, asset, more);
        }
    }
}
