//! Recovery, which is also start-up: ask the venue, book the trades that were missed, compare, repair, and only then let
//! orders pass.

use super::super::ids::{ClientOrderId, Epoch, Symbol};
use super::super::ladder::ModeTable;
use super::super::mode::FaultClass;
use super::super::money::Money;
use super::super::mutants::{self, Mutant};
use super::super::order::{OrderStatus, TradesFrom, TradesWanted, VenueCommand, VenueMargin, VenuePosition, VenueSnapshot};
use super::super::reconcile::{self, Finding};
use super::super::record::Record;
use super::super::recovery::AccountState;
use super::super::risk::{AccountBook, BUILD};
use super::super::time::Timestamp;
use super::order::Order;
use super::{ANSWER_DEADLINE, CHECK_EVERY, Effect, LOOK_BACK, OrderManager, Out, Phase, QUERY_EVERY};

/// What our rounding of a partial close may differ from the venue's, over ten thousand of them (1e-8 each), and more: no reason to
/// stop, and settled in passing.
const WALLET_TOLERANCE: Money = Money(rust_decimal::Decimal::from_parts(1, 0, 0, false, 2));

/// An account as the journal has it: what risk counts until the account's executor has asked the venue.
#[must_use]
pub fn journalled(now: Timestamp, state: AccountState) -> AccountBook {
    let manager = OrderManager::new(state.positions.account(), Epoch::default(), ModeTable::default(), state);
    AccountBook { view: manager.view(now), open: manager.open_reports(now), since: Timestamp::ZERO, build: BUILD }
}

impl OrderManager {
    /// Back to CancelOnly, and ask. Orders on their way keep their status: their answers may still come.
    pub(super) fn recover(&mut self, now: Timestamp, out: &mut Out) {
        self.phase = Phase::Recovering { asked: now, snapshot_seen: false, awaited: vec![] };
        let mut every = self.trades_wanted(|_| true);
        if mutants::on(Mutant::FillsDoubled) {
            every.values_mut().for_each(|from| *from = TradesFrom::After(0));
        }
        // Of a symbol without a booked trade the journal may have lost all: what is ours began with the first contact.
        if let Some(met) = self.met_at {
            let from = TradesFrom::Since(met.max(now - LOOK_BACK));
            for symbol in &self.tradable {
                every.entry(*symbol).or_insert(from);
            }
        }
        self.ask(now, every, out);
    }

    /// What is held and what is open, and their trades: a symbol that was left is asked for when something differs.
    pub(super) fn ask_for_everything(&mut self, now: Timestamp, out: &mut Out) {
        let held = self.trades_wanted(|symbol| self.positions.open().any(|(held, _, _)| held == symbol));
        self.ask(now, held, out);
    }

    fn ask(&mut self, now: Timestamp, trades: TradesWanted, out: &mut Out) {
        self.checked = now;
        out.push(Effect::Send(VenueCommand::Snapshot { trades }));
    }

    /// The trades behind the newest booked one of those symbols, and all that open orders may have.
    fn trades_wanted(&self, of: impl Fn(Symbol) -> bool) -> TradesWanted {
        let traded = self.positions.newest_trades().filter(|(symbol, _)| of(*symbol));
        let mut wanted: TradesWanted = traded.map(|(symbol, trade)| (symbol, TradesFrom::After(trade))).collect();
        for order in self.open_orders() {
            // A trade of an open order may have been lost before newer ones came.
            let from = wanted.entry(order.order.symbol).or_insert_with(|| order.trades_from());
            *from = if mutants::on(Mutant::CursorJumps) { *from } else { order.trades_from().min(*from) };
        }
        wanted
    }

    /// Holds the venue's word against the books while orders pass. What fills say is in them already; what still differs may
    /// be on its way, and is believed when the venue says the same again (F24): then everything is reconciled.
    fn compare(&mut self, now: Timestamp, venue: &VenueSnapshot, out: &mut Out) {
        let (mut open, mut asked) = (Vec::new(), Vec::new());
        for id in &self.live {
            let Some(order) = self.orders.get_mut(id).filter(|order| order.status != OrderStatus::Persisting) else { continue };
            open.push((*id, order.order.symbol));
            let listed = venue.open_orders.iter().find(|listed| listed.client_order_id == *id);
            if listed.is_some() {
                order.found();
            }
            match listed {
                Some(listed) if listed.filled <= order.filled => {
                    order.trades_from = self.positions.newest_trade(order.order.symbol).unwrap_or_default();
                }
                // Just sent, or just answered: the two may have crossed.
                _ if now.since(order.since) < QUERY_EVERY => {}
                _ => asked.push(*id),
            }
        }
        for id in asked {
            if let Some(order) = self.orders.get_mut(&id) {
                order.asked = now;
                out.push(Effect::Send(order.query()));
            }
        }
        let counts = |finding: &Finding| match finding {
            Finding::NotListed { .. } => false,
            Finding::WalletDiffers { venue, ours } => (*venue - *ours).abs() > WALLET_TOLERANCE,
            Finding::Orphan { .. } | Finding::Foreign { .. } | Finding::PositionDiffers { .. } => true,
        };
        let mut found = reconcile::compare(self.account, &open, &self.positions, venue);
        let differs = found.iter().find_map(|finding| match finding {
            Finding::WalletDiffers { venue, ours } => Some(*venue - *ours),
            _ => None,
        });
        found.retain(counts);
        let only_slightly = found.is_empty();
        if self.is_told_again(now, found) {
            return self.recover(now, out);
        }
        self.settle(now, venue, differs.filter(|_| only_slightly), out);
        if !self.doubts.is_empty() {
            self.checked = now - (CHECK_EVERY - QUERY_EVERY);
        }
    }

    /// A wallet that is off by next to nothing, and by the same between two checks, is the venue's: it rounded otherwise, or moved a
    /// fraction of a cent that nobody told. Orders pass meanwhile; in a hurry nobody is, as a trade on its way looks the same once.
    fn settle(&mut self, now: Timestamp, venue: &VenueSnapshot, differs: Option<Money>, out: &mut Out) {
        let before = self.slight.take();
        let Some(differs) = differs else { return };
        let same = before.filter(|(amount, _)| *amount == differs);
        if same.is_none_or(|(_, since)| now.since(since) < QUERY_EVERY) {
            self.slight = same.or(Some((differs, now)));
            return;
        }
        let finding = Finding::WalletDiffers { venue: self.positions.wallet() + differs, ours: self.positions.wallet() };
        self.take_wallet(now, venue);
        let (wallet, findings) = (self.positions.wallet(), vec![finding.to_string()]);
        let taken_at = self.positions.wallet_taken_at();
        out.persist(vec![Record::Reconciled { account: self.account, findings, wallet, taken_at, adopted: Vec::new() }], vec![]);
        self.tell_account(now, out);
    }

    /// Behind the positions: beside holdings, the wallet is counted with what they cost.
    fn take_wallet(&mut self, now: Timestamp, venue: &VenueSnapshot) {
        if venue.beside_holdings {
            self.positions.adopt_cash(venue.wallet, now);
        } else {
            self.positions.adopt_wallet(venue.wallet, now);
        }
    }

    /// Whether what differs, if anything does, differed the same way a while ago. Two answers to questions of one moment are one.
    fn is_told_again(&mut self, now: Timestamp, found: Vec<Finding>) -> bool {
        if found != self.doubts {
            (self.doubts, self.doubted) = (found, now);
            return false;
        }
        !self.doubts.is_empty() && now.since(self.doubted) >= QUERY_EVERY
    }

    /// What the venue says of leverage and margin, where it says anything: it counts from now on.
    fn take_margin(&mut self, now: Timestamp, venue: &VenueSnapshot) {
        if let Some(margin) = &venue.margin {
            self.leverage.extend(margin.leverage.iter().copied());
            self.margin = Some(VenueMargin { at: now, ..margin.clone() });
        }
    }

    pub(super) fn snapshot(&mut self, now: Timestamp, venue: &VenueSnapshot, out: &mut Out) {
        self.looks += 1;
        self.take_margin(now, venue);
        for trade in venue.trades.iter().filter(|_| !mutants::on(Mutant::MissedFillsLost)) {
            // One that is older than the memory of trades was booked in its time, or the positions will say that it was not.
            self.booked_if_new(now, trade.clone(), out);
        }
        self.book_funds(now, &venue.funds, out);
        if self.is_ready() {
            return self.compare(now, venue, out);
        }
        for order in &venue.open_orders {
            if let Some(ours) = self.orders.get_mut(&order.client_order_id) {
                ours.found();
            }
        }
        let open: Vec<(ClientOrderId, Symbol)> = self
            .open_orders()
            .filter(|order| order.status != OrderStatus::Persisting)
            .map(|order| (order.order.client_order_id, order.order.symbol))
            .collect();
        let found = reconcile::compare(self.account, &open, &self.positions, venue);
        if !self.believes(now, &found) {
            return;
        }
        let mut awaited: Vec<ClientOrderId> = Vec::new();
        let mut adopted = Vec::new();
        for finding in &found {
            match finding {
                // Listed or not, an order of uncertain standing is asked for by name below.
                Finding::NotListed { .. } => {}
                Finding::Orphan { .. } if mutants::on(Mutant::OpenOrdersDropped) => {}
                Finding::Orphan { order } => {
                    let cancel = VenueCommand::Cancel { symbol: order.symbol, client_order_id: order.client_order_id };
                    self.unbury(order.client_order_id);
                    self.track(Order::foreign(now, order, self.newest_trade(order.symbol)));
                    out.push(Effect::Send(cancel));
                }
                Finding::Foreign { order } => {
                    self.track(Order::foreign(now, order, self.newest_trade(order.symbol)));
                }
                Finding::PositionDiffers { venue, .. } => {
                    let venue = self.with_entry(venue);
                    self.positions.adopt_position(&venue);
                    adopted.push(venue);
                    // What an account held before its first contact with us is no fault.
                    if self.met {
                        out.push(Effect::Fault { class: FaultClass::Data, detail: finding.to_string() });
                    }
                }
                Finding::WalletDiffers { .. } => {}
            }
        }
        self.take_wallet(now, venue);
        self.met = true;
        self.met_at.get_or_insert(now);
        for (id, _) in &open {
            if let Some(order) = self.orders.get_mut(id).filter(|order| !order.status.is_terminal()) {
                order.asked = now;
                awaited.push(*id);
                out.push(Effect::Send(order.query()));
            }
        }
        let findings = found.iter().map(ToString::to_string).collect();
        let (wallet, taken_at) = (self.positions.wallet(), self.positions.wallet_taken_at());
        let row = Record::Reconciled { account: self.account, findings, wallet, taken_at, adopted };
        out.persist(vec![row], vec![]);
        self.phase = Phase::Recovering { asked: now, snapshot_seen: true, awaited };
    }

    /// The books are replaced by the venue's only when it said the same twice, apart: a read side that lags shows an account as
    /// it was, and what it lacks would be booked twice when it comes (F24). What was there before us needs no second look.
    fn believes(&mut self, now: Timestamp, found: &[Finding]) -> bool {
        let replaces = |finding: &&Finding| matches!(finding, Finding::PositionDiffers { .. } | Finding::WalletDiffers { .. });
        let doubts: Vec<Finding> = found.iter().filter(replaces).cloned().collect();
        if mutants::on(Mutant::StaleSnapshotBelieved) || !self.met || doubts.is_empty() || self.is_told_again(now, doubts) {
            self.doubts.clear();
            return true;
        }
        // The tick asks again when a question's time is over: that is a second from now.
        self.phase = Phase::Recovering { asked: now - (ANSWER_DEADLINE - QUERY_EVERY), snapshot_seen: false, awaited: vec![] };
        false
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

    /// An ended order that the venue lists after all lives again: it must not be forgotten with the ended ones.
    fn unbury(&mut self, id: ClientOrderId) {
        self.tombstones.retain(|buried| *buried != id);
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
        if !awaited.is_empty() && !mutants::on(Mutant::ReadyUnanswered) {
            return;
        }
        self.phase = Phase::Running;
        out.push(Effect::Ready);
        self.open_day(now, out);
        self.republish(now, out);
    }
}
