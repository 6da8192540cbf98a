//! Faults that are done once: to the sockets, to the limits, or at the engine. Each says what it needs.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::{AccountId, Asset, ClientOrderId, Symbol};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce};
use crate::exchange::core::Reject;
use crate::exchange::core::request::OrderRequest;
use crate::exchange::shell::{Desk, Fault};

use super::super::venue::Venue;
use super::{Action, FaultError, Kind};

pub(super) async fn carry_out(venue: &Arc<Venue>, action: Action) -> Result<(), FaultError> {
    match action.kind {
        Kind::Ban418 { seconds } => {
            let until = venue.true_now() + Duration::from_secs(u64::from(seconds));
            venue.limits().ban_all(until);
            Ok(())
        }
        Kind::Freeze { millis } => Ok(venue.exchange().inject(Fault::Freeze(Duration::from_millis(millis)))?),
        Kind::Trade { side, quantity, price } => trade(venue, &action, side, quantity, price).await,
        Kind::Filters { .. } | Kind::Trading { .. } => {
            venue.faults().relist(action.symbol()?, &action.kind);
            Ok(())
        }
        Kind::Transfer { asset, amount } => transfer(venue, &action, asset, amount).await,
        Kind::Liquidate | Kind::Deleverage { .. } | Kind::Funding { .. } if venue.product().is_spot() => {
            Err(FaultError::Unfit { expected: "a product with positions", found: "spot".to_owned() })
        }
        Kind::Liquidate => {
            let (account, symbol) = (action.account()?, action.symbol);
            told(venue.exchange().call(move |desk| desk.exchange.liquidate(desk.now, account, symbol, desk.outputs)).await?, false)
        }
        Kind::Deleverage { position_side, quantity } => {
            let (account, symbol) = (action.account()?, action.symbol()?);
            let work =
                move |desk: &mut Desk<'_>| desk.exchange.deleverage(desk.now, account, symbol, position_side, quantity, desk.outputs);
            told(venue.exchange().call(work).await?, false)
        }
        Kind::Funding { rate } => {
            let symbol = action.symbol()?;
            told(venue.exchange().call(move |desk| desk.exchange.charge_funding_now(desk.now, symbol, rate, desk.outputs)).await?, false)
        }
        _ => {
            venue.faults().tell(action);
            Ok(())
        }
    }
}

/// A person's order: it looks as the venue's own website's does.
async fn trade(venue: &Arc<Venue>, action: &Action, side: Side, quantity: Quantity, price: Option<Price>) -> Result<(), FaultError> {
    let (account, symbol) = (action.account()?, action.symbol()?);
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
    let placed = venue.exchange().call(move |desk| {
        // Who holds both ways buys to go long and sells to go short.
        let leg = if side == Side::Buy { PositionSide::Long } else { PositionSide::Short };
        let position_side = if desk.exchange.is_hedged(account) == Some(true) { leg } else { PositionSide::Both };
        let request = OrderRequest::from(NewOrder { position_side, ..order });
        desk.exchange.place_order(desk.now, account, &request, desk.outputs)
    });
    told(placed.await?.map(drop), spot)
}

/// A person moves money between wallets.
async fn transfer(venue: &Arc<Venue>, action: &Action, asset: Asset, amount: Money) -> Result<(), FaultError> {
    let account = action.account()?;
    let spot = venue.product().is_spot();
    let work = move |desk: &mut Desk<'_>| match (spot, amount.is_positive()) {
        (false, _) => desk.exchange.transfer(desk.now, account, asset, amount),
        (true, true) => desk.exchange.deposit(desk.now, account, asset, amount),
        (true, false) => desk.exchange.withdraw_money(desk.now, account, asset, -amount),
    };
    told(venue.exchange().call(work).await?, spot)
}

/// The engine's no, in its words.
fn told(done: Result<(), Reject>, spot: bool) -> Result<(), FaultError> {
    done.map_err(|reject| FaultError::Unfit { expected: "something that the exchange takes", found: reject.words(spot).1.to_owned() })
}

impl Action {
    fn account(&self) -> Result<AccountId, FaultError> {
        self.account.ok_or(FaultError::Missing { expected: "an account" })
    }

    fn symbol(&self) -> Result<Symbol, FaultError> {
        self.symbol.ok_or(FaultError::Missing { expected: "a symbol" })
    }
}
