//! The journal and the exchange's own record side by side, read from the files of a daemon that does not run: what each says
//! about orders, trades and positions, and every way in which the two may not disagree.

use std::collections::{BTreeMap, BTreeSet};

use ringfence::domain::ids::{AccountId, ClientOrderId, Symbol};
use ringfence::domain::money::Quantity;
use ringfence::domain::order::{Fill, OrderStatus, Side};
use ringfence::domain::record::Record;
use ringfence::domain::time::Timestamp;
use ringfence::store::{Audit, AuditFilter};
use rusqlite::{Connection, OpenFlags};
use rust_decimal::Decimal;

use super::daemon::Home;

/// Signed quantities by account and symbol.
pub type Held = BTreeMap<(AccountId, Symbol), Decimal>;

/// What both sides hold.
pub struct Ledger {
    /// The journal's rows with their epochs.
    pub rows: Vec<(u32, Record)>,
    /// The exchange's trades, ascending.
    pub trades: Vec<Fill>,
    /// Orders open at the exchange, conditional ones among them.
    pub open: BTreeSet<ClientOrderId>,
    pub wallets: BTreeMap<AccountId, Decimal>,
}

impl Ledger {
    pub fn read(home: &Home) -> Self {
        let audit = Audit::open(&home.data()).unwrap();
        let rows = audit.rows(&[], &AuditFilter::default()).unwrap();
        let rows = rows.into_iter().map(|row| (row.epoch.0, row.record.expect("this version wrote it"))).collect();
        let connection = Connection::open_with_flags(home.data().join("exchange.db"), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        let bodies = |sql: &str| -> Vec<serde_json::Value> {
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
            rows.map(|body| serde_json::from_str(&body.unwrap()).unwrap()).collect()
        };
        let trades = bodies("SELECT body FROM trade ORDER BY trade_id, order_id");
        let open = bodies("SELECT body FROM open_order UNION ALL SELECT body FROM algo");
        let wallet = |row: &serde_json::Value| {
            let account = serde_json::from_value(row["account"].clone()).unwrap();
            (account, row["wallet"].as_str().unwrap().parse().unwrap())
        };
        Self {
            rows,
            trades: trades.into_iter().map(|body| to_the_millisecond(serde_json::from_value(body).unwrap())).collect(),
            open: open.iter().map(|row| serde_json::from_value(row["order"]["client_order_id"].clone()).unwrap()).collect(),
            wallets: bodies("SELECT body FROM account").iter().map(wallet).collect(),
        }
    }

    pub fn fills(&self) -> impl Iterator<Item = &Fill> {
        self.rows.iter().filter_map(|(_, record)| match record {
            Record::Filled { fill, .. } => Some(fill),
            _ => None,
        })
    }

    /// Intended orders with what was wished for; the journal has each once.
    pub fn intended(&self) -> BTreeMap<ClientOrderId, Quantity> {
        let mut intended = BTreeMap::new();
        for (_, record) in &self.rows {
            if let Record::OrderIntended { order, .. } = record {
                let before = intended.insert(order.client_order_id, order.quantity);
                assert_eq!(before, None, "{} was intended twice", order.client_order_id);
            }
        }
        intended
    }

    /// The last status of every order that the journal knows.
    pub fn standing(&self) -> BTreeMap<ClientOrderId, OrderStatus> {
        let mut standing = BTreeMap::new();
        for (_, record) in &self.rows {
            match record {
                Record::OrderIntended { order, .. } => drop(standing.insert(order.client_order_id, OrderStatus::Persisting)),
                Record::OrderChanged { client_order_id, status, .. } => drop(standing.insert(*client_order_id, *status)),
                _ => {}
            }
        }
        standing
    }

    /// What holds at any moment, also right after `kill -9`: nothing was sent before its intent was durable, nothing filled
    /// beyond what was wished for, and the journal has no trade that the exchange has not, nor one twice.
    pub fn check_always(&self) {
        let intended = self.intended();
        let mut filled: BTreeMap<ClientOrderId, Decimal> = BTreeMap::new();
        let mut at_exchange = BTreeMap::new();
        for trade in &self.trades {
            assert!(at_exchange.insert(key(trade), trade).is_none(), "the exchange has {trade:?} twice");
            *filled.entry(trade.client_order_id).or_default() += trade.quantity.0;
        }
        for (id, quantity) in &filled {
            if is_of_the_kill_switch(*id) {
                continue;
            }
            let wished = intended.get(id).unwrap_or_else(|| panic!("{id} traded and its intent is not in the journal"));
            assert!(*quantity <= wished.0, "{id} filled {quantity} of {wished}");
        }
        for id in &self.open {
            assert!(intended.contains_key(id), "{id} is open at the exchange and its intent is not in the journal");
        }
        let mut booked = BTreeSet::new();
        for fill in self.fills() {
            assert!(booked.insert(key(fill)), "the journal booked {fill:?} twice");
            let trade = at_exchange.get(&key(fill)).unwrap_or_else(|| panic!("the exchange does not know {fill:?}"));
            assert_eq!(*trade, fill, "both sides tell the same of a trade");
        }
    }

    /// What holds besides when a daemon has reconciled and stopped in order: nothing is missing on either side.
    pub fn check_settled(&self) {
        self.check_always();
        let booked: BTreeSet<_> = self.fills().map(key).collect();
        let missing: Vec<&Fill> = self.trades.iter().filter(|trade| !booked.contains(&key(trade))).collect();
        assert!(missing.is_empty(), "not in the journal: {missing:#?}");
        let standing = self.standing();
        let alive: BTreeSet<ClientOrderId> = standing.iter().filter(|(_, status)| !status.is_terminal()).map(|(id, _)| *id).collect();
        assert_eq!(alive, self.open, "orders that live in the journal, and those that the exchange has open");
        let mut filled: BTreeMap<ClientOrderId, Decimal> = BTreeMap::new();
        for fill in self.fills() {
            *filled.entry(fill.client_order_id).or_default() += fill.quantity.0;
        }
        for (id, wished) in self.intended() {
            let whole = filled.get(&id).copied().unwrap_or_default() == wished.0;
            assert_eq!(standing[&id] == OrderStatus::Filled, whole, "{id} is {}, filled {:?} of {wished}", standing[&id], filled.get(&id));
        }
    }

    /// Positions as the exchange's trades add up.
    pub fn held(&self) -> Held {
        let mut held = Held::new();
        for trade in &self.trades {
            let signed = if trade.side == Side::Buy { trade.quantity.0 } else { -trade.quantity.0 };
            *held.entry((trade.account, trade.symbol)).or_default() += signed;
        }
        held.retain(|_, quantity| !quantity.is_zero());
        held
    }

    /// Every start's epoch, in order.
    pub fn epochs(&self) -> Vec<u32> {
        let started = |(_, record): &(u32, Record)| match record {
            Record::DaemonStarted { epoch, .. } => Some(epoch.0),
            _ => None,
        };
        self.rows.iter().filter_map(started).collect()
    }

    /// What reconciliations of that epoch had to correct in our books. The first wallet of an account is no correction.
    pub fn corrections(&self, epoch: u32) -> Vec<&String> {
        let findings = self.rows.iter().filter(|(of, _)| *of == epoch).filter_map(|(_, record)| match record {
            Record::Reconciled { findings, .. } => Some(findings),
            _ => None,
        });
        let books = |finding: &&String| finding.starts_with("position") || finding.starts_with("wallet");
        findings.flatten().filter(books).filter(|finding| !finding.starts_with("wallet: ours 0,")).collect()
    }
}

/// The wire has milliseconds.
pub fn to_the_millisecond(fill: Fill) -> Fill {
    Fill { at: Timestamp::from_millis(fill.at.as_millis()), ..fill }
}

pub fn key(fill: &Fill) -> (AccountId, Symbol, u64, u64) {
    (fill.account, fill.symbol, fill.venue_order_id, fill.trade_id)
}

/// Its orders have the highest slot, 0xFFF, and no intent of a strategy.
pub fn is_of_the_kill_switch(id: ClientOrderId) -> bool {
    id.as_str().split('-').nth(3).is_some_and(|intent| intent.len() == 11 && intent.starts_with("fff"))
}
