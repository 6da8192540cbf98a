//! The exchange on the wire, as Binance speaks it: signed HTTP and the WebSocket API for one product (spot or USD-M), with its
//! keys, limits and errors. Nothing here decides about an order: a request is read, counted, admitted, handed to the engine's
//! thread, and its answer encoded.
//!
//! # A table of routes
//! Every request is a row of one table ([`Route`]): verb and path, its names in the WebSocket API, what the caller must bring
//! ([`Security`]), what it weighs, how many new orders it counts as, and the handler. HTTP and the WebSocket API serve the same
//! rows. A part of the wire (`spot`, `usdm`) gives its rows as a `Vec<Route>`:
//!
//! ```
//! use ringfence::exchange::wire::{Answer, Context, Json, Parameters, Route, Security};
//!
//! pub fn routes() -> Vec<Route> {
//!     vec![Route::get("/api/v3/account", Security::Signed, account).method("account.status").weight(20)]
//! }
//!
//! async fn account(context: Context, parameters: Parameters) -> Answer {
//!     let omit_zero = parameters.boolean("omitZeroBalances")?.unwrap_or(false);
//!     // Everything that the route takes is read now; the rest is refused where the venue refuses it.
//!     parameters.finish()?;
//!     let account = context.account()?;
//!     let equity = context.read(move |desk| desk.exchange.equity(account)).await?;
//!     Json::of(&serde_json::json!({ "equity": equity, "omitZero": omit_zero, "updateTime": context.time(context.now) }))
//! }
//! ```
//!
//! When a handler runs, the request has been counted, its key found and permitted, its timestamp and signature checked, its
//! orders reserved; `timestamp`, `recvWindow` and `signature` count as read. A handler asks [`Parameters`] for each value by name
//! and type (a bad one is answered with the venue's error), calls [`Parameters::finish`] before it does anything, and goes to the
//! engine with [`Context::call`] (or [`Context::read`] for what changes nothing). A refusal of the engine is
//! [`Problem::rejected`]. Times are written with [`Context::time`].

pub mod accounts;
pub mod auth;
mod context;
pub mod faults;
mod faults_http;
mod http;
pub mod limits;
pub mod market;
pub mod parameters;
mod problem;
mod route;
mod server;
pub mod spot;
pub mod usdm;
pub mod users;
mod venue;
pub mod ws_api;

pub use accounts::{Key, KeyError, Keys, Permissions};
pub use context::{Context, Transport};
pub use parameters::{Manners, Parameters};
pub use problem::Problem;
pub use route::{Amount, Answer, Found, Handler, Json, Route, Routes, Security, Verb};
pub use server::{ServeError, WireServer};
pub use users::{Ear, Heard, UserHub, UserQueue, UserTicket};
pub use venue::{Ask, Dialect, Product, Proof, Reply, Served, Venue, VenueConfig};
pub use ws_api::EncodeEvent;
