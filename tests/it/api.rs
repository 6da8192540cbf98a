//! The HTTP face over a real socket, with a daemon that is not there: who may ask, what a refusal looks like, and that
//! every bound holds.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use ringfence::api::view::{AccountStatus, BuildView, ChildStatus, KillSwitchView};
use ringfence::api::{
    AdminStatusView, AlertsView, ApiConfig, ApiProblem, ApiServer, BindError, CommandOutcome, Control, EVENT_BUFFER, Endpoint, EventKind,
    InjectedFault, OperatorCommand, PublicEvent, Readiness, StatusView, Verb,
};
use ringfence::domain::ids::{AccountId, Epoch, Incarnation};
use ringfence::domain::mode::{Mode, Scope};
use ringfence::domain::money::Money;
use ringfence::domain::time::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Generous: every wait is for an answer, not for this long.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A daemon that records what it is asked.
struct FakeDaemon {
    ready: Mutex<bool>,
    commands: Mutex<Vec<OperatorCommand>>,
    events: broadcast::Sender<Arc<PublicEvent>>,
}

impl Control for FakeDaemon {
    fn status(&self) -> StatusView {
        let amount = |text: &str| text.parse::<Money>().unwrap();
        StatusView {
            mode: Mode::Normal,
            ready: self.ready().ready,
            at: Timestamp::from_millis(1_723_110_000_000),
            uptime_seconds: 5,
            epoch: Epoch(1),
            build: BuildView::current("abc"),
            kill_switch: KillSwitchView::default(),
            accounts: vec![AccountStatus {
                name: AccountId::new("a1").unwrap(),
                mode: Mode::ReduceOnly,
                orders: 3,
                fills: 2,
                open_orders: 1,
                wallet: amount("1000"),
                equity: amount("1000.10"),
                day_pnl: Some(amount("0.1")),
                positions: Vec::new(),
            }],
            strategies: Vec::new(),
            symbols: Vec::new(),
            children: vec![ChildStatus {
                name: "executor/a1".to_owned(),
                incarnation: Incarnation(2),
                restarts: 1,
                state: "running".to_owned(),
                mailbox: 0,
            }],
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
        let ready = *self.ready.lock().unwrap();
        Readiness { ready, waiting_for: if ready { Vec::new() } else { vec!["executor/a1".to_owned()] } }
    }

    fn command(&self, command: OperatorCommand) -> BoxFuture<'_, Result<CommandOutcome, ApiProblem>> {
        let outcome = match &command.verb {
            Verb::Restart { child } if child != "executor/a1" => {
                Err(ApiProblem::not_found(format!("expected a child's name, found {child:?}")))
            }
            verb => Ok(CommandOutcome { verb: verb.name().to_owned(), scope: command.scope, outcome: "done".to_owned(), complete: true }),
        };
        self.commands.lock().unwrap().push(command);
        async move { outcome }.boxed()
    }

    fn metrics(&self) -> String {
        "ringfence_ready 1\n".to_owned()
    }

    fn events(&self) -> broadcast::Receiver<Arc<PublicEvent>> {
        self.events.subscribe()
    }
}

/// A served fake, a client, and where its token is.
struct Served {
    daemon: Arc<FakeDaemon>,
    endpoint: Endpoint,
    client: reqwest::Client,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<std::io::Result<()>>,
    dir: TempDir,
}

impl Served {
    async fn start(fault_injection: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let daemon =
            Arc::new(FakeDaemon { ready: Mutex::new(false), commands: Mutex::new(Vec::new()), events: broadcast::channel(EVENT_BUFFER).0 });
        let server = ApiServer::bind(config(&dir, "127.0.0.1:0", fault_injection), daemon.clone()).await.unwrap();
        let endpoint = Endpoint::read(dir.path()).unwrap();
        assert_eq!(endpoint.url, server.url());
        let stop = CancellationToken::new();
        let ended = tokio::spawn(server.run(stop.clone()));
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().unwrap();
        Self { daemon, endpoint, client, stop, ended, dir }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.endpoint.url))
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.request(Method::POST, path).bearer_auth(&self.endpoint.token).body(body).send().await.unwrap()
    }

    fn last_command(&self) -> OperatorCommand {
        self.daemon.commands.lock().unwrap().last().expect("a command came through").clone()
    }

    fn commands_seen(&self) -> usize {
        self.daemon.commands.lock().unwrap().len()
    }

    fn tell(&self, id: u64) {
        let event = PublicEvent { id, at: Timestamp::ZERO, kind: EventKind::Fill, text: format!("fill {id}") };
        // Nobody listening is fine.
        let _ = self.daemon.events.send(Arc::new(event));
    }
}

fn config(dir: &TempDir, bind: &str, fault_injection: bool) -> ApiConfig {
    ApiConfig { bind: bind.parse().unwrap(), data_dir: dir.path().to_owned(), allowed_hosts: Vec::new(), fault_injection }
}

/// Checks that an answer is a problem as RFC 9457 has it, and gives its detail.
async fn problem(response: Response, status: StatusCode) -> String {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: ApiProblem = response.json().await.unwrap();
    assert_eq!(problem.status, status.as_u16());
    assert!(problem.kind.starts_with("urn:ringfence:problem:"), "{}", problem.kind);
    problem.detail
}

#[tokio::test]
async fn ready_is_503_with_what_is_missing_and_then_200() {
    let served = Served::start(false).await;
    assert_eq!(served.get("/health").await.status(), StatusCode::OK);
    let before = served.get("/ready").await;
    assert_eq!(before.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(before.json::<Value>().await.unwrap(), json!({"ready": false, "waiting_for": ["executor/a1"]}));
    *served.daemon.ready.lock().unwrap() = true;
    let after = served.get("/ready").await;
    assert_eq!(after.status(), StatusCode::OK);
    assert_eq!(after.json::<Value>().await.unwrap(), json!({"ready": true, "waiting_for": []}));
}

#[tokio::test]
async fn status_has_accounts_and_children_with_money_as_strings() {
    let served = Served::start(false).await;
    let status: Value = served.get("/status").await.json().await.unwrap();
    assert_eq!(status["mode"], "Normal");
    let account = &status["accounts"][0];
    assert_eq!(
        (&account["name"], &account["mode"], &account["orders"], &account["fills"], &account["equity"]),
        (&json!("a1"), &json!("ReduceOnly"), &json!(3), &json!(2), &json!("1000.1"))
    );
    let child = &status["children"][0];
    assert_eq!((&child["name"], &child["incarnation"], &child["restarts"]), (&json!("executor/a1"), &json!(2), &json!(1)));
    let _: StatusView = serde_json::from_value(status).expect("the commands read what the daemon writes");
    let metrics = served.get("/metrics").await;
    assert!(metrics.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(metrics.text().await.unwrap(), "ringfence_ready 1\n");
}

#[tokio::test]
async fn every_write_and_all_of_admin_need_the_token() {
    let served = Served::start(true).await;
    let guarded = [
        (Method::POST, "/emergency_stop"),
        (Method::POST, "/admin/halt"),
        (Method::POST, "/admin/resume"),
        (Method::POST, "/admin/cancel"),
        (Method::POST, "/admin/emergency_exit"),
        (Method::POST, "/admin/flatten"),
        (Method::POST, "/admin/restart/executor/a1"),
        (Method::POST, "/admin/inject/executor/a1"),
        (Method::POST, "/admin/strategies/ema/start"),
        (Method::POST, "/admin/alerts/1/ack"),
        (Method::GET, "/admin/status"),
        (Method::GET, "/admin/anything"),
        (Method::DELETE, "/status"),
    ];
    let wrong = "0".repeat(64);
    for (method, path) in guarded {
        let bare = served.request(method.clone(), path).send().await.unwrap();
        assert_eq!(bare.headers()["www-authenticate"], "Bearer realm=\"ringfence\"", "{path}");
        assert!(problem(bare, StatusCode::UNAUTHORIZED).await.contains("no such header"), "{path}");
        for refused in [
            served.request(method.clone(), path).bearer_auth(&wrong),
            served.request(method.clone(), path).bearer_auth(""),
            served.request(method.clone(), path).basic_auth("ann", Some(&served.endpoint.token)),
        ] {
            problem(refused.send().await.unwrap(), StatusCode::UNAUTHORIZED).await;
        }
    }
    assert_eq!(served.commands_seen(), 0, "nothing came through");
    assert_eq!(served.post("/emergency_stop", "").await.status(), StatusCode::OK);
    let right = served.request(Method::GET, "/admin/status").bearer_auth(&served.endpoint.token).send().await.unwrap();
    assert_eq!(right.json::<Value>().await.unwrap()["recent_orders"], json!([]));
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_refused_even_with_the_token() {
    let served = Served::start(false).await;
    let port = served.endpoint.url.rsplit(':').next().unwrap().to_owned();
    for (header, value) in [
        ("host", format!("evil.example:{port}")),
        ("host", "127.0.0.1:1".to_owned()),
        ("origin", "http://evil.example".to_owned()),
        ("origin", "null".to_owned()),
    ] {
        let request = served.request(Method::POST, "/emergency_stop").bearer_auth(&served.endpoint.token).header(header, &value);
        let detail = problem(request.send().await.unwrap(), StatusCode::FORBIDDEN).await;
        assert!(detail.contains(&value), "{detail}");
        let read = served.request(Method::GET, "/status").header(header, &value).send().await.unwrap();
        problem(read, StatusCode::FORBIDDEN).await;
    }
    assert_eq!(served.commands_seen(), 0);
    let own = served.request(Method::GET, "/status").header("origin", format!("http://localhost:{port}")).send().await.unwrap();
    assert_eq!(own.status(), StatusCode::OK);
}

#[tokio::test]
async fn commands_arrive_as_they_were_meant() {
    let served = Served::start(true).await;
    let outcome: Value =
        served.post("/admin/halt", r#"{"scope": {"account": "a1"}, "by": "ann", "reason": "odd fills"}"#).await.json().await.unwrap();
    assert_eq!(outcome, json!({"verb": "halt", "scope": {"account": "a1"}, "outcome": "done", "complete": true}));
    let scope = Scope::Account(AccountId::new("a1").unwrap());
    let expected = OperatorCommand { verb: Verb::Halt, scope, venue: None, by: "ann".to_owned(), reason: "odd fills".to_owned() };
    assert_eq!(served.last_command(), expected);

    for (path, body, verb) in [
        ("/admin/emergency_exit", "", Verb::Flatten),
        ("/admin/flatten", "", Verb::Flatten),
        ("/admin/cancel", r#"{"scope": "global"}"#, Verb::Cancel),
        ("/admin/restart/executor/a1", "", Verb::Restart { child: "executor/a1".to_owned() }),
        ("/admin/restart/executor%2Fa1", "", Verb::Restart { child: "executor/a1".to_owned() }),
        ("/admin/strategies/ema/stop", "", Verb::StopStrategy("ema".parse().unwrap())),
        ("/admin/alerts/7/ack", r#"{"by": "ann", "reason": "seen"}"#, Verb::AcknowledgeAlert(7)),
        ("/admin/inject/feed/1", r#"{"fault": "wedge"}"#, Verb::Inject { child: "feed/1".to_owned(), fault: InjectedFault::Wedge }),
    ] {
        assert_eq!(served.post(path, body).await.status(), StatusCode::OK, "{path}");
        assert_eq!(served.last_command().verb, verb, "{path}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_carried_out_says_what_was_expected() {
    let served = Served::start(false).await;
    let unnamed = problem(served.post("/admin/resume", "{}").await, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(unnamed.contains("named person and a reason"), "{unnamed}");
    problem(served.post("/admin/halt", "{").await, StatusCode::BAD_REQUEST).await;
    let typo = problem(served.post("/admin/halt", r#"{"scpoe": "global"}"#).await, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(typo.contains("scpoe"), "{typo}");
    problem(served.post("/admin/strategies/EMA/start", "").await, StatusCode::UNPROCESSABLE_ENTITY).await;
    for (path, body) in [("/admin/alerts/7/ack", r#"{"by": "ann"}"#), ("/admin/alerts/seven/ack", r#"{"by": "ann", "reason": "seen"}"#)] {
        problem(served.post(path, body).await, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    problem(served.post("/admin/inject/feed/1", r#"{"fault": "panic"}"#).await, StatusCode::NOT_FOUND).await;
    assert_eq!(served.commands_seen(), 0, "nothing came through");
    let foreign = problem(served.post("/admin/restart/nobody", "").await, StatusCode::NOT_FOUND).await;
    assert!(foreign.contains("nobody"), "{foreign}");
    problem(served.get("/nothing").await, StatusCode::NOT_FOUND).await;
    problem(served.post("/status", "").await, StatusCode::METHOD_NOT_ALLOWED).await;
    problem(served.get("/emergency_stop").await, StatusCode::METHOD_NOT_ALLOWED).await;
}

#[tokio::test]
async fn a_body_past_the_bound_is_refused_and_one_at_the_bound_is_read() {
    let served = Served::start(false).await;
    let padded = |length: usize| format!("{}{{}}", " ".repeat(length - 2));
    assert_eq!(served.post("/admin/halt", padded(64 * 1024)).await.status(), StatusCode::OK);
    problem(served.post("/admin/halt", padded(64 * 1024 + 1)).await, StatusCode::PAYLOAD_TOO_LARGE).await;
}

#[tokio::test]
async fn events_are_streamed_as_they_happen() {
    let served = Served::start(false).await;
    let mut stream = served.get("/events").await;
    assert!(stream.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    served.tell(7);
    let frame = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(frame.contains("id: 7") && frame.contains("event: fill") && frame.contains("\"text\":\"fill 7\""), "{frame}");
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_and_let_go() {
    let served = Served::start(false).await;
    let mut stream = served.get("/events").await;
    // Without a pause in between, the server's task has no turn to read: the reader is behind by more than the buffer.
    for id in 0..=EVENT_BUFFER as u64 {
        served.tell(id);
    }
    let mut text = String::new();
    while let Some(chunk) = stream.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(text.ends_with("event: lagged\ndata: {\"missed\":1}\n\n"), "{text}");
}

#[tokio::test]
async fn too_many_readers_of_events_are_refused() {
    let served = Served::start(false).await;
    let mut readers = Vec::new();
    for _ in 0..32 {
        readers.push(served.get("/events").await);
    }
    assert!(readers.iter().all(|reader| reader.status() == StatusCode::OK));
    let detail = problem(served.get("/events").await, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(detail.contains("32"), "{detail}");
    assert_eq!(served.post("/emergency_stop", "").await.status(), StatusCode::OK, "the rest goes on");
}

#[tokio::test]
async fn the_server_stops_although_readers_hang_on() {
    let served = Served::start(false).await;
    let mut stream = served.get("/events").await;
    let mut half = TcpStream::connect(served.endpoint.url.trim_start_matches("http://")).await.unwrap();
    half.write_all(b"POST /admin/halt HTTP/1.1\r\nContent-Le").await.unwrap();
    served.stop.cancel();
    tokio::time::timeout(TIMEOUT, served.ended).await.expect("it ends").unwrap().unwrap();
    assert!(stream.chunk().await.is_ok_and(|chunk| chunk.is_none()), "the stream ended in order");
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_line() {
    let served = Served::start(false).await;
    let address = served.endpoint.url.trim_start_matches("http://");
    let Err(error) = ApiServer::bind(config(&served.dir, address, false), served.daemon.clone()).await else { panic!("bound twice") };
    assert!(matches!(error, BindError::InUse(_)));
    let line = error.to_string();
    assert!(line.contains(address) && !line.contains('\n'), "{line}");
}

#[tokio::test]
async fn the_page_runs_its_own_script_and_nothing_else() {
    let served = Served::start(false).await;
    let page = served.get("/").await;
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let html = page.text().await.unwrap();
    assert!(html.contains("src=\"/status.js\"") && html.contains("href=\"/status.css\""));
    for (path, kind) in [("/status.js", "text/javascript"), ("/status.css", "text/css")] {
        let asset = served.get(path).await;
        assert!(asset.headers()["content-type"].to_str().unwrap().starts_with(kind), "{path}");
    }
}

#[tokio::test]
async fn a_request_without_a_host_is_refused() {
    let served = Served::start(false).await;
    let mut socket = TcpStream::connect(served.endpoint.url.trim_start_matches("http://")).await.unwrap();
    socket.write_all(b"GET /status HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(TIMEOUT, socket.read_to_string(&mut answer)).await.expect("it answers").unwrap();
    assert!(answer.starts_with("HTTP/1.0 403"), "{answer}");
}

/// In virtual time: the clock moves on when nothing else does.
#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_and_gives_its_slot_back() {
    let served = Served::start(false).await;
    let mut silent = TcpStream::connect(served.endpoint.url.trim_start_matches("http://")).await.unwrap();
    silent.write_all(b"GET /status HTTP/1.1\r\nHo").await.unwrap();
    let mut answer = Vec::new();
    // However it is closed: what counts is that it is.
    let _ = silent.read_to_end(&mut answer).await;
}
