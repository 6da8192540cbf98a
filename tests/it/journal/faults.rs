//! A slow, full or broken disk: refused or failed for good, and nothing acknowledged is lost.

use super::*;

#[test]
fn a_full_queue_refuses_at_once_and_gives_the_entries_back() {
    let data = tempfile::tempdir().unwrap();
    let options = JournalOptions { rows_in_flight_max: 10, ..options() };
    let (journal, _) = Journal::open(data.path(), &options).unwrap();
    let handle = journal.handle();
    handle.inject(InjectedFault::Stall(Duration::from_millis(200)));
    let (ack, answer) = answer();
    handle.append(entries(0..8), ack).unwrap();
    let refused = handle.append(entries(8..11), Ack::None).unwrap_err();
    assert_eq!((refused.entries.to_vec(), refused.because), (entries(8..11), RefusedBecause::Full { rows: 3, in_flight: 8, limit: 10 }));
    handle.append(entries(8..10), Ack::None).unwrap();
    answer.recv().unwrap().unwrap();
    append(&handle, Vec::new()).unwrap();
}

#[test]
fn a_hanging_disk_shows_before_it_reports_an_error() {
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    let handle = journal.handle();
    assert_eq!(handle.running_commit(), None);
    handle.inject(InjectedFault::Stall(Duration::from_millis(300)));
    let (ack, answer) = answer();
    handle.append(entries(0..1), ack).unwrap();
    let running = loop {
        match handle.running_commit() {
            Some(commit) => break commit,
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(handle.running_commit(), Some(running), "it stays");
    answer.recv().unwrap().unwrap();
    append(&handle, Vec::new()).unwrap();
    assert_ne!(handle.running_commit(), Some(running));
}

/// After the fault: every answer is the fault, the watch shows it, later appends are refused with their entries, and what
/// was acknowledged before comes back.
fn assert_failed_for_good(data: &Path, journal: Journal, acknowledged: &[Entry]) {
    let handle = journal.handle();
    assert!(handle.failures().borrow().is_some());
    let text = handle.failure().unwrap().to_string();
    assert!(text.contains("expected") && text.contains("found") && text.contains("trading is halted"), "{text}");
    let refused = handle.append(entries(900..902), Ack::None).unwrap_err();
    assert_eq!(*refused.entries, *entries(900..902));
    assert!(matches!(refused.because, RefusedBecause::Failed(_)));
    assert!(handle.append_checkpoint(Timestamp(1), (), Ack::None).is_err());
    assert!(journal.close("end").is_err());
    assert_eq!(broken_row(data), None);
    let (_journal, recovery) = open(data);
    let replayed = replayed(recovery);
    assert_eq!(&replayed[..acknowledged.len()], acknowledged);
}

#[test]
fn a_refused_commit_a_failed_sync_and_an_injected_failure_end_the_journal_for_good() {
    for fault in [InjectedFault::CommitRefused, InjectedFault::SyncFailed] {
        let data = tempfile::tempdir().unwrap();
        let options = JournalOptions { faults: FaultPlan { at_commit: Some((3, fault)), pages_max: None }, ..options() };
        let (journal, _) = Journal::open(data.path(), &options).unwrap();
        let handle = journal.handle();
        append(&handle, entries(0..2)).unwrap();
        append(&handle, entries(2..4)).unwrap();
        assert!(append(&handle, entries(4..6)).is_err(), "{fault:?}");
        assert_failed_for_good(data.path(), journal, &entries(0..4));
    }
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    append(&journal.handle(), entries(0..4)).unwrap();
    let mut failures = journal.handle().failures();
    journal.handle().inject_failure();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(failures.changed()).unwrap();
    assert_failed_for_good(data.path(), journal, &entries(0..4));
}

#[test]
fn a_full_disk_fails_what_is_queued_and_keeps_what_was_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let options = JournalOptions { faults: FaultPlan { at_commit: None, pages_max: Some(40) }, ..options() };
    let (journal, _) = Journal::open(data.path(), &options).unwrap();
    let handle = journal.handle();
    let mut acknowledged = 0;
    let fault = loop {
        match append(&handle, entries(acknowledged..acknowledged + 10)) {
            Ok(_) => acknowledged += 10,
            Err(fault) => break fault,
        }
    };
    assert!(fault.to_string().contains("full"), "{fault}");
    assert!(acknowledged > 100, "40 pages of 8 KiB hold more than {acknowledged} rows");
    assert_failed_for_good(data.path(), journal, &entries(0..acknowledged));
}
