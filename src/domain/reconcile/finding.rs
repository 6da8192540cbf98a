//! What may differ between a venue and our books, each with the one thing that is done about it. [`FindingKind::repair`] is
//! the whole table; the journal's rows, the metrics and the alerts show what it says. It decides nothing else.

use strum::{EnumIter, IntoStaticStr};

use super::super::ids::{AccountId, ClientOrderId, Symbol};
use super::super::mode::Mode;
use super::super::money::{Money, Quantity};
use super::super::order::{Fill, OrderStatus, PositionSide, VenueOrder, VenuePosition};

/// One difference.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// The venue lists a trade of an order of ours that is not booked.
    MissedFill {
        fill: Fill,
    },
    /// The same under a name of ours whose order is not known here any more.
    UnclaimedFill {
        fill: Fill,
    },
    /// A trade by an order that is not ours: a person's hand, a liquidation.
    ForeignTrade {
        fill: Fill,
    },
    /// A trade that is older than what is remembered of trades: it cannot be told from one that is booked.
    ForgottenTrade {
        fill: Fill,
    },
    /// We think it may live, the venue does not list it.
    NotListed {
        client_order_id: ClientOrderId,
        symbol: Symbol,
    },
    /// The venue has filled more of an order than its trades told come to.
    FilledAhead {
        client_order_id: ClientOrderId,
        symbol: Symbol,
        venue: Quantity,
        ours: Quantity,
    },
    /// An order of ours is not what was sent: side, quantity or price.
    TermsDiffer {
        order: VenueOrder,
        differs: String,
    },
    /// The venue lists an order that ended here.
    Risen {
        order: VenueOrder,
        ended: OrderStatus,
    },
    /// The venue lists it under a name of ours that no journal knows.
    Orphan {
        order: VenueOrder,
    },
    /// The venue lists an order that we did not make.
    Foreign {
        order: VenueOrder,
    },
    /// Two open orders at the venue under one name.
    DuplicateId {
        client_order_id: ClientOrderId,
        symbol: Symbol,
        venue_order_ids: [u64; 2],
    },
    /// After every trade was booked the quantities still differ.
    PositionDiffers {
        venue: VenuePosition,
        ours: Quantity,
    },
    /// A position where nothing of ours ever was.
    UnexpectedLeg {
        venue: VenuePosition,
    },
    WalletDiffers {
        venue: Money,
        ours: Money,
    },
    /// By next to nothing: the venue rounds otherwise.
    WalletSlightlyOff {
        venue: Money,
        ours: Money,
    },
    /// What is there beside the holdings, of a venue that keeps no ledger.
    CashDiffers {
        venue: Money,
        ours: Money,
    },
    /// The answer is older than what we know already.
    StaleAnswer {
        shown: String,
    },
}

/// A finding's kind. In the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, IntoStaticStr, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum FindingKind {
    StaleAnswer,
    MissedFill,
    UnclaimedFill,
    ForeignTrade,
    ForgottenTrade,
    NotListed,
    FilledAhead,
    TermsDiffer,
    Risen,
    Orphan,
    Foreign,
    DuplicateId,
    PositionDiffers,
    UnexpectedLeg,
    WalletDiffers,
    WalletSlightlyOff,
    CashDiffers,
}

/// The one thing that is done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Repair {
    /// Nothing is taken from this answer; the venue is asked again.
    AskAgain,
    /// The trade is booked, under its venue's ids: once, however often it is listed.
    Book,
    /// It is booked as what it is, and nothing is opened until a person has looked (F15, F17).
    BookAndHold,
    /// Nothing is booked: the positions show whether it was.
    LeaveToPositions,
    /// The order is asked for by its name; its silence ends nothing.
    Query,
    /// Its trades are asked for, then the order again.
    FetchTrades,
    /// It is cancelled.
    Cancel,
    /// Quarantine: it is cancelled, and nothing is opened until a person has looked.
    CancelAndHold,
    /// Quarantine: it is left alone, followed and told.
    Watch,
    /// The venue's is taken over.
    Adopt,
    /// The venue's is taken over, and nothing is opened until a person has looked.
    AdoptAndHold,
}

impl Repair {
    /// Whether it puts something of ours out of the world: then one answer of the venue is not enough (F24).
    #[must_use]
    pub const fn is_destructive(self) -> bool {
        matches!(self, Self::Cancel | Self::CancelAndHold | Self::Adopt | Self::AdoptAndHold)
    }

    /// Whether the account is held to [`Mode::ReduceOnly`] by it.
    #[must_use]
    pub const fn holds(self) -> Option<Mode> {
        match self {
            Self::BookAndHold | Self::CancelAndHold | Self::AdoptAndHold => Some(Mode::ReduceOnly),
            _ => None,
        }
    }
}

impl FindingKind {
    /// The table.
    #[must_use]
    pub const fn repair(self) -> Repair {
        match self {
            Self::StaleAnswer => Repair::AskAgain,
            Self::MissedFill | Self::UnclaimedFill => Repair::Book,
            Self::ForeignTrade => Repair::BookAndHold,
            Self::ForgottenTrade => Repair::LeaveToPositions,
            Self::NotListed => Repair::Query,
            Self::FilledAhead => Repair::FetchTrades,
            Self::Risen | Self::Orphan => Repair::Cancel,
            Self::TermsDiffer | Self::DuplicateId => Repair::CancelAndHold,
            Self::Foreign => Repair::Watch,
            Self::WalletDiffers | Self::WalletSlightlyOff => Repair::Adopt,
            // Without a ledger nobody says why: a hand moved money, as far as anybody can tell.
            Self::PositionDiffers | Self::UnexpectedLeg | Self::CashDiffers => Repair::AdoptAndHold,
        }
    }
}

impl Finding {
    #[must_use]
    pub const fn kind(&self) -> FindingKind {
        match self {
            Self::MissedFill { .. } => FindingKind::MissedFill,
            Self::UnclaimedFill { .. } => FindingKind::UnclaimedFill,
            Self::ForeignTrade { .. } => FindingKind::ForeignTrade,
            Self::ForgottenTrade { .. } => FindingKind::ForgottenTrade,
            Self::NotListed { .. } => FindingKind::NotListed,
            Self::FilledAhead { .. } => FindingKind::FilledAhead,
            Self::TermsDiffer { .. } => FindingKind::TermsDiffer,
            Self::Risen { .. } => FindingKind::Risen,
            Self::Orphan { .. } => FindingKind::Orphan,
            Self::Foreign { .. } => FindingKind::Foreign,
            Self::DuplicateId { .. } => FindingKind::DuplicateId,
            Self::PositionDiffers { .. } => FindingKind::PositionDiffers,
            Self::UnexpectedLeg { .. } => FindingKind::UnexpectedLeg,
            Self::WalletDiffers { .. } => FindingKind::WalletDiffers,
            Self::WalletSlightlyOff { .. } => FindingKind::WalletSlightlyOff,
            Self::CashDiffers { .. } => FindingKind::CashDiffers,
            Self::StaleAnswer { .. } => FindingKind::StaleAnswer,
        }
    }

    #[must_use]
    pub const fn repair(&self) -> Repair {
        self.kind().repair()
    }

    /// The symbol that it is about; `None` for what is the whole account's.
    #[must_use]
    pub const fn symbol(&self) -> Option<Symbol> {
        match self {
            Self::MissedFill { fill } | Self::UnclaimedFill { fill } | Self::ForeignTrade { fill } | Self::ForgottenTrade { fill } => {
                Some(fill.symbol)
            }
            Self::NotListed { symbol, .. } | Self::FilledAhead { symbol, .. } | Self::DuplicateId { symbol, .. } => Some(*symbol),
            Self::TermsDiffer { order, .. } | Self::Risen { order, .. } | Self::Orphan { order } | Self::Foreign { order } => {
                Some(order.symbol)
            }
            Self::PositionDiffers { venue, .. } | Self::UnexpectedLeg { venue } => Some(venue.symbol),
            Self::WalletDiffers { .. } | Self::WalletSlightlyOff { .. } | Self::CashDiffers { .. } | Self::StaleAnswer { .. } => None,
        }
    }

    /// Names what is put right, by the venue's ids and amounts alone: the same difference has the same id in every life of the
    /// daemon, so that a row, an alert or a second run of it is known again. FNV-1a over the kind and those parts.
    #[must_use]
    pub fn id(&self, account: AccountId) -> String {
        let mut hash: u64 = 0xCBF2_9CE4_8422_2325;
        for byte in format!("{account}|{}|{}", self.kind(), self.parts()).bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        }
        format!("{hash:016x}")
    }

    fn parts(&self) -> String {
        match self {
            Self::MissedFill { fill } | Self::UnclaimedFill { fill } | Self::ForeignTrade { fill } | Self::ForgottenTrade { fill } => {
                format!("{}|{}|{}", fill.symbol, fill.venue_order_id, fill.trade_id)
            }
            Self::NotListed { client_order_id, symbol } => format!("{symbol}|{client_order_id}"),
            Self::FilledAhead { client_order_id, symbol, venue, .. } => format!("{symbol}|{client_order_id}|{}", venue.0.normalize()),
            Self::TermsDiffer { order, .. } | Self::Risen { order, .. } | Self::Orphan { order } | Self::Foreign { order } => {
                format!("{}|{}|{}", order.symbol, order.client_order_id, order.venue_order_id)
            }
            Self::DuplicateId { client_order_id, symbol, venue_order_ids: [one, other] } => {
                format!("{symbol}|{client_order_id}|{one}|{other}")
            }
            Self::PositionDiffers { venue, ours } => format!("{}|{}|{}", leg(venue), venue.quantity.0.normalize(), ours.0.normalize()),
            Self::UnexpectedLeg { venue } => format!("{}|{}", leg(venue), venue.quantity.0.normalize()),
            Self::WalletDiffers { venue, ours } | Self::WalletSlightlyOff { venue, ours } | Self::CashDiffers { venue, ours } => {
                format!("{}|{}", venue.0.normalize(), ours.0.normalize())
            }
            Self::StaleAnswer { shown } => shown.clone(),
        }
    }

    /// Whether another look found the same difference: by as much, though both sides may have moved together meanwhile.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        let same_leg = |one: &VenuePosition, other: &VenuePosition| (one.symbol, one.position_side) == (other.symbol, other.position_side);
        match (self, other) {
            (Self::PositionDiffers { venue, ours }, Self::PositionDiffers { venue: again, ours: still }) => {
                same_leg(venue, again) && venue.quantity - *ours == again.quantity - *still
            }
            (Self::UnexpectedLeg { venue }, Self::UnexpectedLeg { venue: again }) => {
                same_leg(venue, again) && venue.quantity == again.quantity
            }
            (Self::WalletDiffers { venue, ours }, Self::WalletDiffers { venue: again, ours: still })
            | (Self::WalletSlightlyOff { venue, ours }, Self::WalletSlightlyOff { venue: again, ours: still })
            | (Self::CashDiffers { venue, ours }, Self::CashDiffers { venue: again, ours: still }) => *venue - *ours == *again - *still,
            // An order may fill between two looks and stays the order that it is.
            (Self::Risen { order, .. }, Self::Risen { order: again, .. })
            | (Self::Orphan { order }, Self::Orphan { order: again })
            | (Self::TermsDiffer { order, .. }, Self::TermsDiffer { order: again, .. }) => order.venue_order_id == again.venue_order_id,
            _ => self == other,
        }
    }

    /// How a finding stands in the journal, in an alert and in the log: kind, id, what was found, what is done.
    #[must_use]
    pub fn told(&self, account: AccountId) -> String {
        format!("{} {}: {self} → {}", self.kind(), self.id(account), self.repair())
    }
}

fn leg(position: &VenuePosition) -> String {
    let VenuePosition { symbol, position_side, .. } = position;
    format!("{symbol}|{position_side}")
}

fn of_leg(symbol: Symbol, side: PositionSide) -> String {
    match side {
        PositionSide::Both => symbol.to_string(),
        leg => format!("{symbol} {leg}"),
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MissedFill { fill } => write!(f, "trade {} of order {} was missed: {}", fill.trade_id, fill.client_order_id, trade(fill)),
            Self::UnclaimedFill { fill } => {
                write!(f, "trade {} of our order {}, which is not known here: {}", fill.trade_id, fill.client_order_id, trade(fill))
            }
            Self::ForeignTrade { fill } => {
                write!(f, "{} was traded from outside, by order {}", trade(fill), fill.client_order_id)
            }
            Self::ForgottenTrade { fill } => write!(f, "trade {} of {} is older than the memory of trades", fill.trade_id, fill.symbol),
            Self::NotListed { client_order_id, symbol } => write!(f, "order {client_order_id} on {symbol} is not listed by the venue"),
            Self::FilledAhead { client_order_id, symbol, venue, ours } => {
                write!(f, "order {client_order_id} on {symbol}: its trades come to {ours}, the venue says that {venue} filled")
            }
            Self::TermsDiffer { order, differs } => {
                write!(f, "order {} on {} is not what was sent: {differs}", order.client_order_id, order.symbol)
            }
            Self::Risen { order, ended } => {
                write!(f, "order {} on {} is {ended} here and open at the venue", order.client_order_id, order.symbol)
            }
            Self::Orphan { order } => {
                write!(f, "order {} on {} carries our name and is unknown here", order.client_order_id, order.symbol)
            }
            Self::Foreign { order } => write!(f, "order {} on {} is not ours", order.client_order_id, order.symbol),
            Self::DuplicateId { client_order_id, symbol, venue_order_ids: [one, other] } => {
                write!(f, "order {client_order_id} on {symbol} is open twice at the venue, as {one} and as {other}")
            }
            Self::PositionDiffers { venue, ours } => {
                write!(
                    f,
                    "position {}: ours {ours}, the venue's {}, and no trade explains it",
                    of_leg(venue.symbol, venue.position_side),
                    venue.quantity
                )
            }
            Self::UnexpectedLeg { venue } => {
                write!(f, "position {}: the venue's {}, where we never had one", of_leg(venue.symbol, venue.position_side), venue.quantity)
            }
            Self::WalletDiffers { venue, ours } | Self::WalletSlightlyOff { venue, ours } => {
                write!(f, "wallet: ours {ours}, the venue's {venue}")
            }
            Self::CashDiffers { venue, ours } => write!(f, "cash beside the holdings: ours {ours}, the venue's {venue}"),
            Self::StaleAnswer { shown } => write!(f, "the venue's answer is older than what is known: {shown}"),
        }
    }
}

fn trade(fill: &Fill) -> String {
    let Fill { side, quantity, symbol, price, .. } = fill;
    format!("{side} {quantity} {symbol} at {price}")
}
