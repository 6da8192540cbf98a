//! Modification of a perpetual's resting limit order: another price or quantity, at the end of the queue. What the filters refuse
//! leaves the order as it is; what can no longer stand cancels it.

use super::super::orders::Order;
use super::super::report::{ExecutionType, OrderView};
use super::super::request::OrderRequest;
use super::super::trading::OrderName;
use super::super::{Exchange, ExchangeOutput, Reject};
use super::UsdmReject;
use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::Lots;
use crate::domain::money::{Price, Quantity};
use crate::domain::order::{EndReason, NewOrder, OrderKind, OrderStatus, Side, TimeInForce};
use crate::domain::time::Timestamp;

/// The venue's: an order can be modified less than 10,000 times.
const MODIFICATIONS_MAX: u32 = 9_999;
/// Modifications that an account can list. The venue pages by 100; these are some 100 kB.
const AMENDMENTS_KEPT: usize = 1_000;

/// What an order is to be instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modification {
    pub side: Side,
    pub quantity: Quantity,
    pub price: Price,
}

/// One modification that was done. Not in the record: it begins anew with the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderAmendment {
    pub amendment_id: u64,
    pub symbol: Symbol,
    pub order_id: u64,
    pub client_order_id: ClientOrderId,
    pub at: Timestamp,
    /// Before and after.
    pub price: (Price, Price),
    pub quantity: (Quantity, Quantity),
    /// The how manieth of its order.
    pub count: u32,
}

impl Exchange {
    /// Modifies an open limit order and shows how it stands then, which may be filled, or cancelled.
    ///
    /// # Errors
    /// The venue's definite no; the order stays as it was.
    pub fn modify_order(
        &mut self,
        now: Timestamp,
        account: AccountId,
        symbol: Symbol,
        name: OrderName,
        wanted: Modification,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<OrderView, Reject> {
        let holder = self.account_index(account)?;
        let (market, slot) = self.find_open(holder, symbol, name).ok_or(Reject::UnknownOrder)?;
        let order = self.markets[market].orders.get(slot).cloned().ok_or(Reject::UnknownOrder)?;
        let modified = self.modified(now, market, &order, wanted)?;
        let id = order.id;
        let gone = order.filled > 0 && modified.quantity <= order.filled;
        match if gone { Err(Reject::QuantityTooSmall) } else { self.check_in_place_of(market, &order, &modified) } {
            Ok(()) => self.replace(now, market, slot, modified, out),
            Err(Reject::WouldTake | Reject::QuantityTooSmall) => self.end_open(now, market, slot, EndReason::Canceled, out),
            Err(other) => return Err(other),
        }
        self.order(account, symbol, OrderName::Id(id)).ok_or(Reject::UnknownOrder)
    }

    /// Modifications of an account's orders on a symbol that are still remembered, oldest first.
    pub fn order_amendments(&self, account: AccountId, symbol: Symbol) -> impl Iterator<Item = &OrderAmendment> {
        let index = self.account_index(account).ok();
        let kept = index.into_iter().flat_map(|index| &self.accounts[index].margin.amendments);
        kept.filter(move |amendment| amendment.symbol == symbol)
    }

    /// The order as it is to be, if the filters let it.
    fn modified(&self, now: Timestamp, market: usize, order: &Order, wanted: Modification) -> Result<Order, Reject> {
        if !matches!(order.kind, OrderKind::Limit { .. }) {
            return Err(UsdmReject::ModifyNotLimit.into());
        }
        if wanted.side != order.side {
            return Err(UsdmReject::ModifySide.into());
        }
        if order.modified >= MODIFICATIONS_MAX {
            return Err(UsdmReject::ModifyTooOften.into());
        }
        let instrument = &self.markets[market].instrument;
        let kind = OrderKind::Limit { price: wanted.price };
        if order.kind == kind && instrument.quantity(Lots(order.quantity)) == wanted.quantity {
            return Err(UsdmReject::ModifySame.into());
        }
        let request = OrderRequest::from(NewOrder {
            client_order_id: order.client_order_id,
            symbol: instrument.symbol,
            side: order.side,
            position_side: order.position_side,
            kind,
            time_in_force: order.time_in_force,
            quantity: wanted.quantity,
            reduce_only: order.reduce_only,
            self_trade_prevention: order.self_trade_prevention,
        });
        let grid = self.check_request(market, order.account, &request)?;
        Ok(Order { kind, limit: grid.limit, quantity: grid.quantity, modified: order.modified + 1, updated_at: now, ..order.clone() })
    }

    /// Whether the new order may stand where the old one does: its margin is that of the two together less the old one's.
    fn check_in_place_of(&mut self, market: usize, old: &Order, new: &Order) -> Result<(), Reject> {
        let leverage = self.starting_leverage(market);
        self.accounts[old.account].slot_mut(market, leverage).count(old, -1);
        let checked = self.check_viable(market, new);
        self.accounts[old.account].slot_mut(market, leverage).count(old, 1);
        checked
    }

    fn replace(&mut self, now: Timestamp, market: usize, slot: u32, order: Order, out: &mut Vec<ExchangeOutput>) {
        let Some(old) = self.withdraw(market, slot) else { return };
        self.note_amendment(now, market, &old, &order);
        if self.reports.is_on() {
            let (account, view) = (self.accounts[order.account].id, self.view(market, &order, OrderStatus::Working));
            self.report_order(now, ExecutionType::Amendment, || (account, view));
        }
        // A post-only order was checked; any other may take now.
        debug_assert!(order.time_in_force != TimeInForce::FillOrKill, "it would not rest");
        self.execute(now, market, order, out);
        self.fire_triggers(now, market, out);
    }

    fn note_amendment(&mut self, now: Timestamp, market: usize, old: &Order, new: &Order) {
        let amendment_id = self.next_transaction_id;
        self.next_transaction_id += 1;
        let instrument = &self.markets[market].instrument;
        let price = |order: &Order| order.kind.limit_price().unwrap_or_default();
        let quantity = |order: &Order| instrument.quantity(Lots(order.quantity));
        let amendment = OrderAmendment {
            amendment_id,
            symbol: instrument.symbol,
            order_id: new.id,
            client_order_id: new.client_order_id,
            at: now,
            price: (price(old), price(new)),
            quantity: (quantity(old), quantity(new)),
            count: new.modified,
        };
        let kept = &mut self.accounts[new.account].margin.amendments;
        if kept.len() >= AMENDMENTS_KEPT {
            kept.pop_front();
        }
        kept.push_back(amendment);
    }
}
