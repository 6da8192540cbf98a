use super::*;
use crate::domain::ids::{AccountId, Incarnation};
use crate::domain::mode::{FaultClass, Mode, Scope};
use crate::domain::outbox::Step;
use crate::domain::record::Entry;
use crate::domain::recovery::DaemonState;

const PATIENCE: Duration = Duration::from_secs(300);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn machine() -> Alerts {
    Alerts::new(AlertBook::default(), PATIENCE)
}

fn alarm(subject: &str, severity: Severity) -> Alarm {
    Alarm::new(AlertKind::ChildDied, severity, subject, format!("{subject} died"))
}

/// What was told, and the rows of it: one of each.
fn told(mut out: Outbox<Record, Told>) -> Vec<(AlertEvent, u64, u64)> {
    let steps: Vec<_> = out.drain().collect();
    let rows = steps.iter().filter(|step| matches!(step, Step::Persist { rows, .. } if rows.len() == 1)).count();
    let told: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Do(told) => Some((told.event, told.alert.id, told.alert.times)),
            Step::Persist { .. } => None,
        })
        .collect();
    assert_eq!(rows, told.len(), "each telling is one row: {steps:?}");
    told
}

fn raise(machine: &mut Alerts, millis: i64, alarm: Alarm) -> Vec<(AlertEvent, u64, u64)> {
    let mut out = Outbox::new();
    machine.raise(at(millis), at(millis), alarm, &mut out);
    told(out)
}

fn tick(machine: &mut Alerts, millis: i64) -> Vec<(AlertEvent, u64, u64)> {
    let mut out = Outbox::new();
    machine.tick(at(millis), &mut out);
    told(out)
}

#[test]
fn the_same_alarm_is_one_alert_told_twice_a_second_at_most_with_its_count() {
    let mut machine = machine();
    let died = || alarm("executor/alpha", Severity::Warning);
    assert_eq!(raise(&mut machine, 0, died()), [(AlertEvent::Raised, 1, 1)]);
    for millis in [1, 2, 499] {
        assert_eq!(raise(&mut machine, millis, died()), []);
    }
    assert_eq!(tick(&mut machine, 499), []);
    assert_eq!(tick(&mut machine, 500), [(AlertEvent::Repeated, 1, 4)], "none of them is lost");
    assert_eq!(raise(&mut machine, 501, died()), []);
    assert_eq!(raise(&mut machine, 1_000, died()), [(AlertEvent::Repeated, 1, 6)]);
    assert_eq!(raise(&mut machine, 2_001, alarm("executor/beta", Severity::Warning)), [(AlertEvent::Raised, 2, 1)]);
    assert_eq!(machine.book().open().len(), 2);
}

#[test]
fn what_becomes_worse_is_told_at_once_and_never_becomes_better_by_itself() {
    let mut machine = machine();
    raise(&mut machine, 0, alarm("a", Severity::Warning));
    assert_eq!(raise(&mut machine, 1, alarm("a", Severity::Critical)), [(AlertEvent::Repeated, 1, 2)]);
    raise(&mut machine, 2_000, alarm("a", Severity::Warning));
    assert_eq!(machine.book().alert(1).map(|alert| (alert.severity, alert.times)), Some((Severity::Critical, 3)));
}

#[test]
fn what_nobody_acknowledges_becomes_louder_at_its_time_each_time_twice_as_late_and_at_last_no_more() {
    for (severity, patience) in [(Severity::Warning, 300_000), (Severity::Critical, 60_000)] {
        let mut machine = machine();
        raise(&mut machine, 0, alarm("a", severity));
        let mut due = 0;
        for level in 0..LEVEL_MAX {
            due += patience << level;
            assert_eq!(tick(&mut machine, due - 1), [], "{severity} {level}");
            assert_eq!(tick(&mut machine, due), [(AlertEvent::Escalated, 1, 1)], "{severity} {level}");
        }
        assert_eq!(tick(&mut machine, due * 1_000), []);
        assert_eq!(machine.book().open().len(), 1, "it stays open for as long as nobody has acknowledged it");
    }
}

#[test]
fn only_a_named_person_with_a_reason_acknowledges_and_what_comes_after_is_a_new_alert() {
    let mut machine = machine();
    raise(&mut machine, 0, alarm("a", Severity::Warning));
    let ack = |machine: &mut Alerts, id, by: &str, reason: &str| {
        let mut out = Outbox::new();
        let answer = machine.acknowledge(at(10), id, by, reason, &mut out);
        (answer.map(|alert| alert.times), told(out))
    };
    for (by, reason) in [("", "seen"), (" ", "seen"), ("ann", ""), ("ann", " ")] {
        assert!(matches!(ack(&mut machine, 1, by, reason), (Err(AckError::Unnamed { .. }), rows) if rows.is_empty()));
    }
    assert_eq!(ack(&mut machine, 7, "ann", "seen").0, Err(AckError::NoSuchAlert { id: 7 }));
    raise(&mut machine, 5, alarm("a", Severity::Warning));
    assert_eq!(ack(&mut machine, 1, "ann", "seen"), (Ok(2), vec![(AlertEvent::Acknowledged, 1, 2)]));
    assert_eq!(ack(&mut machine, 1, "bob", "seen").0, Err(AckError::Already { id: 1, by: "ann".to_owned() }));
    assert_eq!(tick(&mut machine, 900_000_000), [], "what was heard is not told again");
    assert_eq!(raise(&mut machine, 11, alarm("a", Severity::Warning)), [(AlertEvent::Raised, 2, 1)]);
    let heard: Vec<_> = machine.book().acknowledged().map(|known| (known.alert.id, known.by.as_str(), known.reason.as_str())).collect();
    assert_eq!(heard, [(1, "ann", "seen")]);
}

#[test]
fn open_alerts_are_bounded_and_the_one_past_the_bound_is_heard_of_all_the_same() {
    let mut machine = machine();
    for number in 0..OPEN_MAX {
        assert_eq!(raise(&mut machine, 0, alarm(&format!("child/{number}"), Severity::Warning)).len(), 1);
    }
    let past = raise(&mut machine, 0, alarm("child/past", Severity::Warning));
    assert_eq!(past, [(AlertEvent::Raised, OPEN_MAX as u64 + 1, 1)]);
    let overflow = machine.book().alert(OPEN_MAX as u64 + 1).unwrap();
    assert!(overflow.kind == AlertKind::Overflow && overflow.text.contains("child/past"), "{overflow:?}");
    assert_eq!(raise(&mut machine, 5_000, alarm("child/past2", Severity::Warning)).len(), 1);
    assert_eq!(machine.book().open().len(), OPEN_MAX + 1, "and they are one alert");
    for id in 1..=150 {
        machine.acknowledge(at(1), id, "ann", "seen", &mut Outbox::new()).unwrap();
    }
    assert_eq!(machine.book().acknowledged().len(), 100, "history is bounded, the journal has it all");
    assert_eq!(raise(&mut machine, 0, alarm("child/room", Severity::Warning)), [(AlertEvent::Raised, OPEN_MAX as u64 + 2, 1)]);
}

/// A restart begins from the rows: unacknowledged alerts are open in it, their numbers go on, and they become louder.
#[test]
fn an_alert_survives_a_restart_unacknowledged() {
    let mut machine = machine();
    let mut state = DaemonState::default();
    let mut out = Outbox::new();
    machine.raise(at(0), at(0), alarm("a", Severity::Critical), &mut out);
    machine.raise(at(1), at(1), alarm("b", Severity::Warning), &mut out);
    machine.raise(at(1_500), at(1_500), alarm("a", Severity::Critical), &mut out);
    machine.acknowledge(at(2_000), 2, "ann", "seen", &mut out).unwrap();
    machine.tick(at(61_500), &mut out);
    let times = [0, 1, 1_500, 2_000, 61_500].map(at);
    let rows = out.drain().filter_map(|step| match step {
        Step::Persist { rows, .. } => Some(rows),
        Step::Do(_) => None,
    });
    for (at, record) in times.into_iter().zip(rows.flatten()) {
        state.apply(&Entry { at, record });
    }
    assert_eq!(&state.alerts, machine.book(), "the rows add up to what the machine has");
    let told = serde_json::to_string(&state.alerts).unwrap();
    let mut next = Alerts::new(serde_json::from_str(&told).unwrap(), PATIENCE);
    assert_eq!(raise(&mut next, 70_000, alarm("a", Severity::Critical)), [(AlertEvent::Repeated, 1, 3)]);
    assert_eq!(raise(&mut next, 70_000, alarm("b", Severity::Warning)), [(AlertEvent::Raised, 3, 1)]);
    assert_eq!(tick(&mut next, 61_500 + 120_000), [(AlertEvent::Escalated, 1, 3)]);
}

#[test]
fn what_a_person_must_hear_of_and_what_is_daily_work() {
    let supervision = |child: &str, event: &str, class| Record::Supervision {
        child: child.to_owned(),
        incarnation: Incarnation(1),
        event: event.to_owned(),
        class,
        detail: "x".to_owned(),
    };
    let alpha = Scope::Account(AccountId::new("alpha").unwrap());
    let mode = |from, to| Record::ModeChanged { scope: alpha, from, to, cause: "why".to_owned(), by: None, reason: None };
    let kill = |event: &str| Record::KillSwitch { scope: alpha, event: event.to_owned(), detail: "x".to_owned() };
    let reconciled = |first, findings: &[&str]| Record::Reconciled {
        account: AccountId::new("alpha").unwrap(),
        findings: findings.iter().map(|finding| (*finding).to_owned()).collect(),
        wallet: "1".parse().unwrap(),
        taken_at: None,
        adopted: vec![],
        covered_until: None,
        first,
    };
    use AlertKind::{ChildDied, ChildStalled, GaveUp, KillSwitch, Mailbox, Mode as OfMode, Reconciliation};
    use Severity::{Critical, Warning};
    let cases = [
        (supervision("executor/alpha", "exited", Some(FaultClass::Panic)), Some((ChildDied, Warning))),
        (supervision("kill_switch", "exited", Some(FaultClass::Panic)), Some((ChildDied, Critical))),
        (supervision("executor/alpha", "exited", None), None),
        (supervision("executor/alpha", "exited", Some(FaultClass::Stall)), None),
        (supervision("executor/alpha", "stalled", Some(FaultClass::Stall)), Some((ChildStalled, Warning))),
        (supervision("api", "unkillable", None), Some((ChildStalled, Critical))),
        (supervision("guard/executor/alpha", "escalated", Some(FaultClass::Panic)), Some((GaveUp, Critical))),
        (supervision("api", "mailbox_alarm", None), Some((Mailbox, Warning))),
        (supervision("api", "started", None), None),
        (supervision("api", "restart_scheduled", Some(FaultClass::Panic)), None),
        (mode(Mode::Normal, Mode::Halted), Some((OfMode, Critical))),
        (mode(Mode::Normal, Mode::ReduceOnly), Some((OfMode, Warning))),
        (mode(Mode::Halted, Mode::Normal), None),
        (kill("confirmed"), None),
        (kill("unconfirmed"), Some((KillSwitch, Critical))),
        (kill("exit"), Some((KillSwitch, Critical))),
        (reconciled(false, &[]), None),
        (reconciled(true, &["wallet_differs 1: wallet: ours 0, the venue's 1 → adopt"]), None),
        (reconciled(false, &["wallet_differs 1: wallet: ours 5, the venue's 1 → adopt"]), Some((Reconciliation, Warning))),
        (reconciled(false, &["not_listed 1: order x on BTCUSDT is not listed by the venue → query"]), None),
    ];
    for (row, expected) in cases {
        assert_eq!(of_record(&row).map(|alarm| (alarm.kind, alarm.severity)), expected, "{row:?}");
    }
    assert_eq!(of_fault(alpha, FaultClass::Storage, "x").severity, Critical);
    assert_eq!(of_fault(alpha, FaultClass::VenueReject, "x").subject, "account/alpha venue_reject");
}

proptest::proptest! {
    /// Whatever comes in whatever order: what was raised is told and counted once, and the rows add up to the machine.
    #[test]
    fn nothing_is_lost_and_the_rows_add_up(steps in proptest::collection::vec((0u8..5, 0u8..4, 0i64..2_000), 1..120)) {
        let mut machine = machine();
        let (mut now, mut raised, mut folded) = (0, 0u64, AlertBook::default());
        for (what, subject, pause) in steps {
            now += pause;
            let mut out = Outbox::new();
            match what {
                0..=2 => {
                    raised += 1;
                    let severity = if what == 0 { Severity::Critical } else { Severity::Warning };
                    machine.raise(at(now), at(now), alarm(&format!("c{subject}"), severity), &mut out);
                }
                3 => machine.tick(at(now), &mut out),
                _ => drop(machine.acknowledge(at(now), u64::from(subject) + 1, "ann", "seen", &mut out)),
            }
            for step in out.drain() {
                if let Step::Persist { rows, .. } = step {
                    rows.iter().for_each(|row| folded.apply(at(now), row));
                }
            }
            proptest::prop_assert_eq!(&folded, machine.book());
        }
        machine.tick(at(now + 1_000), &mut Outbox::new());
        let counted: u64 = machine.book().open().map(|alert| alert.times)
            .chain(machine.book().acknowledged().map(|known| known.alert.times)).sum();
        proptest::prop_assert_eq!(counted, raised);
    }
}
