//! The HTTP door: a request is read whole, found in the table, served, and answered with the venue's headers. What is no row of
//! the table goes on to the sockets and pages behind it. Whatever comes in, what goes out is an answer of the venue's.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts as _, Request, State, WebSocketUpgrade};
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::net::Peer;

use super::context::Transport;
use super::faults::Spoilt;
use super::parameters::Parameters;
use super::problem::Problem;
use super::route::{Answer, Found, Route, Verb};
use super::venue::{Ask, Proof, Reply, Served, Venue};
use super::ws_api::Sessions;
use super::{faults_http, ws_api};

/// The largest request is a batch of five orders.
pub const BODY_MAX: usize = 64 << 10;
/// A body that small comes with its headers; a client that takes longer is stuck.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer that never comes: by then every client has given up.
const SILENCE: Duration = Duration::from_secs(120);

const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");
const API_KEY: HeaderName = HeaderName::from_static("x-mbx-apikey");
const TIME_UNIT: HeaderName = HeaderName::from_static("x-mbx-time-unit");
const USED_WEIGHT: HeaderName = HeaderName::from_static("x-mbx-used-weight");
const USED_WEIGHT_1M: HeaderName = HeaderName::from_static("x-mbx-used-weight-1m");

/// What the door knows.
#[derive(Clone)]
pub struct Door {
    pub venue: Arc<Venue>,
    /// Sockets and pages that are no rows of the table.
    pub inner: Router,
    pub sessions: Sessions,
    /// Whether `/faults` is there.
    pub faults: bool,
    pub stopping: CancellationToken,
}

/// Everything comes through here.
pub async fn enter(State(door): State<Door>, ConnectInfo(peer): ConnectInfo<Peer>, request: Request) -> Response {
    let path = request.uri().path();
    if door.faults && path == "/faults" {
        return faults_http::answer(&door.venue, &peer, request).await;
    }
    if path == door.venue.product().ws_api_path() {
        return open_ws_api(door, peer, request).await;
    }
    let verb = verb(request.method());
    match door.venue.routes().find(path, verb) {
        Found::Route(route) => {
            let route = Arc::clone(route);
            serve(&door.venue, route, peer, request).await
        }
        Found::OtherVerb => problem(&door.venue, &Problem::method_not_allowed(path, request.method().as_str())),
        Found::Nothing => pass_on(door, request).await,
    }
}

/// The sockets and pages behind the table.
async fn pass_on(door: Door, request: Request) -> Response {
    if door.venue.faults().in_maintenance(door.venue.true_now()) {
        return page(503);
    }
    // Invariant: a router's error type has no value.
    door.inner.oneshot(request).await.unwrap_or_else(|never| match never {})
}

async fn open_ws_api(door: Door, peer: Peer, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let microseconds = parts.uri.query().is_some_and(|query| query.to_ascii_lowercase().contains("timeunit=microsecond"));
    let rate_limits = !parts.uri.query().is_some_and(|query| query.contains("returnRateLimits=false"));
    let weight = if door.venue.product().is_spot() { 2 } else { 5 };
    let now = door.venue.true_now();
    if let Err(refused) = door.venue.limits().request(now, peer.address, weight) {
        return problem(&door.venue, &door.venue.on_the_wire(refused));
    }
    if door.venue.faults().in_maintenance(door.venue.true_now()) {
        return page(503);
    }
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        return problem(&door.venue, &Problem::of(-1000, "A WebSocket handshake was expected here.").with_status(400));
    };
    let opening = ws_api::Opening { venue: door.venue, peer: peer.address, microseconds, rate_limits, stopping: door.stopping };
    door.sessions.open(upgrade, opening)
}

fn verb(method: &Method) -> Option<Verb> {
    match *method {
        Method::GET => Some(Verb::Get),
        Method::POST => Some(Verb::Post),
        Method::PUT => Some(Verb::Put),
        Method::DELETE => Some(Verb::Delete),
        _ => None,
    }
}

async fn serve(venue: &Arc<Venue>, route: Arc<Route>, peer: Peer, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let asked = match timeout(BODY_TIMEOUT, whole(body)).await {
        Ok(body) => body.and_then(|body| read(venue, route, &peer, &parts, body)),
        Err(_) => Err(Problem::TIMEOUT.with_status(408)),
    };
    let ask = match asked {
        Ok(ask) => ask,
        Err(refused) => return problem(venue, &refused),
    };
    let served = venue.serve(ask).await;
    respond(venue, &peer, served).await
}

/// The body, of which a client may send half and leave.
async fn whole(body: Body) -> Result<Vec<u8>, Problem> {
    let (mut chunks, mut whole) = (body.into_data_stream(), Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::ILLEGAL_CHARACTERS)?;
        if whole.len() + chunk.len() > BODY_MAX {
            return Err(Problem::body_too_large(BODY_MAX));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// A request's parts as the table wants them.
fn read(venue: &Venue, route: Arc<Route>, peer: &Peer, parts: &Parts, body: Vec<u8>) -> Result<Ask, Problem> {
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    let manners = venue.product().manners(route.path);
    // A JSON body has no parameters in it; the official connectors announce one and send nothing.
    let form: &[u8] = if is_json(&parts.headers) { b"" } else { &body };
    let parameters = Parameters::parse(manners, query, form)?;
    let api_key = match parts.headers.get(API_KEY) {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| Problem::KEY_FORMAT)?.to_owned()),
    };
    Ok(Ask {
        microseconds: venue.product().is_spot() && microseconds(&parts.headers)?,
        route,
        parameters,
        api_key,
        proof: Proof::Http { query: query.to_vec(), body },
        peer: peer.address,
        transport: Transport::Http,
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

fn microseconds(headers: &HeaderMap) -> Result<bool, Problem> {
    match headers.get(TIME_UNIT).map(HeaderValue::as_bytes) {
        None => Ok(false),
        Some(unit) if unit.eq_ignore_ascii_case(b"MICROSECOND") => Ok(true),
        Some(unit) if unit.eq_ignore_ascii_case(b"MILLISECOND") => Ok(false),
        Some(_) => Err(Problem::of(-1194, "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.")),
    }
}

async fn respond(venue: &Venue, peer: &Peer, served: Served) -> Response {
    let Served { reply, used_weight, orders } = served;
    let mut response = match reply {
        Reply::Answer(answer) => plain(venue, answer),
        Reply::Spoilt(Spoilt::Problem(spoilt), _) => problem(venue, &spoilt),
        Reply::Spoilt(Spoilt::Page(status), _) => page(status),
        Reply::Spoilt(Spoilt::Garbage, answer) => garbage(answer),
        Reply::Spoilt(Spoilt::Silence, _) => {
            tokio::time::sleep(SILENCE).await;
            hang_up(peer).await
        }
        Reply::Spoilt(Spoilt::HangUp, _) => hang_up(peer).await,
    };
    let headers = response.headers_mut();
    headers.insert(USED_WEIGHT_1M, used_weight.into());
    if venue.product().is_spot() {
        headers.insert(USED_WEIGHT, used_weight.into());
    }
    if let Some(counts) = orders {
        for (interval, count) in venue.product().limits().orders.iter().zip(counts) {
            headers.insert(HeaderName::from_static(interval.header), count.into());
        }
    }
    response
}

fn plain(venue: &Venue, answer: Answer) -> Response {
    match answer {
        Ok(json) => json_response(StatusCode::OK, json.into_string()),
        Err(refused) => problem(venue, &refused),
    }
}

fn json_response(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A refusal, with when to come back.
pub fn problem(venue: &Venue, problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(status, problem.body());
    if let Some(seconds) = problem.retry_after(venue.now()) {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// What a gateway says when nothing is behind it.
fn page(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let html =
        format!("<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n</body>\r\n</html>\r\n");
    (status, [(CONTENT_TYPE, HeaderValue::from_static("text/html"))], html).into_response()
}

/// An answer of which half is missing.
fn garbage(answer: Answer) -> Response {
    let text = answer.map_or_else(|refused| refused.body(), |json| json.into_string());
    let half: String = text.chars().take(text.len() / 2).collect();
    json_response(StatusCode::OK, half)
}

/// The connection ends, and this future with it.
async fn hang_up(peer: &Peer) -> Response {
    peer.cut.cancel();
    std::future::pending().await
}
