//! Accounts: positions, margin, reduce-only, hedge mode, spot, the state across a restart.

use std::time::Duration;

use super::*;

fn filled(desk: &mut Desk, name: &str, side: Side, lots: i64) {
    let order = desk.at_market(side, lots);
    let (_, events) = desk.place(name, order);
    assert_eq!(rejection(&events), None);
}

fn wide() -> Desk {
    Desk::showing(&[(MID - 10, 100_000)], &[(MID + 10, 100_000)])
}

#[test]
fn profit_is_realised_against_the_average_entry() {
    let mut desk = wide();
    filled(&mut desk, "a", Side::Buy, 10);
    desk.touch((MID + 29, 1_000), (MID + 30, 1_000));
    filled(&mut desk, "a", Side::Buy, 10);
    let view = desk.view("a");
    assert_eq!(view.positions[0].entry_price, price(MID + 20));
    let before = view.wallet;
    desk.touch((MID + 40, 1_000), (MID + 41, 1_000));
    filled(&mut desk, "a", Side::Sell, 30);
    let view = desk.view("a");
    // 20 lots of 0.001 at 2.0 more than they cost, less the fee of 0.05 % on 30 lots at 60,004.
    let fee = fills(&[VenueEvent::Filled(view.trades.last().unwrap().clone())])[0].fee;
    assert_eq!(view.wallet, before + Money(Decimal::new(4, 2)) - fee);
    assert_eq!((view.positions[0].quantity, view.positions[0].entry_price), (quantity(-10), price(MID + 40)));
}

#[test]
fn margin_counts_open_orders_and_lets_reducing_ones_pass() {
    let mut desk = wide();
    // 1,000,000 at 20 × carries 20 million: 333 BTC at 60,000.
    let order = desk.limit(Side::Buy, MID - 100, 200_000);
    assert_eq!(rejection(&desk.place("a", order).1), None);
    let order = desk.limit(Side::Buy, MID - 100, 200_000);
    assert_eq!(rejection(&desk.place("a", order).1), Some(-2019));
    // The other direction needs nothing more: not both sides can fill to the full.
    let order = desk.limit(Side::Sell, MID + 100, 190_000);
    assert_eq!(rejection(&desk.place("a", order).1), None);
    desk.command("a", &VenueCommand::CancelAll { symbol: Some(btc()) });
    let order = desk.limit(Side::Buy, MID - 100, 330_000);
    assert_eq!(rejection(&desk.place("a", order).1), None);
}

#[test]
fn leverage_is_kept_per_symbol_and_bounded() {
    let mut desk = wide();
    let mut set = |leverage| desk.command("a", &VenueCommand::SetLeverage { symbol: btc(), leverage }).remove(0).event;
    assert_eq!(set(5), VenueEvent::LeverageIs { symbol: btc(), leverage: 5 });
    assert!(matches!(set(0), VenueEvent::CommandFailed { .. }));
    assert!(matches!(set(126), VenueEvent::CommandFailed { .. }));
    let order = desk.limit(Side::Buy, MID - 100, 100_000);
    assert_eq!(rejection(&desk.place("a", order).1), Some(-2019));
}

#[test]
fn reduce_only_never_flips_and_ends_with_the_position() {
    let mut desk = wide();
    filled(&mut desk, "a", Side::Buy, 10);
    let order = NewOrder { reduce_only: true, ..desk.at_market(Side::Sell, 25) };
    let (id, events) = desk.place("a", order);
    assert_eq!((trades(&events), end(&events)), (vec![(MID - 10, 10)], Some((id, EndReason::Expired))));
    assert_eq!(desk.position("a"), Quantity::ZERO);

    filled(&mut desk, "a", Side::Buy, 10);
    let order = NewOrder { reduce_only: true, ..desk.limit(Side::Sell, MID + 5, 10) };
    let (resting, _) = desk.place("a", order);
    let stop = NewOrder { reduce_only: true, ..desk.order(Side::Sell, OrderKind::StopMarket { trigger: price(MID - 90) }, 10) };
    let (stop, _) = desk.place("a", stop);
    let order = desk.at_market(Side::Sell, 10);
    let (_, events) = desk.place("a", order);
    let ended: Vec<_> = events.iter().filter_map(|event| end(std::slice::from_ref(event))).collect();
    assert_eq!(ended, [(resting, EndReason::Expired), (stop, EndReason::Expired)]);
    assert!(desk.view("a").open_orders.is_empty());
}

#[test]
fn small_reduce_only_orders_are_exempt_from_the_notional_filter() {
    let mut desk = wide();
    filled(&mut desk, "a", Side::Buy, 10);
    let order = NewOrder { reduce_only: true, ..desk.at_market(Side::Sell, 1) };
    assert_eq!(rejection(&desk.place("a", order).1), None);
}

#[test]
fn a_hedged_account_holds_both_legs_and_closes_each_by_name() {
    let mut desk = wide();
    desk.exchange.open_account(account("hedged"), AccountSetup { hedge: true, ..setup(1_000_000) });
    let leg = |desk: &mut Desk, side, position_side, lots| {
        let order = NewOrder { position_side, ..desk.at_market(side, lots) };
        desk.place("hedged", order).1
    };
    leg(&mut desk, Side::Buy, PositionSide::Long, 10);
    leg(&mut desk, Side::Sell, PositionSide::Short, 4);
    let held: Vec<_> = desk.view("hedged").positions.iter().map(|held| (held.position_side, held.quantity)).collect();
    assert_eq!(held, [(PositionSide::Long, quantity(10)), (PositionSide::Short, quantity(-4))]);
    // Closing more than the leg has stops at the leg.
    assert_eq!(trades(&leg(&mut desk, Side::Buy, PositionSide::Short, 9)), [(MID + 10, 4)]);
    assert_eq!(rejection(&leg(&mut desk, Side::Buy, PositionSide::Both, 9)), Some(-4061));
    assert_eq!(rejection(&leg(&mut desk, Side::Buy, PositionSide::Short, 9)), Some(-2022));
}

/// A kill switch flattens with reduce-only orders whatever the account's mode: they must not be refused for saying so.
#[test]
fn a_hedged_leg_is_closed_by_a_reduce_only_order_and_opened_by_none() {
    let mut desk = wide();
    desk.exchange.open_account(account("hedged"), AccountSetup { hedge: true, ..setup(1_000_000) });
    let leg = |desk: &mut Desk, side, position_side, reduce_only| {
        let order = NewOrder { position_side, reduce_only, ..desk.at_market(side, 5) };
        desk.place("hedged", order).1
    };
    assert_eq!(rejection(&leg(&mut desk, Side::Buy, PositionSide::Long, true)), Some(-2022));
    leg(&mut desk, Side::Buy, PositionSide::Long, false);
    assert_eq!(trades(&leg(&mut desk, Side::Sell, PositionSide::Long, true)), [(MID - 10, 5)]);
    assert!(desk.view("hedged").positions.is_empty());
}

/// On spot every sale only reduces. An order that says so is one like any other: what it has promised cannot be sold again.
#[test]
fn a_reduce_only_sale_on_spot_sells_what_is_held_and_no_more() {
    let mut desk = Desk::with(ExchangeConfig::default(), InstrumentKind::Spot);
    desk.snapshot(&[(MID - 10, 100_000)], &[(MID + 10, 100_000)]);
    let reducing = |order: NewOrder| NewOrder { reduce_only: true, ..order };
    let order = reducing(desk.at_market(Side::Buy, 1_000));
    assert!(rejection(&desk.place("a", order).1).is_some());
    filled(&mut desk, "a", Side::Buy, 10_000);
    let order = reducing(desk.limit(Side::Sell, MID + 50, 6_000));
    assert_eq!(rejection(&desk.place("a", order).1), None);
    let order = reducing(desk.at_market(Side::Sell, 5_000));
    assert_eq!(rejection(&desk.place("a", order).1), Some(-2010));
    let order = reducing(desk.at_market(Side::Sell, 3_900));
    assert_eq!(trades(&desk.place("a", order).1), [(MID - 10, 3_900)]);
}

#[test]
fn spot_is_long_only_and_pays_in_full() {
    let mut desk = Desk::with(ExchangeConfig::default(), InstrumentKind::Spot);
    desk.snapshot(&[(MID - 10, 100_000)], &[(MID + 10, 100_000)]);
    let order = desk.at_market(Side::Sell, 1_000);
    assert_eq!(rejection(&desk.place("a", order).1), Some(-2010));
    let order = desk.at_market(Side::Buy, 17_000);
    assert_eq!(rejection(&desk.place("a", order).1), Some(-2010));
    filled(&mut desk, "a", Side::Buy, 10_000);
    let order = desk.limit(Side::Sell, MID + 50, 6_000);
    assert_eq!(rejection(&desk.place("a", order).1), None);
    // What an open order has promised cannot be sold again.
    let order = desk.at_market(Side::Sell, 5_000);
    assert_eq!(rejection(&desk.place("a", order).1), Some(-2010));
    // The fee came out of what was bought.
    filled(&mut desk, "a", Side::Sell, 3_995);
}

#[test]
fn a_stop_whose_margin_is_gone_when_it_fires_expires() {
    let mut desk = wide();
    let kind = OrderKind::StopLimit { trigger: price(MID + 20), price: price(MID + 30) };
    let order = desk.order(Side::Buy, kind, 400_000);
    let (id, events) = desk.place("a", order);
    assert_eq!(rejection(&events), None);
    assert_eq!(end(&desk.print(MID + 20, 1, false)), Some((id, EndReason::Expired)));
}

#[test]
fn a_snapshot_lists_trades_after_an_id_and_positions_with_their_entry() {
    let mut desk = wide();
    filled(&mut desk, "a", Side::Buy, 10);
    filled(&mut desk, "a", Side::Buy, 5);
    let all = desk.view("a").trades;
    assert_eq!(all.len(), 2);
    let mut listed = |symbol: &str, from: TradesFrom| {
        let trades = TradesWanted::from([(Symbol::new(symbol).unwrap(), from)]);
        match desk.command("a", &VenueCommand::Snapshot { trades }).remove(0).event {
            VenueEvent::SnapshotIs(snapshot) => snapshot.trades,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(listed("BTCUSDT", TradesFrom::After(all[0].trade_id)), all[1..]);
    assert_eq!(listed("BTCUSDT", TradesFrom::Since(all[0].at)), all);
    assert_eq!(listed("BTCUSDT", TradesFrom::Since(all[1].at + Duration::from_secs(1))), []);
    assert_eq!(listed("ETHUSDT", TradesFrom::After(0)), [], "of another symbol");
}

#[test]
fn a_restored_exchange_equals_the_one_that_was_saved_and_goes_on_alike() {
    let mut desk = Desk::showing(&[(MID - 10, 100)], &[(MID + 10, 100)]);
    filled(&mut desk, "a", Side::Buy, 10);
    desk.command("a", &VenueCommand::SetLeverage { symbol: btc(), leverage: 7 });
    for (side, ticks) in [(Side::Buy, MID - 10), (Side::Buy, MID - 10), (Side::Sell, MID + 10)] {
        let order = desk.limit(side, ticks, 10);
        desk.place("b", order);
    }
    let order = NewOrder { reduce_only: true, ..desk.order(Side::Sell, OrderKind::StopMarket { trigger: price(MID - 90) }, 10) };
    desk.place("a", order);
    desk.print(MID - 10, 60, true);
    let saved = desk.exchange.saved_state();

    let mut again = Exchange::new(ExchangeConfig { log_changes: true, ..ExchangeConfig::default() });
    again.add_symbol(desk.exchange.instrument(desk.symbol).unwrap().clone());
    again.restore(saved.clone()).unwrap();
    assert_eq!(again.saved_state(), saved);

    desk.snapshot(&[(MID - 10, 100)], &[(MID + 10, 100)]);
    let mut second = Desk { exchange: again, out: Vec::new(), ..desk };
    let mut first = Desk { exchange: std::mem::replace(&mut second.exchange, Exchange::new(ExchangeConfig::default())), ..second };
    first.snapshot(&[(MID - 10, 100)], &[(MID + 10, 100)]);
    // 40 lots were left ahead of the two buys of `b`.
    assert_eq!(trades(&first.print(MID - 10, 55, true)), [(MID - 10, 10), (MID - 10, 5)]);
    assert_eq!(first.view("a").positions[0].quantity, quantity(10));
}

#[test]
fn a_record_that_names_an_unlisted_symbol_is_refused() {
    let mut desk = wide();
    filled(&mut desk, "a", Side::Buy, 10);
    let error = Exchange::new(ExchangeConfig::default()).restore(desk.exchange.saved_state()).unwrap_err();
    assert!(error.to_string().contains("BTCUSDT"), "{error}");
}
