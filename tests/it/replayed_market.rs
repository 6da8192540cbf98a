//! Real recordings played as the exchange's market, over several rounds: a client that follows the stream keeps the venue's
//! book, ids go on, and there is a past to warm up with. Skipped where the recordings are absent.

use std::time::Duration;

use ringfence::domain::book::{BookSync, SequenceRule, SyncOutcome};
use ringfence::domain::market_data::{MarketEvent, MarketFrame};
use ringfence::domain::order::Side;
use ringfence::domain::time::Timestamp;
use ringfence::exchange::sources::MarketSource as _;
use ringfence::exchange::sources::replay::ReplayMarket;

use crate::support::skip::shared_data;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Both recordings last under six minutes: this is more than two rounds.
const PLAYED: Duration = Duration::from_secs(800);

/// A client that fetched the first snapshot and follows the stream from there.
struct Reader {
    sync: BookSync,
    snapshots: usize,
    trade_id: u64,
    last: Timestamp,
    silence_max: Duration,
}

impl Reader {
    fn new(rule: SequenceRule) -> Self {
        Self { sync: BookSync::new(rule), snapshots: 0, trade_id: 0, last: START, silence_max: Duration::ZERO }
    }

    fn follow(&mut self, frame: &MarketFrame) {
        assert!(frame.received_at >= self.last, "time goes back");
        self.silence_max = self.silence_max.max(frame.received_at.since(self.last));
        self.last = frame.received_at;
        match &frame.event {
            MarketEvent::Snapshot(snapshot) if self.snapshots == 0 => {
                assert_eq!(self.sync.on_snapshot(snapshot), SyncOutcome::Applied);
                self.snapshots = 1;
            }
            MarketEvent::Snapshot(snapshot) => {
                let book = self.sync.book().expect("a book that is true");
                assert_eq!(self.sync.last_id(), snapshot.last_id);
                assert_eq!(book.levels(Side::Buy).collect::<Vec<_>>(), snapshot.bids);
                assert_eq!(book.levels(Side::Sell).collect::<Vec<_>>(), snapshot.asks);
                self.snapshots += 1;
            }
            MarketEvent::Depth(update) => assert_eq!(self.sync.on_diff(update), SyncOutcome::Applied),
            MarketEvent::Trade(trade) => {
                assert!(trade.id > self.trade_id, "trade {} after {}", trade.id, self.trade_id);
                self.trade_id = trade.id;
            }
            _ => {}
        }
    }
}

fn play(file: &str, rule: SequenceRule) {
    let Some(file) = shared_data(file) else { return };
    let mut market = ReplayMarket::open(&[file], START).expect("a sound recording");
    assert_eq!((market.warnings(), market.unreadable()), (&[] as &[String], 0));
    let symbol = market.instruments()[0].symbol;
    let (mut reader, mut frames) = (Reader::new(rule), Vec::new());
    market.poll(START, &mut frames);
    for interval in [1, 5, 60, 300] {
        assert_eq!(market.candles(symbol, Duration::from_secs(interval), 250).len(), 250, "{interval} s");
    }
    for second in 0..=PLAYED.as_secs() {
        market.poll(START + Duration::from_secs(second), &mut frames);
        frames.drain(..).for_each(|frame| reader.follow(&frame));
    }
    assert_eq!(reader.snapshots, 3, "one to open with and one for each seam");
    assert!(reader.silence_max < Duration::from_secs(3), "{:?}", reader.silence_max);
    let bars = market.candles(symbol, Duration::from_secs(1), 1_000);
    assert!(bars.windows(2).all(|pair| pair[1].open_time == pair[0].open_time + Duration::from_secs(1)));
}

#[test]
fn the_usdm_recording_plays_round_after_round_as_one_stream() {
    play("market/usdm/btcusdt_20240808.gz", SequenceRule::UsdM);
}

#[test]
fn the_spot_recording_plays_round_after_round_as_one_stream() {
    play("market/spot/btcusdt_20240808.gz", SequenceRule::Spot);
}
