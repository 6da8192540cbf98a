//! The exchange's engine: matching by price and time among our accounts' orders and the liquidity that a market source
//! shows, margin accounts, Binance's filters and refusals. A pure machine: no clock, random numbers or I/O; ids are counters;
//! latency is the driver's business. The backtest steps it in virtual time, the daemon from a thread.
//!
//! # How our orders meet a market that does not know them
//! A recorded (or generated) market goes on as if we were not there. The rules here never promise a fill that a real
//! order could not have had:
//! - **Taking** walks the displayed levels in price order. What we took is gone until the level empties or new quantity is
//!   displayed there (`external`).
//! - **Resting** behind a level puts all that is displayed there ahead of us (`Order::queue_ahead`). A level behind the
//!   touch that was never shown counts as an unknown queue: no print *at* it fills us. Inside the spread nobody is ahead.
//! - **A print at our price** by the opposite aggressor first eats the queue ahead; only the overflow fills us. **A print
//!   through our price** fills us, at our price, up to its quantity. One print's quantity is shared by all our orders in
//!   price-time order and never used twice.
//! - **Cancels are presumed behind us**: displayed quantity that shrinks moves us forward only where less is displayed than we
//!   had ahead.
//! - **An opposite quote at or beyond our price** fills us at our price, up to what it displays and we have not consumed.
//! - **At one price** a taker of ours trades with the external queue ahead of our resting order, then with that order, then
//!   with what stands behind it.
//! - **A candle** is a path of touches and prints (`candle`).
//! - **A source that shows only trades** has its touch inferred from them, a tick worse than they were (`inferred`).

pub mod account;
mod admission;
mod candle;
mod external;
mod inferred;
pub mod margin;
mod market;
mod matching;
mod orders;
mod queries;
mod reject;
pub mod report;
pub mod request;
pub mod spot;
pub mod state;
#[cfg(test)]
mod tests;
mod trading;

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::{Instrument, Lots, Ticks};
use crate::domain::market_data::Level;
use crate::domain::money::{Money, Quantity};
use crate::domain::order::{EndReason, OrderStatus, Side, VenueCommand, VenueEvent, VenueOrder};
use crate::domain::time::Timestamp;

pub use account::AccountSetup;
use account::{Account, Unit};
use external::External;
use margin::{ForcedOrder, Perpetual};
pub use orders::Force;
use orders::{OpenOrders, Order};
pub use reject::Reject;
use report::{ExecutionType, OrderView, ReportLog};
use spot::{Ending, SpotDesk, SpotMarket};
use state::ChangeLog;
pub use trading::{OrderName, Placed};

/// Which price fires stops and take-profits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerPrice {
    /// CONTRACT_PRICE, the venue's default.
    #[default]
    Last,
    /// MARK_PRICE.
    Mark,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeConfig {
    pub trigger_price: TriggerPrice,
    /// Open orders of one account on one symbol; 200 is USD-M's MAX_NUM_ORDERS.
    pub open_orders_max: u32,
    /// Waiting stops of one account on one symbol; USD-M allows 200 over all.
    pub waiting_orders_max: u32,
    /// What an account trades with before it says otherwise; USD-M starts at 20.
    pub default_leverage: u8,
    /// What the insurance fund begins with: enough for the accounts of one daemon, and small enough to be used up in a test.
    pub insurance_fund: Money,
    /// Ended orders that an account can still query. A reconciliation asks within minutes; 1,000 are ~200 kB.
    pub closed_kept: usize,
    /// Trades of an account that a snapshot can list. 5,000 are ~1 MB; older ones are in the durable record.
    pub trades_kept: usize,
    /// Keep a log of changes for the durable record. Off where nothing is recorded.
    pub log_changes: bool,
    /// Keep the events of the user streams. Off where nobody speaks to the exchange over the wire.
    pub log_reports: bool,
}

impl Default for ExchangeConfig {
    fn default() -> Self {
        Self {
            trigger_price: TriggerPrice::Last,
            open_orders_max: 200,
            waiting_orders_max: 200,
            default_leverage: 20,
            insurance_fund: Money(Decimal::from_parts(1_000_000, 0, 0, false, 0)),
            closed_kept: 1_000,
            trades_kept: 5_000,
            log_changes: false,
            log_reports: false,
        }
    }
}

/// What the exchange tells one account.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeOutput {
    pub account: AccountId,
    pub event: VenueEvent,
}

/// One symbol: its rules, everybody else's liquidity, our orders.
#[derive(Debug, Clone)]
struct Market {
    instrument: Instrument,
    unit: Unit,
    external: External,
    orders: OpenOrders,
    /// The algo service's orders that wait (perpetuals).
    algos: OpenOrders,
    last: Option<Ticks>,
    mark: Option<Ticks>,
    /// What only spot needs.
    spot: SpotMarket,
    /// What only a perpetual has.
    perpetual: Perpetual,
}

impl Market {
    /// What positions are valued at: the mark, else the last trade, else the touch.
    fn reference(&self) -> Option<Ticks> {
        let touch = || self.external.touch(Side::Buy).or_else(|| self.external.touch(Side::Sell));
        self.mark.or(self.last).or_else(|| touch().map(|level| level.price))
    }
}

/// The engine. Symbols and accounts have dense indices; look a symbol's up once with `symbol_index`.
#[derive(Debug, Clone)]
pub struct Exchange {
    config: ExchangeConfig,
    markets: Vec<Market>,
    symbol_indices: BTreeMap<Symbol, usize>,
    accounts: Vec<Account>,
    account_indices: BTreeMap<AccountId, usize>,
    next_order_id: u64,
    next_trade_id: u64,
    next_transaction_id: u64,
    next_algo_id: u64,
    /// The insurance fund, which takes liquidation fees and what a liquidation leaves.
    fund: Decimal,
    forced_orders: Vec<(Symbol, ForcedOrder)>,
    /// When `tick` has something to do again.
    next_second: Timestamp,
    next_deadline: Timestamp,
    changes: ChangeLog,
    reports: ReportLog,
    spot: SpotDesk,
}

impl Exchange {
    #[must_use]
    pub fn new(config: ExchangeConfig) -> Self {
        Self {
            changes: ChangeLog::new(config.log_changes),
            reports: ReportLog::new(config.log_reports),
            fund: config.insurance_fund.0,
            config,
            markets: Vec::new(),
            symbol_indices: BTreeMap::new(),
            accounts: Vec::new(),
            account_indices: BTreeMap::new(),
            next_order_id: 1,
            next_trade_id: 1,
            spot: SpotDesk::default(),
            next_transaction_id: 1,
            next_algo_id: margin::FIRST_ALGO_ID,
            forced_orders: Vec::new(),
            next_second: Timestamp::ZERO,
            next_deadline: Timestamp(i64::MAX),
        }
    }

    /// Lists a symbol, or finds it listed, and returns its index.
    pub fn add_symbol(&mut self, instrument: Instrument) -> usize {
        if let Some(index) = self.symbol_indices.get(&instrument.symbol) {
            return *index;
        }
        let index = self.markets.len();
        self.symbol_indices.insert(instrument.symbol, index);
        let spot = SpotMarket::of(&instrument, &mut self.spot);
        self.markets.push(Market {
            unit: Unit::of(&instrument),
            perpetual: Perpetual::of(&instrument),
            instrument,
            external: External::default(),
            orders: OpenOrders::default(),
            algos: OpenOrders::default(),
            last: None,
            mark: None,
            spot,
        });
        if index == 0 {
            (0..self.accounts.len()).for_each(|account| self.fund_spot(account));
        }
        index
    }

    #[must_use]
    pub fn symbol_index(&self, symbol: Symbol) -> Option<usize> {
        self.symbol_indices.get(&symbol).copied()
    }

    #[must_use]
    pub fn instrument(&self, symbol: usize) -> Option<&Instrument> {
        self.markets.get(symbol).map(|market| &market.instrument)
    }

    /// Opens an account; one that is open already (from the record) stays as it is. Says whether it is new.
    pub fn open_account(&mut self, id: AccountId, setup: AccountSetup) -> bool {
        if self.account_indices.contains_key(&id) {
            return false;
        }
        self.account_indices.insert(id, self.accounts.len());
        self.accounts.push(Account::new(id, setup));
        self.fund_spot(self.accounts.len() - 1);
        self.changes.account(self.accounts.len() - 1);
        true
    }

    /// An owner that no account has yet.
    #[must_use]
    pub fn new_owner(&self) -> u32 {
        self.accounts.iter().map(|account| account.owner).max().unwrap_or_default() + 1
    }

    /// Best displayed bid and ask.
    #[must_use]
    pub fn touch(&self, symbol: usize) -> (Option<Level>, Option<Level>) {
        self.markets.get(symbol).map_or((None, None), |market| (market.external.touch(Side::Buy), market.external.touch(Side::Sell)))
    }

    /// Everybody else's book as displayed, best first, and its update id.
    #[must_use]
    pub fn book(&self, symbol: usize, limit: usize) -> Option<(u64, Vec<Level>, Vec<Level>)> {
        let external = &self.markets.get(symbol)?.external;
        let side = |side| external.displayed_levels(side).take(limit).collect();
        Some((external.displayed_id(), side(Side::Buy), side(Side::Sell)))
    }

    /// The touch that orders meet where the market has shown none with an id: a guess from trades or candles.
    #[must_use]
    pub fn guessed_touch(&self, symbol: usize) -> Option<(Level, Level)> {
        let external = &self.markets.get(symbol)?.external;
        let best = |side| external.touch(side).filter(|_| external.displayed_id() == 0);
        Some((best(Side::Buy)?, best(Side::Sell)?))
    }

    /// Wallet plus open profit at the mark.
    #[must_use]
    pub fn equity(&self, account: AccountId) -> Option<Money> {
        let account = &self.accounts[*self.account_indices.get(&account)?];
        if self.is_spot_engine() {
            return Some(self.spot_equity(account));
        }
        let open = account.slots.iter().map(|(index, slot)| {
            let market = &self.markets[*index];
            market.reference().map(|mark| slot.unrealized(&market.unit, mark)).unwrap_or_default()
        });
        Some(Money(account.wallet + open.sum::<Decimal>()))
    }

    /// Answers one command of an account.
    pub fn command(&mut self, now: Timestamp, account: AccountId, command: &VenueCommand, out: &mut Vec<ExchangeOutput>) {
        let Some(index) = self.account_indices.get(&account).copied() else {
            out.push(ExchangeOutput { account, event: unknown_account(account, command, now) });
            return;
        };
        match command {
            VenueCommand::Place(order) => {
                if let Err(reject) = self.place(now, index, &order.clone().into(), out) {
                    let (code, message) = reject.words(self.is_spot(order.symbol));
                    let (client_order_id, message) = (order.client_order_id, message.to_owned());
                    out.push(ExchangeOutput { account, event: VenueEvent::Rejected { client_order_id, code, message, at: now } });
                }
            }
            VenueCommand::Cancel { symbol, client_order_id } => self.cancel(now, index, *symbol, *client_order_id, out),
            VenueCommand::CancelAll { symbol } => self.cancel_all(now, index, *symbol, out),
            VenueCommand::Query { symbol, client_order_id } => {
                let order = self.query(index, *symbol, *client_order_id);
                out.push(ExchangeOutput { account, event: VenueEvent::OrderIs { client_order_id: *client_order_id, order } });
            }
            VenueCommand::Snapshot { trades } => {
                let snapshot = self.snapshot(index, trades);
                out.push(ExchangeOutput { account, event: VenueEvent::SnapshotIs(snapshot) });
            }
            VenueCommand::SetLeverage { symbol, leverage } => {
                let event = self.set_leverage(now, index, *symbol, *leverage);
                out.push(ExchangeOutput { account, event });
            }
        }
        if !self.spot.is_quiet() {
            self.settle_spot(now, out);
        }
    }

    fn cancel(&mut self, now: Timestamp, account: usize, symbol: Symbol, id: ClientOrderId, out: &mut Vec<ExchangeOutput>) {
        let found = self.accounts[account].open.get(&id).copied().filter(|(index, _)| self.markets[*index].instrument.symbol == symbol);
        match found {
            Some((index, slot)) => self.end_open(now, index, slot, EndReason::Canceled, out),
            None => out.push(ExchangeOutput {
                account: self.accounts[account].id,
                event: VenueEvent::CancelRefused {
                    client_order_id: id,
                    code: reject::UNKNOWN_ORDER,
                    message: reject::UNKNOWN_ORDER_TEXT.to_owned(),
                },
            }),
        }
    }

    fn cancel_all(&mut self, now: Timestamp, account: usize, symbol: Option<Symbol>, out: &mut Vec<ExchangeOutput>) {
        let only = symbol.map(|symbol| self.symbol_index(symbol));
        let open = self.accounts[account].open.values().copied().filter(|(index, _)| only.is_none_or(|only| only == Some(*index)));
        for (index, slot) in open.collect::<Vec<_>>() {
            self.end_open(now, index, slot, EndReason::Canceled, out);
        }
    }

    /// Takes an open order out and says that it ended.
    fn end_open(&mut self, now: Timestamp, symbol: usize, slot: u32, reason: EndReason, out: &mut Vec<ExchangeOutput>) {
        if let Some(order) = self.withdraw(symbol, slot) {
            self.finish(now, symbol, order, Some(reason), out);
        }
    }

    /// Puts an accepted order among the open ones, with what it may still cost.
    fn open(&mut self, symbol: usize, order: Order) {
        if self.markets[symbol].unit.spot {
            return self.open_spot(symbol, order);
        }
        let (account, id, client_order_id) = (order.account, order.id, order.client_order_id);
        self.note_date(order.extras.as_ref().and_then(|extras| extras.good_till));
        let leverage = self.starting_leverage(symbol);
        self.accounts[account].slot_mut(symbol, leverage).count(&order, 1);
        let slot = self.markets[symbol].orders.insert(order);
        self.accounts[account].open.insert(client_order_id, (symbol, slot));
        self.changes.order(symbol, slot, id);
    }

    /// The opposite of `open`.
    fn withdraw(&mut self, symbol: usize, slot: u32) -> Option<Order> {
        if self.markets[symbol].unit.spot {
            return self.withdraw_spot(symbol, slot);
        }
        let order = self.markets[symbol].orders.remove(slot)?;
        let leverage = self.starting_leverage(symbol);
        let account = &mut self.accounts[order.account];
        account.slot_mut(symbol, leverage).count(&order, -1);
        account.open.remove(&order.client_order_id);
        self.changes.order(symbol, slot, order.id);
        Some(order)
    }

    /// An order is over: filled whole (`None`), or ended for a reason that its account is told.
    fn finish(&mut self, now: Timestamp, symbol: usize, mut order: Order, reason: Option<EndReason>, out: &mut Vec<ExchangeOutput>) {
        if self.markets[symbol].unit.spot {
            return self.finish_spot(now, symbol, order, Ending::of(reason), out);
        }
        order.updated_at = now;
        let status = match reason {
            None => OrderStatus::Filled,
            Some(EndReason::Canceled) => OrderStatus::Canceled,
            Some(EndReason::Expired | EndReason::SelfTradePrevented) => OrderStatus::Expired,
        };
        let shown = OrderView { end: reason, ..self.view(symbol, &order, status) };
        if let Some(reason) = reason {
            self.report_end(now, order.account, &shown, reason);
        }
        let account = &mut self.accounts[order.account];
        if let Some(reason) = reason {
            let event = VenueEvent::Ended { client_order_id: order.client_order_id, reason, filled: shown.order.filled, at: now };
            out.push(ExchangeOutput { account: account.id, event });
        }
        self.changes.closed(account.id, &shown);
        self.note_finished(now, order.account, &shown);
        let account = &mut self.accounts[order.account];
        if account.closed.len() >= self.config.closed_kept {
            account.closed.pop_front();
        }
        account.closed.push_back(shown);
    }

    fn shown(&self, symbol: usize, order: &Order, status: OrderStatus) -> VenueOrder {
        let instrument = &self.markets[symbol].instrument;
        let quantity = |lots| Quantity(instrument.quantity(Lots(lots)).0);
        VenueOrder {
            client_order_id: order.client_order_id,
            venue_order_id: order.id,
            symbol: instrument.symbol,
            side: order.side,
            position_side: order.position_side,
            kind: order.kind,
            status,
            quantity: quantity(order.quantity),
            filled: quantity(order.filled),
            reduce_only: order.reduce_only,
            updated_at: order.updated_at,
        }
    }

    /// The order with all that the wire shows of it.
    fn view(&self, symbol: usize, order: &Order, status: OrderStatus) -> OrderView {
        let market = &self.markets[symbol];
        OrderView {
            order: self.shown(symbol, order, status),
            time_in_force: order.time_in_force,
            self_trade_prevention: order.self_trade_prevention,
            value: Money(market.unit.money(order.value)),
            prevented: market.instrument.quantity(Lots(order.spot.prevented)),
            created_at: order.created_at,
            working_at: if market.unit.spot { order.spot.working_at } else { order.trigger.is_none().then_some(order.created_at) },
            extras: order.extras.as_deref().cloned().unwrap_or_default(),
            list_id: order.list_id,
            end: None,
            force: order.force,
            spot: Self::spot_view(order),
        }
    }

    fn report_end(&mut self, now: Timestamp, account: usize, order: &OrderView, reason: EndReason) {
        let execution = match reason {
            EndReason::Canceled => ExecutionType::Canceled,
            EndReason::Expired => ExecutionType::Expired,
            EndReason::SelfTradePrevented => ExecutionType::TradePrevention,
        };
        let account = self.accounts[account].id;
        self.report_order(now, execution, || (account, order.clone()));
    }

    /// The leverage of an account that never set one.
    fn starting_leverage(&self, symbol: usize) -> u8 {
        self.config.default_leverage.min(self.markets[symbol].instrument.max_leverage).max(1)
    }
}

fn unknown_account(account: AccountId, command: &VenueCommand, now: Timestamp) -> VenueEvent {
    const MESSAGE: &str = "Invalid API-key, IP, or permissions for action.";
    match command {
        VenueCommand::Place(order) => {
            VenueEvent::Rejected { client_order_id: order.client_order_id, code: -2015, message: MESSAGE.to_owned(), at: now }
        }
        VenueCommand::Cancel { client_order_id, .. } => {
            VenueEvent::CancelRefused { client_order_id: *client_order_id, code: -2015, message: MESSAGE.to_owned() }
        }
        _ => VenueEvent::CommandFailed {
            command: "account".to_owned(),
            why: format!("-2015 {MESSAGE} The exchange has no account {account}"),
        },
    }
}
