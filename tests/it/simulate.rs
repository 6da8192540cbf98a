//! `ringfence simulate` as a person or a script uses it: what it refuses, that the same seeds give the same bytes whatever the
//! number of threads, and which faults a profile has.

use serde_json::Value;

use crate::cli::{Outcome, ringfence};

fn simulate(arguments: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    ringfence(directory.path(), &[&["simulate"][..], arguments].concat(), &[])
}

/// Whole seconds and tenths of wall time, and what comes of them, are on stderr alone.
fn json(arguments: &[&str]) -> Value {
    let outcome = simulate(&[arguments, &["--json"][..]].concat());
    assert!(outcome.code < 2, "{}{}", outcome.stdout, outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn a_range_or_a_profile_that_is_none_is_refused_with_what_was_expected() {
    for (arguments, expected) in [
        (&["--seeds", "7"][..], "expected A..B"),
        (&["--seeds", "5..5"], "has no seed"),
        (&["--seeds", "9..3"], "has no seed"),
        (&["--seeds", "a..9"], "\"a\" where a whole number belongs"),
        (&["--seeds", "0..-1"], "whole number"),
        (&["--seeds", "0..=9"], "whole number"),
        (&["--seeds", "0..18446744073709551616"], "whole number"),
        (&["--seeds", "0..18446744073709551615"], "at most"),
        (&["--seeds", "0..2", "--profile", "sunny"], "default, calm, storage, network, actors, clocks, operator, strategies"),
        (&["--seeds", "0..2", "--log"], "a single seed"),
        (&["--seeds", "0..1", "--log", "--json"], "without --json"),
    ] {
        let outcome = simulate(arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(outcome.stderr.contains(expected), "{arguments:?}: {}", outcome.stderr);
    }
}

#[test]
fn the_same_seeds_give_the_same_bytes_whatever_the_number_of_threads() {
    let [one, many, again] = ["1", "5", "5"].map(|threads| simulate(&["--seeds", "40..46", "--threads", threads]));
    assert!(one.code < 2 && one.stdout.contains("Hash"), "{}", one.stderr);
    assert_eq!((one.code, &one.stdout), (many.code, &many.stdout));
    assert_eq!(many.stdout, again.stdout);
    assert!(one.stderr.contains("6 seeds in"), "rates are on stderr: {}", one.stderr);
    let other = simulate(&["--seeds", "41..47", "--threads", "5"]);
    assert_ne!(one.stdout, other.stdout);
}

#[test]
fn a_single_seed_tells_what_happened_step_by_step_and_is_the_same_run() {
    let logged = simulate(&["--seeds", "3..4", "--log"]);
    let plain = simulate(&["--seeds", "3..4"]);
    assert_eq!(logged.code, plain.code);
    assert!(logged.stdout.ends_with(&plain.stdout), "the figures stand behind the log");
    for word in ["is up, epoch 1", "proposes OrderIntent", "→ venue Place", "executor/alpha"] {
        assert!(logged.stdout.contains(word), "{word}");
    }
}

#[test]
fn nothing_fails_in_a_calm_world_and_every_account_trades() {
    let report = json(&["--seeds", "0..4", "--profile", "calm"]);
    assert_eq!(report["faults_total"], 0);
    assert!(report["orders"].as_u64().unwrap() > 200 && report["trades"].as_u64().unwrap() > 100, "{report}");
}

#[test]
fn a_profile_fires_its_own_faults_and_no_others() {
    for (profile, fires) in
        [("clocks", "clock_step"), ("actors", "F25_panic"), ("storage", "F20_kill_daemon"), ("network", "F01_no_answer")]
    {
        let report = json(&["--seeds", "0..6", "--profile", profile]);
        let fired = report["faults_fired"].as_object().unwrap();
        assert!(fired[fires].as_u64().unwrap() > 0, "{profile}: {fired:?}");
        let stranger = if profile == "network" { "F25_panic" } else { "F01_no_answer" };
        assert!(!fired.contains_key(stranger), "{profile}: {fired:?}");
    }
}
