//! Three accounts, one risk manager, one exchange, in virtual time: what befalls one account, or the risk manager, and whom it
//! concerns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::{AccountId, Epoch, Incarnation, IntentId, StrategyId, Symbol};
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::ladder::ModeTable;
use crate::domain::market::MarketView;
use crate::domain::market_data::{BookTicker, Level, MarketEventRef};
use crate::domain::mode::Mode;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{OrderIntent, OrderKind, OrderReport, PositionSide, Refusal, Side, TimeInForce, VenueCommand, VenueEvent};
use crate::domain::order_manager::{self, OrderManager, journalled};
use crate::domain::outbox::{Outbox, Step};
use crate::domain::record::{Entry, Record};
use crate::domain::recovery::{AccountState, DaemonState};
use crate::domain::risk::{self, Approved, RiskMachine};
use crate::domain::time::Timestamp;
use crate::exchange::{AccountSetup, Exchange, ExchangeConfig};

const MINUTE: usize = 120;

fn account(index: usize) -> AccountId {
    AccountId::new(["a", "b", "c"][index]).unwrap()
}

fn symbol() -> Symbol {
    Symbol::new("XYZUSDT").unwrap()
}

fn price(ticks: i64) -> Price {
    Price(rust_decimal::Decimal::new(ticks, 1))
}

fn limits() -> risk::limits::RiskLimits {
    let one = |index| risk::tests_support::wide_limits(account(index), symbol());
    let mut limits = one(0);
    for index in [1, 2] {
        limits.accounts.extend(one(index).accounts);
        for strategy in limits.strategies.values_mut() {
            strategy.accounts.insert(account(index));
        }
    }
    limits
}

struct House {
    now: Timestamp,
    exchange: Exchange,
    risk: Option<RiskMachine>,
    incarnation: u64,
    managers: Vec<OrderManager>,
    state: DaemonState,
    /// Whose venue does not answer.
    unreachable: Option<AccountId>,
    approved: VecDeque<Approved<Arc<OrderIntent>>>,
    words: VecDeque<(usize, VenueEvent)>,
    refused: Vec<Refusal>,
    reports: Vec<OrderReport>,
    trips: Vec<(AccountId, Mode)>,
    faults: Vec<AccountId>,
    next: u64,
}

impl House {
    fn new() -> Self {
        let mut exchange = Exchange::new(ExchangeConfig::default());
        let place = exchange.add_symbol(limits().instruments[&symbol()].clone());
        for index in 0..3 {
            exchange.open_account(account(index), AccountSetup { deposit: Money("100000".parse().unwrap()), owner: 0, hedge: false });
        }
        let manager = |index| OrderManager::new(account(index), Epoch(1), ModeTable::default(), AccountState::new(account(index)));
        let mut house = Self {
            now: Timestamp::from_millis(1_700_000_000_000),
            exchange,
            risk: None,
            incarnation: 0,
            managers: (0..3).map(manager).collect(),
            state: DaemonState::default(),
            unreachable: None,
            approved: VecDeque::new(),
            words: VecDeque::new(),
            refused: vec![],
            reports: vec![],
            trips: vec![],
            faults: vec![],
            next: 0,
        };
        let level = |ticks| Level { price: Ticks(ticks), quantity: Lots(5_000_000) };
        let ticker = BookTicker { id: 1, bid: level(999), ask: level(1_001) };
        house.exchange.market(house.now, place, MarketEventRef::Ticker(ticker), &mut Vec::new());
        house
    }

    /// As the daemon starts: a risk manager, then every executor.
    fn started() -> Self {
        let mut house = Self::new();
        house.risk_up();
        for index in 0..3 {
            house.start(index);
        }
        house
    }

    fn start(&mut self, index: usize) {
        let mut out = Outbox::new();
        self.managers[index].start(self.now, &mut out);
        self.carry(index, out);
        self.on(index, order_manager::Input::RiskManager(Incarnation(self.incarnation)));
        self.settle();
    }

    /// With what the journal says of each account, and a word to every executor.
    fn risk_up(&mut self) {
        self.incarnation += 1;
        let mut machine = RiskMachine::new(Incarnation(self.incarnation), limits(), ModeTable::default());
        for index in 0..3 {
            let state = self.state.accounts.get(&account(index)).cloned().unwrap_or_else(|| AccountState::new(account(index)));
            machine.on(self.now, risk::Input::Journalled(journalled(self.now, state)), &mut Outbox::new());
        }
        self.risk = Some(machine);
        for index in 0..3 {
            self.on(index, order_manager::Input::RiskManager(Incarnation(self.incarnation)));
        }
    }

    fn on_risk(&mut self, input: risk::Input) {
        let Some(risk) = &mut self.risk else { return };
        let mut out = Outbox::new();
        risk.on(self.now, input, &mut out);
        for step in out.drain() {
            match step {
                Step::Do(risk::Effect::Submit(approved)) => self.approved.push_back(approved),
                Step::Do(risk::Effect::Refuse(refusal)) => self.refused.push(refusal),
                _ => {}
            }
        }
    }

    fn propose(&mut self, index: usize) {
        self.next += 1;
        let touch = |ticks| Some((price(ticks), "1".parse().unwrap()));
        let (bid, ask, last) = (touch(999), touch(1_001), Some(price(1_000)));
        let (at, heard_at) = (self.now, self.now);
        let view = MarketView { symbol: symbol(), at, heard_at, bid, ask, last, mark: last, stale: false, sequence: self.next };
        self.on_risk(risk::Input::Market(view));
        let side = if self.next.is_multiple_of(2) { Side::Buy } else { Side::Sell };
        let intent = OrderIntent {
            id: IntentId(self.next),
            strategy: StrategyId::new("s").unwrap(),
            account: account(index),
            symbol: symbol(),
            side,
            position_side: PositionSide::Both,
            kind: OrderKind::Market,
            time_in_force: TimeInForce::GoodTilCanceled,
            // No two alike: risk refuses a duplicate.
            quantity: Quantity(rust_decimal::Decimal::new(i64::try_from(100 + self.next).unwrap(), 3)),
            reduce_only: false,
            stop: None,
            decided_at: self.now,
            reason: "test".into(),
            trace: None,
        };
        self.on_risk(risk::Input::Propose(Arc::new(intent)));
    }

    fn on(&mut self, index: usize, input: order_manager::Input) {
        let mut out = Outbox::new();
        self.managers[index].on(self.now, input, &mut out);
        self.carry(index, out);
    }

    fn carry(&mut self, index: usize, mut out: Outbox<Record, order_manager::Effect>) {
        for step in out.drain().collect::<Vec<_>>() {
            match step {
                Step::Do(effect) => self.effect(index, effect),
                Step::Persist { rows, then } => {
                    for record in rows {
                        self.state.apply(&Entry { at: self.now, record });
                    }
                    then.into_iter().for_each(|effect| self.effect(index, effect));
                }
            }
        }
    }

    fn effect(&mut self, index: usize, effect: order_manager::Effect) {
        use order_manager::{Effect, Input};
        match effect {
            Effect::Send(command) => {
                if self.unreachable == Some(account(index)) {
                    let snapshot = matches!(command, VenueCommand::Snapshot { .. });
                    let failed = VenueEvent::CommandFailed { command: "snapshot".to_owned(), why: "no route".to_owned() };
                    return if snapshot {
                        self.words.push_back((index, failed))
                    };
                }
                if let VenueCommand::Place(order) = &command {
                    let client_order_id = order.client_order_id;
                    self.on(index, Input::Sent { client_order_id });
                }
                let mut told = Vec::new();
                self.exchange.command(self.now, account(index), &command, &mut told);
                self.words.extend(told.into_iter().map(|output| (index, output.event)));
            }
            Effect::Report(report) => {
                self.reports.push(report.as_ref().clone());
                self.on_risk(risk::Input::Report(report));
            }
            Effect::Recovering(book) => self.on_risk(risk::Input::Recovering(*book)),
            Effect::Book(book) => self.on_risk(risk::Input::Book(*book)),
            Effect::Account(view) => self.on_risk(risk::Input::Account(*view)),
            Effect::Trip { mode, .. } => self.trips.push((account(index), mode)),
            Effect::Fault { .. } => self.faults.push(account(index)),
            Effect::Reconciled(_) | Effect::Found(_) | Effect::Ready => {}
        }
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            if let Some(approved) = self.approved.pop_front() {
                let index = (0..3).find(|index| account(*index) == approved.get().account).unwrap();
                self.on(index, order_manager::Input::Submit(approved));
            } else if let Some((index, event)) = self.words.pop_front() {
                self.on(index, order_manager::Input::Venue(event));
            } else {
                return;
            }
        }
        panic!("asks in a circle");
    }

    /// Half seconds in which every account wants one order each.
    fn trade(&mut self, steps: usize) {
        for _ in 0..steps {
            self.now = self.now + Duration::from_millis(500);
            for index in 0..3 {
                self.on(index, order_manager::Input::Mark { symbol: symbol(), price: price(1_000) });
                self.on(index, order_manager::Input::Tick);
            }
            self.settle();
            for index in 0..3 {
                self.propose(index);
                self.settle();
            }
        }
    }

    fn fills(&self) -> [u64; 3] {
        [0, 1, 2].map(|index: usize| self.managers[index].counts().1)
    }
}

#[test]
fn an_account_that_cannot_reach_its_venue_for_minutes_stops_nobody_else_and_trades_again_by_itself() {
    let mut house = House::new();
    house.unreachable = Some(account(0));
    house.risk_up();
    for index in 0..3 {
        house.start(index);
    }
    for minute in 1..=5 {
        let before = house.fills();
        house.trade(MINUTE);
        let after = house.fills();
        assert_eq!(after[0], 0, "nothing is known of it");
        assert!(
            [1, 2].iter().all(|index| after[*index] >= before[*index] + MINUTE as u64),
            "minute {minute}: {before:?} {after:?} {:?}",
            house.refused.last()
        );
    }
    assert_eq!([0, 1, 2].map(|index: usize| house.managers[index].mode()), [Mode::CancelOnly, Mode::Normal, Mode::Normal]);
    assert!(house.trips.is_empty() && house.faults.is_empty(), "an outage is no reason to hold it for good: {:?}", house.faults);
    house.unreachable = None;
    house.trade(MINUTE);
    assert!(house.fills()[0] > 100 && house.managers[0].mode() == Mode::Normal);
}

#[test]
fn an_executor_that_starts_again_without_its_venue_keeps_its_exposure_and_nobody_elses_time() {
    let mut house = House::started();
    house.trade(10);
    house.unreachable = Some(account(1));
    let state = house.state.accounts[&account(1)].clone();
    let held = state.positions.net(symbol());
    house.managers[1] = OrderManager::new(account(1), Epoch(2), ModeTable::default(), state);
    house.start(1);
    let before = house.fills();
    house.trade(MINUTE);
    let after = house.fills();
    assert!(after[0] >= before[0] + MINUTE as u64 && after[2] >= before[2] + MINUTE as u64 && after[1] == before[1]);
    assert_eq!((house.managers[1].mode(), house.managers[1].positions().net(symbol())), (Mode::CancelOnly, held));
}

#[test]
fn without_a_risk_manager_nothing_passes_and_its_successor_counts_what_was_on_its_way() {
    let mut house = House::started();
    house.trade(4);
    let orders = |house: &House| [0, 1, 2].map(|index: usize| house.managers[index].counts().0);
    // Approved, and in nobody's hands yet when it dies.
    house.now = house.now + Duration::from_millis(500);
    house.propose(0);
    let in_flight = house.approved.pop_front().unwrap();
    house.risk = None;
    let before = orders(&house);
    house.trade(20);
    assert_eq!(orders(&house), before, "nothing passes");
    // The successor is known before the approval of the dead one arrives: it is void, and told so.
    house.risk_up();
    house.on(0, order_manager::Input::Submit(in_flight));
    assert_eq!(orders(&house), before);
    assert!(house.reports.last().unwrap().detail.as_ref().unwrap().contains("approvals of a dead one are void"));
    house.trade(20);
    assert!(orders(&house).iter().zip(before).all(|(after, before)| *after >= before + 20), "exposures are rebuilt");
}
