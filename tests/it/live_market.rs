//! Paper trading at a venue's live prices: an exchange that hears another one's public streams over real sockets shows one unbroken
//! market, whose book is the venue's, through a cut connection too.

use std::sync::Arc;
use std::time::Duration;

use ringfence::domain::book::{BookSync, SequenceRule, SyncOutcome, SyncState};
use ringfence::domain::ids::Symbol;
use ringfence::domain::instrument::InstrumentKind;
use ringfence::domain::market_data::{DepthSnapshot, MarketEvent, MarketFrame};
use ringfence::domain::order::Side;
use ringfence::domain::time::Timestamp;
use ringfence::exchange::instruments::bundled;
use ringfence::exchange::shell;
use ringfence::exchange::sources::MarketSource as _;
use ringfence::exchange::sources::live::{LiveError, LiveMarket, LiveVenue};
use ringfence::exchange::sources::synthetic::{Synthetic, SyntheticConfig, SyntheticSymbol};
use ringfence::exchange::stream::{ExchangeFloor, MarketWire, MarketWireConfig, StreamFault};
use ringfence::exchange::{ExchangeConfig, RunningExchange, ShellConfig};
use ringfence::messages::Clock;
use ringfence::venues::binance::feeds::{Relay, streams};
use ringfence::venues::binance::handover::{Pair, PairEvent};
use ringfence::venues::binance::market::{Decoded, Decoder, Other};
use tokio::net::TcpListener;

/// Generous: every wait is for an event, not for this long.
const PATIENCE: Duration = Duration::from_secs(30);

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

/// A venue to hear: a synthetic market of one symbol, served as Binance would.
struct Venue {
    exchange: RunningExchange,
    wire: MarketWire,
    live: LiveVenue,
    clock: Clock,
}

impl Venue {
    async fn start(kind: InstrumentKind) -> Self {
        let wall = Clock::start();
        let clock: shell::Clock = Arc::new({
            let wall = wall.clone();
            move || wall.now()
        });
        let symbol = SyntheticSymbol::named(kind, btc());
        let instruments = vec![symbol.instrument.clone()];
        let market = SyntheticConfig { seed: 5, symbols: vec![symbol] };
        let config = ShellConfig { exchange: ExchangeConfig::default(), accounts: Vec::new(), record: None, clock: Arc::clone(&clock) };
        let exchange =
            RunningExchange::start(config, Box::new(move |start, resume| Box::new(Synthetic::new(&market, start, resume)))).unwrap();
        let floor = ExchangeFloor { handle: exchange.handle(), instruments, clock };
        let wire = MarketWire::new(Arc::new(floor), MarketWireConfig::of(kind)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, wire.router()).into_future());
        let publishing = wire.clone();
        tokio::spawn(async move { publishing.publish().await });
        let live = LiveVenue { kind, rest: format!("http://{address}"), ws: format!("ws://{address}") };
        Self { exchange, wire, live, clock: wall }
    }
}

/// Polls a live market as the exchange's thread does, and follows it as a client of the exchange would.
struct Follower {
    market: LiveMarket,
    clock: Clock,
    sync: BookSync,
    trades: Vec<u64>,
    diffs: usize,
    newest: Timestamp,
}

impl Follower {
    async fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let wait = async {
            while !enough(self) {
                let mut frames = Vec::new();
                self.market.poll(self.clock.now(), &mut frames);
                frames.into_iter().for_each(|frame| self.follow(&frame));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} did not come"));
    }

    fn follow(&mut self, frame: &MarketFrame) {
        assert!(frame.venue_time >= self.newest, "time goes on");
        self.newest = frame.venue_time;
        match &frame.event {
            MarketEvent::Snapshot(snapshot) => drop(self.sync.on_snapshot(snapshot)),
            MarketEvent::Depth(update) => {
                // A reader that began before there was a book takes it from the first whole diff.
                if self.sync.state() == SyncState::NeedsSnapshot {
                    return;
                }
                let outcome = self.sync.on_diff(update);
                assert!(!matches!(outcome, SyncOutcome::Gap { .. }), "{outcome:?}");
                self.diffs += 1;
            }
            MarketEvent::Trade(trade) => {
                assert!(self.trades.last().is_none_or(|last| trade.id > *last), "ids never go back");
                self.trades.push(trade.id);
            }
            _ => {}
        }
    }

    fn book(&self) -> Option<DepthSnapshot> {
        let book = self.sync.book()?;
        Some(DepthSnapshot { last_id: 0, bids: book.levels(Side::Buy).collect(), asks: book.levels(Side::Sell).collect() })
    }
}

async fn follows_a_venue(kind: InstrumentKind, rule: SequenceRule) {
    let venue = Venue::start(kind).await;
    let market = LiveMarket::open(&venue.live, &[btc()], venue.clock.now()).await.unwrap();
    assert_eq!(market.instruments()[0].kind, kind);
    assert!(market.candles(btc(), Duration::from_secs(60), 100).len() >= 99, "the venue's past is learned");
    let clock = venue.clock.clone();
    let mut follower = Follower { market, clock, sync: BookSync::new(rule), trades: Vec::new(), diffs: 0, newest: Timestamp::ZERO };
    follower.until("a book, diffs and trades", |seen| seen.diffs > 5 && seen.trades.len() > 5).await;
    let book = follower.book().unwrap();
    assert!(book.bids.len() >= 10 && book.asks.len() >= 10 && book.bids[0].price < book.asks[0].price, "{book:?}");
    venue.wire.inject(StreamFault::Cut);
    let (diffs, trades) = (follower.diffs, follower.trades.len());
    follower.until("what came after the cut", |seen| seen.diffs > diffs + 20 && seen.trades.len() > trades + 5).await;
    let book = follower.book().unwrap();
    assert!(book.bids[0].price < book.asks[0].price, "{book:?}");
    venue.exchange.stop().unwrap();
}

#[tokio::test]
async fn spot_is_followed_through_a_cut() {
    follows_a_venue(InstrumentKind::Spot, SequenceRule::Spot).await;
}

#[tokio::test]
async fn usdm_is_followed_through_a_cut() {
    follows_a_venue(InstrumentKind::Perpetual, SequenceRule::UsdM).await;
}

#[tokio::test]
async fn a_symbol_that_the_venue_does_not_list_is_named() {
    let venue = Venue::start(InstrumentKind::Spot).await;
    let other = Symbol::new("NEWUSDT").unwrap();
    let refused = LiveMarket::open(&venue.live, &[btc(), other], venue.clock.now()).await;
    assert!(matches!(refused, Err(LiveError::NotListed { symbol }) if symbol == other));
    venue.exchange.stop().unwrap();
}

/// What a feed does with a pair of connections, without a daemon around it.
struct Heard {
    decoder: Decoder,
    relay: Relay,
    sync: BookSync,
    trades: Vec<u64>,
    handed_over: u32,
}

impl Heard {
    fn on(&mut self, event: PairEvent) -> bool {
        let mut out = Vec::new();
        match event {
            PairEvent::Text(side, text) => match self.decoder.decode(text.as_bytes(), Timestamp::ZERO).unwrap() {
                Decoded::Frame(frame) => {
                    let passes = self.relay.passes(side, &frame, &mut out);
                    let frame = frame.to_owned();
                    out.splice(0..0, passes.then_some(frame));
                }
                Decoded::Other(Other::ServerShutdown) => return true,
                Decoded::Other(other) => panic!("{other:?}"),
            },
            PairEvent::Began => self.relay.begin(),
            PairEvent::TookOver => {
                self.relay.finish(&mut out);
                self.handed_over += 1;
            }
            PairEvent::Look => {}
            other => panic!("{other:?}"),
        }
        for frame in out {
            match &frame.event {
                MarketEvent::Trade(trade) => self.trades.push(trade.id),
                MarketEvent::Depth(update) => {
                    if self.sync.state() == SyncState::NeedsSnapshot {
                        self.sync.on_snapshot(&DepthSnapshot { last_id: update.final_id, ..DepthSnapshot::default() });
                    } else {
                        assert_eq!(self.sync.on_diff(update), SyncOutcome::Applied, "the diffs of two connections are one chain");
                    }
                }
                _ => {}
            }
        }
        false
    }
}

#[tokio::test]
async fn a_server_that_is_about_to_stop_is_left_for_a_second_connection_without_a_hole() {
    let venue = Venue::start(InstrumentKind::Perpetual).await;
    let instrument = bundled(InstrumentKind::Perpetual, btc()).unwrap();
    let names = streams(&venue.live.ws, std::slice::from_ref(&instrument));
    let look_every = Duration::from_millis(100);
    let mut pair = Pair::open(&tokio::runtime::Handle::current(), &venue.live.ws, names, look_every).await.unwrap();
    let mut heard = Heard {
        decoder: Decoder::new([&instrument]).unwrap(),
        relay: Relay::default(),
        sync: BookSync::new(SequenceRule::UsdM),
        trades: Vec::new(),
        handed_over: 0,
    };
    let follow = async {
        while heard.handed_over == 0 || heard.trades.len() < 60 {
            if heard.trades.len() == 5 {
                venue.wire.inject(StreamFault::AnnounceShutdown);
            }
            if heard.on(pair.next().await) {
                pair.renew();
            }
        }
    };
    tokio::time::timeout(PATIENCE, follow).await.expect("a handover");
    for two in heard.trades.windows(2) {
        assert_eq!(two[1], two[0] + 1, "every trade once and in order: {:?}", heard.trades);
    }
    venue.exchange.stop().unwrap();
}
