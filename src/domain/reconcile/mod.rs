//! Reconciliation as a pure comparison: what the venue shows (open orders, trades, positions, money) against what we have, as
//! typed findings, each with its one repair. It compares and says; `order_manager` acts. Its invariants:
//!
//! 1. Trades decide positions. A position or a wallet is taken over only where no trade explains it.
//! 2. The venue decides what is open, and its silence ends nothing: an order that it does not list is asked for by name.
//! 3. Nothing destructive on one answer: two that agree, apart in time, the second not older than what we know ([`Doubts`]).
//! 4. A trade is booked once, by the venue's ids, and never on top of a position that was taken over with it inside.
//! 5. The order in which an answer lists things means nothing.
//! 6. The same difference has the same id whenever it is found ([`Finding::id`]): a second run on what was put right finds
//!    nothing, and a replay of its rows puts nothing right twice.

mod doubts;
mod finding;

use std::collections::BTreeMap;

use super::ids::{AccountId, ClientOrderId, StrategyId, Symbol};
use super::money::{Money, Quantity};
use super::order::{Fill, NewOrder, OrderStatus, PositionSide, VenueOrder, VenuePosition, VenueSnapshot};
use super::position::Positions;
use super::time::Timestamp;
pub use doubts::{APART, Agreed, Doubts, Freshness, STALE_FOR, UNDATED_FOR};
pub use finding::{Finding, FindingKind, Repair};

/// What our rounding of a partial close may differ from the venue's, over ten thousand of them (1e-8 each), and more: no reason to
/// stop, and settled in passing.
pub const WALLET_TOLERANCE: Money = Money(rust_decimal::Decimal::from_parts(1, 0, 0, false, 2));

/// An order of ours as it is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OurOrder<'a> {
    pub order: &'a NewOrder,
    pub status: OrderStatus,
    pub filled: Quantity,
}

/// What we have.
pub struct Ours<'a> {
    pub account: AccountId,
    /// Orders that were sent and have not ended.
    pub open: Vec<OurOrder<'a>>,
    /// Any other order that is known here by that name: ended, or not sent yet.
    pub known: &'a dyn Fn(ClientOrderId) -> Option<OurOrder<'a>>,
    pub positions: &'a Positions,
}

/// A completed reconciliation, for whoever has to know what changed hands: strategies, metrics, alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct Reconciliation {
    pub account: AccountId,
    pub at: Timestamp,
    pub findings: Vec<Finding>,
    /// Fills that were booked while orders were held back, each with the strategy whose order it was.
    pub missed: Vec<(Option<StrategyId>, Fill)>,
    /// The account was never held against its venue before: what was there is its beginning, and no difference.
    pub first: bool,
}

/// What a listed trade is; `None` for one that is booked already. `made_here` says whether its order is known here as one of ours.
#[must_use]
pub fn trade(account: AccountId, positions: &Positions, made_here: bool, fill: &Fill) -> Option<Finding> {
    if positions.has_booked(fill) {
        return None;
    }
    let fill = fill.clone();
    Some(if positions.is_forgotten(&fill) {
        Finding::ForgottenTrade { fill }
    } else if made_here {
        Finding::MissedFill { fill }
    } else if fill.client_order_id.is_ours(account) {
        Finding::UnclaimedFill { fill }
    } else {
        Finding::ForeignTrade { fill }
    })
}

/// The trades of an answer in the order in which they moved money: by time across symbols, by id within one.
#[must_use]
pub fn in_order(trades: &[Fill]) -> Vec<Fill> {
    let mut trades = trades.to_vec();
    trades.sort_by_key(|fill| (fill.at, fill.symbol, fill.trade_id, fill.venue_order_id));
    trades.dedup_by_key(|fill| (fill.symbol, fill.venue_order_id, fill.trade_id));
    trades
}

/// Compares after the answer's trades have been booked into `positions`.
#[must_use]
pub fn compare(ours: &Ours<'_>, venue: &VenueSnapshot) -> Vec<Finding> {
    let listed = by_name(&venue.open_orders);
    let mut findings = Vec::new();
    for order in &ours.open {
        let name = (order.order.symbol, order.order.client_order_id);
        match listed.get(&name) {
            Some(shown) => findings.extend(same_order(ours.account, order, shown[0])),
            None => findings.push(Finding::NotListed { client_order_id: name.1, symbol: name.0 }),
        }
    }
    for ((symbol, id), shown) in &listed {
        if let [one, other, ..] = shown[..] {
            let venue_order_ids = [one.venue_order_id, other.venue_order_id];
            findings.push(Finding::DuplicateId { client_order_id: *id, symbol: *symbol, venue_order_ids });
        }
        if !ours.open.iter().any(|order| (order.order.symbol, order.order.client_order_id) == (*symbol, *id)) {
            findings.extend(unknown_order(ours, shown[0]));
        }
    }
    findings.extend(compare_positions(ours.positions, venue));
    findings.extend(compare_money(ours.positions, venue));
    if let Some(shown) = staleness(ours, venue) {
        findings.push(Finding::StaleAnswer { shown });
    }
    findings.sort_by_cached_key(|finding| (finding.kind(), finding.symbol(), finding.id(ours.account)));
    findings
}

/// How old an answer is by what we know: the newest change that it dates, orders that filled less than they did here, orders
/// that the venue itself has ended.
#[must_use]
pub fn freshness(ours: &Ours<'_>, venue: &VenueSnapshot) -> Freshness {
    match (staleness(ours, venue), venue.as_of) {
        (Some(_), _) => Freshness::Stale,
        (None, Some(_)) => Freshness::Proven,
        (None, None) => Freshness::Undated,
    }
}

fn staleness(ours: &Ours<'_>, venue: &VenueSnapshot) -> Option<String> {
    let newest = ours.positions.newest_change();
    if let (Some(as_of), Some(known)) = (venue.as_of, newest)
        && as_of < known
    {
        return Some(format!("its newest change is of {as_of}, and one of {known} is booked"));
    }
    let behind = |shown: &&VenueOrder| {
        let open = ours.open.iter().find(|order| is_same(order.order, shown)).copied();
        open.or_else(|| (ours.known)(shown.client_order_id)).is_some_and(|known| known.filled > shown.filled)
    };
    let order = venue.open_orders.iter().filter(behind).min_by_key(|order| (order.symbol, order.client_order_id))?;
    Some(format!("order {} has filled {} in it, and more is booked", order.client_order_id, order.filled))
}

fn is_same(order: &NewOrder, shown: &VenueOrder) -> bool {
    (order.symbol, order.client_order_id) == (shown.symbol, shown.client_order_id)
}

/// Open orders by name, each once, the furthest filled of one that is listed twice.
fn by_name(open: &[VenueOrder]) -> BTreeMap<(Symbol, ClientOrderId), Vec<&VenueOrder>> {
    let mut listed: BTreeMap<_, Vec<&VenueOrder>> = BTreeMap::new();
    for order in open {
        listed.entry((order.symbol, order.client_order_id)).or_default().push(order);
    }
    for orders in listed.values_mut() {
        orders.sort_by_key(|order| (order.venue_order_id, std::cmp::Reverse(order.filled)));
        orders.dedup_by_key(|order| order.venue_order_id);
    }
    listed
}

/// An order that both have.
fn same_order(account: AccountId, ours: &OurOrder<'_>, shown: &VenueOrder) -> Vec<Finding> {
    let mut findings = Vec::new();
    if shown.filled > ours.filled {
        let (client_order_id, symbol) = (shown.client_order_id, shown.symbol);
        findings.push(Finding::FilledAhead { client_order_id, symbol, venue: shown.filled, ours: ours.filled });
    }
    if let Some(differs) = terms(ours.order, shown) {
        let order = shown.clone();
        // A person's own order is a person's to change.
        let is_ours = shown.client_order_id.is_ours(account);
        findings.push(if is_ours { Finding::TermsDiffer { order, differs } } else { Finding::Foreign { order } });
    }
    findings
}

/// What of an order is not as it was sent. A reduce-only order may be made smaller by its venue when its position is; and what
/// a conditional order became has no trigger, or no price, any more.
fn terms(sent: &NewOrder, shown: &VenueOrder) -> Option<String> {
    if sent.side != shown.side {
        return Some(format!("sent to {}, the venue has it as {}", sent.side, shown.side));
    }
    let smaller = sent.reduce_only && shown.quantity < sent.quantity;
    if sent.quantity != shown.quantity && !smaller {
        return Some(format!("sent for {}, the venue has {}", sent.quantity, shown.quantity));
    }
    let prices = [(sent.kind.limit_price(), shown.kind.limit_price()), (sent.kind.trigger(), shown.kind.trigger())];
    let differ = prices.into_iter().find_map(|(sent, shown)| sent.zip(shown).filter(|(sent, shown)| sent != shown));
    differ.map(|(sent, shown)| format!("sent at {sent}, the venue has it at {shown}"))
}

/// An order that is not open here.
fn unknown_order(ours: &Ours<'_>, shown: &VenueOrder) -> Option<Finding> {
    let order = shown.clone();
    match (ours.known)(shown.client_order_id) {
        // On its way out: its own answer is what counts.
        Some(known) if !known.status.is_terminal() => None,
        Some(known) => Some(Finding::Risen { order, ended: known.status }),
        None if shown.client_order_id.is_ours(ours.account) => Some(Finding::Orphan { order }),
        None => Some(Finding::Foreign { order }),
    }
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
    let differ = legs.into_values().filter_map(|venue| {
        let ours = positions.position(venue.symbol, venue.position_side).quantity();
        if ours == venue.quantity {
            return None;
        }
        let known = positions.has_leg(venue.symbol, venue.position_side);
        Some(if known { Finding::PositionDiffers { venue, ours } } else { Finding::UnexpectedLeg { venue } })
    });
    differ.collect()
}

fn compare_money(positions: &Positions, venue: &VenueSnapshot) -> Option<Finding> {
    let ours = if venue.beside_holdings { positions.cash() } else { positions.wallet() };
    let (venue, beside) = (venue.wallet, venue.beside_holdings);
    if venue == ours {
        return None;
    }
    Some(match (venue - ours).abs() {
        little if little <= WALLET_TOLERANCE => Finding::WalletSlightlyOff { venue, ours },
        _ if beside => Finding::CashDiffers { venue, ours },
        _ => Finding::WalletDiffers { venue, ours },
    })
}

#[cfg(test)]
mod tests;
