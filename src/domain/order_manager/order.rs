//! One tracked order and its complete standing as a report and as a journal row.

use super::super::ids::{AccountId, IntentId};
use super::super::money::Quantity;
use super::super::order::{Fill, NewOrder, OrderIntent, OrderReport, OrderStatus, VenueCommand, VenueOrder};
use super::super::record::Record;
use super::super::recovery::OpenOrder;
use super::super::time::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// `None` for an order at the venue that was not made here.
    pub intent: Option<OrderIntent>,
    pub order: NewOrder,
    pub status: OrderStatus,
    pub filled: Quantity,
    pub venue_order_id: Option<u64>,
    /// When the order was created here, and when its status last changed.
    pub created: Timestamp,
    pub since: Timestamp,
    pub(super) asked: Timestamp,
    pub(super) not_found: u32,
    /// A cancel came before the order could be cancelled.
    pub(super) cancel_wanted: bool,
}

impl Order {
    pub(super) fn new(now: Timestamp, intent: OrderIntent, order: NewOrder) -> Self {
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
            cancel_wanted: false,
        }
    }

    /// From the journal after a restart: it may have been sent or not, so it is unknown whatever its row says.
    pub(super) fn recovered(open: OpenOrder) -> Self {
        let created = open.intent.decided_at;
        let cancel_wanted = open.status == OrderStatus::PendingCancel;
        let mut order = Self::new(created, open.intent, open.order);
        order.status = OrderStatus::Unknown;
        order.filled = open.filled;
        order.venue_order_id = open.venue_order_id;
        order.cancel_wanted = cancel_wanted;
        order
    }

    /// An order that only the venue knew.
    pub(super) fn foreign(now: Timestamp, venue: &VenueOrder) -> Self {
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
            cancel_wanted: false,
        }
    }

    pub(super) fn set(&mut self, now: Timestamp, status: OrderStatus) {
        self.status = status;
        self.since = now;
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
