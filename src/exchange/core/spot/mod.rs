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

mod admission;
mod amend;
mod average;
mod cancel;
mod checks;
mod events;
mod filters;
mod funds;
mod leaving;
mod lists;
mod matching;
mod place_list;
mod prevention;
mod reject;
mod rows;
mod state;
#[cfg(test)]
mod tests;
mod trailing;
mod views;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::domain::ids::Asset;
use crate::domain::instrument::Instrument;

use super::{Exchange, Market};

pub use admission::SpotPlaced;
pub use amend::{AmendRequest, Amended};
use average::AveragePrice;
pub use cancel::{CancelReplaced, CancelRequest, CancelRestriction, Canceled, Named};
pub use filters::{SpotFilters, TrailingRange};
pub use funds::{Balance, SpotAccount};
pub(super) use leaving::Ending;
use lists::OrderList;
pub use place_list::{ListRequest, PlacedList};
pub use reject::SpotReject;
pub use rows::{BalanceRow, ListRow};
pub use state::{
    Amendment, Contingency, ExpiryReason, ListLeg, ListProgress, ListView, PreventedMatch, Prevention, SpotExecution, SpotState, SpotView,
    Trail,
};

/// Prevented matches that can be asked for; a client asks for its own order's, right after it.
const PREVENTED_KEPT: usize = 1_000;

/// What only spot numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpotCounters {
    pub next_list_id: u64,
    pub next_execution_id: u64,
    pub next_match_id: u64,
    pub next_name: u64,
}

impl Default for SpotCounters {
    fn default() -> Self {
        Self { next_list_id: 1, next_execution_id: 1, next_match_id: 1, next_name: 1 }
    }
}

/// The part of the engine that spot needs beside markets and accounts.
#[derive(Debug, Clone, Default)]
pub(super) struct SpotDesk {
    assets: Vec<Asset>,
    /// Lists that have not ended.
    lists: BTreeMap<u64, OrderList>,
    pub(super) counters: SpotCounters,
    prevented: VecDeque<PreventedMatch>,
    /// Account and asset of balances that the running operation moved.
    touched: BTreeSet<(usize, usize)>,
    /// Lists whose working order filled in the running operation.
    ready: VecDeque<u64>,
}

impl SpotDesk {
    /// Goes on counting from a record's counters, with nothing left to do.
    pub(super) fn resume(&mut self, counters: SpotCounters) {
        self.counters = counters;
        self.touched.clear();
    }

    /// Whether the running operation left nothing to do.
    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        self.touched.is_empty() && self.ready.is_empty()
    }
}

/// The part of a market that spot needs. A perpetual has it too, idle.
#[derive(Debug, Clone)]
pub(super) struct SpotMarket {
    /// Indices of the assets.
    base: usize,
    quote: usize,
    filters: SpotFilters,
    pub(super) average: AveragePrice,
    /// Slots of the trailing stops.
    trailing: Vec<u32>,
}

impl SpotMarket {
    pub(super) fn of(instrument: &Instrument, desk: &mut SpotDesk) -> Self {
        Self {
            base: desk.asset(asset_of(&instrument.base, instrument)),
            quote: desk.asset(asset_of(&instrument.quote, instrument)),
            filters: SpotFilters::of(instrument),
            average: AveragePrice::default(),
            trailing: Vec::new(),
        }
    }
}

/// The instrument's currency as an asset; one that is spelled as no venue does goes by the symbol's beginning.
fn asset_of(name: &str, instrument: &Instrument) -> Asset {
    const ASSET_MAX: usize = 16;
    let symbol = instrument.symbol.as_str();
    let short = &symbol[..symbol.len().min(ASSET_MAX)];
    // Invariant: a symbol has the characters of an asset, and is cut to its length.
    Asset::new(&name.to_ascii_uppercase()).unwrap_or_else(|_| Asset::new(short).expect("invariant: a short symbol is an asset's name"))
}

impl SpotDesk {
    fn asset(&mut self, asset: Asset) -> usize {
        self.index_of(asset).unwrap_or_else(|| {
            self.assets.push(asset);
            self.assets.len() - 1
        })
    }

    /// Few: a scan is quicker than a map.
    fn index_of(&self, asset: Asset) -> Option<usize> {
        self.assets.iter().position(|known| *known == asset)
    }
}

impl Exchange {
    /// An engine is of one product, that of its first symbol.
    #[must_use]
    pub fn is_spot_engine(&self) -> bool {
        self.markets.first().is_some_and(|market| market.unit.spot)
    }

    /// The filters of a spot symbol.
    #[must_use]
    pub fn spot_filters(&self, symbol: usize) -> Option<&SpotFilters> {
        self.spot_market(symbol).map(|market| &market.spot.filters)
    }

    /// Changes a spot symbol's filters; open orders stay as they are.
    pub fn set_spot_filters(&mut self, symbol: usize, filters: SpotFilters) {
        if let Some(market) = self.markets.get_mut(symbol).filter(|market| market.unit.spot) {
            market.spot.filters = filters;
        }
    }

    fn spot_market(&self, symbol: usize) -> Option<&Market> {
        self.markets.get(symbol).filter(|market| market.unit.spot)
    }
}
