//! `ringfence kill`: empties accounts at their venues, with no daemon or beside one that hangs. Reads what is wanted, asks a person
//! where one is there, hands over, prints what was found and what could not be verified. It decides nothing.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::domain::emptying::Emptied;
use crate::domain::ids::{AccountId, Symbol, VenueId};
use crate::settings::{AccountSpec, Settings, SettingsSource, any_strategy};

use super::Parts;
use super::client::{RequiredSignature, Signature};
use super::failure::Failure;
use super::output;

/// Cancel every order straight at the venues, with or without a daemon; exit code 0 only when all are verified empty
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence kill --config ringfence.toml --flatten --by ann --reason \"the daemon hangs\"\n\n\
    It needs no daemon and no journal: keys and addresses are those of the configuration, or, for the exchange carried inside,\n\
    those that a running daemon left in exchange.json. Open orders are cancelled, conditional ones too, account by account side\n\
    by side, until the venue shows none after everything that was on its way can have arrived (recv_window). A running daemon is\n\
    told to halt first, and what is halted is latched: a daemon that is started later comes up halted, until `ringfence resume`.\n\
    A daemon leaves a share of the request weight alone for this.")]
pub(super) struct Arguments {
    /// The configuration that the daemon runs with [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon's data directory, for the latch and the exchange carried inside [default: as configured]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Only this account, also one that is disabled; may be repeated
    #[arg(long, value_name = "ID")]
    account: Vec<AccountId>,
    /// Only accounts of this venue
    #[arg(long, value_name = "ID")]
    venue: Option<VenueId>,
    /// Only orders and positions of this symbol
    #[arg(long, value_name = "NAME")]
    symbol: Option<Symbol>,
    /// Close positions as well, at market and reduce-only
    #[arg(long)]
    flatten: bool,
    /// Leave no halt behind, and no word for a running daemon
    #[arg(long)]
    no_latch: bool,
    /// Ask nobody
    #[arg(long, short)]
    yes: bool,
    /// Give up what is not verified by then, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    within: u64,
    #[command(flatten)]
    signature: Signature,
    /// Print what came of it as JSON
    #[arg(long)]
    json: bool,
}

/// What is to be emptied, and how.
#[derive(Debug)]
pub struct KillOptions {
    pub settings: Settings,
    pub accounts: Vec<AccountSpec>,
    /// Nothing was named: all that is configured is covered.
    pub everything: bool,
    pub symbol: Option<Symbol>,
    pub flatten: bool,
    pub latch: bool,
    pub within: Duration,
    pub by: String,
    pub reason: String,
}

/// What came of one account.
#[derive(Debug, Clone, Serialize)]
pub struct AccountKilled {
    pub account: AccountId,
    pub venue: VenueId,
    pub orders_found: usize,
    pub orders_cancelled: usize,
    /// `None`: not known.
    pub orders_left: Option<usize>,
    pub positions_found: usize,
    pub positions_closed: usize,
    pub positions_left: Option<usize>,
    /// The venue itself showed that nothing is left, late enough.
    pub verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl AccountKilled {
    #[must_use]
    pub fn of(spec: &AccountSpec, emptied: Emptied) -> Self {
        let Emptied { orders_found, orders_cancelled, orders_left, positions_found, positions_closed, positions_left, verified, why } =
            emptied;
        let (account, venue) = (spec.id, spec.venue);
        Self {
            account,
            venue,
            orders_found,
            orders_cancelled,
            orders_left,
            positions_found,
            positions_closed,
            positions_left,
            verified,
            why,
        }
    }
}

/// What came of all of it.
#[derive(Debug, Clone, Serialize)]
pub struct KillReport {
    pub accounts: Vec<AccountKilled>,
    /// What became of the word to a running daemon.
    pub daemon: String,
    /// What became of the halt that is left behind.
    pub latch: String,
    /// Every account is, and the latch is written where one was wanted.
    pub verified: bool,
}

pub(super) fn execute(arguments: Arguments, parts: &Parts<'_>) -> Result<(), Failure> {
    let json = arguments.json;
    let yes = arguments.yes;
    let options = options(arguments)?;
    if !yes && std::io::stdin().is_terminal() {
        confirm(&options)?;
    }
    let report = (parts.kill)(&options)?;
    if json {
        output::print_json(&report)?;
    } else {
        output::print(&tables(&report, &options))?;
    }
    if report.verified { Ok(()) } else { Err(Failure::Told(1)) }
}

fn options(arguments: Arguments) -> Result<KillOptions, Failure> {
    let Arguments { config, data_dir, account, venue, symbol, flatten, no_latch, within, signature, .. } = arguments;
    // What strategies are configured is nobody's matter here: they do not run.
    let settings = SettingsSource { file: config, data_dir }.load(&any_strategy)?;
    if let Some(unknown) = account.iter().find(|id| settings.account(**id).is_none()) {
        return Err(Failure::usage(format!("--account expected an account of the configuration, found {unknown}; name its --config")));
    }
    if let Some(unknown) = venue.filter(|id| settings.venue(*id).is_none()) {
        return Err(Failure::usage(format!("--venue expected a venue of the configuration, found {unknown}; name its --config")));
    }
    let named = |spec: &&AccountSpec| if account.is_empty() { spec.enabled } else { account.contains(&spec.id) };
    let here = |spec: &&AccountSpec| venue.is_none_or(|venue| spec.venue == venue);
    let accounts: Vec<AccountSpec> = settings.accounts.iter().filter(named).filter(here).cloned().collect();
    if accounts.is_empty() {
        return Err(Failure::usage("expected an account to empty, found none that is enabled and fits; name one with --account"));
    }
    let RequiredSignature { by, reason } = signature.complete("kill");
    let everything = account.is_empty() && venue.is_none();
    Ok(KillOptions { settings, accounts, everything, symbol, flatten, latch: !no_latch, within: Duration::from_secs(within), by, reason })
}

/// On a terminal a person says yes first.
fn confirm(options: &KillOptions) -> Result<(), Failure> {
    let names: Vec<String> = options.accounts.iter().map(|account| format!("{} at {}", account.id, account.venue)).collect();
    let what = options.symbol.map_or_else(String::new, |symbol| format!(" of {symbol}"));
    let close = if options.flatten { ", and closes every position at market" } else { "" };
    let latch = if options.latch { " They stay halted until a person resumes." } else { "" };
    output::complain(&format!("This cancels every open order{what} of {}{close}.{latch} Type yes to go on: ", names.join(", ")));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(Failure::failed)?;
    if answer.trim().eq_ignore_ascii_case("yes") { Ok(()) } else { Err(Failure::Failed("nothing was done".to_owned())) }
}

fn count(known: Option<usize>) -> String {
    known.map_or_else(|| "?".to_owned(), |count| count.to_string())
}

fn tables(report: &KillReport, options: &KillOptions) -> String {
    let mut table = output::table(["account", "venue", "orders", "cancelled", "left", "positions", "closed", "left", "verified"]);
    for of in &report.accounts {
        table.add_row([
            of.account.to_string(),
            of.venue.to_string(),
            of.orders_found.to_string(),
            of.orders_cancelled.to_string(),
            count(of.orders_left),
            of.positions_found.to_string(),
            of.positions_closed.to_string(),
            count(of.positions_left),
            if of.verified { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    // Writing to a `String` cannot fail.
    let mut text = format!("{table}\n\ndaemon: {}\nlatch: {}\n", report.daemon, report.latch);
    for of in report.accounts.iter().filter(|of| !of.verified) {
        let why = of.why.as_deref().unwrap_or("not known");
        let _ = writeln!(text, "{} NOT VERIFIED, look there by hand: {why}", of.account);
    }
    let left_alone: Vec<String> = options.settings.accounts.iter().filter(|spec| !spec.enabled).map(|spec| spec.id.to_string()).collect();
    if options.everything && !left_alone.is_empty() {
        let _ = writeln!(text, "disabled and left alone: {}; name one with --account", left_alone.join(", "));
    }
    text
}
