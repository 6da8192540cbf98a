//! The files in `config/` are what they say, and the binary tells a person everything that is wrong with a configuration.

use crate::cli::{Outcome, ringfence};

/// Five mistakes of five kinds: an unknown key, a float for money, a value out of range, an unknown account, a time without
/// a unit.
const FIVE_MISTAKES: &str = r#"[daemon]
data_dri = "./elsewhere"

[risk]
max_order_value = 5000.50
price_collar = "1.5"

[[strategies]]
id = "trend"
kind = "ema_cross"
accounts = ["alhpa"]
symbols = ["BTCUSDT"]
interval = 5
"#;

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
