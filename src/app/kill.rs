//! `ringfence kill`: everything that the daemon's kill switch would do, from a process that shares nothing with it but the settings,
//! the keys and the latch. A daemon that runs is told to halt and is not waited for; no journal is opened; each account is its own
//! bulkhead. What is sent and when an account counts as empty `domain/emptying` decides.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::places::{EMBEDDED_WEIGHT, described, product_of};
use super::{keys, listing};
use crate::api::Endpoint;
use crate::cli::{AccountKilled, Failure, KillOptions, KillReport};
use crate::domain::emptying::{Emptied, Emptying, Next, Wanted};
use crate::domain::instrument::Instrument;
use crate::domain::mode::{Mode, Scope};
use crate::domain::order::{NewOrder, TradesWanted, VenueCommand, VenueEvent, VenueSnapshot};
use crate::domain::time::Timestamp;
use crate::settings::{AccountSpec, Bases, Settings, VenueKind, VenueSpec};
use crate::store::{HaltedScope, Latch, wall_clock};
use crate::venues::binance::sign::Credentials;
use crate::venues::binance::trading::account::{Account, AccountParts};
use crate::venues::binance::trading::caller::{Host, Times};
use crate::venues::binance::trading::lane::Origin;
use crate::venues::binance::trading::setup::Wanted as Standing;
use crate::venues::binance::trading::socket::StreamBases;
use crate::venues::binance::trading::venue::BinanceVenue;
use crate::venues::port::{Gate, Venue};

/// A daemon that is well answers within milliseconds; one that is not is not waited for.
const HALT_WITHIN: Duration = Duration::from_secs(1);
/// What a venue lists: without it, what the settings say of a symbol is gone by.
const LIST_WITHIN: Duration = Duration::from_secs(3);
/// One question, of several requests: a venue of a second a request is slow, and no answer in that time is none.
const ANSWER: Duration = Duration::from_secs(6);
/// Between a command and the look at what it did.
const LOOK_AFTER: Duration = Duration::from_millis(100);
/// Between two tries of a venue that does not answer.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// A venue takes an order so much later than its window says.
const VENUE_TOLERANCE: Duration = Duration::from_secs(1);
/// A disk that does not take the latch in this time is sick; the venues were asked meanwhile.
const LATCH_WITHIN: Duration = Duration::from_secs(5);

/// Whatever is sent here is what a halt is for.
struct Open;

impl Gate for Open {
    fn enter(&self, _: &NewOrder) -> Option<Box<dyn Send>> {
        Some(Box::new(()))
    }
}

/// # Errors
/// When the system gives no runtime; everything else is in the report.
pub fn run(options: &KillOptions) -> Result<KillReport, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let report = runtime.block_on(kill(options));
    // A disk that hangs must not keep the report from being printed.
    runtime.shutdown_background();
    Ok(report)
}

async fn kill(options: &KillOptions) -> KillReport {
    let scopes = scopes(options);
    let daemon = match scopes.as_slice() {
        [] => "not told".to_owned(),
        scopes => timeout(HALT_WITHIN, halt_daemon(options, scopes))
            .await
            .unwrap_or_else(|_| format!("no answer within {HALT_WITHIN:?}; it may be alive and hang")),
    };
    let latched = timeout(LATCH_WITHIN, latch(options, scopes));
    let (latched, accounts) = tokio::join!(latched, empty_all(options));
    let (is_latched, latch) = latched.unwrap_or_else(|_| (false, format!("NOT WRITTEN: the disk did not take it within {LATCH_WITHIN:?}")));
    let verified = is_latched && accounts.iter().all(|account| account.verified);
    KillReport { accounts, daemon, latch, verified }
}

/// What is halted: none where nothing is to be latched, and none where no halt is that narrow.
fn scopes(options: &KillOptions) -> Vec<Scope> {
    match options.symbol {
        _ if !options.latch => Vec::new(),
        Some(symbol) if options.everything => vec![Scope::Symbol(symbol)],
        Some(_) => Vec::new(),
        None if options.everything => vec![Scope::Global],
        None => options.accounts.iter().map(|account| Scope::Account(account.id)).collect(),
    }
}

/// What a running daemon said to the halt.
async fn halt_daemon(options: &KillOptions, scopes: &[Scope]) -> String {
    let endpoint = match Endpoint::read(&options.settings.daemon.data_dir) {
        Ok(endpoint) => endpoint,
        Err(_) => return "none was found".to_owned(),
    };
    // A proxy from the environment has no business between a command and a daemon on this machine.
    let Ok(http) = reqwest::Client::builder().no_proxy().build() else { return "not told: no HTTP client".to_owned() };
    for scope in scopes {
        let body = json!({ "scope": scope, "by": options.by, "reason": options.reason });
        let asked = http.post(format!("{}/admin/halt", endpoint.url)).bearer_auth(&endpoint.token).json(&body).send().await;
        match asked {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => return format!("refused to halt {scope}: status {}", answer.status()),
            Err(error) if error.is_connect() => return "none runs".to_owned(),
            Err(error) => return format!("not told: {error}"),
        }
    }
    "halted".to_owned()
}

/// Adds to what is latched already. Whether that went well, and the words for it.
async fn latch(options: &KillOptions, scopes: Vec<Scope>) -> (bool, String) {
    if scopes.is_empty() {
        let why = if options.latch { "none: no halt covers one symbol of some accounts" } else { "none, as you said" };
        return (true, format!("{why}; a running daemon may place new orders"));
    }
    let data_dir = options.settings.daemon.data_dir.clone();
    let cause = format!("kill by {}: {}", options.by, options.reason);
    let by = options.by.clone();
    let shown: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    let written = tokio::task::spawn_blocking(move || write_latch(&data_dir, &scopes, &cause, &by)).await;
    match written {
        Ok(Ok(())) => (true, format!("{} halted; a daemon comes up so until `ringfence resume`", shown.join(", "))),
        Ok(Err(why)) => (false, format!("NOT WRITTEN: {why}")),
        Err(error) => (false, format!("NOT WRITTEN: {error}")),
    }
}

fn write_latch(data_dir: &Path, scopes: &[Scope], cause: &str, by: &str) -> Result<(), String> {
    std::fs::create_dir_all(data_dir).map_err(|error| format!("{}: {error}", data_dir.display()))?;
    let (latch, now) = (Latch::new(data_dir), wall_clock());
    let mut state = latch.load(now);
    for scope in scopes {
        // One that was halted before keeps its cause.
        if !state.halted.iter().any(|held| held.scope == *scope && held.mode == Mode::Halted) {
            state.halted.retain(|held| held.scope != *scope);
            let (cause, by) = (cause.to_owned(), Some(by.to_owned()));
            state.halted.push(HaltedScope { scope: *scope, mode: Mode::Halted, since: now, cause, by });
        }
    }
    latch.store(&state).map(drop).map_err(|error| error.to_string())
}

/// The hosts of all accounts, one budget for each address.
#[derive(Default)]
struct Hosts(BTreeMap<String, Arc<Host>>);

impl Hosts {
    fn at(&mut self, bases: &Bases, venue: &VenueSpec, times: &Times) -> Result<Arc<Host>, String> {
        if let Some(host) = self.0.get(&bases.rest) {
            return Ok(Arc::clone(host));
        }
        let origin = Origin::parse(&bases.rest).map_err(|error| error.to_string())?;
        // Nothing is kept for anybody else: whoever asks here is who it is kept for.
        let host = Host::new(origin, product_of(venue.kind), times.clone(), 0);
        if venue.is_embedded() {
            host.fix_weight_limit(EMBEDDED_WEIGHT);
        }
        self.0.insert(bases.rest.clone(), Arc::clone(&host));
        Ok(host)
    }
}

#[allow(clippy::disallowed_methods, reason = "the steady clock is the machine's own time")]
async fn empty_all(options: &KillOptions) -> Vec<AccountKilled> {
    let origin = Instant::now();
    let times = Times { now: Arc::new(wall_clock), steady: Arc::new(move || origin.elapsed()) };
    let mut hosts = Hosts::default();
    let ways: Vec<_> = options.accounts.iter().map(|spec| (spec, way(&options.settings, spec, &mut hosts, &times))).collect();
    let each = ways.into_iter().map(async |(spec, way)| match way {
        Ok(way) => AccountKilled::of(spec, way.empty(options).await),
        Err(why) => AccountKilled::of(spec, unreached(why)),
    });
    join_all(each).await
}

/// Nothing is known of an account that cannot be asked for.
fn unreached(why: String) -> Emptied {
    Emptied {
        orders_found: 0,
        orders_cancelled: 0,
        orders_left: None,
        positions_found: 0,
        positions_closed: 0,
        positions_left: None,
        verified: false,
        why: Some(why),
    }
}

/// An account and the way to its venue.
struct Way {
    venue: BinanceVenue,
    account: Arc<Account>,
    host: Arc<Host>,
    instruments: Arc<ArcSwap<Vec<Instrument>>>,
    recv_window: Duration,
}

fn way(settings: &Settings, spec: &AccountSpec, hosts: &mut Hosts, times: &Times) -> Result<Way, String> {
    let venue = settings.venue(spec.venue).ok_or_else(|| format!("venue {} expected in the settings, found none", spec.venue))?;
    let (bases, credentials) = if venue.is_embedded() {
        inside(&settings.daemon.data_dir, spec, venue.kind)?
    } else {
        let bases = venue.bases().ok_or_else(|| format!("venue {} expected an address, found none", venue.id))?;
        let source = spec.key.as_ref().ok_or_else(|| "expected a key, found none in the settings".to_owned())?;
        (bases, keys::load(source).map_err(|why| format!("its key: {why}"))?)
    };
    let host = hosts.at(&bases, venue, times)?;
    let instruments = Arc::new(ArcSwap::from_pointee(described(settings, venue)));
    let account = Account::new(AccountParts {
        id: spec.id,
        host: Arc::clone(&host),
        streams: StreamBases { ws: bases.ws, ws_api: bases.ws_api },
        credentials,
        instruments: Arc::clone(&instruments),
        orders_per_second: venue.orders_per_second,
        recv_window: venue.recv_window,
        clock_offset_max: venue.clock_offset_max,
        wanted: Standing::default(),
        key_host: None,
        gate: Arc::new(Open),
    });
    let way = BinanceVenue::default();
    way.add(Arc::clone(&account));
    Ok(Way { venue: way, account, host, instruments, recv_window: venue.recv_window })
}

/// What a daemon wrote down of the exchange inside.
#[derive(Deserialize)]
struct Announced {
    accounts: Vec<AnnouncedKey>,
    #[serde(flatten)]
    doors: BTreeMap<String, Bases>,
}

#[derive(Deserialize)]
struct AnnouncedKey {
    name: String,
    product: String,
    api_key: String,
    api_secret: String,
}

/// The exchange carried inside, which lives as long as its daemon.
fn inside(data_dir: &Path, spec: &AccountSpec, kind: VenueKind) -> Result<(Bases, Credentials), String> {
    let path = data_dir.join("exchange.json");
    let absent = |found: String| {
        format!(
            "{}: expected where the exchange inside listens, found {found}; it runs only within a daemon, and what rests in its record can \
             trade only then",
            path.display()
        )
    };
    let text = std::fs::read_to_string(&path).map_err(|error| absent(error.to_string()))?;
    let announced: Announced = serde_json::from_str(&text).map_err(|error| absent(error.to_string()))?;
    let product = super::embedded::name(kind);
    let bases = announced.doors.get(product).cloned().ok_or_else(|| absent(format!("no door of {product}")))?;
    let key = announced.accounts.into_iter().find(|key| key.product == product && key.name == spec.id.as_str());
    let key = key.ok_or_else(|| absent(format!("no key of {}", spec.id)))?;
    Ok((bases, Credentials::hmac(key.api_key, SecretString::from(key.api_secret))))
}

impl Way {
    fn now(&self) -> Timestamp {
        self.account.now()
    }

    async fn empty(self, options: &KillOptions) -> Emptied {
        let began = self.now();
        let arrives_within = self.recv_window + VENUE_TOLERANCE;
        let wanted = Wanted { symbol: options.symbol, flatten: options.flatten, arrives_within };
        // Hundredths of a second: two that are begun later than that apart number their orders differently for a year.
        let first_order = u32::try_from((began.as_millis() / 10).rem_euclid(i64::from(u32::MAX))).unwrap_or_default();
        let mut machine = Emptying::new(began, self.account.id, wanted, first_order);
        // Neither waits for the other: cancels need no rules, and the first look says what there is.
        let ((), first) = tokio::join!(self.learn_rules(), self.look());
        let mut next = step(&mut machine, self.now(), first);
        while next != Next::Done && self.now() < began + options.within {
            match next {
                Next::Send(commands) => self.send(&mut machine, commands).await,
                Next::LookAt(then) => tokio::time::sleep(then.since(self.now())).await,
                Next::Done => {}
            }
            let shown = self.look().await;
            next = step(&mut machine, self.now(), shown);
        }
        machine.report()
    }

    /// Rules by which holdings can be sold, where the venue tells them in time.
    async fn learn_rules(&self) {
        let Ok(Ok(rules)) = timeout(LIST_WITHIN, listing::rules(&self.host)).await else { return };
        let known = self.instruments.load();
        let renewed = |instrument: &Instrument| {
            rules.get(&instrument.symbol).map_or_else(|| instrument.clone(), |rules| listing::renewed(instrument, rules))
        };
        let renewed = known.iter().map(renewed).collect();
        self.instruments.store(Arc::new(renewed));
    }

    async fn ask(&self, command: VenueCommand) -> Result<Vec<VenueEvent>, String> {
        let answer = timeout(ANSWER, self.venue.ask(self.account.id, command)).await;
        answer.map_err(|_| format!("no answer within {ANSWER:?}"))?.map_err(|error| error.to_string())
    }

    async fn look(&self) -> Result<VenueSnapshot, String> {
        let events = self.ask(VenueCommand::Snapshot { trades: TradesWanted::new() }).await?;
        let mut failed = "the venue gave no snapshot".to_owned();
        for event in events {
            match event {
                VenueEvent::SnapshotIs(snapshot) => return Ok(snapshot),
                VenueEvent::CommandFailed { why, .. } => failed = why,
                _ => {}
            }
        }
        Err(failed)
    }

    async fn send(&self, machine: &mut Emptying, commands: Vec<VenueCommand>) {
        let done = join_all(commands.into_iter().map(|command| self.ask(command))).await;
        let mut pause = LOOK_AFTER;
        for answer in done {
            if let Some(why) = failure(answer) {
                machine.failed(why);
                pause = TRY_AGAIN;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

fn step(machine: &mut Emptying, now: Timestamp, shown: Result<VenueSnapshot, String>) -> Next {
    match shown {
        Ok(snapshot) => machine.shows(now, &snapshot),
        Err(why) => machine.silent(why),
    }
}

/// What was not done, in the venue's words.
fn failure(answer: Result<Vec<VenueEvent>, String>) -> Option<String> {
    let events = match answer {
        Ok(events) => events,
        Err(why) => return Some(why),
    };
    events.into_iter().find_map(|event| match event {
        VenueEvent::CommandFailed { command, why } => Some(format!("{command}: {why}")),
        VenueEvent::Rejected { message, .. } => Some(format!("a closing order was refused: {message}")),
        VenueEvent::NotSent { why, .. } => Some(format!("a closing order was not sent: {why}")),
        _ => None,
    })
}
