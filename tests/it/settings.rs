//! The files in `config/` are what they say, and the binary tells a person everything that is wrong with a configuration.

use crate::cli::{Outcome, ringfence};
use crate::support::FIVE_MISTAKES;

fn check(text: &str, more: &[&str]) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ringfence.toml"), text).unwrap();
    ringfence(directory.path(), &[&["check", "--config", "ringfence.toml"], more].concat(), &[])
}

#[test]
fn five_mistakes_are_five_reports_with_file_line_expected_and_found() {
    let outcome = check(FIVE_MISTAKES, &[]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(outcome.stderr, @r##"
      × daemon.data_dri: expected a known key of [daemon], found `data_dri`
       ╭─[ringfence.toml:2:1]
     1 │ [daemon]
     2 │ data_dri = "./elsewhere"
       · ────┬───
       ·     ╰── found `data_dri`
     3 │ 
       ╰────
      help: did you mean `data_dir`?

      × risk.max_order_value: expected an amount above zero in quotes such as "1000", found the float `5000.50`
       ╭─[ringfence.toml:5:19]
     4 │ [risk]
     5 │ max_order_value = 5000.50
       ·                   ───┬───
       ·                      ╰── found the float `5000.50`
     6 │ price_collar = "1.5"
       ╰────
      help: write it in quotes, which keeps every digit: max_order_value = "5000.50"

      × risk.price_collar: expected a ratio above "0" and up to "1", in quotes, found the text `"1.5"`
       ╭─[ringfence.toml:6:16]
     5 │ max_order_value = 5000.50
     6 │ price_collar = "1.5"
       ·                ──┬──
       ·                  ╰── found the text `"1.5"`
     7 │ 
       ╰────

      × strategies[trend].accounts: expected accounts that are configured, found "alhpa"
        ╭─[ringfence.toml:11:12]
     10 │ kind = "ema_cross"
     11 │ accounts = ["alhpa"]
        ·            ────┬────
        ·                ╰── found "alhpa"
     12 │ symbols = ["BTCUSDT"]
        ╰────
      help: did you mean "alpha"?

      × strategies[trend].interval: expected a time above zero such as "500ms" or "15s", found the number `5`
        ╭─[ringfence.toml:13:12]
     12 │ symbols = ["BTCUSDT"]
     13 │ interval = 5
        ·            ┬
        ·            ╰── found the number `5`
        ╰────
      help: name the unit: interval = "5s"

    ringfence: 5 mistakes in the configuration; nothing was started
    "##);
}

#[test]
fn the_same_mistakes_as_json_name_file_and_line() {
    let outcome = check(FIVE_MISTAKES, &["--json"]);
    assert_eq!(outcome.code, 2);
    let answer: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let mistakes = answer["mistakes"].as_array().unwrap();
    let lines: Vec<u64> = mistakes.iter().map(|mistake| mistake["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 5, 6, 11, 13]);
    assert!(mistakes.iter().all(|mistake| mistake["file"] == "ringfence.toml" && mistake["expected"].is_string()));
}

#[test]
fn a_wrong_configuration_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ringfence.toml"), FIVE_MISTAKES).unwrap();
    let outcome = ringfence(directory.path(), &["run", "--config", "ringfence.toml"], &[]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("5 mistakes in the configuration; nothing was started"), "{}", outcome.stderr);
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["ringfence.toml"]);
}

#[test]
fn every_setting_of_every_strategy_kind_is_in_the_default_file() {
    let text = ringfence::settings::BUILT_IN;
    for kind in ringfence::strategies::registry().kinds() {
        assert!(text.contains(&format!("kind = \"{}\"", kind.name())), "{}", kind.name());
        let settings = kind.resolve(&serde_json::json!({})).unwrap();
        for (key, value) in settings.as_object().unwrap() {
            let header = value.is_object().then(|| format!("\n[strategies.settings.{key}]\n"));
            assert!(text.contains(&header.unwrap_or_else(|| format!("\n{key} = "))), "{}: {key}", kind.name());
        }
    }
}

#[test]
fn a_strategys_own_mistakes_stand_beside_the_others() {
    let text = FIVE_MISTAKES.replace("ema_cross", "ema_cros")
        + "\n[[strategies]]\nid = \"b\"\nkind = \"ema_cross\"\naccounts = [\"*\"]\nsymbols = [\"*\"]\ninterval = \"1s\"\n\
                [strategies.settings]\nfast = 9\nslow = 3\norder_value = 5.5\nspeed = 1\n";
    let outcome = check(&text, &["--json"]);
    let answer: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let text = |mistake: &serde_json::Value, key: &str| mistake[key].as_str().unwrap_or_default().to_owned();
    let told: Vec<String> = answer["mistakes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| format!("{}: {}: {}, found {}", m["line"], text(m, "key"), text(m, "expected"), text(m, "found")))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r##"
    2: daemon.data_dri: a known key of [daemon], found `data_dri`
    5: risk.max_order_value: an amount above zero in quotes such as "1000", found the float `5000.50`
    6: risk.price_collar: a ratio above "0" and up to "1", in quotes, found the text `"1.5"`
    10: strategies[trend].kind: one of ema_cross, indicator_score, found "ema_cros"
    11: strategies[trend].accounts: accounts that are configured, found "alhpa"
    13: strategies[trend].interval: a time above zero such as "500ms" or "15s", found the number `5`
    23: strategies[b].settings.slow: a span longer than fast (9), found the number `3`
    24: strategies[b].settings.order_value: amount: a decimal number in quotes such as "0.25", found the float `5.5`
    25: strategies[b].settings.speed: one of fast, open_at_start, order_value, slow, found `speed`
    "##);
}

#[test]
fn the_ready_files_are_valid_and_each_value_names_its_origin() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["config/default.toml", "config/backtest.toml", "config/paper-recording.toml"] {
        let outcome = ringfence(root, &["check", "--config", file], &[("RINGFENCE__DAEMON__LOG", "warn")]);
        assert_eq!(outcome.code, 0, "{file}: {}", outcome.stderr);
        assert!(outcome.stdout.contains("environment RINGFENCE__DAEMON__LOG"), "{}", outcome.stdout);
        assert!(outcome.stdout.contains(&format!("{file}:")) && outcome.stdout.contains("config hash "), "{}", outcome.stdout);
    }
}

#[test]
fn the_default_file_by_name_means_the_same_as_none() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let hash = |more: &[&str]| {
        let outcome = ringfence(root, &[&["check", "--json"], more].concat(), &[]);
        let answer: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        answer["config_hash"].as_str().unwrap().to_owned()
    };
    assert_eq!(hash(&[]), hash(&["--config", "config/default.toml"]));
    assert_ne!(hash(&[]), hash(&["--config", "config/backtest.toml"]));
}
