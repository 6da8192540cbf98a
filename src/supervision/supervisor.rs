//! The actor that performs what `domain::restart::Machine` decides. It translates: ractor's supervision events, start
//! results and timers become inputs; effects become spawns, stops, kills and events. It decides nothing, never sleeps and
//! never waits for a child: starts run as tasks on the child's own runtime, deadlines are timers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent as RactorEvent};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::child::{Child, StopBy};
use super::clock::MonotonicClock;
use super::directory::Directory;
use super::driver::{Driver, StartOutcome};
use super::reporter::Reporter;
use super::supervised::{SHUTDOWN, classify_failure, classify_termination};
use crate::domain::ids::Incarnation;
use crate::domain::mode::FaultClass;
use crate::domain::restart::{ChildName, Finish, Input, RuntimeKind, Shutdown, SupervisionEvent, SupervisorPolicy};

/// Where supervision's news goes. Called on the supervisor's own task: hand over, do not work, do not block.
pub trait SupervisionSink: Send + Sync + 'static {
    fn event(&self, event: &SupervisionEvent);

    /// A supervisor gives up. Comes before its children are stopped, once for each level that gives up: trip what must be
    /// tripped now.
    fn escalated(&self, supervisor: &ChildName, class: FaultClass, why: &str);
}

/// The handles that children are spawned through.
#[derive(Debug, Clone)]
pub struct RuntimeHandles {
    pub trading: Handle,
    pub services: Handle,
}

impl RuntimeHandles {
    /// Everything on one runtime: for tests, and for tools that trade nothing.
    #[must_use]
    pub fn both(handle: &Handle) -> Self {
        Self { trading: handle.clone(), services: handle.clone() }
    }

    #[must_use]
    pub const fn get(&self, kind: RuntimeKind) -> &Handle {
        match kind {
            RuntimeKind::Trading => &self.trading,
            RuntimeKind::Services => &self.services,
        }
    }
}

/// What every supervisor of a tree shares. Cheap to clone.
#[derive(Clone)]
pub struct Environment {
    pub directory: Directory,
    pub runtimes: RuntimeHandles,
    pub sink: Arc<dyn SupervisionSink>,
    pub clock: MonotonicClock,
    /// Spreads the backoffs: any number, another for each process.
    pub jitter_seed: u64,
}

/// A supervisor: its policy and its children, made anew each time it starts, so that what was added at run time can come
/// back with it when the closure knows of it.
#[derive(Clone)]
pub struct SupervisorSpec {
    pub policy: SupervisorPolicy,
    pub runtime: RuntimeKind,
    pub children: Arc<dyn Fn() -> Vec<Child> + Send + Sync>,
}

impl SupervisorSpec {
    pub fn new(policy: SupervisorPolicy, runtime: RuntimeKind, children: impl Fn() -> Vec<Child> + Send + Sync + 'static) -> Self {
        Self { policy, runtime, children: Arc::new(children) }
    }

    /// A fixed list of children.
    #[must_use]
    pub fn of(policy: SupervisorPolicy, runtime: RuntimeKind, children: Vec<Child>) -> Self {
        Self::new(policy, runtime, move || children.clone())
    }
}

/// What a supervisor's mailbox takes.
#[derive(Debug)]
pub enum SupervisorMessage {
    StartFinished {
        name: ChildName,
        incarnation: Incarnation,
        outcome: StartOutcome,
    },
    Ready {
        name: ChildName,
        incarnation: Incarnation,
    },
    Tick,
    StopAll,
    Add(Box<Child>),
    Remove(ChildName),
    Restart(ChildName),
    /// Counts up, to show that messages are handled.
    Answer(Arc<AtomicU64>),
}

/// A handle for asking a supervisor for things. What came of it is in the event stream and in the views.
#[derive(Debug, Clone)]
pub struct SupervisorRef(pub(super) ActorRef<SupervisorMessage>);

/// The supervisor is not running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a running supervisor, found a stopped one: it escalated or the daemon is stopping; see the event stream")]
pub struct SupervisorGone;

impl SupervisorRef {
    /// Adds a child at the end of the start order and starts it. Like all children of OTP's kind that were added at run
    /// time, it is gone when its supervisor restarts, unless the spec's closure lists it then.
    ///
    /// # Errors
    /// When the supervisor is not running.
    pub fn add(&self, child: Child) -> Result<(), SupervisorGone> {
        self.send(SupervisorMessage::Add(Box::new(child)))
    }

    /// Stops a child in its own way and forgets it.
    ///
    /// # Errors
    /// When the supervisor is not running.
    pub fn remove(&self, name: &ChildName) -> Result<(), SupervisorGone> {
        self.send(SupervisorMessage::Remove(name.clone()))
    }

    /// Restarts a child at once, not charged.
    ///
    /// # Errors
    /// When the supervisor is not running.
    pub fn restart(&self, name: &ChildName) -> Result<(), SupervisorGone> {
        self.send(SupervisorMessage::Restart(name.clone()))
    }

    /// Stops all children in reverse order, then the supervisor.
    ///
    /// # Errors
    /// When the supervisor is not running.
    pub fn stop_all(&self) -> Result<(), SupervisorGone> {
        self.send(SupervisorMessage::StopAll)
    }

    /// Has the count go up when its turn comes. One that is gone does not answer.
    pub fn ask_answer(&self, count: &Arc<AtomicU64>) {
        // What a supervisor that is gone does not count is what shows that it is.
        let _ = self.send(SupervisorMessage::Answer(Arc::clone(count)));
    }

    pub(super) fn cell(&self) -> ActorCell {
        self.0.get_cell()
    }

    fn send(&self, message: SupervisorMessage) -> Result<(), SupervisorGone> {
        self.0.send_message(message).map_err(|_| SupervisorGone)
    }
}

/// A running root supervisor.
#[derive(Debug, Clone)]
pub struct SupervisorHandle {
    name: ChildName,
    actor: SupervisorRef,
    finish: watch::Receiver<Option<Finish>>,
    ready: watch::Receiver<bool>,
}

impl SupervisorHandle {
    #[must_use]
    pub const fn name(&self) -> &ChildName {
        &self.name
    }

    #[must_use]
    pub const fn actor(&self) -> &SupervisorRef {
        &self.actor
    }

    /// Resolves when every child was ready or done at one time; `false` when the supervisor ended before.
    pub async fn wait_ready(&mut self) -> bool {
        self.ready.wait_for(|ready| *ready).await.is_ok()
    }

    /// Resolves when the supervisor and all its children are gone.
    pub async fn finished(&mut self) -> Finish {
        match self.finish.wait_for(Option::is_some).await.map(|finish| finish.clone()) {
            Ok(Some(finish)) => finish,
            _ => Finish::Escalated { class: FaultClass::Panic, why: format!("{} ended without having stopped its children", self.name) },
        }
    }

    /// Kills the supervisor and with it, unordered, all its children.
    pub(super) fn kill(&self) {
        self.actor.cell().kill();
    }
}

/// The supervisor actor.
pub struct Supervisor {
    environment: Environment,
    spec: SupervisorSpec,
    /// A root has none.
    reporter: Option<Reporter>,
    finish: watch::Sender<Option<Finish>>,
    ready: watch::Sender<bool>,
}

impl Supervisor {
    fn new(environment: Environment, spec: SupervisorSpec, reporter: Option<Reporter>) -> Self {
        Self { environment, spec, reporter, finish: watch::Sender::new(None), ready: watch::Sender::new(false) }
    }

    /// Starts a root supervisor on its runtime. Its children are started afterwards, in order; see
    /// [`SupervisorHandle::wait_ready`].
    ///
    /// # Errors
    /// When the actor could not be spawned: its runtime is gone.
    pub async fn start_root(environment: Environment, spec: SupervisorSpec) -> Result<SupervisorHandle, SupervisorGone> {
        let name = spec.policy.name.clone();
        let runtime = environment.runtimes.get(spec.runtime).clone();
        let supervisor = Self::new(environment, spec, None);
        let (finish, ready) = (supervisor.finish.subscribe(), supervisor.ready.subscribe());
        let spawned = runtime.spawn(Actor::spawn(None, supervisor, ())).await;
        let Ok(Ok((actor, _task))) = spawned else { return Err(SupervisorGone) };
        Ok(SupervisorHandle { name, actor: SupervisorRef(actor), finish, ready })
    }
}

impl Child {
    /// A supervisor as a child: a level of the tree. It is ready when all its children were ready or done at one time,
    /// however long that takes: they have deadlines of their own. A fault that it escalates keeps its class, and counts
    /// against its parent's intensity.
    #[must_use]
    pub fn supervisor(environment: &Environment, spec: SupervisorSpec) -> Self {
        let (name, runtime) = (spec.policy.name.clone(), spec.runtime);
        let environment = environment.clone();
        let mut child =
            Self::actor(name, runtime, move |context| (Supervisor::new(environment.clone(), spec.clone(), Some(context.reporter)), ()));
        child.stop_by = StopBy::StopAll;
        // OTP gives supervisors forever; a minute is longer than any tree of ours takes in order, and ends.
        child.reports_ready().shutdown(Shutdown::Stop(Duration::from_secs(60)))
    }
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = Driver;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<SupervisorMessage>, (): ()) -> Result<Driver, ActorProcessingErr> {
        Ok(Driver::new(&self.environment, &self.spec.policy, myself))
    }

    async fn post_start(&self, myself: ActorRef<SupervisorMessage>, driver: &mut Driver) -> Result<(), ActorProcessingErr> {
        for child in (self.spec.children)() {
            driver.add(child);
        }
        driver.forget_strangers();
        driver.input(Input::StartAll);
        self.conclude(&myself, driver)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        driver: &mut Driver,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::StartFinished { name, incarnation, outcome } => driver.start_finished(name, incarnation, outcome),
            SupervisorMessage::Ready { name, incarnation } => driver.input(Input::ChildReady { name, incarnation }),
            SupervisorMessage::Tick => driver.tick(),
            SupervisorMessage::StopAll => driver.input(Input::StopAll),
            SupervisorMessage::Add(child) => driver.add(*child),
            SupervisorMessage::Remove(name) => driver.remove(name),
            SupervisorMessage::Restart(name) => driver.input(Input::Restart { name }),
            SupervisorMessage::Answer(count) => drop(count.fetch_add(1, Relaxed)),
        }
        self.conclude(&myself, driver)
    }

    /// Ractor's default would stop this actor at any child's end.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMessage>,
        event: RactorEvent,
        driver: &mut Driver,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            RactorEvent::ActorTerminated(who, _state, reason) => driver.exited(&who, classify_termination(reason.as_deref())),
            RactorEvent::ActorFailed(who, error) => driver.exited(&who, classify_failure(&error)),
            // Starts are reported by the task that performs them; process groups are not used.
            RactorEvent::ActorStarted(_) | RactorEvent::ProcessGroupChanged(_) => {}
        }
        self.conclude(&myself, driver)
    }
}

impl Supervisor {
    /// What the last input means for the supervisor itself.
    fn conclude(&self, myself: &ActorRef<SupervisorMessage>, driver: &mut Driver) -> Result<(), ActorProcessingErr> {
        if driver.is_ready() {
            self.ready.send_replace(true);
            if let Some(reporter) = &self.reporter {
                reporter.ready();
            }
        }
        let Some(finish) = driver.take_finish() else { return Ok(()) };
        self.finish.send_replace(Some(finish.clone()));
        match finish {
            Finish::Ordered => {
                myself.stop(Some(SHUTDOWN.to_owned()));
                Ok(())
            }
            Finish::Escalated { class, why } => Err(Box::new(super::supervised::ChildFault::new(class, why))),
        }
    }
}
