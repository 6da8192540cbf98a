//! What the venues list, kept fresh (F14): asked for at the start, then every minute and whenever a venue refuses an order for its
//! grid. A symbol whose rules changed gets a new market, its strategies start anew, and what no longer fits is cancelled; one that
//! is not traded any more opens nothing until a person says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::places::{Place, Places};
use super::tree::{self, Plan};
use crate::actors::names;
use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::mode::{Mode, Scope};
use crate::domain::money::{Price, Quantity};
use crate::domain::order::OrderReport;
use crate::domain::restart::RuntimeKind;
use crate::messages::{ExecutorMessage, KillWord, Post, RiskMessage};
use crate::simulation::assemble;
use crate::supervision::{Child, ChildContext, ChildFault};
use crate::venues::binance::codec::answers::Commission;
use crate::venues::binance::codec::exchange_info::{LimitKind, SymbolRules, exchange_info};
use crate::venues::binance::trading::caller::{Caller, Host, answer};
use crate::venues::binance::trading::weight::Purpose;

/// It costs as much as a few orders, and rules change a few times a year.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// And one that has never answered: its accounts wait for it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A list of every symbol is a megabyte.
const ANSWER: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Weights are counted by the minute.
const WEIGHED_WITHIN: Duration = Duration::from_secs(60);

/// The rules of every symbol that a venue lists. How much may be asked of it is learnt beside.
///
/// # Errors
/// When it cannot be asked, or its answer is none.
pub async fn rules(host: &Arc<Host>) -> Result<BTreeMap<Symbol, SymbolRules>, String> {
    let caller = Caller::public(Arc::clone(host));
    let request = host.product.exchange_info().map_err(|error| error.to_string())?;
    let reply = timeout(ANSWER, caller.reply(Purpose::Account, &request)).await;
    let reply = reply.map_err(|_| format!("no answer within {ANSWER:?}"))?.map_err(|failure| failure.to_string())?;
    let info = exchange_info(host.product, answer(&reply)).map_err(|failure| failure.to_string())?;
    let of_weight =
        info.limits.iter().find(|limit| limit.kind == LimitKind::RequestWeight && limit.within == WEIGHED_WITHIN && limit.limit > 0);
    if let Some(limit) = of_weight {
        host.learn_weight_limit(limit.limit);
    }
    Ok(info.symbols.into_iter().map(|rules| (rules.symbol(), rules)).collect())
}

/// An instrument under the venue's rules; fees and leverage, which those do not tell, stay.
#[must_use]
pub fn renewed(before: &Instrument, rules: &SymbolRules) -> Instrument {
    rules.instrument(Commission { maker: before.maker_fee, taker: before.taker_fee }, Some(before.max_leverage))
}

/// Orders that rested when the rules changed rest on where they are, and trade: what is told of the market stands on the old grid as
/// well as on the new one.
fn on_both_grids(before: &Instrument, now: &Instrument) -> Instrument {
    let price_step = Price(common_step(before.price_step.0, now.price_step.0));
    let quantity_step = Quantity(common_step(before.quantity_step.0, now.quantity_step.0));
    Instrument { price_step, quantity_step, ..now.clone() }
}

/// The largest step that both are a whole number of.
fn common_step(one: Decimal, other: Decimal) -> Decimal {
    let (mut step, mut rest) = (one, other);
    while !rest.is_zero() {
        (step, rest) = (rest, step % rest);
    }
    step.normalize()
}

/// Two looks at a venue, compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Relisted {
    pub changed: BTreeMap<Symbol, Instrument>,
    /// With the venue's word for it.
    pub stopped: BTreeMap<Symbol, String>,
}

/// What differs for the symbols that are traded here. The first look has nothing to be compared with.
#[must_use]
pub fn compare(traded: &[Instrument], before: &BTreeMap<Symbol, SymbolRules>, now: &BTreeMap<Symbol, SymbolRules>) -> Relisted {
    let mut relisted = Relisted::default();
    for instrument in traded {
        let symbol = instrument.symbol;
        let Some(were) = before.get(&symbol) else { continue };
        match now.get(&symbol) {
            None => drop(relisted.stopped.insert(symbol, "not listed any more".to_owned())),
            Some(are) if were.trading && !are.trading => drop(relisted.stopped.insert(symbol, are.status.clone())),
            Some(_) => {}
        }
        if let Some(are) = now.get(&symbol).filter(|are| renewed(instrument, are) != renewed(instrument, were)) {
            relisted.changed.insert(symbol, renewed(instrument, are));
        }
    }
    relisted
}

/// The first look at a venue that could not be read at the start: whatever is not as it was guessed has changed, and what is not
/// traded has stopped.
#[must_use]
pub fn first_look(guessed: &[Instrument], now: &BTreeMap<Symbol, SymbolRules>) -> Relisted {
    let mut relisted = Relisted::default();
    for instrument in guessed {
        match now.get(&instrument.symbol) {
            Some(are) if are.trading => {}
            Some(are) => drop(relisted.stopped.insert(instrument.symbol, are.status.clone())),
            None => drop(relisted.stopped.insert(instrument.symbol, "not listed".to_owned())),
        }
        if let Some(are) = now.get(&instrument.symbol).filter(|are| renewed(instrument, are) != *instrument) {
            relisted.changed.insert(instrument.symbol, renewed(instrument, are));
        }
    }
    relisted
}

#[must_use]
pub fn child(plan: &Arc<Plan>, places: &Arc<Places>) -> Child {
    let (plan, places) = (Arc::clone(plan), Arc::clone(places));
    let child =
        Child::task(names::plain("listing"), RuntimeKind::Services, move |context| watch(context, Arc::clone(&plan), Arc::clone(&places)));
    child.heartbeat(SILENCE_MAX)
}

async fn watch(context: ChildContext, plan: Arc<Plan>, places: Arc<Places>) -> Result<(), ChildFault> {
    let mut seen: BTreeMap<String, BTreeMap<Symbol, SymbolRules>> = BTreeMap::new();
    let mut beat = interval(Duration::from_secs(1));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = 0;
    context.reporter.ready();
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            () = context.stop.cancelled() => return Ok(()),
        }
        context.reporter.obey_injection().await;
        context.reporter.heartbeat();
        let doubted = places.all().iter().any(|place| place.host().take_doubt());
        if due > 0 && !doubted {
            due -= 1;
            continue;
        }
        due = LOOK_EVERY.as_secs();
        for place in places.all() {
            context.reporter.heartbeat();
            match rules(place.host()).await {
                Ok(now) if place.host().is_unlisted() => {
                    let relisted = first_look(&place.instruments.load(), &now);
                    seen.insert(place.spec.id.to_string(), now);
                    take_over(&plan, &places, &place, relisted);
                    place.host().set_unlisted(false);
                }
                Ok(now) => {
                    if let Some(before) = seen.insert(place.spec.id.to_string(), now.clone()) {
                        let relisted = compare(&place.instruments.load(), &before, &now);
                        take_over(&plan, &places, &place, relisted);
                    }
                }
                Err(why) => {
                    tracing::warn!(target: "ringfence::venues", venue = %place.spec.id, why, "what is listed could not be read");
                    if place.host().is_unlisted() {
                        due = LOOK_AGAIN.as_secs();
                    }
                }
            }
        }
    }
}

fn take_over(plan: &Arc<Plan>, places: &Places, place: &Place, relisted: Relisted) {
    for (symbol, status) in relisted.stopped {
        let cause = format!("venue {} says of {symbol}: {status}", place.spec.id);
        plan.around.kill_switch().tell(KillWord::Trip { scope: Scope::Symbol(symbol), mode: Mode::ReduceOnly, cause });
    }
    if relisted.changed.is_empty() {
        return;
    }
    let changed: BTreeSet<Symbol> = relisted.changed.keys().copied().collect();
    tracing::warn!(target: "ringfence::venues", venue = %place.spec.id, symbols = ?changed, "the venue's rules changed: what trades these starts anew");
    let renewed = place.instruments.load().iter().map(|before| relisted.changed.get(&before.symbol).unwrap_or(before).clone()).collect();
    place.instruments.store(Arc::new(renewed));
    let told = place.told.load();
    let both = |before: &Instrument| relisted.changed.get(&before.symbol).map_or_else(|| before.clone(), |now| on_both_grids(before, now));
    place.told.store(Arc::new(told.iter().map(both).collect()));
    plan.relist(places.instruments(), places.feeds());
    let (around, settings) = (&plan.around, plan.settings.load_full());
    Post::new(&around.directory, &names::risk_manager())
        .tell(RiskMessage::Limits(Box::new(assemble::risk_limits(&settings, &plan.traded()))));
    cancel_what_does_not_fit(plan, &relisted.changed);
    let markets = around.directory.supervisor("markets");
    let replace = |supervisor: &'static str, inner: &crate::domain::restart::ChildName, child: Child| {
        tree::take_out(&around.directory, supervisor, inner);
        if let Some(supervisor) = around.directory.supervisor(supervisor) {
            // A supervisor that stops meanwhile has no use for it.
            let _ = supervisor.add(child);
        }
    };
    if markets.is_some() {
        for (number, feed) in plan.feeds().into_iter().enumerate() {
            replace("markets", &names::feed(number), feed);
        }
    }
    for instrument in plan.traded().into_iter().filter(|instrument| changed.contains(&instrument.symbol)) {
        replace("markets", &names::market(instrument.symbol), plan.market(instrument));
    }
    let running = around.roster.get();
    for spec in settings.strategies.iter().filter(|spec| running.strategies.contains_key(&spec.id)) {
        let symbols = assemble::instruments_of(spec, &plan.traded()).unwrap_or_default();
        if symbols.iter().any(|instrument| changed.contains(&instrument.symbol)) {
            replace("strategies", &names::strategy(spec.id), plan.strategy(spec));
        }
    }
}

/// An order off the new grid stays at the venue as it is, and cannot be what anybody wants now.
fn cancel_what_does_not_fit(plan: &Plan, changed: &BTreeMap<Symbol, Instrument>) {
    for (account, standing) in plan.around.views.accounts().iter() {
        let mut executor = Post::new(&plan.around.directory, &names::executor(*account));
        for report in &standing.open {
            let Some(why) = changed.get(&report.symbol).and_then(|instrument| misfit(instrument, report)) else { continue };
            let reason = format!("the venue's rules changed: {why}");
            executor.tell(ExecutorMessage::Cancel { symbol: report.symbol, client_order_id: report.client_order_id, reason });
        }
    }
}

fn misfit(instrument: &Instrument, report: &OrderReport) -> Option<String> {
    let prices = [report.kind.limit_price(), report.kind.trigger()].into_iter().flatten();
    let price = prices.filter_map(|price| instrument.check_price(price).err()).map(|error| error.to_string()).next();
    price.or_else(|| instrument.check_quantity(report.quantity - report.filled).err().map(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instrument::InstrumentKind;
    use crate::exchange::instruments;
    use crate::venues::binance::codec::outcome::Answer;
    use crate::venues::binance::codec::product::Product;

    fn shown(tick: &str, status: &str) -> BTreeMap<Symbol, SymbolRules> {
        let body = format!(
            r#"{{"symbols":[{{"symbol":"BTCUSDT","status":"{status}","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT","filters":[
            {{"filterType":"PRICE_FILTER","minPrice":"{tick}","maxPrice":"1000000","tickSize":"{tick}"}},
            {{"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"}},
            {{"filterType":"MIN_NOTIONAL","notional":"100"}},
            {{"filterType":"PERCENT_PRICE","multiplierUp":"1.05","multiplierDown":"0.95","multiplierDecimal":"4"}}]}}]}}"#
        );
        let info = exchange_info(Product::BinanceUsdm, Answer { status: 200, retry_after: None, body: body.as_bytes() }).unwrap();
        assert_eq!(info.left_out, []);
        info.symbols.into_iter().map(|rules| (rules.symbol(), rules)).collect()
    }

    #[test]
    fn the_market_is_told_on_the_old_grid_and_on_the_new_one() {
        for (one, other, both) in [("0.01", "1", "0.01"), ("1", "0.01", "0.01"), ("0.5", "0.2", "0.1"), ("0.10", "0.10", "0.1")] {
            assert_eq!(common_step(one.parse().unwrap(), other.parse().unwrap()).to_string(), both, "{one} and {other}");
        }
    }

    #[test]
    fn only_what_changed_between_two_looks_counts_and_fees_stay() {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let mut bitcoin = instruments::bundled(InstrumentKind::Perpetual, symbol).unwrap();
        bitcoin.maker_fee = "-0.0001".parse().unwrap();
        let traded = [bitcoin];
        let before = shown("0.1", "TRADING");
        assert_eq!(compare(&traded, &before, &before.clone()), Relisted::default());
        assert_eq!(compare(&traded, &BTreeMap::new(), &before), Relisted::default(), "a first look is no change");
        let coarser = compare(&traded, &before, &shown("0.5", "TRADING"));
        let renewed = &coarser.changed[&symbol];
        assert_eq!((renewed.price_step.to_string(), renewed.maker_fee.to_string()), ("0.5".to_owned(), "-0.0001".to_owned()));
        assert!(coarser.stopped.is_empty());
        assert_eq!(compare(&traded, &before, &shown("0.1", "SETTLING")).stopped[&symbol], "SETTLING");
        assert_eq!(compare(&traded, &before, &BTreeMap::new()).stopped[&symbol], "not listed any more");
    }
}
