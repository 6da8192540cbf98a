//! Funding, transfers, the ledger, what is told of them; and that all of it survives a restart.

use super::*;
use crate::exchange::core::state::SavedState;

#[test]
fn funding_is_charged_on_the_grid_and_moves_money_from_long_to_short() {
    let mut desk = desk();
    desk.buys("a", 1_000);
    desk.sells("other", 1_000);
    desk.pass(Duration::from_secs(1));
    // 00:00 UTC is 1 h 46 min 40 s off.
    let due = desk.exchange.premium_index(btc()).unwrap().next_funding;
    assert_eq!(due, Timestamp::from_millis(1_700_006_400_000));
    desk.exchange.force_funding_rate(btc(), Some(crate::domain::money::Ratio(decimal("0.0001")))).unwrap();
    let (long, short) = (desk.wallet("a"), desk.wallet("other"));
    desk.reports();
    desk.now = due - Duration::from_secs(1);
    desk.pass(Duration::from_millis(500));
    assert_eq!(desk.wallet("a"), long);
    desk.pass(Duration::from_millis(500));
    assert_eq!((desk.wallet("a") - long, desk.wallet("other") - short), (decimal("-6"), decimal("6")));
    let [UserEvent::Margin { reason: AccountReason::FundingFee, wallets, positions }, _] = &desk.reports()[..] else {
        panic!("one event for each holder");
    };
    assert_eq!((wallets[0].change, positions.len()), (Money(decimal("-6")), 0));
    assert_eq!(desk.exchange.premium_index(btc()).unwrap().next_funding, due + Duration::from_secs(8 * 3_600));
    let point = *desk.exchange.funding_history(btc()).last().unwrap();
    assert_eq!((point.at, point.mark), (due, price(MID)));
    desk.check_ledger("a", 1_000_000);
}

#[test]
fn funding_of_an_isolated_position_is_its_own() {
    let mut desk = desk();
    let (now, a) = (desk.now, account("a"));
    desk.exchange.change_margin_type(now, a, btc(), MarginType::Isolated).unwrap();
    desk.buys("a", 1_000);
    let (before, cross) = (desk.risk("a").isolated_wallet, desk.exchange.account_margin(a).unwrap().assets[0].cross_wallet);
    let rate = Some(crate::domain::money::Ratio(decimal("-0.001")));
    desk.exchange.charge_funding_now(now, btc(), rate, &mut desk.out).unwrap();
    assert_eq!(desk.risk("a").isolated_wallet - before, Money(Decimal::from(60)));
    assert_eq!(desk.exchange.account_margin(a).unwrap().assets[0].cross_wallet, cross);
    desk.check_ledger("a", 1_000_000);
}

#[test]
fn a_source_without_marks_gets_the_median_of_book_and_trade() {
    let config = ExchangeConfig { log_reports: true, ..ExchangeConfig::default() };
    let mut desk = Desk::with(config, InstrumentKind::Perpetual);
    desk.now = START;
    desk.touch((MID - 5, 10), (MID + 5, 10));
    desk.print(MID + 900, 1, false);
    desk.pass(Duration::from_secs(1));
    let index = desk.exchange.premium_index(btc()).unwrap();
    assert_eq!((index.mark, index.index), (price(MID + 5), price(MID + 5)));
    desk.touch((MID + 95, 10), (MID + 105, 10));
    desk.pass(Duration::from_secs(1));
    let index = desk.exchange.premium_index(btc()).unwrap();
    assert_eq!(index.mark, price(MID + 105));
    assert!(index.index > price(MID + 5) && index.index < price(MID + 7), "the index follows slowly: {}", index.index);
}

#[test]
fn money_comes_and_goes_and_only_what_is_free_leaves() {
    let mut desk = desk();
    let (now, a) = (desk.now, account("a"));
    desk.exchange.transfer(now, a, usdt(), Money(Decimal::from(500))).unwrap();
    desk.buys("a", 10_000);
    let free = desk.exchange.account_margin(a).unwrap().assets[0].withdrawable;
    let mut out = |amount: Money| desk.exchange.transfer(now, a, usdt(), -amount);
    assert_eq!(out(free + Money(Decimal::ONE)), refused(UsdmReject::BalanceTooSmall));
    assert_eq!(out(free), Ok(()));
    assert_eq!(desk.exchange.account_margin(a).unwrap().assets[0].available, Money::ZERO);
    desk.check_ledger("a", 1_000_000);
    let bitcoin = Asset::new("BTC").unwrap();
    desk.exchange.transfer(now, a, bitcoin, Money(Decimal::TWO)).unwrap();
    let other = desk.exchange.account_margin(a).unwrap().assets[1];
    assert_eq!((other.asset, other.wallet, other.updated_at), (bitcoin, Money(Decimal::TWO), now));
    // More than a wallet could count with all its places.
    for amount in [Money(Decimal::MAX), Money(Decimal::MIN)] {
        assert_eq!(desk.exchange.transfer(now, a, usdt(), amount), refused(UsdmReject::AmountTooLarge));
    }
}

#[test]
fn a_trade_is_told_as_order_then_account_and_booked_in_two_rows() {
    let mut desk = desk();
    desk.buys("a", 1_000);
    desk.moves_to(MID + 1_000);
    desk.reports();
    desk.sells("a", 400);
    let reports = desk.reports();
    let [UserEvent::Order { execution: ExecutionType::New, .. }, UserEvent::Order { order, trade, .. }, account_update] = &reports[..]
    else {
        panic!("expected three events, found {reports:?}");
    };
    assert_eq!((order.status(), trade.as_ref().unwrap().realized), ("FILLED", Money(decimal("39.2"))));
    let UserEvent::Margin { reason: AccountReason::Order, wallets, positions } = account_update else { panic!("{account_update:?}") };
    assert_eq!((wallets[0].wallet.0, wallets[0].change), (desk.wallet("a"), Money::ZERO));
    assert_eq!((positions[0].quantity, positions[0].realized), (quantity(600), Money(decimal("39.2"))));
    assert_eq!(desk.income("a", IncomeKind::RealizedPnl), decimal("39.2"));
    assert_eq!(desk.income("a", IncomeKind::Commission), decimal("-30.0005") - decimal("12.0198"));
}

/// The rows of one exchange make another that shows and does the same.
#[test]
fn a_restart_forgets_nothing() {
    let mut desk = desk();
    let (now, a) = (desk.now, account("a"));
    desk.exchange.change_margin_type(now, a, btc(), MarginType::Isolated).unwrap();
    desk.exchange.change_leverage(now, a, btc(), 10).unwrap();
    desk.exchange.transfer(now, a, Asset::new("BNB").unwrap(), Money(Decimal::TWO)).unwrap();
    desk.buys("a", 1_000);
    let stop = desk.order(Side::Sell, OrderKind::StopMarket { trigger: price(MID - 500) }, 10);
    let extras = Extras { trigger_by: Some(TriggerPrice::Mark), ..Extras::default() };
    desk.exchange.place_algo(now, a, &OrderRequest { order: stop, extras }).unwrap();
    let gone = desk.order(Side::Sell, OrderKind::StopMarket { trigger: price(MID - 600) }, 10);
    let gone = desk.exchange.place_algo(now, a, &gone.into()).unwrap().client_algo_id();
    desk.exchange.cancel_algo(now, a, crate::exchange::core::margin::AlgoId::Client(gone)).unwrap();
    let order = desk.limit(Side::Buy, MID - 1_000, 10);
    desk.place("a", order);
    desk.exchange.countdown(now, a, btc(), Some(Duration::from_secs(60))).unwrap();
    let saved = desk.exchange.saved_state();
    let text = serde_json::to_string(&saved.algos).unwrap();
    let read = SavedState { algos: serde_json::from_str(&text).unwrap(), ..saved.clone() };
    let mut again = Desk { exchange: Exchange::new(ExchangeConfig { log_reports: true, ..ExchangeConfig::default() }), ..desk };
    again.exchange.add_symbol(instruments::bundled(InstrumentKind::Perpetual, btc()).unwrap());
    again.exchange.restore(read).unwrap();
    assert_eq!(again.exchange.saved_state(), saved);
    again.snapshot(&[(MID - 10, 100_000)], &[(MID + 10, 100_000)]);
    // It goes by the mark, as it was told before.
    assert!(fills(&again.print(MID - 510, 1, true)).is_empty());
    assert_eq!(trades(&again.mark(MID - 510)), [(MID - 10, 10)]);
    again.pass(Duration::from_secs(61));
    assert!(again.view("a").open_orders.is_empty(), "the countdown went on");
}
