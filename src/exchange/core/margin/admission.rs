//! From a request to a perpetual's order: what was left open is filled in, then the checks of `core::admission`, then the rules
//! that only perpetuals have. Changes nothing.

use super::super::orders::Order;
use super::super::request::OrderRequest;
use super::super::{Exchange, Reject};
use super::PerpetualRules;
use super::UsdmReject;
use crate::domain::ids::AccountId;
use crate::domain::instrument::Instrument;
use crate::domain::money::Price;
use crate::domain::order::{NewOrder, OrderKind, PositionSide, Side};
use crate::domain::time::Timestamp;

impl Exchange {
    /// Whether an order would be taken (`POST /fapi/v1/order/test`).
    ///
    /// # Errors
    /// The venue's definite no.
    pub fn check_order(&self, now: Timestamp, account: AccountId, request: &OrderRequest) -> Result<(), Reject> {
        let symbol = self.symbol_index(request.order.symbol).ok_or(Reject::UnknownSymbol)?;
        self.admit(now, symbol, self.account_index(account)?, request).map(|_| ())
    }

    /// The order that a request comes to, if it may be taken.
    pub(in super::super) fn admit(&self, now: Timestamp, symbol: usize, account: usize, request: &OrderRequest) -> Result<Order, Reject> {
        let request = self.completed(symbol, account, request)?;
        if self.accounts[account].open.contains_key(&request.order.client_order_id) {
            return Err(Reject::DuplicateClientOrderId);
        }
        let grid = self.check_request(symbol, account, &request)?;
        self.check_count(symbol, account, grid.trigger.is_some())?;
        let mut order = Order::new(self.next_order_id, account, &request, grid, now);
        self.arm(symbol, &mut order)?;
        if order.trigger.is_some() {
            self.check_trigger(symbol, &order)?
        } else {
            self.check_viable(symbol, &order)?
        }
        Ok(order)
    }

    /// The request with what goes without saying: in hedge mode an order against its own leg can only close it, and so can one
    /// that closes a position whole; a trailing stop begins somewhere.
    pub(super) fn completed(&self, symbol: usize, account: usize, request: &OrderRequest) -> Result<OrderRequest, Reject> {
        let OrderRequest { order, extras } = request;
        let closes = extras.close_position || (self.accounts[account].hedge && closes_leg(order));
        let mut completed = NewOrder { reduce_only: order.reduce_only || closes, ..order.clone() };
        if let Some(trailing) = extras.trailing {
            let by = extras.trigger_by.unwrap_or(self.config.trigger_price);
            completed.kind = OrderKind::StopMarket { trigger: self.first_trigger(symbol, trailing.activation, by)? };
        }
        Ok(OrderRequest { order: completed, extras: extras.clone() })
    }

    /// How many orders an account may have open on a symbol.
    fn check_count(&self, symbol: usize, account: usize, waits: bool) -> Result<(), Reject> {
        let Some(slot) = self.accounts[account].slots.get(&symbol) else { return Ok(()) };
        if !waits && slot.open_orders - slot.waiting_orders >= self.config.open_orders_max {
            return Err(Reject::TooManyOrders);
        }
        if waits && slot.waiting_orders >= self.config.waiting_orders_max {
            return Err(Reject::TooManyStops);
        }
        Ok(())
    }
}

/// Whether it works against the leg that it names.
pub(in super::super) fn closes_leg(request: &NewOrder) -> bool {
    matches!((request.position_side, request.side), (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy))
}

/// PRICE_FILTER's ends.
pub(in super::super) fn check_price_range(rules: &PerpetualRules, price: Price) -> Result<(), Reject> {
    if price < rules.price_min {
        return Err(UsdmReject::PriceTooLowForFilter.into());
    }
    if price > rules.price_max {
        return Err(UsdmReject::PriceTooHighForFilter.into());
    }
    Ok(())
}

/// An order that closes a position whole names no quantity; every other does.
pub(in super::super) fn check_quantity_given(request: &OrderRequest) -> Result<(), Reject> {
    match (request.extras.close_position, request.order.quantity) {
        (true, quantity) if quantity.is_zero() => Ok(()),
        (true, _) => Err(UsdmReject::QuantityWithClosePosition.into()),
        (false, quantity) if quantity.is_positive() => Ok(()),
        (false, _) => Err(Reject::QuantityNotPositive),
    }
}

/// LOT_SIZE's and MARKET_LOT_SIZE's ends.
pub(in super::super) fn check_size(instrument: &Instrument, rules: &PerpetualRules, request: &OrderRequest) -> Result<(), Reject> {
    let quantity = request.order.quantity;
    if request.extras.close_position {
        return Ok(());
    }
    let at_market = request.order.kind.limit_price().is_none();
    let largest = if at_market { instrument.max_quantity.min(rules.market_quantity_max) } else { instrument.max_quantity };
    if quantity < instrument.min_quantity {
        return Err(Reject::QuantityTooSmall);
    }
    if quantity > largest {
        return Err(Reject::QuantityTooLarge);
    }
    Ok(())
}
