//! How a message travels: with the trace that it belongs to, the time it was posted, and a token that counts it in the
//! mailbox's depth. `Post` is the way to one named actor; it follows the name through restarts.

use crate::domain::ids::Incarnation;
use crate::domain::order::TraceContext;
use crate::domain::restart::ChildName;
use crate::domain::time::Timestamp;
use crate::supervision::{Directory, InMailbox, Link};

use super::Clock;

#[derive(Debug)]
pub struct Envelope<M> {
    pub message: M,
    pub trace: Option<TraceContext>,
    pub enqueued_at: Timestamp,
    /// Leaves the mailbox's count when the envelope is dropped, handled or not.
    _place: Option<InMailbox>,
}

impl<M> Envelope<M> {
    /// For one incarnation, addressed directly: the answer to something that it asked.
    #[must_use]
    pub fn unmetered(message: M, enqueued_at: Timestamp) -> Self {
        Self { message, trace: None, enqueued_at, _place: None }
    }
}

/// The way to one actor by its name.
#[derive(Debug)]
pub struct Post<M> {
    link: Link<Envelope<M>>,
    clock: Clock,
}

impl<M> Clone for Post<M> {
    fn clone(&self) -> Self {
        Self { link: self.link.clone(), clock: self.clock }
    }
}

impl<M: std::fmt::Debug + Send + 'static> Post<M> {
    #[must_use]
    pub fn new(directory: &Directory, name: &ChildName, clock: Clock) -> Self {
        Self { link: directory.link(name), clock }
    }

    /// # Errors
    /// The message, when nobody is there to take it.
    pub fn send(&mut self, message: M) -> Result<(), M> {
        self.send_traced(message, None)
    }

    /// # Errors
    /// The message, when nobody is there to take it.
    pub fn send_traced(&mut self, message: M, trace: Option<TraceContext>) -> Result<(), M> {
        let place = self.link.gauge().map(|gauge| gauge.enter());
        let envelope = Envelope { message, trace, enqueued_at: self.clock.now(), _place: place };
        self.link.send(envelope).map_err(|envelope| envelope.message)
    }

    /// Sends where a lost message is made good by the receiver's next start (it asks for everything anew).
    pub fn tell(&mut self, message: M) {
        drop(self.send(message));
    }

    pub fn incarnation(&mut self) -> Option<Incarnation> {
        self.link.incarnation()
    }
}
