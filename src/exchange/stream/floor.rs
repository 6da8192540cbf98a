//! The running exchange as a market floor: its handle, the instruments that it was opened with, and its clock.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{Candle, DepthSnapshot, MarketFrame};
use crate::domain::time::Timestamp;
use crate::exchange::shell::{Clock, ExchangeHandle, ExchangeStopped};

use super::{FloorGone, MarketFloor};

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
}

impl From<ExchangeStopped> for FloorGone {
    fn from(_: ExchangeStopped) -> Self {
        Self
    }
}
