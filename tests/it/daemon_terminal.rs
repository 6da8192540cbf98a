//! The daemon on a terminal: one live screen instead of log lines, Ctrl-C on it as the first request to stop, and the
//! terminal given back or gone.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::daemon::{Daemon, Home};

const WITHIN: Duration = Duration::from_secs(30);

/// A pair of terminal ends of 130 columns and 40 lines: ours, and the program's.
pub fn terminal() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize { ws_row: 40, ws_col: 130, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: two integers to write to and a size to read, all of which live across the call.
    assert_eq!(unsafe { libc::openpty(&raw mut ours, &raw mut theirs, null_mut(), null_mut(), &raw const size) }, 0);
    for end in [ours, theirs] {
        // SAFETY: a flag of a descriptor that was just opened. No other child may hold on to it.
        assert_eq!(unsafe { libc::fcntl(end, libc::F_SETFD, libc::FD_CLOEXEC) }, 0);
    }
    // SAFETY: both were just opened and are nobody else's.
    unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

/// Everything that is drawn, as it comes.
fn watch(terminal: &File) -> Arc<Mutex<String>> {
    let drawn = Arc::new(Mutex::new(String::new()));
    let (sink, mut terminal) = (Arc::clone(&drawn), terminal.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        // Ends with the terminal.
        while let Ok(length @ 1..) = terminal.read(&mut buffer) {
            sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    });
    drawn
}

#[test]
fn one_screen_is_drawn_and_ctrl_c_on_it_stops_in_order() {
    let (mut ours, theirs) = terminal();
    let home = Home::new("");
    let drawn = watch(&ours);
    let mut daemon = home.start_on(&theirs);
    for text in ["accounts", "alpha", "BTCUSDT", "children", "last events", "Ctrl-C: stop in order"] {
        daemon.wait_until(&format!("draws {text:?}"), WITHIN, |_| drawn.lock().unwrap().contains(text));
    }
    assert_eq!(home.log(), "", "log lines would tear the screen; they are in a file");
    assert!(std::fs::read_to_string(home.data().join("ringfence.log")).unwrap().contains("ready"));
    ours.write_all(b"\x03").unwrap();
    assert_eq!(daemon.wait().code(), Some(0), "{}", home.log());
    const LEAVE_ALTERNATE_SCREEN: &str = "\x1b[?1049l";
    assert!(drawn.lock().unwrap().contains(LEAVE_ALTERNATE_SCREEN), "the terminal is given back");
}

#[test]
fn a_terminal_that_is_closed_takes_the_screen_with_it_and_not_the_daemon() {
    let (ours, theirs) = terminal();
    let home = Home::new("");
    let mut daemon = home.start_on(&theirs);
    daemon.wait_until("has a screen", WITHIN, has_screen);
    // Ours alone: the daemon has the other one.
    drop(ours);
    daemon.wait_until("has ended its screen", WITHIN, |daemon| !has_screen(daemon));
    assert_eq!(daemon.get("/ready").0, 200);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

fn has_screen(daemon: &mut Daemon) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    // A thread may end between being listed and being looked at.
    threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok()).any(|name| name.trim() == "screen")
}
