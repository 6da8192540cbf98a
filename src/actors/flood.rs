//! A drill: a mailbox that is a million messages behind. What is posted is what the metronome posts, so that it costs its
//! reader time and changes nothing.

use super::{Surroundings, names};
use crate::domain::restart::ChildName;
use crate::messages::{ExecutorMessage, KillMessage, MarketMessage, Post, RiskMessage, StrategyMessage};

/// Some hundred megabytes, and a reader that is seconds behind.
const MESSAGES: usize = 1_000_000;

/// Posts to an actor of the trading tree or to the kill switch; anybody else has no mailbox to flood.
pub fn flood(around: &Surroundings, child: &str) {
    let Ok(name) = ChildName::new(child) else { return };
    match child.split('/').next() {
        Some("executor") => post(around, &name, || ExecutorMessage::Tick),
        Some("market") => post(around, &name, || MarketMessage::Tick),
        Some("strategy") => post(around, &name, || StrategyMessage::Tick),
        Some(_) if name == names::risk_manager() => post(around, &name, || RiskMessage::Tick),
        Some(_) if name == names::kill_switch() => post(around, &name, || KillMessage::Tick),
        _ => {}
    }
}

fn post<M: std::fmt::Debug + Send + 'static>(around: &Surroundings, name: &ChildName, message: impl Fn() -> M) {
    let mut post = Post::new(&around.directory, name);
    // Nobody there any more is a flood that has had its effect.
    (0..MESSAGES).try_for_each(|_| post.send(message())).unwrap_or_default();
}
