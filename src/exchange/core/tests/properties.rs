//! Properties under random markets and orders: money is conserved to the last digit, prices and quantities are respected, the
//! queue is never optimistic, and the change log always leads to the same state.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::exchange::state::{Changes, SavedState};

#[derive(Debug, Clone)]
enum Action {
    Touch { mid: i64, spread: i64, lots: (i64, i64) },
    Diff { mid: i64, lots: Vec<i64> },
    Print { price: i64, lots: i64, buyer_is_maker: bool },
    Place { who: usize, side: bool, kind: u8, offset: i64, lots: i64, force: u8, reduce_only: bool, prevention: u8 },
    Cancel { who: usize },
}

fn action() -> impl Strategy<Value = Action> {
    let mid = MID - 15..MID + 15;
    prop_oneof![
        3 => (mid.clone(), 1..6_i64, (1..400_i64, 1..400_i64)).prop_map(|(mid, spread, lots)| Action::Touch { mid, spread, lots }),
        2 => (mid.clone(), prop::collection::vec(0..300_i64, 6)).prop_map(|(mid, lots)| Action::Diff { mid, lots }),
        4 => (mid, 1..200_i64, any::<bool>()).prop_map(|(price, lots, buyer_is_maker)| Action::Print { price, lots, buyer_is_maker }),
        6 => (0..3_usize, any::<bool>(), 0..5_u8, -20..20_i64, 2..200_i64, 0..4_u8, any::<bool>(), 0..4_u8).prop_map(
            |(who, side, kind, offset, lots, force, reduce_only, prevention)| Action::Place {
                who, side, kind, offset, lots, force, reduce_only: reduce_only && force % 2 == 0, prevention
            }
        ),
        1 => (0..3_usize).prop_map(|who| Action::Cancel { who }),
    ]
}

const NAMES: [&str; 3] = ["a", "b", "other"];

fn new_order(desk: &mut Desk, action: &Action) -> Option<(usize, NewOrder)> {
    let Action::Place { who, side, kind, offset, lots, force, reduce_only, prevention } = *action else { return None };
    let at = price(MID + offset);
    let kind = match kind {
        0 => OrderKind::Market,
        1 | 2 => OrderKind::Limit { price: at },
        3 => OrderKind::StopMarket { trigger: at },
        _ => OrderKind::TakeProfitLimit { trigger: at, price: price(MID - offset) },
    };
    let order = desk.order(if side { Side::Buy } else { Side::Sell }, kind, lots);
    let time_in_force =
        [TimeInForce::GoodTilCanceled, TimeInForce::ImmediateOrCancel, TimeInForce::FillOrKill, TimeInForce::PostOnly][force as usize];
    let self_trade_prevention =
        [SelfTradePrevention::None, SelfTradePrevention::ExpireMaker, SelfTradePrevention::ExpireTaker, SelfTradePrevention::ExpireBoth]
            [prevention as usize];
    Some((who, NewOrder { time_in_force, reduce_only, self_trade_prevention, ..order }))
}

/// Applies one action and returns what was told, and the order that it placed.
fn apply(desk: &mut Desk, action: &Action) -> (Option<NewOrder>, Vec<VenueEvent>) {
    match action {
        Action::Touch { mid, spread, lots } => (None, desk.touch((*mid, lots.0), (mid + spread, lots.1))),
        Action::Diff { mid, lots } => {
            let bids: Vec<_> = (0..3).map(|n| (mid - n as i64, lots[n])).collect();
            let asks: Vec<_> = (0..3).map(|n| (mid + 1 + n as i64, lots[n + 3])).collect();
            (None, desk.diff(&bids, &asks))
        }
        Action::Print { price, lots, buyer_is_maker } => (None, desk.print(*price, *lots, *buyer_is_maker)),
        Action::Cancel { who } => {
            let outputs = desk.command(NAMES[*who], &VenueCommand::CancelAll { symbol: None });
            (None, outputs.into_iter().map(|output| output.event).collect())
        }
        Action::Place { .. } => {
            let (who, order) = new_order(desk, action).unwrap();
            let (_, events) = desk.place(NAMES[who], order.clone());
            (Some(order), events)
        }
    }
}

/// What each order has done so far.
#[derive(Default)]
struct Seen {
    orders: BTreeMap<ClientOrderId, NewOrder>,
    filled: BTreeMap<ClientOrderId, Quantity>,
    ended: BTreeMap<ClientOrderId, EndReason>,
}

impl Seen {
    fn check(&mut self, placed: Option<NewOrder>, events: &[VenueEvent]) {
        if let Some(order) = &placed {
            self.orders.insert(order.client_order_id, order.clone());
        }
        for event in events {
            match event {
                VenueEvent::Filled(fill) => self.check_fill(fill),
                VenueEvent::Ended { client_order_id, reason, filled, .. } => {
                    assert!(self.ended.insert(*client_order_id, *reason).is_none(), "an order ends once");
                    assert_eq!(self.filled.get(client_order_id).copied().unwrap_or_default(), *filled);
                }
                _ => {}
            }
        }
        let Some(order) = placed else { return };
        let told = fills(events);
        let own: Quantity = told.iter().filter(|fill| fill.client_order_id == order.client_order_id).map(|fill| fill.quantity).sum();
        let waits = order.kind.trigger().is_some();
        if order.time_in_force == TimeInForce::FillOrKill && !order.reduce_only && !waits {
            assert!(own == Quantity::ZERO || own == order.quantity, "fill-or-kill filled {own} of {}", order.quantity);
        }
        if order.time_in_force == TimeInForce::PostOnly && !waits {
            assert_eq!(own, Quantity::ZERO, "post-only took");
        }
    }

    fn check_fill(&mut self, fill: &Fill) {
        assert!(!self.ended.contains_key(&fill.client_order_id), "a fill after the end");
        let order = &self.orders[&fill.client_order_id];
        let filled = self.filled.entry(fill.client_order_id).or_default();
        *filled += fill.quantity;
        assert!(fill.quantity.is_positive() && *filled <= order.quantity, "filled {filled} of {}", order.quantity);
        if let Some(limit) = order.kind.limit_price() {
            let inside = if order.side == Side::Buy { fill.price <= limit } else { fill.price >= limit };
            assert!(inside, "{:?} filled at {} beyond {limit}", order.side, fill.price);
        }
    }
}

/// `wallet − Σ cost = deposit − Σ signed value − Σ fees`, exactly.
fn check_conservation(desk: &mut Desk) {
    for name in NAMES {
        let view = desk.view(name);
        let saved = desk.exchange.saved_state();
        let row = saved.accounts.iter().find(|row| row.account == account(name)).unwrap();
        let cost: Decimal = row.symbols.iter().map(|slot| slot.net.cost).sum();
        let spent: Decimal = view.trades.iter().map(|fill| fill.price.0 * fill.side.signed(fill.quantity).0 + fill.fee.0).sum();
        assert_eq!(row.wallet - cost, Decimal::from(1_000_000) - spent, "{name}");
        let held: Quantity = view.trades.iter().map(|fill| fill.side.signed(fill.quantity)).sum();
        assert_eq!(held, view.positions.iter().map(|held| held.quantity).sum(), "{name}");
    }
}

/// Keeps a copy of the state by the change log alone.
fn follow(copy: &mut SavedState, changes: Changes) {
    for row in changes.accounts {
        match copy.accounts.iter_mut().find(|known| known.account == row.account) {
            Some(known) => *known = row,
            None => copy.accounts.push(row),
        }
    }
    // Whichever the reader takes first.
    assert!(!changes.open.iter().any(|row| changes.gone.contains(&row.order.id)), "{:?}", changes.gone);
    copy.open.retain(|row| !changes.gone.contains(&row.order.id) && !changes.open.iter().any(|new| new.order.id == row.order.id));
    copy.open.extend(changes.open);
    copy.open.sort_by_key(|row| row.order.id);
    copy.trades.extend(changes.trades);
    copy.trades.sort_by_key(|trade| (trade.fill.trade_id, trade.fill.venue_order_id));
    copy.counters = changes.counters;
}

fn without_queue(mut state: SavedState) -> SavedState {
    state.open.iter_mut().for_each(|row| row.order.queue_ahead = 0);
    SavedState { closed: Vec::new(), markets: Vec::new(), ..state }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn orders_keep_their_word_and_money_is_conserved(actions in prop::collection::vec(action(), 1..80)) {
        let mut desk = Desk::showing(&[(MID - 3, 50)], &[(MID + 3, 50)]);
        let (mut seen, mut copy) = (Seen::default(), SavedState::default());
        for action in &actions {
            let before: Vec<Quantity> = NAMES.iter().map(|name| desk.position(name)).collect();
            let (placed, events) = apply(&mut desk, action);
            if let (Some(order), Action::Place { who, .. }) = (&placed, action)
                && order.reduce_only
                && fills(&events).iter().all(|fill| fill.client_order_id == order.client_order_id)
            {
                let after = desk.position(NAMES[*who]);
                prop_assert!(after.is_zero() || after.is_positive() == before[*who].is_positive(), "reduce-only flipped");
                prop_assert!(after.abs() <= before[*who].abs(), "reduce-only enlarged");
            }
            seen.check(placed, &events);
            follow(&mut copy, desk.exchange.drain_changes());
        }
        check_conservation(&mut desk);
        prop_assert_eq!(without_queue(copy), without_queue(desk.exchange.saved_state()));
    }

    /// Behind a level, prints alone fill us with no more than what they traded at or through our price, less the queue.
    #[test]
    fn the_queue_is_never_optimistic(
        ahead in 0..300_i64,
        lots in 2..100_i64,
        events in prop::collection::vec((-3..3_i64, 1..120_i64, any::<bool>(), 0..400_i64, any::<bool>()), 1..40),
    ) {
        let mut desk = Desk::showing(&[(MID, ahead), (MID - 1, 500), (MID - 9, 500)], &[(MID + 5, 500)]);
        let order = desk.limit(Side::Buy, MID, lots);
        desk.place("a", order);
        let (mut at_price, mut through, mut fewest_shown, mut filled) = (0, 0, ahead, 0);
        for (offset, traded, buyer_is_maker, shown, show) in events {
            if show {
                desk.diff(&[(MID, shown)], &[]);
                fewest_shown = fewest_shown.min(shown);
            }
            let told = desk.print(MID + offset, traded, buyer_is_maker);
            if buyer_is_maker && offset < 0 {
                through += traded;
            } else if buyer_is_maker && offset == 0 {
                at_price += traded;
            }
            filled += trades(&told).iter().map(|(_, lots)| lots).sum::<i64>();
            prop_assert!(filled <= lots);
            prop_assert!(filled <= through + at_price, "filled {filled}, traded {through} through and {at_price} at the price");
            if ahead == fewest_shown {
                prop_assert!(filled <= through + (at_price - ahead).max(0), "filled {filled} from within the queue of {ahead}");
            }
        }
    }
}
