//! What many seeds came to: sums in the order of the seeds, so that the same seeds give the same text whatever the number of
//! threads that ran them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use strum::IntoEnumIterator as _;

use super::Class;
use super::plan::{LEFT_OUT, Profile};
use super::world::Outcome;

/// Violations of one invariant that are shown; all are counted.
const SHOWN_MAX: u64 = 5;

#[derive(Debug, Clone, Serialize)]
pub struct Violation {
    pub seed: u64,
    pub what: String,
    /// The one command that shows it again, with its log.
    pub replay: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct LeftOut {
    pub fault: &'static str,
    pub why: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub struct Pairs {
    pub covered: usize,
    pub possible: usize,
}

/// The whole run, as `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub profile: String,
    pub first_seed: u64,
    pub seeds: u64,
    pub simulated_hours: String,
    pub steps: u64,
    pub orders: u64,
    pub trades: u64,
    /// By class, how often a fault had an effect.
    pub faults_fired: BTreeMap<&'static str, u64>,
    pub faults_total: u64,
    pub fault_pairs: Pairs,
    pub not_simulated: Vec<LeftOut>,
    pub violations_total: u64,
    pub violations_by_invariant: BTreeMap<String, u64>,
    pub seeds_failed: u64,
    pub violations: Vec<Violation>,
    pub hash: String,
}

/// Adds seeds up, one after another.
pub struct Sum {
    profile: Profile,
    first: u64,
    seeds: u64,
    simulated: Duration,
    steps: u64,
    orders: u64,
    trades: u64,
    fired: BTreeMap<Class, u64>,
    pairs: BTreeSet<(Class, Class)>,
    violations: Vec<Violation>,
    violations_by: BTreeMap<String, u64>,
    failed: u64,
    hasher: blake3::Hasher,
}

impl Sum {
    #[must_use]
    pub fn new(profile: Profile, first: u64) -> Self {
        Self {
            profile,
            first,
            seeds: 0,
            simulated: Duration::ZERO,
            steps: 0,
            orders: 0,
            trades: 0,
            fired: BTreeMap::new(),
            pairs: BTreeSet::new(),
            violations: Vec::new(),
            violations_by: BTreeMap::new(),
            failed: 0,
            hasher: blake3::Hasher::new(),
        }
    }

    /// The next seed, in the order of the seeds.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.simulated += outcome.simulated;
        self.steps += outcome.steps;
        self.orders += outcome.orders;
        self.trades += outcome.trades;
        self.hasher.update(outcome.hash.as_bytes());
        let classes: Vec<Class> = outcome.fired.keys().copied().collect();
        for (at, class) in classes.iter().enumerate() {
            *self.fired.entry(*class).or_default() += outcome.fired[class];
            self.pairs.extend(classes[at + 1..].iter().map(|other| (*class, *other)));
        }
        self.failed += u64::from(!outcome.violations.is_empty());
        for what in &outcome.violations {
            self.hasher.update(what.as_bytes());
            let invariant = what.split([' ', ':']).next().unwrap_or_default().to_owned();
            let so_far = self.violations_by.entry(invariant).or_default();
            *so_far += 1;
            if *so_far <= SHOWN_MAX {
                let replay = replay(outcome.seed, self.profile);
                self.violations.push(Violation { seed: outcome.seed, what: what.clone(), replay });
            }
        }
    }

    #[must_use]
    pub fn finish(self) -> Report {
        let possible: Vec<Class> = Class::iter().filter(|class| self.profile.tries(*class)).collect();
        let fired = possible.iter().map(|class| (class.name(), self.fired.get(class).copied().unwrap_or_default()));
        Report {
            profile: self.profile.to_string(),
            first_seed: self.first,
            seeds: self.seeds,
            simulated_hours: hours(self.simulated),
            steps: self.steps,
            orders: self.orders,
            trades: self.trades,
            faults_fired: fired.collect(),
            faults_total: self.fired.values().sum(),
            fault_pairs: Pairs { covered: self.pairs.len(), possible: possible.len() * possible.len().saturating_sub(1) / 2 },
            not_simulated: LEFT_OUT.iter().map(|(fault, why)| LeftOut { fault, why }).collect(),
            violations_total: self.violations_by.values().sum(),
            violations_by_invariant: self.violations_by,
            seeds_failed: self.failed,
            violations: self.violations,
            hash: self.hasher.finalize().to_hex().to_string(),
        }
    }
}

/// The command that shows one seed again.
#[must_use]
pub fn replay(seed: u64, profile: Profile) -> String {
    format!("ringfence simulate --seeds {seed}..{} --profile {profile} --log", seed + 1)
}

/// With one digit behind the point: a tenth of an hour is six minutes.
fn hours(simulated: Duration) -> String {
    let tenths = simulated.as_secs() / 360;
    format!("{}.{}", tenths / 10, tenths % 10)
}

impl Report {
    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let rows = [
            ("Profile", self.profile.clone()),
            ("Seeds", format!("{} from {}", self.seeds, self.first_seed)),
            ("Simulated hours", self.simulated_hours.clone()),
            ("Steps", self.steps.to_string()),
            ("Orders", self.orders.to_string()),
            ("Trades", self.trades.to_string()),
            ("Faults fired", self.faults_total.to_string()),
            ("Fault pairs", format!("{} of {}", self.fault_pairs.covered, self.fault_pairs.possible)),
            ("Violations", format!("{} in {} seeds", self.violations_total, self.seeds_failed)),
            ("Hash", self.hash.clone()),
        ];
        // Writing to a String cannot fail.
        for (name, value) in rows {
            let _ = writeln!(text, "{name:<32}{value}");
        }
        for (class, count) in &self.faults_fired {
            let _ = writeln!(text, "  {class:<30}{count}");
        }
        for LeftOut { fault, why } in &self.not_simulated {
            let _ = writeln!(text, "not simulated: {fault}: {why}");
        }
        for (invariant, count) in &self.violations_by_invariant {
            let _ = writeln!(text, "VIOLATED {invariant}: {count} times");
        }
        for Violation { seed, what, replay } in &self.violations {
            let _ = writeln!(text, "VIOLATION seed {seed}: {what}\n  replay: {replay}");
        }
        let hidden = self.violations_total - self.violations.len() as u64;
        if hidden > 0 {
            let _ = writeln!(text, "… and {hidden} violations more");
        }
        text
    }
}
