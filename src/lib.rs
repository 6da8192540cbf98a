//! Ringfence trades many accounts on crypto exchanges and keeps each of them ring-fenced. The modules in reading order:
//! what things are, what decides, what is said, who acts, who watches.

pub mod actors;
pub mod api;
pub mod app;
pub mod cli;
pub mod domain;
pub mod exchange;
pub mod messages;
pub mod net;
pub mod settings;
pub mod simulation;
pub mod store;
pub mod strategies;
pub mod supervision;
pub mod telemetry;
pub mod venues;
