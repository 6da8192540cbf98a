//! An account at one moment, out of several answers: what is held, what is open, what was traded, what else moved the wallet. The
//! answers are not of one moment, so what is held is asked for before and behind the trades, and again until both agree. It asks;
//! what the answers say the codec reads.

use std::time::Duration;

use super::account::Account;
use super::caller::{Caller, read};
use super::orders::Done;
use super::weight::Purpose;
use crate::domain::ids::Symbol;
use crate::domain::order::{Fill, TradesFrom, TradesWanted, VenueEvent, VenueOrder, VenueSnapshot};
use crate::venues::binance::codec::answers::{AlgoAnswer, AlgoStanding, OrderAnswer, TradeAnswer};
use crate::venues::binance::codec::outcome::{Failure, is_not_found};
use crate::venues::binance::codec::product::{Conditional, Unsupported};
use crate::venues::binance::codec::request::Request;
use crate::venues::binance::codec::snapshot::{Held, held, held_requests, ledger};
use crate::venues::binance::codec::trading::OrderName;

/// Looks at an account that trades all the time: after so many the last one is told, and the next snapshot shows whether it was
/// right.
const LOOKS_MAX: u32 = 4;
/// Between two of them.
const LOOK_AGAIN: Duration = Duration::from_millis(40);
/// Pages of one symbol's trades in one snapshot: a hundred thousand trades. What is beyond comes with the next.
const PAGES_MAX: u32 = 100;

pub async fn take(account: &Account, caller: &Caller, purpose: Purpose, wanted: &TradesWanted) -> Done {
    match try_take(account, caller, purpose, wanted).await {
        Ok(snapshot) => VenueEvent::SnapshotIs(snapshot).into(),
        Err(failure) => VenueEvent::CommandFailed { command: "snapshot".to_owned(), why: failure.to_string() }.into(),
    }
}

async fn try_take(account: &Account, caller: &Caller, purpose: Purpose, wanted: &TradesWanted) -> Result<VenueSnapshot, Failure> {
    let mut before = look(account, caller, purpose).await?;
    let mut looks = 1;
    loop {
        let trades = trades(account, caller, purpose, wanted).await?;
        let open_orders = open_orders(account, caller, purpose).await?;
        let mut snapshot = before.clone();
        // Nobody compares what is held with trades that were not asked for.
        if !wanted.is_empty() {
            let after = look(account, caller, purpose).await?;
            looks += 1;
            if after != before && looks < LOOKS_MAX {
                before = after;
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
            snapshot = after;
        }
        let funds = if wanted.is_empty() { Vec::new() } else { funds(account, caller, purpose).await };
        let Held { wallet, positions, beside_holdings } = snapshot;
        return Ok(VenueSnapshot { open_orders, positions, wallet, beside_holdings, trades, funds });
    }
}

fn unsupported(error: Unsupported) -> Failure {
    Failure::Refused { code: 0, message: error.to_string() }
}

fn wrong(error: impl ToString) -> Failure {
    Failure::silence(error.to_string())
}

async fn look(account: &Account, caller: &Caller, purpose: Purpose) -> Result<Held, Failure> {
    let requests = held_requests(caller.product()).map_err(unsupported)?;
    let bodies = requests.iter().map(|request| caller.body(purpose, request));
    let bodies: Vec<Vec<u8>> = futures_util::future::try_join_all(bodies).await?;
    let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    held(caller.product(), &account.instruments(), &bodies)
}

/// Ordinary and conditional ones, under the names that they have here.
async fn open_orders(account: &Account, caller: &Caller, purpose: Purpose) -> Result<Vec<VenueOrder>, Failure> {
    let mut orders = Vec::new();
    let plain = list(caller, purpose, caller.product().open_orders(None)).await?;
    for answer in read::<Vec<OrderAnswer<'_>>>(caller.product(), &plain)? {
        if let Some(order) = answer.order(caller.product()).map_err(wrong)? {
            orders.push(account.translator().open_order(order));
        }
    }
    if caller.product().capabilities().conditional == Conditional::AlgoService {
        let algos = list(caller, purpose, caller.product().open_algos(None)).await?;
        for answer in read::<Vec<AlgoAnswer<'_>>>(caller.product(), &algos)? {
            if let Some(AlgoStanding::Itself(order)) = answer.standing().map_err(wrong)? {
                account.translator().open_algo(&order);
                orders.push(order);
            }
        }
    }
    account.open_on(orders.iter().map(|order| order.symbol));
    Ok(orders)
}

async fn list(caller: &Caller, purpose: Purpose, request: Result<Request, Unsupported>) -> Result<Vec<u8>, Failure> {
    caller.body(purpose, &request.map_err(unsupported)?).await
}

/// Each symbol's trades from where they are wanted, page by page.
async fn trades(account: &Account, caller: &Caller, purpose: Purpose, wanted: &TradesWanted) -> Result<Vec<Fill>, Failure> {
    let each = wanted.iter().map(|(symbol, from)| trades_of(account, caller, purpose, *symbol, *from));
    let mut all: Vec<Fill> = futures_util::future::try_join_all(each).await?.concat();
    // By time across symbols, so that money moves as it did; by id within one.
    all.sort_by_key(|fill| (fill.at, fill.symbol, fill.trade_id));
    Ok(all)
}

async fn trades_of(account: &Account, caller: &Caller, purpose: Purpose, symbol: Symbol, from: TradesFrom) -> Result<Vec<Fill>, Failure> {
    let product = caller.product();
    let now = caller.host.venue_time();
    let (mut page, mut fills) = (Some(product.first_page(from, now)), Vec::new());
    for _ in 0..PAGES_MAX {
        let Some(asked) = page else { break };
        let body = list(caller, purpose, product.user_trades(symbol, asked)).await?;
        let listed: Vec<TradeAnswer<'_>> = read(product, &body)?;
        for trade in &listed {
            fills.extend(named(account, caller, purpose, symbol, trade).await?);
        }
        let newest = listed.iter().map(|trade| trade.id).max();
        page = product.next_page(asked, listed.len(), newest, now);
    }
    Ok(fills)
}

/// A listed trade names its order by the venue's id alone: whose it is, is asked for where nobody remembers.
async fn named(
    account: &Account,
    caller: &Caller,
    purpose: Purpose,
    symbol: Symbol,
    trade: &TradeAnswer<'_>,
) -> Result<Option<Fill>, Failure> {
    if account.translator().name_of(symbol, trade.order_id).is_none() {
        let request = caller.product().query(symbol, OrderName::Venue(trade.order_id)).map_err(unsupported)?;
        match caller.body(purpose, &request).await {
            Ok(body) => {
                let answer: OrderAnswer<'_> = read(caller.product(), &body)?;
                account.translator().named(symbol, trade.order_id, Some(answer.name()));
            }
            Err(Failure::Refused { code, .. }) if is_not_found(code) => account.translator().named(symbol, trade.order_id, None),
            Err(failure) => return Err(failure),
        }
    }
    account.translator().traded(trade).map_err(wrong)
}

/// Funding, transfers and the like. Without them the wallet alone says that something moved: a list that cannot be had must not
/// keep the rest from being told.
async fn funds(account: &Account, caller: &Caller, purpose: Purpose) -> Vec<crate::domain::order::FundsMoved> {
    let Some(since) = account.ledger_due() else { return Vec::new() };
    let Ok(request) = caller.product().income(since) else { return Vec::new() };
    match caller.body(purpose, &request).await {
        Ok(body) => match ledger(caller.product(), &account.instruments(), &body) {
            Ok(funds) => {
                account.ledger_read();
                funds
            }
            Err(error) => {
                tracing::warn!(target: "ringfence::venues", account = %account.id, %error, "the venue's ledger could not be read");
                Vec::new()
            }
        },
        Err(failure) => {
            tracing::warn!(target: "ringfence::venues", account = %account.id, %failure, "the venue's ledger could not be read");
            Vec::new()
        }
    }
}
