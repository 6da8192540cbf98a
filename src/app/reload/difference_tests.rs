use super::*;
use crate::domain::instrument::InstrumentKind;
use crate::exchange::instruments;
use crate::settings::{SourceText, any_strategy};

fn settings(text: &str) -> Settings {
    Settings::read(Some(&SourceText::new("test.toml", text)), std::iter::empty(), &any_strategy).unwrap()
}

/// What the exchange lists in a daemon that was started on the default.
fn listed() -> Vec<Instrument> {
    ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        .map(|name| instruments::bundled(InstrumentKind::Perpetual, Symbol::new(name).unwrap()).unwrap())
        .to_vec()
}

fn started(settings: &Settings) -> RosterEntries {
    let available = traded(settings, &listed());
    RosterEntries {
        accounts: settings.enabled_accounts().map(|account| account.id).collect(),
        symbols: available.iter().map(|instrument| instrument.symbol).collect(),
        strategies: assemble::roster(settings, &available),
    }
}

fn id(text: &str) -> StrategyId {
    StrategyId::new(text).unwrap()
}

fn shown(ids: &[StrategyId]) -> Vec<&str> {
    ids.iter().map(StrategyId::as_str).collect()
}

const THREE: &str = "[[symbols]]\nname = \"BTCUSDT\"\n[[symbols]]\nname = \"ETHUSDT\"\n[[symbols]]\nname = \"SOLUSDT\"\n";
const WITHOUT_ETH: &str =
    "[[symbols]]\nname = \"BTCUSDT\"\n[[symbols]]\nname = \"ETHUSDT\"\nenabled = false\n[[symbols]]\nname = \"SOLUSDT\"\n";
const EVERYWHERE: &str = "[[strategies]]\nid = \"wide\"\nkind = \"ema_cross\"\naccounts = [\"*\"]\nsymbols = [\"*\"]\ninterval = \"1s\"\n";

#[test]
fn the_same_settings_are_no_difference() {
    let running = settings("");
    let difference = between(&running, settings(""), &listed(), &started(&running));
    assert!(difference.is_empty(), "{difference:?}");
    assert_eq!(difference.roster, started(&running));
    assert!(difference.strategies.gone.is_empty() && difference.strategies.new.is_empty());
    assert_eq!(difference.settings.config_hash(), running.config_hash());
}

#[test]
fn what_needs_a_restart_stays_in_force_and_is_named_each_time() {
    let running = settings("");
    let text = "[daemon]\nhttp_bind = \"127.0.0.1:9999\"\nlog = \"debug\"\n[exchange]\nseed = 7\n[risk]\nmax_order_value = \"77\"\n";
    let first = between(&running, settings(text), &listed(), &started(&running));
    assert_eq!(first.settings.daemon.http_bind, running.daemon.http_bind);
    assert_eq!((first.settings.exchange.seed, first.settings.daemon.log.as_str()), (42, "debug"));
    assert_eq!(texts(&first.changes), ["daemon.log: info → debug", "risk.max_order_value: 5000 → 77"]);
    assert_eq!(first.needs_restart.len(), 2, "{:?}", first.needs_restart);
    let second = between(&first.settings, settings(text), &listed(), &first.roster);
    assert_eq!((texts(&second.changes), &second.needs_restart), (vec![], &first.needs_restart));
    let back = between(&first.settings, settings(""), &listed(), &first.roster);
    assert!(back.needs_restart.is_empty(), "{:?}", back.needs_restart);
    assert_eq!(back.settings.config_hash(), running.config_hash());
}

#[test]
fn a_symbol_that_goes_takes_its_strategies_along_and_brings_them_back() {
    let running = settings(&format!("{THREE}{EVERYWHERE}"));
    let read = settings(&format!("{WITHOUT_ETH}{EVERYWHERE}"));
    let gone = between(&running, read, &listed(), &started(&running));
    assert_eq!(texts(&gone.changes), ["symbol ETHUSDT removed", "strategy wide changed: symbols"]);
    assert_eq!((shown(&gone.strategies.gone), shown(&gone.strategies.new)), (vec!["wide"], vec!["wide"]), "it has another market set");

    let running = settings(THREE);
    let gone = between(&running, settings(WITHOUT_ETH), &listed(), &started(&running));
    assert_eq!(texts(&gone.changes), ["symbol ETHUSDT removed", "strategy score removed"]);
    assert_eq!((shown(&gone.strategies.gone), shown(&gone.strategies.new)), (vec!["score"], vec![]), "nothing is left for it to trade");
    let back = between(&gone.settings, settings(THREE), &listed(), &gone.roster);
    assert_eq!(texts(&back.changes), ["symbol ETHUSDT added", "strategy score added"]);
    assert_eq!(back.roster, started(&running));
}

#[test]
fn a_symbol_that_the_exchange_does_not_list_waits_for_a_restart() {
    let running = settings(THREE);
    let more = format!("{THREE}[[symbols]]\nname = \"XRPUSDT\"\n");
    let difference = between(&running, settings(&more), &listed(), &started(&running));
    assert_eq!(texts(&difference.changes), [""; 0]);
    assert_eq!(difference.needs_restart.len(), 1);
    assert!(difference.symbols.new.is_empty() && difference.roster == started(&running));
    let again = between(&difference.settings, settings(&more), &listed(), &difference.roster);
    assert_eq!(again.needs_restart, difference.needs_restart, "named until it happened");
}

#[test]
fn a_new_neighbour_on_the_same_symbol_changes_who_owns_the_positions() {
    let one = "[[strategies]]\nid = \"one\"\nkind = \"ema_cross\"\naccounts = [\"alpha\"]\nsymbols = [\"BTCUSDT\"]\ninterval = \"1s\"\n";
    let far = "[[strategies]]\nid = \"far\"\nkind = \"ema_cross\"\naccounts = [\"beta\"]\nsymbols = [\"BTCUSDT\"]\ninterval = \"1s\"\n";
    let two = one.replace("one", "two");
    let running = settings(&format!("{one}{far}"));
    let difference = between(&running, settings(&format!("{one}{far}{two}")), &listed(), &started(&running));
    assert_eq!(texts(&difference.changes), ["strategy two added", "strategy one changed: shared positions"]);
    assert_eq!(shown(&difference.strategies.gone), ["one"], "the one on another account is left alone");
    assert_eq!(shown(&difference.strategies.new), ["two", "one"]);
}

#[test]
fn what_an_operator_stopped_or_started_stays_so() {
    let running = settings("");
    let mut roster = started(&running);
    roster.strategies.remove(&id("trend"));
    let limits = settings("[risk]\nmax_order_value = \"77\"\n");
    let difference = between(&running, limits, &listed(), &roster);
    assert_eq!(difference.roster, roster, "a reload of limits does not start it again");
    assert!(difference.strategies.new.is_empty());

    let disabled = format!("{EVERYWHERE}enabled = false\n");
    let running = settings(&disabled);
    let mut roster = started(&running);
    roster.strategies.insert(id("wide"), vec![AccountId::new("alpha").unwrap()]);
    let difference = between(&running, settings(&format!("{disabled}[risk]\nmax_order_value = \"77\"\n")), &listed(), &roster);
    assert_eq!(difference.roster, roster);
    let difference = between(&running, settings(""), &listed(), &roster);
    assert_eq!(shown(&difference.strategies.gone), ["wide"], "one that is no longer configured goes");
}

#[test]
fn an_account_that_comes_changes_the_strategies_on_all_accounts_alone() {
    let accounts = "[[accounts]]\nid = \"alpha\"\nstarting_funds = \"1\"\n";
    let own = "[[strategies]]\nid = \"own\"\nkind = \"ema_cross\"\naccounts = [\"alpha\"]\nsymbols = [\"ETHUSDT\"]\ninterval = \"1s\"\n";
    let wide = EVERYWHERE.replace("\"*\"]\ninterval", "\"BTCUSDT\"]\ninterval");
    let running = settings(&format!("{accounts}{own}{wide}"));
    let more = format!("{accounts}[[accounts]]\nid = \"delta\"\nstarting_funds = \"1\"\n{own}{wide}");
    let difference = between(&running, settings(&more), &listed(), &started(&running));
    assert_eq!(texts(&difference.changes), ["account delta added", "strategy wide changed: accounts"]);
    assert_eq!((difference.accounts.new.len(), shown(&difference.strategies.gone)), (1, vec!["wide"]));
    let back = between(&difference.settings, settings(&format!("{accounts}{own}{wide}")), &listed(), &difference.roster);
    assert_eq!(texts(&back.changes), ["account delta removed", "strategy wide changed: accounts"]);
    assert_eq!((back.accounts.gone.len(), back.roster.accounts.len()), (1, 1));
}
