//! A feed: one WebSocket of a venue's market data, or two while the second takes over from the first. It decodes on the trading
//! thread, stamps the frames and puts them into their markets' slots. It keeps no book and waits for nobody.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap as HashMap;

use super::{Surroundings, names};
use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{MarketEventRef, MarketFrame, MarketFrameRef};
use crate::domain::mode::FaultClass;
use crate::domain::time::Timestamp;
use crate::messages::{FrameSlot, MarketMessage, Post};
use crate::supervision::{ChildContext, ChildFault};
use crate::telemetry::events::{FeedConnected, FeedLost};
use crate::venues::binance::connection::Utf8Bytes;
use crate::venues::binance::feeds::{Lane, Plan, Relay, Side, Watch, plan, streams};
use crate::venues::binance::handover::{LOOK_EVERY, Pair, PairEvent};
use crate::venues::binance::market::{Decoded, Decoder, Other};

/// Frames that cannot be read in one connection before it is given up: one is a curiosity, a hundred is another protocol.
const UNDECODABLE_MAX: u32 = 100;
/// Between two tries to reach a venue that is not there: at first as soon as a restart would come, later seldom enough for its limit
/// on connections (300 in five minutes).
const OPEN_AGAIN_MIN: Duration = Duration::from_millis(100);
const OPEN_AGAIN_MAX: Duration = Duration::from_secs(5);

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

struct Feed<'a> {
    context: &'a ChildContext,
    around: &'a Surroundings,
    decoder: Decoder,
    readers: HashMap<Symbol, Reader>,
    released: Vec<MarketFrame>,
    undecodable: u32,
}

/// What a frame says of its connection.
enum Word {
    Nothing,
    /// It is about to be cut.
    Renew,
}

/// # Errors
/// When the venue closes the connection, goes silent or late, or speaks something else.
pub async fn read(context: ChildContext, spec: FeedSpec, around: Surroundings) -> Result<(), ChildFault> {
    let lost = |why: String| {
        FeedLost { feed: context.name.as_str(), why: &why }.emit();
        ChildFault::new(FaultClass::Transport, why)
    };
    let began = around.clock.now();
    let decoder = Decoder::new(&spec.instruments).map_err(|error| ChildFault::new(FaultClass::Data, error.to_string()))?;
    let Some(mut pair) = open(&context, &spec, &around).await else { return Ok(()) };
    FeedConnected { feed: context.name.as_str(), took: around.clock.now().since(began) }.emit();
    let mut readers = readers(&spec, &around);
    for reader in readers.values_mut() {
        reader.market.tell(MarketMessage::Reconnected);
    }
    context.reporter.ready();
    let mut feed = Feed { context: &context, around: &around, decoder, readers, released: Vec::new(), undecodable: 0 };
    loop {
        let event = tokio::select! {
            event = context.reporter.attend(pair.next()) => event,
            () = context.stop.cancelled() => return Ok(()),
        };
        match feed.on(event).map_err(lost)? {
            Word::Renew => pair.renew(),
            Word::Nothing => {}
        }
    }
}

/// A venue that is not there is not the feed's fault, and a restart would not help: it is waited for, its markets are stale meanwhile,
/// and nobody opens anything on them. `None` when the feed is to stop.
async fn open(context: &ChildContext, spec: &FeedSpec, around: &Surroundings) -> Option<Pair> {
    let mut wait = OPEN_AGAIN_MIN;
    loop {
        let opening = Pair::open(&around.services, &spec.base, streams(&spec.base, &spec.instruments), LOOK_EVERY);
        let opened = tokio::select! {
            opened = context.reporter.attend(opening) => opened,
            () = context.stop.cancelled() => return None,
        };
        match opened {
            Ok(pair) => return Some(pair),
            Err(error) => FeedLost { feed: context.name.as_str(), why: &error.to_string() }.emit(),
        }
        tokio::select! {
            () = context.reporter.attend(tokio::time::sleep(wait)) => wait = (wait * 2).min(OPEN_AGAIN_MAX),
            () = context.stop.cancelled() => return None,
        }
    }
}

impl Feed<'_> {
    /// Why the feed is lost, if it is.
    fn on(&mut self, event: PairEvent) -> Result<Word, String> {
        let feed = &self.context.name;
        match event {
            PairEvent::Text(side, text) => return self.take(side, &text),
            PairEvent::Look => self.look()?,
            PairEvent::Began => {
                tracing::info!(target: "ringfence::market", %feed, "second connection takes over from the first");
                self.readers.values_mut().for_each(|reader| reader.relay.begin());
            }
            PairEvent::TookOver => {
                for reader in self.readers.values_mut() {
                    reader.relay.finish(&mut self.released);
                    reader.release(&mut self.released);
                }
            }
            PairEvent::NotYet(why) => tracing::warn!(target: "ringfence::market", %feed, why, "no second connection yet"),
            PairEvent::Abandoned(why) => {
                let mut whole = true;
                for reader in self.readers.values_mut() {
                    whole &= reader.relay.abandon();
                }
                if !whole {
                    return Err(format!("the connection that took over ended: {why}"));
                }
            }
            PairEvent::Lost(why) => return Err(why),
        }
        Ok(Word::Nothing)
    }

    /// Whether every stream is as young as it has to be.
    fn look(&self) -> Result<(), String> {
        let now = self.around.clock.now();
        let overdue = self.readers.iter().find_map(|(symbol, reader)| Some((symbol, reader.watch.overdue(now)?)));
        overdue.map_or(Ok(()), |(symbol, late)| Err(format!("{symbol}: {late}")))
    }

    fn take(&mut self, from: Side, text: &Utf8Bytes) -> Result<Word, String> {
        let now = self.around.clock.now();
        match self.decoder.decode(text.as_bytes(), now) {
            Ok(Decoded::Frame(frame)) => {
                if let Some(reader) = self.readers.get_mut(&frame.symbol) {
                    reader.take(now, from, &frame, &mut self.released)?;
                }
            }
            Ok(Decoded::Other(Other::ServerShutdown)) if from == Side::First => return Ok(Word::Renew),
            Ok(Decoded::Other(_)) => {}
            Err(error) => {
                self.undecodable += 1;
                tracing::warn!(target: "ringfence::market", feed = %self.context.name, %error, "frame not decoded");
                if self.undecodable > UNDECODABLE_MAX {
                    return Err(format!("expected at most {UNDECODABLE_MAX} unreadable frames, found one more: {error}"));
                }
            }
        }
        Ok(Word::Nothing)
    }
}

impl Reader {
    fn take(&mut self, now: Timestamp, from: Side, frame: &MarketFrameRef<'_>, released: &mut Vec<MarketFrame>) -> Result<(), String> {
        if let Some((lane, _)) = Lane::of(&frame.event, frame.venue_time.0) {
            // A touch of spot has no time of its own: it was stamped when it came.
            let own_time = (!matches!(frame.event, MarketEventRef::Ticker(_))).then_some(frame.venue_time);
            if let Some(late) = self.watch.heard(now, lane, own_time) {
                return Err(format!("{}: {late}", frame.symbol));
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

fn readers(spec: &FeedSpec, around: &Surroundings) -> HashMap<Symbol, Reader> {
    let reader = |instrument: &Instrument| {
        let symbol = instrument.symbol;
        let market = Post::new(&around.directory, &names::market(symbol));
        (symbol, Reader { slot: around.wires.frames(symbol), market, relay: Relay::default(), watch: Watch::default() })
    };
    spec.instruments.iter().map(reader).collect()
}
