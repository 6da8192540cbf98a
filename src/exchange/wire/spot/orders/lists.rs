//! Order lists: OCO (the new way and the old), OTO and OTOCO, their cancel, and what an account asks of them.

use crate::domain::order::Side;
use crate::domain::time::Timestamp;
use crate::exchange::core::spot::{Contingency, ListRequest, ListView};
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::pair::{self, Shared};
use super::parse::{self, Draft, Names, Type};
use super::place::CancelDraft;
use super::query::{check_window, limit_of};
use super::refused;
use super::report::{CancelReport, Detail, ListReport, OrderReport, Times};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v3/orderList/oco", Security::Trade, oco).method("orderList.place.oco").weight_of_failure(1).orders(2),
        Route::post("/api/v3/order/oco", Security::Trade, old_oco).method("orderList.place").weight_of_failure(1).orders(2),
        Route::post("/api/v3/orderList/oto", Security::Trade, oto).method("orderList.place.oto").weight_of_failure(1).orders(2),
        Route::post("/api/v3/orderList/otoco", Security::Trade, otoco).method("orderList.place.otoco").weight_of_failure(1).orders(3),
        Route::post("/api/v3/orderList/opo", Security::Trade, no_opo).method("orderList.place.opo"),
        Route::post("/api/v3/orderList/opoco", Security::Trade, no_opo).method("orderList.place.opoco"),
        Route::delete("/api/v3/orderList", Security::Trade, cancel).method("orderList.cancel").weight_of_failure(1),
        Route::get("/api/v3/orderList", Security::Signed, one).method("orderList.status").weight(4),
        Route::get("/api/v3/allOrderList", Security::Signed, all).method("allOrderLists").weight(20),
        Route::get("/api/v3/openOrderList", Security::Signed, open).method("openOrderLists.status").weight(6),
    ]
}

/// Reads what every list has, and places it.
struct ListDraft {
    symbol: crate::domain::ids::Symbol,
    client_id: Option<crate::domain::ids::ClientOrderId>,
    contingency: Contingency,
    orders: Vec<Draft>,
    detail: Detail,
}

impl ListDraft {
    fn read(parameters: &Parameters, contingency: Contingency, orders: Vec<Draft>) -> Result<Self, Problem> {
        let draft = Self {
            symbol: parameters.symbol()?,
            client_id: parse::client_id(parameters, "listClientOrderId")?,
            contingency,
            orders,
            detail: parse::detail(parameters, Detail::Result)?,
        };
        parameters.finish()?;
        Ok(draft)
    }

    async fn place(self, context: Context) -> Answer {
        let (account, detail) = (context.account()?, self.detail);
        let placed = context.call(move |desk| {
            let client_id = self.client_id.unwrap_or_else(|| desk.exchange.fresh_name());
            let orders = self.orders.into_iter().map(|order| order.named(desk.exchange)).collect();
            let request = ListRequest { symbol: self.symbol, client_id, contingency: self.contingency, orders };
            desk.exchange.place_list(desk.now, account, &request, desk.outputs)
        });
        let (placed, times) = (placed.await?.map_err(refused)?, Times::of(&context));
        let reports =
            placed.orders.iter().zip(&placed.trades).map(|(order, trades)| OrderReport::placed(order, trades, &[], detail, times));
        Json::of(&ListReport::of(&placed.list, Some(reports.collect()), times))
    }
}

fn shared(parameters: &Parameters, side: Side, quantity: &str) -> Result<Shared, Problem> {
    Ok(Shared {
        symbol: parameters.symbol()?,
        side,
        quantity: parse::required_decimal(parameters, quantity)?,
        prevention: parse::prevention(parameters)?,
    })
}

async fn oco(context: Context, parameters: Parameters) -> Answer {
    let shared = shared(&parameters, parse::side(&parameters, "side")?, "quantity")?;
    let orders = pair::above_and_below(&parameters, "", shared)?;
    ListDraft::read(&parameters, Contingency::Oco, orders)?.place(context).await
}

async fn old_oco(context: Context, parameters: Parameters) -> Answer {
    let shared = shared(&parameters, parse::side(&parameters, "side")?, "quantity")?;
    let orders = pair::old(&parameters, shared)?;
    ListDraft::read(&parameters, Contingency::Oco, orders)?.place(context).await
}

/// The order that works first: a limit.
fn working(parameters: &Parameters) -> Result<Draft, Problem> {
    let shared = shared(parameters, parse::side(parameters, "workingSide")?, "workingQuantity")?;
    let r#type = parse::order_type(parameters, "workingType")?;
    if !matches!(r#type, Type::Limit | Type::LimitMaker) {
        return Err(Problem::INVALID_ORDER_TYPE);
    }
    parse::order(parameters, &Names::prefixed("working"), shared.of(r#type))
}

async fn oto(context: Context, parameters: Parameters) -> Answer {
    let working = working(&parameters)?;
    let shared = shared(&parameters, parse::side(&parameters, "pendingSide")?, "pendingQuantity")?;
    let r#type = parse::order_type(&parameters, "pendingType")?;
    let pending = parse::order(&parameters, &Names::prefixed("pending"), shared.of(r#type))?;
    ListDraft::read(&parameters, Contingency::Oto, vec![working, pending])?.place(context).await
}

async fn otoco(context: Context, parameters: Parameters) -> Answer {
    let mut orders = vec![working(&parameters)?];
    let shared = shared(&parameters, parse::side(&parameters, "pendingSide")?, "pendingQuantity")?;
    orders.extend(pair::above_and_below(&parameters, "pending", shared)?);
    ListDraft::read(&parameters, Contingency::Oto, orders)?.place(context).await
}

async fn no_opo(_: Context, _: Parameters) -> Answer {
    Err(Problem::of(-2010, "OPO orders are not supported for this symbol."))
}

async fn cancel(context: Context, parameters: Parameters) -> Answer {
    let draft = CancelDraft::read(&parameters, ["orderListId", "listClientOrderId", "newClientOrderId"])?;
    parameters.finish()?;
    let account = context.account()?;
    let canceled = context.call(move |desk| {
        let request = draft.named(desk.exchange);
        let canceled = desk.exchange.cancel_list(desk.now, account, &request, desk.outputs)?;
        Ok((canceled, request.name))
    });
    let (canceled, name) = canceled.await?.map_err(refused)?;
    Json::of(&CancelReport::of(&canceled, name, Times::of(&context)))
}

async fn one(context: Context, parameters: Parameters) -> Answer {
    let named = super::cancel::named(&parameters, "orderListId", "origClientOrderId")?;
    parameters.finish()?;
    let account = context.account()?;
    let lists = context.read(move |desk| desk.exchange.lists(account)).await?;
    let is_meant = |list: &&ListView| named.id.is_none_or(|id| id == list.id) && named.client.is_none_or(|client| client == list.client_id);
    // Of several under one name, the newest.
    let list = lists.iter().rev().find(is_meant).ok_or(Problem::NO_SUCH_ORDER)?;
    Json::of(&ListReport::of(list, None, Times::of(&context)))
}

async fn all(context: Context, parameters: Parameters) -> Answer {
    let from = parameters.integer::<u64>("fromId")?;
    let window: (Option<Timestamp>, Option<Timestamp>) = (parameters.time("startTime")?, parameters.time("endTime")?);
    let limit = limit_of(&parameters)?;
    parameters.finish()?;
    if from.is_some() && (window.0.is_some() || window.1.is_some()) {
        return Err(Problem::of(-1128, "Combination of optional parameters invalid."));
    }
    check_window(window)?;
    let account = context.account()?;
    let mut lists = context.read(move |desk| desk.exchange.lists(account)).await?;
    lists.retain(|list| {
        from.is_none_or(|from| list.id >= from)
            && window.0.is_none_or(|start| list.at >= start)
            && window.1.is_none_or(|end| list.at <= end)
    });
    let from_oldest = from.is_some() || window.0.is_some();
    let skipped = if from_oldest { 0 } else { lists.len().saturating_sub(limit) };
    let times = Times::of(&context);
    let reports: Vec<_> = lists.iter().skip(skipped).take(limit).map(|list| ListReport::of(list, None, times)).collect();
    Json::of(&reports)
}

async fn open(context: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    let account = context.account()?;
    let lists = context.read(move |desk| desk.exchange.open_lists(account)).await?;
    let reports: Vec<_> = lists.iter().map(|list| ListReport::of(list, None, Times::of(&context))).collect();
    Json::of(&reports)
}
