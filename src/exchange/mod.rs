//! The exchange that Ringfence carries inside: a pure engine (`core`), the markets that it can show (`sources`), its durable
//! record, and the thread that runs all three in the daemon. The backtest and the simulation use `core` and `sources` alone.

pub mod core;
pub mod instruments;
pub mod record;
pub mod shell;
pub mod sources;
pub mod standalone;
pub mod stream;
pub mod wire;

pub use core::state;
pub use core::{AccountSetup, Exchange, ExchangeConfig, ExchangeOutput, TriggerPrice};
pub use shell::{Desk, EventStream, ExchangeHandle, ExchangeStopped, Fault, RunningExchange, ShellConfig, ShellError};
