//! Each kind of difference by its name and repair, how old an answer is, when a doubt is confirmed, and that the order of a list
//! means nothing. That repairs put right what they say is shown with the order manager, which carries them out.

use std::time::Duration;

use proptest::prelude::*;
use strum::IntoEnumIterator as _;

use super::*;
use crate::domain::ids::{Epoch, IntentId};
use crate::domain::order::{OrderKind, Side};

fn account() -> AccountId {
    AccountId::new("a").unwrap()
}

fn symbol() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn ours(number: u64) -> ClientOrderId {
    ClientOrderId::compose(account(), Epoch(1), IntentId(number))
}

fn new_order(id: ClientOrderId) -> NewOrder {
    NewOrder {
        client_order_id: id,
        symbol: symbol(),
        side: Side::Buy,
        position_side: PositionSide::Both,
        kind: OrderKind::Limit { price: "100".parse().unwrap() },
        time_in_force: Default::default(),
        quantity: "2".parse().unwrap(),
        reduce_only: false,
        self_trade_prevention: Default::default(),
    }
}

fn shown(id: ClientOrderId, venue_order_id: u64) -> VenueOrder {
    let order = new_order(id);
    VenueOrder {
        client_order_id: id,
        venue_order_id,
        symbol: order.symbol,
        side: order.side,
        position_side: order.position_side,
        kind: order.kind,
        status: OrderStatus::Working,
        quantity: order.quantity,
        filled: Quantity::ZERO,
        reduce_only: false,
        updated_at: at(0),
    }
}

fn fill(id: ClientOrderId, trade_id: u64, millis: i64) -> Fill {
    Fill {
        account: account(),
        symbol: symbol(),
        client_order_id: id,
        venue_order_id: 7,
        trade_id,
        side: Side::Buy,
        position_side: PositionSide::Both,
        price: "100".parse().unwrap(),
        quantity: "1".parse().unwrap(),
        fee: Money::ZERO,
        fee_taken: None,
        maker: false,
        at: at(millis),
    }
}

fn position(quantity: &str) -> VenuePosition {
    let (quantity, entry_price) = (quantity.parse().unwrap(), "100".parse().unwrap());
    VenuePosition { symbol: symbol(), position_side: PositionSide::Both, quantity, entry_price, closable: None }
}

/// Compares with one open order of ours, number 1, of which one filled.
fn kinds(positions: &Positions, venue: &VenueSnapshot) -> Vec<(FindingKind, Repair)> {
    let (open, ended) = (new_order(ours(1)), new_order(ours(2)));
    let known = |id: ClientOrderId| {
        (id == ours(2)).then_some(OurOrder { order: &ended, status: OrderStatus::Filled, filled: "2".parse().unwrap() })
    };
    let sent = OurOrder { order: &open, status: OrderStatus::Working, filled: "1".parse().unwrap() };
    let ours = Ours { account: account(), open: vec![sent], known: &known, positions };
    compare(&ours, venue).iter().map(|finding| (finding.kind(), finding.repair())).collect()
}

fn flat() -> Positions {
    Positions::new(account(), Money::ZERO)
}

#[test]
fn each_difference_has_its_kind_and_its_one_repair() {
    let listed = |order: VenueOrder| VenueSnapshot { open_orders: vec![order], ..VenueSnapshot::default() };
    let filled = |quantity: &str| VenueOrder { filled: quantity.parse().unwrap(), ..shown(ours(1), 7) };
    let found = |venue: &VenueSnapshot| kinds(&flat(), venue);
    assert_eq!(found(&listed(filled("1"))), []);
    assert_eq!(found(&VenueSnapshot::default()), [(FindingKind::NotListed, Repair::Query)]);
    assert_eq!(found(&listed(filled("1.5"))), [(FindingKind::FilledAhead, Repair::FetchTrades)]);
    assert_eq!(found(&listed(filled("0.5"))), [(FindingKind::StaleAnswer, Repair::AskAgain)]);
    let kind = OrderKind::Limit { price: "101".parse().unwrap() };
    for changed in [
        VenueOrder { side: Side::Sell, ..filled("1") },
        VenueOrder { quantity: "3".parse().unwrap(), ..filled("1") },
        VenueOrder { kind, ..filled("1") },
    ] {
        assert_eq!(found(&listed(changed)), [(FindingKind::TermsDiffer, Repair::CancelAndHold)]);
    }
    let with = |order: VenueOrder| VenueSnapshot { open_orders: vec![filled("1"), order], ..VenueSnapshot::default() };
    assert_eq!(found(&with(shown(ours(9), 9))), [(FindingKind::Orphan, Repair::Cancel)]);
    assert_eq!(found(&with(shown(ClientOrderId::new("web_1").unwrap(), 9))), [(FindingKind::Foreign, Repair::Watch)]);
    assert_eq!(found(&with(VenueOrder { venue_order_id: 9, ..filled("1") })), [(FindingKind::DuplicateId, Repair::CancelAndHold)]);
    assert_eq!(found(&with(filled("1"))), [], "listed twice is one order");
    let risen = [(FindingKind::StaleAnswer, Repair::AskAgain), (FindingKind::Risen, Repair::Cancel)];
    assert_eq!(found(&with(shown(ours(2), 9))), risen, "it had filled more than that");
}

#[test]
fn money_and_positions_differ_by_kinds_of_their_own() {
    let mut held = flat();
    held.apply(&fill(ours(1), 1, 5));
    let venue = |quantity: &str, wallet: &str, beside_holdings| {
        let open_orders = vec![VenueOrder { filled: "1".parse().unwrap(), ..shown(ours(1), 7) }];
        let positions = if quantity == "0" { vec![] } else { vec![position(quantity)] };
        VenueSnapshot { open_orders, positions, wallet: wallet.parse().unwrap(), beside_holdings, ..VenueSnapshot::default() }
    };
    assert_eq!(kinds(&held, &venue("1", "0", false)), []);
    assert_eq!(kinds(&held, &venue("2", "0", false)), [(FindingKind::PositionDiffers, Repair::AdoptAndHold)]);
    assert_eq!(kinds(&held, &venue("0", "0", false)), [(FindingKind::PositionDiffers, Repair::AdoptAndHold)]);
    assert_eq!(kinds(&flat(), &venue("1", "0", false)), [(FindingKind::UnexpectedLeg, Repair::AdoptAndHold)]);
    assert_eq!(kinds(&held, &venue("1", "0.01", false)), [(FindingKind::WalletSlightlyOff, Repair::Adopt)]);
    assert_eq!(kinds(&held, &venue("1", "0.02", false)), [(FindingKind::WalletDiffers, Repair::Adopt)]);
    // Beside a holding that cost a hundred.
    assert_eq!(kinds(&held, &venue("1", "-100", true)), []);
    assert_eq!(kinds(&held, &venue("1", "-101", true)), [(FindingKind::CashDiffers, Repair::AdoptAndHold)]);
}

#[test]
fn a_listed_trade_is_whose_its_order_is_and_a_booked_one_is_none() {
    let mut positions = flat();
    let kind = |positions: &Positions, made_here, id| trade(account(), positions, made_here, &fill(id, 3, 5)).map(|found| found.kind());
    let by_hand = ClientOrderId::new("web_1").unwrap();
    assert_eq!(kind(&positions, true, ours(1)), Some(FindingKind::MissedFill));
    assert_eq!(kind(&positions, false, ours(1)), Some(FindingKind::UnclaimedFill));
    assert_eq!(kind(&positions, false, by_hand), Some(FindingKind::ForeignTrade));
    positions.apply(&fill(ours(1), 3, 5));
    assert_eq!(kind(&positions, true, ours(1)), None);
}

#[test]
fn everything_that_takes_something_away_is_destructive_and_nothing_else_is() {
    let destructive: Vec<FindingKind> = FindingKind::iter().filter(|kind| kind.repair().is_destructive()).collect();
    let expected = [
        FindingKind::TermsDiffer,
        FindingKind::Risen,
        FindingKind::Orphan,
        FindingKind::DuplicateId,
        FindingKind::PositionDiffers,
        FindingKind::UnexpectedLeg,
        FindingKind::WalletDiffers,
        FindingKind::WalletSlightlyOff,
        FindingKind::CashDiffers,
    ];
    assert_eq!(destructive, expected);
}

#[test]
fn an_answer_is_as_fresh_as_what_it_has() {
    let mut positions = flat();
    fn nobody<'a>(_: ClientOrderId) -> Option<OurOrder<'a>> {
        None
    }
    let fresh = |positions: &Positions, as_of| {
        let ours = Ours { account: account(), open: vec![], known: &nobody, positions };
        freshness(&ours, &VenueSnapshot { as_of, ..VenueSnapshot::default() })
    };
    assert_eq!(fresh(&positions, None), Freshness::Undated);
    assert_eq!(fresh(&positions, Some(at(0))), Freshness::Proven, "nothing is known that it could lack");
    positions.apply(&fill(ours(1), 1, 50));
    assert_eq!(fresh(&positions, Some(at(49))), Freshness::Stale);
    assert_eq!(fresh(&positions, Some(at(50))), Freshness::Proven);
}

#[test]
fn a_doubt_is_confirmed_when_it_has_stood_long_enough_for_the_age_of_the_answer() {
    for freshness in [Freshness::Proven, Freshness::Undated, Freshness::Stale] {
        let finding = Finding::PositionDiffers { venue: position("3"), ours: "1".parse().unwrap() };
        let moved = Finding::PositionDiffers { venue: position("5"), ours: "3".parse().unwrap() };
        let other = Finding::PositionDiffers { venue: position("5"), ours: "1".parse().unwrap() };
        let limit = freshness.confirms_after();
        let mut doubts = Doubts::default();
        assert!(doubts.observe(at(0), std::slice::from_ref(&finding), freshness).confirmed.is_empty());
        let before = at(0) + limit - Duration::from_millis(1);
        assert!(doubts.observe(before, std::slice::from_ref(&moved), freshness).confirmed.is_empty());
        assert_eq!(doubts.observe(at(0) + limit, std::slice::from_ref(&moved), freshness).confirmed, [moved], "by as much as before");
        assert_eq!(doubts.observe(at(0) + limit, std::slice::from_ref(&other), freshness).waiting, [other], "by more than before");
        assert_eq!(doubts.observe(at(0) + limit, &[], freshness), Agreed::default());
        let again = doubts.observe(at(0) + limit * 2, std::slice::from_ref(&finding), freshness);
        assert!(again.confirmed.is_empty(), "what was not there in between begins anew");
    }
}

#[test]
fn the_same_difference_has_the_same_id_and_another_has_another() {
    let finding = |quantity: &str| Finding::PositionDiffers { venue: position(quantity), ours: "1".parse().unwrap() };
    assert_eq!(finding("3").id(account()), finding("3.00").id(account()));
    assert_ne!(finding("3").id(account()), finding("4").id(account()));
    assert_ne!(finding("3").id(account()), finding("3").id(AccountId::new("b").unwrap()));
    assert!(finding("3").told(account()).ends_with("→ adopt_and_hold"), "{}", finding("3").told(account()));
}

proptest! {
    /// Lists come in any order: what is found does not depend on it, nor does the order in which it is told.
    #[test]
    fn the_order_of_lists_means_nothing(
        numbers in proptest::collection::vec((0u64..8, 0u64..4, 0u8..3), 0..12),
        trades in proptest::collection::vec((1u64..20, 0i64..6), 0..12),
        turn in any::<proptest::sample::Index>(),
    ) {
        let order = |(number, venue, filled): (u64, u64, u8)| {
            let id = if number < 6 { ours(number) } else { ClientOrderId::new(&format!("web_{number}")).unwrap() };
            VenueOrder { filled: Quantity(filled.into()), ..shown(id, venue) }
        };
        let orders: Vec<VenueOrder> = numbers.into_iter().map(order).collect();
        let legs = vec![position("3"), VenuePosition { position_side: PositionSide::Long, ..position("1") }];
        let mut turned = orders.clone();
        if !turned.is_empty() {
            let places = turn.index(turned.len());
            turned.rotate_left(places);
            turned.reverse();
        }
        let one = VenueSnapshot { open_orders: orders, positions: legs.clone(), ..VenueSnapshot::default() };
        let other = VenueSnapshot { open_orders: turned, positions: legs.into_iter().rev().collect(), ..VenueSnapshot::default() };
        prop_assert_eq!(kinds(&flat(), &one), kinds(&flat(), &other));
        let fills: Vec<Fill> = trades.iter().map(|(id, millis)| fill(ours(1), *id, *millis)).collect();
        let mut unique = fills.clone();
        unique.sort_by_key(|fill| (fill.trade_id, fill.at));
        unique.dedup_by_key(|fill| fill.trade_id);
        let mut backwards = unique.clone();
        backwards.reverse();
        prop_assert_eq!(in_order(&unique), in_order(&backwards));
    }
}
