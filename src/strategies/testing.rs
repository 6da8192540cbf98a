//! What the strategies' tests share: an account, an instrument, bars and a host with a small venue behind it that fills
//! market orders at once. Tests only.

use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::domain::ids::{AccountId, ClientOrderId, Epoch, IntentId, StrategyId, Symbol};
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market::{ClosedBar, MarketUpdate, MarketView};
use crate::domain::market_data::Candle;
use crate::domain::money::{Money, Price, Quantity, Ratio};
use crate::domain::order::{
    AccountView, Fill, OrderIntent, OrderKind, OrderReport, OrderStatus, PositionSide, PositionView, Refusal, Side,
};
use crate::domain::time::Timestamp;

use super::{Holdings, HostConfig, HostInput, Strategy, StrategyEffect, StrategyHost};

pub const MINUTE: Duration = Duration::from_secs(60);

pub fn account() -> AccountId {
    AccountId::new("main").unwrap()
}

pub fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

pub fn price(text: &str) -> Price {
    text.parse().unwrap()
}

pub fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}

pub fn money(text: &str) -> Money {
    text.parse().unwrap()
}

pub fn seconds(count: i64) -> Timestamp {
    Timestamp::from_millis(count * 1_000)
}

pub fn instrument(kind: InstrumentKind) -> Instrument {
    Instrument {
        symbol: btc(),
        kind,
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        price_step: price("0.1"),
        quantity_step: quantity("0.001"),
        min_quantity: quantity("0.001"),
        max_quantity: quantity("1000"),
        min_notional: money("5"),
        price_band: Ratio(Decimal::new(5, 2)),
        maker_fee: Ratio(Decimal::new(2, 4)),
        taker_fee: Ratio(Decimal::new(4, 4)),
        max_leverage: 20,
    }
}

pub fn config(kind: InstrumentKind) -> HostConfig {
    HostConfig {
        id: StrategyId::new("test").unwrap(),
        slot: 3,
        epoch: Epoch(1),
        first_intent: 0,
        accounts: vec![account()],
        instruments: vec![instrument(kind)],
        bar_interval: MINUTE,
        holdings: Holdings::Whole,
    }
}

/// The bar number `index` of a series, closing at `close`.
pub fn candle(index: i64, close: Price) -> Candle {
    let open_time = seconds(index * 60);
    Candle {
        open_time,
        close_time: open_time + MINUTE - Duration::from_millis(1),
        open: close,
        high: close,
        low: close,
        close,
        volume: quantity("1"),
        quote_volume: Money(close.0),
        trades: 1,
    }
}

pub fn view(last: Price, at: Timestamp) -> MarketView {
    MarketView { symbol: btc(), at, heard_at: at, bid: None, ask: None, last: Some(last), mark: None, stale: false, sequence: 0 }
}

/// A host, and a venue that does as it is told by the test.
pub struct Bench {
    pub host: StrategyHost,
    pub now: Timestamp,
    /// Orders that are open at the venue, by intent.
    pub open: Vec<OrderIntent>,
    /// Everything the strategy wished, in order.
    pub effects: Vec<StrategyEffect>,
    pub position: Quantity,
    entry: Price,
    pub last: Price,
    equity: Money,
    next_bar: i64,
    trade_id: u64,
    taken: usize,
}

impl Bench {
    pub fn new(config: HostConfig, strategy: Box<dyn Strategy>) -> Self {
        Self {
            host: StrategyHost::new(config, strategy),
            now: Timestamp::ZERO,
            open: Vec::new(),
            effects: Vec::new(),
            position: Quantity::ZERO,
            entry: Price::ZERO,
            last: price("100"),
            equity: money("10000"),
            next_bar: 0,
            trade_id: 0,
            taken: 0,
        }
    }

    /// The strategy's actor dies and comes up anew with nothing; the venue goes on.
    pub fn restart(&mut self, config: HostConfig, strategy: Box<dyn Strategy>, history: &[Candle]) {
        let first_intent = self.host.next_intent();
        self.host = StrategyHost::new(HostConfig { first_intent, ..config }, strategy);
        self.feed(HostInput::WarmUp { symbol: btc(), candles: history });
        for order in self.open.clone() {
            self.report(&order, OrderStatus::Working, None);
        }
        self.account_view();
    }

    pub fn feed(&mut self, input: HostInput<'_>) {
        self.host.on(self.now, input, &mut self.effects);
    }

    /// Wishes since the last call.
    pub fn fresh(&mut self) -> Vec<StrategyEffect> {
        let fresh = self.effects[self.taken..].to_vec();
        self.taken = self.effects.len();
        fresh
    }

    /// Proposals among the wishes since the last call.
    pub fn proposals(&mut self) -> Vec<OrderIntent> {
        let proposal = |effect| match effect {
            StrategyEffect::Propose(intent) => Some(intent),
            _ => None,
        };
        self.fresh().into_iter().filter_map(proposal).map(Arc::unwrap_or_clone).collect()
    }

    pub fn account_view(&mut self) {
        let position = PositionView {
            symbol: btc(),
            position_side: PositionSide::Both,
            quantity: self.position,
            entry_price: self.entry,
            unrealized: Money::ZERO,
        };
        let positions = if self.position.is_zero() { Vec::new() } else { vec![position] };
        let (account, wallet, equity) = (account(), self.equity, self.equity);
        self.feed(HostInput::Account(&AccountView {
            account,
            wallet,
            equity,
            day_pnl: Some(Money::ZERO),
            positions,
            peaks: None,
            margin: None,
            at: self.now,
        }));
    }

    /// Somebody else moved the account's position.
    pub fn set_position(&mut self, position: Quantity, entry: Price) {
        (self.position, self.entry) = (position, entry);
        self.account_view();
    }

    /// The next bar closes, and the market stands at its close.
    pub fn bar(&mut self, close: &str) {
        let candle = candle(self.next_bar, price(close));
        self.next_bar += 1;
        self.last = candle.close;
        self.now = candle.close_time;
        let closed = vec![ClosedBar { interval: MINUTE, candle }];
        self.feed(HostInput::Market(&MarketUpdate { view: view(candle.close, self.now), closed }));
    }

    pub fn skip_bars(&mut self, count: i64) {
        self.next_bar += count;
    }

    pub fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.feed(HostInput::Market(&MarketUpdate { view: view(self.last, self.now), closed: Vec::new() }));
    }

    pub fn report(&mut self, order: &OrderIntent, status: OrderStatus, fill: Option<Quantity>) {
        let fill = fill.map(|amount| self.fill(order, amount));
        let filled = match status {
            OrderStatus::Filled => order.quantity,
            _ => fill.as_ref().map(|fill| fill.quantity).unwrap_or_default(),
        };
        self.feed(HostInput::Report(&OrderReport {
            account: order.account,
            strategy: Some(order.strategy),
            intent: Some(order.id),
            symbol: order.symbol,
            client_order_id: ClientOrderId::compose(order.account, Epoch(1), order.id),
            side: order.side,
            position_side: PositionSide::Both,
            kind: order.kind,
            reduce_only: order.reduce_only,
            quantity: order.quantity,
            filled,
            status,
            fill,
            detail: None,
            at: self.now,
            trace: None,
        }));
    }

    fn fill(&mut self, order: &OrderIntent, amount: Quantity) -> Fill {
        self.trade_id += 1;
        let at = match order.kind {
            OrderKind::Market => self.last,
            kind => kind.trigger().or(kind.limit_price()).unwrap(),
        };
        self.position += order.side.signed(amount);
        self.entry = at;
        Fill {
            account: order.account,
            symbol: order.symbol,
            client_order_id: ClientOrderId::compose(order.account, Epoch(1), order.id),
            venue_order_id: order.id.0,
            trade_id: self.trade_id,
            side: order.side,
            position_side: PositionSide::Both,
            price: at,
            quantity: amount,
            fee: Money::ZERO,
            fee_taken: None,
            maker: false,
            at: self.now,
        }
    }

    pub fn refuse(&mut self, order: &OrderIntent, control: &str) {
        self.feed(HostInput::Refused(&Refusal {
            intent: order.id,
            account: order.account,
            strategy: order.strategy,
            symbol: order.symbol,
            control: control.to_owned(),
            limit: "1".to_owned(),
            value: "2".to_owned(),
        }));
    }

    /// The venue takes an order and keeps it open.
    pub fn accept(&mut self, order: &OrderIntent) {
        self.open.push(order.clone());
        self.report(order, OrderStatus::Working, None);
    }

    /// An order fills whole.
    pub fn fill_whole(&mut self, order: &OrderIntent) {
        self.open.retain(|open| open.id != order.id);
        self.report(order, OrderStatus::Filled, Some(order.quantity));
    }

    pub fn end(&mut self, intent: IntentId, status: OrderStatus) {
        let index = self.open.iter().position(|open| open.id == intent).expect("the order is open");
        let order = self.open.remove(index);
        self.report(&order, status, None);
    }

    /// Everything wished for happens: market orders fill, others rest, cancels work. Gives the proposals it carried out.
    pub fn settle(&mut self) -> Vec<OrderIntent> {
        let mut done = Vec::new();
        loop {
            let fresh = self.fresh();
            if fresh.is_empty() {
                return done;
            }
            for effect in fresh {
                match effect {
                    StrategyEffect::Propose(order) => {
                        if order.kind == OrderKind::Market {
                            self.fill_whole(&order)
                        } else {
                            self.accept(&order)
                        }
                        done.push(Arc::unwrap_or_clone(order));
                    }
                    StrategyEffect::Cancel { client_order_id, .. } => {
                        let named = |order: &&OrderIntent| ClientOrderId::compose(order.account, Epoch(1), order.id) == client_order_id;
                        if let Some(order) = self.open.iter().find(named).cloned() {
                            self.end(order.id, OrderStatus::Canceled);
                        }
                    }
                    StrategyEffect::SetLeverage { .. } => {}
                }
            }
        }
    }
}

/// A signed move of the position by one order: `+0.5` or `-1`.
pub fn moves(orders: &[OrderIntent]) -> Vec<String> {
    let one = |order: &OrderIntent| format!("{}{}", if order.side == Side::Buy { '+' } else { '-' }, order.quantity);
    orders.iter().map(one).collect()
}
