//! The journal as its users meet it: what was acknowledged comes back after any end, what was changed behind its back is
//! found and named, and a sick disk ends trading instead of losing rows.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;
use ringfence::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation, IntentId, StrategyId, Symbol};
use ringfence::domain::mode::{FaultClass, Mode, Scope};
use ringfence::domain::money::{Money, Price, Quantity};
use ringfence::domain::order::{Fill, NewOrder, OrderIntent, OrderKind, OrderStatus, PositionSide, SelfTradePrevention, Side, TimeInForce};
use ringfence::domain::record::{Entry, Record};
use ringfence::domain::time::Timestamp;
use ringfence::store::{
    Ack, AckResult, Audit, AuditFilter, FaultPlan, InjectedFault, Journal, JournalError, JournalHandle, JournalOptions, Recovery,
    RefusedBecause, Repair, VerifyOutcome, repair, verify,
};

fn options() -> JournalOptions {
    JournalOptions::new("0.1.0", "config-hash")
}

fn open(data: &Path) -> (Journal, Recovery) {
    Journal::open(data, &options()).unwrap()
}

/// One record of each shape that trading writes, by number.
fn entry(number: u64) -> Entry {
    let account = AccountId::new(["main", "hedge", "a-1"][(number % 3) as usize]).unwrap();
    let intent = IntentId::compose(Epoch(1), 1, (number / 4) as u32);
    let client_order_id = ClientOrderId::compose(account, Epoch(1), intent);
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let quantity: Quantity = "0.015".parse().unwrap();
    let record = match number % 6 {
        0 => order_intended(account, client_order_id, intent),
        1 | 2 => Record::OrderChanged {
            account,
            client_order_id,
            intent,
            status: OrderStatus::Working,
            filled: quantity,
            venue_order_id: Some(number),
            detail: None,
        },
        3 => Record::Filled {
            fill: Fill {
                account,
                symbol,
                client_order_id,
                venue_order_id: number,
                trade_id: number,
                side: Side::Sell,
                position_side: PositionSide::Both,
                price: "61234.5".parse::<Price>().unwrap(),
                quantity,
                fee: "0.36".parse::<Money>().unwrap(),
                maker: true,
                at: Timestamp::from_millis(number as i64),
            },
            intent: Some(intent),
            strategy: None,
        },
        4 => Record::Supervision {
            child: "executor/main".into(),
            incarnation: Incarnation(number),
            event: "restarted".into(),
            class: Some(FaultClass::Panic),
            detail: "„quoted“ \"text\"\n".into(),
        },
        _ => Record::ModeChanged {
            scope: Scope::Account(account),
            from: Mode::Normal,
            to: Mode::CancelOnly,
            cause: "restart".into(),
            by: None,
            reason: None,
        },
    };
    Entry { at: Timestamp(1_700_000_000_000_000_000 + number as i64), record }
}

fn order_intended(account: AccountId, client_order_id: ClientOrderId, id: IntentId) -> Record {
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let quantity: Quantity = "0.015".parse().unwrap();
    let kind = OrderKind::Limit { price: "61234.5".parse().unwrap() };
    let intent = OrderIntent {
        id,
        strategy: StrategyId::new("ema_cross-1").unwrap(),
        account,
        symbol,
        side: Side::Buy,
        position_side: PositionSide::Both,
        kind,
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity,
        reduce_only: false,
        decided_at: Timestamp(9),
        reason: "cross_up".into(),
        trace: None,
    };
    let order = NewOrder {
        client_order_id,
        symbol,
        side: Side::Buy,
        position_side: PositionSide::Both,
        kind,
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity,
        reduce_only: false,
        self_trade_prevention: SelfTradePrevention::ExpireMaker,
    };
    Record::OrderIntended { intent, order, risk_incarnation: Incarnation(1) }
}

fn entries(numbers: std::ops::Range<u64>) -> Vec<Entry> {
    numbers.map(entry).collect()
}

fn append(handle: &JournalHandle, entries: Vec<Entry>) -> AckResult {
    let (ack, answer) = Ack::oneshot();
    handle.append(entries, ack).unwrap();
    answer.blocking_recv().unwrap()
}

fn checkpoint(handle: &JournalHandle, state: &str) -> AckResult {
    let (ack, answer) = Ack::oneshot();
    handle.append_checkpoint(Timestamp(5), state.to_owned(), ack).unwrap();
    answer.blocking_recv().unwrap()
}

/// The replayed entries without what every start and stop writes itself.
fn replayed(recovery: Recovery) -> Vec<Entry> {
    let entries = recovery.tail.map(|stored| stored.unwrap().entry);
    entries.filter(|entry| !matches!(entry.record, Record::DaemonStarted { .. } | Record::DaemonStopped { .. })).collect()
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy_directory(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).unwrap();
        }
    }
}

fn segment(data: &Path, number: u32) -> PathBuf {
    data.join(format!("journal/journal-{number:06}.db"))
}

fn tamper(data: &Path, number: u32, sql: &str) {
    let connection = rusqlite::Connection::open(segment(data, number)).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql} changed nothing");
}

fn broken_row(data: &Path) -> Option<u64> {
    match verify(data, |_| {}).unwrap().outcome {
        VerifyOutcome::Intact => None,
        VerifyOutcome::Broken { row, last_good, .. } => {
            assert_eq!(last_good + 1, row);
            Some(row)
        }
    }
}

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
fn a_second_daemon_is_told_who_holds_the_directory() {
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    let error = Journal::open(data.path(), &options()).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }));
    let text = error.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())) && text.contains(data.path().to_str().unwrap()), "{text}");
    drop(journal);
    open(data.path());
}

#[test]
fn answers_come_in_the_order_of_the_appends_whatever_their_kind() {
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    let handle = journal.handle();
    // While the writer hangs everything queues up, so that one commit answers all of it.
    handle.inject(InjectedFault::Stall(Duration::from_millis(50)));
    let (order, seen) = mpsc::channel();
    let (tokens, mut answers) = Ack::channel();
    for number in 0..200u64 {
        let order = order.clone();
        let ack = match number % 4 {
            0 => Ack::Callback(Box::new(move |result: AckResult| order.send((number, result.unwrap())).unwrap())),
            1 => Ack::None,
            _ => Ack::Token { token: number, to: tokens.clone() },
        };
        handle.append(entries(number..number + 1), ack).unwrap();
    }
    let barrier = append(&handle, Vec::new()).unwrap();
    let by_callback: Vec<_> = seen.try_iter().collect();
    assert_eq!(by_callback.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..200).step_by(4).collect::<Vec<_>>());
    let mut by_token = Vec::new();
    while let Some(batch) = answers.try_recv() {
        by_token.extend(batch);
    }
    let expected: Vec<_> = (0..200).filter(|number| number % 4 > 1).collect();
    assert_eq!(by_token.iter().map(|ack| ack.token).collect::<Vec<_>>(), expected);
    // Row 1 is the start's own.
    assert!(by_token.iter().all(|ack| ack.result.as_ref().unwrap().first_seq == ack.token + 2));
    assert_eq!(barrier.last_seq, 201);
    assert_eq!(handle.rows_in_flight(), 0);
}

#[test]
fn a_full_queue_refuses_at_once_and_gives_the_entries_back() {
    let data = tempfile::tempdir().unwrap();
    let options = JournalOptions { rows_in_flight_max: 10, ..options() };
    let (journal, _) = Journal::open(data.path(), &options).unwrap();
    let handle = journal.handle();
    handle.inject(InjectedFault::Stall(Duration::from_millis(200)));
    let (ack, answer) = Ack::oneshot();
    handle.append(entries(0..8), ack).unwrap();
    let refused = handle.append(entries(8..11), Ack::None).unwrap_err();
    assert_eq!((refused.entries, refused.because), (entries(8..11), RefusedBecause::Full { rows: 3, in_flight: 8, limit: 10 }));
    handle.append(entries(8..10), Ack::None).unwrap();
    answer.blocking_recv().unwrap().unwrap();
    append(&handle, Vec::new()).unwrap();
    // An owner that does not read its answers is refused too, not buffered for.
    let (tokens, mut answers) = Ack::channel();
    handle.append(entries(10..20), Ack::Token { token: 1, to: tokens }).unwrap();
    append(&handle, Vec::new()).unwrap();
    assert!(handle.append(entries(20..21), Ack::None).is_err());
    assert!(answers.try_recv().is_some());
    handle.append(entries(20..21), Ack::None).unwrap();
}

#[test]
fn a_hanging_disk_shows_before_it_reports_an_error() {
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    let handle = journal.handle();
    let now = ringfence::store::wall_clock;
    assert_eq!(handle.stalled_for(now()), Duration::ZERO);
    handle.inject(InjectedFault::Stall(Duration::from_millis(300)));
    let (ack, answer) = Ack::oneshot();
    handle.append(entries(0..1), ack).unwrap();
    // Not a wait for time to pass: the loop ends as soon as the stall shows.
    while handle.stalled_for(now()) < Duration::from_millis(20) {
        std::thread::yield_now();
    }
    answer.blocking_recv().unwrap().unwrap();
    append(&handle, Vec::new()).unwrap();
}

/// After the fault: every answer is the fault, the watch shows it, later appends are refused with their entries, and what
/// was acknowledged before comes back.
fn assert_failed_for_good(data: &Path, journal: Journal, acknowledged: &[Entry]) {
    let handle = journal.handle();
    assert!(handle.failures().borrow().is_some());
    let text = handle.failure().unwrap().to_string();
    assert!(text.contains("expected") && text.contains("found") && text.contains("trading is halted"), "{text}");
    let refused = handle.append(entries(900..902), Ack::None).unwrap_err();
    assert_eq!(refused.entries, entries(900..902));
    assert!(matches!(refused.because, RefusedBecause::Failed(_)));
    assert!(handle.append_checkpoint(Timestamp(1), "{}".into(), Ack::None).is_err());
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
    let breaks: [(&str, fn(&Path)); 7] = [
        ("first row", |data| tamper(data, 1, "UPDATE rows SET at = 0 WHERE seq = 1")),
        ("end of a segment", |data| tamper(data, 1, "DELETE FROM rows WHERE seq = 13")),
        ("checkpoint", |data| tamper(data, 2, "UPDATE rows SET payload = '[]' WHERE seq = 14")),
        ("cut off", |data| tamper(data, 3, "DELETE FROM rows WHERE seq > 30")),
        ("segment gone", |data| std::fs::remove_file(segment(data, 2)).unwrap()),
        ("head gone", |data| std::fs::remove_file(data.join("journal/head")).unwrap()),
        ("no database", |data| std::fs::write(segment(data, 3), "not a database, for longer than a header of one hundred bytes: ".repeat(200)).unwrap()),
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

#[test]
fn the_audit_answers_beside_a_running_daemon() {
    let data = tempfile::tempdir().unwrap();
    let options = JournalOptions { rows_per_segment: 50, ..options() };
    let (journal, _) = Journal::open(data.path(), &options).unwrap();
    let handle = journal.handle();
    for step in 0..4 {
        append(&handle, entries(step * 30..step * 30 + 30)).unwrap();
        checkpoint(&handle, "{}").unwrap();
    }
    assert_eq!(broken_row(data.path()), None);
    let audit = Audit::open(data.path()).unwrap();
    let everything = AuditFilter::default();
    assert_eq!(audit.orders(&everything).unwrap().len(), 80);
    assert_eq!(audit.supervision(&everything).unwrap().len(), 21);
    assert_eq!(audit.operator(&everything).unwrap().len(), 20);
    assert_eq!(audit.config(&everything).unwrap()[0].kind, "daemon_started");
    let account = AccountId::new("main").unwrap();
    let of_main = audit.orders(&AuditFilter { account: Some(account), ..everything.clone() }).unwrap();
    assert!(of_main.len() == 40 && of_main.iter().all(|row| row.account.as_deref() == Some("main")));
    let order = of_main[7].record.as_ref().unwrap().client_order_id().unwrap();
    let of_order = audit.orders(&AuditFilter { client_order_id: Some(order), ..everything.clone() }).unwrap();
    assert!(!of_order.is_empty() && of_order.iter().all(|row| row.client_order_id.as_deref() == Some(order.as_str())));
    let newest = audit.orders(&AuditFilter { limit: Some(3), ..everything.clone() }).unwrap();
    let all = audit.orders(&everything).unwrap();
    assert_eq!(newest.iter().map(|row| row.seq).collect::<Vec<_>>(), all[77..].iter().map(|row| row.seq).collect::<Vec<_>>());
    let followed = audit.rows(&[], &AuditFilter { after_seq: Some(all[40].seq), ..everything.clone() }).unwrap();
    assert_eq!(followed[0].seq, all[40].seq + 1);
    let since = AuditFilter { since: Some(all[10].at), until: Some(all[12].at), ..everything };
    assert_eq!(audit.orders(&since).unwrap().len(), 2);
    append(&handle, entries(0..1)).unwrap();
}

#[test]
fn asking_where_there_is_no_journal_is_an_error() {
    let data = tempfile::tempdir().unwrap();
    assert!(Audit::open(data.path()).is_err() && verify(data.path(), |_| {}).is_err());
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
