//! Who listens to what, and the way of a frame to all of them: encoded once for each stream's name, shared by everybody who
//! asked for it by that name. It never waits for a client: one whose queue is full is cut.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{MarketEventRef, MarketFrame};
use crate::venues::binance::market::Encoder;
use crate::venues::grid::StepError;

use super::names::{StreamKind, StreamName};
use super::{FloorGone, MarketFloor};

/// Texts that a client may be behind by: some ten seconds of the default market. Who is further behind trades on the past.
const BACKLOG_MAX: usize = 4_096;
/// The same in bytes: diffs of a whole book are large. Texts are shared, so this is the most that one client alone can hold.
const BACKLOG_BYTES_MAX: usize = 4 << 20;

/// How a client wants its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// `{"stream":…,"data":…}`
    Combined,
    /// The data alone.
    Raw,
}

/// Why a client was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutReason {
    /// It did not take its frames.
    TooSlow,
    /// We lost frames ourselves; nobody's stream is whole.
    MarketLost,
}

type Topic = (Symbol, StreamKind);

/// One name that somebody listens to.
struct Channel {
    name: String,
    wrapping: Wrapping,
    clients: Vec<Client>,
}

/// The sending end of a client.
#[derive(Clone)]
struct Client {
    id: u64,
    texts: mpsc::Sender<Utf8Bytes>,
    link: Arc<Link>,
}

/// What both ends of a client share.
struct Link {
    cut: CancellationToken,
    reason: OnceLock<CutReason>,
    backlog_bytes: AtomicUsize,
}

pub(super) struct Hub {
    encoders: HashMap<Symbol, (Instrument, Encoder)>,
    channels: Mutex<HashMap<Topic, Vec<Channel>>>,
    next_client: AtomicU64,
    ending: CancellationToken,
}

/// The receiving end of a client: its frames, and the word that it was cut. Dropping it leaves the hub.
pub(super) struct Subscription {
    id: u64,
    topics: Vec<Topic>,
    texts: mpsc::Receiver<Utf8Bytes>,
    link: Arc<Link>,
    hub: Arc<Hub>,
}

impl Hub {
    pub(super) fn new(instruments: &[Instrument], ending: CancellationToken) -> Result<Self, StepError> {
        let encoder = |instrument: &Instrument| Ok((instrument.symbol, (instrument.clone(), Encoder::new(instrument)?)));
        Ok(Self {
            encoders: instruments.iter().map(encoder).collect::<Result<_, StepError>>()?,
            channels: Mutex::default(),
            next_client: AtomicU64::new(0),
            ending,
        })
    }

    pub(super) fn lists(&self, symbol: Symbol) -> bool {
        self.encoders.contains_key(&symbol)
    }

    pub(super) fn listed(&self, symbol: Symbol) -> Option<&(Instrument, Encoder)> {
        self.encoders.get(&symbol)
    }

    pub(super) fn instruments(&self) -> impl Iterator<Item = &Instrument> {
        self.encoders.values().map(|(instrument, _)| instrument)
    }

    /// Carries frames until the floor is gone, and gives that back. When the floor cut us off, all clients are cut too, and it
    /// begins anew.
    pub(super) async fn publish_all(&self, floor: &dyn MarketFloor) -> FloorGone {
        let symbols: Vec<Symbol> = self.encoders.keys().copied().collect();
        loop {
            let mut frames = match floor.subscribe(&symbols) {
                Ok(frames) => frames,
                Err(gone) => return gone,
            };
            let mut carried = false;
            while let Some(frame) = frames.recv().await {
                carried = true;
                self.publish(&frame);
            }
            tracing::warn!("market stream fell behind the exchange: all its clients are cut");
            self.cut_all(CutReason::MarketLost);
            if !carried {
                // A floor that gives nothing and hangs up will do so again.
                return FloorGone;
            }
        }
    }

    pub(super) fn publish(&self, frame: &MarketFrame) {
        let Some((_, encoder)) = self.encoders.get(&frame.symbol) else { return };
        let mut channels = self.channels();
        let candle = StreamKind::of_candle(&frame.event);
        for kind in StreamKind::of(&frame.event).iter().chain(&candle) {
            let Some(named) = channels.get_mut(&(frame.symbol, *kind)) else { continue };
            for channel in named {
                let text = channel.encode(*kind, encoder, frame);
                channel.clients.retain(|client| client.offer(&text));
            }
        }
    }

    fn cut_all(&self, reason: CutReason) {
        for channel in std::mem::take(&mut *self.channels()).into_values().flatten() {
            channel.clients.iter().for_each(|client| client.link.cut(reason));
        }
    }

    pub(super) fn join(self: &Arc<Self>, names: &[StreamName], wrapping: Wrapping) -> Subscription {
        let (texts, receiver) = mpsc::channel(BACKLOG_MAX);
        let link = Link { cut: self.ending.child_token(), reason: OnceLock::new(), backlog_bytes: AtomicUsize::new(0) };
        let client = Client { id: self.next_client.fetch_add(1, Ordering::Relaxed), texts, link: Arc::new(link) };
        let mut channels = self.channels();
        for name in names {
            let named = channels.entry((name.symbol, name.kind)).or_default();
            match named.iter_mut().find(|channel| channel.name == name.text && channel.wrapping == wrapping) {
                Some(channel) => channel.clients.push(client.clone()),
                None => named.push(Channel { name: name.text.clone(), wrapping, clients: vec![client.clone()] }),
            }
        }
        let topics = names.iter().map(|name| (name.symbol, name.kind)).collect();
        Subscription { id: client.id, topics, texts: receiver, link: client.link, hub: Arc::clone(self) }
    }

    fn leave(&self, id: u64, topics: &[Topic]) {
        let mut channels = self.channels();
        for topic in topics {
            let Some(named) = channels.get_mut(topic) else { continue };
            named.iter_mut().for_each(|channel| channel.clients.retain(|client| client.id != id));
            named.retain(|channel| !channel.clients.is_empty());
            if named.is_empty() {
                channels.remove(topic);
            }
        }
    }

    /// Held for one frame or one client's coming and going, never across an await. A panic while it was held leaves whole
    /// entries only, so poison is no news.
    fn channels(&self) -> MutexGuard<'_, HashMap<Topic, Vec<Channel>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel {
    fn encode(&self, kind: StreamKind, encoder: &Encoder, frame: &MarketFrame) -> Utf8Bytes {
        /// Most frames are smaller, so that the text grows once at most.
        const USUAL_BYTES: usize = 256;
        let mut text = String::with_capacity(USUAL_BYTES);
        if self.wrapping == Wrapping::Combined {
            text.push_str("{\"stream\":\"");
            text.push_str(&self.name);
            text.push_str("\",\"data\":");
        }
        let frame = frame.borrowed();
        match (kind, frame.event) {
            (StreamKind::AggregateTrade, MarketEventRef::Trade(trade)) => encoder.aggregate_trade(frame.venue_time, &trade, &mut text),
            _ => encoder.payload(&frame, &mut text),
        }
        if self.wrapping == Wrapping::Combined {
            text.push('}');
        }
        text.into()
    }
}

impl Client {
    /// Says whether the client is still one.
    fn offer(&self, text: &Utf8Bytes) -> bool {
        if self.link.cut.is_cancelled() {
            return false;
        }
        let bytes = self.link.backlog_bytes.fetch_add(text.len(), Ordering::Relaxed) + text.len();
        // A text that finds an empty queue always passes, however large.
        if bytes > BACKLOG_BYTES_MAX.max(text.len()) || self.texts.try_send(text.clone()).is_err() {
            self.link.cut(CutReason::TooSlow);
            return false;
        }
        true
    }
}

impl Link {
    fn cut(&self, reason: CutReason) {
        // The first reason is the true one.
        let _ = self.reason.set(reason);
        self.cut.cancel();
    }
}

impl Subscription {
    /// Moves what waits into `batch`, at most `max` texts, waiting for the first.
    pub(super) async fn take(&mut self, batch: &mut Vec<Utf8Bytes>, max: usize) {
        if self.texts.recv_many(batch, max).await == 0 {
            // Nobody sends any more, which only happens to who was cut: that word is on its way.
            self.link.cut.cancelled().await;
        }
        let bytes = batch.iter().map(|text| text.len()).sum();
        self.link.backlog_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn cut(&self) -> CancellationToken {
        self.link.cut.clone()
    }

    /// Why it was cut; `None` when the server ends.
    pub(super) fn cut_reason(&self) -> Option<CutReason> {
        self.link.reason.get().copied()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(self.id, &self.topics);
    }
}
