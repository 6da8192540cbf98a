//! The exchange's own durable record: accounts, open orders with their place in the queue, ended orders, trades, counters and
//! last prices, in one SQLite file of the data directory. It is the venue's memory, apart from the trader's journal: after
//! `kill -9` a restarted daemon meets an exchange that remembers. It decides nothing.
//!
//! WAL with `synchronous = NORMAL`: a killed process loses nothing that was committed; a power cut may lose the last commits
//! but leaves a consistent file. That is the right price for a simulated venue.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::core::margin::IncomeRow;
use super::core::report::TradeView;
use super::state::{AccountRow, Changes, ClosedRow, Counters, EndedAlgoRow, MarketRow, OrderRow, SavedState};
use crate::domain::ids::{AccountId, Symbol};
use crate::domain::order::TradesWanted;

/// Trades of an account that stay in the file: some 30 MB, a month at two trades a minute; a reconciliation asks for hours.
const TRADES_KEPT: u32 = 100_000;
/// Ended orders of an account that stay in the file, as many as the engine answers queries from.
const CLOSED_KEPT: u32 = 1_000;
/// Rows of the income ledger: two a trade.
const INCOME_KEPT: u32 = 2 * TRADES_KEPT;
/// Fundings of a symbol, as many as the engine lists.
const FUNDINGS_KEPT: u32 = 1_000;
/// As many as the engine lists.
const INCOME_LOADED: usize = 10_000;
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE account (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE open_order (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE closed_order (sequence INTEGER PRIMARY KEY, account TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX closed_order_account ON closed_order (account, sequence);
CREATE TABLE trade (account TEXT NOT NULL, trade_id INTEGER NOT NULL, order_id INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (account, trade_id, order_id)) STRICT, WITHOUT ROWID;
CREATE TABLE market (symbol TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE counters (only INTEGER PRIMARY KEY CHECK (only = 1), body TEXT NOT NULL) STRICT;
";

/// What later versions remember besides. A file without these tables gets them; a version that does not know them reads past
/// them.
const LATER_SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS income (account TEXT NOT NULL, id INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (account, id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS funding (symbol TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (symbol, at)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS algo (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS ended_algo (account TEXT NOT NULL, id INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (account, id)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS order_list (id INTEGER PRIMARY KEY, account TEXT NOT NULL, done INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS order_list_account ON order_list (account, done, id);
";

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(
        "the exchange's record {path} cannot be opened: {source}; check that the data directory is writable; a damaged file can be moved away, the exchange then starts with empty accounts"
    )]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error(
        "the exchange's record {path} expected schema version {SCHEMA_VERSION}, found {found}; start the version that wrote it, or move the file away"
    )]
    Version { path: PathBuf, found: i64 },
    #[error(
        "the exchange's record exchange.db: {0}; check the disk; a damaged file can be moved away, the exchange then starts with empty accounts"
    )]
    Sql(#[from] rusqlite::Error),
    #[error(
        "the exchange's record has a row of {table} that cannot be read: {source}; the file is damaged, move it away to start with empty accounts"
    )]
    Row { table: &'static str, source: serde_json::Error },
}

/// The open file.
#[derive(Debug)]
pub struct ExchangeRecord {
    connection: Connection,
}

impl ExchangeRecord {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it cannot be opened or was written by another version.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let opening = |source| RecordError::Open { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(opening)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(opening)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(opening)?;
        // As many as there are statements below.
        connection.set_prepared_statement_cache_capacity(32);
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(opening)?;
        match found {
            SCHEMA_VERSION => {}
            0 => {
                let transaction = connection.transaction()?;
                transaction.execute_batch(SCHEMA)?;
                transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
                transaction.commit()?;
            }
            _ => return Err(RecordError::Version { path: path.to_owned(), found }),
        }
        connection.execute_batch(LATER_SCHEMA).map_err(opening)?;
        Ok(Self { connection })
    }

    /// Everything that the engine needs to go on; of trades the newest `trades_kept` of each account. Older rows are not read:
    /// a start takes as long after a year as after a day.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(&self, trades_kept: usize) -> Result<SavedState, RecordError> {
        let counters: Option<String> = self.connection.query_row("SELECT body FROM counters", [], |row| row.get(0)).optional()?;
        let accounts: Vec<AccountRow> = self.rows("account", "SELECT body FROM account ORDER BY rowid")?;
        let (mut trades, mut closed): (Vec<TradeView>, Vec<ClosedRow>) = (Vec::new(), Vec::new());
        let (mut income, mut algos_ended): (Vec<IncomeRow>, Vec<EndedAlgoRow>) = (Vec::new(), Vec::new());
        for row in &accounts {
            self.newest("trade", NEWEST_TRADES, row.account, trades_kept, &mut trades)?;
            self.newest("closed_order", NEWEST_CLOSED, row.account, CLOSED_KEPT as usize, &mut closed)?;
            self.newest("ended_algo", NEWEST_ALGOS, row.account, CLOSED_KEPT as usize, &mut algos_ended)?;
            self.newest("income", NEWEST_INCOME, row.account, INCOME_LOADED, &mut income)?;
        }
        Ok(SavedState {
            accounts,
            open: self.rows("open_order", "SELECT body FROM open_order ORDER BY id")?,
            closed,
            trades,
            lists: self.rows("order_list", "SELECT body FROM order_list ORDER BY id")?,
            income,
            fundings: self.rows("funding", "SELECT body FROM funding ORDER BY symbol, at")?,
            algos: self.rows("algo", "SELECT body FROM algo ORDER BY id")?,
            algos_ended,
            markets: self.rows("market", "SELECT body FROM market ORDER BY symbol")?,
            counters: match counters {
                Some(body) => decode("counters", &body)?,
                None => Counters::default(),
            },
        })
    }

    fn rows<T: DeserializeOwned>(&self, table: &'static str, sql: &str) -> Result<Vec<T>, RecordError> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut decoded = Vec::new();
        while let Some(row) = rows.next()? {
            decoded.push(decode(table, row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
        }
        Ok(decoded)
    }

    /// The newest `kept` rows of one account, oldest first.
    fn newest<T: DeserializeOwned>(
        &self,
        table: &'static str,
        sql: &str,
        account: AccountId,
        kept: usize,
        into: &mut Vec<T>,
    ) -> Result<(), RecordError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![account.as_str(), i64::try_from(kept).unwrap_or(i64::MAX)])?;
        let from = into.len();
        while let Some(row) = rows.next()? {
            into.push(decode(table, row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
        }
        into[from..].reverse();
        Ok(())
    }

    /// Makes one batch of changes durable, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses; nothing of the batch is in the file then.
    pub fn commit(&mut self, changes: &Changes) -> Result<(), RecordError> {
        if changes.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        for row in &changes.accounts {
            put(&transaction, ACCOUNT, row.account.as_str(), row)?;
        }
        for row in &changes.open {
            put(&transaction, OPEN_ORDER, row.order.id.cast_signed(), row)?;
        }
        for id in &changes.gone {
            transaction.prepare_cached("DELETE FROM open_order WHERE id = ?1")?.execute([id.cast_signed()])?;
        }
        for row in &changes.closed {
            let mut insert = transaction.prepare_cached("INSERT INTO closed_order (account, body) VALUES (?1, ?2)")?;
            insert.execute(params![row.account.as_str(), encode(row)?])?;
        }
        for trade in &changes.trades {
            let mut insert =
                transaction.prepare_cached("INSERT OR REPLACE INTO trade (account, trade_id, order_id, body) VALUES (?1, ?2, ?3, ?4)")?;
            let fill = &trade.fill;
            let (trade_id, order_id) = (fill.trade_id.cast_signed(), fill.venue_order_id.cast_signed());
            insert.execute(params![fill.account.as_str(), trade_id, order_id, encode(trade)?])?;
        }
        for row in &changes.algos {
            put(&transaction, ALGO, row.order.id.cast_signed(), row)?;
        }
        for id in &changes.algos_gone {
            transaction.prepare_cached("DELETE FROM algo WHERE id = ?1")?.execute([id.cast_signed()])?;
        }
        for row in &changes.algos_ended {
            let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO ended_algo (account, id, body) VALUES (?1, ?2, ?3)")?;
            insert.execute(params![row.account.as_str(), row.algo.algo_id().cast_signed(), encode(row)?])?;
        }
        for row in &changes.lists {
            let mut put = transaction.prepare_cached(ORDER_LIST)?;
            put.execute(params![row.view.id.cast_signed(), row.account.as_str(), row.is_done(), encode(row)?])?;
        }
        for point in &changes.fundings {
            let symbol = point.symbol.as_str();
            let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO funding (symbol, at, body) VALUES (?1, ?2, ?3)")?;
            insert.execute(params![symbol, point.at.0, encode(point)?])?;
            // A few a day: what is beyond the bound goes at once.
            transaction.prepare_cached(OLD_FUNDINGS)?.execute(params![symbol, FUNDINGS_KEPT])?;
        }
        for row in &changes.income {
            let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO income (account, id, body) VALUES (?1, ?2, ?3)")?;
            insert.execute(params![row.account.as_str(), row.transaction_id.cast_signed(), encode(row)?])?;
        }
        put(&transaction, COUNTERS, 1, &changes.counters)?;
        Ok(transaction.commit()?)
    }

    /// Notes last prices and places in queues: what moves without any order changing. Once a second is enough: a restart
    /// goes on from there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn checkpoint(&mut self, markets: &[MarketRow], resting: &[OrderRow]) -> Result<(), RecordError> {
        let transaction = self.connection.transaction()?;
        for row in markets {
            put(&transaction, MARKET, row.symbol.as_str(), row)?;
        }
        for row in resting {
            put(&transaction, OPEN_ORDER, row.order.id.cast_signed(), row)?;
        }
        Ok(transaction.commit()?)
    }

    /// Removes trades and ended orders beyond what is kept.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn prune(&mut self, accounts: &[AccountId]) -> Result<(), RecordError> {
        let transaction = self.connection.transaction()?;
        for account in accounts {
            transaction
                .prepare_cached(
                    "DELETE FROM trade WHERE account = ?1 AND trade_id <= (SELECT trade_id FROM trade WHERE account = ?1
                     ORDER BY trade_id DESC LIMIT 1 OFFSET ?2)",
                )?
                .execute(params![account.as_str(), TRADES_KEPT])?;
            transaction
                .prepare_cached(
                    "DELETE FROM closed_order WHERE account = ?1 AND sequence <= (SELECT sequence FROM closed_order
                     WHERE account = ?1 ORDER BY sequence DESC LIMIT 1 OFFSET ?2)",
                )?
                .execute(params![account.as_str(), CLOSED_KEPT])?;
            transaction
                .prepare_cached(
                    "DELETE FROM order_list WHERE account = ?1 AND done = 1 AND id <= (SELECT id FROM order_list
                     WHERE account = ?1 AND done = 1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                )?
                .execute(params![account.as_str(), CLOSED_KEPT])?;
            transaction
                .prepare_cached(
                    "DELETE FROM income WHERE account = ?1 AND id <= (SELECT id FROM income WHERE account = ?1
                     ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                )?
                .execute(params![account.as_str(), INCOME_KEPT])?;
            transaction
                .prepare_cached(
                    "DELETE FROM ended_algo WHERE account = ?1 AND id <= (SELECT id FROM ended_algo WHERE account = ?1
                     ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                )?
                .execute(params![account.as_str(), CLOSED_KEPT])?;
        }
        Ok(transaction.commit()?)
    }

    /// Those of an account's wanted trades whose ids are below `before`, ascending: the ones that the engine has let go. Read from
    /// the newest back, and no further than to the first that nobody wants: times and ids ascend together.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn trades_before(&self, account: AccountId, before: u64, wanted: &TradesWanted) -> Result<Vec<TradeView>, RecordError> {
        let mut trades: Vec<TradeView> = Vec::new();
        let mut statement = self.connection.prepare_cached(TRADES_BEFORE)?;
        let mut rows = statement.query(params![account.as_str(), i64::try_from(before).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let trade: TradeView = decode("trade", row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
            if !wanted.values().any(|from| from.reaches(&trade.fill)) {
                break;
            }
            if trade.fill.is_wanted(wanted) {
                trades.push(trade);
            }
        }
        trades.reverse();
        Ok(trades)
    }

    /// A page of an account's trades, ascending. No more is read than is on it: whoever asks from the first trade on does not
    /// keep the exchange from its work.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn trade_page(&self, account: AccountId, page: TradePage) -> Result<Vec<TradeView>, RecordError> {
        let id = |id: u64| i64::try_from(id).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(TRADE_PAGE)?;
        let mut rows = statement.query(params![account.as_str(), id(page.after), id(page.before), page.order.map(id)])?;
        let mut trades: Vec<TradeView> = Vec::new();
        while trades.len() < page.limit {
            let Some(row) = rows.next()? else { break };
            let trade: TradeView = decode("trade", row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
            if trade.fill.symbol == page.symbol {
                trades.push(trade);
            }
        }
        Ok(trades)
    }
}

/// The first trades on a symbol behind one id and before another, of one order where one is named.
#[derive(Debug, Clone, Copy)]
pub struct TradePage {
    pub symbol: Symbol,
    pub after: u64,
    pub before: u64,
    pub order: Option<u64>,
    pub limit: usize,
}

// In the order of a key that begins with the account: SQLite reads from its end, and no further than it is asked to.
const NEWEST_TRADES: &str = "SELECT body FROM trade WHERE account = ?1 ORDER BY trade_id DESC, order_id DESC LIMIT ?2";
const TRADES_BEFORE: &str = "SELECT body FROM trade WHERE account = ?1 AND trade_id < ?2 ORDER BY trade_id DESC, order_id DESC";
const TRADE_PAGE: &str = "SELECT body FROM trade WHERE account = ?1 AND trade_id > ?2 AND trade_id < ?3
     AND (?4 IS NULL OR order_id = ?4) ORDER BY trade_id, order_id";
const NEWEST_CLOSED: &str = "SELECT body FROM closed_order WHERE account = ?1 ORDER BY sequence DESC LIMIT ?2";
const NEWEST_INCOME: &str = "SELECT body FROM income WHERE account = ?1 ORDER BY id DESC LIMIT ?2";
const OLD_FUNDINGS: &str = "DELETE FROM funding WHERE symbol = ?1 AND at <= (SELECT at FROM funding WHERE symbol = ?1
     ORDER BY at DESC LIMIT 1 OFFSET ?2)";
const NEWEST_ALGOS: &str = "SELECT body FROM ended_algo WHERE account = ?1 ORDER BY id DESC LIMIT ?2";

const ACCOUNT: &str = "INSERT INTO account (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body";
const OPEN_ORDER: &str = "INSERT INTO open_order (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body";
const ALGO: &str = "INSERT INTO algo (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body";
const MARKET: &str = "INSERT INTO market (symbol, body) VALUES (?1, ?2) ON CONFLICT (symbol) DO UPDATE SET body = excluded.body";
const ORDER_LIST: &str = "INSERT INTO order_list (id, account, done, body) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (id) DO UPDATE SET done = excluded.done, body = excluded.body";
const COUNTERS: &str = "INSERT INTO counters (only, body) VALUES (?1, ?2) ON CONFLICT (only) DO UPDATE SET body = excluded.body";

fn put(transaction: &Transaction<'_>, sql: &'static str, key: impl rusqlite::ToSql, row: &impl Serialize) -> Result<(), RecordError> {
    transaction.prepare_cached(sql)?.execute(params![key, encode(row)?])?;
    Ok(())
}

fn encode(row: &impl Serialize) -> Result<String, RecordError> {
    serde_json::to_string(row).map_err(|source| RecordError::Row { table: "new row", source })
}

fn decode<T: DeserializeOwned>(table: &'static str, body: &str) -> Result<T, RecordError> {
    serde_json::from_str(body).map_err(|source| RecordError::Row { table, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Asset, ClientOrderId};
    use crate::domain::money::{Money, Price, Quantity, Ratio};
    use crate::domain::order::{Fill, OrderKind, OrderStatus, PositionSide, Side, VenueOrder};
    use crate::domain::time::Timestamp;
    use crate::exchange::core::margin::{AlgoStatus, AlgoView, FundingPoint, IncomeKind};

    const NAMES: [&str; 2] = ["a", "b"];

    fn symbol() -> Symbol {
        Symbol::new("BTCUSDT").unwrap()
    }

    fn fill(account: AccountId, trade_id: u64) -> Fill {
        Fill {
            account,
            symbol: symbol(),
            client_order_id: ClientOrderId::new("x").unwrap(),
            venue_order_id: trade_id,
            trade_id,
            side: Side::Buy,
            position_side: PositionSide::default(),
            price: Price(1.into()),
            quantity: Quantity(1.into()),
            fee: Money::ZERO,
            fee_taken: None,
            maker: false,
            at: Timestamp::ZERO,
        }
    }

    fn closed(account: AccountId, id: u64) -> ClosedRow {
        let order = VenueOrder {
            client_order_id: ClientOrderId::new("x").unwrap(),
            venue_order_id: id,
            symbol: symbol(),
            side: Side::Buy,
            position_side: PositionSide::default(),
            kind: OrderKind::Market,
            status: OrderStatus::Filled,
            quantity: Quantity(1.into()),
            filled: Quantity(1.into()),
            reduce_only: false,
            updated_at: Timestamp::ZERO,
        };
        ClosedRow { account, order: order.into() }
    }

    /// Two accounts that traded in turns: `trades` each, and as many ended orders.
    fn filled(path: &Path, trades: u64) -> ExchangeRecord {
        let accounts = NAMES.map(|name| AccountId::new(name).unwrap());
        let row = |account| AccountRow {
            account,
            owner: 0,
            hedge: false,
            wallet: 0.into(),
            symbols: Vec::new(),
            balances: Vec::new(),
            margin: Default::default(),
        };
        let in_turns = || (0..trades * 2).map(|id| (accounts[(id % 2) as usize], id));
        let mut record = ExchangeRecord::open(path).unwrap();
        let changes = Changes {
            accounts: accounts.map(row).to_vec(),
            closed: in_turns().map(|(account, id)| closed(account, id)).collect(),
            trades: in_turns().map(|(account, id)| fill(account, id).into()).collect(),
            ..Changes::default()
        };
        record.commit(&changes).unwrap();
        record
    }

    #[test]
    fn a_start_reads_the_newest_rows_of_each_account_and_no_others() {
        let (trades, kept) = (u64::from(CLOSED_KEPT) + 500, 20);
        let folder = tempfile::tempdir().unwrap();
        let record = filled(&folder.path().join("exchange.db"), trades);
        // Nobody who reads these can fail to notice.
        record.connection.execute("UPDATE trade SET body = 'damaged' WHERE trade_id < ?1", [((trades - kept) * 2).cast_signed()]).unwrap();
        record.connection.execute("UPDATE closed_order SET body = 'damaged' WHERE sequence <= 1000", []).unwrap();
        let saved = record.load(kept as usize).unwrap();
        for (place, name) in NAMES.iter().enumerate() {
            let account = AccountId::new(name).unwrap();
            let ids = |first: u64| (first..trades).map(|nth| nth * 2 + place as u64).collect::<Vec<_>>();
            let found: Vec<u64> =
                saved.trades.iter().map(|trade| &trade.fill).filter(|fill| fill.account == account).map(|fill| fill.trade_id).collect();
            assert_eq!(found, ids(trades - kept), "{name}");
            let ended = saved.closed.iter().filter(|row| row.account == account);
            assert_eq!(ended.map(|row| row.order.order.venue_order_id).collect::<Vec<_>>(), ids(trades - u64::from(CLOSED_KEPT)), "{name}");
        }
        let error = record.load(kept as usize + 1).unwrap_err().to_string();
        assert!(error.contains("row of trade"), "what is asked for and damaged is told: {error}");
    }

    #[test]
    fn a_page_of_trades_reads_no_further_than_it_is_long() {
        let folder = tempfile::tempdir().unwrap();
        let record = filled(&folder.path().join("exchange.db"), 50);
        record.connection.execute("UPDATE trade SET body = 'damaged' WHERE trade_id < 10 OR trade_id > 18", []).unwrap();
        let page = TradePage { symbol: symbol(), after: 9, before: 100, order: None, limit: 5 };
        let read = |page| record.trade_page(AccountId::new("a").unwrap(), page);
        let ids = |page| read(page).unwrap().iter().map(|trade| trade.fill.trade_id).collect::<Vec<_>>();
        assert_eq!(ids(page), [10, 12, 14, 16, 18]);
        assert_eq!(ids(TradePage { before: 14, ..page }), [10, 12]);
        assert_eq!(ids(TradePage { after: 0, order: Some(14), ..page }), [14]);
        assert!(ids(TradePage { symbol: Symbol::new("ETHUSDT").unwrap(), before: 18, ..page }).is_empty());
        assert!(read(TradePage { limit: 6, ..page }).is_err(), "what is asked for and damaged is told");
    }

    #[test]
    fn the_newest_rows_are_found_without_sorting() {
        let folder = tempfile::tempdir().unwrap();
        let record = filled(&folder.path().join("exchange.db"), 1);
        for sql in [NEWEST_TRADES, NEWEST_CLOSED, NEWEST_INCOME, NEWEST_ALGOS] {
            let mut statement = record.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = statement.query_map(params!["a", 10], |row| row.get::<_, String>(3)).unwrap();
            let plan: Vec<String> = steps.map(Result::unwrap).collect();
            assert!(plan.len() == 1 && plan[0].starts_with("SEARCH"), "{plan:?}");
        }
    }

    /// A file of the first version: no tables but its own, rows without what came later.
    #[test]
    fn an_older_file_is_read_and_gets_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exchange.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(SCHEMA).unwrap();
        old.pragma_update(None, "user_version", SCHEMA_VERSION).unwrap();
        let leg = r#"{"lots":5,"cost":"300"}"#;
        let none = r#"{"lots":0,"cost":"0"}"#;
        let slot = format!(r#"{{"symbol":"BTCUSDT","leverage":20,"net":{leg},"long":{none},"short":{none}}}"#);
        let account = format!(r#"{{"account":"a","owner":0,"hedge":false,"wallet":"1000","symbols":[{slot}]}}"#);
        old.execute("INSERT INTO account (id, body) VALUES ('a', ?1)", [account]).unwrap();
        let order = r#"{"account":"a","symbol":"BTCUSDT","order":{"id":7,"client_order_id":"x","side":"BUY","position_side":"BOTH",
            "kind":{"stop_market":{"trigger":"60000"}},"time_in_force":"GTC","self_trade_prevention":"NONE","reduce_only":false,
            "limit":null,"trigger":{"at":600000,"rising":true},"quantity":5,"filled":0,"queue_ahead":0,"updated_at":1}}"#;
        old.execute("INSERT INTO open_order (id, body) VALUES (7, ?1)", [order]).unwrap();
        old.execute("INSERT INTO counters (only, body) VALUES (1, '{\"next_order_id\":8,\"next_trade_id\":3}')", []).unwrap();
        drop(old);
        let saved = ExchangeRecord::open(&path).unwrap().load(10).unwrap();
        assert_eq!((saved.accounts[0].symbols[0].net.lots, saved.open[0].order.id, saved.counters.next_order_id), (5, 7, 8));
        assert!(saved.income.is_empty() && saved.algos.is_empty() && saved.counters.fund.is_none());
    }

    #[test]
    fn what_only_perpetuals_have_comes_back_as_it_went() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exchange.db");
        let account = AccountId::new("a").unwrap();
        let income = |id: u64| IncomeRow {
            account,
            symbol: Some(symbol()),
            kind: IncomeKind::FundingFee,
            amount: Money((-1).into()),
            asset: Asset::new("USDT").unwrap(),
            at: Timestamp(id.cast_signed()),
            transaction_id: id,
            trade_id: None,
        };
        let ended = |status| EndedAlgoRow {
            account,
            algo: AlgoView { order: closed(account, 4).order, status, triggered_at: None, actual: None, reason: Some("no".to_owned()) },
        };
        let point = |at| FundingPoint { symbol: symbol(), at: Timestamp(at), rate: Ratio::ZERO, mark: Price(1.into()) };
        let row = AccountRow {
            account,
            owner: 0,
            hedge: true,
            wallet: 0.into(),
            symbols: Vec::new(),
            balances: Vec::new(),
            margin: Default::default(),
        };
        let mut record = ExchangeRecord::open(&path).unwrap();
        let first = Changes {
            accounts: vec![row],
            income: vec![income(1), income(2)],
            fundings: (0..i64::from(FUNDINGS_KEPT) + 5).map(point).collect(),
            algos_ended: vec![ended(AlgoStatus::Triggered)],
            ..Changes::default()
        };
        record.commit(&first).unwrap();
        let second = Changes { algos_ended: vec![ended(AlgoStatus::Finished)], ..Changes::default() };
        record.commit(&second).unwrap();
        record.prune(&[account]).unwrap();
        let saved = record.load(10).unwrap();
        assert_eq!((&saved.income, &saved.algos_ended), (&first.income, &second.algos_ended));
        assert_eq!((saved.fundings.len(), saved.fundings[0].at), (FUNDINGS_KEPT as usize, Timestamp(5)));
    }
}
