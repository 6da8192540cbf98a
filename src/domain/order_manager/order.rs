//! One tracked order and its complete standing as a report and as a journal row.

use super::super::mutants::{self, Mutant};
use std::sync::Arc;
use std::time::Duration;

use super::super::ids::{AccountId, IntentId};
use super::super::money::Quantity;
use super::super::order::{Fill, NewOrder, OrderIntent, OrderReport, OrderStatus, TradesFrom, TradesWanted, VenueCommand, VenueOrder};
use super::super::reconcile::OurOrder;
use super::super::record::Record;
use super::super::recovery::OpenOrder;
use super::super::time::Timestamp;

/// What our clock may be ahead of the venue's: it refuses the requests of a clock that is further off (F09).
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// `None` for an order at the venue that was not made here.
    pub intent: Option<Arc<OrderIntent>>,
    pub order: NewOrder,
    pub status: OrderStatus,
    pub filled: Quantity,
    pub venue_order_id: Option<u64>,
    /// When the order was created here, and when its status last changed.
    pub created: Timestamp,
    pub since: Timestamp,
    pub(super) asked: Timestamp,
    pub(super) not_found: u32,
    pub(super) not_found_at: Timestamp,
    /// Its trades were asked for because nothing else is known of it, after so many looks at the account.
    pub(super) trades_asked: Option<u64>,
    /// A cancel came before the order could be cancelled.
    pub(super) cancel_wanted: bool,
    /// Every trade of this order that is not booked yet has a higher id: where the venue is asked to begin when trades of it
    /// are missing. The symbol's newest id will not do, because the ones behind a lost trade have come. 0 when the symbol had no
    /// trade before the order.
    pub(super) trades_from: u64,
    /// How often the venue said that more of it filled than its trades come to.
    pub(super) behind: u32,
    /// Filled by the venue's word alone: its trades may still come, and do not count twice.
    pub(super) assumed: Quantity,
}

impl Order {
    pub(super) fn new(now: Timestamp, intent: Arc<OrderIntent>, order: NewOrder, trades_from: u64) -> Self {
        Self {
            intent: Some(intent),
            order,
            status: OrderStatus::Persisting,
            filled: Quantity::ZERO,
            venue_order_id: None,
            created: now,
            since: now,
            asked: Timestamp::ZERO,
            not_found: 0,
            not_found_at: Timestamp::ZERO,
            trades_asked: None,
            cancel_wanted: false,
            trades_from,
            behind: 0,
            assumed: Quantity::ZERO,
        }
    }

    /// From the journal after a restart: it may have been sent or not, so it is unknown whatever its row says.
    pub(super) fn recovered(open: OpenOrder) -> Self {
        let created = open.intent.decided_at;
        let mut order = Self::new(created, open.intent, open.order, open.trades_from);
        order.status = OrderStatus::Unknown;
        let filled = if mutants::on(Mutant::EntryTakenForPosition) { order.order.quantity } else { open.filled };
        (order.filled, order.assumed) = (filled, open.assumed);
        order.venue_order_id = open.venue_order_id;
        // A checkpoint of an earlier version says it by the status alone.
        order.cancel_wanted = open.cancel_wanted || open.status == OrderStatus::PendingCancel;
        order
    }

    /// An order that only the venue knew.
    pub(super) fn foreign(now: Timestamp, venue: &VenueOrder, trades_from: u64) -> Self {
        let order = NewOrder {
            client_order_id: venue.client_order_id,
            symbol: venue.symbol,
            side: venue.side,
            position_side: venue.position_side,
            kind: venue.kind,
            time_in_force: Default::default(),
            quantity: venue.quantity,
            reduce_only: venue.reduce_only,
            self_trade_prevention: Default::default(),
        };
        Self {
            intent: None,
            order,
            status: OrderStatus::Working,
            filled: venue.filled,
            venue_order_id: Some(venue.venue_order_id),
            created: now,
            since: now,
            asked: Timestamp::ZERO,
            not_found: 0,
            not_found_at: Timestamp::ZERO,
            trades_asked: None,
            cancel_wanted: false,
            trades_from,
            behind: 0,
            assumed: Quantity::ZERO,
        }
    }

    pub(super) fn set(&mut self, now: Timestamp, status: OrderStatus) {
        self.status = status;
        self.since = now;
    }

    /// Books a trade of it.
    pub(super) fn fill(&mut self, quantity: Quantity) {
        let known = quantity.min(self.assumed);
        self.assumed -= known;
        self.filled += quantity - known;
    }

    /// Where a list of trades with all of this order's begins.
    pub(super) fn trades_from(&self) -> TradesFrom {
        match self.trades_from {
            0 => TradesFrom::Since(self.created - CLOCK_AHEAD_MAX),
            trade => TradesFrom::After(trade),
        }
    }

    pub(super) fn list_trades(&self) -> VenueCommand {
        VenueCommand::Snapshot { trades: TradesWanted::from([(self.order.symbol, self.trades_from())]) }
    }

    /// The venue knows it.
    pub(super) fn found(&mut self) {
        (self.not_found, self.trades_asked) = (0, None);
    }

    pub(super) fn compared(&self) -> OurOrder<'_> {
        OurOrder { order: &self.order, status: self.status, filled: self.filled }
    }

    pub(super) fn query(&self) -> VenueCommand {
        VenueCommand::Query { symbol: self.order.symbol, client_order_id: self.order.client_order_id }
    }

    pub(super) fn row(&self, account: AccountId, detail: Option<String>) -> Record {
        Record::OrderChanged {
            account,
            client_order_id: self.order.client_order_id,
            intent: self.intent.as_ref().map_or(IntentId(0), |intent| intent.id),
            status: self.status,
            filled: self.filled,
            venue_order_id: self.venue_order_id,
            cancel_wanted: self.cancel_wanted,
            assumed: self.assumed,
            detail,
        }
    }

    pub(super) fn report(&self, now: Timestamp, account: AccountId, fill: Option<Fill>, detail: Option<String>) -> OrderReport {
        OrderReport {
            account,
            strategy: self.intent.as_ref().map(|intent| intent.strategy),
            intent: self.intent.as_ref().map(|intent| intent.id),
            symbol: self.order.symbol,
            client_order_id: self.order.client_order_id,
            side: self.order.side,
            position_side: self.order.position_side,
            kind: self.order.kind,
            reduce_only: self.order.reduce_only,
            quantity: self.order.quantity,
            filled: self.filled,
            status: self.status,
            fill,
            detail,
            at: now,
            trace: self.intent.as_ref().and_then(|intent| intent.trace),
        }
    }
}
