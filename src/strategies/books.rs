//! What a host knows: markets, positions, working orders and account views of one strategy. It only keeps; it decides
//! nothing and proposes nothing. Everything is in ordered maps, so that two runs walk it the same way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::{AccountId, ClientOrderId, IntentId, StrategyId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::market::MarketView;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{AccountView, OrderKind, OrderReport, OrderStatus, Side};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;

/// How long a proposal or a cancel may stay unanswered before it counts as lost with an actor's mailbox: the strategy is told
/// of the proposal, and the cancel is asked for again. An answer takes microseconds, and a killed and restarted risk manager
/// or executor a few seconds.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Cancels kept for lost proposals that may turn up as orders after all. A proposal is lost with an actor, so there are never
/// more than were on their way at once.
const LATE_CANCELS: usize = 1_024;

/// Whose position a strategy takes for its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Holdings {
    /// No other strategy trades these symbols on these accounts: the account's position is the strategy's, whoever made it,
    /// and is the same before and after a restart.
    #[default]
    Whole,
    /// Several strategies share a symbol on an account: only this one's own fills count, on top of what they came to before
    /// (as the journal has it).
    Own(Vec<(AccountId, Symbol, Position)>),
}

/// An order of the strategy that is not terminal.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkingOrder {
    pub intent: IntentId,
    /// `None` until the executor reported it.
    pub client_order_id: Option<ClientOrderId>,
    pub side: Side,
    pub kind: OrderKind,
    pub quantity: Quantity,
    pub filled: Quantity,
    pub reduce_only: bool,
    /// `None` while it is proposed and unanswered.
    pub status: Option<OrderStatus>,
    /// When it was proposed, or first heard of.
    pub since: Timestamp,
    pub(super) cancel: Cancel,
}

/// How far a cancel has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Cancel {
    #[default]
    No,
    /// Wanted before the order had a name that the executor knows; sent with the first report.
    WhenReported(String),
    /// On its way since then; asked for again when that is too long ago and no report shows that it came through.
    Asked { at: Timestamp, reason: String },
}

impl WorkingOrder {
    #[must_use]
    pub fn remaining(&self) -> Quantity {
        self.quantity - self.filled
    }

    /// Whether the venue has it, by its own word.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        matches!(self.status, Some(OrderStatus::Working | OrderStatus::PendingCancel))
    }

    /// Whether the strategy asked for its cancel and no answer says that it goes on.
    #[must_use]
    pub fn is_being_canceled(&self) -> bool {
        self.cancel != Cancel::No || self.status == Some(OrderStatus::PendingCancel)
    }

    /// A cancel that was asked for too long ago, to be asked for now. One that the executor has taken up is its matter: it asks
    /// the venue until it knows, and the next look is as far away as after an ask.
    fn overdue_cancel(&mut self, now: Timestamp) -> Option<DueCancel> {
        let Cancel::Asked { at, reason } = &mut self.cancel else { return None };
        if now < *at + ANSWER_MAX {
            return None;
        }
        *at = now;
        let client_order_id = self.client_order_id?;
        (self.status != Some(OrderStatus::PendingCancel)).then(|| DueCancel { client_order_id, reason: reason.clone() })
    }
}

/// One symbol's market.
#[derive(Debug, Clone)]
pub(super) struct Market {
    pub instrument: Instrument,
    pub view: Option<MarketView>,
    /// Open time of the newest bar given to the strategy: a bar that comes again, from history or live, is skipped.
    pub last_bar: Option<Timestamp>,
}

/// One account as the strategy sees it.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    pub equity: Money,
    pub open: bool,
    pub last_fill_at: Timestamp,
    pub positions: BTreeMap<Symbol, Position>,
    /// By intent, ascending.
    pub working: BTreeMap<Symbol, Vec<WorkingOrder>>,
    /// As last asked for, since the executor last told the account anew.
    pub leverage: BTreeMap<Symbol, u8>,
    /// Why lost proposals are to be cancelled if they turn up.
    late_cancels: BTreeMap<IntentId, String>,
}

#[derive(Debug, Clone)]
pub(super) struct Books {
    strategy: StrategyId,
    pub markets: BTreeMap<Symbol, Market>,
    pub symbols: Arc<[Symbol]>,
    pub accounts: BTreeMap<AccountId, Account>,
    /// Accounts whose books are known, in their order; shared, so that a strategy can walk it while it proposes.
    pub open_accounts: Arc<[AccountId]>,
    whole: bool,
}

/// A cancel that had waited for the order's name.
pub(super) struct DueCancel {
    pub client_order_id: ClientOrderId,
    pub reason: String,
}

/// What nobody answered in time.
#[derive(Default)]
pub(super) struct Unanswered {
    pub proposals: Vec<(AccountId, Symbol, IntentId)>,
    pub cancels: Vec<(AccountId, Symbol, DueCancel)>,
    /// When the next one's time is over.
    pub next: Option<Timestamp>,
}

impl Unanswered {
    fn wait_until(&mut self, deadline: Timestamp) {
        self.next = Some(self.next.map_or(deadline, |earlier| earlier.min(deadline)));
    }
}

impl Books {
    pub fn new(strategy: StrategyId, accounts: &[AccountId], instruments: Vec<Instrument>, holdings: Holdings) -> Self {
        let market = |instrument: Instrument| (instrument.symbol, Market { instrument, view: None, last_bar: None });
        let markets: BTreeMap<_, _> = instruments.into_iter().map(market).collect();
        let mut accounts: BTreeMap<_, _> = accounts.iter().map(|account| (*account, Account::default())).collect();
        let whole = holdings == Holdings::Whole;
        if let Holdings::Own(positions) = holdings {
            for (account, symbol, position) in positions {
                if let Some(known) = accounts.get_mut(&account) {
                    known.positions.insert(symbol, position);
                }
            }
        }
        Self { strategy, symbols: markets.keys().copied().collect(), markets, accounts, open_accounts: Arc::from([]), whole }
    }

    /// Books a report; gives a cancel that had waited for it.
    pub fn on_report(&mut self, report: &OrderReport, now: Timestamp) -> Option<DueCancel> {
        let own = self.is_own(report);
        let account = self.accounts.get_mut(&report.account).filter(|_| self.markets.contains_key(&report.symbol))?;
        if own || self.whole {
            account.book_fill(report);
        }
        match report.intent {
            Some(intent) if own => account.track(report, intent, now),
            _ => None,
        }
    }

    /// Takes a proposal without a report off the books; false when there is none.
    pub fn drop_proposal(&mut self, account: AccountId, symbol: Symbol, intent: IntentId) -> bool {
        self.accounts.get_mut(&account).and_then(|known| known.drop_proposal(symbol, intent)).is_some()
    }

    /// The same for one that was lost: it may turn up as an order after all, and a wish to cancel it is kept until then.
    pub fn lose_proposal(&mut self, account: AccountId, symbol: Symbol, intent: IntentId) {
        let Some(known) = self.accounts.get_mut(&account) else { return };
        if let Some(WorkingOrder { cancel: Cancel::WhenReported(reason), .. }) = known.drop_proposal(symbol, intent) {
            known.late_cancels.insert(intent, reason);
            if known.late_cancels.len() > LATE_CANCELS {
                known.late_cancels.pop_first();
            }
        }
    }

    /// Proposals and cancels whose time to be answered is over. The cancels count as asked for anew.
    pub fn unanswered(&mut self, now: Timestamp) -> Unanswered {
        let mut found = Unanswered::default();
        for (account, known) in &mut self.accounts {
            for (symbol, orders) in &mut known.working {
                for order in orders {
                    if order.status.is_none() {
                        let deadline = order.since + ANSWER_MAX;
                        if deadline <= now {
                            found.proposals.push((*account, *symbol, order.intent));
                        } else {
                            found.wait_until(deadline);
                        }
                    }
                    if let Some(due) = order.overdue_cancel(now) {
                        found.cancels.push((*account, *symbol, due));
                    }
                    if let Cancel::Asked { at, .. } = order.cancel {
                        found.wait_until(at + ANSWER_MAX);
                    }
                }
            }
        }
        found
    }

    /// What the account was asked for may be lost with its executor or with the risk manager.
    pub fn forget_asked(&mut self, account: AccountId) {
        if let Some(known) = self.accounts.get_mut(&account) {
            known.leverage.clear();
        }
    }

    pub fn is_own(&self, report: &OrderReport) -> bool {
        report.strategy == Some(self.strategy)
    }

    /// Whether a fill is the strategy's: its own, or any on a symbol that it has to itself.
    pub fn is_mine(&self, id: StrategyId, by: Option<StrategyId>, symbol: Symbol) -> bool {
        self.markets.contains_key(&symbol) && (self.whole || by == Some(id))
    }

    pub fn is_open(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some_and(|known| known.open)
    }

    /// Takes an account's view over. False when the account is not ours.
    pub fn on_account(&mut self, view: &AccountView) -> bool {
        let Some(account) = self.accounts.get_mut(&view.account) else { return false };
        account.equity = view.equity;
        let opens = !std::mem::replace(&mut account.open, true);
        // A view made before a fill that is booked already would undo it; the next view is right again.
        let outdated = !opens && view.at < account.last_fill_at;
        if self.whole && !outdated {
            account.adopt_positions(view, |symbol| self.markets.contains_key(&symbol));
        }
        if opens {
            self.open_accounts = self.accounts.iter().filter(|(_, known)| known.open).map(|(id, _)| *id).collect();
        }
        true
    }
}

impl Account {
    pub fn insert(&mut self, symbol: Symbol, order: WorkingOrder) {
        let orders = self.working.entry(symbol).or_default();
        let index = orders.partition_point(|other| other.intent < order.intent);
        orders.insert(index, order);
    }

    fn drop_proposal(&mut self, symbol: Symbol, intent: IntentId) -> Option<WorkingOrder> {
        let orders = self.working.get_mut(&symbol)?;
        let index = orders.iter().position(|order| order.intent == intent && order.status.is_none())?;
        Some(orders.remove(index))
    }

    fn book_fill(&mut self, report: &OrderReport) {
        let Some(fill) = &report.fill else { return };
        self.positions.entry(report.symbol).or_default().book(fill);
        self.last_fill_at = report.at;
    }

    fn track(&mut self, report: &OrderReport, intent: IntentId, now: Timestamp) -> Option<DueCancel> {
        let orders = self.working.entry(report.symbol).or_default();
        let place = orders.binary_search_by_key(&intent, |order| order.intent);
        let late_cancel = self.late_cancels.remove(&intent);
        if report.status.is_terminal() {
            if let Ok(index) = place {
                orders.remove(index);
            }
            return None;
        }
        let index = place.unwrap_or_else(|index| {
            let cancel = late_cancel.map_or(Cancel::No, Cancel::WhenReported);
            orders.insert(index, WorkingOrder { cancel, ..heard_of(report, intent, now) });
            index
        });
        follow(&mut orders[index], report, now)
    }

    /// The view's positions, all legs of a symbol together, become the strategy's. One that our fills came to as well keeps
    /// its exact cost.
    fn adopt_positions(&mut self, view: &AccountView, is_ours: impl Fn(Symbol) -> bool) {
        let mut totals: BTreeMap<Symbol, (Quantity, Money)> = self.positions.keys().map(|symbol| (*symbol, Default::default())).collect();
        for position in view.positions.iter().filter(|position| is_ours(position.symbol)) {
            let (quantity, cost) = totals.entry(position.symbol).or_default();
            *quantity += position.quantity;
            *cost += position.entry_price * position.quantity;
        }
        for (symbol, (quantity, cost)) in totals {
            let position = self.positions.entry(symbol).or_default();
            if position.quantity() != quantity {
                position.adopt(quantity, Price(cost.0.checked_div(quantity.0).unwrap_or_default()));
            }
        }
    }
}

fn heard_of(report: &OrderReport, intent: IntentId, now: Timestamp) -> WorkingOrder {
    WorkingOrder {
        intent,
        client_order_id: None,
        side: report.side,
        kind: report.kind,
        quantity: report.quantity,
        filled: report.filled,
        reduce_only: report.reduce_only,
        status: None,
        since: now,
        cancel: Cancel::No,
    }
}

/// Brings an order up to its report; gives the cancel that had waited for the order's name.
fn follow(order: &mut WorkingOrder, report: &OrderReport, now: Timestamp) -> Option<DueCancel> {
    order.client_order_id = Some(report.client_order_id);
    order.quantity = report.quantity;
    order.filled = report.filled;
    // Working again after a cancel was pending: the venue refused the cancel, and it may be asked for anew.
    if order.status == Some(OrderStatus::PendingCancel) && report.status == OrderStatus::Working {
        order.cancel = Cancel::No;
    }
    order.status = Some(report.status);
    match std::mem::take(&mut order.cancel) {
        Cancel::WhenReported(reason) => {
            order.cancel = Cancel::Asked { at: now, reason: reason.clone() };
            Some(DueCancel { client_order_id: report.client_order_id, reason })
        }
        unchanged => {
            order.cancel = unchanged;
            None
        }
    }
}
