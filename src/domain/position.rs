//! Positions and profit of one account, from its fills alone. A pure machine in exact decimals: it asks no venue, reads no
//! clock and refuses no fact. Fees are kept apart from profit.
//!
//! A position keeps its **cost**, never an average price. Realised profit is the cash of the closing part less the cost
//! that part takes along, so at every moment `realized + unrealized = cash received − cash paid + quantity × mark`, to the
//! last digit. A partial close takes along a proportional cost, rounded to [`COST_SCALE`] places; the rounding stays in the
//! remaining cost and comes back with the last close, so the total is exact. It holds while an amount has at most 28
//! digits, which is 10¹² USDT at 16 decimals.

use super::mutants::{self, Mutant};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rust_decimal::RoundingStrategy;
use serde::{Deserialize, Serialize};

use super::ids::{AccountId, Symbol};
use super::money::{Money, Price, Quantity};
use super::order::{Fill, FundsKind, FundsMoved, PositionSide, PositionView, Side, VenuePosition};
use super::time::Timestamp;

/// Places that a partial close's share of the cost is rounded to: the smallest unit that venues book (1e-8). Towards zero, as
/// the exchange carried inside does, so that both sides' balances agree to the last digit.
const COST_SCALE: u32 = 8;

/// Executions remembered for an account, over all symbols. A venue repeats a fill within one reconnect or one restart
/// snapshot, which is at most a few hundred; 8,192 leaves a wide margin and costs about 1 MB when full.
const SEEN_MAX: usize = 8_192;

/// One position: the whole of it in one-way mode, one leg in hedge mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    quantity: Quantity,
    cost: Money,
    realized: Money,
    fees: Money,
}

/// What one fill did to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Realised {
    /// Profit of the closed part, fee not deducted.
    pub pnl: Money,
    pub fee: Money,
    /// Unsigned quantity that made the position smaller.
    pub closed: Quantity,
    /// Unsigned quantity that made it larger, after a flip the other way.
    pub opened: Quantity,
}

impl Position {
    /// Signed: short is negative.
    #[must_use]
    pub const fn quantity(&self) -> Quantity {
        self.quantity
    }

    /// What the open quantity was bought for; negative for a short: what it was sold for.
    #[must_use]
    pub const fn cost(&self) -> Money {
        self.cost
    }

    /// Profit of everything closed so far, fees not deducted.
    #[must_use]
    pub const fn realized(&self) -> Money {
        self.realized
    }

    /// Fees paid so far, less rebates.
    #[must_use]
    pub const fn fees(&self) -> Money {
        self.fees
    }

    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.quantity.is_zero()
    }

    /// The average entry, for people and comparisons; rounded where the division does not end. Profit never uses it.
    #[must_use]
    pub fn entry_price(&self) -> Option<Price> {
        self.cost.0.checked_div(self.quantity.0).map(Price)
    }

    /// Profit if the position were closed at `mark`.
    #[must_use]
    pub fn unrealized(&self, mark: Price) -> Money {
        mark * self.quantity - self.cost
    }

    /// Books one execution of `quantity` (unsigned) at `price`. One fill may close, flip and open.
    pub fn apply(&mut self, side: Side, price: Price, quantity: Quantity, fee: Money) -> Realised {
        let against = self.quantity.is_positive() && side == Side::Sell || self.quantity.is_negative() && side == Side::Buy;
        let closed = if against { quantity.min(self.quantity.abs()) } else { Quantity::ZERO };
        let opened = quantity - closed;
        let share = self.take_cost_of(closed);
        let pnl = -(price * side.signed(closed)) - share;
        self.quantity += side.signed(quantity);
        self.cost += price * side.signed(opened);
        self.realized += pnl;
        self.fees += fee;
        Realised { pnl, fee, closed, opened }
    }

    /// Books an execution with whatever the venue took its fee in.
    pub fn book(&mut self, fill: &Fill) -> Realised {
        self.apply(fill.side, fill.price, fill.moved(), fill.fee)
    }

    /// Takes over a quantity and its average entry that our fills do not explain. Profit and fees so far stay.
    pub fn adopt(&mut self, quantity: Quantity, entry_price: Price) {
        self.quantity = quantity;
        self.cost = entry_price * quantity;
    }

    /// Removes from the cost the part that belongs to `closed` and gives it, signed like the cost.
    fn take_cost_of(&mut self, closed: Quantity) -> Money {
        if closed.is_zero() {
            return Money::ZERO;
        }
        let open = self.quantity.abs();
        let share = if closed == open { self.cost } else { proportion(self.cost, closed, open) };
        self.cost -= share;
        share
    }
}

fn proportion(cost: Money, part: Quantity, whole: Quantity) -> Money {
    let product = cost.0.checked_mul(part.0).and_then(|value| value.checked_div(whole.0));
    // Past 28 digits the quotient is taken first. Whatever the share comes to, the rest stays in the cost: totals are exact.
    let share = product.unwrap_or_else(|| cost.0 * (part.0 / whole.0));
    Money(share.round_dp_with_strategy(COST_SCALE, RoundingStrategy::ToZero))
}

/// What became of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was new.
    Booked(Realised),
    /// It was booked before; nothing changed.
    Duplicate,
    /// It was new to us, and is in the position and the wallet that were taken over from the venue after it: they stay as they are.
    Included,
    /// Older than the memory of executions, and not in it: it cannot be told from a duplicate. Nothing changed; the caller
    /// must compare the position with the venue's.
    TooOld,
}

impl Applied {
    /// The booking, if the fill was new.
    #[must_use]
    pub const fn booked(self) -> Option<Realised> {
        match self {
            Self::Booked(realised) => Some(realised),
            Self::Duplicate | Self::Included | Self::TooOld => None,
        }
    }
}

/// Open profit over several positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Valuation {
    pub unrealized: Money,
    /// Open positions that had no mark and count as zero here.
    pub unmarked: usize,
}

/// An account's positions and wallet. `apply` books each (symbol, venue order id, trade id) once; the order id is part of
/// the key because both orders of a self-trade carry one trade id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "State", into = "State")]
pub struct Positions {
    account: AccountId,
    wallet: Money,
    legs: BTreeMap<(Symbol, PositionSide), Position>,
    seen: Seen,
    funds: SeenFunds,
    /// When the venue's wallet was last taken over: what moved it before is in it, whether or not the ledger has told it by then.
    taken_at: Option<Timestamp>,
    /// By the venue's clock: up to when trades are in what was taken over from it, whether or not they have been listed by then.
    covered_until: Option<Timestamp>,
    /// By the venue's clock: the newest trade or entry of its ledger that is known here.
    newest_change: Option<Timestamp>,
    /// By the venue's clock: the newest entry of its ledger that is booked.
    newest_funds: Option<Timestamp>,
}

impl Positions {
    /// A book without positions. `wallet` is the settlement currency's balance without open profit; on spot it includes
    /// holdings at cost, so that equity means the same everywhere.
    #[must_use]
    pub fn new(account: AccountId, wallet: Money) -> Self {
        Self {
            account,
            wallet,
            legs: BTreeMap::new(),
            seen: Seen::default(),
            funds: SeenFunds::default(),
            taken_at: None,
            covered_until: None,
            newest_change: None,
            newest_funds: None,
        }
    }

    /// Trades and ledger entries that are remembered so that none is booked twice.
    #[must_use]
    pub fn remembered(&self) -> (usize, usize) {
        (self.seen.keys.len(), self.funds.keys.len())
    }

    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    #[must_use]
    pub const fn wallet(&self) -> Money {
        self.wallet
    }

    /// What is there beside the holdings: the wallet less what they cost. A spot venue shows this and no wallet.
    #[must_use]
    pub fn cash(&self) -> Money {
        self.wallet - self.cost()
    }

    fn cost(&self) -> Money {
        self.legs.values().map(|leg| leg.cost).sum()
    }

    /// The newest trade booked of each symbol that was ever traded.
    pub fn newest_trades(&self) -> impl Iterator<Item = (Symbol, u64)> {
        self.seen.newest.iter().map(|(symbol, trade)| (*symbol, *trade))
    }

    /// The newest trade booked of a symbol; `None` when none ever was.
    #[must_use]
    pub fn newest_trade(&self, symbol: Symbol) -> Option<u64> {
        self.seen.newest.get(&symbol).copied()
    }

    /// Books a fill of this account; profit and fee go to the wallet.
    pub fn apply(&mut self, fill: &Fill) -> Applied {
        match self.seen.admit(fill) {
            Admission::New => {}
            Admission::Duplicate => return Applied::Duplicate,
            Admission::TooOld => return Applied::TooOld,
        }
        self.newest_change = self.newest_change.max(Some(fill.at));
        if self.covered_until.is_some_and(|until| fill.at <= until) {
            return Applied::Included;
        }
        let leg = self.legs.entry((fill.symbol, fill.position_side)).or_default();
        let realised = leg.book(fill);
        self.wallet += realised.pnl - realised.fee;
        Applied::Booked(realised)
    }

    /// Books an entry of the venue's ledger, once by its id; whether it was new.
    pub fn move_funds(&mut self, moved: &FundsMoved) -> bool {
        let new = self.funds.admit((moved.kind, moved.id));
        if new {
            self.wallet += moved.amount;
            self.newest_change = self.newest_change.max(Some(moved.at));
            self.newest_funds = self.newest_funds.max(Some(moved.at));
        }
        new
    }

    /// Whether an entry of the ledger is older than the wallet that was taken over last, and so a part of it: funds that were paid
    /// in before the first contact, or what a ledger tells later than the wallet does.
    #[must_use]
    pub fn is_in_wallet(&self, moved: &FundsMoved) -> bool {
        self.taken_at.is_some_and(|taken| moved.at <= taken)
    }

    /// Whether that execution is booked, or in what was taken over from the venue.
    #[must_use]
    pub fn has_booked(&self, fill: &Fill) -> bool {
        self.seen.keys.contains(&(fill.symbol, fill.venue_order_id, fill.trade_id))
    }

    /// Whether it is older than what is remembered of executions, and not among it.
    #[must_use]
    pub fn is_forgotten(&self, fill: &Fill) -> bool {
        !self.has_booked(fill) && self.seen.forgotten.get(&fill.symbol).is_some_and(|floor| fill.trade_id <= *floor)
    }

    /// By the venue's clock, the newest thing that is known here to have moved the account: an answer without it is an old one.
    #[must_use]
    pub const fn newest_change(&self) -> Option<Timestamp> {
        self.newest_change
    }

    /// From when on the venue's ledger may have entries that are not in the wallet; `None` before the first contact.
    #[must_use]
    pub fn ledger_from(&self) -> Option<Timestamp> {
        self.newest_funds.max(self.taken_at)
    }

    /// Whether anything was ever held there.
    #[must_use]
    pub fn has_leg(&self, symbol: Symbol, side: PositionSide) -> bool {
        self.legs.contains_key(&(symbol, side))
    }

    /// What was taken over from the venue has every trade up to that moment of its clock: one of them that is listed later is not
    /// booked on top of it.
    pub fn cover_until(&mut self, as_of: Timestamp) {
        self.covered_until = self.covered_until.max(Some(as_of));
    }

    /// The position of a symbol, flat when there never was one. `Both` in one-way mode, a leg in hedge mode.
    #[must_use]
    pub fn position(&self, symbol: Symbol, side: PositionSide) -> Position {
        self.legs.get(&(symbol, side)).copied().unwrap_or_default()
    }

    /// Signed quantity of a symbol over all its legs.
    #[must_use]
    pub fn net(&self, symbol: Symbol) -> Quantity {
        [PositionSide::Both, PositionSide::Long, PositionSide::Short].into_iter().map(|side| self.position(symbol, side).quantity).sum()
    }

    /// Every position that ever was, by symbol and side; flat ones keep their realised profit and fees.
    pub fn iter(&self) -> impl Iterator<Item = (Symbol, PositionSide, &Position)> {
        self.legs.iter().map(|((symbol, side), position)| (*symbol, *side, position))
    }

    /// Positions that are not flat.
    pub fn open(&self) -> impl Iterator<Item = (Symbol, PositionSide, &Position)> {
        self.iter().filter(|(_, _, position)| !position.is_flat())
    }

    #[must_use]
    pub fn realized(&self) -> Money {
        self.legs.values().map(|leg| leg.realized).sum()
    }

    #[must_use]
    pub fn fees(&self) -> Money {
        self.legs.values().map(|leg| leg.fees).sum()
    }

    /// Open profit at the marks.
    #[must_use]
    pub fn unrealized(&self, mark: impl Fn(Symbol) -> Option<Price>) -> Valuation {
        let mut total = Valuation::default();
        for (symbol, _, position) in self.open() {
            match mark(symbol) {
                Some(price) => total.unrealized += position.unrealized(price),
                None => total.unmarked += 1,
            }
        }
        total
    }

    /// Wallet plus open profit at the marks.
    #[must_use]
    pub fn equity(&self, mark: impl Fn(Symbol) -> Option<Price>) -> Money {
        self.wallet + self.unrealized(mark).unrealized
    }

    /// Open positions for people and strategies.
    #[must_use]
    pub fn views(&self, mark: impl Fn(Symbol) -> Option<Price>) -> Vec<PositionView> {
        let view = |(symbol, position_side, position): (Symbol, PositionSide, &Position)| PositionView {
            symbol,
            position_side,
            quantity: position.quantity,
            entry_price: position.entry_price().unwrap_or_default(),
            unrealized: mark(symbol).map_or(Money::ZERO, |price| position.unrealized(price)),
        };
        self.open().map(view).collect()
    }

    /// Takes over the venue's wallet, after a reconciliation that explained the difference. One that does not differ says nothing
    /// about what is still to be told.
    pub fn adopt_wallet(&mut self, wallet: Money, now: Timestamp) {
        if self.wallet != wallet || self.taken_at.is_none() {
            (self.wallet, self.taken_at) = (wallet, Some(now));
        }
    }

    /// When a wallet of the venue's was last taken over.
    #[must_use]
    pub const fn wallet_taken_at(&self) -> Option<Timestamp> {
        self.taken_at
    }

    /// Takes over what a spot venue shows beside the holdings.
    pub fn adopt_cash(&mut self, cash: Money, now: Timestamp) {
        self.adopt_wallet(cash + self.cost(), now);
    }

    /// Takes over a position that the venue shows and our fills do not explain. Profit and fees so far stay.
    pub fn adopt_position(&mut self, position: &VenuePosition) {
        let leg = self.legs.entry((position.symbol, position.position_side)).or_default();
        leg.adopt(position.quantity, position.entry_price);
    }
}

/// Ledger entries remembered: funding comes three times a day for each symbol held, so that this is a month of ten symbols. An
/// older one that came again would be noticed as a difference of the wallet.
const FUNDS_MAX: usize = 1_024;

/// Ledger entries booked lately, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct SeenFunds {
    order: VecDeque<(FundsKind, u64)>,
    keys: BTreeSet<(FundsKind, u64)>,
}

impl SeenFunds {
    fn recalled(order: Vec<(FundsKind, u64)>) -> Self {
        Self { keys: order.iter().copied().collect(), order: order.into() }
    }

    fn admit(&mut self, key: (FundsKind, u64)) -> bool {
        if !self.keys.insert(key) {
            return mutants::on(Mutant::FundingBookedTwice);
        }
        self.order.push_back(key);
        if self.order.len() > FUNDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        true
    }
}

/// One execution of one account.
type ExecutionKey = (Symbol, u64, u64);

enum Admission {
    New,
    Duplicate,
    TooOld,
}

/// Executions booked lately, oldest first, and for each symbol the highest trade id that was forgotten. A venue's trade
/// ids ascend within a symbol, so an id above that floor and not remembered is certainly new.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    order: VecDeque<ExecutionKey>,
    keys: BTreeSet<ExecutionKey>,
    forgotten: BTreeMap<Symbol, u64>,
    /// The highest trade id of each symbol, remembered or forgotten: it follows from the other two.
    newest: BTreeMap<Symbol, u64>,
}

impl Seen {
    fn recalled(order: Vec<ExecutionKey>, forgotten: BTreeMap<Symbol, u64>) -> Self {
        let mut newest = forgotten.clone();
        for (symbol, _, trade_id) in &order {
            raise(&mut newest, *symbol, *trade_id);
        }
        Self { keys: order.iter().copied().collect(), order: order.into(), forgotten, newest }
    }

    fn admit(&mut self, fill: &Fill) -> Admission {
        let trade = if mutants::on(Mutant::TradesToldApartByOrder) { 0 } else { fill.trade_id };
        let key = (fill.symbol, fill.venue_order_id, trade);
        let is_believed = mutants::on(Mutant::RepeatBooked) || mutants::on(Mutant::FillsDoubled);
        if self.keys.contains(&key) && !is_believed {
            return Admission::Duplicate;
        }
        if self.forgotten.get(&fill.symbol).is_some_and(|floor| fill.trade_id <= *floor) {
            return Admission::TooOld;
        }
        self.remember(key);
        Admission::New
    }

    fn remember(&mut self, key: ExecutionKey) {
        if self.order.len() >= SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
            raise(&mut self.forgotten, oldest.0, oldest.2);
        }
        raise(&mut self.newest, key.0, key.2);
        self.keys.insert(key);
        self.order.push_back(key);
    }
}

fn raise(highest: &mut BTreeMap<Symbol, u64>, symbol: Symbol, trade_id: u64) {
    let highest = highest.entry(symbol).or_default();
    *highest = trade_id.max(*highest);
}

/// The checkpoint's shape: lists, because a JSON object has no keys of two parts.
#[derive(Serialize, Deserialize)]
struct State {
    account: AccountId,
    wallet: Money,
    positions: Vec<Leg>,
    seen: Vec<ExecutionKey>,
    forgotten: BTreeMap<Symbol, u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    funds: Vec<(FundsKind, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    covered_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest_change: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest_funds: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Leg {
    symbol: Symbol,
    side: PositionSide,
    #[serde(flatten)]
    position: Position,
}

impl From<Positions> for State {
    fn from(book: Positions) -> Self {
        let leg = |((symbol, side), position)| Leg { symbol, side, position };
        Self {
            account: book.account,
            wallet: book.wallet,
            positions: book.legs.into_iter().map(leg).collect(),
            seen: book.seen.order.into(),
            forgotten: book.seen.forgotten,
            funds: book.funds.order.into(),
            taken_at: book.taken_at,
            covered_until: book.covered_until,
            newest_change: book.newest_change,
            newest_funds: book.newest_funds,
        }
    }
}

impl From<State> for Positions {
    fn from(state: State) -> Self {
        Self {
            account: state.account,
            wallet: state.wallet,
            legs: state.positions.into_iter().map(|leg| ((leg.symbol, leg.side), leg.position)).collect(),
            seen: Seen::recalled(state.seen, state.forgotten),
            funds: SeenFunds::recalled(state.funds),
            taken_at: state.taken_at,
            covered_until: state.covered_until,
            newest_change: state.newest_change,
            newest_funds: state.newest_funds,
        }
    }
}

#[cfg(test)]
#[path = "position_tests.rs"]
mod tests;
