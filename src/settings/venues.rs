//! `[[venues]]`: where accounts trade, how hard each venue may be asked, and where an account's key comes from. Two venues need
//! no table: `embedded` (USD-M) and `embedded_spot`, the exchange carried inside. It reads and checks; it opens no key and no
//! connection, and a key itself is refused here (I10).

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use strum::{Display, EnumString, VariantNames};

use crate::domain::ids::{AccountId, Symbol, VenueId};
use crate::domain::instrument::InstrumentKind;
use crate::domain::money::Ratio;

use super::origin::{Origin, Row};
use super::problem::Problem;
use super::reader::{Section, listing, nearest};
use super::sections::Placed;
use super::shape::{AccountSpec, StrategySpec, SymbolSelection, SymbolSpec};

/// The exchange carried inside: the venue of every account that names none.
pub const EMBEDDED: &str = "embedded";
/// Its spot side.
pub const EMBEDDED_SPOT: &str = "embedded_spot";

/// Hosts where nothing that is traded is worth anything.
const TESTNETS: [&str; 9] = [
    "testnet.binance.vision",
    "ws-api.testnet.binance.vision",
    "stream.testnet.binance.vision",
    "demo-api.binance.com",
    "demo-ws-api.binance.com",
    "demo-stream.binance.com",
    "demo-fapi.binance.com",
    "testnet.binancefuture.com",
    "fapi.asterdex-testnet.com",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum VenueKind {
    BinanceUsdm,
    BinanceSpot,
    /// Aster's perpetuals: USD-M with differences.
    Aster,
}

impl VenueKind {
    /// What is traded there.
    #[must_use]
    pub const fn instruments(self) -> InstrumentKind {
        match self {
            Self::BinanceUsdm | Self::Aster => InstrumentKind::Perpetual,
            Self::BinanceSpot => InstrumentKind::Spot,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Environment {
    /// The exchange carried inside.
    Embedded,
    Testnet,
    Live,
}

/// The addresses of a venue.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Bases {
    /// `https://host`, without a path.
    pub rest: String,
    /// `wss://host`, without a path.
    pub ws: String,
    /// Complete.
    pub ws_api: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct VenueSpec {
    pub id: VenueId,
    pub kind: VenueKind,
    pub environment: Environment,
    /// Addresses of one's own in place of the environment's.
    pub rest: Option<String>,
    pub ws: Option<String>,
    pub ws_api: Option<String>,
    /// New orders of one account.
    pub orders_per_second: u32,
    /// How late the venue may get a request.
    pub recv_window: Duration,
    /// Entries are refused while the clocks are further apart.
    pub clock_offset_max: Duration,
    /// The venue cancels by itself when it has not heard of us for so long; zero is off.
    pub dead_mans_switch: Duration,
    /// The share of the request weight that is kept for cancels and queries.
    pub reserved_weight: Ratio,
}

impl VenueSpec {
    /// A venue as it is without a table of its own.
    fn standard(id: VenueId, kind: VenueKind) -> Self {
        Self {
            id,
            kind,
            environment: Environment::Embedded,
            rest: None,
            ws: None,
            ws_api: None,
            orders_per_second: ORDERS_PER_SECOND,
            recv_window: RECV_WINDOW,
            clock_offset_max: CLOCK_OFFSET_MAX,
            dead_mans_switch: DEAD_MANS_SWITCH,
            reserved_weight: Ratio(rust_decimal::Decimal::new(25, 2)),
        }
    }

    /// Whether the exchange carried inside is meant.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.environment == Environment::Embedded && self.rest.is_none()
    }

    /// Where it is; `None` for the exchange carried inside, whose ports are chosen when it starts.
    #[must_use]
    pub fn bases(&self) -> Option<Bases> {
        let [rest, ws, ws_api] = match (self.kind, self.environment) {
            (_, Environment::Embedded) => [None; 3],
            (VenueKind::BinanceUsdm, Environment::Live) => {
                [Some("https://fapi.binance.com"), Some("wss://fstream.binance.com"), Some("wss://ws-fapi.binance.com/ws-fapi/v1")]
            }
            (VenueKind::BinanceUsdm, Environment::Testnet) => [
                Some("https://testnet.binancefuture.com"),
                Some("wss://fstream.binancefuture.com"),
                Some("wss://testnet.binancefuture.com/ws-fapi/v1"),
            ],
            (VenueKind::BinanceSpot, Environment::Live) => {
                [Some("https://api.binance.com"), Some("wss://stream.binance.com:9443"), Some("wss://ws-api.binance.com:443/ws-api/v3")]
            }
            (VenueKind::BinanceSpot, Environment::Testnet) => [
                Some("https://testnet.binance.vision"),
                Some("wss://stream.testnet.binance.vision"),
                Some("wss://ws-api.testnet.binance.vision/ws-api/v3"),
            ],
            (VenueKind::Aster, Environment::Live) => [Some("https://fapi.asterdex.com"), Some("wss://fstream.asterdex.com"), Some("")],
            (VenueKind::Aster, Environment::Testnet) => {
                [Some("https://fapi.asterdex-testnet.com"), Some("wss://fstream.asterdex-testnet.com"), Some("")]
            }
        };
        let pick = |own: &Option<String>, standard: Option<&str>| own.clone().or_else(|| standard.map(str::to_owned));
        // Whoever names an address of his own for requests names the streams' too; the rest of a product may have none.
        Some(Bases { rest: pick(&self.rest, rest)?, ws: pick(&self.ws, ws)?, ws_api: pick(&self.ws_api, ws_api).unwrap_or_default() })
    }

    /// The first address where orders would cost real money.
    #[must_use]
    pub fn live_address(&self) -> Option<String> {
        let bases = self.bases()?;
        [bases.rest, bases.ws_api].into_iter().find(|base| !base.is_empty() && !is_harmless(base))
    }
}

/// This machine, or a testnet that is known as one.
fn is_harmless(base: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(base) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) || TESTNETS.contains(&host)
}

/// Where an account's key is. Never the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `RINGFENCE_KEY_<name>` and `RINGFENCE_SECRET_<name>`.
    Environment(String),
    /// A systemd credential of that name: two lines, key and secret.
    Credential(String),
    /// A file that its owner alone may read: two lines, key and secret.
    File(PathBuf),
}

/// Far below any venue's 300 orders in 10 seconds.
const ORDERS_PER_SECOND: u32 = 10;
/// Binance's own default.
const RECV_WINDOW: Duration = Duration::from_secs(5);
/// A venue refuses what is more than a second ahead of it.
const CLOCK_OFFSET_MAX: Duration = Duration::from_secs(1);
/// Long enough for a restart of the daemon, short enough for a night without it.
const DEAD_MANS_SWITCH: Duration = Duration::from_secs(60);

pub fn read(mut section: Section<'_>) -> Option<VenueSpec> {
    let id = section.key("id").required();
    let kind = section.key("kind").required();
    let environment = section.key("environment").or(Environment::Embedded);
    let http = "an address without a path such as \"https://testnet.binance.vision\"";
    let rest = section.key("rest").that(http, |url: &String| is_base(url, &["http", "https"])).optional();
    let socket = "an address without a path such as \"wss://stream.testnet.binance.vision\"";
    let ws = section.key("ws").that(socket, |url: &String| is_base(url, &["ws", "wss"])).optional();
    let whole = "a whole address such as \"wss://ws-api.testnet.binance.vision/ws-api/v3\"";
    let ws_api = section.key("ws_api").that(whole, |url: &String| has_scheme(url, &["ws", "wss"])).optional();
    let orders_per_second =
        section.key("orders_per_second").that("a whole number from 1 to 1000", |count| (1..=1_000).contains(count)).or(ORDERS_PER_SECOND);
    let window = "a time from \"100ms\" to \"60s\"";
    let recv_window = section
        .key("recv_window")
        .that(window, |time: &Duration| (Duration::from_millis(100)..=Duration::from_secs(60)).contains(time))
        .or(RECV_WINDOW);
    let offset = "a time above zero and at most \"1s\", beyond which venues refuse";
    let clock_offset_max =
        section.key("clock_offset_max").that(offset, |time: &Duration| !time.is_zero() && *time <= CLOCK_OFFSET_MAX).or(CLOCK_OFFSET_MAX);
    let switch = "\"0s\" for off, or a time of at least \"5s\"";
    let dead_mans_switch = section
        .key("dead_mans_switch")
        .that(switch, |time: &Duration| time.is_zero() || *time >= Duration::from_secs(5))
        .or(DEAD_MANS_SWITCH);
    let share = "a ratio from \"0\" to \"0.9\", in quotes";
    let most = |ratio: &Ratio| !ratio.is_negative() && ratio.0 <= rust_decimal::Decimal::new(9, 1);
    let reserved_weight = section.key("reserved_weight").that(share, most).or(Ratio(rust_decimal::Decimal::new(25, 2)));
    section.finish();
    Some(VenueSpec {
        id: id?,
        kind: kind?,
        environment,
        rest,
        ws,
        ws_api,
        orders_per_second,
        recv_window,
        clock_offset_max,
        dead_mans_switch,
        reserved_weight,
    })
}

/// `key = { env = "ALPHA" }` of an account.
pub fn read_key(account: &mut Section<'_>) -> Option<KeySource> {
    let mut section = account.section("key");
    let shouted = "a name of A-Z, 0-9 and _ such as \"ALPHA\": the variables are RINGFENCE_KEY_ALPHA and RINGFENCE_SECRET_ALPHA";
    let is_shouted = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let environment = section.key("env").that(shouted, is_shouted).optional().map(KeySource::Environment);
    let plain = |name: &String| !name.is_empty() && !name.contains(['/', '\0']) && !matches!(name.as_str(), "." | "..");
    let credential = section.key("credential").that("the name of a systemd credential", plain).optional().map(KeySource::Credential);
    let file = section.key("file").optional().map(KeySource::File);
    let (path, origin, present) = (section.whole_path(), section.origin(), section.is_present());
    section.finish();
    let mut sources: Vec<KeySource> = [environment, credential, file].into_iter().flatten().collect();
    if present && sources.len() > 1 {
        let found = format!("{} of them", sources.len());
        account.note(&path, "one of `env`, `credential` and `file`", &found, None, origin);
        return None;
    }
    sources.pop()
}

fn has_scheme(url: &str, schemes: &[&str]) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| schemes.contains(&url.scheme()) && url.has_host())
}

pub fn is_base(url: &str, schemes: &[&str]) -> bool {
    has_scheme(url, schemes) && reqwest::Url::parse(url).is_ok_and(|url| url.path() == "/" && url.query().is_none())
}

/// The venues of the file and the two that are always there.
pub fn with_embedded(listed: &[Placed<VenueSpec>]) -> Vec<VenueSpec> {
    let mut venues: Vec<VenueSpec> = listed.iter().filter_map(|placed| placed.value.clone()).collect();
    for (name, kind) in [(EMBEDDED, VenueKind::BinanceUsdm), (EMBEDDED_SPOT, VenueKind::BinanceSpot)] {
        // Invariant: both names are short and lower case.
        let id = VenueId::new(name).expect("invariant: a valid name");
        if !listed.iter().any(|placed| placed.name == name) {
            venues.push(VenueSpec::standard(id, kind));
        }
    }
    venues
}

/// What must fit together: names, keys, and that nobody trades a symbol of another venue.
pub struct Fit<'a> {
    pub venues: &'a [VenueSpec],
    pub listed: &'a [Placed<VenueSpec>],
    pub accounts: &'a mut [Placed<AccountSpec>],
    pub symbols: Option<&'a mut Vec<Placed<SymbolSpec>>>,
    pub rows: &'a [Row],
}

impl Fit<'_> {
    pub fn check(&mut self, problems: &mut Vec<Problem>) {
        let known: Vec<String> = self.names();
        for placed in self.accounts.iter().filter(|placed| placed.value.is_some()) {
            let named = placed.value.as_ref().map(|account| account.venue).unwrap_or_else(embedded);
            problems.extend(unknown(&format!("{}.venue", placed.path), named, &known, self.rows));
        }
        for placed in self.symbols.iter().flat_map(|symbols| symbols.iter()) {
            let Some(named) = placed.value.as_ref().and_then(|symbol| symbol.venue) else { continue };
            problems.extend(unknown(&format!("{}.venue", placed.path), named, &known, self.rows));
        }
        self.place();
        self.check_accounts(problems);
        self.check_symbols(problems);
    }

    fn names(&self) -> Vec<String> {
        let broken = self.listed.iter().filter(|placed| placed.value.is_none()).map(|placed| placed.name.clone());
        self.venues.iter().map(|venue| venue.id.to_string()).chain(broken).collect()
    }

    fn venue(&self, id: VenueId) -> Option<&VenueSpec> {
        self.venues.iter().find(|venue| venue.id == id)
    }

    /// Everybody gets a venue: an account that names none trades on the exchange inside, its spot side where there are only spot
    /// symbols; a symbol that names none belongs to the first venue of an account that lists its kind.
    fn place(&mut self) {
        let kind_of = |symbol: &SymbolSpec| symbol.instrument.kind.unwrap_or(InstrumentKind::Perpetual);
        let specs = self.symbols.iter().flat_map(|symbols| symbols.iter()).filter_map(|placed| placed.value.as_ref());
        let kinds: Vec<InstrumentKind> = specs.filter(|symbol| symbol.enabled).map(kind_of).collect();
        let only_spot = !kinds.is_empty() && kinds.iter().all(|kind| *kind == InstrumentKind::Spot);
        for account in self.accounts.iter_mut().filter_map(|placed| placed.value.as_mut()).filter(|account| !account.venue_named) {
            account.venue = if only_spot { embedded_spot() } else { embedded() };
        }
        let traded = self.accounts.iter().filter_map(|placed| placed.value.as_ref()).filter(|account| account.enabled);
        let used: Vec<VenueId> = traded.map(|account| account.venue).collect();
        let in_use = |venue: &&VenueSpec| used.contains(&venue.id);
        for symbol in self.symbols.iter_mut().flat_map(|symbols| symbols.iter_mut()).filter_map(|placed| placed.value.as_mut()) {
            let kind = kind_of(symbol);
            let fits = |venue: &&VenueSpec| venue.kind.instruments() == kind;
            let standard = if kind == InstrumentKind::Spot { embedded_spot() } else { embedded() };
            let first = self.venues.iter().filter(in_use).find(fits).map_or(standard, |venue| venue.id);
            symbol.venue = Some(symbol.venue.unwrap_or(first));
        }
    }

    fn check_accounts(&self, problems: &mut Vec<Problem>) {
        for (placed, account) in self.accounts.iter().filter_map(|placed| Some((placed, placed.value.as_ref()?))) {
            let Some(venue) = self.venue(account.venue) else { continue };
            let key = format!("{}.key", placed.path);
            let origin = self.place_of(&key).unwrap_or_else(|| placed.origin.clone());
            if !venue.is_embedded() && account.key.is_none() && account.enabled {
                let help = format!("add key = {{ env = \"{}\" }} and set the two variables", account.id.as_str().to_uppercase());
                problems.push(problem(&key, &format!("where its key for venue {} is", venue.id), "nothing", Some(help), origin));
            } else if venue.is_embedded() && account.key.is_some() {
                let help = Some("take it out: the exchange carried inside gives its accounts keys by itself".to_owned());
                problems.push(problem(&key, "no key for an account of the exchange carried inside", "one", help, origin));
            }
            if venue.is_embedded() && account.starting_funds.is_zero() {
                let help = Some("add starting_funds = \"10000\"".to_owned());
                problems.push(problem(
                    &format!("{}.starting_funds", placed.path),
                    "an amount above zero",
                    "nothing",
                    help,
                    placed.origin.clone(),
                ));
            }
            for (name, set) in [("leverage", account.leverage.is_some()), ("margin_type", account.margin_type.is_some())] {
                if venue.kind.instruments() == InstrumentKind::Spot && set {
                    let key = format!("{}.{name}", placed.path);
                    let origin = self.place_of(&key).unwrap_or_else(|| placed.origin.clone());
                    problems.push(problem(
                        &key,
                        &format!("nothing: {} is a spot venue and has no margin", venue.id),
                        "a value",
                        None,
                        origin,
                    ));
                }
            }
            if venue.kind.instruments() == InstrumentKind::Spot && account.hedge_mode {
                let key = format!("{}.hedge_mode", placed.path);
                let origin = self.place_of(&key).unwrap_or_else(|| placed.origin.clone());
                problems.push(problem(&key, &format!("false: {} is a spot venue and has no short legs", venue.id), "true", None, origin));
            }
        }
    }

    fn check_symbols(&self, problems: &mut Vec<Problem>) {
        for (placed, symbol) in self.symbols.iter().flat_map(|all| all.iter()).filter_map(|placed| Some((placed, placed.value.as_ref()?))) {
            let Some(venue) = symbol.venue.and_then(|id| self.venue(id)) else { continue };
            let kind = symbol.instrument.kind.unwrap_or(venue.kind.instruments());
            if kind != venue.kind.instruments() {
                let key = format!("{}.venue", placed.path);
                let origin = self.place_of(&key).unwrap_or_else(|| placed.origin.clone());
                let help = Some("name a venue of its kind, or correct instrument.kind".to_owned());
                problems.push(problem(
                    &key,
                    &format!("a venue that lists {}", words(kind)),
                    &format!("{:?}", venue.id.as_str()),
                    help,
                    origin,
                ));
            }
        }
    }

    /// An account trades the symbols of its venue.
    pub fn check_strategies(&self, strategies: &[StrategySpec], problems: &mut Vec<Problem>) {
        let accounts: Vec<&AccountSpec> = self.accounts.iter().filter_map(|placed| placed.value.as_ref()).collect();
        let symbols: Vec<&SymbolSpec> = self
            .symbols
            .iter()
            .flat_map(|all| all.iter())
            .filter_map(|placed| placed.value.as_ref())
            .filter(|symbol| symbol.enabled)
            .collect();
        for strategy in strategies.iter().filter(|strategy| strategy.enabled) {
            let trades = |symbol: &&&SymbolSpec| match &strategy.symbols {
                SymbolSelection::All => true,
                SymbolSelection::Named(names) => names.contains(&symbol.name),
            };
            let traded = symbols.iter().filter(trades);
            let pairs = traded.flat_map(|symbol| {
                accounts.iter().filter(|account| strategy.accounts.contains(&account.id)).map(move |account| (*account, *symbol))
            });
            let Some((account, symbol)) = pairs.into_iter().find(|(account, symbol)| symbol.venue != Some(account.venue)) else { continue };
            let key = format!("strategies[{}].symbols", strategy.id);
            let origin = self.place_of(&key).unwrap_or(Origin::Unset);
            problems.push(mixed(&key, account, symbol, origin));
        }
    }

    fn place_of(&self, key: &str) -> Option<Origin> {
        let within = |row: &&Row| row.key == key || row.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        self.rows.iter().find(within).map(|row| row.origin.clone())
    }
}

fn mixed(key: &str, account: &AccountSpec, symbol: &SymbolSpec, origin: Origin) -> Problem {
    let there = symbol.venue.map(|venue| venue.to_string()).unwrap_or_default();
    let expected = format!("symbols of venue {}, where its account {} trades", account.venue, account.id);
    let help = Some("make one strategy for each venue, or name the account's venue".to_owned());
    problem(key, &expected, &format!("{} of venue {there}", symbol.name), help, origin)
}

fn unknown(key: &str, named: VenueId, known: &[String], rows: &[Row]) -> Option<Problem> {
    if known.iter().any(|known| known == named.as_str()) {
        return None;
    }
    let origin = rows.iter().find(|row| row.key == key).map_or(Origin::Unset, |row| row.origin.clone());
    let help = match nearest(named.as_str(), known) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("known: {}; others need a [[venues]] table", listing(known)),
    };
    Some(problem(key, "a venue that is configured", &format!("{:?}", named.as_str()), Some(help), origin))
}

fn words(kind: InstrumentKind) -> &'static str {
    match kind {
        InstrumentKind::Spot => "spot symbols",
        InstrumentKind::Perpetual => "perpetuals",
    }
}

fn problem(key: &str, expected: &str, found: &str, help: Option<String>, origin: Origin) -> Problem {
    Problem { key: key.to_owned(), expected: expected.to_owned(), found: found.to_owned(), help, origin }
}

/// Invariant: the name is short and lower case.
#[must_use]
pub fn embedded() -> VenueId {
    VenueId::new(EMBEDDED).expect("invariant: a valid name")
}

/// Invariant: the name is short and lower case.
#[must_use]
pub fn embedded_spot() -> VenueId {
    VenueId::new(EMBEDDED_SPOT).expect("invariant: a valid name")
}

impl super::Settings {
    #[must_use]
    pub fn venue(&self, id: VenueId) -> Option<&VenueSpec> {
        self.venues.iter().find(|venue| venue.id == id)
    }

    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&AccountSpec> {
        self.accounts.iter().find(|account| account.id == id)
    }

    /// How late an account's venue may take a request.
    #[must_use]
    pub fn recv_window(&self, account: AccountId) -> Duration {
        let venue = self.account(account).and_then(|account| self.venue(account.venue));
        venue.map_or(RECV_WINDOW, |venue| venue.recv_window)
    }

    /// The venue of a symbol; where symbols come from the data, the side of the exchange inside that lists its kind.
    #[must_use]
    pub fn venue_of(&self, symbol: Symbol, kind: InstrumentKind) -> VenueId {
        let standard = if kind == InstrumentKind::Spot { embedded_spot() } else { embedded() };
        let super::Symbols::Listed(listed) = &self.symbols else { return standard };
        listed.iter().find(|spec| spec.name == symbol).and_then(|spec| spec.venue).unwrap_or(standard)
    }

    /// Where symbols come from the data, accounts that name no venue go to the side of the exchange inside that lists them.
    pub fn trade_where_listed(&mut self, listed: &[crate::domain::instrument::Instrument]) {
        let only_spot = !listed.is_empty() && listed.iter().all(|instrument| instrument.kind == InstrumentKind::Spot);
        if self.symbols == super::Symbols::FromData && only_spot {
            self.accounts.iter_mut().filter(|account| !account.venue_named).for_each(|account| account.venue = embedded_spot());
        }
    }

    /// Orders go to this machine or to a testnet.
    pub(super) fn refuse_live_money(&self, problems: &mut Vec<Problem>) {
        let mut told: Vec<VenueId> = Vec::new();
        for account in self.enabled_accounts() {
            let Some(venue) = self.venue(account.venue).filter(|venue| !told.contains(&venue.id)) else { continue };
            if let Some(address) = venue.live_address() {
                told.push(venue.id);
                let key = format!("venues[{}]", venue.id);
                let origin = self.rows.iter().find(|row| row.key.starts_with(&key)).map_or(Origin::Unset, |row| row.origin.clone());
                let help = "set environment = \"testnet\" or \"embedded\", or disable its accounts; a live venue's public market \
                            is shown by: ringfence exchange --market live";
                let expected = "a venue on this machine or a known testnet: this version is not yet released for live money";
                problems.push(problem(&key, expected, &format!("{address:?}"), Some(help.to_owned()), origin));
            }
        }
    }
}
