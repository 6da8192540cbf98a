//! A feed: one WebSocket of a venue's market data, or two while the second takes over from the first. It decodes on the trading
//! thread, stamps the frames and puts them into their markets' slots. It keeps no book and waits for nobody.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rustc_hash::FxHashMap as HashMap;
use tokio::runtime::Handle;
use tokio::time::{Interval, MissedTickBehavior};

use super::{Surroundings, names};
use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{MarketEventRef, MarketFrame, MarketFrameRef};
use crate::domain::mode::FaultClass;
use crate::domain::time::Timestamp;
use crate::messages::{FrameSlot, MarketMessage, Post};
use crate::supervision::{ChildContext, ChildFault};
use crate::telemetry::events::{FeedConnected, FeedLost};
use crate::venues::binance::connection::{self, ConnectionError, MarketConnection, Utf8Bytes};
use crate::venues::binance::feeds::{Lane, Plan, Relay, Side, Watch, plan, streams};
use crate::venues::binance::market::{Decoded, Decoder, Other};

/// How often a feed looks after itself; what follows is counted in looks. Monotonic time, which a suspended machine does not
/// spend.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A socket that is silent for so long is dead, whatever its pings say (F12). The quietest of a feed's streams is the mark
/// price, once a second to every three.
const DATA_AGE_MAX: u32 = 15;
/// A venue cuts a connection after 24 hours. The next one is opened this long before, with room for a venue that is slow to let
/// us in (F07).
const RENEW_AFTER: u32 = 24 * 3_600 - 600;
/// Both connections are heard for this long: then a stream that has not spoken on both has had nothing to say.
const OVERLAP: u32 = 30;
/// After an attempt at a second connection that failed.
const TRY_AGAIN: u32 = 20;
/// Frames that cannot be read in one connection before it is given up: one is a curiosity, a hundred is another protocol.
const UNDECODABLE_MAX: u32 = 100;

/// What one feed reads.
#[derive(Debug, Clone)]
pub struct FeedSpec {
    /// `ws://127.0.0.1:9443`; with the route where the venue has routes.
    pub base: String,
    pub instruments: Vec<Instrument>,
}

impl FeedSpec {
    /// The feeds of a venue's product: busy symbols alone, quiet ones together.
    #[must_use]
    pub fn of(base: &str, instruments: &[Instrument]) -> Vec<Self> {
        let feed = |Plan { base, members }| {
            let instruments = members.iter().filter_map(|at: &usize| instruments.get(*at).cloned()).collect();
            Self { base, instruments }
        };
        plan(base, instruments).into_iter().map(feed).collect()
    }
}

struct Reader {
    slot: Arc<FrameSlot>,
    market: Post<MarketMessage>,
    relay: Relay,
    watch: Watch,
}

/// The second connection, on its way or there.
enum Successor {
    None,
    Opening(BoxFuture<'static, Result<MarketConnection, String>>),
    Open { connection: Box<MarketConnection>, looks_left: u32 },
}

type Frame = Option<Result<Utf8Bytes, ConnectionError>>;

/// What became of a second connection.
enum News {
    Opened(Result<MarketConnection, String>),
    Frame(Frame),
}

/// What happens next.
enum Event {
    First(Frame),
    Second(News),
    Look,
}

struct Feed<'a> {
    context: &'a ChildContext,
    spec: &'a FeedSpec,
    around: &'a Surroundings,
    decoder: Decoder,
    readers: HashMap<Symbol, Reader>,
    released: Vec<MarketFrame>,
    undecodable: u32,
    /// Until a second connection is wanted.
    looks_left: u32,
}

/// Why a feed goes on to something else.
enum Next {
    Stop,
    Lost(String),
}

/// # Errors
/// When the venue cannot be reached, closes the connection, goes silent or late, or speaks something else.
pub async fn read(context: ChildContext, spec: FeedSpec, around: Surroundings) -> Result<(), ChildFault> {
    let lost = |why: String| {
        FeedLost { feed: context.name.as_str(), why: &why }.emit();
        ChildFault::new(FaultClass::Transport, why)
    };
    let began = around.clock.now();
    let decoder = Decoder::new(&spec.instruments).map_err(|error| ChildFault::new(FaultClass::Data, error.to_string()))?;
    let mut connection = context.reporter.attend(open(&spec, &around.services)).await.map_err(lost)?;
    FeedConnected { feed: context.name.as_str(), took: around.clock.now().since(began) }.emit();
    let mut readers = readers(&spec, &around);
    for reader in readers.values_mut() {
        reader.market.tell(MarketMessage::Reconnected);
    }
    context.reporter.ready();
    let mut feed = Feed {
        context: &context,
        spec: &spec,
        around: &around,
        decoder,
        readers,
        released: Vec::new(),
        undecodable: 0,
        looks_left: RENEW_AFTER,
    };
    loop {
        match feed.follow(connection).await {
            Ok(next) => connection = next,
            Err(Next::Stop) => return Ok(()),
            Err(Next::Lost(why)) => return Err(lost(why)),
        }
    }
}

fn open(spec: &FeedSpec, services: &Handle) -> BoxFuture<'static, Result<MarketConnection, String>> {
    let (services, base, streams) = (services.clone(), spec.base.clone(), streams(&spec.base, &spec.instruments));
    async move { connection::connect_beside(&services, &base, &streams).await.map_err(|error| error.to_string()) }.boxed()
}

impl Feed<'_> {
    /// Hears a connection until another one has taken over, which it gives back.
    async fn follow(&mut self, mut first: MarketConnection) -> Result<MarketConnection, Next> {
        let mut second = Successor::None;
        let mut silent_looks = 0;
        let mut look: Interval = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                event = self.context.reporter.attend(next_of(&mut first, &mut second, &mut look)) => event,
                () = self.context.stop.cancelled() => return Err(Next::Stop),
            };
            match event {
                Event::First(Some(Ok(text))) => {
                    silent_looks = 0;
                    self.take(Side::First, &text)?;
                }
                // What the second connection has is all there is.
                Event::First(ended) => match second {
                    Successor::Open { connection, .. } => return Ok(self.take_over(*connection)),
                    _ => return Err(Next::Lost(why_ended(ended))),
                },
                Event::Second(news) => second = self.hear(second, news)?,
                Event::Look => {
                    silent_looks += 1;
                    if silent_looks > DATA_AGE_MAX {
                        return Err(Next::Lost(format!("expected data within {DATA_AGE_MAX} s, found silence")));
                    }
                    self.look()?;
                    second = match self.wait_for(second) {
                        Successor::Open { connection, looks_left: 0 } => return Ok(self.take_over(*connection)),
                        other => other,
                    };
                }
            }
        }
    }

    /// Whether every stream is as young as it has to be.
    fn look(&self) -> Result<(), Next> {
        let now = self.around.clock.now();
        let overdue = self.readers.iter().find_map(|(symbol, reader)| Some((symbol, reader.watch.overdue(now)?)));
        overdue.map_or(Ok(()), |(symbol, late)| Err(Next::Lost(format!("{symbol}: {late}"))))
    }

    /// One look later.
    fn wait_for(&mut self, second: Successor) -> Successor {
        self.looks_left = self.looks_left.saturating_sub(1);
        match second {
            Successor::None if self.looks_left == 0 => Successor::Opening(open(self.spec, &self.around.services)),
            Successor::Open { connection, looks_left } => Successor::Open { connection, looks_left: looks_left.saturating_sub(1) },
            other => other,
        }
    }

    /// What the second connection says, while the first is heard beside it.
    fn hear(&mut self, second: Successor, news: News) -> Result<Successor, Next> {
        match news {
            News::Opened(Ok(connection)) => {
                tracing::info!(target: "ringfence::market", feed = %self.context.name, "second connection takes over from the first");
                self.readers.values_mut().for_each(|reader| reader.relay.begin());
                Ok(Successor::Open { connection: Box::new(connection), looks_left: OVERLAP })
            }
            News::Opened(Err(why)) => {
                tracing::warn!(target: "ringfence::market", feed = %self.context.name, why, "no second connection yet");
                self.looks_left = TRY_AGAIN;
                Ok(Successor::None)
            }
            News::Frame(Some(Ok(text))) => self.take(Side::Second, &text).map(|()| second),
            News::Frame(ended) => self.abandon(&why_ended(ended)).map(|()| Successor::None),
        }
    }

    /// The second connection is the first now.
    fn take_over(&mut self, second: MarketConnection) -> MarketConnection {
        for reader in self.readers.values_mut() {
            reader.relay.finish(&mut self.released);
            reader.release(&mut self.released);
        }
        self.looks_left = RENEW_AFTER;
        second
    }

    /// The second connection ended before the first did.
    fn abandon(&mut self, why: &str) -> Result<(), Next> {
        self.looks_left = TRY_AGAIN;
        let mut whole = true;
        for reader in self.readers.values_mut() {
            whole &= reader.relay.abandon();
        }
        if whole { Ok(()) } else { Err(Next::Lost(format!("the connection that took over ended: {why}"))) }
    }

    fn take(&mut self, from: Side, text: &Utf8Bytes) -> Result<(), Next> {
        let now = self.around.clock.now();
        match self.decoder.decode(text.as_bytes(), now) {
            Ok(Decoded::Frame(frame)) => {
                if let Some(reader) = self.readers.get_mut(&frame.symbol) {
                    return reader.take(now, from, &frame, &mut self.released);
                }
            }
            Ok(Decoded::Other(Other::ServerShutdown)) if from == Side::First => self.looks_left = 0,
            Ok(Decoded::Other(_)) => {}
            Err(error) => {
                self.undecodable += 1;
                tracing::warn!(target: "ringfence::market", feed = %self.context.name, %error, "frame not decoded");
                if self.undecodable > UNDECODABLE_MAX {
                    return Err(Next::Lost(format!("expected at most {UNDECODABLE_MAX} unreadable frames, found one more: {error}")));
                }
            }
        }
        Ok(())
    }
}

impl Reader {
    fn take(&mut self, now: Timestamp, from: Side, frame: &MarketFrameRef<'_>, released: &mut Vec<MarketFrame>) -> Result<(), Next> {
        if let Some((lane, _)) = Lane::of(&frame.event, frame.venue_time.0) {
            // A touch of spot has no time of its own: it was stamped when it came.
            let own_time = (!matches!(frame.event, MarketEventRef::Ticker(_))).then_some(frame.venue_time);
            if let Some(late) = self.watch.heard(now, lane, own_time) {
                return Err(Next::Lost(format!("{}: {late}", frame.symbol)));
            }
        }
        if self.relay.passes(from, frame, released) {
            self.push((*frame).to_owned());
        }
        self.release(released);
        Ok(())
    }

    fn release(&mut self, released: &mut Vec<MarketFrame>) {
        for frame in released.drain(..) {
            self.push(frame);
        }
    }

    fn push(&mut self, frame: MarketFrame) {
        if self.slot.push(frame) {
            self.market.tell(MarketMessage::Wake);
        }
    }
}

async fn next_of(first: &mut MarketConnection, second: &mut Successor, look: &mut Interval) -> Event {
    tokio::select! {
        next = first.next() => Event::First(next),
        news = second.news() => Event::Second(news),
        _ = look.tick() => Event::Look,
    }
}

impl Successor {
    /// For ever nothing while there is none.
    async fn news(&mut self) -> News {
        match self {
            Self::None => std::future::pending().await,
            Self::Opening(opening) => News::Opened(opening.await),
            Self::Open { connection, .. } => News::Frame(connection.next().await),
        }
    }
}

fn why_ended(ended: Frame) -> String {
    match ended {
        Some(Err(error)) => error.to_string(),
        _ => "the connection ended".to_owned(),
    }
}

fn readers(spec: &FeedSpec, around: &Surroundings) -> HashMap<Symbol, Reader> {
    let reader = |instrument: &Instrument| {
        let symbol = instrument.symbol;
        let market = Post::new(&around.directory, &names::market(symbol));
        (symbol, Reader { slot: around.wires.frames(symbol), market, relay: Relay::default(), watch: Watch::default() })
    };
    spec.instruments.iter().map(reader).collect()
}
