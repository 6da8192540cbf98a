//! The fault simulation: the daemon's real machines and their ordered outboxes in virtual time, with a venue, a disk, clocks,
//! an operator and strategies that fail as a seed says, and a checker beside them that keeps its own model. One seed is one
//! thread's work and knows no wall clock, no file and no socket: the same seed gives the same bytes.
//!
//! - `venue`: the venue as the daemon sees it, and what is really true there.
//! - `disk`: the journal over a device that loses, tears and refuses.
//! - `checker`: the invariants I1–I12, from what was observed outside of the machines.
//! - `random`, `class`: the seed's numbers, and the names of the faults.

pub mod checker;
pub mod class;
pub mod clock;
pub mod daemon;
pub mod disk;
mod faults;
pub mod log;
#[cfg(test)]
mod mutant_tests;
mod operator;
pub mod plan;
pub mod random;
pub mod report;
pub mod restless;
pub mod scene;
mod settle;
pub mod tree;
pub mod venue;
pub mod world;

pub use class::{Class, Place};
pub use random::Random;
