//! The binary as a person or a script uses it: exit codes, what goes to stdout and what to stderr, and the operator's verbs
//! against a real API with a daemon behind it that only notes what it is asked.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use ringfence::api::view::{BuildView, KillSwitchView};
use ringfence::api::{
    AdminStatusView, AlertsView, ApiConfig, ApiProblem, ApiServer, CommandOutcome, Control, OperatorCommand, PublicEvent, Readiness,
    StatusView, Verb,
};
use ringfence::domain::ids::Epoch;
use ringfence::domain::mode::Mode;
use ringfence::domain::time::Timestamp;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// How a command ended.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary with no settings but those given.
pub fn ringfence(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RINGFENCE__") {
            command.env_remove(name);
        }
    }
    let output = command.current_dir(directory).args(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn help_is_printed_to_stdout_and_wrong_usage_to_stderr_with_code_2() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["--help"][..], &["run", "--help"], &["backtest", "--help"], &["halt", "--help"], &["--version"]] {
        let outcome = ringfence(directory.path(), arguments, &[]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{arguments:?}");
    }
    for arguments in [&["fly"][..], &["run", "--confg", "x"], &["resume"], &["backtest"], &["halt", "--account", "A!"]] {
        let outcome = ringfence(directory.path(), arguments, &[]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{arguments:?}");
    }
}

#[test]
fn without_a_daemon_a_verb_says_where_it_looked_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let outcome = ringfence(directory.path(), &["status", "--data-dir", "nowhere"], &[]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    assert!(outcome.stderr.contains("nowhere/api.json") && outcome.stderr.contains("ringfence run"), "{}", outcome.stderr);
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_failure() {
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_ringfence")).arg("check").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

/// Notes commands and answers each at once, except a restart, which it refuses.
struct Notebook {
    asked: Mutex<Vec<OperatorCommand>>,
    events: broadcast::Sender<Arc<PublicEvent>>,
}

impl Control for Notebook {
    fn status(&self) -> StatusView {
        StatusView {
            mode: Mode::ReduceOnly,
            ready: true,
            at: Timestamp::ZERO,
            uptime_seconds: 61,
            epoch: Epoch(3),
            build: BuildView::current("hash"),
            kill_switch: KillSwitchView::default(),
            accounts: Vec::new(),
            strategies: Vec::new(),
            symbols: Vec::new(),
            children: Vec::new(),
            restrictions: Vec::new(),
            events: Vec::new(),
            alerts: Vec::new(),
        }
    }

    fn admin_status(&self) -> AdminStatusView {
        AdminStatusView { status: self.status(), recent_orders: Vec::new(), risk: Vec::new() }
    }

    fn alerts(&self) -> AlertsView {
        AlertsView::default()
    }

    fn ready(&self) -> Readiness {
        Readiness { ready: true, waiting_for: Vec::new() }
    }

    fn command(&self, command: OperatorCommand) -> BoxFuture<'_, Result<CommandOutcome, ApiProblem>> {
        let answer = match &command.verb {
            Verb::Restart { child } => Err(ApiProblem::conflict(format!("{child} is stopping already"))),
            verb => Ok(CommandOutcome { verb: verb.name().to_owned(), scope: command.scope, outcome: "done".to_owned(), complete: true }),
        };
        self.asked.lock().unwrap().push(command);
        Box::pin(async move { answer })
    }

    fn metrics(&self) -> String {
        String::new()
    }

    fn events(&self) -> broadcast::Receiver<Arc<PublicEvent>> {
        self.events.subscribe()
    }
}

/// Runs commands against a served notebook; gives the commands' ends and what was asked.
fn against_a_daemon(commands: &[&[&str]]) -> (Vec<Outcome>, Vec<OperatorCommand>) {
    let directory = tempfile::tempdir().unwrap();
    let notebook = Arc::new(Notebook { asked: Mutex::default(), events: broadcast::channel(1).0 });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ApiConfig {
        bind: "127.0.0.1:0".parse().unwrap(),
        data_dir: directory.path().to_owned(),
        allowed_hosts: Vec::new(),
        fault_injection: true,
    };
    let server = runtime.block_on(ApiServer::bind(config, notebook.clone())).unwrap();
    let stop = CancellationToken::new();
    let serving = runtime.spawn(server.run(stop.clone()));
    let outcomes =
        commands.iter().map(|arguments| ringfence(directory.path(), &[arguments, &["--data-dir", "."][..]].concat(), &[])).collect();
    stop.cancel();
    runtime.block_on(serving).unwrap().unwrap();
    let asked = std::mem::take(&mut *notebook.asked.lock().unwrap());
    (outcomes, asked)
}

#[test]
fn a_verb_reaches_the_daemon_with_its_scope_its_person_and_its_reason() {
    let (outcomes, asked) = against_a_daemon(&[
        &["halt", "--account", "alpha", "--by", "ann", "--reason", "fills look wrong"],
        &["resume", "--by", "ann", "--reason", "checked", "--json"],
        &["cancel", "--symbol", "BTCUSDT"],
        &["flatten", "--strategy", "trend"],
        &["inject", "executor/alpha", "wedge"],
    ]);
    assert!(outcomes.iter().all(|outcome| outcome.code == 0 && outcome.stderr.is_empty()));
    assert_eq!(outcomes[0].stdout, "halt account/alpha: done\n");
    let json: serde_json::Value = serde_json::from_str(&outcomes[1].stdout).unwrap();
    assert_eq!((json["verb"].as_str(), json["complete"].as_bool()), (Some("resume"), Some(true)));
    let told: Vec<String> = asked.iter().map(|command| format!("{} {}", command.verb.name(), command.scope)).collect();
    assert_eq!(told, ["halt account/alpha", "resume global", "cancel symbol/BTCUSDT", "flatten strategy/trend", "inject global"]);
    assert_eq!((asked[0].by.as_str(), asked[0].reason.as_str()), ("ann", "fills look wrong"));
    assert_eq!(asked[2].reason, "cancel on the command line");
}

#[test]
fn a_refusal_is_told_in_the_daemons_words_with_code_1_and_bad_usage_with_2() {
    let (outcomes, _) = against_a_daemon(&[&["restart", "executor/alpha"], &["halt", "--by", "  x\ny", "--reason", "z"]]);
    assert_eq!(outcomes[0].code, 1);
    assert_eq!(outcomes[0].stderr, "ringfence: refused as things stand: executor/alpha is stopping already\n");
    assert_eq!(outcomes[1].code, 2, "{}", outcomes[1].stderr);
}

#[test]
fn status_is_tables_for_people_and_json_for_programs() {
    let (outcomes, _) = against_a_daemon(&[&["status"], &["status", "--json"]]);
    assert!(outcomes[0].stdout.starts_with("ReduceOnly · ready · up 61 s"), "{}", outcomes[0].stdout);
    for header in ["account", "symbol", "strategy", "child"] {
        assert!(outcomes[0].stdout.contains(header), "{}", outcomes[0].stdout);
    }
    let status: serde_json::Value = serde_json::from_str(&outcomes[1].stdout).unwrap();
    assert_eq!(status["mode"], "ReduceOnly");
}
