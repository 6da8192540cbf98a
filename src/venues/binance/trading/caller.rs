//! Asks a venue over HTTP for one account: waits for the host's budget, signs by the venue's clock, keeps connections warm, and says
//! what became of it in the codec's words. A request that was refused for its time is signed anew and sent once more, because a
//! refusal had no effect (F09); nothing else that changes anything is ever sent twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::clock_offset::{ClockDoubt, ClockOffset};
use super::lane::{LaneError, Origin, Reply};
use super::network::{Line, Machine, Network, exchange, within};
use super::weight::{Exhausted, Purpose, WeightBudget};
use crate::domain::time::Timestamp;
use crate::venues::binance::codec::answers::ServerTimeAnswer;
use crate::venues::binance::codec::outcome::{self, Answer, Failure, NOT_SENT};
use crate::venues::binance::codec::product::{Product, Security};
use crate::venues::binance::codec::request::{Method, Request};
use crate::venues::binance::sign::{Credentials, Timing};

/// Connections of one account that are kept: an entry, its bracket and a snapshot side by side.
const LANES_KEPT: usize = 6;
/// How long a request may wait for the budget: a minute's end, and a little.
const BUDGET_WAIT_MAX: Duration = Duration::from_secs(61);
/// The share that a machine has of a venue's clock after which it asks again.
pub const CLOCK_EVERY: Duration = Duration::from_secs(30);

/// An order that has no connection within this time is not sent: a later one would be another order.
const LANE_WAIT_MAX: Duration = Duration::from_millis(250);
/// Of what is not signed.
const UNSIGNED_WINDOW: Duration = Duration::from_secs(5);

/// Asked right before the bytes leave, each time; what it gives is kept until they have left.
pub type Pass<'p> = &'p (dyn Fn() -> Option<Box<dyn Send>> + Send + Sync);

/// The daemon's clocks, handed in.
#[derive(Clone)]
pub struct Times {
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Of a clock that is never set.
    pub steady: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Times {
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    #[must_use]
    pub fn steady(&self) -> Duration {
        (self.steady)()
    }
}

/// What all accounts on one host share.
pub struct Host {
    pub origin: Origin,
    pub product: Product,
    pub times: Times,
    pub network: Arc<dyn Network>,
    /// What our clock said when the steady one stood at zero.
    began: Timestamp,
    budget: Mutex<WeightBudget>,
    clock: Mutex<ClockOffset>,
    /// An order was refused for a rule: what is known of the rules may be old.
    doubt: AtomicBool,
    weight_is_fixed: AtomicBool,
    /// What it lists has never been read.
    unlisted: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Held for a few instructions that leave whole numbers behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    #[must_use]
    pub fn new(origin: Origin, product: Product, times: Times, reserved_permille: u32) -> Arc<Self> {
        Self::over(Machine::shared(), origin, product, times, reserved_permille)
    }

    /// A host that is reached over another network than this machine's.
    #[must_use]
    pub fn over(network: Arc<dyn Network>, origin: Origin, product: Product, times: Times, reserved_permille: u32) -> Arc<Self> {
        let budget = WeightBudget::new(product.capabilities().weight_per_minute, reserved_permille);
        let (budget, clock) = (Mutex::new(budget), Mutex::default());
        let (doubt, weight_is_fixed, unlisted) = (AtomicBool::default(), AtomicBool::default(), AtomicBool::default());
        let began = times.now() - times.steady();
        Arc::new(Self { origin, product, times, network, began, budget, clock, doubt, weight_is_fixed, unlisted })
    }

    /// A time that no clock's setting moves: how long a venue wants to be left alone is no matter of what our wall says (F18).
    #[must_use]
    pub fn even_now(&self) -> Timestamp {
        self.began + self.times.steady()
    }

    /// Its rules could not be read when they were wanted: nothing is opened by rules that are a guess.
    pub fn set_unlisted(&self, unlisted: bool) {
        self.unlisted.store(unlisted, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_unlisted(&self) -> bool {
        self.unlisted.load(Ordering::Relaxed)
    }

    /// Until when the venue listens to nobody here.
    #[must_use]
    pub fn shut(&self) -> Option<Timestamp> {
        lock(&self.budget).shut(self.even_now())
    }

    /// A rule that was kept here was not the venue's.
    pub fn doubt_rules(&self) {
        self.doubt.store(true, Ordering::Relaxed);
    }

    /// Whether rules were doubted since this was last asked.
    pub fn take_doubt(&self) -> bool {
        self.doubt.swap(false, Ordering::Relaxed)
    }

    /// Weight used in this minute.
    #[must_use]
    pub fn used_weight(&self) -> u32 {
        lock(&self.budget).used(self.even_now())
    }

    /// The venue's own figure. One that was fixed stays.
    pub fn learn_weight_limit(&self, limit: u32) {
        if !self.weight_is_fixed.load(Ordering::Relaxed) {
            lock(&self.budget).set_limit(limit);
        }
    }

    /// Whatever the venue says of it.
    pub fn fix_weight_limit(&self, limit: u32) {
        self.weight_is_fixed.store(true, Ordering::Relaxed);
        lock(&self.budget).set_limit(limit);
    }

    /// How far the venue's clock is ahead of ours; `None` before it was asked.
    #[must_use]
    pub fn offset_millis(&self) -> Option<i64> {
        let clock = lock(&self.clock);
        clock.is_known().then(|| clock.offset_millis(self.times.now(), self.times.steady()))
    }

    /// Whether an entry may leave as far as clocks go.
    ///
    /// # Errors
    /// When they are too far apart.
    pub fn admit(&self, limit: Duration) -> Result<(), ClockDoubt> {
        lock(&self.clock).admit(self.times.now(), self.times.steady(), limit)
    }

    #[must_use]
    pub fn venue_time(&self) -> Timestamp {
        lock(&self.clock).venue_time(self.times.now(), self.times.steady())
    }

    fn take(&self, purpose: Purpose, weight: u32) -> Result<(), Exhausted> {
        lock(&self.budget).take(self.even_now(), purpose, weight)
    }

    fn answered(&self, weight: u32, reply: Option<&Reply>) {
        let (now, mut budget) = (self.even_now(), lock(&self.budget));
        budget.answered(now, weight, reply.and_then(|reply| reply.used.weight_1m));
        if let Some(reply) = reply.filter(|reply| matches!(reply.status, 418 | 429) && !self.is_about_orders(reply)) {
            budget.refused(now, reply.status, reply.used.retry_after.map(Duration::from_secs));
        }
    }

    /// Too many orders of one account (-1015, which comes with 429 too) are no reason for the others to wait, nor for the kill switch.
    fn is_about_orders(&self, reply: &Reply) -> bool {
        matches!(outcome::failure(self.product, answer(reply)), Failure::RateLimited { code: -1015, banned: false, .. })
    }

    fn heard(&self, began: Duration, ended: Duration, venue: Timestamp) {
        lock(&self.clock).heard(began, ended, venue);
    }

    fn distrust_clock(&self) {
        lock(&self.clock).distrust();
    }
}

/// Asks for one account.
pub struct Caller {
    pub host: Arc<Host>,
    credentials: Arc<Credentials>,
    recv_window: Duration,
    lanes: Mutex<Vec<Box<dyn Line>>>,
}

impl Caller {
    #[must_use]
    pub fn new(host: Arc<Host>, credentials: Arc<Credentials>, recv_window: Duration) -> Self {
        Self { host, credentials, recv_window, lanes: Mutex::default() }
    }

    /// Asks what needs no key.
    #[must_use]
    pub fn public(host: Arc<Host>) -> Self {
        let nobody = Credentials::hmac(String::new(), SecretString::from(String::new()));
        Self::new(host, Arc::new(nobody), UNSIGNED_WINDOW)
    }

    #[must_use]
    pub fn product(&self) -> Product {
        self.host.product
    }

    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    #[must_use]
    pub fn timing(&self) -> Timing {
        let window_millis = u32::try_from(self.recv_window.as_millis()).unwrap_or(u32::MAX);
        Timing { at_millis: self.host.venue_time().as_millis(), window_millis }
    }

    /// Asks, and reads an answer that owns itself.
    ///
    /// # Errors
    /// What became of it instead.
    pub async fn ask<T: DeserializeOwned>(&self, purpose: Purpose, request: &Request) -> Result<T, Failure> {
        let reply = self.reply(purpose, request).await?;
        outcome::read(self.product(), answer(&reply))
    }

    /// Asks, and gives the body of an answer that is one.
    ///
    /// # Errors
    /// What became of it instead.
    pub async fn body(&self, purpose: Purpose, request: &Request) -> Result<Vec<u8>, Failure> {
        let reply = self.reply(purpose, request).await?;
        if (200..300).contains(&reply.status) { Ok(reply.body) } else { Err(outcome::failure(self.product(), answer(&reply))) }
    }

    /// Asks, and gives whatever was answered.
    ///
    /// # Errors
    /// When nothing was, or the venue refused the request's time twice.
    pub async fn reply(&self, purpose: Purpose, request: &Request) -> Result<Reply, Failure> {
        self.reply_past(purpose, request, None).await
    }

    /// The same for what has to pass the gate.
    ///
    /// # Errors
    /// As above, and when the gate is closed.
    pub async fn reply_past(&self, purpose: Purpose, request: &Request, pass: Option<Pass<'_>>) -> Result<Reply, Failure> {
        match self.once(purpose, request, pass).await {
            Ok(reply) if self.is_skewed(&reply) => {
                // It surely had no effect, and the next one will be in time.
                self.host.distrust_clock();
                self.measure_clock().await.map_err(|failure| not_sent(&failure.to_string()))?;
                self.once(purpose, request, pass).await
            }
            // A question may be asked again on a new connection: the old one had ended unseen.
            Err(Failure::Unknown { .. }) if !request.changes => self.once(purpose, request, pass).await,
            other => other,
        }
    }

    fn is_skewed(&self, reply: &Reply) -> bool {
        reply.status >= 400 && matches!(outcome::failure(self.product(), answer(reply)), Failure::ClockSkew { .. })
    }

    async fn once(&self, purpose: Purpose, request: &Request, pass: Option<Pass<'_>>) -> Result<Reply, Failure> {
        let (weight, mut lane) = self.way(purpose, request, (pass.is_some() && purpose != Purpose::Kill).then_some(LANE_WAIT_MAX)).await?;
        // Signed last: time has passed while it waited.
        let bytes = self.bytes(request);
        let closed = || not_sent("the halt gate is closed");
        let leaving = pass.map(|pass| pass().ok_or_else(closed)).transpose()?;
        let sent = lane.send(bytes.as_bytes()).await;
        drop(leaving);
        let reply = match sent {
            Ok(()) => lane.receive().await,
            Err(error) => Err(error),
        };
        if lane.is_alive() {
            self.keep(lane);
        }
        weight.settle(reply.as_ref().ok());
        reply.map_err(|error| match error {
            LaneError::NotSent(why) => not_sent(&why),
            LaneError::Lost(why) => Failure::silence(why),
        })
    }

    /// A connection, and leave to use it.
    async fn way(&self, purpose: Purpose, request: &Request, longest: Option<Duration>) -> Result<(Weight<'_>, Box<dyn Line>), Failure> {
        loop {
            self.wait_for_budget(purpose, request).await?;
            let weight = Weight { host: &self.host, weight: request.weight, settled: false };
            let lane = match longest {
                None => self.lane().await,
                Some(longest) => within(&*self.host.network, longest, self.lane())
                    .await
                    .unwrap_or_else(|| Err(LaneError::NotSent(format!("no connection within {longest:?}")))),
            };
            let lane = lane.map_err(|error| not_sent(&error.to_string()))?;
            // The venue may have shut us out while the connection was made; who goes on asking is shut out for longer.
            if self.host.shut().is_none() {
                return Ok((weight, lane));
            }
            self.keep(lane);
        }
    }

    async fn wait_for_budget(&self, purpose: Purpose, request: &Request) -> Result<(), Failure> {
        let began = self.host.even_now();
        while let Err(wait) = self.host.take(purpose, request.weight) {
            let now = self.host.even_now();
            let retry_after = Some(wait.until.since(now));
            if request.orders > 0 || wait.until.since(began) > BUDGET_WAIT_MAX {
                // Nothing left; an order that would leave a minute late is another order.
                return Err(Failure::RateLimited { code: NOT_SENT, message: wait.to_string(), retry_after, banned: false });
            }
            self.host.network.sleep(wait.until.since(now).max(Duration::from_millis(1))).await;
        }
        Ok(())
    }

    async fn lane(&self) -> Result<Box<dyn Line>, LaneError> {
        loop {
            let kept = lock(&self.lanes).pop();
            let Some(mut lane) = kept else { return self.host.network.line(&self.host.origin).await };
            if lane.is_usable() {
                return Ok(lane);
            }
        }
    }

    fn keep(&self, lane: Box<dyn Line>) {
        let mut lanes = lock(&self.lanes);
        if lanes.len() < LANES_KEPT {
            lanes.push(lane);
        }
    }

    fn bytes(&self, request: &Request) -> String {
        let target = match request.security {
            Security::Signed => format!("{}?{}", request.path, self.credentials.signed_query(&request.parameters, self.timing())),
            Security::None | Security::Key => request.unsigned_target(),
        };
        let key = match request.security {
            Security::None => String::new(),
            Security::Key | Security::Signed => format!("X-MBX-APIKEY: {}\r\n", self.credentials.api_key()),
        };
        let length = if request.method == Method::Get { "" } else { "Content-Length: 0\r\n" };
        format!("{} {target} HTTP/1.1\r\nHost: {}\r\n{key}{length}\r\n", request.method, self.host.origin.authority())
    }

    /// Asks what time it is there.
    ///
    /// # Errors
    /// When nobody says.
    pub async fn measure_clock(&self) -> Result<(), Failure> {
        let request = self.product().time().map_err(|error| Failure::silence(error.to_string()))?;
        // The connection is there before the time is taken: a handshake is no part of the trip.
        let (weight, mut lane) = self.way(Purpose::Order, &request, None).await?;
        let began = self.host.times.steady();
        let reply = exchange(&mut *lane, self.bytes(&request).as_bytes()).await;
        let ended = self.host.times.steady();
        if lane.is_alive() {
            self.keep(lane);
        }
        weight.settle(reply.as_ref().ok());
        let reply = reply.map_err(|error| Failure::silence(error.to_string()))?;
        let said: ServerTimeAnswer = outcome::read(self.product(), answer(&reply))?;
        self.host.heard(began, ended, Timestamp::from_millis(said.server_time));
        Ok(())
    }

    /// Has so many connections open before they are needed: an order does not wait for a handshake with a far venue.
    pub async fn keep_warm(&self, wanted: usize) {
        let missing = {
            let mut lanes = lock(&self.lanes);
            lanes.retain_mut(|lane| lane.is_usable());
            wanted.saturating_sub(lanes.len())
        };
        for _ in 0..missing {
            // Whoever needs one opens it otherwise, and says why it could not.
            let Ok(lane) = self.host.network.line(&self.host.origin).await else { return };
            self.keep(lane);
        }
    }
}

/// What a request holds of the budget until it is over, also when it is given up half way.
struct Weight<'h> {
    host: &'h Host,
    weight: u32,
    settled: bool,
}

impl Weight<'_> {
    fn settle(mut self, reply: Option<&Reply>) {
        self.settled = true;
        self.host.answered(self.weight, reply);
    }
}

impl Drop for Weight<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.host.answered(self.weight, None);
        }
    }
}

/// A reply as the codec reads it.
#[must_use]
pub fn answer(reply: &Reply) -> Answer<'_> {
    Answer { status: reply.status, retry_after: reply.used.retry_after, body: &reply.body }
}

/// Reads a body that came with a status of success.
///
/// # Errors
/// When it is not what was asked for.
pub fn read<'a, T: Deserialize<'a>>(product: Product, body: &'a [u8]) -> Result<T, Failure> {
    outcome::read(product, Answer { status: 200, retry_after: None, body })
}

fn not_sent(why: &str) -> Failure {
    Failure::Busy { code: NOT_SENT, message: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;
    use crate::venues::binance::codec::outcome::Used;

    #[test]
    fn a_ban_is_as_long_as_the_venue_said_whatever_our_clock_is_set_to() {
        let (wall, steady) = (Arc::new(AtomicI64::new(1_000_000)), Arc::new(AtomicI64::new(500)));
        let (ours, even) = (Arc::clone(&wall), Arc::clone(&steady));
        let times = Times {
            now: Arc::new(move || Timestamp::from_millis(ours.load(Ordering::Relaxed))),
            steady: Arc::new(move || Duration::from_millis(even.load(Ordering::Relaxed).unsigned_abs())),
        };
        let host = Host::new(Origin::parse("http://127.0.0.1:1").unwrap(), Product::BinanceUsdm, times, 250);
        let used = Used { retry_after: Some(30), ..Used::default() };
        host.answered(1, Some(&Reply { status: 418, used, body: b"{\"code\":-1003,\"msg\":\"\"}".to_vec() }));
        for set_to in [1_000_000 + 3_600_000, 0] {
            wall.store(set_to, Ordering::Relaxed);
            assert!(host.shut().is_some() && host.take(Purpose::Kill, 1).is_err(), "a clock set to {set_to} ends no ban");
        }
        steady.store(500 + 30_000, Ordering::Relaxed);
        assert_eq!((host.shut(), host.take(Purpose::Market, 1)), (None, Ok(())));
    }
}
