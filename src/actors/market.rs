//! One symbol's market: its rules (`rules/market.rs`) with a mailbox, the venue's book when it is asked for, and log lines.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::ports::Ports;
use super::rules::market::{MarketRules, Outside};
use super::{Surroundings, ask};
use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::messages::{Envelope, MarketMessage, Wires};
use crate::supervision::Reporter;
use crate::telemetry::events::{FeedGap, FramesDropped, MarketFreshness};

pub struct Market;

pub struct Arguments {
    pub instrument: Instrument,
    pub intervals: Vec<Duration>,
    pub stale_after: Duration,
    pub around: Surroundings,
    pub reporter: Reporter,
}

pub struct State {
    rules: MarketRules,
    ports: Ports<MarketMessage>,
    outside: Books,
}

impl Actor for Market {
    type Msg = Envelope<MarketMessage>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { instrument, intervals, stale_after, around, reporter } = arguments;
        let mut rules = MarketRules::new(instrument, &intervals, stale_after, &around.wires)?;
        let mut outside = Books { around: around.clone(), myself: myself.clone() };
        let mut ports = Ports::new(around, reporter, myself);
        rules.start(&mut ports, &mut outside);
        Ok(State { rules, ports, outside })
    }

    async fn handle(&self, _myself: ActorRef<Self::Msg>, envelope: Self::Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.rules.message(envelope.message, &mut state.ports, &mut state.outside);
        Ok(())
    }
}

/// The venue's books, and what is told of the market.
struct Books {
    around: Surroundings,
    myself: ActorRef<Envelope<MarketMessage>>,
}

impl Outside for Books {
    fn wires(&self) -> &Wires {
        &self.around.wires
    }

    fn fetch_book(&mut self, symbol: Symbol) {
        let myself = self.myself.clone();
        ask(&self.around.services, self.around.history.depth(symbol), move |answer| {
            let message = answer.map_or_else(MarketMessage::SnapshotFailed, MarketMessage::SnapshotFetched);
            drop(myself.send_message(Envelope::unmetered(message)));
        });
    }

    fn dropped(&mut self, symbol: Symbol, count: u64) {
        FramesDropped { symbol, count }.emit();
        self.gap(symbol);
    }

    fn gap(&mut self, symbol: Symbol) {
        FeedGap { symbol, expected: 0, found: 0 }.emit();
    }

    fn freshness(&mut self, symbol: Symbol, stale: bool) {
        MarketFreshness { symbol, stale }.emit();
    }
}
