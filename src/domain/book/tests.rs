use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Ticks(price), quantity: Lots(quantity) }
}

fn spot(first_id: u64, final_id: u64, bids: Vec<Level>) -> DepthUpdate {
    DepthUpdate { first_id, final_id, previous_id: None, bids, asks: vec![] }
}

fn usdm(previous_id: u64, first_id: u64, final_id: u64, bids: Vec<Level>) -> DepthUpdate {
    DepthUpdate { first_id, final_id, previous_id: Some(previous_id), bids, asks: vec![] }
}

fn snapshot(last_id: u64, bids: Vec<Level>) -> DepthSnapshot {
    DepthSnapshot { last_id, bids, asks: vec![level(200, 1)] }
}

fn bid(sync: &BookSync) -> Option<Level> {
    sync.book().and_then(Book::best_bid)
}

#[test]
fn an_empty_book_has_no_top_and_removing_from_it_is_normal() {
    let mut book = Book::new();
    book.set(Side::Buy, Ticks(5), Lots(0));
    assert_eq!(book.top(), None);
    assert_eq!(book.depth(Side::Buy), 0);
}

#[test]
fn a_level_far_outside_the_window_becomes_the_best_when_the_near_ones_go() {
    let mut book = Book::new();
    book.set(Side::Buy, Ticks(6_180_000), Lots(3));
    book.set(Side::Buy, Ticks(10), Lots(7));
    book.set(Side::Sell, Ticks(6_180_001), Lots(4));
    book.set(Side::Sell, Ticks(900_000_000), Lots(8));
    assert_eq!(book.top(), Some((level(6_180_000, 3), level(6_180_001, 4))));
    book.set(Side::Buy, Ticks(6_180_000), Lots(0));
    book.set(Side::Sell, Ticks(6_180_001), Lots(0));
    assert_eq!(book.top(), Some((level(10, 7), level(900_000_000, 8))));
}

#[test]
fn a_ticker_prunes_the_levels_it_shows_to_be_gone() {
    let mut book = Book::new();
    for price in 90..=100 {
        book.set(Side::Buy, Ticks(price), Lots(1));
        book.set(Side::Sell, Ticks(price + 11), Lots(1));
    }
    book.apply_ticker(&BookTicker { id: 1, bid: level(95, 9), ask: level(115, 8) });
    assert_eq!(book.top(), Some((level(95, 9), level(115, 8))));
    assert_eq!(book.depth(Side::Buy), 6);
    book.apply_ticker(&BookTicker { id: 2, bid: level(0, 0), ask: level(115, 8) });
    assert_eq!(book.best_bid(), None);
}

#[test]
fn spot_diffs_that_came_before_the_snapshot_are_joined_to_it() {
    let mut sync = BookSync::new(SequenceRule::Spot);
    assert_eq!(sync.on_diff(&spot(90, 99, vec![level(100, 1)])), SyncOutcome::Buffered);
    assert_eq!(sync.on_diff(&spot(100, 105, vec![level(101, 2)])), SyncOutcome::Buffered);
    assert!(sync.book().is_none());
    assert_eq!(sync.on_snapshot(&snapshot(102, vec![level(100, 5)])), SyncOutcome::Applied);
    assert_eq!(sync.state(), SyncState::Live);
    assert_eq!(bid(&sync), Some(level(101, 2)));
    assert_eq!(sync.book().unwrap().quantity_at(Side::Buy, Ticks(100)), Lots(5), "the diff older than the snapshot is dropped");
    assert_eq!(sync.on_diff(&spot(104, 105, vec![])), SyncOutcome::Stale);
    assert_eq!(sync.on_diff(&spot(106, 110, vec![])), SyncOutcome::Applied);
}

#[test]
pub(crate) fn a_spot_gap_makes_the_book_unusable_until_a_snapshot_joins() {
    let mut sync = BookSync::new(SequenceRule::Spot);
    sync.on_snapshot(&snapshot(100, vec![level(100, 5)]));
    assert_eq!(sync.on_diff(&spot(102, 110, vec![level(101, 1)])), SyncOutcome::Gap { expected: 100, found: 101 });
    assert!(sync.book().is_none());
    assert_eq!(sync.on_snapshot(&snapshot(100, vec![])), SyncOutcome::Gap { expected: 101, found: 100 }, "too old for the buffered diff");
    assert_eq!(sync.on_snapshot(&snapshot(104, vec![level(99, 1)])), SyncOutcome::Applied);
    assert_eq!(bid(&sync), Some(level(101, 1)));
}

#[test]
fn usdm_diffs_join_by_pu_and_not_by_the_spot_rule() {
    let mut sync = BookSync::new(SequenceRule::UsdM);
    sync.on_diff(&usdm(80, 85, 90, vec![level(1, 1)]));
    sync.on_diff(&usdm(90, 95, 105, vec![level(101, 1)]));
    assert_eq!(sync.on_snapshot(&snapshot(100, vec![level(100, 5)])), SyncOutcome::Applied);
    assert_eq!(sync.last_id(), 105);
    assert_eq!(sync.on_diff(&usdm(105, 140, 150, vec![level(102, 1)])), SyncOutcome::Applied, "a jump in U is normal");
    assert_eq!(sync.on_diff(&usdm(151, 152, 160, vec![])), SyncOutcome::Gap { expected: 150, found: 151 });
    assert_eq!(sync.state(), SyncState::NeedsSnapshot);
}

#[test]
fn the_usdm_diff_that_ends_exactly_at_the_snapshot_is_applied_once() {
    let mut sync = BookSync::new(SequenceRule::UsdM);
    sync.on_snapshot(&snapshot(100, vec![level(100, 5)]));
    assert_eq!(sync.on_diff(&usdm(80, 90, 99, vec![])), SyncOutcome::Stale);
    assert_eq!(sync.on_diff(&usdm(90, 95, 100, vec![])), SyncOutcome::Applied);
    assert_eq!(sync.on_diff(&usdm(90, 95, 100, vec![])), SyncOutcome::Stale);
    assert_eq!(sync.on_diff(&usdm(100, 130, 140, vec![])), SyncOutcome::Applied);
}

#[test]
fn an_older_snapshot_does_not_turn_a_living_book_back() {
    let mut sync = BookSync::new(SequenceRule::Spot);
    sync.on_snapshot(&snapshot(100, vec![level(100, 5)]));
    sync.on_diff(&spot(101, 120, vec![level(101, 1)]));
    assert_eq!(sync.on_snapshot(&snapshot(110, vec![level(50, 5)])), SyncOutcome::Stale);
    assert_eq!(sync.on_snapshot(&snapshot(130, vec![level(50, 5)])), SyncOutcome::Applied);
    assert_eq!(bid(&sync), Some(level(50, 5)));
}

#[test]
fn the_buffer_is_bounded_and_says_so_when_the_snapshot_is_older_than_what_is_left() {
    let mut sync = BookSync::new(SequenceRule::Spot);
    for id in 0..=BUFFERED_DIFFS_MAX as u64 + 9 {
        sync.on_diff(&spot(1000 + id, 1000 + id, vec![]));
    }
    assert_eq!(sync.on_snapshot(&snapshot(1005, vec![])), SyncOutcome::Gap { expected: 1009, found: 1005 });
    assert_eq!(sync.on_snapshot(&snapshot(1009, vec![])), SyncOutcome::Applied);
}

/// A walk of the price over many windows, with levels near the top and far from it.
fn updates() -> impl Strategy<Value = Vec<(bool, i64, i64)>> {
    let price = prop_oneof![
        4 => 6_000_000_i64..6_000_200,
        3 => 5_900_000_i64..6_100_000,
        1 => 1_i64..20_000_000,
    ];
    prop::collection::vec((any::<bool>(), price, prop_oneof![1 => Just(0_i64), 1 => 1_i64..1000]), 1..400)
}

proptest! {
    #[test]
    fn the_book_agrees_with_an_ordered_map(updates in updates(), prune in 5_950_000_i64..6_050_000) {
        let mut book = Book::new();
        let mut model = [BTreeMap::new(), BTreeMap::new()];
        for (is_bid, price, quantity) in updates {
            let side = if is_bid { Side::Buy } else { Side::Sell };
            book.set(side, Ticks(price), Lots(quantity));
            let model = &mut model[usize::from(is_bid)];
            if quantity == 0 { model.remove(&price); } else { model.insert(price, quantity); }
            prop_assert_eq!(book.quantity_at(side, Ticks(price)), Lots(quantity));
        }
        assert_agrees(&book, &model)?;
        book.prune(Side::Buy, Ticks(prune));
        book.prune(Side::Sell, Ticks(prune));
        model[1].retain(|price, _| *price <= prune);
        model[0].retain(|price, _| *price >= prune);
        assert_agrees(&book, &model)?;
        book.clear();
        prop_assert_eq!(book.levels(Side::Buy).count() + book.levels(Side::Sell).count(), 0);
    }
}

fn assert_agrees(book: &Book, [asks, bids]: &[BTreeMap<i64, i64>; 2]) -> Result<(), TestCaseError> {
    let expected_bids: Vec<Level> = bids.iter().rev().map(|(p, q)| level(*p, *q)).collect();
    let expected_asks: Vec<Level> = asks.iter().map(|(p, q)| level(*p, *q)).collect();
    prop_assert_eq!(book.best_bid(), expected_bids.first().copied());
    prop_assert_eq!(book.best_ask(), expected_asks.first().copied());
    prop_assert_eq!(book.depth(Side::Buy), expected_bids.len());
    prop_assert_eq!(book.levels(Side::Buy).collect::<Vec<_>>(), expected_bids);
    prop_assert_eq!(book.levels(Side::Sell).collect::<Vec<_>>(), expected_asks);
    Ok(())
}
