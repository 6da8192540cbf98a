//! The supervisors of the simulated daemon: the same decisions (`domain/restart`) under the same tree, without an actor system.
//! Whoever drives it starts, stops and ends the actors, and brings the ticks that it asks for.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::ids::Incarnation;
use crate::domain::mode::FaultClass;
use crate::domain::restart::{ChildName, ChildSpec, Effect, ExitHow, Finish, Input, Machine, SupervisionEvent, SupervisorPolicy};
use crate::domain::time::Timestamp;

use super::daemon::Role;

/// What a child is.
#[derive(Debug, Clone)]
pub enum Kid {
    Actor(Role),
    Supervisor(SupervisorPolicy, Vec<(ChildSpec, Kid)>),
}

/// What the driver has to do, in this order.
#[derive(Debug, Clone)]
pub enum Order {
    Start {
        role: Role,
        incarnation: Incarnation,
    },
    Stop {
        role: Role,
        incarnation: Incarnation,
    },
    Kill {
        role: Role,
        incarnation: Incarnation,
    },
    Event(SupervisionEvent),
    Escalated {
        supervisor: ChildName,
        class: FaultClass,
        why: String,
    },
    /// Bring `tick` to that supervisor at this time of supervision's clock; it replaces the time asked for before.
    Wake {
        supervisor: ChildName,
        at: Timestamp,
    },
    RootEnded {
        root: ChildName,
        finish: Finish,
    },
}

#[derive(Debug)]
struct Supervisor {
    machine: Machine,
    kids: BTreeMap<ChildName, Kid>,
    /// The supervisor above, and which of its children's lives this is.
    above: Option<(ChildName, Incarnation)>,
    due: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub struct Tree {
    supervisors: BTreeMap<ChildName, Supervisor>,
    /// The last incarnation that ever ran under a name.
    last: BTreeMap<ChildName, Incarnation>,
    jitter: u64,
    pending: VecDeque<(ChildName, Input)>,
}

impl Tree {
    #[must_use]
    pub fn new(jitter: u64) -> Self {
        Self { jitter, ..Self::default() }
    }

    pub fn start_root(&mut self, now: Timestamp, policy: SupervisorPolicy, kids: Vec<(ChildSpec, Kid)>, out: &mut Vec<Order>) {
        self.open(policy, kids, None);
        self.work(now, out);
    }

    pub fn input(&mut self, now: Timestamp, supervisor: &ChildName, input: Input, out: &mut Vec<Order>) {
        self.pending.push_back((supervisor.clone(), input));
        self.work(now, out);
    }

    /// Takes a child in, at the end of that supervisor's order.
    pub fn add(&mut self, now: Timestamp, supervisor: &ChildName, spec: ChildSpec, kid: Kid, out: &mut Vec<Order>) {
        let last = self.last.get(&spec.name).copied().unwrap_or_default();
        let Some(above) = self.supervisors.get_mut(supervisor) else { return };
        above.kids.insert(spec.name.clone(), kid);
        self.input(now, supervisor, Input::Add { spec, last }, out);
    }

    /// The supervisor's timer for `at` has fired. Every child that `lives` shows progress before the time is judged. One that was
    /// replaced meanwhile is nobody's; one that fired early, because the machine's clock was slowed, is set again.
    pub fn tick(&mut self, now: Timestamp, supervisor: &ChildName, at: Timestamp, lives: impl Fn(Role) -> bool, out: &mut Vec<Order>) {
        let Some(ticked) = self.supervisors.get(supervisor).filter(|one| one.due == Some(at)) else { return };
        if at > now {
            return out.push(Order::Wake { supervisor: supervisor.clone(), at });
        }
        let watched = ticked.machine.watched().filter(|(name, _)| match ticked.kids.get(*name) {
            Some(Kid::Actor(role)) => lives(*role),
            Some(Kid::Supervisor(..)) | None => true,
        });
        let beats: Vec<Input> =
            watched.map(|(name, incarnation)| Input::Heartbeat { name: name.clone(), incarnation }).chain([Input::Tick]).collect();
        self.pending.extend(beats.into_iter().map(|input| (supervisor.clone(), input)));
        self.work(now, out);
    }

    /// The supervisor that has a child of that name now.
    #[must_use]
    pub fn supervisor_of(&self, child: &ChildName) -> Option<ChildName> {
        self.supervisors.iter().find(|(_, one)| one.kids.contains_key(child)).map(|(name, _)| name.clone())
    }

    fn open(&mut self, policy: SupervisorPolicy, kids: Vec<(ChildSpec, Kid)>, above: Option<(ChildName, Incarnation)>) {
        let name = policy.name.clone();
        // FNV-1a over the name: siblings with one seed must not share a sequence.
        let seed = name
            .as_str()
            .bytes()
            .fold(self.jitter ^ 0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
        let mut supervisor = Supervisor { machine: Machine::new(policy, seed), kids: BTreeMap::new(), above, due: None };
        for (spec, kid) in kids {
            let last = self.last.get(&spec.name).copied().unwrap_or_default();
            supervisor.kids.insert(spec.name.clone(), kid);
            self.pending.push_back((name.clone(), Input::Add { spec, last }));
        }
        self.supervisors.insert(name.clone(), supervisor);
        self.pending.push_back((name, Input::StartAll));
    }

    fn work(&mut self, now: Timestamp, out: &mut Vec<Order>) {
        while let Some((name, input)) = self.pending.pop_front() {
            let Some(supervisor) = self.supervisors.get_mut(&name) else { continue };
            let mut effects = Vec::new();
            supervisor.machine.on(now, input, &mut effects);
            for effect in effects {
                self.perform(&name, effect, out);
            }
        }
    }

    fn perform(&mut self, name: &ChildName, effect: Effect, out: &mut Vec<Order>) {
        match effect {
            Effect::Start { name: child, incarnation } => self.start(name, &child, incarnation, out),
            Effect::Stop { name: child, incarnation, .. } => match self.kid(name, &child) {
                Some(Kid::Actor(role)) => out.push(Order::Stop { role, incarnation }),
                Some(Kid::Supervisor(..)) => self.pending.push_back((child, Input::StopAll)),
                None => {}
            },
            Effect::Kill { name: child, incarnation } => match self.kid(name, &child) {
                Some(Kid::Actor(role)) => out.push(Order::Kill { role, incarnation }),
                Some(Kid::Supervisor(..)) => {
                    self.end_below(&child, out);
                    self.pending.push_back((name.clone(), Input::ChildExited { name: child, incarnation, how: ExitHow::Killed }));
                }
                None => {}
            },
            Effect::Removed { name: child } => {
                if let Some(supervisor) = self.supervisors.get_mut(name) {
                    supervisor.kids.remove(&child);
                }
            }
            Effect::Escalate { class, why } => out.push(Order::Escalated { supervisor: name.clone(), class, why }),
            Effect::Event(event) => out.push(Order::Event(event)),
            Effect::Schedule(at) => {
                if let Some(supervisor) = self.supervisors.get_mut(name) {
                    supervisor.due = Some(at);
                    out.push(Order::Wake { supervisor: name.clone(), at });
                }
            }
            Effect::Finish(finish) => self.finished(name, finish, out),
        }
    }

    fn start(&mut self, name: &ChildName, child: &ChildName, incarnation: Incarnation, out: &mut Vec<Order>) {
        self.last.insert(child.clone(), incarnation);
        match self.kid(name, child) {
            Some(Kid::Actor(role)) => out.push(Order::Start { role, incarnation }),
            Some(Kid::Supervisor(policy, kids)) => {
                self.open(policy, kids, Some((name.clone(), incarnation)));
                self.pending.push_back((name.clone(), Input::ChildStarted { name: child.clone(), incarnation }));
            }
            None => {}
        }
    }

    fn finished(&mut self, name: &ChildName, finish: Finish, out: &mut Vec<Order>) {
        let Some(ended) = self.supervisors.remove(name) else { return };
        match ended.above {
            Some((above, incarnation)) => {
                let how = match finish {
                    Finish::Ordered => ExitHow::Shutdown,
                    Finish::Escalated { class, why } => ExitHow::Failed { class: Some(class), detail: why },
                };
                self.pending.push_back((above, Input::ChildExited { name: name.clone(), incarnation, how }));
            }
            None => out.push(Order::RootEnded { root: name.clone(), finish }),
        }
    }

    /// A supervisor that is killed takes everything below it along.
    fn end_below(&mut self, name: &ChildName, out: &mut Vec<Order>) {
        let Some(ended) = self.supervisors.remove(name) else { return };
        for (child, kid) in ended.kids {
            match (kid, ended.machine.view(&child)) {
                (Kid::Actor(role), Some(view)) => out.push(Order::Kill { role, incarnation: view.incarnation }),
                (Kid::Supervisor(..), _) => self.end_below(&child, out),
                (Kid::Actor(_), None) => {}
            }
        }
    }

    fn kid(&self, supervisor: &ChildName, child: &ChildName) -> Option<Kid> {
        self.supervisors.get(supervisor)?.kids.get(child).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::restart::RuntimeKind;

    const NOON: Timestamp = Timestamp(1_800_000_000_000_000_000);

    fn name(text: &str) -> ChildName {
        ChildName::new(text).unwrap()
    }

    fn wake(orders: &[Order]) -> Timestamp {
        let mut wakes = orders.iter().filter_map(|order| if let Order::Wake { at, .. } = order { Some(*at) } else { None });
        wakes.next_back().unwrap()
    }

    #[test]
    fn a_timer_that_a_slowed_clock_fires_early_is_set_again_and_the_restart_comes() {
        let (root, child, incarnation) = (name("root"), name("executor/a"), Incarnation(1));
        let (mut tree, mut orders) = (Tree::new(1), Vec::new());
        let kids = vec![(ChildSpec::new(child.clone(), RuntimeKind::Trading), Kid::Actor(Role::Executor(0)))];
        tree.start_root(NOON, SupervisorPolicy::new(root.clone()), kids, &mut orders);
        tree.input(NOON, &root, Input::ChildStarted { name: child.clone(), incarnation }, &mut orders);
        orders.clear();
        tree.input(NOON, &root, Input::ChildExited { name: child, incarnation, how: ExitHow::Killed }, &mut orders);
        let due = wake(&orders);
        orders.clear();
        tree.tick(due - Duration::from_millis(1), &root, due, |_| true, &mut orders);
        assert_eq!(wake(&orders), due, "{orders:?}");
        orders.clear();
        tree.tick(due, &root, due - Duration::from_secs(1), |_| true, &mut orders);
        assert!(orders.is_empty(), "a timer that was replaced is nobody's: {orders:?}");
        tree.tick(due, &root, due, |_| true, &mut orders);
        assert!(orders.iter().any(|order| matches!(order, Order::Start { incarnation: Incarnation(2), .. })), "{orders:?}");
    }
}
