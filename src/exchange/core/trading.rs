//! The engine's side of the wire: orders placed, cancelled and shown by whatever name a client has for them, with an answer of
//! their own. The same orders as `Exchange::command`'s; what befalls them is told in the reports.

use std::sync::Arc;

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::order::{EndReason, OrderStatus};
use crate::domain::time::Timestamp;

use super::orders::Order;
use super::report::{ExecutionType, OrderView, TradeView, UserEvent, UserReport};
use super::request::OrderRequest;
use super::{Exchange, ExchangeOutput, Reject};

/// How a client names an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderName {
    Id(u64),
    Client(ClientOrderId),
}

/// A new order as it stands when its answer is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    pub order: OrderView,
    /// What it traded on arrival. Empty while the exchange keeps no reports.
    pub trades: Vec<TradeView>,
}

impl Exchange {
    /// Takes an order, or refuses it for good.
    ///
    /// # Errors
    /// The venue's definite no.
    pub fn place_order(
        &mut self,
        now: Timestamp,
        account: AccountId,
        request: &OrderRequest,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<Placed, Reject> {
        let index = self.account_index(account)?;
        let reports = self.reports.len();
        let id = self.place(now, index, request, out)?;
        let order = self.order(account, request.order.symbol, OrderName::Id(id)).ok_or(Reject::UnknownOrder)?;
        let trades = self.reports.since(reports).iter().filter_map(|report| match &report.event {
            UserEvent::Order { trade: Some(trade), .. } if trade.fill.venue_order_id == id && report.account == account => {
                Some(trade.as_ref().clone())
            }
            _ => None,
        });
        let placed = Placed { trades: trades.collect(), order };
        if !self.spot.is_quiet() {
            self.settle_spot(now, out);
        }
        Ok(placed)
    }

    /// Cancels an open order and shows how it ended.
    ///
    /// # Errors
    /// When no such order is open.
    pub fn cancel_order(
        &mut self,
        now: Timestamp,
        account: AccountId,
        symbol: Symbol,
        name: OrderName,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<OrderView, Reject> {
        let index = self.account_index(account)?;
        let (market, slot) = self.find_open(index, symbol, name).ok_or(Reject::UnknownOrder)?;
        let id = self.markets[market].orders.get(slot).map(|order| order.id).ok_or(Reject::UnknownOrder)?;
        self.end_open(now, market, slot, EndReason::Canceled, out);
        if !self.spot.is_quiet() {
            self.settle_spot(now, out);
        }
        self.order(account, symbol, OrderName::Id(id)).ok_or(Reject::UnknownOrder)
    }

    /// One order, open or ended; of several under one client order id, the newest.
    #[must_use]
    pub fn order(&self, account: AccountId, symbol: Symbol, name: OrderName) -> Option<OrderView> {
        let index = self.account_index(account).ok()?;
        if let Some((market, slot)) = self.find_open(index, symbol, name) {
            let order = self.markets[market].orders.get(slot)?;
            return Some(self.view(market, order, order.open_status()));
        }
        let is_meant = |view: &&OrderView| view.order.symbol == symbol && name.is_of(view.order.venue_order_id, view.order.client_order_id);
        self.accounts[index].closed.iter().rev().find(is_meant).cloned()
    }

    /// The open orders of an account, oldest first.
    #[must_use]
    pub fn open_orders(&self, account: AccountId, symbol: Option<Symbol>) -> Vec<OrderView> {
        let Ok(index) = self.account_index(account) else { return Vec::new() };
        let shown = self.accounts[index].open.values().filter_map(|(market, slot)| {
            let order = self.markets[*market].orders.get(*slot)?;
            Some(self.view(*market, order, order.open_status()))
        });
        let mut orders: Vec<OrderView> = shown.filter(|view| symbol.is_none_or(|symbol| view.order.symbol == symbol)).collect();
        orders.sort_unstable_by_key(|view| view.order.venue_order_id);
        orders
    }

    /// Every order of an account on a symbol that is still remembered, open or ended, oldest first.
    #[must_use]
    pub fn all_orders(&self, account: AccountId, symbol: Symbol) -> Vec<OrderView> {
        let Ok(index) = self.account_index(account) else { return Vec::new() };
        let mut orders = self.open_orders(account, Some(symbol));
        orders.extend(self.accounts[index].closed.iter().filter(|view| view.order.symbol == symbol).cloned());
        orders.sort_unstable_by_key(|view| view.order.venue_order_id);
        orders
    }

    /// The trades of an account on a symbol that are still remembered, oldest first.
    pub fn trades(&self, account: AccountId, symbol: Symbol) -> impl Iterator<Item = &TradeView> {
        let index = self.account_index(account).ok();
        let trades = index.into_iter().flat_map(|index| &self.accounts[index].trades);
        trades.filter(move |trade| trade.fill.symbol == symbol)
    }

    /// What the user streams have to tell since the last call.
    pub fn drain_reports(&mut self) -> Vec<UserReport> {
        self.reports.drain()
    }

    pub(super) fn account_index(&self, account: AccountId) -> Result<usize, Reject> {
        self.account_indices.get(&account).copied().ok_or(Reject::UnknownAccount)
    }

    pub(super) fn is_spot(&self, symbol: Symbol) -> bool {
        self.symbol_index(symbol).is_some_and(|index| self.markets[index].unit.spot)
    }

    /// Where an open order of the account stands: index of its symbol, slot.
    pub(super) fn find_open(&self, account: usize, symbol: Symbol, name: OrderName) -> Option<(usize, u32)> {
        let open = &self.accounts[account].open;
        let on_symbol = |(market, _): &(usize, u32)| self.markets[*market].instrument.symbol == symbol;
        match name {
            OrderName::Client(id) => open.get(&id).copied().filter(on_symbol),
            OrderName::Id(id) => {
                let is_it = |(market, slot): &(usize, u32)| self.markets[*market].orders.get(*slot).is_some_and(|order| order.id == id);
                open.values().copied().filter(on_symbol).find(is_it)
            }
        }
    }

    /// Tells the order's account over its user stream. The order is shown only when somebody listens.
    pub(super) fn report_order(&mut self, now: Timestamp, execution: ExecutionType, order: impl FnOnce() -> (AccountId, OrderView)) {
        if self.reports.is_on() {
            let (account, order) = order();
            let event = UserEvent::Order { execution, order: Arc::new(order), trade: None, request_id: None, spot: None };
            self.reports.add(now, account, || event);
        }
    }

    pub(super) fn report_trade(&mut self, now: Timestamp, symbol: usize, order: &Order, trade: &TradeView) {
        if self.reports.is_on() {
            let status = if order.remaining() == 0 { OrderStatus::Filled } else { OrderStatus::Working };
            let shown = Arc::new(self.view(symbol, order, status));
            let execution = if order.force.is_some() { ExecutionType::Calculated } else { ExecutionType::Trade };
            let event = UserEvent::Order { execution, order: shown, trade: Some(Box::new(trade.clone())), request_id: None, spot: None };
            self.reports.add(now, trade.fill.account, || event);
        }
    }
}

impl OrderName {
    fn is_of(self, id: u64, client: ClientOrderId) -> bool {
        match self {
            Self::Id(wanted) => wanted == id,
            Self::Client(wanted) => wanted == client,
        }
    }
}
