//! Liquidation: when the mark leaves a position less than its maintenance margin, its orders are cancelled and it is closed by
//! an order of the exchange's own, at the market down to the price at which nothing would be left (the bankruptcy price); what
//! the market does not take the insurance fund takes at that price, or, when the fund cannot bear it, the holders of the
//! opposite side do. So an account never owes; what it keeps pays the liquidation fee to the fund as far as it goes.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use super::super::account::Account;
use super::super::matching::Execution;
use super::super::orders::{Force, OnGrid, Order};
use super::super::report::{AccountReason, ExecutionType, UserEvent};
use super::super::{Exchange, ExchangeOutput, Reject};
use super::account::MONEY_PLACES;
use super::income::{Booking, IncomeKind};
use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::money::Money;
use crate::domain::order::{EndReason, NewOrder, OrderKind, OrderStatus, PositionSide, SelfTradePrevention, Side, TimeInForce};
use crate::domain::time::Timestamp;

/// The share of the margin balance that maintenance may take before the account is warned.
fn warning_share() -> Decimal {
    Decimal::new(8, 1)
}

/// A liquidation as the public hears of it (`forceOrder`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForcedOrder {
    pub side: Side,
    pub quantity: Lots,
    /// The bankruptcy price, which the order was limited to.
    pub price: Ticks,
    pub average_price: Ticks,
    pub last_filled: Lots,
    pub filled: Lots,
    pub at: Timestamp,
}

/// One position of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holding {
    pub account: usize,
    pub symbol: usize,
    pub side: PositionSide,
}

impl Exchange {
    /// What the market's stream has to tell of liquidations since the last call.
    pub fn drain_forced_orders(&mut self) -> Vec<(Symbol, ForcedOrder)> {
        std::mem::take(&mut self.forced_orders)
    }

    /// What the insurance fund has.
    #[must_use]
    pub const fn insurance_fund(&self) -> Money {
        Money(self.fund)
    }

    /// Liquidates an account's positions on a symbol, or all of them, as if their margin were gone: they are closed at the mark
    /// or better, and the fee is taken.
    ///
    /// # Errors
    /// When the account or the symbol is unknown.
    pub fn liquidate(
        &mut self,
        now: Timestamp,
        account: AccountId,
        symbol: Option<Symbol>,
        out: &mut Vec<ExchangeOutput>,
    ) -> Result<(), Reject> {
        let holder = self.account_index(account)?;
        let only = symbol.map(|symbol| self.symbol_index(symbol).ok_or(Reject::UnknownSymbol)).transpose()?;
        self.expire_orders(now, holder, |_, symbol| only.is_none_or(|only| only == symbol), out);
        for holding in self.holdings_of(holder).into_iter().filter(|holding| only.is_none_or(|only| only == holding.symbol)) {
            let Some(mark) = self.markets[holding.symbol].reference() else { continue };
            self.liquidate_holding(now, holding, mark, out);
        }
        Ok(())
    }

    /// Looks at everybody who holds `symbol`, after its mark moved.
    pub(in super::super) fn check_margins(&mut self, now: Timestamp, symbol: usize, out: &mut Vec<ExchangeOutput>) {
        for account in 0..self.accounts.len() {
            let Some(slot) = self.accounts[account].slots.get(&symbol) else { continue };
            let mut sides =
                [PositionSide::Both, PositionSide::Long, PositionSide::Short].into_iter().filter(|side| slot.leg(*side).lots != 0);
            if !slot.isolated {
                if sides.next().is_some() {
                    self.check_cross(now, account, out);
                }
                continue;
            }
            for side in sides.collect::<Vec<_>>() {
                self.check_isolated(now, Holding { account, symbol, side }, out);
            }
        }
    }

    fn check_cross(&mut self, now: Timestamp, account: usize, out: &mut Vec<ExchangeOutput>) {
        let sum = self.cross_margin(&self.accounts[account]);
        let balance = self.accounts[account].cross_wallet() + sum.unrealized;
        if balance >= sum.maintenance {
            return self.warn(now, account, sum.maintenance > balance * warning_share(), None);
        }
        self.warn(now, account, true, None);
        let is_cross = |holder: &Account, symbol: usize| holder.slots.get(&symbol).is_none_or(|slot| !slot.isolated);
        self.expire_orders(now, account, is_cross, out);
        for holding in self.cross_holdings(account) {
            let sum = self.cross_margin(&self.accounts[account]);
            let balance = self.accounts[account].cross_wallet() + sum.unrealized;
            if balance >= sum.maintenance {
                return;
            }
            // Each position may lose its share of what is left.
            let share = (balance * self.maintenance_of(holding)).checked_div(sum.maintenance);
            let Some(limit) = share.and_then(|share| self.bankruptcy_price(holding, share)) else { continue };
            self.liquidate_holding(now, holding, limit, out);
        }
    }

    fn check_isolated(&mut self, now: Timestamp, holding: Holding, out: &mut Vec<ExchangeOutput>) {
        let Holding { account, symbol, side } = holding;
        let market = &self.markets[symbol];
        let Some((slot, mark)) = self.accounts[account].slots.get(&symbol).zip(market.reference()) else { return };
        let leg = slot.leg(side);
        let balance = leg.isolated + market.unit.money(i128::from(leg.lots) * i128::from(mark.0)) - leg.cost;
        let maintenance = self.maintenance_of(holding);
        if balance >= maintenance {
            return self.warn(now, account, maintenance > balance * warning_share(), Some(symbol));
        }
        self.warn(now, account, true, Some(symbol));
        self.expire_orders(now, account, |_, other| other == symbol, out);
        if let Some(limit) = self.bankruptcy_price(holding, balance) {
            self.liquidate_holding(now, holding, limit, out);
        }
    }

    /// Tells an account once that its margin runs out, and is ready to tell it again when it has recovered.
    fn warn(&mut self, now: Timestamp, account: usize, poor: bool, symbol: Option<usize>) {
        let warned = &mut self.accounts[account].margin.warned;
        if !poor {
            warned.remove(&symbol);
            return;
        }
        if !warned.insert(symbol) || !self.reports.is_on() {
            return;
        }
        let id = self.accounts[account].id;
        let name = symbol.map(|symbol| self.markets[symbol].instrument.symbol);
        let mut positions = self.position_risks(id, name);
        positions.retain(|position| !position.quantity.is_zero() && position.isolated == symbol.is_some());
        let cross_wallet = Money(self.accounts[account].cross_wallet());
        self.reports.add(now, id, || UserEvent::MarginCall { cross_wallet, positions });
    }

    /// Whoever is liquidated loses the open orders of these symbols first; they expire for that reason.
    fn expire_orders(
        &mut self,
        now: Timestamp,
        account: usize,
        concerned: impl Fn(&Account, usize) -> bool,
        out: &mut Vec<ExchangeOutput>,
    ) {
        let holder = &self.accounts[account];
        let open: Vec<_> = holder.open.values().copied().filter(|(symbol, _)| concerned(holder, *symbol)).collect();
        for (symbol, slot) in open {
            if let Some(mut order) = self.withdraw(symbol, slot) {
                order.force = Some(Force::Liquidation);
                self.finish(now, symbol, order, Some(EndReason::Expired), out);
            }
        }
    }

    fn holdings_of(&self, account: usize) -> Vec<Holding> {
        let of = |(symbol, slot): (&usize, &super::super::account::Slot)| {
            let symbol = *symbol;
            slot.legs().map(move |(side, _)| Holding { account, symbol, side }).collect::<Vec<_>>()
        };
        self.accounts[account].slots.iter().flat_map(of).collect()
    }

    /// The one that binds most margin first.
    fn cross_holdings(&self, account: usize) -> Vec<Holding> {
        let mut holdings = self.holdings_of(account);
        holdings.retain(|holding| self.accounts[account].slots.get(&holding.symbol).is_some_and(|slot| !slot.isolated));
        holdings.sort_by_key(|holding| std::cmp::Reverse(self.maintenance_of(*holding)));
        holdings
    }

    fn maintenance_of(&self, holding: Holding) -> Decimal {
        let market = &self.markets[holding.symbol];
        let mark = market.reference().unwrap_or_default();
        market.perpetual.rules.maintenance(market.unit.money(i128::from(self.lots_of(holding)) * i128::from(mark.0)).abs())
    }

    pub(super) fn lots_of(&self, holding: Holding) -> i64 {
        self.accounts[holding.account].slots.get(&holding.symbol).map_or(0, |slot| slot.leg(holding.side).lots)
    }

    /// Where a position has lost `balance` from the mark on; on the grid, never beyond.
    fn bankruptcy_price(&self, holding: Holding, balance: Decimal) -> Option<Ticks> {
        let market = &self.markets[holding.symbol];
        let lots = self.lots_of(holding);
        let distance = balance.checked_div(market.unit.value * Decimal::from(lots))?;
        let rounding = if lots > 0 { RoundingStrategy::ToPositiveInfinity } else { RoundingStrategy::ToNegativeInfinity };
        let at = (Decimal::from(market.reference()?.0) - distance).round_dp_with_strategy(0, rounding);
        Some(Ticks(at.to_i64()?.max(1)))
    }

    /// Closes a position whole: at the market down to `limit`, and what is left at `limit` itself. Then the fee.
    fn liquidate_holding(&mut self, now: Timestamp, holding: Holding, limit: Ticks, out: &mut Vec<ExchangeOutput>) {
        let symbol = holding.symbol;
        let (isolated, wallet) = (self.isolated_of(holding), self.accounts[holding.account].wallet);
        // Invariant: a number of milliseconds and a number are within the name's length and characters.
        let name = format!("autoclose-{}{:06}", now.as_millis(), self.next_order_id % 1_000_000);
        let mut order = self.force_order(now, holding, limit, Force::Liquidation, ClientOrderId::new(&name).expect("a short name"));
        self.report_forced(now, &order, symbol);
        self.take(now, symbol, &mut order, out);
        let rest = order.remaining();
        if rest > 0 && self.fund_bears(holding, limit, rest) {
            let trade_id = self.next_trade();
            self.fill(now, symbol, &mut order, Execution { price: limit, lots: rest, trade_id, maker: false }, out);
        } else if rest > 0 {
            self.close_with_holders(now, holding, &mut order, limit, out);
        }
        let value = self.markets[symbol].unit.money(order.value);
        self.tell_market(now, symbol, &order, limit);
        self.finish(now, symbol, order, None, out);
        let left = match isolated {
            Some(isolated) => isolated + self.accounts[holding.account].wallet - wallet,
            None => self.cross_left(holding.account),
        };
        self.take_liquidation_fee(now, holding, value, left);
    }

    /// An isolated position's own wallet.
    fn isolated_of(&self, holding: Holding) -> Option<Decimal> {
        let slot = self.accounts[holding.account].slots.get(&holding.symbol)?;
        slot.isolated.then(|| slot.leg(holding.side).isolated)
    }

    /// What a liquidation may still take of the cross margin. While other positions stand, what they would lose is theirs.
    fn cross_left(&self, account: usize) -> Decimal {
        let holder = &self.accounts[account];
        let others = !self.cross_holdings(account).is_empty();
        let left = holder.cross_wallet() + self.cross_margin(holder).unrealized.min(Decimal::ZERO);
        if others { left.max(Decimal::ZERO) } else { left }
    }

    /// The insurance fund takes lots at a price and is rid of them at the mark. Says whether it can.
    fn fund_bears(&mut self, holding: Holding, price: Ticks, lots: i64) -> bool {
        let market = &self.markets[holding.symbol];
        let mark = market.reference().unwrap_or(price);
        let gained = if self.lots_of(holding) > 0 { mark.0 - price.0 } else { price.0 - mark.0 };
        let gained = market.unit.money(i128::from(lots) * i128::from(gained));
        let bears = self.fund + gained >= Decimal::ZERO;
        if bears {
            self.fund += gained;
        }
        bears
    }

    /// An order of the exchange's own that closes a position.
    pub(super) fn force_order(&mut self, now: Timestamp, holding: Holding, limit: Ticks, force: Force, name: ClientOrderId) -> Order {
        let lots = self.lots_of(holding);
        let id = self.next_order_id;
        self.next_order_id += 1;
        let instrument = &self.markets[holding.symbol].instrument;
        let quantity = lots.abs();
        let request = NewOrder {
            client_order_id: name,
            symbol: instrument.symbol,
            side: if lots > 0 { Side::Sell } else { Side::Buy },
            position_side: holding.side,
            kind: OrderKind::Limit { price: instrument.price(limit) },
            time_in_force: TimeInForce::ImmediateOrCancel,
            quantity: instrument.quantity(Lots(quantity)),
            reduce_only: true,
            self_trade_prevention: SelfTradePrevention::None,
        };
        let grid = OnGrid { limit: Some(limit), trigger: None, quantity };
        Order { force: Some(force), ..Order::new(id, holding.account, &request.into(), grid, now) }
    }

    pub(super) fn report_forced(&mut self, now: Timestamp, order: &Order, symbol: usize) {
        if self.reports.is_on() {
            let (account, view) = (self.accounts[order.account].id, self.view(symbol, order, OrderStatus::Working));
            self.report_order(now, ExecutionType::New, || (account, view));
        }
    }

    fn tell_market(&mut self, now: Timestamp, symbol: usize, order: &Order, limit: Ticks) {
        if !self.reports.is_on() {
            return;
        }
        let average = order.value / i128::from(order.filled.max(1));
        let forced = ForcedOrder {
            side: order.side,
            quantity: Lots(order.quantity),
            price: limit,
            // Invariant: between the ticks that it traded at.
            average_price: Ticks(i64::try_from(average).unwrap_or(limit.0)),
            last_filled: Lots(order.filled),
            filled: Lots(order.filled),
            at: now,
        };
        self.forced_orders.push((self.markets[symbol].instrument.symbol, forced));
    }

    /// The fund's fee, as far as what is left goes; where less than nothing is left, the fund pays that.
    fn take_liquidation_fee(&mut self, now: Timestamp, holding: Holding, value: Decimal, left: Decimal) {
        let Holding { account, symbol, .. } = holding;
        let fee = value * self.markets[symbol].perpetual.rules.liquidation_fee.0;
        let taken = fee.min(left).round_dp_with_strategy(MONEY_PLACES, RoundingStrategy::ToNegativeInfinity);
        if taken.is_zero() {
            return;
        }
        self.accounts[account].wallet -= taken;
        self.fund += taken;
        self.changes.account(account);
        self.note_income(now, account, Booking::of(symbol, IncomeKind::InsuranceClear, -taken));
        self.report_account(now, account, AccountReason::InsuranceClear, None, -taken);
    }
}
