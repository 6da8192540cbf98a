//! A supervisor's hands: performs the machine's effects and turns what happens into inputs. Belongs to one supervisor
//! actor and runs on its task; it never waits.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use ractor::{ActorCell, ActorRef, ActorStatus};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::child::{Child, ChildContext, Starter, StopBy};
use super::directory::{Address, DirectoryError, Slot};
use super::reporter::{Pulse, Reading, Reporter};
use super::supervised::{SHUTDOWN, classify_spawn, panic_text};
use super::supervisor::{Environment, SupervisorMessage, SupervisorRef};
use crate::domain::ids::Incarnation;
use crate::domain::restart::{
    ChildName, ChildState, ChildView, Effect, EventKind, ExitHow, Finish, Input, Machine, Restart, Shutdown, SupervisionEvent,
    SupervisorPolicy,
};
use crate::domain::time::Timestamp;

/// How the task that starts a child ended.
pub type StartOutcome = Result<ActorCell, ExitHow>;

/// One incarnation, from the order to start it until the machine has heard of its end.
struct Running {
    incarnation: Incarnation,
    cell: Arc<OnceLock<ActorCell>>,
    pulse: Arc<Pulse>,
    seen: Reading,
    stop: CancellationToken,
    /// Ends the starting task: before there is an actor there is nothing to kill.
    abort_start: CancellationToken,
}

impl Child {
    /// Tells the body of a task or thread; an actor hears through its port.
    fn tell_to_stop(&self, running: &Running) {
        running.stop.cancel();
        if let Some(hook) = &self.on_stop {
            hook();
        }
    }
}

struct Entry {
    child: Child,
    slot: Arc<Slot>,
    running: Option<Running>,
    /// Somebody asked for its removal: it does not go because it gave up.
    leaving: bool,
    /// Takes its place once it is gone.
    next: Option<Box<Child>>,
}

/// The state of a supervisor actor.
pub struct Driver {
    environment: Environment,
    myself: ActorRef<SupervisorMessage>,
    machine: Machine,
    entries: HashMap<ChildName, Entry>,
    pending: VecDeque<Input>,
    effects: Vec<Effect>,
    timer: Option<JoinHandle<()>>,
    finish: Option<Finish>,
}

impl Drop for Driver {
    /// A supervisor that ends in any way leaves no timer, no half-made start and no address behind.
    fn drop(&mut self) {
        self.timer.take().inspect(JoinHandle::abort);
        for entry in self.entries.values_mut() {
            if let Some(running) = entry.running.take() {
                running.abort_start.cancel();
                entry.child.tell_to_stop(&running);
                self.environment.directory.publish(&entry.slot, None);
                if let Some(view) = self.machine.view(&entry.slot.name) {
                    entry.slot.set_view(ChildView { state: ChildState::Down, last_exit: Some("its supervisor ended".to_owned()), ..view });
                }
            }
        }
    }
}

impl Driver {
    pub(super) fn new(environment: &Environment, policy: &SupervisorPolicy, myself: ActorRef<SupervisorMessage>) -> Self {
        // FNV-1a: siblings with one seed must not share a sequence.
        let seed =
            policy.name.as_str().bytes().fold(environment.jitter_seed ^ 0xCBF2_9CE4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
            });
        Self {
            environment: environment.clone(),
            myself,
            machine: Machine::new(policy.clone(), seed),
            entries: HashMap::new(),
            pending: VecDeque::new(),
            effects: Vec::new(),
            timer: None,
            finish: None,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.machine.is_ready()
    }

    pub(super) fn take_finish(&mut self) -> Option<Finish> {
        self.finish.take()
    }

    /// Takes the child in, unless its name is in use elsewhere in the daemon.
    pub(super) fn add(&mut self, child: Child) {
        let name = child.spec.name.clone();
        let directory = &self.environment.directory;
        let spec = child.spec.clone();
        let last = directory.last_incarnation(&name);
        match self.entries.get_mut(&name) {
            Some(entry) if self.machine.is_leaving(&name) => entry.next = Some(Box::new(child)),
            Some(_) => {}
            None => {
                if let Err(error) = self.take_in(child) {
                    return self.refused(name, error.to_string());
                }
            }
        }
        self.input(Input::Add { spec, last });
        // Refused by the machine: it is stopping.
        if self.machine.view(&name).is_none() {
            self.removed(&name);
        }
    }

    fn take_in(&mut self, child: Child) -> Result<(), DirectoryError> {
        let name = child.spec.name.clone();
        let slot = self.environment.directory.reserve(&name, Some(&self.myself), child.mailbox_bound)?;
        self.entries.insert(name, Entry { child, slot, running: None, leaving: false, next: None });
        Ok(())
    }

    /// Asked for from outside; what stands below a supervisor goes from the directory with it.
    pub(super) fn remove(&mut self, name: ChildName) {
        match self.entries.get_mut(&name) {
            Some(entry) => (entry.leaving, entry.next) = (true, None),
            // It gave up and was let go before; what is left of it can be forgotten now.
            None => self.environment.directory.release_below(&name),
        }
        self.input(Input::Remove { name });
    }

    /// A supervisor that was restarted may have fewer children than the one before it.
    pub(super) fn forget_strangers(&self) {
        let name = &self.machine.policy().name;
        for view in self.environment.directory.children() {
            if view.supervisor == *name && !self.entries.contains_key(&view.name) {
                self.environment.directory.release(&view.name, false);
            }
        }
    }

    fn refused(&self, child: ChildName, detail: String) {
        self.environment.sink.event(&SupervisionEvent {
            at: self.environment.clock.now(),
            supervisor: self.machine.policy().name.clone(),
            child,
            incarnation: Incarnation::default(),
            what: EventKind::Refused,
            class: None,
            detail,
        });
    }

    pub(super) fn start_finished(&mut self, name: ChildName, incarnation: Incarnation, outcome: StartOutcome) {
        match outcome {
            Ok(_cell) => self.input(Input::ChildStarted { name, incarnation }),
            Err(how) => {
                // A factory may fail after its actor was spawned, and an abort may come as late: then the actor's own
                // end is the end.
                let cell = self.running(&name, incarnation).and_then(|running| running.cell.get());
                match cell.filter(|cell| cell.get_status() != ActorStatus::Stopped) {
                    Some(cell) => cell.kill(),
                    None => self.input(Input::StartFailed { name, incarnation, how }),
                }
            }
        }
    }

    pub(super) fn exited(&mut self, who: &ActorCell, how: ExitHow) {
        let of = self.entries.iter().find_map(|(name, entry)| {
            let running = entry.running.as_ref()?;
            (running.cell.get()?.get_id() == who.get_id()).then(|| (name.clone(), running.incarnation))
        });
        // An actor that no start of ours made, or that the machine gave up: nobody's child.
        if let Some((name, incarnation)) = of {
            self.input(Input::ChildExited { name, incarnation, how });
        }
    }

    /// Looks at every pulse, then lets the machine judge the time.
    pub(super) fn tick(&mut self) {
        let watched: Vec<_> = self.machine.watched().map(|(name, incarnation)| (name.clone(), incarnation)).collect();
        for (name, incarnation) in watched {
            let Some(running) = self.entries.get_mut(&name).and_then(|entry| entry.running.as_mut()) else { continue };
            let reading = running.pulse.read();
            let progress = reading.shows_progress_since(running.seen);
            running.seen = reading;
            if progress {
                self.pending.push_back(Input::Heartbeat { name, incarnation });
            }
        }
        self.input(Input::Tick);
    }

    /// Steps the machine and performs what it wants; inputs that arise from that follow at once.
    pub(super) fn input(&mut self, input: Input) {
        self.pending.push_back(input);
        while let Some(input) = self.pending.pop_front() {
            let mut effects = std::mem::take(&mut self.effects);
            self.machine.on(self.environment.clock.now(), input, &mut effects);
            for effect in effects.drain(..) {
                self.perform(effect);
            }
            self.effects = effects;
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Start { name, incarnation } => self.start(&name, incarnation),
            Effect::Stop { name, incarnation, shutdown } => self.stop(&name, incarnation, shutdown),
            Effect::Kill { name, incarnation } => self.kill(&name, incarnation),
            Effect::Removed { name } => self.removed(&name),
            Effect::Escalate { class, why } => self.environment.sink.escalated(&self.machine.policy().name, class, &why),
            Effect::Event(event) => self.event(&event),
            Effect::Schedule(at) => self.schedule(at),
            Effect::Finish(finish) => self.finish = Some(finish),
        }
    }

    fn start(&mut self, name: &ChildName, incarnation: Incarnation) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        self.environment.directory.note_incarnation(name, incarnation);
        let runtime = self.environment.runtimes.get(entry.child.spec.runtime).clone();
        let reporter = Reporter::new(Arc::clone(&entry.slot), incarnation, self.myself.clone());
        let running = Running {
            incarnation,
            cell: Arc::default(),
            pulse: Arc::clone(&reporter.pulse),
            seen: Reading::default(),
            stop: CancellationToken::new(),
            abort_start: CancellationToken::new(),
        };
        let context = ChildContext {
            name: name.clone(),
            incarnation,
            supervisor: SupervisorRef(self.myself.clone()),
            reporter,
            directory: self.environment.directory.clone(),
            runtime: runtime.clone(),
            stop: running.stop.clone(),
        };
        let starter = Starter { context, cell: Arc::clone(&running.cell) };
        let start = start_task(entry.slot.latest(), Arc::clone(&entry.child.factory), starter);
        let (abort, myself, name) = (running.abort_start.clone(), self.myself.clone(), name.clone());
        entry.running = Some(running);
        runtime.spawn(async move {
            let outcome = tokio::select! {
                biased;
                () = abort.cancelled() => Err(ExitHow::Killed),
                outcome = start => outcome,
            };
            // A supervisor that is gone needs no answer: the link failed or took the child with it.
            drop(myself.send_message(SupervisorMessage::StartFinished { name, incarnation, outcome }));
        });
    }

    fn stop(&self, name: &ChildName, incarnation: Incarnation, shutdown: Shutdown) {
        let Some(running) = self.running(name, incarnation) else { return };
        let child = &self.entries[name].child;
        // The port before the token: a task that obeys at once must find the reason of its end there. Without an actor
        // yet there is nobody to ask; the machine asks again when it has started.
        match (running.cell.get(), child.stop_by, shutdown) {
            (None, ..) => {}
            (Some(cell), StopBy::StopAll, _) => drop(ActorRef::from(cell.clone()).send_message(SupervisorMessage::StopAll)),
            (Some(cell), StopBy::Port, Shutdown::Drain(_)) => drop(cell.drain()),
            (Some(cell), StopBy::Port | StopBy::Token, _) => cell.stop(Some(SHUTDOWN.to_owned())),
        }
        child.tell_to_stop(running);
    }

    fn kill(&self, name: &ChildName, incarnation: Incarnation) {
        let Some(running) = self.running(name, incarnation) else { return };
        // A kill cannot reach the thread of a thread child; this can.
        self.entries[name].child.tell_to_stop(running);
        running.abort_start.cancel();
        if let Some(cell) = running.cell.get() {
            cell.kill();
        }
    }

    fn running(&self, name: &ChildName, incarnation: Incarnation) -> Option<&Running> {
        self.entries.get(name)?.running.as_ref().filter(|running| running.incarnation == incarnation)
    }

    fn removed(&mut self, name: &ChildName) {
        let Some(entry) = self.entries.remove(name) else { return };
        let directory = &self.environment.directory;
        // The machine has taken in the one that waited, in the same step.
        if let Some(next) = entry.next.filter(|_| self.machine.view(name).is_some()) {
            // Invariant: the name is this supervisor's, so that reserving it again cannot fail.
            return drop(self.take_in(*next));
        }
        if entry.leaving {
            directory.release_below(name);
        }
        directory.release(name, entry.child.spec.restart == Restart::Temporary);
    }

    /// Publishes what the event changed, then tells the sink.
    fn event(&mut self, event: &SupervisionEvent) {
        if let Some(entry) = self.entries.get_mut(&event.child) {
            let directory = &self.environment.directory;
            match event.what {
                EventKind::Started => {
                    let cell = entry.running.as_ref().and_then(|running| running.cell.get());
                    directory.publish(&entry.slot, cell.map(|cell| Address { incarnation: event.incarnation, cell: cell.clone() }));
                }
                EventKind::Exited | EventKind::Unkillable => {
                    entry.running = None;
                    directory.publish(&entry.slot, None);
                }
                _ => {}
            }
            if let Some(view) = self.machine.view(&event.child) {
                entry.slot.set_view(view);
            }
        }
        self.environment.sink.event(event);
    }

    fn schedule(&mut self, at: Timestamp) {
        self.timer.take().inspect(JoinHandle::abort);
        let myself = self.myself.clone();
        let wait = at.since(self.environment.clock.now());
        self.timer = Some(tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            // The timer of a supervisor that is gone has nobody to wake.
            drop(myself.send_message(SupervisorMessage::Tick));
        }));
    }
}

/// Waits until nothing of the incarnation before is left (a supervisor that died leaves its children to be killed behind
/// it), then makes the new one. Panics of the factory are caught here, those of the actor in its wrapper.
async fn start_task(before: Option<ActorCell>, factory: super::child::Factory, starter: Starter) -> StartOutcome {
    let made = AssertUnwindSafe(async move {
        if let Some(before) = before {
            // Without a timeout it cannot fail; the start deadline bounds it.
            let _gone = before.wait(None).await;
        }
        factory(starter).await
    });
    match made.catch_unwind().await {
        Ok(Ok(started)) => Ok(started.cell),
        Ok(Err(error)) => Err(classify_spawn(&error)),
        Err(payload) => Err(ExitHow::Panicked(panic_text(&*payload))),
    }
}
