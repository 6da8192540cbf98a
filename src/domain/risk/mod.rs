//! The risk gate: every order intent passes through this machine or is not sent. It fails closed: a limit that is not
//! configured refuses. It reserves an order's whole exposure at approval and gives it back only on the venue's definite
//! word. Only this module can make an `Approved`.
//!
//! **Accounts that have not been heard of.** Capital is one limit over all accounts, so an account whose executor is still
//! asking its venue must not count as empty: its neighbours could take the whole limit. Nor may it hold them up, however
//! long its venue is silent. So it counts with what the journal says of it ([`Input::Journalled`]): every position, and every
//! order that may live, filled whole. Only its own orders wait for its executor's [`Input::Book`]. An account that the
//! journal does not know counts as nothing: nothing of ours can be open there.
//!
//! **Symbols without a price.** What has no market price yet is valued at its own: positions at their entry, orders at their
//! limit or trigger, orders at the market at the most that one order may be worth.

mod book;
mod checks;
pub mod controls;
pub mod limits;
mod tables;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::support as tests_support;

use super::mutants::{self, Mutant};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ids::{AccountId, ClientOrderId, Incarnation, IntentId, StrategyId, Symbol};
use super::ladder::ModeTable;
use super::market::MarketView;
use super::mode::{Mode, Scope};
use super::money::{Money, Price, Quantity};
use super::order::{AccountView, OrderIntent, OrderKind, OrderReport, PositionSide, Refusal, Side};
use super::outbox::Outbox;
use super::record::Record;
use super::time::Timestamp;
use book::{Reserved, SymbolBook};
use limits::RiskLimits;

/// Something that risk has passed, and the incarnation of the risk manager that passed it. There is no way to make one
/// outside this module:
///
/// ```compile_fail,E0451
/// use ringfence::domain::{ids::Incarnation, risk::Approved};
/// let forged = Approved { inner: 1, incarnation: Incarnation(1) };
/// ```
///
/// and no constructor that another module could call:
///
/// ```compile_fail,E0624
/// use ringfence::domain::{ids::Incarnation, risk::Approved};
/// let forged = Approved::new(1, Incarnation(1));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Approved<T> {
    inner: T,
    incarnation: Incarnation,
}

impl<T> Approved<T> {
    fn new(inner: T, incarnation: Incarnation) -> Self {
        Self { inner, incarnation }
    }

    #[must_use]
    pub fn get(&self) -> &T {
        &self.inner
    }

    /// The risk manager that approved it; an executor refuses an older one than it knows.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    #[must_use]
    pub fn into_inner(self) -> T {
        self.inner
    }
}

/// An account's books as its executor has them: what risk is rebuilt from.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountBook {
    pub view: AccountView,
    /// Every order that is not terminal, unknown ones included.
    pub open: Vec<OrderReport>,
    /// When this incarnation of the executor came up: what was approved before and is not in `open` died in its
    /// predecessor's mailbox and was never sent.
    pub since: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "an input is moved once; a box for each would cost more than the copy")]
pub enum Input {
    Propose(Arc<OrderIntent>),
    /// A cancel reduces risk: it is never refused, but it is counted.
    Cancel {
        account: AccountId,
        symbol: Symbol,
        client_order_id: ClientOrderId,
        reason: String,
    },
    SetLeverage {
        account: AccountId,
        symbol: Symbol,
        leverage: u8,
    },
    Report(Arc<OrderReport>),
    Market(MarketView),
    /// The executor's word on its whole account; makes a rebuilding account known again.
    Book(AccountBook),
    /// What the journal says of an account: counts until its executor's first word, and is ignored after it.
    Journalled(AccountBook),
    Account(AccountView),
    Modes(ModeTable),
    Limits(Box<RiskLimits>),
    /// Nobody was there to take the approved intent: it was surely not sent.
    NotTaken(Arc<OrderIntent>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Submit(Approved<Arc<OrderIntent>>),
    Refuse(Refusal),
    Cancel {
        account: AccountId,
        symbol: Symbol,
        client_order_id: ClientOrderId,
        reason: String,
    },
    SetLeverage {
        account: AccountId,
        symbol: Symbol,
        leverage: u8,
    },
    /// A limit that stops trading by itself.
    Trip {
        scope: Scope,
        mode: Mode,
        cause: String,
    },
}

/// One account as risk sees it.
#[derive(Debug, Default)]
struct Account {
    /// False until its executor told its book to this incarnation: nothing passes before.
    known: bool,
    /// What is in `books` is from the executor, or at least from the journal.
    heard_of: bool,
    books: BTreeMap<Symbol, SymbolBook>,
    /// Symbol of each order with a reservation.
    open: BTreeMap<IntentId, Symbol>,
    messages: VecDeque<Timestamp>,
    /// `None` while it is not known, which is no basis for an order that may open.
    day_pnl: Option<Money>,
    day_loss: DayLoss,
}

/// How far the trip over a day's loss has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum DayLoss {
    #[default]
    Within,
    /// Past the limit, and the account is not halted yet.
    Told,
    /// The account was halted since. What a person raises again stays so; `checks` lets no opening order pass.
    Heard,
}

/// The last order of one strategy on one account: what its twin would have in common with it.
#[derive(Debug, Clone, Copy)]
struct Twin {
    intent: IntentId,
    side: Side,
    position_side: PositionSide,
    kind: OrderKind,
    quantity: Quantity,
    reduce_only: bool,
    at: Timestamp,
}

impl Twin {
    fn of(intent: &OrderIntent, at: Timestamp) -> Self {
        let OrderIntent { id, side, position_side, kind, quantity, reduce_only, .. } = *intent;
        Self { intent: id, side, position_side, kind, quantity, reduce_only, at }
    }

    fn is_like(&self, other: &OrderIntent) -> bool {
        self.side == other.side
            && self.quantity == other.quantity
            && self.kind == other.kind
            && self.reduce_only == other.reduce_only
            && self.position_side == other.position_side
    }
}

/// The machine.
#[derive(Debug)]
pub struct RiskMachine {
    incarnation: Incarnation,
    limits: RiskLimits,
    modes: ModeTable,
    markets: BTreeMap<Symbol, MarketView>,
    accounts: BTreeMap<AccountId, Account>,
    /// The newest intent approved of each proposer. A proposer counts upwards, so that whatever is not newer was here before.
    newest: BTreeMap<u32, IntentId>,
    twins: BTreeMap<(AccountId, StrategyId, Symbol), Twin>,
    /// Exposure of every account, valued when each book last changed or its market moved.
    capital: Money,
    /// Symbols with exposure that had no price yet: valued with the first one.
    unpriced: BTreeSet<Symbol>,
}

impl RiskMachine {
    #[must_use]
    pub fn new(incarnation: Incarnation, limits: RiskLimits, modes: ModeTable) -> Self {
        Self {
            incarnation,
            limits,
            modes,
            markets: BTreeMap::new(),
            accounts: BTreeMap::new(),
            newest: BTreeMap::new(),
            twins: BTreeMap::new(),
            capital: Money::ZERO,
            unpriced: BTreeSet::new(),
        }
    }

    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Exposure over all accounts, in-flight and unknown orders included.
    #[must_use]
    pub fn capital(&self) -> Money {
        self.capital
    }

    /// Whether the account counts with what is known of it; one that does not wants [`Input::Journalled`].
    #[must_use]
    pub fn has_heard_of(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some_and(|account| account.heard_of)
    }

    pub fn on(&mut self, now: Timestamp, input: Input, out: &mut Outbox<Record, Effect>) {
        match input {
            Input::Propose(intent) => self.propose(now, intent, out),
            Input::Cancel { account, symbol, client_order_id, reason } => {
                self.count_message(now, account);
                out.push(Effect::Cancel { account, symbol, client_order_id, reason });
            }
            Input::SetLeverage { account, symbol, leverage } => {
                out.push(Effect::SetLeverage { account, symbol, leverage });
            }
            Input::Report(report) => self.report(&report),
            Input::Market(view) => self.market(view),
            Input::Book(book) => {
                self.rebuild(&book);
                self.accounts.entry(book.view.account).or_default().known = true;
                self.account(&book.view, out);
            }
            Input::Journalled(book) => {
                if !self.has_heard_of(book.view.account) && !mutants::on(Mutant::SilentAccountUncounted) {
                    self.rebuild(&book);
                }
            }
            Input::Account(view) => self.account(&view, out),
            Input::Modes(modes) => self.set_modes(modes),
            Input::Limits(limits) => self.limits = *limits,
            Input::NotTaken(intent) => self.release(&intent),
        }
    }

    fn propose(&mut self, now: Timestamp, intent: Arc<OrderIntent>, out: &mut Outbox<Record, Effect>) {
        match self.check(now, &intent) {
            Ok(()) => {
                self.reserve(now, &intent);
                out.push(Effect::Submit(Approved::new(intent, self.incarnation)));
            }
            Err(broken) => {
                let refusal = Refusal {
                    intent: intent.id,
                    account: intent.account,
                    strategy: intent.strategy,
                    symbol: intent.symbol,
                    control: broken.control.to_owned(),
                    limit: broken.limit,
                    value: broken.value,
                };
                let (control, limit, value) = (refusal.control.clone(), refusal.limit.clone(), refusal.value.clone());
                out.push(Effect::Refuse(refusal));
                out.persist(vec![Record::OrderRefused { intent, control, limit, value }], vec![]);
            }
        }
    }

    /// From here on the order counts, whatever becomes of it, until the venue says that it is over.
    fn reserve(&mut self, now: Timestamp, intent: &OrderIntent) {
        self.remember(intent.id);
        self.count_message(now, intent.account);
        self.twins.insert((intent.account, intent.strategy, intent.symbol), Twin::of(intent, now));
        let account = self.accounts.entry(intent.account).or_default();
        account.open.insert(intent.id, intent.symbol);
        if !mutants::on(Mutant::InFlightUncounted) {
            account.books.entry(intent.symbol).or_default().reserve(Reserved::of(intent, now));
        }
        self.revalue(intent.account, intent.symbol);
    }

    fn release(&mut self, intent: &OrderIntent) {
        let account = self.accounts.entry(intent.account).or_default();
        account.open.remove(&intent.id);
        if let Some(book) = account.books.get_mut(&intent.symbol) {
            book.release(intent.id);
        }
        self.revalue(intent.account, intent.symbol);
    }

    fn remember(&mut self, id: IntentId) {
        let newest = self.newest.entry(id.proposer()).or_insert(id);
        *newest = (*newest).max(id);
    }

    fn count_message(&mut self, now: Timestamp, account: AccountId) {
        let horizon = self.limits.message_horizon(account);
        let messages = &mut self.accounts.entry(account).or_default().messages;
        messages.push_back(now);
        while messages.front().is_some_and(|first| now.since(*first) >= horizon) {
            messages.pop_front();
        }
    }

    fn report(&mut self, report: &OrderReport) {
        let account = self.accounts.entry(report.account).or_default();
        let book = account.books.entry(report.symbol).or_default();
        if let Some(fill) = &report.fill {
            book.fill(fill);
        }
        if let Some(intent) = report.intent {
            book.update(intent, report);
            if report.status.is_terminal() {
                account.open.remove(&intent);
            } else {
                account.open.insert(intent, report.symbol);
            }
        }
        self.revalue(report.account, report.symbol);
    }

    fn market(&mut self, view: MarketView) {
        let moved = self.markets.insert(view.symbol, view).is_none_or(|before| before.reference() != view.reference());
        if moved && (!self.capital.is_zero() || self.unpriced.remove(&view.symbol)) {
            let holders: smallvec::SmallVec<[AccountId; 8]> =
                self.accounts.iter().filter(|(_, account)| account.books.contains_key(&view.symbol)).map(|(id, _)| *id).collect();
            for account in holders {
                self.revalue(account, view.symbol);
            }
        }
    }

    /// Takes an account's books whole: from its executor, which asked the venue, or before that from the journal.
    fn rebuild(&mut self, book: &AccountBook) {
        // A restarted risk manager learns here whose intents are already out.
        book.open.iter().filter_map(|report| report.intent).for_each(|intent| self.remember(intent));
        let id = book.view.account;
        let account = self.accounts.entry(id).or_default();
        let stale: Money = account.books.values().map(|book| book.valued).sum();
        // Reservations that the executor has not seen yet (approved, still in its mailbox) must not be lost.
        let unseen = account.books.iter().flat_map(|(symbol, book)| book.unseen().map(|reserved| (*symbol, reserved)));
        let in_flight: Vec<_> = unseen.filter(|(_, reserved)| reserved.at >= book.since).collect();
        account.books.clear();
        account.open.clear();
        account.heard_of = true;
        for position in &book.view.positions {
            account.books.entry(position.symbol).or_default().set_position(position);
        }
        for report in &book.open {
            let Some(intent) = report.intent else { continue };
            account.open.insert(intent, report.symbol);
            account.books.entry(report.symbol).or_default().update(intent, report);
        }
        for (symbol, reserved) in in_flight {
            if let Entry::Vacant(entry) = account.open.entry(reserved.intent) {
                entry.insert(symbol);
                account.books.entry(symbol).or_default().reserve(reserved);
            }
        }
        self.capital -= stale;
        let symbols: Vec<Symbol> = self.accounts.get(&id).map(|account| account.books.keys().copied().collect()).unwrap_or_default();
        for symbol in symbols {
            self.revalue(id, symbol);
        }
    }

    /// Watches the day's loss. The trip is told with every view until the account is halted: its first telling may have met
    /// nobody. A figure that is not known is no day without a loss: what was tripped stays tripped.
    fn account(&mut self, view: &AccountView, out: &mut Outbox<Record, Effect>) {
        let limit = self.limits.account(view.account).and_then(|limits| limits.max_daily_loss);
        let halted = self.modes.account(view.account) == Mode::Halted;
        let account = self.accounts.entry(view.account).or_default();
        account.day_pnl = view.day_pnl;
        let (Some(limit), Some(day_pnl)) = (limit, view.day_pnl) else { return };
        let lost = -day_pnl;
        if lost < limit {
            account.day_loss = DayLoss::Within;
        } else if account.day_loss != DayLoss::Heard {
            account.day_loss = if halted { DayLoss::Heard } else { DayLoss::Told };
            let cause = format!("daily_loss: limit {limit}, found {lost}");
            out.push(Effect::Trip { scope: Scope::Account(view.account), mode: Mode::Halted, cause });
        }
    }

    fn set_modes(&mut self, modes: ModeTable) {
        self.modes = modes;
        for (id, account) in &mut self.accounts {
            if account.day_loss == DayLoss::Told && self.modes.account(*id) == Mode::Halted {
                account.day_loss = DayLoss::Heard;
            }
        }
    }

    /// Keeps the running total over all accounts right after one book or its price changed.
    fn revalue(&mut self, account: AccountId, symbol: Symbol) {
        let reference = self.price(symbol);
        let limits = self.limits.account(account).and_then(|limits| limits.symbols.get(&symbol));
        let at_market = limits.and_then(|limits| limits.max_order_value).unwrap_or_default();
        let Some(book) = self.accounts.get_mut(&account).and_then(|account| account.books.get_mut(&symbol)) else { return };
        if reference.is_none() {
            self.unpriced.insert(symbol);
        }
        let value = match reference {
            Some(reference) => reference * book.exposure(),
            None if book.exposure().is_zero() => Money::ZERO,
            // Exposure does not vanish because a feed is late: the old value stands, or what the account's own prices say.
            None => book.valued.max(book.own_value(at_market)),
        };
        self.capital += value - book.valued;
        book.valued = value;
    }

    fn price(&self, symbol: Symbol) -> Option<Price> {
        self.markets.get(&symbol).and_then(MarketView::reference).filter(|price| price.is_positive())
    }

    /// How far back message counts are looked at when no limit says so: a minute, the venues' longest order window but a day.
    pub(super) const DEFAULT_MESSAGE_HORIZON: Duration = Duration::from_secs(60);
}
