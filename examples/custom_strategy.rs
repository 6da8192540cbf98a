//! A strategy of your own, in one file: copy it, change it, backtest it, run it.
//!
//! It is a breakout: long when a bar closes above the highest high of the bars before it, flat when one closes below the
//! lowest low. To try it on recorded candles, then on the market inside:
//!
//! ```text
//! cargo run --release --example custom_strategy -- backtest --config examples/custom_strategy.toml --data CANDLES.csv
//! cargo run --release --example custom_strategy -- run --config examples/custom_strategy.toml
//! ```
//!
//! A strategy is a plain state machine: it hears of bars, its orders and its accounts, and puts its wishes onto the desk.
//! It has no clock, no threads and no network, so the backtest runs exactly what trades. Every wish passes the risk limits
//! of the configuration before anything is sent.

use std::collections::BTreeMap;
use std::process::ExitCode;

use ringfence::domain::ids::{AccountId, IntentId, Symbol};
use ringfence::domain::indicators::{Bar, Indicator, RollingHigh, RollingLow};
use ringfence::domain::market_data::Candle;
use ringfence::domain::money::{Money, Price};
use ringfence::domain::order::Side;
use ringfence::strategies::{Configured, Desk, Draft, Interest, Kind, Problem, Recovered, Strategy, StrategyInput, registry};

/// Everything that Ringfence does, with one more kind of strategy.
fn main() -> ExitCode {
    ringfence::app::main_with(registry().with(Kind::of::<Breakout>()))
}

/// What `[strategies.settings]` may say. Money is a quoted string there: `order_value = "1000"`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Buy above the highest high of so many bars.
    entry_bars: usize,
    /// Sell below the lowest low of so many bars.
    exit_bars: usize,
    /// What a position is worth when it is opened.
    order_value: Money,
}

impl Default for Settings {
    fn default() -> Self {
        Self { entry_bars: 20, exit_bars: 10, order_value: Money(1_000.into()) }
    }
}

/// The range of one symbol, up to the bar before the one that is judged.
struct Range {
    high: RollingHigh,
    low: RollingLow,
}

struct Breakout {
    settings: Settings,
    /// One instance trades all its symbols. Ordered, so that two runs do the same.
    ranges: BTreeMap<Symbol, Range>,
}

/// What the configuration needs to know.
impl Configured for Breakout {
    const KIND: &'static str = "breakout";
    const DESCRIPTION: &'static str = "buys above the highest high of some bars, sells below the lowest low";
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (key, bars) in [("entry_bars", settings.entry_bars), ("exit_bars", settings.exit_bars)] {
            if !(1..=5_000).contains(&bars) {
                problems.push((key.to_owned(), format!("expected 1 to 5000 bars, found {bars}")));
            }
        }
        if !settings.order_value.is_positive() {
            problems.push(("order_value".to_owned(), format!("expected an amount above \"0\", found {}", settings.order_value)));
        }
        problems
    }

    fn new(settings: Settings) -> Self {
        Self { settings, ranges: BTreeMap::new() }
    }
}

/// What trades.
impl Strategy for Breakout {
    fn interest(&self) -> Interest {
        Interest { market_updates: false, warm_up_bars: self.settings.entry_bars.max(self.settings.exit_bars) }
    }

    fn on(&mut self, input: StrategyInput<'_>, desk: &mut Desk<'_>) {
        // History comes as bars too, so that the ranges stand before the first live bar. Proposals on it are dropped.
        if let StrategyInput::Bar { symbol, candle, .. } = input
            && let Some(side) = self.judge(symbol, candle)
        {
            for account in desk.accounts().iter() {
                self.trade(*account, symbol, side, candle.close, desk);
            }
        }
    }

    /// Optional. An account's books agree with its venue's again, after a start, a restart or a lost connection, and nothing has been
    /// decided on them yet. The desk has what is true now; `recovered` says what was missed and what was put right. Here: an order
    /// that still works was for a bar that is long over.
    fn recovered(&mut self, recovered: &Recovered<'_>, desk: &mut Desk<'_>) {
        let account = recovered.account;
        for symbol in desk.symbols().iter() {
            let working: Vec<IntentId> = desk.working(account, *symbol).iter().map(|order| order.intent).collect();
            for intent in working {
                desk.cancel(account, *symbol, intent, "from before");
            }
        }
    }
}

impl Breakout {
    /// The side that a bar breaks out to, against the bars before it.
    fn judge(&mut self, symbol: Symbol, candle: &Candle) -> Option<Side> {
        let Settings { entry_bars, exit_bars, .. } = self.settings;
        let fresh = || Range { high: RollingHigh::new(entry_bars), low: RollingLow::new(exit_bars) };
        let range = self.ranges.entry(symbol).or_insert_with(fresh);
        let bar = Bar::from(candle);
        let (highest, lowest) = (range.high.value(), range.low.value());
        range.high.push(bar.high);
        range.low.push(bar.low);
        if bar.close > highest? {
            Some(Side::Buy)
        } else if bar.close < lowest? {
            Some(Side::Sell)
        } else {
            None
        }
    }

    fn trade(&self, account: AccountId, symbol: Symbol, side: Side, close: Price, desk: &mut Desk<'_>) {
        // The desk counts a proposal as working at once: nothing is asked for twice while an answer is on its way.
        if !desk.working(account, symbol).is_empty() {
            return;
        }
        let position = desk.position(account, symbol);
        let draft = match side {
            Side::Buy if position.is_zero() => {
                let Some(instrument) = desk.instrument(symbol) else { return };
                let quantity = instrument.quantity_worth(self.settings.order_value, close);
                Draft::market(account, symbol, Side::Buy, quantity, "breakout")
            }
            Side::Sell if position.is_positive() => Draft::market(account, symbol, Side::Sell, position, "breakdown").reducing(),
            _ => return,
        };
        desk.propose(draft);
    }
}

/// A strategy is tested without a market: feed a host, look at what it wants.
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ringfence::domain::ids::{ClientOrderId, Epoch, StrategyId};
    use ringfence::domain::instrument::{Instrument, InstrumentKind};
    use ringfence::domain::market::{ClosedBar, MarketUpdate, MarketView};
    use ringfence::domain::money::Quantity;
    use ringfence::domain::order::{AccountView, OrderReport, OrderStatus, PositionSide, PositionView};
    use ringfence::domain::reconcile::Reconciliation;
    use ringfence::domain::time::Timestamp;
    use ringfence::strategies::{Holdings, HostConfig, HostInput, StrategyEffect, StrategyHost};
    use serde_json::json;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Bench {
        host: StrategyHost,
        bars: i64,
    }

    impl Bench {
        fn new() -> Self {
            let settings = json!({"entry_bars": 3, "exit_bars": 2, "order_value": "1000"});
            let config = HostConfig {
                id: StrategyId::new("mine").unwrap(),
                slot: 0,
                epoch: Epoch(1),
                first_intent: 0,
                accounts: vec![account()],
                instruments: vec![instrument()],
                bar_interval: MINUTE,
                holdings: Holdings::Whole,
            };
            Self { host: StrategyHost::new(config, Kind::of::<Breakout>().build(&settings).unwrap()), bars: 0 }
        }

        /// The account's books: an account is traded from its first view on.
        fn hold(&mut self, quantity: &str) -> Vec<StrategyEffect> {
            let position = PositionView {
                symbol: symbol(),
                position_side: PositionSide::Both,
                quantity: quantity.parse().unwrap(),
                entry_price: "100".parse().unwrap(),
                unrealized: Money::ZERO,
            };
            let money: Money = "10000".parse().unwrap();
            let view = AccountView {
                account: account(),
                wallet: money,
                equity: money,
                day_pnl: Some(Money::ZERO),
                positions: vec![position],
                peaks: None,
                margin: None,
                at: Timestamp::ZERO,
            };
            let mut effects = Vec::new();
            self.host.on(Timestamp::ZERO, HostInput::Account(&view), &mut effects);
            effects
        }

        /// A bar that it buys on; gives the executor's word that the order works.
        fn buy(&mut self, close: &str) -> OrderReport {
            let Some(StrategyEffect::Propose(intent)) = self.effects(close).into_iter().next() else { panic!("it buys nothing") };
            OrderReport {
                account: account(),
                strategy: Some(intent.strategy),
                intent: Some(intent.id),
                symbol: symbol(),
                client_order_id: ClientOrderId::compose(account(), Epoch(1), intent.id),
                side: intent.side,
                position_side: PositionSide::Both,
                kind: intent.kind,
                reduce_only: false,
                quantity: intent.quantity,
                filled: Quantity::ZERO,
                status: OrderStatus::Working,
                fill: None,
                detail: None,
                at: Timestamp::ZERO,
                trace: None,
            }
        }

        /// A bar of one price; gives what is proposed, as `BUY 9.8`.
        fn bar(&mut self, close: &str) -> Vec<String> {
            let proposed = |effect| match effect {
                StrategyEffect::Propose(intent) => Some(format!("{} {}", intent.side, intent.quantity)),
                _ => None,
            };
            self.effects(close).into_iter().filter_map(proposed).collect()
        }

        fn effects(&mut self, close: &str) -> Vec<StrategyEffect> {
            let open_time = Timestamp::ZERO + MINUTE * u32::try_from(self.bars).unwrap();
            self.bars += 1;
            let price: Price = close.parse().unwrap();
            let candle = Candle {
                open_time,
                close_time: open_time + MINUTE - Duration::from_millis(1),
                open: price,
                high: price,
                low: price,
                close: price,
                volume: "1".parse().unwrap(),
                quote_volume: Money(price.0),
                trades: 1,
            };
            let at = candle.close_time;
            let view = MarketView {
                symbol: symbol(),
                at,
                heard_at: at,
                bid: None,
                ask: None,
                last: Some(price),
                mark: None,
                stale: false,
                sequence: 0,
            };
            let update = MarketUpdate { view, closed: [ClosedBar { interval: MINUTE, candle }].into() };
            let mut effects = Vec::new();
            self.host.on(at, HostInput::Market(&update), &mut effects);
            effects
        }
    }

    fn account() -> AccountId {
        AccountId::new("main").unwrap()
    }

    fn symbol() -> Symbol {
        Symbol::new("BTCUSDT").unwrap()
    }

    fn instrument() -> Instrument {
        Instrument {
            symbol: symbol(),
            kind: InstrumentKind::Perpetual,
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            price_step: "0.1".parse().unwrap(),
            quantity_step: "0.1".parse().unwrap(),
            min_quantity: "0.1".parse().unwrap(),
            max_quantity: "1000".parse().unwrap(),
            min_notional: "5".parse().unwrap(),
            price_band: "0.05".parse().unwrap(),
            maker_fee: "0.0002".parse().unwrap(),
            taker_fee: "0.0004".parse().unwrap(),
            max_leverage: 20,
        }
    }

    #[test]
    fn it_buys_a_breakout_once() {
        let mut bench = Bench::new();
        bench.hold("0");
        for close in ["100", "101", "100", "101"] {
            assert!(bench.bar(close).is_empty(), "equal to the high is not above it");
        }
        assert_eq!(bench.bar("102"), ["BUY 9.8"]);
        assert!(bench.bar("103").is_empty(), "the first order is still on its way");
    }

    #[test]
    fn it_sells_what_it_has_on_a_breakdown_and_nothing_else() {
        let mut bench = Bench::new();
        bench.hold("2.5");
        for close in ["100", "101", "100"] {
            bench.bar(close);
        }
        assert_eq!(bench.bar("99"), ["SELL 2.5"]);
        let mut flat = Bench::new();
        flat.hold("0");
        for close in ["100", "101", "100", "99"] {
            assert!(flat.bar(close).is_empty());
        }
    }

    #[test]
    fn what_still_works_after_a_lost_connection_is_taken_back() {
        let mut bench = Bench::new();
        bench.hold("0");
        for close in ["100", "101", "100", "101"] {
            bench.bar(close);
        }
        let order = bench.buy("102");
        let reconciliation = Reconciliation { account: account(), at: Timestamp::ZERO, findings: vec![], missed: vec![], first: false };
        bench.host.on(Timestamp::ZERO, HostInput::Report(&order), &mut Vec::new());
        bench.host.on(Timestamp::ZERO, HostInput::Reconciled(&reconciliation), &mut Vec::new());
        let cancels = bench.hold("0").into_iter().filter(|effect| matches!(effect, StrategyEffect::Cancel { .. }));
        assert_eq!(cancels.count(), 1);
    }

    #[test]
    fn bad_settings_are_named() {
        let problems = Kind::of::<Breakout>().validate(&json!({"entry_bars": 0, "order_value": 5})).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["order_value", "entry_bars"]);
    }
}
