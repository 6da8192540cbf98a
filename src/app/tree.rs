//! The daemon's tree: who stands under whom. Two roots, joined by handles and never by a link, so that neither's death takes
//! the other. Each executor, market and strategy stands under a guard of its own: its restarts are charged to it alone, and
//! a guard that gives up takes nobody with it.

use std::collections::HashMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::actors::executor::{self, Executor};
use crate::actors::feed::{self, FeedSpec};
use crate::actors::market::{self, Market};
use crate::actors::risk_manager::{self, RiskManager};
use crate::actors::strategy::{self, StrategyActor};
use crate::actors::{Surroundings, metronome, names};
use crate::domain::ids::{AccountId, Epoch, StrategyId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::mode::Scope;
use crate::domain::restart::{Backoff, ChildName, Intensity, Restart, RuntimeKind, Shutdown, SupervisorPolicy};
use crate::settings::{Settings, StrategySpec};
use crate::simulation::assemble::{self, Proposer};
use crate::strategies::Registry;
use crate::supervision::{Child, Directory, Environment, SupervisorSpec};
use crate::venues::port::Venue;

/// A mailbox deeper than this raises its alarm: at 2 µs a message it is 20 ms of work behind.
pub const MAILBOX_BOUND: usize = 10_000;

/// Everything that children are made from. Outlives every incarnation.
pub struct Plan {
    /// The settings in force; a reload replaces them.
    pub settings: ArcSwap<Settings>,
    pub registry: Registry,
    /// Everything that the venues list of what the settings name; a venue may change its rules.
    pub instruments: ArcSwap<Vec<Instrument>>,
    pub venue: Arc<dyn Venue>,
    /// What the feeds read: one for each venue.
    pub feeds: ArcSwap<Vec<FeedSpec>>,
    pub epoch: Epoch,
    pub around: Surroundings,
    pub environment: Environment,
    /// Every strategy that ran in this epoch, in the order of their first start.
    proposers: Mutex<HashMap<StrategyId, Desk>>,
}

/// A strategy's place among all proposers and the number of its next intent. Both outlive its incarnations and its removal,
/// so that no intent id is used twice.
#[derive(Clone)]
struct Desk {
    place: usize,
    next_intent: Arc<AtomicU32>,
}

/// What a plan is made of.
pub struct PlanParts {
    pub settings: Settings,
    pub registry: Registry,
    pub instruments: Vec<Instrument>,
    pub venue: Arc<dyn Venue>,
    pub feeds: Vec<FeedSpec>,
    pub epoch: Epoch,
    pub around: Surroundings,
    pub environment: Environment,
}

impl Plan {
    #[must_use]
    pub fn new(parts: PlanParts) -> Arc<Self> {
        let PlanParts { settings, registry, instruments, venue, feeds, epoch, around, environment } = parts;
        around.feeds.set(brought(&feeds));
        let settings = ArcSwap::from_pointee(settings);
        let (instruments, feeds) = (ArcSwap::from_pointee(instruments), ArcSwap::from_pointee(feeds));
        let proposers = Mutex::default();
        Arc::new(Self { settings, registry, instruments, venue, feeds, epoch, around, environment, proposers })
    }

    /// The instruments of the enabled symbols: what is traded right now.
    #[must_use]
    pub fn traded(&self) -> Vec<Instrument> {
        traded(&self.settings.load(), &self.instruments.load())
    }

    /// The venues' rules changed: whatever is made from here on is made by the new ones.
    pub fn relist(&self, instruments: Vec<Instrument>, feeds: Vec<FeedSpec>) {
        self.instruments.store(Arc::new(instruments));
        self.around.feeds.set(brought(&feeds));
        self.feeds.store(Arc::new(feeds));
    }

    fn policy(&self, name: ChildName) -> SupervisorPolicy {
        let wanted = &self.settings.load().supervision;
        SupervisorPolicy {
            intensity: Intensity { restarts: wanted.intensity, period: wanted.period },
            backoff: Backoff { base: wanted.backoff_min, max: wanted.backoff_max, stable: wanted.stable_after },
            ..SupervisorPolicy::new(name)
        }
    }

    /// One level up faults count for more: restarts multiply across levels.
    fn upper_policy(&self, name: ChildName) -> SupervisorPolicy {
        let mut policy = self.policy(name);
        policy.intensity.restarts = policy.intensity.restarts.min(3);
        policy
    }

    fn heartbeat(&self) -> Duration {
        self.settings.load().supervision.heartbeat_deadline
    }

    /// A child under its own guard. The guard is temporary: when it gives up it is gone, its scope is halted, and the
    /// operator's resume brings it back.
    fn guarded(&self, inner: &ChildName, children: Vec<Child>) -> Child {
        let spec = SupervisorSpec::of(self.policy(names::guard(inner)), RuntimeKind::Trading, children);
        Child::supervisor(&self.environment, spec).restart(Restart::Temporary).shutdown(Shutdown::Stop(Duration::from_secs(5)))
    }

    /// The trading root: risk first, because nothing may be proposed to nobody; strategies last.
    #[must_use]
    pub fn trading_root(self: &Arc<Self>) -> SupervisorSpec {
        let plan = Arc::clone(self);
        let policy = self.upper_policy(names::plain("trading"));
        SupervisorSpec::new(policy, RuntimeKind::Trading, move || {
            vec![plan.risk_manager(), plan.execution(), plan.markets(), plan.strategies(), plan.metronome()]
        })
    }

    fn risk_manager(self: &Arc<Self>) -> Child {
        let plan = Arc::clone(self);
        let child = Child::actor(names::risk_manager(), RuntimeKind::Trading, move |context| {
            let limits = assemble::risk_limits(&plan.settings.load(), &plan.traded());
            (RiskManager, risk_manager::Arguments { limits, around: plan.around.clone(), reporter: context.reporter })
        });
        child.heartbeat(self.heartbeat()).mailbox_bound(MAILBOX_BOUND)
    }

    fn execution(self: &Arc<Self>) -> Child {
        let plan = Arc::clone(self);
        self.level("execution", move || {
            let settings = plan.settings.load_full();
            settings.enabled_accounts().map(|account| plan.executor(account.id)).collect()
        })
    }

    fn markets(self: &Arc<Self>) -> Child {
        let plan = Arc::clone(self);
        self.level("markets", move || {
            let markets = plan.traded().into_iter().map(|instrument| plan.market(instrument));
            markets.chain(plan.feeds()).collect()
        })
    }

    fn strategies(self: &Arc<Self>) -> Child {
        let plan = Arc::clone(self);
        self.level("strategies", move || {
            let settings = plan.settings.load_full();
            // The roster knows whom an operator has stopped or started.
            let roster = plan.around.roster.get();
            settings.strategies.iter().filter(|spec| roster.strategies.contains_key(&spec.id)).map(|spec| plan.strategy(spec)).collect()
        })
    }

    fn level(self: &Arc<Self>, name: &'static str, children: impl Fn() -> Vec<Child> + Send + Sync + 'static) -> Child {
        let spec = SupervisorSpec::new(self.upper_policy(names::plain(name)), RuntimeKind::Trading, children);
        Child::supervisor(&self.environment, spec)
    }

    /// An account's bulkhead: its executor and its stream.
    #[must_use]
    pub fn executor(self: &Arc<Self>, account: AccountId) -> Child {
        let name = names::executor(account);
        let plan = Arc::clone(self);
        let actor = Child::actor(name.clone(), RuntimeKind::Trading, move |context| {
            let (venue, around) = (Arc::clone(&plan.venue), plan.around.clone());
            let recv_window = plan.settings.load().recv_window(account);
            (Executor, executor::Arguments { account, epoch: plan.epoch, recv_window, venue, around, reporter: context.reporter })
        });
        // No deadline for being ready: a venue that is down is not the executor's fault, and a restart would not help.
        let actor = actor.reports_ready().heartbeat(self.heartbeat()).mailbox_bound(MAILBOX_BOUND);
        let plan = Arc::clone(self);
        let stream = Child::task(names::stream(account), RuntimeKind::Trading, move |context| {
            executor::listen(context, account, Arc::clone(&plan.venue), plan.around.clone())
        });
        self.guarded(&name, vec![actor, stream.heartbeat(self.heartbeat())])
    }

    #[must_use]
    pub fn market(self: &Arc<Self>, instrument: Instrument) -> Child {
        let name = names::market(instrument.symbol);
        let instrument = self.as_told(instrument);
        let plan = Arc::clone(self);
        let actor = Child::actor(name.clone(), RuntimeKind::Trading, move |context| {
            let settings = plan.settings.load();
            let intervals = assemble::intervals(&settings, &plan.traded()).remove(&instrument.symbol).unwrap_or_default();
            let arguments = market::Arguments {
                instrument: instrument.clone(),
                intervals,
                stale_after: settings.risk.stale_after,
                around: plan.around.clone(),
                reporter: context.reporter,
            };
            (Market, arguments)
        });
        self.guarded(&name, vec![actor.reports_ready().heartbeat(self.heartbeat()).mailbox_bound(MAILBOX_BOUND)])
    }

    /// An instrument on the grid that its market is told on, which may be finer than the one that orders stand on.
    fn as_told(&self, instrument: Instrument) -> Instrument {
        let feeds = self.feeds.load();
        let told = feeds.iter().flat_map(|feed| &feed.instruments).find(|told| told.symbol == instrument.symbol);
        told.cloned().unwrap_or(instrument)
    }

    #[must_use]
    pub fn feeds(self: &Arc<Self>) -> Vec<Child> {
        self.feeds.load().iter().enumerate().map(|(number, spec)| self.feed(number, spec)).collect()
    }

    fn feed(self: &Arc<Self>, number: usize, spec: &FeedSpec) -> Child {
        let (plan, spec) = (Arc::clone(self), spec.clone());
        let name = names::feed(number);
        let task = Child::task(name.clone(), RuntimeKind::Trading, move |context| feed::read(context, spec.clone(), plan.around.clone()));
        // Silence of its socket, and a venue that is not there, are the feed's own matter; this is about the feed itself.
        self.guarded(&name, vec![task.reports_ready().heartbeat(self.heartbeat())])
    }

    #[must_use]
    pub fn strategy(self: &Arc<Self>, spec: &StrategySpec) -> Child {
        let name = names::strategy(spec.id);
        let Desk { place, next_intent } = self.desk(spec.id);
        let (plan, spec) = (Arc::clone(self), spec.clone());
        let actor = Child::actor(name.clone(), RuntimeKind::Trading, move |context| {
            let (inner, wanted) = (Arc::clone(&plan), spec.clone());
            let make_host = move |first_intent: u32| {
                let (settings, state) = (inner.settings.load(), inner.around.journal.state());
                let proposer = Proposer { first_intent, ..Proposer::first(inner.epoch, place) };
                assemble::host(&settings, &wanted, &inner.registry, &inner.traded(), &state, proposer).map_err(|error| error.to_string())
            };
            let symbols = assemble::instruments_of(&spec, &plan.traded()).unwrap_or_default();
            let arguments = strategy::Arguments {
                id: spec.id,
                interval: spec.interval,
                accounts: spec.accounts.clone(),
                symbols: symbols.iter().map(|instrument| instrument.symbol).collect(),
                make_host: Arc::new(make_host),
                next_intent: Arc::clone(&next_intent),
                around: plan.around.clone(),
                reporter: context.reporter,
            };
            (StrategyActor, arguments)
        });
        self.guarded(&name, vec![actor.reports_ready().heartbeat(self.heartbeat()).mailbox_bound(MAILBOX_BOUND)])
    }

    fn desk(&self, id: StrategyId) -> Desk {
        let mut proposers = self.proposers.lock().unwrap_or_else(PoisonError::into_inner);
        let place = proposers.len();
        proposers.entry(id).or_insert_with(|| Desk { place, next_intent: Arc::default() }).clone()
    }

    fn metronome(self: &Arc<Self>) -> Child {
        let plan = Arc::clone(self);
        let task =
            Child::task(names::plain("metronome"), RuntimeKind::Trading, move |context| metronome::beat(context, plan.around.clone()));
        task.heartbeat(self.heartbeat())
    }
}

fn brought(feeds: &[FeedSpec]) -> Vec<Vec<Symbol>> {
    feeds.iter().map(|feed| feed.instruments.iter().map(|instrument| instrument.symbol).collect()).collect()
}

/// The instruments that those settings trade, out of those that the exchange lists.
#[must_use]
pub fn traded(settings: &Settings, listed: &[Instrument]) -> Vec<Instrument> {
    let enabled = |symbol: Symbol| match &settings.symbols {
        crate::settings::Symbols::FromData => true,
        crate::settings::Symbols::Listed(_) => settings.enabled_symbols().any(|spec| spec.name == symbol),
    };
    listed.iter().filter(|instrument| enabled(instrument.symbol)).cloned().collect()
}

/// Puts a child back that gave up and was let go; one that stands is left alone. Says whether it stands.
pub fn ensure(directory: &Directory, supervisor: &str, child: Child) -> bool {
    let name = child.spec().name.clone();
    if directory.lookup(name.as_str()).is_some() {
        return true;
    }
    let on_its_way = directory.children().iter().any(|other| other.name == name);
    if !on_its_way && let Some(supervisor) = directory.supervisor(supervisor) {
        // A supervisor that stops meanwhile has no use for it.
        let _ = supervisor.add(child);
    }
    false
}

/// Puts the children of a scope back that gave up. Says whether all of them stand.
pub fn bring_back(plan: &Arc<Plan>, scope: Scope) -> bool {
    let (settings, directory) = (plan.settings.load_full(), &plan.around.directory);
    let all = scope == Scope::Global;
    let mut stand = true;
    for account in settings.enabled_accounts().filter(|account| all || scope == Scope::Account(account.id)) {
        stand &= ensure(directory, "execution", plan.executor(account.id));
    }
    for instrument in plan.traded().into_iter().filter(|instrument| all || scope == Scope::Symbol(instrument.symbol)) {
        stand &= ensure(directory, "markets", plan.market(instrument));
    }
    if all || matches!(scope, Scope::Symbol(_)) {
        for feed in plan.feeds() {
            stand &= ensure(directory, "markets", feed);
        }
    }
    let running = plan.around.roster.get();
    for spec in settings.enabled_strategies().filter(|spec| running.strategies.contains_key(&spec.id)) {
        if all || scope == Scope::Strategy(spec.id) {
            stand &= ensure(directory, "strategies", plan.strategy(spec));
        }
    }
    stand
}

/// Takes a guarded child out, with everything in it.
pub fn take_out(directory: &Directory, supervisor: &str, inner: &ChildName) {
    if let Some(supervisor) = directory.supervisor(supervisor) {
        let _ = supervisor.remove(&names::guard(inner));
    }
}
