//! Which faults a seed has, and when: a random part of the profile's classes, each with a strength of its own, so that over many
//! seeds every class meets every other. It draws; it does nothing.

use std::time::Duration;

use strum::{Display, EnumIter, EnumString, IntoEnumIterator as _};

use super::{Class, Place, Random};

/// The safety phase lasts so long, in milliseconds.
const SAFETY_MS: [u64; 2] = [40_000, 90_000];
/// Nothing fails before everybody had a chance to come up, or a start would be all that is tried.
const QUIET_MS: u64 = 1_500;
/// A class is in a seed so often.
const CHOSEN_MILLIONTHS: u32 = 300_000;
/// And then so many times.
const TIMES: [u64; 2] = [1, 4];

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Profile {
    /// Every class.
    Default,
    /// Nothing fails.
    Calm,
    /// The journal's device, kills and power cuts.
    Storage,
    /// The venue and the way to it.
    Network,
    /// Deaths, wedges and spins.
    Actors,
    Clocks,
    /// A person who gives many commands.
    Operator,
    /// Strategies that misbehave.
    Strategies,
}

impl Profile {
    /// Every name, for a message.
    #[must_use]
    pub fn names() -> String {
        Self::iter().map(|profile| profile.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Whether its seeds have such faults.
    #[must_use]
    pub fn tries(self, class: Class) -> bool {
        self.has(class) && class != Class::F22SecondDaemon
    }

    fn has(self, class: Class) -> bool {
        let kill = matches!(class, Class::F20Kill | Class::F20KillBeforeSend);
        match self {
            Self::Default => true,
            Self::Calm => false,
            Self::Storage => class.place() == Place::Disk || kill,
            Self::Network => class.place() == Place::Venue,
            Self::Actors => class.place() == Place::Daemon,
            Self::Clocks => class.place() == Place::Clock || matches!(class, Class::F09Skew | Class::F18VenueClock),
            Self::Operator => class.place() == Place::Operator,
            Self::Strategies => class.place() == Place::Strategy,
        }
    }
}

/// What the simulation does not do, and why. The command lists it.
pub const LEFT_OUT: &[(&str, &str)] = &[
    (
        "F22 two daemons on one account",
        "one daemon per data directory is held by a lock of the file system (tests/it/daemon_bad_input.rs); a lease between hosts comes with fleets",
    ),
    ("F25 of a supervisor itself", "its death takes its children along by the actor system's links (tests/it/supervision)"),
    ("F25 of all services at once", "the end from outside is a thread of the process (tests/it/daemon_faults)"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub at: Duration,
    pub class: Class,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// When the faults stop.
    pub calm_at: Duration,
    /// In the order of time.
    pub faults: Vec<Planned>,
}

impl Plan {
    #[must_use]
    pub fn draw(profile: Profile, random: &mut Random) -> Self {
        let length = random.between(SAFETY_MS[0], SAFETY_MS[1]);
        let mut faults = Vec::new();
        for class in Class::iter().filter(|class| profile.tries(*class)) {
            if !random.chance(CHOSEN_MILLIONTHS) {
                continue;
            }
            for _ in 0..random.between(TIMES[0], TIMES[1]) {
                faults.push(Planned { at: Duration::from_millis(random.between(QUIET_MS, length)), class });
            }
        }
        faults.sort_by_key(|planned| planned.at);
        Self { calm_at: Duration::from_millis(length), faults }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_class_comes_over_some_seeds_and_none_in_a_calm_one() {
        let mut seen = BTreeSet::new();
        for seed in 0..60 {
            let plan = Plan::draw(Profile::Default, &mut Random::new(seed));
            assert!(plan.faults.is_sorted_by_key(|planned| planned.at) && plan.faults.iter().all(|planned| planned.at <= plan.calm_at));
            seen.extend(plan.faults.into_iter().map(|planned| planned.class));
            assert!(Plan::draw(Profile::Calm, &mut Random::new(seed)).faults.is_empty());
        }
        let missing: Vec<_> = Class::iter().filter(|class| !seen.contains(class)).collect();
        assert_eq!(missing, [Class::F22SecondDaemon]);
    }
}
