//! The raw shape: which keys there are, of which type and range, section by section. What a value means together with
//! another is `check`'s.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::{AccountId, OwnerId, StrategyId, Symbol};
use crate::domain::ladder::{FaultBudget, FaultBudgets};
use crate::domain::mode::{FaultClass, ScopeKind};
use crate::domain::money::{Money, Quantity, Ratio};
use strum::IntoEnumIterator;

use super::hard;
use super::layers::{Node, Value};
use super::origin::Origin;
use super::reader::{Notes, Section};
use super::shape::{
    AccountSpec, Alerts, Backtest, Daemon, Exchange, HeldTo, InstrumentOverride, Journal, Limits, MarketSource, OnKill, Rate, Risk,
    Supervision, SymbolSpec, SyntheticOverride, Telemetry,
};
use super::value::{Setting, describe};
use super::venues::{self, EMBEDDED, EMBEDDED_SPOT, VenueSpec};

/// The sections as they read, before cross-checks. `None` stands for what has a problem noted.
pub struct Raw {
    pub daemon: Option<Daemon>,
    pub journal: Option<Journal>,
    pub telemetry: Option<Telemetry>,
    pub alerts: Option<Alerts>,
    pub exchange: Option<Exchange>,
    pub venues: Vec<Placed<VenueSpec>>,
    pub accounts: Vec<Placed<AccountSpec>>,
    /// `None` is `"from-data"`.
    pub symbols: Option<Vec<Placed<SymbolSpec>>>,
    pub risk: Option<RawRisk>,
    pub supervision: Option<Supervision>,
    pub strategies: Vec<Placed<RawStrategy>>,
    pub backtest: Option<Backtest>,
}

/// An entry with a name. The name is known even where the rest cannot be read, so that a reference to it is not called
/// unknown on top.
pub struct Placed<T> {
    pub name: String,
    /// `None` has a problem noted.
    pub value: Option<T>,
    pub path: String,
    /// Where the name stands.
    pub origin: Origin,
}

pub struct RawRisk {
    pub risk: Risk,
    pub origin: Origin,
    /// The names in `[risk.accounts]`, `[risk.symbols]` and `[risk.strategies]`.
    pub accounts: Vec<Placed<AccountId>>,
    pub symbols: Vec<Placed<Symbol>>,
    pub strategies: Vec<Placed<StrategyId>>,
}

/// What could be read of a strategy: its references are checked even where the rest is wrong.
pub struct RawStrategy {
    pub id: Option<StrategyId>,
    pub kind: Option<String>,
    pub kind_origin: Origin,
    pub enabled: bool,
    pub accounts: Vec<String>,
    pub accounts_origin: Origin,
    pub symbols: Vec<String>,
    pub symbols_origin: Origin,
    pub interval: Option<Duration>,
    pub settings: Option<Node>,
}

const ABOVE_ZERO: &str = "an amount above zero in quotes such as \"1000\"";
const SHARE: &str = "a ratio above \"0\" and up to \"1\", in quotes";
const COUNT: &str = "a whole number of at least 1";
const SOME_TIME: &str = "a time above zero such as \"500ms\" or \"15s\"";

pub fn read(root: &Node, notes: &Notes) -> Raw {
    let mut top = Section::root(root, notes);
    extends(&mut top);
    let daemon = daemon(top.section("daemon"));
    let journal = journal(top.section("journal"));
    let telemetry = telemetry(top.section("telemetry"));
    let alerts = alerts(top.section("alerts"));
    let exchange = exchange(top.section("exchange"));
    let venues = top.entries("venues", "id").into_iter().map(|entry| placed(entry, "id", venues::read)).collect();
    let accounts = top.entries("accounts", "id").into_iter().map(|entry| placed(entry, "id", account)).collect();
    let symbols = symbols(&mut top);
    let risk = risk(top.section("risk"), &top);
    let supervision = supervision(top.section("supervision"));
    let strategies = top.entries("strategies", "id").into_iter().map(|entry| placed(entry, "id", |entry| Some(strategy(entry)))).collect();
    let backtest = backtest(top.section("backtest"));
    top.finish();
    Raw { daemon, journal, telemetry, alerts, exchange, venues, accounts, symbols, risk, supervision, strategies, backtest }
}

fn extends(top: &mut Section<'_>) {
    let known = "\"built-in\" or \"nothing\"";
    top.key::<String>("extends").that(known, |word| matches!(word.as_str(), "built-in" | "nothing")).optional();
}

fn placed<T>(entry: Section<'_>, name: &str, read: fn(Section<'_>) -> Option<T>) -> Placed<T> {
    let (path, origin) = (entry.whole_path(), entry.origin_of(name));
    Placed { name: entry.text_of(name).unwrap_or_default(), value: read(entry), path, origin }
}

fn daemon(mut section: Section<'_>) -> Option<Daemon> {
    let data_dir = section.key("data_dir").required();
    let http_bind = section.key("http_bind").required();
    let http_allowed_hosts = section.key("http_allowed_hosts").or(Vec::new());
    let log = section.key("log").that("a log filter such as \"info\" or \"info,ringfence::venues=debug\"", is_log_filter).required();
    let on_shutdown = section.key("on_shutdown").required();
    let shutdown_deadline = section.key("shutdown_deadline").that(SOME_TIME, is_some_time).required();
    let fault_injection = section.key("fault_injection").or(false);
    section.finish();
    Some(Daemon {
        data_dir: data_dir?,
        http_bind: http_bind?,
        http_allowed_hosts,
        log: log?,
        on_shutdown: on_shutdown?,
        shutdown_deadline: shutdown_deadline?,
        fault_injection,
    })
}

fn journal(mut section: Section<'_>) -> Option<Journal> {
    let at_least_one = |count: &u64| *count > 0;
    let checkpoint_every = section.key("checkpoint_every").that(COUNT, at_least_one).required();
    let rows_per_file = section.key("rows_per_file").that(COUNT, at_least_one).required();
    section.finish();
    Some(Journal { checkpoint_every: checkpoint_every?, rows_per_file: rows_per_file? })
}

fn telemetry(mut section: Section<'_>) -> Option<Telemetry> {
    let endpoint = "\"\" for off, or a URL such as \"http://127.0.0.1:4317\"";
    let otlp_endpoint: Option<String> =
        section.key("otlp_endpoint").that(endpoint, |url: &String| url.is_empty() || is_url(url)).required();
    let service_name = section.key("service_name").that("a name of at least one character", |name: &String| !name.is_empty()).required();
    let sample_ratio = section.key("sample_ratio").that("a ratio from \"0\" to \"1\", in quotes", is_ratio).required();
    let log_format = section.key("log_format").required();
    section.finish();
    Some(Telemetry {
        log_format: log_format?,
        otlp_endpoint: Some(otlp_endpoint?).filter(|url| !url.is_empty()),
        service_name: service_name?,
        sample_ratio: sample_ratio?,
    })
}

fn alerts(mut section: Section<'_>) -> Option<Alerts> {
    let escalate_after = section.key("escalate_after").that(SOME_TIME, is_some_time).required();
    let endpoint = "\"\" for nowhere, or a URL such as \"http://127.0.0.1:9093/alerts\"";
    let webhook: Option<String> = section.key("webhook").that(endpoint, |url: &String| url.is_empty() || is_url(url)).required();
    section.finish();
    Some(Alerts { escalate_after: escalate_after?, webhook: Some(webhook?).filter(|url| !url.is_empty()) })
}

fn exchange(mut section: Section<'_>) -> Option<Exchange> {
    let market: Option<MarketSource> = section.key("market").required();
    let seed = section.key("seed").required();
    let files = section.key("files").or(Vec::new());
    let rest = "an address without a path such as \"https://fapi.binance.com\"";
    let live_rest = section.key("live_rest").that(rest, |url: &String| venues::is_base(url, &["http", "https"])).optional();
    let ws = "an address without a path such as \"wss://fstream.binance.com\"";
    let live_ws = section.key("live_ws").that(ws, |url: &String| venues::is_base(url, &["ws", "wss"])).optional();
    section.finish();
    Some(Exchange { market: market?, seed: seed?, files, live: live_rest.zip(live_ws) })
}

fn account(mut section: Section<'_>) -> Option<AccountSpec> {
    let id = section.key("id").required();
    let named = section.text_of("venue");
    let venue = section.key("venue").or(venues::embedded());
    let key = venues::read_key(&mut section);
    let owner = section.key("owner").or(OwnerId::default());
    let enabled = section.key("enabled").or(true);
    let funds = section.key("starting_funds").that(ABOVE_ZERO, |funds: &Money| funds.is_positive());
    // Only the exchange carried inside pays money in; which venue it is, `venues` says for those that have another name.
    let starting_funds = match named.as_deref() {
        None | Some(EMBEDDED | EMBEDDED_SPOT) => funds.required(),
        Some(_) => Some(funds.optional().unwrap_or_default()),
    };
    let hedge_mode = section.key("hedge_mode").or(false);
    let leverage = section.key("leverage").that("a whole number from 1 to 125", |leverage| (1..=125).contains(leverage)).optional();
    let margin_type = section.key("margin_type").optional();
    let on_kill = section.key("on_kill").or(OnKill::Cancel);
    section.finish();
    Some(AccountSpec {
        id: id?,
        venue,
        venue_named: named.is_some(),
        key,
        owner,
        enabled,
        starting_funds: starting_funds?,
        hedge_mode,
        leverage,
        margin_type,
        on_kill,
    })
}

fn symbols(top: &mut Section<'_>) -> Option<Vec<Placed<SymbolSpec>>> {
    let origin = top.origin_of("symbols");
    match top.text_of("symbols").as_deref() {
        None => Some(top.entries("symbols", "name").into_iter().map(|entry| placed(entry, "name", symbol)).collect()),
        Some("from-data") => {
            top.raw("symbols");
            top.row("symbols", "from-data".to_owned(), origin);
            None
        }
        Some(other) => {
            top.raw("symbols");
            top.note("symbols", "[[symbols]] tables, or the text \"from-data\"", &format!("{other:?}"), None, origin);
            None
        }
    }
}

fn symbol(mut section: Section<'_>) -> Option<SymbolSpec> {
    let name = section.key("name").required();
    let venue = section.key("venue").optional();
    let enabled = section.key("enabled").or(true);
    let synthetic = synthetic(section.section("synthetic"));
    let instrument = instrument(section.section("instrument"));
    section.finish();
    Some(SymbolSpec { name: name?, venue, enabled, synthetic, instrument })
}

fn synthetic(mut section: Section<'_>) -> SyntheticOverride {
    // Ten thousand millionths are 1 % a second, beyond any crash; a thousand trades a second is beyond any busy symbol.
    let (volatility, trades) = ("a whole number from 0 to 10000", "a whole number from 1 to 1000");
    let synthetic = SyntheticOverride {
        opens_at: section.key("opens_at").that("a price above zero, in quotes", is_above_zero).optional(),
        volatility_millionths: section.key("volatility_millionths").that(volatility, |most| *most <= 10_000).optional(),
        touch: section.key("touch").that("a quantity above zero, in quotes", |touch: &Quantity| touch.is_positive()).optional(),
        trade: section.key("trade").that("a quantity above zero, in quotes", |trade: &Quantity| trade.is_positive()).optional(),
        trades_per_second: section.key("trades_per_second").that(trades, |rate| (1..=1_000).contains(rate)).optional(),
    };
    section.finish();
    synthetic
}

fn is_above_zero(price: &crate::domain::money::Price) -> bool {
    price.is_positive()
}

fn instrument(mut section: Section<'_>) -> InstrumentOverride {
    let above = "a number above zero, in quotes";
    let instrument = InstrumentOverride {
        kind: section.key("kind").optional(),
        price_step: section.key("price_step").that(above, is_above_zero).optional(),
        quantity_step: section.key("quantity_step").that(above, |step: &Quantity| step.is_positive()).optional(),
        min_quantity: section.key("min_quantity").that(above, |least: &Quantity| least.is_positive()).optional(),
        max_quantity: section.key("max_quantity").that(above, |most: &Quantity| most.is_positive()).optional(),
        min_notional: section.key("min_notional").that("zero or more, in quotes", |least: &Money| !least.is_negative()).optional(),
        price_band: section.key("price_band").that(SHARE, is_share).optional(),
        maker_fee: section.key("maker_fee").that("a ratio from \"-1\" to \"1\", in quotes", is_fee).optional(),
        taker_fee: section.key("taker_fee").that("a ratio from \"-1\" to \"1\", in quotes", is_fee).optional(),
        // 125 is the most that any venue gives.
        max_leverage: section.key("max_leverage").that("a whole number from 1 to 125", |most| (1..=125).contains(most)).optional(),
    };
    section.finish();
    instrument
}

/// Which limits a table may have: a limit by account says nothing in a table by symbol.
#[derive(Clone, Copy, PartialEq)]
enum Covers {
    Everything,
    OneAccount,
    OneSymbol,
}

fn limits(section: &mut Section<'_>, covers: Covers) -> Limits {
    let price_collar = section.key("price_collar").that(SHARE, is_share).optional();
    let max_order_value = section.key("max_order_value").that(ABOVE_ZERO, |most: &Money| most.is_positive()).optional();
    let max_position_value = section.key("max_position_value").that(ABOVE_ZERO, |most: &Money| most.is_positive()).optional();
    let hard = match covers {
        Covers::Everything => hard::defaults(section),
        Covers::OneAccount => hard::of_account(section),
        Covers::OneSymbol => hard::of_symbol(section),
    };
    let mut limits = Limits { price_collar, max_order_value, max_position_value, hard, ..Limits::default() };
    if covers != Covers::OneAccount {
        let quantity = "a quantity above zero in quotes such as \"0.5\"";
        limits.max_order_quantity = section.key("max_order_quantity").that(quantity, |most: &Quantity| most.is_positive()).optional();
    }
    if covers != Covers::OneSymbol {
        limits.max_messages = rate(section.section("max_messages"));
        limits.max_daily_loss = section.key("max_daily_loss").that(ABOVE_ZERO, |most: &Money| most.is_positive()).optional();
    }
    limits
}

fn rate(mut section: Section<'_>) -> Option<Rate> {
    let count = section.key("count").that(COUNT, |count: &u32| *count > 0).required();
    let period = section.key("period").that(SOME_TIME, is_some_time).required();
    section.finish();
    Some(Rate { count: count?, period: period? })
}

fn risk(mut section: Section<'_>, top: &Section<'_>) -> Option<RawRisk> {
    if !section.is_present() {
        let help = Some("without limits no order passes: add [risk], as in config/default.toml".to_owned());
        top.note("risk", "a section with the limits", "nothing", help, top.origin());
        return None;
    }
    let origin = section.origin();
    let defaults = limits(&mut section, Covers::Everything);
    let max_capital = section.key("max_capital").that(ABOVE_ZERO, |most: &Money| most.is_positive()).optional();
    let duplicate_window = section.key("duplicate_window").required();
    let stale_after = section.key("stale_after").that(SOME_TIME, is_some_time).required();
    let (accounts, by_account) = overrides(&mut section, "accounts", Covers::OneAccount);
    let (symbols, by_symbol) = overrides(&mut section, "symbols", Covers::OneSymbol);
    let (strategies, by_strategy) = of_strategies(&mut section);
    let once = hard::once(&mut section, rate);
    section.finish();
    let risk = Risk {
        defaults,
        accounts: by_account,
        symbols: by_symbol,
        max_capital,
        duplicate_window: duplicate_window?,
        stale_after: stale_after?,
        strategies: by_strategy,
        once,
    };
    Some(RawRisk { risk, origin, accounts, symbols, strategies })
}

fn of_strategies(section: &mut Section<'_>) -> (Vec<Placed<StrategyId>>, BTreeMap<StrategyId, hard::StrategyOwn>) {
    let (mut places, mut by_name) = (Vec::new(), BTreeMap::new());
    for (key, mut table) in section.named("strategies") {
        let own = hard::of_strategy(&mut table, rate);
        let placed = |id| Placed { name: key.to_owned(), value: Some(id), path: table.whole_path(), origin: table.origin() };
        match key.parse::<StrategyId>() {
            Ok(id) => {
                places.push(placed(id));
                by_name.insert(id, own);
            }
            Err(error) => {
                let expected = <StrategyId as Setting>::expected();
                table.note(&table.whole_path(), &expected, &format!("`{key}`"), Some(error.to_string()), table.origin());
            }
        }
        table.finish();
    }
    (places, by_name)
}

fn overrides<Id>(section: &mut Section<'_>, name: &'static str, covers: Covers) -> (Vec<Placed<Id>>, BTreeMap<Id, Limits>)
where
    Id: Setting + Ord + Copy + std::str::FromStr<Err: std::fmt::Display>,
{
    let (mut places, mut by_name) = (Vec::new(), BTreeMap::new());
    for (key, mut table) in section.named(name) {
        let limits = limits(&mut table, covers);
        match key.parse::<Id>() {
            Ok(id) => {
                places.push(Placed { name: key.to_owned(), value: Some(id), path: table.whole_path(), origin: table.origin() });
                by_name.insert(id, limits);
            }
            Err(error) => table.note(&table.whole_path(), &Id::expected(), &format!("`{key}`"), Some(error.to_string()), table.origin()),
        }
        table.finish();
    }
    (places, by_name)
}

fn supervision(mut section: Section<'_>) -> Option<Supervision> {
    let intensity = section.key("intensity").that(COUNT, |count: &u32| *count > 0).required();
    let [period, backoff_min, backoff_max, stable_after, heartbeat_deadline, thread_deadline] =
        ["period", "backoff_min", "backoff_max", "stable_after", "heartbeat_deadline", "thread_deadline"]
            .map(|name| section.key(name).that(SOME_TIME, is_some_time).required());
    let fault_budgets = fault_budgets(section.section("fault_budgets"));
    section.finish();
    Some(Supervision {
        intensity: intensity?,
        period: period?,
        backoff_min: backoff_min?,
        backoff_max: backoff_max?,
        stable_after: stable_after?,
        heartbeat_deadline: heartbeat_deadline?,
        thread_deadline: thread_deadline?,
        fault_budgets,
    })
}

/// Of every class, and of a kind of scope where it has some of its own.
fn fault_budgets(mut section: Section<'_>) -> FaultBudgets {
    let mut budgets = FaultBudgets::default();
    let classes = || FaultClass::iter().filter(|class| !class.has_no_budget());
    for class in classes() {
        if let Some(budget) = fault_budget(section.section(class.into()), class) {
            budgets.of_class.insert(class, budget);
        }
    }
    for kind in ScopeKind::iter() {
        let mut own = section.section(kind.into());
        for class in classes() {
            let budget = own.section(class.into());
            if budget.is_present()
                && let Some(budget) = fault_budget(budget, class)
            {
                budgets.of_scope.insert((kind, class), budget);
            }
        }
        own.finish();
    }
    section.finish();
    budgets
}

fn fault_budget(mut section: Section<'_>, class: FaultClass) -> Option<FaultBudget> {
    let count = section.key("count").that(COUNT, |count: &u32| *count > 0).required();
    let period = section.key("period").that(SOME_TIME, is_some_time).required();
    let then = section.key("then").or(held_to(class));
    section.finish();
    Some(FaultBudget { intensity: count?, period: period?, then: then.into() })
}

/// Where nothing is said: what cannot be reached can still be cancelled, what is refused or cannot be seen can still be closed, and
/// what panics or wedges time and again is not to be trusted with either.
const fn held_to(class: FaultClass) -> HeldTo {
    match class {
        FaultClass::Transport => HeldTo::CancelOnly,
        FaultClass::VenueReject | FaultClass::Data => HeldTo::ReduceOnly,
        FaultClass::Panic | FaultClass::Stall | FaultClass::Invariant | FaultClass::Storage => HeldTo::Halted,
    }
}

fn strategy(mut section: Section<'_>) -> RawStrategy {
    let id = section.key("id").required();
    let kind_origin = section.origin_of("kind");
    let kind = section.key("kind").required();
    let enabled = section.key("enabled").or(true);
    let accounts_origin = section.origin_of("accounts");
    let some = "a list of names, or [\"*\"] for all of them";
    let accounts = section.key("accounts").that(some, |names: &Vec<String>| !names.is_empty()).required();
    let symbols_origin = section.origin_of("symbols");
    let symbols = section.key("symbols").that(some, |names: &Vec<String>| !names.is_empty()).required();
    let interval = section.key("interval").that(SOME_TIME, is_some_time).required();
    let settings = section.raw("settings").cloned();
    if let Some(node) = &settings {
        settings_rows(&section, &section.path("settings"), node);
    }
    section.finish();
    RawStrategy {
        id,
        kind,
        kind_origin,
        enabled,
        accounts: accounts.unwrap_or_default(),
        accounts_origin,
        symbols: symbols.unwrap_or_default(),
        symbols_origin,
        interval,
        settings,
    }
}

/// A kind's own settings are its own business: here they are only written down.
fn settings_rows(section: &Section<'_>, path: &str, node: &Node) {
    match &node.value {
        Value::Table(table) => table.iter().for_each(|(key, node)| settings_rows(section, &format!("{path}.{key}"), node)),
        Value::List(items) => {
            items.iter().enumerate().for_each(|(at, node)| settings_rows(section, &format!("{path}[{at}]"), node));
        }
        Value::Other => {
            let expected = "text, a number, true, false, a list or a table";
            section.note(path, expected, &describe(node), None, node.origin.clone());
        }
        _ => section.row(path, node.to_json().to_string(), node.origin.clone()),
    }
}

fn backtest(mut section: Section<'_>) -> Option<Backtest> {
    let strict = section.key("strict").required();
    let order_latency = section.key("order_latency").required();
    section.finish();
    Some(Backtest { strict: strict?, order_latency: order_latency? })
}

fn is_log_filter(filter: &String) -> bool {
    tracing_subscriber::EnvFilter::try_new(filter).is_ok()
}

fn is_url(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn is_some_time(time: &Duration) -> bool {
    !time.is_zero()
}

fn is_ratio(ratio: &Ratio) -> bool {
    !ratio.is_negative() && ratio.0 <= rust_decimal::Decimal::ONE
}

fn is_share(ratio: &Ratio) -> bool {
    ratio.is_positive() && is_ratio(ratio)
}

fn is_fee(ratio: &Ratio) -> bool {
    is_ratio(&ratio.abs())
}
