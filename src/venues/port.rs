//! The port to a venue: what an executor and the kill switch ask it, and what it tells. Every word from the venue names the
//! order that it is about, so that nothing waits on a caller's stack.

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::domain::dead_man::Countdown;
use crate::domain::ids::AccountId;
use crate::domain::order::{NewOrder, VenueCommand, VenueEvent};

/// The venue did not take a command: it surely had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the venue expected to be reachable, found {found}")]
pub struct NotTaken {
    pub found: String,
}

/// What a stream of an account says.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly every word is an event")]
pub enum Heard {
    /// From here on everything is heard; what happened before may have been missed.
    Opened,
    Event(VenueEvent),
}

/// The last look before an order's bytes leave.
pub trait Gate: Send + Sync {
    /// What it gives is kept until the bytes have left; `None` holds the order back.
    fn enter(&self, order: &NewOrder) -> Option<Box<dyn Send>>;
}

/// A venue that trades.
pub trait Venue: Send + Sync + 'static {
    /// Hands an account's command over without waiting; its answer comes on the account's stream.
    ///
    /// # Errors
    /// When the command surely did not leave.
    fn send(&self, account: AccountId, command: VenueCommand) -> Result<(), NotTaken>;

    /// Everything that befalls the account from `Opened` on. A newer stream replaces an older one, and what is told between two
    /// is lost, as with any venue: reconciliation finds it. It reconnects by itself and says `Opened` again; it ends when it was
    /// replaced or the venue is gone for good.
    ///
    /// # Errors
    /// When the venue cannot be reached.
    fn listen(&self, account: AccountId) -> Result<BoxStream<'static, Heard>, NotTaken>;

    /// The kill switch's way: a connection of its own, whose answers come back to the asker. What the command does to orders is
    /// told on the account's stream as well. A snapshot is taken behind every command that was asked for before it; nothing else waits.
    fn ask(&self, account: AccountId, command: VenueCommand) -> BoxFuture<'static, Result<Vec<VenueEvent>, NotTaken>>;

    /// Starts, renews or ends the venue's dead-man's switch, over the kill switch's connection. A venue without one has nothing to
    /// hear.
    fn count_down(&self, word: Countdown) -> BoxFuture<'static, Result<(), NotTaken>> {
        let _ = word;
        Box::pin(std::future::ready(Ok(())))
    }
}
