//! Orders that are changed where they stand, what was changed, and the switch that cancels them all when nobody holds it.

use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::money::{Price, Quantity};
use crate::domain::order::Side;
use crate::exchange::core::margin::{Modification, OrderAmendment};
use crate::exchange::core::report::OrderView;
use crate::exchange::core::request::PriceMatch;
use crate::exchange::core::{OrderName, Reject};
use crate::exchange::shell::Desk;
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::batch::{Row, members};
use super::order_json::OrderJson;
use super::orders::{Window, limit, order_name, scales};
use super::text::Scales;
use super::wish::{price_match, price_of, side, within};

const AMENDMENTS_LIMIT: usize = 50;
const AMENDMENTS_LIMIT_MAX: usize = 100;
/// "Order modify history longer than 3 month is not available."
const AMENDMENTS_WINDOW: Duration = Duration::from_secs(92 * 86_400);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::put("/fapi/v1/order", Security::Trade, modify).weight(0).orders(1).method("order.modify"),
        Route::put("/fapi/v1/batchOrders", Security::Trade, modify_several).weight(5).orders(5),
        Route::get("/fapi/v1/orderAmendment", Security::Signed, amendments),
        Route::post("/fapi/v1/countdownCancelAll", Security::Trade, countdown).weight(10),
    ]
}

/// What an order is to be instead; the price as it was sent.
struct Change {
    symbol: Symbol,
    name: OrderName,
    side: Side,
    quantity: Decimal,
    price: Option<Decimal>,
    price_match: Option<PriceMatch>,
}

impl Change {
    fn read(parameters: &Parameters) -> Result<Self, Problem> {
        let symbol = parameters.symbol()?;
        let name = order_name(parameters)?;
        let side = side(parameters)?;
        let quantity = parameters.required_decimal("quantity")?;
        let (price, price_match) = (parameters.decimal("price")?, price_match(parameters)?);
        match (price, price_match) {
            (Some(_), Some(_)) => Err(Problem::not_required("price")),
            (None, None) => Err(Problem::missing("price")),
            _ => Ok(Self { symbol, name, side, quantity, price, price_match }),
        }
    }

    fn carry_out(&self, desk: &mut Desk<'_>, account: AccountId) -> Result<(OrderView, Scales), Problem> {
        let index = desk.exchange.symbol_index(self.symbol).ok_or(Problem::INVALID_SYMBOL)?;
        let instrument = desk.exchange.instrument(index).ok_or(Problem::INVALID_SYMBOL)?;
        let scales = Scales::of(instrument);
        let price = match (self.price, self.price_match) {
            (Some(price), _) => Price(within(price, scales.price)?),
            (None, Some(matched)) => price_of(desk.exchange, index, instrument, matched, self.side)?,
            (None, None) => return Err(Problem::missing("price")),
        };
        let wanted = Modification { side: self.side, quantity: Quantity(within(self.quantity, scales.quantity)?), price };
        let changed = desk.exchange.modify_order(desk.now, account, self.symbol, self.name, wanted, desk.outputs);
        changed.map(|view| (view, scales)).map_err(|reject| match reject {
            Reject::UnknownOrder => Problem::NO_SUCH_ORDER,
            reject => Problem::rejected(reject, false),
        })
    }
}

async fn modify(context: Context, parameters: Parameters) -> Answer {
    let change = Change::read(&parameters)?;
    parameters.finish()?;
    let account = context.account()?;
    let (view, scales) = context.call(move |desk| change.carry_out(desk, account)).await??;
    Json::of(&OrderJson::modified(&view, scales))
}

async fn modify_several(context: Context, parameters: Parameters) -> Answer {
    let changes: Vec<Result<Change, Problem>> =
        members(&context, &parameters)?.into_iter().map(|member| member.and_then(|member| Change::read(&member))).collect();
    parameters.finish()?;
    let account = context.account()?;
    let rows = context.call(move |desk| {
        let changed = changes.into_iter().map(|change| {
            let (view, scales) = change?.carry_out(desk, account)?;
            Ok(OrderJson::modified(&view, scales))
        });
        changed.map(Row::of).collect::<Vec<_>>()
    });
    Json::of(&rows.await?)
}

async fn amendments(context: Context, parameters: Parameters) -> Answer {
    let (symbol, name) = (parameters.symbol()?, order_name(&parameters)?);
    let window = Window::read(&parameters, context.now, AMENDMENTS_WINDOW)?;
    let limit = limit(&parameters, AMENDMENTS_LIMIT, AMENDMENTS_LIMIT_MAX)?;
    parameters.finish()?;
    let account = context.account()?;
    let rows = context.read(move |desk| {
        let scales = scales(desk.exchange, symbol)?;
        let meant = |amendment: &&OrderAmendment| {
            let of_order = match name {
                OrderName::Id(id) => amendment.order_id == id,
                OrderName::Client(id) => amendment.client_order_id == id,
            };
            of_order && window.has(amendment.at)
        };
        let rows: Vec<Value> =
            desk.exchange.order_amendments(account, symbol).filter(meant).map(|amendment| row(amendment, scales)).collect();
        // The newest first.
        Ok::<_, Problem>(rows.into_iter().rev().take(limit).collect::<Vec<_>>())
    });
    Json::of(&rows.await??)
}

fn row(amendment: &OrderAmendment, scales: Scales) -> Value {
    let (price, quantity) = (amendment.price, amendment.quantity);
    json!({
        "amendmentId": amendment.amendment_id,
        "symbol": amendment.symbol,
        "pair": amendment.symbol,
        "orderId": amendment.order_id,
        "clientOrderId": amendment.client_order_id,
        "time": amendment.at.as_millis(),
        "amendment": {
            "price": { "before": scales.price(price.0.0), "after": scales.price(price.1.0) },
            "origQty": { "before": scales.quantity(quantity.0.0), "after": scales.quantity(quantity.1.0) },
            "count": amendment.count,
        },
    })
}

async fn countdown(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let millis: u64 = parameters.required_integer("countdownTime")?;
    parameters.finish()?;
    let account = context.account()?;
    let time = (millis > 0).then(|| Duration::from_millis(millis));
    let armed = context.call(move |desk| desk.exchange.countdown(desk.now, account, symbol, time)).await?;
    armed.map_err(|reject| Problem::rejected(reject, false))?;
    Ok(json!({ "symbol": symbol, "countdownTime": millis.to_string() }).into())
}
