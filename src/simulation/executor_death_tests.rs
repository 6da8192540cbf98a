//! An executor that dies at any moment between an approval and the venue's last word, over a thousand seeds, with the daemon's
//! own machines and the exchange's engine: no order is sent twice, none is lost, and when the deaths stop both sides agree.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation, IntentId, StrategyId, Symbol};
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::ladder::ModeTable;
use crate::domain::market::MarketView;
use crate::domain::market_data::{BookTicker, Level, MarketEventRef, TradePrint};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{
    OrderIntent, OrderKind, OrderStatus, PositionSide, Side, TimeInForce, TradesFrom, TradesWanted, VenueCommand, VenueEvent, VenueSnapshot,
};
use crate::domain::order_manager::{Effect, Input, OrderManager};
use crate::domain::outbox::{Outbox, Step};
use crate::domain::record::{Entry, Record};
use crate::domain::recovery::DaemonState;
use crate::domain::risk::{self, Approved, RiskMachine};
use crate::domain::time::Timestamp;
use crate::exchange::{AccountSetup, Exchange, ExchangeConfig};

const SEEDS: u64 = 1_000;
const STEPS: usize = 120;
/// Two half-second rounds to each second of the longest wait that the order manager has, and as many again.
const CALM_ROUNDS: usize = 60;
/// Far more than what a moment has to say.
const HOPS_MAX: usize = 10_000;
const RISK: Incarnation = Incarnation(1);

struct Scene {
    random: u64,
    buys: bool,
    now: Timestamp,
    exchange: Exchange,
    index: usize,
    update_id: u64,
    risk: RiskMachine,
    manager: OrderManager,
    /// What the journal adds up to. It outlives the executor, as the journal does.
    state: DaemonState,
    mailbox: VecDeque<Approved<Arc<OrderIntent>>>,
    /// Effects that wait for their rows: they die with the executor that waits.
    unacknowledged: VecDeque<Vec<Effect>>,
    to_venue: VecDeque<VenueCommand>,
    from_venue: VecDeque<VenueEvent>,
    next_intent: u64,
    intended: BTreeMap<ClientOrderId, Quantity>,
    arrived: Vec<ClientOrderId>,
    deaths: u32,
}

fn account() -> AccountId {
    AccountId::new("a").unwrap()
}

/// One that the exchange has no rules of its own for: prices here are a tenth of what it lets Bitcoin cost.
fn symbol() -> Symbol {
    Symbol::new("XYZUSDT").unwrap()
}

impl Scene {
    fn new(seed: u64) -> Self {
        let limits = risk::tests_support::wide_limits(account(), symbol());
        let mut exchange = Exchange::new(ExchangeConfig::default());
        let index = exchange.add_symbol(limits.instruments[&symbol()].clone());
        exchange.open_account(account(), AccountSetup { deposit: Money("1000000".parse().unwrap()), owner: 0, hedge: false });
        let state = DaemonState::default();
        let mut scene = Self {
            random: seed,
            buys: seed.is_multiple_of(2),
            now: Timestamp::from_millis(1_700_000_000_000),
            exchange,
            index,
            update_id: 0,
            risk: RiskMachine::new(RISK, limits, ModeTable::default()),
            manager: manager(&state),
            state,
            mailbox: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            to_venue: VecDeque::new(),
            from_venue: VecDeque::new(),
            next_intent: 0,
            intended: BTreeMap::new(),
            arrived: Vec::new(),
            deaths: 0,
        };
        scene.market();
        scene.start();
        scene
    }

    /// SplitMix64.
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    fn step(&mut self) {
        match self.draw(20) {
            0..4 => self.propose(),
            4..7 => self.submit(),
            7..10 => self.acknowledge(),
            10..13 => self.arrive(),
            13..16 => self.hear(),
            16 => self.market(),
            17 | 18 => self.tick(),
            _ => self.die(),
        }
    }

    /// The executor is gone with everything that was on its way to it, and its successor starts from the journal.
    fn die(&mut self) {
        self.deaths += 1;
        self.mailbox.clear();
        self.unacknowledged.clear();
        // The stream is a child of its own: what it tells while nobody is there is lost, what it tells later is not.
        if self.draw(2) == 0 {
            self.from_venue.clear();
        }
        self.manager = manager(&self.state);
        self.mark();
        self.start();
    }

    fn start(&mut self) {
        let mut out = Outbox::new();
        self.manager.start(self.now, &mut out);
        self.carry(out);
        self.on(Input::RiskManager(RISK));
    }

    fn propose(&mut self) {
        self.now = self.now + Duration::from_millis(200);
        self.next_intent += 1;
        let kind = match self.draw(4) {
            0 => OrderKind::Market,
            distance => OrderKind::Limit { price: price(1_000 + 5 * i64::try_from(distance).unwrap() - 10) },
        };
        let intent = OrderIntent {
            id: IntentId(self.next_intent),
            strategy: StrategyId::new("s").unwrap(),
            account: account(),
            symbol: symbol(),
            // Mostly one side a scene: what rests there is in the way of the other.
            side: if (self.draw(24) == 0) == self.buys { Side::Sell } else { Side::Buy },
            position_side: PositionSide::Both,
            kind,
            time_in_force: TimeInForce::GoodTilCanceled,
            quantity: Quantity(rust_decimal::Decimal::new(i64::try_from(100 + self.draw(900)).unwrap(), 3)),
            reduce_only: false,
            stop: None,
            decided_at: self.now,
            reason: "test".into(),
            trace: None,
        };
        let touch = |ticks| Some((price(ticks), "1".parse().unwrap()));
        let (bid, ask, last) = (touch(999), touch(1_001), Some(price(1_000)));
        let view = MarketView {
            symbol: symbol(),
            at: self.now,
            heard_at: self.now,
            bid,
            ask,
            last,
            mark: last,
            stale: false,
            sequence: self.next_intent,
        };
        self.on_risk(risk::Input::Market(view));
        self.on_risk(risk::Input::Propose(Arc::new(intent)));
    }

    fn on_risk(&mut self, input: risk::Input) {
        let mut out = Outbox::new();
        self.risk.on(self.now, input, &mut out);
        for step in out.drain() {
            if let Step::Do(risk::Effect::Submit(approved)) = step {
                self.mailbox.push_back(approved);
            }
        }
    }

    fn submit(&mut self) {
        if let Some(approved) = self.mailbox.pop_front() {
            self.on(Input::Submit(approved));
        }
    }

    /// Rows are durable; the executor that asked does what waited for them.
    fn acknowledge(&mut self) {
        for effect in self.unacknowledged.pop_front().unwrap_or_default() {
            self.effect(effect);
        }
    }

    fn arrive(&mut self) {
        let Some(command) = self.to_venue.pop_front() else { return };
        if let VenueCommand::Place(order) = &command {
            self.arrived.push(order.client_order_id);
        }
        let mut told = Vec::new();
        self.exchange.command(self.now, account(), &command, &mut told);
        self.from_venue.extend(told.into_iter().map(|output| output.event));
    }

    fn hear(&mut self) {
        if let Some(event) = self.from_venue.pop_front() {
            self.on(Input::Venue(event));
        }
    }

    /// The touch stands, and a print goes through it on either side, so that resting orders fill in part.
    fn market(&mut self) {
        self.update_id += 1;
        let level = |ticks, lots| Level { price: Ticks(ticks), quantity: Lots(lots) };
        let ticker = BookTicker { id: self.update_id, bid: level(999, 5_000), ask: level(1_001, 5_000) };
        let (ticks, lots) = (998 + 4 * i64::try_from(self.draw(2)).unwrap(), i64::try_from(1 + self.draw(600)).unwrap());
        let print = TradePrint { id: self.update_id, price: Ticks(ticks), quantity: Lots(lots), buyer_is_maker: ticks < 1_000 };
        let mut told = Vec::new();
        for event in [MarketEventRef::Ticker(ticker), MarketEventRef::Trade(print)] {
            self.exchange.market(self.now, self.index, event, &mut told);
        }
        self.from_venue.extend(told.into_iter().map(|output| output.event));
    }

    fn tick(&mut self) {
        self.now = self.now + Duration::from_millis(500);
        self.mark();
        self.on(Input::Tick);
    }

    /// As the executor does at its start and with every beat; without a price the day is not known, and nothing is opened.
    fn mark(&mut self) {
        self.on(Input::Mark { symbol: symbol(), price: price(1_000) });
    }

    fn on(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.manager.on(self.now, input, &mut out);
        self.carry(out);
    }

    fn carry(&mut self, mut out: Outbox<Record, Effect>) {
        for step in out.drain().collect::<Vec<_>>() {
            match step {
                Step::Do(effect) => self.effect(effect),
                Step::Persist { rows, then } => {
                    for record in rows {
                        if let Record::OrderIntended { order, .. } = &record {
                            let twice = self.intended.insert(order.client_order_id, order.quantity);
                            assert_eq!(twice, None, "{} intended twice", order.client_order_id);
                        }
                        self.state.apply(&Entry { at: self.now, record });
                    }
                    if !then.is_empty() {
                        self.unacknowledged.push_back(then);
                    }
                }
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send(VenueCommand::Place(order)) => {
                let client_order_id = order.client_order_id;
                self.to_venue.push_back(VenueCommand::Place(order));
                self.on(Input::Sent { client_order_id });
            }
            Effect::Send(command) => self.to_venue.push_back(command),
            Effect::Report(report) => self.on_risk(risk::Input::Report(report)),
            Effect::Book(book) => self.on_risk(risk::Input::Book(*book)),
            Effect::Recovering(book) => self.on_risk(risk::Input::Recovering(*book)),
            Effect::Account(view) => self.on_risk(risk::Input::Account(*view)),
            Effect::Reconciled(_) | Effect::Found(_) | Effect::Fault { .. } | Effect::Trip { .. } | Effect::Ready => {}
        }
    }

    /// Nobody dies and everything arrives, for longer than the longest wait.
    fn calm(&mut self) {
        for _ in 0..CALM_ROUNDS {
            let mut hops = 0;
            while !(self.mailbox.is_empty() && self.unacknowledged.is_empty() && self.to_venue.is_empty() && self.from_venue.is_empty()) {
                self.submit();
                self.acknowledge();
                self.arrive();
                self.hear();
                hops += 1;
                assert!(hops < HOPS_MAX, "asks in a circle: {:?}", self.to_venue);
            }
            self.tick();
        }
    }

    fn venue(&mut self) -> VenueSnapshot {
        let mut told = Vec::new();
        let trades = TradesWanted::from([(symbol(), TradesFrom::After(0))]);
        self.exchange.command(self.now, account(), &VenueCommand::Snapshot { trades }, &mut told);
        match told.remove(0).event {
            VenueEvent::SnapshotIs(snapshot) => snapshot,
            other => panic!("expected a snapshot, found {other:?}"),
        }
    }

    fn check(&mut self, seed: u64) {
        let once: BTreeSet<_> = self.arrived.iter().collect();
        assert_eq!(once.len(), self.arrived.len(), "seed {seed}: an order was sent twice");
        assert!(self.arrived.iter().all(|id| self.intended.contains_key(id)), "seed {seed}: sent and not in the journal");
        let venue = self.venue();
        let theirs: BTreeSet<_> = venue.open_orders.iter().map(|order| order.client_order_id).collect();
        let ours: BTreeSet<_> = self.manager.open_orders().map(|order| order.order.client_order_id).collect();
        assert_eq!(ours, theirs, "seed {seed}: open orders");
        assert!(self.manager.is_ready(), "seed {seed}: not reconciled");
        assert!(
            self.manager.open_orders().all(|order| order.status == OrderStatus::Working),
            "seed {seed}: an open order without an answer"
        );
        let mut filled: BTreeMap<ClientOrderId, Quantity> = BTreeMap::new();
        for trade in &venue.trades {
            *filled.entry(trade.client_order_id).or_default() += trade.quantity;
        }
        for (id, quantity) in &filled {
            assert!(*quantity <= self.intended[id], "seed {seed}: {id} filled {quantity} of {}", self.intended[id]);
        }
        let held: Quantity = venue.positions.iter().map(|position| position.quantity).sum();
        assert_eq!(self.manager.positions().position(symbol(), PositionSide::Both).quantity(), held, "seed {seed}: position");
        assert_eq!(self.manager.positions().wallet(), venue.wallet, "seed {seed}: wallet");
        assert_eq!(self.manager.counts().1, venue.trades.len() as u64, "seed {seed}: fills booked");
    }
}

fn manager(state: &DaemonState) -> OrderManager {
    let account_state = state.accounts.get(&account()).cloned();
    let account_state = account_state.unwrap_or_else(|| crate::domain::recovery::AccountState::new(account()));
    OrderManager::new(account(), Epoch(1), ModeTable::default(), account_state)
}

fn price(ticks: i64) -> Price {
    Price(rust_decimal::Decimal::new(ticks, 1))
}

#[test]
fn an_executor_killed_at_any_moment_sends_no_order_twice_and_loses_none() {
    let (mut deaths, mut orders, mut fills) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut scene = Scene::new(seed);
        (0..STEPS).for_each(|_| scene.step());
        scene.calm();
        scene.check(seed);
        deaths += scene.deaths;
        orders += scene.arrived.len();
        fills += scene.venue().trades.len();
    }
    // The seeds must have seen what they are for.
    assert!(deaths > 2_000 && orders > 2_000 && fills > 1_500, "{deaths} deaths, {orders} orders, {fills} fills");
}
