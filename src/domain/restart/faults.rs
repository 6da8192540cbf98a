//! What the end of a child leads to: nothing, a restart of it or of its group, or escalation.

use super::children::{After, Life, Why};
use super::event::EventKind;
use super::machine::{Effect, Finish, Machine, Phase};
use super::spec::{ChildName, ChildSpec, ExitHow, Restart, Strategy};
use crate::domain::ids::Incarnation;
use crate::domain::mode::FaultClass;
use crate::domain::mutants::{self, Mutant};
use crate::domain::time::Timestamp;

/// A child's end that calls for an answer.
struct Fault {
    class: FaultClass,
    text: String,
}

impl Machine {
    pub(super) fn child_exited(
        &mut self,
        now: Timestamp,
        name: &ChildName,
        incarnation: Incarnation,
        how: &ExitHow,
        out: &mut Vec<Effect>,
    ) {
        let Some(at) = self.children.current(name, incarnation) else { return };
        self.queue.retain(|queued| queued != name);
        let fault = self.judge(at, how);
        let class = fault.as_ref().map(|fault| fault.class);
        let after = self.bury(now, at, how);
        self.event(now, at, EventKind::Exited, class, &how.to_string(), out);
        if matches!(self.phase, Phase::Terminating(_)) {
            return;
        }
        match (after, fault) {
            (After::Remove, _) => self.forget(now, at, out),
            (After::Replace(spec), _) => {
                self.forget(now, at, out);
                self.add(now, *spec, incarnation, out);
            }
            (After::Start, _) if !self.is_regrouping(at) => self.start_child(now, at, out),
            (_, Some(fault)) => self.answer(now, at, &fault, out),
            (_, None) if self.children[at].spec.restart == Restart::Temporary => self.forget(now, at, out),
            (_, None) => {}
        }
    }

    /// Whether this end is a fault, and of which class. A child that was told to end may end as it likes.
    fn judge(&self, at: usize, how: &ExitHow) -> Option<Fault> {
        let child = &self.children[at];
        match &child.life {
            Life::Stopping { .. } | Life::Killing { why: Why::Ordered, .. } => None,
            Life::Killing { why: Why::Stall(text), .. } => {
                Some(Fault { class: class_of(&child.spec, Some(FaultClass::Stall)), text: text.clone() })
            }
            _ if !how.is_fault() && child.spec.restart != Restart::Permanent => None,
            _ => {
                let named = if let ExitHow::Failed { class, .. } = how { *class } else { None };
                let text = if how.is_fault() { how.to_string() } else { format!("a permanent child ended unasked ({how})") };
                Some(Fault { class: class_of(&child.spec, named), text })
            }
        }
    }

    fn bury(&mut self, now: Timestamp, at: usize, how: &ExitHow) -> After {
        let stable = self.policy.backoff.stable;
        let child = &mut self.children[at];
        if child.started_at.take().is_some_and(|started| now.since(started) >= stable) {
            child.consecutive = 0;
        }
        child.last_exit = Some(how.to_string());
        child.beat_due = None;
        child.enter(now, Life::Down);
        std::mem::take(&mut child.after)
    }

    fn answer(&mut self, now: Timestamp, at: usize, fault: &Fault, out: &mut Vec<Effect>) {
        let name = self.children[at].spec.name.clone();
        if fault.class.has_no_budget() {
            return self.escalate(now, fault.class, format!("{name}: {}; a {} fault has no budget", fault.text, fault.class), out);
        }
        if self.children[at].spec.restart == Restart::Temporary {
            return self.forget(now, at, out);
        }
        if let Phase::Regrouping { from, .. } = &mut self.phase {
            *from = (*from).min(at);
            return self.event(now, at, EventKind::Coalesced, Some(fault.class), &fault.text, out);
        }
        if let Err(exceeded) = self.budgets.charge(now, fault.class) {
            return self.escalate(now, fault.class, format!("{name}: {}; {exceeded}", fault.text), out);
        }
        if !mutants::on(Mutant::DiesInSilence) {
            self.schedule_restart(now, at, fault, out);
        }
    }

    fn schedule_restart(&mut self, now: Timestamp, at: usize, fault: &Fault, out: &mut Vec<Effect>) {
        let jitter = self.draw();
        let child = &mut self.children[at];
        child.consecutive = child.consecutive.saturating_add(1);
        let delay = self.policy.backoff.delay(child.consecutive, jitter);
        let until = now + delay;
        match self.policy.strategy {
            Strategy::OneForOne => child.enter(now, Life::Waiting { until }),
            Strategy::OneForAll => self.regroup(0, until),
            Strategy::RestForOne => self.regroup(at, until),
        }
        self.event(now, at, EventKind::RestartScheduled, Some(fault.class), &format!("in {delay:?}: {}", fault.text), out);
    }

    fn regroup(&mut self, from: usize, until: Timestamp) {
        self.queue.clear();
        self.phase = Phase::Regrouping { from, until };
    }

    fn is_regrouping(&self, at: usize) -> bool {
        matches!(self.phase, Phase::Regrouping { from, .. } if at >= from)
    }

    /// Once: a supervisor that has given up does not give up again.
    pub(super) fn escalate(&mut self, now: Timestamp, class: FaultClass, why: String, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Terminating(Finish::Escalated { .. }) | Phase::Finished) {
            return;
        }
        let name = self.policy.name.clone();
        self.note(now, &name, EventKind::Escalated, Some(class), &why, out);
        out.push(Effect::Escalate { class, why: why.clone() });
        self.terminate(Finish::Escalated { class, why });
    }
}

/// A class without a budget cannot be talked down by the fault; otherwise the fault's own word counts first, then the
/// spec's. What neither names is a bug, and bugs are counted as panics.
fn class_of(spec: &ChildSpec, named: Option<FaultClass>) -> FaultClass {
    match spec.class {
        Some(class) if class.has_no_budget() => class,
        own => named.or(own).unwrap_or(FaultClass::Panic),
    }
}
