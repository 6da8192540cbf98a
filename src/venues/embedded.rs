//! The exchange carried inside, as a venue: commands go to its thread, its words come back over channels, its past is asked
//! for. It translates; it decides nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use super::port::{NotTaken, Venue};
use crate::domain::ids::{AccountId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{Candle, DepthSnapshot, MarketFrame};
use crate::domain::order::{VenueCommand, VenueEvent};
use crate::domain::time::Timestamp;
use crate::exchange::stream::{FloorGone, MarketFloor};
use crate::exchange::{ExchangeHandle, ExchangeStopped};

impl From<ExchangeStopped> for NotTaken {
    fn from(stopped: ExchangeStopped) -> Self {
        Self { found: stopped.to_string() }
    }
}

/// The embedded exchange's trading side.
#[derive(Debug, Clone)]
pub struct Embedded(pub ExchangeHandle);

impl Venue for Embedded {
    fn send(&self, account: AccountId, command: VenueCommand) -> Result<(), NotTaken> {
        Ok(self.0.send(account, command)?)
    }

    fn listen(&self, account: AccountId) -> Result<BoxStream<'static, VenueEvent>, NotTaken> {
        let events = self.0.subscribe(account)?;
        Ok(stream::unfold(events, |mut events| async move { events.next().await.map(|event| (event, events)) }).boxed())
    }

    fn ask(&self, account: AccountId, command: VenueCommand) -> BoxFuture<'static, Result<Vec<VenueEvent>, NotTaken>> {
        let exchange = self.0.clone();
        async move { Ok(exchange.request(account, command).await?) }.boxed()
    }
}

/// The embedded exchange's public side, for its market server.
pub struct Floor {
    pub exchange: ExchangeHandle,
    pub instruments: Vec<Instrument>,
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl MarketFloor for Floor {
    fn instruments(&self) -> Vec<Instrument> {
        self.instruments.clone()
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn subscribe(&self, symbols: &[Symbol]) -> Result<mpsc::Receiver<Arc<MarketFrame>>, FloorGone> {
        self.exchange.subscribe_market(symbols).map_err(|ExchangeStopped| FloorGone)
    }

    fn depth_snapshot(&self, symbol: Symbol, limit: usize) -> BoxFuture<'_, Result<Option<DepthSnapshot>, FloorGone>> {
        async move { self.exchange.depth_snapshot(symbol, limit).await.map_err(|ExchangeStopped| FloorGone) }.boxed()
    }

    fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> BoxFuture<'_, Result<Vec<Candle>, FloorGone>> {
        async move { self.exchange.candles(symbol, interval, limit).await.map_err(|ExchangeStopped| FloorGone) }.boxed()
    }
}
