//! A source that shows nothing but trades: orders fill all the same, and never better than a tick behind what traded.

use super::*;

#[test]
fn a_market_order_fills_a_tick_behind_the_last_trade_and_for_what_traded() {
    let mut desk = Desk::new();
    let order = desk.at_market(Side::Buy, 5);
    assert_eq!(rejection(&desk.place("a", order).1), Some(-4131), "nothing has traded yet: there is no price");
    desk.print(MID, 8, false);
    let order = desk.at_market(Side::Buy, 5);
    assert_eq!(trades(&desk.place("a", order).1), [(MID + 1, 5)]);
    let order = desk.at_market(Side::Buy, 5);
    let (_, events) = desk.place("a", order);
    assert_eq!(trades(&events), [(MID + 1, 3)], "what traded is not there twice");
    assert_eq!(end(&events).map(|(_, reason)| reason), Some(EndReason::Expired));
    let order = desk.at_market(Side::Sell, 5);
    assert_eq!(trades(&desk.place("a", order).1), [(MID - 1, 5)]);
}

#[test]
fn each_side_stands_where_its_own_aggressors_left_it_unless_the_market_went_through() {
    let mut desk = Desk::new();
    desk.print(MID, 10, false);
    desk.print(MID - 7, 10, true);
    let touch = |desk: &Desk| {
        let (bid, ask) = desk.exchange.touch(desk.symbol);
        (bid.unwrap().price.0, ask.unwrap().price.0)
    };
    assert_eq!(touch(&desk), (MID - 8, MID + 1), "the ask stays: nobody has bought since");
    desk.print(MID + 20, 10, true);
    assert_eq!(touch(&desk), (MID + 19, MID + 21), "a seller hit a bid above it: the ask was higher by then");
}

#[test]
fn what_trades_within_a_second_is_one_offer() {
    let mut desk = Desk::new();
    for _ in 0..4 {
        desk.print(MID, 10, false);
    }
    assert_eq!(desk.exchange.touch(desk.symbol).1, Some(level(MID + 1, 40)));
    desk.now = Timestamp::from_millis(5_000);
    desk.print(MID, 10, false);
    assert_eq!(desk.exchange.touch(desk.symbol).1, Some(level(MID + 1, 10)));
}

#[test]
fn a_resting_order_waits_for_a_print_through_its_price() {
    let mut desk = Desk::new();
    desk.print(MID, 10, true);
    desk.print(MID + 5, 10, false);
    let order = desk.limit(Side::Buy, MID - 1, 4);
    assert!(trades(&desk.place("a", order).1).is_empty());
    assert!(desk.print(MID - 1, 500, true).is_empty(), "who was before us at that price nobody knows");
    assert_eq!(trades(&desk.print(MID - 2, 3, true)), [(MID - 1, 3)]);
}

#[test]
fn the_first_real_quote_ends_the_guessing() {
    let mut desk = Desk::new();
    desk.print(MID, 10, false);
    desk.touch((MID - 3, 7), (MID + 3, 7));
    desk.print(MID, 10, false);
    assert_eq!(desk.exchange.touch(desk.symbol), (Some(level(MID - 3, 7)), Some(level(MID + 3, 7))));
}
