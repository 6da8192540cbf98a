//! The venue's door in virtual time: a request's bytes as the adapter wrote them are read, served by the exchange's own handlers,
//! and its answer is what the exchange would have written. It knows no fault and no time.

use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::domain::ids::ClientOrderId;
use crate::exchange::wire::{Ask, Found, Parameters, Problem, Reply, Venue, Verb};
use crate::venues::binance::codec::outcome::Used;
use crate::venues::binance::trading::lane;

/// What a request is about, as far as faults choose by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    Place,
    Cancel,
    Query,
    /// Lists, positions, balances.
    Read,
    Clock,
    ListenKey,
    Other,
}

/// A request's first line and its key.
pub struct Head<'a> {
    verb: &'a str,
    path: &'a str,
    query: &'a str,
    pub key: Option<&'a str>,
}

impl<'a> Head<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        // The adapter writes nothing but ASCII.
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (verb, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key = lines.find_map(|line| line.strip_prefix("X-MBX-APIKEY: "));
        Self { verb, path, query, key }
    }

    pub fn kind(&self) -> RequestKind {
        let is_order = self.path.ends_with("/order") || self.path.ends_with("/algoOrder");
        match (self.verb, is_order) {
            ("POST", true) => RequestKind::Place,
            ("GET", true) => RequestKind::Query,
            ("DELETE", _) => RequestKind::Cancel,
            _ if self.path.ends_with("/time") => RequestKind::Clock,
            _ if self.path.ends_with("/listenKey") => RequestKind::ListenKey,
            ("GET", _) => RequestKind::Read,
            _ => RequestKind::Other,
        }
    }

    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The name that the order has here.
    pub fn order_id(&self) -> Option<ClientOrderId> {
        let names = ["newClientOrderId", "clientAlgoId", "origClientOrderId"];
        names.iter().find_map(|name| ClientOrderId::new(self.value(name)?).ok())
    }
}

/// What the exchange answered.
pub struct Served {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub body: String,
    /// The venue's code, where it refused.
    pub code: Option<i32>,
    pub used_weight: Option<u32>,
}

impl Served {
    pub fn refused(problem: &Problem, retry_after: Option<u64>) -> Self {
        let Problem { status, code, .. } = *problem;
        Self { status, retry_after, body: problem.body(), code: Some(code), used_weight: None }
    }

    /// What a gateway says when nothing is behind it.
    pub fn page(status: u16) -> Self {
        let body = format!("<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>");
        Self { status, retry_after: None, body, code: None, used_weight: None }
    }

    pub fn into_reply(self) -> lane::Reply {
        let used = Used { weight_1m: self.used_weight, retry_after: self.retry_after, ..Used::default() };
        lane::Reply { status: self.status, used, body: self.body.into_bytes() }
    }
}

/// Serves a request as it came.
pub fn serve(venue: &Arc<Venue>, bytes: &[u8]) -> Served {
    let head = Head::of(bytes);
    let Found::Route(route) = venue.routes().find(head.path, head.verb.parse::<Verb>().ok()) else {
        return Served::refused(&Problem::unknown_path(head.path, head.verb), None);
    };
    let parameters = match Parameters::parse(venue.product().manners(route.path), head.query.as_bytes(), b"") {
        Ok(parameters) => parameters,
        Err(problem) => return Served::refused(&problem, None),
    };
    let ask = Ask::carried(Arc::clone(route), parameters, head.key, head.query);
    // Invariant: an exchange without a thread has answered when it is asked.
    let served = venue.serve(ask).now_or_never().expect("invariant: an exchange without a thread answers at once");
    let answer = match served.reply {
        Reply::Answer(Ok(json)) => Served { status: 200, retry_after: None, body: json.into_string(), code: None, used_weight: None },
        Reply::Answer(Err(problem)) => Served::refused(&problem, problem.retry_after(venue.now())),
        Reply::Spoilt(..) => Served::page(502),
    };
    Served { used_weight: Some(served.used_weight), ..answer }
}
