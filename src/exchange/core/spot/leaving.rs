//! How spot orders come to stand open and how they end: locks and counts on the way in and out, what the account is told, and
//! what its list makes of it.

use crate::domain::ids::ClientOrderId;
use crate::domain::order::{EndReason, OrderStatus, VenueEvent};
use crate::domain::time::Timestamp;
use crate::exchange::core::orders::Order;
use crate::exchange::core::report::{ExecutionType, OrderView};
use crate::exchange::core::{Exchange, ExchangeOutput};

use super::checks::is_algo;
use super::events::Told;
use super::state::{ExpiryReason, Prevention};

/// How an order ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::exchange::core) enum Ending {
    Filled,
    /// By its owner, under the id of the cancel if there was one.
    Canceled(Option<ClientOrderId>),
    Expired(ExpiryReason),
    /// By meeting its owner's own order; on spot with what that took from it.
    Prevented(Option<Prevention>),
}

impl Ending {
    pub(in crate::exchange::core) const fn reason(self) -> Option<EndReason> {
        match self {
            Self::Filled => None,
            Self::Canceled(_) => Some(EndReason::Canceled),
            Self::Expired(_) => Some(EndReason::Expired),
            Self::Prevented(_) => Some(EndReason::SelfTradePrevented),
        }
    }

    /// What `core`'s own reasons mean here.
    pub(in crate::exchange::core) const fn of(reason: Option<EndReason>) -> Self {
        match reason {
            None => Self::Filled,
            Some(EndReason::Canceled) => Self::Canceled(None),
            Some(EndReason::Expired | EndReason::SelfTradePrevented) => Self::Expired(ExpiryReason::ExchangeCanceled),
        }
    }
}

impl Exchange {
    /// Puts a taken order among the open ones and locks what it may cost, as far as the other leg of its pair has not.
    pub(in crate::exchange::core) fn open_spot(&mut self, symbol: usize, mut order: Order) {
        let shared =
            order.list_id.filter(|_| !order.spot.parked).map_or(rust_decimal::Decimal::ZERO, |list| self.held_by_pair(list, order.id));
        order.spot.held = (self.required(symbol, &order) - shared).max(rust_decimal::Decimal::ZERO);
        let asset = self.paid_with(symbol, order.side);
        self.change_locked(order.account, asset, order.spot.held);
        self.insert_spot(symbol, order);
    }

    /// Puts an order that has its lock among the open ones.
    pub(in crate::exchange::core) fn insert_spot(&mut self, symbol: usize, order: Order) {
        let (account, id, client_order_id) = (order.account, order.id, order.client_order_id);
        let follows =
            order.trigger.is_some() && order.extras.as_ref().is_some_and(|extras| extras.trailing.is_some()) && !order.spot.parked;
        self.accounts[account].spot.count(symbol, is_algo(&order.kind), 1);
        let slot = self.markets[symbol].orders.insert(order);
        if follows {
            self.markets[symbol].spot.trailing.push(slot);
        }
        self.accounts[account].open.insert(client_order_id, (symbol, slot));
        self.changes.order(symbol, slot, id);
    }

    /// The opposite of `open_spot`. The other leg of a pair takes the whole lock upon itself.
    pub(in crate::exchange::core) fn withdraw_spot(&mut self, symbol: usize, slot: u32) -> Option<Order> {
        let mut order = self.markets[symbol].orders.remove(slot)?;
        self.markets[symbol].spot.trailing.retain(|trailing| *trailing != slot);
        let account = &mut self.accounts[order.account];
        account.spot.count(symbol, is_algo(&order.kind), -1);
        account.open.remove(&order.client_order_id);
        self.changes.order(symbol, slot, order.id);
        let held = std::mem::take(&mut order.spot.held);
        let asset = self.paid_with(symbol, order.side);
        self.change_locked(order.account, asset, -held);
        if let Some(list) = order.list_id.filter(|_| !order.spot.parked) {
            self.carry_pair_alone(list);
        }
        Some(order)
    }

    /// Takes an open order out and says how it ended.
    pub(super) fn end_spot(&mut self, now: Timestamp, symbol: usize, slot: u32, ending: Ending, out: &mut Vec<ExchangeOutput>) {
        if let Some(order) = self.withdraw_spot(symbol, slot) {
            self.finish_spot(now, symbol, order, ending, out);
        }
    }

    /// An order that stands nowhere any more is over.
    pub(in crate::exchange::core) fn finish_spot(
        &mut self,
        now: Timestamp,
        symbol: usize,
        mut order: Order,
        ending: Ending,
        out: &mut Vec<ExchangeOutput>,
    ) {
        order.updated_at = now;
        let status = match ending {
            Ending::Filled => OrderStatus::Filled,
            Ending::Canceled(_) => OrderStatus::Canceled,
            Ending::Expired(_) | Ending::Prevented(_) => OrderStatus::Expired,
        };
        let mut shown = OrderView { end: ending.reason(), ..self.view(symbol, &order, status) };
        if let Ending::Expired(reason) = ending {
            shown.spot.expiry = Some(reason);
        }
        let account = self.accounts[order.account].id;
        if let Some(reason) = ending.reason() {
            let event = VenueEvent::Ended { client_order_id: order.client_order_id, reason, filled: shown.order.filled, at: now };
            out.push(ExchangeOutput { account, event });
            self.tell_end(now, &shown, ending, order.account);
        }
        self.changes.closed(account, &shown);
        let closed = &mut self.accounts[order.account].closed;
        if closed.len() >= self.config.closed_kept {
            closed.pop_front();
        }
        closed.push_back(shown);
        if let Some(list) = order.list_id {
            self.leg_ended(now, list, order.id, ending, out);
        }
    }

    fn tell_end(&mut self, now: Timestamp, shown: &OrderView, ending: Ending, account: usize) {
        if !self.reports.is_on() {
            return;
        }
        let told = match ending {
            Ending::Filled => return,
            Ending::Canceled(request_id) => {
                let request_id = Some(request_id.unwrap_or_else(|| self.fresh_name()));
                Told { request_id, ..Told::of(ExecutionType::Canceled) }
            }
            Ending::Expired(_) => Told::of(ExecutionType::Expired),
            Ending::Prevented(prevention) => Told { prevention, ..Told::of(ExecutionType::TradePrevention) },
        };
        self.tell_order(now, self.accounts[account].id, shown.clone(), told);
    }
}
