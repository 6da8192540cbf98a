//! How a message travels: with the trace that it belongs to and a token that counts it in the mailbox's depth. It carries no
//! time: reading a clock for each hop would cost as much as the hop. `Post` is the way to one named actor; it follows the name through restarts.

use crate::domain::ids::Incarnation;
use crate::domain::order::TraceContext;
use crate::domain::restart::ChildName;
use crate::supervision::{Directory, InMailbox, Link};

#[derive(Debug)]
pub struct Envelope<M> {
    pub message: M,
    pub trace: Option<TraceContext>,
    /// Leaves the mailbox's count when the envelope is dropped, handled or not.
    _place: Option<InMailbox>,
}

impl<M> Envelope<M> {
    /// For one incarnation, addressed directly: the answer to something that it asked.
    #[must_use]
    pub fn unmetered(message: M) -> Self {
        Self { message, trace: None, _place: None }
    }
}

/// The way to one actor by its name.
#[derive(Debug)]
pub struct Post<M> {
    link: Link<Envelope<M>>,
}

impl<M> Clone for Post<M> {
    fn clone(&self) -> Self {
        Self { link: self.link.clone() }
    }
}

impl<M: std::fmt::Debug + Send + 'static> Post<M> {
    #[must_use]
    pub fn new(directory: &Directory, name: &ChildName) -> Self {
        Self { link: directory.link(name) }
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
        let envelope = Envelope { message, trace, _place: place };
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
