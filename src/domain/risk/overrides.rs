//! Overrides (C10): a named person lets one order past named limits, for a while. Each is for one account and one symbol, is used
//! up by the first order that would have been refused without it, and ends by itself. What keeps the books true and what stops
//! trading is past nobody's word: modes, reconciliation, duplicates, permissions, own crosses, the grid, broken market data.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::ids::{AccountId, Symbol};
use super::super::order::OrderIntent;
use super::super::time::Timestamp;
use super::controls;

/// The longest that one may wait for its order: a person who grants it looks at the market that it is for.
pub const LONGEST: Duration = Duration::from_secs(3_600);

/// The controls that may be overridden: limits that somebody chose.
pub const OVERRIDABLE: &[&str] = &[
    controls::ORDER_QUANTITY,
    controls::ORDER_VALUE,
    controls::PRICE_COLLAR,
    controls::PRICE_COLLAR_PERIOD,
    controls::ABNORMAL_MARKET,
    controls::MESSAGE_RATE,
    controls::STRATEGY_MESSAGE_RATE,
    controls::FIRM_MESSAGE_RATE,
    controls::EXECUTION_RATE,
    controls::ORDER_TO_TRADE,
    controls::DAILY_LOSS,
    controls::DRAWDOWN_DAY,
    controls::DRAWDOWN_PEAK,
    controls::MARGIN_FLOOR,
    controls::LIQUIDATION_DISTANCE,
    controls::RISK_PER_TRADE,
    controls::RISK_TOTAL,
    controls::POSITION_VALUE,
    controls::CAPITAL,
];

/// One order past named limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Unique in a data directory.
    pub id: u64,
    pub account: AccountId,
    pub symbol: Symbol,
    /// The names of controls, all of them overridable.
    pub controls: Vec<String>,
    pub expires: Timestamp,
    pub by: String,
    pub reason: String,
}

/// Why an override was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    #[error("an override expected the name of a person and a reason, found {found}; give both")]
    Unnamed { found: &'static str },
    #[error("an override expected at least one control, found none; name one of: {}", OVERRIDABLE.join(", "))]
    NoControl,
    #[error("an override expected a control that somebody chose a limit for, found {found:?}; one of: {}", OVERRIDABLE.join(", "))]
    NotOverridable { found: String },
    #[error("an override expected an end within {LONGEST:?}, found {found:?}; grant it when the order is due")]
    TooLong { found: Duration },
}

impl Override {
    /// Whether it may be granted now.
    ///
    /// # Errors
    /// What is missing or too much.
    pub fn check(&self, now: Timestamp) -> Result<(), OverrideError> {
        let missing = if self.by.trim().is_empty() { Some("no name") } else { self.reason.trim().is_empty().then_some("no reason") };
        if let Some(found) = missing {
            return Err(OverrideError::Unnamed { found });
        }
        if self.controls.is_empty() {
            return Err(OverrideError::NoControl);
        }
        if let Some(found) = self.controls.iter().find(|control| !OVERRIDABLE.contains(&control.as_str())) {
            return Err(OverrideError::NotOverridable { found: found.clone() });
        }
        let found = self.expires.since(now);
        if found.is_zero() || found > LONGEST {
            return Err(OverrideError::TooLong { found });
        }
        Ok(())
    }

    fn is_for(&self, now: Timestamp, intent: &OrderIntent) -> bool {
        self.account == intent.account && self.symbol == intent.symbol && now < self.expires
    }
}

/// What was granted and not used yet.
#[derive(Debug, Default)]
pub(super) struct Overrides(BTreeMap<u64, Override>);

impl Overrides {
    /// Whatever `check` refuses was not granted by this version: it is left out.
    pub(super) fn grant(&mut self, now: Timestamp, granted: Override) {
        self.0.retain(|_, known| now < known.expires);
        if granted.check(now).is_ok() {
            self.0.insert(granted.id, granted);
        }
    }

    /// The oldest that covers the order.
    pub(super) fn of(&self, now: Timestamp, intent: &OrderIntent) -> Option<&Override> {
        self.0.values().find(|known| known.is_for(now, intent))
    }

    pub(super) fn used(&mut self, id: u64) {
        self.0.remove(&id);
    }
}
