//! Which facts a person must hear of: from a row of the journal, or a fault that is counted, to an alarm. One table, so that what
//! alarms and what does not is read in one place.

use super::{AlertKind, Severity};
use crate::domain::mode::{FaultClass, Mode, Scope};
use crate::domain::order::OrderStatus;
use crate::domain::reconcile::FindingKind;
use crate::domain::record::Record;

/// Something that a person must hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub kind: AlertKind,
    pub severity: Severity,
    /// With the kind, what makes two alarms the same.
    pub subject: String,
    pub text: String,
}

impl Alarm {
    #[must_use]
    pub fn new(kind: AlertKind, severity: Severity, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { kind, severity, subject: subject.into(), text: text.into() }
    }
}

/// Children without which a promise of safety does not hold for as long as they are away.
const GUARDIANS: [&str; 6] = ["risk_manager", "kill_switch", "journal", "watchdog", "safety_beat", "dead_man"];

/// What the row must make heard, if anything.
#[must_use]
pub fn of_record(row: &Record) -> Option<Alarm> {
    match row {
        Record::Supervision { child, incarnation, event, class, detail } => {
            let text = format!("{child} #{incarnation} {event}: {detail}");
            supervision(child, event, *class).map(|(kind, severity)| Alarm::new(kind, severity, child, text))
        }
        Record::ModeChanged { scope, from, to, cause, .. } if to > from => {
            let severity = if *to == Mode::Halted { Severity::Critical } else { Severity::Warning };
            Some(Alarm::new(AlertKind::Mode, severity, scope.to_string(), format!("{scope} is {to}: {cause}")))
        }
        Record::KillSwitch { scope, event, detail } if matches!(event.as_str(), "exit" | "unconfirmed") => {
            Some(Alarm::new(AlertKind::KillSwitch, Severity::Critical, scope.to_string(), format!("{scope} {event}: {detail}")))
        }
        Record::OrderChanged { account, client_order_id, status: OrderStatus::Unknown, detail, .. } => {
            let why = detail.as_deref().unwrap_or("no answer");
            let text = format!("the outcome of {client_order_id} is not known: {why}");
            Some(Alarm::new(AlertKind::OrderUnknown, Severity::Warning, Scope::Account(*account).to_string(), text))
        }
        // The first look at an account takes over what it has: nothing of ours was wrong.
        Record::Reconciled { first: true, .. } => None,
        Record::Reconciled { account, findings, .. } => {
            let found: Vec<&str> = findings.iter().map(String::as_str).filter(|finding| !is_only_a_question(finding)).collect();
            let account = Scope::Account(*account).to_string();
            (!found.is_empty()).then(|| Alarm::new(AlertKind::Reconciliation, Severity::Warning, account, found.join("; ")))
        }
        _ => None,
    }
}

fn supervision(child: &str, event: &str, class: Option<FaultClass>) -> Option<(AlertKind, Severity)> {
    let severity = if GUARDIANS.contains(&child) { Severity::Critical } else { Severity::Warning };
    match event {
        // A child that was killed for its stall ends of it: one alert, not two.
        "exited" => class.filter(|class| *class != FaultClass::Stall).map(|_| (AlertKind::ChildDied, severity)),
        "stalled" => Some((AlertKind::ChildStalled, severity)),
        "unkillable" => Some((AlertKind::ChildStalled, Severity::Critical)),
        "escalated" => Some((AlertKind::GaveUp, Severity::Critical)),
        "thread_failed" => Some((AlertKind::Thread, Severity::Critical)),
        "thread_restarted" => Some((AlertKind::Thread, Severity::Warning)),
        "mailbox_alarm" => Some((AlertKind::Mailbox, Severity::Warning)),
        _ => None,
    }
}

/// Found and not a difference yet: an order that is asked for by name, an answer that was not believed.
fn is_only_a_question(finding: &str) -> bool {
    [FindingKind::NotListed, FindingKind::StaleAnswer].iter().any(|kind| finding.starts_with(&format!("{kind} ")))
}

/// A fault that counts against a budget, from whoever saw it. What a child died of comes as its row.
#[must_use]
pub fn of_fault(scope: Scope, class: FaultClass, detail: &str) -> Alarm {
    let severity = if class.has_no_budget() { Severity::Critical } else { Severity::Warning };
    Alarm::new(AlertKind::Fault, severity, format!("{scope} {class}"), format!("{class} fault of {scope}: {detail}"))
}
