//! One account's orders from approval to their end. The machine writes an intent into the journal before it leaves, keeps
//! an order `Unknown` until the venue's definite word, takes fills in any order and twice, and opens in CancelOnly until
//! the account is reconciled with its venue. It holds the last gate's checks; it sends nothing itself.

mod funds;
mod hop;
mod order;
mod peaks;
mod recover;
mod repair;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
mod venue;

use super::mutants::{self, Mutant};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ids::{AccountId, ClientOrderId, Epoch, Incarnation, StrategyId, Symbol};
use super::ladder::ModeTable;
use super::mode::{FaultClass, Mode, Scope};
use super::money::Price;
use super::order::{
    AccountView, NewOrder, OrderIntent, OrderReport, OrderStatus, SelfTradePrevention, VenueCommand, VenueEvent, VenueMargin,
};
use super::outbox::Outbox;
use super::position::Positions;
use super::reconcile::{Doubts, Finding, Reconciliation};
use super::record::Record;
use super::recovery::{AccountState, DayOpen};
use super::risk::{AccountBook, Approved, BUILD};
use super::time::Timestamp;
pub use order::Order;
use peaks::Peaks;
pub use recover::journalled;

/// An order without an answer for so long is `Unknown`. Venues answer within tens of milliseconds; their own engine
/// time-out is 10 s.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// Between two questions about the same order: a venue's read side lags its engine by up to a second under load.
pub const QUERY_EVERY: Duration = Duration::from_secs(1);
/// "Not found" counts as absent only after the request can no longer be accepted: recvWindow 5 s, its 1 s of tolerance,
/// and as much again for the venue's read side (F02). A venue that is given longer is waited for longer.
pub const ABSENT_AFTER: Duration = Duration::from_secs(12);
/// What a venue allows a request's time to be ahead of its own.
const VENUE_TOLERANCE: Duration = Duration::from_secs(1);
/// And only when told twice.
pub const ABSENT_ANSWERS: u32 = 2;
/// Ended orders kept to recognise late words about them. Late words come within seconds; at the venues' limit of 300
/// orders in 10 s this is half a minute.
const TOMBSTONES: usize = 1_024;
/// A venue that says so often, a second apart, that more of an order filled than its trades come to is believed: its list of
/// trades is the one that lacks something, and the position is reconciled.
const BEHIND_MAX: u32 = 4;
/// How far back trades of a symbol are asked for of which none is booked: one answer of a venue covers as much.
pub const LOOK_BACK: Duration = Duration::from_secs(7 * 86_400);
/// How often the books are compared with the venue's while nothing seems wrong: an event that was lost without the stream
/// breaking is noticed by nobody else. It costs a venue's read weight about as much as one order a second.
pub const CHECK_EVERY: Duration = Duration::from_secs(30);
/// How soon they are compared once an order was heard of that is not known here: a hand places several in a row.
pub const BESIDE_WITHIN: Duration = Duration::from_secs(3);
/// How often an account's equity is looked at between fills: a day's loss is then seen within a second.
pub const ACCOUNT_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    Submit(Approved<Arc<OrderIntent>>),
    /// Approved, and nobody stands behind it any more.
    Withdrawn {
        approved: Approved<Arc<OrderIntent>>,
        why: String,
    },
    /// The order's bytes left.
    Sent {
        client_order_id: ClientOrderId,
    },
    /// They did not: the halt gate or the journal held them back.
    NotSent {
        client_order_id: ClientOrderId,
        why: String,
    },
    Cancel {
        symbol: Symbol,
        client_order_id: ClientOrderId,
        reason: String,
    },
    CancelWhere {
        symbol: Option<Symbol>,
        strategy: Option<StrategyId>,
        reason: String,
    },
    SetLeverage {
        symbol: Symbol,
        leverage: u8,
    },
    Venue(VenueEvent),
    Modes(ModeTable),
    /// A risk manager came up and asks for the book; only its approvals count from now on.
    RiskManager(Incarnation),
    /// Somebody restarted and needs every standing again.
    Republish,
    Mark {
        symbol: Symbol,
        price: Price,
    },
    /// The connection to the venue is new: whatever it told meanwhile is lost.
    Reconnected,
    Tick,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Send(VenueCommand),
    Report(Arc<OrderReport>),
    /// To risk: the whole account.
    Book(Box<AccountBook>),
    /// To risk, which has just come up, and to nobody else: the account while it is being reconciled.
    Recovering(Box<AccountBook>),
    /// To strategies, risk and views.
    Account(Box<AccountView>),
    Fault {
        scope: Scope,
        class: FaultClass,
        detail: String,
    },
    /// The account must be held to a stricter mode, until a person looks.
    Trip {
        mode: Mode,
        cause: String,
    },
    /// A reconciliation is over: what it found. Comes before [`Self::Ready`] and before what is told anew behind it.
    Reconciled(Box<Reconciliation>),
    /// The same of a look that was taken while orders pass.
    Found(Vec<Finding>),
    /// Reconciled; orders may pass.
    Ready,
}

type Out = Outbox<Record, Effect>;

#[derive(Debug, Clone, PartialEq)]
enum Phase {
    /// CancelOnly: the venue has been asked, at `asked`; `awaited` are orders whose answer is still due.
    Recovering {
        asked: Timestamp,
        snapshot_seen: bool,
        awaited: Vec<ClientOrderId>,
    },
    Running,
}

/// The machine.
#[derive(Debug)]
pub struct OrderManager {
    account: AccountId,
    epoch: Epoch,
    phase: Phase,
    modes: ModeTable,
    risk: Incarnation,
    /// Boxed: an order is half a kilobyte, and the map moves its neighbours about when one is put in.
    orders: BTreeMap<ClientOrderId, Box<Order>>,
    /// Those of `orders` that have not ended: what a tick and a view look at. `track` adds, `bury` removes.
    live: BTreeSet<ClientOrderId>,
    tombstones: VecDeque<ClientOrderId>,
    positions: Positions,
    /// Held against the venue at least once, in this life or an earlier one.
    met: bool,
    met_at: Option<Timestamp>,
    /// What may be traded here.
    tradable: Vec<Symbol>,
    /// How old an order must be to count as absent.
    absent_after: Duration,
    /// Looks at the account so far.
    looks: u64,
    day: Option<DayOpen>,
    peaks: Peaks,
    /// As the venue last showed it, and what it said of leverage since.
    margin: Option<VenueMargin>,
    leverage: BTreeMap<Symbol, u8>,
    marks: BTreeMap<Symbol, Price>,
    account_told: Timestamp,
    /// When the venue was last asked for everything, and what it showed then that is not believed yet.
    checked: Timestamp,
    doubts: Doubts,
    recovered: repair::Recovered,
    reconciled: Option<Timestamp>,
    started: Timestamp,
    sent: u64,
    fills: u64,
}

impl OrderManager {
    /// `state` is what the journal adds up to; a first life begins with an empty one.
    #[must_use]
    pub fn new(account: AccountId, epoch: Epoch, modes: ModeTable, mut state: AccountState) -> Self {
        if mutants::on(Mutant::OpenOrdersDropped) {
            state.open.clear();
        }
        let orders: BTreeMap<_, _> = state.open.into_iter().map(|(id, open)| (id, Box::new(Order::recovered(open)))).collect();
        Self {
            account,
            epoch,
            phase: Phase::Recovering { asked: Timestamp::ZERO, snapshot_seen: false, awaited: vec![] },
            modes,
            risk: Incarnation(0),
            live: orders.keys().copied().collect(),
            orders,
            tombstones: VecDeque::new(),
            positions: state.positions,
            met: state.met,
            met_at: state.met_at,
            tradable: Vec::new(),
            absent_after: ABSENT_AFTER,
            looks: 0,
            day: state.day,
            peaks: Peaks::recalled(state.peaks),
            margin: None,
            leverage: BTreeMap::new(),
            marks: BTreeMap::new(),
            account_told: Timestamp::ZERO,
            checked: Timestamp::ZERO,
            doubts: Doubts::default(),
            recovered: repair::Recovered::default(),
            reconciled: None,
            started: Timestamp::ZERO,
            sent: state.orders,
            fills: state.fills,
        }
    }

    /// Tells it what may be traded, so that trades are found whose rows the journal has lost.
    #[must_use]
    pub fn trading(mut self, symbols: Vec<Symbol>) -> Self {
        self.tradable = symbols;
        self
    }

    /// Tells it how late the venue may take a request.
    #[must_use]
    pub fn received_within(mut self, window: Duration) -> Self {
        self.absent_after = ABSENT_AFTER.max((window + VENUE_TOLERANCE) * 2);
        self
    }

    /// Asks the venue. Start-up and recovery are one path.
    pub fn start(&mut self, now: Timestamp, out: &mut Out) {
        self.started = now;
        self.recover(now, out);
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Running
    }

    /// When the books were last found to agree with the venue's, or were made to; `None` while orders are held back for it.
    #[must_use]
    pub fn reconciled_at(&self) -> Option<Timestamp> {
        self.reconciled.filter(|_| self.is_ready())
    }

    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The mode that the account is really in: CancelOnly at least, until reconciled.
    #[must_use]
    pub fn mode(&self) -> Mode {
        let asked = self.modes.account(self.account);
        if self.is_ready() { asked } else { asked.max(Mode::CancelOnly) }
    }

    #[must_use]
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values().map(Box::as_ref)
    }

    #[must_use]
    pub fn order(&self, id: ClientOrderId) -> Option<&Order> {
        self.orders.get(&id).map(Box::as_ref)
    }

    /// Orders that the venue may have open.
    pub fn open_orders(&self) -> impl Iterator<Item = &Order> {
        self.live.iter().filter_map(|id| self.order(*id)).filter(|order| !order.status.is_terminal())
    }

    fn track(&mut self, order: Order) {
        let id = order.order.client_order_id;
        self.live.insert(id);
        self.orders.insert(id, Box::new(order));
    }

    /// Orders and fills since the journal began.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.sent, self.fills)
    }

    pub fn on(&mut self, now: Timestamp, input: Input, out: &mut Out) {
        match input {
            Input::Submit(approved) => self.submit(now, approved, out),
            Input::Withdrawn { approved, why } => self.turn_away(now, approved.into_inner(), why, out),
            Input::Sent { client_order_id } => self.sent(now, client_order_id),
            Input::NotSent { client_order_id, why } => self.end(now, client_order_id, OrderStatus::NotSent, Some(why), out),
            Input::Cancel { symbol, client_order_id, reason } => self.cancel(now, symbol, client_order_id, &reason, out),
            Input::CancelWhere { symbol, strategy, reason } => self.cancel_where(now, symbol, strategy, &reason, out),
            Input::SetLeverage { symbol, leverage } => out.push(Effect::Send(VenueCommand::SetLeverage { symbol, leverage })),
            Input::Venue(event) => self.venue(now, event, out),
            Input::Modes(modes) => self.obey(now, modes, out),
            Input::RiskManager(incarnation) => {
                self.risk = self.risk.max(incarnation);
                // What was approved by its predecessor is refused from here on: all that may ever leave is in the book.
                if !self.is_ready() {
                    out.push(Effect::Recovering(Box::new(self.book(now))));
                }
                self.republish(now, out);
            }
            Input::Republish => self.republish(now, out),
            Input::Mark { symbol, price } => {
                self.marks.insert(symbol, price);
            }
            Input::Reconnected => self.recover(now, out),
            Input::Tick => self.tick(now, out),
        }
    }

    /// The last hop: what risk approved is held once more against what is true here and now (C22).
    fn submit(&mut self, now: Timestamp, approved: Approved<Arc<OrderIntent>>, out: &mut Out) {
        let (incarnation, build) = (approved.incarnation(), approved.build());
        let intent = approved.into_inner();
        let client_order_id = ClientOrderId::compose(self.account, self.epoch, intent.id);
        if let Some(known) = self.orders.get(&client_order_id).filter(|_| intent.account == self.account) {
            // Its standing is told again: "not sent" would free the exposure of an order that may stand.
            let detail = format!("client order id {client_order_id} is taken: the intent was submitted before");
            out.push(Effect::Report(Arc::new(known.report(now, self.account, None, Some(detail)))));
            return;
        }
        if let Err(why) = self.last_hop(&intent, incarnation, build) {
            return self.turn_away(now, intent, why, out);
        }
        let order = new_order(client_order_id, &intent);
        let tracked = Order::new(now, Arc::clone(&intent), order.clone(), self.newest_trade(intent.symbol));
        let report = tracked.report(now, self.account, None, None);
        self.track(tracked);
        self.sent += 1;
        let row = Record::OrderIntended { intent, order: order.clone(), risk_incarnation: incarnation };
        if mutants::on(Mutant::SentBeforeDurable) {
            out.push(Effect::Send(VenueCommand::Place(order)));
            out.persist(vec![row], vec![]);
        } else {
            out.persist(vec![row], vec![Effect::Send(VenueCommand::Place(order))]);
        }
        out.push(Effect::Report(Arc::new(report)));
    }

    /// It was never sent: its proposer and risk are told, and nothing of it is kept.
    fn turn_away(&self, now: Timestamp, intent: Arc<OrderIntent>, why: String, out: &mut Out) {
        let order = new_order(ClientOrderId::compose(self.account, self.epoch, intent.id), &intent);
        let mut order = Order::new(now, intent, order, 0);
        order.status = OrderStatus::NotSent;
        out.push(Effect::Report(Arc::new(order.report(now, self.account, None, Some(why)))));
    }

    /// Orders of a strategy or on a symbol that is stopped are cancelled here, because only here is known whose is whose; those
    /// of a whole account are the kill switch's.
    fn obey(&mut self, now: Timestamp, modes: ModeTable, out: &mut Out) {
        let before = std::mem::replace(&mut self.modes, modes);
        self.begin_peaks_anew(now, &before, out);
        let stopped = self.open_orders().filter_map(|order| {
            let (mode, scope) = self.stopped(order)?;
            let within = matches!(scope, Scope::Strategy(_) | Scope::Symbol(_));
            within.then(|| (order.order.symbol, order.order.client_order_id, format!("{scope} is {mode}")))
        });
        for (symbol, id, reason) in stopped.collect::<Vec<_>>() {
            self.cancel(now, symbol, id, &reason, out);
        }
    }

    /// The mode that says that an order of ours must not stand, if one does.
    fn stopped(&self, order: &Order) -> Option<(Mode, Scope)> {
        let intent = order.intent.as_ref()?;
        let (mode, scope) = self.modes.effective(self.account, Some(intent.strategy), intent.symbol);
        let within = matches!(scope, Scope::Strategy(_) | Scope::Symbol(_));
        (mode == Mode::Halted || (mode == Mode::CancelOnly && within)).then_some((mode, scope))
    }

    fn sent(&mut self, now: Timestamp, id: ClientOrderId) {
        if let Some(order) = self.orders.get_mut(&id)
            && order.status == OrderStatus::Persisting
        {
            order.set(now, OrderStatus::Submitted);
        }
    }

    /// Cancels pass in every mode. An order still on its way to the journal does not leave any more; one that left and has no
    /// answer is cancelled when it has.
    fn cancel(&mut self, now: Timestamp, symbol: Symbol, id: ClientOrderId, reason: &str, out: &mut Out) {
        let Some(order) = self.orders.get_mut(&id) else {
            // Not known here, perhaps known there: the venue decides.
            out.push(Effect::Send(VenueCommand::Cancel { symbol, client_order_id: id }));
            return;
        };
        if order.status.is_terminal() || order.status == OrderStatus::PendingCancel {
            return;
        }
        let asked_before = std::mem::replace(&mut order.cancel_wanted, true);
        if order.status == OrderStatus::Working {
            order.set(now, OrderStatus::PendingCancel);
            let row = order.row(self.account, Some(reason.to_owned()));
            let report = order.report(now, self.account, None, Some(reason.to_owned()));
            out.push(Effect::Send(VenueCommand::Cancel { symbol, client_order_id: id }));
            out.persist(vec![row], vec![]);
            out.push(Effect::Report(Arc::new(report)));
        } else if !asked_before {
            // The wish waits for the venue's answer, and must outlive this executor if the answer comes to the next one.
            let why = format!("to be cancelled when it has an answer: {reason}");
            out.persist(vec![order.row(self.account, Some(why))], vec![]);
        }
    }

    fn cancel_where(&mut self, now: Timestamp, symbol: Option<Symbol>, strategy: Option<StrategyId>, reason: &str, out: &mut Out) {
        let wanted: Vec<(Symbol, ClientOrderId)> = self
            .open_orders()
            .filter(|order| symbol.is_none_or(|symbol| order.order.symbol == symbol))
            .filter(|order| strategy.is_none_or(|strategy| order.intent.as_ref().is_some_and(|intent| intent.strategy == strategy)))
            .map(|order| (order.order.symbol, order.order.client_order_id))
            .collect();
        for (symbol, id) in wanted {
            self.cancel(now, symbol, id, reason, out);
        }
    }

    /// Everything that risk and strategies must know, told whole; each report is complete, so telling it twice is harmless.
    fn republish(&mut self, now: Timestamp, out: &mut Out) {
        if !self.is_ready() {
            return;
        }
        let view = self.view(now);
        let open = self.open_reports(now);
        out.push(Effect::Book(Box::new(AccountBook { view: view.clone(), open: open.clone(), since: self.started, build: BUILD })));
        // Orders before the account: a strategy trades from its first view on and must know its orders by then.
        for report in open {
            out.push(Effect::Report(Arc::new(report)));
        }
        out.push(Effect::Account(Box::new(view)));
    }

    fn book(&self, now: Timestamp) -> AccountBook {
        AccountBook { view: self.view(now), open: self.open_reports(now), since: self.started, build: BUILD }
    }

    /// The standing of every order that the venue may have open.
    #[must_use]
    pub fn open_reports(&self, now: Timestamp) -> Vec<OrderReport> {
        self.open_orders().map(|order| order.report(now, self.account, None, None)).collect()
    }

    fn tick(&mut self, now: Timestamp, out: &mut Out) {
        self.ask_again(now, out);
        if let Phase::Recovering { asked, .. } = &self.phase {
            if now.since(*asked) >= ANSWER_DEADLINE {
                self.recover(now, out);
            }
            return;
        }
        if now.since(self.account_told) >= ACCOUNT_EVERY {
            self.tell_account(now, out);
        }
        if now.since(self.checked) >= CHECK_EVERY {
            self.ask_for_everything(now, out);
        }
    }

    /// The newest trade of a symbol that is booked; 0 for none.
    fn newest_trade(&self, symbol: Symbol) -> u64 {
        self.positions.newest_trade(symbol).unwrap_or_default()
    }

    /// Orders whose answer is overdue become unknown and are asked for; unknown ones are asked for again.
    fn ask_again(&mut self, now: Timestamp, out: &mut Out) {
        let running = self.is_ready();
        for id in &self.live {
            let Some(order) = self.orders.get_mut(id) else { continue };
            let overdue = now.since(order.since) >= ANSWER_DEADLINE;
            if order.status == OrderStatus::Submitted && overdue {
                order.set(now, OrderStatus::Unknown);
                let detail = format!("no answer for {ANSWER_DEADLINE:?}");
                out.persist(vec![order.row(self.account, Some(detail.clone()))], vec![]);
                out.push(Effect::Report(Arc::new(order.report(now, self.account, None, Some(detail)))));
                out.push(Effect::Fault {
                    scope: Scope::Account(self.account),
                    class: FaultClass::Transport,
                    detail: format!("no answer about {}", order.order.client_order_id),
                });
            }
            let asking =
                order.status == OrderStatus::Unknown || order.behind > 0 || (order.status == OrderStatus::PendingCancel && overdue);
            if running && asking && now.since(order.asked) >= QUERY_EVERY {
                order.asked = now;
                if order.behind > 0 {
                    out.push(Effect::Send(order.list_trades()));
                }
                out.push(Effect::Send(order.query()));
            }
        }
    }

    pub(super) fn tell_account(&mut self, now: Timestamp, out: &mut Out) {
        self.open_day(now, out);
        out.push(Effect::Account(Box::new(self.view(now))));
    }

    pub(super) fn open_day(&mut self, now: Timestamp, out: &mut Out) {
        self.account_told = now;
        let equity = self.positions.equity(|symbol| self.marks.get(&symbol).copied());
        let unmarked = self.positions.unrealized(|symbol| self.marks.get(&symbol).copied()).unmarked;
        let today = now.utc_day();
        // A day is not opened on an equity that lacks the price of a position.
        if self.day.is_none_or(|day| day.utc_day < today) && unmarked == 0 {
            self.day = Some(DayOpen { utc_day: today, equity });
            out.persist(vec![Record::DayOpened { account: self.account, utc_day: today, equity }], vec![]);
        }
        if unmarked == 0 {
            self.follow_peaks(now, equity, out);
        }
    }

    /// Without figures of the venue's, its word on leverage alone says nothing that could be subtracted from.
    fn venue_margin(&self) -> Option<VenueMargin> {
        let leverage = self.leverage.iter().map(|(symbol, leverage)| (*symbol, *leverage)).collect();
        self.margin.as_ref().map(|margin| VenueMargin { leverage, ..margin.clone() })
    }

    /// The account from our own books.
    #[must_use]
    pub fn view(&self, now: Timestamp) -> AccountView {
        let mark = |symbol: Symbol| self.marks.get(&symbol).copied();
        let valuation = self.positions.unrealized(mark);
        let equity = self.positions.wallet() + valuation.unrealized;
        // While a position has no price the day's figure is not known, and zero would pass for a day without a loss.
        let day_pnl = self.day.filter(|_| valuation.unmarked == 0).map(|day| equity - day.equity);
        AccountView {
            account: self.account,
            wallet: self.positions.wallet(),
            equity,
            day_pnl,
            positions: self.positions.views(mark),
            peaks: self.peaks.reached.filter(|_| valuation.unmarked == 0),
            margin: self.venue_margin(),
            at: now,
        }
    }
}

fn new_order(client_order_id: ClientOrderId, intent: &OrderIntent) -> NewOrder {
    NewOrder {
        client_order_id,
        symbol: intent.symbol,
        side: intent.side,
        position_side: intent.position_side,
        kind: intent.kind,
        time_in_force: intent.time_in_force,
        quantity: intent.quantity,
        reduce_only: intent.reduce_only,
        // Our taker must never eat our own maker; the resting one gives way, so that an exit is not blocked by an entry.
        self_trade_prevention: SelfTradePrevention::ExpireMaker,
    }
}
