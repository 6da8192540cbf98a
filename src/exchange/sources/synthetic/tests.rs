use rust_decimal::Decimal;

use super::*;
use crate::domain::book::Book;
use crate::domain::market_data::MarketEvent;
use crate::domain::order::Side;
use crate::exchange::core::{Exchange, ExchangeConfig};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn market(seed: u64) -> Synthetic {
    Synthetic::new(&SyntheticConfig::standard(seed), START, &BTreeMap::new())
}

fn frames(source: &mut Synthetic, seconds: u64) -> Vec<MarketFrame> {
    let mut out = Vec::new();
    source.poll(START + Duration::from_secs(seconds), &mut out);
    out
}

#[test]
fn the_same_seed_and_polls_give_the_same_frames_and_another_seed_others() {
    let (a, b) = (frames(&mut market(7), 20), frames(&mut market(7), 20));
    assert_eq!(a, b);
    assert_ne!(a, frames(&mut market(8), 20));
}

#[test]
fn many_short_polls_give_what_one_long_poll_gives() {
    let (mut short, mut pieces) = (market(3), Vec::new());
    for millis in (0..=20_000).step_by(10) {
        short.poll(START + Duration::from_millis(millis), &mut pieces);
    }
    assert_eq!(pieces, frames(&mut market(3), 20));
}

#[test]
fn the_default_market_has_at_least_two_hundred_events_a_second_over_three_symbols() {
    for seed in 0..5 {
        let count = frames(&mut market(seed), 60).len();
        assert!((12_000..60_000).contains(&count), "seed {seed}: {count} frames in a minute");
    }
}

#[test]
fn books_touches_and_trades_agree_and_diffs_chain() {
    let mut source = market(11);
    let all = frames(&mut source, 120);
    for instrument in source.instruments() {
        let (mut book, mut last_id, mut newest_touch) = (Book::new(), 0, None);
        for frame in all.iter().filter(|frame| frame.symbol == instrument.symbol) {
            match &frame.event {
                MarketEvent::Snapshot(snapshot) => {
                    book.apply_snapshot(snapshot);
                    last_id = snapshot.last_id;
                }
                MarketEvent::Depth(diff) => {
                    assert_eq!(diff.previous_id, Some(last_id));
                    assert!(diff.first_id <= diff.final_id);
                    book.apply_update(diff);
                    last_id = diff.final_id;
                    let (bid, ask) = book.top().unwrap();
                    assert!(bid.price < ask.price);
                    assert!(book.depth(Side::Buy) >= 20 && book.depth(Side::Sell) >= 20);
                    if let Some((id, touch)) = newest_touch {
                        assert!(id <= last_id);
                        assert_eq!(touch, (bid, ask), "the diff of {last_id} and the touch of {id} disagree");
                    }
                }
                MarketEvent::Ticker(ticker) => {
                    assert!(ticker.id >= last_id && ticker.bid.price < ticker.ask.price && ticker.bid.quantity.0 > 0);
                    newest_touch = Some((ticker.id, (ticker.bid, ticker.ask)));
                }
                MarketEvent::Trade(trade) => assert!(trade.price.0 > 0 && trade.quantity.0 > 0),
                MarketEvent::Mark(_) => {}
                MarketEvent::Candle(_) => panic!("the synthetic market sends no candles"),
            }
        }
    }
}

#[test]
fn hours_of_market_neither_die_nor_explode() {
    let mut source = market(99);
    let mut out = Vec::new();
    for minute in 1..=60_u64 {
        out.clear();
        source.poll(START + Duration::from_secs(minute * 60), &mut out);
    }
    for (instrument, symbol) in source.instruments().iter().zip(&SyntheticConfig::standard(99).symbols) {
        let bars = source.candles(instrument.symbol, Duration::from_secs(60), 60);
        assert_eq!(bars.len(), 60);
        for bar in bars {
            let ratio = bar.close.0 / symbol.opens_at.0;
            assert!(ratio > Decimal::new(8, 1) && ratio < Decimal::new(13, 1), "{} at {}", instrument.symbol, bar.close);
            assert!(instrument.ticks(bar.high).is_some() && bar.low <= bar.open && bar.close <= bar.high);
        }
    }
}

#[test]
fn the_fair_price_stays_in_reach_of_its_anchor_for_a_year_of_any_seed() {
    for seed in 0..40 {
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
        let mut process = process::Process::new(180e-6, 100.0);
        for _ in 0..365 * 24 * 12 {
            process.step(300.0, &mut dice);
            assert!(process.price > 25.0 && process.price < 400.0, "seed {seed}: {}", process.price);
        }
    }
}

#[test]
fn every_interval_has_three_hundred_bars_before_the_first_trade() {
    let source = market(5);
    for seconds in [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400] {
        let bars = source.candles(Symbol::new("BTCUSDT").unwrap(), Duration::from_secs(seconds), 300);
        assert!(bars.len() >= 299, "{seconds} s: {} bars", bars.len());
        assert!(bars.windows(2).all(|pair| pair[1].open_time.since(pair[0].open_time) == Duration::from_secs(seconds)), "{seconds} s");
        assert!(bars.iter().all(|bar| bar.low <= bar.open && bar.open <= bar.high && bar.volume.is_positive()));
    }
}

#[test]
fn a_market_that_resumes_goes_on_at_its_price() {
    let resume = BTreeMap::from([(Symbol::new("BTCUSDT").unwrap(), Ticks(700_000))]);
    let source = Synthetic::new(&SyntheticConfig::standard(1), START, &resume);
    let bars = source.candles(Symbol::new("BTCUSDT").unwrap(), Duration::from_secs(60), 3);
    let last = bars.last().unwrap().close.0;
    assert!((last - Decimal::new(70_000, 0)).abs() < Decimal::new(700, 0), "{last}");
}

#[test]
fn averages_of_a_minute_bar_cross_often_enough_to_trade_on() {
    let source = market(2);
    let bars = source.candles(Symbol::new("ETHUSDT").unwrap(), Duration::from_secs(60), 300);
    let closes: Vec<Decimal> = bars.iter().map(|bar| bar.close.0).collect();
    let mean = |window: &[Decimal]| window.iter().sum::<Decimal>() / Decimal::from(window.len());
    let above: Vec<bool> = (21..closes.len()).map(|n| mean(&closes[n - 9..n]) > mean(&closes[n - 21..n])).collect();
    let crosses = above.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!((4..80).contains(&crosses), "{crosses} crosses in 279 bars");
}

#[test]
fn a_spot_book_with_fine_ticks_is_as_deep_as_any_and_has_no_mark() {
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let symbols = vec![SyntheticSymbol::named(InstrumentKind::Spot, symbol)];
    let mut source = Synthetic::new(&SyntheticConfig { seed: 5, symbols }, START, &BTreeMap::new());
    let mut book = Book::new();
    for frame in frames(&mut source, 60) {
        match &frame.event {
            MarketEvent::Snapshot(snapshot) => book.apply_snapshot(snapshot),
            MarketEvent::Depth(diff) => {
                book.apply_update(diff);
                assert!(book.depth(Side::Buy) >= 20 && book.depth(Side::Sell) >= 20);
                let (bid, ask) = book.top().unwrap();
                assert!(bid.price < ask.price);
                assert!(book.depth(Side::Buy) < 400, "{}", book.depth(Side::Buy));
            }
            MarketEvent::Mark(_) => panic!("spot has no mark"),
            _ => {}
        }
    }
}

/// What `GET depth` answers comes from the engine, which knows the touches between two diffs as well: a price that runs takes
/// levels off its book, and a large taker does.
#[test]
fn the_book_that_clients_are_shown_has_twenty_levels_a_side_after_every_step() {
    for (kind, seed) in
        [(InstrumentKind::Spot, 1), (InstrumentKind::Perpetual, 1), (InstrumentKind::Spot, 2), (InstrumentKind::Perpetual, 3)]
    {
        let names = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT"].map(|name| Symbol::new(name).unwrap());
        let symbols = names.map(|name| SyntheticSymbol::named(kind, name)).to_vec();
        let mut source = Synthetic::new(&SyntheticConfig { seed, symbols }, START, &BTreeMap::new());
        let mut engine = Exchange::new(ExchangeConfig::default());
        for instrument in source.instruments() {
            engine.add_symbol(instrument);
        }
        let (mut frames, mut told) = (Vec::new(), Vec::new());
        for millis in (0..60_000).step_by(20) {
            source.poll(START + Duration::from_millis(millis), &mut frames);
            for frame in frames.drain(..) {
                engine.market(frame.venue_time, engine.symbol_index(frame.symbol).unwrap(), frame.borrowed().event, &mut told);
            }
            for name in names {
                let (_, bids, asks) = engine.book(engine.symbol_index(name).unwrap(), 20).unwrap();
                assert_eq!((bids.len(), asks.len()), (20, 20), "{kind:?} {name}, seed {seed}, {millis} ms");
            }
        }
    }
}
