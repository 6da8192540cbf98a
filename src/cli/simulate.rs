//! `ringfence simulate`: seeds through the fault simulation, on as many threads as there are. Figures go to stdout and know no wall
//! time; rates go to stderr.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::Args;

use crate::simulation::fault::plan::Profile;
use crate::simulation::fault::report::{Report, Sum};
use crate::simulation::fault::scene::Scene;
use crate::simulation::fault::world::{self, Outcome};

use super::failure::Failure;
use super::output;

/// More seeds than anybody waits for: a day of them on a fast machine.
const SEEDS_MAX: u64 = 100_000_000;
/// Between two rates on stderr.
const TOLD_EVERY: Duration = Duration::from_secs(5);
/// Finished seeds that may wait for an earlier one that takes longer.
const AHEAD_MAX: usize = 1_024;

/// Run seeds of the fault simulation: the daemon's machines, venue, disk and clocks fail as each seed says, in virtual time
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence simulate --seeds 0..1000\n\n\
    The same seeds give the same output, whatever the machine. Exit 1 when an invariant was violated.")]
pub(super) struct Arguments {
    /// Which seeds, the last one excluded: 0..1000
    #[arg(long, value_name = "A..B")]
    seeds: String,
    /// What fails: default, calm, storage, network, actors, clocks, operator, strategies
    #[arg(long, value_name = "PROFILE", default_value = "default")]
    profile: String,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Print what happened, step by step; for a single seed
    #[arg(long)]
    log: bool,
    /// How many seeds run side by side; as many as there are processors when not given
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let seeds = range(&arguments.seeds)?;
    let profile = Profile::from_str(&arguments.profile)
        .map_err(|_| Failure::usage(format!("--profile expected one of {}, found {:?}", Profile::names(), arguments.profile)))?;
    if arguments.log && seeds.end - seeds.start != 1 {
        let found = seeds.end - seeds.start;
        return Err(Failure::usage(format!("--log expected a single seed, found {found}: name one, as in --seeds 7..8 --log")));
    }
    if arguments.log && arguments.json {
        return Err(Failure::usage("--log expected to stand without --json: a log is for people".to_owned()));
    }
    let scene = Scene::shared().map_err(Failure::failed)?;
    let report = if arguments.log { logged(&scene, profile, seeds.start)? } else { run(&scene, profile, seeds, arguments.threads) };
    print(&report, arguments.json)?;
    if report.violations_total == 0 {
        return Ok(());
    }
    Err(Failure::failed(format!("expected no violation, found {} in {} seeds", report.violations_total, report.seeds_failed)))
}

/// `A..B`, half open and not empty.
fn range(text: &str) -> Result<std::ops::Range<u64>, Failure> {
    let refused = |found: String| Failure::usage(format!("--seeds expected A..B with A below B, as in 0..1000, found {found}"));
    let (from, to) = text.split_once("..").ok_or_else(|| refused(format!("{text:?}")))?;
    let number = |text: &str| u64::from_str(text).map_err(|_| refused(format!("{text:?} where a whole number belongs")));
    let (from, to) = (number(from)?, number(to)?);
    if from >= to {
        return Err(refused(format!("{text:?}, which has no seed")));
    }
    if to - from > SEEDS_MAX {
        return Err(refused(format!("{} seeds, at most {SEEDS_MAX}", to - from)));
    }
    Ok(from..to)
}

fn logged(scene: &Arc<Scene>, profile: Profile, seed: u64) -> Result<Report, Failure> {
    let outcome = world::run(scene, profile, seed, true);
    let mut text = String::new();
    for line in &outcome.log {
        text.push_str(line);
        text.push('\n');
    }
    output::print(&text)?;
    let mut sum = Sum::new(profile, seed);
    sum.add(&outcome);
    Ok(sum.finish())
}

/// Threads take the next seed that nobody has; their outcomes are added in the order of the seeds.
fn run(scene: &Arc<Scene>, profile: Profile, seeds: std::ops::Range<u64>, threads: Option<NonZeroUsize>) -> Report {
    let threads = threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let next = AtomicU64::new(seeds.start);
    let (sender, outcomes) = mpsc::sync_channel::<Outcome>(AHEAD_MAX);
    let mut sum = Sum::new(profile, seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (next, sender, end) = (&next, sender.clone(), seeds.end);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // The one who adds lives as long as the last sender.
                    if seed >= end || sender.send(world::run(scene, profile, seed, false)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        add_in_order(&mut sum, seeds.start, &outcomes);
    });
    sum.finish()
}

#[allow(clippy::disallowed_methods, reason = "a rate on stderr is of wall time, and nothing else is")]
fn add_in_order(sum: &mut Sum, first: u64, outcomes: &mpsc::Receiver<Outcome>) {
    let (began, mut told, mut next) = (Instant::now(), Instant::now(), first);
    let mut early: BTreeMap<u64, Outcome> = BTreeMap::new();
    for outcome in outcomes {
        early.insert(outcome.seed, outcome);
        while let Some(outcome) = early.remove(&next) {
            sum.add(&outcome);
            next += 1;
        }
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            rate(next - first, began);
        }
    }
    rate(next - first, began);
}

fn rate(done: u64, began: Instant) {
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    let (seconds, tenths, rate) = (millis / 1000, millis % 1000 / 100, done.saturating_mul(1000) / millis);
    output::complain(&format!("{done} seeds in {seconds}.{tenths} s, {rate} a second\n"));
}

fn print(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        return output::print_json(report);
    }
    output::print(&report.text())
}
