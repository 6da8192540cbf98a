//! Placing order lists: OCO, OTO and OTOCO. All of it is checked first; then it stands whole, or nothing of it does.

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::Ticks;
use crate::domain::order::{OrderKind, Side};
use crate::domain::time::Timestamp;
use crate::exchange::core::orders::Order;
use crate::exchange::core::report::{OrderView, TradeView};
use crate::exchange::core::request::OrderRequest;
use crate::exchange::core::{Exchange, ExchangeOutput, OrderName, Reject};

use super::admission::Viability;
use super::checks::{Asked, is_algo};
use super::funds::Counts;
use super::leaving::Ending;
use super::lists::{OrderList, Phase};
use super::reject::SpotReject;
use super::state::{Contingency, ExpiryReason, ListLeg, ListProgress, ListView};

/// An order list as it is asked for. An OCO has two orders, an OTO the working one and the one or two that wait for it; a pair's
/// stop comes before its other order, as the venue shows them.
#[derive(Debug, Clone, PartialEq)]
pub struct ListRequest {
    pub symbol: Symbol,
    pub client_id: ClientOrderId,
    pub contingency: Contingency,
    pub orders: Vec<OrderRequest>,
}

/// A new list as it stands when its answer is given.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedList {
    pub list: ListView,
    pub orders: Vec<OrderView>,
    /// Of each order, what it traded on arrival.
    pub trades: Vec<Vec<TradeView>>,
}

impl Exchange {
    /// Takes a list whole or refuses it whole.
    ///
    /// # Errors
    /// The venue's definite no.
    pub fn place_list(
        &mut self,
        now: Timestamp,
        account: AccountId,
        request: &ListRequest,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<PlacedList, Reject> {
        let index = self.account_index(account)?;
        let symbol = self.symbol_index(request.symbol).filter(|symbol| self.markets[*symbol].unit.spot).ok_or(Reject::UnknownSymbol)?;
        let mut orders = self.check_list(Asked { now, account: index, symbol }, request)?;
        let first_viable = self.check_start(symbol, request.contingency, &mut orders)?;
        let reports = self.reports.len();
        let id = self.register_list(now, index, symbol, request, &orders);
        let ids: Vec<u64> = orders.iter().map(|order| order.id).collect();
        self.tell_list(now, id, ListProgress::Started);
        let orders: Vec<Order> = orders.into_iter().map(|order| self.accept_spot(now, symbol, order, out)).collect();
        self.start_list(now, symbol, orders, first_viable, out);
        let shown = ids.iter().filter_map(|id| self.order(account, request.symbol, OrderName::Id(*id))).collect();
        let list = self.list(account, id).ok_or(Reject::UnknownOrder)?;
        let trades = ids.iter().map(|id| self.trades_since(reports, *id)).collect();
        self.settle_spot(now, out);
        // The answer to a list says that it was placed, whatever became of it at once.
        Ok(PlacedList { list: ListView { progress: ListProgress::Started, ..list }, orders: shown, trades })
    }

    /// Filters and names of every order, the relations between them; the orders, numbered.
    fn check_list(&self, asked: Asked, request: &ListRequest) -> Result<Vec<Order>, Reject> {
        let Asked { now, account, symbol } = asked;
        let live = || self.spot.lists.values().filter(|list| list.account == account);
        let mut beside = Counts::default();
        let mut orders: Vec<Order> = Vec::with_capacity(request.orders.len());
        for (n, order) in (0..).zip(&request.orders) {
            let grid = self.check_filters(asked, order, beside)?;
            beside.orders += 1;
            beside.algos += u32::from(is_algo(&order.order.kind));
            let made = self.spot_order(now, symbol, account, order, grid);
            orders.push(Order { id: made.id + n, list_id: Some(self.spot.counters.next_list_id), ..made });
        }
        if live().filter(|list| list.symbol == symbol).count() >= self.markets[symbol].spot.filters.max_lists as usize {
            return Err(Reject::Spot(SpotReject::MaxLists));
        }
        if live().any(|list| list.client_id == request.client_id) {
            return Err(Reject::Spot(SpotReject::DuplicateList));
        }
        for (n, order) in request.orders.iter().enumerate() {
            self.check_name(account, order)?;
            if request.orders[..n].iter().any(|other| other.order.client_order_id == order.order.client_order_id) {
                return Err(Reject::DuplicateClientOrderId);
            }
        }
        Ok(orders)
    }

    /// What must hold of the orders that begin at once. The others are parked.
    fn check_start(&self, symbol: usize, contingency: Contingency, orders: &mut [Order]) -> Result<Viability, Reject> {
        match contingency {
            Contingency::Oco => {
                self.check_pair_prices(symbol, orders)?;
                // Each alone: only one of them will trade.
                orders.iter().try_for_each(|order| self.check_spot(symbol, order).map(|_| ()))?;
                Ok(Viability::Good)
            }
            Contingency::Oto => {
                let Some((working, pending)) = orders.split_first_mut() else {
                    return Err(Reject::Spot(SpotReject::UnsupportedCombination));
                };
                pending.iter_mut().for_each(|order| order.spot.parked = true);
                self.check_spot(symbol, working)
            }
        }
    }

    /// A sale's limit or take-profit stands above the last price and its stop below, a purchase's the other way round.
    fn check_pair_prices(&self, symbol: usize, orders: &[Order]) -> Result<(), Reject> {
        let Some(last) = self.markets[symbol].reference() else { return Err(Reject::NoMarket) };
        let stands = |order: &Order| -> Option<bool> {
            let is_stop = matches!(order.kind, OrderKind::StopMarket { .. } | OrderKind::StopLimit { .. });
            // A trailing leg without a stop price has nothing to compare.
            let follows = order.extras.as_ref().is_some_and(|extras| extras.trailing.is_some_and(|trailing| trailing.activation.is_none()));
            let at: Ticks = if follows { return Some(true) } else { order.trigger.map(|trigger| trigger.at).or(order.limit)? };
            Some(if is_stop == (order.side == Side::Sell) { at < last } else { at > last })
        };
        let right = orders.iter().all(|order| stands(order) == Some(true));
        if right { Ok(()) } else { Err(Reject::Spot(SpotReject::BadPairPrices)) }
    }

    fn register_list(&mut self, now: Timestamp, account: usize, symbol: usize, request: &ListRequest, orders: &[Order]) -> u64 {
        let id = self.spot.counters.next_list_id;
        self.spot.counters.next_list_id += 1;
        let phase = if request.contingency == Contingency::Oto { Phase::Working } else { Phase::Active };
        let legs = orders.iter().map(|order| ListLeg { order_id: order.id, client_order_id: order.client_order_id });
        let (client_id, contingency) = (request.client_id, request.contingency);
        let list = OrderList { id, account, symbol, client_id, contingency, legs: legs.collect(), phase, at: now };
        self.note_list(&list);
        self.spot.lists.insert(id, list);
        id
    }

    /// Parked orders first, so that the list is whole when the working one trades.
    fn start_list(&mut self, now: Timestamp, symbol: usize, orders: Vec<Order>, viable: Viability, out: &mut Vec<ExchangeOutput>) {
        let (parked, begins): (Vec<_>, Vec<_>) = orders.into_iter().partition(|order| order.spot.parked);
        parked.into_iter().for_each(|order| self.open_spot(symbol, order));
        for order in begins {
            match viable {
                Viability::Good => self.start(now, symbol, order, out),
                Viability::CannotFillWhole => {
                    self.finish_spot(now, symbol, order, Ending::Expired(ExpiryReason::UnfilledFokOrderExpired), out);
                }
            }
        }
    }
}
