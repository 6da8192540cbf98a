//! Built-in default < file < environment: reads each layer, merges them with the `config` crate, and gives one tree in which
//! every node still knows its origin. Knows TOML and names, not what any key means.
//!
//! `config` keeps one string beside each value. Ours is an index into the list of origins, so that a merged value leads
//! back to its line or its variable.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use config::{Config, Environment, Map, Source, Value as Merged, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::origin::{Origin, SourceText};
use super::problem::Problem;

/// Prefix and separator of variables: `RINGFENCE__RISK__MAX_ORDER_VALUE`.
pub const PREFIX: &str = "RINGFENCE";
const SEPARATOR: &str = "__";

/// Sections that say what is traded and how much. A file that extends nothing brings all of them itself.
const TRADING_SECTIONS: [&str; 4] = ["accounts", "symbols", "strategies", "risk"];

/// Lists of tables: no variable can name one of their entries.
const LISTS: [&str; 3] = ["accounts", "symbols", "strategies"];

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(BTreeMap<String, Node>),
    /// A date, or an integer that does not fit: nothing that settings have a use for.
    Other,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Value,
    pub origin: Origin,
    /// The span of the key, where the value has one in a file.
    pub key: Origin,
}

impl Node {
    /// For readers that know what the keys mean. Money stays the text that it is.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Boolean(truth) => (*truth).into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Text(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(table) => table.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
            Value::Other => serde_json::Value::Null,
        }
    }

    /// The deepest node on a dotted path that exists.
    #[must_use]
    pub fn descend(&self, path: &str) -> &Self {
        let mut node = self;
        for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
            let next = match &node.value {
                Value::Table(table) => table.get(step),
                Value::List(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
        }
        node
    }
}

/// The merged tree, and what could not be read.
pub struct Tree {
    pub root: Node,
    pub problems: Vec<Problem>,
}

/// Merges the layers. `variables` are the environment's, or a test's.
pub fn read(built_in: &Arc<SourceText>, file: Option<&Arc<SourceText>>, variables: impl Iterator<Item = (String, String)>) -> Tree {
    let mut reading = Reading::default();
    let mut base = reading.document(built_in);
    let over = file.map(|file| reading.document(file)).unwrap_or_default();
    if extends_nothing(&over) {
        base.retain(|key, _| !TRADING_SECTIONS.contains(&key.as_str()));
    }
    let environment = reading.environment(variables);
    let merged = Config::builder().add_source(Layer(base)).add_source(Layer(over)).add_source(Layer(environment)).build();
    let root = match merged {
        Ok(config) => reading.node(&config.cache, ""),
        Err(error) => {
            reading.problems.push(problem("configuration", "layers that can be merged", &error.to_string(), Origin::Unset, None));
            Node { value: Value::Table(BTreeMap::new()), origin: Origin::Unset, key: Origin::Unset }
        }
    };
    Tree { root, problems: reading.problems }
}

fn extends_nothing(layer: &Map<String, Merged>) -> bool {
    matches!(layer.get("extends").map(|value| &value.kind), Some(ValueKind::String(text)) if text == "nothing")
}

/// One layer, already collected.
#[derive(Debug, Clone)]
struct Layer(Map<String, Merged>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Merged>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// Origins found so far.
#[derive(Default)]
struct Reading {
    /// Of the value and of its key; merged values carry the index.
    origins: Vec<(Origin, Origin)>,
    /// The headers of tables by path: merging rebuilds tables, so that they lose theirs.
    tables: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

impl Reading {
    fn document(&mut self, source: &Arc<SourceText>) -> Map<String, Merged> {
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let found = excerpt(&source.text, &span);
            let origin = Origin::Text { source: source.clone(), span };
            let help = Some(remedy(error.message(), &found).to_owned());
            self.problems.push(problem("TOML", &format!("a readable line ({})", error.message()), &found, origin, help));
        }
        self.table(source, document.get_ref(), "")
    }

    fn table(&mut self, source: &Arc<SourceText>, table: &DeTable<'_>, path: &str) -> Map<String, Merged> {
        let mut map = Map::new();
        for (key, value) in table {
            let path = join(path, key.get_ref());
            map.insert(key.get_ref().to_string(), self.value(source, Some(key.span()), value, &path));
        }
        map
    }

    fn value(&mut self, source: &Arc<SourceText>, key: Option<Range<usize>>, value: &Spanned<DeValue<'_>>, path: &str) -> Merged {
        let place = |span| Origin::Text { source: source.clone(), span };
        let key = key.map_or_else(|| place(value.span()), place);
        let index = self.place(place(value.span()), key);
        let kind = match value.get_ref() {
            DeValue::String(text) => ValueKind::String(text.to_string()),
            DeValue::Boolean(truth) => ValueKind::Boolean(*truth),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or(ValueKind::Nil, ValueKind::I64),
            DeValue::Float(number) => number.as_str().parse().map_or(ValueKind::Nil, ValueKind::Float),
            DeValue::Datetime(_) => ValueKind::Nil,
            DeValue::Array(items) => {
                let mut list = Vec::new();
                for (position, item) in items.iter().enumerate() {
                    list.push(self.value(source, None, item, &format!("{path}[{position}]")));
                }
                ValueKind::Array(list)
            }
            DeValue::Table(table) => {
                self.tables.insert(path.to_owned(), index);
                ValueKind::Table(self.table(source, table, path))
            }
        };
        Merged::new(Some(&index.to_string()), kind)
    }

    /// Variables as a layer. What they say stays text; whoever reads a key knows what it must be.
    fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) -> Map<String, Merged> {
        let source = Environment::with_prefix(PREFIX).prefix_separator(SEPARATOR).separator(SEPARATOR).source(Some(variables.collect()));
        // Invariant: `collect` fails only for texts that are not Unicode, and these are `String`s.
        let collected = source.collect().unwrap_or_default();
        let mut layer = Map::new();
        for (key, value) in collected {
            let ValueKind::String(text) = value.kind else { continue };
            let variable = format!("{PREFIX}{SEPARATOR}{}", key.to_uppercase().replace('.', SEPARATOR));
            let origin = Origin::Environment { variable };
            if let Some(list) = LISTS.iter().find(|list| key.starts_with(&format!("{list}."))) {
                let help = Some(format!("give [[{list}]] in a file with --config; a variable sets single values only"));
                self.problems.push(problem(&key, "no variable for an entry of a list", &format!("{text:?}"), origin, help));
                continue;
            }
            let index = self.place(origin.clone(), origin).to_string();
            layer.insert(spelled(&key), Merged::new(Some(&index), ValueKind::String(text)));
        }
        layer
    }

    fn place(&mut self, value: Origin, key: Origin) -> usize {
        self.origins.push((value, key));
        self.origins.len() - 1
    }

    fn node(&self, merged: &Merged, path: &str) -> Node {
        let index = merged.origin().and_then(|origin| origin.parse().ok()).or_else(|| self.tables.get(path).copied());
        let (origin, key) = index.and_then(|index: usize| self.origins.get(index).cloned()).unwrap_or((Origin::Unset, Origin::Unset));
        let value = match &merged.kind {
            ValueKind::Boolean(truth) => Value::Boolean(*truth),
            ValueKind::I64(number) => Value::Integer(*number),
            ValueKind::Float(number) => Value::Float(*number),
            ValueKind::String(text) => Value::Text(text.clone()),
            ValueKind::Array(items) => {
                Value::List(items.iter().enumerate().map(|(at, item)| self.node(item, &format!("{path}[{at}]"))).collect())
            }
            ValueKind::Table(table) => {
                Value::Table(table.iter().map(|(key, item)| (key.clone(), self.node(item, &join(path, key)))).collect())
            }
            _ => Value::Other,
        };
        Node { value, origin, key }
    }
}

/// What to do about a line that is no TOML. Text without quotes is by far the most usual reason.
fn remedy(message: &str, found: &str) -> &'static str {
    let bare_word = found.trim_start_matches('`').starts_with(|c: char| c.is_alphabetic() || matches!(c, '/' | '.'));
    match message {
        "duplicate key" => "give each key and each [section] once",
        _ if bare_word => "text is written in quotes: key = \"text\"",
        _ => "see https://toml.io for how a line is written",
    }
}

/// Variables come in lower case from `config`; symbols are upper case.
fn spelled(key: &str) -> String {
    let mut parts: Vec<String> = key.split('.').map(str::to_owned).collect();
    if let [risk, symbols, symbol, ..] = parts.as_mut_slice()
        && risk == "risk"
        && symbols == "symbols"
    {
        *symbol = symbol.to_uppercase();
    }
    parts.join(".")
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What stands at `span`, short enough for a message.
pub(super) fn excerpt(text: &str, span: &Range<usize>) -> String {
    const LONGEST: usize = 60;
    let line = text.get(span.clone()).unwrap_or_default().lines().next().unwrap_or_default().trim();
    let mut shown: String = line.chars().take(LONGEST).collect();
    if line.chars().count() > LONGEST {
        shown.push('…');
    }
    if shown.is_empty() { "nothing".to_owned() } else { format!("`{shown}`") }
}

fn problem(key: &str, expected: &str, found: &str, origin: Origin, help: Option<String>) -> Problem {
    Problem { key: key.to_owned(), expected: expected.to_owned(), found: found.to_owned(), help, origin }
}
