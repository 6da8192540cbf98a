//! The degrade ladder's words: how much an account, a strategy, a symbol or everything may still do, and what kinds of
//! fault move it. The machine that moves it is `ladder`.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumIter, EnumString, IntoStaticStr};

use super::ids::{AccountId, StrategyId, Symbol};

/// Ordered from free to stopped: the greater of two modes is the stricter one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Display, EnumString)]
pub enum Mode {
    #[default]
    Normal,
    /// Orders that only make positions smaller, and cancels.
    ReduceOnly,
    /// Cancels, nothing else.
    CancelOnly,
    /// Cancels by the kill switch; up again only by a named person with a reason.
    Halted,
}

impl Mode {
    /// The next rung down.
    #[must_use]
    pub const fn stricter(self) -> Self {
        match self {
            Self::Normal => Self::ReduceOnly,
            Self::ReduceOnly => Self::CancelOnly,
            Self::CancelOnly | Self::Halted => Self::Halted,
        }
    }
}

/// What a mode, a limit or a command covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Global,
    Account(AccountId),
    Strategy(StrategyId),
    Symbol(Symbol),
}

/// The kinds of [`Scope`], for what holds for every account alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumIter, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ScopeKind {
    Global,
    Account,
    Strategy,
    Symbol,
}

impl Scope {
    #[must_use]
    pub const fn kind(self) -> ScopeKind {
        match self {
            Self::Global => ScopeKind::Global,
            Self::Account(_) => ScopeKind::Account,
            Self::Strategy(_) => ScopeKind::Strategy,
            Self::Symbol(_) => ScopeKind::Symbol,
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Account(id) => write!(f, "account/{id}"),
            Self::Strategy(id) => write!(f, "strategy/{id}"),
            Self::Symbol(id) => write!(f, "symbol/{id}"),
        }
    }
}

/// What went wrong, in the classes that have budgets. Invariant and storage faults have none: one halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, EnumIter, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum FaultClass {
    Transport,
    VenueReject,
    Data,
    Panic,
    Stall,
    Invariant,
    Storage,
}

impl FaultClass {
    /// Whether one fault of this class is one too many.
    #[must_use]
    pub const fn has_no_budget(self) -> bool {
        matches!(self, Self::Invariant | Self::Storage)
    }
}
