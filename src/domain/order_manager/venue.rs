//! The venue's words, in whatever order and however often they come. A terminal order never lives again, a cumulative
//! quantity never falls, a trade is booked once.

use super::super::mutants::{self, Mutant};
use std::sync::Arc;

use super::super::ids::ClientOrderId;
use super::super::mode::{FaultClass, Mode, Scope};
use super::super::order::{EndReason, Fill, OrderReport, OrderStatus, PositionSide, VenueCommand, VenueEvent, VenueOrder};
use super::super::position::Applied;
use super::super::record::Record;
use super::super::time::Timestamp;
use super::order::Order;
use super::{ABSENT_ANSWERS, BEHIND_MAX, BESIDE_WITHIN, CHECK_EVERY, Effect, OrderManager, Out, QUERY_EVERY, TOMBSTONES};

/// Codes of USD-M by which an order ends as it was asked to: post-only that would take, FOK that cannot fill whole.
const ASKED_FOR: [i32; 2] = [-5022, -5021];

/// Codes that say something about the account, whoever's order it is: its key, its money. Whatever else a venue refuses an order
/// for is its proposer's matter.
const ABOUT_ACCOUNT: [i32; 8] = [-1002, -2010, -2014, -2015, -2018, -2019, -2027, -2028];

impl OrderManager {
    pub(super) fn venue(&mut self, now: Timestamp, event: VenueEvent, out: &mut Out) {
        match event {
            VenueEvent::Accepted { client_order_id, venue_order_id, .. } => self.accepted(now, client_order_id, venue_order_id, out),
            VenueEvent::Rejected { client_order_id, code, message, .. } => self.rejected(now, client_order_id, code, &message, out),
            VenueEvent::NotSent { client_order_id, why } => self.not_sent(now, client_order_id, why, out),
            VenueEvent::OutcomeUnknown { client_order_id, why } => self.unknown(now, client_order_id, &why, out),
            VenueEvent::Filled(fill) => self.filled(now, fill, out),
            VenueEvent::Ended { client_order_id, reason, filled, .. } => {
                let status = if reason == EndReason::Canceled { OrderStatus::Canceled } else { OrderStatus::Expired };
                let open = self.orders.get_mut(&client_order_id).filter(|order| !order.status.is_terminal());
                match open.filter(|order| filled > order.filled) {
                    // Its exposure stays reserved until what it filled is booked.
                    Some(order) => fetch_trades(now, order, out),
                    None => self.end(now, client_order_id, status, Some(reason.to_string()), out),
                }
            }
            VenueEvent::CancelRefused { client_order_id, .. } => {
                if mutants::on(Mutant::RefusedCancelEnds) {
                    return self.end(now, client_order_id, OrderStatus::Canceled, None, out);
                }
                if let Some(order) = self.orders.get_mut(&client_order_id)
                    && !order.status.is_terminal()
                {
                    order.asked = now;
                    out.push(Effect::Send(order.query()));
                }
            }
            VenueEvent::OrderIs { client_order_id, order } => self.order_is(now, client_order_id, order, out),
            VenueEvent::SnapshotIs(snapshot) => self.snapshot(now, &snapshot, out),
            VenueEvent::LeverageIs { symbol, leverage } => {
                self.leverage.insert(symbol, leverage);
            }
            VenueEvent::Barred { why } => {
                // Until a person has changed it, and said so.
                out.push(Effect::Trip { mode: Mode::CancelOnly, cause: why });
            }
            VenueEvent::LookAgain { .. } => {
                if self.is_ready() {
                    self.ask_for_everything(now, out);
                }
            }
            // An account that is being reconciled is held back as it is, and its questions are repeated: an outage of minutes must not
            // halt for good what comes back by itself.
            VenueEvent::CommandFailed { .. } if !self.is_ready() => {}
            VenueEvent::CommandFailed { command, why } => {
                out.push(Effect::Fault {
                    scope: Scope::Account(self.account),
                    class: FaultClass::Transport,
                    detail: format!("{command}: {why}"),
                });
            }
        }
        self.finish_recovery(now, out);
    }

    fn accepted(&mut self, now: Timestamp, id: ClientOrderId, venue_order_id: u64, out: &mut Out) {
        let Some(order) = self.orders.get_mut(&id) else { return self.see_beside(now) };
        order.venue_order_id = Some(venue_order_id);
        let answered = matches!(order.status, OrderStatus::Persisting | OrderStatus::Submitted | OrderStatus::Unknown);
        if answered || mutants::on(Mutant::LateAckRegresses) {
            self.working(now, id, out);
        }
    }

    /// An order on the account that is not known here, a person's or under our own name: the books are compared soon, and not with
    /// the next regular look. However many come, the venue's read weight is spent on them no more often than that.
    fn see_beside(&mut self, now: Timestamp) {
        self.checked = self.checked.min(now - (CHECK_EVERY - BESIDE_WITHIN));
    }

    /// Open at the venue; a cancel that waited for this leaves now.
    fn working(&mut self, now: Timestamp, id: ClientOrderId, out: &mut Out) {
        let stopped = self.orders.get(&id).and_then(|order| self.stopped(order)).is_some();
        let Some(order) = self.orders.get_mut(&id) else { return };
        order.found();
        // It was on its way while it was stopped: nobody's sweep has seen it.
        order.cancel_wanted |= stopped;
        order.set(now, if order.cancel_wanted { OrderStatus::PendingCancel } else { OrderStatus::Working });
        if order.cancel_wanted {
            out.push(Effect::Send(VenueCommand::Cancel { symbol: order.order.symbol, client_order_id: id }));
        }
        out.persist(vec![order.row(self.account, None)], vec![]);
        out.push(Effect::Report(Arc::new(order.report(now, self.account, None, None))));
    }

    fn rejected(&mut self, now: Timestamp, id: ClientOrderId, code: i32, message: &str, out: &mut Out) {
        let Some(order) = self.orders.get(&id) else { return };
        // A refusal of an order that traded or stands contradicts the venue's own word: the order is asked for instead.
        if order.filled.is_positive() || matches!(order.status, OrderStatus::Working | OrderStatus::PendingCancel) {
            out.push(Effect::Send(order.query()));
            return;
        }
        let detail = format!("{code} {message}");
        if !ASKED_FOR.contains(&code) && !order.status.is_terminal() {
            let by = order.intent.as_ref().map(|intent| Scope::Strategy(intent.strategy)).filter(|_| !ABOUT_ACCOUNT.contains(&code));
            let scope = by.unwrap_or(Scope::Account(self.account));
            out.push(Effect::Fault { scope, class: FaultClass::VenueReject, detail: format!("{id}: {detail}") });
        }
        self.end(now, id, OrderStatus::Rejected, Some(detail), out);
    }

    /// Nothing is known of it at the venue, unless the venue has said otherwise.
    fn not_sent(&mut self, now: Timestamp, id: ClientOrderId, why: String, out: &mut Out) {
        let on_its_way = |order: &Order| matches!(order.status, OrderStatus::Persisting | OrderStatus::Submitted) && order.filled.is_zero();
        if self.orders.get(&id).is_some_and(|order| on_its_way(order)) {
            self.end(now, id, OrderStatus::NotSent, Some(why), out);
        }
    }

    fn unknown(&mut self, now: Timestamp, id: ClientOrderId, why: &str, out: &mut Out) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        if !matches!(order.status, OrderStatus::Persisting | OrderStatus::Submitted) {
            return;
        }
        if mutants::on(Mutant::UnknownIsFailed) {
            return self.end(now, id, OrderStatus::Rejected, Some(why.to_owned()), out);
        }
        if mutants::on(Mutant::BlindResend) {
            out.push(Effect::Send(VenueCommand::Place(order.order.clone())));
        }
        order.set(now, OrderStatus::Unknown);
        order.asked = now;
        out.push(Effect::Send(order.query()));
        let detail = format!("outcome of {id} unknown: {why}");
        out.push(Effect::Fault { scope: Scope::Account(self.account), class: FaultClass::Transport, detail });
        out.persist(vec![order.row(self.account, Some(why.to_owned()))], vec![]);
        out.push(Effect::Report(Arc::new(order.report(now, self.account, None, Some(why.to_owned())))));
    }

    fn filled(&mut self, now: Timestamp, fill: Fill, out: &mut Out) {
        let status = self.orders.get(&fill.client_order_id).map(|order| order.status);
        let dropped = status.is_some_and(|status| {
            mutants::on(Mutant::LateFillDropped) && status.is_terminal()
                || mutants::on(Mutant::EarlyFillDropped) && status == OrderStatus::Submitted
        });
        if dropped {
            return;
        }
        let (trade_id, symbol) = (fill.trade_id, fill.symbol);
        if self.booked_if_new(now, fill, out) == Applied::TooOld {
            let detail = format!("trade {trade_id} of {symbol} is older than the memory of trades");
            out.push(Effect::Fault { scope: Scope::Account(self.account), class: FaultClass::Data, detail });
            self.ask_for_everything(now, out);
        }
    }

    pub(super) fn booked_if_new(&mut self, now: Timestamp, fill: Fill, out: &mut Out) -> Applied {
        let applied = self.positions.apply(&fill);
        let included = applied == Applied::Included;
        if applied.booked().is_none() && !included {
            return applied;
        }
        self.fills += 1;
        let mut report = self.booked(now, &fill, out);
        if included {
            // Its order goes on by it; nobody's position moves a second time.
            (report.fill, report.detail) = (None, Some("a trade that the position taken over from the venue has in it".to_owned()));
        }
        if !self.is_ready() {
            self.recovered.missed.push((report.strategy, fill.clone()));
        }
        out.push(Effect::Report(Arc::new(report)));
        // Half of what happened while nobody looked is no basis for a day's figure, and its prices are old.
        if self.is_ready() {
            self.mark_from(&fill);
            self.tell_account(now, out);
        }
        applied
    }

    /// Until the market's next mark a new position is worth what it was traded at. The last mark of one that was closed is not
    /// kept: marks come only while there is a position, and hours later it would value the next one.
    fn mark_from(&mut self, fill: &Fill) {
        let sides = [PositionSide::Both, PositionSide::Long, PositionSide::Short];
        if sides.iter().all(|side| self.positions.position(fill.symbol, *side).is_flat()) {
            self.marks.remove(&fill.symbol);
        } else {
            self.marks.entry(fill.symbol).or_insert(fill.price);
        }
    }

    /// Moves the fill's order and writes the rows; a fill of no order of ours is told as what it is.
    fn booked(&mut self, now: Timestamp, fill: &Fill, out: &mut Out) -> OrderReport {
        let id = fill.client_order_id;
        let Some(order) = self.orders.get_mut(&id) else {
            out.persist(vec![Record::Filled { fill: fill.clone(), intent: None, strategy: None }], vec![]);
            self.tell_outside(fill, out);
            return external(now, fill);
        };
        order.fill(fill.quantity);
        order.venue_order_id = Some(fill.venue_order_id);
        let by_hand = order.intent.is_none();
        let (intent, strategy) = (order.intent.as_ref().map(|intent| intent.id), order.intent.as_ref().map(|intent| intent.strategy));
        let mut rows = vec![Record::Filled { fill: fill.clone(), intent, strategy }];
        let before = order.status;
        if order.filled >= order.order.quantity {
            order.set(now, OrderStatus::Filled);
        } else if matches!(before, OrderStatus::Persisting | OrderStatus::Submitted | OrderStatus::Unknown) {
            // A fill before the acknowledgement is an acknowledgement.
            order.set(now, OrderStatus::Working);
        }
        if order.status != before || !order.status.is_terminal() {
            rows.push(order.row(self.account, None));
        }
        out.persist(rows, vec![]);
        let report = order.report(now, self.account, Some(fill.clone()), None);
        let (over, late_cancel) = (order.filled > order.order.quantity, order.cancel_wanted && order.status == OrderStatus::Working);
        let ended = order.status.is_terminal() && !before.is_terminal();
        if over && !mutants::on(Mutant::OverfillUnseen) {
            let (detail, scope) = (format!("{id} filled {} of {}", order.filled, order.order.quantity), Scope::Account(self.account));
            out.push(Effect::Fault { scope, class: FaultClass::Invariant, detail });
        }
        if late_cancel {
            order.set(now, OrderStatus::PendingCancel);
            out.push(Effect::Send(VenueCommand::Cancel { symbol: fill.symbol, client_order_id: id }));
        }
        if ended {
            self.bury(id);
        }
        if by_hand {
            self.tell_outside(fill, out);
        }
        report
    }

    /// A liquidation, a deleveraging, a person's hand: booked like any other, and nothing is opened on the account until a person
    /// has looked (F15, F17). Orders of ours that are not known here any more are no reason.
    fn tell_outside(&self, fill: &Fill, out: &mut Out) {
        if !fill.client_order_id.is_ours(self.account) && !mutants::on(Mutant::ForeignTradeIgnored) {
            let Fill { side, quantity, symbol, price, client_order_id, .. } = fill;
            let cause = format!("{side} {quantity} {symbol} at {price} was traded from outside, by order {client_order_id}");
            out.push(Effect::Trip { mode: Mode::ReduceOnly, cause });
        }
    }

    /// Ends an order, once. What filled stays filled: an order that filled whole is `Filled` whatever is said later.
    pub(super) fn end(&mut self, now: Timestamp, id: ClientOrderId, status: OrderStatus, detail: Option<String>, out: &mut Out) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        if order.status.is_terminal() {
            return;
        }
        order.set(now, status);
        out.persist(vec![order.row(self.account, detail.clone())], vec![]);
        out.push(Effect::Report(Arc::new(order.report(now, self.account, None, detail))));
        self.bury(id);
    }

    fn bury(&mut self, id: ClientOrderId) {
        self.live.remove(&id);
        self.tombstones.push_back(id);
        if self.tombstones.len() > TOMBSTONES
            && let Some(oldest) = self.tombstones.pop_front()
        {
            self.orders.remove(&oldest);
        }
    }

    fn order_is(&mut self, now: Timestamp, id: ClientOrderId, told: Option<VenueOrder>, out: &mut Out) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        if order.status.is_terminal() {
            return self.answered(id);
        }
        let Some(told) = told else { return self.not_found(now, id, out) };
        order.venue_order_id = Some(told.venue_order_id);
        if told.filled > order.filled {
            // The venue's cumulative quantity is ahead of the trades told: fetch them, then ask again; after that, once a second.
            if order.behind == 0 {
                return fetch_trades(now, order, out);
            }
            order.behind += 1;
            if order.behind <= BEHIND_MAX {
                return;
            }
            let detail = format!("{id}: its trades come to {}, the venue says that {} filled", order.filled, told.filled);
            out.push(Effect::Fault { scope: Scope::Account(self.account), class: FaultClass::Data, detail });
            order.assumed += told.filled - order.filled;
            order.filled = told.filled;
            self.checked = now - CHECK_EVERY;
        }
        order.behind = 0;
        if told.status.is_terminal() {
            self.end(now, id, told.status, Some("found by query".to_owned()), out);
        } else if matches!(order.status, OrderStatus::Unknown | OrderStatus::Submitted | OrderStatus::Persisting) {
            self.working(now, id, out);
        } else if order.status == OrderStatus::PendingCancel && now.since(order.since) >= QUERY_EVERY {
            // Not at once: a venue that refuses cancels would be asked and told the same as fast as it answers.
            order.set(now, OrderStatus::PendingCancel);
            out.push(Effect::Send(VenueCommand::Cancel { symbol: told.symbol, client_order_id: id }));
        }
        self.answered(id);
    }

    /// "Not found" is not proof until the request can no longer be on its way, was told twice, apart, and the account's trades do
    /// not have it either (F02, F24).
    fn not_found(&mut self, now: Timestamp, id: ClientOrderId, out: &mut Out) {
        let Some(order) = self.orders.get_mut(&id) else { return };
        order.asked = now;
        if order.not_found == 0 || now.since(order.not_found_at) >= QUERY_EVERY {
            order.not_found += 1;
            order.not_found_at = now;
        }
        let proven = order.not_found >= ABSENT_ANSWERS && now.since(order.created) >= self.absent_after;
        let is_absent = proven || mutants::on(Mutant::NotFoundOnceEnds);
        let unlisted = is_absent && order.trades_asked.is_none_or(|asked| asked == self.looks);
        if unlisted && order.trades_asked.replace(self.looks).is_none() {
            // A trade that comes of it is an acknowledgement.
            out.push(Effect::Send(order.list_trades()));
        }
        if is_absent && (!unlisted || mutants::on(Mutant::NotFoundOnceEnds)) {
            let status = if order.venue_order_id.is_some() { OrderStatus::Canceled } else { OrderStatus::Rejected };
            let detail = format!("the venue does not know it, told {} times, {:?} after it was made", order.not_found, self.absent_after);
            self.end(now, id, status, Some(detail), out);
        } else if order.status == OrderStatus::Working {
            // It is asked for again by the tick; the account need not wait for it, its exposure stays reserved.
            order.set(now, OrderStatus::Unknown);
            let detail = Some("the venue does not know it".to_owned());
            out.persist(vec![order.row(self.account, detail.clone())], vec![]);
            out.push(Effect::Report(Arc::new(order.report(now, self.account, None, detail))));
        }
        self.answered(id);
    }
}

/// The venue has filled more of the order than it told trades of.
fn fetch_trades(now: Timestamp, order: &mut Order, out: &mut Out) {
    order.behind += 1;
    order.asked = now;
    out.push(Effect::Send(order.list_trades()));
    out.push(Effect::Send(order.query()));
}

fn external(now: Timestamp, fill: &Fill) -> OrderReport {
    OrderReport {
        account: fill.account,
        strategy: None,
        intent: None,
        symbol: fill.symbol,
        client_order_id: fill.client_order_id,
        side: fill.side,
        position_side: PositionSide::Both,
        kind: super::super::order::OrderKind::Market,
        reduce_only: false,
        quantity: fill.quantity,
        filled: fill.quantity,
        status: OrderStatus::Filled,
        fill: Some(fill.clone()),
        detail: Some("not made by a strategy here".to_owned()),
        at: now,
        trace: None,
    }
}
