//! Faults that are done once: to the sockets, to the limits, or at the engine. Each says what it needs.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::ClientOrderId;
use crate::domain::money::{Price, Quantity};
use crate::domain::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce};
use crate::exchange::core::request::OrderRequest;
use crate::exchange::shell::Fault;

use super::super::venue::Venue;
use super::{Action, FaultError, Kind};

pub(super) async fn carry_out(venue: &Arc<Venue>, action: Action) -> Result<(), FaultError> {
    match action.kind {
        Kind::Ban418 { seconds } => {
            let until = venue.now() + Duration::from_secs(u64::from(seconds));
            venue.limits().ban_all(until);
            Ok(())
        }
        Kind::Freeze { millis } => Ok(venue.exchange().inject(Fault::Freeze(Duration::from_millis(millis)))?),
        Kind::Trade { side, quantity, price } => trade(venue, &action, side, quantity, price).await,
        _ => {
            venue.faults().tell(action);
            Ok(())
        }
    }
}

/// A person's order: it looks as the venue's own website's does.
async fn trade(venue: &Arc<Venue>, action: &Action, side: Side, quantity: Quantity, price: Option<Price>) -> Result<(), FaultError> {
    let account = action.account.ok_or(FaultError::Missing { expected: "an account" })?;
    let symbol = action.symbol.ok_or(FaultError::Missing { expected: "a symbol" })?;
    let name = format!("web_{:x}", venue.true_now().0);
    let client_order_id =
        ClientOrderId::new(&name).map_err(|error| FaultError::Unfit { expected: "an order id", found: error.to_string() })?;
    let order = NewOrder {
        client_order_id,
        symbol,
        side,
        position_side: PositionSide::Both,
        kind: price.map_or(OrderKind::Market, |price| OrderKind::Limit { price }),
        time_in_force: TimeInForce::default(),
        quantity,
        reduce_only: false,
        self_trade_prevention: SelfTradePrevention::default(),
    };
    let spot = venue.product().is_spot();
    let request = OrderRequest::from(order);
    let placed = venue.exchange().call(move |desk| desk.exchange.place_order(desk.now, account, &request, desk.outputs)).await?;
    let refused = |reject: crate::exchange::core::Reject| FaultError::Unfit {
        expected: "an order that the exchange takes",
        found: reject.words(spot).1.to_owned(),
    };
    placed.map(|_| ()).map_err(refused)
}
