//! Cancels: an order and the list that it is of, everything on a symbol.

use crate::exchange::core::spot::{CancelRestriction, Named};
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::parse;
use super::place::CancelDraft;
use super::refused;
use super::report::{CancelReport, Times};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::delete("/api/v3/order", Security::Trade, cancel).method("order.cancel").weight_of_failure(1),
        Route::delete("/api/v3/openOrders", Security::Trade, cancel_all).method("openOrders.cancelAll").weight_of_failure(1),
    ]
}

/// An order's or a list's names, of which one must be there.
pub(super) fn named(parameters: &Parameters, id: &str, client: &str) -> Result<Named, Problem> {
    let named = Named { id: parameters.integer(id)?, client: parse::client_id(parameters, client)? };
    if named.id.is_none() && named.client.is_none() {
        return Err(Problem::missing_both(client, id));
    }
    Ok(named)
}

pub(super) fn restriction(parameters: &Parameters) -> Result<Option<CancelRestriction>, Problem> {
    parameters.choice("cancelRestrictions", |text| text.parse().ok(), Problem::of(-1145, "Invalid cancelRestrictions"))
}

async fn cancel(context: Context, parameters: Parameters) -> Answer {
    let draft = CancelDraft::read(&parameters, ["orderId", "origClientOrderId", "newClientOrderId"])?;
    parameters.finish()?;
    let account = context.account()?;
    let canceled = context.call(move |desk| {
        let request = draft.named(desk.exchange);
        let canceled = desk.exchange.cancel_spot(desk.now, account, &request, desk.outputs)?;
        Ok((canceled, request.name))
    });
    let (canceled, name) = canceled.await?.map_err(refused)?;
    Json::of(&CancelReport::of(&canceled, name, Times::of(&context)))
}

async fn cancel_all(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    parameters.finish()?;
    let account = context.account()?;
    let canceled = context.call(move |desk| {
        let name = desk.exchange.fresh_name();
        let canceled = desk.exchange.cancel_all_spot(desk.now, account, symbol, name, desk.outputs)?;
        Ok((canceled, name))
    });
    let (canceled, name) = canceled.await?.map_err(refused)?;
    let times = Times::of(&context);
    let reports: Vec<_> = canceled.iter().map(|one| CancelReport::of(one, name, times)).collect();
    Json::of(&reports)
}
