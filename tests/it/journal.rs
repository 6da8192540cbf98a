//! The journal as its users meet it: what was acknowledged comes back after any end, what was changed behind its back is
//! found and named, and a sick disk ends trading instead of losing rows.

mod archive;
mod crash;
mod faults;
mod tampering;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
    RefusedBecause, Repair, VerifyOutcome, archive, repair, verify,
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
            cancel_wanted: false,
            account,
            client_order_id,
            intent,
            status: OrderStatus::Working,
            filled: quantity,
            venue_order_id: Some(number),
            assumed: Default::default(),
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
                fee_taken: None,
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
        stop: None,
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
    Record::OrderIntended { intent: intent.into(), order, risk_incarnation: Incarnation(1) }
}

fn entries(numbers: std::ops::Range<u64>) -> Vec<Entry> {
    numbers.map(entry).collect()
}

/// An answer to wait for.
fn answer() -> (Ack, mpsc::Receiver<AckResult>) {
    let (sender, answer) = mpsc::channel();
    // Whoever asked may have stopped waiting.
    (Ack::Callback(Box::new(move |result| drop(sender.send(result)))), answer)
}

fn append(handle: &JournalHandle, entries: Vec<Entry>) -> AckResult {
    let (ack, answer) = answer();
    handle.append(entries, ack).unwrap();
    answer.recv().unwrap()
}

fn checkpoint(handle: &JournalHandle, state: &str) -> AckResult {
    let (ack, answer) = answer();
    let state = serde_json::value::RawValue::from_string(state.to_owned()).unwrap();
    handle.append_checkpoint(Timestamp(5), state, ack).unwrap();
    answer.recv().unwrap()
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
fn answers_come_in_the_order_of_the_appends_with_the_rows_that_they_are_about() {
    let data = tempfile::tempdir().unwrap();
    let (journal, _) = open(data.path());
    let handle = journal.handle();
    // While the writer hangs everything queues up, so that one commit answers all of it.
    handle.inject(InjectedFault::Stall(Duration::from_millis(50)));
    let (order, seen) = mpsc::channel();
    for number in 0..200u64 {
        let order = order.clone();
        let ack = match number % 4 {
            1 => Ack::None,
            _ => Ack::Callback(Box::new(move |result: AckResult| order.send((number, result.unwrap())).unwrap())),
        };
        handle.append(entries(number..number + 1), ack).unwrap();
    }
    let barrier = append(&handle, Vec::new()).unwrap();
    let answers: Vec<_> = seen.try_iter().collect();
    let expected: Vec<_> = (0..200).filter(|number| number % 4 != 1).collect();
    assert_eq!(answers.iter().map(|(number, _)| *number).collect::<Vec<_>>(), expected);
    // Row 1 is the start's own.
    assert!(answers.iter().all(|(number, durable)| durable.first_seq == number + 2));
    assert_eq!(barrier.last_seq, 201);
    assert_eq!(handle.rows_in_flight(), 0);
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
