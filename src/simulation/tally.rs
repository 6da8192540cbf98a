//! What a run came to, counted as it goes: orders, fills, fees, the equity curve and its worst fall, each symbol's share.
//! Bounded whatever the run's length. It counts; it decides nothing.

use std::collections::BTreeMap;

use crate::domain::ids::Symbol;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{Fill, VenueEvent};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;

/// Points of a curve that are kept; past it every second one goes. A page draws fewer, and 8,192 are 200 kB.
const POINTS_MAX: usize = 8_192;
/// Fills kept for the picture. The figures count all of them.
const FILLS_MAX: usize = 20_000;

/// A curve that halves its resolution instead of growing.
#[derive(Debug, Clone)]
pub struct Curve<T> {
    points: Vec<(Timestamp, T)>,
    /// Every how many-th sample is kept.
    stride: u64,
    seen: u64,
}

impl<T> Default for Curve<T> {
    fn default() -> Self {
        Self { points: Vec::new(), stride: 1, seen: 0 }
    }
}

impl<T: Copy> Curve<T> {
    fn push(&mut self, at: Timestamp, value: T) {
        if self.seen.is_multiple_of(self.stride) {
            self.points.push((at, value));
        }
        self.seen += 1;
        if self.points.len() > POINTS_MAX {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
        }
    }

    #[must_use]
    pub fn points(&self) -> &[(Timestamp, T)] {
        &self.points
    }
}

#[derive(Debug, Clone, Default)]
pub struct SymbolTally {
    pub orders: u64,
    pub fills: u64,
    pub rejected: u64,
    pub refused: u64,
    /// Executed, in units of the symbol and as value.
    pub quantity: Quantity,
    pub volume: Money,
    pub fees: Money,
    pub realized: Money,
    /// The largest absolute position of any account.
    pub max_position: Quantity,
    pub prices: Curve<Price>,
}

#[derive(Debug, Clone)]
pub struct Tally {
    pub frames: u64,
    pub symbols: BTreeMap<Symbol, SymbolTally>,
    pub equity: Curve<Money>,
    pub fills: Vec<Fill>,
    pub fills_total: u64,
    /// The largest fall of equity from a peak before it.
    pub max_drawdown: Money,
    pub venue_rejects: u64,
    peak: Option<Money>,
    positions: BTreeMap<(crate::domain::ids::AccountId, Symbol, crate::domain::order::PositionSide), Position>,
}

impl Tally {
    #[must_use]
    pub fn new(symbols: impl Iterator<Item = Symbol>) -> Self {
        Self {
            frames: 0,
            symbols: symbols.map(|symbol| (symbol, SymbolTally::default())).collect(),
            equity: Curve::default(),
            fills: Vec::new(),
            fills_total: 0,
            max_drawdown: Money::ZERO,
            venue_rejects: 0,
            peak: None,
            positions: BTreeMap::new(),
        }
    }

    pub fn sent(&mut self, symbol: Symbol) {
        self.symbols.entry(symbol).or_default().orders += 1;
    }

    pub fn refused(&mut self, symbol: Symbol) {
        self.symbols.entry(symbol).or_default().refused += 1;
    }

    pub fn rejected(&mut self, symbol: Symbol) {
        self.symbols.entry(symbol).or_default().rejected += 1;
    }

    pub fn venue(&mut self, event: &VenueEvent) {
        if matches!(event, VenueEvent::Rejected { .. }) {
            self.venue_rejects += 1;
        }
    }

    pub fn fill(&mut self, fill: &Fill) {
        let tally = self.symbols.entry(fill.symbol).or_default();
        tally.fills += 1;
        tally.quantity += fill.quantity;
        tally.volume += fill.price * fill.quantity;
        tally.fees += fill.fee;
        let position = self.positions.entry((fill.account, fill.symbol, fill.position_side)).or_default();
        tally.realized += position.book(fill).pnl;
        tally.max_position = tally.max_position.max(position.quantity().abs());
        self.fills_total += 1;
        if self.fills.len() < FILLS_MAX {
            self.fills.push(fill.clone());
        }
    }

    pub fn sample(&mut self, at: Timestamp, equity: Money, prices: impl Iterator<Item = (Symbol, Price)>) {
        let peak = self.peak.map_or(equity, |peak| peak.max(equity));
        self.peak = Some(peak);
        self.max_drawdown = self.max_drawdown.max(peak - equity);
        self.equity.push(at, equity);
        for (symbol, price) in prices {
            self.symbols.entry(symbol).or_default().prices.push(at, price);
        }
    }

    #[must_use]
    pub fn total<T: std::iter::Sum>(&self, of: impl Fn(&SymbolTally) -> T) -> T {
        self.symbols.values().map(of).sum()
    }
}
