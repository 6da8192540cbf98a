//! Taking a spot order: after the filters, whether the account can pay it, and whether the market lets it be what it insists on.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::domain::ids::AccountId;
use crate::domain::instrument::Ticks;
use crate::domain::money::Money;
use crate::domain::order::{OrderKind, OrderStatus, SelfTradePrevention, Side, TimeInForce, VenueEvent};
use crate::domain::time::Timestamp;
use crate::exchange::core::orders::{OnGrid, Order, is_better};
use crate::exchange::core::report::{ExecutionType, OrderView, TradeView, UserEvent};
use crate::exchange::core::request::OrderRequest;
use crate::exchange::core::{Exchange, ExchangeOutput, OrderName, Reject};

use super::checks::{Asked, passes_own};
use super::events::Told;
use super::funds::Counts;
use super::leaving::Ending;
use super::reject::SpotReject;
use super::state::{ExpiryReason, PreventedMatch};

/// A new order as it stands when its answer is given.
#[derive(Debug, Clone, PartialEq)]
pub struct SpotPlaced {
    pub order: OrderView,
    /// What it traded on arrival. Empty while the exchange keeps no reports.
    pub trades: Vec<TradeView>,
    /// Whom it would have traded with on arrival, had they not been its owner's.
    pub prevented: Vec<PreventedMatch>,
}

/// Whether an order that may be taken can do what it insists on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Viability {
    Good,
    /// Taken, and expired at once.
    CannotFillWhole,
}

impl Exchange {
    /// Takes a spot order, or refuses it for good, and shows what became of it.
    ///
    /// # Errors
    /// The venue's definite no.
    pub fn place_spot_order(
        &mut self,
        now: Timestamp,
        account: AccountId,
        request: &OrderRequest,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<SpotPlaced, Reject> {
        let index = self.account_index(account)?;
        let reports = self.reports.len();
        let id = self.place_spot(now, index, request, out)?;
        let order = self.order(account, request.order.symbol, OrderName::Id(id)).ok_or(Reject::UnknownOrder)?;
        let placed = SpotPlaced { trades: self.trades_since(reports, id), prevented: self.prevented_of(id), order };
        self.settle_spot(now, out);
        Ok(placed)
    }

    /// Whether the filters let an order through; nothing is placed.
    ///
    /// # Errors
    /// The filter that does not, in the venue's words.
    pub fn check_spot_order(&self, now: Timestamp, account: AccountId, request: &OrderRequest) -> Result<(), Reject> {
        let account = self.account_index(account)?;
        let symbol = self.spot_symbol(request)?;
        self.check_filters(Asked { now, account, symbol }, request, Counts::default()).map(|_| ())
    }

    pub(super) fn spot_symbol(&self, request: &OrderRequest) -> Result<usize, Reject> {
        let index = self.symbol_index(request.order.symbol).ok_or(Reject::UnknownSymbol)?;
        if self.markets[index].unit.spot { Ok(index) } else { Err(Reject::UnknownSymbol) }
    }

    /// The trades of an order among the reports from that place on.
    pub(super) fn trades_since(&self, reports: usize, order: u64) -> Vec<TradeView> {
        let of_it = self.reports.since(reports).iter().filter_map(|report| match &report.event {
            UserEvent::Order { trade: Some(trade), .. } if trade.fill.venue_order_id == order => Some(trade.as_ref().clone()),
            _ => None,
        });
        of_it.collect()
    }

    pub(super) fn prevented_of(&self, taker: u64) -> Vec<PreventedMatch> {
        self.spot.prevented.iter().filter(|prevented| prevented.taker_order == taker).cloned().collect()
    }

    /// Takes an order or refuses it; its id.
    pub(in crate::exchange::core) fn place_spot(
        &mut self,
        now: Timestamp,
        account: usize,
        request: &OrderRequest,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<u64, Reject> {
        let symbol = self.spot_symbol(request)?;
        let grid = self.check_filters(Asked { now, account, symbol }, request, Counts::default())?;
        self.check_name(account, request)?;
        let order = self.spot_order(now, symbol, account, request, grid);
        let viable = self.check_spot(symbol, &order)?;
        let order = self.accept_spot(now, symbol, order, out);
        let id = order.id;
        match viable {
            Viability::Good => self.start(now, symbol, order, out),
            Viability::CannotFillWhole => {
                self.finish_spot(now, symbol, order, Ending::Expired(ExpiryReason::UnfilledFokOrderExpired), out);
            }
        }
        Ok(id)
    }

    /// The order as asked for, under the next id.
    pub(super) fn spot_order(&self, now: Timestamp, symbol: usize, account: usize, request: &OrderRequest, grid: OnGrid) -> Order {
        let mut order = Order::new(self.next_order_id, account, request, grid, now);
        // It goes without saying, and nothing reduces but what is held.
        order.reduce_only = false;
        if request.extras.trailing.is_some() {
            self.begin_to_trail(now, symbol, &mut order);
        }
        order
    }

    /// Funds, and what the order insists on: at placing, or when its trigger or its list's turn comes.
    pub(super) fn check_spot(&self, symbol: usize, order: &Order) -> Result<Viability, Reject> {
        let market = &self.markets[symbol];
        if let Some(trigger) = order.trigger {
            if order.extras.as_ref().is_none_or(|extras| extras.trailing.is_none_or(|trailing| trailing.activation.is_some()))
                && self.trigger_price(symbol).is_some_and(|price| trigger.is_reached(price))
            {
                return Err(Reject::WouldTrigger);
            }
            return self.check_funds(symbol, order, self.required(symbol, order)).map(|()| Viability::Good);
        }
        if order.time_in_force == TimeInForce::PostOnly && self.best_opposite(symbol, order.side).is_some_and(|price| order.accepts(price))
        {
            return Err(Reject::WouldTake);
        }
        if order.limit.is_none() && order.side == Side::Buy {
            if market.reference().is_none() {
                return Err(Reject::NoMarket);
            }
            let cost = self.walk_cost(symbol, order);
            self.check_funds(symbol, order, cost)?;
        } else {
            self.check_funds(symbol, order, self.required(symbol, order))?;
        }
        if order.time_in_force == TimeInForce::FillOrKill && self.fillable(symbol, order) < order.remaining() {
            return Ok(Viability::CannotFillWhole);
        }
        Ok(Viability::Good)
    }

    pub(super) fn check_funds(&self, symbol: usize, order: &Order, needs: Decimal) -> Result<(), Reject> {
        if needs > self.free(order.account, self.paid_with(symbol, order.side)) { Err(Reject::Margin) } else { Ok(()) }
    }

    /// Tells that an order was taken. It stands nowhere yet.
    pub(super) fn accept_spot(&mut self, now: Timestamp, symbol: usize, order: Order, out: &mut Vec<ExchangeOutput>) -> Order {
        self.next_order_id = self.next_order_id.max(order.id + 1);
        let account = self.accounts[order.account].id;
        out.push(ExchangeOutput {
            account,
            event: VenueEvent::Accepted { client_order_id: order.client_order_id, venue_order_id: order.id, at: now },
        });
        let mut order = order;
        if order.trigger.is_none() && !order.spot.parked {
            order.spot.working_at = Some(now);
        }
        self.tell_new(now, symbol, &order);
        order
    }

    /// `NEW`: taken, triggered, or set free by its list.
    pub(super) fn tell_new(&mut self, now: Timestamp, symbol: usize, order: &Order) {
        if self.reports.is_on() {
            let status = if order.spot.parked { OrderStatus::Persisting } else { OrderStatus::Working };
            let view = self.view(symbol, order, status);
            self.tell_order(now, self.accounts[order.account].id, view, Told::of(ExecutionType::New));
        }
    }

    /// Sends a taken order where it belongs: to wait for its trigger, or to the book.
    pub(super) fn start(&mut self, now: Timestamp, symbol: usize, order: Order, out: &mut Vec<ExchangeOutput>) {
        if order.trigger.is_some() {
            self.open_spot(symbol, order);
        } else {
            self.execute_spot(now, symbol, order, out);
            self.fire_triggers(now, symbol, out);
        }
    }

    /// What a market purchase would cost now, as far as there is somebody to buy from.
    fn walk_cost(&self, symbol: usize, order: &Order) -> Decimal {
        let (mut left, mut cost) = (order.remaining(), 0_i128);
        self.walk(symbol, order.side, order.account, order.self_trade_prevention, &mut |price, lots| {
            let taken = lots.min(left);
            cost += i128::from(taken) * i128::from(price.0);
            left -= taken;
            left > 0
        });
        self.markets[symbol].unit.money(cost)
    }

    /// The lots that a quote quantity buys or sells now, none of them beyond it.
    pub(super) fn lots_for_quote(&self, symbol: usize, account: usize, request: &OrderRequest, quote: Money) -> Result<i64, Reject> {
        let market = &self.markets[symbol];
        let (mut left, mut taken, mut exhausted) = (quote.0, 0_i64, true);
        self.walk(symbol, request.order.side, account, request.order.self_trade_prevention, &mut |price, lots| {
            let each = market.unit.money(i128::from(price.0));
            let fits = left.checked_div(each).and_then(|lots| lots.floor().to_i64()).unwrap_or_default().min(lots);
            taken += fits;
            left -= each * Decimal::from(fits);
            exhausted = fits == lots;
            exhausted
        });
        let least = market.instrument.lots(market.instrument.min_quantity).map_or(1, |lots| lots.0.max(1));
        match taken {
            _ if taken >= least => Ok(taken),
            0 if exhausted => Err(Reject::Spot(SpotReject::NoLiquidity)),
            _ if exhausted => Err(Reject::Spot(SpotReject::LiquidityBelowLot)),
            _ => Err(Reject::QuantityTooSmall),
        }
    }

    /// The opposite side as a taker meets it, best price first, until `visit` has enough. Its owner's own orders are passed over
    /// or stop it, as its mode says.
    fn walk(&self, symbol: usize, side: Side, account: usize, mode: SelfTradePrevention, visit: &mut dyn FnMut(Ticks, i64) -> bool) {
        let market = &self.markets[symbol];
        let opposite = side.opposite();
        let mut levels = market.external.levels(opposite).peekable();
        let mut resting = (0..).map_while(|n| market.orders.nth(opposite, n)).peekable();
        loop {
            let level = levels.peek().copied();
            let own_first = resting.peek().is_some_and(|(_, price)| level.is_none_or(|level| is_better(opposite, *price, level.price)));
            if !own_first {
                let Some(level) = levels.next() else { return };
                if !visit(level.price, level.quantity.0) {
                    return;
                }
                continue;
            }
            let Some((slot, price)) = resting.next() else { return };
            let Some(maker) = market.orders.get(slot) else { return };
            let is_own = mode != SelfTradePrevention::None && self.accounts[account].owner == self.accounts[maker.account].owner;
            if is_own && passes_own(mode) {
                continue;
            }
            if is_own || !visit(price, maker.remaining()) {
                return;
            }
        }
    }
}

/// What the rest of an order that is not to rest expires of.
pub(super) fn expiry_of(order: &Order) -> ExpiryReason {
    match (order.time_in_force, &order.kind) {
        _ if order.limit.is_none() || order.kind == OrderKind::Market => ExpiryReason::InsufficientLiquidity,
        (TimeInForce::FillOrKill, _) => ExpiryReason::UnfilledFokOrderExpired,
        _ => ExpiryReason::UnfilledIocQuantityExpired,
    }
}
