//! Liquidation, the insurance fund, auto-deleveraging.

use super::*;
use crate::exchange::core::orders::Force;

impl Desk {
    /// An account that holds `lots` isolated at ten times.
    fn isolated(&mut self, name: &str, side: Side, lots: i64) {
        let (now, id) = (self.now, account(name));
        self.exchange.change_margin_type(now, id, btc(), MarginType::Isolated).unwrap();
        self.exchange.change_leverage(now, id, btc(), 10).unwrap();
        let order = self.at_market(side, lots);
        assert_eq!(rejection(&self.place(name, order).1), None);
    }

    fn fund(&self) -> Decimal {
        self.exchange.insurance_fund().0
    }
}

fn told_of_liquidation(events: &[UserEvent]) -> Vec<String> {
    let word = |event: &UserEvent| match event {
        UserEvent::MarginCall { .. } => Some("call".to_owned()),
        UserEvent::Order { execution, order, .. } => Some(format!("{execution:?} {}", order.status())),
        UserEvent::Margin { reason, .. } => Some(reason.to_string()),
        _ => None,
    };
    events.iter().filter_map(word).collect()
}

#[test]
fn a_poor_position_is_closed_at_the_market_and_what_is_left_goes_to_the_fund() {
    let mut desk = desk();
    desk.isolated("a", Side::Buy, 1_000);
    let cross = desk.exchange.account_margin(account("a")).unwrap().assets[0].cross_wallet;
    let order = desk.limit(Side::Buy, 500_000, 10);
    let (resting, _) = desk.place("a", order);
    desk.reports();
    let before = desk.fund();
    // The book stands at 54,150, a little above the bankruptcy price of 54,001; the mark is below maintenance.
    desk.snapshot(&[(541_500, 100_000)], &[(541_600, 100_000)]);
    let events = desk.mark(542_000);
    assert_eq!(end(&events), Some((resting, EndReason::Expired)));
    let told = fills(&events);
    assert_eq!((told[0].price, told[0].quantity, told[0].fee), (price(541_500), quantity(1_000), Money::ZERO));
    assert!(told[0].client_order_id.as_str().starts_with("autoclose-"));
    // 149 were left of the 6,000: the whole of it is less than the fee of 1.25 %.
    assert_eq!(desk.fund() - before, decimal("149.1"));
    assert_eq!(desk.exchange.account_margin(account("a")).unwrap().assets[0].cross_wallet, cross, "the rest of the account is untouched");
    assert_eq!(desk.income("a", IncomeKind::InsuranceClear), decimal("-149.1"));
    desk.check_ledger("a", 1_000_000);
    let reports = desk.reports();
    assert_eq!(told_of_liquidation(&reports), ["call", "Expired EXPIRED", "New NEW", "Calculated FILLED", "ORDER", "INSURANCE_CLEAR"]);
    let all = desk.exchange.all_orders(account("a"), btc());
    let forced: Vec<_> = all.iter().map(|view| (view.status(), view.force)).collect();
    // The purchase that made the position is its owner's alone.
    assert_eq!(forced, [("FILLED", None), ("EXPIRED", Some(Force::Liquidation)), ("FILLED", Some(Force::Liquidation))]);
    let forced = desk.exchange.drain_forced_orders();
    let (symbol, order) = forced[0];
    assert_eq!(
        (forced.len(), symbol, order.side, order.price, order.average_price),
        (1, btc(), Side::Sell, Ticks(540_009), Ticks(541_500))
    );
}

#[test]
fn beyond_bankruptcy_the_fund_pays_and_the_account_owes_nothing() {
    let mut desk = desk();
    desk.isolated("a", Side::Sell, 1_000);
    let cross = desk.exchange.account_margin(account("a")).unwrap().assets[0].cross_wallet;
    let before = desk.fund();
    // A jump of a quarter: the margin was a tenth.
    desk.moves_to(750_000);
    assert_eq!(desk.position("a"), Quantity::ZERO);
    let shown = desk.exchange.account_margin(account("a")).unwrap().assets[0];
    assert_eq!((shown.cross_wallet, shown.wallet), (cross, cross));
    assert!(desk.fund() < before - Decimal::from(8_900), "{}", desk.fund());
    desk.check_ledger("a", 1_000_000);
}

#[test]
fn when_the_fund_is_empty_the_winners_are_deleveraged() {
    let config = ExchangeConfig { log_reports: true, insurance_fund: Money::ZERO, ..ExchangeConfig::default() };
    let mut desk = Desk::with(config, InstrumentKind::Perpetual);
    desk.now = START;
    desk.moves_to(MID);
    desk.isolated("a", Side::Sell, 1_000);
    desk.buys("other", 600);
    desk.moves_to(750_000);
    assert_eq!((desk.position("a"), desk.position("other")), (Quantity::ZERO, Quantity::ZERO));
    let closing = desk.view("other").trades.last().unwrap().clone();
    assert_eq!((closing.client_order_id.as_str(), closing.quantity), ("adl_autoclose", quantity(600)));
    // At the price at which the poor one's margin was used up: 59,999 + 5,999.9.
    assert_eq!(closing.price, price(659_989));
    assert_eq!(desk.exchange.insurance_fund(), Money::ZERO);
    desk.check_ledger("a", 1_000_000);
    desk.check_ledger("other", 1_000_000);
}

#[test]
fn cross_margin_is_liquidated_as_a_whole_and_never_below_zero() {
    let mut desk = desk();
    // 200 BTC at 60,001: twelve million on one.
    desk.buys("a", 100_000);
    desk.moves_to(MID + 1);
    desk.buys("a", 100_000);
    let order = desk.limit(Side::Buy, 400_000, 10_000);
    desk.place("a", order);
    desk.reports();
    desk.moves_to(556_000);
    assert_eq!(told_of_liquidation(&desk.reports()), ["call"]);
    desk.moves_to(555_500);
    assert!(told_of_liquidation(&desk.reports()).is_empty(), "told once");
    desk.moves_to(500_000);
    assert_eq!((desk.position("a"), desk.wallet("a")), (Quantity::ZERO, Decimal::ZERO));
    assert!(desk.view("a").open_orders.is_empty());
    desk.check_ledger("a", 1_000_000);
}

#[test]
fn a_liquidation_and_a_deleveraging_can_be_had_on_command() {
    let mut desk = desk();
    desk.buys("a", 1_000);
    desk.exchange.liquidate(desk.now, account("a"), Some(btc()), &mut desk.out).unwrap();
    desk.out.clear();
    assert_eq!(desk.position("a"), Quantity::ZERO);
    // A little loss to the mark, and the fee of 1.25 % of 60,000.
    assert_eq!(desk.income("a", IncomeKind::InsuranceClear), Decimal::from(-750));
    desk.check_ledger("a", 1_000_000);
    desk.sells("a", 1_000);
    let part = |desk: &mut Desk, lots| {
        let mut out = Vec::new();
        desk.exchange.deleverage(desk.now, account("a"), btc(), PositionSide::Both, Some(quantity(lots)), &mut out)
    };
    assert_eq!(part(&mut desk, 400), Ok(()));
    assert_eq!(desk.position("a"), quantity(-600));
    assert_eq!(part(&mut desk, 4_000), Ok(()));
    assert_eq!(part(&mut desk, 1), refused(UsdmReject::MarginWithoutPosition));
    let order = desk.exchange.all_orders(account("a"), btc()).pop().unwrap();
    assert_eq!((order.order.client_order_id.as_str(), order.status()), ("adl_autoclose", "FILLED"));
}

#[test]
fn the_most_profitable_stands_first_in_the_queue() {
    let mut desk = desk();
    desk.buys("a", 10);
    desk.moves_to(MID + 1_000);
    desk.buys("b", 10);
    desk.moves_to(MID + 2_000);
    let quantile = |desk: &Desk, name| desk.risk(name).adl_quantile;
    assert!(quantile(&desk, "a") > quantile(&desk, "b"));
    assert_eq!(quantile(&desk, "other"), 0);
}
