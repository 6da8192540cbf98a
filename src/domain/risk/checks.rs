//! The checks themselves, one function a control, in the order in which they are asked. Each answers with the control's
//! name, the limit and the value that broke it, all three for people.

use super::super::ids::IntentId;
use super::super::instrument::Instrument;
use super::super::ladder::ModeTable;
use super::super::market::MarketView;
use super::super::mode::Mode;
use super::super::money::{Price, Quantity, Ratio};
use super::super::mutants::{self, Mutant};
use super::super::order::{OrderIntent, OrderKind, Side};
use super::super::time::Timestamp;
use super::limits::{AccountLimits, SymbolLimits};
use super::{Account, RiskMachine};

/// A control that said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) control: &'static str,
    pub(super) limit: String,
    pub(super) value: String,
}

type Check = Result<(), Broken>;

/// What the account may come to hold of the order's symbol, without the order and with it.
#[derive(Debug, Clone, Copy)]
struct Exposure {
    before: Quantity,
    after: Quantity,
}

impl Exposure {
    fn of(account: &Account, intent: &OrderIntent) -> Self {
        match account.books.get(&intent.symbol) {
            Some(book) => Self { before: book.exposure(), after: book.exposure_with(intent.side, intent.quantity) },
            None => Self { before: Quantity::ZERO, after: intent.quantity },
        }
    }
}

fn no(control: &'static str, limit: impl ToString, value: impl ToString) -> Broken {
    Broken { control, limit: limit.to_string(), value: value.to_string() }
}

/// FIA 1.1: without a limit there is no order.
fn configured<T: Copy>(control: &'static str, limit: Option<T>) -> Result<T, Broken> {
    limit.ok_or_else(|| no(control, "not configured", "no order passes without this limit; set it in [risk]"))
}

impl RiskMachine {
    pub(super) fn check(&self, now: Timestamp, intent: &OrderIntent) -> Check {
        check_mode(&self.modes, intent)?;
        let account = self.known_account(intent)?;
        self.check_duplicate_id(intent.id)?;
        let (limits, symbol, instrument) = self.permission(intent)?;
        check_size(instrument, intent)?;
        let view = self.fresh_market(now, intent, symbol)?;
        let price = check_price(intent, symbol, instrument, &view)?;
        check_order_value(intent, symbol, instrument, price)?;
        check_reduces(account, intent)?;
        self.check_twin(now, intent, symbol)?;
        check_messages(now, account, limits)?;
        self.check_daily_loss(account, limits, intent)?;
        if intent.reduce_only {
            return Ok(());
        }
        let exposure = Exposure::of(account, intent);
        check_position(exposure, symbol, &view, price)?;
        self.check_capital(exposure, price)
    }

    fn known_account(&self, intent: &OrderIntent) -> Result<&Account, Broken> {
        let account = self.accounts.get(&intent.account);
        let all = || !mutants::on(Mutant::SiblingsHeldUp) || self.accounts.values().all(|account| account.known);
        account
            .filter(|account| account.known && all())
            .ok_or_else(|| no("reconciliation", "the account's book is known", "not yet told by its executor"))
    }

    fn check_duplicate_id(&self, id: IntentId) -> Check {
        match self.newest.get(&id.proposer()) {
            Some(newest) if id <= *newest => Err(no("duplicate_intent", format!("an intent newer than {newest}"), format!("intent {id}"))),
            _ => Ok(()),
        }
    }

    fn permission(&self, intent: &OrderIntent) -> Result<(&AccountLimits, &SymbolLimits, &Instrument), Broken> {
        let denied = |what: &str| no("instrument_permission", "symbols configured for the account", format!("{} {what}", intent.symbol));
        let limits = self.limits.account(intent.account).ok_or_else(|| denied("on an account without limits"))?;
        let symbol = limits.symbols.get(&intent.symbol).ok_or_else(|| denied("not among them"))?;
        let instrument = self.limits.instruments.get(&intent.symbol).ok_or_else(|| denied("has no instrument"))?;
        Ok((limits, symbol, instrument))
    }

    fn fresh_market(&self, now: Timestamp, intent: &OrderIntent, limits: &SymbolLimits) -> Result<MarketView, Broken> {
        let stale_after = configured("stale_market", limits.stale_after)?;
        let view = self.markets.get(&intent.symbol).ok_or_else(|| no("stale_market", "a market", "no data yet"))?;
        let age = now.since(view.heard_at);
        if view.stale || age > stale_after {
            let why = if view.stale { "marked stale" } else { "silent" };
            return Err(no("stale_market", format!("{stale_after:?}"), format!("{why}, {age:?} old")));
        }
        Ok(*view)
    }

    /// An order equal to the strategy's last one, too soon after it: a loop gone wild looks like this (15c3-5).
    fn check_twin(&self, now: Timestamp, intent: &OrderIntent, limits: &SymbolLimits) -> Check {
        let window = configured("duplicate_intent", limits.duplicate_window)?;
        let Some(twin) = self.twins.get(&(intent.account, intent.strategy, intent.symbol)) else { return Ok(()) };
        let age = now.since(twin.at);
        if age < window && twin.is_like(intent) {
            return Err(no(
                "duplicate_intent",
                format!("{window:?} between equal orders"),
                format!("{age:?} after intent {}", twin.intent),
            ));
        }
        Ok(())
    }

    /// A day's figure that is not known may hide any loss: nothing is opened on it.
    fn check_daily_loss(&self, account: &Account, limits: &AccountLimits, intent: &OrderIntent) -> Check {
        let limit = configured("daily_loss", limits.max_daily_loss)?;
        if intent.reduce_only {
            return Ok(());
        }
        let Some(day_pnl) = account.day_pnl else {
            let unpriced = account.books.iter().find(|(symbol, book)| book.is_held() && self.price(**symbol).is_none());
            let of = unpriced.map_or_else(|| "a position yet".to_owned(), |(symbol, _)| symbol.to_string());
            return Err(no("daily_loss", limit, format!("not known: no price of {of}")));
        };
        if -day_pnl >= limit {
            return Err(no("daily_loss", limit, -day_pnl));
        }
        Ok(())
    }

    /// The total has every account in it, also those whose executors have not spoken yet: see the top of `risk`.
    fn check_capital(&self, exposure: Exposure, price: Price) -> Check {
        let limit = configured("capital", self.limits.max_capital)?;
        let (before, after) = (price * exposure.before, price * exposure.after);
        let total = self.capital - before + after;
        // An order that makes the whole smaller passes even when the whole is over the limit.
        if total > limit && after > before {
            return Err(no("capital", limit, total));
        }
        Ok(())
    }
}

fn check_mode(modes: &ModeTable, intent: &OrderIntent) -> Check {
    let (mode, scope) = modes.effective(intent.account, Some(intent.strategy), intent.symbol);
    match mode {
        Mode::Normal => Ok(()),
        Mode::ReduceOnly if intent.reduce_only => Ok(()),
        Mode::ReduceOnly => Err(no("ladder_mode", format!("{scope} is ReduceOnly"), "an order that may open")),
        Mode::CancelOnly | Mode::Halted => Err(no("ladder_mode", format!("{scope} is {mode}"), "an order")),
    }
}

/// The sign trap: a negative sell must not slip under a cap. Quantity is positive and on the grid before any product.
fn check_size(instrument: &Instrument, intent: &OrderIntent) -> Check {
    instrument.check_quantity(intent.quantity).map(|_| ()).map_err(|error| no("order_quantity", "the venue's lot size", error))
}

/// Every price of the order on the grid and within the collar; answers with the price that the order is valued at.
fn check_price(intent: &OrderIntent, limits: &SymbolLimits, instrument: &Instrument, view: &MarketView) -> Result<Price, Broken> {
    let collar = configured("price_collar", limits.price_collar)?;
    let reference = view.reference().filter(|price| price.is_positive());
    let reference = reference.ok_or_else(|| no("price_collar", collar, "no reference price"))?;
    for price in [intent.kind.limit_price(), intent.kind.trigger()].into_iter().flatten() {
        instrument.check_price(price).map_err(|error| no("price_collar", "the venue's price grid", error))?;
    }
    // The trigger of a reducing order is where a loss or a gain is cut, as far away as its strategy holds out.
    let collared = intent.kind.trigger().filter(|_| !intent.reduce_only);
    for price in [intent.kind.limit_price(), collared].into_iter().flatten() {
        within_collar(price, reference, collar)?;
    }
    let touch = match intent.side {
        Side::Buy => view.ask,
        Side::Sell => view.bid,
    };
    let at_market = touch.map_or(reference, |(price, _)| price);
    if matches!(intent.kind, OrderKind::Market) {
        within_collar(at_market, reference, collar)?;
    }
    let stated = intent.kind.limit_price().or(intent.kind.trigger());
    // A buy below the market is worth its limit; a sell is worth at least the market.
    Ok(match intent.side {
        Side::Buy => stated.unwrap_or(at_market),
        Side::Sell => stated.map_or(at_market, |price| price.max(at_market)),
    })
}

fn within_collar(price: Price, reference: Price, collar: Ratio) -> Check {
    let distance = (price - reference).abs();
    if distance > reference * collar {
        return Err(no("price_collar", format!("{collar} around {reference}"), price));
    }
    Ok(())
}

fn check_order_value(intent: &OrderIntent, limits: &SymbolLimits, instrument: &Instrument, price: Price) -> Check {
    let max_quantity = configured("order_quantity", limits.max_order_quantity)?;
    if intent.quantity > max_quantity {
        return Err(no("order_quantity", max_quantity, intent.quantity));
    }
    let max_value = configured("order_value", limits.max_order_value)?;
    let value = price * intent.quantity;
    if value > max_value {
        return Err(no("order_value", max_value, value));
    }
    instrument.check_notional(value, intent.reduce_only).map_err(|error| no("order_value", "the venue's minimum", error))
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
        return Err(no("reduce_only", format!("at most {reducible} to reduce"), intent.quantity));
    }
    Ok(())
}

fn check_messages(now: Timestamp, account: &Account, limits: &AccountLimits) -> Check {
    let rate = configured("message_rate", limits.max_messages)?;
    // The message that is `count` messages back must be out of the period; with fewer than that many there is room.
    let nth_last = account.messages.len().checked_sub(rate.count as usize).and_then(|index| account.messages.get(index));
    let full = rate.count == 0 || nth_last.is_some_and(|at| now.since(*at) < rate.period);
    if full {
        return Err(no("message_rate", format!("{} in {:?}", rate.count, rate.period), "one more within that time"));
    }
    Ok(())
}

fn check_position(exposure: Exposure, limits: &SymbolLimits, view: &MarketView, price: Price) -> Check {
    let limit = configured("position_value", limits.max_position_value)?;
    let valued_at = view.reference().map_or(price, |reference| reference.max(price));
    let value = valued_at * exposure.after;
    if value > limit && exposure.after > exposure.before {
        return Err(no("position_value", limit, value));
    }
    Ok(())
}
