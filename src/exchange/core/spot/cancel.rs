//! Cancels in spot's manner: one order (and with it the list that it belongs to), a list, everything on a symbol, and cancel and
//! replace in one request.

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::order::OrderStatus;
use crate::domain::time::Timestamp;
use crate::exchange::core::orders::Order;
use crate::exchange::core::report::{ExecutionType, OrderView};
use crate::exchange::core::request::OrderRequest;
use crate::exchange::core::{Exchange, ExchangeOutput, OrderName, Reject};

use super::admission::SpotPlaced;
use super::checks::Asked;
use super::events::Told;
use super::funds::Counts;
use super::leaving::Ending;
use super::reject::SpotReject;
use super::state::ListView;

/// How a client names an order or a list: by number, by its own id, or by both, which must agree then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    pub id: Option<u64>,
    pub client: Option<ClientOrderId>,
}

/// What an order must be like for its cancel to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum CancelRestriction {
    OnlyNew,
    OnlyPartiallyFilled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelRequest {
    pub symbol: Symbol,
    pub named: Named,
    /// What the cancel itself is called.
    pub name: ClientOrderId,
    pub restriction: Option<CancelRestriction>,
}

/// What a cancel ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Canceled {
    Order(Box<OrderView>),
    /// With every order that had not ended before.
    List(ListView, Vec<OrderView>),
}

/// Both halves of a cancel-and-replace. `placed` is `None` where the new order was not attempted.
#[derive(Debug, Clone, PartialEq)]
pub struct CancelReplaced {
    pub canceled: Result<Canceled, Reject>,
    pub placed: Option<Result<SpotPlaced, Reject>>,
}

impl Exchange {
    /// Cancels an open order, and the list that it belongs to.
    ///
    /// # Errors
    /// When no such order is open, or it is not as it must be.
    pub fn cancel_spot(
        &mut self,
        now: Timestamp,
        account: AccountId,
        request: &CancelRequest,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<Canceled, Reject> {
        let index = self.account_index(account)?;
        let (symbol, slot) = self.find_named(index, request.symbol, request.named)?.ok_or(Reject::UnknownOrder)?;
        let order = self.markets[symbol].orders.get(slot).ok_or(Reject::UnknownOrder)?;
        let fits = match request.restriction {
            None => true,
            Some(CancelRestriction::OnlyNew) => order.filled == 0,
            Some(CancelRestriction::OnlyPartiallyFilled) => order.filled > 0,
        };
        if !fits {
            return Err(Reject::Spot(SpotReject::CancelRestricted));
        }
        let (id, list) = (order.id, order.list_id);
        let open = list.map(|list| self.open_in_list(list)).unwrap_or_default();
        self.end_spot(now, symbol, slot, Ending::Canceled(Some(request.name)), out);
        self.settle_spot(now, out);
        match list.and_then(|list| self.list(account, list)) {
            Some(list) => Ok(Canceled::List(list, self.shown_again(account, request.symbol, &open))),
            None => self
                .order(account, request.symbol, OrderName::Id(id))
                .map(|order| Canceled::Order(Box::new(order)))
                .ok_or(Reject::UnknownOrder),
        }
    }

    /// Cancels a list.
    ///
    /// # Errors
    /// When no such list lives.
    pub fn cancel_list(
        &mut self,
        now: Timestamp,
        account: AccountId,
        request: &CancelRequest,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<Canceled, Reject> {
        let index = self.account_index(account)?;
        let symbol = self.symbol_index(request.symbol).ok_or(Reject::UnknownSymbol)?;
        let Named { id, client } = request.named;
        let mut lists = self.spot.lists.values().filter(|list| list.account == index && list.symbol == symbol);
        let list = lists.find(|list| match id {
            Some(id) => list.id == id,
            None => Some(list.client_id) == client,
        });
        let list = list.ok_or(Reject::UnknownOrder)?;
        if client.is_some_and(|client| client != list.client_id) {
            return Err(Reject::Spot(SpotReject::NamesDiffer));
        }
        let (id, first) = (list.id, self.open_legs(list).first().copied().ok_or(Reject::UnknownOrder)?);
        let open = self.open_in_list(id);
        self.end_spot(now, first.0, first.1, Ending::Canceled(Some(request.name)), out);
        self.settle_spot(now, out);
        let list = self.list(account, id).ok_or(Reject::UnknownOrder)?;
        Ok(Canceled::List(list, self.shown_again(account, request.symbol, &open)))
    }

    /// Cancels everything that an account has open on a symbol, lists included.
    ///
    /// # Errors
    /// When there is nothing.
    pub fn cancel_all_spot(
        &mut self,
        now: Timestamp,
        account: AccountId,
        symbol: Symbol,
        name: ClientOrderId,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<Vec<Canceled>, Reject> {
        self.symbol_index(symbol).ok_or(Reject::UnknownSymbol)?;
        let ids: Vec<u64> = self.open_orders(account, Some(symbol)).iter().map(|view| view.order.venue_order_id).collect();
        if ids.is_empty() {
            return Err(Reject::UnknownOrder);
        }
        let cancel = |id| CancelRequest { symbol, named: Named { id: Some(id), client: None }, name, restriction: None };
        // An order that went with its list is open no more.
        Ok(ids.into_iter().filter_map(|id| self.cancel_spot(now, account, &cancel(id), out).ok()).collect())
    }

    /// Cancels one order and places another. The new order's filters are looked at before anything is done.
    ///
    /// # Errors
    /// The filter that the new order does not pass: nothing was done then.
    pub fn cancel_replace(
        &mut self,
        now: Timestamp,
        account: AccountId,
        cancel: &CancelRequest,
        order: &OrderRequest,
        stop_on_failure: bool,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<CancelReplaced, Reject> {
        let index = self.account_index(account)?;
        let symbol = self.spot_symbol(order)?;
        let grid = self.check_filters(Asked { now, account: index, symbol }, order, Counts::default())?;
        let canceled = self.cancel_spot(now, account, cancel, out);
        let attempt = canceled.is_ok() || !stop_on_failure;
        let placed = attempt.then(|| self.place_spot_order(now, account, order, out));
        if let (Ok(_), Some(Err(refusal))) = (&canceled, &placed) {
            let refused = self.spot_order(now, symbol, index, order, grid);
            self.tell_refused(now, symbol, &refused, *refusal);
        }
        Ok(CancelReplaced { canceled, placed })
    }

    /// Tells that the order which was to take a cancelled one's place was refused: the one refusal that a user stream has. It
    /// has a number of its own, and is nowhere afterwards.
    fn tell_refused(&mut self, now: Timestamp, symbol: usize, order: &Order, refusal: Reject) {
        self.next_order_id = self.next_order_id.max(order.id + 1);
        let view = self.view(symbol, order, OrderStatus::Rejected);
        let told = Told { refusal: Some(refusal), ..Told::of(ExecutionType::Rejected) };
        self.tell_order(now, self.accounts[order.account].id, view, told);
    }

    /// An open order by its names.
    ///
    /// # Errors
    /// When the order of that number has another client id.
    pub(super) fn find_named(&self, account: usize, symbol: Symbol, named: Named) -> Result<Option<(usize, u32)>, Reject> {
        let Some(id) = named.id else {
            return Ok(named.client.and_then(|client| self.find_open(account, symbol, OrderName::Client(client))));
        };
        let found = self.find_open(account, symbol, OrderName::Id(id));
        let order = found.and_then(|(symbol, slot)| self.markets[symbol].orders.get(slot));
        let differs = order.is_some_and(|order| named.client.is_some_and(|client| client != order.client_order_id));
        if differs { Err(Reject::Spot(SpotReject::NamesDiffer)) } else { Ok(found) }
    }

    fn open_in_list(&self, list: u64) -> Vec<u64> {
        let Some(list) = self.spot.lists.get(&list) else { return Vec::new() };
        let orders = self.open_legs(list).into_iter().filter_map(|(symbol, slot)| self.markets[symbol].orders.get(slot));
        orders.map(|order| order.id).collect()
    }

    fn shown_again(&self, account: AccountId, symbol: Symbol, ids: &[u64]) -> Vec<OrderView> {
        ids.iter().filter_map(|id| self.order(account, symbol, OrderName::Id(*id))).collect()
    }
}
