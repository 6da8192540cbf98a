//! One symbol's market. Frames wait in a slot; a wake-up drains it, so that however many came the mailbox had one message.
//! What it learns goes onto the board and into the readers' slots.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use rustc_hash::FxHashMap as HashMap;

use super::{Surroundings, ask, names};
use crate::domain::alerts;
use crate::domain::ids::{StrategyId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::market::{Changed, ClosedBar, MarketMachine};
use crate::domain::market_data::{MarketEventRef, MarketFrame};
use crate::domain::mode::{FaultClass, Scope};
use crate::domain::time::Timestamp;
use crate::messages::{Envelope, FrameSlot, KillPost, KillWord, MarketMessage, Post, StrategyMessage};
use crate::supervision::Reporter;
use crate::telemetry::events::{FeedGap, FramesDropped, MarketFreshness};

/// How late a trade may be and still belong to its bar: frames over loopback or a good line come within 100 ms, a venue's
/// batches within another 100.
const BAR_GRACE: Duration = Duration::from_millis(250);
/// Between two questions for a book that is not given.
const FETCH_EVERY: Duration = Duration::from_secs(1);

pub struct Market;

pub struct Arguments {
    pub instrument: Instrument,
    pub intervals: Vec<Duration>,
    pub stale_after: Duration,
    pub around: Surroundings,
    pub reporter: Reporter,
}

pub struct State {
    machine: MarketMachine,
    symbol: Symbol,
    slot: Arc<FrameSlot>,
    frames: VecDeque<MarketFrame>,
    readers: HashMap<StrategyId, Post<StrategyMessage>>,
    kill_switch: KillPost,
    fetching: bool,
    /// After a question that failed: not with every beat again.
    fetch_again: Timestamp,
    /// Bars that began before this are half seen: they are not told, their readers ask the venue for them.
    whole_since: Option<Timestamp>,
    /// The same for bars that somebody wanted later.
    wanted_since: Vec<(Duration, Timestamp)>,
    /// The newest time of the venue's.
    newest: Timestamp,
    was_stale: bool,
    around: Surroundings,
    reporter: Reporter,
    myself: ActorRef<Envelope<MarketMessage>>,
}

impl Actor for Market {
    type Msg = Envelope<MarketMessage>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { instrument, intervals, stale_after, around, reporter } = arguments;
        let symbol = instrument.symbol;
        let mut state = State {
            machine: MarketMachine::new(instrument, &intervals, stale_after)?,
            symbol,
            slot: around.wires.frames(symbol),
            frames: VecDeque::new(),
            readers: HashMap::default(),
            kill_switch: around.kill_switch(),
            fetching: false,
            fetch_again: Timestamp::ZERO,
            whole_since: None,
            wanted_since: Vec::new(),
            newest: Timestamp::ZERO,
            was_stale: true,
            around,
            reporter,
            myself,
        };
        state.fetch_snapshot();
        // Frames that came while nobody was here have woken somebody who is gone.
        state.drain();
        Ok(state)
    }

    async fn handle(&self, _myself: ActorRef<Self::Msg>, envelope: Self::Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match envelope.message {
            MarketMessage::Wake => state.drain(),
            MarketMessage::Tick => {
                // A wake-up that fell between two incarnations is never sent again: the slot believes that it was.
                state.drain();
                state.tick();
            }
            MarketMessage::Reconnected => {
                state.machine.disconnected();
                state.whole_since = None;
                state.fetch_snapshot();
            }
            MarketMessage::SnapshotFetched(snapshot) => {
                state.fetching = false;
                let now = state.around.clock.now();
                let changed = state.machine.frame(now, Timestamp::ZERO, MarketEventRef::Snapshot(&snapshot));
                state.changed(changed);
                state.tell();
            }
            MarketMessage::SnapshotFailed(why) => {
                (state.fetching, state.fetch_again) = (false, state.around.clock.now() + FETCH_EVERY);
                state.fault(format!("no book snapshot: {why}"));
            }
            MarketMessage::WantBars(interval) => match state.machine.want_bars(interval) {
                Ok(true) => state.wanted_since.push((interval, state.newest)),
                Ok(false) => {}
                Err(error) => state.fault(error.to_string()),
            },
        }
        Ok(())
    }
}

impl State {
    fn drain(&mut self) {
        let mut frames = std::mem::take(&mut self.frames);
        let dropped = self.slot.take(&mut frames);
        if dropped > 0 {
            FramesDropped { symbol: self.symbol, count: dropped }.emit();
            FeedGap { symbol: self.symbol, expected: 0, found: 0 }.emit();
            self.machine.disconnected();
            // Trades are missing: the bars that are open now are not whole.
            self.whole_since = None;
            self.fetch_snapshot();
        }
        for frame in frames.drain(..) {
            self.whole_since.get_or_insert(frame.venue_time);
            self.newest = self.newest.max(frame.venue_time);
            let changed = self.machine.frame(frame.received_at, frame.venue_time, frame.borrowed().event);
            self.changed(changed);
        }
        self.frames = frames;
        self.tell();
    }

    fn changed(&mut self, changed: Changed) {
        if changed.gap {
            FeedGap { symbol: self.symbol, expected: 0, found: 0 }.emit();
            self.fault("a gap in the depth stream".to_owned());
        }
        if changed.needs_snapshot {
            self.fetch_snapshot();
        }
    }

    fn tick(&mut self) {
        let now = self.around.clock.now();
        self.machine.tick(now, now - BAR_GRACE);
        self.tell();
        let stale = self.machine.is_stale();
        if stale != self.was_stale {
            self.was_stale = stale;
            MarketFreshness { symbol: self.symbol, stale }.emit();
        }
        if stale && self.machine.book().is_none() {
            self.fetch_snapshot();
        }
    }

    /// The newest view onto the board; view and whole bars to the readers.
    fn tell(&mut self) {
        let mut update = self.machine.take_update();
        let (since, wanted) = (self.whole_since, &self.wanted_since);
        let whole = |bar: &ClosedBar| {
            let wanted = wanted.iter().find(|(interval, _)| *interval == bar.interval).map_or(Timestamp::ZERO, |(_, since)| *since);
            since.is_some_and(|since| bar.candle.open_time >= since.max(wanted))
        };
        let half_seen = !update.closed.iter().all(whole);
        update.closed.retain(|bar| whole(bar));
        self.around.board.post(update.view);
        if !update.view.stale {
            self.reporter.ready();
        }
        for slot in self.around.wires.readers(self.symbol).iter() {
            let wake = slot.put(&update);
            let (around, strategy, symbol) = (&self.around, slot.strategy, self.symbol);
            let make = || Post::new(&around.directory, &names::strategy(strategy));
            let reader = self.readers.entry(strategy).or_insert_with(make);
            if half_seen {
                reader.tell(StrategyMessage::Hole { symbol });
            }
            if wake {
                reader.tell(StrategyMessage::Wake);
            }
        }
    }

    fn fetch_snapshot(&mut self) {
        // The beat comes back to it while there is no book.
        if self.around.clock.now() < self.fetch_again || std::mem::replace(&mut self.fetching, true) {
            return;
        }
        let myself = self.myself.clone();
        ask(&self.around.services, self.around.history.depth(self.symbol), move |answer| {
            let message = answer.map_or_else(MarketMessage::SnapshotFailed, MarketMessage::SnapshotFetched);
            drop(myself.send_message(Envelope::unmetered(message)));
        });
    }

    fn fault(&mut self, detail: String) {
        let (scope, class) = (Scope::Symbol(self.symbol), FaultClass::Data);
        self.around.alarm(alerts::of_fault(scope, class, &detail));
        self.kill_switch.tell(KillWord::Fault { scope, class, detail });
    }
}
