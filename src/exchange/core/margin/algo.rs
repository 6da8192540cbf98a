//! The algo service: conditional orders with an id space of their own. They wait beside the book, hold no margin, and are seen by
//! nobody who asks for orders. When one goes off, a plain order is placed in its name; from then on the algo order only tells
//! what became of that.

use serde::{Deserialize, Serialize};

use super::super::orders::Order;
use super::super::report::{OrderView, UserEvent};
use super::super::request::{AlgoName, Extras, OrderRequest};
use super::super::{Exchange, ExchangeOutput, Reject};
use super::UsdmReject;
use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::Lots;
use crate::domain::money::{Price, Quantity};
use crate::domain::order::{NewOrder, OrderKind, OrderStatus};
use crate::domain::time::Timestamp;

/// Their numbers and those of orders never meet, on the venue neither: clients keep both in one table. No exchange has so many orders.
pub const FIRST_ALGO_ID: u64 = 1_000_000_000_001;
/// Algo orders that an account may have waiting, over all symbols.
pub const ALGOS_MAX: usize = 200;
/// Ended algo orders that an account can still list: as many as it has ended orders.
const ENDED_KEPT: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum AlgoStatus {
    /// Waits.
    New,
    /// Its trigger was reached; its order is on the way.
    Triggering,
    /// Its order was taken.
    Triggered,
    /// Its order is over.
    Finished,
    Canceled,
    /// Its order was refused.
    Rejected,
    /// The system ended it.
    Expired,
}

impl AlgoStatus {
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Canceled | Self::Rejected | Self::Expired)
    }
}

/// The plain order that an algo order became.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActualOrder {
    pub id: u64,
    pub average_price: Price,
    pub filled: Quantity,
}

/// An algo order as any answer or event shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlgoView {
    /// What was asked for: its kind has the trigger, `venue_order_id` is the algo id, `client_order_id` the client algo id. The
    /// quantity of one that closes a position is zero.
    pub order: OrderView,
    pub status: AlgoStatus,
    #[serde(default)]
    pub triggered_at: Option<Timestamp>,
    #[serde(default)]
    pub actual: Option<ActualOrder>,
    /// Why its order was refused.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How a client names an algo order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlgoId {
    Id(u64),
    Client(ClientOrderId),
}

impl AlgoView {
    #[must_use]
    pub const fn algo_id(&self) -> u64 {
        self.order.order.venue_order_id
    }

    #[must_use]
    pub const fn client_algo_id(&self) -> ClientOrderId {
        self.order.order.client_order_id
    }

    fn is(&self, id: AlgoId) -> bool {
        match id {
            AlgoId::Id(id) => self.algo_id() == id,
            AlgoId::Client(id) => self.client_algo_id() == id,
        }
    }
}

impl Exchange {
    /// Takes a conditional order into the algo service; its `client_order_id` is the client algo id. Margin is not asked for.
    ///
    /// # Errors
    /// The venue's definite no: a duplicate id, the filters, too many, a trigger that is reached already.
    pub fn place_algo(&mut self, now: Timestamp, account: AccountId, request: &OrderRequest) -> Result<AlgoView, Reject> {
        let holder = self.account_index(account)?;
        let symbol = self.symbol_index(request.order.symbol).ok_or(Reject::UnknownSymbol)?;
        let request = self.completed(symbol, holder, request)?;
        let client_algo_id = request.order.client_order_id;
        if self.accounts[holder].margin.algos.contains_key(&client_algo_id) {
            return Err(Reject::DuplicateClientOrderId);
        }
        let grid = self.check_request(symbol, holder, &request)?;
        if self.accounts[holder].margin.algos.len() >= ALGOS_MAX {
            return Err(Reject::TooManyStops);
        }
        let algo_id = self.next_algo_id;
        let mut order = Order::new(algo_id, holder, &request, grid, now);
        if order.trigger.is_none() {
            return Err(Reject::TriggerNotPositive);
        }
        order.extras.get_or_insert_default().algo = Some(AlgoName { algo_id, client_algo_id });
        if order.lasts_with_position() && self.reducible(symbol, &order) == 0 {
            return Err(UsdmReject::WithoutPosition.into());
        }
        self.arm(symbol, &mut order)?;
        self.check_trigger(symbol, &order)?;
        self.next_algo_id += 1;
        let view = self.algo_view(symbol, &order, AlgoStatus::New);
        self.insert_algo(symbol, order);
        self.report_algo(now, account, &view);
        Ok(view)
    }

    /// Ends a waiting algo order.
    ///
    /// # Errors
    /// When none of that name waits.
    pub fn cancel_algo(&mut self, now: Timestamp, account: AccountId, id: AlgoId) -> Result<AlgoView, Reject> {
        let holder = self.account_index(account)?;
        let (symbol, slot) = self.find_algo(holder, id).ok_or(Reject::UnknownOrder)?;
        self.end_algo(now, symbol, slot, AlgoStatus::Canceled).ok_or(Reject::UnknownOrder)
    }

    /// Ends every waiting algo order of an account, on one symbol or on all; how many.
    ///
    /// # Errors
    /// When the account is unknown.
    pub fn cancel_all_algos(&mut self, now: Timestamp, account: AccountId, symbol: Option<Symbol>) -> Result<usize, Reject> {
        let holder = self.account_index(account)?;
        let only = symbol.map(|symbol| self.symbol_index(symbol));
        let waiting =
            self.accounts[holder].margin.algos.values().copied().filter(|(index, _)| only.is_none_or(|only| only == Some(*index)));
        let waiting: Vec<_> = waiting.collect();
        for (symbol, slot) in &waiting {
            self.end_algo(now, *symbol, *slot, AlgoStatus::Canceled);
        }
        Ok(waiting.len())
    }

    /// One algo order, waiting or ended; of several under one client id, the newest.
    #[must_use]
    pub fn algo_order(&self, account: AccountId, id: AlgoId) -> Option<AlgoView> {
        let holder = self.account_index(account).ok()?;
        if let Some((symbol, slot)) = self.find_algo(holder, id) {
            return Some(self.algo_view(symbol, self.markets[symbol].algos.get(slot)?, AlgoStatus::New));
        }
        self.accounts[holder].margin.ended_algos.iter().rev().find(|view| view.is(id)).cloned()
    }

    /// The waiting algo orders of an account, oldest first.
    #[must_use]
    pub fn open_algos(&self, account: AccountId, symbol: Option<Symbol>) -> Vec<AlgoView> {
        let Ok(holder) = self.account_index(account) else { return Vec::new() };
        let waiting = self.accounts[holder].margin.algos.values();
        let shown =
            waiting.filter_map(|(index, slot)| Some(self.algo_view(*index, self.markets[*index].algos.get(*slot)?, AlgoStatus::New)));
        let mut views: Vec<AlgoView> = shown.filter(|view| symbol.is_none_or(|symbol| view.order.order.symbol == symbol)).collect();
        views.sort_unstable_by_key(AlgoView::algo_id);
        views
    }

    /// Every algo order of an account that is still remembered, oldest first.
    #[must_use]
    pub fn all_algos(&self, account: AccountId, symbol: Option<Symbol>) -> Vec<AlgoView> {
        let Ok(holder) = self.account_index(account) else { return Vec::new() };
        let mut views = self.open_algos(account, symbol);
        let ended = self.accounts[holder].margin.ended_algos.iter();
        views.extend(ended.filter(|view| symbol.is_none_or(|symbol| view.order.order.symbol == symbol)).cloned());
        views.sort_unstable_by_key(AlgoView::algo_id);
        views
    }

    fn find_algo(&self, account: usize, id: AlgoId) -> Option<(usize, u32)> {
        let waiting = &self.accounts[account].margin.algos;
        match id {
            AlgoId::Client(id) => waiting.get(&id).copied(),
            AlgoId::Id(id) => {
                let is_it = |(symbol, slot): &(usize, u32)| self.markets[*symbol].algos.get(*slot).is_some_and(|order| order.id == id);
                waiting.values().copied().find(is_it)
            }
        }
    }

    /// Puts an algo order among the waiting.
    pub(in super::super) fn insert_algo(&mut self, symbol: usize, order: Order) {
        let (account, id, client_algo_id) = (order.account, order.id, order.client_order_id);
        self.note_date(order.extras.as_ref().and_then(|extras| extras.good_till));
        let slot = self.markets[symbol].algos.insert(order);
        self.accounts[account].margin.algos.insert(client_algo_id, (symbol, slot));
        self.changes.algo(symbol, slot, id);
    }

    fn remove_algo(&mut self, symbol: usize, slot: u32) -> Option<Order> {
        let order = self.markets[symbol].algos.remove(slot)?;
        self.accounts[order.account].margin.algos.remove(&order.client_order_id);
        self.changes.algo(symbol, slot, order.id);
        Some(order)
    }

    /// Ends a waiting algo order without its trigger.
    pub(super) fn end_algo(&mut self, now: Timestamp, symbol: usize, slot: u32, status: AlgoStatus) -> Option<AlgoView> {
        let mut order = self.remove_algo(symbol, slot)?;
        order.updated_at = now;
        let view = self.algo_view(symbol, &order, status);
        self.keep_ended(order.account, view.clone());
        self.report_algo(now, self.accounts[order.account].id, &view);
        Some(view)
    }

    /// Ends an account's algo orders whose position is gone, the oldest first.
    pub(in super::super) fn end_with_position(&mut self, now: Timestamp, symbol: usize, account: usize) {
        let waiting = self.accounts[account].margin.algos.values().filter(|(index, _)| *index == symbol);
        let ends = |slot: &u32| {
            let order = self.markets[symbol].algos.get(*slot)?;
            (order.lasts_with_position() && self.reducible(symbol, order) == 0).then_some((order.id, *slot))
        };
        let mut ended: Vec<(u64, u32)> = waiting.filter_map(|(_, slot)| ends(slot)).collect();
        ended.sort_unstable();
        for (_, slot) in ended {
            self.end_algo(now, symbol, slot, AlgoStatus::Expired);
        }
    }

    /// The trigger was reached: a plain order takes the algo order's place, or the refusal of one ends it.
    pub(super) fn fire_algo(&mut self, now: Timestamp, symbol: usize, slot: u32, out: &mut Vec<ExchangeOutput>) {
        let Some(mut order) = self.remove_algo(symbol, slot) else { return };
        order.updated_at = now;
        let (account, id) = (order.account, self.accounts[order.account].id);
        let mut view = self.algo_view(symbol, &order, AlgoStatus::Triggering);
        view.triggered_at = Some(now);
        self.keep_ended(account, view.clone());
        self.report_algo(now, id, &view);
        let placed = match self.plain_order_of(symbol, &order) {
            Some(request) => self.take_in(now, symbol, account, &request, out),
            None => Err(Reject::ReduceOnly),
        };
        if let Err(reject) = placed {
            let reason = reject.words(false).1.to_owned();
            self.update_ended(now, account, order.id, |view| {
                view.status = AlgoStatus::Rejected;
                view.reason = Some(reason);
            });
        }
    }

    /// What an algo order sends when it goes off. It bears the algo order's client id where no open order does. `None` for one
    /// that closes a position which is not there any more.
    fn plain_order_of(&self, symbol: usize, order: &Order) -> Option<OrderRequest> {
        let instrument = &self.markets[symbol].instrument;
        let extras = order.extras.as_deref().cloned().unwrap_or_default();
        let taken = self.accounts[order.account].open.contains_key(&order.client_order_id);
        // Invariant: a number and a prefix are within the name's length and characters.
        let numbered = || ClientOrderId::new(&format!("algo-{}", order.id)).expect("a short name");
        let lots = if extras.close_position { self.reducible(symbol, order).min(self.lots_at_once(symbol)) } else { order.quantity };
        if lots == 0 {
            return None;
        }
        let kind = order.limit.map_or(OrderKind::Market, |limit| OrderKind::Limit { price: instrument.price(limit) });
        let order = NewOrder {
            client_order_id: if taken { numbered() } else { order.client_order_id },
            symbol: instrument.symbol,
            side: order.side,
            position_side: order.position_side,
            kind,
            time_in_force: order.time_in_force,
            quantity: instrument.quantity(Lots(lots)),
            reduce_only: order.reduce_only,
            self_trade_prevention: order.self_trade_prevention,
        };
        Some(OrderRequest { order, extras: Extras { good_till: extras.good_till, algo: extras.algo, ..Extras::default() } })
    }

    /// The largest market order of a symbol.
    fn lots_at_once(&self, symbol: usize) -> i64 {
        let market = &self.markets[symbol];
        let largest = market.instrument.max_quantity.min(market.perpetual.rules.market_quantity_max);
        market.instrument.lots(market.instrument.quantity_down(largest)).map_or(i64::MAX, |lots| lots.0)
    }

    /// An algo order's plain order was taken.
    pub(in super::super) fn note_triggered(&mut self, now: Timestamp, order: &Order) {
        let Some(name) = order.extras.as_ref().and_then(|extras| extras.algo) else { return };
        let actual = ActualOrder { id: order.id, average_price: Price::ZERO, filled: Quantity::ZERO };
        self.update_ended(now, order.account, name.algo_id, |view| {
            view.status = AlgoStatus::Triggered;
            view.actual = Some(actual);
        });
    }

    /// An algo order's plain order is over.
    pub(in super::super) fn note_finished(&mut self, now: Timestamp, account: usize, order: &OrderView) {
        let Some(name) = order.extras.algo else { return };
        let actual = ActualOrder { id: order.order.venue_order_id, average_price: order.average_price(), filled: order.order.filled };
        self.update_ended(now, account, name.algo_id, |view| {
            view.status = AlgoStatus::Finished;
            view.actual = Some(actual);
        });
    }

    fn update_ended(&mut self, now: Timestamp, account: usize, algo_id: u64, change: impl FnOnce(&mut AlgoView)) {
        let holder = &mut self.accounts[account];
        let Some(view) = holder.margin.ended_algos.iter_mut().rev().find(|view| view.algo_id() == algo_id) else { return };
        change(view);
        view.order.order.updated_at = now;
        let (id, view) = (holder.id, view.clone());
        self.changes.ended_algo(id, &view);
        self.report_algo(now, id, &view);
    }

    fn keep_ended(&mut self, account: usize, view: AlgoView) {
        let holder = &mut self.accounts[account];
        self.changes.ended_algo(holder.id, &view);
        if holder.margin.ended_algos.len() >= ENDED_KEPT {
            holder.margin.ended_algos.pop_front();
        }
        holder.margin.ended_algos.push_back(view);
    }

    fn algo_view(&self, symbol: usize, order: &Order, status: AlgoStatus) -> AlgoView {
        let shown = match status {
            AlgoStatus::Canceled => OrderStatus::Canceled,
            AlgoStatus::Expired => OrderStatus::Expired,
            _ => OrderStatus::Working,
        };
        AlgoView { order: self.view(symbol, order, shown), status, triggered_at: None, actual: None, reason: None }
    }

    fn report_algo(&mut self, now: Timestamp, account: AccountId, view: &AlgoView) {
        self.reports.add(now, account, || UserEvent::Algo(std::sync::Arc::new(view.clone())));
    }
}

impl Order {
    /// `GTE_GTC`.
    fn lasts_with_position(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.with_position)
    }
}
