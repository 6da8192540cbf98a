//! The running exchange as a market floor: its handle, the instruments that it was opened with, and its clock.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{Candle, DepthSnapshot, MarketFrame};
use crate::domain::money::Quantity;
use crate::domain::time::Timestamp;
use crate::exchange::core::margin::{FundingPoint, PremiumIndex};
use crate::exchange::shell::{Clock, ExchangeHandle, ExchangeStopped};

use super::tape::{ForcedOrder, Funding};
use super::{FloorGone, MarketFloor, PaidFunding};

pub struct ExchangeFloor {
    pub handle: ExchangeHandle,
    pub instruments: Vec<Instrument>,
    pub clock: Clock,
}

impl MarketFloor for ExchangeFloor {
    fn instruments(&self) -> Vec<Instrument> {
        self.instruments.clone()
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn subscribe(&self, symbols: &[Symbol]) -> Result<mpsc::Receiver<Arc<MarketFrame>>, FloorGone> {
        Ok(self.handle.subscribe_market(symbols)?)
    }

    fn depth_snapshot(&self, symbol: Symbol, limit: usize) -> BoxFuture<'_, Result<Option<DepthSnapshot>, FloorGone>> {
        self.handle.depth_snapshot(symbol, limit).map(|answer| Ok(answer?)).boxed()
    }

    fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> BoxFuture<'_, Result<Vec<Candle>, FloorGone>> {
        self.handle.candles(symbol, interval, limit).map(|answer| Ok(answer?)).boxed()
    }

    fn fundings(&self) -> BoxFuture<'_, Result<Vec<Funding>, FloorGone>> {
        let symbols: Vec<Symbol> = self.perpetuals().collect();
        let asked = self.handle.call(move |desk| {
            let known = symbols.into_iter().filter_map(|symbol| desk.exchange.premium_index(symbol));
            let funding = |premium: PremiumIndex| Funding {
                symbol: premium.symbol,
                rate: premium.funding_rate,
                next: premium.next_funding,
                mark: Some(premium.mark),
                index: Some(premium.index),
            };
            known.map(funding).collect()
        });
        asked.map(|answer| Ok(answer?)).boxed()
    }

    fn paid_fundings(&self, symbol: Option<Symbol>) -> BoxFuture<'_, Result<Vec<PaidFunding>, FloorGone>> {
        let symbols: Vec<Symbol> = symbol.map_or_else(|| self.perpetuals().collect(), |symbol| vec![symbol]);
        let asked = self.handle.call(move |desk| {
            let paid = |point: &FundingPoint| PaidFunding { symbol: point.symbol, rate: point.rate, at: point.at, mark: point.mark };
            let mut all: Vec<PaidFunding> =
                symbols.into_iter().flat_map(|symbol| desk.exchange.funding_history(symbol).map(paid).collect::<Vec<_>>()).collect();
            all.sort_by_key(|paid| paid.at);
            all
        });
        asked.map(|answer| Ok(answer?)).boxed()
    }

    fn open_interest(&self, symbol: Symbol) -> BoxFuture<'_, Result<Quantity, FloorGone>> {
        let asked = self.handle.call(move |desk| desk.exchange.open_interest(symbol).unwrap_or_default());
        asked.map(|answer| Ok(answer?)).boxed()
    }

    fn forced_orders(&self) -> Option<mpsc::Receiver<(Symbol, ForcedOrder)>> {
        // An exchange that has stopped says so on its other answers.
        self.handle.subscribe_forced_orders().ok()
    }
}

impl ExchangeFloor {
    fn perpetuals(&self) -> impl Iterator<Item = Symbol> {
        self.instruments.iter().filter(|instrument| instrument.kind == InstrumentKind::Perpetual).map(|instrument| instrument.symbol)
    }
}

impl From<ExchangeStopped> for FloorGone {
    fn from(_: ExchangeStopped) -> Self {
        Self
    }
}
