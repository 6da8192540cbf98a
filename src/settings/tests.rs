//! What a person notices of settings: the default runs, mistakes are all found, origins are named, a reload is a diff.

use super::*;

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
        if name.is_empty() || ["count", "period"].contains(&name) {
            continue;
        }
        let at = lines.iter().position(|line| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{name} =")) || line.starts_with('[') && line.trim_matches(['[', ']']).rsplit('.').any(|part| part == name)
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
