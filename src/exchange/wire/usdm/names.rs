//! The names that the venue gives where a client gave none: client order ids and listen keys. Letters and digits that nobody can
//! guess, drawn from a seed and a counter, so that a run with a given seed gives the same names again. No clock, no generator
//! of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::ids::ClientOrderId;

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// As long as the venue's own.
const CLIENT_ID_LENGTH: usize = 22;
const LISTEN_KEY_LENGTH: usize = 64;

/// Gives each name once.
#[derive(Debug)]
pub struct Names {
    seed: [u8; 32],
    next: AtomicU64,
}

impl Names {
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, next: AtomicU64::new(0) }
    }

    #[must_use]
    pub fn client_order_id(&self) -> ClientOrderId {
        // Invariant: 22 letters and digits are a client order id.
        ClientOrderId::new(&self.letters(CLIENT_ID_LENGTH)).expect("invariant: 22 letters and digits are a client order id")
    }

    #[must_use]
    pub fn listen_key(&self) -> String {
        self.letters(LISTEN_KEY_LENGTH)
    }

    fn letters(&self, length: usize) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut source = blake3::Hasher::new_keyed(&self.seed).update(&number.to_le_bytes()).finalize_xof();
        let mut block = [0; 64];
        let mut text = String::with_capacity(length);
        while text.len() < length {
            source.fill(&mut block);
            // Bytes that would favour some letters are passed over.
            let fair = block.iter().filter(|byte| usize::from(**byte) < 256 / ALPHABET.len() * ALPHABET.len());
            text.extend(fair.take(length - text.len()).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_a_seed_gives_them_again() {
        let (one, same, other) = (Names::new([1; 32]), Names::new([1; 32]), Names::new([2; 32]));
        let first = one.listen_key();
        assert_eq!((first.len(), &first), (64, &same.listen_key()));
        assert_ne!(first, other.listen_key());
        assert_ne!(one.client_order_id(), one.client_order_id());
        assert_eq!(one.client_order_id().as_str().len(), 22);
    }
}
