//! Types and pure machines: no tokio, clock, random numbers or I/O. Everything that decides lives here.

pub mod alerts;
pub mod bars;
pub mod book;
pub mod clock;
pub mod dead_man;
pub mod emptying;
pub mod ids;
pub mod indicators;
pub mod instrument;
pub mod kill_switch;
pub mod ladder;
pub mod market;
pub mod market_data;
pub mod mode;
pub mod money;
pub mod mutants;
pub mod order;
pub mod order_manager;
pub mod outbox;
pub mod position;
pub mod reconcile;
pub mod record;
pub mod recovery;
pub mod restart;
pub mod risk;
pub mod time;
