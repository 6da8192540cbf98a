//! Walks the tree section by section and key by key. Each key is asked for by name and type; what is wrong is noted and the
//! walk goes on, so that every mistake is found in one pass; what nobody asked for is an unknown key. Each value read leaves
//! a row with its origin. Knows no section by name: that is `sections`.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::layers::{Node, Value, join};
use super::origin::{Origin, Row};
use super::problem::Problem;
use super::value::{Setting, describe};

/// What one walk gathered.
#[derive(Default)]
pub struct Findings {
    pub problems: Vec<Problem>,
    pub rows: Vec<Row>,
    /// Every key that was asked for, entries of lists and free names as `*`: the whole raw shape.
    pub known: BTreeSet<String>,
    /// Keys that nobody asked for and that are no slip of one that is known there.
    strangers: Vec<Stranger>,
}

struct Stranger {
    problem: usize,
    key: String,
    /// What is known in its section.
    around: String,
}

impl Findings {
    /// After the walk every section is known: a stranger may just stand in the wrong one.
    pub fn place_strangers(&mut self) {
        for Stranger { problem, key, around } in self.strangers.drain(..) {
            let ending = format!(".{key}");
            let homes = self.known.iter().filter_map(|known| known.strip_suffix(&ending));
            self.problems[problem].help = Some(match homes.min_by_key(|home| home.len()) {
                Some(home) => match home.strip_suffix("[*]") {
                    Some(list) => format!("`{key}` belongs in [[{list}]]"),
                    None => format!("`{key}` belongs in [{home}]"),
                },
                None => format!("known here: {around}"),
            });
        }
    }
}

pub type Notes = RefCell<Findings>;

/// One table of the configuration, present or not.
pub struct Section<'t> {
    /// As a person writes it: `strategies[trend].settings`.
    path: String,
    /// The same with `*` for names.
    shape: String,
    node: Option<&'t Node>,
    asked: Vec<&'static str>,
    notes: &'t Notes,
}

/// What a value must be beyond its type, in words and as a test.
type Rule<T> = (String, fn(&T) -> bool);

/// One key about to be read.
pub struct Key<'s, T> {
    node: Option<&'s Node>,
    /// The table around it, for a missing key.
    around: Option<&'s Node>,
    path: String,
    name: &'static str,
    rules: Vec<Rule<T>>,
    notes: &'s Notes,
}

impl<'t> Section<'t> {
    pub fn root(node: &'t Node, notes: &'t Notes) -> Self {
        Self { path: String::new(), shape: String::new(), node: Some(node), asked: Vec::new(), notes }
    }

    pub fn is_present(&self) -> bool {
        self.node.is_some()
    }

    pub fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The section as a person names it.
    pub fn whole_path(&self) -> String {
        self.path.clone()
    }

    /// The place of the section itself.
    pub fn origin(&self) -> Origin {
        self.node.map_or(Origin::Unset, |node| node.key.clone())
    }

    /// The place of a key, or of the section when the key is not there.
    pub fn origin_of(&self, key: &str) -> Origin {
        self.peek(key).map_or_else(|| self.origin(), |node| node.origin.clone())
    }

    /// A key's text, where it is text; it does not count as asked for.
    pub fn text_of(&self, key: &str) -> Option<String> {
        match self.peek(key).map(|node| &node.value) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    fn peek(&self, key: &str) -> Option<&'t Node> {
        match self.node.map(|node| &node.value) {
            Some(Value::Table(table)) => table.get(key),
            _ => None,
        }
    }

    /// The node of a key, which counts as asked for.
    pub fn raw(&mut self, key: &'static str) -> Option<&'t Node> {
        self.asked.push(key);
        self.notes.borrow_mut().known.insert(join(&self.shape, key));
        self.peek(key)
    }

    pub fn key<T: Setting>(&mut self, name: &'static str) -> Key<'t, T> {
        let node = self.raw(name);
        Key { node, around: self.node, path: self.path(name), name, rules: Vec::new(), notes: self.notes }
    }

    /// A table within; absent is as good as empty.
    pub fn section(&mut self, name: &'static str) -> Self {
        let node = self.raw(name);
        self.child(self.path(name), join(&self.shape, name), node)
    }

    fn child(&self, path: String, shape: String, node: Option<&'t Node>) -> Self {
        if let Some(node) = node.filter(|node| !matches!(node.value, Value::Table(_))) {
            let help = Some(format!("write its keys below a line [{path}]"));
            self.note(&path, "a table", &describe(node), help, node.origin.clone());
            return Self { path, shape, node: None, asked: Vec::new(), notes: self.notes };
        }
        Self { path, shape, node, asked: Vec::new(), notes: self.notes }
    }

    /// The tables of a list, each named by its `id` key where that is there.
    pub fn entries(&mut self, name: &'static str, id: &str) -> Vec<Self> {
        let node = self.raw(name);
        let (path, shape) = (self.path(name), format!("{}[*]", join(&self.shape, name)));
        let Some(node) = node else { return Vec::new() };
        let Value::List(items) = &node.value else {
            let help = Some(format!("begin each entry with a line [[{path}]]"));
            self.note(&path, "a list of tables", &describe(node), help, node.origin.clone());
            return Vec::new();
        };
        let entry = |(position, item): (usize, &'t Node)| {
            let named = match &item.value {
                Value::Table(table) => {
                    table.get(id).and_then(|node| if let Value::Text(text) = &node.value { Some(text.clone()) } else { None })
                }
                _ => None,
            };
            self.child(format!("{path}[{}]", named.unwrap_or_else(|| position.to_string())), shape.clone(), Some(item))
        };
        items.iter().enumerate().map(entry).collect()
    }

    /// The tables of a section whose keys are names of the person's choosing.
    pub fn named(&mut self, name: &'static str) -> Vec<(&'t str, Self)> {
        let around = self.section(name);
        let shape = format!("{}.*", join(&self.shape, name));
        let Some(Value::Table(table)) = around.node.map(|node| &node.value) else { return Vec::new() };
        table.iter().map(|(key, node)| (key.as_str(), around.child(around.path(key), shape.clone(), Some(node)))).collect()
    }

    pub fn note(&self, key: &str, expected: &str, found: &str, help: Option<String>, origin: Origin) {
        let problem = Problem { key: key.to_owned(), expected: expected.to_owned(), found: found.to_owned(), help, origin };
        self.notes.borrow_mut().problems.push(problem);
    }

    /// A value that no key type covers leaves its row itself.
    pub fn row(&self, key: &str, value: String, origin: Origin) {
        self.notes.borrow_mut().rows.push(Row { key: key.to_owned(), value, origin });
    }

    /// Every key of the section has been asked for: what is left over is a mistake.
    pub fn finish(self) {
        let Some(Value::Table(table)) = self.node.map(|node| &node.value) else { return };
        for (key, node) in table {
            if self.asked.iter().any(|asked| asked == key) {
                continue;
            }
            let help = nearest(key, &self.asked).map(|meant| format!("did you mean `{meant}`?"));
            if help.is_none() {
                let mut notes = self.notes.borrow_mut();
                let stranger = Stranger { problem: notes.problems.len(), key: key.clone(), around: listing(&self.asked) };
                notes.strangers.push(stranger);
            }
            let expected = if self.path.is_empty() { "a known section".to_owned() } else { format!("a known key of [{}]", self.path) };
            self.note(&self.path(key), &expected, &format!("`{key}`"), help, node.key.clone());
        }
    }
}

impl<T: Setting> Key<'_, T> {
    /// A rule beyond the type, in the words for `expected`.
    pub fn that(mut self, expected: &str, holds: fn(&T) -> bool) -> Self {
        self.rules.push((expected.to_owned(), holds));
        self
    }

    /// `None` when the key is missing, which is noted, or wrong. A key of an absent section is not missing: the section is.
    pub fn required(self) -> Option<T> {
        if let (None, Some(around)) = (self.node, self.around) {
            let help = Some(format!("add {} = …", self.name));
            self.note(&self.expected(), "nothing", help, around.key.clone());
            return None;
        }
        self.optional()
    }

    /// `None` when the key is missing or, which is noted, wrong.
    pub fn optional(self) -> Option<T> {
        self.value(self.node?)
    }

    /// The value, or `default` when the key is missing.
    pub fn or(self, default: T) -> T {
        let Some(node) = self.node else {
            self.row(default.canonical(), Origin::Unset);
            return default;
        };
        self.value(node).unwrap_or(default)
    }

    fn value(&self, node: &Node) -> Option<T> {
        let value = match T::read(self.name, node) {
            Ok(value) => value,
            Err(mismatch) => {
                let expected = mismatch.expected.unwrap_or_else(|| self.expected());
                self.note(&expected, &describe(node), mismatch.help, node.origin.clone());
                return None;
            }
        };
        if let Some((expected, _)) = self.rules.iter().find(|(_, holds)| !holds(&value)) {
            self.note(expected, &describe(node), None, node.origin.clone());
            return None;
        }
        self.row(value.canonical(), node.origin.clone());
        Some(value)
    }

    /// The narrowest words there are.
    fn expected(&self) -> String {
        self.rules.first().map_or_else(T::expected, |(expected, _)| expected.clone())
    }

    fn row(&self, value: String, origin: Origin) {
        self.notes.borrow_mut().rows.push(Row { key: self.path.clone(), value, origin });
    }

    fn note(&self, expected: &str, found: &str, help: Option<String>, origin: Origin) {
        let problem = Problem { key: self.path.clone(), expected: expected.to_owned(), found: found.to_owned(), help, origin };
        self.notes.borrow_mut().problems.push(problem);
    }
}

/// The known word that a person most likely meant.
pub fn nearest<S: AsRef<str>>(found: &str, known: &[S]) -> Option<String> {
    let (distance, best) = known.iter().map(|word| (edit_distance(found, word.as_ref()), word.as_ref())).min()?;
    // A quarter of the word wrong is still a slip; more is another word.
    (distance <= (found.chars().count() / 4).max(1)).then(|| best.to_owned())
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut least = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

/// Names for a message: enough to see what kind they are.
pub fn listing<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let rest = names.len().saturating_sub(SHOWN);
    if rest == 0 { shown.join(", ") } else { format!("{} and {rest} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_that_was_meant_and_another_word_finds_none() {
        let known = ["max_order_value", "max_order_quantity", "price_collar"];
        assert_eq!(nearest("max_ordr_value", &known).as_deref(), Some("max_order_value"));
        assert_eq!(nearest("prize_colar", &known).as_deref(), Some("price_collar"));
        assert_eq!(nearest("heartbeat", &known), None);
        assert_eq!(nearest("alhpa", &["alpha", "gamma"]).as_deref(), Some("alpha"));
        assert_eq!(nearest("ETHUSDT", &["BTCUSDT"]), None);
    }
}
