//! One row and its place in the chain: `hash = SHA-256(previous hash ‖ every column)`. The hash of the row before is not
//! stored twice; it is the row before. SHA-256, because processors have it: a row of 500 bytes takes 0.28 µs, and 0.63 with
//! blake3, which is fast on long inputs only. Pure: bytes in, bytes out.

use sha2::{Digest, Sha256};

use crate::domain::ids::Epoch;
use crate::domain::record::Entry;
use crate::domain::time::Timestamp;

/// The kind of a row that holds a state instead of a record.
pub(crate) const CHECKPOINT: &str = "checkpoint";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first row of a journal stands on.
    pub(crate) fn genesis() -> Self {
        Self::of(b"ringfence journal, format 1")
    }

    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// What a row holds, payload apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub seq: u64,
    pub at: Timestamp,
    pub epoch: Epoch,
    pub kind: &'a str,
    pub account: Option<&'a str>,
    pub client_order_id: Option<&'a str>,
}

/// Writes rows in their canonical form into one buffer that is used again for each row.
#[derive(Default)]
pub(crate) struct Encoder {
    buffer: Vec<u8>,
    payload: usize,
}

impl Encoder {
    /// Takes the row in; `payload` writes its text.
    pub(crate) fn encode<E>(
        &mut self,
        previous: Hash,
        columns: &Columns<'_>,
        payload: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Hash, E> {
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.extend_from_slice(&previous.0);
        buffer.extend_from_slice(&columns.seq.to_le_bytes());
        buffer.extend_from_slice(&columns.at.0.to_le_bytes());
        buffer.extend_from_slice(&columns.epoch.0.to_le_bytes());
        // Lengths and tags go before the texts, so that no two rows share their bytes by moving a boundary.
        put_text(buffer, Some(columns.kind));
        put_text(buffer, columns.account);
        put_text(buffer, columns.client_order_id);
        self.payload = buffer.len();
        payload(buffer)?;
        Ok(Hash::of(buffer))
    }

    /// The payload of the row that was encoded last.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.buffer[self.payload..]
    }
}

fn put_text(buffer: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => {
            buffer.push(1);
            // Invariant: names are at most 36 bytes; a longer text in a tampered row only changes its hash.
            buffer.extend_from_slice(&(text.len() as u64).to_le_bytes());
            buffer.extend_from_slice(text.as_bytes());
        }
        None => buffer.push(0),
    }
}

/// A record as the journal gives it back.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEntry {
    pub seq: u64,
    pub epoch: Epoch,
    pub entry: Entry,
}

/// A state that a restart begins from, in its writer's own JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub seq: u64,
    pub at: Timestamp,
    pub state: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(columns: &Columns<'_>, payload: &str) -> Hash {
        let written = Encoder::default().encode::<()>(Hash::genesis(), columns, |buffer| {
            buffer.extend_from_slice(payload.as_bytes());
            Ok(())
        });
        written.unwrap()
    }

    #[test]
    fn every_column_is_in_the_hash() {
        let base =
            Columns { seq: 7, at: Timestamp(9), epoch: Epoch(2), kind: "filled", account: Some("main"), client_order_id: Some("rf-1") };
        let variants = [
            Columns { seq: 8, ..base },
            Columns { at: Timestamp(10), ..base },
            Columns { epoch: Epoch(3), ..base },
            Columns { kind: "fille", account: Some("dmain"), ..base },
            Columns { account: None, ..base },
            Columns { account: Some("mai"), client_order_id: Some("nrf-1"), ..base },
            Columns { client_order_id: Some(""), ..base },
            Columns { client_order_id: None, ..base },
        ];
        for (index, variant) in variants.iter().enumerate() {
            assert_ne!(hash(variant, "{}"), hash(&base, "{}"), "variant {index}");
        }
        assert_ne!(hash(&base, "{} "), hash(&base, "{}"));
    }
}
