//! What was changed behind the journal's back is found, the row is named, and a named person can go on.

use super::*;

fn segment(data: &Path, number: u32) -> PathBuf {
    data.join(format!("journal/journal-{number:06}.db"))
}

fn tamper(data: &Path, number: u32, sql: &str) {
    let connection = rusqlite::Connection::open(segment(data, number)).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql} changed nothing");
}

/// Three segments: rows 1 to 13, 14 to 26 (a checkpoint first), and 27 (a checkpoint) to 34.
fn three_segments(data: &Path) {
    let options = JournalOptions { rows_per_segment: 10, ..options() };
    let (journal, _) = Journal::open(data, &options).unwrap();
    let handle = journal.handle();
    append(&handle, entries(0..12)).unwrap();
    checkpoint(&handle, "{}").unwrap();
    append(&handle, entries(12..24)).unwrap();
    checkpoint(&handle, "{}").unwrap();
    append(&handle, entries(24..30)).unwrap();
    journal.close("end").unwrap();
    let report = verify(data, |_| {}).unwrap();
    assert_eq!((report.segments, report.rows, report.outcome), (3, 34, VerifyOutcome::Intact));
}

#[test]
fn any_change_to_any_column_is_found_and_the_row_is_named() {
    let original = tempfile::tempdir().unwrap();
    three_segments(original.path());
    let changes = [
        "at = at + 1",
        "epoch = epoch + 1",
        "kind = 'filled_'",
        "account = 'other'",
        "account = NULL",
        "client_order_id = 'rf-x'",
        "client_order_id = NULL",
        "payload = replace(payload, '0.015', '0.016')",
        "payload = payload || ' '",
        "hash = zeroblob(32)",
        "hash = x'00'",
        "seq = 1000",
    ];
    for change in changes {
        let data = tempfile::tempdir().unwrap();
        copy_directory(original.path(), data.path());
        tamper(data.path(), 2, &format!("UPDATE rows SET {change} WHERE seq = 16"));
        let found = broken_row(data.path());
        assert_eq!(found, Some(16), "{change}");
    }
}

#[test]
fn rows_that_were_deleted_inserted_swapped_or_cut_off_are_found() {
    let original = tempfile::tempdir().unwrap();
    three_segments(original.path());
    let columns = "at, epoch, kind, account, client_order_id, hash, payload";
    let swap = "UPDATE rows SET seq = CASE seq WHEN 16 THEN -16 ELSE -17 END WHERE seq IN (16, 17)".to_owned();
    let cases: Vec<(&str, u32, Vec<String>, u64)> = vec![
        ("deleted", 2, vec!["DELETE FROM rows WHERE seq = 16".into()], 16),
        ("deleted at the end of a segment", 1, vec!["DELETE FROM rows WHERE seq = 13".into()], 13),
        ("swapped", 2, vec![swap, "UPDATE rows SET seq = CASE seq WHEN -16 THEN 17 ELSE 16 END WHERE seq < 0".into()], 16),
        ("inserted behind", 3, vec![format!("INSERT INTO rows SELECT 35, {columns} FROM rows WHERE seq = 34")], 35),
        ("inserted before", 2, vec![format!("INSERT INTO rows SELECT 1, {columns} FROM rows WHERE seq = 20")], 14),
        ("cut off", 3, vec!["DELETE FROM rows WHERE seq > 30".into()], 31),
        ("another history", 2, vec!["UPDATE segment SET previous_hash = zeroblob(32)".into()], 14),
    ];
    for (name, number, statements, row) in cases {
        let data = tempfile::tempdir().unwrap();
        copy_directory(original.path(), data.path());
        statements.iter().for_each(|sql| tamper(data.path(), number, sql));
        assert_eq!(broken_row(data.path()), Some(row), "{name}");
    }
    let data = tempfile::tempdir().unwrap();
    copy_directory(original.path(), data.path());
    std::fs::remove_file(segment(data.path(), 2)).unwrap();
    assert_eq!(broken_row(data.path()), Some(14), "a segment is gone");
    std::fs::remove_file(data.path().join("journal/head")).unwrap();
    assert_eq!(broken_row(data.path()), Some(14));
}

#[test]
fn without_its_head_a_journal_is_not_trusted() {
    let data = tempfile::tempdir().unwrap();
    three_segments(data.path());
    std::fs::remove_file(data.path().join("journal/head")).unwrap();
    assert_eq!(broken_row(data.path()), Some(35));
    assert!(matches!(Journal::open(data.path(), &options()), Err(JournalError::Broken { row: 35, .. })));
}

#[test]
fn a_flipped_byte_in_the_file_is_found() {
    let original = tempfile::tempdir().unwrap();
    three_segments(original.path());
    let bytes = std::fs::read(segment(original.path(), 2)).unwrap();
    let text = b"0.015";
    let place = bytes.windows(text.len()).position(|window| window == text).unwrap();
    let mut flipped = bytes;
    flipped[place + 4] ^= 1;
    std::fs::write(segment(original.path(), 2), flipped).unwrap();
    let row = broken_row(original.path()).unwrap();
    assert!((14..=26).contains(&row), "{row}");
}

fn accept(row: u64) -> Repair {
    Repair { accept_loss_after: row, by: "ada".into(), reason: "disk replaced".into() }
}

#[test]
fn a_broken_journal_refuses_to_trade_and_says_the_way_out_which_works() {
    let data = tempfile::tempdir().unwrap();
    three_segments(data.path());
    tamper(data.path(), 3, "UPDATE rows SET payload = replace(payload, '0.015', '0.115') WHERE seq = 28 OR seq = 29");
    let Err(error) = Journal::open(data.path(), &options()) else { panic!("a broken journal was opened") };
    let text = error.to_string();
    assert!(text.contains("broken at row 28") && text.contains("--accept-loss-after 27") && text.contains("hash"), "{text}");
    let refused = repair(data.path(), &accept(20), &options()).unwrap_err().to_string();
    assert!(refused.contains("the last good row, 27") && refused.contains("found row 20"), "{refused}");
    let nobody = Repair { by: " ".into(), ..accept(27) };
    assert!(repair(data.path(), &nobody, &options()).unwrap_err().to_string().contains("--by NAME"));

    let report = repair(data.path(), &accept(27), &options()).unwrap();
    assert!(report.moved_to.unwrap().join("journal-000003.db").exists(), "the broken rows are kept");
    assert_eq!(broken_row(data.path()), None);
    let again = repair(data.path(), &accept(27), &options()).unwrap_err().to_string();
    assert!(again.contains("nothing was repaired"), "{again}");
    let operator = Audit::open(data.path()).unwrap().operator(&AuditFilter { limit: Some(1), ..AuditFilter::default() }).unwrap();
    let Some(Record::OperatorCommand { by, reason, outcome, .. }) = &operator[0].record else { panic!("{operator:?}") };
    assert!(by == "ada" && reason == "disk replaced" && outcome.contains("rows after 27"), "{outcome}");
    let (_journal, recovery) = open(data.path());
    assert_eq!((recovery.epoch, recovery.checkpoint.unwrap().seq), (Epoch(3), 27), "the repair has an epoch of its own");
}

#[test]
fn every_kind_of_break_can_be_repaired() {
    let original = tempfile::tempdir().unwrap();
    three_segments(original.path());
    type Damage = fn(&Path);
    let breaks: [(&str, Damage); 7] = [
        ("first row", |data| tamper(data, 1, "UPDATE rows SET at = 0 WHERE seq = 1")),
        ("end of a segment", |data| tamper(data, 1, "DELETE FROM rows WHERE seq = 13")),
        ("checkpoint", |data| tamper(data, 2, "UPDATE rows SET payload = '[]' WHERE seq = 14")),
        ("cut off", |data| tamper(data, 3, "DELETE FROM rows WHERE seq > 30")),
        ("segment gone", |data| std::fs::remove_file(segment(data, 2)).unwrap()),
        ("head gone", |data| std::fs::remove_file(data.join("journal/head")).unwrap()),
        ("no database", |data| {
            std::fs::write(segment(data, 3), "not a database, for longer than a header of one hundred bytes: ".repeat(200)).unwrap()
        }),
    ];
    for (name, damage) in breaks {
        let data = tempfile::tempdir().unwrap();
        copy_directory(original.path(), data.path());
        damage(data.path());
        let row = broken_row(data.path()).expect(name);
        repair(data.path(), &accept(row - 1), &options()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(broken_row(data.path()), None, "{name}");
        let (journal, recovery) = open(data.path());
        assert!(recovery.epoch > Epoch(2), "{name}: {:?}", recovery.epoch);
        assert!(recovery.tail.last_seq() >= row, "{name}");
        append(&journal.handle(), entries(0..3)).unwrap();
        journal.close("end").unwrap();
        assert_eq!(broken_row(data.path()), None, "{name}");
    }
}

#[test]
fn a_broken_row_before_the_checkpoint_is_left_to_verify() {
    let data = tempfile::tempdir().unwrap();
    three_segments(data.path());
    tamper(data.path(), 1, "UPDATE rows SET at = at + 1 WHERE seq = 3");
    drop(open(data.path()));
    assert_eq!(broken_row(data.path()), Some(3));
}
