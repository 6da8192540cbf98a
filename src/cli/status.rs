//! `ringfence status`: the daemon at one moment, or again and again. Reads; changes nothing.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use crossterm::{cursor::MoveTo, terminal};
use serde_json::Value;

use crate::api::StatusView;
use crate::domain::mode::Mode;
use crate::domain::money::Price;

use super::client::{Client, Target};
use super::failure::Failure;
use super::output;

/// Once a second: faster than a person reads, slower than anything that the daemon would notice.
const REDRAW: Duration = Duration::from_secs(1);

/// Show accounts, markets, strategies and supervised children of a running daemon
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence status --watch")]
pub(super) struct Arguments {
    /// Draw again every second until Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    target: Target,
    /// Print the status as JSON; with --watch, one line each time
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    let client = Client::to(&arguments.target)?;
    if !arguments.watch {
        let status = client.get("/status")?;
        return if arguments.json { output::print_json(&status) } else { output::print(&tables(status)?) };
    }
    // The first answer must come; after that a daemon that restarts is waited for.
    let mut status = client.get("/status")?;
    loop {
        draw(status, arguments.json)?;
        status = loop {
            client.pause(REDRAW);
            match client.get("/status") {
                Ok(status) => break status,
                Err(failure) => failure.print(),
            }
        };
    }
}

fn draw(status: Value, json: bool) -> Result<(), Failure> {
    if json {
        return output::print(&format!("{status}\n"));
    }
    let text = tables(status)?;
    if !std::io::stdout().is_terminal() {
        return output::print(&text);
    }
    let clear = format!("{}{}", Ansi(terminal::Clear(terminal::ClearType::All)), Ansi(MoveTo(0, 0)));
    output::print(&format!("{clear}{text}"))
}

/// A terminal command as its characters.
struct Ansi<C>(C);

impl<C: crossterm::Command> std::fmt::Display for Ansi<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.write_ansi(f)
    }
}

fn tables(status: Value) -> Result<String, Failure> {
    let status: StatusView = serde_json::from_value(status)
        .map_err(|error| Failure::failed(format!("/status expected to be as this version's daemon makes it, found: {error}")))?;
    let mut text = headline(&status);
    // Writing to a `String` cannot fail.
    let _ = write!(text, "\n{}\n\n{}\n\n{}\n\n{}\n", accounts(&status), symbols(&status), strategies(&status), children(&status));
    for restriction in &status.restrictions {
        let _ = writeln!(text, "{} is {}: {}", restriction.scope, restriction.mode, restriction.cause);
    }
    if !status.alerts.is_empty() {
        let _ = writeln!(text, "{} alerts wait for somebody: see `ringfence alerts`", status.alerts.len());
    }
    Ok(text)
}

fn headline(status: &StatusView) -> String {
    let ready = if status.ready { "ready" } else { "not ready" };
    let mut text =
        format!("{} · {ready} · up {} s · {} · epoch {}\n", status.mode, status.uptime_seconds, status.build.version, status.epoch.0);
    if status.kill_switch.tripped {
        let cause = status.kill_switch.cause.as_deref().unwrap_or("cause unknown");
        let verified: Vec<&str> = status.kill_switch.verified.iter().map(|account| account.as_str()).collect();
        let shown = if verified.is_empty() { "none yet".to_owned() } else { verified.join(", ") };
        let _ = writeln!(text, "KILL SWITCH TRIPPED: {cause}; accounts without open orders at the venue: {shown}");
    }
    text
}

fn mode(mode: Mode) -> String {
    mode.to_string()
}

fn price(price: Option<Price>) -> String {
    price.map_or_else(|| "–".to_owned(), |price| price.to_string())
}

fn accounts(status: &StatusView) -> comfy_table::Table {
    let mut table = output::table(["account", "mode", "orders", "fills", "open", "equity", "day P&L", "positions"]);
    for account in &status.accounts {
        let held = account.positions.iter().filter(|position| !position.quantity.is_zero());
        let positions: Vec<String> = held.map(|position| format!("{} {}", position.quantity, position.symbol)).collect();
        table.add_row([
            account.name.to_string(),
            mode(account.mode),
            account.orders.to_string(),
            account.fills.to_string(),
            account.open_orders.to_string(),
            account.equity.to_string(),
            account.day_pnl.map_or_else(|| "–".to_owned(), |amount| amount.to_string()),
            positions.join(", "),
        ]);
    }
    table
}

fn symbols(status: &StatusView) -> comfy_table::Table {
    let mut table = output::table(["symbol", "mode", "bid", "ask", "last", "age", "frames"]);
    for symbol in &status.symbols {
        let age = symbol.age_ms.map_or_else(|| "–".to_owned(), |age| format!("{age} ms{}", if symbol.stale { ", stale" } else { "" }));
        table.add_row([
            symbol.name.to_string(),
            mode(symbol.mode),
            price(symbol.bid),
            price(symbol.ask),
            price(symbol.last),
            age,
            symbol.frames.to_string(),
        ]);
    }
    table
}

fn strategies(status: &StatusView) -> comfy_table::Table {
    let mut table = output::table(["strategy", "kind", "mode", "running", "signals", "refused"]);
    for strategy in &status.strategies {
        table.add_row([
            strategy.id.to_string(),
            strategy.kind.clone(),
            mode(strategy.mode),
            if strategy.running { "yes" } else { "no" }.to_owned(),
            strategy.signals.to_string(),
            strategy.refused.to_string(),
        ]);
    }
    table
}

fn children(status: &StatusView) -> comfy_table::Table {
    let mut table = output::table(["child", "state", "incarnation", "restarts", "mailbox"]);
    for child in &status.children {
        table.add_row([
            child.name.clone(),
            child.state.clone(),
            child.incarnation.to_string(),
            child.restarts.to_string(),
            child.mailbox.to_string(),
        ]);
    }
    table
}
