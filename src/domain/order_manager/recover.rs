//! Recovery, which is also start-up: ask the venue, book the trades that were missed, compare, repair, and only then let
//! orders pass. While they do, the same look is taken again and again. What is done about what it finds is `repair`'s.

use std::time::Duration;

use super::super::ids::{ClientOrderId, Epoch, Symbol};
use super::super::ladder::ModeTable;
use super::super::mutants::{self, Mutant};
use super::super::order::{OrderStatus, TradesFrom, TradesWanted, VenueCommand, VenueMargin, VenueSnapshot};
use super::super::reconcile::{self, Finding, FindingKind, Freshness, Ours, Repair};
use super::super::recovery::AccountState;
use super::super::risk::{AccountBook, BUILD};
use super::super::time::Timestamp;
use super::order::Order;
use super::repair::Recovered;
use super::{ANSWER_DEADLINE, BESIDE_WITHIN, CHECK_EVERY, Effect, LOOK_BACK, OrderManager, Out, Phase, QUERY_EVERY};

/// Looks at an account until a doubt about it can be confirmed: each costs as much as a few orders.
const LOOKS_WHILE_WAITING: u32 = 5;

/// An account as the journal has it: what risk counts until the account's executor has asked the venue.
#[must_use]
pub fn journalled(now: Timestamp, state: AccountState) -> AccountBook {
    let manager = OrderManager::new(state.positions.account(), Epoch::default(), ModeTable::default(), state);
    AccountBook { view: manager.view(now), open: manager.open_reports(now), since: Timestamp::ZERO, build: BUILD }
}

impl OrderManager {
    /// Back to CancelOnly, and ask. Orders on their way keep their status: their answers may still come.
    pub(super) fn recover(&mut self, now: Timestamp, out: &mut Out) {
        if self.is_ready() {
            self.recovered = Recovered::default();
        }
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

    /// What the venue says of margin counts from now until it says something else; what it does not say stays as it was.
    fn take_margin(&mut self, now: Timestamp, venue: &VenueSnapshot) {
        if let Some(margin) = &venue.margin {
            self.leverage.extend(margin.leverage.iter().copied());
            self.margin = Some(VenueMargin { at: now, ..margin.clone() });
        }
    }

    pub(super) fn snapshot(&mut self, now: Timestamp, venue: &VenueSnapshot, out: &mut Out) {
        self.looks += 1;
        self.take_margin(now, venue);
        let trades = self.book_listed(now, venue, out);
        self.book_funds(now, &venue.funds, out);
        self.see_listed(venue);
        let (found, freshness) = self.compared(venue);
        if self.is_ready() {
            return self.look(now, venue, &found, freshness, out);
        }
        // The books are replaced by the venue's only when it said the same twice, apart. What was there before us needs no second look.
        let agreed = self.doubts.observe(now, &found, freshness);
        let believed = mutants::on(Mutant::StaleSnapshotBelieved);
        if !believed && agreed.waiting.iter().any(|finding| self.met || matches!(finding.repair(), Repair::Cancel | Repair::CancelAndHold))
        {
            return self.wait_for_another(now, freshness);
        }
        self.doubts.clear();
        self.recovered.findings.extend(trades);
        let asked = self.put_right(now, venue, found, out);
        self.phase = Phase::Recovering { asked: now, snapshot_seen: true, awaited: asked };
    }

    /// The tick asks again when a question's time is over: a second from now, or two where the venue's answers are old or undated,
    /// because then it takes many of them.
    fn wait_for_another(&mut self, now: Timestamp, freshness: Freshness) {
        let sooner = if freshness == Freshness::Proven { ANSWER_DEADLINE - QUERY_EVERY } else { Duration::ZERO };
        self.phase = Phase::Recovering { asked: now - sooner, snapshot_seen: false, awaited: vec![] };
    }

    /// Books the trades that are new here and says what they are.
    fn book_listed(&mut self, now: Timestamp, venue: &VenueSnapshot, out: &mut Out) -> Vec<Finding> {
        let mut found = Vec::new();
        for fill in reconcile::in_order(&venue.trades) {
            if mutants::on(Mutant::MissedFillsLost) {
                continue;
            }
            let made_here = self.orders.get(&fill.client_order_id).is_some_and(|order| order.intent.is_some());
            found.extend(reconcile::trade(self.account, &self.positions, made_here, &fill));
            // One that is older than the memory of trades was booked in its time, or the positions will say that it was not.
            self.booked_if_new(now, fill, out);
        }
        found
    }

    /// What the venue lists it knows.
    fn see_listed(&mut self, venue: &VenueSnapshot) {
        for order in &venue.open_orders {
            if let Some(ours) = self.orders.get_mut(&order.client_order_id) {
                ours.found();
            }
        }
    }

    fn compared(&self, venue: &VenueSnapshot) -> (Vec<Finding>, Freshness) {
        let known = |id: ClientOrderId| self.order(id).map(Order::compared);
        let sent = self.open_orders().filter(|order| order.status != OrderStatus::Persisting);
        let ours = Ours { account: self.account, open: sent.map(Order::compared).collect(), known: &known, positions: &self.positions };
        (reconcile::compare(&ours, venue), reconcile::freshness(&ours, venue))
    }

    /// Holds the venue's word against the books while orders pass. What fills say is in them already; what still differs may
    /// be on its way, and is believed when the venue says the same again (F24): then everything is reconciled.
    fn look(&mut self, now: Timestamp, venue: &VenueSnapshot, found: &[Finding], freshness: Freshness, out: &mut Out) {
        self.follow_open(now, venue, out);
        self.watch(now, found, out);
        let agreed = self.doubts.observe(now, found, freshness);
        let serious = |finding: &Finding| finding.kind() != FindingKind::WalletSlightlyOff;
        if agreed.confirmed.iter().any(serious) {
            return self.recover(now, out);
        }
        if agreed.waiting.iter().any(serious) {
            self.checked = now - (CHECK_EVERY - QUERY_EVERY.max(freshness.confirms_after() / LOOKS_WHILE_WAITING));
        } else {
            self.reconciled = Some(now);
            self.settle(now, venue, &agreed.confirmed, out);
        }
    }

    /// Orders that the venue shows otherwise than they are here are asked for by name.
    fn follow_open(&mut self, now: Timestamp, venue: &VenueSnapshot, out: &mut Out) {
        for id in &self.live {
            let Some(order) = self.orders.get_mut(id).filter(|order| order.status != OrderStatus::Persisting) else { continue };
            match venue.open_orders.iter().find(|listed| listed.client_order_id == *id) {
                Some(listed) if listed.filled <= order.filled => {
                    order.trades_from = self.positions.newest_trade(order.order.symbol).unwrap_or_default();
                }
                // Just sent, or just answered: the two may have crossed.
                _ if now.since(order.since) < QUERY_EVERY => {}
                _ => {
                    order.asked = now;
                    out.push(Effect::Send(order.query()));
                }
            }
        }
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
        self.reconciled = Some(now);
        // An answer may have been older than what happened before it was asked for, with nothing here to tell it by.
        self.checked = now - (CHECK_EVERY - BESIDE_WITHIN);
        self.tell_recovered(now, out);
        out.push(Effect::Ready);
        self.open_day(now, out);
        self.republish(now, out);
    }
}
