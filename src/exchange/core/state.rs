//! The engine's state as plain rows: what changed since the last look, for a durable record, and the way back from the rows
//! after a restart. It knows the rows' content, not where they are kept.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::instrument::Ticks;
use crate::domain::money::Money;

use super::account::{Account, AccountSetup, Leg, Slot};
use super::margin::{AlgoView, FundingPoint, IncomeRow, MarginRow};
use super::orders::{Order, Trigger};
use super::report::{OrderView, TradeView};
use super::spot::{BalanceRow, ListRow, SpotCounters};
use super::{Exchange, Market};

/// An account without its orders and trades.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountRow {
    pub account: AccountId,
    pub owner: u32,
    pub hedge: bool,
    #[serde(with = "rust_decimal::serde::str")]
    pub wallet: Decimal,
    pub symbols: Vec<SlotRow>,
    /// Spot's; an older record has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balances: Vec<BalanceRow>,
    /// What only perpetuals have; an older record has none.
    #[serde(default, skip_serializing_if = "MarginRow::is_empty")]
    pub margin: MarginRow,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotRow {
    pub symbol: Symbol,
    pub leverage: u8,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub isolated: bool,
    pub net: Leg,
    pub long: Leg,
    pub short: Leg,
}

/// An open order with its place in the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderRow {
    pub account: AccountId,
    pub symbol: Symbol,
    pub order: Order,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedRow {
    pub account: AccountId,
    pub order: OrderView,
}

/// An algo order that went off or ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndedAlgoRow {
    pub account: AccountId,
    pub algo: AlgoView,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketRow {
    pub symbol: Symbol,
    pub last: Option<Ticks>,
    pub mark: Option<Ticks>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    pub next_order_id: u64,
    pub next_trade_id: u64,
    #[serde(default)]
    pub next_transaction_id: u64,
    #[serde(default)]
    pub next_algo_id: u64,
    /// What the insurance fund has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fund: Option<Money>,
    #[serde(default)]
    pub spot: SpotCounters,
}

/// What changed, complete for each thing named.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    pub accounts: Vec<AccountRow>,
    pub open: Vec<OrderRow>,
    /// Ids of orders that are open no more.
    pub gone: Vec<u64>,
    pub closed: Vec<ClosedRow>,
    pub trades: Vec<TradeView>,
    pub lists: Vec<ListRow>,
    pub income: Vec<IncomeRow>,
    pub fundings: Vec<FundingPoint>,
    /// Algo orders that wait, and the ids of those that wait no more.
    pub algos: Vec<OrderRow>,
    pub algos_gone: Vec<u64>,
    /// The newest standing of each.
    pub algos_ended: Vec<EndedAlgoRow>,
    pub counters: Counters,
}

impl Changes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
            && self.accounts.is_empty()
            && self.open.is_empty()
            && self.gone.is_empty()
            && self.closed.is_empty()
            && self.trades.is_empty()
            && self.income.is_empty()
            && self.fundings.is_empty()
            && self.algos.is_empty()
            && self.algos_gone.is_empty()
            && self.algos_ended.is_empty()
    }
}

/// All that a restart needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SavedState {
    pub accounts: Vec<AccountRow>,
    pub open: Vec<OrderRow>,
    /// Oldest first.
    pub closed: Vec<ClosedRow>,
    /// Ascending by trade id.
    pub trades: Vec<TradeView>,
    /// Order lists, ascending.
    pub lists: Vec<ListRow>,
    /// Of each account oldest first.
    pub income: Vec<IncomeRow>,
    /// Of each symbol oldest first.
    pub fundings: Vec<FundingPoint>,
    /// Algo orders that wait.
    pub algos: Vec<OrderRow>,
    /// Oldest first.
    pub algos_ended: Vec<EndedAlgoRow>,
    pub markets: Vec<MarketRow>,
    pub counters: Counters,
}

/// What the rows name and this exchange does not list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error(
        "the exchange's record names symbol {symbol}, which this exchange does not list; list it, or start with another data directory"
    )]
    UnknownSymbol { symbol: Symbol },
    #[error("the exchange's record has an order of account {account}, which it does not know; the record is damaged")]
    UnknownAccount { account: AccountId },
}

/// Notes what changed. Switched off it costs one branch.
#[derive(Debug, Clone)]
pub(super) struct ChangeLog {
    on: bool,
    accounts: BTreeSet<usize>,
    /// Where each was last: one that left its slot for another is in one place only.
    orders: BTreeMap<u64, (usize, u32)>,
    closed: Vec<ClosedRow>,
    trades: Vec<TradeView>,
    lists: BTreeMap<u64, ListRow>,
    income: Vec<IncomeRow>,
    fundings: Vec<FundingPoint>,
    algos: BTreeMap<u64, (usize, u32)>,
    algos_ended: Vec<EndedAlgoRow>,
}

impl ChangeLog {
    pub(super) fn new(on: bool) -> Self {
        Self {
            on,
            accounts: BTreeSet::new(),
            orders: BTreeMap::new(),
            closed: Vec::new(),
            trades: Vec::new(),
            lists: BTreeMap::new(),
            income: Vec::new(),
            fundings: Vec::new(),
            algos: BTreeMap::new(),
            algos_ended: Vec::new(),
        }
    }

    pub(super) fn algo(&mut self, symbol: usize, slot: u32, id: u64) {
        if self.on {
            self.algos.insert(id, (symbol, slot));
        }
    }

    pub(super) fn funding(&mut self, point: &FundingPoint) {
        if self.on {
            self.fundings.push(*point);
        }
    }

    pub(super) fn ended_algo(&mut self, account: AccountId, algo: &AlgoView) {
        if self.on {
            self.algos_ended.push(EndedAlgoRow { account, algo: algo.clone() });
        }
    }

    pub(super) fn income(&mut self, row: &IncomeRow) {
        if self.on {
            self.income.push(*row);
        }
    }

    pub(super) fn account(&mut self, account: usize) {
        if self.on {
            self.accounts.insert(account);
        }
    }

    pub(super) fn order(&mut self, symbol: usize, slot: u32, id: u64) {
        if self.on {
            self.orders.insert(id, (symbol, slot));
        }
    }

    pub(super) fn closed(&mut self, account: AccountId, order: &OrderView) {
        if self.on {
            self.closed.push(ClosedRow { account, order: order.clone() });
        }
    }

    pub(super) fn list(&mut self, row: ListRow) {
        if self.on {
            self.lists.insert(row.view.id, row);
        }
    }

    pub(super) fn trade(&mut self, trade: &TradeView) {
        if self.on {
            self.trades.push(trade.clone());
        }
    }
}

impl Exchange {
    /// What changed since the last call. Empty when the configuration does not log changes.
    pub fn drain_changes(&mut self) -> Changes {
        let accounts = std::mem::take(&mut self.changes.accounts);
        let orders = std::mem::take(&mut self.changes.orders);
        let mut changes = Changes {
            accounts: accounts.into_iter().map(|index| self.account_row(&self.accounts[index])).collect(),
            closed: std::mem::take(&mut self.changes.closed),
            trades: std::mem::take(&mut self.changes.trades),
            lists: std::mem::take(&mut self.changes.lists).into_values().collect(),
            income: std::mem::take(&mut self.changes.income),
            fundings: std::mem::take(&mut self.changes.fundings),
            algos_ended: std::mem::take(&mut self.changes.algos_ended),
            counters: self.counters(),
            ..Changes::default()
        };
        for (id, (symbol, slot)) in orders {
            match self.markets[symbol].orders.get(slot).filter(|order| order.id == id) {
                Some(order) => changes.open.push(self.order_row(&self.markets[symbol], order)),
                None => changes.gone.push(id),
            }
        }
        for (id, (symbol, slot)) in std::mem::take(&mut self.changes.algos) {
            match self.markets[symbol].algos.get(slot).filter(|order| order.id == id) {
                Some(order) => changes.algos.push(self.order_row(&self.markets[symbol], order)),
                None => changes.algos_gone.push(id),
            }
        }
        changes
    }

    /// The whole state as rows.
    #[must_use]
    pub fn saved_state(&self) -> SavedState {
        let mut open: Vec<OrderRow> = Vec::new();
        for market in &self.markets {
            open.extend(market.orders.iter().map(|(_, order)| self.order_row(market, order)));
        }
        open.sort_by_key(|row| row.order.id);
        let closed = self
            .accounts
            .iter()
            .flat_map(|account| account.closed.iter().map(|order| ClosedRow { account: account.id, order: order.clone() }));
        let mut trades: Vec<TradeView> = self.accounts.iter().flat_map(|account| account.trades.iter().cloned()).collect();
        trades.sort_by_key(|trade| (trade.fill.trade_id, trade.fill.venue_order_id));
        SavedState {
            accounts: self.accounts.iter().map(|account| self.account_row(account)).collect(),
            open,
            closed: closed.collect(),
            trades,
            fundings: self.markets.iter().flat_map(|market| market.perpetual.history.iter().copied()).collect(),
            algos: self.algo_rows(),
            algos_ended: self.ended_algo_rows(),
            lists: self.list_rows(),
            income: self.accounts.iter().flat_map(|account| account.margin.income.iter().copied()).collect(),
            markets: self.market_rows(),
            counters: self.counters(),
        }
    }

    fn algo_rows(&self) -> Vec<OrderRow> {
        let rows = self.markets.iter().flat_map(|market| market.algos.iter().map(|(_, order)| self.order_row(market, order)));
        let mut rows: Vec<OrderRow> = rows.collect();
        rows.sort_by_key(|row| row.order.id);
        rows
    }

    fn ended_algo_rows(&self) -> Vec<EndedAlgoRow> {
        let of = |account: &Account| {
            let id = account.id;
            account.margin.ended_algos.iter().map(move |algo| EndedAlgoRow { account: id, algo: algo.clone() }).collect::<Vec<_>>()
        };
        self.accounts.iter().flat_map(of).collect()
    }

    const fn counters(&self) -> Counters {
        Counters {
            next_order_id: self.next_order_id,
            next_trade_id: self.next_trade_id,
            next_transaction_id: self.next_transaction_id,
            next_algo_id: self.next_algo_id,
            fund: Some(Money(self.fund)),
            spot: self.spot.counters,
        }
    }

    #[must_use]
    pub fn market_rows(&self) -> Vec<MarketRow> {
        let row = |market: &Market| MarketRow { symbol: market.instrument.symbol, last: market.last, mark: market.mark };
        self.markets.iter().map(row).collect()
    }

    /// The open orders whose place in a queue may have moved: all that rest.
    #[must_use]
    pub fn resting_rows(&self) -> Vec<OrderRow> {
        let resting = |market| move |(_, order): (u32, &Order)| order.trigger.is_none().then(|| self.order_row(market, order));
        self.markets.iter().flat_map(|market| market.orders.iter().filter_map(resting(market))).collect()
    }

    /// Puts a saved state into an exchange that lists its symbols and has no account yet.
    ///
    /// # Errors
    /// When a row names a symbol or an account that is not there.
    pub fn restore(&mut self, saved: SavedState) -> Result<(), RestoreError> {
        for row in &saved.accounts {
            self.restore_account(row)?;
        }
        for row in saved.markets {
            // A symbol that is listed no more and that nobody holds is simply gone.
            if let Some(index) = self.symbol_index(row.symbol) {
                self.markets[index].last = row.last;
                self.markets[index].mark = row.mark;
            }
        }
        self.restore_lists(saved.lists)?;
        let mut open = saved.open;
        open.sort_by_key(|row| row.order.id);
        for row in open {
            let symbol = self.listed(row.symbol)?;
            let account = self.known(row.account)?;
            let order = self.resumed(account, row.order);
            if self.markets[symbol].unit.spot {
                self.restore_spot_order(symbol, order);
            } else {
                self.open(symbol, order);
            }
        }
        for row in saved.algos {
            let (symbol, account) = (self.listed(row.symbol)?, self.known(row.account)?);
            self.insert_algo(symbol, self.resumed(account, row.order));
        }
        for row in saved.algos_ended {
            let account = self.known(row.account)?;
            self.accounts[account].margin.ended_algos.push_back(row.algo);
        }
        for row in saved.closed {
            let account = self.known(row.account)?;
            self.accounts[account].closed.push_back(row.order);
        }
        for trade in saved.trades {
            let account = self.known(trade.fill.account)?;
            self.accounts[account].trades.push_back(trade);
        }
        self.next_order_id = saved.counters.next_order_id.max(1);
        self.next_trade_id = saved.counters.next_trade_id.max(1);
        self.spot.resume(saved.counters.spot);
        self.next_transaction_id = saved.counters.next_transaction_id.max(1);
        self.next_algo_id = saved.counters.next_algo_id.max(super::margin::FIRST_ALGO_ID);
        self.fund = saved.counters.fund.map_or(self.fund, |fund| fund.0);
        for point in saved.fundings {
            if let Some(index) = self.symbol_index(point.symbol) {
                self.markets[index].perpetual.remember(point);
            }
        }
        for row in saved.income {
            let account = self.known(row.account)?;
            self.accounts[account].margin.income.push_back(row);
        }
        self.next_deadline = self.earliest_deadline();
        self.drain_changes();
        Ok(())
    }

    fn restore_account(&mut self, row: &AccountRow) -> Result<(), RestoreError> {
        let mut slots = Vec::with_capacity(row.symbols.len());
        for slot in &row.symbols {
            slots.push((self.listed(slot.symbol)?, slot));
        }
        self.open_account(row.account, AccountSetup { deposit: Money(row.wallet), owner: row.owner, hedge: row.hedge });
        let account = self.known(row.account)?;
        self.accounts[account].margin.restore(&row.margin);
        for (index, slot) in slots {
            let (net, long, short, isolated) = (slot.net, slot.long, slot.short, slot.isolated);
            let restored = Slot { net, long, short, isolated, ..Slot::new(slot.leverage, row.hedge) };
            self.accounts[account].slots.insert(index, restored);
        }
        self.restore_balances(account, row);
        Ok(())
    }

    /// A saved order as it was: its trigger is held against what the order says, or else the exchange.
    fn resumed(&self, account: usize, order: Order) -> Order {
        let by = order.extras.as_ref().and_then(|extras| extras.trigger_by).unwrap_or(self.config.trigger_price);
        Order { account, trigger: order.trigger.map(|trigger| Trigger { by, ..trigger }), ..order }
    }

    fn listed(&self, symbol: Symbol) -> Result<usize, RestoreError> {
        self.symbol_index(symbol).ok_or(RestoreError::UnknownSymbol { symbol })
    }

    fn known(&self, account: AccountId) -> Result<usize, RestoreError> {
        self.account_indices.get(&account).copied().ok_or(RestoreError::UnknownAccount { account })
    }

    fn account_row(&self, account: &Account) -> AccountRow {
        let slot = |(index, slot): (&usize, &Slot)| SlotRow {
            symbol: self.markets[*index].instrument.symbol,
            leverage: slot.leverage,
            isolated: slot.isolated,
            net: slot.net,
            long: slot.long,
            short: slot.short,
        };
        let says_something = |(index, slot): &(&usize, &Slot)| {
            slot.legs().next().is_some() || slot.isolated || slot.leverage != self.starting_leverage(**index)
        };
        AccountRow {
            account: account.id,
            owner: account.owner,
            hedge: account.hedge,
            wallet: account.wallet,
            symbols: account.slots.iter().filter(says_something).map(slot).collect(),
            balances: self.balance_rows(account),
            margin: account.margin.row(),
        }
    }

    fn order_row(&self, market: &Market, order: &Order) -> OrderRow {
        OrderRow { account: self.accounts[order.account].id, symbol: market.instrument.symbol, order: order.clone() }
    }
}
