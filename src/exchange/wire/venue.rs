//! One product on the wire: what its requests share (keys, limits, clock, engine), and the one way that every request takes,
//! whichever door it came through: counted, admitted, answered.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ids::AccountId;
use crate::domain::instrument::InstrumentKind;
use crate::domain::time::Timestamp;
use crate::exchange::shell::{Clock, ExchangeHandle};

use super::accounts::{Key, Keys, Permission};
use super::auth::{self, Freshness};
use super::context::{Context, Transport};
use super::limits::{LimitRules, Limits};
use super::parameters::{Manners, Parameters};
use super::problem::Problem;
use super::route::{Answer, Route, Routes, Security};

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

/// An answer with what it cost.
pub struct Served {
    pub answer: Answer,
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
    keys: Arc<Keys>,
    routes: Routes,
    limits: Mutex<Limits>,
}

/// What a venue is made of.
pub struct VenueConfig {
    pub product: Product,
    pub exchange: ExchangeHandle,
    pub clock: Clock,
    pub keys: Arc<Keys>,
    pub limits: LimitRules,
    pub routes: Routes,
}

impl Venue {
    #[must_use]
    pub fn new(config: VenueConfig) -> Self {
        let VenueConfig { product, exchange, clock, keys, limits, routes } = config;
        Self { product, exchange, clock, keys, routes, limits: Mutex::new(Limits::new(limits)) }
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
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The time as the exchange tells it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Held for one count, never across an await; a panic while it was held leaves numbers, so poison is no news.
    pub fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts, admits and answers a request.
    pub async fn serve(self: &Arc<Self>, ask: Ask) -> Served {
        let now = self.now();
        let counted = self.limits().request(now, ask.peer, ask.route.weight.of(&ask.parameters));
        if let Err(problem) = counted {
            return self.served(now, &ask.route, ask.peer, None, Err(problem));
        }
        let (route, peer) = (Arc::clone(&ask.route), ask.peer);
        match self.admit(now, &ask) {
            Ok((key, freshness)) => {
                let account = key.as_ref().map(|key| key.account);
                let answer = self.carry_out(now, ask, key, freshness).await;
                self.served(now, &route, peer, account, answer)
            }
            Err(problem) => self.served(now, &route, peer, None, Err(problem)),
        }
    }

    fn served(&self, now: Timestamp, route: &Route, peer: IpAddr, account: Option<AccountId>, answer: Answer) -> Served {
        let mut limits = self.limits();
        let extra = if answer.is_err() { route.weight_of_failure } else { 0 };
        let used_weight = limits.add(now, peer, extra);
        let counts = !matches!(route.orders, super::route::Amount::Fixed(0));
        let orders = account.filter(|_| counts).map(|account| limits.orders(now, account));
        Served { answer, used_weight, orders }
    }

    /// Who asks, and whether they may.
    fn admit(&self, now: Timestamp, ask: &Ask) -> Result<(Option<Arc<Key>>, Option<Freshness>), Problem> {
        let permission = match ask.route.security {
            Security::None => return Ok((None, None)),
            Security::Key | Security::Signed => Permission::Reading,
            Security::Trade => self.product.trading(),
        };
        if ask.route.security == Security::Key {
            let key = self.key(ask, permission)?;
            return Ok((Some(key), None));
        }
        let freshness = Freshness::read(&ask.parameters)?;
        if let Proof::Session(_) = &ask.proof {
            let key = self.key(ask, permission)?;
            freshness.check(now)?;
            return Ok((Some(key), Some(freshness)));
        }
        let signature = ask.parameters.required("signature")?;
        let key = self.key(ask, permission)?;
        freshness.check(now)?;
        match &ask.proof {
            Proof::Http { query, body } => auth::verify(&key, &[&auth::unsigned(query), &auth::unsigned(body)], signature)?,
            Proof::Frame => auth::verify(&key, &[auth::frame_payload(&ask.parameters).as_bytes()], signature)?,
            Proof::Session(_) => {}
        }
        Ok((Some(key), Some(freshness)))
    }

    fn key(&self, ask: &Ask, permission: Permission) -> Result<Arc<Key>, Problem> {
        match &ask.proof {
            Proof::Session(key) if key.permissions.allow(permission, ask.peer) => Ok(Arc::clone(key)),
            Proof::Session(_) => Err(Problem::KEY_REFUSED),
            _ => auth::admit(&self.keys, ask.api_key.as_deref(), permission, ask.peer).cloned(),
        }
    }

    async fn carry_out(self: &Arc<Self>, now: Timestamp, ask: Ask, key: Option<Arc<Key>>, freshness: Option<Freshness>) -> Answer {
        let orders = ask.route.orders.of(&ask.parameters);
        let account = key.as_ref().map(|key| key.account);
        if let Some(account) = account.filter(|_| orders > 0) {
            self.limits().reserve(now, account, orders)?;
        }
        let context = Context {
            venue: Arc::clone(self),
            key,
            peer: ask.peer,
            now,
            transport: ask.transport,
            microseconds: ask.microseconds && self.product.is_spot(),
            freshness,
        };
        let answer = ask.route.handle(context, ask.parameters).await;
        if let (Err(_), Some(account), false) = (&answer, account, ask.route.counts_refused) {
            self.limits().give_back(now, account, orders);
        }
        answer
    }
}
