//! Orders one by one: placed, tried, asked for, listed, cancelled.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::money::Quantity;
use crate::domain::order::{OrderStatus, VenueOrder};
use crate::domain::time::Timestamp;
use crate::exchange::core::report::OrderView;
use crate::exchange::core::request::OrderRequest;
use crate::exchange::core::{Exchange, OrderName};
use crate::exchange::shell::Desk;
use crate::exchange::wire::{Answer, Context, Dialect, Json, Parameters, Problem, Route, Security};

use super::order_json::{OrderJson, Shows};
use super::text::Scales;
use super::wish::{Door, Wish};
use super::{Usdm, with};

/// Orders that ended without a trade are shown for so long after they were made, and any order for so long.
const UNFILLED_SHOWN: Duration = Duration::from_secs(3 * 86_400);
const SHOWN: Duration = Duration::from_secs(90 * 86_400);
/// Windows of history are at most this long, and this long by default.
pub const WINDOW_MAX: Duration = Duration::from_secs(7 * 86_400);
const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1_000;
/// What the venue answers to a request that ends several orders.
pub const ALL_CANCELLED: &str = r#"{"code":200,"msg":"The operation of cancel all open order is done."}"#;

pub(super) fn routes(usdm: &Arc<Usdm>) -> Vec<Route> {
    vec![
        Route::post("/fapi/v1/order", Security::Trade, with(usdm, place)).weight(0).orders(1).method("order.place"),
        Route::post("/fapi/v1/order/test", Security::Trade, with(usdm, test)).weight(0).method("order.test"),
        Route::get("/fapi/v1/order", Security::Signed, query).method("order.status"),
        Route::delete("/fapi/v1/order", Security::Trade, cancel).method("order.cancel"),
        Route::get("/fapi/v1/openOrder", Security::Signed, open_order),
        Route::get("/fapi/v1/openOrders", Security::Signed, open_orders)
            .weight_of(|parameters| if parameters.has("symbol") { 1 } else { 40 }),
        Route::delete("/fapi/v1/allOpenOrders", Security::Trade, cancel_all),
        Route::get("/fapi/v1/allOrders", Security::Signed, all_orders).weight(5),
    ]
}

impl Usdm {
    /// What `/order` may be asked for.
    pub(super) const fn door(&self) -> Door {
        match self.dialect {
            Dialect::Binance => Door::Order,
            Dialect::Aster => Door::Aster,
        }
    }
}

async fn place(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    let wish = Wish::read(&parameters, usdm.door(), context.now, &usdm.names)?;
    parameters.finish()?;
    let account = context.account()?;
    let shows = wish.shows;
    let placed = context.call(move |desk| place_one(desk, account, &wish)).await?;
    let (view, scales) = placed?;
    Json::of(&OrderJson::changed(&view, scales, shows))
}

/// Places one order at the engine.
pub(super) fn place_one(desk: &mut Desk<'_>, account: AccountId, wish: &Wish) -> Result<(OrderView, Scales), Problem> {
    let (request, scales) = wish.request(desk.exchange)?;
    refuse_reduce_only(desk.exchange, account, wish)?;
    let placed = desk.exchange.place_order(desk.now, account, &request, desk.outputs);
    placed.map(|placed| (placed.order, scales)).map_err(|reject| Problem::rejected(reject, false))
}

/// In hedge mode the position side says what an order does.
///
/// # Errors
/// When the caller says it a second time.
pub(super) fn refuse_reduce_only(exchange: &Exchange, account: AccountId, wish: &Wish) -> Result<(), Problem> {
    let hedged = exchange.is_hedged(account).unwrap_or(false);
    if hedged && wish.reduce_only.is_some() { Err(Problem::not_required("reduceonly")) } else { Ok(()) }
}

async fn query(context: Context, parameters: Parameters) -> Answer {
    let (symbol, name) = (parameters.symbol()?, order_name(&parameters)?);
    parameters.finish()?;
    let account = context.account()?;
    let found = context.read(move |desk| {
        let scales = scales(desk.exchange, symbol)?;
        let view = desk.exchange.order(account, symbol, name).filter(|view| is_shown(view, desk.now));
        view.map(|view| (view, scales)).ok_or(Problem::NO_SUCH_ORDER)
    });
    let (view, scales) = found.await??;
    Json::of(&OrderJson::asked(&view, scales))
}

async fn open_order(context: Context, parameters: Parameters) -> Answer {
    let (symbol, name) = (parameters.symbol()?, order_name(&parameters)?);
    parameters.finish()?;
    let account = context.account()?;
    let found = context.read(move |desk| {
        let scales = scales(desk.exchange, symbol)?;
        let view = desk.exchange.order(account, symbol, name).filter(|view| !view.order.status.is_terminal());
        view.map(|view| (view, scales)).ok_or(Problem::NO_SUCH_ORDER)
    });
    let (view, scales) = found.await??;
    Json::of(&OrderJson::asked(&view, scales))
}

async fn open_orders(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.optional_symbol()?;
    parameters.finish()?;
    let account = context.account()?;
    let orders = context.read(move |desk| {
        if let Some(symbol) = symbol {
            scales(desk.exchange, symbol)?;
        }
        Ok::<_, Problem>(shown(desk.exchange, desk.exchange.open_orders(account, symbol)))
    });
    Json::of(&orders.await??)
}

async fn cancel(context: Context, parameters: Parameters) -> Answer {
    let (symbol, name) = (parameters.symbol()?, order_name(&parameters)?);
    parameters.finish()?;
    let account = context.account()?;
    let cancelled = context.call(move |desk| cancel_one(desk, account, symbol, name)).await?;
    let (view, scales) = cancelled?;
    Json::of(&OrderJson::changed(&view, scales, Shows::Standing))
}

/// Cancels one order at the engine.
pub(super) fn cancel_one(desk: &mut Desk<'_>, account: AccountId, symbol: Symbol, name: OrderName) -> Result<(OrderView, Scales), Problem> {
    let scales = scales(desk.exchange, symbol)?;
    let cancelled = desk.exchange.cancel_order(desk.now, account, symbol, name, desk.outputs);
    cancelled.map(|view| (view, scales)).map_err(|reject| Problem::rejected(reject, false))
}

async fn cancel_all(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    parameters.finish()?;
    let account = context.account()?;
    let done = context.call(move |desk| {
        scales(desk.exchange, symbol)?;
        for order in desk.exchange.open_orders(account, Some(symbol)) {
            let name = OrderName::Id(order.order.venue_order_id);
            // One that another's end took along is gone already.
            let _gone = desk.exchange.cancel_order(desk.now, account, symbol, name, desk.outputs);
        }
        Ok::<_, Problem>(())
    });
    done.await??;
    Ok(Json::raw(ALL_CANCELLED.to_owned()))
}

async fn all_orders(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.optional_symbol()?;
    let from: Option<u64> = parameters.integer("orderId")?;
    let window = Window::read(&parameters, context.now, WINDOW_MAX)?;
    let limit = limit(&parameters, LIMIT_DEFAULT, LIMIT_MAX)?;
    parameters.finish()?;
    let account = context.account()?;
    let orders = context.read(move |desk| {
        let mut orders = orders_of(desk.exchange, account, symbol)?;
        orders.retain(|view| is_shown(view, desk.now));
        match from {
            Some(from) => {
                orders.retain(|view| view.order.venue_order_id >= from);
                orders.truncate(limit);
            }
            None => {
                orders.retain(|view| window.has(view.created_at));
                orders = window.page(orders, limit);
            }
        }
        Ok::<_, Problem>(shown(desk.exchange, orders))
    });
    Json::of(&orders.await??)
}

/// The orders of one symbol or of all, oldest first.
///
/// # Errors
/// When the symbol is not listed.
pub(super) fn orders_of(exchange: &Exchange, account: AccountId, symbol: Option<Symbol>) -> Result<Vec<OrderView>, Problem> {
    if let Some(symbol) = symbol {
        scales(exchange, symbol)?;
        return Ok(exchange.all_orders(account, symbol));
    }
    let mut orders: Vec<OrderView> = exchange.symbols().flat_map(|symbol| exchange.all_orders(account, symbol)).collect();
    orders.sort_unstable_by_key(|view| view.order.venue_order_id);
    Ok(orders)
}

/// Whether the venue still tells of an order.
pub(super) fn is_shown(view: &OrderView, now: Timestamp) -> bool {
    let order = &view.order;
    let unfilled = matches!(order.status, OrderStatus::Canceled | OrderStatus::Expired) && order.filled.is_zero();
    !order.status.is_terminal() || now.since(view.created_at) <= if unfilled { UNFILLED_SHOWN } else { SHOWN }
}

pub(super) fn shown(exchange: &Exchange, orders: Vec<OrderView>) -> Vec<OrderJson> {
    // Invariant: an order's symbol is listed.
    orders.iter().filter_map(|view| Some(OrderJson::asked(view, scales(exchange, view.order.symbol).ok()?))).collect()
}

/// The digits of a symbol.
///
/// # Errors
/// When it is not listed.
pub(super) fn scales(exchange: &Exchange, symbol: Symbol) -> Result<Scales, Problem> {
    let instrument = exchange.symbol_index(symbol).and_then(|index| exchange.instrument(index));
    instrument.map(Scales::of).ok_or(Problem::INVALID_SYMBOL)
}

/// `orderId` or `origClientOrderId`; the id goes before.
///
/// # Errors
/// When neither was sent.
pub(super) fn order_name(parameters: &Parameters) -> Result<OrderName, Problem> {
    let client = parameters.client_id("origClientOrderId")?.map(str::to_owned);
    match (parameters.integer("orderId")?, client) {
        (Some(id), _) => Ok(OrderName::Id(id)),
        (None, Some(client)) => {
            // Invariant: `client_id` has checked its characters.
            ClientOrderId::new(&client).map(OrderName::Client).map_err(|_| Problem::NO_SUCH_ORDER)
        }
        (None, None) => Err(Problem::missing_both("origClientOrderId", "orderId")),
    }
}

/// How many rows an answer has at most.
///
/// # Errors
/// When it is not a whole number.
pub(super) fn limit(parameters: &Parameters, default: usize, max: usize) -> Result<usize, Problem> {
    let limit: usize = parameters.integer::<u32>("limit")?.map_or(default, |limit| limit as usize);
    if limit == 0 { Err(Problem::invalid("limit")) } else { Ok(limit.min(max)) }
}

/// A stretch of history, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Begins where the caller says: the first rows are wanted, not the last.
    pub(super) from_start: bool,
}

impl Window {
    /// Reads `startTime` and `endTime`; `longest` apart where one is not sent.
    ///
    /// # Errors
    /// When they are the wrong way round or too far apart.
    pub(super) fn read(parameters: &Parameters, now: Timestamp, longest: Duration) -> Result<Self, Problem> {
        let (start, end) = (parameters.time("startTime")?, parameters.time("endTime")?);
        let (from, to) = match (start, end) {
            (Some(from), Some(to)) if from > to => return Err(Problem::of(-1023, "Start time is greater than end time.")),
            (Some(from), Some(to)) if to.since(from) > longest => {
                let days = longest.as_secs() / 86_400;
                return Err(Problem::said(-4165, format!("Maximum time interval is {days} days")));
            }
            (Some(from), Some(to)) => (from, to),
            (Some(from), None) => (from, from + longest),
            (None, Some(to)) => (to - longest, to),
            (None, None) => (now - longest, Timestamp(i64::MAX)),
        };
        // What happened within the last millisecond that was asked for is asked for.
        let to = Timestamp(to.0.saturating_add(999_999));
        Ok(Self { from, to, from_start: start.is_some() })
    }

    pub(super) fn has(&self, at: Timestamp) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// The rows that are shown, of rows that are in it, oldest first.
    pub(super) fn page<T>(&self, mut rows: Vec<T>, limit: usize) -> Vec<T> {
        if rows.len() > limit {
            if self.from_start {
                rows.truncate(limit);
            } else {
                rows.drain(..rows.len() - limit);
            }
        }
        rows
    }
}

/// Looks at an order as if it were to be placed, and shows it as it would have been taken.
async fn test(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    let wish = Wish::read(&parameters, usdm.door(), context.now, &usdm.names)?;
    parameters.finish()?;
    let account = context.account()?;
    let checked = context.read(move |desk| {
        let (request, scales) = wish.request(desk.exchange)?;
        refuse_reduce_only(desk.exchange, account, &wish)?;
        let checked = desk.exchange.check_order(desk.now, account, &request);
        checked.map(|()| (request, scales, desk.now)).map_err(|reject| Problem::rejected(reject, false))
    });
    let (request, scales, now) = checked.await??;
    Json::of(&OrderJson::changed(&untaken(&request, now), scales, Shows::Acceptance))
}

/// An order that nobody has taken.
fn untaken(request: &OrderRequest, now: Timestamp) -> OrderView {
    let order = &request.order;
    OrderView {
        time_in_force: order.time_in_force,
        self_trade_prevention: order.self_trade_prevention,
        created_at: now,
        extras: request.extras.clone(),
        ..OrderView::from(VenueOrder {
            client_order_id: order.client_order_id,
            venue_order_id: 0,
            symbol: order.symbol,
            side: order.side,
            position_side: order.position_side,
            kind: order.kind,
            status: OrderStatus::Working,
            quantity: order.quantity,
            filled: Quantity::ZERO,
            reduce_only: order.reduce_only,
            updated_at: now,
        })
    }
}
