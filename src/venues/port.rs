//! The port to a venue: what an executor and the kill switch ask it, and what it tells. Every word from the venue names the
//! order that it is about, so that nothing waits on a caller's stack.

use std::sync::Arc;

use crate::domain::ids::AccountId;
use crate::domain::order::{VenueCommand, VenueEvent};

/// Where a venue's words go. Called from the venue's own thread: hand over, do not work, do not block.
pub type EventSink = Box<dyn Fn(VenueEvent) + Send + Sync>;

/// The venue did not take a command: it surely had no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an open connection to the venue, found {found}; it is opened again by a restart of the account's executor")]
pub struct NotTaken {
    pub found: String,
}

/// A venue that trades.
pub trait Venue: Send + Sync + 'static {
    /// Opens an account's connection: answers to its commands and everything else that befalls the account. A newer one
    /// replaces it; what is told between two connections is lost, as with any venue, and reconciliation finds it.
    fn connect(&self, account: AccountId, sink: EventSink) -> Arc<dyn VenueConnection>;

    /// Opens a connection of the kill switch: it hears the answers to its own commands and nothing else, and it does not
    /// replace the account's.
    fn connect_aside(&self, account: AccountId, sink: EventSink) -> Arc<dyn VenueConnection>;
}

/// One account's way in.
pub trait VenueConnection: Send + Sync {
    /// Hands the command over without waiting for its answer.
    ///
    /// # Errors
    /// When the command surely did not leave.
    fn send(&self, command: VenueCommand) -> Result<(), NotTaken>;
}
