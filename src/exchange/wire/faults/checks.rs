//! A fault is held against what there is before it is armed: one that names an account, an address or a symbol which nobody has
//! would never come, and whoever waited for it would believe that it had. It arms nothing.

use std::sync::Arc;

use crate::domain::ids::{AccountId, Symbol};
use crate::exchange::wire::Verb;
use crate::exchange::wire::venue::Venue;
use crate::exchange::wire::ws_api;

use super::{FaultError, Kind, Rule, Schedule};

/// What stands where HTTP has a status.
const STATUSES: std::ops::RangeInclusive<u16> = 200..=599;

/// # Errors
/// When what it names is not there, or a number is none.
pub(super) async fn rule(venue: &Arc<Venue>, rule: &Rule) -> Result<(), FaultError> {
    rule.account.map_or(Ok(()), |account| known_account(venue, account))?;
    if let Some(symbol) = rule.symbol {
        known_symbol(venue, symbol).await?;
    }
    if let Some(route) = rule.route.as_ref().filter(|route| !is_route(venue, route)) {
        return Err(unfit("a path or a method of this product, or its beginning and a *", route));
    }
    if let Some(verb) = rule.verb.as_ref().filter(|verb| verb.to_ascii_uppercase().parse::<Verb>().is_err()) {
        return Err(unfit("GET, POST, PUT or DELETE", verb));
    }
    if let Some(percent) = rule.percent.filter(|percent| *percent > 100) {
        return Err(unfit("a percentage of at most 100", percent));
    }
    kind(&rule.fault)
}

/// # Errors
/// As for a rule; and when a fault of it is done to something that it does not name.
pub(super) async fn schedule(venue: &Arc<Venue>, schedule: &Schedule) -> Result<(), FaultError> {
    schedule.accounts.iter().try_for_each(|account| known_account(venue, *account))?;
    for symbol in &schedule.symbols {
        known_symbol(venue, *symbol).await?;
    }
    for fault in &schedule.faults {
        kind(fault)?;
        if fault.wants_account() && schedule.accounts.is_empty() {
            return Err(FaultError::Missing { expected: "accounts" });
        }
        if fault.wants_symbol() && schedule.symbols.is_empty() {
            return Err(FaultError::Missing { expected: "symbols" });
        }
    }
    Ok(())
}

fn kind(kind: &Kind) -> Result<(), FaultError> {
    let status = match kind {
        Kind::Gateway { status, .. } => Some(*status),
        Kind::Refuse { status, .. } => *status,
        _ => None,
    };
    status.filter(|status| !STATUSES.contains(status)).map_or(Ok(()), |status| Err(unfit("a status of HTTP from 200 to 599", status)))
}

fn known_account(venue: &Venue, account: AccountId) -> Result<(), FaultError> {
    let accounts = venue.keys().accounts();
    if accounts.contains(&account) {
        return Ok(());
    }
    let names: Vec<String> = accounts.iter().map(ToString::to_string).collect();
    Err(unfit("an account of this exchange", format!("{account}; it has {}", names.join(", "))))
}

async fn known_symbol(venue: &Venue, symbol: Symbol) -> Result<(), FaultError> {
    // Answered also while the engine is frozen.
    let listed = venue.exchange().depth_snapshot(symbol, 1).await?.is_some();
    if listed { Ok(()) } else { Err(unfit("a symbol that is listed", symbol)) }
}

fn is_route(venue: &Venue, wanted: &str) -> bool {
    let is = |name: &str| match wanted.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == wanted,
    };
    let of_table = venue.routes().iter().any(|route| is(route.path) || route.methods.iter().any(|method| is(method)));
    of_table || ws_api::own_methods().any(is)
}

fn unfit(expected: &'static str, found: impl ToString) -> FaultError {
    FaultError::Unfit { expected, found: found.to_string() }
}
