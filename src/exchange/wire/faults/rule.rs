//! What can be made to go wrong, as it is asked for: one JSON object a fault, with whom it concerns, how often and how long.
//! Plain data; an unknown key is refused, so that a slip of the pen is not a fault that never comes.

use serde::{Deserialize, Serialize};

use crate::domain::ids::{AccountId, Asset, Symbol};
use crate::domain::money::{Money, Price, Quantity, Ratio};
use crate::domain::order::{PositionSide, Side};

use super::Action;

/// A fault with its conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub fault: Kind,
    /// Only this account's requests, events and sockets; the market's sockets are nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Only requests of this path or method of the WebSocket API; a `*` at the end stands for any rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Only requests of this verb: `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// Only requests that name this symbol, and its diffs and texts; what is done at the engine is done there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<Symbol>,
    /// So many that match go by first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip: u32,
    /// How many it hits; without it one, or with a duration all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Of a hundred that match, so many are hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// It ends after this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Rule {
    #[must_use]
    pub const fn new(fault: Kind) -> Self {
        Self { fault, account: None, route: None, verb: None, symbol: None, skip: 0, count: None, percent: None, duration_ms: None }
    }

    /// What the sockets must hear when it is armed, of a fault that lasts: market streams keep their own silence, and maintenance
    /// ends the sockets that there are.
    #[must_use]
    pub fn word_to_sockets(&self) -> Option<Action> {
        let (account, duration_ms) = (self.account, self.duration_ms);
        match &self.fault {
            Kind::Zombie { .. } => Some(Action { kind: self.fault.clone(), account, symbol: None, duration_ms }),
            Kind::Maintenance { .. } => Some(Action { kind: Kind::Shutdown, account: None, symbol: None, duration_ms: None }),
            _ => None,
        }
    }

    /// How many it hits at most.
    #[must_use]
    pub const fn hits(&self) -> u32 {
        match (self.count, self.duration_ms) {
            (Some(count), _) => count,
            (None, Some(_)) => u32::MAX,
            (None, None) => 1,
        }
    }
}

/// Which sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sockets {
    #[default]
    All,
    /// Market streams.
    Market,
    /// Listen keys' streams, and the WebSocket API of spot, which carries its user stream.
    User,
    /// The WebSocket API.
    WsApi,
}

/// Whether the engine has the request by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    Before,
    /// Carried out; only the answer is wrong.
    After,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    // Requests.
    /// It waits this long before the engine, and this long with the answer.
    Delay {
        #[serde(default)]
        before_ms: u64,
        #[serde(default)]
        after_ms: u64,
    },
    /// Carried out, and answered with -1007: 504 on spot, 408 on USD-M.
    Timeout,
    /// Carried out, and never answered.
    Silence,
    /// Carried out, and the connection is cut instead of an answer.
    HangUp,
    /// 503 "Unknown error, please check your request or try again later.": USD-M's unknown outcome.
    #[serde(rename = "unknown_503")]
    Unknown503 {
        #[serde(default)]
        when: When,
    },
    /// 503 "Service Unavailable.": not carried out.
    #[serde(rename = "unavailable_503")]
    Unavailable503,
    /// -1008: not carried out.
    Busy,
    /// A page of a gateway instead of an answer.
    Gateway {
        status: u16,
        #[serde(default)]
        when: When,
    },
    /// Any code of the venue.
    Refuse {
        code: i32,
        msg: String,
        #[serde(default)]
        status: Option<u16>,
        #[serde(default)]
        when: When,
    },
    /// Carried out; of the answer only a part comes.
    Garbage,
    /// Reads are answered from the engine as it was when the fault was armed.
    Stale,
    // User events.
    DropEvent,
    DuplicateEvent,
    /// It comes after the next one.
    SwapEvent,
    DelayEvent {
        millis: u64,
    },
    /// Not JSON.
    CorruptEvent,
    /// JSON, of a kind that does not exist.
    UnknownEvent,
    // At once, or for the duration.
    /// Connected and silent.
    Zombie {
        #[serde(default)]
        sockets: Sockets,
    },
    /// Ends the sockets that there are.
    Cut {
        #[serde(default)]
        sockets: Sockets,
    },
    /// `serverShutdown`, then the sockets end.
    Shutdown,
    /// The next diffs of books are lost: a hole in the stream.
    DropDiffs {
        #[serde(default = "one")]
        diffs: u32,
    },
    /// The next texts of market streams are no JSON.
    CorruptFrames {
        #[serde(default = "one")]
        frames: u32,
    },
    /// The listen keys of the account (or of all) end, told or not.
    ExpireListenKeys {
        #[serde(default = "yes")]
        told: bool,
    },
    /// The clock on the wire is this far ahead (or behind).
    SkewClock {
        millis: i64,
    },
    /// All requests are refused, all sockets end.
    Maintenance {
        /// The gateway's page instead of -1016.
        #[serde(default)]
        html: bool,
    },
    /// The next requests are refused with 429.
    #[serde(rename = "too_many_429")]
    TooMany429 {
        #[serde(default = "one")]
        retry_after_s: u32,
    },
    /// 418 for this long.
    #[serde(rename = "ban_418")]
    Ban418 {
        seconds: u32,
    },
    // At the engine, at once.
    /// Everything stands still.
    Freeze {
        millis: u64,
    },
    /// The account's positions (or the one on the symbol) are taken over.
    Liquidate,
    /// The account's position on the symbol is reduced against a bankrupt one's.
    Deleverage {
        #[serde(default)]
        position_side: PositionSide,
        /// All of it without.
        #[serde(default)]
        quantity: Option<Quantity>,
    },
    /// Funding of the symbol is paid now, at its rate or at this one.
    Funding {
        #[serde(default)]
        rate: Option<Ratio>,
    },
    /// A person places an order on the account.
    Trade {
        side: Side,
        quantity: Quantity,
        /// MARKET without it.
        #[serde(default)]
        price: Option<Price>,
    },
    /// A person moves money; negative: out.
    Transfer {
        asset: Asset,
        amount: Money,
    },
    /// The symbol has other rules from now on.
    Filters {
        #[serde(default)]
        price_step: Option<Price>,
        #[serde(default)]
        quantity_step: Option<Quantity>,
        #[serde(default)]
        min_quantity: Option<Quantity>,
        #[serde(default)]
        min_notional: Option<Money>,
    },
    /// The symbol is traded no more, or again.
    Trading {
        open: bool,
    },
}

const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

impl Kind {
    /// Whether it is done to a symbol, and to which must be said.
    #[must_use]
    pub const fn wants_symbol(&self) -> bool {
        matches!(self, Self::Deleverage { .. } | Self::Funding { .. } | Self::Trade { .. } | Self::Filters { .. } | Self::Trading { .. })
    }

    /// Whether it is done to an account, and to whose must be said.
    #[must_use]
    pub const fn wants_account(&self) -> bool {
        matches!(self, Self::Liquidate | Self::Deleverage { .. } | Self::Trade { .. } | Self::Transfer { .. })
    }

    /// Whether it is done once by a part of the exchange, and not asked for at each request or event.
    #[must_use]
    pub const fn is_action(&self) -> bool {
        matches!(
            self,
            Self::Cut { .. }
                | Self::Shutdown
                | Self::DropDiffs { .. }
                | Self::CorruptFrames { .. }
                | Self::ExpireListenKeys { .. }
                | Self::Ban418 { .. }
                | Self::Freeze { .. }
                | Self::Liquidate
                | Self::Deleverage { .. }
                | Self::Funding { .. }
                | Self::Trade { .. }
                | Self::Transfer { .. }
                | Self::Filters { .. }
                | Self::Trading { .. }
        )
    }
}

/// Faults at random, the same for the same seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    pub seed: u64,
    /// On average one fault in this time.
    #[serde(default = "two_seconds")]
    pub every_ms: u64,
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// Only these accounts; none: all.
    #[serde(default)]
    pub accounts: Vec<AccountId>,
    /// Where a fault is done to a symbol: one of these.
    #[serde(default)]
    pub symbols: Vec<Symbol>,
    /// What is drawn from; none: everything that passes by itself.
    #[serde(default)]
    pub faults: Vec<Kind>,
}

const fn two_seconds() -> u64 {
    2_000
}
