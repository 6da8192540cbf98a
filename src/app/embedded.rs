//! The exchange carried inside, as the daemon runs it: one engine for each product in use, its market from the settings, its record
//! in the data directory, and a door on a loopback port through which everybody comes, the daemon's own adapter first. Its
//! addresses and keys stand in `exchange.json`, which its owner alone may read, for clients of one's own.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use serde_json::json;
use tokio::runtime::Handle;

use super::embedded_market::{self, Market};
use crate::cli::Failure;
use crate::domain::ids::AccountId;
use crate::domain::instrument::Instrument;
use crate::exchange::shell as exchange;
use crate::exchange::standalone::{ServerWishes, server_of};
use crate::exchange::wire::faults::{FaultDesk, Kind, Rule, When};
use crate::exchange::wire::{self, Dialect, Key, Keys, Product, WireServer};
use crate::exchange::{AccountSetup, ExchangeConfig, ExchangeHandle, RunningExchange, ShellConfig};
use crate::messages::Clock;
use crate::settings::{AccountSpec, Bases, Settings, VenueKind};

/// One product of it.
pub struct Side {
    pub kind: VenueKind,
    handle: ExchangeHandle,
    /// Taken by whoever stops it.
    running: Mutex<Option<RunningExchange>>,
    pub instruments: Vec<Instrument>,
    /// Bound before anything starts, so that everybody knows where to go; the server may be restarted on it.
    listener: TcpListener,
    pub address: SocketAddr,
    /// What serves it right now.
    venue: ArcSwapOption<wire::Venue>,
}

/// The running exchange with what the daemon must know of it.
pub struct Embedded {
    sides: Vec<Side>,
    clock: exchange::Clock,
    /// Keys are drawn from it, and are others with every start.
    seed: [u8; 32],
    keys: Mutex<BTreeMap<AccountId, VenueKind>>,
    /// Whether faults may be armed over its own interface.
    faults: bool,
    file: std::path::PathBuf,
}

/// How an account is opened at the exchange.
fn setup(account: &AccountSpec) -> AccountSetup {
    AccountSetup { deposit: account.starting_funds, owner: 0, hedge: account.hedge_mode }
}

/// Starts what the settings need. The exchange's time is the daemon's: a wall clock that is set back would have its market wait
/// until it is there again.
///
/// # Errors
/// When a record cannot be read, a recording cannot be opened or no port is free.
pub fn start(settings: &mut Settings, data_dir: &Path, clock: &Clock) -> Result<Embedded, Failure> {
    let clock = clock.clone();
    let clock: exchange::Clock = Arc::new(move || clock.now());
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::failed(format!("the system gives no random bytes for keys: {error}")))?;
    let mut sides = Vec::new();
    for market in embedded_market::open(settings, clock())? {
        sides.push(side(settings, data_dir, &clock, market)?);
    }
    let settings = &*settings;
    let keys = settings.enabled_accounts().filter_map(|account| Some((account.id, kind_of(settings, account)?))).collect();
    let embedded = Embedded {
        sides,
        clock,
        seed,
        keys: Mutex::new(keys),
        faults: settings.daemon.fault_injection,
        file: data_dir.join("exchange.json"),
    };
    embedded.announce()?;
    Ok(embedded)
}

/// On which side of the exchange inside an account is; `None` for one that trades elsewhere.
fn kind_of(settings: &Settings, account: &AccountSpec) -> Option<VenueKind> {
    settings.venue(account.venue).filter(|venue| venue.is_embedded()).map(|venue| venue.kind)
}

fn side(settings: &Settings, data_dir: &Path, clock: &exchange::Clock, market: Market) -> Result<Side, Failure> {
    let Market { kind, open, instruments } = market;
    let name = match kind {
        VenueKind::BinanceUsdm => "exchange.db",
        VenueKind::BinanceSpot => "exchange_spot.db",
        VenueKind::Aster => "exchange_aster.db",
    };
    let here = settings.enabled_accounts().filter(|account| kind_of(settings, account) == Some(kind));
    let config = ShellConfig {
        exchange: ExchangeConfig { log_reports: true, ..ExchangeConfig::default() },
        accounts: here.map(|account| (account.id, setup(account))).collect(),
        record: Some(data_dir.join(name)),
        clock: Arc::clone(clock),
    };
    let running = RunningExchange::start(config, open).map_err(Failure::usage)?;
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, listener))
    });
    let (address, listener) =
        bound.map_err(|error| Failure::failed(format!("the exchange's server expected a free loopback port, found: {error}")))?;
    let (handle, running) = (running.handle(), Mutex::new(Some(running)));
    Ok(Side { kind, handle, running, instruments, listener, address, venue: ArcSwapOption::empty() })
}

impl Side {
    #[must_use]
    pub fn product(&self) -> Product {
        match self.kind {
            VenueKind::BinanceSpot => Product::SPOT,
            VenueKind::BinanceUsdm => Product::USDM,
            VenueKind::Aster => Product { dialect: Dialect::Aster, ..Product::USDM },
        }
    }

    #[must_use]
    pub fn bases(&self) -> Bases {
        let Self { address, .. } = self;
        Bases {
            rest: format!("http://{address}"),
            ws: format!("ws://{address}"),
            ws_api: format!("ws://{address}{}", self.product().ws_api_path()),
        }
    }

    /// What serves it, for faults.
    #[must_use]
    pub fn venue(&self) -> Option<Arc<wire::Venue>> {
        self.venue.load_full()
    }
}

impl Embedded {
    /// Whether anybody trades here.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.sides.is_empty()
    }

    #[must_use]
    pub fn side(&self, kind: VenueKind) -> Option<&Side> {
        self.sides.iter().find(|side| side.kind == kind)
    }

    /// A server for each side, with the listener that it shall accept from. To be called on the runtime that serves.
    ///
    /// # Errors
    /// In words, when one cannot be made.
    pub fn servers(&self) -> Result<Vec<(WireServer, tokio::net::TcpListener)>, String> {
        let server = |side: &Side| {
            let wishes = ServerWishes {
                product: side.product(),
                exchange: side.handle.clone(),
                instruments: side.instruments.clone(),
                keys: self.keys_of(side.kind).map_err(|error| error.to_string())?,
                clock: Arc::clone(&self.clock),
                // It carries as many accounts as one has; a venue's limits are for strangers.
                limits: false,
                weight: None,
                faults: self.faults,
                extended: true,
                seed: self.seed,
            };
            let server = server_of(wishes).map_err(|error| error.to_string())?;
            let listener = side.listener.try_clone().and_then(tokio::net::TcpListener::from_std).map_err(|error| error.to_string())?;
            side.venue.store(Some(Arc::clone(&server.venue)));
            Ok((server, listener))
        };
        self.sides.iter().map(server).collect()
    }

    /// Opens an account that a reload brought, with a key of its own.
    ///
    /// # Errors
    /// When it cannot have one.
    pub fn open_account(&self, account: &AccountSpec, kind: VenueKind) -> Result<(), Failure> {
        let Some(side) = self.side(kind) else {
            return Err(Failure::failed(format!(
                "account {} expected a side of the exchange inside that runs, found none for {kind}; restart",
                account.id
            )));
        };
        // An exchange that stopped has the daemon halted already.
        let _ = side.handle.open_account(account.id, setup(account));
        self.lock_keys().insert(account.id, kind);
        if let Some(venue) = side.venue() {
            venue.set_keys(self.keys_of(kind).map_err(Failure::failed)?);
        }
        self.announce()
    }

    /// The account's own key, for the daemon's adapter.
    ///
    /// # Errors
    /// Never for an account's name.
    pub fn key(&self, account: AccountId) -> Result<Key, Failure> {
        Key::derived(&self.seed, account.as_str()).map_err(Failure::failed)
    }

    /// The sides by their names, in one order for good.
    #[must_use]
    pub fn products(&self) -> Vec<&'static str> {
        self.sides.iter().map(|side| name(side.kind)).collect()
    }

    /// Whether the engine of that side runs, or was asked to stop.
    #[must_use]
    pub fn runs(&self, place: usize) -> bool {
        let running = self.sides.get(place).map(|side| side.running.lock().unwrap_or_else(PoisonError::into_inner));
        running.is_none_or(|running| running.as_ref().is_none_or(RunningExchange::is_running))
    }

    /// Has every engine panic, for drills: at its next request, off the thread that asks.
    pub fn kill(&self, services: &Handle) {
        for side in &self.sides {
            let handle = side.handle.clone();
            services.spawn(async move {
                let _ = handle.call::<()>(|_| panic!("injected panic")).await;
            });
        }
    }

    /// Has every side refuse each cancel, or take them again.
    pub async fn refuse_cancels(&self, refuse: bool) {
        for venue in self.sides.iter().filter_map(Side::venue) {
            if !refuse {
                FaultDesk::disarm(&venue);
                continue;
            }
            let fault = Kind::Refuse {
                code: -1001,
                msg: "Internal error; unable to process your request. Please try again.".to_owned(),
                status: Some(503),
                when: When::Before,
            };
            let rule = Rule {
                fault,
                verb: Some("DELETE".to_owned()),
                count: Some(u32::MAX),
                account: None,
                route: None,
                symbol: None,
                skip: 0,
                percent: None,
                duration_ms: None,
            };
            if let Err(error) = FaultDesk::arm(&venue, rule).await {
                tracing::warn!(target: "ringfence::daemon", %error, "cancels are not refused");
            }
        }
    }

    fn lock_keys(&self) -> MutexGuard<'_, BTreeMap<AccountId, VenueKind>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys_of(&self, kind: VenueKind) -> Result<Keys, wire::KeyError> {
        let accounts: Vec<AccountId> = self.lock_keys().iter().filter(|(_, side)| **side == kind).map(|(account, _)| *account).collect();
        let keys: Result<Vec<Key>, wire::KeyError> = accounts.iter().map(|account| Key::derived(&self.seed, account.as_str())).collect();
        Keys::new(keys?)
    }

    /// Writes down where it is and with which keys, as `ringfence exchange --json` prints it. Replaced whole, never half.
    fn announce(&self) -> Result<(), Failure> {
        if !self.is_open() {
            // One that a life before this left behind would name a door that nobody opens.
            let _ = std::fs::remove_file(&self.file);
            return Ok(());
        }
        let mut text = serde_json::Map::new();
        for side in &self.sides {
            let Bases { rest, ws, ws_api } = side.bases();
            text.insert(name(side.kind).to_owned(), json!({ "rest": rest, "ws": ws, "ws_api": ws_api }));
        }
        let accounts: Vec<(AccountId, VenueKind)> = self.lock_keys().iter().map(|(account, kind)| (*account, *kind)).collect();
        let mut shown = Vec::new();
        for (account, kind) in accounts {
            let key = self.key(account)?;
            shown.push(json!({ "name": account, "product": name(kind), "api_key": key.api_key, "api_secret": key.secret }));
        }
        text.insert("accounts".to_owned(), shown.into());
        let text = serde_json::Value::Object(text).to_string();
        write_private(&self.file, &text)
            .map_err(|error| Failure::failed(format!("{}: expected to write it, found: {error}", self.file.display())))
    }

    /// # Errors
    /// What made a side stop by itself.
    pub fn stop(&self) -> Result<(), exchange::ShellError> {
        // A file that is left says nothing that is still true.
        let _ = std::fs::remove_file(&self.file);
        let running = self.sides.iter().filter_map(|side| side.running.lock().unwrap_or_else(PoisonError::into_inner).take());
        let stopped: Vec<_> = running.map(RunningExchange::stop).collect();
        stopped.into_iter().collect()
    }
}

pub(super) const fn name(kind: VenueKind) -> &'static str {
    match kind {
        VenueKind::BinanceUsdm => "usdm",
        VenueKind::BinanceSpot => "spot",
        VenueKind::Aster => "aster",
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("json.new");
    // One that a crash left behind may have other permissions.
    let _ = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&beside, path)
}
