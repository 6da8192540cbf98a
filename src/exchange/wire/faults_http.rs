//! `/faults`: `POST` arms one (or a schedule), `GET` shows what is armed, `DELETE` disarms all. Not the venue's: it is there only
//! where the exchange was started with it, and answers this machine alone.
//!
//! ```text
//! curl -X POST localhost:8080/faults -d '{"fault":"timeout","route":"/fapi/v1/order","count":2}'
//! curl -X POST localhost:8080/faults -d '{"fault":{"delay":{"before_ms":500}},"account":"alpha","duration_ms":10000}'
//! curl -X POST localhost:8080/faults -d '{"schedule":{"seed":7,"every_ms":1000,"duration_ms":60000}}'
//! ```

use std::sync::Arc;

use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::net::Peer;

use super::faults::{FaultDesk, Rule, Schedule, is_own};
use super::http::BODY_MAX;
use super::venue::Venue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scheduled {
    schedule: Schedule,
}

pub(super) async fn answer(venue: &Arc<Venue>, peer: &Peer, request: Request) -> Response {
    if !is_own(peer.address) {
        return refuse(StatusCode::FORBIDDEN, "faults are armed from the exchange's own machine only");
    }
    match *request.method() {
        Method::GET => shown(venue),
        Method::DELETE => {
            FaultDesk::disarm(venue);
            shown(venue)
        }
        Method::POST => match to_bytes(request.into_body(), BODY_MAX).await {
            Ok(body) => arm(venue, &body).await,
            Err(_) => refuse(StatusCode::PAYLOAD_TOO_LARGE, "a fault expected a body of at most 64 KB"),
        },
        _ => refuse(StatusCode::METHOD_NOT_ALLOWED, "/faults expected GET, POST or DELETE"),
    }
}

async fn arm(venue: &Arc<Venue>, body: &[u8]) -> Response {
    // Read twice, so that a mistake in a rule is told as one.
    let is_schedule = serde_json::from_slice::<Value>(body).is_ok_and(|value| value.get("schedule").is_some());
    if is_schedule {
        return match serde_json::from_slice::<Scheduled>(body) {
            Ok(scheduled) => match FaultDesk::follow(venue, scheduled.schedule).await {
                Ok(()) => shown(venue),
                Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            Err(error) => refuse(StatusCode::BAD_REQUEST, &format!("the schedule cannot be read: {error}")),
        };
    }
    let rule: Rule = match serde_json::from_slice(body) {
        Ok(rule) => rule,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("the fault cannot be read: {error}")),
    };
    match FaultDesk::arm(venue, rule).await {
        Ok(id) => Json(json!({ "id": id })).into_response(),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn shown(venue: &Venue) -> Response {
    let (faults, schedule) = venue.faults().listed();
    Json(json!({ "faults": faults, "schedule": schedule })).into_response()
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
