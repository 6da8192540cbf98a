//! One account's exposure on one symbol: its position and every order that may still change it, both sides apart, with what it
//! ties up and what it may lose. Sums are kept, so that a check does not walk the orders.

use super::super::mutants::{self, Mutant};
use std::collections::BTreeMap;

use super::super::ids::IntentId;
use super::super::money::{Money, Price, Quantity, Ratio};
use super::super::order::{Fill, OrderIntent, OrderKind, OrderReport, OrderStatus, PositionSide, PositionView, Side};
use super::super::position::Position;
use super::super::time::Timestamp;

/// What an open order may still do.
#[derive(Debug, Clone, Copy)]
struct Reservation {
    side: Side,
    remaining: Quantity,
    /// Its own, which an order at the market has not.
    price: Option<Price>,
    /// What one unit loses from the order's price to the stop that its strategy will place.
    loss_at_stop: Option<Money>,
    /// A reducing order with a stop's trigger: it ends a position's loss there.
    cuts_at: Option<Price>,
    reduce_only: bool,
    /// When it was approved, until the executor's first report shows that it has the order.
    unseen: Option<Timestamp>,
}

/// An approved order that nobody has reported yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reserved {
    pub(super) intent: IntentId,
    reservation: Reservation,
    pub(super) at: Timestamp,
}

fn own_price(kind: OrderKind) -> Option<Price> {
    kind.limit_price().or(kind.trigger())
}

fn cuts_at(kind: OrderKind, reduce_only: bool) -> Option<Price> {
    match kind {
        OrderKind::StopMarket { trigger } | OrderKind::StopLimit { trigger, .. } if reduce_only => Some(trigger),
        _ => None,
    }
}

impl Reserved {
    /// `price` is what the order is valued at.
    pub(super) fn of(intent: &OrderIntent, price: Price, at: Timestamp) -> Self {
        let OrderIntent { id, side, quantity, kind, reduce_only, .. } = *intent;
        let loss_at_stop = stop_distance(intent, price).map(|distance| distance * Quantity(rust_decimal::Decimal::ONE));
        let (price, cuts_at) = (own_price(kind), cuts_at(kind, reduce_only));
        let reservation = Reservation { side, remaining: quantity, price, loss_at_stop, cuts_at, reduce_only, unseen: Some(at) };
        Self { intent: id, reservation, at }
    }
}

/// How far an opening order's stop is from its price: `None` without one, and for one on the wrong side, which stops nothing.
pub(super) fn stop_distance(intent: &OrderIntent, price: Price) -> Option<Price> {
    let stop = intent.stop.filter(|stop| stop.is_positive())?;
    let distance = match intent.side {
        Side::Buy => price - stop,
        Side::Sell => stop - price,
    };
    distance.is_positive().then_some(distance)
}

/// A position, and what it had earned when it was last flat.
#[derive(Debug, Clone, Copy, Default)]
struct Leg {
    position: Position,
    since_flat: Money,
}

impl Leg {
    fn quantity(&self) -> Quantity {
        self.position.quantity()
    }

    /// Books a fill; what the trade came to, fees taken off, when it was closed or turned by it.
    fn book(&mut self, fill: &Fill) -> Option<Money> {
        let before = self.quantity();
        let realised = self.position.book(fill);
        let turned = before.is_positive() != self.quantity().is_positive() && !before.is_zero();
        if !realised.closed.is_positive() || !(self.quantity().is_zero() || turned) {
            return None;
        }
        let earned = self.position.realized() - self.position.fees();
        let result = earned - std::mem::replace(&mut self.since_flat, earned);
        Some(result)
    }
}

/// The opening orders of one side, summed.
#[derive(Debug, Clone, Copy, Default)]
struct Opening {
    quantity: Quantity,
    /// Of those without a stop.
    unstopped: Quantity,
    /// What the others lose at their stops.
    at_stops: Money,
}

impl Opening {
    fn change(&mut self, reservation: &Reservation, sign: i64) {
        if reservation.reduce_only {
            return;
        }
        let quantity = if sign < 0 { -reservation.remaining } else { reservation.remaining };
        self.quantity += quantity;
        match reservation.loss_at_stop {
            Some(each) => self.at_stops += Money(each.0 * quantity.0),
            None => self.unstopped += quantity,
        }
    }
}

/// Stops that stand against a position of one side.
#[derive(Debug, Clone, Copy, Default)]
struct Cut {
    quantity: Quantity,
    /// The one that lets it lose most.
    worst: Option<Price>,
}

#[derive(Debug, Default)]
pub(super) struct SymbolBook {
    /// One-way net, signed.
    both: Leg,
    /// Hedge legs, signed: long is positive, short negative.
    long: Leg,
    short: Leg,
    entry_price: Option<Price>,
    open: BTreeMap<IntentId, Reservation>,
    /// Sums of `open`, kept so that a check does not walk it.
    buying: Opening,
    selling: Opening,
    /// Selling stops cut longs, buying stops cut shorts.
    cut_long: Cut,
    cut_short: Cut,
    /// Kept as the legs and the sums have it, because every check of the symbol asks for it.
    exposure: Quantity,
    /// What `exposure` was worth when last valued, and what follows from that.
    pub(super) valued: Money,
    pub(super) initial: Money,
    pub(super) maintenance: Money,
    pub(super) at_risk: Money,
}

impl SymbolBook {
    pub(super) fn reserve(&mut self, reserved: Reserved) {
        self.replace(reserved.intent, Some(reserved.reservation));
    }

    /// Follows the executor's word: less what filled, nothing once the order is over.
    pub(super) fn update(&mut self, intent: IntentId, report: &OrderReport) {
        let remaining = report.quantity - report.filled;
        let released = mutants::on(Mutant::UnknownReleased) && report.status == OrderStatus::Unknown;
        let over = released || report.status.is_terminal() || !remaining.is_positive();
        let OrderReport { side, kind, reduce_only, .. } = *report;
        // What its stop would be is known from its approval alone.
        let loss_at_stop = self.open.get(&intent).and_then(|before| before.loss_at_stop);
        let (price, cuts_at) = (own_price(kind), cuts_at(kind, reduce_only));
        let reservation = Reservation { side, remaining, price, loss_at_stop, cuts_at, reduce_only, unseen: None };
        self.replace(intent, (!over).then_some(reservation));
    }

    pub(super) fn release(&mut self, intent: IntentId) {
        self.replace(intent, None);
    }

    fn replace(&mut self, id: IntentId, next: Option<Reservation>) {
        let before = match next {
            Some(reservation) => self.open.insert(id, reservation),
            None => self.open.remove(&id),
        };
        if let Some(before) = before {
            self.opening(before.side).change(&before, -1);
        }
        if let Some(next) = next {
            self.opening(next.side).change(&next, 1);
        }
        if [before, next].into_iter().flatten().any(|reservation| reservation.cuts_at.is_some()) {
            (self.cut_long, self.cut_short) = (self.cut(Side::Sell), self.cut(Side::Buy));
        }
        self.exposure = self.exposure_with(Side::Buy, Quantity::ZERO);
    }

    fn opening(&mut self, side: Side) -> &mut Opening {
        match side {
            Side::Buy => &mut self.buying,
            Side::Sell => &mut self.selling,
        }
    }

    fn cut(&self, side: Side) -> Cut {
        let stops = self.open.values().filter(|reservation| reservation.side == side);
        stops.fold(Cut::default(), |cut, stop| {
            let Some(trigger) = stop.cuts_at else { return cut };
            let worst = cut.worst.map_or(trigger, |worst| if side == Side::Sell { worst.min(trigger) } else { worst.max(trigger) });
            Cut { quantity: cut.quantity + stop.remaining, worst: Some(worst) }
        })
    }

    fn leg(&mut self, side: PositionSide) -> &mut Leg {
        match side {
            PositionSide::Both => &mut self.both,
            PositionSide::Long => &mut self.long,
            PositionSide::Short => &mut self.short,
        }
    }

    /// Books a fill; what the trade came to that it ended, if it ended one.
    pub(super) fn fill(&mut self, fill: &Fill) -> Option<Money> {
        let result = self.leg(fill.position_side).book(fill);
        self.exposure = self.exposure_with(Side::Buy, Quantity::ZERO);
        result
    }

    pub(super) fn set_position(&mut self, position: &PositionView) {
        self.entry_price = Some(position.entry_price);
        self.leg(position.position_side).position.adopt(position.quantity, position.entry_price);
        self.exposure = self.exposure_with(Side::Buy, Quantity::ZERO);
    }

    /// What the exposure comes to where the market has no price: all of it at the highest price that the account itself knows,
    /// the position's entry or an order's own. An order at the market has none; it counts as `at_market`, the most that one
    /// order may be worth, because it was held to that when it was approved.
    pub(super) fn own_value(&self, at_market: Money) -> Money {
        let counted = || self.open.values().filter(|reservation| !reservation.reduce_only);
        let price = counted()
            .filter_map(|reservation| reservation.price)
            .chain(self.entry_price.filter(|_| self.is_held()))
            .max()
            .unwrap_or_default();
        let unpriced: Money = counted().filter(|reservation| reservation.price.is_none()).map(|_| at_market).sum();
        price * self.exposure + unpriced
    }

    pub(super) fn is_held(&self) -> bool {
        [&self.both, &self.long, &self.short].iter().any(|leg| !leg.quantity().is_zero())
    }

    fn is_hedged(&self) -> bool {
        !(self.long.quantity().is_zero() && self.short.quantity().is_zero())
    }

    /// The larger of what it would be long if every buy filled and short if every sell did (C18).
    pub(super) fn exposure(&self) -> Quantity {
        self.exposure
    }

    pub(super) fn exposure_with(&self, side: Side, quantity: Quantity) -> Quantity {
        let (buy, sell) = match side {
            Side::Buy => (quantity, Quantity::ZERO),
            Side::Sell => (Quantity::ZERO, quantity),
        };
        let (buying, selling) = (self.buying.quantity + buy, self.selling.quantity + sell);
        if !self.is_hedged() {
            let both = self.both.quantity();
            return (both + buying).max(selling - both).max(both.abs());
        }
        // A leg does not make up for the other: each is held, margined and closed by itself.
        (self.long.quantity() + buying).max(selling - self.short.quantity())
    }

    /// The most that it would be on the order's side with the order and every other of that side filled, unsigned.
    pub(super) fn towards(&self, side: Side, quantity: Quantity) -> Quantity {
        let (long, short) = (self.both.quantity() + self.long.quantity(), -self.both.quantity() - self.short.quantity());
        let most = match side {
            Side::Buy => long + self.buying.quantity + quantity,
            Side::Sell => short + self.selling.quantity + quantity,
        };
        most.max(Quantity::ZERO)
    }

    /// What would be lost if the price went against everything that is held and working here: to the stops that stand or were
    /// promised, and by the share `unstopped` of the price where there is none.
    pub(super) fn risk(&self, price: Price, unstopped: Ratio) -> Money {
        let whole = price * unstopped;
        let net = self.both.quantity();
        let held_long = net.max(Quantity::ZERO) + self.long.quantity();
        let held_short = (-net).max(Quantity::ZERO) - self.short.quantity();
        let to_long_stop = self.cut_long.worst.map(|trigger| (price - trigger).max(Price::ZERO));
        let to_short_stop = self.cut_short.worst.map(|trigger| (trigger - price).max(Price::ZERO));
        let long = held_risk(held_long, &self.cut_long, to_long_stop, whole) + opening_risk(&self.buying, whole);
        let short = held_risk(held_short, &self.cut_short, to_short_stop, whole) + opening_risk(&self.selling, whole);
        if self.is_hedged() { long + short } else { long.max(short) }
    }

    /// What a reduce-only order on `side` can still take off the position.
    pub(super) fn reducible(&self, side: Side, leg: PositionSide) -> Quantity {
        let held = match leg {
            PositionSide::Both => self.both.quantity(),
            PositionSide::Long => self.long.quantity(),
            PositionSide::Short => self.short.quantity(),
        };
        match side {
            Side::Sell => held.max(Quantity::ZERO),
            Side::Buy => (-held).max(Quantity::ZERO),
        }
    }

    pub(super) fn unseen(&self) -> impl Iterator<Item = Reserved> {
        let reserved = |(intent, reservation): (&IntentId, &Reservation)| {
            reservation.unseen.map(|at| Reserved { intent: *intent, reservation: *reservation, at })
        };
        self.open.iter().filter_map(reserved)
    }
}

/// A stop cuts what it is large enough for; the rest loses the whole distance.
fn held_risk(held: Quantity, cut: &Cut, to_stop: Option<Price>, whole: Price) -> Money {
    if held.is_zero() {
        return Money::ZERO;
    }
    let Some(to_stop) = to_stop else { return whole * held };
    let covered = cut.quantity.min(held);
    to_stop * covered + whole * (held - covered)
}

fn opening_risk(opening: &Opening, whole: Price) -> Money {
    opening.at_stops + whole * opening.unstopped
}
