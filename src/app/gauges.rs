//! What the daemon shows of how full it is: the tables that no actor of its own tells of. Read from outside, every few seconds and
//! whenever somebody asks for the metrics; it touches no hot actor.

use super::hub::Hub;
use super::places::Places;
use super::tree::Plan;
use crate::telemetry::metrics;

pub fn measure(plan: &Plan, places: &Places, hub: &Hub) {
    places.measure();
    for account in places.venue.accounts() {
        metrics::tables(account.id.as_str(), &account.tables());
    }
    let around = &plan.around;
    let (modes, views) = (around.modes.get(), &around.views);
    metrics::tables(
        "daemon",
        &[
            ("journal_rows_in_flight", around.journal.handle().rows_in_flight()),
            ("events_recent", hub.kept()),
            ("children", around.directory.children().len()),
            ("accounts_shown", views.accounts().len()),
            ("strategies_shown", views.strategies().len()),
            ("restrictions", modes.iter().count()),
        ],
    );
    // A directory that cannot be read shows as figures that stand still.
    if let Some((segments, bytes)) = crate::store::journal_files(&plan.settings.load().daemon.data_dir) {
        metrics::journal_files(segments, bytes);
    }
}
