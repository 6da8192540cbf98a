//! One order manager against the venue, over seeds: orders at random, faults of every class, executors that die, then calm, in which
//! both sides must come to agree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rust_decimal::Decimal;
use strum::IntoEnumIterator as _;

use super::super::Place;
use super::*;
use crate::domain::ids::{ClientOrderId, Epoch, Incarnation, IntentId, StrategyId};
use crate::domain::instrument::Ticks;
use crate::domain::ladder::ModeTable;
use crate::domain::market::MarketView;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{OrderIntent, OrderKind, PositionSide, Side, TimeInForce};
use crate::domain::order_manager::{Effect, Input, OrderManager};
use crate::domain::outbox::{Outbox, Step};
use crate::domain::record::{Entry, Record};
use crate::domain::recovery::{AccountState, DaemonState};
use crate::domain::risk::{self, RiskMachine};
use crate::exchange::AccountSetup;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const RISK: Incarnation = Incarnation(1);
const OPENS: i64 = 1_000_000;
const BEAT: Duration = Duration::from_millis(500);
/// The longest waits that there are: an answer that is given up, an order that counts as absent, a ban's end, two rounds of
/// the comparison that runs by itself.
const CALM: Duration = Duration::from_secs(120);

fn account() -> AccountId {
    AccountId::new("a").unwrap()
}

fn symbol() -> Symbol {
    Symbol::new("XYZUSDT").unwrap()
}

fn price(ticks: i64) -> Price {
    Price(Decimal::new(ticks, 1))
}

struct Scene {
    now: Timestamp,
    random: Random,
    venue: SimVenue,
    connection: Connection,
    risk: RiskMachine,
    manager: OrderManager,
    state: DaemonState,
    tick_at: Timestamp,
    touch: (i64, i64),
    next_intent: u64,
    left: BTreeMap<ClientOrderId, i32>,
    intended: BTreeMap<ClientOrderId, Quantity>,
    fired: BTreeMap<Class, u64>,
    traded: usize,
    outside: usize,
    pestered: usize,
    words: Vec<VenueWord>,
    trace: String,
    traces: bool,
}

fn setup() -> VenueSetup {
    let limits = risk::tests_support::wide_limits(account(), symbol());
    VenueSetup {
        start: START,
        instruments: vec![(limits.instruments[&symbol()].clone(), Ticks(OPENS))],
        accounts: vec![(account(), AccountSetup { deposit: Money("1000000".parse().unwrap()), owner: 0, hedge: false })],
        recv_window: Duration::from_secs(5),
    }
}

impl Scene {
    fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        let mut venue = SimVenue::new(setup(), random.split("venue"));
        let connection = venue.connect(START, account());
        let state = DaemonState::default();
        let mut scene = Self {
            now: START,
            random: random.split("scene"),
            venue,
            connection,
            risk: RiskMachine::new(RISK, risk::tests_support::wide_limits(account(), symbol()), ModeTable::default()),
            manager: manager(&state),
            state,
            tick_at: START + BEAT,
            touch: (OPENS - 1, OPENS + 1),
            next_intent: 0,
            left: BTreeMap::new(),
            intended: BTreeMap::new(),
            fired: BTreeMap::new(),
            traded: 0,
            outside: 0,
            pestered: 0,
            words: Vec::new(),
            trace: String::new(),
            traces: false,
        };
        scene.start();
        scene.pass(Duration::from_secs(2));
        scene
    }

    fn start(&mut self) {
        let mut out = Outbox::new();
        self.manager.start(self.now, &mut out);
        self.carry(out);
        self.on(Input::RiskManager(RISK));
    }

    /// Lets the time go on.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let due = self.venue.next_due().unwrap_or(until).min(self.tick_at).max(self.now);
            if due > until {
                break;
            }
            self.now = due;
            let mut words = std::mem::take(&mut self.words);
            self.venue.step(due, &mut words);
            self.facts();
            for word in words.drain(..) {
                self.hear(word);
            }
            self.words = words;
            if due >= self.tick_at {
                self.tick_at = due + BEAT;
                self.on(Input::Mark { symbol: symbol(), price: price(OPENS) });
                self.on(Input::Tick);
            }
        }
        self.now = until;
    }

    fn facts(&mut self) {
        for fact in self.venue.take_facts() {
            self.note(&fact);
            match fact {
                VenueFact::Left { order, .. } => *self.left.entry(order.client_order_id).or_default() += 1,
                // It had no effect, and is signed anew.
                VenueFact::Refused { id, code: -1021, .. } => *self.left.entry(id).or_default() -= 1,
                VenueFact::Traded(_) => self.traded += 1,
                VenueFact::FromOutside { .. } => self.outside += 1,
                VenueFact::Pestered { .. } => self.pestered += 1,
                _ => {}
            }
        }
        for class in self.venue.take_fired() {
            *self.fired.entry(class).or_default() += 1;
        }
    }

    fn note(&mut self, what: &impl std::fmt::Debug) {
        if self.traces {
            let millis = self.now.since(START).as_millis();
            self.trace.push_str(&format!("{millis} {what:?}\n"));
        }
    }

    fn hear(&mut self, word: VenueWord) {
        self.note(&word);
        match word {
            VenueWord::Account { heard: Heard::Opened, .. } => self.on(Input::Reconnected),
            VenueWord::Account { heard: Heard::Event(event), .. } => self.on(Input::Venue(event)),
            VenueWord::Account { heard: Heard::Lost(_), .. } => self.connection = self.venue.connect(self.now, account()),
            VenueWord::Market(frame) => {
                if let MarketEvent::Ticker(ticker) = frame.event {
                    self.touch = (ticker.bid.price.0, ticker.ask.price.0);
                }
            }
            VenueWord::Answer { .. } | VenueWord::MarketOpened { .. } => {}
        }
    }

    fn propose(&mut self) {
        self.next_intent += 1;
        let side = if self.random.below(2) == 0 { Side::Buy } else { Side::Sell };
        let (bid, ask) = self.touch;
        let near = if side == Side::Buy { bid } else { ask };
        let away = i64::try_from(self.random.below(60)).unwrap() - 20;
        let limit = price(if side == Side::Buy { near - away } else { near + away });
        let trigger = price(if side == Side::Buy { ask + 60 } else { bid - 60 });
        let kind = match self.random.below(8) {
            0 => OrderKind::Market,
            1 => OrderKind::StopMarket { trigger },
            _ => OrderKind::Limit { price: limit },
        };
        let intent = OrderIntent {
            id: IntentId(self.next_intent),
            strategy: StrategyId::new("s").unwrap(),
            account: account(),
            symbol: symbol(),
            side,
            position_side: PositionSide::Both,
            kind,
            time_in_force: TimeInForce::GoodTilCanceled,
            quantity: Quantity(Decimal::new(i64::try_from(1 + self.random.below(40)).unwrap(), 3)),
            reduce_only: false,
            stop: None,
            decided_at: self.now,
            reason: "test".into(),
            trace: None,
        };
        let touch = |ticks| Some((price(ticks), "1".parse().unwrap()));
        let mid = Some(price((bid + ask) / 2));
        let view = MarketView {
            symbol: symbol(),
            at: self.now,
            heard_at: self.now,
            bid: touch(bid),
            ask: touch(ask),
            last: mid,
            mark: mid,
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
                self.on(Input::Submit(approved));
            }
        }
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
                        self.note(&record);
                        if let Record::OrderIntended { order, .. } = &record {
                            self.intended.insert(order.client_order_id, order.quantity);
                        }
                        self.state.apply(&Entry { at: self.now, record });
                    }
                    then.into_iter().for_each(|effect| self.effect(effect));
                }
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send(command) => {
                self.note(&command);
                let id = if let VenueCommand::Place(order) = &command { Some(order.client_order_id) } else { None };
                let sent = self.venue.command(self.now, account(), self.connection, command);
                self.facts();
                match (id, sent) {
                    (Some(client_order_id), Ok(())) => self.on(Input::Sent { client_order_id }),
                    (Some(client_order_id), Err(why)) => self.on(Input::NotSent { client_order_id, why }),
                    (None, _) => {}
                }
            }
            Effect::Report(report) => self.on_risk(risk::Input::Report(report)),
            Effect::Book(book) => self.on_risk(risk::Input::Book(*book)),
            Effect::Recovering(book) => self.on_risk(risk::Input::Recovering(*book)),
            Effect::Account(view) => self.on_risk(risk::Input::Account(*view)),
            Effect::Fault { .. } | Effect::Trip { .. } => self.note(&effect),
            Effect::Reconciled(_) | Effect::Found(_) | Effect::Ready => {}
        }
    }

    fn cancel_one(&mut self) {
        let open: Vec<ClientOrderId> = self.manager.open_orders().map(|order| order.order.client_order_id).collect();
        if let Some(id) = self.random.pick(&open).copied() {
            self.on(Input::Cancel { symbol: symbol(), client_order_id: id, reason: "test".into() });
        }
    }

    fn die(&mut self) {
        if self.random.below(2) == 0 {
            self.venue.disconnect_all();
        } else {
            self.venue.disconnect(account());
        }
        self.manager = manager(&self.state);
        let wait = self.random.below(800);
        self.connection = self.venue.connect(self.now, account());
        self.start();
        self.pass(Duration::from_millis(wait));
    }

    fn fault(&mut self, class: Class) {
        let fault = VenueFault::draw(class, &[account()], &mut self.random);
        self.note(&fault);
        self.venue.fault(self.now, &fault);
    }

    fn safety(&mut self, steps: u64, classes: &[Class]) {
        for _ in 0..steps {
            match self.random.below(40) {
                0..18 => self.propose(),
                18..24 => self.cancel_one(),
                24 => self.die(),
                25..29 => {
                    if let Some(class) = self.random.pick(classes).copied() {
                        self.fault(class);
                    }
                }
                _ => {}
            }
            let wait = self.random.below(600);
            self.pass(Duration::from_millis(wait));
        }
    }

    fn calm(&mut self) {
        self.venue.heal(self.now);
        self.pass(CALM);
    }

    fn differs(&mut self) -> Option<String> {
        let truth = self.venue.truth();
        let venue = &truth.accounts[&account()];
        let theirs: BTreeSet<_> = venue.open_orders.iter().map(|order| order.client_order_id).collect();
        let ours: BTreeSet<_> = self.manager.open_orders().map(|order| order.order.client_order_id).collect();
        let held: Quantity = venue.positions.iter().map(|position| position.quantity).sum();
        let held_here = self.manager.positions().position(symbol(), PositionSide::Both).quantity();
        let wallet = self.manager.positions().wallet();
        let mut filled: BTreeMap<ClientOrderId, Quantity> = BTreeMap::new();
        for trade in &venue.trades {
            *filled.entry(trade.client_order_id).or_default() += trade.quantity;
        }
        let overfilled = filled.iter().find(|(id, quantity)| self.intended.get(id).is_some_and(|intended| *quantity > intended));
        let twice = self.left.iter().find(|(id, times)| **times > 1 && self.intended.contains_key(id));
        let found = [
            (!self.manager.is_ready(), "not ready".to_owned()),
            (ours != theirs, format!("open here {ours:?}, there {theirs:?}")),
            (held_here != held, format!("held here {held_here}, there {held}")),
            (wallet != venue.wallet, format!("wallet here {wallet}, there {}", venue.wallet)),
            (overfilled.is_some(), format!("overfilled {overfilled:?}")),
            (twice.is_some(), format!("left more than once {twice:?}")),
            (self.pestered > 0, format!("asked {} times while it was told to wait", self.pestered)),
        ];
        let found: Vec<String> = found.into_iter().filter(|(wrong, _)| *wrong).map(|(_, what)| what).collect();
        (!found.is_empty()).then(|| found.join("; "))
    }
}

fn manager(state: &DaemonState) -> OrderManager {
    let account_state = state.accounts.get(&account()).cloned().unwrap_or_else(|| AccountState::new(account()));
    OrderManager::new(account(), Epoch(1), ModeTable::default(), account_state).trading(vec![symbol()])
}

fn classes() -> Vec<Class> {
    Class::iter().filter(|class| class.place() == Place::Venue).collect()
}

#[test]
fn without_faults_orders_are_taken_fill_and_both_sides_agree() {
    let mut scene = Scene::new(1);
    assert!(scene.manager.is_ready(), "an account is ready two seconds after its connection");
    scene.safety(80, &[]);
    scene.calm();
    assert_eq!(scene.differs(), None);
    assert_eq!(scene.fired, BTreeMap::new(), "nothing fails by itself");
    let (orders, fills) = scene.manager.counts();
    assert!(orders > 20 && fills > 20 && fills == scene.traded as u64, "{orders} orders, {fills} fills, {} trades", scene.traded);
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let mut scene = Scene::new(seed);
        scene.traces = true;
        scene.safety(60, &classes());
        scene.trace
    };
    let (one, again) = (run(3), run(3));
    assert_ne!(one, run(4));
    let parted = one.lines().zip(again.lines()).find(|(one, again)| one != again);
    assert_eq!(parted, None);
}

#[test]
fn whatever_fails_both_sides_agree_once_nothing_fails_any_more() {
    let mut fired: BTreeMap<Class, u64> = BTreeMap::new();
    let seeds = std::env::var("SIM_VENUE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(40);
    let first: u64 = std::env::var("SIM_VENUE_FIRST").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(0);
    let mut wrong = Vec::new();
    for seed in first..first + seeds {
        let mut scene = Scene::new(seed);
        scene.traces = seeds == 1;
        scene.safety(120, &classes());
        scene.calm();
        if let Some(differs) = scene.differs() {
            wrong.push(format!("seed {seed}: {differs}"));
        }
        if seeds == 1 {
            eprintln!("{}", scene.trace);
        }
        for (class, count) in scene.fired {
            *fired.entry(class).or_default() += count;
        }
    }
    eprintln!("{fired:?}");
    assert!(wrong.is_empty(), "{} of {seeds}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_closed_gate_holds_an_order_back_that_was_handed_over_already() {
    let mut scene = Scene::new(5);
    scene.venue.set_gate(account(), Mode::CancelOnly);
    (0..20).for_each(|_| {
        scene.propose();
        scene.pass(Duration::from_millis(300));
    });
    assert!(!scene.intended.is_empty(), "the seed proposes nothing");
    assert_eq!((scene.left.len(), scene.traded, scene.manager.open_orders().count()), (0, 0, 0));
}

#[test]
fn a_venue_that_shuts_us_out_is_left_alone_until_it_listens_again() {
    let (mut hits, mut pestered) = (0, 0);
    for seed in 0..30 {
        let mut scene = Scene::new(seed);
        let classes = [Class::F10RateLimit, Class::F09Skew, Class::F18VenueClock];
        scene.safety(30, &classes);
        // A clock that is set ends no ban.
        scene.venue.set_clock(if seed % 2 == 0 { 3_600_000_000_000 } else { -60_000_000_000 });
        scene.safety(30, &classes);
        scene.venue.set_clock(0);
        scene.calm();
        assert_eq!(scene.differs(), None, "seed {seed}");
        hits += scene.fired.get(&Class::F10RateLimit).copied().unwrap_or_default();
        pestered += scene.pestered;
    }
    assert!(hits > 20, "{hits} refusals");
    assert_eq!(pestered, 0);
}
