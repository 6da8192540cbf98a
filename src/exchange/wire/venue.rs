//! One product on the wire: what its requests share (keys, limits, clock, engine), and the one way that every request takes,
//! whichever door it came through: counted, admitted, answered.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::time::sleep;

use crate::domain::ids::AccountId;
use crate::domain::instrument::InstrumentKind;
use crate::domain::time::Timestamp;
use crate::exchange::shell::{Clock, ExchangeHandle};

use super::accounts::{Key, Keys, Permission};
use super::auth::{self, Freshness};
use super::context::{Context, Transport};
use super::faults::{FaultDesk, RequestFate, Scope, Spoilt};
use super::limits::{LimitRules, Limits};
use super::parameters::{Manners, Parameters};
use super::problem::Problem;
use super::route::{Answer, Route, Routes, Security};
use super::users::UserHub;

/// Whose rules USD-M goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    #[default]
    Binance,
    /// Conditional orders on `/order`, unrouted sockets.
    Aster,
}

/// What is traded, and in which venue's manner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    pub kind: InstrumentKind,
    pub dialect: Dialect,
}

impl Product {
    pub const SPOT: Self = Self { kind: InstrumentKind::Spot, dialect: Dialect::Binance };
    pub const USDM: Self = Self { kind: InstrumentKind::Perpetual, dialect: Dialect::Binance };

    #[must_use]
    pub fn is_spot(self) -> bool {
        self.kind == InstrumentKind::Spot
    }

    /// How parameters of this address are read.
    #[must_use]
    pub fn manners(self, path: &str) -> Manners {
        if self.is_spot() && path.starts_with("/api/") { Manners::Strict } else { Manners::Lenient }
    }

    /// The path of its WebSocket API.
    #[must_use]
    pub const fn ws_api_path(self) -> &'static str {
        match self.kind {
            InstrumentKind::Spot => "/ws-api/v3",
            InstrumentKind::Perpetual => "/ws-fapi/v1",
        }
    }

    #[must_use]
    pub const fn limits(self) -> LimitRules {
        match self.kind {
            InstrumentKind::Spot => LimitRules::spot(),
            InstrumentKind::Perpetual => LimitRules::usdm(),
        }
    }

    fn trading(self) -> Permission {
        if self.is_spot() { Permission::SpotTrading } else { Permission::Futures }
    }
}

/// What proves that a request is its key's.
pub enum Proof {
    /// The raw query string and body; the signature is among the parameters.
    Http { query: Vec<u8>, body: Vec<u8> },
    /// The signature is among the frame's parameters.
    Frame,
    /// The connection is logged on with this key, and the frame brought none.
    Session(Arc<Key>),
}

/// A request on its way in.
pub struct Ask {
    pub route: Arc<Route>,
    pub parameters: Parameters,
    pub api_key: Option<String>,
    pub proof: Proof,
    pub peer: IpAddr,
    pub transport: Transport,
    pub microseconds: bool,
}

impl Ask {
    /// One that was carried here without HTTP, as if from this machine: what stands in its query is all that it has.
    #[must_use]
    pub fn carried(route: Arc<Route>, parameters: Parameters, api_key: Option<&str>, query: &str) -> Self {
        Self {
            route,
            parameters,
            api_key: api_key.map(str::to_owned),
            proof: Proof::Http { query: query.as_bytes().to_vec(), body: Vec::new() },
            peer: Ipv4Addr::LOCALHOST.into(),
            transport: Transport::Http,
            microseconds: false,
        }
    }
}

/// What goes back to the client.
#[derive(Debug)]
pub enum Reply {
    Answer(Answer),
    /// Not the exchange's own: a fault.
    Spoilt(Spoilt, Answer),
}

/// An answer with what it cost.
pub struct Served {
    pub reply: Reply,
    /// What the address has used in this minute.
    pub used_weight: u32,
    /// The account's orders an interval, where the request counts as one.
    pub orders: Option<[u32; 2]>,
}

/// One product.
pub struct Venue {
    product: Product,
    exchange: ExchangeHandle,
    clock: Clock,
    keys: ArcSwap<Keys>,
    routes: Routes,
    limits: Mutex<Limits>,
    faults: FaultDesk,
    users: UserHub,
}

/// What a venue is made of.
pub struct VenueConfig {
    pub product: Product,
    pub exchange: ExchangeHandle,
    pub clock: Clock,
    pub keys: Keys,
    pub limits: LimitRules,
    pub routes: Routes,
}

impl Venue {
    #[must_use]
    pub fn new(config: VenueConfig) -> Self {
        let VenueConfig { product, exchange, clock, keys, limits, routes } = config;
        Self {
            faults: FaultDesk::new(product.is_spot()),
            users: UserHub::default(),
            limits: Mutex::new(Limits::new(limits)),
            keys: ArcSwap::from_pointee(keys),
            product,
            exchange,
            clock,
            routes,
        }
    }

    #[must_use]
    pub const fn product(&self) -> Product {
        self.product
    }

    #[must_use]
    pub const fn exchange(&self) -> &ExchangeHandle {
        &self.exchange
    }

    #[must_use]
    pub const fn routes(&self) -> &Routes {
        &self.routes
    }

    #[must_use]
    pub fn keys(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// Replaces the keys: accounts come and go while the exchange runs.
    pub fn set_keys(&self, keys: Keys) {
        self.keys.store(Arc::new(keys));
    }

    #[must_use]
    pub const fn faults(&self) -> &FaultDesk {
        &self.faults
    }

    #[must_use]
    pub const fn users(&self) -> &UserHub {
        &self.users
    }

    /// The time as the wire tells it: the exchange's, unless a fault skews it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.faults.skewed(self.true_now())
    }

    /// The time that the engine and the faults themselves go by.
    #[must_use]
    pub fn true_now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Held for one count, never across an await; a panic while it was held leaves numbers, so poison is no news.
    pub fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts, admits and answers a request.
    pub async fn serve(self: &Arc<Self>, ask: Ask) -> Served {
        let now = self.now();
        let (route, peer) = (Arc::clone(&ask.route), ask.peer);
        let counted = self.limits().request(self.true_now(), peer, route.weight.of(&ask.parameters));
        if let Err(problem) = counted {
            return self.served(&route, peer, None, Reply::Answer(Err(problem)));
        }
        let account = self.owner(&ask).map(|key| key.account);
        let fate = self.fate(&ask, account);
        if !fate.delay_before.is_zero() {
            sleep(fate.delay_before).await;
        }
        if let Some(spoilt) = fate.before {
            return self.served(&route, peer, account, Reply::Spoilt(spoilt, Err(Problem::UNKNOWN)));
        }
        let answer = match self.admit(self.now(), &ask) {
            Ok(admitted) => self.carry_out(now, ask, admitted, fate.stale).await,
            Err(problem) => Err(problem),
        };
        if !fate.delay_after.is_zero() {
            sleep(fate.delay_after).await;
        }
        let reply = match fate.after {
            Some(spoilt) => Reply::Spoilt(spoilt, answer),
            None => Reply::Answer(answer),
        };
        self.served(&route, peer, account, reply)
    }

    fn fate(&self, ask: &Ask, account: Option<AccountId>) -> RequestFate {
        let symbol = ask.parameters.iter().find(|(name, _)| *name == "symbol").map(|(_, value)| value);
        let scope = Scope { account, verb: ask.route.verb.into(), path: ask.route.path, methods: &ask.route.methods, symbol };
        self.faults.request(self.true_now(), &scope)
    }

    /// A problem as the wire's clock tells it: limits and faults go by the engine's.
    #[must_use]
    pub fn on_the_wire(&self, problem: Problem) -> Problem {
        let (true_now, now) = (self.true_now(), self.now());
        let told = |at: Timestamp| Timestamp(at.0.saturating_add(now.0.saturating_sub(true_now.0)));
        Problem { retry_at: problem.retry_at.map(told), ..problem }
    }

    /// At the time that it is by now: a request may have taken minutes.
    fn served(&self, route: &Route, peer: IpAddr, account: Option<AccountId>, reply: Reply) -> Served {
        let reply = match reply {
            Reply::Answer(answer) => Reply::Answer(answer.map_err(|problem| self.on_the_wire(problem))),
            Reply::Spoilt(Spoilt::Problem(problem), answer) => Reply::Spoilt(Spoilt::Problem(self.on_the_wire(problem)), answer),
            other => other,
        };
        let (now, mut limits) = (self.true_now(), self.limits());
        let failed = matches!(reply, Reply::Answer(Err(_)) | Reply::Spoilt(..));
        let used_weight = limits.add(now, peer, if failed { route.weight_of_failure } else { 0 });
        let orders = account.filter(|_| route.counts_orders()).map(|account| limits.orders(now, account));
        Served { reply, used_weight, orders }
    }

    /// Holds a new order against rules that are not the engine's.
    ///
    /// # Errors
    /// The venue's, for the first rule that it breaks.
    pub(super) fn check_listing(&self, parameters: &Parameters) -> Result<(), Problem> {
        let listings = self.faults.listings();
        if listings.is_empty() {
            return Ok(());
        }
        let symbol = parameters.optional_symbol()?;
        symbol.and_then(|symbol| listings.get(&symbol)).map_or(Ok(()), |listing| listing.check(parameters, self.product.is_spot()))
    }

    /// Whose key it is, whether or not it is theirs to use.
    fn owner(&self, ask: &Ask) -> Option<Arc<Key>> {
        match &ask.proof {
            Proof::Session(key) => Some(Arc::clone(key)),
            _ => self.keys.load().find(ask.api_key.as_deref()?).cloned(),
        }
    }

    /// Who asks, and whether they may.
    fn admit(&self, now: Timestamp, ask: &Ask) -> Result<Admitted, Problem> {
        let permission = match ask.route.security {
            Security::None => return Ok(Admitted::default()),
            Security::Key | Security::Signed => Permission::Reading,
            Security::Trade => self.product.trading(),
        };
        if ask.route.security == Security::Key {
            return Ok(Admitted { key: Some(self.key(ask, permission)?), freshness: None });
        }
        let freshness = Freshness::read(&ask.parameters)?;
        let signature = match &ask.proof {
            Proof::Session(_) => "",
            _ => ask.parameters.required("signature")?,
        };
        let key = self.key(ask, permission)?;
        freshness.check(now)?;
        match &ask.proof {
            Proof::Http { query, body } => auth::verify(&key, &[&auth::unsigned(query), &auth::unsigned(body)], signature)?,
            Proof::Frame => auth::verify(&key, &[auth::frame_payload(&ask.parameters).as_bytes()], signature)?,
            // The logon was signed.
            Proof::Session(_) => {}
        }
        Ok(Admitted { key: Some(key), freshness: Some(freshness) })
    }

    fn key(&self, ask: &Ask, permission: Permission) -> Result<Arc<Key>, Problem> {
        let keys = self.keys.load();
        let api_key = match &ask.proof {
            // Asked again, as it may have been taken away.
            Proof::Session(key) => Some(key.api_key.as_str()),
            _ => ask.api_key.as_deref(),
        };
        auth::admit(&keys, api_key, permission, ask.peer).cloned()
    }

    async fn carry_out(self: &Arc<Self>, now: Timestamp, ask: Ask, admitted: Admitted, stale: bool) -> Answer {
        let orders = ask.route.orders.of(&ask.parameters);
        if orders > 0 {
            self.check_listing(&ask.parameters)?;
        }
        let (account, counted_at) = (admitted.key.as_ref().map(|key| key.account), self.true_now());
        if let Some(account) = account.filter(|_| orders > 0) {
            self.limits().reserve(counted_at, account, orders)?;
        }
        let context = Context {
            venue: Arc::clone(self),
            key: admitted.key,
            peer: ask.peer,
            now,
            transport: ask.transport,
            microseconds: ask.microseconds && self.product.is_spot(),
            freshness: admitted.freshness,
            stale: if stale { self.faults.stale() } else { None },
        };
        let answer = ask.route.handle(context, ask.parameters).await;
        if let (Err(_), Some(account), false) = (&answer, account, ask.route.counts_refused) {
            self.limits().take_out(counted_at, account, orders);
        }
        answer
    }
}

/// Who was let in.
#[derive(Default)]
struct Admitted {
    key: Option<Arc<Key>>,
    freshness: Option<Freshness>,
}
