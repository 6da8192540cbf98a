//! Writes the latch away from whoever halts: the file goes through to the disk, and the disk may be what failed. The newest
//! state wins, however long an older one takes to be written. It decides nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::store::{Latch, LatchState};

/// Cheap to clone; all clones write one file.
#[derive(Debug, Clone)]
pub struct LatchWriter {
    latch: Arc<Latch>,
    /// The newest state that is not written yet.
    next: Arc<Mutex<Option<LatchState>>>,
    /// Held while one state is being written.
    turn: Arc<Mutex<()>>,
    services: Handle,
}

impl LatchWriter {
    #[must_use]
    pub fn new(latch: Latch, services: Handle) -> Self {
        Self { latch: Arc::new(latch), next: Arc::default(), turn: Arc::default(), services }
    }

    /// Returns at once. The process, when it ends, waits a while for what is being written.
    pub fn store(&self, state: LatchState) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        let writer = self.clone();
        self.services.spawn_blocking(move || writer.write());
    }

    /// Waits until what was stored before is written, at most so long. Says whether it is: before an exit that waits for
    /// nobody. Not from inside a task.
    pub fn settle(&self, at_most: Duration) -> bool {
        let (done, written) = std::sync::mpsc::sync_channel(1);
        let writer = self.clone();
        self.services.spawn_blocking(move || {
            writer.write();
            // Nobody waits any more when it took too long.
            let _unheard = done.send(());
        });
        written.recv_timeout(at_most).is_ok()
    }

    fn write(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is left when the writer before this one took a state that was newer than its own.
        let Some(state) = self.next.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if let Err(error) = self.latch.store(&state) {
            tracing::error!(target: "ringfence::controls", %error, "the latch could not be stored: a restart may not know of this halt");
        }
    }
}
