//! The checks themselves, one function a control, in the order in which they are asked. Each answers with the control's
//! name, the limit and the value that broke it, all three for people. What may be lost is `hard`'s.

use std::cell::Cell;

use super::super::ids::IntentId;
use super::super::instrument::Instrument;
use super::super::ladder::ModeTable;
use super::super::market::MarketView;
use super::super::mode::Mode;
use super::super::money::{Money, Price, Quantity, Ratio};
use super::super::mutants::{self, Mutant};
use super::super::order::{OrderIntent, OrderKind, Side};
use super::super::time::Timestamp;
use super::account::Account;
use super::limits::{AccountLimits, StrategyLimits, SymbolLimits};
use super::{RiskMachine, controls};

/// A control that said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) control: &'static str,
    pub(super) limit: String,
    pub(super) value: String,
}

pub(super) type Check = Result<(), Broken>;

/// What an order that passed was valued at, and the override that it needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) price: Price,
    /// Its id, and the controls that would have refused.
    pub(super) override_used: Option<(u64, Vec<String>)>,
}

/// What the account may come to hold of the order's symbol, without the order and with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exposure {
    pub(super) before: Quantity,
    pub(super) after: Quantity,
}

impl Exposure {
    fn of(account: &Account, intent: &OrderIntent) -> Self {
        match account.books.get(&intent.symbol) {
            Some(book) => Self { before: book.exposure(), after: book.exposure_with(intent.side, intent.quantity) },
            None => Self { before: Quantity::ZERO, after: intent.quantity },
        }
    }

    /// An order that makes the whole smaller passes even where the whole is over a limit.
    pub(super) fn grows(&self) -> bool {
        self.after > self.before
    }
}

/// What one order is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) account: &'a AccountLimits,
    pub(super) symbol: &'a SymbolLimits,
    strategy: &'a StrategyLimits,
    instrument: &'a Instrument,
}

/// Passes the controls that a person overrode for this order, and notes which of them it took.
struct Pardon<'a> {
    controls: &'a [String],
    needed: Cell<u64>,
}

impl Pardon<'_> {
    fn pass(&self, check: Check) -> Check {
        let Err(broken) = check else { return Ok(()) };
        match self.controls.iter().position(|control| control == broken.control) {
            // An override names each control once, and there are fewer than 64.
            Some(place) => {
                self.needed.set(self.needed.get() | 1 << (place % 64));
                Ok(())
            }
            None => Err(broken),
        }
    }

    fn needed(&self) -> Vec<String> {
        let named = self.controls.iter().enumerate().filter(|(place, _)| self.needed.get() & (1 << (place % 64)) != 0);
        named.map(|(_, control)| control.clone()).collect()
    }
}

pub(super) fn no(control: &'static str, limit: impl ToString, value: impl ToString) -> Broken {
    Broken { control, limit: limit.to_string(), value: value.to_string() }
}

/// FIA 1.1: without a limit there is no order.
pub(super) fn configured<T: Copy>(control: &'static str, limit: Option<T>) -> Result<T, Broken> {
    limit.ok_or_else(|| no(control, "not configured", "no order passes without this limit; set it in [risk]"))
}

impl RiskMachine {
    /// Everything but duplicates of ids and own crosses, which are asked around it.
    pub(super) fn check(&self, now: Timestamp, intent: &OrderIntent) -> Result<Passed, Broken> {
        let granted = self.overrides.of(now, intent);
        let pardon = Pardon { controls: granted.map_or(&[], |granted| granted.controls.as_slice()), needed: Cell::new(0) };
        let price = self.check_all(now, intent, &pardon)?;
        let override_used = granted.filter(|_| pardon.needed.get() != 0).map(|granted| (granted.id, pardon.needed()));
        Ok(Passed { price, override_used })
    }

    fn check_all(&self, now: Timestamp, intent: &OrderIntent, pardon: &Pardon<'_>) -> Result<Price, Broken> {
        check_mode(&self.modes, intent)?;
        let account = self.known_account(intent)?;
        let rules = self.permission(intent)?;
        check_size(rules.instrument, intent)?;
        let view = self.fresh_market(now, intent, rules.symbol)?;
        let reference = reference_of(&view, rules.symbol)?;
        check_grid(intent, rules.instrument)?;
        pardon.pass(check_collar(intent, rules.symbol, &view, reference))?;
        pardon.pass(self.check_period_collar(intent, rules.symbol, &view, reference))?;
        let price = valued_at(intent, &view, reference);
        pardon.pass(check_quantity(intent, rules.symbol))?;
        pardon.pass(check_value(intent, &rules, price))?;
        check_minimum(intent, rules.instrument, price)?;
        check_reduces(account, intent)?;
        self.check_twin(now, intent, rules.symbol)?;
        pardon.pass(check_messages(now, account, rules.account))?;
        pardon.pass(self.check_messages_beyond(now, intent, rules.strategy))?;
        pardon.pass(self.check_firm_messages(now))?;
        self.configured_losses(rules.account)?;
        if intent.reduce_only {
            return Ok(price);
        }
        pardon.pass(self.check_abnormal(intent, rules.symbol, &view))?;
        pardon.pass(self.check_executions(now, intent, rules.strategy))?;
        self.check_repeated(intent, rules.strategy)?;
        pardon.pass(self.check_order_to_trade(now, intent, rules.account))?;
        pardon.pass(self.check_daily_loss(account, rules.account))?;
        let exposure = Exposure::of(account, intent);
        self.check_hard(account, intent, &rules, &|check| pardon.pass(check), (exposure, price))?;
        pardon.pass(check_position(exposure, rules.symbol, &view, price))?;
        pardon.pass(self.check_capital(exposure, price))?;
        Ok(price)
    }

    fn known_account(&self, intent: &OrderIntent) -> Result<&Account, Broken> {
        let account = self.accounts.get(&intent.account);
        let all = || !mutants::on(Mutant::SiblingsHeldUp) || self.accounts.values().all(|account| account.known);
        account
            .filter(|account| account.known && all())
            .ok_or_else(|| no(controls::RECONCILIATION, "the account's book is known", "not yet told by its executor"))
    }

    pub(super) fn check_duplicate_id(&self, id: IntentId) -> Check {
        match self.newest.get(&id.proposer()) {
            Some(newest) if id <= *newest => {
                Err(no(controls::DUPLICATE_INTENT, format!("an intent newer than {newest}"), format!("intent {id}")))
            }
            _ => Ok(()),
        }
    }

    fn permission(&self, intent: &OrderIntent) -> Result<Rules<'_>, Broken> {
        let denied =
            |what: &str| no(controls::INSTRUMENT_PERMISSION, "symbols configured for the account", format!("{} {what}", intent.symbol));
        let account = self.limits.account(intent.account).ok_or_else(|| denied("on an account without limits"))?;
        let symbol = account.symbols.get(&intent.symbol).ok_or_else(|| denied("not among them"))?;
        let instrument = self.limits.instruments.get(&intent.symbol).ok_or_else(|| denied("has no instrument"))?;
        let foreign = |what: String| no(controls::STRATEGY_PERMISSION, "accounts and symbols configured for the strategy", what);
        let strategy =
            self.limits.strategies.get(&intent.strategy).ok_or_else(|| foreign(format!("{} is not configured", intent.strategy)))?;
        if !strategy.accounts.contains(&intent.account) {
            return Err(foreign(format!("{} on account {}", intent.strategy, intent.account)));
        }
        if !strategy.symbols.contains(&intent.symbol) {
            return Err(foreign(format!("{} on {}", intent.strategy, intent.symbol)));
        }
        Ok(Rules { account, symbol, strategy, instrument })
    }

    fn fresh_market(&self, now: Timestamp, intent: &OrderIntent, limits: &SymbolLimits) -> Result<MarketView, Broken> {
        let stale_after = configured(controls::STALE_MARKET, limits.stale_after)?;
        let view = self.view(intent.symbol).ok_or_else(|| no(controls::STALE_MARKET, "a market", "no data yet"))?;
        let age = now.since(view.heard_at);
        if view.stale || age > stale_after {
            let why = if view.stale { "marked stale" } else { "silent" };
            return Err(no(controls::STALE_MARKET, format!("{stale_after:?}"), format!("{why}, {age:?} old")));
        }
        Ok(*view)
    }

    /// The collar over a period: a price that follows a market step by step is near each step and far from where it began.
    fn check_period_collar(&self, intent: &OrderIntent, limits: &SymbolLimits, view: &MarketView, reference: Price) -> Check {
        let collar = configured(controls::PRICE_COLLAR_PERIOD, limits.period_collar)?;
        let ends = self.markets.get(&intent.symbol).and_then(|watched| watched.watch.collar_ends());
        let (low, high) = ends.unwrap_or((reference, reference));
        for price in collared(intent, view, reference) {
            for end in [low, high] {
                within(controls::PRICE_COLLAR_PERIOD, price, end, collar.distance)
                    .map_err(|broken| Broken { limit: format!("{} within {:?}", broken.limit, collar.period), ..broken })?;
            }
        }
        Ok(())
    }

    fn check_abnormal(&self, intent: &OrderIntent, limits: &SymbolLimits, view: &MarketView) -> Check {
        configured(controls::ABNORMAL_MARKET, limits.abnormal)?;
        let abnormal = self.markets.get(&intent.symbol).and_then(|watched| watched.watch.abnormal(view));
        abnormal.map_or(Ok(()), |abnormal| Err(no(controls::ABNORMAL_MARKET, abnormal.limit, abnormal.found)))
    }

    /// An order equal to the strategy's last one, too soon after it: a loop gone wild looks like this (15c3-5).
    fn check_twin(&self, now: Timestamp, intent: &OrderIntent, limits: &SymbolLimits) -> Check {
        let window = configured(controls::DUPLICATE_INTENT, limits.duplicate_window)?;
        let Some(twin) = self.twins.get(&(intent.account, intent.strategy, intent.symbol)) else { return Ok(()) };
        let age = now.since(twin.at);
        if age < window && twin.is_like(intent) {
            return Err(no(
                controls::DUPLICATE_INTENT,
                format!("{window:?} between equal orders"),
                format!("{age:?} after intent {}", twin.intent),
            ));
        }
        Ok(())
    }

    fn check_messages_beyond(&self, now: Timestamp, intent: &OrderIntent, limits: &StrategyLimits) -> Check {
        let rate = configured(controls::STRATEGY_MESSAGE_RATE, limits.max_messages)?;
        if self.traffic.messages_are_full(now, intent.strategy, rate) {
            let value = format!("one more of {} within that time", intent.strategy);
            return Err(no(controls::STRATEGY_MESSAGE_RATE, format!("{} in {:?}", rate.count, rate.period), value));
        }
        Ok(())
    }

    fn check_firm_messages(&self, now: Timestamp) -> Check {
        let rate = configured(controls::FIRM_MESSAGE_RATE, self.limits.max_messages)?;
        if self.traffic.firm_is_full(now, rate) {
            let value = "one more of all accounts within that time";
            return Err(no(controls::FIRM_MESSAGE_RATE, format!("{} in {:?}", rate.count, rate.period), value));
        }
        Ok(())
    }

    fn check_executions(&self, now: Timestamp, intent: &OrderIntent, limits: &StrategyLimits) -> Check {
        let rate = configured(controls::EXECUTION_RATE, limits.max_executions)?;
        if self.traffic.executions_are_full(now, intent.strategy, rate) {
            let value = format!("so many orders of {} executed within that time", intent.strategy);
            return Err(no(controls::EXECUTION_RATE, format!("{} in {:?}", rate.count, rate.period), value));
        }
        Ok(())
    }

    /// C08, for as long as its trip is on its way to whoever stops the strategy.
    fn check_repeated(&self, intent: &OrderIntent, limits: &StrategyLimits) -> Check {
        let most = configured(controls::REPEATED_EXECUTIONS, limits.max_repeated_executions)?;
        let found = self.traffic.executions_of(intent.strategy);
        if found >= most {
            return Err(no(controls::REPEATED_EXECUTIONS, most, format!("{found} since a person last resumed {}", intent.strategy)));
        }
        Ok(())
    }

    fn check_order_to_trade(&self, now: Timestamp, intent: &OrderIntent, limits: &AccountLimits) -> Check {
        let limit = configured(controls::ORDER_TO_TRADE, limits.order_to_trade)?;
        let day = self.traffic.day(intent.account, intent.symbol);
        if day.is_over(now, limit) {
            let found = format!("{} messages and {} trades of {} today", day.messages, day.trades, intent.symbol);
            return Err(no(controls::ORDER_TO_TRADE, format!("{} messages for a trade", limit.max_ratio), found));
        }
        Ok(())
    }

    /// A day's figure that is not known may hide any loss: nothing is opened on it.
    fn check_daily_loss(&self, account: &Account, limits: &AccountLimits) -> Check {
        let limit = configured(controls::DAILY_LOSS, limits.max_daily_loss)?;
        let Some(day_pnl) = account.day_pnl else {
            let unpriced = account.books.iter().find(|(symbol, book)| book.is_held() && self.price(**symbol).is_none());
            let of = unpriced.map_or_else(|| "a position yet".to_owned(), |(symbol, _)| symbol.to_string());
            return Err(no(controls::DAILY_LOSS, limit, format!("not known: no price of {of}")));
        };
        if -day_pnl >= limit {
            return Err(no(controls::DAILY_LOSS, limit, -day_pnl));
        }
        Ok(())
    }

    /// The total has every account in it, also those whose executors have not spoken yet: see the top of `risk`.
    fn check_capital(&self, exposure: Exposure, price: Price) -> Check {
        let limit = configured(controls::CAPITAL, self.limits.max_capital)?;
        let (before, after) = (price * exposure.before, price * exposure.after);
        let total = self.capital - before + after;
        if total > limit && after > before {
            return Err(no(controls::CAPITAL, limit, total));
        }
        Ok(())
    }
}

fn check_mode(modes: &ModeTable, intent: &OrderIntent) -> Check {
    let (mode, scope) = modes.effective(intent.account, Some(intent.strategy), intent.symbol);
    match mode {
        Mode::Normal => Ok(()),
        Mode::ReduceOnly if intent.reduce_only => Ok(()),
        Mode::ReduceOnly => Err(no(controls::LADDER_MODE, format!("{scope} is ReduceOnly"), "an order that may open")),
        Mode::CancelOnly | Mode::Halted => Err(no(controls::LADDER_MODE, format!("{scope} is {mode}"), "an order")),
    }
}

/// The sign trap: a negative sell must not slip under a cap. Quantity is positive and on the grid before any product.
fn check_size(instrument: &Instrument, intent: &OrderIntent) -> Check {
    instrument.check_quantity(intent.quantity).map(|_| ()).map_err(|error| no(controls::ORDER_QUANTITY, "the venue's lot size", error))
}

fn reference_of(view: &MarketView, limits: &SymbolLimits) -> Result<Price, Broken> {
    let collar = configured(controls::PRICE_COLLAR, limits.price_collar)?;
    let reference = view.reference().filter(|price| price.is_positive());
    reference.ok_or_else(|| no(controls::PRICE_COLLAR, collar, "no reference price"))
}

/// Every price of the order on the venue's grid.
fn check_grid(intent: &OrderIntent, instrument: &Instrument) -> Check {
    for price in [intent.kind.limit_price(), intent.kind.trigger()].into_iter().flatten() {
        instrument.check_price(price).map_err(|error| no(controls::PRICE_COLLAR, "the venue's price grid", error))?;
    }
    Ok(())
}

/// What an order at the market would trade at.
fn at_market(intent: &OrderIntent, view: &MarketView, reference: Price) -> Price {
    let touch = match intent.side {
        Side::Buy => view.ask,
        Side::Sell => view.bid,
    };
    touch.map_or(reference, |(price, _)| price)
}

/// The prices that collars hold. The trigger of a reducing order is not among them: it is where a loss or a gain is cut, as far
/// away as its strategy holds out.
fn collared(intent: &OrderIntent, view: &MarketView, reference: Price) -> impl Iterator<Item = Price> {
    let trigger = intent.kind.trigger().filter(|_| !intent.reduce_only);
    let market = matches!(intent.kind, OrderKind::Market).then(|| at_market(intent, view, reference));
    [intent.kind.limit_price(), trigger, market].into_iter().flatten()
}

fn check_collar(intent: &OrderIntent, limits: &SymbolLimits, view: &MarketView, reference: Price) -> Check {
    let collar = configured(controls::PRICE_COLLAR, limits.price_collar)?;
    collared(intent, view, reference).try_for_each(|price| within(controls::PRICE_COLLAR, price, reference, collar))
}

fn within(control: &'static str, price: Price, reference: Price, collar: Ratio) -> Check {
    let distance = (price - reference).abs();
    if distance > reference * collar {
        return Err(no(control, format!("{collar} around {reference}"), price));
    }
    Ok(())
}

/// A buy below the market is worth its limit; a sell is worth at least the market.
fn valued_at(intent: &OrderIntent, view: &MarketView, reference: Price) -> Price {
    let at_market = at_market(intent, view, reference);
    let stated = intent.kind.limit_price().or(intent.kind.trigger());
    match intent.side {
        Side::Buy => stated.unwrap_or(at_market),
        Side::Sell => stated.map_or(at_market, |price| price.max(at_market)),
    }
}

fn check_quantity(intent: &OrderIntent, limits: &SymbolLimits) -> Check {
    let max_quantity = configured(controls::ORDER_QUANTITY, limits.max_order_quantity)?;
    if intent.quantity > max_quantity {
        return Err(no(controls::ORDER_QUANTITY, max_quantity, intent.quantity));
    }
    Ok(())
}

/// The account's and symbol's limit, and the strategy's own where it has one.
fn check_value(intent: &OrderIntent, rules: &Rules<'_>, price: Price) -> Check {
    let max_value = configured(controls::ORDER_VALUE, rules.symbol.max_order_value)?;
    let max_value: Money = rules.strategy.max_order_value.map_or(max_value, |own| own.min(max_value));
    let value = price * intent.quantity;
    if value > max_value {
        return Err(no(controls::ORDER_VALUE, max_value, value));
    }
    Ok(())
}

fn check_minimum(intent: &OrderIntent, instrument: &Instrument, price: Price) -> Check {
    let value = price * intent.quantity;
    instrument.check_notional(value, intent.reduce_only).map_err(|error| no(controls::ORDER_VALUE, "the venue's minimum", error))
}

/// Reduce-only is a promise that frees an order from other limits: it must be true. Stops and targets may be placed twice
/// over (a bracket), so each alone is held against the position; the venue's own reduce-only does the rest.
fn check_reduces(account: &Account, intent: &OrderIntent) -> Check {
    if !intent.reduce_only {
        return Ok(());
    }
    let reducible =
        account.books.get(&intent.symbol).map_or_else(Default::default, |book| book.reducible(intent.side, intent.position_side));
    if intent.quantity > reducible {
        return Err(no(controls::REDUCE_ONLY, format!("at most {reducible} to reduce"), intent.quantity));
    }
    Ok(())
}

fn check_messages(now: Timestamp, account: &Account, limits: &AccountLimits) -> Check {
    let rate = configured(controls::MESSAGE_RATE, limits.max_messages)?;
    if account.messages.is_full(now, rate) {
        return Err(no(controls::MESSAGE_RATE, format!("{} in {:?}", rate.count, rate.period), "one more within that time"));
    }
    Ok(())
}

fn check_position(exposure: Exposure, limits: &SymbolLimits, view: &MarketView, price: Price) -> Check {
    let limit = configured(controls::POSITION_VALUE, limits.max_position_value)?;
    let valued_at = view.reference().map_or(price, |reference| reference.max(price));
    let value = valued_at * exposure.after;
    if value > limit && exposure.grows() {
        return Err(no(controls::POSITION_VALUE, limit, value));
    }
    Ok(())
}
