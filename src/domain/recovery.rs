//! What the journal's rows add up to: orders that may still live, positions, the day's opening equity, modes. Folding the
//! rows in order gives the same state that the machines had when they wrote them; a checkpoint is this state as JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alerts::AlertBook;
use super::ids::{AccountId, ClientOrderId, Epoch, StrategyId, Symbol};
use super::ladder::ModeTable;
use super::mode::{Mode, Scope};
use super::money::{Money, Quantity};
use super::order::{EquityPeaks, Fill, NewOrder, OrderIntent, OrderStatus};
use super::position::{Applied, Position, Positions};
use super::record::{Entry, Record};
use super::risk::Memory;
use super::risk::overrides::Override;
use super::time::Timestamp;

/// An order whose end is not in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenOrder {
    pub intent: Arc<OrderIntent>,
    pub order: NewOrder,
    pub status: OrderStatus,
    pub filled: Quantity,
    pub venue_order_id: Option<u64>,
    /// The symbol's newest trade when the order was made, its own have higher ids; 0 when there was none.
    #[serde(default)]
    pub trades_from: u64,
    /// A cancel was asked for and must not be forgotten with the executor that was asked.
    #[serde(default)]
    pub cancel_wanted: bool,
    /// What of `filled` is the venue's word alone.
    #[serde(default)]
    pub assumed: Quantity,
}

/// Equity when a UTC day began for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayOpen {
    pub utc_day: i64,
    pub equity: Money,
}

const fn met() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountState {
    pub open: BTreeMap<ClientOrderId, OpenOrder>,
    pub positions: Positions,
    /// The account was held against its venue at least once: what differs from then on is a difference, and before that it is
    /// what the account was used for before us. A checkpoint of an earlier version was written by an account that was.
    #[serde(default = "met")]
    pub met: bool,
    /// When that was. What was traded before is in what was taken over then.
    #[serde(default)]
    pub met_at: Option<Timestamp>,
    pub day: Option<DayOpen>,
    /// The highest that equity was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peaks: Option<EquityPeaks>,
    /// What each strategy's own fills came to, for strategies that share a symbol on the account.
    pub own: Vec<(StrategyId, Symbol, Position)>,
    /// Orders and fills since the journal began, for the status page.
    pub orders: u64,
    pub fills: u64,
}

impl AccountState {
    #[must_use]
    pub fn new(account: AccountId) -> Self {
        let positions = Positions::new(account, Money::ZERO);
        Self { open: BTreeMap::new(), positions, met: false, met_at: None, day: None, peaks: None, own: Vec::new(), orders: 0, fills: 0 }
    }
}

impl AccountState {
    fn book_own(&mut self, strategy: Option<StrategyId>, fill: &Fill) {
        let Some(strategy) = strategy else { return };
        let at = self.own.iter().position(|(id, symbol, _)| (*id, *symbol) == (strategy, fill.symbol));
        let at = at.unwrap_or_else(|| {
            self.own.push((strategy, fill.symbol, Position::default()));
            self.own.len() - 1
        });
        self.own[at].2.book(fill);
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DaemonState {
    pub epoch: Epoch,
    pub accounts: BTreeMap<AccountId, AccountState>,
    pub modes: ModeTable,
    /// Orders of each strategy that executed since a person last resumed it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub executed: BTreeMap<StrategyId, u64>,
    /// Overrides that were granted and not used; those that ended are dropped with the next one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Unacknowledged ones outlive the process.
    #[serde(default)]
    pub alerts: AlertBook,
}

impl DaemonState {
    /// What risk remembers over its own restarts and the daemon's.
    #[must_use]
    pub fn risk_memory(&self) -> Memory {
        Memory { executed: self.executed.clone(), overrides: self.overrides.clone() }
    }

    pub fn apply(&mut self, entry: &Entry) {
        match &entry.record {
            Record::DaemonStarted { epoch, .. } => self.epoch = *epoch,
            Record::OrderIntended { intent, order, .. } => {
                let account = self.account(intent.account);
                account.orders += 1;
                let open = OpenOrder {
                    intent: Arc::clone(intent),
                    order: order.clone(),
                    status: OrderStatus::Persisting,
                    filled: Quantity::ZERO,
                    venue_order_id: None,
                    trades_from: account.positions.newest_trade(order.symbol).unwrap_or_default(),
                    cancel_wanted: false,
                    assumed: Quantity::ZERO,
                };
                account.open.insert(order.client_order_id, open);
            }
            Record::OrderChanged { account, client_order_id, .. } => self.changed(*account, *client_order_id, &entry.record),
            Record::Filled { fill, strategy, .. } => {
                let account = self.account(fill.account);
                if !matches!(account.positions.apply(fill), Applied::Booked(_) | Applied::Included) {
                    return;
                }
                account.fills += 1;
                account.book_own(*strategy, fill);
                // An order counts once, with its first execution: its own row comes behind the fill's.
                let is_first = account.open.get(&fill.client_order_id).is_some_and(|order| order.filled.is_zero());
                if let Some(strategy) = strategy.filter(|_| is_first) {
                    *self.executed.entry(strategy).or_default() += 1;
                }
            }
            Record::DayOpened { account, utc_day, equity } => {
                self.account(*account).day = Some(DayOpen { utc_day: *utc_day, equity: *equity });
            }
            Record::Reconciled { account, wallet, taken_at, adopted, covered_until, .. } => {
                let account = self.account(*account);
                account.met = true;
                account.met_at.get_or_insert(entry.at);
                let positions = &mut account.positions;
                for position in adopted {
                    positions.adopt_position(position);
                }
                positions.adopt_wallet(*wallet, taken_at.unwrap_or(entry.at));
                if let Some(until) = covered_until {
                    positions.cover_until(*until);
                }
            }
            Record::FundsMoved { account, moved } => {
                let positions = &mut self.account(*account).positions;
                for entry in moved {
                    positions.move_funds(entry);
                }
            }
            Record::ModeChanged { scope, to, cause, .. } => {
                self.modes.set(*scope, *to, cause, entry.at);
                if let (Scope::Strategy(strategy), Mode::Normal) = (scope, to) {
                    self.executed.remove(strategy);
                }
            }
            Record::EquityPeaked { account, peaks, .. } => self.account(*account).peaks = Some(*peaks),
            Record::OverrideGranted { granted } => {
                self.overrides.retain(|known| entry.at < known.expires);
                self.overrides.push(granted.clone());
            }
            Record::OverrideUsed { id, .. } => self.overrides.retain(|known| known.id != *id),
            Record::Alert { .. } => self.alerts.apply(entry.at, &entry.record),
            _ => {}
        }
    }

    fn changed(&mut self, account: AccountId, id: ClientOrderId, row: &Record) {
        let Record::OrderChanged { status, filled, venue_order_id, cancel_wanted, assumed, .. } = row else { return };
        let open = &mut self.account(account).open;
        if status.is_terminal() {
            open.remove(&id);
        } else if let Some(order) = open.get_mut(&id) {
            order.status = *status;
            order.filled = order.filled.max(*filled);
            order.assumed = *assumed;
            order.venue_order_id = venue_order_id.or(order.venue_order_id);
            order.cancel_wanted |= *cancel_wanted || *status == OrderStatus::PendingCancel;
        }
    }

    fn account(&mut self, id: AccountId) -> &mut AccountState {
        self.accounts.entry(id).or_insert_with(|| AccountState::new(id))
    }
}
