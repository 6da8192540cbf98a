//! Properties under random markets, orders, lists, amendments and cancels of several accounts: every asset is conserved to the
//! last digit, what is locked is what open orders may cost, accounts of one owner never trade with each other where that is
//! prevented, and the change log always leads to the same state.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::exchange::core::state::{Changes, SavedState};

const NAMES: [&str; 3] = ["a", "twin", "b"];

#[derive(Debug, Clone)]
enum Action {
    Touch { mid: i64, spread: i64, lots: (i64, i64) },
    Print { price: i64, lots: i64, buyer_is_maker: bool },
    Place { who: usize, buys: bool, kind: u8, offset: i64, lots: i64, force: u8, mode: u8 },
    Pair { who: usize, buys: bool, up: i64, down: i64, lots: i64, limit: bool },
    Chain { who: usize, buys: bool, offset: i64, lots: i64, pending: u8 },
    Amend { who: usize, nth: usize, lots: i64 },
    Cancel { who: usize, nth: usize },
    CancelAll { who: usize },
}

fn action() -> impl Strategy<Value = Action> {
    let (who, offset, lots) = (0..3_usize, -60..60_i64, 10..30_000_i64);
    prop_oneof![
        3 => (MID - 50..MID + 50, 1..20_i64, (1..20_000_i64, 1..20_000_i64)).prop_map(|(mid, spread, lots)| Action::Touch { mid, spread, lots }),
        4 => (MID - 60..MID + 60, 1..20_000_i64, any::<bool>()).prop_map(|(price, lots, buyer_is_maker)| Action::Print { price, lots, buyer_is_maker }),
        8 => (who.clone(), any::<bool>(), 0..8_u8, offset.clone(), lots.clone(), 0..4_u8, 0..5_u8)
            .prop_map(|(who, buys, kind, offset, lots, force, mode)| Action::Place { who, buys, kind, offset, lots, force, mode }),
        2 => (who.clone(), any::<bool>(), 1..80_i64, 1..80_i64, lots.clone(), any::<bool>())
            .prop_map(|(who, buys, up, down, lots, limit)| Action::Pair { who, buys, up, down, lots, limit }),
        2 => (who.clone(), any::<bool>(), offset, lots.clone(), 0..4_u8)
            .prop_map(|(who, buys, offset, lots, pending)| Action::Chain { who, buys, offset, lots, pending }),
        2 => (who.clone(), 0..6_usize, lots).prop_map(|(who, nth, lots)| Action::Amend { who, nth, lots }),
        2 => (who.clone(), 0..6_usize).prop_map(|(who, nth)| Action::Cancel { who, nth }),
        1 => who.prop_map(|who| Action::CancelAll { who }),
    ]
}

fn side(buys: bool) -> Side {
    if buys { Side::Buy } else { Side::Sell }
}

fn single(desk: &mut Desk, action: &Action) -> Option<OrderRequest> {
    let Action::Place { buys, kind, offset, lots, force, mode, .. } = *action else { return None };
    let at = price(MID + offset);
    let shape = match kind {
        0 | 7 => OrderKind::Market,
        1..=3 => OrderKind::Limit { price: at },
        4 => OrderKind::StopMarket { trigger: at },
        5 => OrderKind::TakeProfitLimit { trigger: at, price: price(MID - offset) },
        _ => OrderKind::StopMarket { trigger: Price::ZERO },
    };
    let mut order = desk.order(side(buys), shape, lots);
    let force =
        [TimeInForce::GoodTilCanceled, TimeInForce::ImmediateOrCancel, TimeInForce::FillOrKill, TimeInForce::PostOnly][force as usize];
    let rests_only = !matches!(shape, OrderKind::Limit { .. });
    order.order.time_in_force = if rests_only { TimeInForce::GoodTilCanceled } else { force };
    order.order.self_trade_prevention = [
        SelfTradePrevention::None,
        SelfTradePrevention::ExpireMaker,
        SelfTradePrevention::ExpireTaker,
        SelfTradePrevention::ExpireBoth,
        SelfTradePrevention::Decrement,
    ][mode as usize];
    match kind {
        6 => order.extras.trailing = Some(Trailing { activation: None, callback: Ratio(dec("0.001")) }),
        7 => {
            order.order.quantity = Quantity::ZERO;
            order.extras.quote_quantity = Some(Money(Decimal::from(lots)));
        }
        _ => {}
    }
    Some(order)
}

fn apply(desk: &mut Desk, action: &Action) {
    match *action {
        Action::Touch { mid, spread, lots } => desk.touch((mid, lots.0), (mid + spread, lots.1)),
        Action::Print { price, lots, buyer_is_maker } => desk.print(price, lots, buyer_is_maker),
        Action::Place { who, .. } => {
            let order = single(desk, action).unwrap();
            drop(desk.place(NAMES[who], &order));
        }
        Action::Pair { who, buys, up, down, lots, limit } => {
            let (stop, other) = if buys { (MID + up, MID - down) } else { (MID - down, MID + up) };
            let stop_kind = if limit {
                OrderKind::StopLimit { trigger: price(stop), price: price(stop) }
            } else {
                OrderKind::StopMarket { trigger: price(stop) }
            };
            let (stop, other) = (desk.order(side(buys), stop_kind, lots), desk.maker(side(buys), other, lots));
            drop(desk.list(NAMES[who], Contingency::Oco, vec![stop, other]));
        }
        Action::Chain { who, buys, offset, lots, pending } => {
            let working = desk.limit(side(buys), MID + offset, lots);
            let orders = match pending {
                0 => vec![working, desk.at_market(side(!buys), lots - lots / 100)],
                1 => vec![working, desk.limit(side(!buys), MID - offset, lots)],
                _ => {
                    let (low, high) = (MID - 90, MID + 90);
                    let (stop, other) = if buys { (low, high) } else { (high, low) };
                    let (stop, other) = (desk.stop(side(!buys), stop, lots / 2), desk.maker(side(!buys), other, lots / 2));
                    vec![working, stop, other]
                }
            };
            drop(desk.list(NAMES[who], Contingency::Oto, orders));
        }
        Action::Amend { who, nth, lots } => {
            if let Some(id) = open_id(desk, who, nth) {
                drop(desk.amend(NAMES[who], id, lots));
            }
        }
        Action::Cancel { who, nth } => {
            if let Some(id) = open_id(desk, who, nth) {
                desk.cancel(NAMES[who], id).unwrap();
            }
        }
        Action::CancelAll { who } => {
            let (now, name) = (desk.tick(), desk.name());
            drop(desk.exchange.cancel_all_spot(now, account(NAMES[who]), btc(), name, &mut Vec::new()));
        }
    }
}

fn open_id(desk: &Desk, who: usize, nth: usize) -> Option<u64> {
    desk.exchange.open_orders(account(NAMES[who]), None).get(nth).map(|view| view.order.venue_order_id)
}

/// Deposits, fills and fees explain every balance; nothing is negative; a lock without an open order is none.
fn check_money(desk: &Desk) {
    for name in NAMES {
        let (mut usdt, mut base) = (Decimal::from(100_000), Decimal::from(2));
        for trade in desk.exchange.trades(account(name), btc()) {
            let fill = &trade.fill;
            let fee = trade.commission.unwrap();
            let value = fill.side.signed(fill.quantity).0 * fill.price.0;
            usdt -= value;
            base += fill.side.signed(fill.quantity).0;
            let paid = if fee.asset == asset("BTC") { &mut base } else { &mut usdt };
            *paid -= fee.amount.0;
        }
        let (has_usdt, has_btc) = (desk.has(name, "USDT"), desk.has(name, "BTC"));
        assert_eq!((has_usdt.0 + has_usdt.1, has_btc.0 + has_btc.1), (usdt, base), "{name}");
        for part in [has_usdt.0, has_usdt.1, has_btc.0, has_btc.1] {
            assert!(part >= Decimal::ZERO, "{name}: {part}");
        }
    }
}

/// What is locked is what the open orders hold, and each pair holds what its larger leg may cost.
fn check_locks(desk: &Desk) {
    for name in NAMES {
        let state = desk.exchange.saved_state();
        let mut held: BTreeMap<Side, Decimal> = BTreeMap::new();
        let mut lists: BTreeMap<u64, (Decimal, Decimal)> = BTreeMap::new();
        for row in state.open.iter().filter(|row| row.account == account(name)) {
            let order = &row.order;
            *held.entry(order.side).or_default() += order.spot.held;
            let limit = order.limit.filter(|_| !order.spot.parked).map(|limit| match order.side {
                Side::Sell => quantity(order.remaining()).0,
                Side::Buy => price(limit.0).0 * quantity(order.remaining()).0,
            });
            match (limit, order.list_id) {
                (Some(cost), None) => assert_eq!(cost, order.spot.held, "{name} {order:?}"),
                (Some(cost), Some(list)) => {
                    let pair = lists.entry(list).or_default();
                    *pair = (pair.0.max(cost), pair.1 + order.spot.held);
                }
                (None, Some(list)) => lists.entry(list).or_default().1 += order.spot.held,
                (None, None) => {}
            }
        }
        assert_eq!(held.get(&Side::Buy).copied().unwrap_or_default(), desk.has(name, "USDT").1, "{name}");
        assert_eq!(held.get(&Side::Sell).copied().unwrap_or_default(), desk.has(name, "BTC").1, "{name}");
        lists.values().for_each(|(needs, held)| assert!(held >= needs, "{name}: a list holds {held} and needs {needs}"));
    }
}

/// No trade between `a` and `twin` whose taker prevents it.
fn check_prevention(desk: &mut Desk, seen: &mut BTreeMap<u64, (AccountId, SelfTradePrevention, bool)>) {
    for report in desk.exchange.drain_reports() {
        let UserEvent::Order { order, trade: Some(trade), .. } = &report.event else { continue };
        let this = (report.account, order.self_trade_prevention, trade.fill.maker);
        if let Some(other) = seen.insert(trade.fill.trade_id, this) {
            let taker = if this.2 { other } else { this };
            let b = account("b");
            let one_owner = (this.0 == b) == (other.0 == b);
            assert!(!one_owner || taker.1 == SelfTradePrevention::None, "{this:?} traded with {other:?}");
        }
    }
}

/// Keeps a copy of the state by the change log alone.
fn follow(copy: &mut SavedState, changes: Changes) {
    for row in changes.accounts {
        copy.accounts.retain(|known| known.account != row.account);
        copy.accounts.push(row);
    }
    // Whichever the reader takes first.
    assert!(!changes.open.iter().any(|row| changes.gone.contains(&row.order.id)), "{:?}", changes.gone);
    copy.open.retain(|row| !changes.gone.contains(&row.order.id) && !changes.open.iter().any(|new| new.order.id == row.order.id));
    copy.open.extend(changes.open);
    copy.open.sort_by_key(|row| row.order.id);
    copy.trades.extend(changes.trades);
    copy.trades.sort_by_key(|trade| (trade.fill.trade_id, trade.fill.venue_order_id));
    for row in changes.lists {
        copy.lists.retain(|known| known.view.id != row.view.id);
        copy.lists.push(row);
    }
    copy.lists.sort_by_key(|row| row.view.id);
    copy.counters = changes.counters;
}

fn comparable(mut state: SavedState) -> SavedState {
    state.open.iter_mut().for_each(|row| row.order.queue_ahead = 0);
    state.accounts.sort_by_key(|row| row.account);
    SavedState { closed: Vec::new(), markets: Vec::new(), ..state }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn money_is_conserved_and_the_change_log_is_the_state(actions in prop::collection::vec(action(), 1..70)) {
        let mut desk = Desk::new();
        let (mut copy, mut seen) = (SavedState::default(), BTreeMap::new());
        desk.touch((MID - 5, 5_000), (MID + 5, 5_000));
        for action in &actions {
            apply(&mut desk, action);
            check_prevention(&mut desk, &mut seen);
            follow(&mut copy, desk.exchange.drain_changes());
            check_money(&desk);
            check_locks(&desk);
        }
        let state = desk.exchange.saved_state();
        prop_assert_eq!(comparable(copy), comparable(state.clone()));
        let mut again = exchange();
        again.restore(state.clone()).unwrap();
        prop_assert_eq!(again.saved_state(), state);
        for name in NAMES {
            let (now, cancel) = (desk.tick(), desk.name());
            drop(desk.exchange.cancel_all_spot(now, account(name), btc(), cancel, &mut Vec::new()));
            prop_assert_eq!((desk.has(name, "USDT").1, desk.has(name, "BTC").1), (Decimal::ZERO, Decimal::ZERO));
            prop_assert!(desk.exchange.open_lists(account(name)).is_empty());
        }
    }
}
