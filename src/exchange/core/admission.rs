//! From a request to an accepted order: the venue's filters in the venue's order, then whether the account may (position side,
//! reduce-only, margin), then whether the order can do what it insists on (post-only, fill-or-kill).

use rust_decimal::Decimal;

use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, Lots, Ticks};
use crate::domain::money::{Money, Price};
use crate::domain::order::{EndReason, NewOrder, OrderKind, OrderStatus, PositionSide, Side, TimeInForce, VenueEvent};
use crate::domain::time::Timestamp;

use super::account::Slot;
use super::orders::{OnGrid, Order, QUEUE_UNKNOWN, Trigger, is_better};
use super::reject::Reject;
use super::report::ExecutionType;
use super::request::OrderRequest;
use super::{Exchange, ExchangeOutput, Market, TriggerPrice};

impl Exchange {
    /// Takes an order or refuses it; its id. What it did is told in `out` and in the reports.
    pub(super) fn place(
        &mut self,
        now: Timestamp,
        account: usize,
        request: &OrderRequest,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<u64, Reject> {
        let symbol = self.symbol_index(request.order.symbol).ok_or(Reject::UnknownSymbol)?;
        let spot = self.markets[symbol].unit.spot;
        let grid = self.check_request(symbol, account, &request.order)?;
        let effective = OrderRequest { order: self.effective(symbol, account, &request.order), extras: request.extras.clone() };
        let order = Order::new(self.next_order_id, account, &effective, grid, now);
        let viable = if order.trigger.is_some() { self.check_trigger(symbol, &order) } else { self.check_viable(symbol, &order) };
        let viable = match viable {
            // Spot accepts a fill-or-kill order and expires it.
            Err(Reject::CannotFillWhole) if spot => false,
            other => other.map(|()| true)?,
        };
        let id = order.id;
        self.accept(now, symbol, order, viable, out);
        Ok(id)
    }

    fn accept(&mut self, now: Timestamp, symbol: usize, order: Order, viable: bool, out: &mut Vec<ExchangeOutput>) {
        self.next_order_id += 1;
        let event = VenueEvent::Accepted { client_order_id: order.client_order_id, venue_order_id: order.id, at: now };
        out.push(ExchangeOutput { account: self.accounts[order.account].id, event });
        if self.reports.is_on() {
            let view = self.view(symbol, &order, OrderStatus::Working);
            let account = self.accounts[order.account].id;
            self.report_order(now, ExecutionType::New, || (account, view));
        }
        if !viable {
            self.finish(now, symbol, order, Some(EndReason::Expired), out);
        } else if order.trigger.is_some() {
            self.open(symbol, order);
        } else {
            self.execute(now, symbol, order, out);
            self.fire_triggers(now, symbol, out);
        }
    }

    /// In hedge mode an order against its own leg can only close it. On spot a sale can only reduce: it is an order like any
    /// other, bounded by what is held and not promised yet.
    fn effective(&self, symbol: usize, account: usize, request: &NewOrder) -> NewOrder {
        let closes = self.accounts[account].hedge && closes_leg(request);
        let reduce_only = !self.markets[symbol].unit.spot && (request.reduce_only || closes);
        NewOrder { reduce_only, ..request.clone() }
    }

    /// The checks that need no liquidity: names, grid, sizes, bands, caps.
    fn check_request(&self, symbol: usize, account: usize, request: &NewOrder) -> Result<OnGrid, Reject> {
        let market = &self.markets[symbol];
        let holder = &self.accounts[account];
        if holder.open.contains_key(&request.client_order_id) {
            return Err(Reject::DuplicateClientOrderId);
        }
        let hedged = request.position_side != PositionSide::Both;
        if hedged != (holder.hedge && !market.unit.spot) {
            return Err(Reject::PositionSideMismatch);
        }
        // The venue's wire has no such parameter where it goes without saying (spot, a hedged leg), and an adapter leaves it
        // out there. Asked for of an order that could only open, it is a promise that cannot be kept.
        if request.reduce_only && ((holder.hedge && !closes_leg(request)) || (market.unit.spot && request.side == Side::Buy)) {
            return Err(Reject::ReduceOnly);
        }
        let grid = on_grid(&market.instrument, request)?;
        check_band(market, request)?;
        check_notional(market, &self.effective(symbol, account, request))?;
        if let Some(slot) = holder.slots.get(&symbol) {
            if grid.trigger.is_none() && slot.open_orders - slot.waiting_orders >= self.config.open_orders_max {
                return Err(Reject::TooManyOrders);
            }
            if grid.trigger.is_some() && slot.waiting_orders >= self.config.waiting_orders_max {
                return Err(Reject::TooManyStops);
            }
        }
        Ok(grid)
    }

    /// A stop is taken without margin, unless it would fire at once.
    fn check_trigger(&self, symbol: usize, order: &Order) -> Result<(), Reject> {
        let reached = |trigger: Trigger| self.trigger_price(symbol).is_some_and(|price| trigger.is_reached(price));
        if order.trigger.is_some_and(reached) { Err(Reject::WouldTrigger) } else { Ok(()) }
    }

    pub(super) fn trigger_price(&self, symbol: usize) -> Option<Ticks> {
        let market = &self.markets[symbol];
        match self.config.trigger_price {
            TriggerPrice::Last => market.last,
            TriggerPrice::Mark => market.mark.or(market.last),
        }
    }

    /// What must hold at the moment when the order goes to the book: on arrival, or when its trigger fires.
    pub(super) fn check_viable(&self, symbol: usize, order: &Order) -> Result<(), Reject> {
        let market = &self.markets[symbol];
        if order.reduce_only && self.reducible(symbol, order) == 0 {
            return Err(Reject::ReduceOnly);
        }
        let opposite = self.best_opposite(symbol, order.side);
        let crosses = opposite.is_some_and(|price| order.accepts(price));
        if order.time_in_force == TimeInForce::PostOnly && crosses {
            return Err(Reject::WouldTake);
        }
        if order.limit.is_none() {
            let bound = self.market_bound(symbol, order.side);
            if bound.zip(opposite).is_some_and(|(bound, price)| is_better(order.side.opposite(), bound, price)) {
                return Err(Reject::MarketOutsideBand);
            }
            if market.reference().is_none() {
                return Err(Reject::NoMarket);
            }
        }
        self.check_margin(symbol, order)?;
        if order.time_in_force == TimeInForce::FillOrKill && self.fillable(symbol, order) < order.remaining() {
            return Err(Reject::CannotFillWhole);
        }
        Ok(())
    }

    /// Initial margin, open orders included. What makes nothing larger always passes.
    fn check_margin(&self, symbol: usize, order: &Order) -> Result<(), Reject> {
        let market = &self.markets[symbol];
        let account = &self.accounts[order.account];
        let leverage = self.starting_leverage(symbol);
        let slot = account.slots.get(&symbol);
        if market.unit.spot && order.side == Side::Sell {
            let free = slot.map_or(0, |slot| slot.net.lots - slot.selling);
            return if order.quantity > free { Err(Reject::Margin) } else { Ok(()) };
        }
        if order.reduce_only {
            return Ok(());
        }
        let empty = Slot::new(leverage, account.hedge);
        let slot = slot.unwrap_or(&empty);
        let Some(reference) = market.reference().or(order.limit) else { return Err(Reject::NoMarket) };
        let worst = match (order.limit, self.best_opposite(symbol, order.side)) {
            (Some(limit), _) => limit,
            (None, Some(opposite)) => opposite,
            (None, None) => reference,
        };
        // A sell fills at its limit or better, and better is a larger short.
        let price = if order.side == Side::Sell { worst.max(reference) } else { worst };
        let value = i128::from(order.quantity) * i128::from(price.0);
        let (buys, sells) = if order.side == Side::Buy { (value, 0) } else { (0, value) };
        let needs = slot.margin(&market.unit, reference, buys, sells) - slot.margin(&market.unit, reference, 0, 0);
        if needs > Decimal::ZERO && needs > self.available(order.account) { Err(Reject::Margin) } else { Ok(()) }
    }

    /// What an account can still put up as margin. An isolated position's margin is spent, and its profit is its own.
    pub(super) fn available(&self, account: usize) -> Decimal {
        let account = &self.accounts[account];
        let mut free = account.wallet;
        for (index, slot) in account.slots.iter().filter(|(_, slot)| !slot.is_idle()) {
            let market = &self.markets[*index];
            let Some(mark) = market.reference() else { continue };
            if slot.isolated {
                free -= slot.isolated_wallet() + self.margin_of(market, slot).open_order_initial;
                continue;
            }
            if !market.unit.spot {
                free += slot.unrealized(&market.unit, mark);
            }
            free -= slot.margin(&market.unit, mark, 0, 0);
        }
        free
    }

    pub(super) fn set_leverage(&mut self, now: Timestamp, account: usize, symbol: Symbol, leverage: u8) -> VenueEvent {
        match self.change_leverage(now, self.accounts[account].id, symbol, leverage) {
            Ok(_) => VenueEvent::LeverageIs { symbol, leverage },
            Err(reject) => {
                let (code, message) = reject.words(false);
                VenueEvent::CommandFailed { command: format!("set leverage of {symbol} to {leverage}"), why: format!("{code} {message}") }
            }
        }
    }

    /// External lots that trade before an order which joins now.
    pub(super) fn queue_at(&self, symbol: usize, side: Side, price: Ticks) -> i64 {
        let external = &self.markets[symbol].external;
        if external.is_inferred() {
            return QUEUE_UNKNOWN;
        }
        if external.displayed(side, price) > 0 {
            return external.available(side, price);
        }
        let inside = external.is_anchored() && external.touch(side).is_some_and(|touch| is_better(side, price, touch.price));
        if inside { 0 } else { QUEUE_UNKNOWN }
    }
}

fn closes_leg(request: &NewOrder) -> bool {
    matches!((request.position_side, request.side), (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy))
}

fn on_grid(instrument: &Instrument, request: &NewOrder) -> Result<OnGrid, Reject> {
    let price = |price: Price, not_positive: Reject| match instrument.ticks(price) {
        _ if !price.is_positive() => Err(not_positive),
        Some(ticks) => Ok(ticks),
        None => Err(Reject::PriceOffGrid),
    };
    if !request.quantity.is_positive() {
        return Err(Reject::QuantityNotPositive);
    }
    let limit = request.kind.limit_price().map(|limit| price(limit, Reject::PriceNotPositive)).transpose()?;
    let trigger = request.kind.trigger().map(|trigger| price(trigger, Reject::TriggerNotPositive)).transpose()?;
    if request.quantity < instrument.min_quantity {
        return Err(Reject::QuantityTooSmall);
    }
    if request.quantity > instrument.max_quantity {
        return Err(Reject::QuantityTooLarge);
    }
    let Lots(quantity) = instrument.lots(request.quantity).ok_or(Reject::QuantityOffGrid)?;
    Ok(OnGrid { limit, trigger, quantity })
}

/// PERCENT_PRICE against the mark: a buy has a ceiling, a sell a floor.
fn check_band(market: &Market, request: &NewOrder) -> Result<(), Reject> {
    // A conditional limit is held to the band around its own trigger: it is meant for when the price is there.
    let reference = request.kind.trigger().or_else(|| market.reference().map(|mark| market.instrument.price(mark)));
    let (Some(limit), Some(reference)) = (request.kind.limit_price(), reference) else { return Ok(()) };
    let band = market.instrument.price_band.0;
    match request.side {
        Side::Buy if limit.0 > reference.0 * (Decimal::ONE + band) => Err(Reject::PriceTooHigh),
        Side::Sell if limit.0 < reference.0 * (Decimal::ONE - band) => Err(Reject::PriceTooLow),
        _ => Ok(()),
    }
}

fn check_notional(market: &Market, request: &NewOrder) -> Result<(), Reject> {
    let mark = || market.reference().map(|mark| market.instrument.price(mark));
    let valued_at = match request.kind {
        OrderKind::Market => mark(),
        _ => request.kind.limit_price().or_else(|| request.kind.trigger()),
    };
    let value = valued_at.map_or(Money::ZERO, |price| price * request.quantity);
    if valued_at.is_none() {
        return Err(Reject::NoMarket);
    }
    market.instrument.check_notional(value, request.reduce_only).map_err(|_| Reject::NotionalTooSmall)
}
