//! exploring
use super::plan::Profile;
use super::scene::Scene;
use super::world;
use crate::domain::mutants::{self, Mutant};
use std::time::Instant;
use strum::IntoEnumIterator as _;

#[test]
fn explore() {
    let scene = Scene::shared().unwrap();
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(4);
    let profiles = [
        Profile::Default,
        Profile::Network,
        Profile::Actors,
        Profile::Storage,
        Profile::Operator,
        Profile::Strategies,
        Profile::Calm,
        Profile::Clocks,
    ];
    for profile in profiles {
        for seed in 0..seeds {
            let t = Instant::now();
            let o = world::run(&scene, profile, seed, false);
            println!(
                "CLEAN {profile} {seed} {:?} steps {} orders {} trades {} {:?}",
                t.elapsed(),
                o.steps,
                o.orders,
                o.trades,
                o.violations.iter().take(4).collect::<Vec<_>>()
            );
        }
    }
    let only = std::env::var("ONLY").ok();
    for mutant in Mutant::iter().filter(|m| only.as_ref().is_none_or(|o| o.split(',').any(|o| o == format!("{m:?}")))) {
        for profile in profiles {
            let t = Instant::now();
            let mut said = None;
            for seed in 0..seeds {
                let o = mutants::with(mutant, || std::panic::catch_unwind(|| world::run(&scene, profile, seed, false)));
                match o {
                    Ok(o) if o.violations.is_empty() => {}
                    Ok(o) => {
                        said = Some(format!("seed {seed}: {}", o.violations[0]));
                        break;
                    }
                    Err(_) => {
                        said = Some(format!("seed {seed}: PANIC"));
                        break;
                    }
                }
            }
            println!("MUTANT {mutant:?} {profile} {:?} {said:?}", t.elapsed());
        }
    }
}
