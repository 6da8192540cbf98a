//! What an account has traded.

use crate::domain::order::TradesFrom;
use crate::domain::time::Timestamp;
use crate::exchange::shell::TradesAsked;
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::order_json::TradeJson;
use super::orders::{WINDOW_MAX, Window, limit};
use super::text::Scales;

const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1_000;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/fapi/v1/userTrades", Security::Signed, user_trades).weight(5)]
}

async fn user_trades(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let order: Option<u64> = parameters.integer("orderId")?;
    let from: Option<u64> = parameters.integer("fromId")?;
    let timed = parameters.has("startTime") || parameters.has("endTime");
    let window = Window::read(&parameters, context.now, WINDOW_MAX)?;
    let limit = limit(&parameters, LIMIT_DEFAULT, LIMIT_MAX)?;
    parameters.finish()?;
    let always = Timestamp(i64::MAX);
    let (begins, until, newest) = match from {
        Some(_) if timed => return Err(Problem::of(-1128, "Combination of optional parameters invalid.")),
        // Nobody's trade has the id 0.
        Some(from) => (TradesFrom::After(from.saturating_sub(1)), always, false),
        // All that an order has traded, whenever that was.
        None if order.is_some() && !timed => (TradesFrom::After(0), always, false),
        None => (TradesFrom::Since(window.from), window.to, !window.from_start),
    };
    let account = context.account()?;
    let found = context.read(move |desk| {
        let instrument = desk.exchange.symbol_index(symbol).and_then(|index| desk.exchange.instrument(index));
        let instrument = instrument.ok_or(Problem::INVALID_SYMBOL)?;
        let (scales, quote) = (Scales::of(instrument), instrument.quote.clone());
        let asked = TradesAsked { symbol, begins: Some(begins), until, order, limit, newest };
        let trades = desk.trades(account, asked).map_err(|_| Problem::DISCONNECTED)?;
        Ok::<_, Problem>((trades, scales, quote))
    });
    let (page, scales, quote) = found.await??;
    Json::of(&page.iter().map(|trade| TradeJson::of(trade, scales, &quote)).collect::<Vec<_>>())
}
