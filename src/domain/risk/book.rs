//! One account's exposure on one symbol: its position and every order that may still change it, both sides apart.

use super::super::mutants::{self, Mutant};
use std::collections::BTreeMap;

use super::super::ids::IntentId;
use super::super::money::{Money, Price, Quantity};
use super::super::order::{Fill, OrderIntent, OrderKind, OrderReport, OrderStatus, PositionSide, PositionView, Side};
use super::super::time::Timestamp;

/// What an open order may still do.
#[derive(Debug, Clone, Copy)]
struct Reservation {
    side: Side,
    remaining: Quantity,
    /// Its own, which an order at the market has not.
    price: Option<Price>,
    reduce_only: bool,
    /// When it was approved, until the executor's first report shows that it has the order.
    unseen: Option<Timestamp>,
}

/// An approved order that nobody has reported yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reserved {
    pub(super) intent: IntentId,
    side: Side,
    quantity: Quantity,
    price: Option<Price>,
    reduce_only: bool,
    pub(super) at: Timestamp,
}

fn own_price(kind: OrderKind) -> Option<Price> {
    kind.limit_price().or(kind.trigger())
}

impl Reserved {
    pub(super) fn of(intent: &OrderIntent, at: Timestamp) -> Self {
        let OrderIntent { id, side, quantity, kind, reduce_only, .. } = *intent;
        Self { intent: id, side, quantity, price: own_price(kind), reduce_only, at }
    }
}

#[derive(Debug, Default)]
pub(super) struct SymbolBook {
    /// One-way net, signed.
    both: Quantity,
    /// Hedge legs, signed: long is positive, short negative.
    long: Quantity,
    short: Quantity,
    entry_price: Option<Price>,
    open: BTreeMap<IntentId, Reservation>,
    /// Sums of `open`, kept so that a check does not walk it. Orders that only reduce are not in them.
    buying: Quantity,
    selling: Quantity,
    /// Kept as `both`, `long`, `short` and the sums have it, because every check of the symbol asks for it.
    exposure: Quantity,
    /// What `exposure` was worth when last valued.
    pub(super) valued: Money,
}

impl SymbolBook {
    pub(super) fn reserve(&mut self, reserved: Reserved) {
        let Reserved { intent, side, quantity, price, reduce_only, at } = reserved;
        self.replace(intent, Some(Reservation { side, remaining: quantity, price, reduce_only, unseen: Some(at) }));
    }

    /// Follows the executor's word: less what filled, nothing once the order is over.
    pub(super) fn update(&mut self, intent: IntentId, report: &OrderReport) {
        let remaining = report.quantity - report.filled;
        let released = mutants::on(Mutant::UnknownReleased) && report.status == OrderStatus::Unknown;
        let over = released || report.status.is_terminal() || !remaining.is_positive();
        let price = own_price(report.kind);
        let reservation = Reservation { side: report.side, remaining, price, reduce_only: report.reduce_only, unseen: None };
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
            *self.sum(&before) -= before.counted();
        }
        if let Some(next) = next {
            *self.sum(&next) += next.counted();
        }
        self.exposure = self.exposure_with(Side::Buy, Quantity::ZERO);
    }

    fn sum(&mut self, reservation: &Reservation) -> &mut Quantity {
        match reservation.side {
            Side::Buy => &mut self.buying,
            Side::Sell => &mut self.selling,
        }
    }

    pub(super) fn fill(&mut self, fill: &Fill) {
        let moved = fill.side.signed(fill.moved());
        match fill.position_side {
            PositionSide::Both => self.both += moved,
            PositionSide::Long => self.long += moved,
            PositionSide::Short => self.short += moved,
        }
        self.exposure = self.exposure_with(Side::Buy, Quantity::ZERO);
    }

    pub(super) fn set_position(&mut self, position: &PositionView) {
        self.entry_price = Some(position.entry_price);
        match position.position_side {
            PositionSide::Both => self.both = position.quantity,
            PositionSide::Long => self.long = position.quantity,
            PositionSide::Short => self.short = position.quantity,
        }
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
        [self.both, self.long, self.short].iter().any(|quantity| !quantity.is_zero())
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
        let (buying, selling) = (self.buying + buy, self.selling + sell);
        if self.long.is_zero() && self.short.is_zero() {
            return (self.both + buying).max(selling - self.both).max(self.both.abs());
        }
        // A leg does not make up for the other: each is held, margined and closed by itself.
        (self.long + buying).max(selling - self.short)
    }

    /// What a reduce-only order on `side` can still take off the position.
    pub(super) fn reducible(&self, side: Side, leg: PositionSide) -> Quantity {
        let held = match leg {
            PositionSide::Both => self.both,
            PositionSide::Long => self.long,
            PositionSide::Short => self.short,
        };
        match side {
            Side::Sell => held.max(Quantity::ZERO),
            Side::Buy => (-held).max(Quantity::ZERO),
        }
    }

    pub(super) fn unseen(&self) -> impl Iterator<Item = Reserved> {
        let reserved = |(intent, reservation): (&IntentId, &Reservation)| {
            let Reservation { side, remaining, price, reduce_only, unseen } = *reservation;
            unseen.map(|at| Reserved { intent: *intent, side, quantity: remaining, price, reduce_only, at })
        };
        self.open.iter().filter_map(reserved)
    }
}

impl Reservation {
    fn counted(&self) -> Quantity {
        if self.reduce_only { Quantity::ZERO } else { self.remaining }
    }
}
