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
//!
//! Reading order: `controls` (the names), `limits`, `checks` (one function a control, in the order asked) and `hard` (what may be
//! lost), `crossing` with `gate` (own orders never meet), `account` (what stops trading by itself), `overrides`, `traffic`.

mod account;
mod approved;
mod book;
mod checks;
pub mod controls;
mod crossing;
mod gate;
mod hard;
pub mod limits;
pub mod margin;
mod market_watch;
pub mod overrides;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) use tests::support as tests_support;
mod traffic;
mod window;

use super::mutants::{self, Mutant};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::ids::{AccountId, ClientOrderId, Incarnation, IntentId, OwnerId, StrategyId, Symbol};
use super::ladder::ModeTable;
use super::market::MarketView;
use super::mode::{Mode, Scope};
use super::money::{Money, Price, Quantity, Ratio};
use super::order::{AccountView, OrderIntent, OrderKind, OrderReport, PositionSide, Refusal, Side};
use super::outbox::Outbox;
use super::record::Record;
use super::time::Timestamp;
use account::Account;
pub use approved::{Approved, BUILD};
use book::Reserved;
use checks::{Broken, Passed};
use crossing::Room;
use gate::{Gate, OrderKey, Standing};
use limits::RiskLimits;
use market_watch::MarketWatch;
use overrides::{Override, Overrides};
pub use traffic::DayTraffic;
use traffic::Traffic;

/// An account's books as its executor has them: what risk is rebuilt from.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountBook {
    pub view: AccountView,
    /// Every order that is not terminal, unknown ones included.
    pub open: Vec<OrderReport>,
    /// When this incarnation of the executor came up: what was approved before and is not in `open` died in its
    /// predecessor's mailbox and was never sent.
    pub since: Timestamp,
    /// What the executor was built from. A book of another build is not believed.
    pub build: &'static str,
}

/// What outlives risk managers and daemons, as the journal has it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Memory {
    /// Executed orders of each strategy since a person last resumed it.
    pub executed: BTreeMap<StrategyId, u64>,
    /// Granted and not used yet.
    pub overrides: Vec<Override>,
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
    /// The same while the executor reconciles: all that it may ever have sent is in it, and nothing passes for the account yet.
    Recovering(AccountBook),
    /// What the journal says of an account: counts until its executor's first word, and is ignored after it.
    Journalled(AccountBook),
    /// The account has no executor now, so that none holds an approval: what is known of its orders is all there is.
    Absent(AccountId),
    Account(AccountView),
    Modes(ModeTable),
    Limits(Box<RiskLimits>),
    /// Nobody was there to take the approved intent: it was surely not sent.
    NotTaken(Arc<OrderIntent>),
    /// What the journal has for a risk manager that starts.
    Memory(Memory),
    /// A person's override, durable before it is told here.
    Override(Override),
    Tick,
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

type Out = Outbox<Record, Effect>;

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

/// A symbol's market as risk has it.
#[derive(Debug)]
struct Watched {
    view: Option<MarketView>,
    watch: MarketWatch,
}

/// The machine.
#[derive(Debug)]
pub struct RiskMachine {
    incarnation: Incarnation,
    limits: RiskLimits,
    modes: ModeTable,
    markets: BTreeMap<Symbol, Watched>,
    accounts: BTreeMap<AccountId, Account>,
    /// The newest intent approved of each proposer. A proposer counts upwards, so that whatever is not newer was here before.
    newest: BTreeMap<u32, IntentId>,
    twins: BTreeMap<(AccountId, StrategyId, Symbol), Twin>,
    /// Exposure of every account, valued when each book last changed or its market moved.
    capital: Money,
    /// Symbols with exposure that had no price yet: valued with the first one.
    unpriced: BTreeSet<Symbol>,
    gate: Gate,
    room: Room,
    traffic: Traffic,
    overrides: Overrides,
}

impl RiskMachine {
    #[must_use]
    pub fn new(incarnation: Incarnation, limits: RiskLimits, modes: ModeTable) -> Self {
        let mut machine = Self {
            incarnation,
            limits: RiskLimits::default(),
            modes,
            markets: BTreeMap::new(),
            accounts: BTreeMap::new(),
            newest: BTreeMap::new(),
            twins: BTreeMap::new(),
            capital: Money::ZERO,
            unpriced: BTreeSet::new(),
            gate: Gate::default(),
            room: Room::default(),
            traffic: Traffic::default(),
            overrides: Overrides::default(),
        };
        machine.set_limits(limits);
        machine
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

    /// Whether an executor's word, or that there is no executor, was heard of the account; one without wants [`Input::Absent`]
    /// when nobody is there.
    #[must_use]
    pub fn has_spoken(&self, account: AccountId) -> bool {
        self.accounts.get(&account).is_some_and(|account| account.spoken)
    }

    /// Messages and trades of the day, by account and symbol (C24).
    pub fn order_to_trade(&self) -> impl Iterator<Item = (AccountId, Symbol, DayTraffic)> {
        self.traffic.days()
    }

    pub fn on(&mut self, now: Timestamp, input: Input, out: &mut Out) {
        match input {
            Input::Propose(intent) => self.propose(now, intent, out),
            Input::Cancel { account, symbol, client_order_id, reason } => {
                self.cancel(now, account, symbol, client_order_id, reason, out);
            }
            Input::SetLeverage { account, symbol, leverage } => {
                out.push(Effect::SetLeverage { account, symbol, leverage });
            }
            Input::Report(report) => self.report(now, &report, out),
            Input::Market(view) => self.market(now, view, out),
            Input::Book(book) => self.book(now, &book, true, out),
            Input::Recovering(book) => self.book(now, &book, false, out),
            Input::Journalled(book) => {
                if !self.has_heard_of(book.view.account) && !mutants::on(Mutant::SilentAccountUncounted) {
                    self.rebuild(&book);
                }
            }
            Input::Absent(account) => {
                self.accounts.entry(account).or_default().spoken = true;
                self.let_out(now, out);
            }
            Input::Account(view) => self.account(&view, out),
            Input::Modes(modes) => self.set_modes(modes),
            Input::Limits(limits) => self.set_limits(*limits),
            Input::NotTaken(intent) => {
                self.release(&intent);
                self.let_out(now, out);
            }
            Input::Memory(memory) => self.recall(now, memory),
            Input::Override(granted) => self.overrides.grant(now, granted),
            Input::Tick => self.let_out(now, out),
        }
    }

    fn propose(&mut self, now: Timestamp, intent: Arc<OrderIntent>, out: &mut Out) {
        let checked = self.check_duplicate_id(intent.id).and_then(|()| self.check(now, &intent));
        match checked.and_then(|passed| self.crosses_nothing(&intent).map(|()| passed)) {
            Ok(passed) => self.approve(now, intent, passed, out),
            Err(broken) if broken.control == controls::OWN_CROSS && intent.reduce_only => self.wait(now, intent, broken, out),
            Err(broken) => refuse(intent, broken, out),
        }
    }

    fn approve(&mut self, now: Timestamp, intent: Arc<OrderIntent>, passed: Passed, out: &mut Out) {
        self.remember(intent.id);
        self.reserve(now, &intent, passed.price);
        let used = passed.override_used.map(|(id, controls)| {
            self.overrides.used(id);
            Record::OverrideUsed { id, intent: intent.id, account: intent.account, symbol: intent.symbol, controls }
        });
        let submit = Effect::Submit(Approved::new(intent, self.incarnation));
        match used {
            // Used up before its order is in the journal: it is not used twice, whatever dies between the two.
            Some(row) => out.persist(vec![row], vec![submit]),
            None => out.push(submit),
        }
    }

    /// From here on the order counts, whatever becomes of it, until the venue says that it is over.
    fn reserve(&mut self, now: Timestamp, intent: &OrderIntent, price: Price) {
        self.count_message(now, intent.account, intent.symbol, Some(intent.strategy));
        self.twins.insert((intent.account, intent.strategy, intent.symbol), Twin::of(intent, now));
        let owner = self.owner(intent.account);
        self.gate.put(owner, OrderKey::of(intent), Standing::intended(intent, false));
        let share = self.initial_share(intent.account, intent.symbol);
        let account = self.accounts.entry(intent.account).or_default();
        if !intent.reduce_only {
            account.committed.push_back((now, (price * intent.quantity) * share));
        }
        account.open.insert(intent.id, intent.symbol);
        if !mutants::on(Mutant::InFlightUncounted) {
            account.books.entry(intent.symbol).or_default().reserve(Reserved::of(intent, price, now));
        }
        self.revalue(intent.account, intent.symbol);
    }

    fn release(&mut self, intent: &OrderIntent) {
        self.gate.take(OrderKey::of(intent));
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

    fn cancel(&mut self, now: Timestamp, account: AccountId, symbol: Symbol, id: ClientOrderId, reason: String, out: &mut Out) {
        let key = id.intent(account).map(|intent| OrderKey { account, order: gate::Known::Intent(intent) });
        let strategy = key.and_then(|key| self.gate.standing(key)).and_then(|standing| standing.strategy);
        self.count_message(now, account, symbol, strategy);
        out.push(Effect::Cancel { account, symbol, client_order_id: id, reason });
    }

    fn count_message(&mut self, now: Timestamp, account: AccountId, symbol: Symbol, strategy: Option<StrategyId>) {
        let horizon = |rate: Option<limits::MessageRate>| rate.map_or(Self::DEFAULT_MESSAGE_HORIZON, |rate| rate.period);
        let of_account = self.limits.message_horizon(account);
        self.accounts.entry(account).or_default().messages.note(now, of_account);
        self.traffic.message(now, account, symbol, horizon(self.limits.max_messages));
        if let Some(strategy) = strategy {
            let limits = self.limits.strategies.get(&strategy);
            self.traffic.message_of(now, strategy, horizon(limits.and_then(|limits| limits.max_messages)));
        }
    }

    fn report(&mut self, now: Timestamp, report: &OrderReport, out: &mut Out) {
        let owner = self.owner(report.account);
        let over = self.gate.report(owner, report);
        let account = self.accounts.entry(report.account).or_default();
        let book = account.books.entry(report.symbol).or_default();
        let closed = report.fill.as_ref().and_then(|fill| book.fill(fill));
        if let Some(intent) = report.intent {
            book.update(intent, report);
            if report.status.is_terminal() {
                account.open.remove(&intent);
            } else {
                account.open.insert(intent, report.symbol);
            }
        }
        account.follow(report, closed);
        if let Some(fill) = &report.fill {
            self.traffic.traded(now, report.account, report.symbol);
            // Its first execution: an order counts once, in however many pieces it fills.
            if let Some(strategy) = report.strategy.filter(|_| report.filled == fill.quantity) {
                self.executed(now, strategy, out);
            }
        }
        self.revalue(report.account, report.symbol);
        self.watch_failures(report.account, out);
        if over {
            self.let_out(now, out);
        }
    }

    fn market(&mut self, now: Timestamp, view: MarketView, out: &mut Out) {
        let watched = self.markets.entry(view.symbol).or_insert_with(|| Watched { view: None, watch: MarketWatch::new() });
        let moved = watched.view.replace(view).is_none_or(|before| before.reference() != view.reference());
        if let Some(abnormal) = watched.watch.look(now, &view) {
            let cause = format!("{}: limit {}, found {}, once too often", controls::ABNORMAL_MARKET, abnormal.limit, abnormal.found);
            out.push(Effect::Trip { scope: Scope::Symbol(view.symbol), mode: Mode::Halted, cause });
        }
        if moved && (!self.capital.is_zero() || self.unpriced.remove(&view.symbol)) {
            let holders: smallvec::SmallVec<[AccountId; 8]> =
                self.accounts.iter().filter(|(_, account)| account.books.contains_key(&view.symbol)).map(|(id, _)| *id).collect();
            for account in holders {
                self.revalue(account, view.symbol);
            }
        }
    }

    fn book(&mut self, now: Timestamp, book: &AccountBook, ready: bool, out: &mut Out) {
        // An executor of another program is nobody to rely on: its account stays unknown, and nothing passes for it (C22).
        if book.build != BUILD {
            return;
        }
        self.rebuild(book);
        let account = self.accounts.entry(book.view.account).or_default();
        account.known = ready;
        account.spoken = true;
        if ready {
            self.account(&book.view, out);
        }
        self.let_out(now, out);
    }

    /// Takes an account's books whole: from its executor, which asked the venue, or before that from the journal.
    fn rebuild(&mut self, book: &AccountBook) {
        // A restarted risk manager learns here whose intents are already out.
        book.open.iter().filter_map(|report| report.intent).for_each(|intent| self.remember(intent));
        let id = book.view.account;
        let owner = self.owner(id);
        let account = self.accounts.entry(id).or_default();
        let stale: Money = account.books.values().map(|book| book.valued).sum();
        // Reservations that the executor has not seen yet (approved, still in its mailbox) must not be lost.
        let unseen = account.books.iter().flat_map(|(symbol, book)| book.unseen().map(|reserved| (*symbol, reserved)));
        let in_flight: Vec<_> = unseen.filter(|(_, reserved)| reserved.at >= book.since).collect();
        account.begin_books();
        for position in &book.view.positions {
            account.books.entry(position.symbol).or_default().set_position(position);
        }
        for report in &book.open {
            let Some(intent) = report.intent else { continue };
            account.open.insert(intent, report.symbol);
            account.books.entry(report.symbol).or_default().update(intent, report);
        }
        let mut flying: BTreeSet<IntentId> = BTreeSet::new();
        for (symbol, reserved) in in_flight {
            if let Entry::Vacant(entry) = account.open.entry(reserved.intent) {
                entry.insert(symbol);
                flying.insert(reserved.intent);
                account.books.entry(symbol).or_default().reserve(reserved);
            }
        }
        self.gate.begin(id, |key| matches!(key.order, gate::Known::Intent(intent) if flying.contains(&intent)), &book.open, owner);
        self.capital -= stale;
        let symbols: Vec<Symbol> = self.accounts.get(&id).map(|account| account.books.keys().copied().collect()).unwrap_or_default();
        for symbol in symbols {
            self.revalue(id, symbol);
        }
    }

    fn recall(&mut self, now: Timestamp, memory: Memory) {
        for (strategy, executed) in memory.executed {
            let of = self.traffic.strategy(strategy);
            of.executed = of.executed.max(executed);
        }
        memory.overrides.into_iter().for_each(|granted| self.overrides.grant(now, granted));
    }

    fn set_limits(&mut self, limits: RiskLimits) {
        self.limits = limits;
        let all = self.limits.accounts.values().flat_map(|account| &account.symbols);
        // Where accounts differ, the market is watched by the strictest collar's period; the distance is each account's own.
        let mut watches = BTreeMap::new();
        for (symbol, limits) in all {
            let (collar, abnormal) = watches.entry(*symbol).or_insert((None, None));
            *collar = (*collar).or(limits.period_collar);
            *abnormal = (*abnormal).or(limits.abnormal);
        }
        for (symbol, (collar, abnormal)) in watches {
            let watched = self.markets.entry(symbol).or_insert_with(|| Watched { view: None, watch: MarketWatch::new() });
            watched.watch.obey(collar, abnormal);
        }
        let owners: Vec<(AccountId, OwnerId)> = self.limits.accounts.iter().map(|(id, limits)| (*id, limits.owner)).collect();
        owners.into_iter().for_each(|(account, owner)| self.gate.move_to(owner, account));
        let books: Vec<(AccountId, Symbol)> =
            self.accounts.iter().flat_map(|(id, account)| account.books.keys().map(|symbol| (*id, *symbol))).collect();
        books.into_iter().for_each(|(account, symbol)| self.revalue(account, symbol));
    }

    /// Keeps the running totals right after one book or its price changed.
    fn revalue(&mut self, id: AccountId, symbol: Symbol) {
        let reference = self.price(symbol);
        let limits = self.limits.account(id).and_then(|limits| limits.symbols.get(&symbol));
        let at_market = limits.and_then(|limits| limits.max_order_value).unwrap_or_default();
        // Without a collar no order passes; what is there already may lose all that it is worth.
        let unstopped = limits.and_then(|limits| limits.period_collar).map_or(WHOLE, |collar| collar.distance);
        let share = self.initial_share(id, symbol);
        let brackets = self.limits.brackets.get(&symbol);
        let is_spot = self.is_spot(symbol);
        let Some(account) = self.accounts.get_mut(&id) else { return };
        let Some(book) = account.books.get_mut(&symbol) else { return };
        if reference.is_none() {
            self.unpriced.insert(symbol);
        }
        let value = match reference {
            Some(reference) => reference * book.exposure(),
            None if book.exposure().is_zero() => Money::ZERO,
            // Exposure does not vanish because a feed is late: the old value stands, or what the account's own prices say.
            None => book.valued.max(book.own_value(at_market)),
        };
        let initial = value * share;
        let maintenance = if is_spot { Money::ZERO } else { margin::maintenance(brackets, value) };
        let at_risk = reference.map_or(value * unstopped, |reference| book.risk(reference, unstopped));
        self.capital += value - book.valued;
        account.initial += initial - book.initial;
        account.maintenance += maintenance - book.maintenance;
        account.at_risk += at_risk - book.at_risk;
        (book.valued, book.initial, book.maintenance, book.at_risk) = (value, initial, maintenance, at_risk);
    }

    fn price(&self, symbol: Symbol) -> Option<Price> {
        self.view(symbol).and_then(MarketView::reference).filter(|price| price.is_positive())
    }

    fn view(&self, symbol: Symbol) -> Option<&MarketView> {
        self.markets.get(&symbol).and_then(|watched| watched.view.as_ref())
    }

    fn owner(&self, account: AccountId) -> OwnerId {
        self.limits.account(account).map(|limits| limits.owner).unwrap_or_default()
    }

    fn is_spot(&self, symbol: Symbol) -> bool {
        use super::instrument::InstrumentKind;
        self.limits.instruments.get(&symbol).is_some_and(|instrument| instrument.kind == InstrumentKind::Spot)
    }

    /// The share of a position's worth that it ties up: what the venue said of the symbol's leverage, what the settings say, all of it.
    fn initial_share(&self, account: AccountId, symbol: Symbol) -> Ratio {
        if self.is_spot(symbol) {
            return WHOLE;
        }
        let told = self.accounts.get(&account).and_then(|account| account.shares.get(&symbol).copied());
        let set = || self.limits.account(account).and_then(|limits| limits.leverage).map(account::share_of);
        told.or_else(set).unwrap_or(WHOLE)
    }

    /// How far back message counts are looked at when no limit says so: a minute, the venues' longest order window but a day.
    pub(super) const DEFAULT_MESSAGE_HORIZON: Duration = Duration::from_secs(60);
}

const WHOLE: Ratio = Ratio(rust_decimal::Decimal::ONE);

fn refuse(intent: Arc<OrderIntent>, broken: Broken, out: &mut Out) {
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
