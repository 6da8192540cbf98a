//! Old rows leave the data directory without being lost: what a start needs stays, what left is proven, and a file that merely
//! vanished is still found.

use super::*;

/// Five segments of some thirty rows, a checkpoint at the beginning of each but the first.
fn grown() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let options = JournalOptions { rows_per_segment: 25, ..options() };
    let (journal, _) = Journal::open(data.path(), &options).unwrap();
    for step in 0..5 {
        append(&journal.handle(), entries(step * 30..step * 30 + 30)).unwrap();
        checkpoint(&journal.handle(), &format!("{{\"step\":{step}}}")).unwrap();
    }
    append(&journal.handle(), entries(150..155)).unwrap();
    data
}

fn segments(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter(|name| name.ends_with(".db")).collect();
    names.sort();
    names
}

#[test]
fn what_no_start_needs_is_moved_whole_and_the_rest_goes_on_as_before() {
    let (data, archive_to) = (grown(), tempfile::tempdir().unwrap());
    let journal = data.path().join("journal");
    let all = segments(&journal);
    assert!(all.len() >= 5, "{all:?}");
    let before = verify(data.path(), |_| {}).unwrap();

    let moved = archive(data.path(), archive_to.path(), 2).unwrap();
    assert_eq!(moved.segments.len(), all.len() - 2);
    assert_eq!((segments(&journal), segments(archive_to.path())), (all[all.len() - 2..].to_vec(), all[..all.len() - 2].to_vec()));
    let after = verify(data.path(), |_| {}).unwrap();
    assert_eq!((after.outcome, after.archived_rows + after.rows), (VerifyOutcome::Intact, before.rows));
    assert_eq!((after.last_hash, after.archived_rows), (before.last_hash, moved.through));
    assert_eq!(archive(data.path(), archive_to.path(), 2).unwrap().segments, Vec::<PathBuf>::new(), "nothing more is old enough");

    // A start needs nothing of what left.
    let (journal, recovery) = Journal::open(data.path(), &options()).unwrap();
    assert_eq!(recovery.checkpoint.as_ref().map(|checkpoint| checkpoint.state.as_str()), Some("{\"step\":4}"));
    assert_eq!(replayed(recovery), entries(150..155));
    append(&journal.handle(), entries(200..201)).unwrap();
    drop(journal);
    assert_eq!(broken_row(data.path()), None);

    // Back beside the others they are as they were.
    for name in segments(archive_to.path()) {
        std::fs::copy(archive_to.path().join(&name), data.path().join("journal").join(&name)).unwrap();
    }
    let whole = verify(data.path(), |_| {}).unwrap();
    assert_eq!((whole.outcome, whole.archived_rows), (VerifyOutcome::Intact, 0));
}

#[test]
fn the_newest_checkpoint_stays_however_few_are_to_be_kept_and_what_has_none_stays_whole() {
    let (data, archive_to) = (grown(), tempfile::tempdir().unwrap());
    archive(data.path(), archive_to.path(), 0).unwrap();
    let (_, recovery) = Journal::open(data.path(), &options()).unwrap();
    assert!(recovery.checkpoint.is_some());
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    append(&journal.handle(), entries(0..40)).unwrap();
    assert_eq!(archive(data.path(), archive_to.path(), 1).unwrap().segments, Vec::<PathBuf>::new());
}

#[test]
fn an_archiving_that_was_cut_short_is_finished_by_the_next() {
    let (data, archive_to) = (grown(), tempfile::tempdir().unwrap());
    let journal = data.path().join("journal");
    let kept = tempfile::tempdir().unwrap();
    copy_directory(&journal, kept.path());
    archive(data.path(), archive_to.path(), 2).unwrap();
    // The mark is there, the last of the files that it covers too.
    let last = segments(archive_to.path()).pop().unwrap();
    std::fs::copy(kept.path().join(&last), journal.join(&last)).unwrap();
    assert_eq!(broken_row(data.path()), None);
    archive(data.path(), archive_to.path(), 2).unwrap();
    assert_eq!(segments(&journal).len(), 2);
    assert_eq!(broken_row(data.path()), None);
}

#[test]
fn a_file_that_vanished_or_a_copy_that_is_wrong_is_found() {
    let (data, archive_to) = (grown(), tempfile::tempdir().unwrap());
    let journal = data.path().join("journal");
    let names = segments(&journal);
    // Somebody else's file under that name is no copy.
    std::fs::copy(journal.join(&names[1]), archive_to.path().join(&names[0])).unwrap();
    assert!(archive(data.path(), archive_to.path(), 2).is_err());
    assert_eq!(segments(&journal), names, "nothing is removed that is not proven in the archive");
    std::fs::remove_file(archive_to.path().join(&names[0])).unwrap();
    archive(data.path(), archive_to.path(), 3).unwrap();
    assert_eq!(broken_row(data.path()), None);
    // What left is known by its mark; the next one is not.
    std::fs::remove_file(journal.join(&segments(&journal)[0])).unwrap();
    assert!(broken_row(data.path()).is_some());
}
