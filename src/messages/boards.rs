//! What everybody may read without asking: the newest market views, the modes, each account's and strategy's standing.
//! Written by the one actor that owns the entry, read from any thread without a lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use crossbeam_utils::atomic::AtomicCell;
use rustc_hash::FxHashMap as HashMap;

use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::ladder::ModeTable;
use crate::domain::market::MarketView;
use crate::domain::mode::Mode;
use crate::domain::order::{AccountView, OrderReport};
use crate::domain::time::Timestamp;

/// The newest view of every symbol.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<ArcSwap<HashMap<Symbol, BoardEntry>>>);

/// Where one symbol's view is written. A store is a copy: nothing is allocated and nobody waits, reader or writer, beyond
/// another's copy.
type BoardEntry = Arc<AtomicCell<Option<MarketView>>>;

impl Board {
    pub fn post(&self, view: MarketView) {
        let posted = Some(view);
        if let Some(entry) = self.0.load().get(&view.symbol) {
            return entry.store(posted);
        }
        self.0.rcu(|entries| {
            let mut entries = HashMap::clone(entries);
            entries.entry(view.symbol).or_default().store(posted);
            entries
        });
    }

    #[must_use]
    pub fn get(&self, symbol: Symbol) -> Option<MarketView> {
        self.0.load().get(&symbol)?.load()
    }

    pub fn forget(&self, symbol: Symbol) {
        self.0.rcu(|entries| {
            let mut entries = HashMap::clone(entries);
            entries.remove(&symbol);
            entries
        });
    }

    /// Every view, by symbol.
    #[must_use]
    pub fn all(&self) -> BTreeMap<Symbol, MarketView> {
        self.0.load().iter().filter_map(|(symbol, entry)| Some((*symbol, entry.load()?))).collect()
    }
}

/// The modes as the kill switch last decided them, which everybody obeys at once; and as they are shown, which they are when a
/// crash would not forget them.
#[derive(Debug, Clone, Default)]
pub struct ModeBoard(Arc<Modes>);

#[derive(Debug, Default)]
struct Modes {
    decided: ArcSwap<ModeTable>,
    reported: ArcSwap<ModeTable>,
}

impl ModeBoard {
    pub fn set(&self, modes: Arc<ModeTable>) {
        self.0.decided.store(modes);
    }

    #[must_use]
    pub fn get(&self) -> Arc<ModeTable> {
        self.0.decided.load_full()
    }

    /// They are in the journal.
    pub fn report(&self, modes: ModeTable) {
        self.0.reported.store(Arc::new(modes));
    }

    #[must_use]
    pub fn reported(&self) -> Arc<ModeTable> {
        self.0.reported.load_full()
    }
}

/// One account's standing as its executor last published it.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountStanding {
    pub mode: Mode,
    pub ready: bool,
    /// When the books were last found to agree with the venue's; `None` while they are being compared.
    pub reconciled: Option<Timestamp>,
    pub orders: u64,
    pub fills: u64,
    pub view: AccountView,
    /// Orders that the venue may have open.
    pub open: Vec<OrderReport>,
    /// The last orders that ended, newest last.
    pub ended: Vec<Arc<OrderReport>>,
}

/// One strategy's standing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StrategyStanding {
    pub warm: bool,
    pub proposed: u64,
    pub refused: u64,
}

/// Standings by name.
#[derive(Debug, Default)]
pub struct Views {
    accounts: ArcSwap<BTreeMap<AccountId, Arc<AccountStanding>>>,
    strategies: ArcSwap<BTreeMap<StrategyId, StrategyStanding>>,
}

impl Views {
    pub fn set_account(&self, standing: AccountStanding) {
        let standing = Arc::new(standing);
        self.accounts.rcu(|accounts| {
            let mut accounts = BTreeMap::clone(accounts);
            accounts.insert(standing.view.account, Arc::clone(&standing));
            accounts
        });
    }

    pub fn set_strategy(&self, id: StrategyId, standing: &StrategyStanding) {
        self.strategies.rcu(|strategies| {
            let mut strategies = BTreeMap::clone(strategies);
            strategies.insert(id, standing.clone());
            strategies
        });
    }

    pub fn forget_account(&self, account: AccountId) {
        self.accounts.rcu(|accounts| {
            let mut accounts = BTreeMap::clone(accounts);
            accounts.remove(&account);
            accounts
        });
    }

    pub fn forget_strategy(&self, id: StrategyId) {
        self.strategies.rcu(|strategies| {
            let mut strategies = BTreeMap::clone(strategies);
            strategies.remove(&id);
            strategies
        });
    }

    #[must_use]
    pub fn accounts(&self) -> Arc<BTreeMap<AccountId, Arc<AccountStanding>>> {
        self.accounts.load_full()
    }

    #[must_use]
    pub fn strategies(&self) -> Arc<BTreeMap<StrategyId, StrategyStanding>> {
        self.strategies.load_full()
    }
}

/// Which symbols each feed brings, by the feed's number: what a fault of it covers.
#[derive(Debug, Clone, Default)]
pub struct Feeds(Arc<ArcSwap<Vec<Vec<Symbol>>>>);

impl Feeds {
    pub fn set(&self, feeds: Vec<Vec<Symbol>>) {
        self.0.store(Arc::new(feeds));
    }

    /// Nothing for one that is not known.
    #[must_use]
    pub fn symbols(&self, number: usize) -> Vec<Symbol> {
        self.0.load().get(number).cloned().unwrap_or_default()
    }
}

/// Who trades what, as configured right now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RosterEntries {
    pub accounts: Vec<AccountId>,
    pub symbols: Vec<Symbol>,
    /// Running strategies and the accounts that each trades.
    pub strategies: BTreeMap<StrategyId, Vec<AccountId>>,
}

#[derive(Debug, Clone, Default)]
pub struct Roster(Arc<ArcSwap<RosterEntries>>);

impl Roster {
    pub fn set(&self, entries: RosterEntries) {
        self.0.store(Arc::new(entries));
    }

    #[must_use]
    pub fn get(&self) -> Arc<RosterEntries> {
        self.0.load_full()
    }

    /// Changes it, whoever else does at the same time. `change` may be called again.
    pub fn update(&self, change: impl Fn(&mut RosterEntries)) {
        self.0.rcu(|entries| {
            let mut entries = RosterEntries::clone(entries);
            change(&mut entries);
            entries
        });
    }

    #[must_use]
    pub fn trades(&self, strategy: StrategyId, account: AccountId) -> bool {
        self.0.load().strategies.get(&strategy).is_some_and(|accounts| accounts.contains(&account))
    }

    #[must_use]
    pub fn strategies_of(&self, account: AccountId) -> Vec<StrategyId> {
        let entries = self.0.load();
        entries.strategies.iter().filter(|(_, accounts)| accounts.contains(&account)).map(|(strategy, _)| *strategy).collect()
    }
}
