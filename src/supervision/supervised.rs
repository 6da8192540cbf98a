//! The wrapper that every supervised actor runs in. It adds what supervision needs and the actor cannot forget: the
//! address before anything can fail, panics told from errors, the mark of being busy, and obedience to injections. It
//! changes neither messages nor state.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};

use super::reporter::Reporter;
use crate::domain::mode::FaultClass;
use crate::domain::restart::ExitHow;

/// The reason of an ordered stop, as OTP spells it.
pub(super) const SHUTDOWN: &str = "shutdown";
/// What ractor says of an actor that a signal ended.
const KILLED: &str = "killed";
/// What ractor says of an actor whose task was dropped, with its runtime or by an abort.
const CANCELLED: &str = "actor_task_cancelled";
/// What ractor says of an actor that stopped after its queue.
const DRAINED: &str = "Drained";

/// An error that names its class, for a child that knows what went wrong. Return it boxed from any actor callback.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ChildFault {
    pub class: FaultClass,
    pub detail: String,
}

impl ChildFault {
    pub fn new(class: FaultClass, detail: impl Into<String>) -> Self {
        Self { class, detail: detail.into() }
    }
}

/// A panic that was caught: ractor would make it an error like any other.
#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
struct ChildPanic(String);

pub(super) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

/// No `async fn`: that would keep a second copy of the work, and of the message in it, and every message passes here.
fn guarded<T>(work: impl Future<Output = Result<T, ActorProcessingErr>>) -> impl Future<Output = Result<T, ActorProcessingErr>> {
    AssertUnwindSafe(work).catch_unwind().map(|ended| match ended {
        Ok(result) => result,
        Err(payload) => Err(ChildPanic(panic_text(&*payload)).into()),
    })
}

/// How an actor that returned an error or panicked ended.
pub(super) fn classify_failure(error: &ActorProcessingErr) -> ExitHow {
    if let Some(ChildPanic(text)) = error.downcast_ref() {
        ExitHow::Panicked(text.clone())
    } else if let Some(ChildFault { class, detail }) = error.downcast_ref() {
        ExitHow::Failed { class: Some(*class), detail: detail.clone() }
    } else {
        ExitHow::Failed { class: None, detail: error.to_string() }
    }
}

/// How an actor that ractor calls terminated ended: a kill arrives here too, and only the reason tells.
pub(super) fn classify_termination(reason: Option<&str>) -> ExitHow {
    match reason {
        None => ExitHow::Normal,
        Some(SHUTDOWN | DRAINED) => ExitHow::Shutdown,
        Some(KILLED | CANCELLED) => ExitHow::Killed,
        Some(other) => ExitHow::Failed { class: None, detail: format!("stopped with reason {other:?}") },
    }
}

pub(super) fn classify_spawn(error: &SpawnErr) -> ExitHow {
    match error {
        SpawnErr::StartupFailed(error) => classify_failure(error),
        other => ExitHow::Failed { class: None, detail: other.to_string() },
    }
}

/// An actor under supervision.
pub(super) struct Supervised<A> {
    pub(super) actor: A,
    pub(super) reporter: Reporter,
    /// Set before the actor is linked, so that the supervisor knows whose exit it hears of.
    pub(super) cell: Arc<OnceLock<ActorCell>>,
}

impl<A: Actor> Actor for Supervised<A> {
    type Msg = A::Msg;
    type State = A::State;
    type Arguments = A::Arguments;

    async fn pre_start(&self, myself: ActorRef<A::Msg>, arguments: A::Arguments) -> Result<A::State, ActorProcessingErr> {
        self.reporter.slot.set_latest(myself.get_cell());
        // A context starts one actor: `ChildContext::spawn` consumes it.
        let _first = self.cell.set(myself.get_cell());
        guarded(self.actor.pre_start(myself, arguments)).await
    }

    async fn post_start(&self, myself: ActorRef<A::Msg>, state: &mut A::State) -> Result<(), ActorProcessingErr> {
        let _busy = self.reporter.pulse.busy();
        guarded(self.actor.post_start(myself, state)).await
    }

    async fn post_stop(&self, myself: ActorRef<A::Msg>, state: &mut A::State) -> Result<(), ActorProcessingErr> {
        let _busy = self.reporter.pulse.busy();
        guarded(self.actor.post_stop(myself, state)).await
    }

    async fn handle(&self, myself: ActorRef<A::Msg>, message: A::Msg, state: &mut A::State) -> Result<(), ActorProcessingErr> {
        let _busy = self.reporter.pulse.busy();
        if self.reporter.is_injected() {
            guarded(self.reporter.obey_injection().map(Ok)).await?;
        }
        guarded(self.actor.handle(myself, message, state)).await
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<A::Msg>,
        event: SupervisionEvent,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        let _busy = self.reporter.pulse.busy();
        if self.reporter.is_injected() {
            guarded(self.reporter.obey_injection().map(Ok)).await?;
        }
        guarded(self.actor.handle_supervisor_evt(myself, event, state)).await
    }
}
