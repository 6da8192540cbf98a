//! Recovery, which is also start-up: ask the venue, book the trades that were missed, compare, repair, and only then let
//! orders pass.

use super::super::ids::{ClientOrderId, Symbol};
use super::super::mode::FaultClass;
use super::super::order::{OrderStatus, VenueCommand, VenueSnapshot};
use super::super::reconcile::{self, Finding};
use super::super::record::Record;
use super::super::time::Timestamp;
use super::order::Order;
use super::{Effect, OrderManager, Out, Phase};

impl OrderManager {
    /// Back to CancelOnly, and ask. Orders on their way keep their status: their answers may still come.
    pub(super) fn recover(&mut self, now: Timestamp, out: &mut Out) {
        self.phase = Phase::Recovering { asked: now, snapshot_seen: false, awaited: vec![] };
        out.push(Effect::Send(VenueCommand::Snapshot { trades_after: self.last_trade_id }));
    }

    pub(super) fn snapshot(&mut self, now: Timestamp, venue: &VenueSnapshot, out: &mut Out) {
        for trade in &venue.trades {
            self.filled(now, trade.clone(), out);
        }
        let Phase::Recovering { .. } = &self.phase else { return };
        for order in &venue.open_orders {
            if let Some(ours) = self.orders.get_mut(&order.client_order_id) {
                ours.not_found = 0;
            }
        }
        let open: Vec<(ClientOrderId, Symbol)> = self
            .open_orders()
            .filter(|order| order.status != OrderStatus::Persisting)
            .map(|order| (order.order.client_order_id, order.order.symbol))
            .collect();
        let found = reconcile::compare(self.account, &open, &self.positions, venue);
        let mut awaited: Vec<ClientOrderId> = Vec::new();
        let mut adopted = Vec::new();
        for finding in &found {
            match finding {
                // Listed or not, an order of uncertain standing is asked for by name below.
                Finding::NotListed { .. } => {}
                Finding::Orphan { order } => {
                    let cancel = VenueCommand::Cancel { symbol: order.symbol, client_order_id: order.client_order_id };
                    self.orders.insert(order.client_order_id, Box::new(Order::foreign(now, order)));
                    out.push(Effect::Send(cancel));
                }
                Finding::Foreign { order } => {
                    self.orders.insert(order.client_order_id, Box::new(Order::foreign(now, order)));
                }
                Finding::PositionDiffers { venue, .. } => {
                    self.positions.adopt_position(venue);
                    adopted.push(venue.clone());
                    out.push(Effect::Fault { class: FaultClass::Data, detail: finding.to_string() });
                }
                Finding::WalletDiffers { venue, .. } => self.positions.adopt_wallet(*venue),
            }
        }
        for (id, _) in &open {
            if let Some(order) = self.orders.get_mut(id).filter(|order| !order.status.is_terminal()) {
                order.asked = now;
                awaited.push(*id);
                out.push(Effect::Send(order.query()));
            }
        }
        let findings = found.iter().map(ToString::to_string).collect();
        let row = Record::Reconciled { account: self.account, findings, wallet: venue.wallet, adopted };
        out.persist(vec![row], vec![]);
        self.phase = Phase::Recovering { asked: now, snapshot_seen: true, awaited };
    }

    /// An order that was asked for has its answer.
    pub(super) fn answered(&mut self, id: ClientOrderId) {
        if let Phase::Recovering { awaited, .. } = &mut self.phase {
            awaited.retain(|waiting| *waiting != id);
        }
    }

    /// Everything answered: the account trades again in whatever mode the ladder has for it.
    pub(super) fn finish_recovery(&mut self, now: Timestamp, out: &mut Out) {
        let orders = &self.orders;
        let over = |id: &ClientOrderId| orders.get(id).is_none_or(|order| order.status.is_terminal());
        let Phase::Recovering { snapshot_seen: true, awaited, .. } = &mut self.phase else { return };
        awaited.retain(|id| !over(id));
        if !awaited.is_empty() {
            return;
        }
        self.phase = Phase::Running;
        out.push(Effect::Ready);
        self.tell_account(now, out);
        self.republish(now, out);
    }
}
