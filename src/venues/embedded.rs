//! The exchange carried inside, as a venue: commands go to its thread, its words come back over channels. It translates; it
//! decides nothing.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::port::{Heard, NotTaken, Venue};
use crate::domain::ids::AccountId;
use crate::domain::order::{VenueCommand, VenueEvent};
use crate::exchange::{ExchangeHandle, ExchangeStopped};

impl From<ExchangeStopped> for NotTaken {
    fn from(stopped: ExchangeStopped) -> Self {
        Self { found: stopped.to_string() }
    }
}

/// The embedded exchange's trading side.
#[derive(Debug, Clone)]
pub struct Embedded(pub ExchangeHandle);

impl Venue for Embedded {
    fn send(&self, account: AccountId, command: VenueCommand) -> Result<(), NotTaken> {
        Ok(self.0.send(account, command)?)
    }

    fn listen(&self, account: AccountId) -> Result<BoxStream<'static, Heard>, NotTaken> {
        let events = self.0.subscribe(account)?;
        let events = stream::unfold(events, |mut events| async move { events.next().await.map(|event| (Heard::Event(event), events)) });
        Ok(stream::once(std::future::ready(Heard::Opened)).chain(events).boxed())
    }

    fn ask(&self, account: AccountId, command: VenueCommand) -> BoxFuture<'static, Result<Vec<VenueEvent>, NotTaken>> {
        let answer = self.0.request(account, command);
        async move { Ok(answer.await?) }.boxed()
    }
}
