use proptest::prelude::*;

use super::*;
use crate::domain::ids::Symbol;
use crate::domain::instrument::{InstrumentKind, Lots, Ticks};
use crate::domain::market_data::{BookTicker, DepthSnapshot, DepthUpdate, Level, MarketEvent, TradePrint};
use crate::exchange::instruments::bundled;
use crate::settings::{Settings, SourceText, any_strategy};
use crate::simulation::backtest::parts;
use crate::strategies::registry;

/// A strategy that flips with nearly every bar.
const SETTINGS: &str = r#"
extends = "nothing"
symbols = "from-data"
[exchange]
market = "recording"
[[accounts]]
id = "one"
starting_funds = "100000"
[risk]
price_collar = "0.05"
max_order_value = "20000"
max_order_quantity = "1000"
max_position_value = "50000"
max_messages = { count = 1000, period = "1s" }
max_daily_loss = "50000"
max_capital = "1000000"
duplicate_window = "1ms"
stale_after = "30s"
[[strategies]]
id = "flip"
kind = "ema_cross"
accounts = ["one"]
symbols = ["*"]
interval = "1s"
[strategies.settings]
fast = 1
slow = 2
open_at_start = true
[backtest]
order_latency = "5ms"
"#;
/// 60,000.0 USDT.
const MIDDLE: i64 = 600_000;
const START: Timestamp = Timestamp(1_723_161_255_000_000_000);

fn world() -> World {
    let settings = Settings::read(Some(&SourceText::new("test".to_owned(), SETTINGS.to_owned())), [], &any_strategy).unwrap();
    let instrument = bundled(InstrumentKind::Perpetual, Symbol::new("BTCUSDT").unwrap()).unwrap();
    World::new(parts(&settings, &registry(), &[instrument]).unwrap(), START)
}

fn feed(world: &mut World, millis: u64, event: MarketEvent) {
    let at = world.now() + Duration::from_millis(millis);
    let frame = crate::domain::market_data::MarketFrame { symbol: world.instrument(0).symbol, venue_time: at, received_at: at, event };
    world.frame(0, at, at, frame.borrowed().event);
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Ticks(price), quantity: Lots(quantity) }
}

/// The exchange's account and our own book of it, two ledgers that know nothing of each other, must agree to the last digit
/// once both value at the same mark and nothing is on its way.
fn assert_money_conserved(world: &mut World) {
    let mark = world.instrument(0).price(Ticks(MIDDLE));
    feed(world, 1_000, MarketEvent::Mark(mark));
    world.advance(world.now() + Duration::from_secs(5));
    for executor in &world.parts.executors {
        let at_venue = world.parts.exchange.equity(executor.account()).unwrap();
        assert_eq!(executor.positions().equity(|_| Some(mark)), at_venue);
    }
    let worth: Money = world.parts.executors.iter().map(|executor| executor.positions().equity(|_| Some(mark))).sum();
    let fees: Money = world.tally.total(|symbol| symbol.fees);
    let booked: Money = world.tally.total(|symbol| symbol.realized);
    let open: Money = world.parts.executors.iter().map(|one| one.positions().unrealized(|_| Some(mark)).unrealized).sum();
    assert_eq!(worth, Money(100_000.into()) + booked + open - fees, "funds are deposits, profit and fees, and nothing else");
}

#[test]
fn a_market_that_swings_makes_trades_and_no_money_out_of_nothing() {
    let mut world = world();
    for (id, n) in (1..).zip(0..600_i64) {
        let price = MIDDLE + [0, 300, -200, 500][(n / 40 % 4) as usize] + n % 7;
        feed(&mut world, 40, MarketEvent::Ticker(BookTicker { id, bid: level(price - 1, 500), ask: level(price, 500) }));
        let trade = TradePrint { id, price: Ticks(price), quantity: Lots(3), buyer_is_maker: false };
        feed(&mut world, 40, MarketEvent::Trade(trade));
    }
    assert_money_conserved(&mut world);
    assert!(world.tally.fills_total > 5, "{} fills", world.tally.fills_total);
}

fn price() -> impl Strategy<Value = i64> {
    prop_oneof![20 => MIDDLE - 400..MIDDLE + 400, 1 => 1..2 * MIDDLE]
}

fn any_level() -> impl Strategy<Value = Level> {
    (price(), prop_oneof![4 => 0..2_000_i64, 1 => Just(0)]).prop_map(|(price, quantity)| level(price, quantity))
}

fn levels() -> impl Strategy<Value = Vec<Level>> {
    prop::collection::vec(any_level(), 0..12)
}

/// Frames as no venue would send them: crossed, out of order, with holes.
fn event() -> impl Strategy<Value = MarketEvent> {
    let id = 1..2_000_u64;
    prop_oneof![
        8 => (id.clone(), any_level(), any_level()).prop_map(|(id, bid, ask)| MarketEvent::Ticker(BookTicker { id, bid, ask })),
        8 => (id.clone(), price(), 1..500_i64, any::<bool>()).prop_map(|(id, price, lots, buyer_is_maker)| {
            MarketEvent::Trade(TradePrint { id, price: Ticks(price), quantity: Lots(lots), buyer_is_maker })
        }),
        4 => (id.clone(), 0..50_u64, levels(), levels()).prop_map(|(first_id, more, bids, asks)| {
            MarketEvent::Depth(DepthUpdate { first_id, final_id: first_id + more, previous_id: Some(first_id - 1), bids, asks })
        }),
        1 => (id, levels(), levels()).prop_map(|(last_id, bids, asks)| MarketEvent::Snapshot(DepthSnapshot { last_id, bids, asks })),
        1 => price().prop_map(|ticks| MarketEvent::Mark(crate::domain::money::Price(rust_decimal::Decimal::new(ticks, 1)))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the market shows, nothing panics, no money appears or vanishes, and the same frames give the same bytes.
    #[test]
    fn any_market_conserves_money_and_repeats(frames in prop::collection::vec((0..700_u64, event()), 1..250)) {
        let hashes = [(); 2].map(|()| {
            let mut world = world();
            for (millis, event) in &frames {
                feed(&mut world, *millis, event.clone());
            }
            assert_money_conserved(&mut world);
            world.finish().trace_hash
        });
        prop_assert_eq!(&hashes[0], &hashes[1]);
    }
}
