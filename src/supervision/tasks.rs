//! Long-lived work that is no actor, as children: async tasks and threads. Each gets an actor around it, so that it has a
//! name, an incarnation, a readiness message, heartbeats and a supervisor like everybody else. These replace bare spawns.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::child::{Child, ChildContext, StopBy};
use super::supervised::{ChildFault, panic_text};
use crate::domain::mode::FaultClass;
use crate::domain::restart::{ChildName, RuntimeKind};

type Body = Pin<Box<dyn Future<Output = Result<(), ActorProcessingErr>> + Send>>;

/// Runs one future inside its own message, so that a kill drops the future before anybody hears of the end: two
/// incarnations of a task never overlap.
struct TaskActor;

/// The one message of a [`TaskActor`].
struct Run(Body);

impl Actor for TaskActor {
    type Msg = Run;
    type State = ();
    type Arguments = Body;

    async fn pre_start(&self, myself: ActorRef<Run>, body: Body) -> Result<(), ActorProcessingErr> {
        myself.send_message(Run(body)).map_err(|error| error.to_string().into())
    }

    async fn handle(&self, myself: ActorRef<Run>, Run(body): Run, (): &mut ()) -> Result<(), ActorProcessingErr> {
        body.await?;
        // Without a reason: a body that ends unasked ends normally. When it was asked, the stop of the supervisor, with
        // its reason, is in the port already and this one changes nothing.
        myself.stop(None);
        Ok(())
    }
}

impl Child {
    /// A long-lived async task. It shall end when `context.stop` is cancelled; `Ok` means that it is done.
    pub fn task<F, B>(name: ChildName, runtime: RuntimeKind, body: F) -> Self
    where
        F: Fn(ChildContext) -> B + Send + Sync + 'static,
        B: Future<Output = Result<(), ChildFault>> + Send + 'static,
    {
        let mut child = Self::actor(name, runtime, move |context| {
            let body = body(context);
            (TaskActor, Box::pin(async move { Ok(body.await?) }) as Body)
        });
        child.stop_by = StopBy::Token;
        // The whole life of a task is one message, so that only its own heartbeats tell: give it a deadline that fits.
        child.spec.heartbeat = None;
        child
    }

    /// A thread of its own, for blocking work. It shall end soon after `context.stop` is cancelled; give the child an
    /// `on_stop` hook when it waits on something else. A thread cannot be killed: after a kill its successor waits until it
    /// is gone, so that two never run at once.
    pub fn thread<F>(name: ChildName, body: F) -> Self
    where
        F: Fn(ChildContext) -> Result<(), ChildFault> + Send + Sync + 'static,
    {
        let body = Arc::new(body);
        Self::task(name, RuntimeKind::Services, move |context| run_thread(context, Arc::clone(&body)))
    }
}

async fn run_thread<F>(context: ChildContext, body: Arc<F>) -> Result<(), ChildFault>
where
    F: Fn(ChildContext) -> Result<(), ChildFault> + Send + Sync + 'static,
{
    let fault = |detail: String| ChildFault::new(FaultClass::Panic, detail);
    let only_one = Arc::clone(&context.reporter.slot.thread);
    let Ok(permit) = only_one.acquire_owned().await else { return Err(fault("the thread's semaphore is closed".to_owned())) };
    let (done, ended) = oneshot::channel();
    let name = context.name.to_string();
    let work = move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(context)));
        drop(permit);
        // Nobody listens any more when the child was killed meanwhile.
        let _unheard = done.send(result);
    };
    // The system keeps 15 characters of a thread's name; the end of ours says more than the beginning.
    let short: String = name.chars().skip(name.chars().count().saturating_sub(15)).collect();
    std::thread::Builder::new()
        .name(short)
        .spawn(work)
        .map_err(|error| fault(format!("expected a new thread for {name}, found: {error}")))?;
    match ended.await {
        Ok(Ok(result)) => result,
        Ok(Err(payload)) => std::panic::resume_unwind(Box::new(panic_text(&*payload))),
        Err(_) => Err(fault(format!("the thread of {name} ended without a result"))),
    }
}
