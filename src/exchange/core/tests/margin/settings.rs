//! Settings and the numbers of an account.

use super::*;

#[test]
fn leverage_is_bounded_by_what_the_brackets_carry() {
    let mut desk = desk();
    let change = |desk: &mut Desk, leverage| desk.exchange.change_leverage(desk.now, account("a"), btc(), leverage);
    assert_eq!(change(&mut desk, 0), refused(UsdmReject::InvalidLeverage));
    assert_eq!(change(&mut desk, 126), refused(UsdmReject::InvalidLeverage));
    assert_eq!(change(&mut desk, 125), Ok(Money(Decimal::from(300_000))));
    assert_eq!(desk.reports(), [UserEvent::Leverage { symbol: btc(), leverage: 125 }]);
    // 6 BTC are worth 360,000: more than 125 times carries.
    let order = desk.limit(Side::Buy, MID - 100, 6_000);
    assert_eq!(rejection(&desk.place("a", order).1), Some(-2027));
    assert_eq!(change(&mut desk, 100), Ok(Money(Decimal::from(800_000))));
    desk.buys("a", 6_000);
    assert_eq!(change(&mut desk, 125), refused(UsdmReject::MaxNotional));
    assert_eq!(desk.exchange.symbol_settings(account("a"), btc()).unwrap().leverage, 100);
}

#[test]
fn margin_type_and_position_mode_change_only_with_nothing_open() {
    let mut desk = desk();
    let to = |desk: &mut Desk, to| desk.exchange.change_margin_type(desk.now, account("a"), btc(), to);
    assert_eq!(to(&mut desk, MarginType::Crossed), refused(UsdmReject::SameMarginType));
    let order = desk.limit(Side::Buy, MID - 100, 10);
    let (id, _) = desk.place("a", order);
    assert_eq!(to(&mut desk, MarginType::Isolated), refused(UsdmReject::MarginTypeWithOrders));
    assert_eq!(desk.exchange.change_position_mode(account("a"), true), refused(UsdmReject::PositionModeWithOrders));
    desk.command("a", &VenueCommand::Cancel { symbol: btc(), client_order_id: id });
    desk.buys("a", 10);
    assert_eq!(to(&mut desk, MarginType::Isolated), refused(UsdmReject::MarginTypeWithPosition));
    assert_eq!(desk.exchange.change_position_mode(account("a"), true), refused(UsdmReject::PositionModeWithPosition));
    desk.sells("a", 10);
    assert_eq!(to(&mut desk, MarginType::Isolated), Ok(()));
    assert_eq!(desk.exchange.change_position_mode(account("a"), false), refused(UsdmReject::SamePositionMode));
    assert_eq!(desk.exchange.change_position_mode(account("a"), true), Ok(()));
    assert_eq!(desk.exchange.position_risks(account("a"), Some(btc())).len(), 2);
}

#[test]
fn multi_assets_mode_and_isolated_margin_exclude_each_other() {
    let mut desk = desk();
    let (now, a) = (desk.now, account("a"));
    assert_eq!(desk.exchange.change_multi_assets(now, a, false), refused(UsdmReject::SameMultiAssets));
    assert_eq!(desk.exchange.change_multi_assets(now, a, true), Ok(()));
    assert_eq!(desk.exchange.change_margin_type(now, a, btc(), MarginType::Isolated), refused(UsdmReject::IsolatedWithMultiAssets));
    assert_eq!(desk.exchange.change_multi_assets(now, a, false), Ok(()));
    assert_eq!(desk.exchange.change_margin_type(now, a, btc(), MarginType::Isolated), Ok(()));
    assert_eq!(desk.exchange.change_multi_assets(now, a, true), refused(UsdmReject::MultiAssetsWithIsolated));
    assert_eq!(desk.reports().iter().filter(|event| matches!(event, UserEvent::MultiAssets { .. })).count(), 2);
}

#[test]
fn an_account_shows_the_venues_numbers() {
    let mut desk = desk();
    desk.buys("a", 1_000);
    desk.moves_to(MID + 1_000);
    let order = desk.limit(Side::Buy, MID, 500);
    desk.place("a", order);
    let shown = desk.exchange.account_margin(account("a")).unwrap();
    let asset = shown.assets[0];
    // Bought 1 BTC at 60,001; fee 0.05 %.
    assert_eq!(asset.wallet, Money(decimal("999969.9995")));
    assert_eq!(asset.unrealized, Money(Decimal::from(99)));
    assert_eq!(asset.margin_balance, Money(decimal("1000068.9995")));
    // 60,100 at 20 times, and half a bitcoin at 60,000.
    assert_eq!((asset.position_initial, asset.open_order_initial), (Money(Decimal::from(3_005)), Money(Decimal::from(1_500))));
    assert_eq!(asset.initial, Money(Decimal::from(4_505)));
    assert_eq!(asset.available, Money(decimal("995563.9995")));
    // Open profit does not leave.
    assert_eq!(asset.withdrawable, Money(decimal("995563.9995")));
    // The first bracket: 0.4 %.
    assert_eq!(asset.maintenance, Money(decimal("240.4")));
    let risk = desk.risk("a");
    assert_eq!((risk.notional, risk.mark_price), (Money(Decimal::from(60_100)), price(MID + 1_000)));
    assert_eq!((risk.entry_price, risk.break_even_price), (price(MID + 10), Price(decimal("60031.0005"))));
    assert_eq!((risk.bid_notional, risk.liquidation_price), (Money(Decimal::from(30_000)), Price::ZERO));
}

#[test]
fn isolated_margin_follows_the_position_and_can_be_moved_by_hand() {
    let mut desk = desk();
    let (now, a) = (desk.now, account("a"));
    desk.exchange.change_margin_type(now, a, btc(), MarginType::Isolated).unwrap();
    desk.exchange.change_leverage(now, a, btc(), 10).unwrap();
    desk.buys("a", 1_000);
    let risk = desk.risk("a");
    assert_eq!((risk.isolated, risk.isolated_wallet), (true, Money(decimal("6000.1"))));
    let shown = desk.exchange.account_margin(a).unwrap().assets[0];
    assert_eq!(shown.cross_wallet.0, shown.wallet.0 - decimal("6000.1"));
    assert_eq!(shown.available, shown.cross_wallet, "an isolated position's margin is spent");
    let adjust = |desk: &mut Desk, amount: i64| {
        desk.exchange.adjust_margin(desk.now, account("a"), btc(), PositionSide::Both, Money(Decimal::from(amount)))
    };
    assert_eq!(adjust(&mut desk, 0), refused(UsdmReject::AmountNotPositive));
    assert_eq!(adjust(&mut desk, 1_000), Ok(()));
    assert_eq!(adjust(&mut desk, 10_000_000), refused(UsdmReject::CrossBalance));
    assert_eq!(adjust(&mut desk, -1_200), refused(UsdmReject::IsolatedBalance));
    assert_eq!(adjust(&mut desk, -900), Ok(()));
    assert_eq!(desk.exchange.margin_adjustments(a, btc()).map(|row| row.amount.0).collect::<Vec<_>>(), [1_000.into(), (-900).into()]);
    assert_eq!(desk.exchange.change_leverage(now, a, btc(), 5), refused(UsdmReject::IsolatedLeverageReduction));
    // Half closed: half of it comes back. Closed whole: all of it.
    desk.sells("a", 500);
    assert_eq!(desk.risk("a").isolated_wallet, Money(decimal("3050.05")));
    desk.sells("a", 500);
    assert_eq!(desk.risk("a").isolated_wallet, Money::ZERO);
    desk.check_ledger("a", 1_000_000);
    assert_eq!(adjust(&mut desk, 1), refused(UsdmReject::MarginWithoutPosition));
}

#[test]
fn a_liquidation_price_is_where_margin_meets_maintenance() {
    let mut desk = desk();
    let (now, a) = (desk.now, account("a"));
    desk.exchange.change_margin_type(now, a, btc(), MarginType::Isolated).unwrap();
    desk.exchange.change_leverage(now, a, btc(), 10).unwrap();
    desk.buys("a", 1_000);
    let at = desk.risk("a").liquidation_price;
    // (cost − isolated wallet) / (1 − 0.4 %).
    assert_eq!(at, Price((decimal("54000.9") / decimal("0.996")).round_dp(8)));
    let ticks = |price: Price| (price.0 * Decimal::TEN).ceil().try_into().unwrap();
    let safe: i64 = ticks(at);
    desk.mark(safe);
    assert_eq!(desk.position("a"), quantity(1_000));
    desk.mark(safe - 1);
    assert_eq!(desk.position("a"), Quantity::ZERO);
}

/// Long and short of one symbol are two positions with one cross margin behind them.
#[test]
fn a_hedged_account_is_margined_leg_by_leg() {
    let mut desk = desk();
    let (now, a) = (desk.now, account("a"));
    desk.exchange.change_position_mode(a, true).unwrap();
    let trade = |desk: &mut Desk, side, position_side, lots| {
        let order = NewOrder { position_side, ..desk.at_market(side, lots) };
        assert_eq!(rejection(&desk.place("a", order).1), None);
    };
    trade(&mut desk, Side::Buy, PositionSide::Long, 60_000);
    trade(&mut desk, Side::Sell, PositionSide::Short, 20_000);
    let order = NewOrder { position_side: PositionSide::Short, ..desk.limit(Side::Sell, MID + 500, 10_000) };
    desk.place("a", order);
    let [long, short] = &desk.exchange.position_risks(a, Some(btc()))[..] else { panic!("two legs") };
    assert_eq!((long.quantity, short.quantity), (quantity(60_000), quantity(-20_000)));
    assert_eq!((long.position_initial.0, short.position_initial.0), (Decimal::from(180_000), Decimal::from(60_000)));
    assert_eq!((long.open_order_initial.0, short.open_order_initial.0), (Decimal::ZERO, Decimal::from(30_025)));
    // 60 BTC lose what 20 BTC win: one price for both.
    assert_eq!(long.liquidation_price, short.liquidation_price);
    let at = long.liquidation_price.0;
    desk.exchange.charge_funding_now(now, btc(), Some(crate::domain::money::Ratio(decimal("0.0001"))), &mut desk.out).unwrap();
    assert_eq!(desk.income("a", IncomeKind::FundingFee), Decimal::from(-360 + 120));
    let ticks: i64 = (at * Decimal::TEN).trunc().try_into().unwrap();
    desk.moves_to(ticks + 1_000);
    assert!(desk.exchange.position_risks(a, Some(btc())).iter().all(|leg| !leg.quantity.is_zero()));
    desk.reports();
    desk.moves_to(ticks - 100_000);
    assert!(desk.exchange.position_risks(a, Some(btc())).iter().all(|leg| leg.quantity.is_zero()), "both legs are gone");
    assert!(desk.view("a").open_orders.is_empty() && !desk.exchange.account_margin(a).unwrap().assets[0].wallet.is_negative());
    desk.check_ledger("a", 1_000_000);
}
