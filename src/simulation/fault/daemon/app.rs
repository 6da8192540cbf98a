//! What the daemon's application does around its actors: it carries supervision's news to the kill switch, hears the kill switch's
//! notices, beats, and ends the process when it halted by itself. Mirrors `app::{sink, safety, tree, dead_man}`; the decisions in
//! it are few, and each says which.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::actors::names;
use crate::actors::rules::kill_switch::Notice;
use crate::domain::dead_man::{DeadMan, Watched};
use crate::domain::ids::{AccountId, Incarnation};
use crate::domain::mode::{FaultClass, Mode, Scope};
use crate::domain::record::Record;
use crate::domain::restart::{EventKind, ExitHow, Finish, Input, SupervisionEvent};
use crate::domain::time::Timestamp;
use crate::messages::{ExecutorMessage, KillMessage, KillWord, MarketMessage, RiskMessage, StrategyMessage};

use super::super::checker::Observation;
use super::super::tree::Order;
use super::super::world::World;
use super::{Actor, Asked, Event, MAILBOX_BOUND, Mail, Role, plan};

/// As in the daemon.
const METRONOME_BEAT: Duration = Duration::from_millis(100);
const SLOW_BEATS: u64 = 5;
const SAFETY_BEAT: Duration = Duration::from_millis(50);
const DISK_LOOK: Duration = Duration::from_millis(250);
const DISK_STALL: Duration = Duration::from_secs(5);
const DEAD_MAN_LOOK: Duration = Duration::from_secs(1);
const DEAD_MAN_ANSWER: Duration = Duration::from_secs(3);
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);
/// How long an adapter waits before it connects again.
const RECONNECT: Duration = Duration::from_millis(250);

/// The application's own memory. It goes with the process.
#[derive(Debug, Default)]
pub struct App {
    pub confirmed: BTreeSet<AccountId>,
    returning: BTreeSet<Scope>,
    /// Why the process is about to end by itself.
    pub exit: Option<String>,
    dead_man: DeadMan,
    beats: u64,
    /// The trading thread stands still since somebody on it spins.
    pub trading_stands: bool,
}

impl World {
    /// What the supervisors want done.
    pub fn obey(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Start { role, incarnation } => {
                    let mut hub = self.hub.borrow_mut();
                    let due = hub.soon(300);
                    hub.at(due, Event::Begin(role, incarnation));
                }
                Order::Stop { role, incarnation } => self.end(role, incarnation, ExitHow::Shutdown),
                Order::Kill { role, incarnation } => self.kill(role, incarnation),
                Order::Event(event) => self.supervision(&event),
                Order::Escalated { supervisor, class, why } => {
                    let scope = names::scope_of(supervisor.as_str());
                    let cause = format!("{supervisor} gave up after repeated {class} faults: {why}");
                    self.word(KillWord::Trip { scope, mode: Mode::Halted, cause });
                }
                Order::Wake { supervisor, at } => {
                    let mut hub = self.hub.borrow_mut();
                    let due = hub.clock.when(hub.now, at);
                    hub.at(due, Event::Wake(supervisor, at));
                }
                Order::RootEnded { root, finish } => {
                    if let Finish::Escalated { class, .. } = finish {
                        self.halt_and_exit(&format!("the {root} root gave up after {class} faults"));
                    }
                }
            }
        }
    }

    /// A kill lands at the next message's end; in a handler that spins it never does.
    fn kill(&mut self, role: Role, incarnation: Incarnation) {
        if self.hub.borrow().boxes.get(&role).is_some_and(|mailbox| mailbox.spinning) {
            return;
        }
        self.aborted.insert((role, incarnation));
        self.end(role, incarnation, ExitHow::Killed);
    }

    /// That life is over, and whatever waited for it.
    pub fn end(&mut self, role: Role, incarnation: Incarnation, how: ExitHow) {
        let mut hub = self.hub.borrow_mut();
        let Some(mailbox) = hub.boxes.get_mut(&role).filter(|mailbox| mailbox.owner == Some(incarnation)) else { return };
        *mailbox = super::Mailbox::default();
        let (name, why) = (role.name(&hub.scene), how.to_string());
        hub.say(role, format_args!("ends: {why}"));
        if how == ExitHow::Shutdown {
            hub.observe(&Observation::ActorStopped { name: name.as_str() });
        } else {
            hub.observe(&Observation::ActorDied { name: name.as_str(), incarnation, why: &why });
        }
        match role {
            Role::Stream(at) => {
                hub.connections.remove(&at);
                let account = hub.scene.accounts[at];
                hub.venue.disconnect(account);
            }
            // Only an orderly stop puts anything in order.
            Role::Strategy(at) if how == ExitHow::Shutdown => self.boards.wires.unsubscribe(hub.scene.strategies[at]),
            _ => {}
        }
        let due = hub.soon(200);
        let asked_to = how == ExitHow::Shutdown;
        hub.at(due, Event::Gone(role, incarnation, how));
        drop(hub);
        self.actors.remove(&role);
        if role == Role::JournalWatch && !asked_to && self.app.exit.is_none() {
            self.halt_and_exit("the watch over the journal ended: a failing disk would not be seen");
        }
    }

    /// As `app::sink`: rows for everything, and a fault for the kill switch.
    fn supervision(&mut self, event: &SupervisionEvent) {
        let child = event.child.as_str();
        let mut hub = self.hub.borrow_mut();
        hub.write(vec![Record::from(event)], super::hub::Then::Nobody);
        hub.observe(&Observation::Alert { about: child });
        drop(hub);
        let Some(class) = event.class.filter(|_| matches!(event.what, EventKind::Exited | EventKind::Stalled)) else { return };
        // The end of a child that was killed for a stall is not a second fault: the stall was told.
        if event.what == EventKind::Exited && class == FaultClass::Stall {
            return;
        }
        let scope = names::scope_of(child);
        self.word(KillWord::Fault { scope, class, detail: format!("{child}: {}", event.detail) });
    }

    /// Into the kill switch's inbox.
    pub fn word(&mut self, word: KillWord) -> Option<u64> {
        let id = self.boards.inbox.push(word);
        drop(self.hub.borrow_mut().post(Role::KillSwitch, Mail::Kill(KillMessage::Wake)));
        id
    }

    /// Halts everything and has the process end once the venue has confirmed it, or a while later.
    pub fn halt_and_exit(&mut self, why: &str) {
        self.boards.gate.slam();
        self.word(KillWord::Trip { scope: Scope::Global, mode: Mode::Halted, cause: why.to_owned() });
        if self.app.exit.is_some() {
            return;
        }
        self.app.exit = Some(why.to_owned());
        let mut hub = self.hub.borrow_mut();
        hub.say(Role::SafetyBeat, format_args!("halts and ends: {why}"));
        hub.observe(&Observation::HaltAsked { scope: Scope::Global, by: "the daemon" });
        let without_kill_switch = hub.incarnation(Role::KillSwitch).is_none();
        let within = if without_kill_switch { Duration::from_millis(800) } else { CONFIRM_WITHIN };
        let due = hub.now + within;
        hub.at(due, Event::ExitDeadline);
        if without_kill_switch {
            drop(hub);
            self.without_kill_switch(why);
        }
    }

    /// What is left when the kill switch is gone for good: the latch and the venue, straight from here.
    fn without_kill_switch(&mut self, why: &str) {
        let mut modes = self.boards.modes.get().as_ref().clone();
        let mut hub = self.hub.borrow_mut();
        modes.latch(Scope::Global, why, hub.time());
        hub.latch(&modes);
        for account in hub.scene.accounts.clone() {
            let request = hub.ask(account, crate::domain::order::VenueCommand::CancelAll { symbol: None });
            hub.asked.insert(request, Asked::LastResort);
        }
    }

    /// What the application does about what the kill switch tells.
    pub fn hear_notices(&mut self) {
        let notices = std::mem::take(&mut *self.notices.borrow_mut());
        for notice in notices {
            let mut hub = self.hub.borrow_mut();
            match notice {
                Notice::Sweeping(account) => drop(self.app.confirmed.remove(&account)),
                Notice::Confirmed(account) => {
                    self.app.confirmed.insert(account);
                    hub.observe(&Observation::Confirmed { account });
                }
                Notice::Emptied(_) => {}
                Notice::Wanted(account) => {
                    drop(hub);
                    self.bring_back_scope(Scope::Account(account));
                }
                Notice::Unconfirmed(account, _) => hub.observe(&Observation::Unconfirmed { account }),
                Notice::Modes { raised } => {
                    self.app.returning.extend(raised);
                    drop(hub);
                    self.bring_back();
                }
            }
        }
        if let Some(why) = self.app.exit.clone().filter(|_| self.is_confirmed()) {
            self.end_process(&why);
        }
    }

    fn is_confirmed(&self) -> bool {
        let halted = self.boards.modes.get().of(Scope::Global) == Mode::Halted;
        halted && self.hub.borrow().scene.accounts.iter().all(|account| self.app.confirmed.contains(account))
    }

    /// A scope that is Normal again gets the children back that gave up while it was not. Looked at with every beat until they
    /// are there.
    fn bring_back(&mut self) {
        let modes = self.boards.modes.get();
        for scope in std::mem::take(&mut self.app.returning) {
            if modes.of(scope) != Mode::Halted && !self.bring_back_scope(scope) {
                self.app.returning.insert(scope);
            }
        }
    }

    /// Says whether everything of it stands.
    fn bring_back_scope(&mut self, scope: Scope) -> bool {
        let scene = std::sync::Arc::clone(&self.hub.borrow().scene);
        let all = scope == Scope::Global;
        let wanted = |role: &Role| match role {
            Role::Executor(at) => all || scope == Scope::Account(scene.accounts[*at]),
            Role::Market(at) => all || scope == Scope::Symbol(scene.symbols[*at]),
            Role::Strategy(at) => all || scope == Scope::Strategy(scene.strategies[*at]),
            _ => all,
        };
        let levels = [("execution", plan::executors(&scene)), ("markets", plan::markets(&scene)), ("strategies", plan::strategies(&scene))];
        let mut stand = true;
        for (level, guards) in levels {
            for roles in guards.iter().filter(|roles| wanted(&roles[0])) {
                stand &= self.ensure(level, roles);
            }
        }
        stand
    }

    /// Puts a guard back that gave up and was let go; one that stands is left alone. Says whether it stands.
    fn ensure(&mut self, level: &'static str, roles: &[Role]) -> bool {
        let scene = std::sync::Arc::clone(&self.hub.borrow().scene);
        let (spec, kid) = plan::guarded(&scene, roles);
        if self.tree.supervisor_of(&spec.name).is_some() {
            return true;
        }
        let now = self.steady();
        let mut orders = Vec::new();
        self.tree.add(now, &names::plain(level), spec, kid, &mut orders);
        self.obey(orders);
        false
    }

    /// One turn of a task.
    pub fn beat(&mut self, role: Role, incarnation: Incarnation) {
        let hub = self.hub.borrow();
        let here = hub.boxes.get(&role).is_some_and(|mailbox| mailbox.owner == Some(incarnation) && !mailbox.wedged && !mailbox.spinning);
        drop(hub);
        if !here || (role.is_trading() && self.app.trading_stands) {
            return;
        }
        let wait = match role {
            Role::Metronome => {
                self.metronome();
                METRONOME_BEAT
            }
            Role::SafetyBeat => {
                drop(self.hub.borrow_mut().post(Role::KillSwitch, Mail::Kill(KillMessage::Tick)));
                self.bring_back();
                SAFETY_BEAT
            }
            Role::JournalWatch => {
                if self.journal_is_sick() {
                    return;
                }
                DISK_LOOK
            }
            Role::DeadMan => {
                self.dead_man();
                DEAD_MAN_LOOK
            }
            Role::Stream(at) => return self.connect(at, incarnation),
            _ => return,
        };
        let mut hub = self.hub.borrow_mut();
        let due = hub.now + wait;
        hub.at(due, Event::Beat(role, incarnation));
    }

    fn metronome(&mut self) {
        self.app.beats += 1;
        let slow = self.app.beats % SLOW_BEATS == 1;
        let mut hub = self.hub.borrow_mut();
        let now = hub.now;
        hub.clock.follow_wall(now);
        let scene = std::sync::Arc::clone(&hub.scene);
        // A full mailbox is behind already: ticks on top would only make it deeper.
        let mut tell = |role: Role, mail: Mail| {
            if hub.boxes.get(&role).is_some_and(|mailbox| mailbox.waiting.len() < MAILBOX_BOUND) {
                drop(hub.post(role, mail));
            }
        };
        (0..scene.symbols.len()).for_each(|at| tell(Role::Market(at), Mail::Market(MarketMessage::Tick)));
        if slow {
            (0..scene.accounts.len()).for_each(|at| tell(Role::Executor(at), Mail::Executor(ExecutorMessage::Tick)));
            tell(Role::Risk, Mail::Risk(RiskMessage::Tick));
            (0..scene.strategies.len()).for_each(|at| tell(Role::Strategy(at), Mail::Strategy(StrategyMessage::Tick)));
        }
    }

    /// A failed write, or a commit that hangs, is the end: nobody restarts a journal.
    fn journal_is_sick(&mut self) -> bool {
        let hub = self.hub.borrow();
        let failed = hub.journal.as_ref().and_then(|journal| journal.failed().map(str::to_owned));
        let hangs = hub.journal.as_ref().and_then(|journal| journal.running_since()).is_some_and(|since| hub.now.since(since) > DISK_STALL);
        drop(hub);
        let why = failed.or_else(|| hangs.then(|| format!("a commit expected within {DISK_STALL:?}")));
        let Some(why) = why else { return false };
        self.halt_and_exit(&format!("{} fault: {why}", FaultClass::Storage));
        true
    }

    fn dead_man(&mut self) {
        let standings = self.boards.views.accounts();
        let hub = self.hub.borrow();
        let accounts: Vec<Watched> = hub
            .scene
            .settings
            .enabled_accounts()
            .enumerate()
            .map(|(at, spec)| {
                let standing = standings.get(&spec.id);
                let open = standing.iter().flat_map(|standing| &standing.open).map(|report| report.symbol);
                Watched {
                    account: spec.id,
                    after: hub.scene.settings.venue(spec.venue).map_or(Duration::ZERO, |venue| venue.dead_mans_switch),
                    well: !self.app.trading_stands
                        && hub.incarnation(Role::Executor(at)).is_some()
                        && standing.is_some_and(|standing| standing.ready),
                    open_on: open.collect(),
                }
            })
            .collect();
        let now = hub.time();
        drop(hub);
        let words = self.app.dead_man.look(now, &accounts);
        let mut hub = self.hub.borrow_mut();
        for word in words {
            let (now, incarnation) = (hub.now, hub.incarnation(Role::DeadMan).unwrap_or_default());
            hub.observe(&Observation::CountdownLeft(word));
            let request = hub.venue.count_down(now, word);
            hub.asked.insert(request, Asked::CountDown { incarnation, word });
            hub.at(now + DEAD_MAN_ANSWER, Event::Overdue(request));
        }
    }

    pub fn unheard(&mut self, word: crate::domain::dead_man::Countdown) {
        self.app.dead_man.unheard(word);
    }

    /// A new dead-man's switch knows nothing of what an earlier one said.
    pub fn new_dead_man(&mut self) {
        self.app.dead_man = DeadMan::default();
    }

    /// The stream's own way to the venue.
    fn connect(&mut self, at: usize, incarnation: Incarnation) {
        let mut hub = self.hub.borrow_mut();
        let (now, account) = (hub.now, hub.scene.accounts[at]);
        let connection = hub.venue.connect(now, account);
        hub.connections.insert(at, (connection, incarnation));
    }

    /// It ended: again, a while later.
    pub fn reconnect(&mut self, at: usize, incarnation: Incarnation) {
        let mut hub = self.hub.borrow_mut();
        hub.connections.remove(&at);
        let due = hub.now + RECONNECT;
        hub.at(due, Event::Beat(Role::Stream(at), incarnation));
    }

    /// `pre_start`, and then its address and the supervisor's notice, a moment later.
    pub fn begin(&mut self, role: Role, incarnation: Incarnation) {
        if self.aborted.remove(&(role, incarnation)) {
            let name = role.name(&self.hub.borrow().scene);
            return self.to_supervisor(role, Input::StartFailed { name, incarnation, how: ExitHow::Killed });
        }
        let mut hub = self.hub.borrow_mut();
        hub.boxes.insert(role, super::Mailbox { owner: Some(incarnation), ..super::Mailbox::default() });
        drop(hub);
        let made = Actor::begin(role, incarnation, &self.lasting, self.ports(role, incarnation));
        let mut hub = self.hub.borrow_mut();
        match made {
            Ok(actor) => {
                self.actors.insert(role, (incarnation, actor));
                let due = hub.soon(300);
                hub.at(due, Event::Publish(role, incarnation));
            }
            Err(detail) => {
                hub.boxes.remove(&role);
                let name = role.name(&hub.scene);
                drop(hub);
                let how = ExitHow::Failed { class: Some(FaultClass::Panic), detail };
                return self.to_supervisor(role, Input::StartFailed { name, incarnation, how });
            }
        }
        drop(hub);
        self.hear_notices();
    }

    pub fn publish(&mut self, role: Role, incarnation: Incarnation) {
        let mut hub = self.hub.borrow_mut();
        let Some(mailbox) = hub.boxes.get_mut(&role).filter(|mailbox| mailbox.owner == Some(incarnation)) else { return };
        mailbox.published = true;
        let name = role.name(&hub.scene);
        hub.say(role, format_args!("is up, incarnation {incarnation}"));
        hub.observe(&Observation::ActorUp { name: name.as_str(), incarnation });
        let is_task = matches!(role, Role::JournalWatch | Role::SafetyBeat | Role::DeadMan | Role::Stream(_) | Role::Metronome);
        if is_task {
            let now = hub.now;
            hub.at(now, Event::Beat(role, incarnation));
        }
        if role == Role::Feed {
            // Its connections are new: every book is void.
            let symbols = hub.scene.symbols.len();
            (0..symbols).for_each(|at| drop(hub.post(Role::Market(at), Mail::Market(MarketMessage::Reconnected))));
            let due = hub.soon(200);
            hub.at(due, Event::Ready(role, incarnation));
        }
        drop(hub);
        if role == Role::DeadMan {
            self.new_dead_man();
        }
        self.to_supervisor(role, Input::ChildStarted { name, incarnation });
    }

    pub fn to_supervisor(&mut self, role: Role, input: Input) {
        let name = role.name(&self.hub.borrow().scene);
        let Some(supervisor) = self.tree.supervisor_of(&name) else { return };
        let mut orders = Vec::new();
        let now = self.steady();
        self.tree.input(now, &supervisor, input, &mut orders);
        self.obey(orders);
    }

    #[must_use]
    pub fn steady(&self) -> Timestamp {
        let hub = self.hub.borrow();
        hub.clock.steady(hub.now)
    }
}
