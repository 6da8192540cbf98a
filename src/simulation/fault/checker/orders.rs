//! The checker's own book of orders, and what hangs on an order alone: I1 (no overfill), I2 (approved, durable, sent once, lost
//! never), I7 (one epoch sends). An order is here from its approval on, or from when its bytes leave.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation, StrategyId, Symbol};
use crate::domain::money::Quantity;
use crate::domain::order::{Fill, NewOrder, OrderIntent, OrderReport, OrderStatus, Side, TimeInForce};
use crate::domain::record::Record;

use super::super::venue::VenueFact;
use super::look::{Invariant, Look};
use super::observation::{Observation, Sender};

/// An order as the checker knows it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) account: AccountId,
    pub(super) order: NewOrder,
    pub(super) strategy: Option<StrategyId>,
    pub(super) by: Sender,
    /// Risk let it pass. The kill switch's own orders need nobody.
    approved: bool,
    durable: bool,
    /// How often its bytes left, and how often the venue refused them or they were lost for good.
    left: u32,
    returned: u32,
    taken: bool,
    /// The venue has told so.
    told: bool,
    /// The venue has ended it.
    over: bool,
    /// Approved, and surely never sent.
    void: bool,
    /// What the daemon says of it.
    reported: Option<(OrderStatus, Quantity)>,
    /// By the venue's trades.
    pub(super) filled: Quantity,
}

impl Known {
    fn new(account: AccountId, order: NewOrder) -> Self {
        Self {
            account,
            order,
            strategy: None,
            by: Sender::Executor,
            approved: false,
            durable: false,
            left: 0,
            returned: 0,
            taken: false,
            told: false,
            over: false,
            void: false,
            reported: None,
            filled: Quantity::ZERO,
        }
    }

    /// Whether it may still trade: approved or on its way, and not ended.
    fn may_trade(&self) -> bool {
        !self.over && if self.left == 0 { self.approved && !self.void } else { self.taken || self.left > self.returned }
    }

    /// Approved, and neither sent nor given up.
    pub(super) fn waits_to_leave(&self) -> bool {
        self.left == 0 && self.may_trade()
    }

    pub(super) fn has_left(&self) -> bool {
        self.left > 0
    }

    /// It stands at the venue.
    pub(super) fn stands(&self) -> bool {
        self.taken && !self.over
    }

    pub(super) fn remaining(&self) -> Quantity {
        self.order.quantity - self.filled
    }

    /// On its way: neither taken nor turned back.
    pub(super) fn is_in_flight(&self) -> bool {
        !self.taken && !self.over && self.left > self.returned
    }
}

#[derive(Debug, Default)]
pub(super) struct Orders {
    epoch: Option<Epoch>,
    running: bool,
    known: BTreeMap<ClientOrderId, Known>,
    /// Those that may still trade.
    live: BTreeSet<ClientOrderId>,
    /// Who handed an order over last.
    handed_over: BTreeMap<ClientOrderId, Sender>,
    /// The risk manager that each executor was told of last.
    met: BTreeMap<AccountId, Incarnation>,
}

impl Orders {
    pub(super) fn get(&self, id: ClientOrderId) -> Option<&Known> {
        self.known.get(&id)
    }

    /// Every order that may still trade: approved, on its way, or at the venue.
    pub(super) fn live(&self) -> impl Iterator<Item = &Known> {
        self.live.iter().filter_map(|id| self.known.get(id))
    }

    pub(super) fn handed_over(&mut self, id: ClientOrderId, by: Sender) {
        self.handed_over.insert(id, by);
    }

    /// Who sends an order: what nobody handed over counts as the executor's.
    pub(super) fn sender(&self, id: ClientOrderId) -> Sender {
        self.handed_over.get(&id).copied().unwrap_or(Sender::Executor)
    }

    /// The name of an intent's order in the running epoch.
    pub(super) fn name(&self, intent: &OrderIntent) -> ClientOrderId {
        ClientOrderId::compose(intent.account, self.epoch.unwrap_or_default(), intent.id)
    }

    pub(super) fn observe(&mut self, look: &mut Look, seen: &Observation<'_>) {
        match seen {
            Observation::DaemonUp { epoch, .. } => self.daemon_up(look, *epoch),
            Observation::DaemonDied { .. } => {
                self.running = false;
                self.met.clear();
                // What it said last may not have come to the disk: the next one asks, and says it again.
                self.known.values_mut().for_each(|known| known.reported = None);
                self.forget_unsent(|_| true);
            }
            Observation::ActorDied { name, .. } => {
                if let Some(account) = name.strip_prefix("executor/").and_then(|name| name.parse::<AccountId>().ok()) {
                    self.met.remove(&account);
                    self.forget_unsent(|known| known.account == account);
                }
            }
            Observation::RiskMet { account, risk } => {
                self.met.insert(*account, *risk);
            }
            Observation::Approved { intent, .. } => self.approved(intent),
            Observation::NotTaken { account, intent } => {
                let id = ClientOrderId::compose(*account, self.epoch.unwrap_or_default(), *intent);
                self.not_sent(id);
            }
            Observation::Written { rows } => rows.iter().for_each(|row| self.written(look, row)),
            Observation::Durable { rows } => rows.iter().for_each(|row| self.durable(row)),
            Observation::Left { account, by, order } => self.left(look, *account, *by, order),
            Observation::Reported(report) => self.reported(look, report),
            Observation::Venue(fact) => self.venue(look, fact),
            _ => {}
        }
    }

    fn daemon_up(&mut self, look: &mut Look, epoch: Epoch) {
        look.at(Invariant::I7);
        if self.running {
            look.broke(Invariant::I7, "one daemon", format!("a second one, of epoch {}", epoch.0));
        }
        if let Some(before) = self.epoch.filter(|before| epoch <= *before) {
            look.broke(Invariant::I7, format!("an epoch above {}", before.0), format!("epoch {}", epoch.0));
        }
        (self.epoch, self.running) = (Some(epoch), true);
    }

    fn approved(&mut self, intent: &OrderIntent) {
        let id = self.name(intent);
        let known = self.known.entry(id).or_insert_with(|| Known::new(intent.account, asked(id, intent)));
        if known.left == 0 {
            (known.approved, known.void, known.strategy) = (true, false, Some(intent.strategy));
            self.live.insert(id);
        }
    }

    /// What was approved and has not left dies with whoever held it.
    fn forget_unsent(&mut self, of: impl Fn(&Known) -> bool) {
        let known = &mut self.known;
        self.live.retain(|id| {
            let Some(order) = known.get_mut(id).filter(|order| order.left == 0 && of(order)) else { return true };
            order.void = true;
            false
        });
    }

    fn not_sent(&mut self, id: ClientOrderId) {
        if let Some(known) = self.known.get_mut(&id).filter(|known| known.left == 0) {
            known.void = true;
            self.live.remove(&id);
        }
    }

    /// An executor that was told of a risk manager takes nothing that an earlier one approved.
    fn written(&mut self, look: &mut Look, row: &Record) {
        let Record::OrderIntended { intent, risk_incarnation, .. } = row else { return };
        look.at(Invariant::I2);
        if let Some(met) = self.met.get(&intent.account).filter(|met| risk_incarnation < *met) {
            let found = format!("intent {} by risk manager {risk_incarnation}", intent.id);
            look.broke(Invariant::I2, format!("approvals of risk manager {met} on {}", intent.account), found);
        }
    }

    fn durable(&mut self, row: &Record) {
        if let Record::OrderIntended { intent, order, .. } = row {
            let known = self.known.entry(order.client_order_id).or_insert_with(|| Known::new(intent.account, order.clone()));
            known.durable = true;
        }
    }

    fn left(&mut self, look: &mut Look, account: AccountId, by: Sender, order: &NewOrder) {
        let id = order.client_order_id;
        self.one_epoch(look, account, id);
        look.at(Invariant::I2);
        let known = self.known.entry(id).or_insert_with(|| Known::new(account, order.clone()));
        if by == Sender::Executor {
            if !known.approved {
                look.broke(Invariant::I2, "an approval before bytes leave", format!("{id} left without one"));
            }
            if !known.durable {
                look.broke(Invariant::I2, "an intent on the disk before its bytes leave", format!("{id} left before"));
            }
            if known.order != *order || known.account != account {
                let found = format!("{account}: {order:?}");
                look.broke(Invariant::I2, format!("what was approved: {}: {:?}", known.account, known.order), found);
            }
        } else if !order.reduce_only {
            look.broke(Invariant::I2, format!("orders that only reduce from {by:?}"), format!("{id}, which may open"));
        }
        if known.left > known.returned || known.taken {
            look.broke(Invariant::I2, "one placement of an order", format!("the bytes of {id} left again, {} times before", known.left));
        }
        known.by = by;
        known.left += 1;
        known.void = false;
        if !known.over {
            self.live.insert(id);
        }
    }

    fn one_epoch(&self, look: &mut Look, account: AccountId, id: ClientOrderId) {
        look.at(Invariant::I7);
        let Some(epoch) = self.epoch else { return };
        let found = epoch_of(id, account);
        if found != Some(epoch.0) {
            look.broke(Invariant::I7, format!("orders of epoch {} of {account}", epoch.0), format!("{id} left"));
        }
    }

    /// The daemon's word that an order is over, held against the venue's.
    fn reported(&mut self, look: &mut Look, report: &OrderReport) {
        let id = report.client_order_id;
        if report.status == OrderStatus::NotSent {
            self.not_sent(id);
        }
        let Some(known) = self.known.get_mut(&id) else { return };
        look.at(Invariant::I2);
        let before = known.reported.replace((report.status, report.filled));
        if report.filled > known.filled {
            let found = format!("{id} told to have filled {}", report.filled);
            look.broke(Invariant::I2, format!("at most what the venue traded, {}", known.filled), found);
        }
        if let Some((status, _)) = before.filter(|(status, _)| status.is_terminal() && known.over && !report.status.is_terminal()) {
            look.broke(Invariant::I2, format!("{id} to stay {status}, as the venue has ended it"), report.status.to_string());
        }
        if !report.status.is_terminal() {
            return;
        }
        let on_its_way = known.is_in_flight() && report.status == OrderStatus::NotSent;
        if known.stands() || on_its_way {
            let found = format!("{id} told to be {}, of which {} of {} filled", report.status, known.filled, known.order.quantity);
            look.broke(Invariant::I2, "an order that lives at the venue to live here", found);
        }
    }

    fn venue(&mut self, look: &mut Look, fact: &VenueFact) {
        match fact {
            VenueFact::Taken { account, order } => self.taken(look, *account, order),
            VenueFact::Refused { id, .. } | VenueFact::Lost { id, .. } => {
                if let Some(known) = self.known.get_mut(id) {
                    known.returned += 1;
                    self.settle(*id);
                }
            }
            VenueFact::Ended { id, .. } => {
                if let Some(known) = self.known.get_mut(id) {
                    known.over = true;
                    self.settle(*id);
                }
            }
            VenueFact::Traded(fill) => self.traded(look, fill),
            VenueFact::Left { .. } | VenueFact::Pestered { .. } | VenueFact::Funds { .. } | VenueFact::FromOutside { .. } => {}
        }
    }

    fn settle(&mut self, id: ClientOrderId) {
        if self.known.get(&id).is_some_and(|known| !known.may_trade()) {
            self.live.remove(&id);
        }
    }

    fn taken(&mut self, look: &mut Look, account: AccountId, order: &NewOrder) {
        let id = order.client_order_id;
        if !id.is_ours(account) {
            return;
        }
        look.at(Invariant::I2);
        let known = self.known.entry(id).or_insert_with(|| Known::new(account, order.clone()));
        if known.left == 0 {
            look.broke(Invariant::I2, "at the venue what left here", format!("{id}, which did not"));
        }
        if known.told {
            look.broke(Invariant::I2, "an order once at the venue", format!("{id} was taken twice"));
        }
        if known.order.quantity < order.quantity {
            let (intended, found) = (known.order.quantity, order.quantity);
            look.broke(Invariant::I1, format!("{id} for at most {intended}"), format!("taken for {found}"));
        }
        (known.taken, known.told) = (true, true);
        self.live.insert(id);
        self.settle(id);
    }

    fn traded(&mut self, look: &mut Look, fill: &Fill) {
        let Some(known) = self.known.get_mut(&fill.client_order_id) else { return };
        look.at(Invariant::I1);
        known.filled += fill.quantity;
        let (filled, intended) = (known.filled, known.order.quantity);
        if filled > intended {
            look.broke(Invariant::I1, format!("{} filled at most {intended}", fill.client_order_id), filled.to_string());
        }
        // A fill is told before the order is, where it filled as it came.
        known.taken = true;
        known.over |= filled >= intended;
        self.settle(fill.client_order_id);
    }
}

/// An order as an intent asks for it: what the last hop may send, and nothing else.
fn asked(client_order_id: ClientOrderId, intent: &OrderIntent) -> NewOrder {
    NewOrder {
        client_order_id,
        symbol: intent.symbol,
        side: intent.side,
        position_side: intent.position_side,
        kind: intent.kind,
        time_in_force: intent.time_in_force,
        quantity: intent.quantity,
        reduce_only: intent.reduce_only,
        self_trade_prevention: Default::default(),
    }
}

/// The epoch in one of our names: `rf-<account>-<epoch>-<intent>`.
fn epoch_of(id: ClientOrderId, account: AccountId) -> Option<u32> {
    let rest = id.as_str().strip_prefix("rf-")?.strip_prefix(account.as_str())?.strip_prefix('-')?;
    u32::from_str_radix(rest.split_once('-')?.0, 16).ok()
}

/// Whether two orders could trade with each other: one buys, the other sells, one of them may be there to be met, and their worst
/// prices meet. At the market, triggered or not, the worst price is any.
pub(super) fn could_match(one: &NewOrder, other: &NewOrder) -> bool {
    if one.symbol != other.symbol || one.side == other.side || !(rests(one) || rests(other)) {
        return false;
    }
    let (buy, sell) = if one.side == Side::Buy { (one, other) } else { (other, one) };
    match (buy.kind.limit_price(), sell.kind.limit_price()) {
        (Some(bid), Some(ask)) => bid >= ask,
        _ => true,
    }
}

/// Whether an order may be there to be met: one at a limit that does not end at once.
fn rests(order: &NewOrder) -> bool {
    order.kind.limit_price().is_some() && !matches!(order.time_in_force, TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill)
}

/// Names what an order does, for a violation's text.
pub(super) fn described(known: &Known) -> String {
    let Known { account, order, .. } = known;
    let price = order.kind.limit_price().map_or_else(|| "any price".to_owned(), |price| price.to_string());
    let symbol: Symbol = order.symbol;
    format!("{account}'s {} to {} {} {symbol} at {price}", order.client_order_id, order.side, known.remaining())
}
