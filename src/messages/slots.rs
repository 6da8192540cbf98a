//! Where market data waits, conflated, so that a slow reader costs memory that is bounded and a mailbox one wake-up. Frames
//! keep their order up to a bound, past which the reader is told of a gap; updates keep the newest view and every closed
//! bar. The locks are held for a copy and never across a call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap as HashMap;

use crate::domain::ids::{StrategyId, Symbol};
use crate::domain::market::MarketUpdate;
use crate::domain::market_data::MarketFrame;

/// Frames of one symbol that may wait: two seconds of the busiest symbol measured (BTCUSDT USD-M, 274 a second on average,
/// 2,000 in bursts). A reader that far behind is better served by a new snapshot.
pub const FRAMES_MAX: usize = 4_096;
/// Closed bars that may wait for a strategy: as many as it ever warms up with.
pub const BARS_MAX: usize = 1_024;

/// Frames from a feed to one market.
#[derive(Debug, Default)]
pub struct FrameSlot {
    frames: Mutex<VecDeque<MarketFrame>>,
    woken: AtomicBool,
    /// Frames thrown away since the reader last took the others.
    dropped: AtomicU64,
}

impl FrameSlot {
    /// Says whether the reader must be woken.
    pub fn push(&self, frame: MarketFrame) -> bool {
        let mut frames = lock(&self.frames);
        if frames.len() >= FRAMES_MAX {
            self.dropped.fetch_add(frames.len() as u64, Ordering::AcqRel);
            frames.clear();
        }
        frames.push_back(frame);
        drop(frames);
        !self.woken.swap(true, Ordering::AcqRel)
    }

    /// Everything that waits, in order. Says how many frames were lost before it.
    pub fn take(&self, into: &mut VecDeque<MarketFrame>) -> u64 {
        self.woken.store(false, Ordering::Release);
        std::mem::swap(&mut *lock(&self.frames), into);
        self.dropped.swap(0, Ordering::AcqRel)
    }
}

/// Updates from one market to one strategy.
#[derive(Debug)]
pub struct UpdateSlot {
    pub strategy: StrategyId,
    pub symbol: Symbol,
    waiting: Mutex<Option<MarketUpdate>>,
    /// Shared by all slots of the strategy: one wake-up for all of them.
    woken: Arc<AtomicBool>,
}

impl UpdateSlot {
    #[must_use]
    pub fn new(strategy: StrategyId, symbol: Symbol, woken: Arc<AtomicBool>) -> Self {
        Self { strategy, symbol, waiting: Mutex::default(), woken }
    }

    /// Replaces the view, adds the bars. Says whether the reader must be woken.
    pub fn put(&self, update: &MarketUpdate) -> bool {
        let mut waiting = lock(&self.waiting);
        match &mut *waiting {
            Some(before) => {
                before.view = update.view;
                before.closed.extend(update.closed.iter().copied());
                let excess = before.closed.len().saturating_sub(BARS_MAX);
                before.closed.drain(..excess);
            }
            None => *waiting = Some(update.clone()),
        }
        drop(waiting);
        !self.woken.swap(true, Ordering::AcqRel)
    }

    pub fn take(&self) -> Option<MarketUpdate> {
        lock(&self.waiting).take()
    }
}

/// Which slots there are. Outlives every incarnation of feeds, markets and strategies.
#[derive(Debug, Default)]
pub struct Wires {
    frames: ArcSwap<HashMap<Symbol, Arc<FrameSlot>>>,
    updates: ArcSwap<HashMap<Symbol, Arc<[Arc<UpdateSlot>]>>>,
}

impl Wires {
    /// The slot of a symbol's frames, made when it is asked for the first time.
    #[must_use]
    pub fn frames(&self, symbol: Symbol) -> Arc<FrameSlot> {
        if let Some(slot) = self.frames.load().get(&symbol) {
            return Arc::clone(slot);
        }
        self.frames.rcu(|slots| {
            let mut slots = HashMap::clone(slots);
            slots.entry(symbol).or_default();
            slots
        });
        self.frames.load().get(&symbol).map(Arc::clone).unwrap_or_default()
    }

    /// Who wants a symbol's updates.
    #[must_use]
    pub fn readers(&self, symbol: Symbol) -> Arc<[Arc<UpdateSlot>]> {
        self.updates.load().get(&symbol).map_or_else(|| Arc::from([]), Arc::clone)
    }

    /// Makes the slots of a strategy anew; those of an earlier incarnation go.
    pub fn subscribe(&self, strategy: StrategyId, symbols: &[Symbol], woken: &Arc<AtomicBool>) -> Vec<Arc<UpdateSlot>> {
        self.unsubscribe(strategy);
        let slots: Vec<Arc<UpdateSlot>> =
            symbols.iter().map(|symbol| Arc::new(UpdateSlot::new(strategy, *symbol, Arc::clone(woken)))).collect();
        self.updates.rcu(|readers| {
            let mut readers = HashMap::clone(readers);
            for slot in &slots {
                let entry = readers.entry(slot.symbol).or_insert_with(|| Arc::from([]));
                *entry = entry.iter().chain([slot]).map(Arc::clone).collect();
            }
            readers
        });
        slots
    }

    pub fn unsubscribe(&self, strategy: StrategyId) {
        self.updates.rcu(|readers| {
            let keep = |slots: &Arc<[Arc<UpdateSlot>]>| slots.iter().filter(|slot| slot.strategy != strategy).map(Arc::clone).collect();
            readers.iter().map(|(symbol, slots)| (*symbol, keep(slots))).collect::<HashMap<_, _>>()
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is inside is replaced or appended to in one step, so that a panic elsewhere cannot have left it half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::market::{ClosedBar, MarketView};
    use crate::domain::market_data::{Candle, MarketEvent};
    use crate::domain::money::{Money, Price, Quantity};
    use crate::domain::time::Timestamp;

    fn symbol() -> Symbol {
        Symbol::new("X").unwrap()
    }

    fn frame(number: i64) -> MarketFrame {
        let at = Timestamp(number);
        MarketFrame { symbol: symbol(), venue_time: at, received_at: at, event: MarketEvent::Mark(Price::ZERO) }
    }

    #[test]
    fn frames_keep_their_order_wake_once_and_an_overflow_is_told_as_a_gap() {
        let slot = FrameSlot::default();
        assert!(slot.push(frame(1)));
        assert!(!slot.push(frame(2)), "already woken");
        let mut taken = VecDeque::new();
        assert_eq!(slot.take(&mut taken), 0);
        assert_eq!(taken.iter().map(|frame| frame.venue_time.0).collect::<Vec<_>>(), [1, 2]);
        taken.clear();
        for number in 0..=FRAMES_MAX as i64 {
            slot.push(frame(number));
        }
        assert_eq!((slot.take(&mut taken), taken.len()), (FRAMES_MAX as u64, 1), "a gap");
        assert_eq!(slot.take(&mut taken), 0, "told once");
    }

    #[test]
    fn updates_keep_the_newest_view_and_every_bar() {
        let wires = Wires::default();
        let woken = Arc::default();
        let slots = wires.subscribe(StrategyId::new("s").unwrap(), &[symbol()], &woken);
        let update = |sequence: u64| {
            let (open, at) = (Price::ZERO, Timestamp(sequence as i64));
            let view =
                MarketView { symbol: symbol(), at, heard_at: at, bid: None, ask: None, last: None, mark: None, stale: false, sequence };
            let candle = Candle {
                open_time: at,
                close_time: at,
                open,
                high: open,
                low: open,
                close: open,
                volume: Quantity::ZERO,
                quote_volume: Money::ZERO,
                trades: 0,
            };
            let interval = std::time::Duration::from_secs(1);
            MarketUpdate { view, closed: [ClosedBar { interval, candle }].into_iter().collect() }
        };
        assert!(wires.readers(symbol())[0].put(&update(1)));
        assert!(!wires.readers(symbol())[0].put(&update(2)));
        let taken = slots[0].take().unwrap();
        assert_eq!((taken.view.sequence, taken.closed.len()), (2, 2));
        wires.unsubscribe(StrategyId::new("s").unwrap());
        assert!(wires.readers(symbol()).is_empty());
    }
}
