//! What a person notices of settings: the default runs, mistakes are all found, origins are named, a reload is a diff.

use super::*;

/// Every key that a file may have, entries of lists and names of one's own choosing as `*`.
fn known_keys() -> Vec<String> {
    let tree = layers::read(&SourceText::built_in(BUILT_IN_NAME, BUILT_IN), None, std::iter::empty());
    let notes = reader::Notes::default();
    sections::read(&tree.root, &notes);
    notes.into_inner().known.into_iter().collect()
}

fn read(text: &str) -> Result<Settings, Problems> {
    read_with(text, &[])
}

fn read_with(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Problems> {
    let source = SourceText::new("ringfence.toml", text);
    let variables: Vec<(String, String)> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings::read(Some(&source), variables, &any_strategy)
}

fn problems(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

fn origin(settings: &Settings, key: &str) -> String {
    settings.explain().iter().find(|row| row.key == key).unwrap_or_else(|| panic!("no row {key}")).origin.to_string()
}

#[test]
fn the_built_in_default_is_valid_and_trades_three_accounts_on_three_symbols() {
    let settings = Settings::read(None, [], &any_strategy).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(settings.enabled_accounts().count(), 3);
    assert_eq!(settings.enabled_symbols().count(), 3);
    assert_eq!(settings.enabled_strategies().count(), 2);
    for account in settings.enabled_accounts() {
        assert!(settings.enabled_strategies().any(|strategy| strategy.accounts.contains(&account.id)));
        for symbol in settings.enabled_symbols() {
            assert_eq!(settings.risk.limits_for(account.id, symbol.name).missing(), Vec::<&str>::new());
        }
    }
}

#[test]
fn every_key_of_the_raw_shape_is_in_the_default_file_with_a_comment_above() {
    let lines: Vec<&str> = BUILT_IN.lines().collect();
    for key in known_keys() {
        let name = key.rsplit(['.', '*']).next().unwrap_or_default().trim_matches(['[', ']']);
        if name.is_empty() || ["count", "period", "then"].contains(&name) {
            continue;
        }
        let at = lines.iter().position(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{name} ="))
                || line.starts_with('[') && line.trim_matches(['[', ']']).rsplit('.').any(|part| part == name)
        });
        assert!(at.is_some(), "{key} is not in config/default.toml");
    }
}

#[test]
fn a_file_lies_over_the_default_and_a_variable_over_both_and_each_is_named() {
    let text = "[risk]\nmax_order_value = \"700\"\nprice_collar = \"0.5\"\n";
    let settings = read_with(text, &[("RINGFENCE__RISK__PRICE_COLLAR", "0.01"), ("RINGFENCE__DAEMON__FAULT_INJECTION", "true")]).unwrap();
    assert_eq!(settings.risk.defaults.max_order_value.unwrap().to_string(), "700");
    assert_eq!(settings.risk.defaults.price_collar.unwrap().to_string(), "0.01");
    assert!(settings.daemon.fault_injection);
    assert_eq!(origin(&settings, "risk.max_order_value"), "ringfence.toml:2");
    assert_eq!(origin(&settings, "risk.price_collar"), "environment RINGFENCE__RISK__PRICE_COLLAR");
    assert!(origin(&settings, "risk.max_capital").starts_with("built-in default, line "), "{}", origin(&settings, "risk.max_capital"));
    assert_eq!(origin(&settings, "accounts[beta].hedge_mode"), "not set");
}

#[test]
fn a_budget_says_what_it_leads_to_and_a_kind_of_scope_may_have_its_own() {
    use crate::domain::mode::{FaultClass, Mode, ScopeKind};
    let text = "[supervision.fault_budgets]\ntransport = { count = 4, period = \"2m\" }\n\
                account = { transport = { count = 9, period = \"1m\", then = \"halted\" } }\n";
    let budgets = read_with(text, &[]).unwrap().fault_budgets();
    let transport = budgets.of_class[&FaultClass::Transport];
    assert_eq!((transport.intensity, transport.period.as_secs(), transport.then), (4, 120, Mode::CancelOnly));
    assert_eq!(budgets.of_class[&FaultClass::VenueReject].then, Mode::ReduceOnly);
    assert_eq!(budgets.of_class[&FaultClass::Panic].then, Mode::Halted);
    let own: Vec<_> = budgets.of_scope.iter().map(|((kind, class), budget)| (*kind, *class, budget.intensity, budget.then)).collect();
    assert_eq!(own, [(ScopeKind::Account, FaultClass::Transport, 9, Mode::Halted)]);
    let mistake = read_with("[supervision.fault_budgets]\npanic = { count = 3, period = \"1m\", then = \"normal\" }\n", &[]);
    assert!(mistake.unwrap_err().to_string().contains("reduce_only"), "nothing leads to Normal");
}

/// Six kinds of mistakes; each must be found although the others are there.
const MISTAKES: &str = r#"[daemon]
http_bind = "localhost"
data_dri = "./elsewhere"

[risk]
max_order_value = 5000.50
price_collar = "2"

[[accounts]]
id = "alpha"
starting_funds = "1000"

[[accounts]]
id = "alpha"
starting_funds = "1000"

[[strategies]]
id = "trend"
kind = "ema_cross"
accounts = ["alhpa"]
symbols = ["BTCUSDT", "DOGEUSDT"]
interval = 5

[risk.accounts.gamma]
max_order_value = "100"
"#;

#[test]
fn mistakes_of_every_kind_are_found_in_one_pass_each_with_its_line() {
    insta::assert_snapshot!(problems(MISTAKES), @r##"
    the configuration has 9 mistakes
    ringfence.toml:2: daemon.http_bind: expected an address and a port such as "127.0.0.1:8080", found the text `"localhost"`
    ringfence.toml:3: daemon.data_dri: expected a known key of [daemon], found `data_dri`; did you mean `data_dir`?
    ringfence.toml:6: risk.max_order_value: expected an amount above zero in quotes such as "1000", found the float `5000.50`; write it in quotes, which keeps every digit: max_order_value = "5000.50"
    ringfence.toml:7: risk.price_collar: expected a ratio above "0" and up to "1", in quotes, found the text `"2"`
    ringfence.toml:14: accounts[alpha]: expected an account id that no other entry has, found "alpha" again; "alpha" is already at ringfence.toml:10: rename one of them or take it out
    ringfence.toml:20: strategies[trend].accounts: expected accounts that are configured, found "alhpa"; did you mean "alpha"?
    ringfence.toml:21: strategies[trend].symbols: expected symbols that are configured, found "DOGEUSDT"; configured: BTCUSDT, ETHUSDT, SOLUSDT
    ringfence.toml:22: strategies[trend].interval: expected a time above zero such as "500ms" or "15s", found the number `5`; name the unit: interval = "5s"
    ringfence.toml:24: risk.accounts.gamma: expected accounts that are configured, found "gamma"; configured: alpha
    "##);
}

#[test]
fn a_limit_that_is_missing_where_a_strategy_trades_is_one_problem_however_many_pairs_lack_it() {
    let text = r#"extends = "nothing"
[[accounts]]
id = "a"
starting_funds = "1000"
[[accounts]]
id = "b"
starting_funds = "1000"
[[symbols]]
name = "BTCUSDT"
[[strategies]]
id = "s"
kind = "any"
accounts = ["*"]
symbols = ["*"]
interval = "1s"
[risk]
price_collar = "0.01"
max_order_value = "100"
max_position_value = "100"
max_daily_loss = "100"
max_capital = "100"
duplicate_window = "0s"
stale_after = "5s"
[risk.symbols.BTCUSDT]
max_order_quantity = "1"
"#;
    insta::assert_snapshot!(problems(text), @r##"
    the configuration has 1 mistake
    ringfence.toml:16: risk.max_messages: expected a limit for a on BTCUSDT and 1 more, which a strategy trades, found nothing; without it no order passes: add max_messages to [risk], or to [risk.accounts.…]
    "##);
    assert!(read(&text.replace("price_collar", "max_messages = { count = 1, period = \"1s\" }\nprice_collar")).is_ok());
}

#[test]
fn without_limits_and_without_strategies_the_limits_stay_unset() {
    let text = "extends = \"nothing\"\n[risk]\nduplicate_window = \"1s\"\nstale_after = \"5s\"\n[[accounts]]\nid = \"a\"\nstarting_funds = \"1\"\n";
    let settings = read(text).unwrap();
    let limits = settings.risk.limits_for(settings.accounts[0].id, crate::domain::ids::Symbol::new("BTCUSDT").unwrap());
    assert_eq!(limits.missing().len(), 6);
    assert_eq!(settings.risk.max_capital, None);
}

#[test]
fn a_bare_number_for_money_is_refused_with_the_remedy() {
    for bare in ["1000.50", "1000", "1e3"] {
        let text = problems(&format!("[risk]\nmax_daily_loss = {bare}\n"));
        assert!(text.contains("ringfence.toml:2") && text.contains(&format!("max_daily_loss = \"{bare}\"")), "{text}");
    }
    assert!(problems("[risk]\nmax_daily_loss = \"1e3\"\n").contains("ringfence.toml:2"));
    assert!(problems("[risk]\nmax_daily_loss = \"-5\"\n").contains("above zero"));
}

#[test]
fn a_wrong_variable_is_named_and_a_line_that_is_no_toml_does_not_hide_the_rest() {
    let found = read_with("", &[("RINGFENCE__RISK__MAX_ORDR_VALUE", "1"), ("RINGFENCE__ACCOUNTS__0__ID", "x")]).unwrap_err().to_string();
    insta::assert_snapshot!(found, @r##"
    the configuration has 2 mistakes
    environment RINGFENCE__ACCOUNTS__0__ID: accounts.0.id: expected no variable for an entry of a list, found "x"; give [[accounts]] in a file with --config; a variable sets single values only
    environment RINGFENCE__RISK__MAX_ORDR_VALUE: risk.max_ordr_value: expected a known key of [risk], found `max_ordr_value`; did you mean `max_order_value`?
    "##);
    insta::assert_snapshot!(problems("[daemon]\nlog = info\nhttp_bind = \"nowhere\"\n"), @r##"
    the configuration has 2 mistakes
    ringfence.toml:2: TOML: expected a readable line (invalid float, expected `inf`), found `info`; text is written in quotes: key = "text"
    ringfence.toml:3: daemon.http_bind: expected an address and a port such as "127.0.0.1:8080", found the text `"nowhere"`
    "##);
}

#[test]
fn a_variable_reaches_a_symbols_limit_and_a_list() {
    let variables = [("RINGFENCE__RISK__SYMBOLS__BTCUSDT__MAX_ORDER_QUANTITY", "0.25"), ("RINGFENCE__EXCHANGE__FILES", "a.gz, b.gz")];
    let settings = read_with("", &variables).unwrap();
    let symbol = crate::domain::ids::Symbol::new("BTCUSDT").unwrap();
    assert_eq!(settings.risk.symbols[&symbol].max_order_quantity.unwrap().to_string(), "0.25");
    assert_eq!(settings.exchange.files.len(), 2);
}

#[test]
fn a_strategy_kind_judges_its_own_settings_at_their_line() {
    let text = "[[strategies]]\nid = \"s\"\nkind = \"ema_cross\"\naccounts = [\"*\"]\nsymbols = [\"*\"]\ninterval = \"1s\"\n[strategies.settings]\nfast = 50\nslow = 20\n";
    let source = SourceText::new("ringfence.toml", text);
    let validator = |kind: &str, settings: &serde_json::Value| match kind {
        "ema_cross" if settings["fast"].as_u64() >= settings["slow"].as_u64() => {
            Err(vec![("fast".to_owned(), "a span below slow".to_owned())])
        }
        _ => Ok(()),
    };
    let found = Settings::read(Some(&source), [], &validator).unwrap_err().to_string();
    insta::assert_snapshot!(found, @r##"
    the configuration has 1 mistake
    ringfence.toml:8: strategies[s].settings.fast: expected a span below slow, found the number `50`
    "##);
}

#[test]
fn an_account_or_symbol_override_replaces_the_default_and_the_stricter_of_two_counts() {
    let text = "[risk.accounts.alpha]\nmax_order_value = \"9000\"\n[risk.symbols.ETHUSDT]\nmax_order_value = \"8000\"\n";
    let settings = read(text).unwrap();
    let limit = |account: &str, symbol: &str| {
        settings.risk.limits_for(account.parse().unwrap(), symbol.parse().unwrap()).max_order_value.unwrap().to_string()
    };
    assert_eq!(limit("beta", "BTCUSDT"), "5000");
    assert_eq!(limit("alpha", "BTCUSDT"), "9000");
    assert_eq!(limit("alpha", "ETHUSDT"), "8000");
}

#[test]
fn the_hash_is_of_the_values_and_not_of_their_spelling_or_place() {
    let plain = read("").unwrap();
    assert_eq!(plain.config_hash(), read("[risk]\nmax_order_value = \"5000.00\"\nstale_after = \"5000ms\"\n").unwrap().config_hash());
    assert_ne!(plain.config_hash(), read("[risk]\nmax_order_value = \"5000.01\"\n").unwrap().config_hash());
}

fn changes(new: &str) -> Vec<String> {
    Settings::diff(&read("").unwrap(), &read(new).unwrap()).iter().map(ToString::to_string).collect()
}

#[test]
fn a_reload_that_changes_nothing_has_nothing_to_do() {
    assert_eq!(changes("[risk]\nmax_order_value = \"5000\"\n"), Vec::<String>::new());
}

#[test]
fn a_reload_names_limits_log_filter_and_what_needs_a_restart() {
    let new = "[daemon]\nlog = \"debug\"\nhttp_bind = \"127.0.0.1:9\"\n[risk]\nmax_order_value = \"1\"\n[exchange]\nseed = 7\n[risk.accounts.beta]\nmax_daily_loss = \"5\"\n";
    insta::assert_snapshot!(changes(new).join("\n"), @r##"
    daemon.log: info → debug
    risk.accounts.beta.max_daily_loss: not set → 5
    risk.max_order_value: 5000 → 1
    daemon.http_bind: 127.0.0.1:8080 → 127.0.0.1:9 needs a restart; the old value stays until then
    exchange.seed: 42 → 7 needs a restart; the old value stays until then
    "##);
}

#[test]
fn a_reload_adds_removes_and_changes_accounts_symbols_and_strategies() {
    let new = r#"
[[accounts]]
id = "alpha"
starting_funds = "1"
on_kill = "flatten"
[[accounts]]
id = "beta"
enabled = false
starting_funds = "50000"
[[accounts]]
id = "gamma"
starting_funds = "25000"
[[accounts]]
id = "delta"
starting_funds = "25000"
[[symbols]]
name = "BTCUSDT"
synthetic = { opens_at = "61800" }
[[symbols]]
name = "ETHUSDT"
[symbols.instrument]
taker_fee = "0"
[[symbols]]
name = "XRPUSDT"
[[strategies]]
id = "trend"
kind = "ema_cross"
accounts = ["*"]
symbols = ["BTCUSDT"]
interval = "1s"
[[strategies]]
id = "other"
kind = "ema_cross"
accounts = ["*"]
symbols = ["XRPUSDT"]
interval = "1s"
"#;
    insta::assert_snapshot!(changes(new).join("\n"), @r##"
    strategy score removed
    account beta removed
    symbol SOLUSDT removed
    account alpha changed: on_kill
    account delta added
    symbol XRPUSDT added
    strategy trend changed: settings.fast, settings.open_at_start, settings.order_value, settings.slow, symbols
    strategy other added
    accounts[alpha].starting_funds: 100000 → 1 needs a restart; the old value stays until then
    symbols[ETHUSDT].instrument.taker_fee: not set → 0 needs a restart; the old value stays until then
    "##);
}

#[test]
fn a_file_that_replaces_symbols_or_accounts_need_not_know_the_built_in_ones() {
    let two = "[[symbols]]\nname = \"BTCUSDT\"\n[[symbols]]\nname = \"ETHUSDT\"\n[[accounts]]\nid = \"main\"\nstarting_funds = \"1000\"\n";
    let settings = read(two).unwrap();
    assert!(settings.risk.accounts.is_empty());
    assert_eq!(settings.strategies[0].symbols.resolve(&["BTCUSDT".parse().unwrap(), "SOLUSDT".parse().unwrap()]).len(), 1);
    let none = problems("[[symbols]]\nname = \"XRPUSDT\"\n");
    assert!(none.contains("strategies[score].symbols") && none.contains("of its own"), "{none}");
}

#[test]
fn the_other_files_in_config_are_valid() {
    for text in [include_str!("../../config/backtest.toml"), include_str!("../../config/paper-recording.toml")] {
        let settings = read(text).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(settings.enabled_strategies().next().is_some());
    }
}

#[test]
fn a_hedge_account_that_a_one_way_strategy_trades_is_refused_with_both_ways_out() {
    let account = "[[accounts]]\nid = \"alpha\"\nstarting_funds = \"1\"\nhedge_mode = true\n";
    let found = problems(account);
    assert!(found.contains("ringfence.toml:4") && found.contains("strategy trend trades this account one way"), "{found}");
    assert!(read(&account.replace("true", "false")).is_ok());
}

#[test]
fn a_section_of_the_wrong_shape_is_one_problem_and_hides_no_other() {
    let text = "accounts = \"all\"\nsymbols = 5\nstrategies = {}\ndaemon = []\ntelemetry = true\n[risk]\nmax_messages = \"50/s\"\naccounts = 1\n[backtest]\nstrict = \"yes\"\n[supervision]\nintensity = 0\nperiod = \"0s\"\nbackoff_max = \"1ms\"\n";
    insta::assert_snapshot!(problems(text), @r##"
    the configuration has 10 mistakes
    ringfence.toml:1: accounts: expected a list of tables, found the text `"all"`; begin each entry with a line [[accounts]]
    ringfence.toml:2: symbols: expected a list of tables, found the number `5`; begin each entry with a line [[symbols]]
    ringfence.toml:3: strategies: expected a list of tables, found a table; begin each entry with a line [[strategies]]
    ringfence.toml:4: daemon: expected a table, found the list `[]`; write its keys below a line [daemon]
    ringfence.toml:5: telemetry: expected a table, found the boolean `true`; write its keys below a line [telemetry]
    ringfence.toml:7: risk.max_messages: expected a table, found the text `"50/s"`; write its keys below a line [risk.max_messages]
    ringfence.toml:8: risk.accounts: expected a table, found the number `1`; write its keys below a line [risk.accounts]
    ringfence.toml:10: backtest.strict: expected true or false, found the text `"yes"`
    ringfence.toml:12: supervision.intensity: expected a whole number of at least 1, found the number `0`
    ringfence.toml:13: supervision.period: expected a time above zero such as "500ms" or "15s", found the text `"0s"`
    "##);
}

#[test]
fn a_key_that_stands_twice_and_a_number_beyond_all_are_named() {
    insta::assert_snapshot!(problems("[exchange]\nseed = 1\nseed = 2\n[supervision]\nintensity = 99999999999999999999\n[daemon]\nlog = 2026-01-31\n"), @r##"
    the configuration has 3 mistakes
    ringfence.toml:3: TOML: expected a readable line (duplicate key), found `seed`; give each key and each [section] once
    ringfence.toml:5: supervision.intensity: expected a whole number of at least 1, found the value `99999999999999999999`
    ringfence.toml:7: daemon.log: expected a log filter such as "info" or "info,ringfence::venues=debug", found the value `2026-01-31`
    "##);
}

#[test]
fn a_key_in_the_wrong_section_is_sent_to_the_right_one() {
    let text = "max_daily_loss = \"5\"\n[daemon]\nmax_order_value = \"5\"\nstarting_funds = \"5\"\nweather = 1\n[trading]\n";
    insta::assert_snapshot!(problems(text), @r##"
    the configuration has 5 mistakes
    ringfence.toml:1: max_daily_loss: expected a known section, found `max_daily_loss`; `max_daily_loss` belongs in [risk]
    ringfence.toml:3: daemon.max_order_value: expected a known key of [daemon], found `max_order_value`; `max_order_value` belongs in [risk]
    ringfence.toml:4: daemon.starting_funds: expected a known key of [daemon], found `starting_funds`; `starting_funds` belongs in [[accounts]]
    ringfence.toml:5: daemon.weather: expected a known key of [daemon], found `weather`; known here: data_dir, http_bind, http_allowed_hosts, log, on_shutdown, shutdown_deadline, fault_injection
    ringfence.toml:6: trading: expected a known section, found `trading`; known here: extends, daemon, journal, telemetry, alerts, exchange, venues, accounts, symbols, risk, supervision, strategies and 1 more
    "##);
}

#[test]
fn names_and_lists_say_what_they_must_be() {
    let text = "[[accounts]]\nid = \"Main Account\"\n[[symbols]]\nname = \"btcusdt\"\n[[strategies]]\nkind = \"x\"\naccounts = []\nsymbols = [\"btc\", 5]\ninterval = \"1s\"\n";
    insta::assert_snapshot!(problems(text), @r##"
    the configuration has 6 mistakes
    ringfence.toml:1: accounts[Main Account].starting_funds: expected an amount above zero in quotes such as "1000", found nothing; add starting_funds = …
    ringfence.toml:2: accounts[Main Account].id: expected an account id of only a-z, 0-9, '_' and '-', found the text `"Main Account"`
    ringfence.toml:4: symbols[btcusdt].name: expected a symbol of only A-Z, 0-9, '_' and '-', found the text `"btcusdt"`
    ringfence.toml:5: strategies[0].id: expected a strategy id in quotes, found nothing; add id = …
    ringfence.toml:7: strategies[0].accounts: expected a list of names, or ["*"] for all of them, found the list `[]`
    ringfence.toml:8: strategies[0].symbols: expected a list of names, or ["*"] for all of them, found the list `["btc", 5]`
    "##);
}

proptest::proptest! {
    /// Whatever an editor leaves behind: settings or problems, never a panic, never a refusal without a reason.
    #[test]
    fn a_damaged_file_gives_settings_or_reasons(
        cut in 0..BUILT_IN.len(), length in 0_usize..80, put in "[\\[\\]{}=\"'#.,a-z0-9\n é\u{0}-]{0,12}"
    ) {
        let (before, rest) = BUILT_IN.split_at(BUILT_IN.floor_char_boundary(cut));
        let text = format!("{before}{put}{}", &rest[rest.floor_char_boundary(length.min(rest.len()))..]);
        if let Err(problems) = read(&text) {
            assert!(!problems.0.is_empty());
            for report in problems.reports() {
                let mut drawn = String::new();
                miette::GraphicalReportHandler::new().render_report(&mut drawn, report.as_ref()).unwrap();
            }
        }
    }
}

#[test]
fn accounts_and_symbols_that_name_no_venue_are_on_the_exchange_inside_on_the_side_of_their_kind() {
    let settings = Settings::read(None, [], &any_strategy).unwrap();
    assert!(settings.enabled_accounts().all(|account| account.venue == embedded()));
    assert!(settings.enabled_symbols().all(|symbol| symbol.venue == Some(embedded())));
    let spot = "[[symbols]]\nname = \"BTCUSDT\"\n[symbols.instrument]\nkind = \"spot\"\n[[strategies]]\nid = \"t\"\nkind = \"k\"\naccounts = [\"*\"]\nsymbols = [\"*\"]\ninterval = \"1s\"\n";
    let settings = read(spot).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(settings.enabled_accounts().all(|account| account.venue == embedded_spot()));
    assert_eq!(settings.enabled_symbols().next().unwrap().venue, Some(embedded_spot()));
}

const VENUES: &str = r#"
[[venues]]
id = "test"
kind = "binance_spot"
environment = "testnet"
recv_window = "90s"

[[accounts]]
id = "alpha"
venue = "test"

[[accounts]]
id = "beta"
starting_funds = "1"
venue = "embeded"

[[accounts]]
id = "gamma"
starting_funds = "1"
key = { env = "GAMMA", file = "/k" }

[[accounts]]
id = "delta"
starting_funds = "1"
key = { credential = "delta" }
"#;

#[test]
fn mistakes_of_venues_and_keys_are_named() {
    let strategies = "[[strategies]]\nid = \"t\"\nkind = \"k\"\naccounts = [\"alpha\"]\nsymbols = [\"BTCUSDT\"]\ninterval = \"1s\"\n";
    insta::assert_snapshot!(problems(&format!("{VENUES}{strategies}")), @r##"
    the configuration has 6 mistakes
    ringfence.toml:6: venues[test].recv_window: expected a time from "100ms" to "60s", found the text `"90s"`
    ringfence.toml:9: accounts[alpha].key: expected where its key for venue test is, found nothing; add key = { env = "ALPHA" } and set the two variables
    ringfence.toml:15: accounts[beta].venue: expected a venue that is configured, found "embeded"; did you mean "embedded"?
    ringfence.toml:20: accounts[gamma].key: expected one of `env`, `credential` and `file`, found 2 of them
    ringfence.toml:25: accounts[delta].key: expected no key for an account of the exchange carried inside, found one; take it out: the exchange carried inside gives its accounts keys by itself
    ringfence.toml:30: strategies[t].symbols: expected symbols of venue test, where its account alpha trades, found BTCUSDT of venue embedded; make one strategy for each venue, or name the account's venue
    "##);
}

#[test]
fn a_strategy_that_mixes_venues_is_refused() {
    let text = "[[venues]]\nid = \"test\"\nkind = \"binance_usdm\"\nenvironment = \"testnet\"\n[[accounts]]\nid = \"alpha\"\nvenue = \"test\"\nkey = { env = \"ALPHA\" }\n[[symbols]]\nname = \"BTCUSDT\"\nvenue = \"embedded\"\n[[strategies]]\nid = \"t\"\nkind = \"k\"\naccounts = [\"alpha\"]\nsymbols = [\"BTCUSDT\"]\ninterval = \"1s\"\n";
    insta::assert_snapshot!(problems(text), @r##"
    the configuration has 1 mistake
    ringfence.toml:16: strategies[t].symbols: expected symbols of venue test, where its account alpha trades, found BTCUSDT of venue embedded; make one strategy for each venue, or name the account's venue
    "##);
}

#[test]
fn live_money_is_refused_and_says_what_to_do() {
    let venue = |more: &str| {
        format!(
            "[[venues]]\nid = \"v\"\nkind = \"binance_usdm\"\n{more}\n[[accounts]]\nid = \"alpha\"\nvenue = \"v\"\nkey = {{ env = \"A\" }}\n"
        )
    };
    for live in [
        "environment = \"live\"",
        "rest = \"https://fapi.binance.com\"\nws = \"wss://x\"",
        "environment = \"testnet\"\nrest = \"http://10.0.0.1\"",
    ] {
        let refused = read(&venue(live)).unwrap().can_run().unwrap_err().to_string();
        assert!(refused.contains("not yet released for live money") && refused.contains("environment = \"testnet\""), "{refused}");
    }
    for harmless in [
        "environment = \"testnet\"",
        "rest = \"http://127.0.0.1:1\"\nws = \"ws://[::1]:1\"",
        "rest = \"http://localhost:1\"\nws = \"ws://x\"",
    ] {
        read(&venue(harmless)).unwrap().can_run().unwrap_or_else(|problems| panic!("{problems}"));
    }
    let disabled = venue("environment = \"live\"").replace("id = \"alpha\"", "id = \"alpha\"\nenabled = false");
    read(&format!("{disabled}[[accounts]]\nid = \"beta\"\nstarting_funds = \"1\"\n")).unwrap().can_run().unwrap();
}
