//! The control matrix against the sources: each row has code that is there, live tests, and evidence that something writes; each
//! check of risk has its rows. And what is true of the whole program because something is absent from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use ringfence::domain::order::VenueCommand;
use ringfence::domain::record::Record;
use ringfence::domain::risk::controls;
use ringfence::store::controls::{ControlMatrix, ControlRow};
use strum::VariantNames as _;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn matrix() -> ControlMatrix {
    ControlMatrix::built_in().unwrap()
}

/// Every row must hold; all that do not are told at once.
fn each_row(check: impl Fn(&ControlRow) -> Vec<String>) {
    let rows = matrix().controls;
    let wrong: Vec<String> =
        rows.iter().flat_map(|row| check(row).into_iter().map(|what| format!("{}: {what}", row.id)).collect::<Vec<_>>()).collect();
    assert!(wrong.is_empty(), "config/controls.toml is not true:\n{}", wrong.join("\n"));
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// All of `src` in one text, for words that must stand somewhere.
fn all_of(folder: &str) -> String {
    let mut files = Vec::new();
    sources(&root().join(folder), &mut files);
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// A test's `fn` with an attribute that makes it one, and none that lets it rest.
fn is_live_test(text: &str, name: &str) -> Result<(), String> {
    let head = format!("fn {name}(");
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains(&head)).ok_or_else(|| format!("no function {name}"))?;
    let attributes: Vec<&str> = lines[..at].iter().rev().map(|line| line.trim()).take_while(|line| line.starts_with("#[")).collect();
    if !attributes.iter().any(|attribute| attribute.contains("test]") || attribute.contains("::test(")) {
        return Err(format!("{name} is no test"));
    }
    if attributes.iter().any(|attribute| attribute.contains("ignore") || attribute.contains("cfg(")) {
        return Err(format!("{name} does not always run"));
    }
    Ok(())
}

/// Whether the file is compiled: declared by the module that it belongs to.
fn is_declared(path: &str) -> bool {
    let path = root().join(path);
    let (stem, folder) = (path.file_stem().unwrap().to_str().unwrap().to_owned(), path.parent().unwrap().to_owned());
    if stem == "main" || stem == "lib" {
        return true;
    }
    let (name, folder) = if stem == "mod" {
        (folder.file_name().unwrap().to_str().unwrap().to_owned(), folder.parent().unwrap().to_owned())
    } else {
        (stem.clone(), folder)
    };
    let beside = folder.with_extension("rs");
    let parents = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).chain([beside]);
    let declares = |text: String| text.contains(&format!("mod {name};")) || text.contains(&format!("#[path = \"{stem}.rs\"]"));
    let mut texts = parents.filter(|path| path.is_file()).filter_map(|path| std::fs::read_to_string(path).ok());
    texts.any(declares)
}

/// The integration tests as this binary knows them, and those of them that do not run by themselves.
fn in_this_binary() -> (BTreeSet<String>, BTreeSet<String>) {
    let list = |more: &[&str]| {
        let output = Command::new(std::env::current_exe().unwrap()).args(["--list", "--format", "terse"]).args(more).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    (list(&[]), list(&["--ignored"]))
}

#[test]
fn every_control_is_there_once_and_has_tests_and_code_or_the_reason_why_not() {
    let mut seen = BTreeSet::new();
    for row in matrix().controls {
        assert!(seen.insert(row.id.clone()), "{} twice", row.id);
    }
    for number in 1..=24 {
        assert!(seen.contains(&format!("C{number:02}")), "C{number:02} has no row");
    }
    each_row(|row| {
        let mut wrong = Vec::new();
        if row.tests.is_empty() {
            wrong.push("no test".to_owned());
        }
        if row.offered && (row.code.is_empty() || row.rows.is_empty()) {
            wrong.push("offered without code or without rows of the journal".to_owned());
        }
        if row.offered == row.why_not.is_some() {
            wrong.push("a control is offered, or says why not".to_owned());
        }
        wrong
    });
}

/// What is wrong with a test of the matrix; `known` and `ignored` are this binary's.
fn wrong_with(test: &str, known: &BTreeSet<String>, ignored: &BTreeSet<String>) -> Option<String> {
    let Some((path, name)) = test.split_once('#') else { return Some(format!("{test} expected as path#name")) };
    if !root().join(path).is_file() {
        return Some(format!("{path} is not there"));
    }
    if let Err(why) = is_live_test(&read(path), name) {
        return Some(format!("{path}: {why}"));
    }
    if !is_declared(path) {
        return Some(format!("{path} is compiled by nobody"));
    }
    let of_this_binary = path.strip_prefix("tests/it/")?;
    let module = of_this_binary.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let full = format!("{module}::{name}");
    (!known.contains(&full) || ignored.contains(&full)).then(|| format!("{full} is not run by this binary"))
}

#[test]
fn every_test_of_the_matrix_is_compiled_and_runs() {
    let (known, ignored) = in_this_binary();
    each_row(|row| row.tests.iter().filter_map(|test| wrong_with(test, &known, &ignored)).collect());
}

/// Exhaustive: a check that is added to risk has a test at its limit and one step past it, or this fails.
#[test]
fn every_check_is_tried_at_its_limit_and_one_step_past_it() {
    let (known, ignored) = in_this_binary();
    let checks: BTreeMap<String, Vec<String>> = matrix().checks.into_iter().map(|check| (check.name, check.tests)).collect();
    let mut wrong: Vec<String> =
        checks.keys().filter(|name| controls::find(name).is_none()).map(|name| format!("{name} is no check")).collect();
    for control in controls::ALL {
        match checks.get(control.name) {
            None => wrong.push(format!("{} has no test at its limit", control.name)),
            Some(tests) if tests.is_empty() => wrong.push(format!("{} has no test at its limit", control.name)),
            Some(tests) => wrong.extend(tests.iter().filter_map(|test| wrong_with(test, &known, &ignored))),
        }
    }
    assert!(wrong.is_empty(), "config/controls.toml is not true of the checks:\n{}", wrong.join("\n"));
}

#[test]
fn a_test_that_does_not_run_is_found() {
    let text =
        "#[test]\nfn lives() {}\n#[test]\n#[ignore = \"slow\"]\nfn rests() {}\n#[cfg(unix)]\n#[test]\nfn sometimes() {}\nfn helper() {}\n";
    assert_eq!(is_live_test(text, "lives"), Ok(()));
    for name in ["rests", "sometimes", "helper", "absent"] {
        assert!(is_live_test(text, name).is_err(), "{name}");
    }
    assert!(is_declared("tests/it/controls.rs") && is_declared("tests/it/daemon_faults/spins.rs") && !is_declared("tests/it/nobody.rs"));
}

#[test]
fn all_code_of_the_matrix_is_there() {
    each_row(|row| {
        let missing = |code: &String| -> Option<String> {
            let (path, name) = code.split_once('#').map_or((code.as_str(), None), |(path, name)| (path, Some(name)));
            if !root().join(path).is_file() {
                return Some(format!("{path} is not there"));
            }
            let text = read(path);
            let defines = |name: &str| {
                ["fn", "struct", "enum", "const"].iter().any(|kind| {
                    text.match_indices(&format!("{kind} {name}"))
                        .any(|(at, found)| !text[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
                }) || path.ends_with("risk/controls.rs") && text.contains(&format!("    {name} = \""))
            };
            name.filter(|name| !defines(name)).map(|name| format!("{path} has no {name}"))
        };
        row.code.iter().filter_map(missing).collect()
    });
}

/// Both ways: each check stands in every row that it answers, and a row names no check that is none.
#[test]
fn every_check_of_risk_stands_in_the_rows_that_it_answers() {
    let rows: BTreeMap<String, ControlRow> = matrix().controls.into_iter().map(|row| (row.id.clone(), row)).collect();
    let mut wrong = Vec::new();
    for control in controls::ALL {
        for id in control.covers {
            match rows.get(*id) {
                None => wrong.push(format!("{} answers {id}, which has no row", control.name)),
                Some(row) if !row.checks.iter().any(|check| check == control.name) => {
                    wrong.push(format!("{id} does not name {}, which answers it", control.name));
                }
                Some(_) => {}
            }
        }
    }
    for row in rows.values() {
        for check in &row.checks {
            match controls::find(check) {
                None => wrong.push(format!("{} names the check {check}, which nobody makes", row.id)),
                Some(control) if !control.covers.contains(&row.id.as_str()) => {
                    wrong.push(format!("{} names {check}, which does not say that it answers it", row.id));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "config/controls.toml and domain/risk/controls.rs part:\n{}", wrong.join("\n"));
}

#[test]
fn all_evidence_of_the_matrix_is_written_by_somebody() {
    let (src, telemetry, routes) = (all_of("src"), all_of("src/telemetry"), read("src/api/routes.rs"));
    let kinds: BTreeSet<&str> = Record::VARIANTS.iter().copied().collect();
    let camel = |word: &str| word.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect::<String>();
    let statuses =
        read("src/domain/order.rs") + &read("src/domain/mode.rs") + &read("src/domain/restart/event.rs") + &read("src/api/command.rs");
    let known = |kind: &str, word: &str| match kind {
        "order_refused" => controls::find(word).is_some(),
        _ => {
            src.contains(&format!("\"{word}\""))
                || (statuses.clone() + &read("src/domain/kill_switch/mod.rs") + &read("src/domain/alerts/mod.rs")).contains(&camel(word))
        }
    };
    each_row(|row| {
        let mut wrong = Vec::new();
        for entry in &row.rows {
            let (kind, word) = entry.split_once(':').map_or((entry.as_str(), None), |(kind, word)| (kind, Some(word)));
            if !kinds.contains(kind) {
                wrong.push(format!("no row of the journal is of kind {kind}"));
            }
            if let Some(word) = word.filter(|word| !known(kind, word)) {
                wrong.push(format!("no {kind} is ever {word}"));
            }
        }
        let metrics =
            row.metrics.iter().filter(|metric| !telemetry.contains(&format!("\"{metric}\""))).map(|metric| format!("no metric {metric}"));
        let paths = row.api.iter().filter(|path| !routes.contains(&format!("\"{path}\""))).map(|path| format!("no path {path}"));
        wrong.extend(metrics.chain(paths));
        wrong
    });
}

/// C19. Whoever adds a command that changes a price or a quantity must add its collar, and finds this first: the match has no arm
/// for what is not here.
#[test]
fn no_order_is_ever_amended() {
    let changes_an_order = |command: &VenueCommand| match command {
        VenueCommand::Place(_)
        | VenueCommand::Cancel { .. }
        | VenueCommand::CancelAll { .. }
        | VenueCommand::Query { .. }
        | VenueCommand::Snapshot { .. }
        | VenueCommand::SetLeverage { .. } => false,
    };
    assert!(!changes_an_order(&VenueCommand::CancelAll { symbol: None }));
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let of_the_daemon =
        |path: &&PathBuf| !path.ends_with("venues/binance/codec/product.rs") && !path.starts_with(root().join("src/exchange"));
    for path in files.iter().filter(of_the_daemon) {
        let text = std::fs::read_to_string(path).unwrap();
        // The table of what each product can do knows the endpoint; nobody asks for it.
        for amending in ["ModifyOrder", "order.modify", "cancelReplace", "order/amend", "order.amend"] {
            assert!(!text.contains(amending), "{} says {amending}: an amended order needs its price tolerance", path.display());
        }
    }
}

/// C22. What Knight's servers still had was a path that a flag switched on: there is none to switch here.
#[test]
fn no_code_stands_behind_a_flag() {
    assert!(!read("Cargo.toml").contains("[features]"));
    let src = all_of("src");
    for flag in ["cfg(feature", "cfg!(feature", "option_env!(", "cfg(debug_assertions", "cfg!(debug_assertions"] {
        assert!(!src.contains(flag), "{flag} in src");
    }
}
