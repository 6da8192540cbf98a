//! What happened to an account: its income, and the orders that liquidated or deleveraged it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::exchange::core::margin::{IncomeKind, IncomeRow};
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::orders::{WINDOW_MAX, Window, limit, orders_of, scales, shown};
use super::text::money;

const FORCED_LIMIT: usize = 50;
const FORCED_LIMIT_MAX: usize = 100;
const INCOME_LIMIT: usize = 100;
const INCOME_LIMIT_MAX: usize = 1_000;
/// Income is kept for three months, and a question may be about all of them.
const INCOME_WINDOW_MAX: Duration = Duration::from_secs(92 * 86_400);
/// Kinds of income that the venue has and that nobody earns here.
const UNEARNED: [&str; 14] = [
    "WELCOME_BONUS",
    "REFERRAL_KICKBACK",
    "COMMISSION_REBATE",
    "API_REBATE",
    "CONTEST_REWARD",
    "CROSS_COLLATERAL_TRANSFER",
    "OPTIONS_PREMIUM_FEE",
    "OPTIONS_SETTLE_PROFIT",
    "INTERNAL_TRANSFER",
    "AUTO_EXCHANGE",
    "DELIVERED_SETTELMENT",
    "COIN_SWAP_DEPOSIT",
    "COIN_SWAP_WITHDRAW",
    "STRATEGY_UMFUTURES_TRANSFER",
];

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/fapi/v1/income", Security::Signed, income).weight(30),
        Route::get("/fapi/v1/forceOrders", Security::Signed, force_orders)
            .weight_of(|parameters| if parameters.has("symbol") { 20 } else { 50 }),
    ]
}

/// How the venue names the orders that it places for an account.
const LIQUIDATION: &str = "autoclose-";
const DELEVERAGING: &str = "adl_autoclose";

async fn force_orders(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.optional_symbol()?;
    let (liquidation, deleveraging) = match parameters.word("autoCloseType") {
        None => (true, true),
        Some("LIQUIDATION") => (true, false),
        Some("ADL") => (false, true),
        Some(_) => return Err(Problem::invalid("autoCloseType")),
    };
    let window = Window::read(&parameters, context.now, WINDOW_MAX)?;
    let limit = limit(&parameters, FORCED_LIMIT, FORCED_LIMIT_MAX)?;
    parameters.finish()?;
    let account = context.account()?;
    let rows = context.read(move |desk| {
        let mut orders = orders_of(desk.exchange, account, symbol)?;
        orders.retain(|view| {
            let name = view.order.client_order_id;
            let forced = liquidation && name.as_str().starts_with(LIQUIDATION) || deleveraging && name.as_str().starts_with(DELEVERAGING);
            forced && window.has(view.created_at)
        });
        Ok::<_, Problem>(shown(desk.exchange, window.page(orders, limit)))
    });
    Json::of(&rows.await??)
}

async fn income(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.optional_symbol()?;
    let word = parameters.word("incomeType").map(str::to_owned);
    let kind: Option<IncomeKind> = word.as_deref().and_then(|word| word.parse().ok());
    let unearned = match (&word, kind) {
        (Some(word), None) if UNEARNED.contains(&word.as_str()) => true,
        (Some(_), None) => return Err(Problem::invalid("incomeType")),
        _ => false,
    };
    let page: usize = parameters.integer::<u32>("page")?.map_or(1, |page| page.max(1) as usize);
    let timed = parameters.has("startTime") || parameters.has("endTime");
    let window = Window::read(&parameters, context.now, if timed { INCOME_WINDOW_MAX } else { WINDOW_MAX })?;
    let limit = limit(&parameters, INCOME_LIMIT, INCOME_LIMIT_MAX)?;
    parameters.finish()?;
    if unearned {
        return Ok(Json::raw("[]".to_owned()));
    }
    let account = context.account()?;
    let rows = context.read(move |desk| {
        if let Some(symbol) = symbol {
            scales(desk.exchange, symbol)?;
        }
        let meant = |row: &&IncomeRow| {
            kind.is_none_or(|kind| kind == row.kind) && symbol.is_none_or(|symbol| row.symbol == Some(symbol)) && window.has(row.at)
        };
        let rows: Vec<&IncomeRow> = desk.exchange.income(account).filter(meant).collect();
        Ok::<_, Problem>(paged(&window, rows, page, limit).into_iter().map(row_of).collect::<Vec<Value>>())
    });
    Json::of(&rows.await??)
}

/// Without a page the newest rows, or the first after a start that was asked for; with one, pages from the oldest.
fn paged<T>(window: &Window, rows: Vec<T>, page: usize, limit: usize) -> Vec<T> {
    if page > 1 {
        return rows.into_iter().skip((page - 1).saturating_mul(limit)).take(limit).collect();
    }
    window.page(rows, limit)
}

fn row_of(row: &IncomeRow) -> Value {
    json!({
        "symbol": row.symbol.map_or_else(String::new, |symbol| symbol.to_string()),
        "incomeType": row.kind.to_string(),
        "income": money(row.amount.0),
        "asset": row.asset,
        "info": row.kind.to_string(),
        "time": row.at.as_millis(),
        "tranId": row.transaction_id,
        "tradeId": row.trade_id.map_or_else(String::new, |id| id.to_string()),
    })
}
