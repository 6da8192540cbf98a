//! What a reload has to do: the difference of two settings in the words of those who apply it. A key that cannot be applied
//! to a running daemon is named as such, never quietly dropped.

use std::fmt;

use crate::domain::ids::{AccountId, StrategyId, Symbol};

use super::origin::Row;
use super::shape::{Daemon, Settings, SymbolSpec, Symbols};

/// One difference. Removed stands for disabled too, added for enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    LogFilterChanged {
        from: String,
        to: String,
    },
    /// One key of `[risk]`; an empty text is "not set". All of them together are applied by handing over `Settings::risk`.
    LimitChanged {
        key: String,
        from: String,
        to: String,
    },
    AccountAdded(AccountId),
    AccountRemoved(AccountId),
    /// `keys` without the account's prefix: what changed and can be applied.
    AccountChanged {
        id: AccountId,
        keys: Vec<String>,
    },
    SymbolAdded(Symbol),
    SymbolRemoved(Symbol),
    StrategyAdded(StrategyId),
    StrategyRemoved(StrategyId),
    StrategyChanged {
        id: StrategyId,
        keys: Vec<String>,
    },
    /// The old value stays until the daemon is started again.
    NeedsRestart {
        key: String,
        from: String,
        to: String,
    },
}

impl Settings {
    /// What must be done to go from `old` to `new`, in the order to do it: limits first, so that nothing new starts under
    /// old limits; then removals, changes and additions, each with accounts and symbols before the strategies on them.
    #[must_use]
    pub fn diff(old: &Self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        single_keys(old, new, &mut changes);
        strategies_gone(old, new, &mut changes);
        accounts(old, new, &mut changes);
        symbols(old, new, &mut changes);
        strategies_here(old, new, &mut changes);
        changes.sort_by_key(Change::order);
        changes
    }
}

impl Settings {
    /// These settings as far as a daemon that runs on `running` can take them over: what needs a restart stays as it is
    /// there, and so do symbols that its exchange does not list.
    #[must_use]
    pub fn within(mut self, running: &Self, listed: &[Symbol]) -> Self {
        for change in Self::diff(running, &self) {
            if let Change::NeedsRestart { key, .. } = change {
                self.put_back(running, |row| row.key == key);
            }
        }
        let log = std::mem::take(&mut self.daemon.log);
        self.daemon = Daemon { log, ..running.daemon.clone() };
        self.journal.clone_from(&running.journal);
        self.telemetry.clone_from(&running.telemetry);
        self.alerts.clone_from(&running.alerts);
        self.exchange.clone_from(&running.exchange);
        self.venues.clone_from(&running.venues);
        self.supervision.clone_from(&running.supervision);
        for account in &mut self.accounts {
            if let Some(before) = running.enabled_accounts().find(|before| before.id == account.id) {
                account.venue = before.venue;
                account.key.clone_from(&before.key);
                account.hedge_mode = before.hedge_mode;
                account.leverage = before.leverage;
                account.margin_type = before.margin_type;
                account.starting_funds = before.starting_funds;
            }
        }
        self.symbols_within(running, listed);
        self
    }

    fn symbols_within(&mut self, running: &Self, listed: &[Symbol]) {
        let Symbols::Listed(symbols) = &mut self.symbols else {
            if running.symbols != Symbols::FromData {
                self.symbols.clone_from(&running.symbols);
                self.put_back(running, |row| row.key.starts_with("symbols["));
            }
            return;
        };
        let Symbols::Listed(before) = &running.symbols else {
            self.symbols = Symbols::FromData;
            self.rows.retain(|row| !row.key.starts_with("symbols["));
            return;
        };
        let mut unlisted = Vec::new();
        for symbol in symbols.iter_mut() {
            let before = before.iter().find(|before| before.name == symbol.name);
            if symbol.enabled && !listed.contains(&symbol.name) {
                symbol.enabled = false;
                unlisted.push(format!("symbols[{}].enabled", symbol.name));
            }
            if let Some(before) = before.filter(|before| before.enabled) {
                symbol.synthetic.clone_from(&before.synthetic);
                symbol.venue = before.venue;
                symbol.instrument.clone_from(&before.instrument);
            }
        }
        for row in self.rows.iter_mut().filter(|row| unlisted.contains(&row.key)) {
            "false".clone_into(&mut row.value);
        }
    }

    /// Rows of that kind as `running` has them.
    fn put_back(&mut self, running: &Self, which: impl Fn(&Row) -> bool) {
        let at = self.rows.iter().position(&which).unwrap_or(self.rows.len());
        self.rows.retain(|row| !which(row));
        let at = at.min(self.rows.len());
        self.rows.splice(at..at, running.rows.iter().filter(|row| which(row)).cloned());
    }
}

impl Change {
    fn order(&self) -> u8 {
        match self {
            Self::LogFilterChanged { .. } => 0,
            Self::LimitChanged { .. } => 1,
            Self::StrategyRemoved(_) => 2,
            Self::SymbolRemoved(_) | Self::AccountRemoved(_) => 3,
            Self::AccountChanged { .. } => 4,
            Self::AccountAdded(_) | Self::SymbolAdded(_) => 5,
            Self::StrategyChanged { .. } => 6,
            Self::StrategyAdded(_) => 7,
            Self::NeedsRestart { .. } => 8,
        }
    }

    #[must_use]
    pub const fn needs_restart(&self) -> bool {
        matches!(self, Self::NeedsRestart { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| if text.is_empty() { "not set".to_owned() } else { text.to_owned() };
        match self {
            Self::LogFilterChanged { from, to } => write!(f, "daemon.log: {from} → {to}"),
            Self::LimitChanged { key, from, to } => write!(f, "{key}: {} → {}", shown(from), shown(to)),
            Self::AccountAdded(id) => write!(f, "account {id} added"),
            Self::AccountRemoved(id) => write!(f, "account {id} removed"),
            Self::AccountChanged { id, keys } => write!(f, "account {id} changed: {}", keys.join(", ")),
            Self::SymbolAdded(name) => write!(f, "symbol {name} added"),
            Self::SymbolRemoved(name) => write!(f, "symbol {name} removed"),
            Self::StrategyAdded(id) => write!(f, "strategy {id} added"),
            Self::StrategyRemoved(id) => write!(f, "strategy {id} removed"),
            Self::StrategyChanged { id, keys } => write!(f, "strategy {id} changed: {}", keys.join(", ")),
            Self::NeedsRestart { key, from, to } => {
                write!(f, "{key}: {} → {} needs a restart; the old value stays until then", shown(from), shown(to))
            }
        }
    }
}

/// Keys below `prefix` whose values differ, with both values; missing is empty.
fn differing(old: &Settings, new: &Settings, prefix: &str) -> Vec<(String, String, String)> {
    let below = |rows: &[Row], key: &str| rows.iter().find(|row| row.key == key).map(|row| row.value.clone()).unwrap_or_default();
    let mut keys: Vec<&str> = old.rows.iter().chain(&new.rows).map(|row| row.key.as_str()).filter(|key| key.starts_with(prefix)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().map(|key| (key.to_owned(), below(&old.rows, key), below(&new.rows, key))).filter(|(_, from, to)| from != to).collect()
}

fn single_keys(old: &Settings, new: &Settings, changes: &mut Vec<Change>) {
    for section in ["daemon.", "journal.", "telemetry.", "alerts.", "exchange.", "venues[", "supervision.", "risk."] {
        for (key, from, to) in differing(old, new, section) {
            changes.push(match section {
                "risk." => Change::LimitChanged { key, from, to },
                _ if key == "daemon.log" => Change::LogFilterChanged { from, to },
                _ => Change::NeedsRestart { key, from, to },
            });
        }
    }
}

fn accounts(old: &Settings, new: &Settings, changes: &mut Vec<Change>) {
    // A position cannot change its mode or its venue while it stands, and funds are paid in once.
    const FIXED: [&str; 6] = ["hedge_mode", "leverage", "margin_type", "venue", "starting_funds", "key"];
    for before in old.enabled_accounts() {
        if !new.enabled_accounts().any(|after| after.id == before.id) {
            changes.push(Change::AccountRemoved(before.id));
            continue;
        }
        let prefix = format!("accounts[{}].", before.id);
        let mut keys = Vec::new();
        for (key, from, to) in differing(old, new, &prefix) {
            match key.strip_prefix(&prefix) {
                Some(name) if FIXED.iter().any(|fixed| name.split('.').next() == Some(fixed)) => {
                    changes.push(Change::NeedsRestart { key, from, to })
                }
                name => keys.extend(name.map(str::to_owned)),
            }
        }
        if !keys.is_empty() {
            changes.push(Change::AccountChanged { id: before.id, keys });
        }
    }
    for after in new.enabled_accounts() {
        if !old.enabled_accounts().any(|before| before.id == after.id) {
            changes.push(Change::AccountAdded(after.id));
        }
    }
}

fn symbols(old: &Settings, new: &Settings, changes: &mut Vec<Change>) {
    let source = |settings: &Settings| if settings.symbols == Symbols::FromData { "from-data" } else { "listed" };
    if source(old) != source(new) {
        changes.push(Change::NeedsRestart { key: "symbols".to_owned(), from: source(old).to_owned(), to: source(new).to_owned() });
        return;
    }
    for before in old.enabled_symbols() {
        let Some(after) = new.enabled_symbols().find(|after| after.name == before.name) else {
            changes.push(Change::SymbolRemoved(before.name));
            continue;
        };
        // The exchange made its book on the old grid.
        if !same_market(before, after) {
            for (key, from, to) in differing(old, new, &format!("symbols[{}].", before.name)) {
                changes.push(Change::NeedsRestart { key, from, to });
            }
        }
    }
    for after in new.enabled_symbols() {
        if !old.enabled_symbols().any(|before| before.name == after.name) {
            changes.push(Change::SymbolAdded(after.name));
        }
    }
}

fn same_market(before: &SymbolSpec, after: &SymbolSpec) -> bool {
    before.synthetic == after.synthetic && before.instrument == after.instrument && before.venue == after.venue
}

fn strategies_gone(old: &Settings, new: &Settings, changes: &mut Vec<Change>) {
    for before in old.enabled_strategies() {
        if !new.enabled_strategies().any(|after| after.id == before.id) {
            changes.push(Change::StrategyRemoved(before.id));
        }
    }
}

fn strategies_here(old: &Settings, new: &Settings, changes: &mut Vec<Change>) {
    for after in new.enabled_strategies() {
        let Some(before) = old.enabled_strategies().find(|before| before.id == after.id) else {
            changes.push(Change::StrategyAdded(after.id));
            continue;
        };
        if before == after {
            continue;
        }
        let prefix = format!("strategies[{}].", after.id);
        let mut keys: Vec<String> =
            differing(old, new, &prefix).into_iter().filter_map(|(key, ..)| key.strip_prefix(&prefix).map(str::to_owned)).collect();
        if keys.is_empty() {
            // `["*"]` says the same and means something else: accounts came or went.
            keys.push("accounts".to_owned());
        }
        changes.push(Change::StrategyChanged { id: after.id, keys });
    }
}
