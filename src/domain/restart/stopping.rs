//! How children are ended: asked, then killed, then given up; in reverse start order, one at a time.

use super::children::{Life, Why};
use super::event::EventKind;
use super::machine::{Effect, Finish, Machine, Phase};
use super::spec::{Restart, Shutdown};
use crate::domain::mode::FaultClass;
use crate::domain::time::Timestamp;

impl Machine {
    /// Begins to end everything. The first reason stands, except that an escalation overrides an ordered stop.
    pub(super) fn terminate(&mut self, finish: Finish) {
        match (&self.phase, &finish) {
            (Phase::Finished | Phase::Terminating(Finish::Escalated { .. }), _) => return,
            (Phase::Terminating(Finish::Ordered), Finish::Ordered) => return,
            _ => {}
        }
        self.queue.clear();
        for child in self.children.iter_mut() {
            if matches!(child.life, Life::Waiting { .. }) {
                child.life = Life::Down;
            }
        }
        self.phase = Phase::Terminating(finish);
    }

    pub(super) fn terminate_next(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if let Some(at) = self.children.last_alive(0) {
            return self.stop_child(now, at, out);
        }
        if let Phase::Terminating(finish) = std::mem::replace(&mut self.phase, Phase::Finished) {
            let name = self.policy.name.clone();
            let (class, detail) = match &finish {
                Finish::Ordered => (None, ""),
                Finish::Escalated { class, why } => (Some(*class), why.as_str()),
            };
            self.note(now, &name, EventKind::Finished, class, detail, out);
            out.push(Effect::Finish(finish));
        }
    }

    /// Asks a child to end; one that is ending already is left to its deadline.
    pub(super) fn stop_child(&mut self, now: Timestamp, at: usize, out: &mut Vec<Effect>) {
        let child = &mut self.children[at];
        match child.life {
            Life::Down | Life::Stopping { .. } | Life::Killing { .. } => return,
            Life::Waiting { .. } => return child.enter(now, Life::Down),
            Life::Starting { .. } | Life::Started { .. } | Life::Ready => {}
        }
        let shutdown = child.spec.shutdown;
        if shutdown == Shutdown::BrutalKill {
            return self.kill_child(now, at, Why::Ordered, "brutal kill", out);
        }
        child.enter(now, Life::Stopping { kill_at: now + shutdown.deadline() });
        let (name, incarnation) = (child.spec.name.clone(), child.incarnation);
        self.event(now, at, EventKind::Stopping, None, "", out);
        out.push(Effect::Stop { name, incarnation, shutdown });
    }

    pub(super) fn kill_child(&mut self, now: Timestamp, at: usize, why: Why, text: &str, out: &mut Vec<Effect>) {
        let give_up_at = now + self.policy.kill_grace;
        let child = &mut self.children[at];
        child.enter(now, Life::Killing { give_up_at, why });
        let (name, incarnation) = (child.spec.name.clone(), child.incarnation);
        self.event(now, at, EventKind::Killed, None, text, out);
        out.push(Effect::Kill { name, incarnation });
    }

    /// A kill lands at the next await, so what survives it spins. Nobody can end it: the supervisor goes on without it
    /// and fails, so that whoever is above decides what a lost thread means.
    pub(super) fn give_up(&mut self, now: Timestamp, at: usize, out: &mut Vec<Effect>) {
        let child = &mut self.children[at];
        child.enter(now, Life::Down);
        child.beat_due = None;
        let name = child.spec.name.clone();
        let text = format!("{name} is still there {:?} after its kill: it spins without an await", self.policy.kill_grace);
        self.event(now, at, EventKind::Unkillable, Some(FaultClass::Stall), &text, out);
        self.escalate(now, FaultClass::Stall, text, out);
    }

    pub(super) fn forget(&mut self, now: Timestamp, at: usize, out: &mut Vec<Effect>) {
        let detail = if self.children[at].spec.restart == Restart::Temporary { "temporary" } else { "" };
        self.event(now, at, EventKind::Removed, None, detail, out);
        out.push(Effect::Removed { name: self.children[at].spec.name.clone() });
        self.children.remove(at);
        if let Phase::Regrouping { from, .. } = &mut self.phase
            && at < *from
        {
            *from -= 1;
        }
    }
}
