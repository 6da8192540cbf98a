//! New orders: one, a test of one, one in the place of another, and one made smaller where it stands.

use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::domain::ids::{ClientOrderId, Symbol};
use crate::domain::money::Quantity;
use crate::exchange::core::Reject;
use crate::exchange::core::spot::{AmendRequest, CancelReplaced, CancelRequest};
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::cancel::{named, restriction};
use super::numbers::Padded;
use super::parse::{self, Type};
use super::refused;
use super::report::{AmendReport, CancelReport, Detail, OrderReport, Times};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v3/order", Security::Trade, place).method("order.place").weight_of_failure(1).orders(1),
        Route::post("/api/v3/order/test", Security::Trade, test).method("order.test").weight_of(test_weight),
        Route::post("/api/v3/order/cancelReplace", Security::Trade, replace)
            .method("order.cancelReplace")
            .weight_of_failure(1)
            .orders(1)
            .counts_refused(),
        Route::put("/api/v3/order/amend/keepPriority", Security::Trade, amend).method("order.amend.keepPriority").weight(4),
        Route::post("/api/v3/sor/order", Security::Trade, no_routing).method("sor.order.place"),
        Route::post("/api/v3/sor/order/test", Security::Trade, no_routing).method("sor.order.test"),
    ]
}

/// Market and limit orders are answered in full, the others with a word.
const fn usual(r#type: Type) -> Detail {
    match r#type {
        Type::Market | Type::Limit => Detail::Full,
        _ => Detail::Ack,
    }
}

async fn place(context: Context, parameters: Parameters) -> Answer {
    let (draft, r#type) = parse::single(&parameters)?;
    let detail = parse::detail(&parameters, usual(r#type))?;
    parameters.finish()?;
    let account = context.account()?;
    let placed = context.call(move |desk| {
        let request = draft.named(desk.exchange);
        desk.exchange.place_spot_order(desk.now, account, &request, desk.outputs)
    });
    let placed = placed.await?.map_err(refused)?;
    Json::of(&OrderReport::placed(&placed.order, &placed.trades, &placed.prevented, detail, Times::of(&context)))
}

fn test_weight(parameters: &Parameters) -> u32 {
    let wants_rates = parameters.iter().any(|(name, value)| name == "computeCommissionRates" && value.eq_ignore_ascii_case("true"));
    if wants_rates { 20 } else { 1 }
}

async fn test(context: Context, parameters: Parameters) -> Answer {
    let (draft, _) = parse::single(&parameters)?;
    parse::detail(&parameters, Detail::Ack)?;
    let rates = parameters.boolean("computeCommissionRates")?.unwrap_or(false);
    let symbol = parameters.symbol()?;
    parameters.finish()?;
    let account = context.account()?;
    let checked = context.read(move |desk| {
        let request = draft.named(desk.exchange);
        desk.exchange.check_spot_order(desk.now, account, &request)?;
        let instrument = desk.exchange.symbol_index(symbol).and_then(|index| desk.exchange.instrument(index));
        Ok(instrument.map(|instrument| (instrument.maker_fee.0, instrument.taker_fee.0)))
    });
    let fees: Option<_> = checked.await?.map_err(refused)?;
    let Some((maker, taker)) = fees.filter(|_| rates) else { return Ok(Json::empty_object()) };
    let none = json!({ "maker": "0.00000000", "taker": "0.00000000" });
    Ok(json!({
        "standardCommissionForOrder": { "maker": Padded(maker), "taker": Padded(taker) },
        "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": { "enabledForAccount": false, "enabledForSymbol": false, "discountAsset": "BNB", "discount": "0.00000000" },
    })
    .into())
}

/// No symbol here is traded by smart order routing.
async fn no_routing(_: Context, _: Parameters) -> Answer {
    Err(Problem::of(-1020, "This operation is not supported."))
}

/// Both halves of a cancel-and-replace, as the venue shows them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replaced {
    cancel_result: &'static str,
    new_order_result: &'static str,
    cancel_response: Box<RawValue>,
    new_order_response: Option<Box<RawValue>>,
}

async fn replace(context: Context, parameters: Parameters) -> Answer {
    let (draft, r#type) = parse::single(&parameters)?;
    let stop_on_failure = match parameters.required("cancelReplaceMode")? {
        "STOP_ON_FAILURE" => true,
        "ALLOW_FAILURE" => false,
        _ => return Err(Problem::invalid("cancelReplaceMode")),
    };
    let cancel = CancelDraft::read(&parameters, ["cancelOrderId", "cancelOrigClientOrderId", "cancelNewClientOrderId"])?;
    // Orders are counted before a handler is asked: what exceeds the limit never comes here, in either mode.
    let known = |text: &str| matches!(text, "DO_NOTHING" | "CANCEL_ONLY").then_some(());
    parameters.choice("orderRateLimitExceededMode", known, Problem::invalid("orderRateLimitExceededMode"))?;
    let detail = parse::detail(&parameters, usual(r#type))?;
    parameters.finish()?;
    let account = context.account()?;
    let done = context.call(move |desk| {
        let order = draft.named(desk.exchange);
        let cancel = cancel.named(desk.exchange);
        let done = desk.exchange.cancel_replace(desk.now, account, &cancel, &order, stop_on_failure, desk.outputs);
        done.map(|done| (done, cancel.name))
    });
    let (done, name) = done.await?.map_err(refused)?;
    replaced(&done, name, detail, Times::of(&context))
}

fn replaced(done: &CancelReplaced, name: ClientOrderId, detail: Detail, times: Times) -> Answer {
    let raw = |value: Result<Box<RawValue>, serde_json::Error>| value.map_err(|_| Problem::UNKNOWN);
    let no = |reject: &Reject| {
        let (code, msg) = reject.words(true);
        to_raw_value(&json!({ "code": code, "msg": msg }))
    };
    let cancel_response = match &done.canceled {
        Ok(canceled) => raw(to_raw_value(&CancelReport::of(canceled, name, times)))?,
        Err(reject) => raw(no(reject))?,
    };
    let new_order_response = match &done.placed {
        Some(Ok(placed)) => Some(raw(to_raw_value(&OrderReport::placed(&placed.order, &placed.trades, &placed.prevented, detail, times)))?),
        Some(Err(reject)) => Some(raw(no(reject))?),
        None => None,
    };
    let word = |is_good: bool| if is_good { "SUCCESS" } else { "FAILURE" };
    let body = Replaced {
        cancel_result: word(done.canceled.is_ok()),
        new_order_result: done.placed.as_ref().map_or("NOT_ATTEMPTED", |placed| word(placed.is_ok())),
        cancel_response,
        new_order_response,
    };
    let problem = match (done.canceled.is_ok(), done.placed.as_ref().is_some_and(Result::is_ok)) {
        (true, true) => return Json::of(&body),
        (false, false) => Problem::of(-2022, "Order cancel-replace failed."),
        _ => Problem::of(-2021, "Order cancel-replace partially failed.").with_status(409),
    };
    Err(problem.with_data(raw(to_raw_value(&body))?))
}

/// A cancel whose own name the engine may have to give.
#[derive(Debug, Clone, Copy)]
pub(super) struct CancelDraft {
    symbol: Symbol,
    named: crate::exchange::core::spot::Named,
    name: Option<ClientOrderId>,
    restriction: Option<crate::exchange::core::spot::CancelRestriction>,
}

impl CancelDraft {
    /// `names` are those of the order's id, of its client id and of the cancel's own.
    pub(super) fn read(parameters: &Parameters, names: [&str; 3]) -> Result<Self, Problem> {
        let [id, client, own] = names;
        Ok(Self {
            symbol: parameters.symbol()?,
            named: named(parameters, id, client)?,
            name: parse::client_id(parameters, own)?,
            restriction: restriction(parameters)?,
        })
    }

    pub(super) fn named(self, exchange: &mut crate::exchange::Exchange) -> CancelRequest {
        let name = self.name.unwrap_or_else(|| exchange.fresh_name());
        CancelRequest { symbol: self.symbol, named: self.named, name, restriction: self.restriction }
    }
}

async fn amend(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let named = named(&parameters, "orderId", "origClientOrderId")?;
    let name = parse::client_id(&parameters, "newClientOrderId")?;
    let quantity = Quantity(parse::required_decimal(&parameters, "newQty")?);
    parameters.finish()?;
    let account = context.account()?;
    let amended = context.call(move |desk| {
        let name = name.unwrap_or_else(|| desk.exchange.fresh_name());
        let request = AmendRequest { symbol, named, quantity, name };
        desk.exchange.amend_order(desk.now, account, &request, desk.outputs)
    });
    let amended = amended.await?.map_err(refused)?;
    Json::of(&AmendReport::of(&amended, Times::of(&context)))
}
