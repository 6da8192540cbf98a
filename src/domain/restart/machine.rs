//! The supervisor's machine: inputs in, effects out. This file holds the inputs, the ordered start and the clock work;
//! what an exit leads to is in `faults`, how children are ended in `stopping`.

use std::collections::VecDeque;
use std::time::Duration;

use super::children::{After, Children, Life, Why};
use super::event::{ChildView, EventKind, SupervisionEvent};
use super::intensity::Budgets;
use super::spec::{ChildName, ChildSpec, ExitHow, Shutdown, StartGate, Strategy, SupervisorPolicy};
use crate::domain::ids::Incarnation;
use crate::domain::mode::FaultClass;
use crate::domain::time::Timestamp;

/// A tick that is later than this means that the supervisor itself did not run (a suspended process, a starved machine):
/// the lateness counts against no child. Timers of a healthy runtime are late by a few milliseconds.
const LATENESS_TOLERATED: Duration = Duration::from_millis(200);

/// Signs of progress are looked at this often per heartbeat deadline, so that a stall is seen at most a quarter late.
const SAMPLES_PER_HEARTBEAT: u32 = 4;

/// What the supervisor learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Start the children, in order.
    StartAll,
    ChildStarted {
        name: ChildName,
        incarnation: Incarnation,
    },
    ChildReady {
        name: ChildName,
        incarnation: Incarnation,
    },
    /// The child made progress since the last look.
    Heartbeat {
        name: ChildName,
        incarnation: Incarnation,
    },
    /// It is gone: nothing of this incarnation runs any more.
    ChildExited {
        name: ChildName,
        incarnation: Incarnation,
        how: ExitHow,
    },
    /// It never ran.
    StartFailed {
        name: ChildName,
        incarnation: Incarnation,
        how: ExitHow,
    },
    /// The time asked for by `Effect::Schedule` has come.
    Tick,
    StopAll,
    /// A new child at the end of the start order. `last` is the last incarnation that ever ran under this name. While a
    /// child of that name is being removed, the new one waits for its end.
    Add {
        spec: ChildSpec,
        last: Incarnation,
    },
    /// Stop the child and forget it.
    Remove {
        name: ChildName,
    },
    /// An operator's restart: of this child alone (as OTP's `restart_child`), at once, not charged.
    Restart {
        name: ChildName,
    },
}

/// What must be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Start {
        name: ChildName,
        incarnation: Incarnation,
    },
    /// Ask it to stop. The machine kills it itself when the deadline inside passes.
    Stop {
        name: ChildName,
        incarnation: Incarnation,
        shutdown: Shutdown,
    },
    Kill {
        name: ChildName,
        incarnation: Incarnation,
    },
    /// The child is forgotten.
    Removed {
        name: ChildName,
    },
    /// Tell whoever must know now: the children are being stopped, and then the supervisor fails.
    Escalate {
        class: FaultClass,
        why: String,
    },
    Event(SupervisionEvent),
    /// Send `Tick` at this time; it replaces the time asked for before.
    Schedule(Timestamp),
    /// Every child is gone: end.
    Finish(Finish),
}

/// How a supervisor ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    Ordered,
    Escalated { class: FaultClass, why: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Running,
    /// A group restart: everything from this position on is being stopped, and is started again at the time given.
    Regrouping {
        from: usize,
        until: Timestamp,
    },
    Terminating(Finish),
    Finished,
}

/// One supervisor's decisions.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(super) policy: SupervisorPolicy,
    pub(super) children: Children,
    pub(super) budgets: Budgets,
    pub(super) phase: Phase,
    /// Children that are still to be started in order; the head is the one at the gate.
    pub(super) queue: VecDeque<ChildName>,
    jitter: u64,
    scheduled: Option<Timestamp>,
    sample_at: Option<Timestamp>,
}

impl Machine {
    /// `jitter_seed` spreads the backoff: any number, another one for each supervisor.
    #[must_use]
    pub fn new(policy: SupervisorPolicy, jitter_seed: u64) -> Self {
        let budgets = Budgets::new(&policy);
        Self {
            policy,
            children: Children::default(),
            budgets,
            phase: Phase::Idle,
            queue: VecDeque::new(),
            jitter: jitter_seed,
            scheduled: None,
            sample_at: None,
        }
    }

    pub fn on(&mut self, now: Timestamp, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::StartAll => self.start_all(),
            Input::ChildStarted { name, incarnation } => self.child_started(now, &name, incarnation, out),
            Input::ChildReady { name, incarnation } => self.child_ready(now, &name, incarnation, out),
            // Comes for every child before every tick, and follows up on nothing: a deadline has only moved back.
            Input::Heartbeat { name, incarnation } => return self.heartbeat(now, &name, incarnation),
            Input::ChildExited { name, incarnation, how } | Input::StartFailed { name, incarnation, how } => {
                self.child_exited(now, &name, incarnation, &how, out);
            }
            Input::Tick => self.tick(now, out),
            Input::StopAll => self.terminate(Finish::Ordered),
            Input::Add { spec, last } => self.add(now, spec, last, out),
            Input::Remove { name } => self.remove(now, &name, out),
            Input::Restart { name } => self.restart(now, &name, out),
        }
        self.advance(now, out);
        self.reschedule(now, out);
    }

    #[must_use]
    pub const fn policy(&self) -> &SupervisorPolicy {
        &self.policy
    }

    #[must_use]
    pub fn view(&self, name: &ChildName) -> Option<ChildView> {
        self.children.position(name).map(|at| self.children[at].view(&self.policy.name))
    }

    #[must_use]
    pub fn views(&self) -> Vec<ChildView> {
        self.children.iter().map(|child| child.view(&self.policy.name)).collect()
    }

    /// Children in start order whose signs of progress matter now, with the incarnation to look at.
    pub fn watched(&self) -> impl Iterator<Item = (&ChildName, Incarnation)> {
        self.children
            .iter()
            .filter(|child| child.is_running() && child.beat_due.is_some())
            .map(|child| (&child.spec.name, child.incarnation))
    }

    /// Whether every child is ready or done, and none is still to come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running && self.queue.is_empty() && self.children.iter().all(|c| matches!(c.life, Life::Ready | Life::Down))
    }

    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    fn start_all(&mut self) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Running;
            self.queue = self.children.iter().map(|child| child.spec.name.clone()).collect();
        }
    }

    fn child_started(&mut self, now: Timestamp, name: &ChildName, incarnation: Incarnation, out: &mut Vec<Effect>) {
        let Some(at) = self.children.current(name, incarnation) else { return };
        let child = &mut self.children[at];
        match &child.life {
            Life::Starting { reported_ready, .. } => {
                let reported_ready = *reported_ready;
                child.enter_started(now, reported_ready);
                self.event(now, at, EventKind::Started, None, "", out);
                if reported_ready {
                    self.event(now, at, EventKind::Ready, None, "", out);
                }
            }
            // It was told to end before it could hear; tell it again.
            Life::Stopping { .. } => out.push(Effect::Stop { name: name.clone(), incarnation, shutdown: child.spec.shutdown }),
            Life::Killing { .. } => out.push(Effect::Kill { name: name.clone(), incarnation }),
            _ => {}
        }
    }

    fn child_ready(&mut self, now: Timestamp, name: &ChildName, incarnation: Incarnation, out: &mut Vec<Effect>) {
        let Some(at) = self.children.current(name, incarnation) else { return };
        match &mut self.children[at].life {
            Life::Starting { reported_ready, .. } => *reported_ready = true,
            Life::Started { .. } => {
                self.children[at].enter(now, Life::Ready);
                self.event(now, at, EventKind::Ready, None, "", out);
            }
            _ => {}
        }
    }

    fn heartbeat(&mut self, now: Timestamp, name: &ChildName, incarnation: Incarnation) {
        if let Some(at) = self.children.current(name, incarnation) {
            let child = &mut self.children[at];
            child.beat_due = child.spec.heartbeat.map(|silence| now + silence);
        }
    }

    pub(super) fn add(&mut self, now: Timestamp, spec: ChildSpec, last: Incarnation, out: &mut Vec<Effect>) {
        let name = spec.name.clone();
        if matches!(self.phase, Phase::Terminating(_) | Phase::Finished) {
            return self.refuse(now, &name, "cannot add a child: the supervisor is stopping", out);
        }
        if self.is_leaving(&name) {
            // Its place is free when nothing of it runs any more.
            if let Some(at) = self.children.position(&name) {
                self.children[at].after = After::Replace(Box::new(spec));
            }
            return;
        }
        if !self.children.push(spec, last) {
            return self.refuse(now, &name, "cannot add a child: the name is taken; remove that child first", out);
        }
        self.event(now, self.children.len() - 1, EventKind::Added, None, "", out);
        if self.phase == Phase::Running {
            self.queue.push_back(name);
        }
    }

    /// Whether that child is being removed, with or without another one to take its place.
    #[must_use]
    pub fn is_leaving(&self, name: &ChildName) -> bool {
        self.children.position(name).is_some_and(|at| matches!(self.children[at].after, After::Remove | After::Replace(_)))
    }

    fn remove(&mut self, now: Timestamp, name: &ChildName, out: &mut Vec<Effect>) {
        let Some(at) = self.children.position(name) else {
            return self.refuse(now, name, "cannot remove: no such child", out);
        };
        if matches!(self.phase, Phase::Terminating(_) | Phase::Finished) {
            return self.refuse(now, name, "cannot remove: the supervisor is stopping all its children", out);
        }
        if self.children[at].is_alive() {
            self.children[at].after = After::Remove;
            self.stop_child(now, at, out);
        } else {
            self.forget(now, at, out);
        }
    }

    fn restart(&mut self, now: Timestamp, name: &ChildName, out: &mut Vec<Effect>) {
        let Some(at) = self.children.position(name) else {
            return self.refuse(now, name, "cannot restart: no such child", out);
        };
        match self.phase {
            Phase::Running => {}
            Phase::Regrouping { from, .. } if at < from => {}
            Phase::Regrouping { .. } => return self.refuse(now, name, "it is being restarted with its group already", out),
            Phase::Idle | Phase::Terminating(_) | Phase::Finished => {
                return self.refuse(now, name, "cannot restart: the supervisor is not running", out);
            }
        }
        if self.is_leaving(name) {
            return self.refuse(now, name, "cannot restart: it is being removed", out);
        }
        // As in OTP, where the supervisor answers no call while it starts its children.
        if !self.queue.is_empty() && (self.policy.strategy != Strategy::OneForOne || self.queue.contains(name)) {
            return self.refuse(now, name, "cannot restart: the children are just being started in order; try again", out);
        }
        self.event(now, at, EventKind::RestartRequested, None, "", out);
        let child = &mut self.children[at];
        child.consecutive = 0;
        if child.is_alive() {
            child.after = After::Start;
            self.stop_child(now, at, out);
        } else {
            self.start_child(now, at, out);
        }
    }

    /// Time has passed: deadlines.
    fn tick(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let late = self.scheduled.take().map_or(Duration::ZERO, |at| now.since(at));
        self.sample_at = None;
        if late > LATENESS_TOLERATED {
            self.children.iter_mut().for_each(|child| child.excuse(late));
        }
        // By name: giving up on a child may change the positions.
        let due: Vec<ChildName> =
            self.children.iter().filter(|c| c.due().is_some_and(|at| at <= now)).map(|c| c.spec.name.clone()).collect();
        for name in due {
            if let Some(at) = self.children.position(&name) {
                self.deadline(now, at, out);
            }
        }
    }

    fn deadline(&mut self, now: Timestamp, at: usize, out: &mut Vec<Effect>) {
        let spec = &self.children[at].spec;
        match &self.children[at].life {
            Life::Down => {}
            Life::Waiting { .. } => self.start_child(now, at, out),
            Life::Starting { .. } => {
                let text = format!("not started within {:?}", spec.start_deadline);
                self.stalled(now, at, text, out);
            }
            Life::Started { ready_due: Some(ready_due) } if *ready_due <= now => {
                let text = format!("not ready within {:?} of its start", ready_due.since(self.children[at].since));
                self.stalled(now, at, text, out);
            }
            Life::Started { .. } | Life::Ready => {
                let text = format!("no progress within {:?}", spec.heartbeat.unwrap_or_default());
                self.stalled(now, at, text, out);
            }
            Life::Stopping { .. } => self.kill_child(now, at, Why::Ordered, "did not stop in time", out),
            Life::Killing { .. } => self.give_up(now, at, out),
        }
    }

    fn stalled(&mut self, now: Timestamp, at: usize, text: String, out: &mut Vec<Effect>) {
        self.event(now, at, EventKind::Stalled, Some(FaultClass::Stall), &text, out);
        self.kill_child(now, at, Why::Stall(text.clone()), &text, out);
    }

    /// What follows from the state alone, whatever the input was.
    fn advance(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if let Phase::Regrouping { from, until } = self.phase {
            match self.children.last_alive(from) {
                Some(at) => self.stop_child(now, at, out),
                None if until <= now => {
                    self.queue = self.children.iter().skip(from).map(|child| child.spec.name.clone()).collect();
                    self.phase = Phase::Running;
                }
                None => {}
            }
        }
        match &self.phase {
            Phase::Running => self.start_next(now, out),
            Phase::Terminating(_) => self.terminate_next(now, out),
            Phase::Idle | Phase::Regrouping { .. } | Phase::Finished => {}
        }
    }

    /// Works off the start queue as far as the gate allows.
    fn start_next(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        while let Some(at) = self.queue.front().map(|name| self.children.position(name)) {
            let Some(at) = at else {
                self.queue.pop_front();
                continue;
            };
            // An elder may be on its way through an operator's restart.
            let elders_passed = self.policy.strategy == Strategy::OneForOne || (0..at).all(|elder| self.has_passed(elder));
            if self.children[at].life == Life::Down && elders_passed {
                self.start_child(now, at, out);
            }
            if !self.children[at].is_alive() || !self.has_passed(at) {
                return;
            }
            self.queue.pop_front();
        }
    }

    /// Whether this child holds back nobody behind it.
    fn has_passed(&self, at: usize) -> bool {
        match self.children[at].life {
            Life::Starting { .. } => false,
            Life::Started { .. } => self.policy.start_gate == StartGate::Started,
            Life::Ready | Life::Down => true,
            // Under one_for_one each child is a bulkhead; in a group its end decides what comes next.
            Life::Waiting { .. } | Life::Stopping { .. } | Life::Killing { .. } => self.policy.strategy == Strategy::OneForOne,
        }
    }

    pub(super) fn start_child(&mut self, now: Timestamp, at: usize, out: &mut Vec<Effect>) {
        let child = &mut self.children[at];
        child.incarnation.0 += 1;
        let due = now + child.spec.start_deadline;
        child.enter(now, Life::Starting { due, reported_ready: false });
        self.event(now, at, EventKind::Starting, None, "", out);
        let child = &self.children[at];
        out.push(Effect::Start { name: child.spec.name.clone(), incarnation: child.incarnation });
    }

    /// Asks for the next tick, when there is something to wait for and it is not the time asked for already.
    fn reschedule(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.phase == Phase::Finished {
            return;
        }
        let shortest = self.children.iter().filter(|c| c.is_running()).filter_map(|c| c.spec.heartbeat).min();
        self.sample_at = shortest.map(|silence| {
            let at = now + silence / SAMPLES_PER_HEARTBEAT;
            self.sample_at.map_or(at, |before| before.min(at))
        });
        let regroup = match self.phase {
            Phase::Regrouping { from, until } if self.children.last_alive(from).is_none() => Some(until),
            _ => None,
        };
        let due = self.children.iter().filter_map(super::children::Child::due).min();
        let next = due.into_iter().chain(self.sample_at).chain(regroup).min();
        if next != self.scheduled {
            self.scheduled = next;
            out.extend(next.map(Effect::Schedule));
        }
    }

    pub(super) fn draw(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014): a full-period sequence from the driver's seed.
        self.jitter = self.jitter.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.jitter;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn event(
        &self,
        at: Timestamp,
        child: usize,
        what: EventKind,
        class: Option<FaultClass>,
        detail: &str,
        out: &mut Vec<Effect>,
    ) {
        let child = &self.children[child];
        out.push(Effect::Event(SupervisionEvent {
            at,
            supervisor: self.policy.name.clone(),
            child: child.spec.name.clone(),
            incarnation: child.incarnation,
            what,
            class,
            detail: detail.to_owned(),
        }));
    }

    /// An event about the supervisor itself, or about a name that is no child.
    pub(super) fn note(
        &self,
        at: Timestamp,
        child: &ChildName,
        what: EventKind,
        class: Option<FaultClass>,
        detail: &str,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Event(SupervisionEvent {
            at,
            supervisor: self.policy.name.clone(),
            child: child.clone(),
            incarnation: Incarnation::default(),
            what,
            class,
            detail: detail.to_owned(),
        }));
    }

    fn refuse(&self, now: Timestamp, name: &ChildName, detail: &str, out: &mut Vec<Effect>) {
        self.note(now, name, EventKind::Refused, None, detail, out);
    }
}
