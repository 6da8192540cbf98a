//! Both records side by side, read on as they grow: the daemon's journal and the exchange's own file, each with everything that it
//! ever said of an order or a trade. What may never differ is checked after every death, what may not differ in the end when the
//! daemon has reconciled. It trusts nobody's summary: what is lost, doubled or sent unasked shows in the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ringfence::domain::ids::{AccountId, ClientOrderId, Symbol};
use ringfence::domain::money::Quantity;
use ringfence::domain::order::{Fill, NewOrder, OrderStatus, Side, VenueOrder};
use ringfence::domain::record::Record;
use ringfence::store::{Audit, AuditFilter};
use rusqlite::{Connection, OpenFlags, params};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::support::ledger::{is_of_the_kill_switch, key, to_the_millisecond};
use crate::support::stage::Stage;

type TradeKey = (AccountId, Symbol, u64, u64);

/// An order as the journal has it.
#[derive(Debug)]
struct Intended {
    account: AccountId,
    order: NewOrder,
    status: OrderStatus,
    filled: Decimal,
}

/// Orders that the exchange has or had, of one name.
#[derive(Debug, Default)]
struct AtVenue {
    /// Plain orders; more than one is an order that was sent twice.
    plain: BTreeSet<u64>,
    /// Conditional orders; the one that such a one becomes is a plain order of the same name.
    conditional: BTreeSet<u64>,
}

#[derive(Debug, Default)]
pub struct Books {
    data: PathBuf,
    record: PathBuf,
    journal_read: u64,
    trades_read: BTreeMap<String, i64>,
    closed_read: i64,
    intended: BTreeMap<ClientOrderId, Intended>,
    booked: BTreeMap<TradeKey, Fill>,
    trades: BTreeMap<TradeKey, Fill>,
    traded: BTreeMap<ClientOrderId, Decimal>,
    at_venue: BTreeMap<ClientOrderId, AtVenue>,
    open: BTreeSet<ClientOrderId>,
    wallets: BTreeMap<AccountId, Decimal>,
    epochs: Vec<u32>,
    /// What may never be, and was seen while rows were read.
    found: Vec<String>,
}

/// What a campaign counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub orders: usize,
    pub at_venue: usize,
    pub trades: usize,
    pub rows: u64,
}

impl Books {
    pub fn new(stage: &Stage) -> Self {
        Self { data: stage.home.data(), record: stage.record(), ..Self::default() }
    }

    pub fn counts(&self) -> Counts {
        let (orders, at_venue) = (self.intended.len(), self.at_venue.len());
        Counts { orders, at_venue, trades: self.trades.len(), rows: self.journal_read }
    }

    pub fn epochs(&self) -> &[u32] {
        &self.epochs
    }

    /// Reads on in both: the journal first, as the exchange never knows less than it.
    pub fn read(&mut self) {
        self.read_journal();
        self.read_exchange();
    }

    fn read_journal(&mut self) {
        // A daemon that was killed before it had made one has none.
        let Ok(audit) = Audit::open(&self.data) else { return };
        let filter = AuditFilter { after_seq: Some(self.journal_read), ..AuditFilter::default() };
        for row in audit.rows(&[], &filter).unwrap() {
            self.journal_read = row.seq;
            match row.record.unwrap_or_else(|| panic!("expected a row of this version, found {}", row.payload)) {
                Record::DaemonStarted { epoch, .. } => self.epochs.push(epoch.0),
                Record::OrderIntended { intent, order, .. } => self.intend(intent.account, order),
                Record::OrderChanged { client_order_id, status, filled, .. } => self.change(client_order_id, status, filled),
                Record::Filled { fill, .. } => {
                    if let Some(before) = self.booked.insert(key(&fill), fill.clone()) {
                        self.found.push(format!("doubled: the journal booked {before:?} and {fill:?}"));
                    }
                }
                _ => {}
            }
        }
    }

    fn intend(&mut self, account: AccountId, order: NewOrder) {
        let id = order.client_order_id;
        let fresh = Intended { account, order, status: OrderStatus::Persisting, filled: Decimal::ZERO };
        if let Some(before) = self.intended.insert(id, fresh) {
            self.found.push(format!("doubled: {id} was intended twice, the first time {before:?}"));
        }
    }

    fn change(&mut self, id: ClientOrderId, status: OrderStatus, filled: Quantity) {
        // The kill switch's orders are no intents.
        let Some(order) = self.intended.get_mut(&id) else { return };
        if order.status.is_terminal() && !status.is_terminal() {
            self.found.push(format!("lost: {id} was {} and is {status} again", order.status));
        }
        order.status = status;
        order.filled = order.filled.max(filled.0);
    }

    fn read_exchange(&mut self) {
        let connection = Connection::open_with_flags(&self.record, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        // One moment of everything: the exchange writes meanwhile.
        let moment = connection.unchecked_transaction().unwrap();
        self.wallets = bodies(&moment, "SELECT body FROM account", [])
            .iter()
            .map(|row| (parsed(&row["account"]), row["wallet"].as_str().unwrap().parse().unwrap()))
            .collect();
        self.read_trades(&moment);
        self.read_orders(&moment);
    }

    fn read_trades(&mut self, moment: &Connection) {
        let accounts: Vec<String> = self.wallets.keys().map(ToString::to_string).collect();
        for account in accounts {
            let from = self.trades_read.get(&account).copied().unwrap_or(-1);
            let sql = "SELECT body FROM trade WHERE account = ?1 AND trade_id > ?2 ORDER BY trade_id";
            for body in bodies(moment, sql, params![account, from]) {
                let fill = to_the_millisecond(parsed(&body));
                self.trades_read.insert(account.clone(), fill.trade_id.cast_signed());
                *self.traded.entry(fill.client_order_id).or_default() += fill.quantity.0;
                if let Some(before) = self.trades.insert(key(&fill), fill.clone()) {
                    self.found.push(format!("doubled: the exchange has {before:?} and {fill:?}"));
                }
            }
        }
    }

    fn read_orders(&mut self, moment: &Connection) {
        let mut statement = moment.prepare("SELECT sequence, body FROM closed_order WHERE sequence > ?1 ORDER BY sequence").unwrap();
        let closed: Vec<(i64, String)> =
            statement.query_map([self.closed_read], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
        for (sequence, body) in closed {
            self.closed_read = sequence;
            let row: Value = serde_json::from_str(&body).unwrap();
            self.compare(parsed(&row["account"]), &parsed(&row["order"]));
        }
        let named = |row: &Value| parsed::<ClientOrderId>(&row["order"]["client_order_id"]);
        let numbered = |row: &Value| row["order"]["id"].as_u64().unwrap();
        let (open, algos) = (bodies(moment, "SELECT body FROM open_order", []), bodies(moment, "SELECT body FROM algo", []));
        for row in &open {
            self.at_venue.entry(named(row)).or_default().plain.insert(numbered(row));
        }
        for row in &algos {
            self.at_venue.entry(named(row)).or_default().conditional.insert(numbered(row));
        }
        self.open = open.iter().chain(&algos).map(named).collect();
    }

    /// An order that the exchange has ended, against what was approved under its name.
    fn compare(&mut self, account: AccountId, order: &VenueOrder) {
        let id = order.client_order_id;
        self.at_venue.entry(id).or_default().plain.insert(order.venue_order_id);
        if is_of_the_kill_switch(id) {
            return;
        }
        let Some(intended) = self.intended.get(&id) else {
            self.found.push(format!("unapproved: the exchange had {order:?} of {account}, and no intent of it is in the journal"));
            return;
        };
        let wished = &intended.order;
        let same = (account, order.symbol, order.side, order.quantity) == (intended.account, wished.symbol, wished.side, wished.quantity);
        if !same {
            self.found.push(format!("unapproved: the exchange had {order:?} of {account}, approved was {intended:?}"));
        }
    }

    /// What holds at any moment, also right after `kill -9`; every way in which it does not.
    pub fn never(&mut self) -> Vec<String> {
        let mut found = std::mem::take(&mut self.found);
        for (id, orders) in &self.at_venue {
            if orders.plain.len() > 1 || orders.conditional.len() > 1 {
                found.push(format!("doubled: {id} is several orders at the exchange: {orders:?}"));
            }
            if !self.intended.contains_key(id) && !is_of_the_kill_switch(*id) {
                found.push(format!("unapproved: {id} is at the exchange and its intent is not in the journal"));
            }
        }
        for (id, quantity) in &self.traded {
            let wished = self.intended.get(id).map(|intended| intended.order.quantity.0);
            if wished.is_some_and(|wished| *quantity > wished) {
                found.push(format!("doubled: {id} filled {quantity} of {wished:?}"));
            }
        }
        for (of, fill) in &self.booked {
            match self.trades.get(of) {
                Some(trade) if trade == fill => {}
                Some(trade) => found.push(format!("doubled: the journal has {fill:?}, the exchange {trade:?}")),
                None => found.push(format!("doubled: the journal has {fill:?}, the exchange has no such trade")),
            }
        }
        found
    }

    /// What holds besides when a daemon without strategies has reconciled; every way in which it does not yet. While `patient`, an
    /// order whose outcome the venue has not told for good may be either.
    pub fn settled(&self, patient: bool) -> Vec<String> {
        let mut found = Vec::new();
        let missing = self.trades.iter().filter(|(of, _)| !self.booked.contains_key(of));
        found.extend(missing.map(|(_, trade)| format!("lost: {trade:?} is not in the journal")));
        let is_uncertain = |status| matches!(status, OrderStatus::Unknown | OrderStatus::Persisting);
        for (id, intended) in &self.intended {
            let (alive, open) = (!intended.status.is_terminal(), self.open.contains(id));
            if patient && is_uncertain(intended.status) {
                continue;
            }
            if alive != open {
                let there = if open { "open" } else { "not open" };
                found.push(format!("lost: {id} is {} in the journal and {there} at the exchange", intended.status));
            }
            let traded = self.traded.get(id).copied().unwrap_or_default();
            if (intended.status == OrderStatus::Filled) != (traded == intended.order.quantity.0) {
                found.push(format!("lost: {id} is {} and traded {traded} of {}", intended.status, intended.order.quantity));
            }
        }
        found
    }

    /// What the daemon shows of its accounts, against the exchange's record.
    pub fn shown(&self, status: &Value) -> Vec<String> {
        let mut found = Vec::new();
        for account in status["accounts"].as_array().unwrap() {
            let id = AccountId::new(account["name"].as_str().unwrap()).unwrap();
            let number = |value: &Value| value.as_str().unwrap().parse::<Decimal>().unwrap();
            let wallet = self.wallets.get(&id).copied();
            if Some(number(&account["wallet"])) != wallet {
                found.push(format!("lost: the wallet of {id} is {} here and {wallet:?} there", account["wallet"]));
            }
            let positions = account["positions"].as_array().unwrap().iter();
            let held: BTreeMap<String, Decimal> = positions
                .map(|position| (position["symbol"].as_str().unwrap().to_owned(), number(&position["quantity"])))
                .filter(|(_, quantity)| !quantity.is_zero())
                .collect();
            let there = self.held(id);
            if held != there {
                found.push(format!("lost: {id} holds {held:?} here and {there:?} there"));
            }
        }
        found
    }

    /// Positions as the exchange's trades add up.
    fn held(&self, account: AccountId) -> BTreeMap<String, Decimal> {
        let mut held: BTreeMap<String, Decimal> = BTreeMap::new();
        for trade in self.trades.values().filter(|trade| trade.account == account) {
            let signed = if trade.side == Side::Buy { trade.quantity.0 } else { -trade.quantity.0 };
            *held.entry(trade.symbol.to_string()).or_default() += signed;
        }
        held.retain(|_, quantity| !quantity.is_zero());
        held
    }
}

fn parsed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn bodies(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Vec<Value> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map(values, |row| row.get::<_, String>(0)).unwrap();
    rows.map(|body| serde_json::from_str(&body.unwrap()).unwrap()).collect()
}
