//! Where everybody is: addresses by name and incarnation, readable from any thread without a lock. Written by supervisors
//! only. Nothing here is a global: tests hold as many directories as they like, and no name can collide with another's.
//!
//! An address is never kept across a restart: a holder keeps a [`Link`], which looks again when the directory's generation
//! has moved. Sending to an address whose actor has just died fails; it never reaches the next incarnation by accident.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use ractor::{ActorCell, ActorRef, ActorStatus, Message};
use tokio::sync::Semaphore;

use super::inject::{Inject, Injection};
use super::mailbox::MailboxGauge;
use super::supervisor::{SupervisorMessage, SupervisorRef};
use crate::domain::ids::Incarnation;
use crate::domain::restart::{ChildName, ChildView};

/// Where one incarnation of a child is.
#[derive(Debug, Clone)]
pub struct Address {
    pub incarnation: Incarnation,
    pub cell: ActorCell,
}

/// Why a request by name failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    #[error("expected the name of a supervised child, found {0:?}: `ringfence status` lists them")]
    NoSuchChild(String),
    #[error("expected {0} under a running supervisor, found none: it stands at the top or its supervisor is restarting; try again")]
    NoSupervisor(ChildName),
    #[error("expected a free child name, found {name} in use by {owner}: names are unique in the whole daemon")]
    NameTaken { name: ChildName, owner: String },
}

/// What the directory knows of one name. Outlives incarnations.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: ChildName,
    pub(super) injection: Injection,
    pub(super) gauge: Arc<MailboxGauge>,
    address: ArcSwapOption<Address>,
    view: ArcSwapOption<ChildView>,
    owner: Mutex<Option<ActorRef<SupervisorMessage>>>,
    /// The actor of the latest incarnation, alive or not: the next one starts when this one is gone.
    latest: Mutex<Option<ActorCell>>,
    /// Held by the thread of a thread child while it runs. Here, and not in the child, so that it also holds when the
    /// child's supervisor was restarted and made its children anew.
    pub(super) thread: Arc<Semaphore>,
}

impl Slot {
    fn new(name: ChildName, mailbox_bound: usize) -> Arc<Self> {
        Arc::new(Self {
            name,
            injection: Injection::default(),
            gauge: MailboxGauge::new(mailbox_bound),
            address: ArcSwapOption::empty(),
            view: ArcSwapOption::empty(),
            owner: Mutex::default(),
            latest: Mutex::default(),
            thread: Arc::new(Semaphore::new(1)),
        })
    }

    pub(super) fn latest(&self) -> Option<ActorCell> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_latest(&self, cell: ActorCell) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(cell);
    }

    pub(super) fn set_view(&self, view: ChildView) {
        self.view.store(Some(Arc::new(view)));
    }

    fn owner(&self) -> Option<ActorRef<SupervisorMessage>> {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        owner.clone().filter(|owner| owner.get_status() < ActorStatus::Stopping)
    }
}

#[derive(Debug, Default)]
struct Inner {
    slots: ArcSwap<BTreeMap<ChildName, Arc<Slot>>>,
    generation: AtomicU64,
    /// Held while a name is taken or given back. Readers never see it.
    names: Mutex<()>,
    /// The last incarnation under each name, so that numbers never repeat when a supervisor itself was restarted. Bounded
    /// by the names of permanent and transient children, which come from the configuration.
    incarnations: Mutex<HashMap<ChildName, Incarnation>>,
}

/// Addresses by name. Cheap to clone; all clones are one directory.
#[derive(Debug, Clone, Default)]
pub struct Directory(Arc<Inner>);

impl Directory {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The running incarnation under that name, if there is one.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<Address> {
        self.slot(name).and_then(|slot| slot.address.load().as_deref().cloned())
    }

    /// The running supervisor of that name: for adding and removing children.
    #[must_use]
    pub fn supervisor(&self, name: &str) -> Option<SupervisorRef> {
        self.actor::<SupervisorMessage>(name).map(|(_, actor)| SupervisorRef(actor))
    }

    /// The same with the message type checked.
    #[must_use]
    pub fn actor<M: Message>(&self, name: &str) -> Option<(Incarnation, ActorRef<M>)> {
        let Address { incarnation, cell } = self.lookup(name)?;
        (cell.is_message_type_of::<M>() == Some(true)).then(|| (incarnation, cell.into()))
    }

    /// A typed way to that name which survives restarts.
    #[must_use]
    pub fn link<M: Message>(&self, name: &ChildName) -> Link<M> {
        Link { directory: self.clone(), name: name.clone(), seen: None, found: None }
    }

    /// Moves with every address that appears or disappears.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Every child of every supervisor, by name.
    #[must_use]
    pub fn children(&self) -> Vec<ChildView> {
        self.0.slots.load().values().filter_map(|slot| slot.view.load().as_deref().cloned()).collect()
    }

    #[must_use]
    pub fn child(&self, name: &str) -> Option<ChildView> {
        self.slot(name).and_then(|slot| slot.view.load().as_deref().cloned())
    }

    #[must_use]
    pub fn gauge(&self, name: &str) -> Option<Arc<MailboxGauge>> {
        self.slot(name).map(|slot| Arc::clone(&slot.gauge))
    }

    /// Asks the supervisor of that child for a restart that is not charged. The event stream tells how it went.
    ///
    /// # Errors
    /// When there is no such child or its supervisor is not running.
    pub fn restart(&self, name: &str) -> Result<(), DirectoryError> {
        let slot = self.slot(name).ok_or_else(|| DirectoryError::NoSuchChild(name.to_owned()))?;
        let no_supervisor = || DirectoryError::NoSupervisor(slot.name.clone());
        let owner = slot.owner().ok_or_else(no_supervisor)?;
        owner.send_message(SupervisorMessage::Restart(slot.name.clone())).map_err(|_| no_supervisor())
    }

    /// Makes the running incarnation of that child panic, wedge or spin: at its next message, or at once when it is idle.
    /// One shot: the next incarnation is healthy.
    ///
    /// # Errors
    /// When there is no such child.
    pub fn inject(&self, name: &str, kind: Inject) -> Result<(), DirectoryError> {
        let slot = self.slot(name).ok_or_else(|| DirectoryError::NoSuchChild(name.to_owned()))?;
        slot.injection.set(kind);
        if let Some(address) = slot.address.load().as_deref() {
            super::inject::nudge(&address.cell);
        }
        Ok(())
    }

    /// Ends a spin that was injected: the spinning handler panics.
    pub fn end_injection(&self, name: &str) {
        if let Some(slot) = self.slot(name) {
            slot.injection.end();
        }
    }

    fn slot(&self, name: &str) -> Option<Arc<Slot>> {
        self.0.slots.load().get(name).cloned()
    }

    /// Takes a name for a supervisor's child. A name left behind by a dead supervisor is taken over.
    pub(super) fn reserve(
        &self,
        name: &ChildName,
        owner: Option<&ActorRef<SupervisorMessage>>,
        mailbox_bound: usize,
    ) -> Result<Arc<Slot>, DirectoryError> {
        let _naming = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = match self.slot(name.as_str()) {
            Some(slot) => {
                if let Some(other) = slot.owner().filter(|other| owner.is_none_or(|owner| other.get_id() != owner.get_id())) {
                    let owner = slot.view.load().as_ref().map_or_else(|| other.get_id().to_string(), |view| view.supervisor.to_string());
                    return Err(DirectoryError::NameTaken { name: name.clone(), owner });
                }
                slot
            }
            None => Slot::new(name.clone(), mailbox_bound),
        };
        *slot.owner.lock().unwrap_or_else(PoisonError::into_inner) = owner.cloned();
        self.0.slots.rcu(|slots| {
            let mut slots = BTreeMap::clone(slots);
            slots.insert(name.clone(), Arc::clone(&slot));
            slots
        });
        Ok(slot)
    }

    pub(super) fn release(&self, name: &ChildName, forget_incarnation: bool) {
        let _naming = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.slots.rcu(|slots| {
            let mut slots = BTreeMap::clone(slots);
            slots.remove(name);
            slots
        });
        if forget_incarnation {
            self.incarnations().remove(name);
        }
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    /// Gives back every name below that supervisor, at any depth: it was taken out with all that it held.
    pub(super) fn release_below(&self, supervisor: &ChildName) {
        for view in self.children().iter().filter(|view| view.supervisor == *supervisor) {
            self.release_below(&view.name);
            self.release(&view.name, false);
        }
    }

    pub(super) fn publish(&self, slot: &Slot, address: Option<Address>) {
        slot.address.store(address.map(Arc::new));
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    pub(super) fn last_incarnation(&self, name: &ChildName) -> Incarnation {
        self.incarnations().get(name).copied().unwrap_or_default()
    }

    pub(super) fn note_incarnation(&self, name: &ChildName, incarnation: Incarnation) {
        self.incarnations().insert(name.clone(), incarnation);
    }

    fn incarnations(&self) -> std::sync::MutexGuard<'_, HashMap<ChildName, Incarnation>> {
        self.0.incarnations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A typed address that follows its name through restarts: one atomic load per use while nothing changed.
#[derive(Debug)]
pub struct Link<M> {
    directory: Directory,
    name: ChildName,
    seen: Option<u64>,
    found: Option<Found<M>>,
}

#[derive(Debug)]
struct Found<M> {
    incarnation: Incarnation,
    actor: ActorRef<M>,
    gauge: Arc<MailboxGauge>,
}

impl<M> Clone for Found<M> {
    fn clone(&self) -> Self {
        Self { incarnation: self.incarnation, actor: self.actor.clone(), gauge: Arc::clone(&self.gauge) }
    }
}

impl<M> Clone for Link<M> {
    fn clone(&self) -> Self {
        Self { directory: self.directory.clone(), name: self.name.clone(), seen: self.seen, found: self.found.clone() }
    }
}

impl<M: Message> Link<M> {
    #[must_use]
    pub const fn name(&self) -> &ChildName {
        &self.name
    }

    /// The running incarnation, `None` while there is none.
    pub fn get(&mut self) -> Option<&ActorRef<M>> {
        self.refresh();
        self.found.as_ref().map(|found| &found.actor)
    }

    /// The gauge of the mailbox behind the link, for the token that an envelope carries.
    pub fn gauge(&mut self) -> Option<&Arc<MailboxGauge>> {
        self.refresh();
        self.found.as_ref().map(|found| &found.gauge)
    }

    pub fn incarnation(&mut self) -> Option<Incarnation> {
        self.refresh();
        self.found.as_ref().map(|found| found.incarnation)
    }

    /// Sends to the running incarnation, or gives the message back.
    ///
    /// # Errors
    /// The message, when nobody is there to take it.
    pub fn send(&mut self, message: M) -> Result<(), M> {
        let Some(actor) = self.get() else { return Err(message) };
        actor.send_message(message).map_err(|error| match error {
            ractor::MessagingErr::SendErr(message) => message,
            // Invariant: the type was checked at the lookup, and a send never reports a closed channel otherwise.
            other => unreachable!("a checked address refused a message: {other:?}"),
        })
    }

    fn refresh(&mut self) {
        let generation = self.directory.generation();
        if self.seen != Some(generation) {
            self.found = self.look_up();
            self.seen = Some(generation);
        }
    }

    fn look_up(&self) -> Option<Found<M>> {
        let (incarnation, actor) = self.directory.actor(self.name.as_str())?;
        Some(Found { incarnation, actor, gauge: self.directory.gauge(self.name.as_str())? })
    }
}
