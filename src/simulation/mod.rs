//! The system without the world around it: virtual time, the exchange called directly, the same machines as in the daemon.

pub mod assemble;
pub mod backtest;
#[cfg(test)]
mod bulkhead_tests;
#[cfg(test)]
mod executor_death_tests;
pub mod fault;
pub mod report;
pub mod tally;
pub mod trace;
pub mod world;
