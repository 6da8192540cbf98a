//! A child: what its supervisor must know of it, and how to make one. The factory is called anew for each incarnation, on
//! the runtime that the spec names; it does no I/O and does not block, because a supervisor's `pre_start` deadline counts
//! from there. What must be connected is connected after the start, and [`Reporter::ready`] says when it is.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ractor::{Actor, ActorCell, SpawnErr};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::directory::Directory;
use super::reporter::Reporter;
use super::supervised::Supervised;
use super::supervisor::SupervisorRef;
use crate::domain::ids::Incarnation;
use crate::domain::mode::FaultClass;
use crate::domain::restart::{ChildName, ChildSpec, Readiness, Restart, RuntimeKind, Shutdown};

/// A mailbox deeper than this raises its alarm: at 0.3 µs a hop it is 3 ms of work, far from any memory limit.
const MAILBOX_BOUND_DEFAULT: usize = 10_000;

/// No handler of ours waits for anything slower than a local disk; what takes longer is a task that reports back.
const ACTOR_SILENCE_MAX: Duration = Duration::from_secs(5);

/// What one incarnation of a child gets to know and use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ChildContext {
    pub name: ChildName,
    pub incarnation: Incarnation,
    pub supervisor: SupervisorRef,
    pub reporter: Reporter,
    pub directory: Directory,
    /// The runtime that the child lives on.
    pub runtime: Handle,
    /// Cancelled when the child is asked to stop. Actors may ignore it; tasks and threads end on it.
    pub stop: CancellationToken,
}

/// Starts one incarnation, once.
pub struct Starter {
    pub(super) context: ChildContext,
    pub(super) cell: Arc<OnceLock<ActorCell>>,
}

impl Starter {
    #[must_use]
    pub fn context(&self) -> ChildContext {
        self.context.clone()
    }

    /// Spawns the actor, linked to the supervisor, without a global name.
    ///
    /// # Errors
    /// When `pre_start` fails or panics, or the supervisor is stopping.
    pub async fn spawn<A: Actor>(self, actor: A, arguments: A::Arguments) -> Result<Started, SpawnErr> {
        let supervisor = self.context.supervisor.cell();
        let wrapped = Supervised { actor, reporter: self.context.reporter, cell: self.cell };
        let (actor, _task) = Actor::spawn_linked(None, wrapped, arguments, supervisor).await?;
        Ok(Started { cell: actor.get_cell() })
    }
}

/// The proof that a factory has spawned its actor under supervision: only [`Starter::spawn`] makes one.
#[derive(Debug)]
pub struct Started {
    pub(super) cell: ActorCell,
}

pub type StartFuture = Pin<Box<dyn Future<Output = Result<Started, SpawnErr>> + Send>>;
pub(super) type Factory = Arc<dyn Fn(Starter) -> StartFuture + Send + Sync>;
type StopHook = Arc<dyn Fn() + Send + Sync>;

/// How a child hears that it shall stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopBy {
    /// Its actor's own stop port, or a drain.
    Port,
    /// Its token; the port only ends the actor around the body once the body is done.
    Token,
    /// The message that makes a supervisor stop its children in order first.
    StopAll,
}

/// A child's spec and factory. Built from one of the constructors, then refined.
#[derive(Clone)]
pub struct Child {
    pub(super) spec: ChildSpec,
    pub(super) factory: Factory,
    pub(super) stop_by: StopBy,
    pub(super) on_stop: Option<StopHook>,
    pub(super) mailbox_bound: usize,
}

impl Child {
    /// A child whose factory does more than construct: it gets a [`Starter`] and must spawn through it, last.
    pub fn with(name: ChildName, runtime: RuntimeKind, factory: impl Fn(Starter) -> StartFuture + Send + Sync + 'static) -> Self {
        Self {
            spec: ChildSpec::new(name, runtime),
            factory: Arc::new(factory),
            stop_by: StopBy::Port,
            on_stop: None,
            mailbox_bound: MAILBOX_BOUND_DEFAULT,
        }
    }

    /// An actor of any type. Its pulse is its messages: it is a stall to be in one of them for more than five seconds.
    pub fn actor<A, F>(name: ChildName, runtime: RuntimeKind, factory: F) -> Self
    where
        A: Actor,
        F: Fn(ChildContext) -> (A, A::Arguments) + Send + Sync + 'static,
    {
        let factory = Arc::new(factory);
        Self::with(name, runtime, move |starter| {
            let factory = Arc::clone(&factory);
            Box::pin(async move {
                let (actor, arguments) = factory(starter.context());
                starter.spawn(actor, arguments).await
            })
        })
        .heartbeat(ACTOR_SILENCE_MAX)
    }

    #[must_use]
    pub const fn restart(mut self, restart: Restart) -> Self {
        self.spec.restart = restart;
        self
    }

    #[must_use]
    pub const fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.spec.shutdown = shutdown;
        self
    }

    #[must_use]
    pub const fn start_within(mut self, deadline: Duration) -> Self {
        self.spec.start_deadline = deadline;
        self
    }

    /// The child says itself when it is ready, and is a stall when it does not within this time.
    #[must_use]
    pub const fn ready_within(mut self, deadline: Duration) -> Self {
        self.spec.readiness = Readiness::Reported { within: Some(deadline) };
        self
    }

    /// The child says itself when it is ready, however long that takes.
    #[must_use]
    pub const fn reports_ready(mut self) -> Self {
        self.spec.readiness = Readiness::Reported { within: None };
        self
    }

    /// The longest time without progress: in one message for an actor, between two heartbeats for a task or thread. At
    /// least a second: the supervisor forgives itself 200 ms of lateness.
    #[must_use]
    pub const fn heartbeat(mut self, silence: Duration) -> Self {
        self.spec.heartbeat = Some(silence);
        self
    }

    /// What its faults count as when they do not say.
    #[must_use]
    pub const fn class(mut self, class: FaultClass) -> Self {
        self.spec.class = Some(class);
        self
    }

    #[must_use]
    pub const fn mailbox_bound(mut self, bound: usize) -> Self {
        self.mailbox_bound = bound;
        self
    }

    /// Called when the child is asked to stop or killed, besides the token: wakes a thread that waits on a channel. May be
    /// called more than once; must not block.
    #[must_use]
    pub fn on_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_stop = Some(Arc::new(hook));
        self
    }

    #[must_use]
    pub const fn spec(&self) -> &ChildSpec {
        &self.spec
    }
}

impl std::fmt::Debug for Child {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Child").field("spec", &self.spec).finish_non_exhaustive()
    }
}
