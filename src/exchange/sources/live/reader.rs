//! Hears a venue's public streams and fetches its snapshots, on a thread of its own: the exchange's thread must not wait for a
//! network. It reconnects for as long as somebody listens, and decides nothing about the market.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use super::{LiveVenue, Word};
use crate::domain::book::SequenceRule;
use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{Candle, DepthSnapshot, DepthUpdate, MarketEvent, MarketFrame};
use crate::domain::time::Timestamp;
use crate::exchange::instruments;
use crate::venues::binance::codec::answers::Commission;
use crate::venues::binance::connection::{ConnectError, MarketConnection, connect};
use crate::venues::binance::feeds::{plan, streams};
use crate::venues::binance::market::{Decoded, Decoder};
use crate::venues::binance::rest::{MarketRest, RestError};
use crate::venues::grid::StepError;

/// Words that may wait for the exchange's thread, which takes them a hundred times a second: minutes of the busiest market.
const WORDS_MAX: usize = 1 << 16;
/// A socket that is silent for so long is dead.
const DATA_AGE_MAX: Duration = Duration::from_secs(30);
/// Between two attempts; the venue allows 300 in five minutes.
const RETRY: Duration = Duration::from_secs(3);
const SNAPSHOT_LEVELS: usize = 1_000;
/// The past that is learned: a day of minutes would be two requests a symbol, so it is most of one; and a month of hours.
const PAST: [(u64, usize); 2] = [(3_600, 999), (60, 999)];

/// Why a venue's market cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error("the venue expected to list {symbol}, found that it does not; --symbols names what it has")]
    NotListed { symbol: Symbol },
    #[error("the thread that hears the venue cannot be started: {0}")]
    Thread(std::io::Error),
}

type Opened = (Vec<Instrument>, Vec<Vec<Candle>>, Receiver<Word>);

/// The instruments, each one's past, and what is heard from now on.
pub(super) async fn open(venue: &LiveVenue, symbols: &[Symbol]) -> Result<Opened, LiveError> {
    let rest = MarketRest::new(&venue.rest, venue.kind)?;
    let info = rest.exchange_info().await?;
    let mut listed = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        let rules = info.symbols.iter().find(|rules| rules.symbol() == *symbol).ok_or(LiveError::NotListed { symbol: *symbol })?;
        // What a new account pays is in no public answer.
        let fees = instruments::inferred(venue.kind, *symbol, 0, 0);
        listed.push(rules.instrument(Commission { maker: fees.maker_fee, taker: fees.taker_fee }, None));
    }
    let past = join_all(listed.iter().map(|instrument| past_of(&rest, instrument.symbol))).await.into_iter().collect::<Result<_, _>>()?;
    let (words, heard) = sync_channel(WORDS_MAX);
    let reader = Reader { rest, words };
    // Checked here, so that a grid that is none is found before a thread is there.
    let groups: Vec<Group> =
        plan(&venue.ws, &listed).into_iter().map(|plan| Group::new(plan.base, &plan.members, &listed)).collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LiveError::Thread)?;
    let run = move || {
        runtime.block_on(join_all(groups.into_iter().map(|group| reader.follow(group))));
    };
    std::thread::Builder::new().name("live market".to_owned()).spawn(run).map_err(LiveError::Thread)?;
    Ok((listed, past, heard))
}

async fn past_of(rest: &MarketRest, symbol: Symbol) -> Result<Vec<Candle>, RestError> {
    let mut past: Vec<Candle> = Vec::new();
    for (seconds, limit) in PAST {
        let finer = rest.klines(symbol, Duration::from_secs(seconds), limit).await?;
        // Hours up to where the minutes begin.
        let from = finer.first().map_or(Timestamp(i64::MAX), |candle| candle.open_time);
        past.retain(|candle| candle.close_time < from);
        past.extend(finer);
    }
    Ok(past)
}

/// Why a word was not told.
enum Untold {
    /// Nobody listens any more.
    Unheard,
    /// The exchange stands still, and its queue is full.
    Behind,
}

struct Reader {
    rest: MarketRest,
    words: SyncSender<Word>,
}

/// The symbols of one connection.
struct Group {
    base: String,
    instruments: Vec<Instrument>,
    streams: Vec<String>,
    decoder: Decoder,
    /// The newest diff of each book.
    newest: HashMap<Symbol, u64>,
}

impl Group {
    fn new(base: String, members: &[usize], all: &[Instrument]) -> Result<Self, StepError> {
        let instruments: Vec<Instrument> = members.iter().filter_map(|at| all.get(*at).cloned()).collect();
        let (streams, decoder) = (streams(&base, &instruments), Decoder::new(&instruments)?);
        Ok(Self { base, streams, decoder, newest: HashMap::new(), instruments })
    }

    fn has_books(&self) -> bool {
        self.streams.iter().any(|stream| stream.contains("@depth"))
    }

    /// Whether a diff follows the one before it.
    fn follows(&mut self, symbol: Symbol, update: &DepthUpdate) -> bool {
        let before = self.newest.insert(symbol, update.final_id);
        let follows = match (SequenceRule::of(update), update.previous_id) {
            (SequenceRule::UsdM, Some(previous)) => previous,
            _ => update.first_id.saturating_sub(1),
        };
        before.is_none_or(|before| before == follows)
    }
}

type Fetch<'r> = BoxFuture<'r, (Symbol, Result<DepthSnapshot, RestError>)>;

impl Reader {
    async fn follow(&self, mut group: Group) {
        loop {
            let ended = match connect(&group.base, &group.streams).await {
                Ok(connection) => self.hear(&mut group, connection).await,
                Err(error) => Ok(why(&error)),
            };
            match ended {
                Err(Untold::Unheard) => return,
                Err(Untold::Behind) => warn_lost(&group.base, "expected the exchange to take what is heard, found its queue full"),
                Ok(why) => warn_lost(&group.base, &why),
            }
            sleep(RETRY).await;
        }
    }

    /// Hears one connection to its end; why it ended.
    async fn hear(&self, group: &mut Group, mut connection: MarketConnection) -> Result<String, Untold> {
        let mut fetches: FuturesUnordered<Fetch<'_>> = FuturesUnordered::new();
        if group.has_books() {
            group.newest.clear();
            self.tell(Word::Broken(group.instruments.iter().map(|instrument| instrument.symbol).collect()))?;
            fetches.extend(group.instruments.iter().cloned().map(|instrument| self.fetch(instrument, Duration::from_millis(300))));
        }
        loop {
            tokio::select! {
                next = timeout(DATA_AGE_MAX, connection.next()) => match next {
                    Ok(Some(Ok(text))) => {
                        let Ok(Decoded::Frame(frame)) = group.decoder.decode(text.as_bytes(), Timestamp::ZERO) else { continue };
                        let frame = frame.to_owned();
                        if let MarketEvent::Depth(update) = &frame.event
                            && !group.follows(frame.symbol, update)
                        {
                            let listed = group.instruments.iter().find(|instrument| instrument.symbol == frame.symbol).cloned();
                            fetches.extend(listed.map(|instrument| self.fetch(instrument, Duration::ZERO)));
                        }
                        self.tell(Word::Frame(frame))?;
                    }
                    Ok(Some(Err(error))) => return Ok(error.to_string()),
                    Ok(None) => return Ok("the connection ended".to_owned()),
                    Err(_) => return Ok(format!("expected data within {DATA_AGE_MAX:?}, found silence")),
                },
                Some((symbol, fetched)) = fetches.next() => match fetched {
                    Ok(snapshot) => {
                        let event = MarketEvent::Snapshot(snapshot);
                        self.tell(Word::Frame(MarketFrame { symbol, venue_time: Timestamp::ZERO, received_at: Timestamp::ZERO, event }))?;
                    }
                    Err(error) => return Ok(error.to_string()),
                },
            }
        }
    }

    /// A snapshot, after a while in which diffs gather that it can be joined to.
    fn fetch(&self, instrument: Instrument, after: Duration) -> Fetch<'_> {
        async move {
            sleep(after).await;
            (instrument.symbol, self.rest.depth(&instrument, SNAPSHOT_LEVELS).await)
        }
        .boxed()
    }

    /// What is not told leaves a hole, so that whoever finds the queue full begins anew: with books that are void until a snapshot.
    fn tell(&self, word: Word) -> Result<(), Untold> {
        self.words.try_send(word).map_err(|error| match error {
            TrySendError::Disconnected(_) => Untold::Unheard,
            TrySendError::Full(_) => Untold::Behind,
        })
    }
}

fn warn_lost(base: &str, why: &str) {
    tracing::warn!(target: "ringfence::market", base, why, "live market lost; connecting again");
}

fn why(error: &ConnectError) -> String {
    error.to_string()
}
