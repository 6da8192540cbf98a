//! What the venue of the fault simulation is asked, tells and shows: plain words between it and whoever steps it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{Class, Random};
use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::{Instrument, Ticks};
use crate::domain::market_data::{Candle, DepthSnapshot, MarketFrame};
use crate::domain::order::{EndReason, Fill, FundsMoved, NewOrder, VenueEvent, VenueSnapshot};
use crate::domain::time::Timestamp;
use crate::exchange::AccountSetup;

/// What a venue is made of.
#[derive(Debug, Clone)]
pub struct VenueSetup {
    pub start: Timestamp,
    /// With the price that each opens at, in ticks.
    pub instruments: Vec<(Instrument, Ticks)>,
    pub accounts: Vec<(AccountId, AccountSetup)>,
    /// How late the venue may take an order.
    pub recv_window: Duration,
}

/// One life of an account's way to the venue (its requests and its user stream). A new one replaces the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection(pub u64);

/// A question on a connection of its own (the kill switch's, the dead-man's switch's, history), answered once or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request(pub u64);

/// What an account's connection says.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly every word is an event")]
pub enum Heard {
    /// From here on everything is heard. Said again whenever the user stream was opened anew.
    Opened,
    Event(VenueEvent),
    /// It ended; whoever listens connects again.
    Lost(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// What `ask` brings, as `Venue::ask` would.
    Events(Result<Vec<VenueEvent>, String>),
    CountedDown(Result<(), String>),
    Depth(Result<DepthSnapshot, String>),
    Candles(Result<Vec<Candle>, String>),
}

/// Something that reaches the daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum VenueWord {
    Account {
        account: AccountId,
        connection: Connection,
        heard: Heard,
    },
    Answer {
        request: Request,
        answer: Answer,
    },
    /// The market stream is new: what was told before it may lack something.
    MarketOpened {
        symbol: Symbol,
    },
    Market(MarketFrame),
}

/// Something that happened at the venue or on the way to it, whoever is told of it.
#[derive(Debug, Clone, PartialEq)]
pub enum VenueFact {
    /// An order's bytes left the daemon's machine. One that the venue refused for its time alone had no effect, and may leave once
    /// more.
    Left {
        account: AccountId,
        order: NewOrder,
    },
    Taken {
        account: AccountId,
        order: NewOrder,
    },
    Refused {
        account: AccountId,
        id: ClientOrderId,
        code: i32,
    },
    Traded(Fill),
    Ended {
        account: AccountId,
        id: ClientOrderId,
        reason: EndReason,
    },
    /// The bytes of an order are lost for good: it will never have an effect.
    Lost {
        account: AccountId,
        id: ClientOrderId,
    },
    /// Something was asked of a venue that had said until when it listens to nobody: it answers that with longer bans.
    Pestered {
        until: Timestamp,
    },
    /// An account's ledger moved without a trade: funding, a transfer, an insurance clearance.
    Funds {
        account: AccountId,
        moved: FundsMoved,
    },
    /// Not by us: a person's order or transfer, a liquidation, funding. Its trades and entries are told as such besides.
    FromOutside {
        account: AccountId,
        what: String,
    },
}

/// Both sides' books, from the venue's engine.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// Open orders (conditional ones too), positions, wallet and all trades of each account.
    pub accounts: BTreeMap<AccountId, VenueSnapshot>,
}

/// A fault of the venue or of the way to it, drawn by its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueFault {
    pub class: Class,
    pub account: Option<AccountId>,
    pub lasts: Duration,
}

impl VenueFault {
    #[must_use]
    pub fn draw(class: Class, accounts: &[AccountId], random: &mut Random) -> Self {
        let account = random.pick(accounts).copied();
        Self { class, account, lasts: Duration::from_millis(random.between(50, 5_000)) }
    }
}
