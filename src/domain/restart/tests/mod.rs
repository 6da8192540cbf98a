//! The rules of supervision, one test each, against children that exist only on paper: the world below starts, stops and
//! kills them as a driver would and writes down what it was told to do.

mod beyond;
pub(crate) mod otp;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::domain::ids::Incarnation;
use crate::domain::mode::FaultClass;
use crate::domain::time::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

fn name(text: &str) -> ChildName {
    ChildName::new(text).unwrap()
}

fn spec(text: &str) -> ChildSpec {
    ChildSpec::new(name(text), RuntimeKind::Services)
}

fn transient(text: &str) -> ChildSpec {
    ChildSpec { restart: Restart::Transient, ..spec(text) }
}

fn temporary(text: &str) -> ChildSpec {
    ChildSpec { restart: Restart::Temporary, ..spec(text) }
}

fn panicked() -> ExitHow {
    ExitHow::Panicked("boom".to_owned())
}

fn failed(class: FaultClass) -> ExitHow {
    ExitHow::Failed { class: Some(class), detail: "broken".to_owned() }
}

struct World {
    machine: Machine,
    now: Timestamp,
    tick_at: Option<Timestamp>,
    /// Orders to children, escalations and the end, in words.
    orders: Vec<String>,
    events: Vec<SupervisionEvent>,
    alive: Vec<(ChildName, Incarnation)>,
    /// Children that do not answer an order to start, to stop, and a kill.
    starts_slowly: BTreeSet<&'static str>,
    ignores_stop: BTreeSet<&'static str>,
    ignores_kill: BTreeSet<&'static str>,
    /// Children whose start fails.
    cannot_start: BTreeSet<&'static str>,
    /// Children that make progress at every tick.
    beating: BTreeSet<&'static str>,
}

impl World {
    fn with(policy: SupervisorPolicy, children: impl IntoIterator<Item = ChildSpec>) -> Self {
        let mut world = Self {
            machine: Machine::new(policy, 1),
            now: Timestamp::from_millis(1_000_000),
            tick_at: None,
            orders: Vec::new(),
            events: Vec::new(),
            alive: Vec::new(),
            starts_slowly: BTreeSet::new(),
            ignores_stop: BTreeSet::new(),
            ignores_kill: BTreeSet::new(),
            cannot_start: BTreeSet::new(),
            beating: BTreeSet::new(),
        };
        for spec in children {
            world.give(Input::Add { spec, last: Incarnation(0) });
        }
        world
    }

    fn new(strategy: Strategy, children: impl IntoIterator<Item = ChildSpec>) -> Self {
        Self::with(SupervisorPolicy { strategy, ..SupervisorPolicy::new(name("top")) }, children)
    }

    fn started(strategy: Strategy, children: impl IntoIterator<Item = ChildSpec>) -> Self {
        let mut world = Self::new(strategy, children);
        world.give(Input::StartAll);
        world.orders.clear();
        world.events.clear();
        world
    }

    fn give(&mut self, input: Input) {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.machine.on(self.now, input, &mut out);
            for effect in out {
                inputs.extend(self.obey(effect));
            }
        }
    }

    /// Does what a driver with obedient children would do.
    fn obey(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Start { name, incarnation } => {
                self.orders.push(format!("start {name}#{incarnation}"));
                assert!(!self.alive.iter().any(|(other, _)| *other == name), "two incarnations of {name}");
                if self.cannot_start.contains(name.as_str()) {
                    return Some(Input::StartFailed { name, incarnation, how: panicked() });
                }
                self.alive.push((name.clone(), incarnation));
                (!self.starts_slowly.contains(name.as_str())).then_some(Input::ChildStarted { name, incarnation })
            }
            Effect::Stop { name, incarnation, .. } => {
                self.orders.push(format!("stop {name}#{incarnation}"));
                if self.ignores_stop.contains(name.as_str()) { None } else { self.end(name, incarnation, ExitHow::Shutdown) }
            }
            Effect::Kill { name, incarnation } => {
                self.orders.push(format!("kill {name}#{incarnation}"));
                if self.ignores_kill.contains(name.as_str()) { None } else { self.end(name, incarnation, ExitHow::Killed) }
            }
            Effect::Removed { name } => {
                self.orders.push(format!("forget {name}"));
                None
            }
            Effect::Escalate { class, .. } => {
                self.orders.push(format!("escalate {class}"));
                None
            }
            Effect::Event(event) => {
                self.events.push(event);
                None
            }
            Effect::Schedule(at) => {
                assert!(at >= self.now, "a tick in the past");
                self.tick_at = Some(at);
                None
            }
            Effect::Finish(Finish::Ordered) => {
                self.orders.push("finish".to_owned());
                None
            }
            Effect::Finish(Finish::Escalated { class, .. }) => {
                self.orders.push(format!("fail {class}"));
                None
            }
        }
    }

    fn end(&mut self, name: ChildName, incarnation: Incarnation, how: ExitHow) -> Option<Input> {
        let before = self.alive.len();
        self.alive.retain(|(other, of)| (other, of) != (&name, &incarnation));
        (self.alive.len() < before).then_some(Input::ChildExited { name, incarnation, how })
    }

    /// The running incarnation of that child ends.
    fn exit(&mut self, child: &str, how: ExitHow) {
        let incarnation = self.incarnation(child);
        let input = self.end(name(child), incarnation, how).unwrap_or_else(|| panic!("{child} is not alive"));
        self.give(input);
    }

    fn ready(&mut self, child: &str) {
        let incarnation = self.incarnation(child);
        self.give(Input::ChildReady { name: name(child), incarnation });
    }

    /// Lets time pass, with a tick whenever the machine asked for one.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.tick_at.filter(|at| *at <= end) {
            self.now = at;
            self.tick_at = None;
            for child in self.beating.clone() {
                let incarnation = self.incarnation(child);
                self.give(Input::Heartbeat { name: name(child), incarnation });
            }
            self.give(Input::Tick);
        }
        self.now = end;
    }

    fn take_orders(&mut self) -> Vec<String> {
        std::mem::take(&mut self.orders)
    }

    fn count(&self, what: EventKind) -> usize {
        self.events.iter().filter(|event| event.what == what).count()
    }

    fn view(&self, child: &str) -> ChildView {
        self.machine.view(&name(child)).unwrap_or_else(|| panic!("{child} is no child"))
    }

    fn incarnation(&self, child: &str) -> Incarnation {
        self.view(child).incarnation
    }

    fn state(&self, child: &str) -> ChildState {
        self.view(child).state
    }
}
