//! The daemon's tree as its application builds it: who stands under whom, with which deadlines. It decides nothing.

use std::time::Duration;

use crate::actors::names;
use crate::domain::restart::{Backoff, ChildName, ChildSpec, Intensity, Readiness, Restart, RuntimeKind, Shutdown, SupervisorPolicy};

use super::super::scene::Scene;
use super::super::tree::Kid;
use super::Role;

/// As on the safety side of the daemon.
const SAFETY_SILENCE: Duration = Duration::from_secs(2);
const DEAD_MAN_SILENCE: Duration = Duration::from_secs(10);

pub type Kids = Vec<(ChildSpec, Kid)>;

fn policy(scene: &Scene, name: ChildName) -> SupervisorPolicy {
    let wanted = &scene.settings.supervision;
    SupervisorPolicy {
        intensity: Intensity { restarts: wanted.intensity, period: wanted.period },
        backoff: Backoff { base: wanted.backoff_min, max: wanted.backoff_max, stable: wanted.stable_after },
        ..SupervisorPolicy::new(name)
    }
}

fn upper_policy(scene: &Scene, name: &'static str) -> SupervisorPolicy {
    let mut policy = policy(scene, names::plain(name));
    policy.intensity.restarts = policy.intensity.restarts.min(3);
    policy
}

fn child(scene: &Scene, role: Role) -> ChildSpec {
    let runtime = if role.is_trading() { RuntimeKind::Trading } else { RuntimeKind::Services };
    let mut spec = ChildSpec::new(role.name(scene), runtime);
    let silence = match role {
        Role::KillSwitch | Role::JournalWatch | Role::SafetyBeat => SAFETY_SILENCE,
        Role::DeadMan => DEAD_MAN_SILENCE,
        _ => scene.settings.supervision.heartbeat_deadline,
    };
    spec.heartbeat = Some(silence);
    match role {
        Role::KillSwitch => spec.readiness = Readiness::Reported { within: Some(Duration::from_secs(5)) },
        Role::Feed => spec.readiness = Readiness::Reported { within: Some(Duration::from_secs(10)) },
        Role::Executor(_) | Role::Market(_) | Role::Strategy(_) => spec.readiness = Readiness::Reported { within: None },
        Role::JournalWatch => spec.restart = Restart::Temporary,
        _ => {}
    }
    spec
}

fn actors(scene: &Scene, roles: &[Role]) -> Kids {
    roles.iter().map(|role| (child(scene, *role), Kid::Actor(*role))).collect()
}

/// A child under a guard of its own, which is gone when it gives up.
#[must_use]
pub fn guarded(scene: &Scene, roles: &[Role]) -> (ChildSpec, Kid) {
    let name = names::guard(&roles[0].name(scene));
    let mut spec = ChildSpec::new(name.clone(), RuntimeKind::Trading);
    spec.restart = Restart::Temporary;
    spec.shutdown = Shutdown::Stop(Duration::from_secs(5));
    (spec, Kid::Supervisor(policy(scene, name), actors(scene, roles)))
}

fn level(scene: &Scene, name: &'static str, kids: Kids) -> (ChildSpec, Kid) {
    (ChildSpec::new(names::plain(name), RuntimeKind::Trading), Kid::Supervisor(upper_policy(scene, name), kids))
}

#[must_use]
pub fn safety_root(scene: &Scene) -> (SupervisorPolicy, Kids) {
    let policy = SupervisorPolicy {
        intensity: Intensity { restarts: 3, period: Duration::from_secs(30) },
        ..SupervisorPolicy::new(names::plain("safety"))
    };
    (policy, actors(scene, &[Role::KillSwitch, Role::JournalWatch, Role::SafetyBeat, Role::DeadMan]))
}

/// Risk first, because nothing may be proposed to nobody; strategies last.
#[must_use]
pub fn trading_root(scene: &Scene) -> (SupervisorPolicy, Kids) {
    let mut kids = actors(scene, &[Role::Risk]);
    let guards = |roles: &[Vec<Role>]| roles.iter().map(|roles| guarded(scene, roles)).collect();
    kids.push(level(scene, "execution", guards(&executors(scene))));
    kids.push(level(scene, "markets", guards(&markets(scene))));
    kids.push(level(scene, "strategies", guards(&strategies(scene))));
    kids.extend(actors(scene, &[Role::Metronome]));
    (upper_policy(scene, "trading"), kids)
}

#[must_use]
pub fn executors(scene: &Scene) -> Vec<Vec<Role>> {
    (0..scene.accounts.len()).map(|at| vec![Role::Executor(at), Role::Stream(at)]).collect()
}

#[must_use]
pub fn markets(scene: &Scene) -> Vec<Vec<Role>> {
    (0..scene.symbols.len()).map(|at| vec![Role::Market(at)]).chain([vec![Role::Feed]]).collect()
}

#[must_use]
pub fn strategies(scene: &Scene) -> Vec<Vec<Role>> {
    (0..scene.strategies.len()).map(|at| vec![Role::Strategy(at)]).collect()
}
