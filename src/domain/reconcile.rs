//! Reconciliation as a pure comparison: what the venue shows against what we have, as typed findings. Invariants: trades
//! decide positions, the venue decides what is open, and nothing of ours is ended on one side's silence: an order that the
//! venue does not show is asked for by name. It compares and says; `order_manager` acts.

use std::collections::BTreeMap;

use super::ids::{AccountId, ClientOrderId, Symbol};
use super::money::{Money, Quantity};
use super::order::{PositionSide, VenueOrder, VenuePosition, VenueSnapshot};
use super::position::Positions;

/// One difference, and by its kind the one thing to do about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// We think it may live, the venue does not list it: query it by its client order id.
    NotListed {
        client_order_id: ClientOrderId,
        symbol: Symbol,
    },
    /// The venue lists it under an id of ours that no journal knows: cancel it.
    Orphan {
        order: VenueOrder,
    },
    /// The venue lists an order that we did not make: leave it, tell it.
    Foreign {
        order: VenueOrder,
    },
    /// After every trade was booked the quantities still differ: the venue decides.
    PositionDiffers {
        venue: VenuePosition,
        ours: Quantity,
    },
    WalletDiffers {
        venue: Money,
        ours: Money,
    },
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotListed { client_order_id, symbol } => {
                write!(f, "order {client_order_id} on {symbol} is not listed by the venue: asked for by id")
            }
            Self::Orphan { order } => {
                write!(f, "order {} on {} carries our id and is unknown here: cancelled", order.client_order_id, order.symbol)
            }
            Self::Foreign { order } => write!(f, "order {} on {} is not ours: left alone", order.client_order_id, order.symbol),
            Self::PositionDiffers { venue, ours } => {
                write!(
                    f,
                    "position {} {}: ours {ours}, the venue's {}: the venue's taken",
                    venue.symbol, venue.position_side, venue.quantity
                )
            }
            Self::WalletDiffers { venue, ours } => write!(f, "wallet: ours {ours}, the venue's {venue}: the venue's taken"),
        }
    }
}

/// Compares after the snapshot's trades have been booked into `positions`. `open` are our orders that were sent and are
/// not terminal.
#[must_use]
pub fn compare(account: AccountId, open: &[(ClientOrderId, Symbol)], positions: &Positions, venue: &VenueSnapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (client_order_id, symbol) in open {
        if !venue.open_orders.iter().any(|order| order.client_order_id == *client_order_id) {
            findings.push(Finding::NotListed { client_order_id: *client_order_id, symbol: *symbol });
        }
    }
    for order in &venue.open_orders {
        if open.iter().any(|(id, _)| *id == order.client_order_id) {
            continue;
        }
        let order = order.clone();
        findings.push(if order.client_order_id.is_ours(account) { Finding::Orphan { order } } else { Finding::Foreign { order } });
    }
    findings.extend(compare_positions(positions, venue));
    let ours = if venue.beside_holdings { positions.cash() } else { positions.wallet() };
    if ours != venue.wallet {
        findings.push(Finding::WalletDiffers { venue: venue.wallet, ours });
    }
    findings
}

fn compare_positions(positions: &Positions, venue: &VenueSnapshot) -> Vec<Finding> {
    let mut legs: BTreeMap<(Symbol, PositionSide), VenuePosition> = positions
        .open()
        .map(|(symbol, side, position)| {
            let entry_price = position.entry_price().unwrap_or_default();
            ((symbol, side), VenuePosition { symbol, position_side: side, quantity: Quantity::ZERO, entry_price, closable: None })
        })
        .collect();
    for position in &venue.positions {
        legs.insert((position.symbol, position.position_side), position.clone());
    }
    legs.into_values()
        .filter_map(|venue| {
            let ours = positions.position(venue.symbol, venue.position_side).quantity();
            (ours != venue.quantity).then_some(Finding::PositionDiffers { venue, ours })
        })
        .collect()
}
