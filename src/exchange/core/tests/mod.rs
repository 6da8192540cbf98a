//! What an account notices of the engine. `Desk` is the one fixture: a symbol, some accounts, and verbs to move the market.

mod accounts;
mod margin;
mod orders;
mod properties;
mod queue;
mod trades_only;

use rust_decimal::Decimal;

use super::*;
use crate::domain::instrument::{InstrumentKind, Lots};
use crate::domain::market_data::{BookTicker, DepthSnapshot, DepthUpdate, MarketEventRef, TradePrint};
use crate::domain::money::Price;
use crate::domain::order::{
    Fill, NewOrder, OrderKind, PositionSide, SelfTradePrevention, TimeInForce, TradesFrom, TradesWanted, VenueSnapshot,
};
use crate::exchange::instruments;

/// Ticks of 0.1: 60,000.0.
const MID: i64 = 600_000;

struct Desk {
    exchange: Exchange,
    symbol: usize,
    now: Timestamp,
    next_id: u64,
    update_id: u64,
    out: Vec<ExchangeOutput>,
}

fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn every_trade() -> TradesWanted {
    TradesWanted::from([(btc(), TradesFrom::After(0))])
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn setup(deposit: i64) -> AccountSetup {
    AccountSetup { deposit: Money(Decimal::from(deposit)), owner: 0, hedge: false }
}

fn level(price: i64, lots: i64) -> Level {
    Level { price: Ticks(price), quantity: Lots(lots) }
}

fn price(ticks: i64) -> Price {
    Price(Decimal::new(ticks, 1))
}

fn quantity(lots: i64) -> Quantity {
    Quantity(Decimal::new(lots, 3))
}

impl Desk {
    fn new() -> Self {
        Self::with(ExchangeConfig { log_changes: true, ..ExchangeConfig::default() }, InstrumentKind::Perpetual)
    }

    fn with(config: ExchangeConfig, kind: InstrumentKind) -> Self {
        let mut exchange = Exchange::new(config);
        let rules = instruments::bundled(InstrumentKind::Perpetual, btc()).unwrap();
        let symbol = exchange.add_symbol(Instrument { kind, ..rules });
        for (name, owner) in [("a", 0), ("b", 0), ("other", 1)] {
            exchange.open_account(account(name), AccountSetup { owner, ..setup(1_000_000) });
        }
        Self { exchange, symbol, now: Timestamp::from_millis(1), next_id: 0, update_id: 100, out: Vec::new() }
    }

    /// A desk whose market shows these levels and has traded at `MID`.
    fn showing(bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Self {
        let mut desk = Self::new();
        desk.snapshot(bids, asks);
        desk.print(MID, 1, true);
        desk
    }

    fn market(&mut self, event: MarketEventRef<'_>) -> Vec<VenueEvent> {
        self.now = Timestamp(self.now.0 + 1_000);
        self.exchange.market(self.now, self.symbol, event, &mut self.out);
        self.out.drain(..).map(|output| output.event).collect()
    }

    fn snapshot(&mut self, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Vec<VenueEvent> {
        self.update_id += 1;
        let levels = |side: &[(i64, i64)]| side.iter().map(|(price, lots)| level(*price, *lots)).collect();
        let snapshot = DepthSnapshot { last_id: self.update_id, bids: levels(bids), asks: levels(asks) };
        self.market(MarketEventRef::Snapshot(&snapshot))
    }

    fn diff(&mut self, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Vec<VenueEvent> {
        self.update_id += 1;
        self.diff_at(self.update_id, bids, asks)
    }

    fn diff_at(&mut self, final_id: u64, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Vec<VenueEvent> {
        let levels = |side: &[(i64, i64)]| side.iter().map(|(price, lots)| level(*price, *lots)).collect();
        let update = DepthUpdate { first_id: final_id, final_id, previous_id: Some(final_id - 1), bids: levels(bids), asks: levels(asks) };
        self.market(MarketEventRef::Depth(&update))
    }

    fn touch(&mut self, bid: (i64, i64), ask: (i64, i64)) -> Vec<VenueEvent> {
        self.update_id += 1;
        let ticker = BookTicker { id: self.update_id, bid: level(bid.0, bid.1), ask: level(ask.0, ask.1) };
        self.market(MarketEventRef::Ticker(ticker))
    }

    fn print(&mut self, price: i64, lots: i64, buyer_is_maker: bool) -> Vec<VenueEvent> {
        self.market(MarketEventRef::Trade(TradePrint { id: 1, price: Ticks(price), quantity: Lots(lots), buyer_is_maker }))
    }

    fn command(&mut self, name: &str, command: &VenueCommand) -> Vec<ExchangeOutput> {
        self.now = Timestamp(self.now.0 + 1_000);
        self.exchange.command(self.now, account(name), command, &mut self.out);
        std::mem::take(&mut self.out)
    }

    /// An order with a new id; what everybody was told.
    fn place(&mut self, name: &str, order: NewOrder) -> (ClientOrderId, Vec<VenueEvent>) {
        let id = order.client_order_id;
        let outputs = self.command(name, &VenueCommand::Place(order));
        (id, outputs.into_iter().map(|output| output.event).collect())
    }

    fn order(&mut self, side: Side, kind: OrderKind, lots: i64) -> NewOrder {
        self.next_id += 1;
        NewOrder {
            client_order_id: ClientOrderId::new(&format!("t-{}", self.next_id)).unwrap(),
            symbol: btc(),
            side,
            position_side: PositionSide::Both,
            kind,
            time_in_force: TimeInForce::GoodTilCanceled,
            quantity: quantity(lots),
            reduce_only: false,
            self_trade_prevention: SelfTradePrevention::ExpireMaker,
        }
    }

    fn limit(&mut self, side: Side, ticks: i64, lots: i64) -> NewOrder {
        self.order(side, OrderKind::Limit { price: price(ticks) }, lots)
    }

    fn at_market(&mut self, side: Side, lots: i64) -> NewOrder {
        self.order(side, OrderKind::Market, lots)
    }

    fn view(&mut self, name: &str) -> VenueSnapshot {
        match self.command(name, &VenueCommand::Snapshot { trades: every_trade() }).remove(0).event {
            VenueEvent::SnapshotIs(snapshot) => snapshot,
            other => panic!("expected a snapshot, found {other:?}"),
        }
    }

    fn position(&mut self, name: &str) -> Quantity {
        self.view(name).positions.iter().map(|position| position.quantity).sum()
    }
}

fn fills(events: &[VenueEvent]) -> Vec<&Fill> {
    events.iter().filter_map(|event| if let VenueEvent::Filled(fill) = event { Some(fill) } else { None }).collect()
}

/// Price in ticks and lots of each fill.
fn trades(events: &[VenueEvent]) -> Vec<(i64, i64)> {
    let instrument = instruments::bundled(InstrumentKind::Perpetual, btc()).unwrap();
    let steps = |fill: &&Fill| (instrument.ticks(fill.price).unwrap().0, instrument.lots(fill.quantity).unwrap().0);
    fills(events).iter().map(steps).collect()
}

fn rejection(events: &[VenueEvent]) -> Option<i32> {
    events.iter().find_map(|event| match event {
        VenueEvent::Rejected { code, .. } => Some(*code),
        _ => None,
    })
}

fn end(events: &[VenueEvent]) -> Option<(ClientOrderId, EndReason)> {
    events.iter().find_map(|event| match event {
        VenueEvent::Ended { client_order_id, reason, .. } => Some((*client_order_id, *reason)),
        _ => None,
    })
}
