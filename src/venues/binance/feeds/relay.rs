//! A second connection takes over from the first (before the venue's 24 hours are up, or when the server says that it will stop)
//! without a hole and without a repetition: of each stream the first connection is heard until the second one has told something
//! that the first has told too; what the second told beyond that waits until then.

use std::collections::VecDeque;

use super::{LANES, Lane};
use crate::domain::market_data::{MarketFrame, MarketFrameRef};

/// Frames of one stream that may wait for the first connection to catch up: some seconds of the busiest. Beyond that the second
/// one is heard from where it began, and the hole is found by its ids.
const HELD_MAX: usize = 4_096;

/// Which connection a frame came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    First,
    Second,
}

#[derive(Debug, Default)]
struct Stream {
    /// The newest place that was passed on. What is not beyond it has been told.
    last: Option<u64>,
    /// The second connection has taken over.
    taken_over: bool,
    held: VecDeque<(u64, MarketFrame)>,
}

/// The streams of one symbol.
#[derive(Debug, Default)]
pub struct Relay {
    streams: [Stream; LANES],
    handing_over: bool,
}

impl Relay {
    /// A second connection is open.
    pub fn begin(&mut self) {
        self.handing_over = true;
    }

    /// Says whether a frame goes on at once. What it lets go beside goes to `out`, and comes after it.
    pub fn passes(&mut self, from: Side, frame: &MarketFrameRef<'_>, out: &mut Vec<MarketFrame>) -> bool {
        let Some((lane, place)) = Lane::of(&frame.event, frame.venue_time.0) else { return true };
        let stream = &mut self.streams[lane as usize];
        match from {
            Side::First if stream.taken_over => false,
            Side::First => {
                let new = stream.pass(place);
                if self.handing_over && stream.held.front().is_some_and(|(first, _)| Some(*first) <= stream.last) {
                    stream.take_over(out);
                }
                new
            }
            Side::Second if stream.taken_over => stream.pass(place),
            Side::Second if Some(place) <= stream.last => {
                stream.taken_over = true;
                false
            }
            Side::Second => {
                stream.held.push_back((place, (*frame).to_owned()));
                if stream.held.len() > HELD_MAX {
                    stream.take_over(out);
                }
                false
            }
        }
    }

    /// The first connection is gone, or has had its time: the second is the first now.
    pub fn finish(&mut self, out: &mut Vec<MarketFrame>) {
        for stream in &mut self.streams {
            stream.take_over(out);
            stream.taken_over = false;
        }
        self.handing_over = false;
    }

    /// The second connection is gone before its time: the first goes on. Says whether it can: of a stream that the other had taken
    /// over it may have told something that nobody heard.
    pub fn abandon(&mut self) -> bool {
        self.handing_over = false;
        let whole = !self.streams.iter().any(|stream| stream.taken_over);
        for stream in &mut self.streams {
            stream.held.clear();
            stream.taken_over = false;
        }
        whole
    }

    /// Whether nothing waits any more for the first connection to catch up.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.streams.iter().all(|stream| stream.held.is_empty())
    }
}

impl Stream {
    /// Says whether it is new.
    fn pass(&mut self, place: u64) -> bool {
        let new = self.last.is_none_or(|last| place > last);
        if new {
            self.last = Some(place);
        }
        new
    }

    fn take_over(&mut self, out: &mut Vec<MarketFrame>) {
        self.taken_over = true;
        for (place, frame) in std::mem::take(&mut self.held) {
            if self.pass(place) {
                out.push(frame);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::Symbol;
    use crate::domain::instrument::{Lots, Ticks};
    use crate::domain::market_data::{MarketEvent, TradePrint};
    use crate::domain::time::Timestamp;

    fn trade(id: u64) -> MarketFrame {
        let print = TradePrint { id, price: Ticks(1), quantity: Lots(1), buyer_is_maker: false };
        let at = Timestamp::from_millis(id as i64);
        MarketFrame { symbol: Symbol::new("BTCUSDT").unwrap(), venue_time: at, received_at: at, event: MarketEvent::Trade(print) }
    }

    fn id(frame: &MarketFrame) -> u64 {
        match &frame.event {
            MarketEvent::Trade(print) => print.id,
            other => panic!("{other:?}"),
        }
    }

    fn give(relay: &mut Relay, from: Side, number: u64, heard: &mut Vec<u64>) {
        let (frame, mut out) = (trade(number), Vec::new());
        if relay.passes(from, &frame.borrowed(), &mut out) {
            heard.push(number);
        }
        heard.extend(out.iter().map(id));
    }

    proptest! {
        /// However the two connections interleave, and whichever is ahead: every trade is heard once and in order, as long as
        /// the first connection lasts until it has told what the second began with.
        #[test]
        fn a_handover_loses_and_repeats_nothing(joins in 1_u64..40, order in prop::collection::vec(any::<bool>(), 0..200), ends in 0_u64..20) {
            let (mut relay, mut heard) = (Relay::default(), Vec::new());
            give(&mut relay, Side::First, 0, &mut heard);
            relay.begin();
            let (mut first, mut second) = (1, joins);
            for is_first in order {
                if is_first {
                    give(&mut relay, Side::First, first, &mut heard);
                    first += 1;
                } else {
                    give(&mut relay, Side::Second, second, &mut heard);
                    second += 1;
                }
            }
            while first < joins + 1 + ends {
                give(&mut relay, Side::First, first, &mut heard);
                first += 1;
            }
            let mut out = Vec::new();
            relay.finish(&mut out);
            heard.extend(out.iter().map(id));
            while second <= first + 3 {
                give(&mut relay, Side::First, second, &mut heard);
                second += 1;
            }
            prop_assert_eq!(heard, (0..second).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_is_ahead_waits_and_who_is_behind_is_not_repeated() {
        let (mut relay, mut heard) = (Relay::default(), Vec::new());
        give(&mut relay, Side::First, 1, &mut heard);
        relay.begin();
        for number in [4, 5] {
            give(&mut relay, Side::Second, number, &mut heard);
        }
        assert!(!relay.is_settled());
        for number in [2, 3, 4, 5] {
            give(&mut relay, Side::First, number, &mut heard);
        }
        assert!(relay.is_settled());
        give(&mut relay, Side::Second, 6, &mut heard);
        give(&mut relay, Side::First, 6, &mut heard);
        assert_eq!(heard, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_second_connection_that_dies_leaves_the_first_as_it_was() {
        let (mut relay, mut heard) = (Relay::default(), Vec::new());
        give(&mut relay, Side::First, 1, &mut heard);
        relay.begin();
        give(&mut relay, Side::Second, 3, &mut heard);
        assert!(relay.abandon());
        give(&mut relay, Side::First, 2, &mut heard);
        assert_eq!(heard, [1, 2]);
        relay.begin();
        give(&mut relay, Side::Second, 2, &mut heard);
        assert!(!relay.abandon(), "it had taken over");
    }
}
