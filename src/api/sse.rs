//! `/events`: what happens, as it happens (server-sent events). Bounded in readers and in what a reader may fall behind
//! by; a reader that is too slow is told so and let go, and nobody else waits for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tokio_util::sync::CancellationToken;

use super::routes::Api;
use super::{ApiProblem, PublicEvent};

/// Events that a reader may be behind by: some seconds of a busy daemon, about 200 KB.
pub const EVENT_BUFFER: usize = 1_024;
/// Readers at once: dashboards and a few programs. Each holds a connection for as long as it likes.
pub(super) const READERS_MAX: usize = 32;
/// Keeps proxies and our own idle limit from closing a quiet stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Reader {
    events: broadcast::Receiver<Arc<PublicEvent>>,
    stopping: CancellationToken,
    let_go: bool,
    _slot: OwnedSemaphorePermit,
}

pub(super) async fn events(State(api): State<Api>) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiProblem> {
    let slot = Arc::clone(&api.readers).try_acquire_owned().map_err(|_| {
        ApiProblem::unavailable(format!("expected fewer than {READERS_MAX} readers of /events, found {READERS_MAX}; close one"))
    })?;
    let reader = Reader { events: api.control.events(), stopping: api.stopping.clone(), let_go: false, _slot: slot };
    Ok(Sse::new(stream::unfold(reader, next)).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

async fn next(mut reader: Reader) -> Option<(Result<Event, Infallible>, Reader)> {
    if reader.let_go {
        return None;
    }
    let received = tokio::select! {
        () = reader.stopping.cancelled() => return None,
        received = reader.events.recv() => received,
    };
    let event = match received {
        Ok(event) => to_sse(&event),
        Err(RecvError::Lagged(missed)) => {
            reader.let_go = true;
            Event::default().event("lagged").data(format!("{{\"missed\":{missed}}}"))
        }
        Err(RecvError::Closed) => return None,
    };
    Some((Ok(event), reader))
}

fn to_sse(event: &PublicEvent) -> Event {
    let frame = Event::default().id(event.id.to_string()).event(event.kind.name());
    // Invariant: a `PublicEvent` is plain data and always serializes.
    frame.json_data(event).unwrap_or_else(|_| Event::default().comment("unserializable event"))
}
