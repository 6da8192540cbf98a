//! Ringfence trades many accounts on crypto exchanges and keeps each of them ring-fenced. The modules in reading order:
//! what things are, what decides, what is said, who acts, who watches.

pub mod domain;
pub mod strategies;
pub mod messages;
pub mod actors;
pub mod supervision;
pub mod venues;
pub mod exchange;
pub mod store;
pub mod simulation;
pub mod settings;
pub mod telemetry;
pub mod api;
pub mod app;
pub mod cli;
