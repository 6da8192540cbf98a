//! The whole system in virtual time: the same machines that the daemon's actors step, the exchange called directly, and
//! one queue of messages instead of mailboxes. Whatever it is given, it gives the same trace. It reads no clock and no file.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::{AccountId, Incarnation, StrategyId};
use crate::domain::instrument::Instrument;
use crate::domain::kill_switch::{self, KillSwitch};
use crate::domain::ladder::ModeTable;
use crate::domain::market::MarketMachine;
use crate::domain::market_data::MarketEventRef;
use crate::domain::mode::{Mode, Scope};
use crate::domain::money::Money;
use crate::domain::order::{OrderReport, OrderStatus, VenueCommand, VenueEvent};
use crate::domain::order_manager::{self, OrderManager};
use crate::domain::outbox::{Outbox, Step};
use crate::domain::record::Record;
use crate::domain::risk::{self, RiskMachine};
use crate::domain::time::Timestamp;
use crate::exchange::{Exchange, ExchangeOutput};
use crate::strategies::{HostInput, StrategyEffect, StrategyHost};

use super::tally::Tally;
use super::trace::Trace;

/// Virtual time between ticks of the machines, as in the daemon.
const TICK: Duration = Duration::from_secs(1);
/// Messages that one input may cause. A loop between machines that never ends is a fault to be seen, not to be waited for.
const MESSAGES_PER_INPUT: usize = 1_000_000;

/// The parts, made and connected by `assemble`.
pub struct Parts {
    pub exchange: Exchange,
    /// In the order of the exchange's symbol indices.
    pub markets: Vec<MarketMachine>,
    pub hosts: Vec<(StrategyId, StrategyHost)>,
    pub risk: RiskMachine,
    pub executors: Vec<OrderManager>,
    pub kill_switch: KillSwitch,
    /// From a decision to its effect at the venue.
    pub order_latency: Duration,
}

enum Work {
    Risk(risk::Input),
    Executor(usize, order_manager::Input),
    Strategy(StrategyEffect),
    Kill(kill_switch::Input),
}

/// A command on its way to the venue.
struct Travelling {
    due: Timestamp,
    executor: usize,
    command: VenueCommand,
}

pub struct World {
    parts: Parts,
    executor_of: BTreeMap<AccountId, usize>,
    host_of: BTreeMap<StrategyId, usize>,
    /// For each symbol, whether some host wants every update of it.
    wants_updates: bool,
    gate: ModeTable,
    now: Timestamp,
    next_tick: Timestamp,
    travelling: VecDeque<Travelling>,
    work: VecDeque<Work>,
    told: Vec<ExchangeOutput>,
    wishes: Vec<StrategyEffect>,
    seen_modes: ModeTable,
    trace: Trace,
    tally: Tally,
}

impl World {
    /// Connects the parts and lets every executor reconcile with the (still empty) exchange.
    #[must_use]
    pub fn new(parts: Parts, start: Timestamp) -> Self {
        let executor_of = parts.executors.iter().enumerate().map(|(index, executor)| (executor.account(), index)).collect();
        let host_of = parts.hosts.iter().enumerate().map(|(index, (id, _))| (*id, index)).collect();
        let wants_updates = parts.hosts.iter().any(|(_, host)| host.interest().market_updates);
        let tally = Tally::new(parts.markets.iter().map(|market| market.instrument().symbol));
        let mut world = Self {
            executor_of,
            host_of,
            wants_updates,
            gate: ModeTable::default(),
            now: start,
            next_tick: start + TICK,
            travelling: VecDeque::new(),
            work: VecDeque::new(),
            told: Vec::new(),
            wishes: Vec::new(),
            seen_modes: ModeTable::default(),
            trace: Trace::default(),
            tally,
            parts,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        for market in &self.parts.markets {
            self.trace.value(&market.instrument().symbol);
        }
        for index in 0..self.parts.executors.len() {
            let mut out = Outbox::new();
            self.parts.executors[index].start(self.now, &mut out);
            self.carry_executor(index, out, false);
            let incarnation = self.parts.risk.incarnation();
            self.work.push_back(Work::Executor(index, order_manager::Input::RiskManager(incarnation)));
        }
        self.settle();
    }

    /// One frame of the market: what was on its way arrives first, then the exchange sees the frame, then everybody else.
    pub fn frame(&mut self, symbol: usize, received_at: Timestamp, venue_time: Timestamp, event: MarketEventRef<'_>) {
        self.advance(received_at);
        let market = &mut self.parts.markets[symbol];
        self.trace.frame(symbol, venue_time, received_at, event);
        self.parts.exchange.market(self.now, symbol, event, &mut self.told);
        let changed = market.frame(self.now, venue_time, event);
        if market.has_closed() || (self.wants_updates && changed.view) {
            self.tell_hosts(symbol);
        }
        if !self.told.is_empty() {
            self.deliver();
        }
        self.settle();
        self.tally.frames += 1;
    }

    /// Lets virtual time pass up to `now`: ticks, and commands that arrive meanwhile.
    pub fn advance(&mut self, now: Timestamp) {
        let now = now.max(self.now);
        while self.next_tick <= now || self.travelling.front().is_some_and(|next| next.due <= now) {
            let due = self.travelling.front().map_or(self.next_tick, |next| next.due.min(self.next_tick));
            self.now = self.now.max(due);
            if self.next_tick <= due {
                self.tick();
                // A silence of hours in a recording is one tick, not thousands that find nothing changed.
                self.next_tick = if now.since(self.next_tick) > TICK * 60 { now - TICK } else { self.next_tick } + TICK;
            } else if let Some(arrived) = self.travelling.pop_front() {
                self.arrive(arrived);
            }
            self.settle();
        }
        self.now = now;
    }

    fn arrive(&mut self, arrived: Travelling) {
        let account = self.parts.executors[arrived.executor].account();
        self.trace.value(&arrived.command);
        self.parts.exchange.command(self.now, account, &arrived.command, &mut self.told);
        self.deliver();
    }

    fn tick(&mut self) {
        let now = self.now;
        for symbol in 0..self.parts.markets.len() {
            self.parts.markets[symbol].tick(now, now);
            self.tell_hosts(symbol);
            let view = self.parts.markets[symbol].view();
            self.work.push_back(Work::Risk(risk::Input::Market(view)));
            if let Some(price) = view.reference() {
                for executor in 0..self.parts.executors.len() {
                    self.work.push_back(Work::Executor(executor, order_manager::Input::Mark { symbol: view.symbol, price }));
                }
            }
        }
        for executor in 0..self.parts.executors.len() {
            self.work.push_back(Work::Executor(executor, order_manager::Input::Tick));
        }
        self.work.push_back(Work::Kill(kill_switch::Input::Tick));
        self.settle();
        let equity: Money = self.parts.executors.iter().filter_map(|executor| self.parts.exchange.equity(executor.account())).sum();
        let prices = self.parts.markets.iter().filter_map(|market| Some((market.instrument().symbol, market.view().reference()?)));
        self.tally.sample(now, equity, prices);
    }

    fn tell_hosts(&mut self, symbol: usize) {
        let update = self.parts.markets[symbol].take_update();
        let mut wishes = std::mem::take(&mut self.wishes);
        for index in 0..self.parts.hosts.len() {
            self.parts.hosts[index].1.on(self.now, HostInput::Market(&update), &mut wishes);
            self.work.extend(wishes.drain(..).map(Work::Strategy));
        }
        self.wishes = wishes;
    }

    /// Hands the exchange's words to their accounts.
    fn deliver(&mut self) {
        for output in std::mem::take(&mut self.told) {
            self.trace.value(&output.event);
            self.tally.venue(&output.event);
            if let Some(executor) = self.executor_of.get(&output.account) {
                self.work.push_back(Work::Executor(*executor, order_manager::Input::Venue(output.event)));
            }
        }
    }

    /// Works the queue off, in order.
    fn settle(&mut self) {
        let mut steps = 0;
        while let Some(work) = self.work.pop_front() {
            self.step(work);
            steps += 1;
            assert!(steps < MESSAGES_PER_INPUT, "invariant: one input causes a bounded number of messages");
        }
    }

    fn step(&mut self, work: Work) {
        match work {
            Work::Risk(input) => {
                let mut out = Outbox::new();
                self.parts.risk.on(self.now, input, &mut out);
                for step in out.drain() {
                    match step {
                        Step::Do(effect) => self.risk_effect(effect),
                        Step::Persist { rows, then } => {
                            self.persist(&rows);
                            then.into_iter().for_each(|effect| self.risk_effect(effect));
                        }
                    }
                }
            }
            Work::Executor(index, input) => {
                let mut out = Outbox::new();
                self.parts.executors[index].on(self.now, input, &mut out);
                self.carry_executor(index, out, true);
            }
            Work::Strategy(wish) => self.wish(wish),
            Work::Kill(input) => {
                let mut out = Outbox::new();
                self.parts.kill_switch.on(self.now, input, &mut out);
                for step in out.drain() {
                    match step {
                        Step::Do(effect) => self.kill_effect(effect),
                        Step::Persist { rows, then } => {
                            self.persist(&rows);
                            then.into_iter().for_each(|effect| self.kill_effect(effect));
                        }
                    }
                }
            }
        }
    }

    /// A strategy's wish goes to risk, which first learns the newest market: views are conflated, decisions are not.
    fn wish(&mut self, wish: StrategyEffect) {
        let input = match wish {
            StrategyEffect::Propose(intent) => {
                if let Some(index) = self.parts.exchange.symbol_index(intent.symbol) {
                    let view = self.parts.markets[index].view();
                    self.parts.risk.on(self.now, risk::Input::Market(view), &mut Outbox::new());
                }
                risk::Input::Propose(intent)
            }
            StrategyEffect::Cancel { account, symbol, client_order_id, reason } => {
                risk::Input::Cancel { account, symbol, client_order_id, reason }
            }
            StrategyEffect::SetLeverage { account, symbol, leverage } => risk::Input::SetLeverage { account, symbol, leverage },
        };
        self.work.push_back(Work::Risk(input));
    }

    fn risk_effect(&mut self, effect: risk::Effect) {
        use order_manager::Input;
        let (account, input) = match effect {
            risk::Effect::Submit(approved) => (approved.get().account, Input::Submit(approved)),
            risk::Effect::Cancel { account, symbol, client_order_id, reason } => {
                (account, Input::Cancel { symbol, client_order_id, reason })
            }
            risk::Effect::SetLeverage { account, symbol, leverage } => (account, Input::SetLeverage { symbol, leverage }),
            risk::Effect::Refuse(refusal) => {
                self.tally.refused(refusal.symbol);
                return self.tell_host(refusal.strategy, HostInput::Refused(&refusal));
            }
            risk::Effect::Trip { scope, mode, cause } => {
                self.work.push_back(Work::Kill(kill_switch::Input::Trip { scope, mode, cause }));
                return;
            }
        };
        if let Some(executor) = self.executor_of.get(&account) {
            self.work.push_back(Work::Executor(*executor, input));
        }
    }

    fn tell_host(&mut self, strategy: StrategyId, input: HostInput<'_>) {
        let Some(index) = self.host_of.get(&strategy).copied() else { return };
        let mut wishes = std::mem::take(&mut self.wishes);
        self.parts.hosts[index].1.on(self.now, input, &mut wishes);
        self.work.extend(wishes.drain(..).map(Work::Strategy));
        self.wishes = wishes;
    }

    /// `late` commands take the order latency; those of the start are answered at once.
    fn carry_executor(&mut self, index: usize, mut out: Outbox<Record, order_manager::Effect>, late: bool) {
        for step in out.drain() {
            match step {
                Step::Do(effect) => self.executor_effect(index, effect, late),
                Step::Persist { rows, then } => {
                    self.persist(&rows);
                    then.into_iter().for_each(|effect| self.executor_effect(index, effect, late));
                }
            }
        }
    }

    fn executor_effect(&mut self, index: usize, effect: order_manager::Effect, late: bool) {
        use order_manager::Effect;
        match effect {
            Effect::Send(command) => self.send(index, command, late),
            Effect::Report(report) => self.reported(report),
            Effect::Book(book) => {
                for host in 0..self.parts.hosts.len() {
                    let id = self.parts.hosts[host].0;
                    self.tell_host(id, HostInput::Anew(book.view.account));
                }
                self.work.push_back(Work::Risk(risk::Input::Book(*book)));
            }
            Effect::Recovering(book) => self.work.push_back(Work::Risk(risk::Input::Recovering(*book))),
            Effect::Account(view) => {
                for host in 0..self.parts.hosts.len() {
                    let id = self.parts.hosts[host].0;
                    self.tell_host(id, HostInput::Account(&view));
                }
                self.work.push_back(Work::Risk(risk::Input::Account(*view)));
            }
            Effect::Fault { scope, class, detail } => {
                self.work.push_back(Work::Kill(kill_switch::Input::Fault { scope, class, detail }));
            }
            Effect::Trip { mode, cause } => {
                let scope = Scope::Account(self.parts.executors[index].account());
                self.work.push_back(Work::Kill(kill_switch::Input::Trip { scope, mode, cause }));
            }
            Effect::Reconciled(reconciliation) => {
                let (account, reconciled) = (reconciliation.account, Some(self.now));
                self.work.push_back(Work::Kill(kill_switch::Input::Standing { account, reconciled }));
                for host in 0..self.parts.hosts.len() {
                    let id = self.parts.hosts[host].0;
                    self.tell_host(id, HostInput::Reconciled(&reconciliation));
                }
            }
            Effect::Found(_) | Effect::Ready => {}
        }
    }

    /// The last instruction before an order leaves reads the gate.
    fn send(&mut self, index: usize, command: VenueCommand, late: bool) {
        if let VenueCommand::Place(order) = &command {
            let client_order_id = order.client_order_id;
            let account = self.parts.executors[index].account();
            let halted = || if self.gate.account(account) == Mode::Halted { Err("the halt gate is closed".to_owned()) } else { Ok(()) };
            if let Err(why) = self.parts.executors[index].may_leave(client_order_id).and_then(|()| halted()) {
                self.work.push_back(Work::Executor(index, order_manager::Input::NotSent { client_order_id, why }));
                return;
            }
            self.tally.sent(order.symbol);
            self.work.push_back(Work::Executor(index, order_manager::Input::Sent { client_order_id }));
        }
        let latency = if late { self.parts.order_latency } else { Duration::ZERO };
        self.travelling.push_back(Travelling { due: self.now + latency, executor: index, command });
        if !late && let Some(arrived) = self.travelling.pop_back() {
            self.arrive(arrived);
        }
    }

    fn reported(&mut self, report: Arc<OrderReport>) {
        if let Some(fill) = &report.fill {
            self.tally.fill(fill);
        }
        if report.status == OrderStatus::Rejected {
            self.tally.rejected(report.symbol);
        }
        self.work.push_back(Work::Risk(risk::Input::Report(Arc::clone(&report))));
        if let Some(strategy) = report.strategy {
            self.tell_host(strategy, HostInput::Report(&report));
        }
    }

    fn kill_effect(&mut self, effect: kill_switch::Effect) {
        use kill_switch::Effect;
        match effect {
            Effect::SetGate(modes) => self.gate = modes,
            Effect::Publish(modes) => {
                self.work.push_back(Work::Risk(risk::Input::Modes(modes.clone())));
                for executor in 0..self.parts.executors.len() {
                    self.work.push_back(Work::Executor(executor, order_manager::Input::Modes(modes.clone())));
                }
                self.seen_modes = modes;
            }
            Effect::Send { account, round, command } => self.kill_send(account, round, &command),
            Effect::Noted { number } => self.work.push_back(Work::Kill(kill_switch::Input::Noted(number))),
            Effect::Reconcile { account } => {
                if let Some(executor) = self.executor_of.get(&account) {
                    self.work.push_back(Work::Executor(*executor, order_manager::Input::Reconnected));
                }
            }
            Effect::Raise(raising) => self.work.push_back(Work::Kill(kill_switch::Input::Raised(raising))),
            Effect::Reported(_) | Effect::Sweeping { .. } | Effect::Confirmed { .. } | Effect::Emptied { .. } => {}
            Effect::Unconfirmed { .. } | Effect::Answer { .. } => {}
        }
    }

    /// The kill switch has a connection of its own: its snapshots come back to it, everything else is the account's news.
    fn kill_send(&mut self, account: AccountId, round: u64, command: &VenueCommand) {
        self.trace.value(command);
        let mut told = Vec::new();
        self.parts.exchange.command(self.now, account, command, &mut told);
        for output in told {
            match output.event {
                VenueEvent::SnapshotIs(snapshot) => {
                    self.work.push_back(Work::Kill(kill_switch::Input::Shows { account, round, snapshot }));
                }
                _ => self.told.push(output),
            }
        }
        self.deliver();
    }

    /// In virtual time a row is durable as soon as it is written.
    fn persist(&mut self, rows: &[Record]) {
        for row in rows {
            self.trace.value(row);
        }
    }

    /// Ends the run: what is still travelling arrives, open positions are valued at the last price.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let last = self.travelling.back().map_or(self.now, |last| last.due);
        self.advance(last.max(self.now));
        let accounts: Vec<AccountId> = self.parts.executors.iter().map(OrderManager::account).collect();
        let equity = accounts.iter().filter_map(|account| self.parts.exchange.equity(*account)).sum();
        let realized = self.parts.executors.iter().map(|executor| executor.positions().realized()).sum();
        let prices: Vec<_> =
            self.parts.markets.iter().filter_map(|market| Some((market.instrument().symbol, market.view().reference()?))).collect();
        self.tally.sample(self.now, equity, prices.into_iter());
        self.trace.value(&self.seen_modes);
        self.trace.value(&equity);
        Finished { tally: self.tally, equity, realized, modes: self.seen_modes, trace_hash: self.trace.finish() }
    }

    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    #[must_use]
    pub fn symbol_index(&self, symbol: crate::domain::ids::Symbol) -> Option<usize> {
        self.parts.exchange.symbol_index(symbol)
    }

    /// The instrument of a symbol index.
    #[must_use]
    pub fn instrument(&self, symbol: usize) -> &Instrument {
        self.parts.markets[symbol].instrument()
    }
}

/// What a run came to.
pub struct Finished {
    pub tally: Tally,
    pub equity: Money,
    /// Realised profit before fees.
    pub realized: Money,
    pub modes: ModeTable,
    pub trace_hash: String,
}

/// The one risk manager of a run.
pub const RISK_INCARNATION: Incarnation = Incarnation(1);

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
