//! Profit to the last digit, executions booked once, what is taken over from a venue.

use super::*;
use crate::domain::ids::{Asset, ClientOrderId};
use crate::domain::order::FeeTaken;
use crate::domain::time::Timestamp;
use proptest::prelude::*;
use rust_decimal::Decimal;

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap()
}

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn account() -> AccountId {
    AccountId::new("main").unwrap()
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn fill(trade_id: u64, side: Side, at: &str, amount: &str) -> Fill {
    Fill {
        account: account(),
        symbol: btc(),
        client_order_id: ClientOrderId::new("rf-main-1-1").unwrap(),
        venue_order_id: 7,
        trade_id,
        side,
        position_side: PositionSide::Both,
        price: price(at),
        quantity: quantity(amount),
        fee: money("0.01"),
        fee_taken: None,
        maker: false,
        at: Timestamp::ZERO,
    }
}

#[test]
fn a_partial_close_takes_its_share_of_the_cost_and_the_last_close_the_rest() {
    let mut position = Position::default();
    position.apply(Side::Buy, price("100"), quantity("1"), Money::ZERO);
    position.apply(Side::Buy, price("101"), quantity("2"), Money::ZERO);
    assert_eq!(position.cost(), money("302"));
    let third = position.apply(Side::Sell, price("110"), quantity("1"), Money::ZERO);
    assert_eq!(third.pnl, money("9.33333334"));
    let rest = position.apply(Side::Sell, price("110"), quantity("2"), Money::ZERO);
    assert_eq!(third.pnl + rest.pnl, money("28"));
    assert!(position.is_flat() && position.cost().is_zero());
}

#[test]
fn one_fill_flips_through_zero_and_opens_at_its_own_price() {
    let mut position = Position::default();
    position.apply(Side::Buy, price("100"), quantity("1"), Money::ZERO);
    let flip = position.apply(Side::Sell, price("90"), quantity("3"), money("0.5"));
    assert_eq!(flip, Realised { pnl: money("-10"), fee: money("0.5"), closed: quantity("1"), opened: quantity("2") });
    assert_eq!((position.quantity(), position.entry_price()), (quantity("-2"), Some(price("90"))));
    assert_eq!(position.unrealized(price("80")), money("20"));
    assert_eq!(position.fees(), money("0.5"));
}

#[test]
fn a_short_earns_when_it_is_bought_back_lower() {
    let mut position = Position::default();
    position.apply(Side::Sell, price("100"), quantity("2"), Money::ZERO);
    assert_eq!(position.apply(Side::Buy, price("90"), quantity("1"), Money::ZERO).pnl, money("10"));
    assert_eq!(position.entry_price(), Some(price("100")));
}

#[test]
fn hedge_legs_do_not_meet() {
    let mut book = Positions::new(account(), money("1000"));
    book.apply(&Fill { position_side: PositionSide::Long, ..fill(1, Side::Buy, "100", "1") });
    book.apply(&Fill { position_side: PositionSide::Short, ..fill(2, Side::Sell, "110", "3") });
    assert_eq!(book.position(btc(), PositionSide::Long).quantity(), quantity("1"));
    assert_eq!(book.position(btc(), PositionSide::Short).quantity(), quantity("-3"));
    assert_eq!((book.net(btc()), book.realized()), (quantity("-2"), Money::ZERO));
}

#[test]
fn a_fill_told_twice_is_booked_once_and_a_self_trades_other_side_is_not_a_repeat() {
    let mut book = Positions::new(account(), money("1000"));
    assert!(book.apply(&fill(1, Side::Buy, "100", "1")).booked().is_some());
    assert_eq!(book.apply(&fill(1, Side::Buy, "100", "1")), Applied::Duplicate);
    assert!(book.apply(&Fill { venue_order_id: 8, ..fill(1, Side::Sell, "100", "1") }).booked().is_some());
    assert_eq!((book.net(btc()), book.wallet()), (Quantity::ZERO, money("999.98")));
}

#[test]
fn a_fill_below_the_forgotten_ids_is_told_apart_from_a_duplicate() {
    let mut book = Positions::new(account(), Money::ZERO);
    for trade_id in 10..10 + SEEN_MAX as u64 + 2 {
        assert!(book.apply(&fill(trade_id, Side::Buy, "100", "1")).booked().is_some());
    }
    assert_eq!(book.apply(&fill(12, Side::Buy, "100", "1")), Applied::Duplicate);
    assert_eq!(book.apply(&fill(11, Side::Buy, "100", "1")), Applied::TooOld);
    assert_eq!(book.seen.order.len(), SEEN_MAX);
}

#[test]
fn a_position_without_a_mark_is_counted_as_such() {
    let mut book = Positions::new(account(), money("1000"));
    book.apply(&fill(1, Side::Buy, "100", "1"));
    assert_eq!(book.unrealized(|_| None), Valuation { unrealized: Money::ZERO, unmarked: 1 });
    assert_eq!(book.equity(|_| Some(price("105"))), money("1004.99"));
    assert_eq!(book.views(|_| Some(price("105")))[0].unrealized, money("5"));
}

#[test]
fn a_fee_taken_out_of_what_was_bought_leaves_cash_and_holdings_exact() {
    let mut book = Positions::new(account(), money("1000"));
    let taken = |quantity_taken: &str, fee: &str, fill: Fill| Fill {
        fee: money(fee),
        fee_taken: Some(FeeTaken::FromPosition { quantity: quantity(quantity_taken) }),
        ..fill
    };
    book.apply(&taken("0.001", "0.1", fill(1, Side::Buy, "100", "1")));
    assert_eq!((book.net(btc()), book.cash()), (quantity("0.999"), money("900")));
    // The coin that is sold may be the one that fees are paid in.
    book.apply(&taken("0.0005", "0.055", fill(2, Side::Sell, "110", "0.5")));
    assert_eq!((book.net(btc()), book.cash()), (quantity("0.4985"), money("955")));
    assert_eq!(book.fees(), money("0.155"));
    assert_eq!(book.equity(|_| Some(price("110"))), money("1009.835"));
    let elsewhere = FeeTaken::Elsewhere { asset: Asset::new("BNB").unwrap(), quantity: quantity("0.0001") };
    book.apply(&Fill { fee: Money::ZERO, fee_taken: Some(elsewhere), ..fill(3, Side::Sell, "110", "0.4985") });
    assert_eq!((book.net(btc()), book.wallet()), (Quantity::ZERO, money("1009.835")));
}

#[test]
fn cash_beside_holdings_is_taken_over_without_touching_what_they_cost() {
    let mut book = Positions::new(account(), money("1000"));
    book.apply(&Fill { fee: Money::ZERO, ..fill(1, Side::Buy, "100", "2") });
    book.adopt_cash(money("750"), Timestamp::ZERO);
    assert_eq!((book.cash(), book.wallet()), (money("750"), money("950")));
}

#[test]
fn the_newest_trade_of_each_symbol_outlives_a_checkpoint_of_an_earlier_version() {
    let mut book = Positions::new(account(), Money::ZERO);
    let eth = Symbol::new("ETHUSDT").unwrap();
    book.apply(&fill(9, Side::Buy, "100", "1"));
    book.apply(&fill(7, Side::Buy, "100", "1"));
    book.apply(&Fill { symbol: eth, ..fill(3, Side::Buy, "100", "1") });
    let again: Positions = serde_json::from_str(&serde_json::to_string(&book).unwrap()).unwrap();
    assert_eq!(again.newest_trades().collect::<Vec<_>>(), [(btc(), 9), (eth, 3)]);
}

#[test]
fn an_adopted_position_keeps_what_was_realised() {
    let mut book = Positions::new(account(), money("1000"));
    book.apply(&fill(1, Side::Buy, "100", "1"));
    book.apply(&fill(2, Side::Sell, "110", "1"));
    book.adopt_position(&VenuePosition {
        symbol: btc(),
        position_side: PositionSide::Both,
        quantity: quantity("-2"),
        entry_price: price("120"),
        closable: None,
    });
    let position = book.position(btc(), PositionSide::Both);
    assert_eq!((position.realized(), position.unrealized(price("119"))), (money("10"), money("2")));
}

fn fills() -> impl Strategy<Value = Vec<Fill>> {
    let one = (any::<bool>(), 1i64..10_000_000_000, 1i64..10_000_000_000, -1_000_000i64..1_000_000, 0u8..3);
    proptest::collection::vec(one, 1..60).prop_map(|all| {
        let build = |(index, (buy, at, amount, fee, leg)): (usize, (bool, i64, i64, i64, u8))| Fill {
            price: Price(Decimal::new(at, 4)),
            quantity: Quantity(Decimal::new(amount, 6)),
            fee: Money(Decimal::new(fee, 8)),
            position_side: [PositionSide::Both, PositionSide::Long, PositionSide::Short][usize::from(leg)],
            ..fill(index as u64, if buy { Side::Buy } else { Side::Sell }, "1", "1")
        };
        all.into_iter().enumerate().map(build).collect()
    })
}

/// What the fills alone say, without any position keeping: the yardstick.
fn cash_flow_pnl<'a>(fills: impl IntoIterator<Item = &'a Fill>, mark: Price) -> Money {
    let (mut cash, mut quantity) = (Decimal::ZERO, Decimal::ZERO);
    for fill in fills {
        let signed = fill.side.signed(fill.quantity).0;
        cash -= fill.price.0 * signed + fill.fee.0;
        quantity += signed;
    }
    Money(cash + quantity * mark.0)
}

proptest! {
    #[test]
    fn profit_equals_the_cash_flows_to_the_last_digit(fills in fills(), mark in 1i64..10_000_000_000) {
        let mark = Price(Decimal::new(mark, 4));
        let mut book = Positions::new(account(), money("1000"));
        for (index, fill) in fills.iter().enumerate() {
            book.apply(fill);
            let unrealized = book.unrealized(|_| Some(mark)).unrealized;
            let expected = cash_flow_pnl(&fills[..=index], mark);
            prop_assert_eq!(book.realized() + unrealized - book.fees(), expected);
            prop_assert_eq!(book.equity(|_| Some(mark)), money("1000") + expected);
        }
    }

    #[test]
    fn repeats_and_a_checkpoint_between_change_nothing(fills in fills(), repeats in proptest::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        let mut plain = Positions::new(account(), money("1000"));
        let mut troubled = plain.clone();
        for (index, fill) in fills.iter().enumerate() {
            plain.apply(fill);
            troubled.apply(fill);
            if let Some(again) = repeats.get(index) {
                let text = serde_json::to_string(&troubled).unwrap();
                troubled = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(troubled.apply(&fills[again.index(index + 1)]), Applied::Duplicate);
            }
        }
        prop_assert_eq!(plain, troubled);
    }
}
