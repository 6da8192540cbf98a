//! One order at the venue: placed, cancelled, asked for; and all of them cancelled. It asks; what an answer means the translator
//! says (F01, F02, F08).

use super::account::Account;
use super::caller::{Caller, Pass, answer};
use super::lane::Reply;
use super::snapshot;
use super::user_stream::Receipt;
use super::weight::Purpose;
use crate::domain::ids::{ClientOrderId, Symbol};
use crate::domain::order::{NewOrder, VenueCommand, VenueEvent};
use crate::venues::binance::codec::outcome::{self, Answer, Failure, NOT_SENT, is_not_found};
use crate::venues::binance::codec::product::{Conditional, Product, Unsupported};
use crate::venues::binance::codec::request::Request;
use crate::venues::binance::codec::trading::OrderName;
use crate::venues::binance::codec::translate::{Asked, Heard};

/// What a request came to: words for the account, and what the stream must tell of it as well.
#[derive(Debug, Default)]
pub struct Done {
    pub events: Vec<VenueEvent>,
    pub owed: Vec<Receipt>,
}

impl From<VenueEvent> for Done {
    fn from(event: VenueEvent) -> Self {
        Self { events: vec![event], owed: Vec::new() }
    }
}

/// Carries out a command of the port.
pub async fn perform(account: &Account, caller: &Caller, purpose: Purpose, command: VenueCommand) -> Done {
    match command {
        VenueCommand::Place(order) => place(account, caller, purpose, &order).await,
        VenueCommand::Cancel { symbol, client_order_id } => cancel(account, caller, purpose, symbol, client_order_id).await,
        VenueCommand::CancelAll { symbol } => cancel_all(account, caller, purpose, symbol).await,
        VenueCommand::Query { symbol, client_order_id } => query(account, caller, purpose, symbol, client_order_id).await,
        VenueCommand::Snapshot { trades } => snapshot::take(account, caller, purpose, &trades).await,
        VenueCommand::SetLeverage { symbol, leverage } => set_leverage(caller, purpose, symbol, leverage).await,
    }
}

/// A request that the product does not have is the venue's no.
fn unsupported(error: &Unsupported) -> Failure {
    Failure::Refused { code: NOT_SENT, message: error.to_string() }
}

async fn ask(caller: &Caller, purpose: Purpose, request: Result<Request, Unsupported>) -> Result<Reply, Failure> {
    caller.reply(purpose, &request.map_err(|error| unsupported(&error))?).await
}

fn as_answer(reply: &Result<Reply, Failure>) -> Result<Answer<'_>, Failure> {
    reply.as_ref().map(answer).map_err(Clone::clone)
}

async fn place(account: &Account, caller: &Caller, purpose: Purpose, order: &NewOrder) -> Done {
    account.translator().sending(order);
    let flight = account.flight();
    // The kill switch's own orders are what the gate is closed for; on their way they are like all others.
    let enter = || {
        if purpose != Purpose::Kill {
            return account.enter(flight, order);
        }
        account.depart(flight, order);
        Some(Box::new(()) as Box<dyn Send>)
    };
    let pass: Pass<'_> = &enter;
    let reply = match caller.product().place(order) {
        Ok(request) => caller.reply_past(purpose, &request, Some(pass)).await,
        Err(error) => Err(unsupported(&error)),
    };
    let Heard { events, failure } = account.translator().placed(account.now(), order, as_answer(&reply));
    if failure.as_ref().is_none_or(Failure::is_definite) {
        account.landed(flight);
    }
    if let Some(failure) = &failure {
        account.refused(failure);
        if failure.is_definite() && failure.words().0 == NOT_SENT {
            return VenueEvent::NotSent { client_order_id: order.client_order_id, why: failure.words().1.to_owned() }.into();
        }
    }
    let algo = caller.product().is_algo(order.kind);
    let owed = events.iter().filter_map(|event| match event {
        VenueEvent::Accepted { venue_order_id, .. } if algo => Some(Receipt::Algo(*venue_order_id)),
        VenueEvent::Accepted { venue_order_id, .. } => Some(Receipt::Order(*venue_order_id)),
        _ => None,
    });
    Done { owed: owed.collect(), events }
}

/// A conditional order is cancelled where it waits; one that triggered meanwhile, where it went.
async fn cancel(account: &Account, caller: &Caller, purpose: Purpose, symbol: Symbol, id: ClientOrderId) -> Done {
    let product = caller.product();
    let asked = account.translator().asked(id);
    let mut reply = match asked {
        Asked::ByClientId => ask(caller, purpose, product.cancel(symbol, OrderName::Client(id))).await,
        Asked::ByVenueId(order) => ask(caller, purpose, product.cancel(symbol, OrderName::Venue(order))).await,
        Asked::Algo => ask(caller, purpose, product.cancel_algo(id)).await,
    };
    // Nobody here remembers what it was: after a restart it may be a conditional one. One that waited may have triggered.
    let elsewhere = asked == Asked::Algo || account.translator().may_be_algo(id);
    if elsewhere && is_absent(product, &reply) {
        match find_algo(account, caller, purpose, id).await {
            Some(Asked::ByVenueId(order)) => reply = ask(caller, purpose, product.cancel(symbol, OrderName::Venue(order))).await,
            Some(Asked::Algo) if asked != Asked::Algo => reply = ask(caller, purpose, product.cancel_algo(id)).await,
            _ => {}
        }
    }
    let heard = account.translator().cancelled(account.now(), id, as_answer(&reply));
    Done { events: heard.events, owed: Vec::new() }
}

fn is_absent(product: Product, reply: &Result<Reply, Failure>) -> bool {
    let Ok(reply) = reply else { return false };
    let refused = |failure| matches!(failure, Failure::Refused { code, .. } if is_not_found(code));
    reply.status >= 400 && refused(outcome::failure(product, answer(reply)))
}

/// Where a conditional order is by now; `None` when the venue does not know it.
async fn find_algo(account: &Account, caller: &Caller, purpose: Purpose, id: ClientOrderId) -> Option<Asked> {
    let reply = ask(caller, purpose, caller.product().query_algo(id)).await;
    let mut translator = account.translator();
    match translator.queried_algo(id, as_answer(&reply)) {
        Ok(became) => Some(became),
        Err(heard) => heard.events.iter().any(|event| matches!(event, VenueEvent::OrderIs { order: Some(_), .. })).then_some(Asked::Algo),
    }
}

/// Asks for orders that left and have no answer yet: whoever waits for it may be stuck. One that the venue knows has arrived.
pub async fn look_for_flying(account: &Account, caller: &Caller, purpose: Purpose) {
    let each = account.flying().into_iter().map(async |(flight, symbol, id)| {
        let found = query(account, caller, purpose, symbol, id).await;
        if found.events.iter().any(|event| matches!(event, VenueEvent::OrderIs { order: Some(_), .. })) {
            account.landed(flight);
        }
    });
    futures_util::future::join_all(each).await;
}

async fn query(account: &Account, caller: &Caller, purpose: Purpose, symbol: Symbol, id: ClientOrderId) -> Done {
    let product = caller.product();
    let asked = account.translator().asked(id);
    if asked == Asked::Algo {
        return query_algo(account, caller, purpose, symbol, id).await;
    }
    let name = if let Asked::ByVenueId(order) = asked { OrderName::Venue(order) } else { OrderName::Client(id) };
    let reply = ask(caller, purpose, product.query(symbol, name)).await;
    if is_absent(product, &reply) && account.translator().may_be_algo(id) {
        return query_algo(account, caller, purpose, symbol, id).await;
    }
    let heard = account.translator().queried(id, as_answer(&reply));
    told(id, heard)
}

async fn query_algo(account: &Account, caller: &Caller, purpose: Purpose, symbol: Symbol, id: ClientOrderId) -> Done {
    let reply = ask(caller, purpose, caller.product().query_algo(id)).await;
    let standing = account.translator().queried_algo(id, as_answer(&reply));
    let order = match standing {
        Ok(Asked::ByVenueId(order)) => order,
        Ok(_) => return Done::default(),
        Err(heard) => return told(id, heard),
    };
    let reply = ask(caller, purpose, caller.product().query(symbol, OrderName::Venue(order))).await;
    let heard = account.translator().queried(id, as_answer(&reply));
    told(id, heard)
}

/// An unanswered question is told as such: the order manager asks again.
fn told(id: ClientOrderId, Heard { mut events, failure }: Heard) -> Done {
    if let (true, Some(failure)) = (events.is_empty(), failure) {
        events.push(VenueEvent::CommandFailed { command: format!("query of {id}"), why: failure.to_string() });
    }
    Done { events, owed: Vec::new() }
}

/// Every order on that symbol, or on all that the account trades or has something open on. Each symbol is tried whatever became
/// of the others.
async fn cancel_all(account: &Account, caller: &Caller, purpose: Purpose, symbol: Option<Symbol>) -> Done {
    // Where somebody trades elsewhere by hand, the snapshot behind this shows it, and the next try has it in its list.
    let symbols = symbol.map_or_else(|| account.symbols().into_iter().collect(), |symbol| vec![symbol]);
    let failed = cancel_on(caller, purpose, &symbols).await;
    if failed.is_empty() {
        return Done::default();
    }
    VenueEvent::CommandFailed { command: "cancel all".to_owned(), why: failed.join("; ") }.into()
}

async fn cancel_on(caller: &Caller, purpose: Purpose, symbols: &[Symbol]) -> Vec<String> {
    let product = caller.product();
    let algos = product.capabilities().conditional == Conditional::AlgoService;
    let requests = symbols.iter().flat_map(|symbol| [Some(product.cancel_all(*symbol)), algos.then(|| product.cancel_all_algo(*symbol))]);
    let each = requests.flatten().map(async |request| {
        let reply = ask(caller, purpose, request).await;
        // Spot says that there is none.
        if is_absent(product, &reply) {
            return None;
        }
        let reply = match reply {
            Ok(reply) if reply.status < 400 => return None,
            Ok(reply) => outcome::failure(product, answer(&reply)),
            Err(failure) => failure,
        };
        Some(reply.to_string())
    });
    futures_util::future::join_all(each).await.into_iter().flatten().collect()
}

async fn set_leverage(caller: &Caller, purpose: Purpose, symbol: Symbol, leverage: u8) -> Done {
    let reply = ask(caller, purpose, caller.product().set_leverage(symbol, leverage)).await;
    let said = as_answer(&reply)
        .and_then(|answer| outcome::read::<crate::venues::binance::codec::answers::LeverageAnswer>(caller.product(), answer));
    match said {
        Ok(said) => VenueEvent::LeverageIs { symbol, leverage: said.leverage }.into(),
        Err(failure) => VenueEvent::CommandFailed { command: format!("leverage of {symbol}"), why: failure.to_string() }.into(),
    }
}
