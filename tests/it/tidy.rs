//! The repository's rules, held by an ordinary test: who may import whom, what may not be called where, how long files and
//! functions may be, how a file opens, where floats may stand. A finding names file and line, the rule, and the remedy. It
//! reads text, not syntax: good enough for formatted code, and quick.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
/// What fits on a screen and in a head.
const FUNCTION_LINES_MAX: usize = 70;

/// What each folder may import of the crate besides itself; a path in it may have a row of its own. Roots are few; everything
/// else is a machine, a codec or a shell that knows one of them.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("net", &[]),
    ("strategies", &["domain"]),
    ("settings", &["domain"]),
    ("supervision", &["domain"]),
    ("telemetry", &["domain"]),
    ("store", &["domain"]),
    ("venues", &["domain"]),
    // It speaks a venue's wire and reads its recordings; it knows no adapter.
    ("exchange", &["domain", "net", "venues::binance", "venues::grid"]),
    ("messages", &["domain", "strategies", "supervision"]),
    ("api", &["domain", "net", "telemetry"]),
    ("simulation", &["domain", "strategies", "exchange", "venues", "settings"]),
    // It drives the daemon's own rules, boards and rows.
    (
        "simulation/fault",
        &["domain", "strategies", "exchange", "venues", "settings", "messages", "store", "actors::rules", "actors::names"],
    ),
    ("actors", &["domain", "strategies", "messages", "supervision", "store", "venues", "telemetry", "simulation::assemble"]),
    (
        "cli",
        &["domain", "strategies", "messages", "supervision", "venues", "exchange", "store", "simulation", "settings", "telemetry", "api"],
    ),
    (
        "app",
        &[
            "domain",
            "strategies",
            "messages",
            "actors",
            "supervision",
            "venues",
            "exchange",
            "store",
            "simulation",
            "settings",
            "telemetry",
            "api",
            "cli",
        ],
    ),
];

/// A call that is banned, except under these paths, and what to do instead.
struct Ban {
    calls: &'static [&'static str],
    /// Empty: the whole crate.
    within: &'static [&'static str],
    except: &'static [(&'static str, &'static str)],
    remedy: &'static str,
}

const PURE: &[&str] = &["src/domain/", "src/strategies/", "src/simulation/", "src/exchange/core/", "src/exchange/sources/synthetic/"];

const BANS: &[Ban] = &[
    Ban {
        calls: &["Instant::now(", "SystemTime::now("],
        within: &[],
        except: &[
            ("src/supervision/", "heartbeats and deadlines are of the machine's time"),
            ("src/telemetry/", "spans and uptime are of the machine's time"),
            ("src/messages/clock.rs", "the daemon's clock, which everybody who trades reads"),
            ("src/exchange/stream/", "a connection's pings and silences are of the machine's time"),
            ("src/exchange/wire/", "a connection's pings and silences are of the machine's time"),
            ("src/store/mod.rs", "the wall clock that rows are dated by where nobody passes another"),
            ("src/app/", "a root: it starts the clock and measures a command's speed"),
            ("src/net/", "how long a connection is idle is of the machine's time"),
            ("src/api/", "how long a request takes is wall time"),
            ("src/cli/", "a terminal's progress is wall time"),
        ],
        remedy: "take the time as a parameter, or read it from the clock that the shell was given",
    },
    Ban {
        calls: &["thread_rng(", "rand::rng(", "rand::random", "OsRng", "from_os_rng("],
        within: &[],
        except: &[],
        remedy: "take a seeded generator as a parameter; a secret comes from getrandom",
    },
    Ban {
        calls: &["tokio::spawn(", "task::spawn(", "thread::spawn(", "spawn_local("],
        within: &[],
        except: &[("src/supervision/", "it is what spawns"), ("src/app/run.rs", "the second signal is awaited while the tree goes down")],
        remedy: "spawn a supervised child, or name a thread and give its reason with std::thread::Builder",
    },
    Ban {
        calls: &["thread::sleep("],
        within: &[],
        except: &[
            ("src/telemetry/logs.rs", "the last moments of a process have no timer to wait on"),
            ("src/store/journal/writer.rs", "an injected stall has to stall"),
        ],
        remedy: "await a timer or a message",
    },
    Ban {
        calls: &["std::fs", "std::net", "std::env", "std::process", "tokio::", "HashMap", "HashSet", "println!("],
        within: PURE,
        except: &[],
        remedy: "a machine does no I/O and iterates in a known order: return an effect; use BTreeMap or BTreeSet",
    },
    Ban {
        calls: &["todo!(", "unimplemented!(", "dbg!(", "allow(dead_code)"],
        within: &[],
        except: &[],
        remedy: "finish it or take it out",
    },
];

/// Where floats may stand: statistics, drawing, telemetry and speeds; never a price, a quantity or a balance.
const FLOATS: &[(&str, &str)] = &[
    ("src/domain/indicators/", "statistics"),
    ("src/strategies/", "statistics: scores and averages; orders are Decimal by their types"),
    ("src/exchange/sources/synthetic/", "random walks; what they show is whole ticks and lots"),
    ("src/simulation/report/", "drawing"),
    ("src/telemetry/", "metrics and sampling rates"),
    ("src/app/", "speeds"),
    ("src/cli/", "indicator columns and speeds"),
    ("src/settings/", "refusing TOML floats"),
];

struct Source {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
    /// The text without comments and the insides of strings; the lines are the same.
    code: String,
    /// Where the file's tests begin, as a line index; 0 for a file of tests.
    tests_from: usize,
}

impl Source {
    fn is_test(&self, line: usize) -> bool {
        line >= self.tests_from
    }

    fn live_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().filter(|(line, _)| !self.is_test(*line))
    }

    fn folder(&self) -> Option<&str> {
        let (folder, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        Some(folder)
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    ["src", "tests", "benches", "examples"].iter().for_each(|folder| gather(&root.join(folder), &mut paths));
    paths.sort();
    assert!(paths.len() > 100, "expected the repository's sources under {}, found {} files", root.display(), paths.len());
    paths.iter().map(|path| source(root, path)).collect()
}

fn gather(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            gather(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn source(root: &Path, path: &Path) -> Source {
    let text = std::fs::read_to_string(path).unwrap();
    let path = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
    let code = code_of(&text);
    let stem = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
    let whole = !path.starts_with("src/")
        || path.split('/').any(|part| part == "tests")
        || matches!(stem, "tests" | "testing" | "properties")
        || stem.ends_with("_tests");
    let lines: Vec<&str> = code.lines().collect();
    let begins = |pair: &[&str]| pair[0].trim() == "#[cfg(test)]" && pair[1].contains("mod ") && pair[1].ends_with('{');
    let tests_from = if whole { 0 } else { lines.windows(2).position(begins).unwrap_or(usize::MAX) };
    Source { path, text, code, tests_from }
}

/// Blanks comments and what is inside string literals, so that neither can be mistaken for code.
fn code_of(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), String::with_capacity(text.len()), 0);
    let blank = |out: &mut String, range: &[u8]| range.iter().for_each(|byte| out.push(if *byte == b'\n' { '\n' } else { ' ' }));
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (open, length) = literal(rest, at.checked_sub(1).map(|before| bytes[before]));
        let whole = &rest[..length];
        match open {
            Literal::Code => whole.iter().for_each(|byte| out.push(*byte as char)),
            Literal::Comment => blank(&mut out, whole),
            Literal::Quoted => {
                let inside = whole.len().saturating_sub(1);
                out.push('"');
                blank(&mut out, &whole[1..inside.max(1)]);
                out.push('"');
            }
        }
        at += length;
    }
    out
}

enum Literal {
    Code,
    Comment,
    Quoted,
}

/// What begins here and how many bytes it has.
fn literal(rest: &[u8], before: Option<u8>) -> (Literal, usize) {
    let find = |needle: &[u8], from: usize| rest[from..].windows(needle.len()).position(|window| window == needle).map(|at| from + at);
    match rest {
        [b'/', b'/', ..] => (Literal::Comment, find(b"\n", 0).unwrap_or(rest.len())),
        [b'/', b'*', ..] => (Literal::Comment, find(b"*/", 2).map_or(rest.len(), |end| end + 2)),
        [b'\'', b'\\', ..] => (Literal::Comment, find(b"'", 3).map_or(rest.len(), |end| end + 1)),
        [b'\'', _, b'\'', ..] => (Literal::Comment, 3),
        [b'"', ..] => {
            let mut end = 1;
            while end < rest.len() && rest[end] != b'"' {
                end += if rest[end] == b'\\' { 2 } else { 1 };
            }
            (Literal::Quoted, (end + 1).min(rest.len()))
        }
        [b'r', b'"' | b'#', ..] if !before.is_some_and(|byte| byte.is_ascii_alphanumeric() && byte != b'b' || byte == b'_') => {
            let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return (Literal::Code, 1);
            }
            let close = format!("\"{}", "#".repeat(hashes));
            (Literal::Quoted, find(close.as_bytes(), 2 + hashes).map_or(rest.len(), |end| end + close.len()))
        }
        _ => (Literal::Code, 1),
    }
}

#[derive(Default)]
struct Findings(String);

impl Findings {
    fn add(&mut self, source: &Source, line: usize, what: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{}:{}: {what}", source.path, line + 1).unwrap();
    }

    fn none(self) {
        assert!(self.0.is_empty(), "the repository's rules are broken:\n{}", self.0);
    }
}

#[test]
fn imports_point_one_way() {
    let mut findings = Findings::default();
    for source in &sources() {
        let Some(folder) = source.folder() else { continue };
        let within =
            |name: &str| source.path["src/".len()..].strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let layer = LAYERS.iter().filter(|(name, _)| within(name)).max_by_key(|(name, _)| name.len());
        let Some((_, allowed)) = layer else {
            findings.add(source, 0, format_args!("src/{folder} has no layer; give it one in LAYERS of tests/it/tidy.rs"));
            continue;
        };
        for (line, code) in source.live_lines() {
            for path in code.match_indices("crate::").map(|(at, found)| &code[at + found.len()..]) {
                let inside = |name: &&str| *name == folder || allowed.contains(name);
                let target = path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                let narrow = allowed.iter().any(|allowed| allowed.contains("::") && path.starts_with(allowed));
                if !inside(&target) && !narrow {
                    let rule = "imports point one way: move the type down, or turn the call into an effect that a layer above carries out";
                    findings.add(source, line, format_args!("{folder} may not import `crate::{target}` (only {allowed:?}); {rule}"));
                }
            }
        }
    }
    findings.none();
}

#[test]
fn banned_calls_stay_where_they_are_allowed() {
    let mut findings = Findings::default();
    for source in sources().iter().filter(|source| source.path.starts_with("src/")) {
        for ban in BANS {
            let bound = ban.within.is_empty() || ban.within.iter().any(|path| source.path.starts_with(path));
            if !bound || ban.except.iter().any(|(path, _)| source.path.starts_with(path)) {
                continue;
            }
            for (line, code) in source.live_lines() {
                if let Some(call) = ban.calls.iter().find(|call| code.contains(**call)) {
                    let call = call.trim_end_matches('(');
                    findings.add(source, line, format_args!("`{call}` is banned here; {}", ban.remedy));
                }
            }
        }
    }
    findings.none();
}

#[test]
fn every_exception_is_still_needed() {
    let sources = sources();
    let stale = |path: &str, calls: &[&str]| {
        let mut under = sources.iter().filter(|source| source.path.starts_with(path));
        !under.any(|source| source.live_lines().any(|(_, code)| calls.iter().any(|call| code.contains(call))))
    };
    let bans = BANS.iter().flat_map(|ban| ban.except.iter().map(|(path, _)| (*path, ban.calls)));
    let floats = FLOATS.iter().map(|(path, _)| (*path, &["f64", "f32"][..]));
    let unused: Vec<_> = bans.chain(floats).filter(|(path, calls)| stale(path, calls)).collect();
    assert!(unused.is_empty(), "exceptions of tests/it/tidy.rs that nothing needs; take them out: {unused:?}");
}

#[test]
fn files_are_short_and_open_with_what_they_are() {
    let mut findings = Findings::default();
    for source in &sources() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            let remedy = "make it a folder of its topic";
            findings.add(source, FILE_LINES_MAX, format_args!("{lines} lines, at most {FILE_LINES_MAX}; {remedy}"));
        }
        let opens = source.text.starts_with("//!") || lines == 0;
        if !opens && !is_unit_test(source) {
            findings.add(source, 0, format_args!("a file opens with `//!`: say what it is and what it may not do"));
        }
    }
    findings.none();
}

/// Tests beside a machine are explained by its file.
fn is_unit_test(source: &Source) -> bool {
    source.path.starts_with("src/") && source.tests_from == 0
}

#[test]
fn functions_are_short() {
    let mut findings = Findings::default();
    for source in &sources() {
        let lines: Vec<&str> = source.code.lines().collect();
        for (line, code) in lines.iter().enumerate().filter(|(_, code)| opens_function(code)) {
            let indent = code.len() - code.trim_start().len();
            let closes = |code: &&str| code.len() - code.trim_start().len() == indent && code.trim_start().starts_with('}');
            let length = lines[line + 1..].iter().position(closes).map_or(1, |end| end + 2);
            if code.trim_end().ends_with(['}', ';']) || length <= FUNCTION_LINES_MAX {
                continue;
            }
            let remedy = "let the parent decide and move the computing into leaves";
            findings.add(source, line, format_args!("a function of {length} lines, at most {FUNCTION_LINES_MAX}; {remedy}"));
        }
    }
    findings.none();
}

fn opens_function(code: &str) -> bool {
    let words = code.split_whitespace().take_while(|word| !word.starts_with("fn"));
    let only_modifiers = words.clone().all(|word| matches!(word, "const" | "async" | "unsafe" | "extern") || word.starts_with("pub"));
    only_modifiers && code.split_whitespace().nth(words.count()) == Some("fn")
}

#[test]
fn money_is_never_a_float() {
    let mut findings = Findings::default();
    for source in sources().iter().filter(|source| source.path.starts_with("src/")) {
        if FLOATS.iter().any(|(path, _)| source.path.starts_with(path)) {
            continue;
        }
        for (line, code) in source.live_lines() {
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.any(|word| matches!(word, "f64" | "f32")) {
                findings.add(
                    source,
                    line,
                    format_args!("a float; use Decimal, Ticks or Lots (statistics belong under FLOATS of tests/it/tidy.rs)"),
                );
            }
        }
    }
    findings.none();
}

/// `expect` is for invariants, and says which: in its text, or in a comment within the five lines before it.
#[test]
fn nothing_is_unwrapped_but_invariants() {
    let mut findings = Findings::default();
    for source in sources().iter().filter(|source| source.path.starts_with("src/")) {
        let text: Vec<&str> = source.text.lines().collect();
        for (line, code) in source.live_lines() {
            if code.contains(".unwrap()") || code.contains(".unwrap_err()") {
                findings.add(
                    source,
                    line,
                    format_args!("`unwrap`; return an error, or `expect` with the invariant that makes it impossible"),
                );
            }
            // A method of one's own that is called `expect` takes no text.
            let expects = code.contains(".expect(\"") || code.trim_end().ends_with(".expect(");
            let stated =
                text[line.saturating_sub(5)..(line + 2).min(text.len())].iter().any(|text| text.to_lowercase().contains("invariant"));
            if expects && !stated {
                findings.add(
                    source,
                    line,
                    format_args!("`expect` without its invariant; write `Invariant: …` above it, or return an error"),
                );
            }
        }
    }
    findings.none();
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "let a = \"x.unwrap() \\\" //\"; // .unwrap()\nlet b = r#\"f64 \" \"#; let c = '\"'; /* f32 */ d::<'a>();\n";
    let code = code_of(text);
    assert_eq!(code.lines().count(), 2);
    assert!(!code.contains("unwrap") && !code.contains("f64") && !code.contains("f32"), "{code}");
    assert!(code.contains("let b = ") && code.contains("d::<'a>();"), "{code}");
}
