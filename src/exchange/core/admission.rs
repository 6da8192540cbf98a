//! From a request to an accepted order: the venue's filters in the venue's order, then whether the account may (position side,
//! reduce-only, margin), then whether the order can do what it insists on (post-only, fill-or-kill).

use rust_decimal::Decimal;

use crate::domain::ids::Symbol;
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::money::{Money, Price};
use crate::domain::order::{NewOrder, OrderKind, OrderStatus, PositionSide, Side, TimeInForce, VenueEvent};
use crate::domain::time::Timestamp;

use super::account::Slot;
use super::margin::{TriggerPrices, UsdmReject, check_price_range, check_quantity_given, check_size, closes_leg};
use super::orders::{OnGrid, Order, QUEUE_UNKNOWN, is_better};
use super::reject::Reject;
use super::report::ExecutionType;
use super::request::OrderRequest;
use super::{Exchange, ExchangeOutput, Market};

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
        if self.markets[symbol].unit.spot {
            return self.place_spot(now, account, request, out);
        }
        let id = self.take_in(now, symbol, account, request, out)?;
        self.fire_triggers(now, symbol, out);
        Ok(id)
    }

    /// Takes a perpetual's order or refuses it. What its trades set off is the caller's to fire: the one that fires does so in a
    /// loop and places orders by this, so that however many conditional orders wait at one price, the stack stays as it is.
    pub(super) fn take_in(
        &mut self,
        now: Timestamp,
        symbol: usize,
        account: usize,
        request: &OrderRequest,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<u64, Reject> {
        let order = self.admit(now, symbol, account, request)?;
        let id = order.id;
        self.accept(now, symbol, order, out);
        Ok(id)
    }

    fn accept(&mut self, now: Timestamp, symbol: usize, order: Order, out: &mut Vec<ExchangeOutput>) {
        self.next_order_id += 1;
        let event = VenueEvent::Accepted { client_order_id: order.client_order_id, venue_order_id: order.id, at: now };
        out.push(ExchangeOutput { account: self.accounts[order.account].id, event });
        if self.reports.is_on() {
            let view = self.view(symbol, &order, OrderStatus::Working);
            let account = self.accounts[order.account].id;
            self.report_order(now, ExecutionType::New, || (account, view));
        }
        self.note_triggered(now, &order);
        if order.trigger.is_some() {
            self.open(symbol, order);
        } else {
            self.execute(now, symbol, order, out);
        }
    }

    /// The checks that need no liquidity: names, grid, sizes, bands.
    pub(super) fn check_request(&self, symbol: usize, account: usize, request: &OrderRequest) -> Result<OnGrid, Reject> {
        let market = &self.markets[symbol];
        let holder = &self.accounts[account];
        let order = &request.order;
        if (order.position_side != PositionSide::Both) != holder.hedge {
            return Err(Reject::PositionSideMismatch);
        }
        // The venue's wire has no such parameter where it goes without saying (a hedged leg), and an adapter leaves it out there.
        // Asked for of an order that could only open, it is a promise that cannot be kept.
        if order.reduce_only && holder.hedge && !closes_leg(order) {
            return Err(Reject::ReduceOnly);
        }
        let grid = on_grid(market, request)?;
        check_band(market, order)?;
        check_notional(market, order)?;
        Ok(grid)
    }

    /// A stop is taken without margin, unless it would fire at once.
    pub(super) fn check_trigger(&self, symbol: usize, order: &Order) -> Result<(), Reject> {
        let fires = TriggerPrices { apart: false, ..self.markets[symbol].trigger_prices() }.fire(order);
        if fires { Err(Reject::WouldTrigger) } else { Ok(()) }
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
        if order.reduce_only {
            return Ok(());
        }
        let market = &self.markets[symbol];
        let account = &self.accounts[order.account];
        let empty = Slot::new(self.starting_leverage(symbol), account.hedge);
        let slot = account.slots.get(&symbol).unwrap_or(&empty);
        let Some(reference) = market.reference().or(order.limit) else { return Err(Reject::NoMarket) };
        let worst = match (order.limit, self.best_opposite(symbol, order.side)) {
            (Some(limit), _) => limit,
            (None, Some(opposite)) => opposite,
            (None, None) => reference,
        };
        // A sell fills at its limit or better, and better is a larger short.
        let price = if order.side == Side::Sell { worst.max(reference) } else { worst };
        let value = i128::from(order.remaining()) * i128::from(price.0);
        let (buys, sells) = if order.side == Side::Buy { (value, 0) } else { (0, value) };
        let needs = slot.margin(&market.unit, reference, buys, sells) - slot.margin(&market.unit, reference, 0, 0);
        if needs <= Decimal::ZERO {
            return Ok(());
        }
        if slot.exposure(&market.unit, reference, buys, sells) > market.perpetual.rules.notional_max(slot.leverage).0 {
            return Err(UsdmReject::MaxNotional.into());
        }
        if needs > self.available(order.account) { Err(Reject::Margin) } else { Ok(()) }
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
            free += slot.unrealized(&market.unit, mark);
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

fn on_grid(market: &Market, request: &OrderRequest) -> Result<OnGrid, Reject> {
    let (instrument, rules) = (&market.instrument, &market.perpetual.rules);
    let price = |price: Price, not_positive: Reject| match instrument.ticks(price) {
        _ if !price.is_positive() => Err(not_positive),
        Some(ticks) => check_price_range(rules, price).map(|()| ticks),
        None => Err(Reject::PriceOffGrid),
    };
    let order = &request.order;
    check_quantity_given(request)?;
    let limit = order.kind.limit_price().map(|limit| price(limit, Reject::PriceNotPositive)).transpose()?;
    let too_high = |reject: Reject| match reject {
        Reject::Usdm(UsdmReject::PriceTooHighForFilter) => UsdmReject::TriggerTooHigh.into(),
        other => other,
    };
    let trigger = order.kind.trigger().map(|trigger| price(trigger, Reject::TriggerNotPositive)).transpose().map_err(too_high)?;
    check_size(instrument, rules, request)?;
    let Lots(quantity) = instrument.lots(order.quantity).ok_or(Reject::QuantityOffGrid)?;
    Ok(OnGrid { limit, trigger, quantity })
}

/// PERCENT_PRICE against the mark: a buy has a ceiling, a sell a floor.
fn check_band(market: &Market, request: &NewOrder) -> Result<(), Reject> {
    // A conditional limit is held to the band around its own trigger: it is meant for when the price is there.
    let (reference, too_high, too_low) = match request.kind.trigger() {
        Some(trigger) => (Some(trigger), Reject::Usdm(UsdmReject::PriceTooHighForTrigger), Reject::Usdm(UsdmReject::PriceTooLowForTrigger)),
        None => (market.reference().map(|mark| market.instrument.price(mark)), Reject::PriceTooHigh, Reject::PriceTooLow),
    };
    let (Some(limit), Some(reference)) = (request.kind.limit_price(), reference) else { return Ok(()) };
    let band = market.instrument.price_band.0;
    match request.side {
        Side::Buy if limit.0 > reference.0 * (Decimal::ONE + band) => Err(too_high),
        Side::Sell if limit.0 < reference.0 * (Decimal::ONE - band) => Err(too_low),
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
