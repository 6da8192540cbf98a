//! The queue: when a resting order fills, and when it must not yet.

use super::*;
use crate::domain::market_data::Candle;

fn resting(bids: &[(i64, i64)], asks: &[(i64, i64)], side: Side, ticks: i64, lots: i64) -> Desk {
    let mut desk = Desk::showing(bids, asks);
    let order = desk.limit(side, ticks, lots);
    let (_, events) = desk.place("a", order);
    assert_eq!(events.len(), 1, "{events:?}");
    desk
}

#[test]
fn prints_at_our_price_fill_us_only_after_the_queue_ahead() {
    let mut desk = resting(&[(MID - 1, 30)], &[(MID + 1, 30)], Side::Buy, MID - 1, 10);
    assert!(desk.print(MID - 1, 20, true).is_empty());
    assert!(desk.print(MID - 1, 10, true).is_empty());
    assert_eq!(trades(&desk.print(MID - 1, 4, true)), [(MID - 1, 4)]);
    assert_eq!(trades(&desk.print(MID - 1, 40, true)), [(MID - 1, 6)]);
}

#[test]
fn prints_by_our_own_side_do_not_fill_us() {
    let mut desk = resting(&[(MID - 1, 0)], &[(MID + 1, 30)], Side::Buy, MID - 1, 10);
    assert!(desk.print(MID - 1, 500, false).is_empty());
}

#[test]
fn a_print_through_our_price_fills_us_at_our_price_up_to_its_quantity() {
    let mut desk = resting(&[(MID - 1, 3_000)], &[(MID + 1, 30)], Side::Buy, MID - 1, 10);
    assert_eq!(trades(&desk.print(MID - 2, 6, true)), [(MID - 1, 6)]);
}

#[test]
fn one_print_is_shared_by_our_orders_and_never_used_twice() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 30)]);
    for (name, ticks) in [("a", MID), ("b", MID - 1), ("a", MID - 1)] {
        let order = desk.limit(Side::Buy, ticks, 10);
        desk.place(name, order);
    }
    // 25 lots: ten for the better price, ten for the queue at MID − 1, five for the older order there.
    let events = desk.print(MID - 1, 25, true);
    assert_eq!(trades(&events), [(MID, 10), (MID - 1, 5)]);
    assert_eq!(trades(&desk.print(MID - 1, 7, true)), [(MID - 1, 5), (MID - 1, 2)]);
}

#[test]
fn cancels_are_presumed_behind_us_until_less_is_shown_than_was_ahead() {
    let mut desk = resting(&[(MID - 1, 30)], &[(MID + 1, 30)], Side::Buy, MID - 1, 10);
    desk.diff(&[(MID - 1, 90)], &[]);
    desk.diff(&[(MID - 1, 30)], &[]);
    assert!(desk.print(MID - 1, 29, true).is_empty());
    // One lot is left ahead of us whatever is shown.
    desk.diff(&[(MID - 1, 50)], &[]);
    assert_eq!(trades(&desk.print(MID - 1, 3, true)), [(MID - 1, 2)]);
    let mut desk = resting(&[(MID - 1, 30)], &[(MID + 1, 30)], Side::Buy, MID - 1, 10);
    desk.diff(&[(MID - 1, 4)], &[]);
    assert_eq!(trades(&desk.print(MID - 1, 6, true)), [(MID - 1, 2)]);
}

#[test]
fn a_level_that_was_never_shown_has_an_unknown_queue() {
    let mut desk = resting(&[(MID - 1, 30)], &[(MID + 1, 30)], Side::Buy, MID - 7, 10);
    assert!(desk.print(MID - 7, 1_000, true).is_empty());
    desk.diff(&[(MID - 7, 5)], &[]);
    assert_eq!(trades(&desk.print(MID - 7, 6, true)), [(MID - 7, 1)]);
}

#[test]
fn nobody_is_ahead_inside_the_spread_or_once_the_touch_has_left() {
    let mut desk = resting(&[(MID - 5, 30)], &[(MID + 5, 30)], Side::Buy, MID, 10);
    assert_eq!(trades(&desk.print(MID, 3, true)), [(MID, 3)]);
    let mut desk = resting(&[(MID - 1, 30)], &[(MID + 5, 30)], Side::Buy, MID - 1, 10);
    desk.touch((MID - 2, 8), (MID + 5, 30));
    assert_eq!(trades(&desk.print(MID - 1, 3, true)), [(MID - 1, 3)]);
}

#[test]
fn an_opposite_quote_at_our_price_fills_us_up_to_what_it_shows_once() {
    let mut desk = resting(&[(MID - 1, 30)], &[(MID + 1, 30)], Side::Buy, MID - 1, 20);
    assert_eq!(trades(&desk.touch((MID - 3, 9), (MID - 2, 8))), [(MID - 1, 8)]);
    assert!(desk.touch((MID - 3, 10), (MID - 2, 8)).is_empty());
    assert_eq!(trades(&desk.touch((MID - 3, 9), (MID - 2, 11))), [(MID - 1, 3)]);
}

#[test]
fn a_taker_of_ours_meets_the_external_queue_before_our_resting_order() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10)]);
    let order = desk.limit(Side::Sell, MID + 1, 5);
    desk.place("a", order);
    desk.diff(&[], &[(MID + 1, 12)]);
    let order = desk.at_market(Side::Buy, 16);
    let (_, events) = desk.place("other", order);
    let takes: Vec<_> = fills(&events).iter().filter(|fill| !fill.maker).map(|fill| fill.quantity).collect();
    assert_eq!(takes, [quantity(10), quantity(5), quantity(1)]);
}

#[test]
fn an_old_diff_does_not_undo_a_newer_touch() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10), (MID + 3, 10)]);
    desk.touch((MID + 1, 7), (MID + 3, 4));
    desk.diff_at(desk.update_id - 1, &[(MID - 1, 5), (MID + 1, 99)], &[(MID + 1, 10), (MID + 3, 55), (MID + 4, 6)]);
    let (bid, ask) = desk.exchange.touch(desk.symbol);
    assert_eq!((bid, ask), (Some(level(MID + 1, 7)), Some(level(MID + 3, 4))));
    let (_, bids, asks) = desk.exchange.book(desk.symbol, 5).unwrap();
    assert_eq!((bids[1], asks[1]), (level(MID - 1, 5), level(MID + 4, 6)));
}

fn candle(open: i64, high: i64, low: i64, close: i64, lots: i64) -> Candle {
    Candle {
        open_time: Timestamp(0),
        close_time: Timestamp(59_999_000_000),
        open: price(open),
        high: price(high),
        low: price(low),
        close: price(close),
        volume: quantity(lots),
        quote_volume: Money::ZERO,
        trades: 1,
    }
}

#[test]
fn a_candle_fills_resting_orders_only_when_its_path_goes_through_them() {
    let mut desk = Desk::new();
    desk.market(MarketEventRef::Candle(&candle(MID, MID + 10, MID - 10, MID, 4_000)));
    let order = desk.limit(Side::Buy, MID - 20, 10);
    desk.place("a", order);
    assert!(desk.market(MarketEventRef::Candle(&candle(MID, MID + 1, MID - 20, MID, 4_000))).is_empty());
    let events = desk.market(MarketEventRef::Candle(&candle(MID, MID + 1, MID - 21, MID, 4_000)));
    assert_eq!(trades(&events), [(MID - 20, 10)]);
}

#[test]
fn a_taker_on_candles_pays_a_tick_and_gets_at_most_a_quarter_of_the_volume() {
    let mut desk = Desk::new();
    desk.market(MarketEventRef::Candle(&candle(MID, MID + 10, MID - 10, MID + 5, 400)));
    let order = desk.at_market(Side::Buy, 150);
    let (_, events) = desk.place("a", order);
    assert_eq!(trades(&events), [(MID + 6, 100)]);
    assert_eq!(end(&events).unwrap().1, EndReason::Expired);
}

#[test]
fn a_stop_inside_a_candle_meets_the_market_at_its_trigger() {
    let mut desk = Desk::new();
    desk.market(MarketEventRef::Candle(&candle(MID, MID, MID, MID, 4_000)));
    let order = desk.order(Side::Sell, OrderKind::StopMarket { trigger: price(MID - 30) }, 10);
    desk.place("a", order);
    let events = desk.market(MarketEventRef::Candle(&candle(MID, MID + 5, MID - 500, MID - 400, 4_000)));
    assert_eq!(trades(&events), [(MID - 31, 10)]);
}
