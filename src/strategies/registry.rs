//! Kinds of strategies by name: how their settings are checked and how they are built. The settings arrive as a JSON value
//! and every mistake in them is found at once, each with its path.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Strategy;

/// The path of a key below the strategy's settings (`points.macd`; empty for the whole) and what is wrong there.
pub type Problem = (String, String);

/// A strategy, or every mistake in the settings that it was to be made from.
pub type Built = Result<Box<dyn Strategy>, Vec<Problem>>;

/// A strategy that is made from a table of settings. Every setting has a default, so that an empty table is valid.
pub trait Configured: Strategy + Sized + 'static {
    /// The name in the configuration: `ema_cross`.
    const KIND: &'static str;
    /// One line for people.
    const DESCRIPTION: &'static str;
    type Settings: Serialize + DeserializeOwned + Default;

    /// What is wrong with settings that have the right types.
    fn validate(settings: &Self::Settings) -> Vec<Problem>;

    /// Settings come validated.
    fn new(settings: Self::Settings) -> Self;
}

/// A kind of strategy. Plain functions, so that a registry is `Copy` data and crosses threads freely.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    name: &'static str,
    description: &'static str,
    validate: fn(&Value) -> Result<(), Vec<Problem>>,
    build: fn(&Value) -> Built,
    resolve: fn(&Value) -> Result<Value, Vec<Problem>>,
}

impl Kind {
    #[must_use]
    pub fn of<S: Configured>() -> Self {
        Self {
            name: S::KIND,
            description: S::DESCRIPTION,
            validate: |settings| read::<S>(settings).map(drop),
            build: |settings| Ok(Box::new(S::new(read::<S>(settings)?))),
            resolve: |settings| Ok(shape_of(&read::<S>(settings)?)),
        }
    }

    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    #[must_use]
    pub const fn description(&self) -> &'static str {
        self.description
    }

    /// # Errors
    /// Every mistake in the settings.
    pub fn validate(&self, settings: &Value) -> Result<(), Vec<Problem>> {
        (self.validate)(settings)
    }

    /// # Errors
    /// Every mistake in the settings.
    pub fn build(&self, settings: &Value) -> Built {
        (self.build)(settings)
    }

    /// The settings with every default filled in.
    ///
    /// # Errors
    /// Every mistake in the settings.
    pub fn resolve(&self, settings: &Value) -> Result<Value, Vec<Problem>> {
        (self.resolve)(settings)
    }
}

/// The kinds that a binary knows.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Kind>,
}

impl Registry {
    /// Adds a kind; one of the same name is replaced.
    #[must_use]
    pub fn with(mut self, kind: Kind) -> Self {
        self.kinds.insert(kind.name, kind);
        self
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name)
    }

    /// By name.
    pub fn kinds(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values()
    }

    /// # Errors
    /// When the kind is unknown, or every mistake in its settings.
    pub fn validate(&self, kind: &str, settings: &Value) -> Result<(), Vec<Problem>> {
        self.find(kind)?.validate(settings)
    }

    /// # Errors
    /// When the kind is unknown, or every mistake in its settings.
    pub fn build(&self, kind: &str, settings: &Value) -> Built {
        self.find(kind)?.build(settings)
    }

    fn find(&self, kind: &str) -> Result<&Kind, Vec<Problem>> {
        self.get(kind).ok_or_else(|| {
            let known: Vec<_> = self.kinds.keys().copied().collect();
            vec![(String::new(), format!("kind expected one of {}, found {kind:?}", known.join(", ")))]
        })
    }
}

/// Reads settings and finds every mistake: a value that cannot be read is noted and replaced by its default, so that the
/// ones behind it are seen too.
fn read<S: Configured>(settings: &Value) -> Result<S::Settings, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut settings = if settings.is_null() { Value::Object(serde_json::Map::new()) } else { settings.clone() };
    if !settings.is_object() {
        return Err(vec![(String::new(), format!("settings expected a table, found {settings}"))]);
    }
    remove_unknown(&mut settings, &shape_of(&S::Settings::default()), "", &mut problems);
    let read = loop {
        match serde_path_to_error::deserialize::<_, S::Settings>(&settings) {
            Ok(read) => break read,
            Err(error) => {
                let path = error.path().to_string();
                problems.push((path.clone(), error.inner().to_string()));
                if !remove(&mut settings, &path) {
                    return Err(problems);
                }
            }
        }
    };
    let noted: Vec<String> = problems.iter().map(|(path, _)| path.clone()).collect();
    problems.extend(S::validate(&read).into_iter().filter(|(path, _)| !noted.contains(path)));
    if problems.is_empty() { Ok(read) } else { Err(problems) }
}

fn shape_of(settings: &impl Serialize) -> Value {
    // Invariant: settings are plain structs of numbers, texts and words; none of those fails to serialise.
    serde_json::to_value(settings).unwrap_or_default()
}

/// Takes out keys that the default settings do not have.
fn remove_unknown(settings: &mut Value, shape: &Value, prefix: &str, problems: &mut Vec<Problem>) {
    let (Value::Object(table), Value::Object(known)) = (settings, shape) else { return };
    table.retain(|key, value| {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let Some(inner) = known.get(key) else {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            problems.push((path, format!("unknown key; expected one of {}", names.join(", "))));
            return false;
        };
        remove_unknown(value, inner, &path, problems);
        true
    });
}

/// Takes out the value at a dotted path; false when nothing is there.
fn remove(settings: &mut Value, path: &str) -> bool {
    let (parent, key) = match path.rsplit_once('.') {
        Some((parent, key)) => (settings.pointer_mut(&format!("/{}", parent.replace('.', "/"))), key),
        None => (Some(settings), path),
    };
    parent.and_then(Value::as_object_mut).is_some_and(|table| table.remove(key).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::registry;

    #[test]
    fn every_kind_that_comes_with_ringfence_is_valid_with_an_empty_table_and_says_what_it_is() {
        for kind in registry().kinds() {
            assert_eq!(kind.validate(&json!({})), Ok(()), "{}", kind.name());
            assert!(kind.build(&serde_json::Value::Null).is_ok());
            assert!(!kind.description().is_empty());
            let resolved = kind.resolve(&json!({})).unwrap();
            assert_eq!(kind.resolve(&resolved), Ok(resolved));
        }
    }

    #[test]
    fn all_mistakes_are_found_at_once_each_with_its_path() {
        let settings = json!({
            "bollinger_deviations": "wide",
            "points": { "macd": -1, "volume": 2 },
            "stop_loss": 0.03,
            "take_profit": "-0.06",
            "speed": 1,
        });
        let problems = registry().validate("indicator_score", &settings).unwrap_err();
        let mut paths: Vec<&str> = problems.iter().map(|(path, _)| path.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["bollinger_deviations", "points.macd", "points.volume", "speed", "stop_loss", "take_profit"]);
        let of = |path: &str| problems.iter().find(|(found, _)| found == path).unwrap().1.as_str();
        assert!(of("stop_loss").contains("a decimal number in quotes such as \"0.25\""), "{}", of("stop_loss"));
        assert_eq!(of("take_profit"), "expected a ratio above \"0\" and below \"1\", found -0.06");
        assert!(of("speed").starts_with("unknown key; expected one of "));
    }

    #[test]
    fn an_unknown_kind_names_the_known_ones() {
        let problems = registry().build("martingale", &json!({})).err().unwrap();
        assert_eq!(problems[0].1, "kind expected one of ema_cross, indicator_score, found \"martingale\"");
        assert!(registry().validate("ema_cross", &json!([1])).is_err());
    }
}
