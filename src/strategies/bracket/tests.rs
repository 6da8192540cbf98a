use proptest::prelude::*;
use rust_decimal::Decimal;

use super::super::books::Cancel;
use super::super::testing::{instrument, price, quantity, seconds};
use super::*;
use crate::domain::ids::Epoch;
use crate::domain::instrument::InstrumentKind;

/// Longer than the first wait after a refusal.
const RETRY_AFTER: Duration = Duration::from_secs(2);

const DISTANCES: Distances =
    Distances { stop: Ratio(Decimal::from_parts(3, 0, 0, false, 2)), target: Ratio(Decimal::from_parts(6, 0, 0, false, 2)) };

/// A bracket and the world around it, moved by hand.
struct World {
    bracket: Bracket,
    instrument: Instrument,
    now: Timestamp,
    position: Quantity,
    entry_price: Option<Price>,
    reference: Option<Price>,
    orders: Vec<WorkingOrder>,
    next: u32,
}

impl World {
    fn new(position: &str) -> Self {
        Self {
            bracket: Bracket::new(DISTANCES),
            instrument: instrument(InstrumentKind::Perpetual),
            now: seconds(100),
            position: quantity(position),
            entry_price: Some(price("100")),
            reference: Some(price("100")),
            orders: Vec::new(),
            next: 0,
        }
    }

    fn add(&mut self, side: Side, kind: OrderKind, amount: Quantity, reduce_only: bool, status: Option<OrderStatus>) -> IntentId {
        let intent = IntentId::compose(Epoch(1), 1, self.next);
        self.next += 1;
        let (quantity, since) = (amount, self.now);
        let (client_order_id, filled, cancel) = (None, Quantity::ZERO, Cancel::No);
        self.orders.push(WorkingOrder { intent, client_order_id, side, kind, quantity, filled, reduce_only, status, since, cancel });
        intent
    }

    fn entry(&mut self, amount: &str) -> IntentId {
        self.add(Side::Buy, OrderKind::Market, quantity(amount), false, Some(OrderStatus::Working))
    }

    /// Looks, puts what is asked for among the orders as proposed, marks the cancels, and tells it all in words.
    fn look(&mut self) -> Vec<String> {
        let (instrument, orders) = (self.instrument.clone(), self.orders.clone());
        let actions = self.bracket.decide(&Situation {
            now: self.now,
            instrument: &instrument,
            position: self.position,
            entry_price: self.entry_price,
            reference: self.reference,
            orders: &orders,
        });
        actions.into_iter().filter_map(|action| self.perform(action)).collect()
    }

    fn perform(&mut self, action: Action) -> Option<String> {
        match action {
            Action::Place { purpose, side, kind, quantity, reason } => {
                let intent = self.add(side, kind, quantity, true, None);
                self.bracket.placed(purpose, intent, self.now);
                let trigger = kind.trigger().map(|trigger| format!(" at {trigger}")).unwrap_or_default();
                Some(format!("{purpose:?} {side} {quantity}{trigger} ({reason})"))
            }
            Action::Cancel { intent, reason } => {
                let now = self.now;
                let order = self.order(intent);
                order.cancel = Cancel::Asked { at: now, reason: reason.to_owned() };
                Some(format!("cancel {:?} ({reason})", Purpose::of(order)))
            }
            Action::LookAgainAt(_) => None,
            Action::Over => Some("over".to_owned()),
        }
    }

    fn order(&mut self, intent: IntentId) -> &mut WorkingOrder {
        self.orders.iter_mut().find(|order| order.intent == intent).expect("the order works")
    }

    fn the(&self, purpose: Purpose) -> IntentId {
        self.orders.iter().rev().find(|order| Purpose::of(order) == purpose).expect("there is such an order").intent
    }

    /// The venue has every order that is on its way.
    fn confirm(&mut self) {
        self.orders.iter_mut().for_each(|order| order.status = Some(OrderStatus::Working));
    }

    /// An order is terminal: filled, refused, cancelled; the host takes it off the desk.
    fn gone(&mut self, purpose: Purpose) {
        let intent = self.the(purpose);
        self.orders.retain(|order| order.intent != intent);
    }

    fn protected(position: &str) -> Self {
        let mut world = Self::new(position);
        world.look();
        world.confirm();
        assert_eq!(world.look(), [""; 0]);
        world
    }
}

#[test]
fn a_long_is_put_between_a_stop_three_percent_below_and_a_target_six_percent_above() {
    let mut world = World::new("0.5");
    assert_eq!(world.look(), ["Stop SELL 0.5 at 97 (stop_loss)", "Target SELL 0.5 at 106 (take_profit)"]);
    assert_eq!(world.look(), [""; 0], "nothing twice while the answers are on their way");
}

#[test]
fn a_short_is_the_mirror_and_prices_are_rounded_towards_the_safe_side() {
    let mut world = World::new("-0.5");
    world.entry_price = Some(price("99.99"));
    // 102.9897 and 93.9906: the stop not looser, the target not smaller.
    assert_eq!(world.look(), ["Stop BUY 0.5 at 102.9 (stop_loss)", "Target BUY 0.5 at 93.9 (take_profit)"]);
}

#[test]
fn fills_of_a_market_entry_are_waited_for_and_get_one_pair_of_orders() {
    let mut world = World::new("0.2");
    world.entry("0.5");
    assert_eq!(world.look(), [""; 0]);
    world.position = quantity("0.5");
    world.gone(Purpose::Entry);
    assert_eq!(world.look().len(), 2);
    assert_eq!(world.orders[0].quantity, quantity("0.5"));
}

#[test]
pub(crate) fn an_entry_that_does_not_end_is_protected_as_it_grows() {
    let mut world = World::new("0.2");
    world.entry("0.5");
    world.look();
    world.now = world.now + ENTRY_MAX;
    assert_eq!(world.look(), ["Stop SELL 0.2 at 97 (stop_loss)", "Target SELL 0.2 at 106 (take_profit)"]);
    world.confirm();
    world.position = quantity("0.5");
    world.now = world.now + RETRY_AFTER;
    assert_eq!(world.look(), ["Stop SELL 0.5 at 97 (stop_loss)", "Target SELL 0.5 at 106 (take_profit)"]);
    world.gone(Purpose::Entry);
    assert_eq!(world.look(), [""; 0], "the old ones stay until the new ones are confirmed");
    world.confirm();
    assert_eq!(world.look(), ["cancel Stop (replaced)", "cancel Target (replaced)"]);
}

#[test]
fn an_entry_of_unknown_outcome_and_a_resting_one_are_protected_at_once() {
    let mut world = World::new("0.2");
    let entry = world.entry("0.5");
    world.order(entry).status = Some(OrderStatus::Unknown);
    assert_eq!(world.look().len(), 2);
    let mut world = World::new("0.2");
    world.add(Side::Buy, OrderKind::Limit { price: price("100") }, quantity("0.5"), false, Some(OrderStatus::Working));
    assert_eq!(world.look().len(), 2);
}

#[test]
fn a_refused_stop_closes_the_position_at_market() {
    let mut world = World::new("0.5");
    world.look();
    world.gone(Purpose::Stop);
    assert_eq!(world.look(), ["Close SELL 0.5 (stop_lost)"]);
    assert_eq!(world.look(), [""; 0]);
    world.confirm();
    world.position = Quantity::ZERO;
    world.gone(Purpose::Close);
    assert_eq!(world.look(), ["cancel Target (position_gone)"]);
    world.gone(Purpose::Target);
    assert_eq!(world.look(), ["over"]);
}

#[test]
fn a_stop_that_somebody_cancels_closes_the_position_at_market() {
    let mut world = World::protected("0.5");
    world.gone(Purpose::Stop);
    assert_eq!(world.look(), ["Close SELL 0.5 (stop_lost)"]);
}

#[test]
fn a_stop_that_is_not_confirmed_in_time_closes_the_position_at_market() {
    for status in [None, Some(OrderStatus::Submitted), Some(OrderStatus::Unknown)] {
        let mut world = World::new("0.5");
        world.look();
        let stop = world.the(Purpose::Stop);
        world.order(stop).status = status;
        world.now = world.now + CONFIRM_MAX - Duration::from_millis(1);
        assert_eq!(world.look(), [""; 0]);
        world.now = world.now + Duration::from_millis(1);
        assert_eq!(world.look(), ["Close SELL 0.5 (stop_unconfirmed)"]);
    }
}

#[test]
fn a_refused_close_is_tried_until_the_position_is_gone() {
    let mut world = World::protected("0.5");
    world.bracket.close("opposite_signal");
    assert_eq!(world.look(), ["Close SELL 0.5 (opposite_signal)"]);
    world.gone(Purpose::Close);
    assert_eq!(world.look(), [""; 0]);
    world.now = world.now + RETRY_AFTER;
    assert_eq!(world.look(), ["Close SELL 0.5 (opposite_signal)"]);
    assert_eq!(world.orders.iter().filter(|order| Purpose::of(order) == Purpose::Stop).count(), 1, "under its stop");
}

#[test]
fn when_the_stop_fills_the_target_is_cancelled_and_the_other_way_round() {
    for (filled, other) in [(Purpose::Stop, Purpose::Target), (Purpose::Target, Purpose::Stop)] {
        let mut world = World::protected("0.5");
        world.gone(filled);
        world.position = Quantity::ZERO;
        assert_eq!(world.look(), [format!("cancel {other:?} (position_gone)")]);
        assert_eq!(world.look(), [""; 0]);
        world.gone(other);
        assert_eq!(world.look(), ["over"]);
    }
}

#[test]
fn a_stop_and_a_target_that_both_triggered_leave_nothing_behind() {
    let mut world = World::protected("0.5");
    world.gone(Purpose::Stop);
    world.gone(Purpose::Target);
    world.position = Quantity::ZERO;
    assert_eq!(world.look(), ["over"]);
    let mut flipped = World::protected("0.5");
    flipped.gone(Purpose::Stop);
    flipped.gone(Purpose::Target);
    flipped.position = quantity("-0.5");
    assert_eq!(flipped.look(), ["Close BUY 0.5 (position_flipped)"], "a venue that let both fill");
}

#[test]
fn a_partly_filled_stop_still_covers_what_is_left() {
    let mut world = World::protected("0.5");
    let stop = world.the(Purpose::Stop);
    world.order(stop).filled = quantity("0.3");
    world.position = quantity("0.2");
    assert_eq!(world.look(), [""; 0]);
    world.gone(Purpose::Stop);
    assert_eq!(world.look(), ["Close SELL 0.2 (stop_lost)"], "a stop that ended before all was out");
}

#[test]
fn a_target_that_is_refused_is_placed_again_after_a_while_under_the_stop() {
    let mut world = World::protected("0.5");
    world.gone(Purpose::Target);
    assert_eq!(world.look(), [""; 0]);
    world.now = world.now + RETRY_AFTER;
    assert_eq!(world.look(), ["Target SELL 0.5 at 106 (take_profit)"]);
}

#[test]
fn a_price_that_is_already_past_the_stop_or_the_target_closes_at_once() {
    let mut world = World::new("0.5");
    world.reference = Some(price("97"));
    assert_eq!(world.look(), ["Close SELL 0.5 (stop_loss)"]);
    let mut world = World::new("-0.5");
    world.reference = Some(price("94"));
    assert_eq!(world.look(), ["Close BUY 0.5 (take_profit)"]);
}

#[test]
fn after_a_restart_the_orders_that_stand_are_taken_over() {
    let before = World::protected("0.5");
    let mut world = World { bracket: Bracket::new(DISTANCES), ..before };
    assert_eq!(world.look(), [""; 0]);
    world.gone(Purpose::Stop);
    assert_eq!(world.look(), ["Close SELL 0.5 (stop_lost)"]);
}

#[test]
fn after_a_restart_a_naked_position_is_protected_and_orders_without_one_are_cancelled() {
    assert_eq!(World::new("0.5").look().len(), 2);
    let before = World::protected("0.5");
    let mut world = World { bracket: Bracket::new(DISTANCES), position: Quantity::ZERO, ..before };
    assert_eq!(world.look(), ["cancel Stop (position_gone)", "cancel Target (position_gone)"]);
}

#[test]
fn an_unfilled_entry_is_waited_for_unless_the_trade_is_given_up() {
    let mut world = World::new("0");
    world.entry("0.5");
    assert_eq!(world.look(), [""; 0]);
    world.bracket.close("opposite_signal");
    assert_eq!(world.look(), ["cancel Entry (position_gone)"]);
    world.gone(Purpose::Entry);
    assert_eq!(world.look(), ["over"]);
}

#[test]
fn without_an_entry_price_there_is_no_stop_and_so_no_position() {
    let mut world = World::new("0.5");
    world.entry_price = None;
    assert_eq!(world.look(), ["Close SELL 0.5 (no_stop_price)"]);
}

#[derive(Debug, Clone)]
enum Event {
    Confirm,
    /// The n-th order ends without a fill, as refused, cancelled or expired.
    End(usize),
    /// The n-th order fills by so many thousandths of it.
    Fill(usize, u32),
    /// Somebody else moves the position.
    Move(i64),
    Price(i64),
    Wait(u64),
    Restart,
}

fn events() -> impl proptest::strategy::Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        Just(Event::Confirm),
        (0usize..6).prop_map(Event::End),
        (0usize..6, 1u32..=1_000).prop_map(|(order, share)| Event::Fill(order, share)),
        (-500i64..500).prop_map(Event::Move),
        (900i64..1_100).prop_map(Event::Price),
        (0u64..7_000).prop_map(Event::Wait),
        Just(Event::Restart),
    ];
    proptest::collection::vec(event, 0..60)
}

impl World {
    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Confirm => self.confirm(),
            Event::End(index) if index < self.orders.len() => {
                self.orders.remove(index);
            }
            Event::Fill(index, share) if index < self.orders.len() => self.fill(index, share),
            Event::End(_) | Event::Fill(..) => {}
            Event::Move(thousandths) => self.position = Quantity(Decimal::new(thousandths, 3)),
            Event::Price(tenths) => self.reference = Some(Price(Decimal::new(tenths, 1))),
            Event::Wait(millis) => self.now = self.now + Duration::from_millis(millis),
            Event::Restart => self.bracket = Bracket::new(DISTANCES),
        }
    }

    /// Reduce-only is the venue's promise: an order fills at most what the position has left on its side.
    fn fill(&mut self, index: usize, share: u32) {
        let order = &mut self.orders[index];
        let room = if order.side == exit_side(self.position) { self.position.abs() } else { Quantity::ZERO };
        let asked = self.instrument.quantity_down(Quantity(order.quantity.0 * Decimal::new(i64::from(share), 3)));
        let amount = asked.min(order.remaining()).min(room);
        order.filled += amount;
        self.position += order.side.signed(amount);
        if order.remaining().is_zero() {
            self.orders.remove(index);
        }
    }

    fn covered(&self) -> bool {
        let exit = exit_side(self.position);
        let covers = |order: &WorkingOrder| {
            let stops = matches!(Purpose::of(order), Purpose::Stop | Purpose::Close) && order.side == exit;
            let on_its_way = !order.is_confirmed() && self.now < order.since + CONFIRM_MAX;
            stops && !order.is_being_canceled() && (order.remaining() >= self.position.abs() || on_its_way)
        };
        self.orders.iter().any(covers)
    }

    /// Nothing goes wrong any more: looks, answers and time go by.
    fn calm(&mut self) {
        for _ in 0..12 {
            self.look();
            self.confirm();
            let done = |order: &WorkingOrder| order.is_being_canceled();
            self.orders.retain(|order| !done(order));
            let closes: Vec<usize> =
                (0..self.orders.len()).filter(|index| Purpose::of(&self.orders[*index]) == Purpose::Close).rev().collect();
            closes.into_iter().for_each(|index| self.fill(index, 1_000));
            self.orders.retain(|order| Purpose::of(order) != Purpose::Close);
            self.now = self.now + Duration::from_secs(60);
        }
    }
}

proptest! {
    /// Whatever happens: after each look the whole position is under a stop or a close, or one is on its way, or a close was
    /// tried a moment ago; and when trouble ends, it is flat with no orders, or protected with exactly one stop and one target.
    #[test]
    fn never_naked_and_in_the_end_either_protected_or_clean(events in events()) {
        let mut world = World::new("0.5");
        for event in &events {
            world.happen(event);
            world.look();
            let retry_is_due = world.now < world.bracket.closes.not_before;
            let closing = world.bracket.is_closing() && (retry_is_due || world.orders.iter().any(|order| Purpose::of(order) == Purpose::Close));
            prop_assert!(world.position.is_zero() || world.covered() || closing, "{:?}", world.orders);
        }
        world.reference = Some(price("100"));
        world.calm();
        let of = |purpose| world.orders.iter().filter(|order| Purpose::of(order) == purpose).count();
        if world.position.is_zero() {
            prop_assert_eq!(world.orders.len(), 0);
        } else {
            prop_assert_eq!((of(Purpose::Stop), of(Purpose::Target), of(Purpose::Close)), (1, 1, 0));
            prop_assert!(world.covered());
        }
    }
}
