//! What a handler knows of its request beside the parameters: who asks, when, for which product, and the way to the engine.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use crate::domain::ids::AccountId;
use crate::domain::time::Timestamp;
use crate::exchange::core::Exchange;
use crate::exchange::shell::Desk;

use super::accounts::Key;
use super::auth::Freshness;
use super::problem::Problem;
use super::venue::{Product, Venue};

/// The venue gives its engine this long, and then says that it does not know.
const ENGINE_MAX: Duration = Duration::from_secs(10);

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Http,
    WebSocketApi,
}

/// One request's surroundings. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub venue: Arc<Venue>,
    /// Set on every route that asks for a key.
    pub key: Option<Arc<Key>>,
    pub peer: IpAddr,
    /// When the request came, by the exchange's clock.
    pub now: Timestamp,
    pub transport: Transport,
    /// The client wants times in microseconds.
    pub microseconds: bool,
    pub(super) freshness: Option<Freshness>,
    /// The engine that reads are answered from, where it is not the present one.
    pub(super) stale: Option<Arc<Mutex<Exchange>>>,
}

impl Context {
    /// Whose request it is.
    ///
    /// # Errors
    /// On a route that asks for no key.
    pub fn account(&self) -> Result<AccountId, Problem> {
        self.key.as_ref().map(|key| key.account).ok_or(Problem::KEY_FORMAT)
    }

    #[must_use]
    pub fn product(&self) -> Product {
        self.venue.product()
    }

    /// A time as this client wants it written.
    #[must_use]
    pub const fn time(&self, at: Timestamp) -> i64 {
        if self.microseconds { at.0.div_euclid(1_000) } else { at.as_millis() }
    }

    /// Does something at the engine, on its thread; the answer comes when what it changed is durable. A request that has grown
    /// too old on its way is not carried out.
    ///
    /// # Errors
    /// -1021 when it is too old by now, -1007 when the engine does not answer in time, -1001 when it is gone.
    pub async fn call<T: Send + 'static>(&self, work: impl FnOnce(&mut Desk<'_>) -> T + Send + 'static) -> Result<T, Problem> {
        if let Some(freshness) = &self.freshness {
            freshness.check(self.venue.now())?;
        }
        let mut asked = std::pin::pin!(self.venue.exchange().call(work));
        // An exchange without a thread has answered already, and there may be no timer to wait by.
        if let Poll::Ready(answer) = futures_util::poll!(asked.as_mut()) {
            return answer.map_err(|_| Problem::DISCONNECTED);
        }
        match tokio::time::timeout(ENGINE_MAX, asked).await {
            Ok(answer) => answer.map_err(|_| Problem::DISCONNECTED),
            Err(_) => Err(Problem::TIMEOUT),
        }
    }

    /// Like `call`, for what changes nothing. While stale answers are asked for, it is asked of the engine as it was then.
    ///
    /// # Errors
    /// As `call`.
    pub async fn read<T: Send + 'static>(&self, work: impl FnOnce(&mut Desk<'_>) -> T + Send + 'static) -> Result<T, Problem> {
        let Some(past) = self.stale.clone() else { return self.call(work).await };
        self.call(move |desk| {
            let mut exchange = past.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut Desk { exchange: &mut exchange, now: desk.now, outputs: &mut Vec::new(), record: desk.record })
        })
        .await
    }
}
