//! Positions and profit of one account, from its fills alone. A pure machine in exact decimals: it asks no venue, reads no
//! clock and refuses no fact. Fees are kept apart from profit.
//!
//! A position keeps its **cost**, never an average price. Realised profit is the cash of the closing part less the cost
//! that part takes along, so at every moment `realized + unrealized = cash received − cash paid + quantity × mark`, to the
//! last digit. A partial close takes along a proportional cost, rounded to [`COST_SCALE`] places; the rounding stays in the
//! remaining cost and comes back with the last close, so the total is exact. It holds while an amount has at most 28
//! digits, which is 10¹² USDT at 16 decimals.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rust_decimal::RoundingStrategy;
use serde::{Deserialize, Serialize};

use super::ids::{AccountId, Symbol};
use super::money::{Money, Price, Quantity};
use super::order::{Fill, PositionSide, PositionView, Side, VenuePosition};

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
            Self::Duplicate | Self::TooOld => None,
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
}

impl Positions {
    /// A book without positions. `wallet` is the settlement currency's balance without open profit; on spot it includes
    /// holdings at cost, so that equity means the same everywhere.
    #[must_use]
    pub fn new(account: AccountId, wallet: Money) -> Self {
        Self { account, wallet, legs: BTreeMap::new(), seen: Seen::default() }
    }

    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    #[must_use]
    pub const fn wallet(&self) -> Money {
        self.wallet
    }

    /// Books a fill of this account; profit and fee go to the wallet.
    pub fn apply(&mut self, fill: &Fill) -> Applied {
        match self.seen.admit(fill) {
            Admission::New => {}
            Admission::Duplicate => return Applied::Duplicate,
            Admission::TooOld => return Applied::TooOld,
        }
        let leg = self.legs.entry((fill.symbol, fill.position_side)).or_default();
        let realised = leg.apply(fill.side, fill.price, fill.quantity, fill.fee);
        self.wallet += realised.pnl - realised.fee;
        Applied::Booked(realised)
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

    /// Takes over the venue's wallet, after a reconciliation that explained the difference.
    pub fn adopt_wallet(&mut self, wallet: Money) {
        self.wallet = wallet;
    }

    /// Takes over a position that the venue shows and our fills do not explain. Profit and fees so far stay.
    pub fn adopt_position(&mut self, position: &VenuePosition) {
        let leg = self.legs.entry((position.symbol, position.position_side)).or_default();
        leg.adopt(position.quantity, position.entry_price);
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
}

impl Seen {
    fn admit(&mut self, fill: &Fill) -> Admission {
        let key = (fill.symbol, fill.venue_order_id, fill.trade_id);
        if self.keys.contains(&key) {
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
            let floor = self.forgotten.entry(oldest.0).or_default();
            *floor = oldest.2.max(*floor);
        }
        self.keys.insert(key);
        self.order.push_back(key);
    }
}

/// The checkpoint's shape: lists, because a JSON object has no keys of two parts.
#[derive(Serialize, Deserialize)]
struct State {
    account: AccountId,
    wallet: Money,
    positions: Vec<Leg>,
    seen: Vec<ExecutionKey>,
    forgotten: BTreeMap<Symbol, u64>,
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
        }
    }
}

impl From<State> for Positions {
    fn from(state: State) -> Self {
        Self {
            account: state.account,
            wallet: state.wallet,
            legs: state.positions.into_iter().map(|leg| ((leg.symbol, leg.side), leg.position)).collect(),
            seen: Seen { keys: state.seen.iter().copied().collect(), order: state.seen.into(), forgotten: state.forgotten },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ClientOrderId;
    use crate::domain::time::Timestamp;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    fn quantity(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    fn account() -> AccountId {
        AccountId::new("main").unwrap()
    }

    fn btc() -> Symbol {
        Symbol::new("BTCUSDT").unwrap()
    }

    fn fill(trade_id: u64, side: Side, at: &str, amount: &str) -> Fill {
        Fill {
            account: account(),
            symbol: btc(),
            client_order_id: ClientOrderId::new("rf-main-1-1").unwrap(),
            venue_order_id: 7,
            trade_id,
            side,
            position_side: PositionSide::Both,
            price: price(at),
            quantity: quantity(amount),
            fee: money("0.01"),
            maker: false,
            at: Timestamp::ZERO,
        }
    }

    #[test]
    fn a_partial_close_takes_its_share_of_the_cost_and_the_last_close_the_rest() {
        let mut position = Position::default();
        position.apply(Side::Buy, price("100"), quantity("1"), Money::ZERO);
        position.apply(Side::Buy, price("101"), quantity("2"), Money::ZERO);
        assert_eq!(position.cost(), money("302"));
        let third = position.apply(Side::Sell, price("110"), quantity("1"), Money::ZERO);
        assert_eq!(third.pnl, money("9.33333334"));
        let rest = position.apply(Side::Sell, price("110"), quantity("2"), Money::ZERO);
        assert_eq!(third.pnl + rest.pnl, money("28"));
        assert!(position.is_flat() && position.cost().is_zero());
    }

    #[test]
    fn one_fill_flips_through_zero_and_opens_at_its_own_price() {
        let mut position = Position::default();
        position.apply(Side::Buy, price("100"), quantity("1"), Money::ZERO);
        let flip = position.apply(Side::Sell, price("90"), quantity("3"), money("0.5"));
        assert_eq!(flip, Realised { pnl: money("-10"), fee: money("0.5"), closed: quantity("1"), opened: quantity("2") });
        assert_eq!((position.quantity(), position.entry_price()), (quantity("-2"), Some(price("90"))));
        assert_eq!(position.unrealized(price("80")), money("20"));
        assert_eq!(position.fees(), money("0.5"));
    }

    #[test]
    fn a_short_earns_when_it_is_bought_back_lower() {
        let mut position = Position::default();
        position.apply(Side::Sell, price("100"), quantity("2"), Money::ZERO);
        assert_eq!(position.apply(Side::Buy, price("90"), quantity("1"), Money::ZERO).pnl, money("10"));
        assert_eq!(position.entry_price(), Some(price("100")));
    }

    #[test]
    fn hedge_legs_do_not_meet() {
        let mut book = Positions::new(account(), money("1000"));
        book.apply(&Fill { position_side: PositionSide::Long, ..fill(1, Side::Buy, "100", "1") });
        book.apply(&Fill { position_side: PositionSide::Short, ..fill(2, Side::Sell, "110", "3") });
        assert_eq!(book.position(btc(), PositionSide::Long).quantity(), quantity("1"));
        assert_eq!(book.position(btc(), PositionSide::Short).quantity(), quantity("-3"));
        assert_eq!((book.net(btc()), book.realized()), (quantity("-2"), Money::ZERO));
    }

    #[test]
    fn a_fill_told_twice_is_booked_once_and_a_self_trades_other_side_is_not_a_repeat() {
        let mut book = Positions::new(account(), money("1000"));
        assert!(book.apply(&fill(1, Side::Buy, "100", "1")).booked().is_some());
        assert_eq!(book.apply(&fill(1, Side::Buy, "100", "1")), Applied::Duplicate);
        assert!(book.apply(&Fill { venue_order_id: 8, ..fill(1, Side::Sell, "100", "1") }).booked().is_some());
        assert_eq!((book.net(btc()), book.wallet()), (Quantity::ZERO, money("999.98")));
    }

    #[test]
    fn a_fill_below_the_forgotten_ids_is_told_apart_from_a_duplicate() {
        let mut book = Positions::new(account(), Money::ZERO);
        for trade_id in 10..10 + SEEN_MAX as u64 + 2 {
            assert!(book.apply(&fill(trade_id, Side::Buy, "100", "1")).booked().is_some());
        }
        assert_eq!(book.apply(&fill(12, Side::Buy, "100", "1")), Applied::Duplicate);
        assert_eq!(book.apply(&fill(11, Side::Buy, "100", "1")), Applied::TooOld);
        assert_eq!(book.seen.order.len(), SEEN_MAX);
    }

    #[test]
    fn a_position_without_a_mark_is_counted_as_such() {
        let mut book = Positions::new(account(), money("1000"));
        book.apply(&fill(1, Side::Buy, "100", "1"));
        assert_eq!(book.unrealized(|_| None), Valuation { unrealized: Money::ZERO, unmarked: 1 });
        assert_eq!(book.equity(|_| Some(price("105"))), money("1004.99"));
        assert_eq!(book.views(|_| Some(price("105")))[0].unrealized, money("5"));
    }

    #[test]
    fn an_adopted_position_keeps_what_was_realised() {
        let mut book = Positions::new(account(), money("1000"));
        book.apply(&fill(1, Side::Buy, "100", "1"));
        book.apply(&fill(2, Side::Sell, "110", "1"));
        book.adopt_position(&VenuePosition {
            symbol: btc(),
            position_side: PositionSide::Both,
            quantity: quantity("-2"),
            entry_price: price("120"),
        });
        let position = book.position(btc(), PositionSide::Both);
        assert_eq!((position.realized(), position.unrealized(price("119"))), (money("10"), money("2")));
    }

    fn fills() -> impl Strategy<Value = Vec<Fill>> {
        let one = (any::<bool>(), 1i64..10_000_000_000, 1i64..10_000_000_000, -1_000_000i64..1_000_000, 0u8..3);
        proptest::collection::vec(one, 1..60).prop_map(|all| {
            let build = |(index, (buy, at, amount, fee, leg)): (usize, (bool, i64, i64, i64, u8))| Fill {
                price: Price(Decimal::new(at, 4)),
                quantity: Quantity(Decimal::new(amount, 6)),
                fee: Money(Decimal::new(fee, 8)),
                position_side: [PositionSide::Both, PositionSide::Long, PositionSide::Short][usize::from(leg)],
                ..fill(index as u64, if buy { Side::Buy } else { Side::Sell }, "1", "1")
            };
            all.into_iter().enumerate().map(build).collect()
        })
    }

    /// What the fills alone say, without any position keeping: the yardstick.
    fn cash_flow_pnl<'a>(fills: impl IntoIterator<Item = &'a Fill>, mark: Price) -> Money {
        let (mut cash, mut quantity) = (Decimal::ZERO, Decimal::ZERO);
        for fill in fills {
            let signed = fill.side.signed(fill.quantity).0;
            cash -= fill.price.0 * signed + fill.fee.0;
            quantity += signed;
        }
        Money(cash + quantity * mark.0)
    }

    proptest! {
        #[test]
        fn profit_equals_the_cash_flows_to_the_last_digit(fills in fills(), mark in 1i64..10_000_000_000) {
            let mark = Price(Decimal::new(mark, 4));
            let mut book = Positions::new(account(), money("1000"));
            for (index, fill) in fills.iter().enumerate() {
                book.apply(fill);
                let unrealized = book.unrealized(|_| Some(mark)).unrealized;
                let expected = cash_flow_pnl(&fills[..=index], mark);
                prop_assert_eq!(book.realized() + unrealized - book.fees(), expected);
                prop_assert_eq!(book.equity(|_| Some(mark)), money("1000") + expected);
            }
        }

        #[test]
        fn repeats_and_a_checkpoint_between_change_nothing(fills in fills(), repeats in proptest::collection::vec(any::<prop::sample::Index>(), 0..60)) {
            let mut plain = Positions::new(account(), money("1000"));
            let mut troubled = plain.clone();
            for (index, fill) in fills.iter().enumerate() {
                plain.apply(fill);
                troubled.apply(fill);
                if let Some(again) = repeats.get(index) {
                    let text = serde_json::to_string(&troubled).unwrap();
                    troubled = serde_json::from_str(&text).unwrap();
                    prop_assert_eq!(troubled.apply(&fills[again.index(index + 1)]), Applied::Duplicate);
                }
            }
            prop_assert_eq!(plain, troubled);
        }
    }
}
