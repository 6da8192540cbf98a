//! Modes, halts and children: I4, I11, I12.

use super::*;
use crate::domain::dead_man::Countdown;

#[test]
fn i4_nothing_that_may_open_leaves_outside_of_normal() {
    for (mode, reduces, holds) in [
        (Mode::Normal, false, true),
        (Mode::ReduceOnly, true, true),
        (Mode::ReduceOnly, false, false),
        (Mode::CancelOnly, true, false),
        (Mode::Halted, true, false),
    ] {
        for scope in [Scope::Global, Scope::Account(account("a")), Scope::Strategy(limit(1, "1").strategy), Scope::Symbol(btc())] {
            let mut case = Case::new();
            let mut order = limit(1, "1");
            order.reduce_only = reduces;
            case.intend(&order);
            case.tell(Observation::Gate { modes: &modes(&[(scope, mode)]) });
            case.wait(Duration::from_secs(2));
            case.leave(&order);
            case.broke(if holds { &[] } else { &[Invariant::I4] });
        }
    }
}

#[test]
fn i4_a_strategys_mode_takes_a_moment_to_be_known_and_an_accounts_none() {
    let mut case = Case::new();
    case.intend(&limit(1, "1"));
    case.intend(&limit(2, "1"));
    case.tell(Observation::Gate { modes: &modes(&[(Scope::Symbol(btc()), Mode::Halted)]) });
    case.wait(Duration::from_millis(1_999));
    case.leave(&limit(1, "1"));
    case.broke(&[]);
    case.tell(Observation::Gate { modes: &modes(&[(Scope::Account(account("a")), Mode::ReduceOnly)]) });
    case.leave(&limit(2, "1"));
    assert!(case.said.iter().any(|violation| violation.invariant == Invariant::I4), "{:?}", case.said);
}

#[test]
fn i4_an_executor_sends_nothing_before_it_has_reconciled() {
    let mut case = Case::new();
    case.intend(&limit(1, "1"));
    case.tell(Observation::Executor { account: account("a"), ready: false });
    case.leave(&limit(1, "1"));
    case.broke(&[Invariant::I4]);
}

#[test]
fn i4_a_mode_is_loosened_on_the_disk_before_it_is_at_the_gate() {
    let a = Scope::Account(account("a"));
    let halted = modes(&[(a, Mode::Halted)]);
    let mut case = Case::new();
    case.tell(Observation::Gate { modes: &halted });
    case.tell(Observation::Durable { rows: &[mode_row(a, Mode::Normal, Mode::Halted, None)] });
    case.tell(Observation::Durable { rows: &[mode_row(a, Mode::Halted, Mode::Normal, Some("ada"))] });
    case.tell(Observation::Gate { modes: &ModeTable::default() });
    case.broke(&[]);
    case.tell(Observation::Gate { modes: &halted });
    case.tell(Observation::Durable { rows: &[mode_row(a, Mode::Normal, Mode::Halted, None)] });
    case.tell(Observation::Gate { modes: &ModeTable::default() });
    assert!(case.said.iter().any(|violation| violation.invariant == Invariant::I4), "{:?}", case.said);
}

#[test]
fn i4_a_strangers_trade_holds_the_account_to_reduce_only_soon() {
    let a = account("a");
    let stranger = Fill { client_order_id: ClientOrderId::new("web_1").unwrap(), ..fill(&limit(1, "1"), 1, "1") };
    for (waited, held, expected) in [(10, false, &[][..]), (11, false, &[Invariant::I4][..]), (11, true, &[][..])] {
        let mut case = Case::new();
        case.trade(&stranger);
        if held {
            case.tell(Observation::Gate { modes: &modes(&[(Scope::Account(a), Mode::ReduceOnly)]) });
        }
        case.wait(Duration::from_secs(waited));
        case.tell(Observation::Text { place: "nothing", text: "" });
        case.broke(expected);
    }
}

#[test]
fn i11_a_confirmed_halt_has_no_open_order_and_none_on_its_way() {
    let a = account("a");
    let halted = modes(&[(Scope::Account(a), Mode::Halted)]);
    let mut case = Case::new();
    case.stand(&limit(1, "1"));
    case.tell(Observation::Gate { modes: &halted });
    case.end(&limit(1, "1"), EndReason::Canceled);
    case.tell(Observation::Confirmed { account: a });
    case.broke(&[]);

    let mut case = Case::new();
    case.stand(&limit(1, "1"));
    case.tell(Observation::Gate { modes: &halted });
    case.tell(Observation::Confirmed { account: a });
    case.broke(&[Invariant::I11]);

    let mut case = Case::new();
    case.send(&limit(1, "1"));
    case.tell(Observation::Gate { modes: &halted });
    case.tell(Observation::Confirmed { account: a });
    case.broke(&[Invariant::I11]);
}

#[test]
fn i11_a_strangers_order_counts_once_it_was_there_to_be_seen() {
    let a = account("a");
    let stranger = NewOrder { client_order_id: ClientOrderId::new("web_1").unwrap(), ..order(&limit(1, "1")) };
    for (waited, expected) in [(4, &[][..]), (5, &[Invariant::I11][..])] {
        let mut case = Case::new();
        case.venue(VenueFact::Taken { account: a, order: stranger.clone() });
        case.tell(Observation::Gate { modes: &modes(&[(Scope::Account(a), Mode::Halted)]) });
        case.wait(Duration::from_secs(waited));
        case.tell(Observation::Confirmed { account: a });
        case.broke(expected);
    }
}

#[test]
fn i11_a_halt_that_is_not_confirmed_is_loud() {
    let a = account("a");
    let text = Observation::Text { place: "nothing", text: "" };
    for (waited, heard, expected) in [(40, false, &[][..]), (41, false, &[Invariant::I11][..]), (41, true, &[][..])] {
        let mut case = Case::new();
        case.tell(Observation::Gate { modes: &modes(&[(Scope::Account(a), Mode::Halted)]) });
        if heard {
            case.wait(Duration::from_secs(20));
            case.tell(Observation::Unconfirmed { account: a });
        }
        case.wait(Duration::from_secs(waited - if heard { 20 } else { 0 }));
        case.tell(text.clone());
        case.broke(expected);
    }
}

#[test]
fn i11_a_halt_that_the_disk_has_outlives_the_daemon() {
    let halted = modes(&[(Scope::Global, Mode::Halted)]);
    type Tell = fn(&mut Case);
    let row: Tell = |case| case.tell(Observation::Durable { rows: &[mode_row(Scope::Global, Mode::Normal, Mode::Halted, None)] });
    let latch: Tell = |case| case.tell(Observation::Latched { modes: &modes(&[(Scope::Global, Mode::Halted)]) });
    let nothing: Tell = |_| {};
    for (tell, found, expected) in [
        (row, &halted, &[][..]),
        (latch, &halted, &[][..]),
        (nothing, &ModeTable::default(), &[][..]),
        (row, &ModeTable::default(), &[Invariant::I11][..]),
        (latch, &ModeTable::default(), &[Invariant::I11][..]),
    ] {
        let mut case = Case::new();
        case.tell(Observation::Gate { modes: &halted });
        tell(&mut case);
        case.tell(Observation::DaemonDied { why: "kill -9" });
        case.tell(Observation::DaemonUp { epoch: Epoch(2), modes: found });
        case.broke(expected);
    }
}

#[test]
fn i11_a_raise_that_the_disk_has_wins_over_an_older_latch() {
    let mut case = Case::new();
    let halted = modes(&[(Scope::Global, Mode::Halted)]);
    case.tell(Observation::Gate { modes: &halted });
    case.tell(Observation::Latched { modes: &halted });
    case.tell(Observation::Durable { rows: &[mode_row(Scope::Global, Mode::Normal, Mode::Halted, None)] });
    case.tell(Observation::Durable { rows: &[mode_row(Scope::Global, Mode::Halted, Mode::Normal, Some("ada"))] });
    case.tell(Observation::DaemonDied { why: "kill -9" });
    case.tell(Observation::DaemonUp { epoch: Epoch(2), modes: &ModeTable::default() });
    case.broke(&[]);
}

#[test]
fn i11_nothing_is_raised_without_a_named_person() {
    for (by, expected) in [(Some("ada"), &[][..]), (Some(" "), &[Invariant::I11][..]), (None, &[Invariant::I11][..])] {
        let mut case = Case::new();
        case.tell(Observation::Durable { rows: &[mode_row(Scope::Global, Mode::Normal, Mode::CancelOnly, None)] });
        case.tell(Observation::Durable { rows: &[mode_row(Scope::Global, Mode::CancelOnly, Mode::Normal, by)] });
        case.broke(expected);
    }
}

#[test]
fn i11_an_operators_halt_is_in_force_soon() {
    for (waited, expected) in [(10, &[][..]), (11, &[Invariant::I11][..])] {
        let mut case = Case::new();
        case.tell(Observation::HaltAsked { scope: Scope::Global, by: "ada" });
        case.wait(Duration::from_secs(waited));
        case.tell(Observation::Gate { modes: &ModeTable::default() });
        case.broke(expected);
    }
}

#[test]
fn i12_whoever_dies_is_noticed_and_comes_back_or_its_scope_is_halted() {
    let name = "executor/a";
    let die = |case: &mut Case| case.tell(Observation::ActorDied { name, incarnation: Incarnation(1), why: "test" });
    let text = Observation::Text { place: "nothing", text: "" };

    let mut case = Case::new();
    die(&mut case);
    case.wait(Duration::from_secs(1));
    case.tell(Observation::Alert { about: name });
    case.wait(Duration::from_secs(39));
    case.tell(Observation::ActorUp { name, incarnation: Incarnation(2) });
    case.broke(&[]);

    let mut case = Case::new();
    die(&mut case);
    case.wait(Duration::from_millis(1_001));
    case.tell(text.clone());
    case.broke(&[Invariant::I12]);

    for (halted, expected) in [(true, &[][..]), (false, &[Invariant::I12][..])] {
        let mut case = Case::new();
        die(&mut case);
        case.tell(Observation::Alert { about: name });
        if halted {
            case.tell(Observation::Gate { modes: &modes(&[(Scope::Account(account("a")), Mode::Halted)]) });
            case.tell(Observation::Unconfirmed { account: account("a") });
        }
        case.wait(Duration::from_secs(41));
        case.tell(text.clone());
        case.broke(expected);
    }
}

#[test]
fn i12_the_venues_dead_mans_switch_is_held_back_for_the_living() {
    let word = |after| Countdown { account: account("a"), symbol: btc(), after: Duration::from_secs(after) };
    for (waited, after, expected) in [(2, 60, &[][..]), (3, 0, &[][..]), (3, 60, &[Invariant::I12][..])] {
        let mut case = Case::new();
        case.tell(Observation::ActorDied { name: "executor/a", incarnation: Incarnation(1), why: "test" });
        case.tell(Observation::Alert { about: "executor/a" });
        case.wait(Duration::from_secs(waited));
        case.tell(Observation::CountdownLeft(word(after)));
        case.broke(expected);
    }
}

#[test]
fn i12_a_fault_of_one_account_holds_up_no_other() {
    let fault = Observation::Fault { class: Class::F25Panic, on: Some(account("a")) };
    let mut case = Case::new();
    case.tell(fault.clone());
    case.tell(Observation::Executor { account: account("a"), ready: false });
    case.intend(&intent(1, account("b"), Side::Buy, "1"));
    case.wait(Duration::from_millis(500));
    case.leave(&intent(1, account("b"), Side::Buy, "1"));
    case.broke(&[]);

    case.tell(Observation::Executor { account: account("b"), ready: false });
    case.broke(&[Invariant::I12]);

    let mut case = Case::new();
    case.tell(fault.clone());
    case.intend(&intent(1, account("b"), Side::Buy, "1"));
    case.wait(Duration::from_millis(501));
    case.tell(fault.clone());
    case.broke(&[Invariant::I12]);

    let mut case = Case::new();
    case.tell(fault.clone());
    case.tell(Observation::Gate { modes: &modes(&[(Scope::Global, Mode::CancelOnly)]) });
    case.broke(&[Invariant::I12]);

    let refusal = |control: &str| Refusal {
        intent: IntentId(1),
        account: account("b"),
        strategy: limit(1, "1").strategy,
        symbol: btc(),
        control: control.to_owned(),
        limit: String::new(),
        value: String::new(),
    };
    for (control, expected) in [("message_rate", &[][..]), ("reconciliation", &[Invariant::I12][..])] {
        let mut case = Case::new();
        case.tell(fault.clone());
        case.tell(Observation::Refused(&refusal(control)));
        case.broke(expected);
    }

    // What may touch everybody excuses everybody.
    let mut case = Case::new();
    case.tell(Observation::Fault { class: Class::F19Stall, on: None });
    case.tell(Observation::Gate { modes: &modes(&[(Scope::Global, Mode::CancelOnly)]) });
    case.broke(&[]);
}
