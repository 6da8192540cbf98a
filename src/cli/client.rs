//! Speaks to a running daemon: finds its address and token in the data directory, sends one request, and turns every way in
//! which that can fail into one line that says what to do.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::{ApiProblem, CommandOutcome, Endpoint};
use crate::domain::ids::{AccountId, StrategyId, Symbol, VenueId};
use crate::domain::mode::Scope;
use crate::settings::{SettingsSource, any_strategy};

use super::failure::Failure;
use super::output;

/// Longer than the daemon itself waits for a command's outcome (15 s), so that its own answer arrives.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// A daemon on this machine accepts at once or is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Which daemon.
#[derive(Debug, Clone, Args)]
pub(super) struct Target {
    /// The daemon's data directory, where its address and token are [default: as configured]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The daemon's configuration, to find the data directory by
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon's address [default: as the daemon left it in its data directory]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// What a verb covers; without any of these, everything.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(super) struct ScopeArguments {
    /// Only this account
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Only this strategy
    #[arg(long, value_name = "ID")]
    strategy: Option<StrategyId>,
    /// Only this symbol
    #[arg(long, value_name = "NAME")]
    symbol: Option<Symbol>,
    /// Only the accounts that trade at this venue
    #[arg(long, value_name = "ID")]
    venue: Option<VenueId>,
}

impl ScopeArguments {
    fn scope(&self) -> Scope {
        match (self.account, self.strategy, self.symbol) {
            (Some(id), ..) => Scope::Account(id),
            (_, Some(id), _) => Scope::Strategy(id),
            (_, _, Some(name)) => Scope::Symbol(name),
            _ => Scope::Global,
        }
    }
}

/// Who asks and why, for the journal. A stop is never refused for want of a reason.
#[derive(Debug, Clone, Args)]
pub(super) struct Signature {
    /// Your name, for the journal [default: the user of this session]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// The same where a person must answer for it.
#[derive(Debug, Clone, Args)]
pub(super) struct RequiredSignature {
    /// Your name, for the journal
    #[arg(long, value_name = "NAME")]
    pub(super) by: String,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: String,
}

impl Signature {
    /// By the session's user where no name is given.
    pub(super) fn complete(self, verb: &str) -> RequiredSignature {
        let by = self.by.or_else(|| std::env::var("USER").ok()).filter(|name| !name.trim().is_empty());
        RequiredSignature {
            by: by.unwrap_or_else(|| "operator".to_owned()),
            reason: self.reason.unwrap_or_else(|| format!("{verb} on the command line")),
        }
    }
}

/// What every verb takes: who asks and why, whom, and how the outcome is shown.
#[derive(Debug, Args)]
pub(super) struct Asking {
    #[command(flatten)]
    pub(super) signature: Signature,
    #[command(flatten)]
    pub(super) target: Target,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What the verbs take that need nothing but a scope beside it.
#[derive(Debug, Args)]
pub(super) struct Verb {
    #[command(flatten)]
    scope: ScopeArguments,
    #[command(flatten)]
    asking: Asking,
}

impl Verb {
    pub(super) fn ask(self, verb: &str) -> Result<(), Failure> {
        let Asking { signature, target, json } = self.asking;
        command(&target, &format!("/admin/{verb}"), Some(&self.scope), &signature.complete(verb), json)
    }
}

/// One operator verb, from the arguments to the printed outcome.
pub(super) fn command(
    target: &Target,
    path: &str,
    scope: Option<&ScopeArguments>,
    signature: &RequiredSignature,
    json: bool,
) -> Result<(), Failure> {
    let mut body = json!({ "by": signature.by, "reason": signature.reason });
    if let Some(venue) = scope.and_then(|scope| scope.venue) {
        body["venue"] = serde_json::to_value(venue).map_err(Failure::failed)?;
    } else if let Some(scope) = scope {
        body["scope"] = serde_json::to_value(scope.scope()).map_err(Failure::failed)?;
    }
    let outcome: CommandOutcome = Client::to(target)?.post(path, &body)?;
    report(&outcome, json)
}

/// Prints what came of a command. One that goes on is no failure: `status` shows its end.
pub(super) fn report(outcome: &CommandOutcome, json: bool) -> Result<(), Failure> {
    if json {
        return output::print_json(outcome);
    }
    let goes_on = if outcome.complete { "" } else { " (goes on; see `ringfence status`)" };
    output::print(&format!("{} {}: {}{goes_on}\n", outcome.verb, outcome.scope, outcome.outcome))
}

/// A daemon that can be asked.
pub(super) struct Client {
    endpoint: Endpoint,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    pub(super) fn to(target: &Target) -> Result<Self, Failure> {
        let data_dir = match &target.data_dir {
            Some(data_dir) => data_dir.clone(),
            // What strategies are configured is the daemon's matter here.
            None => SettingsSource { file: target.config.clone(), data_dir: None }.load(&any_strategy)?.daemon.data_dir,
        };
        let endpoint = match &target.url {
            Some(url) => Endpoint::at(url.clone(), &data_dir),
            None => Endpoint::read(&data_dir),
        };
        let endpoint = endpoint.map_err(Failure::failed)?;
        // A proxy from the environment has no business between a command and a daemon on this machine.
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).build();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        Ok(Self { endpoint, http: http.map_err(Failure::failed)?, runtime })
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.http.get(self.address(path)))
    }

    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        self.send(self.http.post(self.address(path)).json(body))
    }

    /// Waits between two questions.
    pub(super) fn pause(&self, time: Duration) {
        self.runtime.block_on(tokio::time::sleep(time));
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint.url)
    }

    fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Failure> {
        let url = &self.endpoint.url;
        let answer = self.runtime.block_on(async {
            let response = request.bearer_auth(&self.endpoint.token).send().await?;
            Ok::<_, reqwest::Error>((response.status(), response.bytes().await?))
        });
        let (status, body) = answer.map_err(|error| Failure::Failed(unreachable(url, &error)))?;
        if !status.is_success() {
            return Err(refused(status.as_u16(), &body));
        }
        serde_json::from_slice(&body)
            .map_err(|error| Failure::Failed(format!("{url} expected to answer as this version's daemon does, found: {error}")))
    }
}

fn unreachable(url: &str, error: &reqwest::Error) -> String {
    if error.is_connect() {
        return format!("expected a daemon at {url}, found none; start one with `ringfence run`, or name its --data-dir or --url");
    }
    if error.is_timeout() {
        let seconds = ANSWER_TIMEOUT.as_secs();
        return format!(
            "{url} expected to answer within {seconds} s, found no answer; what was asked may still happen: see `ringfence status`"
        );
    }
    format!("{url} expected to answer, found: {error}")
}

/// The daemon's no, in its own words. A request that it cannot read is bad usage, anything else a failure.
fn refused(status: u16, body: &[u8]) -> Failure {
    let problem = serde_json::from_slice::<ApiProblem>(body);
    let why = problem.map_or_else(|_| format!("the daemon answered with status {status}"), |problem| problem.to_string());
    match status {
        400 | 404 | 422 => Failure::Usage(why),
        _ => Failure::Failed(why),
    }
}
