//! One account as risk sees it, and what stops it by itself: a day's loss, a drawdown, a run of refused orders or of losing
//! trades; a strategy that executed too often. A trip is told until it is in force, because its first telling may have met
//! nobody. What a person raises again stays raised; `checks` goes on refusing what may open where the reason stands.

use std::collections::{BTreeMap, VecDeque};

use rust_decimal::Decimal;

use super::super::ids::{AccountId, IntentId, StrategyId, Symbol};
use super::super::ladder::ModeTable;
use super::super::mode::{Mode, Scope};
use super::super::money::{Money, Ratio};
use super::super::order::{AccountView, EquityPeaks, OrderReport, OrderStatus, VenueMargin};
use super::super::time::Timestamp;
use super::book::SymbolBook;
use super::limits::Halts;
use super::window::Window;
use super::{Effect, Out, RiskMachine, controls};

#[derive(Debug, Default)]
pub(super) struct Account {
    /// False until its executor told its book to this incarnation: nothing passes before.
    pub(super) known: bool,
    /// Its executor said something to this incarnation, or there is none: no approval of an earlier one is on its way.
    pub(super) spoken: bool,
    /// What is in `books` is from the executor, or at least from the journal.
    pub(super) heard_of: bool,
    pub(super) books: BTreeMap<Symbol, SymbolBook>,
    /// Symbol of each order with a reservation.
    pub(super) open: BTreeMap<IntentId, Symbol>,
    pub(super) messages: Window,
    pub(super) equity: Money,
    /// `None` while it is not known, which is no basis for an order that may open.
    pub(super) day_pnl: Option<Money>,
    pub(super) peaks: Option<EquityPeaks>,
    /// As the venue last showed it.
    pub(super) margin: Option<VenueMargin>,
    /// The share of its worth that a position of a symbol ties up, by the leverage that the venue has for it.
    pub(super) shares: BTreeMap<Symbol, Ratio>,
    /// What opening orders tie up, by when they were approved: the venue's figures may not have them yet.
    pub(super) committed: VecDeque<(Timestamp, Money)>,
    /// Sums over `books`: margin tied up, maintenance margin, and what is lost at the stops.
    pub(super) initial: Money,
    pub(super) maintenance: Money,
    pub(super) at_risk: Money,
    /// Orders that the venue refused, and trades that closed with a loss, one after the other.
    pub(super) rejects: u32,
    pub(super) losses: u32,
    trips: BTreeMap<&'static str, Trip>,
}

/// How far a trip has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Trip {
    #[default]
    Within,
    /// Past the limit, and not halted yet.
    Told,
    /// Halted since.
    Heard,
}

/// One reached limit, in words.
pub(super) struct Reached {
    limit: String,
    found: String,
}

/// What of a position's worth is tied up at that leverage.
pub(super) fn share_of(leverage: u8) -> Ratio {
    Ratio(Decimal::ONE / Decimal::from(leverage.max(1)))
}

/// What the venue's figures may lag behind an approval: it reaches the venue behind a journal's commit and a way there and back.
/// What is older than this when the venue's figures come is in them.
const LAG: std::time::Duration = std::time::Duration::from_secs(2);

impl Account {
    /// Books begin anew; what is known of the account as a whole stays.
    pub(super) fn begin_books(&mut self) {
        self.books.clear();
        self.open.clear();
        (self.initial, self.maintenance, self.at_risk) = (Money::ZERO, Money::ZERO, Money::ZERO);
        self.heard_of = true;
    }

    /// Runs of failures: an order that the venue took ends a run of refused ones, a trade without a loss one of losing ones.
    pub(super) fn follow(&mut self, report: &OrderReport, closed: Option<Money>) {
        match report.status {
            OrderStatus::Rejected => self.rejects = self.rejects.saturating_add(1),
            OrderStatus::Working | OrderStatus::Filled => self.rejects = 0,
            _ => {}
        }
        match closed {
            Some(result) if result.is_negative() => self.losses = self.losses.saturating_add(1),
            Some(_) => self.losses = 0,
            None => {}
        }
    }

    fn take_view(&mut self, view: &AccountView) {
        (self.equity, self.day_pnl, self.peaks) = (view.equity, view.day_pnl, view.peaks);
        let newer = view.margin.as_ref().is_some_and(|margin| self.margin.as_ref().is_none_or(|known| known.at < margin.at));
        if newer {
            self.margin.clone_from(&view.margin);
            let at = self.margin.as_ref().map_or(Timestamp::ZERO, |margin| margin.at);
            self.committed.retain(|(approved, _)| *approved + LAG >= at);
        }
        if let Some(margin) = &view.margin {
            self.shares.extend(margin.leverage.iter().map(|(symbol, leverage)| (*symbol, share_of(*leverage))));
        }
        if self.margin.is_none() {
            // Nobody subtracts them from anything: only as many are kept as a figure that comes late would need.
            self.committed.retain(|(approved, _)| *approved + LAG >= view.at);
        }
    }

    pub(super) fn drawdown_day(&self, limit: Ratio) -> Option<Reached> {
        let peak = self.peaks.map(|peaks| peaks.day)?;
        fallen(peak, self.equity, limit, "the day's peak")
    }

    pub(super) fn drawdown(&self, limit: Ratio) -> Option<Reached> {
        let peak = self.peaks.map(|peaks| peaks.ever)?;
        fallen(peak, self.equity, limit, "the highest ever")
    }
}

/// Whether equity fell to the limit or below. A peak that is not above zero says nothing; the margin floor does then.
fn fallen(peak: Money, equity: Money, limit: Ratio, of: &str) -> Option<Reached> {
    let lost = peak - equity;
    (peak.is_positive() && lost >= peak * limit)
        .then(|| Reached { limit: format!("{limit} below {of} of {peak}"), found: format!("{lost} below, at {equity}") })
}

impl RiskMachine {
    /// Watches the day's loss and the drawdowns. A figure that is not known is no day without a loss: what was tripped stays
    /// tripped.
    pub(super) fn account(&mut self, view: &AccountView, out: &mut Out) {
        let id = view.account;
        let known = self.accounts.entry(id).or_default();
        let shares = known.shares.clone();
        known.take_view(view);
        if known.shares != shares {
            let symbols: Vec<Symbol> = known.books.keys().copied().collect();
            symbols.into_iter().for_each(|symbol| self.revalue(id, symbol));
        }
        let (Some(limits), Some(account), Some(day_pnl)) = (self.limits.account(id), self.accounts.get(&id), view.day_pnl) else { return };
        let lost = limits.max_daily_loss.filter(|limit| -day_pnl >= *limit);
        let lost = lost.map(|limit| Reached { limit: limit.to_string(), found: (-day_pnl).to_string() });
        let day = limits.hard.max_drawdown_day.and_then(|limit| account.drawdown_day(limit));
        let ever = limits.hard.max_drawdown.and_then(|limit| account.drawdown(limit));
        let scope = self.drawdown_scope(id);
        self.trip(id, controls::DAILY_LOSS, Scope::Account(id), lost, out);
        self.trip(id, controls::DRAWDOWN_DAY, scope, day, out);
        self.trip(id, controls::DRAWDOWN_PEAK, scope, ever, out);
    }

    fn drawdown_scope(&self, account: AccountId) -> Scope {
        match self.limits.drawdown_halts {
            Halts::Account => Scope::Account(account),
            Halts::Everything => Scope::Global,
        }
    }

    pub(super) fn watch_failures(&mut self, id: AccountId, out: &mut Out) {
        let (Some(limits), Some(account)) = (self.limits.account(id), self.accounts.get(&id)) else { return };
        let run = |limit: Option<u32>, found: u32, what: &str| {
            let limit = limit.filter(|limit| found >= *limit)?;
            Some(Reached { limit: limit.to_string(), found: format!("{found} {what} one after the other") })
        };
        let rejects = run(limits.hard.max_consecutive_rejects, account.rejects, "refused orders");
        let losses = run(limits.hard.max_consecutive_losses, account.losses, "losing trades");
        self.trip(id, controls::CONSECUTIVE_REJECTS, Scope::Account(id), rejects, out);
        self.trip(id, controls::CONSECUTIVE_LOSSES, Scope::Account(id), losses, out);
    }

    fn trip(&mut self, id: AccountId, control: &'static str, scope: Scope, reached: Option<Reached>, out: &mut Out) {
        let halted = self.modes.account(id) == Mode::Halted;
        let Some(account) = self.accounts.get_mut(&id) else { return };
        let Some(Reached { limit, found }) = reached else {
            account.trips.remove(control);
            return;
        };
        let trip = account.trips.entry(control).or_default();
        if *trip != Trip::Heard {
            *trip = if halted { Trip::Heard } else { Trip::Told };
            out.push(Effect::Trip { scope, mode: Mode::Halted, cause: format!("{control}: limit {limit}, found {found}") });
        }
    }

    /// An order of the strategy executed: one time too many disables it, until a named person resumes it (C08).
    pub(super) fn executed(&mut self, now: Timestamp, strategy: StrategyId, out: &mut Out) {
        let limits = self.limits.strategies.get(&strategy);
        let horizon = limits.and_then(|limits| limits.max_executions).map_or(Self::DEFAULT_MESSAGE_HORIZON, |rate| rate.period);
        let most = limits.and_then(|limits| limits.max_repeated_executions);
        self.traffic.executed(now, strategy, horizon);
        let found = self.traffic.executions_of(strategy);
        let Some(most) = most.filter(|most| found >= *most) else { return };
        if self.modes.of(Scope::Strategy(strategy)) >= Mode::ReduceOnly {
            return;
        }
        self.traffic.strategy(strategy).told = true;
        let cause =
            format!("{}: limit {most}, found {found} executed orders since a person last resumed it", controls::REPEATED_EXECUTIONS);
        // Its stops stand: what it has is still closed, and nothing is opened.
        out.push(Effect::Trip { scope: Scope::Strategy(strategy), mode: Mode::ReduceOnly, cause });
    }

    /// A halt that came into force is heard; a person who raises one has looked, and runs of failures begin anew.
    pub(super) fn set_modes(&mut self, modes: ModeTable) {
        let before = std::mem::replace(&mut self.modes, modes);
        for (id, account) in &mut self.accounts {
            let (was, is) = (before.account(*id), self.modes.account(*id));
            if is == Mode::Halted {
                account.trips.values_mut().for_each(|trip| *trip = Trip::Heard);
            } else if was == Mode::Halted {
                (account.rejects, account.losses) = (0, 0);
            }
        }
        for entry in before.iter() {
            if let Scope::Strategy(strategy) = entry.scope
                && self.modes.of(entry.scope) == Mode::Normal
            {
                *self.traffic.strategy(strategy) = Default::default();
            }
        }
    }
}
