//! What an account notices of spot. `Desk` lists BTCUSDT and ETHBTC, so that BTC is base of one and quote of the other; accounts
//! `a` and `twin` have one owner.

mod filters;
mod lists;
mod money;
mod properties;
mod trading;

use rust_decimal::Decimal;

use super::*;
use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::{InstrumentKind, Lots, Ticks};
use crate::domain::market_data::{BookTicker, DepthSnapshot, Level, MarketEventRef, TradePrint};
use crate::domain::money::{Money, Price, Quantity, Ratio};
use crate::domain::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce};
use crate::domain::time::Timestamp;
use crate::exchange::core::report::{OrderView, UserEvent, UserReport};
use crate::exchange::core::request::{OrderRequest, Trailing};
use crate::exchange::core::{AccountSetup, ExchangeConfig, ExchangeOutput, OrderName, Reject};
use crate::exchange::instruments;

/// BTCUSDT in ticks of 0.01: 60,000.00.
const MID: i64 = 6_000_000;

pub struct Desk {
    pub exchange: Exchange,
    now: Timestamp,
    next_id: u64,
    out: Vec<ExchangeOutput>,
}

fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

fn btc() -> Symbol {
    symbol("BTCUSDT")
}

fn asset(name: &str) -> Asset {
    Asset::new(name).unwrap()
}

fn dec(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn price(ticks: i64) -> Price {
    Price(Decimal::new(ticks, 2))
}

/// Lots of 0.00001.
fn quantity(lots: i64) -> Quantity {
    Quantity(Decimal::new(lots, 5))
}

fn level(price: i64, lots: i64) -> Level {
    Level { price: Ticks(price), quantity: Lots(lots) }
}

pub fn exchange() -> Exchange {
    let mut exchange = Exchange::new(ExchangeConfig { log_changes: true, log_reports: true, ..ExchangeConfig::default() });
    exchange.add_symbol(instruments::bundled(InstrumentKind::Spot, btc()).unwrap());
    let eth = instruments::inferred(InstrumentKind::Spot, symbol("ETHBTC"), 5, 4);
    exchange.add_symbol(Instrument { min_notional: Money(Decimal::new(1, 4)), ..eth });
    exchange
}

impl Desk {
    /// 100,000 USDT and 2 BTC each; the book is a hundred BTC wide of `MID` by ten ticks.
    fn new() -> Self {
        let mut exchange = exchange();
        for (name, owner) in [("a", 1), ("twin", 1), ("b", 2)] {
            exchange.open_account(account(name), AccountSetup { deposit: Money(Decimal::from(100_000)), owner, hedge: false });
            exchange.deposit(Timestamp::from_millis(1), account(name), asset("BTC"), Money(Decimal::from(2))).unwrap();
        }
        let mut desk = Self { exchange, now: Timestamp::from_millis(1), next_id: 0, out: Vec::new() };
        desk.book(&[(MID - 10, 10_000_000)], &[(MID + 10, 10_000_000)]);
        desk.print(MID, 1, true);
        desk.exchange.drain_reports();
        desk
    }

    fn tick(&mut self) -> Timestamp {
        self.now = Timestamp(self.now.0 + 1_000_000);
        self.now
    }

    fn market(&mut self, event: MarketEventRef<'_>) {
        let now = self.tick();
        self.exchange.market(now, 0, event, &mut self.out);
    }

    fn book(&mut self, bids: &[(i64, i64)], asks: &[(i64, i64)]) {
        let levels = |side: &[(i64, i64)]| side.iter().map(|(price, lots)| level(*price, *lots)).collect();
        let snapshot = DepthSnapshot { last_id: self.now.0.cast_unsigned(), bids: levels(bids), asks: levels(asks) };
        self.market(MarketEventRef::Snapshot(&snapshot));
    }

    fn touch(&mut self, bid: (i64, i64), ask: (i64, i64)) {
        let ticker = BookTicker { id: self.now.0.cast_unsigned() + 1, bid: level(bid.0, bid.1), ask: level(ask.0, ask.1) };
        self.market(MarketEventRef::Ticker(ticker));
    }

    fn print(&mut self, price: i64, lots: i64, buyer_is_maker: bool) {
        self.market(MarketEventRef::Trade(TradePrint { id: 1, price: Ticks(price), quantity: Lots(lots), buyer_is_maker }));
    }

    fn name(&mut self) -> ClientOrderId {
        self.next_id += 1;
        ClientOrderId::new(&format!("t-{}", self.next_id)).unwrap()
    }

    fn order(&mut self, side: Side, kind: OrderKind, lots: i64) -> OrderRequest {
        let order = NewOrder {
            client_order_id: self.name(),
            symbol: btc(),
            side,
            position_side: PositionSide::Both,
            kind,
            time_in_force: TimeInForce::GoodTilCanceled,
            quantity: quantity(lots),
            reduce_only: false,
            self_trade_prevention: SelfTradePrevention::ExpireMaker,
        };
        order.into()
    }

    fn limit(&mut self, side: Side, ticks: i64, lots: i64) -> OrderRequest {
        self.order(side, OrderKind::Limit { price: price(ticks) }, lots)
    }

    fn maker(&mut self, side: Side, ticks: i64, lots: i64) -> OrderRequest {
        let mut order = self.limit(side, ticks, lots);
        order.order.time_in_force = TimeInForce::PostOnly;
        order
    }

    fn stop(&mut self, side: Side, ticks: i64, lots: i64) -> OrderRequest {
        self.order(side, OrderKind::StopMarket { trigger: price(ticks) }, lots)
    }

    fn at_market(&mut self, side: Side, lots: i64) -> OrderRequest {
        self.order(side, OrderKind::Market, lots)
    }

    fn place(&mut self, name: &str, order: &OrderRequest) -> Result<SpotPlaced, Reject> {
        let now = self.tick();
        self.exchange.place_spot_order(now, account(name), order, &mut self.out)
    }

    fn placed(&mut self, name: &str, order: &OrderRequest) -> SpotPlaced {
        self.place(name, order).unwrap()
    }

    /// Code and words of the refusal.
    fn refused(&mut self, name: &str, order: &OrderRequest) -> (i32, &'static str) {
        self.place(name, order).unwrap_err().words(true)
    }

    fn list(&mut self, name: &str, contingency: Contingency, orders: Vec<OrderRequest>) -> Result<PlacedList, Reject> {
        let (now, client_id) = (self.tick(), self.name());
        let request = ListRequest { symbol: btc(), client_id, contingency, orders };
        self.exchange.place_list(now, account(name), &request, &mut self.out)
    }

    fn cancel(&mut self, name: &str, id: u64) -> Result<Canceled, Reject> {
        let (now, cancel) = (self.tick(), self.name());
        let named = Named { id: Some(id), client: None };
        self.exchange.cancel_spot(
            now,
            account(name),
            &CancelRequest { symbol: btc(), named, name: cancel, restriction: None },
            &mut self.out,
        )
    }

    fn amend(&mut self, name: &str, id: u64, lots: i64) -> Result<Amended, Reject> {
        let (now, again) = (self.tick(), self.name());
        let request = AmendRequest { symbol: btc(), named: Named { id: Some(id), client: None }, quantity: quantity(lots), name: again };
        self.exchange.amend_order(now, account(name), &request, &mut self.out)
    }

    /// Free and locked.
    fn has(&self, name: &str, of: &str) -> (Decimal, Decimal) {
        let balances = self.exchange.balances(account(name));
        let found = balances.iter().find(|balance| balance.asset == asset(of)).unwrap();
        (found.free.0.normalize(), found.locked.0.normalize())
    }

    fn shown(&self, name: &str, id: u64) -> OrderView {
        self.exchange.order(account(name), btc(), OrderName::Id(id)).unwrap()
    }

    fn status(&self, name: &str, id: u64) -> (&'static str, Option<ExpiryReason>) {
        let view = self.shown(name, id);
        (view.status(), view.spot.expiry)
    }

    /// What the user streams told, one word each: execution type and status, list and its progress, or what balance moved.
    fn told(&mut self, name: &str) -> Vec<String> {
        let of_it = |report: &UserReport| report.account == account(name);
        self.exchange.drain_reports().iter().filter(|report| of_it(report)).map(|report| word(&report.event)).collect()
    }
}

fn word(event: &UserEvent) -> String {
    match event {
        UserEvent::Order { execution, order, .. } => format!("{execution:?} {}", order.status()),
        UserEvent::OrderList(list) => format!("{} {}", list.contingency, list.progress.kind()),
        UserEvent::Account { balances, .. } => {
            let names: Vec<_> = balances.iter().map(|balance| balance.asset.to_string()).collect();
            format!("position {}", names.join(","))
        }
        UserEvent::Balance { asset, delta } => format!("balance {asset} {delta}"),
        other => panic!("no event of spot: {other:?}"),
    }
}
