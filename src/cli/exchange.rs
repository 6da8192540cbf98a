//! `ringfence exchange`: the exchange that Ringfence carries inside, alone, for any client that was written for Binance. Reads
//! what is wished for, opens a product for each address, says where it listens, and serves until it is told to stop.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::domain::ids::{Asset, Symbol};
use crate::domain::money::Money;
use crate::exchange::shell::{self, RunningExchange};
use crate::exchange::sources::live::LiveVenue;
use crate::exchange::standalone::{Show, Standalone, Wishes};
use crate::exchange::stream::MarketWire;
use crate::exchange::wire::{Dialect, Key, Permissions, Product, ServeError, WireServer};
use crate::messages::Clock;
use crate::supervision::signals::{Signal, Signals};

use super::failure::Failure;
use super::output;

/// Accounts that are there without being asked for, with keys of their own.
const ACCOUNTS: [&str; 3] = ["alpha", "beta", "gamma"];
const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];
/// What an account begins with where nothing is said.
const FUNDS: &str = "USDT=100000";

/// A market that has not traded by then is a quiet one: it is announced as it is.
const MARKET_OPENS_MAX: Duration = Duration::from_secs(3);

/// How often the exchange's clock looks at the wall's: clients sign with the wall's.
const FOLLOW_WALL: Duration = Duration::from_millis(500);

/// Serve the built-in exchange alone, as Binance speaks, for any client
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("products").args(["spot", "usdm"]).required(true).multiple(true))]
#[command(after_help = "Example: ringfence exchange --spot 127.0.0.1:0 --usdm 127.0.0.1:0 --fund USDT=100000 --fund BTC=2 --json\n\n\
    Clients need nothing but another base address. Three accounts (alpha, beta, gamma) are there, with new keys at each\n\
    start unless there is a --data-dir; --key adds one of your own. SECRET is an HMAC secret, or an Ed25519 public key: its\n\
    PEM (\\n for its line ends), or ed25519: and its 32 bytes in base64. session.logon needs such a key.\n\n\
    --json prints one line when every port accepts: {\"spot\":{\"rest\",\"ws\",\"ws_api\"},\"usdm\":{…},\"accounts\":[{\"name\",\"api_key\",\"api_secret\"}]}\n\
    SIGTERM or Ctrl-C ends it in order: streams get serverShutdown.")]
pub(super) struct Arguments {
    /// Serve spot here; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    spot: Option<SocketAddr>,
    /// Serve USD-M futures here
    #[arg(long, value_name = "ADDRESS")]
    usdm: Option<SocketAddr>,
    /// What is listed, of a synthetic or a live market
    #[arg(long, value_name = "SYMBOL", num_args = 1.., value_delimiter = ',', default_values = SYMBOLS)]
    symbols: Vec<Symbol>,
    /// Which market is shown
    #[arg(long, value_enum, default_value = "synthetic")]
    market: Market,
    /// What a recorded market plays: each file is of one product, and is played by that
    #[arg(long, value_name = "FILE", num_args = 1.., required_if_eq("market", "recording"))]
    files: Vec<PathBuf>,
    /// Where a live market is asked for, instead of Binance; of one product
    #[arg(long, value_name = "URL", requires = "live_ws")]
    live_rest: Option<String>,
    /// Where a live market is heard
    #[arg(long, value_name = "URL", requires = "live_rest")]
    live_ws: Option<String>,
    /// What a synthetic market is made from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What every account begins with in each wallet; may be repeated [default: USDT=100000]
    #[arg(long, value_name = "ASSET=AMOUNT")]
    fund: Vec<String>,
    /// Adds an account; may be repeated
    #[arg(long, value_name = "NAME:KEY:SECRET")]
    key: Vec<String>,
    /// What a key may do: reading, spot, futures, withdrawals, transfers, and ip=ADDRESS [default: reading,spot,futures]
    #[arg(long, value_name = "NAME=LIST")]
    permit: Vec<String>,
    /// Whose USD-M it is
    #[arg(long, value_enum, default_value = "binance")]
    dialect: Whose,
    /// Where it remembers accounts and orders; without it nothing outlives it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Whether weights and order counts are enforced, or only counted
    #[arg(long, value_enum, default_value = "venue")]
    limits: Limits,
    /// The request weight that an address may use up a minute, told in exchangeInfo [default: as the venue has it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    weight: Option<u32>,
    /// Serves bars of any whole number of seconds, as the daemon's own strategies may want; Binance does not
    #[arg(long)]
    any_interval: bool,
    /// Opens /faults, for this machine alone: GET, POST, DELETE
    #[arg(long)]
    faults: bool,
    /// One line of JSON instead of words
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Market {
    /// Out of a seed
    Synthetic,
    /// Files, round after round
    Recording,
    /// Binance's own public streams, as they come
    Live,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Whose {
    Binance,
    Aster,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Limits {
    /// As Binance enforces them
    Venue,
    /// Counted and shown only
    Off,
}

/// Where a product listens.
#[derive(Debug, Clone, Serialize)]
struct Addresses {
    rest: String,
    ws: String,
    ws_api: String,
}

#[derive(Debug, Serialize)]
struct Account<'k> {
    name: &'k str,
    api_key: &'k str,
    api_secret: &'k str,
}

/// The line that says that it runs.
#[derive(Debug, Serialize)]
struct Announcement<'k> {
    #[serde(skip_serializing_if = "Option::is_none")]
    spot: Option<Addresses>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usdm: Option<Addresses>,
    accounts: Vec<Account<'k>>,
}

/// A product that is bound and runs, and waits to be served.
struct Opened {
    running: RunningExchange,
    server: WireServer,
    listener: TcpListener,
    addresses: Addresses,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = Runtime::new().map_err(|error| Failure::failed(format!("no runtime can be made: {error}")))?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> Result<(), Failure> {
    // Before anything is bound: a signal from then on ends it in order.
    let mut signals = Signals::listen().map_err(|error| Failure::failed(format!("signals cannot be heard: {error}")))?;
    let seed = seed(arguments.data_dir.as_deref())?;
    let wall = Clock::start();
    let opened = tokio::select! {
        opened = open_all(arguments, seed, &wall) => opened?,
        // A live venue that does not answer must not keep whoever has changed their mind. Nobody knows of anything yet.
        () = told_to_stop(&mut signals) => return Ok(()),
    };
    let of = |spot| opened.iter().find(|(is_spot, _)| *is_spot == spot).map(|(_, one)| one.addresses.clone());
    let (spot, usdm, keys) = (of(true), of(false), keys(arguments, &seed)?);
    let announce = || announce(&keys, spot, usdm, arguments.json);
    run(opened.into_iter().map(|(_, one)| one).collect(), &wall, &mut signals, announce).await
}

async fn told_to_stop(signals: &mut Signals) {
    // There is no configuration to read again.
    while signals.next().await == Signal::Reload {}
}

/// Every product that is asked for, each with whether it is spot.
async fn open_all(arguments: &Arguments, seed: [u8; 32], wall: &Clock) -> Result<Vec<(bool, Opened)>, Failure> {
    let funds = funds(&arguments.fund)?;
    let clock: shell::Clock = Arc::new({
        let wall = wall.clone();
        move || wall.now()
    });
    let usdm = Product { dialect: if arguments.dialect == Whose::Aster { Dialect::Aster } else { Dialect::Binance }, ..Product::USDM };
    let mut opened = Vec::new();
    for (product, address) in [(Product::SPOT, arguments.spot), (usdm, arguments.usdm)] {
        let Some(address) = address else { continue };
        let wishes = Wishes {
            product,
            show: show(arguments, product),
            keys: keys(arguments, &seed)?,
            funds: funds.clone(),
            record: arguments.data_dir.as_ref().map(|folder| folder.join(record_name(product))),
            clock: Arc::clone(&clock),
            limits: arguments.limits == Limits::Venue,
            weight: arguments.weight,
            extended: arguments.any_interval,
            faults: arguments.faults,
            seed,
        };
        opened.push((product.is_spot(), open(wishes, address).await?));
    }
    Ok(opened)
}

/// What the standing accounts' keys are made from: new at each start, or kept with what is remembered.
fn seed(data_dir: Option<&Path>) -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::failed(format!("the system gives no random bytes for keys: {error}")))?;
    let Some(folder) = data_dir else { return Ok(seed) };
    let path = folder.join("keys.seed");
    let refused = |error: std::io::Error| {
        Failure::usage(format!("--data-dir expected a folder that can be written, found {}: {error}", folder.display()))
    };
    std::fs::create_dir_all(folder).map_err(refused)?;
    match std::fs::read(&path) {
        Ok(kept) => kept.try_into().map_err(|kept: Vec<u8>| {
            Failure::usage(format!("{} expected 32 bytes, found {}; move it away to get new keys", path.display(), kept.len()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Nobody else's to read: secrets are made from it.
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(refused)?;
            file.write_all(&seed).map_err(refused)?;
            Ok(seed)
        }
        Err(error) => Err(refused(error)),
    }
}

const fn record_name(product: Product) -> &'static str {
    match product.kind {
        crate::domain::instrument::InstrumentKind::Spot => "spot.db",
        crate::domain::instrument::InstrumentKind::Perpetual => "usdm.db",
    }
}

fn show(arguments: &Arguments, product: Product) -> Show {
    match arguments.market {
        Market::Synthetic => Show::Synthetic { seed: arguments.seed, symbols: arguments.symbols.clone() },
        Market::Recording => Show::Recording { files: arguments.files.clone() },
        Market::Live => Show::Live { venue: live_venue(arguments, product), symbols: arguments.symbols.clone() },
    }
}

fn live_venue(arguments: &Arguments, product: Product) -> LiveVenue {
    match (&arguments.live_rest, &arguments.live_ws) {
        (Some(rest), Some(ws)) => LiveVenue { kind: product.kind, rest: rest.clone(), ws: ws.clone() },
        _ => LiveVenue::binance(product.kind),
    }
}

async fn open(wishes: Wishes, address: SocketAddr) -> Result<Opened, Failure> {
    let refused = |error: std::io::Error| Failure::usage(format!("expected an address that may be listened on, found {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    let path = wishes.product.ws_api_path();
    let addresses = Addresses { rest: format!("http://{bound}"), ws: format!("ws://{bound}"), ws_api: format!("ws://{bound}{path}") };
    let Standalone { running, server, .. } = Standalone::open(wishes).await.map_err(Failure::usage)?;
    Ok(Opened { running, server, listener, addresses })
}

/// Serves until a signal, or until one of them fails; says so once the markets have opened.
async fn run(
    opened: Vec<Opened>,
    wall: &Clock,
    signals: &mut Signals,
    announce: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let mut follow = tokio::time::interval(FOLLOW_WALL);
    let (mut running, mut serving, mut markets) = (Vec::new(), Vec::new(), Vec::new());
    for one in opened {
        running.push(one.running);
        markets.push(one.server.market.clone());
        serving.push(one.server.run(one.listener, stop.clone()));
    }
    let mut all = std::pin::pin!(futures_util::future::try_join_all(serving));
    let mut open = std::pin::pin!(markets_open(markets));
    let mut announce = Some(announce);
    let ended: Result<_, ServeError> = loop {
        tokio::select! {
            ended = &mut all => break ended,
            () = &mut open, if announce.is_some() => announce.take().map_or(Ok(()), |announce| announce())?,
            _ = follow.tick() => drop(wall.follow_wall()),
            signal = signals.next() => match signal {
                Signal::Stop => stop.cancel(),
                Signal::StopNow => return Err(Failure::Told(1)),
                // There is no configuration to read again.
                Signal::Reload => {}
            },
        }
    };
    let stopped: Vec<_> = running.into_iter().map(RunningExchange::stop).collect();
    // Why the engine ended says more than that its server did.
    stopped.into_iter().collect::<Result<Vec<()>, _>>().map_err(Failure::failed)?;
    ended.map(|_| ()).map_err(Failure::failed)
}

async fn markets_open(markets: Vec<MarketWire>) {
    let all = futures_util::future::join_all(markets.iter().map(MarketWire::opened));
    // Quiet or not, it is served.
    let _ = tokio::time::timeout(MARKET_OPENS_MAX, all).await;
}

fn announce(keys: &[Key], spot: Option<Addresses>, usdm: Option<Addresses>, json: bool) -> Result<(), Failure> {
    let accounts: Vec<_> = keys.iter().map(|key| Account { name: &key.name, api_key: &key.api_key, api_secret: &key.secret }).collect();
    let announcement = Announcement { spot, usdm, accounts };
    if json {
        let line = serde_json::to_string(&announcement).map_err(Failure::failed)?;
        return output::print(&format!("{line}\n"));
    }
    let mut table = output::table(["", "REST", "streams", "WebSocket API"]);
    for (name, addresses) in [("spot", &announcement.spot), ("usdm", &announcement.usdm)] {
        if let Some(Addresses { rest, ws, ws_api }) = addresses {
            table.add_row([name, rest, ws, ws_api]);
        }
    }
    let mut accounts = output::table(["account", "API key", "secret"]);
    for account in &announcement.accounts {
        accounts.add_row([account.name, account.api_key, account.api_secret]);
    }
    output::print(&format!("{table}\n\n{accounts}\n"))
}

/// The accounts that are always there, then those that were asked for.
fn keys(arguments: &Arguments, seed: &[u8; 32]) -> Result<Vec<Key>, Failure> {
    let standing = ACCOUNTS.iter().map(|name| Key::derived(seed, name));
    let given = arguments.key.iter().map(|text| Key::parse(text));
    let mut keys = standing.chain(given).collect::<Result<Vec<Key>, _>>().map_err(|error| Failure::usage(format!("--key: {error}")))?;
    for permit in &arguments.permit {
        let (name, permissions) = permissions(permit)?;
        let named = keys.iter_mut().filter(|key| key.name == name);
        let changed = named.map(|key| key.permissions = permissions.clone()).count();
        if changed == 0 {
            return Err(Failure::usage(format!("--permit expected an account's name, found {name:?}; add it with --key")));
        }
    }
    Ok(keys)
}

fn permissions(permit: &str) -> Result<(&str, Permissions), Failure> {
    let wrong = |found: &str| {
        Failure::usage(format!(
            "--permit expected NAME=LIST with reading, spot, futures, withdrawals, transfers or ip=ADDRESS in the list, found {found:?}"
        ))
    };
    let (name, list) = permit.split_once('=').ok_or_else(|| wrong(permit))?;
    let mut permissions =
        Permissions { reading: false, spot_trading: false, futures: false, withdrawals: false, transfers: false, addresses: Vec::new() };
    for word in list.split(',').filter(|word| !word.is_empty()) {
        match word {
            "reading" => permissions.reading = true,
            "spot" => permissions.spot_trading = true,
            "futures" => permissions.futures = true,
            "withdrawals" => permissions.withdrawals = true,
            "transfers" => permissions.transfers = true,
            other => {
                let address: Option<IpAddr> = other.strip_prefix("ip=").and_then(|address| address.parse().ok());
                permissions.addresses.push(address.ok_or_else(|| wrong(other))?);
            }
        }
    }
    Ok((name, permissions))
}

fn funds(wished: &[String]) -> Result<Vec<(Asset, Money)>, Failure> {
    let standing = [FUNDS.to_owned()];
    let texts = if wished.is_empty() { &standing[..] } else { wished };
    let parse = |text: &String| {
        let (asset, amount) = text.split_once('=')?;
        let (asset, amount) = (Asset::new(asset).ok()?, amount.parse().ok()?);
        Some((asset, Money(amount))).filter(|_| Money(amount).is_positive())
    };
    let wrong = |text: &String| Failure::usage(format!("--fund expected ASSET=AMOUNT such as USDT=100000, found {text:?}"));
    texts.iter().map(|text| parse(text).ok_or_else(|| wrong(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn funds_and_permissions_are_read_or_refused_in_words() {
        let read = funds(&["USDT=5".to_owned(), "BTC=0.5".to_owned()]).unwrap();
        assert_eq!(read.iter().map(|(asset, amount)| format!("{asset} {amount}")).collect::<Vec<_>>(), ["USDT 5", "BTC 0.5"]);
        assert_eq!(funds(&[]).unwrap().len(), 1);
        for wrong in ["USDT", "USDT=", "usdt=5", "USDT=-5", "USDT=0"] {
            assert!(funds(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        let (name, permitted) = permissions("a=reading,withdrawals,ip=10.0.0.1").unwrap();
        assert_eq!(
            (name, permitted.reading, permitted.futures, permitted.withdrawals, permitted.addresses.len()),
            ("a", true, false, true, 1)
        );
        assert!(permissions("a=everything").is_err());
        assert!(permissions("a").is_err());
    }
}
