//! The daemon's life as its operator sees it: a start in an empty folder, readiness, trading, the ordered stop, and a
//! restart after `kill -9` in the middle.

use std::time::Duration;

use crate::support::daemon::Home;

#[test]
fn it_runs_in_an_empty_folder_without_a_configuration_and_trades_every_account() {
    let home = Home::new("");
    let mut daemon = home.start();
    let status = daemon.wait_for_status("has a fill on every account", Duration::from_secs(30), |status| {
        status["accounts"].as_array().is_some_and(|accounts| accounts.iter().all(|account| account["fills"].as_u64() > Some(0)))
    });
    assert_eq!(status["accounts"].as_array().map(Vec::len), Some(3), "{status:#}");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}
