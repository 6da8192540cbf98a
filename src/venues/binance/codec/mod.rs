//! The trading side of Binance's dialect, pure: requests out, typed answers and user events in, and from these the daemon's own words.
//! No I/O and no clock. `product` has the differences between spot, USD-M and Aster; `trading` and `account` ask; `outcome` says
//! what an answer means; `answers` and `events` read; `translate` speaks to the order manager.

pub mod account;
pub mod answers;
pub mod events;
pub mod exchange_info;
pub mod frames;
pub mod ledger;
pub mod names;
pub mod outcome;
pub mod product;
pub mod read;
pub mod request;
pub mod snapshot;
pub mod trading;
pub mod translate;
