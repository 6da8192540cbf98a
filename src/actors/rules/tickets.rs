//! Effects that wait for their rows: each gets a ticket that the journal's answer brings back.

use std::collections::BTreeMap;

#[derive(Debug)]
pub struct Tickets<E> {
    next: u64,
    waiting: BTreeMap<u64, Vec<E>>,
}

impl<E> Default for Tickets<E> {
    fn default() -> Self {
        Self { next: 0, waiting: BTreeMap::new() }
    }
}

impl<E> Tickets<E> {
    pub fn issue(&mut self, effects: Vec<E>) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, effects);
        self.next
    }

    /// What waited for that ticket; nothing for one that was redeemed or belongs to an earlier incarnation.
    pub fn redeem(&mut self, ticket: u64) -> Vec<E> {
        self.waiting.remove(&ticket).unwrap_or_default()
    }
}
