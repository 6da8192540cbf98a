//! One account being emptied by somebody who has its key and nothing else: no daemon, no journal, no memory of what was sent. It is
//! told what the venue shows and says what to send next, until the venue's own word is that nothing is left. An order that had
//! left somebody else's hands before may arrive as long as the venue takes it, so the word counts only when it was given after
//! that. It never waits and never asks by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ids::{AccountId, ClientOrderId, Epoch, IntentId, Symbol};
use super::kill_switch::SLOT;
use super::money::Quantity;
use super::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce, VenueCommand, VenuePosition, VenueSnapshot};
use super::time::Timestamp;

/// No daemon has it: theirs begin with one.
const NOBODYS_EPOCH: Epoch = Epoch(0);

/// What is wanted of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Only this symbol.
    pub symbol: Option<Symbol>,
    /// Close what is held as well, reduce-only.
    pub flatten: bool,
    /// How long an order that is on its way may still arrive.
    pub arrives_within: Duration,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Send these side by side, then look again.
    Send(Vec<VenueCommand>),
    /// Nothing is left; look again then, because something may still arrive.
    LookAt(Timestamp),
    /// Nothing is left, and nothing can arrive any more.
    Done,
}

type Held = BTreeMap<(Symbol, PositionSide), Quantity>;

/// The machine.
#[derive(Debug, Clone)]
pub struct Emptying {
    account: AccountId,
    wanted: Wanted,
    began: Timestamp,
    counter: u32,
    found: BTreeSet<ClientOrderId>,
    /// What the venue showed last; `None` before it has shown anything.
    open: Option<BTreeSet<ClientOrderId>>,
    found_held: Held,
    held: Held,
    done: bool,
    trouble: Option<String>,
}

/// How far it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emptied {
    pub orders_found: usize,
    pub orders_cancelled: usize,
    /// `None`: the venue has not said.
    pub orders_left: Option<usize>,
    pub positions_found: usize,
    pub positions_closed: usize,
    pub positions_left: Option<usize>,
    pub verified: bool,
    /// What went wrong last, or what is still missing.
    pub why: Option<String>,
}

impl Emptying {
    /// `first_order` numbers the closing orders: of two who empty the same account, each has numbers of its own.
    #[must_use]
    pub fn new(now: Timestamp, account: AccountId, wanted: Wanted, first_order: u32) -> Self {
        let (found, open, found_held, held) = (BTreeSet::new(), None, Held::new(), Held::new());
        Self { account, wanted, began: now, counter: first_order, found, open, found_held, held, done: false, trouble: None }
    }

    #[must_use]
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The venue's answer to a question that was asked after everything that was sent.
    pub fn shows(&mut self, now: Timestamp, snapshot: &VenueSnapshot) -> Next {
        let concerns = |symbol: Symbol| self.wanted.symbol.is_none_or(|wanted| wanted == symbol);
        let open: BTreeSet<ClientOrderId> =
            snapshot.open_orders.iter().filter(|order| concerns(order.symbol)).map(|order| order.client_order_id).collect();
        let held: Vec<&VenuePosition> =
            snapshot.positions.iter().filter(|position| concerns(position.symbol) && !position.to_close().is_zero()).collect();
        self.found.extend(&open);
        self.held = held.iter().map(|position| ((position.symbol, position.position_side), position.quantity)).collect();
        for (of, quantity) in &self.held {
            self.found_held.entry(*of).or_insert(*quantity);
        }
        let is_empty = open.is_empty();
        self.open = Some(open);
        if !is_empty {
            return Next::Send(vec![self.cancel()]);
        }
        if self.wanted.flatten && !held.is_empty() {
            return Next::Send(held.into_iter().map(|position| self.close(position)).collect());
        }
        let surely = self.began + self.wanted.arrives_within;
        if now < surely {
            return Next::LookAt(surely);
        }
        (self.done, self.trouble) = (true, None);
        Next::Done
    }

    /// The venue could not be asked: it is told to cancel all the same.
    pub fn silent(&mut self, why: String) -> Next {
        self.trouble = Some(why);
        Next::Send(vec![self.cancel()])
    }

    /// Something that was sent was not done.
    pub fn failed(&mut self, why: String) {
        self.trouble = Some(why);
    }

    const fn cancel(&self) -> VenueCommand {
        VenueCommand::CancelAll { symbol: self.wanted.symbol }
    }

    fn close(&mut self, position: &VenuePosition) -> VenueCommand {
        self.counter = self.counter.wrapping_add(1);
        let intent = IntentId::compose(NOBODYS_EPOCH, SLOT, self.counter);
        VenueCommand::Place(NewOrder {
            client_order_id: ClientOrderId::compose(self.account, NOBODYS_EPOCH, intent),
            symbol: position.symbol,
            side: if position.quantity.is_positive() { Side::Sell } else { Side::Buy },
            position_side: position.position_side,
            kind: OrderKind::Market,
            time_in_force: TimeInForce::GoodTilCanceled,
            quantity: position.to_close(),
            reduce_only: true,
            self_trade_prevention: SelfTradePrevention::ExpireMaker,
        })
    }

    #[must_use]
    pub fn report(&self) -> Emptied {
        let left = self.open.as_ref().map(BTreeSet::len);
        let why = match (&self.trouble, left) {
            _ if self.done => None,
            (Some(trouble), _) => Some(trouble.clone()),
            (None, Some(0)) if self.wanted.flatten && !self.held.is_empty() => Some("the venue still shows positions".to_owned()),
            (None, Some(0)) => Some("what may still be on its way was not waited for".to_owned()),
            (None, Some(_)) => Some("the venue still shows open orders: somebody may be placing new ones".to_owned()),
            (None, None) => Some("the venue has not shown anything".to_owned()),
        };
        let cancelled = self.open.as_ref().map_or(0, |open| self.found.difference(open).count());
        Emptied {
            orders_found: self.found.len(),
            orders_cancelled: cancelled,
            orders_left: left,
            positions_found: self.found_held.len(),
            positions_closed: self.found_held.keys().filter(|of| !self.held.contains_key(of)).count(),
            positions_left: left.map(|_| self.held.len()),
            verified: self.done,
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Price;
    use crate::domain::order::{OrderStatus, VenueOrder};

    const WINDOW: Duration = Duration::from_secs(6);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn name(text: &str) -> Symbol {
        Symbol::new(text).unwrap()
    }

    fn order(id: &str, symbol: &str) -> VenueOrder {
        VenueOrder {
            client_order_id: ClientOrderId::new(id).unwrap(),
            venue_order_id: 1,
            symbol: name(symbol),
            side: Side::Buy,
            position_side: PositionSide::Both,
            kind: OrderKind::Limit { price: Price("1".parse().unwrap()) },
            status: OrderStatus::Working,
            quantity: Quantity("1".parse().unwrap()),
            filled: Quantity::ZERO,
            reduce_only: false,
            updated_at: at(0),
        }
    }

    fn position(symbol: &str, quantity: &str) -> VenuePosition {
        VenuePosition {
            symbol: name(symbol),
            position_side: PositionSide::Both,
            quantity: Quantity(quantity.parse().unwrap()),
            entry_price: Price::ZERO,
            closable: None,
        }
    }

    fn shown(orders: &[VenueOrder], positions: &[VenuePosition]) -> VenueSnapshot {
        VenueSnapshot { open_orders: orders.to_vec(), positions: positions.to_vec(), ..VenueSnapshot::default() }
    }

    fn emptying(symbol: Option<&str>, flatten: bool) -> Emptying {
        let wanted = Wanted { symbol: symbol.map(name), flatten, arrives_within: WINDOW };
        Emptying::new(at(0), AccountId::new("alpha").unwrap(), wanted, 7)
    }

    #[test]
    fn an_account_is_empty_by_the_venues_word_after_nothing_can_arrive_any_more() {
        let mut alpha = emptying(None, false);
        let cancel = Next::Send(vec![VenueCommand::CancelAll { symbol: None }]);
        assert_eq!(alpha.shows(at(0), &shown(&[order("a", "BTCUSDT"), order("b", "ETHUSDT")], &[])), cancel);
        assert_eq!(alpha.shows(at(1), &shown(&[], &[position("BTCUSDT", "1")])), Next::LookAt(at(6)), "positions are not asked for");
        let so_far = alpha.report();
        assert!(!so_far.verified && so_far.orders_left == Some(0), "{so_far:?}");
        // One was on its way.
        assert_eq!(alpha.shows(at(6), &shown(&[order("c", "BTCUSDT")], &[])), cancel);
        assert_eq!(alpha.shows(at(7), &shown(&[], &[])), Next::Done);
        let report = alpha.report();
        assert_eq!((report.orders_found, report.orders_cancelled, report.orders_left, report.verified), (3, 3, Some(0), true));
        assert_eq!(report.why, None);
    }

    #[test]
    fn a_venue_that_does_not_answer_is_told_to_cancel_and_never_counts_as_empty() {
        let mut alpha = emptying(None, false);
        assert_eq!(alpha.silent("no answer".to_owned()), Next::Send(vec![VenueCommand::CancelAll { symbol: None }]));
        let report = alpha.report();
        assert_eq!((report.verified, report.orders_left, report.why.as_deref()), (false, None, Some("no answer")));
        alpha.shows(at(9), &shown(&[], &[]));
        assert!(alpha.report().verified);
    }

    #[test]
    fn positions_are_closed_reduce_only_after_the_orders_and_asked_for_again() {
        let mut alpha = emptying(None, true);
        let held = [position("BTCUSDT", "0.5"), position("ETHUSDT", "-2")];
        assert_eq!(alpha.shows(at(7), &shown(&[order("a", "BTCUSDT")], &held)), Next::Send(vec![VenueCommand::CancelAll { symbol: None }]));
        let Next::Send(closing) = alpha.shows(at(8), &shown(&[], &held)) else { panic!("expected closing orders") };
        let sent: Vec<_> = closing
            .iter()
            .map(|command| match command {
                VenueCommand::Place(order) => (order.symbol.to_string(), order.side, order.quantity.to_string(), order.reduce_only),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            sent,
            [("BTCUSDT".to_owned(), Side::Sell, "0.5".to_owned(), true), ("ETHUSDT".to_owned(), Side::Buy, "2".to_owned(), true)]
        );
        // One was refused: another order, with a name of its own.
        alpha.failed("refused".to_owned());
        let Next::Send(again) = alpha.shows(at(9), &shown(&[], &held[1..])) else { panic!("expected another") };
        assert_ne!(again[0], closing[1]);
        let report = alpha.report();
        assert_eq!((report.positions_found, report.positions_closed, report.positions_left), (2, 1, Some(1)));
        assert_eq!(report.why.as_deref(), Some("refused"));
        assert_eq!(alpha.shows(at(9), &shown(&[], &[])), Next::Done);
    }

    #[test]
    fn of_one_symbol_nothing_else_is_touched() {
        let mut alpha = emptying(Some("ETHUSDT"), true);
        let rest = (order("a", "BTCUSDT"), position("BTCUSDT", "1"));
        assert_eq!(alpha.shows(at(7), &shown(std::slice::from_ref(&rest.0), std::slice::from_ref(&rest.1))), Next::Done);
        assert_eq!(alpha.report().orders_found, 0);
        let mut alpha = emptying(Some("ETHUSDT"), false);
        let next = alpha.shows(at(7), &shown(&[rest.0, order("b", "ETHUSDT")], &[]));
        assert_eq!(next, Next::Send(vec![VenueCommand::CancelAll { symbol: Some(name("ETHUSDT")) }]));
    }
}
