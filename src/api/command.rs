//! Operator commands as they arrive: the body's shape and its checks. What a command does is the daemon's work.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::ApiProblem;
use crate::domain::ids::{StrategyId, Symbol, VenueId};
use crate::domain::mode::Scope;

/// Names and reasons are for the journal and a person's eye: a few lines at most.
const TEXT_MAX: usize = 500;

/// A person's wish, checked for form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCommand {
    pub verb: Verb,
    pub scope: Scope,
    /// Every account that trades there, each for itself; then the scope is everything.
    pub venue: Option<VenueId>,
    /// Who asks. Always a name when something goes up again.
    pub by: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Verb {
    /// Trip the kill switch.
    EmergencyStop,
    /// No order leaves, open ones are cancelled, positions as configured; latched.
    Halt,
    /// Up again, by a named person with a reason.
    Resume,
    /// Cancel every open order within the scope.
    Cancel,
    /// Close every position within the scope and stop opening.
    Flatten,
    Restart {
        child: String,
    },
    StartStrategy(StrategyId),
    StopStrategy(StrategyId),
    /// Let one order of an account past named limits; the scope is the account.
    Override {
        symbol: Symbol,
        controls: Vec<String>,
        seconds: u64,
    },
    /// A person has heard of that alert.
    AcknowledgeAlert(u64),
    /// For drills; only where the configuration allows fault injection.
    Inject {
        child: String,
        fault: InjectedFault,
    },
}

impl Verb {
    /// `emergency_stop`, `halt`, …: as the journal names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// Whether it can be asked of accounts one by one.
    #[must_use]
    pub fn is_by_account(&self) -> bool {
        matches!(self, Self::Halt | Self::Resume | Self::Cancel | Self::Flatten)
    }

    /// Whether a person must answer for it, with a name and a reason.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        matches!(self, Self::Resume | Self::Override { .. } | Self::AcknowledgeAlert(_))
    }
}

/// How an injected fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum InjectedFault {
    Panic,
    /// Waits for ever at an `.await`.
    Wedge,
    /// Never comes back from a handler.
    Spin,
    /// A million messages in its mailbox.
    Flood,
    /// The journal alone: its next commit is refused as by a broken disk.
    Fail,
    /// The `exchange` carried inside refuses every cancel, until it takes them again.
    RefuseCancels,
    TakeCancels,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandOutcome {
    pub verb: String,
    pub scope: Scope,
    /// For people: `2 of 3 accounts show no open order; a3 is still being asked`.
    pub outcome: String,
    /// Whether everything asked for is already so; else it goes on.
    pub complete: bool,
}

/// The body of every command. A field that is not known is refused: a mistyped `scope` would mean everything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    scope: Option<Scope>,
    venue: Option<VenueId>,
    by: Option<String>,
    reason: Option<String>,
    fault: Option<InjectedFault>,
    symbol: Option<Symbol>,
    controls: Option<Vec<String>>,
    seconds: Option<u64>,
}

const EXPECTED: &str = "expected a JSON object such as {\"scope\": {\"account\": \"a1\"}, \"by\": \"ann\", \"reason\": \"maintenance over\"}; scope is \
                        \"global\" or one of {\"account\": …}, {\"strategy\": …}, {\"symbol\": …}; in its place, \"venue\": … is every account there";

/// What a route knows about its verb before it has read the body.
pub(super) enum Asked {
    Plain(Verb),
    Inject { child: String },
    Override,
}

/// Reads a body. An empty one is the whole daemon, by nobody in particular, except where a person must answer for it.
pub(super) fn parse(asked: Asked, body: &[u8]) -> Result<OperatorCommand, ApiProblem> {
    let body = read(body)?;
    let verb = match asked {
        Asked::Plain(_) if body.fault.is_some() => {
            return Err(ApiProblem::unprocessable("expected no \"fault\", which only /admin/inject/{name} takes"));
        }
        _ if body.is_override() && !matches!(asked, Asked::Override) => {
            return Err(ApiProblem::unprocessable("expected no \"symbol\", \"controls\" or \"seconds\", which only /admin/override takes"));
        }
        Asked::Plain(verb) => verb,
        Asked::Override => overriding(&body)?,
        Asked::Inject { child } => Verb::Inject { child, fault: body.fault.ok_or_else(fault_missing)? },
    };
    let (by, reason) = (text("by", body.by)?, text("reason", body.reason)?);
    if verb.is_signed() && (by.is_none() || reason.is_none()) {
        let (name, missing) = (verb.name(), if by.is_none() { "by" } else { "reason" });
        return Err(ApiProblem::unprocessable(format!(
            "{name} expected a named person and a reason, found no {missing:?}; send {{\"by\": \"ann\", \"reason\": \"positions checked at the venue\"}}"
        )));
    }
    if body.venue.is_some() && (body.scope.is_some() || !verb.is_by_account()) {
        return Err(ApiProblem::unprocessable("expected \"venue\" in place of a scope, with halt, resume, cancel or flatten"));
    }
    let reason = reason.unwrap_or_else(|| format!("{} over the API", verb.name()));
    let (scope, venue) = (body.scope.unwrap_or(Scope::Global), body.venue);
    Ok(OperatorCommand { verb, scope, venue, by: by.unwrap_or_else(|| "api".to_owned()), reason })
}

impl Body {
    fn is_override(&self) -> bool {
        self.symbol.is_some() || self.controls.is_some() || self.seconds.is_some()
    }
}

/// An override is of one account's one order: nothing of it may be left out.
fn overriding(body: &Body) -> Result<Verb, ApiProblem> {
    let missing = |what: &str| {
        ApiProblem::unprocessable(format!(
            "override expected {{\"scope\": {{\"account\": \"a1\"}}, \"symbol\": \"BTCUSDT\", \"controls\": [\"price_collar\"], \"seconds\": 60, \"by\": \"ann\", \"reason\": …}}, found no {what}"
        ))
    };
    if !matches!(body.scope, Some(Scope::Account(_))) {
        return Err(missing("account as its scope"));
    }
    let symbol = body.symbol.ok_or_else(|| missing("\"symbol\""))?;
    let controls = body.controls.clone().filter(|controls| !controls.is_empty()).ok_or_else(|| missing("\"controls\""))?;
    let seconds = body.seconds.ok_or_else(|| missing("\"seconds\""))?;
    Ok(Verb::Override { symbol, controls, seconds })
}

fn read(body: &[u8]) -> Result<Body, ApiProblem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Body::default());
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read: Body = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let detail = format!("{EXPECTED}; found at {}: {}", error.path(), error.inner());
        match error.inner().classify() {
            serde_json::error::Category::Data => ApiProblem::unprocessable(detail),
            _ => ApiProblem::bad_request(detail),
        }
    })?;
    reader.end().map_err(|error| ApiProblem::bad_request(format!("{EXPECTED}; found more behind it: {error}")))?;
    Ok(read)
}

fn fault_missing() -> ApiProblem {
    ApiProblem::unprocessable(
        "expected {\"fault\": \"panic\" | \"wedge\" | \"spin\" | \"flood\" | \"fail\" | \"refuse_cancels\" | \"take_cancels\"}, found no fault",
    )
}

/// A text that is there has something in it and fits.
fn text(field: &str, value: Option<String>) -> Result<Option<String>, ApiProblem> {
    let Some(value) = value else { return Ok(None) };
    let trimmed = value.trim();
    if trimmed.is_empty() || trimmed.chars().count() > TEXT_MAX || trimmed.chars().any(char::is_control) {
        return Err(ApiProblem::unprocessable(format!(
            "{field} expected 1 to {TEXT_MAX} characters on one line, found {} characters: {trimmed:.40?}",
            trimmed.chars().count()
        )));
    }
    Ok(Some(trimmed.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::AccountId;

    fn resume(body: &str) -> Result<OperatorCommand, ApiProblem> {
        parse(Asked::Plain(Verb::Resume), body.as_bytes())
    }

    #[test]
    fn an_emergency_stop_needs_no_body_at_all() {
        let command = parse(Asked::Plain(Verb::EmergencyStop), b"").unwrap();
        assert_eq!((command.scope, command.by.as_str()), (Scope::Global, "api"));
    }

    #[test]
    fn a_scope_is_read_as_documented() {
        let command = resume(r#"{"scope": {"account": "a1"}, "by": " ann ", "reason": "checked"}"#).unwrap();
        assert_eq!((command.scope, command.by.as_str()), (Scope::Account(AccountId::new("a1").unwrap()), "ann"));
        assert_eq!(resume(r#"{"scope": "global", "by": "ann", "reason": "x"}"#).unwrap().scope, Scope::Global);
    }

    #[test]
    fn a_resume_without_a_person_or_a_reason_says_what_is_expected() {
        for body in ["", "{}", r#"{"by": "ann"}"#, r#"{"reason": "x"}"#, r#"{"by": "  ", "reason": "x"}"#] {
            let problem = resume(body).unwrap_err();
            assert_eq!(problem.status, 422, "{body}");
            assert!(problem.detail.contains("expected"), "{problem}");
        }
    }

    #[test]
    fn a_mistyped_field_is_refused_and_never_means_everything() {
        let problem = parse(Asked::Plain(Verb::Flatten), br#"{"scpoe": {"account": "a1"}}"#).unwrap_err();
        assert_eq!(problem.status, 422);
        assert!(problem.detail.contains("scpoe"), "{problem}");
    }

    #[test]
    fn what_is_no_json_is_a_400_and_a_bad_name_a_422_with_its_place() {
        assert_eq!(resume("{").unwrap_err().status, 400);
        assert_eq!(resume("{} {}").unwrap_err().status, 400);
        let problem = resume(r#"{"scope": {"account": "A1"}}"#).unwrap_err();
        assert_eq!(problem.status, 422);
        assert!(problem.detail.contains("scope") && problem.detail.contains("a-z"), "{problem}");
    }

    #[test]
    fn an_override_is_of_one_account_and_symbol_by_a_named_person() {
        let whole = r#"{"scope": {"account": "a1"}, "symbol": "BTCUSDT", "controls": ["price_collar"], "seconds": 60, "by": "ann", "reason": "news"}"#;
        let command = parse(Asked::Override, whole.as_bytes()).unwrap();
        let (symbol, controls) = (Symbol::new("BTCUSDT").unwrap(), vec!["price_collar".to_owned()]);
        assert_eq!(command.verb, Verb::Override { symbol, controls, seconds: 60 });
        for left_out in [
            r#""scope": {"account": "a1"}, "#,
            r#""symbol": "BTCUSDT", "#,
            r#""controls": ["price_collar"], "#,
            r#""seconds": 60, "#,
            r#""by": "ann", "#,
        ] {
            let body = whole.replace(left_out, "");
            assert_eq!(parse(Asked::Override, body.as_bytes()).unwrap_err().status, 422, "{body}");
        }
        assert_eq!(parse(Asked::Plain(Verb::Halt), whole.as_bytes()).unwrap_err().status, 422, "a halt takes no symbol beside its scope");
    }

    #[test]
    fn a_venue_stands_in_place_of_a_scope_and_only_where_accounts_are_meant() {
        let command = parse(Asked::Plain(Verb::Halt), br#"{"venue": "embedded"}"#).unwrap();
        assert_eq!((command.venue.map(|id| id.to_string()).as_deref(), command.scope), (Some("embedded"), Scope::Global));
        let both = br#"{"venue": "embedded", "scope": "global"}"#;
        assert_eq!(parse(Asked::Plain(Verb::Halt), both).unwrap_err().status, 422);
        let restart = Verb::Restart { child: "api".to_owned() };
        assert_eq!(parse(Asked::Plain(restart), br#"{"venue": "embedded"}"#).unwrap_err().status, 422);
        assert_eq!(parse(Asked::Plain(Verb::EmergencyStop), br#"{"venue": "embedded"}"#).unwrap_err().status, 422);
    }

    #[test]
    fn an_injection_names_its_fault() {
        let asked = || Asked::Inject { child: "feed/1".to_owned() };
        assert_eq!(parse(asked(), b"{}").unwrap_err().status, 422);
        let command = parse(asked(), br#"{"fault": "spin"}"#).unwrap();
        assert_eq!(command.verb, Verb::Inject { child: "feed/1".to_owned(), fault: InjectedFault::Spin });
    }
}
