//! Several orders in one request: each is taken, changed, cancelled or refused by itself, and the answer has a row for each, in
//! the order in which they were sent.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::ids::ClientOrderId;
use crate::exchange::core::OrderName;
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::order_json::{OrderJson, Shows};
use super::orders::{cancel_one, place_one};
use super::wish::Wish;
use super::{Usdm, with};

/// The venue's limits on one request.
const PLACED_MAX: usize = 5;
const CANCELLED_MAX: usize = 10;

pub(super) fn routes(usdm: &Arc<Usdm>) -> Vec<Route> {
    vec![
        // It counts as five orders whatever it holds.
        Route::post("/fapi/v1/batchOrders", Security::Trade, with(usdm, place)).weight(5).orders(5),
        Route::delete("/fapi/v1/batchOrders", Security::Trade, cancel),
    ]
}

/// One row of an answer.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Row {
    Done(Box<OrderJson>),
    Refused { code: i32, msg: String },
}

impl Row {
    pub(super) fn of(result: Result<OrderJson, Problem>) -> Self {
        match result {
            Ok(order) => Self::Done(Box::new(order)),
            Err(problem) => Self::Refused { code: problem.code, msg: problem.msg.into_owned() },
        }
    }
}

/// The members of `batchOrders`, each as parameters of its own, and held against its symbol's rules as a single order is.
///
/// # Errors
/// When it is no list, or not of one to five.
pub(super) fn members(context: &Context, parameters: &Parameters) -> Result<Vec<Result<Parameters, Problem>>, Problem> {
    let list: Vec<Box<RawValue>> = parameters.json("batchOrders")?.ok_or_else(|| Problem::missing("batchOrders"))?;
    if list.is_empty() || list.len() > PLACED_MAX {
        return Err(Problem::said(-4082, format!("Invalid number of batch place orders: {}", list.len())));
    }
    let member = |object: &RawValue| {
        let member = Parameters::of_object(parameters.manners(), object)?;
        context.venue.check_listing(&member)?;
        Ok(member)
    };
    Ok(list.iter().map(|object| member(object)).collect())
}

async fn place(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    let members = members(&context, &parameters)?;
    parameters.finish()?;
    let account = context.account()?;
    let read = |member: Result<Parameters, Problem>| member.and_then(|member| Wish::read(&member, usdm.door(), context.now, &usdm.names));
    let wishes: Vec<Result<Wish, Problem>> = members.into_iter().map(read).collect();
    let rows = context.call(move |desk| {
        let placed = wishes.into_iter().map(|wish| {
            let wish = wish?;
            let (view, scales) = place_one(desk, account, &wish)?;
            Ok(OrderJson::changed(&view, scales, wish.shows))
        });
        placed.map(Row::of).collect::<Vec<_>>()
    });
    Json::of(&rows.await?)
}

async fn cancel(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let names = names(&parameters)?;
    parameters.finish()?;
    let account = context.account()?;
    let rows = context.call(move |desk| {
        let cancelled = names.into_iter().map(|name| {
            let (view, scales) = cancel_one(desk, account, symbol, name)?;
            Ok(OrderJson::changed(&view, scales, Shows::Standing))
        });
        cancelled.map(Row::of).collect::<Vec<_>>()
    });
    Json::of(&rows.await?)
}

/// Python's clients write ids as they like: numbers, or numbers in quotes.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

fn spelling(parameters: &Parameters, names: [&'static str; 2]) -> &'static str {
    if parameters.has(names[1]) { names[1] } else { names[0] }
}

fn names(parameters: &Parameters) -> Result<Vec<OrderName>, Problem> {
    // Clients spell them in two ways, and the venue takes both.
    let ids: Option<Vec<Id>> = parameters.json(spelling(parameters, ["orderIdList", "orderidlist"]))?;
    let clients: Option<Vec<String>> = parameters.json(spelling(parameters, ["origClientOrderIdList", "origclientorderidlist"]))?;
    let names: Vec<OrderName> = match (ids, clients) {
        (Some(ids), _) => {
            let number = |id| match id {
                Id::Number(id) => Ok(OrderName::Id(id)),
                Id::Text(text) => text.parse().map(OrderName::Id).map_err(|_| Problem::invalid("orderIdList")),
            };
            ids.into_iter().map(number).collect::<Result<_, _>>()?
        }
        (None, Some(clients)) => {
            let name =
                |text: String| ClientOrderId::new(&text).map(OrderName::Client).map_err(|_| Problem::invalid("origClientOrderIdList"));
            clients.into_iter().map(name).collect::<Result<_, _>>()?
        }
        (None, None) => return Err(Problem::missing_both("orderIdList", "origClientOrderIdList")),
    };
    if names.is_empty() || names.len() > CANCELLED_MAX {
        return Err(Problem::of(-4032, "Exceed maximum cancel order size."));
    }
    Ok(names)
}
