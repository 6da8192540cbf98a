//! Spot: balances per asset, orders that lock what they may cost, order lists, amendments, self-trade prevention and filters as
//! Binance spot has them. The matching itself (who trades with whom, and when) is `core`'s; what is here is pure like it.
//! Nothing here knows leverage, margin or a position: what an account has, it has.
//!
//! # Money
//! Every asset of an account is `free` or `locked`. An open buy locks its quote at its limit (a stop without a limit at its stop
//! price), an open sell its base; of an OCO pair the larger of the two legs, as only one can trade. Fees come out of what is
//! received. So over all accounts and all fills, each asset changes by exactly what deposits, withdrawals and fees say.
//!
//! # Order of events
//! An operation's execution reports come first, then one `outboundAccountPosition` for each account whose balances moved. What a
//! filled working order sets free (the pending legs of its list) happens after the operation that filled it: the answer to a
//! list that was filled at once still shows them pending, as the venue's does.

mod filters;
mod reject;
mod state;

pub use filters::{SpotFilters, TrailingRange};
pub use reject::SpotReject;
pub use state::{
    Amendment, Contingency, ExpiryReason, ListLeg, ListProgress, ListView, PreventedMatch, Prevention, SpotExecution, SpotState, SpotView,
    Trail,
};
