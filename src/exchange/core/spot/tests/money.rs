//! Balances: locks, fees, assets that symbols share, deposits, the in-process view, the record.

use super::*;
use crate::domain::order::{FeeTaken, TradesWanted, VenueCommand, VenueEvent};
use crate::exchange::core::account::Leg;
use crate::exchange::core::state::{AccountRow, SavedState, SlotRow};

#[test]
fn a_purchase_locks_its_quote_at_its_limit_and_pays_its_fee_in_base() {
    let mut desk = Desk::new();
    let order = desk.limit(Side::Buy, MID - 20, 100_000);
    let id = desk.placed("a", &order).order.order.venue_order_id;
    assert_eq!(desk.has("a", "USDT"), (dec("40000.2"), dec("59999.8")));
    desk.print(MID - 30, 40_000, true);
    // 0.4 BTC at 59,999.80, less a thousandth of it.
    assert_eq!(desk.has("a", "USDT"), (dec("40000.2"), dec("35999.88")));
    assert_eq!(desk.has("a", "BTC"), (dec("2.3996"), dec("0")));
    desk.cancel("a", id).unwrap();
    assert_eq!(desk.has("a", "USDT"), (dec("76000.08"), dec("0")));
    let trade = desk.exchange.trades(account("a"), btc()).next().unwrap().clone();
    assert_eq!(trade.commission.map(|fee| (fee.asset, fee.amount)), Some((asset("BTC"), Money(dec("0.0004")))));
    assert_eq!(trade.fill.fee_taken, Some(FeeTaken::FromPosition { quantity: Quantity(dec("0.0004")) }));
    assert_eq!(trade.fill.fee, Money(dec("23.99992")), "the fee's worth at the fill's price");
}

#[test]
fn a_sale_locks_its_base_and_pays_its_fee_in_quote() {
    let mut desk = Desk::new();
    let order = desk.limit(Side::Sell, MID + 20, 150_000);
    desk.placed("a", &order);
    assert_eq!(desk.has("a", "BTC"), (dec("0.5"), dec("1.5")));
    let more = desk.limit(Side::Sell, MID + 20, 50_001);
    assert_eq!(desk.refused("a", &more), (-2010, "Account has insufficient balance for requested action."));
    let taken = desk.at_market(Side::Sell, 10_000);
    desk.placed("a", &taken);
    assert_eq!(desk.has("a", "BTC"), (dec("0.4"), dec("1.5")));
    assert_eq!(desk.has("a", "USDT").0, dec("105993.99001"));
}

#[test]
fn one_asset_is_shared_by_all_symbols_that_trade_it() {
    let mut desk = Desk::new();
    let sale = desk.limit(Side::Sell, MID + 500, 120_000);
    desk.placed("a", &sale);
    let mut order = desk.order(Side::Buy, OrderKind::Limit { price: Price(dec("0.05")) }, 0);
    order.order.symbol = symbol("ETHBTC");
    order.order.quantity = Quantity(dec("20"));
    assert_eq!(desk.refused("a", &order).0, -2010, "0.8 BTC are free, and one is asked for");
    order.order.quantity = Quantity(dec("16"));
    desk.placed("a", &order);
    assert_eq!(desk.has("a", "BTC"), (dec("0"), dec("2")));
}

#[test]
fn a_market_purchase_needs_what_the_book_asks_for_it() {
    let mut desk = Desk::new();
    desk.book(&[(MID - 10, 1_000)], &[(MID + 10, 100_000), (MID + 1_000_000, 10_000_000)]);
    let order = desk.at_market(Side::Buy, 200_000);
    assert_eq!(desk.refused("a", &order).0, -2010);
    let order = desk.at_market(Side::Buy, 150_000);
    let placed = desk.placed("a", &order);
    assert_eq!((placed.order.status(), placed.trades.len()), ("FILLED", 2));
    assert!(desk.has("a", "USDT").0 >= Decimal::ZERO);
}

#[test]
fn money_comes_and_goes_with_its_events() {
    let mut desk = Desk::new();
    let now = desk.tick();
    desk.exchange.deposit(now, account("b"), asset("ETH"), Money(dec("1.5"))).unwrap();
    assert_eq!(desk.told("b"), ["balance ETH 1.5", "position ETH"]);
    let order = desk.limit(Side::Buy, MID - 20, 100_000);
    desk.placed("b", &order);
    let out = |desk: &mut Desk, amount: &str| desk.exchange.withdraw_money(now, account("b"), asset("USDT"), Money(dec(amount)));
    assert_eq!(out(&mut desk, "50000").unwrap_err().words(true).0, -2010, "what is locked stays");
    out(&mut desk, "40000").unwrap();
    assert_eq!(desk.has("b", "USDT"), (dec("0.2"), dec("59999.8")));
    assert_eq!(desk.told("b"), ["New NEW", "position USDT", "balance USDT -40000", "position USDT"]);
    let too_much = desk.exchange.deposit(now, account("b"), asset("USDT"), Money(Decimal::MAX));
    assert_eq!(too_much.unwrap_err().words(true).0, -1102);
}

#[test]
fn the_in_process_view_shows_holdings_beside_the_wallet() {
    let mut desk = Desk::new();
    let order = desk.at_market(Side::Buy, 1);
    // 0.00001 BTC is worth 0.6 USDT, and the smallest order five.
    assert_eq!(desk.refused("a", &order), (-1013, "Filter failure: NOTIONAL"));
    let order = desk.at_market(Side::Buy, 1_000);
    desk.placed("a", &order);
    let now = desk.tick();
    let mut out = Vec::new();
    desk.exchange.command(now, account("a"), &VenueCommand::Snapshot { trades: TradesWanted::new() }, &mut out);
    let VenueEvent::SnapshotIs(snapshot) = out.remove(0).event else { panic!("{out:?}") };
    assert!(snapshot.beside_holdings);
    assert_eq!(snapshot.wallet, Money(dec("99399.999")));
    assert_eq!((snapshot.positions[0].symbol, snapshot.positions[0].quantity), (btc(), Quantity(dec("2.00999"))));
    assert_eq!(snapshot.positions[0].closable, Some(Quantity(dec("2.00999"))));
    assert_eq!(desk.exchange.equity(account("a")), Some(Money(dec("219999.599999"))));
}

#[test]
fn a_restored_exchange_equals_the_one_that_was_saved_and_goes_on_alike() {
    let mut desk = Desk::new();
    let resting = desk.limit(Side::Buy, MID - 500, 1_000);
    let id = desk.placed("a", &resting).order.order.venue_order_id;
    desk.amend("a", id, 900).unwrap();
    let (stop, maker) = (desk.stop(Side::Sell, MID - 900, 2_000), desk.maker(Side::Sell, MID + 900, 2_000));
    let pair = desk.list("b", Contingency::Oco, vec![stop, maker]).unwrap();
    let (working, pending) = (desk.limit(Side::Buy, MID - 300, 1_000), desk.stop(Side::Sell, MID - 900, 900));
    desk.list("a", Contingency::Oto, vec![working, pending]).unwrap();
    let saved = desk.exchange.saved_state();
    let mut again = exchange();
    again.restore(saved.clone()).unwrap();
    assert_eq!(again.saved_state(), saved);
    desk.exchange = again;
    desk.book(&[(MID - 10, 10_000_000)], &[(MID + 10, 10_000_000)]);
    desk.print(MID + 950, 5_000, false);
    assert_eq!(desk.status("b", pair.orders[1].order.venue_order_id).0, "FILLED");
    assert_eq!(desk.status("b", pair.orders[0].order.venue_order_id), ("EXPIRED", Some(ExpiryReason::OcoTrigger)));
    assert_eq!(desk.exchange.list(account("b"), pair.list.id).unwrap().progress, ListProgress::Done);
    assert_eq!(desk.has("b", "BTC").1, dec("0"));
}

#[test]
fn the_record_of_an_engine_that_kept_positions_becomes_balances() {
    let leg = Leg { lots: 50_000, cost: dec("30000"), ..Leg::default() };
    let held = SlotRow { symbol: btc(), leverage: 1, isolated: false, net: leg, long: Leg::default(), short: Leg::default() };
    let symbols = vec![held];
    let row = AccountRow {
        account: account("old"),
        owner: 0,
        hedge: false,
        wallet: dec("99000"),
        symbols,
        balances: Vec::new(),
        margin: Default::default(),
    };
    let mut exchange = exchange();
    exchange.restore(SavedState { accounts: vec![row], ..SavedState::default() }).unwrap();
    let desk = Desk { exchange, now: Timestamp::ZERO, next_id: 0, out: Vec::new() };
    assert_eq!((desk.has("old", "USDT").0, desk.has("old", "BTC").0), (dec("69000"), dec("0.5")));
}
