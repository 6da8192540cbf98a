//! Order lists: pairs, working and pending orders, what ends them, what is told.

use super::*;

fn pair(desk: &mut Desk, name: &str, lots: i64) -> Result<PlacedList, Reject> {
    let (stop, maker) = (desk.stop(Side::Sell, MID - 900, lots), desk.maker(Side::Sell, MID + 900, lots));
    desk.list(name, Contingency::Oco, vec![stop, maker])
}

fn ids(list: &PlacedList) -> Vec<u64> {
    list.list.legs.iter().map(|leg| leg.order_id).collect()
}

#[test]
fn a_pair_locks_what_its_larger_leg_needs() {
    let mut desk = Desk::new();
    pair(&mut desk, "a", 150_000).unwrap();
    assert_eq!(desk.has("a", "BTC"), (dec("0.5"), dec("1.5")));
    assert_eq!(desk.told("a"), ["OCO EXEC_STARTED", "New NEW", "New NEW", "position BTC"]);
    let (stop, maker) = (desk.stop(Side::Buy, MID + 100_000, 10_000), desk.maker(Side::Buy, MID - 100_000, 10_000));
    desk.list("a", Contingency::Oco, vec![stop, maker]).unwrap();
    assert_eq!(desk.has("a", "USDT").1, dec("6100"), "the stop at 61,000 is the dearer");
    assert_eq!(pair(&mut desk, "a", 60_000).unwrap_err(), Reject::Margin);
}

#[test]
fn the_limit_leg_trading_ends_the_stop() {
    let mut desk = Desk::new();
    let list = pair(&mut desk, "a", 10_000).unwrap();
    desk.exchange.drain_reports();
    desk.print(MID + 901, 4_000, false);
    assert_eq!(desk.status("a", ids(&list)[0]), ("EXPIRED", Some(ExpiryReason::OcoTrigger)));
    assert_eq!(desk.status("a", ids(&list)[1]).0, "PARTIALLY_FILLED");
    assert_eq!(desk.has("a", "BTC"), (dec("1.9"), dec("0.06")));
    desk.print(MID + 901, 6_000, false);
    assert_eq!(
        desk.told("a"),
        ["Expired EXPIRED", "Trade PARTIALLY_FILLED", "position BTC,USDT", "Trade FILLED", "OCO ALL_DONE", "position BTC,USDT"]
    );
    assert!(desk.exchange.open_lists(account("a")).is_empty());
}

#[test]
fn the_stop_firing_ends_the_limit_leg() {
    let mut desk = Desk::new();
    let list = pair(&mut desk, "a", 10_000).unwrap();
    desk.print(MID - 900, 1, true);
    assert_eq!(desk.status("a", ids(&list)[0]).0, "FILLED");
    assert_eq!(desk.status("a", ids(&list)[1]), ("EXPIRED", Some(ExpiryReason::OcoTrigger)));
    assert_eq!(desk.has("a", "BTC"), (dec("1.9"), dec("0")));
}

#[test]
fn a_pair_stands_on_both_sides_of_the_market() {
    let mut desk = Desk::new();
    let (stop, maker) = (desk.stop(Side::Sell, MID + 900, 1_000), desk.maker(Side::Sell, MID + 1_900, 1_000));
    let refusal = desk.list("a", Contingency::Oco, vec![stop, maker]).unwrap_err().words(true);
    assert_eq!(refusal, (-2010, "The relationship of the prices for the orders is not correct."));
}

#[test]
fn cancelling_one_leg_cancels_the_list() {
    let mut desk = Desk::new();
    let list = pair(&mut desk, "a", 10_000).unwrap();
    let Canceled::List(view, orders) = desk.cancel("a", ids(&list)[1]).unwrap() else { panic!("a list was cancelled") };
    assert_eq!((view.progress, orders.len()), (ListProgress::Done, 2));
    assert!(orders.iter().all(|order| order.status() == "CANCELED"));
    assert_eq!(desk.has("a", "BTC"), (dec("2"), dec("0")));
    assert_eq!(desk.cancel("a", ids(&list)[0]).unwrap_err(), Reject::UnknownOrder);
}

#[test]
fn pending_orders_stand_nowhere_until_the_working_one_has_filled() {
    let mut desk = Desk::new();
    let working = desk.limit(Side::Buy, MID - 100, 10_000);
    let (stop, maker) = (desk.stop(Side::Sell, MID - 900, 9_900), desk.maker(Side::Sell, MID + 900, 9_900));
    let list = desk.list("a", Contingency::Oto, vec![working, stop, maker]).unwrap();
    let words: Vec<_> = list.orders.iter().map(OrderView::status).collect();
    assert_eq!(words, ["NEW", "PENDING_NEW", "PENDING_NEW"]);
    assert_eq!((desk.has("a", "BTC").1, desk.exchange.open_orders(account("a"), None).len()), (dec("0"), 3));
    desk.print(MID - 101, 6_000, true);
    assert_eq!(desk.status("a", ids(&list)[1]).0, "PENDING_NEW");
    desk.exchange.drain_reports();
    desk.print(MID - 101, 4_000, true);
    assert_eq!(desk.told("a"), ["Trade FILLED", "OTO EXEC_STARTED", "New NEW", "New NEW", "position BTC,USDT"]);
    assert_eq!(desk.has("a", "BTC").1, dec("0.099"));
    desk.print(MID - 900, 1, true);
    assert_eq!(desk.status("a", ids(&list)[1]).0, "FILLED");
    assert_eq!(desk.status("a", ids(&list)[2]), ("EXPIRED", Some(ExpiryReason::OcoTrigger)));
    assert_eq!(desk.exchange.list(account("a"), list.list.id).unwrap().progress, ListProgress::Done);
}

/// They change places on their way to the book, and once had left it for the record, which forgot them with what they had locked.
#[test]
fn orders_whose_turn_comes_are_open_and_not_gone() {
    let mut desk = Desk::new();
    let working = desk.limit(Side::Buy, MID - 100, 10_000);
    let (stop, maker) = (desk.stop(Side::Sell, MID - 900, 9_900), desk.maker(Side::Sell, MID + 900, 9_900));
    let list = desk.list("a", Contingency::Oto, vec![working, stop, maker]).unwrap();
    desk.exchange.drain_changes();
    desk.print(MID - 101, 10_000, true);
    let changes = desk.exchange.drain_changes();
    let open: Vec<u64> = changes.open.iter().map(|row| row.order.id).collect();
    assert_eq!((open.as_slice(), changes.gone.as_slice()), (&ids(&list)[1..], &ids(&list)[..1]));
}

#[test]
fn the_answer_to_a_list_that_fills_at_once_shows_its_pending_order_pending() {
    let mut desk = Desk::new();
    let (working, pending) = (desk.limit(Side::Buy, MID + 10, 10_000), desk.at_market(Side::Sell, 9_900));
    let list = desk.list("a", Contingency::Oto, vec![working, pending]).unwrap();
    let words: Vec<_> = list.orders.iter().map(OrderView::status).collect();
    assert_eq!((words, list.trades[0].len()), (vec!["FILLED", "PENDING_NEW"], 1));
    assert_eq!(desk.status("a", ids(&list)[1]).0, "FILLED");
}

#[test]
fn a_list_whose_working_order_ends_expires_or_is_cancelled_with_it() {
    let mut desk = Desk::new();
    let mut working = desk.limit(Side::Buy, MID - 100, 10_000);
    working.order.time_in_force = TimeInForce::ImmediateOrCancel;
    let pending = desk.limit(Side::Sell, MID + 100, 9_900);
    let list = desk.list("a", Contingency::Oto, vec![working, pending]).unwrap();
    assert_eq!(desk.status("a", ids(&list)[1]), ("EXPIRED", Some(ExpiryReason::OtoPhaseOneExpired)));
    let (working, pending) = (desk.limit(Side::Buy, MID - 100, 10_000), desk.limit(Side::Sell, MID + 100, 9_900));
    let list = desk.list("a", Contingency::Oto, vec![working, pending]).unwrap();
    desk.cancel("a", ids(&list)[1]).unwrap();
    assert_eq!((desk.status("a", ids(&list)[0]).0, desk.status("a", ids(&list)[1]).0), ("CANCELED", "CANCELED"));
    assert_eq!(desk.has("a", "USDT").1, dec("0"));
}

#[test]
fn a_pending_order_that_cannot_be_paid_is_rejected_when_its_turn_comes() {
    let mut desk = Desk::new();
    let (working, pending) = (desk.limit(Side::Buy, MID + 10, 10_000), desk.limit(Side::Sell, MID + 900, 500_000));
    let list = desk.list("a", Contingency::Oto, vec![working, pending]).unwrap();
    assert_eq!(desk.status("a", ids(&list)[1]), ("EXPIRED", Some(ExpiryReason::Rejected)));
    assert_eq!(desk.exchange.list(account("a"), list.list.id).unwrap().progress, ListProgress::Done);
}

#[test]
fn amending_one_of_a_pair_amends_both() {
    let mut desk = Desk::new();
    let list = pair(&mut desk, "a", 10_000).unwrap();
    desk.exchange.drain_reports();
    let amended = desk.amend("a", ids(&list)[1], 4_000).unwrap();
    assert_eq!(desk.shown("a", ids(&list)[0]).order.quantity, quantity(4_000));
    assert_eq!(amended.list.unwrap().legs[1].client_order_id, amended.order.order.client_order_id);
    assert_eq!(desk.has("a", "BTC").1, dec("0.04"));
    assert_eq!(desk.told("a"), ["Replaced NEW", "Replaced NEW", "OCO UPDATED", "position BTC"]);
}

#[test]
fn everything_on_a_symbol_is_cancelled_lists_once() {
    let mut desk = Desk::new();
    let order = desk.limit(Side::Buy, MID - 100, 1_000);
    desk.placed("a", &order);
    pair(&mut desk, "a", 10_000).unwrap();
    let (now, name) = (desk.tick(), desk.name());
    let ended = desk.exchange.cancel_all_spot(now, account("a"), btc(), name, &mut Vec::new()).unwrap();
    assert!(matches!(&ended[..], [Canceled::Order(_), Canceled::List(_, orders)] if orders.len() == 2));
    let nothing = desk.exchange.cancel_all_spot(now, account("a"), btc(), name, &mut Vec::new());
    assert_eq!(nothing.unwrap_err().words(true), (-2011, "Unknown order sent."));
}
