//! What is done about what reconciliation found, each finding by the repair that its table names (`reconcile::FindingKind`).
//! Whether an answer is believed was decided before; here nothing is doubted any more.

use super::super::ids::{ClientOrderId, StrategyId};
use super::super::mode::FaultClass;
use super::super::money::Money;
use super::super::mutants::{self, Mutant};
use super::super::order::{Fill, OrderStatus, VenueCommand, VenueOrder, VenuePosition, VenueSnapshot};
use super::super::reconcile::{Finding, FindingKind, Reconciliation};
use super::super::record::Record;
use super::super::time::Timestamp;
use super::order::Order;
use super::{Effect, OrderManager, Out, Scope};

/// What the running reconciliation has come upon so far.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub findings: Vec<Finding>,
    /// Fills that were booked while orders were held back, each with the strategy whose order it was.
    pub missed: Vec<(Option<StrategyId>, Fill)>,
    /// The account was met by it.
    pub first: bool,
}

impl OrderManager {
    /// Puts the books right and writes down how. Gives the orders that were asked for by name.
    pub(super) fn put_right(&mut self, now: Timestamp, venue: &VenueSnapshot, found: Vec<Finding>, out: &mut Out) -> Vec<ClientOrderId> {
        let asked = self.ask_for_each(now, out);
        let before = self.equity();
        let mut adopted = Vec::new();
        for finding in &found {
            match finding {
                Finding::Orphan { .. } if mutants::on(Mutant::OpenOrdersDropped) => {}
                Finding::Orphan { order } => self.end_orphan(now, order, out),
                Finding::Risen { order, .. } => self.end_risen(now, order, out),
                Finding::Foreign { order } => self.follow(now, order),
                Finding::TermsDiffer { order, .. } => {
                    self.cancel(now, order.symbol, order.client_order_id, "it is not at the venue as it was sent", out);
                }
                Finding::DuplicateId { client_order_id, symbol, .. } => {
                    out.push(Effect::Send(VenueCommand::Cancel { symbol: *symbol, client_order_id: *client_order_id }));
                }
                Finding::PositionDiffers { venue, .. } | Finding::UnexpectedLeg { venue } => adopted.push(self.adopt(venue)),
                // Trades are booked as they come, orders that are open here are asked for each, and the wallet is taken below.
                _ => {}
            }
        }
        self.take_wallet(now, venue);
        let taken_over = !self.met || found.iter().any(is_taken_over);
        let covered_until = venue.as_of.filter(|_| taken_over);
        if let Some(until) = covered_until {
            self.positions.cover_until(until);
        }
        self.hold(&found, out);
        self.recovered.first |= !self.met;
        self.met = true;
        self.met_at.get_or_insert(now);
        self.recovered.findings.extend(found);
        let rows = vec![self.reconciled_row(&self.recovered.findings, adopted, covered_until)];
        out.persist(rows, vec![]);
        if venue.beside_holdings && !self.recovered.first {
            self.count_as_paid(before, out);
        }
        asked
    }

    fn ask_for_each(&mut self, now: Timestamp, out: &mut Out) -> Vec<ClientOrderId> {
        let mut asked = Vec::new();
        for id in &self.live {
            let uncertain = |order: &Order| !order.status.is_terminal() && order.status != OrderStatus::Persisting;
            let Some(order) = self.orders.get_mut(id).filter(|order| uncertain(order)) else { continue };
            order.asked = now;
            asked.push(*id);
            out.push(Effect::Send(order.query()));
        }
        asked
    }

    pub(super) fn reconciled_row(&self, found: &[Finding], adopted: Vec<VenuePosition>, covered_until: Option<Timestamp>) -> Record {
        let findings = found.iter().map(|finding| finding.told(self.account)).collect();
        let (account, wallet, taken_at) = (self.account, self.positions.wallet(), self.positions.wallet_taken_at());
        Record::Reconciled { account, findings, wallet, taken_at, adopted, covered_until, first: self.recovered.first }
    }

    /// A name of ours that nobody here knows: followed until the venue says that it is gone.
    fn end_orphan(&mut self, now: Timestamp, order: &VenueOrder, out: &mut Out) {
        self.follow(now, order);
        self.end_listed(now, order, out);
    }

    /// It ended here, and the venue says twice that it lives: it is what it was made as, with what it filled, and must not be
    /// forgotten with the ended ones.
    fn end_risen(&mut self, now: Timestamp, order: &VenueOrder, out: &mut Out) {
        let id = order.client_order_id;
        self.tombstones.retain(|buried| *buried != id);
        self.live.insert(id);
        self.end_listed(now, order, out);
    }

    /// Repeated with the order's own questions until the venue says that it ended.
    fn end_listed(&mut self, now: Timestamp, listed: &VenueOrder, out: &mut Out) {
        let VenueOrder { client_order_id, symbol, .. } = *listed;
        if let Some(order) = self.orders.get_mut(&client_order_id) {
            order.cancel_wanted = true;
            order.venue_order_id = Some(listed.venue_order_id);
            order.set(now, OrderStatus::PendingCancel);
            out.push(Effect::Report(std::sync::Arc::new(order.report(
                now,
                self.account,
                None,
                Some("not expected to be open".to_owned()),
            ))));
        }
        out.push(Effect::Send(VenueCommand::Cancel { symbol, client_order_id }));
    }

    fn follow(&mut self, now: Timestamp, order: &VenueOrder) {
        let newest = self.positions.newest_trade(order.symbol).unwrap_or_default();
        self.track(Order::foreign(now, order, newest));
    }

    /// Orders that are not ours, found while ours pass: followed from here on, which takes nothing from anybody.
    pub(super) fn watch(&mut self, now: Timestamp, found: &[Finding], out: &mut Out) {
        let foreign = |finding: &&Finding| finding.kind() == FindingKind::Foreign;
        let found: Vec<Finding> = found.iter().filter(foreign).cloned().collect();
        for finding in &found {
            if let Finding::Foreign { order } = finding {
                self.follow(now, order);
            }
        }
        if !found.is_empty() {
            out.persist(vec![self.reconciled_row(&found, Vec::new(), None)], vec![]);
            out.push(Effect::Found(found));
        }
    }

    fn adopt(&mut self, venue: &VenuePosition) -> VenuePosition {
        let venue = self.with_entry(venue);
        self.positions.adopt_position(&venue);
        venue
    }

    /// A venue that keeps no entry price leaves ours, or what the market says that the holding is worth.
    fn with_entry(&self, venue: &VenuePosition) -> VenuePosition {
        if !venue.entry_price.is_zero() {
            return venue.clone();
        }
        let ours = self.positions.position(venue.symbol, venue.position_side);
        let kept = ours.entry_price().filter(|_| ours.quantity().is_positive() == venue.quantity.is_positive());
        let entry_price = kept.or_else(|| self.marks.get(&venue.symbol).copied()).unwrap_or_default();
        VenuePosition { entry_price, ..venue.clone() }
    }

    /// Behind the positions: beside holdings, the wallet is counted with what they cost.
    pub(super) fn take_wallet(&mut self, now: Timestamp, venue: &VenueSnapshot) {
        if venue.beside_holdings {
            self.positions.adopt_cash(venue.wallet, now);
        } else {
            self.positions.adopt_wallet(venue.wallet, now);
        }
    }

    /// Nothing is opened until a person has looked at what no trade explains. What an account was used for before its first contact
    /// with us is no difference.
    fn hold(&self, found: &[Finding], out: &mut Out) {
        for finding in found {
            let is_beginning = !self.met && is_taken_over(finding);
            let Some(mode) = finding.repair().holds().filter(|_| !is_beginning) else { continue };
            let scope = Scope::Account(self.account);
            out.push(Effect::Fault { scope, class: FaultClass::Data, detail: finding.to_string() });
            out.push(Effect::Trip { mode, cause: finding.told(self.account) });
        }
    }

    fn equity(&self) -> Money {
        self.positions.equity(|symbol| self.marks.get(&symbol).copied())
    }

    /// Where no ledger says why money or coins came or went, they were paid in or out: no profit, which would hide a day's loss, and
    /// no loss, which would halt. A person is asked to look in either case.
    fn count_as_paid(&mut self, before: Money, out: &mut Out) {
        let paid = self.equity() - before;
        if let Some(day) = self.day.as_mut().filter(|_| !paid.is_zero()) {
            day.equity += paid;
            out.persist(vec![Record::DayOpened { account: self.account, utc_day: day.utc_day, equity: day.equity }], vec![]);
        }
    }

    /// A wallet that is off by next to nothing, and by the same between two looks, is the venue's: it rounded otherwise, or moved a
    /// fraction of a cent that nobody told. Orders pass meanwhile.
    pub(super) fn settle(&mut self, now: Timestamp, venue: &VenueSnapshot, confirmed: &[Finding], out: &mut Out) {
        if confirmed.is_empty() {
            return;
        }
        self.doubts.clear();
        self.take_wallet(now, venue);
        out.persist(vec![self.reconciled_row(confirmed, Vec::new(), None)], vec![]);
        self.tell_account(now, out);
    }

    /// What the reconciliation that is over has found, told once.
    pub(super) fn tell_recovered(&mut self, now: Timestamp, out: &mut Out) {
        let Recovered { findings, missed, first } = std::mem::take(&mut self.recovered);
        out.push(Effect::Reconciled(Box::new(Reconciliation { account: self.account, at: now, findings, missed, first })));
    }
}

/// Positions and money that become the venue's.
fn is_taken_over(finding: &Finding) -> bool {
    matches!(
        finding.kind(),
        FindingKind::PositionDiffers | FindingKind::UnexpectedLeg | FindingKind::WalletDiffers | FindingKind::CashDiffers
    )
}
