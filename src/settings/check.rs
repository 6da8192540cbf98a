//! What only shows when sections are seen together: a name used twice, a name that nothing has, a limit that is missing where
//! a strategy would trade. Turns the raw sections into `Settings`, or adds to the problems.

use std::collections::BTreeMap;

use crate::domain::ids::{AccountId, Symbol};

use super::layers::Node;
use super::origin::{Origin, Row};
use super::problem::Problem;
use super::reader::{listing, nearest};
use super::sections::{Placed, Raw, RawRisk, RawStrategy};
use super::shape::{
    AccountSpec, Exchange, Limits, MarketSource, Settings, StrategySpec, Supervision, SymbolSelection, SymbolSpec, Symbols,
};
use super::value::{describe, show_duration};
use super::venues::{self, Fit};

/// Judges a strategy kind and its settings: `Ok`, or pairs of a path within the settings and what is wrong there. An empty
/// path is the kind itself.
pub type StrategyValidator<'v> = dyn Fn(&str, &serde_json::Value) -> Result<(), Vec<(String, String)>> + 'v;

/// For callers that have no strategies at hand: every kind passes.
pub fn any_strategy(_kind: &str, _settings: &serde_json::Value) -> Result<(), Vec<(String, String)>> {
    Ok(())
}

/// All problems, or the settings.
pub fn resolve(mut raw: Raw, mut rows: Vec<Row>, validator: &StrategyValidator<'_>, problems: &mut Vec<Problem>) -> Option<Settings> {
    let accounts = unique("an account id", &raw.accounts, problems);
    let symbols = raw.symbols.as_ref().map(|symbols| unique("a symbol", symbols, problems));
    unique("a strategy id", &raw.strategies, problems);
    let names = Names { accounts, symbols };
    if let Some(risk) = &mut raw.risk {
        names.drop_leftovers(risk, &mut rows);
        names.check_overrides(risk, problems);
        let strategies: Vec<String> = raw.strategies.iter().map(|placed| placed.name.clone()).collect();
        for placed in &risk.strategies {
            problems.extend(names.unknown("strategy", &placed.path, &placed.name, Some(&strategies), &placed.origin));
        }
    }
    raw.strategies.iter_mut().filter_map(|placed| placed.value.as_mut()).for_each(|strategy| names.trim_leftovers(strategy));
    unique("a venue id", &raw.venues, problems);
    let venues = venues::with_embedded(&raw.venues);
    let mut fit = Fit { venues: &venues, listed: &raw.venues, accounts: &mut raw.accounts, symbols: raw.symbols.as_mut(), rows: &rows };
    fit.check(problems);
    let everyone: Vec<AccountId> = enabled_accounts(fit.accounts);
    let mut strategies = Vec::new();
    for Placed { value, path, origin, .. } in &raw.strategies {
        let Some(strategy) = value else { continue };
        names.check_strategy(strategy, path, problems);
        judge(strategy, path, origin, validator, problems);
        strategies.extend(strategy_spec(strategy, &everyone));
    }
    fit.check_strategies(&strategies, problems);
    if let Some(risk) = &raw.risk {
        missing_limits(risk, &strategies, raw.symbols.as_deref(), problems);
    }
    check_backoff(raw.supervision.as_ref(), &rows, problems);
    check_market(raw.exchange.as_ref(), &rows, problems);
    check_hedge(&raw.accounts, &strategies, &rows, problems);
    if !problems.is_empty() {
        return None;
    }
    Some(Settings {
        daemon: raw.daemon?,
        journal: raw.journal?,
        telemetry: raw.telemetry?,
        alerts: raw.alerts?,
        exchange: raw.exchange?,
        venues,
        accounts: raw.accounts.into_iter().filter_map(|placed| placed.value).collect(),
        symbols: raw
            .symbols
            .map_or(Symbols::FromData, |listed| Symbols::Listed(listed.into_iter().filter_map(|placed| placed.value).collect())),
        risk: raw.risk?.risk,
        supervision: raw.supervision?,
        strategies,
        backtest: raw.backtest?,
        rows,
    })
}

fn enabled_accounts(accounts: &[Placed<AccountSpec>]) -> Vec<AccountId> {
    accounts.iter().filter_map(|placed| placed.value.as_ref()).filter(|account| account.enabled).map(|account| account.id).collect()
}

/// The names of a list; a name that comes again is a problem at its second place.
fn unique<T>(what: &str, list: &[Placed<T>], problems: &mut Vec<Problem>) -> Vec<String> {
    let mut first: BTreeMap<&str, &Origin> = BTreeMap::new();
    // A name that is missing is noted as such.
    for Placed { name, path, origin, .. } in list.iter().filter(|placed| !placed.name.is_empty()) {
        if let Some(before) = first.get(name.as_str()) {
            let expected = format!("{what} that no other entry has");
            let help = Some(format!("{name:?} is already at {before}: rename one of them or take it out"));
            problems.push(problem(path, &expected, &format!("{name:?} again"), help, origin.clone()));
        } else {
            first.insert(name, origin);
        }
    }
    first.into_keys().map(str::to_owned).collect()
}

/// Every name that a reference may use.
struct Names {
    accounts: Vec<String>,
    /// `None` when they come from the data, and any may.
    symbols: Option<Vec<String>>,
}

impl Names {
    fn has_account(&self, name: &str) -> bool {
        self.accounts.iter().any(|known| known == name)
    }

    fn has_symbol(&self, name: &str) -> bool {
        self.symbols.as_ref().is_none_or(|known| known.iter().any(|known| known == name))
    }

    /// A file that replaces the built-in accounts or symbols leaves built-in limits for names that are gone. Nobody wrote
    /// those into the file, so they are no mistake; they go with their names.
    fn drop_leftovers(&self, risk: &mut RawRisk, rows: &mut Vec<Row>) {
        let mut gone = Vec::new();
        risk.accounts.retain(|placed| keep(placed, self.has_account(&placed.name), &mut gone));
        risk.symbols.retain(|placed| keep(placed, self.has_symbol(&placed.name), &mut gone));
        risk.risk.accounts.retain(|id, _| !gone.contains(&format!("risk.accounts.{id}")));
        risk.risk.symbols.retain(|name, _| !gone.contains(&format!("risk.symbols.{name}")));
        rows.retain(|row| !gone.iter().any(|path| row.key.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.'))));
    }

    /// The same for built-in strategies, as long as something is left for them to trade.
    fn trim_leftovers(&self, strategy: &mut RawStrategy) {
        if strategy.accounts_origin.is_built_in() && strategy.accounts.iter().any(|name| self.has_account(name)) {
            strategy.accounts.retain(|name| name == "*" || self.has_account(name));
        }
        if strategy.symbols_origin.is_built_in() && strategy.symbols.iter().any(|name| self.has_symbol(name)) {
            strategy.symbols.retain(|name| name == "*" || self.has_symbol(name));
        }
    }

    fn check_overrides(&self, risk: &RawRisk, problems: &mut Vec<Problem>) {
        for placed in &risk.accounts {
            problems.extend(self.unknown("account", &placed.path, &placed.name, Some(&self.accounts), &placed.origin));
        }
        for placed in &risk.symbols {
            problems.extend(self.unknown("symbol", &placed.path, &placed.name, self.symbols.as_ref(), &placed.origin));
        }
    }

    fn check_strategy(&self, strategy: &RawStrategy, path: &str, problems: &mut Vec<Problem>) {
        let RawStrategy { accounts, accounts_origin, symbols, symbols_origin, .. } = strategy;
        for name in accounts.iter().filter(|name| *name != "*") {
            problems.extend(self.unknown("account", &format!("{path}.accounts"), name, Some(&self.accounts), accounts_origin));
        }
        for name in symbols.iter().filter(|name| *name != "*") {
            let key = format!("{path}.symbols");
            if let Err(error) = Symbol::new(name) {
                problems.push(problem(
                    &key,
                    "symbols in a venue's spelling",
                    &format!("{name:?}"),
                    Some(error.to_string()),
                    symbols_origin.clone(),
                ));
            } else {
                problems.extend(self.unknown("symbol", &key, name, self.symbols.as_ref(), symbols_origin));
            }
        }
    }

    fn unknown(&self, what: &str, key: &str, name: &str, known: Option<&Vec<String>>, origin: &Origin) -> Option<Problem> {
        let known = known?;
        if known.iter().any(|known| known == name) {
            return None;
        }
        let help = match nearest(name, known) {
            _ if origin.is_built_in() => format!("the file replaces the built-in [[{what}s]]: give it [[strategies]] of its own too"),
            Some(meant) => format!("did you mean {meant:?}?"),
            None if known.is_empty() => format!("no {what} is configured: add [[{what}s]]"),
            None => format!("configured: {}", listing(known)),
        };
        Some(problem(key, &format!("{what}s that are configured"), &format!("{name:?}"), Some(help), origin.clone()))
    }
}

fn keep<T>(placed: &Placed<T>, known: bool, gone: &mut Vec<String>) -> bool {
    let keep = known || !placed.origin.is_built_in();
    if !keep {
        gone.push(placed.path.clone());
    }
    keep
}

fn strategy_spec(raw: &RawStrategy, everyone: &[AccountId]) -> Option<StrategySpec> {
    let accounts = if raw.accounts.iter().any(|name| name == "*") {
        everyone.to_vec()
    } else {
        raw.accounts.iter().filter_map(|name| AccountId::new(name).ok()).filter(|id| everyone.contains(id)).collect()
    };
    let symbols = if raw.symbols.iter().any(|name| name == "*") {
        SymbolSelection::All
    } else {
        SymbolSelection::Named(raw.symbols.iter().filter_map(|name| Symbol::new(name).ok()).collect())
    };
    Some(StrategySpec {
        id: raw.id?,
        kind: raw.kind.clone()?,
        enabled: raw.enabled,
        accounts,
        symbols,
        interval: raw.interval?,
        settings: settings_json(raw),
    })
}

fn settings_json(raw: &RawStrategy) -> serde_json::Value {
    raw.settings.as_ref().map_or_else(|| serde_json::Value::Object(serde_json::Map::new()), Node::to_json)
}

/// Lets the strategy's kind judge its own settings.
fn judge(raw: &RawStrategy, path: &str, origin: &Origin, validator: &StrategyValidator<'_>, problems: &mut Vec<Problem>) {
    let Some(kind) = &raw.kind else { return };
    let Err(complaints) = validator(kind, &settings_json(raw)) else { return };
    for (within, message) in complaints {
        let (key, found, origin) = match &raw.settings {
            _ if within.is_empty() => (format!("{path}.kind"), format!("{kind:?}"), raw.kind_origin.clone()),
            Some(settings) => {
                let node = settings.descend(&within);
                let found = if message.starts_with("unknown key") { format!("`{within}`") } else { describe(node) };
                let origin = if message.starts_with("unknown key") { &node.key } else { &node.origin };
                (format!("{path}.settings.{within}"), found, origin.clone())
            }
            None => (format!("{path}.settings.{within}"), "nothing".to_owned(), origin.clone()),
        };
        problems.push(problem(&key, expectation(&message), &found, None, origin));
    }
}

/// A validator's message without the words that every report has around it anyway.
fn expectation(message: &str) -> &str {
    let message = message.split_once("expected ").map_or(message, |(_, expected)| expected);
    message.rsplit_once(", found ").map_or(message, |(expected, _)| expected)
}

/// Fail closed, and say so early: risk refuses an order without its limits, so a strategy that would trade without them is a
/// mistake of the configuration.
fn missing_limits(risk: &RawRisk, strategies: &[StrategySpec], listed: Option<&[Placed<SymbolSpec>]>, problems: &mut Vec<Problem>) {
    let entries = listed.unwrap_or_default().iter().filter_map(|placed| placed.value.as_ref());
    let enabled: Vec<Symbol> = entries.filter(|symbol| symbol.enabled).map(|symbol| symbol.name).collect();
    let mut lacking: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for spec in strategies.iter().filter(|spec| spec.enabled) {
        for account in &spec.accounts {
            for (symbol, limits) in limits_of(risk, *account, &spec.symbols, listed.is_some(), &enabled) {
                for name in limits.missing() {
                    let pair = format!("{account} on {symbol}");
                    let pairs = lacking.entry(name).or_default();
                    if !pairs.contains(&pair) {
                        pairs.push(pair);
                    }
                }
            }
        }
    }
    let trades = strategies.iter().any(|spec| spec.enabled && !spec.accounts.is_empty());
    if trades && risk.risk.max_capital.is_none() {
        lacking.entry("max_capital").or_default().push("all accounts".to_owned());
    }
    for (name, pairs) in lacking {
        let key = format!("risk.{name}");
        // A limit that is there but cannot be read is noted already, and is not missing on top.
        if problems.iter().any(|noted| noted.key.starts_with("risk") && noted.key.contains(name)) {
            continue;
        }
        let more = if pairs.len() > 1 { format!(" and {} more", pairs.len() - 1) } else { String::new() };
        let expected = format!("a limit for {}{more}, which a strategy trades", pairs[0]);
        let help = Some(format!("without it no order passes: add {name} to {}", home_of(name)));
        problems.push(problem(&key, &expected, "nothing", help, risk.origin.clone()));
    }
}

/// The tables that may have the limit.
fn home_of(limit: &str) -> &'static str {
    match limit {
        "max_capital" => "[risk]",
        "max_order_quantity" => "[risk], or to [risk.symbols.…]",
        "max_messages" | "max_daily_loss" => "[risk], or to [risk.accounts.…]",
        _ => "[risk], or to [risk.accounts.…] or [risk.symbols.…]",
    }
}

/// The limits of each symbol of a selection. Where symbols come from the data, the defaults stand for all of them.
fn limits_of(risk: &RawRisk, account: AccountId, selection: &SymbolSelection, listed: bool, enabled: &[Symbol]) -> Vec<(String, Limits)> {
    let symbols = match selection {
        SymbolSelection::Named(symbols) if !listed => symbols.clone(),
        selection => selection.resolve(enabled),
    };
    if symbols.is_empty() && !listed {
        // No symbol of a recording can have this name, so only defaults and the account's own values answer.
        let any = Symbol::new("_").map(|any| risk.risk.limits_for(account, any));
        return any.map(|limits| vec![("every symbol of the data".to_owned(), limits)]).unwrap_or_default();
    }
    symbols.into_iter().map(|symbol| (symbol.to_string(), risk.risk.limits_for(account, symbol))).collect()
}

impl Limits {
    /// The limits that risk will not pass an order without.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let all = [
            ("price_collar", self.price_collar.is_none()),
            ("max_order_value", self.max_order_value.is_none()),
            ("max_order_quantity", self.max_order_quantity.is_none()),
            ("max_position_value", self.max_position_value.is_none()),
            ("max_messages", self.max_messages.is_none()),
            ("max_daily_loss", self.max_daily_loss.is_none()),
        ];
        all.into_iter().filter(|(_, missing)| *missing).map(|(name, _)| name).collect()
    }
}

fn check_backoff(supervision: Option<&Supervision>, rows: &[Row], problems: &mut Vec<Problem>) {
    let Some(Supervision { backoff_min, backoff_max, .. }) = supervision else { return };
    if backoff_min > backoff_max {
        let key = "supervision.backoff_max";
        let origin = rows.iter().find(|row| row.key == key).map_or(Origin::Unset, |row| row.origin.clone());
        let expected = format!("a time not below supervision.backoff_min, which is {}", show_duration(*backoff_min));
        problems.push(problem(key, &expected, &show_duration(*backoff_max), None, origin));
    }
}

fn check_market(exchange: Option<&Exchange>, rows: &[Row], problems: &mut Vec<Problem>) {
    let from_data = rows.iter().find(|row| row.key == "symbols" && row.value == "from-data");
    let live: Vec<&Row> = rows.iter().filter(|row| matches!(row.key.as_str(), "exchange.live_rest" | "exchange.live_ws")).collect();
    if let ([row], Some(_)) = (&live[..], exchange) {
        let expected = "exchange.live_rest and exchange.live_ws, because a market is asked for at the one and heard at the other";
        problems.push(problem(&row.key, expected, "one of them", None, row.origin.clone()));
    }
    if let (Some(Exchange { market: MarketSource::Synthetic | MarketSource::Live, .. }), Some(row)) = (exchange, from_data) {
        let expected = "[[symbols]] tables, because only a recording has data to take them from";
        let help = Some("list [[symbols]], or set exchange.market = \"recording\"".to_owned());
        problems.push(problem("symbols", expected, "\"from-data\"", help, row.origin.clone()));
    }
}

/// The strategies propose one-way orders, which a venue refuses on an account in hedge mode: better told here than by every
/// order.
fn check_hedge(accounts: &[Placed<AccountSpec>], strategies: &[StrategySpec], rows: &[Row], problems: &mut Vec<Problem>) {
    for account in accounts.iter().filter_map(|placed| placed.value.as_ref()).filter(|account| account.enabled && account.hedge_mode) {
        let Some(strategy) = strategies.iter().find(|spec| spec.enabled && spec.accounts.contains(&account.id)) else { continue };
        let key = format!("accounts[{}].hedge_mode", account.id);
        let origin = rows.iter().find(|row| row.key == key).map_or(Origin::Unset, |row| row.origin.clone());
        let expected = format!("false, because strategy {} trades this account one way", strategy.id);
        let help = Some("set hedge_mode = false, or take the account out of the strategy's accounts".to_owned());
        problems.push(problem(&key, &expected, "true", help, origin));
    }
}

fn problem(key: &str, expected: &str, found: &str, help: Option<String>, origin: Origin) -> Problem {
    Problem { key: key.to_owned(), expected: expected.to_owned(), found: found.to_owned(), help, origin }
}
