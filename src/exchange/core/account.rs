//! One account inside the exchange: wallet, positions, leverage, and what its open orders may still cost. Exact: money is
//! Decimal, every division is rounded once to the venue's eight places and the rest stays in the position, so that
//! `wallet − Σ cost = deposit − Σ signed value of fills − Σ fees` holds to the last digit.

use std::collections::{BTreeMap, VecDeque};

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{AccountId, ClientOrderId};
use crate::domain::instrument::{Instrument, InstrumentKind, Ticks};
use crate::domain::money::Money;
use crate::domain::order::{PositionSide, Side};
use crate::domain::time::Timestamp;

use super::margin::MarginState;
use super::report::{OrderView, TradeView};
use super::spot::SpotAccount;

/// Binance books balances to eight places.
const MONEY_PLACES: u32 = 8;
/// An entry price is a quotient; it is shown to more places than any price step has.
const ENTRY_PLACES: u32 = 12;

/// The most that comes in at once. A decimal has 28 digits: a hundred thousand times as much has its eight places still.
#[must_use]
pub(super) fn amount_max() -> Decimal {
    Decimal::from(1_000_000_000_000_000_i64)
}

/// The numbers of an instrument that accounting needs, computed once.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// The value of one lot at one tick.
    pub value: Decimal,
    pub step: Decimal,
    pub spot: bool,
}

impl Unit {
    #[must_use]
    pub fn of(instrument: &Instrument) -> Self {
        Self {
            value: instrument.price_step.0 * instrument.quantity_step.0,
            step: instrument.quantity_step.0,
            spot: instrument.kind == InstrumentKind::Spot,
        }
    }

    /// `lots × ticks` as money.
    #[must_use]
    pub fn money(&self, lot_ticks: i128) -> Decimal {
        Decimal::from_i128_with_scale(lot_ticks, 0) * self.value
    }
}

/// One position, or one leg of a hedged one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Leg {
    /// Signed: short is negative.
    pub lots: i64,
    /// What the open lots cost, signed like them.
    #[serde(with = "rust_decimal::serde::str")]
    pub cost: Decimal,
    /// The part of the wallet that stands behind this position alone, while it is isolated.
    #[serde(default, with = "rust_decimal::serde::str")]
    pub isolated: Decimal,
    /// Realised since the position was opened, fees apart; and the fees.
    #[serde(default, with = "rust_decimal::serde::str")]
    pub realized: Decimal,
    #[serde(default, with = "rust_decimal::serde::str")]
    pub paid: Decimal,
    #[serde(default)]
    pub updated_at: Timestamp,
}

impl Leg {
    /// Books a trade of signed `lots` worth signed `value`, and returns the profit that it realised.
    fn trade(&mut self, lots: i64, value: Decimal) -> Decimal {
        let closes = self.lots != 0 && (self.lots > 0) != (lots > 0);
        if !closes {
            self.lots += lots;
            self.cost += value;
            return Decimal::ZERO;
        }
        let closing = lots.abs().min(self.lots.abs());
        let removed = share(self.cost, closing, self.lots.abs());
        let closed_value = if closing == lots.abs() { value } else { value * Decimal::from(closing) / Decimal::from(lots.abs()) };
        self.cost -= removed;
        self.lots += self.lots.signum() * -closing;
        let opening = lots + lots.signum() * -closing;
        if opening != 0 {
            self.lots = opening;
            self.cost = value - closed_value;
        }
        -closed_value - removed
    }

    #[must_use]
    pub fn entry_price(&self, unit: &Unit) -> Decimal {
        self.per_unit(self.cost, unit)
    }

    /// Where closing brings back what the position has cost so far, fees and what was realised included.
    #[must_use]
    pub fn break_even_price(&self, unit: &Unit) -> Decimal {
        self.per_unit(self.cost + self.paid - self.realized, unit)
    }

    fn per_unit(&self, amount: Decimal, unit: &Unit) -> Decimal {
        if self.lots == 0 { Decimal::ZERO } else { (amount / (Decimal::from(self.lots) * unit.step)).round_dp(ENTRY_PLACES).normalize() }
    }
}

/// `part ⁄ whole` of an amount, to the venue's places; the whole of it exactly.
pub(super) fn share(amount: Decimal, part: i64, whole: i64) -> Decimal {
    if part == whole {
        return amount;
    }
    (amount * Decimal::from(part) / Decimal::from(whole)).round_dp_with_strategy(MONEY_PLACES, RoundingStrategy::ToZero)
}

/// A fee is rounded against the account, as nobody is paid for a fraction.
#[must_use]
pub fn fee_of(value: Decimal, rate: Decimal) -> Decimal {
    (value * rate).round_dp_with_strategy(MONEY_PLACES, RoundingStrategy::ToPositiveInfinity)
}

/// An account's business on one symbol.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    pub leverage: u8,
    pub hedge: bool,
    /// Each position here has margin of its own (perpetuals).
    pub isolated: bool,
    pub net: Leg,
    pub long: Leg,
    pub short: Leg,
    /// Lots × ticks of open orders that may make a position larger.
    pub open_buys: i128,
    pub open_sells: i128,
    pub open_orders: u32,
    pub waiting_orders: u32,
    pub reducing_orders: u32,
}

impl Slot {
    #[must_use]
    pub fn new(leverage: u8, hedge: bool) -> Self {
        Self {
            leverage,
            hedge,
            isolated: false,
            net: Leg::default(),
            long: Leg::default(),
            short: Leg::default(),
            open_buys: 0,
            open_sells: 0,
            open_orders: 0,
            waiting_orders: 0,
            reducing_orders: 0,
        }
    }

    #[must_use]
    pub const fn leg(&self, position_side: PositionSide) -> &Leg {
        match position_side {
            PositionSide::Both => &self.net,
            PositionSide::Long => &self.long,
            PositionSide::Short => &self.short,
        }
    }

    pub fn leg_mut(&mut self, position_side: PositionSide) -> &mut Leg {
        match position_side {
            PositionSide::Both => &mut self.net,
            PositionSide::Long => &mut self.long,
            PositionSide::Short => &mut self.short,
        }
    }

    pub fn legs(&self) -> impl Iterator<Item = (PositionSide, &Leg)> {
        [(PositionSide::Both, &self.net), (PositionSide::Long, &self.long), (PositionSide::Short, &self.short)]
            .into_iter()
            .filter(|(_, leg)| leg.lots != 0)
    }

    /// How many lots an order of this side could take off the position.
    #[must_use]
    pub fn reducible(&self, position_side: PositionSide, side: Side) -> i64 {
        let lots = self.leg(position_side).lots;
        match side {
            Side::Buy => (-lots).max(0),
            Side::Sell => lots.max(0),
        }
    }

    /// The margin that the position and the open orders hold at this mark.
    #[must_use]
    pub fn margin(&self, unit: &Unit, mark: Ticks, extra_buys: i128, extra_sells: i128) -> Decimal {
        self.exposure(unit, mark, extra_buys, extra_sells) / Decimal::from(self.leverage.max(1))
    }

    /// What the position and the open orders are worth at this mark: the worse of all buys and of all sells filled.
    #[must_use]
    pub fn exposure(&self, unit: &Unit, mark: Ticks, extra_buys: i128, extra_sells: i128) -> Decimal {
        let (buys, sells) = (self.open_buys + extra_buys, self.open_sells + extra_sells);
        let value = |leg: &Leg| i128::from(leg.lots) * i128::from(mark.0);
        let net = value(&self.net);
        let one_way = (net + buys).abs().max((net - sells).abs());
        let hedged = value(&self.long).abs() + value(&self.short).abs();
        // In hedge mode there is no net position, and buys and sells open different legs: both count.
        let worst = if self.hedge { hedged + buys + sells } else { one_way };
        unit.money(worst)
    }

    /// Open profit at this mark.
    #[must_use]
    pub fn unrealized(&self, unit: &Unit, mark: Ticks) -> Decimal {
        self.legs().map(|(_, leg)| unit.money(i128::from(leg.lots) * i128::from(mark.0)) - leg.cost).sum()
    }

    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open_orders == 0 && self.legs().next().is_none()
    }
}

/// How an account is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountSetup {
    pub deposit: Money,
    /// Accounts of one owner never trade with each other, unless an order asks for it.
    pub owner: u32,
    /// Hedge mode: orders name the leg that they work on.
    pub hedge: bool,
}

#[derive(Debug, Clone)]
pub struct Account {
    pub id: AccountId,
    pub owner: u32,
    pub hedge: bool,
    pub wallet: Decimal,
    /// By index of the symbol; only symbols that the account has touched.
    pub slots: BTreeMap<usize, Slot>,
    /// Open orders by client id: index of the symbol, slot.
    pub open: BTreeMap<ClientOrderId, (usize, u32)>,
    /// Orders that ended, newest last, for queries.
    pub closed: VecDeque<OrderView>,
    pub trades: VecDeque<TradeView>,
    /// What only spot has.
    pub spot: SpotAccount,
    /// What only perpetuals have.
    pub margin: MarginState,
}

impl Account {
    #[must_use]
    pub fn new(id: AccountId, setup: AccountSetup) -> Self {
        Self {
            id,
            owner: setup.owner,
            hedge: setup.hedge,
            wallet: setup.deposit.0,
            slots: BTreeMap::new(),
            open: BTreeMap::new(),
            closed: VecDeque::new(),
            trades: VecDeque::new(),
            spot: SpotAccount::default(),
            margin: MarginState::default(),
        }
    }

    pub fn slot_mut(&mut self, symbol: usize, default_leverage: u8) -> &mut Slot {
        let hedge = self.hedge;
        self.slots.entry(symbol).or_insert_with(|| Slot::new(default_leverage, hedge))
    }

    /// Books one side of a trade; the fee is charged with it. The profit that it realised.
    pub fn book_trade(&mut self, symbol: usize, trade: &BookedTrade) -> Decimal {
        let signed = match trade.side {
            Side::Buy => (trade.lots, trade.value),
            Side::Sell => (-trade.lots, -trade.value),
        };
        let slot = self.slot_mut(symbol, 1);
        let (isolated, leverage) = (slot.isolated, slot.leverage);
        let leg = slot.leg_mut(trade.position_side);
        let before = *leg;
        let realized = leg.trade(signed.0, signed.1);
        leg.note_trade(&before, realized, trade);
        if isolated {
            leg.move_isolated(&before, signed.0, leverage);
        }
        self.wallet += realized - trade.fee;
        self.margin.updated_at = trade.at;
        realized
    }
}

/// One side of a trade, as accounting sees it.
#[derive(Debug, Clone, Copy)]
pub struct BookedTrade {
    pub side: Side,
    pub position_side: PositionSide,
    pub lots: i64,
    pub value: Decimal,
    pub fee: Decimal,
    pub at: Timestamp,
}
