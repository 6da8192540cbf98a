//! Conditional orders through the algo service: an id space of its own, beside the plain orders that come of them.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::domain::ids::{ClientOrderId, Symbol};
use crate::domain::order::{PositionSide, SelfTradePrevention, Side};
use crate::exchange::core::Exchange;
use crate::exchange::core::margin::{AlgoId, AlgoView};
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::orders::{ALL_CANCELLED, WINDOW_MAX, Window, limit, refuse_reduce_only, scales};
use super::text::{Fixed, Scales, time_in_force, types, working_type};
use super::wish::{Door, Wish};
use super::{Usdm, with};

const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1_000;

pub(super) fn routes(usdm: &Arc<Usdm>) -> Vec<Route> {
    vec![
        Route::post("/fapi/v1/algoOrder", Security::Trade, with(usdm, place)).weight(0).orders(1).method("algoOrder.place"),
        Route::delete("/fapi/v1/algoOrder", Security::Trade, cancel).method("algoOrder.cancel"),
        Route::get("/fapi/v1/algoOrder", Security::Signed, query),
        Route::get("/fapi/v1/openAlgoOrders", Security::Signed, open)
            .weight_of(|parameters| if parameters.has("symbol") || parameters.has("algoId") { 1 } else { 40 }),
        Route::get("/fapi/v1/allAlgoOrders", Security::Signed, all).weight(5),
        Route::delete("/fapi/v1/algoOpenOrders", Security::Trade, cancel_all),
    ]
}

async fn place(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    if parameters.required("algoType")? != "CONDITIONAL" {
        return Err(Problem::invalid("algoType"));
    }
    let wish = Wish::read(&parameters, Door::Algo, context.now, &usdm.names)?;
    parameters.finish()?;
    let account = context.account()?;
    let placed = context.call(move |desk| {
        let (request, scales) = wish.request(desk.exchange)?;
        refuse_reduce_only(desk.exchange, account, &wish)?;
        let placed = desk.exchange.place_algo(desk.now, account, &request);
        placed.map(|view| (view, scales)).map_err(|reject| Problem::rejected(reject, false))
    });
    let (view, scales) = placed.await??;
    Json::of(&AlgoJson::placed(&view, scales))
}

async fn cancel(context: Context, parameters: Parameters) -> Answer {
    let id = algo_id(&parameters)?;
    parameters.ignore(&["symbol"]);
    parameters.finish()?;
    let account = context.account()?;
    let cancelled = context.call(move |desk| desk.exchange.cancel_algo(desk.now, account, id)).await?;
    let view = cancelled.map_err(|reject| Problem::rejected(reject, false))?;
    // A text, as the venue has it here and nowhere else.
    Ok(json!({ "algoId": view.algo_id(), "clientAlgoId": view.client_algo_id(), "code": "200", "msg": "success" }).into())
}

async fn query(context: Context, parameters: Parameters) -> Answer {
    let id = algo_id(&parameters)?;
    parameters.ignore(&["symbol"]);
    parameters.finish()?;
    let account = context.account()?;
    let found = context.read(move |desk| {
        let view = desk.exchange.algo_order(account, id)?;
        let scales = scales(desk.exchange, view.order.order.symbol).ok()?;
        Some((view, scales))
    });
    let (view, scales) = found.await?.ok_or(Problem::NO_SUCH_ORDER)?;
    Json::of(&AlgoJson::asked(&view, scales))
}

async fn open(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.optional_symbol()?;
    let only: Option<u64> = parameters.integer("algoId")?;
    if parameters.word("algoType").is_some_and(|kind| kind != "CONDITIONAL") {
        return Err(Problem::invalid("algoType"));
    }
    parameters.finish()?;
    let account = context.account()?;
    let rows = context.read(move |desk| {
        if let Some(symbol) = symbol {
            scales(desk.exchange, symbol)?;
        }
        let mut views = desk.exchange.open_algos(account, symbol);
        views.retain(|view| only.is_none_or(|only| view.algo_id() == only));
        Ok::<_, Problem>(shown(desk.exchange, &views))
    });
    Json::of(&rows.await??)
}

async fn all(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let from: Option<u64> = parameters.integer("algoId")?;
    let window = Window::read(&parameters, context.now, WINDOW_MAX)?;
    let limit = limit(&parameters, LIMIT_DEFAULT, LIMIT_MAX)?;
    parameters.finish()?;
    let account = context.account()?;
    let rows = context.read(move |desk| {
        scales(desk.exchange, symbol)?;
        let mut views = desk.exchange.all_algos(account, Some(symbol));
        views.sort_unstable_by_key(AlgoView::algo_id);
        let views = match from {
            Some(from) => views.into_iter().filter(|view| view.algo_id() >= from).take(limit).collect(),
            None => {
                views.retain(|view| window.has(view.order.created_at));
                window.page(views, limit)
            }
        };
        Ok::<_, Problem>(shown(desk.exchange, &views))
    });
    Json::of(&rows.await??)
}

async fn cancel_all(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    parameters.finish()?;
    let account = context.account()?;
    let done = context.call(move |desk| {
        scales(desk.exchange, symbol)?;
        desk.exchange.cancel_all_algos(desk.now, account, Some(symbol)).map_err(|reject| Problem::rejected(reject, false))
    });
    let _count = done.await??;
    Ok(Json::raw(ALL_CANCELLED.to_owned()))
}

fn algo_id(parameters: &Parameters) -> Result<AlgoId, Problem> {
    let client = parameters.client_id("clientAlgoId")?.map(str::to_owned);
    match (parameters.integer("algoId")?, client) {
        (Some(id), _) => Ok(AlgoId::Id(id)),
        // Invariant: `client_id` has checked its characters.
        (None, Some(client)) => ClientOrderId::new(&client).map(AlgoId::Client).map_err(|_| Problem::NO_SUCH_ORDER),
        (None, None) => Err(Problem::missing_both("algoId", "clientAlgoId")),
    }
}

fn shown(exchange: &Exchange, views: &[AlgoView]) -> Vec<AlgoJson> {
    // Invariant: an order's symbol is listed.
    views.iter().filter_map(|view| Some(AlgoJson::asked(view, scales(exchange, view.order.order.symbol).ok()?))).collect()
}

/// An algo order in an answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlgoJson {
    algo_id: u64,
    client_algo_id: ClientOrderId,
    algo_type: &'static str,
    order_type: &'static str,
    symbol: Symbol,
    side: Side,
    position_side: PositionSide,
    time_in_force: &'static str,
    quantity: Fixed,
    algo_status: String,
    #[serde(flatten)]
    actual: Option<Actual>,
    trigger_price: Fixed,
    price: Fixed,
    iceberg_quantity: Option<Fixed>,
    self_trade_prevention_mode: SelfTradePrevention,
    working_type: &'static str,
    price_match: &'static str,
    close_position: bool,
    price_protect: bool,
    reduce_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    activate_price: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_rate: Option<String>,
    create_time: i64,
    update_time: i64,
    trigger_time: i64,
    good_till_date: i64,
}

/// What a question shows beside.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Actual {
    actual_order_id: String,
    actual_price: Fixed,
    actual_qty: Fixed,
    actual_type: &'static str,
    tp_trigger_price: Fixed,
    tp_price: Fixed,
    sl_trigger_price: Fixed,
    sl_price: Fixed,
    tp_order_type: &'static str,
}

impl AlgoJson {
    fn of(view: &AlgoView, scales: Scales) -> Self {
        let order = &view.order.order;
        let extras = &view.order.extras;
        let trailing = extras.trailing;
        // Where a trailing stop goes off is nowhere yet.
        let trigger = order.kind.trigger().filter(|_| trailing.is_none()).unwrap_or_default();
        Self {
            algo_id: view.algo_id(),
            client_algo_id: view.client_algo_id(),
            algo_type: "CONDITIONAL",
            order_type: types(&view.order).1,
            symbol: order.symbol,
            side: order.side,
            position_side: order.position_side,
            time_in_force: time_in_force(&view.order),
            quantity: scales.quantity(order.quantity.0),
            algo_status: view.status.to_string(),
            actual: None,
            trigger_price: scales.price(trigger.0),
            price: scales.price(order.kind.limit_price().unwrap_or_default().0),
            iceberg_quantity: None,
            self_trade_prevention_mode: view.order.self_trade_prevention,
            working_type: working_type(extras.trigger_by),
            price_match: extras.price_match.map_or("NONE", Into::into),
            close_position: extras.close_position,
            price_protect: extras.price_protect,
            reduce_only: order.reduce_only,
            activate_price: trailing.and_then(|trailing| trailing.activation).map(|at| scales.price(at.0).to_string()),
            callback_rate: trailing.map(|trailing| super::text::percent(trailing.callback).0.to_string()),
            create_time: view.order.created_at.as_millis(),
            update_time: order.updated_at.as_millis(),
            trigger_time: view.triggered_at.map_or(0, |at| at.as_millis()),
            good_till_date: extras.good_till.map_or(0, |at| at.as_millis()),
        }
    }

    /// What only a trailing stop has is empty on the others, and on a question's answer absent: clients take an empty rate for a
    /// number.
    fn placed(view: &AlgoView, scales: Scales) -> Self {
        let algo = Self::of(view, scales);
        let shown = |text: Option<String>| Some(text.unwrap_or_default());
        Self { activate_price: shown(algo.activate_price), callback_rate: shown(algo.callback_rate), ..algo }
    }

    fn asked(view: &AlgoView, scales: Scales) -> Self {
        let nothing = scales.price(rust_decimal::Decimal::ZERO);
        let actual = Actual {
            actual_order_id: view.actual.map_or_else(String::new, |actual| actual.id.to_string()),
            actual_price: scales.average(view.actual.map(|actual| actual.average_price.0).unwrap_or_default()),
            actual_qty: scales.quantity(view.actual.map(|actual| actual.filled.0).unwrap_or_default()),
            actual_type: super::text::actual_type(view),
            tp_trigger_price: nothing,
            tp_price: nothing,
            sl_trigger_price: nothing,
            sl_price: nothing,
            tp_order_type: "",
        };
        Self { actual: Some(actual), ..Self::of(view, scales) }
    }
}
