//! Which request does what. Each handler reads, asks `Control`, and answers; errors are problem+json throughout, also for
//! unknown paths and methods.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, MatchedPath, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::command::{self, Asked};
use super::guard::{self, Guard};
use super::{AdminStatusView, AlertsView, ApiProblem, CommandOutcome, Control, Health, StatusView, Verb, sse};
use crate::domain::ids::StrategyId;
use crate::telemetry::metrics::http_request_took;

/// A command's body is a few hundred bytes; this is room for any reason a person writes, and nothing to fill memory with.
const BODY_MAX: usize = 64 * 1024;
/// A body that small comes with its headers; a client that takes longer is stuck.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer waits for a command's outcome. The slowest, a flatten, asks a venue some times at a second each.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(15);

/// What every handler shares.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) control: Arc<dyn Control>,
    pub(super) readers: Arc<Semaphore>,
    pub(super) stopping: CancellationToken,
}

pub(super) fn router(control: Arc<dyn Control>, guard: Guard, fault_injection: bool, stopping: CancellationToken) -> Router {
    let api = Api { control, readers: Arc::new(Semaphore::new(sse::READERS_MAX)), stopping };
    let mut router = Router::new()
        .route("/", get(|| async { page("text/html; charset=utf-8", include_str!("../../web/index.html")) }))
        .route("/status.js", get(|| async { page("text/javascript; charset=utf-8", include_str!("../../web/status.js")) }))
        .route("/status.css", get(|| async { page("text/css; charset=utf-8", include_str!("../../web/status.css")) }))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .route("/events", get(sse::events))
        .route("/alerts", get(alerts))
        .route("/emergency_stop", post(|api, request| run(api, Verb::EmergencyStop, request)))
        .route("/admin/status", get(admin_status))
        .route("/admin/halt", post(|api, request| run(api, Verb::Halt, request)))
        .route("/admin/resume", post(|api, request| run(api, Verb::Resume, request)))
        .route("/admin/override", post(override_limits))
        .route("/admin/cancel", post(|api, request| run(api, Verb::Cancel, request)))
        .route("/admin/emergency_exit", post(|api, request| run(api, Verb::Flatten, request)))
        .route("/admin/flatten", post(|api, request| run(api, Verb::Flatten, request)))
        // The rest of the path: names of children have slashes in them (`executor/a1`).
        .route("/admin/restart/{*child}", post(restart))
        .route("/admin/strategies/{id}/start", post(|api, id, request| strategy(api, id, Verb::StartStrategy, request)))
        .route("/admin/strategies/{id}/stop", post(|api, id, request| strategy(api, id, Verb::StopStrategy, request)))
        .route("/admin/alerts/{id}/ack", post(acknowledge));
    if fault_injection {
        router = router.route("/admin/inject/{*child}", post(inject));
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::enforce))
        .layer(middleware::from_fn(observe))
        .with_state(api)
}

/// 200 because the process is there and answers; the body says how well it is. Whether it may trade is `/ready`'s matter.
async fn health(State(api): State<Api>) -> Json<Health> {
    Json(api.control.health())
}

async fn ready(State(api): State<Api>) -> Response {
    let readiness = api.control.ready();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn status(State(api): State<Api>) -> Json<StatusView> {
    Json(api.control.status())
}

async fn alerts(State(api): State<Api>) -> Json<AlertsView> {
    Json(api.control.alerts())
}

async fn admin_status(State(api): State<Api>) -> Json<AdminStatusView> {
    Json(api.control.admin_status())
}

async fn metrics(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], api.control.metrics()).into_response()
}

async fn run(State(api): State<Api>, verb: Verb, request: Request) -> Result<Json<CommandOutcome>, ApiProblem> {
    carry_out(&api, Asked::Plain(verb), request).await
}

async fn restart(State(api): State<Api>, Path(child): Path<String>, request: Request) -> Result<Json<CommandOutcome>, ApiProblem> {
    carry_out(&api, Asked::Plain(Verb::Restart { child }), request).await
}

async fn override_limits(State(api): State<Api>, request: Request) -> Result<Json<CommandOutcome>, ApiProblem> {
    carry_out(&api, Asked::Override, request).await
}

async fn inject(State(api): State<Api>, Path(child): Path<String>, request: Request) -> Result<Json<CommandOutcome>, ApiProblem> {
    carry_out(&api, Asked::Inject { child }, request).await
}

async fn acknowledge(State(api): State<Api>, Path(id): Path<String>, request: Request) -> Result<Json<CommandOutcome>, ApiProblem> {
    let id = id.parse().map_err(|_| ApiProblem::unprocessable(format!("expected the number of an alert, found {id:?}")))?;
    carry_out(&api, Asked::Plain(Verb::AcknowledgeAlert(id)), request).await
}

async fn strategy(
    State(api): State<Api>,
    Path(id): Path<String>,
    verb: fn(StrategyId) -> Verb,
    request: Request,
) -> Result<Json<CommandOutcome>, ApiProblem> {
    let id = StrategyId::new(&id).map_err(|error| ApiProblem::unprocessable(error.to_string()))?;
    carry_out(&api, Asked::Plain(verb(id)), request).await
}

async fn carry_out(api: &Api, asked: Asked, request: Request) -> Result<Json<CommandOutcome>, ApiProblem> {
    let command = command::parse(asked, &body(request).await?)?;
    let verb = command.verb.name();
    let span = tracing::info_span!(target: "ringfence::api", "operator_command", verb, scope = %command.scope, by = command.by);
    match timeout(COMMAND_TIMEOUT, api.control.command(command).instrument(span)).await {
        Ok(outcome) => outcome.map(Json),
        Err(_) => Err(ApiProblem::timeout(format!(
            "expected the outcome of {verb} within {} s, found none; it may still happen: look at /status before you ask again",
            COMMAND_TIMEOUT.as_secs()
        ))),
    }
}

async fn body(request: Request) -> Result<Bytes, ApiProblem> {
    match timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(ApiProblem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "the request's body is too large",
            format!("expected at most {BODY_MAX} bytes, found more"),
        )),
        Ok(Err(rejection)) => Err(ApiProblem::bad_request(rejection.body_text())),
        Err(_) => Err(ApiProblem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            "the request's body did not come",
            format!("expected the whole body within {} s", BODY_TIMEOUT.as_secs()),
        )),
    }
}

async fn unknown_path(request: Request) -> ApiProblem {
    ApiProblem::not_found(format!("expected a path such as /status or /admin/halt, found {:?}", request.uri().path()))
}

async fn unknown_method(request: Request) -> ApiProblem {
    let detail = format!("expected another method for {:?}, found {}", request.uri().path(), request.method());
    ApiProblem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "not this method", detail)
}

/// A built-in page: nothing but our own script and style may run in it, and nobody may frame it.
fn page(content_type: &'static str, text: &'static str) -> Response {
    const POLICY: &str =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'";
    let headers =
        [(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, POLICY), (header::REFERRER_POLICY, "no-referrer")];
    (headers, text).into_response()
}

/// Counts each request by its route (never by its path, which anybody chooses) and marks the answer as not to be kept.
#[allow(clippy::disallowed_methods, reason = "how long a request takes is wall time")]
async fn observe(route: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    http_request_took(route, response.status().as_u16(), started.elapsed());
    response
}
