//! One seed's world: its venue, its disk, its machine and its daemon, stepped in virtual time from one event to the next. A message
//! is handled by whoever the seed draws among those that have one; what is due happens before. It knows no thread and no wall clock.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::actors::rules::kill_switch::{self, Notice};
use crate::domain::ids::{AccountId, Incarnation};
use crate::domain::mode::Mode;
use crate::domain::restart::{ExitHow, Input};
use crate::domain::time::Timestamp;
use crate::messages::boards::RosterEntries;
use crate::messages::gate::Passage;
use crate::messages::{ExecutorMessage, KillMessage, MarketMessage, StrategyMessage};
use crate::simulation::assemble;

use super::checker::{Holder, Observation, RunPhase};
use super::clock::MachineClock;
use super::daemon::app::App;
use super::daemon::{self, Actor, Asked, Blow, Boards, Event, Hub, Lasting, Mail, Ports, Role};
use super::disk::{Device, SimJournal};
use super::log::Log;
use super::operator::Operator;
use super::plan::{Plan, Profile};
use super::scene::{START, Scene};
use super::settle::Settling;
use super::tree::Tree;
use super::venue::{Answer, Heard, Request, SimVenue, VenueWord};
use super::{Class, Random};

/// What one message costs at most, in microseconds.
const MESSAGE_MICROS: u64 = 30;
/// A run that goes on for more steps than this goes in a circle: a seed has some twenty thousand.
const STEPS_MAX: u64 = 3_000_000;

/// What a seed came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub seed: u64,
    pub steps: u64,
    pub simulated: Duration,
    pub fired: BTreeMap<Class, u64>,
    pub violations: Vec<String>,
    pub hash: String,
    pub log: Vec<String>,
    /// Orders that reached the venue, and trades there.
    pub orders: u64,
    pub trades: u64,
}

pub struct World {
    pub(super) hub: RefCell<Hub>,
    pub(super) boards: Boards,
    void: Boards,
    pub(super) notices: RefCell<Vec<Notice>>,
    pub(super) actors: BTreeMap<Role, (Incarnation, Actor)>,
    /// Lives that were ended before they began.
    pub(super) aborted: BTreeSet<(Role, Incarnation)>,
    pub(super) tree: Tree,
    pub(super) lasting: Lasting,
    pub(super) app: App,
    pub(super) plan: Plan,
    pub(super) operator: Operator,
    pub(super) settling: Settling,
    /// It outlives every daemon.
    pub(super) device: Device,
    /// Who dies of its next message, and how far into it.
    pub(super) doomed: BTreeMap<Role, daemon::Fuse>,
    pub(super) calm: bool,
    pub(super) done: bool,
    words: Vec<VenueWord>,
    /// How far the daemon's clock was last shown to be off.
    clock_shown: i64,
    /// Each account's way through the gate, and how strict it was last shown to be.
    passages: Vec<Passage>,
    gates_shown: Vec<Mode>,
}

/// Runs one seed from its beginning to its end.
#[must_use]
pub fn run(scene: &Arc<Scene>, profile: Profile, seed: u64, keep_log: bool) -> Outcome {
    let lived = AssertUnwindSafe(|| {
        let mut world = World::new(scene, profile, seed, keep_log);
        world.live();
        world.outcome(seed)
    });
    catch_unwind(lived).unwrap_or_else(|panic| Outcome::panicked(seed, panic.as_ref()))
}

impl Outcome {
    /// One of the machines, or the simulation itself, came upon something that cannot be.
    fn panicked(seed: u64, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let what = format!("panicked: {}", text.unwrap_or("without a word"));
        Self {
            seed,
            steps: 0,
            simulated: Duration::ZERO,
            fired: BTreeMap::new(),
            hash: what.clone(),
            violations: vec![what],
            log: Vec::new(),
            orders: 0,
            trades: 0,
        }
    }
}

impl World {
    fn new(scene: &Arc<Scene>, profile: Profile, seed: u64, keep_log: bool) -> Self {
        let random = Random::new(seed);
        let plan = Plan::draw(profile, &mut random.split("plan"));
        let venue = SimVenue::new(scene.venue(), random.split("venue"));
        let mut hub = Hub::new(Arc::clone(scene), venue, MachineClock::start(START, 0, 0), &random, Log::new(keep_log));
        let holder = |spec: &crate::settings::AccountSpec| Holder { account: spec.id, owner: 0, deposit: spec.starting_funds };
        let canaries = hub.venue.secrets();
        let holders: Vec<Holder> = scene.settings.enabled_accounts().map(holder).collect();
        hub.observe(&Observation::Began { limits: &scene.limits, holders: &holders, canaries: &canaries });
        hub.observe(&Observation::Phase(RunPhase::Safety));
        hub.world(START, Event::Boot);
        for (number, planned) in plan.faults.iter().enumerate() {
            hub.world(START + planned.at, Event::Fault(number));
        }
        hub.world(START + plan.calm_at, Event::Calm);
        hub.world(START + Duration::from_secs(1), Event::Operator);
        Self {
            hub: RefCell::new(hub),
            boards: Boards::new(),
            void: Boards::new(),
            notices: RefCell::default(),
            actors: BTreeMap::new(),
            aborted: BTreeSet::new(),
            tree: Tree::new(seed),
            lasting: Lasting::default(),
            app: App::default(),
            plan,
            operator: Operator::default(),
            settling: Settling::default(),
            device: Device::new(random.split("device")),
            doomed: BTreeMap::new(),
            calm: false,
            done: false,
            words: Vec::new(),
            clock_shown: 0,
            passages: Vec::new(),
            gates_shown: vec![Mode::Normal; scene.accounts.len()],
        }
    }

    fn live(&mut self) {
        while !self.done {
            self.step();
            let mut hub = self.hub.borrow_mut();
            hub.steps += 1;
            if hub.steps > STEPS_MAX {
                hub.violations.push(format!("more than {STEPS_MAX} steps: it goes in a circle"));
                return;
            }
        }
    }

    fn step(&mut self) {
        self.show_clock_and_gate();
        if self.venue_speaks() {
            return;
        }
        let mut hub = self.hub.borrow_mut();
        let now = hub.now;
        if hub.events.first_key_value().is_some_and(|((due, _), _)| *due <= now) {
            let Some((_, (life, event))) = hub.events.pop_first() else { return };
            let stale = life.is_some_and(|life| life != hub.life || !hub.up);
            drop(hub);
            if !stale {
                self.happen(event);
            }
            return;
        }
        drop(hub);
        if self.somebody_handles() {
            return;
        }
        let mut hub = self.hub.borrow_mut();
        let next = hub.events.first_key_value().map(|((due, _), _)| *due);
        let next = next.into_iter().chain(hub.venue.next_due()).min();
        match next {
            Some(next) => hub.now = hub.now.max(next),
            // Invariant: the operator looks for as long as the run goes on.
            None => self.done = true,
        }
    }

    /// The adapter reads the daemon's clock and, right before an order's bytes are written, the halt gate.
    fn show_clock_and_gate(&mut self) {
        let mut hub = self.hub.borrow_mut();
        let offset = hub.time().0 - hub.now.0;
        if std::mem::replace(&mut self.clock_shown, offset) != offset {
            hub.venue.set_clock(offset);
        }
        for (at, passage) in self.passages.iter().enumerate() {
            let mode = match (passage.is_open(false), passage.is_open(true)) {
                (true, _) => Mode::Normal,
                (false, true) => Mode::ReduceOnly,
                (false, false) => Mode::Halted,
            };
            if std::mem::replace(&mut self.gates_shown[at], mode) != mode {
                let account = hub.scene.accounts[at];
                hub.venue.set_gate(account, mode);
            }
        }
    }

    /// What the venue says that is due by now, and what happened there.
    fn venue_speaks(&mut self) -> bool {
        let mut hub = self.hub.borrow_mut();
        let now = hub.now;
        if hub.venue.next_due().is_none_or(|due| due > now) {
            return false;
        }
        let mut words = std::mem::take(&mut self.words);
        hub.venue.step(now, &mut words);
        hub.hear_facts();
        for class in hub.venue.take_fired() {
            hub.fired(class, None);
        }
        drop(hub);
        for word in words.drain(..) {
            self.hear(word);
        }
        self.words = words;
        true
    }

    fn hear(&mut self, word: VenueWord) {
        match word {
            VenueWord::Account { account, connection, heard } => {
                let place = self.hub.borrow().scene.accounts.iter().position(|known| *known == account);
                let Some(at) = place else { return };
                let listening = self.hub.borrow().connections.get(&at).filter(|(live, _)| *live == connection).map(|(_, by)| *by);
                let Some(incarnation) = listening.filter(|_| self.attends(Role::Stream(at))) else { return };
                self.account_word(at, incarnation, heard);
            }
            VenueWord::Answer { request, answer } => self.answer(request, answer),
            VenueWord::MarketOpened { symbol } => {
                let mut hub = self.hub.borrow_mut();
                let place = hub.scene.symbols.iter().position(|known| *known == symbol);
                if let Some(at) = place {
                    drop(hub.post(Role::Market(at), Mail::Market(MarketMessage::Reconnected)));
                }
            }
            VenueWord::Market(mut frame) => {
                if !self.attends(Role::Feed) {
                    return;
                }
                let mut hub = self.hub.borrow_mut();
                frame.received_at = hub.time();
                let place = hub.scene.symbols.iter().position(|known| *known == frame.symbol);
                let wake = self.boards.wires.frames(frame.symbol).push(frame);
                if let Some(at) = place.filter(|_| wake) {
                    drop(hub.post(Role::Market(at), Mail::Market(MarketMessage::Wake)));
                }
            }
        }
    }

    /// Whether a task is there to take what comes.
    fn attends(&self, role: Role) -> bool {
        let stands = role.is_trading() && self.app.trading_stands;
        let hub = self.hub.borrow();
        !stands && hub.boxes.get(&role).is_some_and(|mailbox| mailbox.published && !mailbox.wedged && !mailbox.spinning)
    }

    fn account_word(&mut self, at: usize, incarnation: Incarnation, heard: Heard) {
        let mut hub = self.hub.borrow_mut();
        hub.say(Role::Stream(at), format_args!("← {heard:?}"));
        match heard {
            Heard::Opened => {
                drop(hub.post(Role::Executor(at), Mail::Executor(ExecutorMessage::Reconnected)));
                let due = hub.soon(100);
                hub.at(due, Event::Ready(Role::Stream(at), incarnation));
            }
            Heard::Event(event) => drop(hub.post(Role::Executor(at), Mail::Executor(ExecutorMessage::Venue(Box::new(event))))),
            Heard::Lost(_) => {
                drop(hub);
                self.reconnect(at, incarnation);
            }
        }
    }

    fn answer(&mut self, request: Request, answer: Answer) {
        let mut hub = self.hub.borrow_mut();
        let Some(asked) = hub.asked.remove(&request) else { return };
        match (asked, answer) {
            (Asked::KillSwitch { incarnation, account, round }, Answer::Events(events)) => {
                let silent = |why: String| KillMessage::Silent { account, why };
                let message = match events {
                    Ok(events) => events.into_iter().find_map(|event| kill_switch::heard(account, round, event)),
                    Err(why) => Some(silent(why)),
                };
                if let Some(message) = message {
                    hub.direct(Role::KillSwitch, incarnation, Mail::Kill(message));
                }
            }
            (Asked::Book { symbol, incarnation }, Answer::Depth(book)) => {
                let message = book.map_or_else(MarketMessage::SnapshotFailed, MarketMessage::SnapshotFetched);
                hub.direct(Role::Market(symbol), incarnation, Mail::Market(message));
            }
            (Asked::History { strategy, incarnation, symbol }, Answer::Candles(candles)) => {
                let message = match candles {
                    Ok(candles) => StrategyMessage::WarmUp { symbol, candles },
                    Err(why) => StrategyMessage::WarmUpFailed { symbol, why },
                };
                hub.direct(Role::Strategy(strategy), incarnation, Mail::Strategy(message));
            }
            (Asked::CountDown { incarnation, word }, Answer::CountedDown(Err(_))) => {
                let same = hub.incarnation(Role::DeadMan) == Some(incarnation);
                drop(hub);
                if same {
                    self.unheard(word);
                }
            }
            _ => {}
        }
    }

    /// Nobody answered in time.
    fn overdue(&mut self, request: Request) {
        let why = "no answer in time".to_owned();
        let asked = self.hub.borrow().asked.get(&request).cloned();
        self.hub.borrow_mut().venue.give_up(request);
        let answer = match asked {
            Some(Asked::KillSwitch { .. }) => Answer::Events(Err(why)),
            Some(Asked::Book { .. }) => Answer::Depth(Err(why)),
            Some(Asked::History { .. }) => Answer::Candles(Err(why)),
            Some(Asked::CountDown { .. }) => Answer::CountedDown(Err(why)),
            Some(Asked::LastResort) | None => return,
        };
        self.answer(request, answer);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Begin(role, incarnation) => self.begin(role, incarnation),
            Event::Publish(role, incarnation) => self.publish(role, incarnation),
            Event::Gone(role, incarnation, how) => {
                let name = role.name(&self.hub.borrow().scene);
                self.to_supervisor(role, Input::ChildExited { name, incarnation, how });
            }
            Event::Ready(role, incarnation) => {
                let name = role.name(&self.hub.borrow().scene);
                if let Some(mailbox) = self.hub.borrow_mut().boxes.get_mut(&role) {
                    mailbox.told_ready = true;
                }
                self.to_supervisor(role, Input::ChildReady { name, incarnation });
            }
            Event::Beat(role, incarnation) => self.beat_or_die(role, incarnation),
            Event::Wake(supervisor, at) => self.wake(&supervisor, at),
            Event::Commit => self.hub.borrow_mut().commit(),
            Event::Overdue(request) => self.overdue(request),
            Event::Watchdog => self.halt_and_exit("the trading thread stood still"),
            Event::ExitDeadline => {
                let why = self.app.exit.clone().unwrap_or_default();
                self.end_process(&why);
            }
            Event::Boot => self.boot(),
            Event::Fault(number) => self.fault(number),
            Event::Operator => self.operate(),
            Event::Calm => self.calm_down(),
            Event::Compare => self.compare(),
        }
    }

    fn beat_or_die(&mut self, role: Role, incarnation: Incarnation) {
        let doomed = self.hub.borrow().boxes.get(&role).is_some_and(|mailbox| mailbox.owner == Some(incarnation));
        if doomed && let Some(fuse) = self.doomed.remove(&role) {
            return self.blow(role, incarnation, fuse.blow);
        }
        self.beat(role, incarnation);
    }

    fn wake(&mut self, supervisor: &crate::domain::restart::ChildName, at: Timestamp) {
        if self.app.trading_stands && supervisor.as_str() != "safety" {
            return;
        }
        let now = self.steady();
        let mut orders = Vec::new();
        let hub = self.hub.borrow();
        let lives = |role: Role| hub.boxes.get(&role).is_some_and(|mailbox| !mailbox.wedged && !mailbox.spinning);
        self.tree.tick(now, supervisor, at, lives, &mut orders);
        drop(hub);
        self.obey(orders);
    }

    /// One message, of somebody whom the seed draws.
    fn somebody_handles(&mut self) -> bool {
        let mut hub = self.hub.borrow_mut();
        let stands = self.app.trading_stands;
        let awake = |role: &Role, mailbox: &daemon::Mailbox| {
            !(mailbox.waiting.is_empty() || mailbox.wedged || mailbox.spinning || stands && role.is_trading())
        };
        let ready: Vec<Role> = hub.boxes.iter().filter(|(role, mailbox)| awake(role, mailbox)).map(|(role, _)| *role).collect();
        let Some(role) = hub.chances.order.pick(&ready).copied() else { return false };
        let mail = hub.boxes.get_mut(&role).and_then(|mailbox| mailbox.waiting.pop_front());
        let due = hub.soon(MESSAGE_MICROS);
        hub.now = due;
        let fuse = self.doomed.remove(&role);
        hub.fuse = fuse;
        drop(hub);
        let Some((incarnation, mut actor)) = self.actors.remove(&role) else { return true };
        if let Some(mail) = mail {
            actor.handle(mail, self.ports(role, incarnation));
        }
        self.actors.insert(role, (incarnation, actor));
        let blow = self.hub.borrow_mut().fuse.take().map(|fuse| fuse.blow);
        match blow {
            Some(blow) => self.blow(role, incarnation, blow),
            None => self.hear_notices(),
        }
        true
    }

    /// A fuse has burnt: one actor dies, or all of them at once.
    pub(super) fn blow(&mut self, role: Role, incarnation: Incarnation, blow: Blow) {
        match blow {
            Blow::Panic => {
                self.notices.borrow_mut().clear();
                self.counts(Class::F25Panic, role);
                self.end(role, incarnation, ExitHow::Panicked("injected".to_owned()));
            }
            Blow::Kill { power, class } => {
                self.hub.borrow_mut().fired(class, None);
                self.kill_process(power);
            }
        }
    }

    /// A fault of one actor, which touches its account alone where it has one.
    pub(super) fn counts(&self, class: Class, role: Role) {
        let on = self.account_of(role);
        self.hub.borrow_mut().fired(class, on);
    }

    #[must_use]
    fn account_of(&self, role: Role) -> Option<AccountId> {
        match role {
            Role::Executor(at) | Role::Stream(at) => self.hub.borrow().scene.accounts.get(at).copied(),
            _ => None,
        }
    }

    #[must_use]
    pub(super) fn ports(&self, role: Role, incarnation: Incarnation) -> Ports<'_> {
        Ports { hub: &self.hub, boards: &self.boards, void: &self.void, notices: &self.notices, role, incarnation }
    }

    /// kill -9; with `power`, of the machine.
    pub(super) fn kill_process(&mut self, power: bool) {
        self.hub.borrow_mut().observe(&Observation::DaemonDied { why: if power { "the power was cut" } else { "kill -9" } });
        self.process_is_gone(power);
    }

    /// It halted by itself, and ends.
    pub(super) fn end_process(&mut self, why: &str) {
        if self.hub.borrow().up {
            self.hub.borrow_mut().observe(&Observation::DaemonDied { why });
            self.process_is_gone(false);
        }
    }

    fn process_is_gone(&mut self, power: bool) {
        let mut hub = self.hub.borrow_mut();
        let now = hub.now;
        hub.log.line(START, now, "daemon", format_args!("is gone (power {power})"));
        if let Some(journal) = hub.journal.take() {
            // The same device: what it made of the crash is in it.
            drop(journal.crash(power, &mut hub.chances.fault));
        }
        hub.forget_process();
        let wait = hub.chances.fault.between(300, 4_000);
        hub.world(now + Duration::from_millis(wait), Event::Boot);
        drop(hub);
        self.actors.clear();
        self.aborted.clear();
        self.doomed.clear();
        self.notices.borrow_mut().clear();
        self.boards = Boards::new();
        self.app = App::default();
    }

    /// `ringfence run`: the journal first, then what it says, then the roots.
    fn boot(&mut self) {
        let mut hub = self.hub.borrow_mut();
        let (fast, wall_off) = hub.clock.machine();
        let now = hub.now;
        hub.clock = MachineClock::start(now, fast, wall_off);
        hub.life += 1;
        let date = hub.time();
        let opened = SimJournal::open(&self.device, date);
        let (journal, state) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                drop(hub);
                return self.cannot_open(&why);
            }
        };
        hub.journal = Some(journal);
        hub.epoch = state.epoch;
        hub.up = true;
        let (epoch, modes) = (state.epoch, state.modes);
        hub.log.line(START, now, "daemon", format_args!("is up, epoch {}", epoch.0));
        hub.observe(&Observation::DaemonUp { epoch, modes: &modes });
        hub.set_gate(&modes);
        let scene = Arc::clone(&hub.scene);
        drop(hub);
        self.boards.modes.set(Arc::new(modes.clone()));
        self.boards.gate.set(&modes);
        self.passages = scene.accounts.iter().map(|account| self.boards.gate.passage(*account, &modes)).collect();
        self.boards.roster.set(RosterEntries {
            accounts: scene.accounts.clone(),
            symbols: scene.symbols.clone(),
            strategies: assemble::roster(&scene.settings, &scene.instruments),
        });
        self.lasting = Lasting::new(modes, scene.strategies.len());
        self.tree = Tree::new(u64::from(epoch.0));
        let now = self.steady();
        for (policy, kids) in [daemon::safety_root(&scene), daemon::trading_root(&scene)] {
            let mut orders = Vec::new();
            self.tree.start_root(now, policy, kids, &mut orders);
            self.obey(orders);
        }
    }

    fn outcome(self, seed: u64) -> Outcome {
        let hub = self.hub.into_inner();
        let (hash, log) = hub.log.finish();
        Outcome {
            seed,
            steps: hub.steps,
            simulated: hub.now.since(START),
            fired: hub.fired,
            violations: hub.violations,
            hash,
            log,
            orders: hub.orders,
            trades: hub.trades,
        }
    }

    /// A journal that is broken refuses to trade until a named person has looked: the operator repairs it, and starts again.
    fn cannot_open(&self, why: &str) {
        let mut hub = self.hub.borrow_mut();
        let now = hub.now;
        hub.log.line(START, now, "daemon", format_args!("refuses to start: {why}"));
        let date = hub.time();
        if let Err(why) = SimJournal::repair(&self.device, date, "ada", "the device lost something") {
            hub.log.line(START, now, "operator", format_args!("cannot repair: {why}"));
            self.device.heal();
        }
        hub.world(now + Duration::from_secs(2), Event::Boot);
    }
}
