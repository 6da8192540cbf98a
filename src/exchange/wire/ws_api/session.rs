//! What one socket of the WebSocket API remembers: who is logged on, which accounts' events it hears. It begins requests and
//! turns what came of them, and events, into texts; it writes nothing itself.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use futures_util::future::BoxFuture;
use serde_json::json;

use crate::domain::ids::AccountId;
use crate::domain::time::Timestamp;
use crate::exchange::wire::accounts::{Credential, Key};
use crate::exchange::wire::context::{Context, Transport};
use crate::exchange::wire::faults::{Sockets, Spoilt};
use crate::exchange::wire::parameters::Parameters;
use crate::exchange::wire::problem::Problem;
use crate::exchange::wire::route::{Answer, Json, Route, Routes, Security};
use crate::exchange::wire::users::{Heard, UserQueue, UserTicket};
use crate::exchange::wire::venue::{Ask, Proof, Reply, Served, Venue};

use super::frame::{self, Counts, Frame};
use super::{EncodeEvent, End, Opening};

/// "Up to 1,000 active subscriptions", "65,535 total subscriptions".
const ACTIVE_MAX: usize = 1_000;
const LIFETIME_MAX: u32 = 65_535;

const NOT_LOGGED_ON: Problem = Problem::of(-2014, "API-key format invalid.");
const ONLY_ED25519: Problem = Problem::of(-4056, "HMAC_SHA256 API key is not supported.");
const ALREADY_ACTIVE: Problem = Problem::of(-2035, "User Data Stream subscription already active.");
const NOT_ACTIVE: Problem = Problem::of(-2036, "User Data Stream subscription not active.");
const TOO_MANY: Problem = Problem::of(-2042, "Maximum subscription ID reached for this connection.");

/// The socket's own methods. Their rows are counted and admitted as all others; what they do is done here.
static OWN: LazyLock<Routes> = LazyLock::new(|| {
    let row = |path, security| Route::get(path, security, nothing).method(path).weight(2);
    Routes::new([
        row("session.logon", Security::Signed),
        row("session.status", Security::None),
        row("session.logout", Security::None),
        row("session.subscriptions", Security::None),
        row("userDataStream.subscribe", Security::None),
        row("userDataStream.subscribe.signature", Security::Signed),
        row("userDataStream.unsubscribe", Security::None),
    ])
});

/// Their names.
pub(in crate::exchange::wire) fn own_methods() -> impl Iterator<Item = &'static str> {
    OWN.iter().map(|row| row.path)
}

async fn nothing(_: Context, parameters: Parameters) -> Answer {
    parameters.ignore(&["subscriptionId"]);
    parameters.finish()?;
    Ok(Json::empty_object())
}

/// What a request of the socket's own does when it was admitted.
enum Effect {
    None,
    Logon(String),
    Status,
    Logout,
    Subscriptions,
    Subscribe,
    SubscribeSigned(String),
    Unsubscribe(Option<u32>),
}

/// A request that was served.
pub(super) struct Done {
    id: String,
    served: Served,
    effect: Effect,
    rate_limits: bool,
    /// It relied on the logon.
    by_logon: bool,
}

struct Logon {
    key: Arc<Key>,
    since: Timestamp,
}

struct Subscription {
    id: u32,
    ticket: UserTicket,
    /// Ends with the logon.
    by_logon: bool,
}

pub(super) struct Session {
    venue: Arc<Venue>,
    peer: IpAddr,
    microseconds: bool,
    rate_limits: bool,
    encode: EncodeEvent,
    since: Timestamp,
    logon: Option<Logon>,
    subscriptions: Vec<Subscription>,
    next_subscription: u32,
    pub(super) events: UserQueue,
}

impl Session {
    pub(super) fn new(opening: Opening, encode: EncodeEvent) -> Self {
        let Opening { venue, peer, microseconds, rate_limits, .. } = opening;
        Self {
            since: venue.now(),
            venue,
            peer,
            microseconds,
            rate_limits,
            encode,
            logon: None,
            subscriptions: Vec::new(),
            next_subscription: 0,
            events: UserQueue::default(),
        }
    }

    pub(super) fn venue(&self) -> &Arc<Venue> {
        &self.venue
    }

    pub(super) fn is_zombie(&self) -> bool {
        let (faults, now) = (self.venue.faults(), self.venue.true_now());
        let logon = self.logon.as_ref().map(|logon| logon.key.account);
        let is_dead = |one: &Subscription| faults.is_zombie(now, Sockets::User, Some(one.ticket.account()));
        faults.is_zombie(now, Sockets::WsApi, logon) || self.subscriptions.iter().any(is_dead)
    }

    /// Whether it is one of this account's sockets.
    pub(super) fn hears(&self, account: AccountId) -> bool {
        let logged_on = self.logon.as_ref().is_some_and(|logon| logon.key.account == account);
        logged_on || self.subscriptions.iter().any(|subscription| subscription.ticket.account() == account)
    }

    /// A frame on its way, or the refusal of what is none.
    pub(super) fn begin(&self, text: &str) -> Result<BoxFuture<'static, Done>, String> {
        let manners = self.venue.product().manners("/api/");
        let mut frame = Frame::parse(text, manners).map_err(|wrong| self.refuse(&wrong.id, wrong.problem))?;
        if let Some(plain) = frame.method.strip_prefix("v3/").filter(|plain| OWN.method(plain).is_some()) {
            frame.method = plain.to_owned();
        }
        let own = OWN.method(&frame.method).filter(|_| self.has_own(&frame.method));
        let Some(route) = own.or_else(|| self.venue.routes().method(&frame.method)).cloned() else {
            return Err(self.refuse(&frame.id, Problem::invalid("method")));
        };
        let Frame { id, method, parameters } = frame;
        let rate_limits = match parameters.boolean("returnRateLimits") {
            Ok(wanted) => wanted.unwrap_or(self.rate_limits),
            Err(problem) => return Err(self.refuse(&id, problem)),
        };
        let effect = effect(&method, &parameters).map_err(|problem| self.refuse(&id, problem))?;
        let asks_key = route.security != Security::None;
        let api_key = if asks_key { parameters.get("apiKey").map(str::to_owned) } else { None };
        let logon = self.logon.as_ref().filter(|_| api_key.is_none() && asks_key && !matches!(effect, Effect::Logon(_)));
        if asks_key && api_key.is_none() && logon.is_none() {
            return Err(self.refuse(&id, Problem::missing("apiKey")));
        }
        let by_logon = logon.is_some();
        let proof = logon.map_or(Proof::Frame, |logon| Proof::Session(Arc::clone(&logon.key)));
        let (peer, microseconds) = (self.peer, self.microseconds);
        let ask = Ask { route, parameters, api_key, proof, peer, transport: Transport::WebSocketApi, microseconds };
        let venue = Arc::clone(&self.venue);
        Ok(Box::pin(async move {
            let served = venue.serve(ask).await;
            Done { id, served, effect, rate_limits, by_logon }
        }))
    }

    /// User streams over the WebSocket API are spot's; USD-M has listen keys.
    fn has_own(&self, method: &str) -> bool {
        self.venue.product().is_spot() || (method.starts_with("session.") && method != "session.subscriptions")
    }

    fn refuse(&self, id: &str, problem: Problem) -> String {
        let (now, rules) = (self.venue.now(), self.venue.product().limits());
        let used_weight = self.venue.limits().used(self.venue.true_now(), self.peer);
        let limits = self.rate_limits.then_some((&rules, Counts { used_weight, orders: None }));
        frame::answer(id, &Err(problem), now, limits)
    }

    /// The answer, and what it leads to.
    ///
    /// # Errors
    /// When a fault wants the socket to end instead.
    pub(super) fn finish(&mut self, done: Done) -> Result<Vec<String>, End> {
        let Done { id, served, effect, rate_limits, by_logon } = done;
        let Served { reply, used_weight, orders } = served;
        let answer = match reply {
            Reply::Answer(answer) => answer,
            Reply::Spoilt(Spoilt::Problem(problem), _) => Err(problem),
            Reply::Spoilt(Spoilt::Page(status), _) => Err(Problem::UNKNOWN.with_status(status)),
            Reply::Spoilt(Spoilt::Silence, _) => return Ok(Vec::new()),
            Reply::Spoilt(Spoilt::HangUp, _) => return Err(End::Gone),
            Reply::Spoilt(Spoilt::Garbage, _) => return Ok(vec![format!("{{\"id\":{id},\"sta")]),
        };
        let (now, mut notices) = (self.venue.now(), Vec::new());
        let answer = answer.and_then(|json| self.take_effect(now, effect, json, &mut notices));
        let mut id = id;
        if by_logon && answer.as_ref().is_err_and(|problem| *problem == Problem::KEY_REFUSED) && self.is_revoked() {
            // The key was taken away: the session is nobody's now.
            self.end_logon(&mut notices);
            "null".clone_into(&mut id);
        }
        let rules = self.venue.product().limits();
        let limits = rate_limits.then_some((&rules, Counts { used_weight, orders }));
        let mut texts = vec![frame::answer(&id, &answer, now, limits)];
        texts.append(&mut notices);
        Ok(texts)
    }

    fn is_revoked(&self) -> bool {
        self.logon.as_ref().is_some_and(|logon| self.venue.keys().find(&logon.key.api_key).is_none())
    }

    fn take_effect(&mut self, now: Timestamp, effect: Effect, json: Json, notices: &mut Vec<String>) -> Answer {
        match effect {
            Effect::None => Ok(json),
            Effect::Logon(api_key) => self.log_on(now, &api_key),
            Effect::Status => Ok(self.status(now)),
            Effect::Logout => {
                self.end_logon(notices);
                Ok(self.status(now))
            }
            Effect::Subscriptions => {
                let ids: Vec<_> = self.subscriptions.iter().map(|one| json!({ "subscriptionId": one.id })).collect();
                Json::of(&ids)
            }
            Effect::Subscribe => {
                let account = self.logon.as_ref().ok_or(NOT_LOGGED_ON)?.key.account;
                self.subscribe(account, true)
            }
            Effect::SubscribeSigned(api_key) => {
                let account = self.venue.keys().find(&api_key).ok_or(Problem::KEY_REFUSED)?.account;
                self.subscribe(account, false)
            }
            Effect::Unsubscribe(id) => self.unsubscribe(id, notices),
        }
    }

    fn log_on(&mut self, now: Timestamp, api_key: &str) -> Answer {
        let keys = self.venue.keys();
        let key = keys.find(api_key).ok_or(Problem::KEY_REFUSED)?;
        if matches!(key.credential, Credential::Hmac(_)) {
            return Err(ONLY_ED25519);
        }
        self.logon = Some(Logon { key: Arc::clone(key), since: now });
        Ok(self.status(now))
    }

    fn status(&self, now: Timestamp) -> Json {
        let stream = if self.venue.product().is_spot() { json!(!self.subscriptions.is_empty()) } else { json!(null) };
        json!({
            "apiKey": self.logon.as_ref().map(|logon| &logon.key.api_key),
            "authorizedSince": self.logon.as_ref().map(|logon| logon.since.as_millis()),
            "connectedSince": self.since.as_millis(),
            "returnRateLimits": self.rate_limits,
            "serverTime": now.as_millis(),
            "userDataStream": stream,
        })
        .into()
    }

    fn subscribe(&mut self, account: AccountId, by_logon: bool) -> Answer {
        if self.subscriptions.iter().any(|one| one.ticket.account() == account) {
            return Err(ALREADY_ACTIVE);
        }
        if self.subscriptions.len() >= ACTIVE_MAX || self.next_subscription >= LIFETIME_MAX {
            return Err(TOO_MANY);
        }
        let id = self.next_subscription;
        self.next_subscription += 1;
        let ticket = self.events.listen(self.venue.users(), account, id);
        self.subscriptions.push(Subscription { id, ticket, by_logon });
        Ok(json!({ "subscriptionId": id }).into())
    }

    fn unsubscribe(&mut self, id: Option<u32>, notices: &mut Vec<String>) -> Answer {
        if id.is_some_and(|id| !self.subscriptions.iter().any(|one| one.id == id)) {
            return Err(NOT_ACTIVE);
        }
        self.end_subscriptions(|one| id.is_none_or(|id| one.id == id), notices);
        Ok(Json::empty_object())
    }

    fn end_logon(&mut self, notices: &mut Vec<String>) {
        self.logon = None;
        self.end_subscriptions(|one| one.by_logon, notices);
    }

    fn end_subscriptions(&mut self, which: impl Fn(&Subscription) -> bool, notices: &mut Vec<String>) {
        let event = format!("{{\"e\":\"eventStreamTerminated\",\"E\":{}}}", self.time(self.venue.now()));
        self.subscriptions.retain(|one| {
            if which(one) {
                notices.push(frame::event(one.id, &event));
            }
            !which(one)
        });
    }

    /// What a subscription has to say. Events of one that has ended meanwhile are nobody's.
    pub(super) fn event(&self, (id, heard): &(u32, Heard)) -> Vec<String> {
        if !self.subscriptions.iter().any(|one| one.id == *id) {
            return Vec::new();
        }
        match heard {
            Heard::Report(report) => (self.encode)(report, self.microseconds).iter().map(|event| frame::event(*id, event)).collect(),
            Heard::Corrupt => vec![format!("{{\"subscriptionId\":{id},\"event\":{{\"e\":\"executionRep")],
            Heard::Unknown => vec![frame::event(*id, &format!("{{\"e\":\"unheardOf\",\"E\":{}}}", self.time(self.venue.now())))],
        }
    }

    pub(super) fn shutdown_notice(&self) -> String {
        format!("{{\"event\":{{\"e\":\"serverShutdown\",\"E\":{}}}}}", self.time(self.venue.now()))
    }

    const fn time(&self, at: Timestamp) -> i64 {
        if self.microseconds { at.0.div_euclid(1_000) } else { at.as_millis() }
    }
}

fn effect(method: &str, parameters: &Parameters) -> Result<Effect, Problem> {
    let api_key = || parameters.required("apiKey").map(str::to_owned);
    Ok(match method {
        "session.logon" => Effect::Logon(api_key()?),
        "session.status" => Effect::Status,
        "session.logout" => Effect::Logout,
        "session.subscriptions" => Effect::Subscriptions,
        "userDataStream.subscribe" => Effect::Subscribe,
        "userDataStream.subscribe.signature" => Effect::SubscribeSigned(api_key()?),
        "userDataStream.unsubscribe" => Effect::Unsubscribe(parameters.integer("subscriptionId")?),
        _ => Effect::None,
    })
}
