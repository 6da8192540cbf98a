//! Orders out: new, cancelled, asked for, in each product's own words. Quantities and prices are sent as they are given; whoever
//! asks has put them onto the instrument's grid. What a product does not have is refused here, before anything leaves.

use super::product::{Conditional, PostOnly, Product, Route, Unsupported};
use super::request::{Parameters, Request, plain};
use crate::domain::ids::{ClientOrderId, Symbol};
use crate::domain::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce};

/// By which of its names an order is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderName {
    Client(ClientOrderId),
    Venue(u64),
}

impl Product {
    /// Whether an order goes to the service for conditional orders, whose ids are its own.
    #[must_use]
    pub fn is_algo(self, kind: OrderKind) -> bool {
        self.capabilities().conditional == Conditional::AlgoService && kind.trigger().is_some()
    }

    /// A new order.
    ///
    /// # Errors
    /// When the product cannot do what the order asks for.
    pub fn place(self, order: &NewOrder) -> Result<Request, Unsupported> {
        let kind = self.order_type(order)?;
        let mut parameters = Parameters::default();
        let algo = self.is_algo(order.kind);
        if algo {
            parameters.push("algoType", "CONDITIONAL");
        }
        parameters.push("symbol", order.symbol);
        parameters.push("side", order.side);
        if order.position_side != PositionSide::Both {
            parameters.push("positionSide", order.position_side);
        }
        parameters.push("type", kind);
        if let Some(time_in_force) = self.time_in_force(order)? {
            parameters.push("timeInForce", time_in_force);
        }
        parameters.push("quantity", plain(order.quantity.0));
        if let Some(price) = order.kind.limit_price() {
            parameters.push("price", plain(price.0));
        }
        if let Some(trigger) = order.kind.trigger() {
            parameters.push(if algo { "triggerPrice" } else { "stopPrice" }, plain(trigger.0));
        }
        if self.sends_reduce_only(order)? {
            parameters.push("reduceOnly", "true");
        }
        self.prevent_self_trade(order.self_trade_prevention, &mut parameters);
        if self.capabilities().holdings {
            // Its executions come with the answer, whatever the type.
            parameters.push("newOrderRespType", "FULL");
        }
        parameters.push(if algo { "clientAlgoId" } else { "newClientOrderId" }, order.client_order_id);
        Ok(Request::to(self.endpoint(if algo { Route::PlaceAlgo } else { Route::PlaceOrder })?, parameters))
    }

    fn order_type(self, order: &NewOrder) -> Result<&'static str, Unsupported> {
        let able = self.capabilities();
        let post_only = order.time_in_force == TimeInForce::PostOnly;
        if post_only && order.kind.limit_price().is_none() {
            return Err(self.lacks("an order at the market that must not take"));
        }
        Ok(match (order.kind, able.conditional) {
            (OrderKind::Market, _) => "MARKET",
            (OrderKind::Limit { .. }, _) if post_only && able.post_only == PostOnly::LimitMaker => "LIMIT_MAKER",
            (OrderKind::Limit { .. }, _) => "LIMIT",
            (OrderKind::StopLimit { .. } | OrderKind::TakeProfitLimit { .. }, Conditional::Spot) if post_only => {
                return Err(self.lacks("a conditional order that must not take"));
            }
            (OrderKind::StopMarket { .. }, Conditional::Spot) => "STOP_LOSS",
            (OrderKind::StopLimit { .. }, Conditional::Spot) => "STOP_LOSS_LIMIT",
            (OrderKind::TakeProfitMarket { .. }, Conditional::Spot) => "TAKE_PROFIT",
            (OrderKind::TakeProfitLimit { .. }, Conditional::Spot) => "TAKE_PROFIT_LIMIT",
            (OrderKind::StopMarket { .. }, _) => "STOP_MARKET",
            (OrderKind::StopLimit { .. }, _) => "STOP",
            (OrderKind::TakeProfitMarket { .. }, _) => "TAKE_PROFIT_MARKET",
            (OrderKind::TakeProfitLimit { .. }, _) => "TAKE_PROFIT",
        })
    }

    /// Orders with a limit have one, except where post-only is a type.
    fn time_in_force(self, order: &NewOrder) -> Result<Option<&'static str>, Unsupported> {
        if order.kind.limit_price().is_none() {
            return Ok(None);
        }
        Ok(match (order.time_in_force, self.capabilities().post_only) {
            (TimeInForce::GoodTilCanceled, _) => Some("GTC"),
            (TimeInForce::ImmediateOrCancel, _) => Some("IOC"),
            (TimeInForce::FillOrKill, _) => Some("FOK"),
            (TimeInForce::PostOnly, PostOnly::Gtx) => Some("GTX"),
            (TimeInForce::PostOnly, PostOnly::LimitMaker) => None,
        })
    }

    /// Where there are no shorts a sale only reduces, and so does an order against its own leg; the venue refuses the word there.
    fn sends_reduce_only(self, order: &NewOrder) -> Result<bool, Unsupported> {
        let against = match order.position_side {
            PositionSide::Long => order.side == Side::Sell,
            PositionSide::Short => order.side == Side::Buy,
            PositionSide::Both => self.capabilities().reduce_only || order.side == Side::Sell,
        };
        if order.reduce_only && !against {
            return Err(self.lacks(format!("a reduce-only {} of a {} position", order.side, order.position_side)));
        }
        Ok(order.reduce_only && self.capabilities().reduce_only && order.position_side == PositionSide::Both)
    }

    /// Always said: the documents contradict each other about what holds otherwise.
    fn prevent_self_trade(self, prevention: SelfTradePrevention, parameters: &mut Parameters) {
        let name = self.capabilities().self_trade_prevention;
        if name == "stpMode" && prevention == SelfTradePrevention::None {
            return;
        }
        parameters.push(name, prevention);
    }

    /// # Errors
    /// Never for the products that are known: all of them cancel.
    pub fn cancel(self, symbol: Symbol, name: OrderName) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::CancelOrder)?, named(symbol, name)))
    }

    /// Every ordinary order on a symbol. Spot answers -2011 when there is none.
    ///
    /// # Errors
    /// Never for the products that are known.
    pub fn cancel_all(self, symbol: Symbol) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::CancelAll)?, Parameters::default().with("symbol", symbol)))
    }

    /// # Errors
    /// Never for the products that are known.
    pub fn query(self, symbol: Symbol, name: OrderName) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::QueryOrder)?, named(symbol, name)))
    }

    /// Ordinary orders that are open, on a symbol or on all: those of the algo service are asked for apart.
    ///
    /// # Errors
    /// Never for the products that are known.
    pub fn open_orders(self, symbol: Option<Symbol>) -> Result<Request, Unsupported> {
        let endpoint = self.endpoint(Route::OpenOrders)?;
        let of_all = if self.capabilities().holdings { 80 } else { 40 };
        let weight = if symbol.is_some() { endpoint.weight } else { of_all };
        Ok(Request::to(endpoint, Parameters::default().with_some("symbol", symbol)).weighing(weight))
    }

    /// # Errors
    /// Where there is no algo service.
    pub fn cancel_algo(self, id: ClientOrderId) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::CancelAlgo)?, Parameters::default().with("clientAlgoId", id)))
    }

    /// # Errors
    /// Where there is no algo service.
    pub fn cancel_all_algo(self, symbol: Symbol) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::CancelAllAlgo)?, Parameters::default().with("symbol", symbol)))
    }

    /// # Errors
    /// Where there is no algo service.
    pub fn query_algo(self, id: ClientOrderId) -> Result<Request, Unsupported> {
        Ok(Request::to(self.endpoint(Route::QueryAlgo)?, Parameters::default().with("clientAlgoId", id)))
    }

    /// # Errors
    /// Where there is no algo service.
    pub fn open_algos(self, symbol: Option<Symbol>) -> Result<Request, Unsupported> {
        let weight = if symbol.is_some() { 1 } else { 40 };
        Ok(Request::to(self.endpoint(Route::OpenAlgos)?, Parameters::default().with_some("symbol", symbol)).weighing(weight))
    }

    /// Conditional orders of the past days too, with the orders that they became.
    ///
    /// # Errors
    /// Where there is no algo service.
    pub fn all_algos(self, symbol: Symbol) -> Result<Request, Unsupported> {
        let parameters = Parameters::default().with("symbol", symbol).with("limit", 1_000);
        Ok(Request::to(self.endpoint(Route::AllAlgos)?, parameters))
    }

    /// Cancels every ordinary order on the symbol when it is not said again in time; zero disarms.
    ///
    /// # Errors
    /// Where there is no such switch.
    pub fn countdown_cancel_all(self, symbol: Symbol, millis: u64) -> Result<Request, Unsupported> {
        let parameters = Parameters::default().with("symbol", symbol).with("countdownTime", millis);
        Ok(Request::to(self.endpoint(Route::CountdownCancelAll)?, parameters))
    }
}

fn named(symbol: Symbol, name: OrderName) -> Parameters {
    let parameters = Parameters::default().with("symbol", symbol);
    match name {
        OrderName::Client(id) => parameters.with("origClientOrderId", id),
        OrderName::Venue(id) => parameters.with("orderId", id),
    }
}

#[cfg(test)]
#[path = "trading_tests.rs"]
mod tests;
