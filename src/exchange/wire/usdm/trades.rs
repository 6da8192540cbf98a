//! What an account has traded.

use std::collections::BTreeMap;

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::order::TradesFrom;
use crate::exchange::core::report::TradeView;
use crate::exchange::shell::Desk;
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::order_json::TradeJson;
use super::orders::{WINDOW_MAX, Window, limit};
use super::text::Scales;

const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1_000;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/fapi/v1/userTrades", Security::Signed, user_trades).weight(5)]
}

/// Which trades are wanted.
#[derive(Clone, Copy)]
enum Wanted {
    /// From this id on, the first ones.
    From(u64),
    Within(Window),
}

async fn user_trades(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let order: Option<u64> = parameters.integer("orderId")?;
    let from: Option<u64> = parameters.integer("fromId")?;
    let timed = parameters.has("startTime") || parameters.has("endTime");
    let window = Window::read(&parameters, context.now, WINDOW_MAX)?;
    let limit = limit(&parameters, LIMIT_DEFAULT, LIMIT_MAX)?;
    parameters.finish()?;
    let wanted = match from {
        Some(_) if timed => return Err(Problem::of(-1128, "Combination of optional parameters invalid.")),
        Some(from) => Wanted::From(from),
        // All that an order has traded, whenever that was.
        None if order.is_some() && !timed => Wanted::From(0),
        None => Wanted::Within(window),
    };
    let account = context.account()?;
    let found = context.read(move |desk| {
        let instrument = desk.exchange.symbol_index(symbol).and_then(|index| desk.exchange.instrument(index));
        let instrument = instrument.ok_or(Problem::INVALID_SYMBOL)?;
        let (scales, quote) = (Scales::of(instrument), instrument.quote.clone());
        let meant = |trade: &TradeView| order.is_none_or(|order| trade.fill.venue_order_id == order);
        let trades: Vec<TradeView> = remembered(desk, account, symbol, wanted)?.into_iter().filter(meant).collect();
        let page = match wanted {
            Wanted::From(_) => trades.into_iter().take(limit).collect(),
            Wanted::Within(window) => window.page(trades, limit),
        };
        Ok::<_, Problem>((page, scales, quote))
    });
    let (page, scales, quote) = found.await??;
    Json::of(&page.iter().map(|trade| TradeJson::of(trade, scales, &quote)).collect::<Vec<_>>())
}

/// The trades of the engine, and before them those that only the record has; oldest first.
fn remembered(desk: &Desk<'_>, account: AccountId, symbol: Symbol, wanted: Wanted) -> Result<Vec<TradeView>, Problem> {
    let recent: Vec<TradeView> = desk.exchange.trades(account, symbol).cloned().collect();
    let is_wanted = |trade: &TradeView| match wanted {
        Wanted::From(from) => trade.fill.trade_id >= from,
        Wanted::Within(window) => window.has(trade.fill.at),
    };
    let first = recent.first().map_or(u64::MAX, |trade| trade.fill.trade_id);
    let begins = match wanted {
        // Nobody's trade has the id 0.
        Wanted::From(from) => TradesFrom::After(from.saturating_sub(1)),
        Wanted::Within(window) => TradesFrom::Since(window.from),
    };
    let older = match desk.record {
        Some(record) => record.trades_before(account, first, &BTreeMap::from([(symbol, begins)])).map_err(|_| Problem::DISCONNECTED)?,
        None => Vec::new(),
    };
    Ok(older.into_iter().chain(recent).filter(is_wanted).collect())
}
