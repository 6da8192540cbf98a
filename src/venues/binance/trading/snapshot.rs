//! An account at one moment, out of several answers: what is held, what is open, what was traded, what else moved the wallet. The
//! answers are not of one moment, so what is held is asked for before and behind the trades, and again until both agree. It asks;
//! what the answers say the codec reads.

use std::collections::BTreeMap;
use std::time::Duration;

use super::account::Account;
use super::caller::{Caller, answer};
use super::lane::Reply;
use super::orders::{Done, look_for_flying};
use super::weight::Purpose;
use crate::domain::ids::Symbol;
use crate::domain::money::Price;
use crate::domain::order::{Fill, FundsMoved, TradesFrom, TradesWanted, VenueEvent, VenueOrder, VenueSnapshot};
use crate::venues::binance::codec::answers::{OrderAnswer, PriceAnswer};
use crate::venues::binance::codec::ledger::{LedgerPage, ledger};
use crate::venues::binance::codec::outcome::{Failure, is_not_found, read};
use crate::venues::binance::codec::product::{Conditional, Unsupported};
use crate::venues::binance::codec::request::Request;
use crate::venues::binance::codec::snapshot::{self as codec, Held};
use crate::venues::binance::codec::trading::OrderName;

/// Looks at an account that trades all the time: after so many the last one is told, and the next snapshot shows whether it was
/// right.
const LOOKS_MAX: u32 = 4;
/// Between two of them.
const LOOK_AGAIN: Duration = Duration::from_millis(40);
/// Pages of one symbol's trades in one snapshot: a hundred thousand trades. What is beyond comes with the next.
const PAGES_MAX: u32 = 100;
/// Pages of the ledger in one snapshot: ten thousand trades. What is beyond comes with the next.
const LEDGER_PAGES_MAX: u32 = 20;

pub async fn take(account: &Account, caller: &Caller, purpose: Purpose, wanted: &TradesWanted) -> Done {
    match try_take(account, caller, purpose, wanted).await {
        Ok(snapshot) => VenueEvent::SnapshotIs(snapshot).into(),
        Err(failure) => VenueEvent::CommandFailed { command: "snapshot".to_owned(), why: failure.to_string() }.into(),
    }
}

async fn try_take(account: &Account, caller: &Caller, purpose: Purpose, wanted: &TradesWanted) -> Result<VenueSnapshot, Failure> {
    if purpose == Purpose::Kill {
        return take_for_the_kill_switch(account, caller).await;
    }
    // Who only compares needs to know what is held, not what could be sold of it.
    let unpriced = BTreeMap::new();
    let mut before = look(account, caller, purpose, &unpriced).await?;
    let mut looks = 1;
    loop {
        let trades = trades(account, caller, purpose, wanted).await?;
        let open_orders = open_orders(account, caller, purpose).await?;
        let mut snapshot = before.clone();
        // Nobody compares what is held with trades that were not asked for.
        if !wanted.is_empty() {
            let after = look(account, caller, purpose, &unpriced).await?;
            looks += 1;
            if after != before && looks < LOOKS_MAX {
                before = after;
                caller.host.network.sleep(LOOK_AGAIN).await;
                continue;
            }
            // Answers that never agreed are not of one moment, and prove nothing.
            let as_of = after.as_of.filter(|_| after == before);
            snapshot = Held { as_of, ..after };
        }
        let funds = funds(account, caller, purpose).await;
        let Held { wallet, positions, beside_holdings, as_of, margin } = snapshot;
        let on_their_way = account.on_their_way();
        return Ok(VenueSnapshot { open_orders, positions, wallet, beside_holdings, trades, funds, on_their_way, margin, as_of });
    }
}

/// What is open and what is held, nothing else: side by side, as a halt waits for it. Orders that left are looked for first: one that
/// has arrived by then is in the list.
async fn take_for_the_kill_switch(account: &Account, caller: &Caller) -> Result<VenueSnapshot, Failure> {
    let purpose = Purpose::Kill;
    look_for_flying(account, caller, purpose).await;
    let held = async { look(account, caller, purpose, &prices(account, caller).await).await };
    let both = futures_util::future::try_join(held, open_orders(account, caller, purpose)).await;
    let (Held { wallet, positions, beside_holdings, as_of, .. }, open_orders) = both?;
    let on_their_way = account.on_their_way();
    Ok(VenueSnapshot { open_orders, positions, wallet, beside_holdings, on_their_way, as_of, ..VenueSnapshot::default() })
}

/// What holdings are worth: a sale of less than the venue takes an order for is none that a halt could wait for. A price that cannot be
/// had is no reason not to try.
async fn prices(account: &Account, caller: &Caller) -> BTreeMap<Symbol, Price> {
    if !caller.product().capabilities().holdings {
        return BTreeMap::new();
    }
    let instruments = account.instruments();
    let each = instruments.iter().map(async |instrument| {
        let reply = ask(caller, Purpose::Kill, caller.product().price(instrument.symbol)).await.ok()?;
        let price = read::<PriceAnswer<'_>>(caller.product(), answer(&reply)).ok()?;
        Some((instrument.symbol, Price(price.price.0)))
    });
    futures_util::future::join_all(each).await.into_iter().flatten().collect()
}

fn unsupported(error: &Unsupported) -> Failure {
    Failure::Refused { code: 0, message: error.to_string() }
}

async fn look(account: &Account, caller: &Caller, purpose: Purpose, prices: &BTreeMap<Symbol, Price>) -> Result<Held, Failure> {
    let (product, settlement) = (caller.product(), account.settlement());
    if product.capabilities().holdings {
        let reply = ask(caller, purpose, product.account()).await?;
        return codec::holdings(settlement, account.instruments().iter(), |symbol| prices.get(&symbol).copied(), answer(&reply));
    }
    let balances = ask(caller, purpose, product.balance());
    let positions = ask(caller, purpose, product.positions(None));
    let (balances, positions) = futures_util::future::try_join(balances, positions).await?;
    codec::held(product, settlement, answer(&balances), answer(&positions))
}

async fn ask(caller: &Caller, purpose: Purpose, request: Result<Request, Unsupported>) -> Result<Reply, Failure> {
    caller.reply(purpose, &request.map_err(|error| unsupported(&error))?).await
}

/// Ordinary and conditional ones, under the names that they have here.
async fn open_orders(account: &Account, caller: &Caller, purpose: Purpose) -> Result<Vec<VenueOrder>, Failure> {
    let mut orders = Vec::new();
    // Before the ordinary ones: a conditional order that triggers meanwhile is in one of the lists at least.
    if caller.product().capabilities().conditional == Conditional::AlgoService {
        let algos = ask(caller, purpose, caller.product().open_algos(None)).await?;
        orders.extend(account.translator().open_algos(answer(&algos))?);
    }
    let plain = ask(caller, purpose, caller.product().open_orders(None)).await?;
    orders.extend(account.translator().open_orders(answer(&plain))?);
    account.open_on(orders.iter().map(|order| order.symbol));
    Ok(orders)
}

/// Each symbol's trades from where they are wanted, page by page.
async fn trades(account: &Account, caller: &Caller, purpose: Purpose, wanted: &TradesWanted) -> Result<Vec<Fill>, Failure> {
    // Elsewhere nothing of this account is traded.
    let here = account.symbols();
    let each =
        wanted.iter().filter(|(symbol, _)| here.contains(symbol)).map(|(symbol, from)| trades_of(account, caller, purpose, *symbol, *from));
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
        let reply = ask(caller, purpose, product.user_trades(symbol, asked)).await?;
        let mut listed = account.translator().listed(answer(&reply))?;
        if !listed.unnamed.is_empty() {
            for (symbol, order) in &listed.unnamed {
                name(account, caller, purpose, *symbol, *order).await?;
            }
            listed = account.translator().listed(answer(&reply))?;
        }
        fills.extend(listed.fills);
        page = product.next_page(asked, listed.found, listed.newest, now);
    }
    Ok(fills)
}

/// A listed trade names its order by the venue's id alone: whose it is, is asked for where nobody remembers.
async fn name(account: &Account, caller: &Caller, purpose: Purpose, symbol: Symbol, order: u64) -> Result<(), Failure> {
    let reply = ask(caller, purpose, caller.product().query(symbol, OrderName::Venue(order))).await?;
    let found = match read::<OrderAnswer<'_>>(caller.product(), answer(&reply)) {
        Ok(shown) => Some(shown.name()),
        Err(Failure::Refused { code, .. }) if is_not_found(code) => None,
        Err(failure) => return Err(failure),
    };
    account.translator().named(symbol, order, found);
    Ok(())
}

/// Funding, transfers and the like. Without them the wallet alone says that something moved: a list that cannot be had must not
/// keep the rest from being told.
async fn funds(account: &Account, caller: &Caller, purpose: Purpose) -> Vec<FundsMoved> {
    let Some(look) = account.ledger_due().filter(|_| !caller.product().capabilities().holdings) else { return Vec::new() };
    let (mut funds, mut from, asked_at) = (Vec::new(), look.since, caller.host.venue_time());
    for _ in 0..LEDGER_PAGES_MAX {
        let page = async {
            let reply = ask(caller, purpose, caller.product().income(from)).await?;
            ledger(caller.product(), account.settlement(), from, answer(&reply))
        };
        match page.await {
            Ok(LedgerPage { moved, next }) => {
                funds.extend(moved);
                let Some(next) = next else {
                    account.ledger_read(look, asked_at);
                    return funds;
                };
                from = next;
            }
            Err(failure) => {
                tracing::warn!(target: "ringfence::venues", account = %account.id, %failure, "the venue's ledger could not be read");
                return funds;
            }
        }
    }
    account.ledger_read(look, from);
    funds
}
