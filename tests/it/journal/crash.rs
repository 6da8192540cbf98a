//! Ends of every kind: what was acknowledged comes back.

use super::*;

#[test]
fn what_was_acknowledged_is_replayed_after_an_orderly_end_and_after_a_crash() {
    let data = tempfile::tempdir().unwrap();
    let (journal, recovery) = open(data.path());
    assert!(recovery.first_start && recovery.epoch == Epoch(1) && replayed(recovery).is_empty());
    append(&journal.handle(), entries(0..10)).unwrap();
    journal.close("asked to").unwrap();
    let (journal, recovery) = open(data.path());
    assert!(recovery.stopped_in_order && recovery.epoch == Epoch(2));
    assert_eq!(replayed(recovery), entries(0..10));
    append(&journal.handle(), entries(10..12)).unwrap();
    drop(journal);
    let (_journal, recovery) = open(data.path());
    assert!(!recovery.stopped_in_order && recovery.epoch == Epoch(3));
    assert_eq!(replayed(recovery), entries(0..12));
}

#[test]
fn a_restart_begins_from_the_newest_checkpoint() {
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    let handle = journal.handle();
    append(&handle, entries(0..5)).unwrap();
    checkpoint(&handle, "{\"old\":1}").unwrap();
    append(&handle, entries(5..7)).unwrap();
    checkpoint(&handle, "{\"new\":2}").unwrap();
    assert_eq!(handle.rows_since_checkpoint(), 0);
    append(&handle, entries(7..9)).unwrap();
    assert_eq!(handle.rows_since_checkpoint(), 2);
    drop(journal);
    let (_journal, recovery) = open(data.path());
    assert_eq!(recovery.checkpoint.as_ref().unwrap().state, "{\"new\":2}");
    let again = recovery.tail.again().count();
    assert_eq!((again, replayed(recovery)), (2, entries(7..9)));
}

#[test]
fn a_copy_taken_at_any_moment_opens_with_everything_acknowledged_by_then() {
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    let handle = journal.handle();
    let copies = tempfile::tempdir().unwrap();
    for step in 0..12u64 {
        append(&handle, entries(step * 7..step * 7 + 7)).unwrap();
        if step % 4 == 3 {
            checkpoint(&handle, &step.to_string()).unwrap();
        }
        copy_directory(data.path(), &copies.path().join(step.to_string()));
    }
    drop(journal);
    for step in 0..12u64 {
        let copy = copies.path().join(step.to_string());
        assert_eq!(broken_row(&copy), None);
        let (_journal, recovery) = open(&copy);
        let covered = recovery.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.state.parse::<u64>().unwrap() * 7 + 7);
        assert_eq!(replayed(recovery), entries(covered..step * 7 + 7), "copy {step}");
    }
}

#[test]
fn a_commit_torn_at_any_byte_leaves_the_rows_before_it() {
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    let handle = journal.handle();
    append(&handle, entries(0..20)).unwrap();
    let before = tempfile::tempdir().unwrap();
    copy_directory(data.path(), before.path());
    append(&handle, entries(20..60)).unwrap();
    let log = |data: &Path| data.join("journal/journal-000001.db-wal");
    let (old, new) = (std::fs::read(log(before.path())).unwrap(), std::fs::read(log(data.path())).unwrap());
    drop(journal);
    let changed = old.iter().zip(&new).enumerate().filter(|(_, (a, b))| a != b).map(|(index, _)| index);
    let (first, last) = changed.fold((usize::MAX, 0), |(first, last), index| (first.min(index), last.max(index)));
    for cut in (0..40).map(|step| first + (last - first) * step / 39) {
        let torn = tempfile::tempdir().unwrap();
        copy_directory(before.path(), torn.path());
        let mut bytes = old.clone();
        bytes[..cut].copy_from_slice(&new[..cut]);
        std::fs::write(log(torn.path()), bytes).unwrap();
        let (_journal, recovery) = open(torn.path());
        assert_eq!(replayed(recovery), entries(0..20), "torn at byte {cut}");
    }
}

const CHILD_DIRECTORY: &str = "RINGFENCE_TEST_JOURNAL_CHILD";

/// The other process of the test below: does nothing unless that one started it.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(data) = std::env::var_os(CHILD_DIRECTORY) else { return };
    let (journal, recovery) = open(Path::new(&data));
    let mut number = replayed(recovery).len() as u64;
    loop {
        append(&journal.handle(), entries(number..number + 3)).unwrap();
        number += 3;
        // Straight to the pipe: the test harness keeps `println!` to itself.
        std::io::stdout().write_all(format!("acknowledged {number}\n").as_bytes()).unwrap();
    }
}

#[test]
fn a_process_that_is_killed_while_writing_loses_nothing_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=3u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::crash::child_that_appends_until_it_is_killed", "--nocapture"])
            .env(CHILD_DIRECTORY, data.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut numbers = lines.filter_map(|line| line.rsplit_once("acknowledged ").map(|(_, number)| number.parse::<u64>().unwrap()));
        for _ in 0..40 * round {
            acknowledged = numbers.next().expect("a child that writes");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = numbers.last().unwrap_or(acknowledged);
    }
    assert_eq!(broken_row(data.path()), None);
    let (_journal, recovery) = open(data.path());
    assert_eq!(recovery.epoch, Epoch(4));
    let found = replayed(recovery);
    assert!(found.len() as u64 >= acknowledged, "{acknowledged} acknowledged, {} found", found.len());
    assert_eq!(found, entries(0..found.len() as u64));
}

#[test]
fn emergency_records_enter_the_journal_once() {
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    append(&journal.handle(), entries(0..2)).unwrap();
    journal.handle().inject_failure();
    let emergency = journal.emergency();
    assert!(emergency.record(&entry(2)) && emergency.record(&entry(3)));
    assert_eq!(emergency.settle(Duration::from_secs(10)).durable, 2);
    drop(journal);
    for _ in 0..2 {
        let (journal, recovery) = open(data.path());
        assert_eq!(recovery.emergency_rows, if recovery.epoch == Epoch(2) { 2 } else { 0 });
        assert_eq!(replayed(recovery), entries(0..4));
        drop(journal);
    }
}

#[derive(Debug, Clone)]
enum Action {
    Append(u64),
    Checkpoint,
    Crash,
    Close,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (0..40u64).prop_map(Action::Append),
        2 => Just(Action::Checkpoint),
        1 => Just(Action::Crash),
        1 => Just(Action::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever the batches, checkpoints, ends and segment sizes: a checkpoint's state and the replay after it are the
    /// whole history.
    #[test]
    fn checkpoint_plus_replay_is_what_was_appended(actions in prop::collection::vec(action(), 1..30), rows_per_segment in 1..60u64) {
        let data = tempfile::tempdir().unwrap();
        let options = JournalOptions { rows_per_segment, ..options() };
        let mut journal = Some(Journal::open(data.path(), &options).unwrap().0);
        let (mut appended, mut epoch) = (0, 1);
        for action in actions {
            let (restart, orderly) = (matches!(action, Action::Crash | Action::Close), matches!(action, Action::Close));
            let handle = journal.as_ref().unwrap().handle();
            match action {
                Action::Append(count) => {
                    handle.append(entries(appended..appended + count), Ack::None).unwrap();
                    appended += count;
                }
                Action::Checkpoint => drop(checkpoint(&handle, &appended.to_string()).unwrap()),
                Action::Crash | Action::Close => {}
            }
            if restart {
                let ended = journal.take();
                if orderly { ended.unwrap().close("end").unwrap() } else { drop(ended) }
                let (reopened, recovery) = Journal::open(data.path(), &options).unwrap();
                journal = Some(reopened);
                epoch += 1;
                prop_assert_eq!(recovery.epoch, Epoch(epoch));
                let covered = recovery.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.state.parse().unwrap());
                prop_assert_eq!(replayed(recovery), entries(covered..appended));
            }
        }
        drop(journal);
        prop_assert_eq!(broken_row(data.path()), None);
    }
}
