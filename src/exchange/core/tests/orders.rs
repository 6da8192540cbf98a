//! Orders: matching, kinds, conditions, refusals.

use super::*;
use crate::domain::money::Ratio;

#[test]
fn a_market_order_walks_the_levels_in_price_order_and_what_it_took_is_gone() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10), (MID + 2, 20), (MID + 5, 100)]);
    let order = desk.at_market(Side::Buy, 25);
    let (_, events) = desk.place("a", order);
    assert!(matches!(events[0], VenueEvent::Accepted { .. }));
    assert_eq!(trades(&events), [(MID + 1, 10), (MID + 2, 15)]);
    let order = desk.at_market(Side::Buy, 10);
    assert_eq!(trades(&desk.place("b", order).1), [(MID + 2, 5), (MID + 5, 5)]);
    // New quantity at a level that we emptied is free to take.
    desk.diff(&[], &[(MID + 2, 23)]);
    let order = desk.at_market(Side::Buy, 4);
    assert_eq!(trades(&desk.place("b", order).1), [(MID + 2, 3), (MID + 5, 1)]);
}

#[test]
fn a_limit_order_never_trades_through_its_price_and_rests_with_the_remainder() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10), (MID + 2, 20)]);
    let order = desk.limit(Side::Buy, MID + 1, 30);
    let (id, events) = desk.place("a", order);
    assert_eq!(trades(&events), [(MID + 1, 10)]);
    let open = desk.view("a").open_orders;
    assert_eq!((open[0].client_order_id, open[0].filled, open[0].status), (id, quantity(10), OrderStatus::Working));
}

#[test]
fn our_own_orders_match_by_price_then_time() {
    let mut desk = Desk::showing(&[(MID - 50, 1_000)], &[(MID + 50, 1_000)]);
    let mut ids = Vec::new();
    for (name, ticks) in [("a", MID), ("b", MID), ("a", MID + 1)] {
        let order = desk.limit(Side::Buy, ticks, 10);
        ids.push(desk.place(name, order).0);
    }
    let order = desk.limit(Side::Sell, MID - 10, 25);
    let (_, events) = desk.place("other", order);
    let makers: Vec<_> = fills(&events).into_iter().filter(|fill| fill.maker).map(|fill| (fill.client_order_id, fill.price)).collect();
    assert_eq!(makers, [(ids[2], price(MID + 1)), (ids[0], price(MID)), (ids[1], price(MID))]);
    // A trade between accounts is one trade with two rows.
    assert_eq!(fills(&events)[0].trade_id, fills(&events)[1].trade_id);
}

#[test]
fn immediate_orders_expire_what_they_cannot_fill() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10)]);
    let order = NewOrder { time_in_force: TimeInForce::ImmediateOrCancel, ..desk.limit(Side::Buy, MID + 1, 30) };
    let (id, events) = desk.place("a", order);
    assert_eq!(trades(&events), [(MID + 1, 10)]);
    assert_eq!(end(&events), Some((id, EndReason::Expired)));
    assert!(desk.view("a").open_orders.is_empty());
}

#[test]
fn fill_or_kill_is_all_or_nothing() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10), (MID + 2, 10)]);
    let order = NewOrder { time_in_force: TimeInForce::FillOrKill, ..desk.limit(Side::Buy, MID + 2, 21) };
    let (_, events) = desk.place("a", order);
    assert_eq!((rejection(&events), trades(&events).len()), (Some(-5021), 0));
    let order = NewOrder { time_in_force: TimeInForce::FillOrKill, ..desk.limit(Side::Buy, MID + 2, 20) };
    assert_eq!(trades(&desk.place("a", order).1), [(MID + 1, 10), (MID + 2, 10)]);
}

#[test]
fn post_only_never_takes() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10)]);
    let order = NewOrder { time_in_force: TimeInForce::PostOnly, ..desk.limit(Side::Buy, MID + 1, 5) };
    assert_eq!(rejection(&desk.place("a", order).1), Some(-5022));
    let order = NewOrder { time_in_force: TimeInForce::PostOnly, ..desk.limit(Side::Buy, MID, 5) };
    assert_eq!(rejection(&desk.place("a", order).1), None);
}

#[test]
fn self_trade_prevention_follows_the_takers_mode() {
    use SelfTradePrevention::{ExpireBoth, ExpireMaker, ExpireTaker, None as Off};
    for (mode, fills_expected, maker_lives, taker_lives) in
        [(ExpireMaker, 0, false, true), (ExpireTaker, 0, true, false), (ExpireBoth, 0, false, false), (Off, 2, false, false)]
    {
        let mut desk = Desk::showing(&[(MID - 50, 10)], &[(MID + 50, 10)]);
        let order = desk.limit(Side::Sell, MID, 10);
        let maker = desk.place("a", order).0;
        let order = NewOrder { self_trade_prevention: mode, ..desk.limit(Side::Buy, MID, 10) };
        let (taker, events) = desk.place("b", order);
        assert_eq!(fills(&events).len(), fills_expected, "{mode}");
        let open = |desk: &mut Desk, name: &str, id| desk.view(name).open_orders.iter().any(|order| order.client_order_id == id);
        assert_eq!((open(&mut desk, "a", maker), open(&mut desk, "b", taker)), (maker_lives, taker_lives), "{mode}");
        if mode != Off {
            assert_eq!(end(&events).unwrap().1, EndReason::SelfTradePrevented);
        }
    }
}

#[test]
fn an_account_that_comes_later_has_an_owner_of_its_own() {
    let mut desk = Desk::new();
    assert_eq!(desk.exchange.new_owner(), 2, "the desk's accounts belong to 0 and 1");
    desk.exchange.open_account(account("late"), AccountSetup { owner: 7, ..setup(1) });
    assert_eq!(desk.exchange.new_owner(), 8);
}

#[test]
fn accounts_of_different_owners_do_trade() {
    let mut desk = Desk::showing(&[(MID - 50, 10)], &[(MID + 50, 10)]);
    let order = desk.limit(Side::Sell, MID, 10);
    desk.place("a", order);
    let order = desk.limit(Side::Buy, MID, 10);
    assert_eq!(fills(&desk.place("other", order).1).len(), 2);
}

#[test]
fn each_filter_refuses_with_the_venues_number() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10)]);
    let base = desk.limit(Side::Buy, MID, 10);
    let limit = |ticks: Decimal| OrderKind::Limit { price: Price(ticks) };
    let cases = [
        (-4014, NewOrder { kind: limit(Decimal::new(6_000_005, 2)), ..base.clone() }),
        (-4001, NewOrder { kind: limit(Decimal::ZERO), ..base.clone() }),
        (-4023, NewOrder { quantity: Quantity(Decimal::new(105, 4)), ..base.clone() }),
        (-4003, NewOrder { quantity: Quantity::ZERO, ..base.clone() }),
        (-4004, NewOrder { quantity: Quantity(Decimal::new(1, 4)), ..base.clone() }),
        (-4005, NewOrder { quantity: Quantity(Decimal::from(1_001)), ..base.clone() }),
        (-4164, NewOrder { quantity: quantity(1), ..base.clone() }),
        (-4016, NewOrder { kind: limit(Decimal::new(70_000, 0)), ..base.clone() }),
        (-4024, NewOrder { kind: limit(Decimal::new(50_000, 0)), side: Side::Sell, ..base.clone() }),
        (-1121, NewOrder { symbol: Symbol::new("NOPEUSDT").unwrap(), ..base.clone() }),
        (-2022, NewOrder { reduce_only: true, ..base.clone() }),
        (-4061, NewOrder { position_side: PositionSide::Long, ..base.clone() }),
        (-2021, NewOrder { kind: OrderKind::StopMarket { trigger: price(MID - 1) }, ..base.clone() }),
        (-4006, NewOrder { kind: OrderKind::StopMarket { trigger: Price::ZERO }, ..base.clone() }),
    ];
    for (code, order) in cases {
        let (_, events) = desk.place("a", order.clone());
        assert_eq!(rejection(&events), Some(code), "{order:?} {events:?}");
    }
    assert!(desk.view("a").open_orders.is_empty());
}

#[test]
fn a_market_order_is_refused_when_the_touch_is_outside_the_band() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + MID / 5, 10)]);
    let order = desk.at_market(Side::Buy, 10);
    assert_eq!(rejection(&desk.place("a", order).1), Some(-4131));
}

#[test]
fn a_client_id_is_unique_among_open_orders_only() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10)]);
    let order = desk.limit(Side::Buy, MID - 5, 10);
    desk.place("a", order.clone());
    assert_eq!(rejection(&desk.place("a", order.clone()).1), Some(-4116));
    desk.command("a", &VenueCommand::CancelAll { symbol: None });
    assert_eq!(rejection(&desk.place("a", order).1), None);
}

#[test]
fn open_orders_have_a_cap() {
    let config = ExchangeConfig { open_orders_max: 2, waiting_orders_max: 1, ..ExchangeConfig::default() };
    let mut desk = Desk::with(config, InstrumentKind::Perpetual);
    desk.snapshot(&[(MID - 1, 10)], &[(MID + 1, 10)]);
    let mut codes = Vec::new();
    for _ in 0..3 {
        let order = desk.limit(Side::Buy, MID - 5, 10);
        codes.push(rejection(&desk.place("a", order).1));
    }
    for _ in 0..2 {
        let order = desk.order(Side::Buy, OrderKind::StopMarket { trigger: price(MID + 90) }, 10);
        codes.push(rejection(&desk.place("a", order).1));
    }
    assert_eq!(codes, [None, None, Some(-2025), None, Some(-4045)]);
}

#[test]
fn a_cancel_ends_an_order_once_and_an_unknown_one_is_refused() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10)]);
    let order = desk.limit(Side::Buy, MID - 5, 10);
    let (id, _) = desk.place("a", order);
    let cancel = VenueCommand::Cancel { symbol: btc(), client_order_id: id };
    let first = desk.command("a", &cancel).remove(0).event;
    assert!(matches!(first, VenueEvent::Ended { reason: EndReason::Canceled, .. }));
    let second = desk.command("a", &cancel).remove(0).event;
    assert!(matches!(second, VenueEvent::CancelRefused { code: -2011, .. }));
    let asked = desk.command("a", &VenueCommand::Query { symbol: btc(), client_order_id: id }).remove(0).event;
    let VenueEvent::OrderIs { order: Some(order), .. } = asked else { panic!("{asked:?}") };
    assert_eq!(order.status, OrderStatus::Canceled);
    let unknown = ClientOrderId::new("never").unwrap();
    let asked = desk.command("a", &VenueCommand::Query { symbol: btc(), client_order_id: unknown }).remove(0).event;
    assert!(matches!(asked, VenueEvent::OrderIs { order: None, .. }));
}

#[test]
fn a_stop_fires_at_its_trigger_and_takes_the_market() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10)]);
    let order = desk.order(Side::Sell, OrderKind::StopMarket { trigger: price(MID - 20) }, 5);
    desk.place("a", order);
    desk.touch((MID - 20, 50), (MID - 19, 50));
    assert!(desk.print(MID - 19, 1, true).is_empty());
    let events = desk.print(MID - 20, 1, true);
    assert_eq!(trades(&events), [(MID - 20, 5)]);
    assert_eq!(desk.position("a"), quantity(-5));
}

#[test]
fn a_take_profit_limit_rests_when_its_trigger_is_reached() {
    let mut desk = Desk::showing(&[(MID - 1, 10)], &[(MID + 1, 10)]);
    let kind = OrderKind::TakeProfitLimit { trigger: price(MID + 20), price: price(MID + 30) };
    let order = desk.order(Side::Sell, kind, 5);
    desk.place("a", order);
    desk.touch((MID + 19, 50), (MID + 20, 50));
    assert!(desk.print(MID + 20, 1, false).is_empty());
    assert_eq!(trades(&desk.print(MID + 31, 5, false)), [(MID + 30, 5)]);
}

#[test]
fn triggers_can_follow_the_mark_instead_of_the_last_trade() {
    let config = ExchangeConfig { trigger_price: TriggerPrice::Mark, ..ExchangeConfig::default() };
    let mut desk = Desk::with(config, InstrumentKind::Perpetual);
    desk.snapshot(&[(MID - 1, 10)], &[(MID + 1, 10)]);
    desk.market(MarketEventRef::Mark(price(MID)));
    let order = desk.order(Side::Buy, OrderKind::StopMarket { trigger: price(MID + 20) }, 5);
    desk.place("a", order);
    assert!(desk.print(MID + 25, 1, false).is_empty());
    assert_eq!(trades(&desk.market(MarketEventRef::Mark(Price(Decimal::new(6_000_205, 2))))), [(MID + 1, 5)]);
}

#[test]
fn stops_fire_in_the_order_they_came_and_may_fire_each_other() {
    let mut desk = Desk::showing(&[(MID - 10, 5), (MID - 30, 100)], &[(MID + 1, 10)]);
    let mut ids = Vec::new();
    for trigger in [MID - 25, MID - 5] {
        let order = desk.order(Side::Sell, OrderKind::StopMarket { trigger: price(trigger) }, 10);
        ids.push(desk.place("a", order).0);
    }
    let events = desk.print(MID - 5, 1, true);
    // The second stop eats down to MID − 30 and so fires the first.
    assert_eq!(trades(&events), [(MID - 10, 5), (MID - 30, 5), (MID - 30, 10)]);
    assert_eq!(fills(&events)[2].client_order_id, ids[0]);
}

#[test]
fn makers_and_takers_pay_their_own_fee() {
    let mut desk = Desk::showing(&[(MID - 50, 10)], &[(MID + 50, 10)]);
    let rules = desk.exchange.instrument(desk.symbol).unwrap().clone();
    let order = desk.limit(Side::Sell, MID, 10);
    desk.place("a", order);
    let order = desk.limit(Side::Buy, MID, 10);
    let (_, events) = desk.place("other", order);
    let fee = |rate: Ratio| Money(Decimal::from(600) * rate.0);
    let paid: Vec<(bool, Money)> = fills(&events).iter().map(|fill| (fill.maker, fill.fee)).collect();
    assert_eq!(paid, [(true, fee(rules.maker_fee)), (false, fee(rules.taker_fee))]);
}

#[test]
fn an_account_that_does_not_exist_is_refused_as_a_bad_key() {
    let mut desk = Desk::new();
    let order = desk.limit(Side::Buy, MID, 10);
    assert_eq!(rejection(&desk.place("nobody", order).1), Some(-2015));
}
