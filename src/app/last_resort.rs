//! The end of a process whose services stand still: kill switch, supervisors, timers and the main task with them. What has
//! to be done before the end is done on a thread of its own, with timers of its own, and nobody is waited for.

use std::sync::Arc;
use std::time::Duration;

use super::safety::{Exit, Safety};
use crate::cli::screen;
use crate::telemetry::events::DaemonStopping;
use crate::telemetry::logs;

/// How long the last lines may take to be out.
const LINES_OUT: Duration = Duration::from_millis(500);

/// Cancels at the venue, latches the halt and ends the process with exit code 1. Returns at once: whoever found the stall
/// goes on watching.
pub fn end_from_outside(safety: &Arc<Safety>, why: String) {
    let held = Arc::clone(safety);
    let end = move || end(&held, &why);
    // It ends with the process, and there is no supervisor left that could hold it.
    let thread = std::thread::Builder::new().name("last-resort".to_owned()).spawn(end);
    if let Err(error) = thread {
        // No thread to be had. The gate is closed; a person has to end what is left.
        tracing::error!(target: "ringfence::daemon", %error, "the services stand still, and no thread to end the process: kill it by hand");
    }
}

fn end(safety: &Safety, why: &str) {
    let exit = Exit::Halted(why.to_owned());
    DaemonStopping { cause: &exit.to_string() }.emit();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(safety.without_kill_switch(why)),
        Err(error) => tracing::error!(target: "ringfence::controls", %error, "orders not cancelled at the venue: look there by hand"),
    }
    if !safety.latch_is_written() {
        tracing::error!(target: "ringfence::controls", "the latch is not on the disk: a restart may not know of this halt");
    }
    safety.note_exit(exit.to_string());
    screen::restore();
    logs::flush(LINES_OUT);
    std::process::exit(1);
}
