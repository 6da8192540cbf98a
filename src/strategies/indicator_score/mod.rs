//! Scores six indicator rules for buying and for selling with each closed bar, and trades the clear ones: a market entry
//! sized by the risk at its stop, then a stop and a target around it (`bracket`). One position per account and symbol, never
//! added to. It trades perpetuals only: on spot a stop and a target cannot both be backed by the same coins.

mod settings;
mod signal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::indicators::Bar;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::Candle;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::Side;

use super::bracket::{Bracket, Distances};
use super::patience::Patience;
use super::{Configured, Desk, Draft, Interest, Problem, Recovered, Strategy, StrategyInput};

pub use settings::{OnOpposite, Points, Settings};
pub use signal::{Inputs, Signal, SignalKind, Study, score};

#[derive(Debug)]
pub struct IndicatorScore {
    settings: Settings,
    studies: BTreeMap<Symbol, Study>,
    trades: BTreeMap<(AccountId, Symbol), Trade>,
    patience: Patience,
}

/// A position with its orders, from the entry to the last cancel.
#[derive(Debug)]
struct Trade {
    bracket: Bracket,
    /// The signal to follow once this one is flat.
    next: Option<Signal>,
}

impl Configured for IndicatorScore {
    const KIND: &'static str = "indicator_score";
    const DESCRIPTION: &'static str = "scores RSI, MACD, Bollinger bands and averages; enters by risk, with a stop and a target";
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<Problem> {
        settings.validate()
    }

    fn new(settings: Settings) -> Self {
        Self { settings, studies: BTreeMap::new(), trades: BTreeMap::new(), patience: Patience::default() }
    }
}

impl Strategy for IndicatorScore {
    fn interest(&self) -> Interest {
        Interest { market_updates: false, warm_up_bars: self.settings.history_bars }
    }

    fn on(&mut self, input: StrategyInput<'_>, desk: &mut Desk<'_>) {
        match input {
            StrategyInput::Bar { symbol, candle, warming } => self.on_bar(symbol, candle, warming, desk),
            StrategyInput::Report(report) => {
                self.patience.reported(report, desk.now());
                self.look(report.account, report.symbol, desk);
            }
            StrategyInput::Refused(refusal) => {
                self.patience.refused(refusal.account, refusal.symbol, desk.now());
                self.look(refusal.account, refusal.symbol, desk);
            }
            StrategyInput::Account(view) => self.look_over(view.account, desk),
            StrategyInput::Wake => desk.accounts().iter().for_each(|account| self.look_over(*account, desk)),
            StrategyInput::Market(_) => {}
        }
    }

    /// A position without its stop gets one now, and not when something else happens; a reversal of before is an old one.
    fn recovered(&mut self, recovered: &Recovered<'_>, desk: &mut Desk<'_>) {
        self.patience.recovered(recovered.account);
        for ((_, symbol), trade) in self.trades.iter_mut().filter(|((account, _), _)| *account == recovered.account) {
            trade.bracket.recovered();
            if recovered.concerns(*symbol) {
                trade.next = None;
            }
        }
        self.look_over(recovered.account, desk);
    }
}

impl IndicatorScore {
    fn on_bar(&mut self, symbol: Symbol, candle: &Candle, warming: bool, desk: &mut Desk<'_>) {
        let study = self.studies.entry(symbol).or_insert_with(|| Study::new(&self.settings));
        let inputs = study.push(symbol, Bar::from(candle).close);
        if warming {
            return;
        }
        let signal = inputs.and_then(|inputs| score(&inputs, &self.settings));
        let Some(signal) = signal.filter(|signal| signal.reaches(self.settings.min_signal_strength)) else { return };
        let Some(side) = signal.kind.side() else { return };
        for account in desk.accounts().iter() {
            self.follow(*account, side, &signal, candle.close, desk);
        }
    }

    /// Acts on a signal where the account stands: enters when flat, leaves a position of that side alone, and ends one of the
    /// other side as the settings say.
    fn follow(&mut self, account: AccountId, side: Side, signal: &Signal, close: Price, desk: &mut Desk<'_>) {
        let symbol = signal.symbol;
        self.find_trade(account, symbol, desk);
        let Some(trade) = self.trades.get_mut(&(account, symbol)) else {
            return self.enter(account, side, signal, close, desk);
        };
        if !side.opposite().signed(desk.position(account, symbol)).is_positive() {
            return;
        }
        match self.settings.on_opposite {
            OnOpposite::Hold => return,
            OnOpposite::Close => {}
            OnOpposite::Reverse => trade.next = Some(signal.clone()),
        }
        trade.bracket.close("opposite_signal");
        self.look(account, symbol, desk);
    }

    fn enter(&mut self, account: AccountId, side: Side, signal: &Signal, close: Price, desk: &mut Desk<'_>) {
        let symbol = signal.symbol;
        let price = desk.market(symbol).and_then(|market| market.reference()).unwrap_or(close);
        let Some(instrument) = desk.instrument(symbol).filter(|instrument| instrument.kind == InstrumentKind::Perpetual) else { return };
        let quantity = size(desk.equity(account), price, instrument, &self.settings);
        if quantity.is_zero() || !self.patience.is_over(account, symbol, desk.now()) {
            return;
        }
        let (leverage, stop) =
            (self.settings.leverage.min(instrument.max_leverage), self.distances().stop_price(price, side.opposite(), instrument));
        desk.set_leverage(account, symbol, leverage);
        desk.propose(Draft::market(account, symbol, side, quantity, signal.summary()).stopped_at(stop));
        self.trades.insert((account, symbol), Trade { bracket: self.bracket(), next: None });
    }

    fn distances(&self) -> Distances {
        Distances { stop: self.settings.stop_loss, target: self.settings.take_profit }
    }

    fn bracket(&self) -> Bracket {
        Bracket::new(self.distances())
    }

    fn look_over(&mut self, account: AccountId, desk: &mut Desk<'_>) {
        let mut symbols = desk.active(account);
        symbols.extend(self.trades.keys().filter(|(of, _)| *of == account).map(|(_, symbol)| *symbol));
        for symbol in symbols {
            self.look(account, symbol, desk);
        }
    }

    /// Looks after one account's symbol: has its bracket put right, and enters anew where a reversal was waiting for flat.
    fn look(&mut self, account: AccountId, symbol: Symbol, desk: &mut Desk<'_>) {
        self.find_trade(account, symbol, desk);
        let Some(trade) = self.trades.get_mut(&(account, symbol)) else { return };
        if !trade.bracket.look(account, symbol, desk) {
            return;
        }
        let next = trade.next.take();
        self.trades.remove(&(account, symbol));
        let Some(market) = desk.market(symbol).and_then(|market| market.reference()) else { return };
        if let Some((signal, side)) = next.and_then(|signal| signal.kind.side().map(|side| (signal, side))) {
            self.enter(account, side, &signal, market, desk);
        }
    }

    /// A position or orders that no trade knows, after a restart or a late fill, get one.
    fn find_trade(&mut self, account: AccountId, symbol: Symbol, desk: &Desk<'_>) {
        let known = self.trades.contains_key(&(account, symbol));
        let something = !desk.position(account, symbol).is_zero() || !desk.working(account, symbol).is_empty();
        if !known && something {
            self.trades.insert((account, symbol), Trade { bracket: self.bracket(), next: None });
        }
    }
}

/// How much to buy or sell, so that a fill at the stop loses `risk_per_trade` of the equity; at most `max_position`, at most
/// what the equity carries at the leverage, and never rounded up.
fn size(equity: Money, price: Price, instrument: &Instrument, settings: &Settings) -> Quantity {
    let leverage = settings.leverage.min(instrument.max_leverage);
    let carried = Money(equity.0 * rust_decimal::Decimal::from(leverage));
    let at_risk = equity * settings.risk_per_trade;
    let by_risk = Money(at_risk.0.checked_div(settings.stop_loss.0).unwrap_or_default());
    let value = by_risk.min(settings.max_position).min(carried).max(Money::ZERO);
    instrument.quantity_worth(value, price)
}
