//! Supervision with real actors: every way to end is told apart, both wedges are survived, trees stop in order. Time is
//! tokio's paused time wherever all actors live on the test's own runtime, so that deadlines of minutes cost nothing.

mod directory;
mod endings;
mod tasks;
mod threads;
mod trees;
mod wedges;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use ringfence::domain::ids::Incarnation;
use ringfence::domain::mode::FaultClass;
use ringfence::domain::restart::{ChildName, EventKind, RuntimeKind, SupervisionEvent, SupervisorPolicy};
use ringfence::supervision::{
    Child, ChildContext, ChildFault, Directory, Environment, Link, MonotonicClock, Reporter, RuntimeHandles, SupervisionSink, Supervisor,
    SupervisorHandle, SupervisorSpec,
};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Long enough for any machine; virtual in most tests.
const PATIENCE: Duration = Duration::from_secs(120);

fn name(text: &str) -> ChildName {
    ChildName::new(text).unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// A sink that keeps everything and lets tests wait for it.
#[derive(Clone)]
struct Recorder {
    events: Arc<watch::Sender<Vec<SupervisionEvent>>>,
    escalations: Arc<Mutex<Vec<(String, FaultClass)>>>,
}

impl SupervisionSink for Recorder {
    fn event(&self, event: &SupervisionEvent) {
        self.events.send_modify(|events| events.push(event.clone()));
    }

    fn escalated(&self, supervisor: &ChildName, class: FaultClass, _why: &str) {
        self.escalations.lock().unwrap().push((supervisor.to_string(), class));
    }
}

impl Recorder {
    fn new() -> Self {
        Self { events: Arc::new(watch::Sender::new(Vec::new())), escalations: Arc::default() }
    }

    fn all(&self) -> Vec<SupervisionEvent> {
        self.events.borrow().clone()
    }

    /// Waits for the first event of that kind in that incarnation of that child.
    async fn wait(&self, child: &str, incarnation: u64, what: EventKind) -> SupervisionEvent {
        let found = |e: &&SupervisionEvent| e.child.as_str() == child && e.incarnation == Incarnation(incarnation) && e.what == what;
        let mut events = self.events.subscribe();
        let events = within(&format!("{what} of {child}#{incarnation}"), events.wait_for(|events| events.iter().any(|e| found(&e)))).await;
        events.unwrap().iter().find(found).unwrap().clone()
    }
}

/// One directory, one recorder, everything on the test's runtime.
struct Bench {
    environment: Environment,
    recorder: Recorder,
}

impl Bench {
    fn new() -> Self {
        Self::on(RuntimeHandles::both(&Handle::current()))
    }

    fn on(runtimes: RuntimeHandles) -> Self {
        let recorder = Recorder::new();
        let sink = Arc::new(recorder.clone());
        let environment = Environment { directory: Directory::new(), runtimes, sink, clock: MonotonicClock::start(), jitter_seed: 1 };
        Self { environment, recorder }
    }

    async fn start(&self, policy: SupervisorPolicy, children: Vec<Child>) -> SupervisorHandle {
        let spec = SupervisorSpec::of(policy, RuntimeKind::Services, children);
        Supervisor::start_root(self.environment.clone(), spec).await.unwrap()
    }

    /// A one-for-one root named `root` whose children are all ready.
    async fn ready(&self, children: Vec<Child>) -> SupervisorHandle {
        let mut root = self.start(SupervisorPolicy::new(name("root")), children).await;
        assert!(within("readiness", root.wait_ready()).await);
        root
    }

    fn directory(&self) -> &Directory {
        &self.environment.directory
    }

    fn link(&self, child: &str) -> Link<WorkerMessage> {
        self.directory().link(&name(child))
    }
}

enum WorkerMessage {
    /// Adds one to the tally.
    Work,
    /// Asks for what was done in this incarnation.
    Tally(RpcReplyPort<u64>),
    Panic,
    Fail,
    FailWith(FaultClass),
    /// Ends by itself, with nothing left to do.
    Finish,
    /// Waits for this long inside the message, with a heartbeat every half second.
    WorkLong(Duration),
}

/// What a worker does when it starts and when it stops.
#[derive(Clone, Default)]
struct Habits {
    fails_at_start: bool,
    panics_at_start: bool,
    hangs_at_start: bool,
    hangs_after_start: bool,
    hangs_at_stop: bool,
    reports_ready: bool,
    /// Where it writes its name when it has stopped in order.
    stopped: Option<Arc<Mutex<Vec<String>>>>,
    /// How many of it are alive, and how many ever were at once.
    crowd: Arc<Crowd>,
}

#[derive(Default)]
struct Crowd {
    now: AtomicU64,
    most: AtomicU64,
}

struct Present(Arc<Crowd>);

impl Present {
    fn enter(crowd: &Arc<Crowd>) -> Self {
        let now = crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
        crowd.most.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(crowd))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Worker {
    habits: Habits,
    reporter: Reporter,
}

struct WorkerState {
    tally: u64,
    _present: Present,
}

impl Actor for Worker {
    type Msg = WorkerMessage;
    type State = WorkerState;
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<WorkerMessage>, (): ()) -> Result<WorkerState, ActorProcessingErr> {
        if self.habits.fails_at_start {
            return Err("no such file".into());
        }
        assert!(!self.habits.panics_at_start, "cannot begin");
        if self.habits.hangs_at_start {
            std::future::pending::<()>().await;
        }
        if self.habits.reports_ready {
            self.reporter.ready();
        }
        Ok(WorkerState { tally: 0, _present: Present::enter(&self.habits.crowd) })
    }

    async fn post_start(&self, _myself: ActorRef<WorkerMessage>, _state: &mut WorkerState) -> Result<(), ActorProcessingErr> {
        if self.habits.hangs_after_start {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn post_stop(&self, _myself: ActorRef<WorkerMessage>, _state: &mut WorkerState) -> Result<(), ActorProcessingErr> {
        if self.habits.hangs_at_stop {
            std::future::pending::<()>().await;
        }
        if let Some(stopped) = &self.habits.stopped {
            stopped.lock().unwrap().push(self.reporter.name().to_string());
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<WorkerMessage>,
        message: WorkerMessage,
        state: &mut WorkerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            WorkerMessage::Work => state.tally += 1,
            WorkerMessage::Tally(reply) => drop(reply.send(state.tally)),
            WorkerMessage::Panic => panic!("boom"),
            WorkerMessage::Fail => return Err("out of ink".into()),
            WorkerMessage::FailWith(class) => return Err(Box::new(ChildFault::new(class, "does not add up"))),
            WorkerMessage::Finish => myself.stop(None),
            WorkerMessage::WorkLong(time) => {
                let until = tokio::time::Instant::now() + time;
                while tokio::time::Instant::now() < until {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    self.reporter.heartbeat();
                }
                state.tally += 1;
            }
        }
        Ok(())
    }
}

fn worker(text: &str) -> Child {
    worker_with(text, Habits::default())
}

fn worker_with(text: &str, habits: Habits) -> Child {
    Child::actor(name(text), RuntimeKind::Trading, move |context: ChildContext| {
        (Worker { habits: habits.clone(), reporter: context.reporter }, ())
    })
}

async fn tally(link: &mut Link<WorkerMessage>) -> u64 {
    let worker = link.get().expect("a running worker").clone();
    within("an answer", worker.call(WorkerMessage::Tally, None)).await.unwrap().unwrap()
}
