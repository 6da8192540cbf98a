//! Whatever happens in whatever order: never two incarnations of a child, starts in order, restarts within the intensity,
//! stops in reverse order, and an end when one was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert, prop_oneof, proptest};
use proptest::strategy::Strategy as Values;

use super::*;
use crate::domain::ids::Incarnation;
use crate::domain::mode::FaultClass;
use crate::domain::time::Timestamp;

const CHILDREN: usize = 5;
const PERIOD: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
enum Action {
    /// A child that is alive ends in this way.
    Exit(usize, u8),
    /// A child whose start is pending has started.
    Start(usize),
    Ready(usize),
    Beat(usize),
    /// A child that was told to stop or killed obeys.
    Obey(usize),
    Restart(usize),
    Remove(usize),
    Add(usize),
    Pass(u64),
}

fn action() -> impl Values<Value = Action> {
    let child = 0..CHILDREN;
    prop_oneof![
        3 => (child.clone(), any::<u8>()).prop_map(|(child, how)| Action::Exit(child, how)),
        6 => child.clone().prop_map(Action::Start),
        1 => child.clone().prop_map(Action::Ready),
        1 => child.clone().prop_map(Action::Beat),
        6 => child.clone().prop_map(Action::Obey),
        1 => child.clone().prop_map(Action::Restart),
        1 => child.clone().prop_map(Action::Remove),
        1 => child.prop_map(Action::Add),
        4 => (1_u64..3_000).prop_map(Action::Pass),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Live {
    incarnation: Incarnation,
    started: bool,
    told_to_end: bool,
}

struct Model {
    machine: Machine,
    now: Timestamp,
    tick_at: Option<Timestamp>,
    live: BTreeMap<usize, Live>,
    last: BTreeMap<usize, Incarnation>,
    charged: Vec<Timestamp>,
    intensity: u32,
    finished: bool,
    strategy: Strategy,
    /// Restarted by the operator, who may restart several at once in any order.
    by_operator: BTreeSet<usize>,
}

fn name_of(child: usize) -> ChildName {
    ChildName::new(&format!("child/{child}")).unwrap()
}

fn number_of(name: &ChildName) -> usize {
    name.as_str().trim_start_matches("child/").parse().unwrap()
}

fn spec_of(child: usize) -> ChildSpec {
    let restart = [Restart::Permanent, Restart::Permanent, Restart::Transient, Restart::Permanent, Restart::Temporary][child];
    let heartbeat = (child == 1).then_some(Duration::from_secs(4));
    let readiness = if child == 3 { Readiness::Reported { within: Some(Duration::from_secs(3)) } } else { Readiness::Started };
    ChildSpec { restart, heartbeat, readiness, ..ChildSpec::new(name_of(child), RuntimeKind::Services) }
}

fn how_of(how: u8) -> ExitHow {
    match how % 5 {
        0 => ExitHow::Normal,
        1 => ExitHow::Shutdown,
        2 => ExitHow::Killed,
        3 => ExitHow::Panicked("boom".to_owned()),
        _ => ExitHow::Failed { class: Some(FaultClass::Transport), detail: "gone".to_owned() },
    }
}

impl Model {
    fn new(strategy: Strategy, intensity: u32, seed: u64) -> Self {
        let policy = SupervisorPolicy {
            strategy,
            intensity: Intensity { restarts: intensity, period: PERIOD },
            ..SupervisorPolicy::new(ChildName::new("top").unwrap())
        };
        let mut model = Self {
            machine: Machine::new(policy, seed),
            now: Timestamp::from_millis(5_000),
            tick_at: None,
            live: BTreeMap::new(),
            last: BTreeMap::new(),
            charged: Vec::new(),
            intensity,
            finished: false,
            strategy,
            by_operator: BTreeSet::new(),
        };
        for child in 0..CHILDREN {
            model.give(Input::Add { spec: spec_of(child), last: Incarnation(0) });
        }
        model.give(Input::StartAll);
        model
    }

    fn give(&mut self, input: Input) {
        let mut out = Vec::new();
        self.machine.on(self.now, input, &mut out);
        for effect in out {
            self.check(effect);
        }
    }

    fn check(&mut self, effect: Effect) {
        assert!(!self.finished, "{effect:?} after the end");
        match effect {
            Effect::Start { name, incarnation } => {
                let child = number_of(&name);
                assert!(incarnation > self.last.get(&child).copied().unwrap_or_default(), "incarnations only grow");
                self.last.insert(child, incarnation);
                let before = self.live.insert(child, Live { incarnation, started: false, told_to_end: false });
                assert_eq!(before, None, "two live incarnations of {name}");
            }
            Effect::Stop { name, incarnation, .. } | Effect::Kill { name, incarnation } => {
                let live = self.live.get_mut(&number_of(&name)).expect("only a live child is told to end");
                assert_eq!(live.incarnation, incarnation, "an order to the wrong incarnation");
                live.told_to_end = true;
            }
            Effect::Event(event) if event.what == EventKind::RestartScheduled => {
                self.charged.push(event.at);
                let in_window = self.charged.iter().filter(|at| event.at.since(**at) < PERIOD).count();
                assert!(in_window <= self.intensity as usize, "{in_window} restarts within the period");
            }
            // A child that was given up is dead to the supervisor; the model lets it go, too.
            Effect::Event(event) if event.what == EventKind::Unkillable => {
                self.live.remove(&number_of(&event.child));
            }
            Effect::Schedule(at) => {
                assert!(at >= self.now, "a tick in the past");
                self.tick_at = Some(at);
            }
            Effect::Finish(_) => {
                assert!(self.live.is_empty(), "the supervisor ended before its children: {:?}", self.live);
                self.finished = true;
            }
            Effect::Removed { name } => assert!(!self.live.contains_key(&number_of(&name)), "{name} was forgotten alive"),
            Effect::Event(_) | Effect::Escalate { .. } => {}
        }
    }

    fn apply(&mut self, action: &Action) {
        match *action {
            Action::Exit(child, how) => self.end(child, how_of(how)),
            Action::Obey(child) if self.live.get(&child).is_some_and(|live| live.told_to_end) => self.end(child, ExitHow::Killed),
            Action::Obey(_) => {}
            Action::Start(child) => {
                if let Some(live) = self.live.get_mut(&child)
                    && !std::mem::replace(&mut live.started, true)
                {
                    let incarnation = live.incarnation;
                    self.give(Input::ChildStarted { name: name_of(child), incarnation });
                }
            }
            Action::Ready(child) => self.tell(child, |name, incarnation| Input::ChildReady { name, incarnation }),
            Action::Beat(child) => self.tell(child, |name, incarnation| Input::Heartbeat { name, incarnation }),
            Action::Restart(child) => {
                self.by_operator.insert(child);
                self.give_unless_finished(Input::Restart { name: name_of(child) });
            }
            Action::Remove(child) => self.give_unless_finished(Input::Remove { name: name_of(child) }),
            Action::Add(child) => {
                let last = self.last.get(&child).copied().unwrap_or_default();
                self.give_unless_finished(Input::Add { spec: spec_of(child), last });
            }
            Action::Pass(millis) => self.pass(Duration::from_millis(millis)),
        }
    }

    fn give_unless_finished(&mut self, input: Input) {
        if !self.finished {
            self.give(input);
        }
    }

    fn tell(&mut self, child: usize, input: impl FnOnce(ChildName, Incarnation) -> Input) {
        if let Some(live) = self.live.get(&child) {
            self.give(input(name_of(child), live.incarnation));
        }
    }

    fn end(&mut self, child: usize, how: ExitHow) {
        if let Some(live) = self.live.remove(&child) {
            self.give(Input::ChildExited { name: name_of(child), incarnation: live.incarnation, how });
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.tick_at.filter(|at| *at <= end && !self.finished) {
            self.now = at;
            self.tick_at = None;
            self.give(Input::Tick);
        }
        self.now = end;
    }

    /// In a group nobody is started beside an elder that is still starting.
    fn check_start_order(&self) {
        if self.strategy == Strategy::OneForOne {
            return;
        }
        let views = self.machine.views();
        for pair in views.windows(2) {
            let asked_for = pair.iter().any(|view| self.by_operator.contains(&number_of(&view.name)));
            if pair[1].state == ChildState::Starting && !asked_for {
                assert_ne!(pair[0].state, ChildState::Starting, "{} starts beside {}", pair[1].name, pair[0].name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn supervision_holds_its_promises_under_any_sequence_of_events(
        strategy in prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)],
        intensity in 0_u32..6,
        seed in any::<u64>(),
        actions in prop::collection::vec(action(), 1..120),
    ) {
        let mut model = Model::new(strategy, intensity, seed);
        for action in &actions {
            model.apply(action);
            model.check_start_order();
        }
        // Liveness: asked to stop, with children that obey, it ends within their deadlines.
        model.give_unless_finished(Input::StopAll);
        for _ in 0..CHILDREN * 2 {
            for child in 0..CHILDREN {
                model.apply(&Action::Obey(child));
            }
            model.pass(Duration::from_secs(1));
        }
        prop_assert!(model.finished, "still there: {:?}", model.machine.views());
    }

    #[test]
    fn supervision_ends_even_when_no_child_obeys(
        strategy in prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)],
        actions in prop::collection::vec(action(), 1..40),
    ) {
        let mut model = Model::new(strategy, 3, 7);
        for action in &actions {
            model.apply(action);
        }
        model.give_unless_finished(Input::StopAll);
        // Five seconds to stop and one to die of a kill, one child after another.
        model.pass(Duration::from_secs(6 * CHILDREN as u64 + 1));
        prop_assert!(model.finished, "still there: {:?}", model.machine.views());
    }
}
