//! Who is who: the venue names an order in its trades by its own id alone, and a conditional order that has triggered is an ordinary
//! one under another id. This remembers both, bounded. It asks nobody; what it does not know its caller looks up.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::ids::{ClientOrderId, Symbol};
use crate::domain::order::{PositionSide, Side};

/// Names kept: a reconciliation lists the trades of hours, of orders that were mostly seen made. 16,384 are some 2 MB.
const NAMES_MAX: usize = 16_384;
/// Conditional orders kept. Binance allows 200 to be open; those that triggered stay until they are pushed out.
const ALGOS_MAX: usize = 1_024;

/// The client's name of each order that was seen, by the venue's.
#[derive(Debug, Clone, Default)]
pub struct OrderNames {
    known: BTreeMap<(Symbol, u64), ClientOrderId>,
    order: VecDeque<(Symbol, u64)>,
}

impl OrderNames {
    pub fn learn(&mut self, symbol: Symbol, venue_order_id: u64, name: ClientOrderId) {
        let key = (symbol, venue_order_id);
        if self.known.insert(key, name).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > NAMES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    #[must_use]
    pub fn kept(&self) -> usize {
        self.known.len()
    }

    #[must_use]
    pub fn of(&self, symbol: Symbol, venue_order_id: u64) -> Option<ClientOrderId> {
        self.known.get(&(symbol, venue_order_id)).copied()
    }
}

/// A conditional order of the algo service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algo {
    pub symbol: Symbol,
    pub side: Side,
    pub position_side: PositionSide,
    /// The order that its trigger made.
    pub became: Option<u64>,
    pub over: bool,
}

/// The account's conditional orders, by the names that they were made under.
#[derive(Debug, Clone, Default)]
pub struct Algos {
    known: BTreeMap<ClientOrderId, Algo>,
    order: VecDeque<ClientOrderId>,
}

impl Algos {
    pub fn learn(&mut self, name: ClientOrderId, symbol: Symbol, side: Side, position_side: PositionSide) {
        if self.known.contains_key(&name) {
            return;
        }
        self.known.insert(name, Algo { symbol, side, position_side, became: None, over: false });
        self.order.push_back(name);
        if self.order.len() > ALGOS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    #[must_use]
    pub fn kept(&self) -> usize {
        self.known.len()
    }

    #[must_use]
    pub fn of(&self, name: ClientOrderId) -> Option<&Algo> {
        self.known.get(&name)
    }

    pub fn became(&mut self, name: ClientOrderId, venue_order_id: u64) {
        if let Some(algo) = self.known.get_mut(&name) {
            algo.became = Some(venue_order_id);
        }
    }

    pub fn ended(&mut self, name: ClientOrderId) {
        if let Some(algo) = self.known.get_mut(&name) {
            algo.over = true;
        }
    }

    /// Whether an order without a name of ours may be one of these, triggered and not yet told so.
    #[must_use]
    pub fn may_have_made(&self, symbol: Symbol, side: Side, position_side: PositionSide) -> bool {
        let alike = |algo: &Algo| (algo.symbol, algo.side, algo.position_side) == (symbol, side, position_side);
        self.known.values().any(|algo| algo.became.is_none() && !algo.over && alike(algo))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> ClientOrderId {
        ClientOrderId::new(&format!("n-{number}")).unwrap()
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let (mut names, mut algos) = (OrderNames::default(), Algos::default());
        for number in 0..=NAMES_MAX {
            names.learn(symbol, number as u64, name(number));
            names.learn(symbol, number as u64, name(number));
            algos.learn(name(number), symbol, Side::Buy, PositionSide::Both);
        }
        assert_eq!((names.known.len(), algos.known.len()), (NAMES_MAX, ALGOS_MAX));
        assert_eq!((names.of(symbol, 0), names.of(symbol, 1)), (None, Some(name(1))));
        assert!(algos.of(name(NAMES_MAX)).is_some() && algos.of(name(0)).is_none());
    }
}
