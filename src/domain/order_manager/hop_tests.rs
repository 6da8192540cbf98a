//! The last hop and the peaks: an approval of another build, a child that grew, what the kill switch bars, what a risk manager
//! is told of an account that is still being reconciled, and the highest equity over days, funds, restarts and persons.

use super::*;

fn not_sent(desk: &Desk) -> String {
    let report = desk.reports.last().expect("a report");
    assert_eq!(report.status, OrderStatus::NotSent, "{report:?}");
    report.detail.clone().unwrap_or_default()
}

#[test]
pub(crate) fn nothing_is_taken_and_nothing_leaves_while_the_account_is_reconciled() {
    let mut desk = Desk::ready();
    desk.durable = false;
    let waits = desk.submit(1, "1");
    assert!(desk.manager.may_leave(waits).is_ok());
    desk.on(1, Input::Reconnected);
    assert!(desk.manager.may_leave(waits).is_err(), "its row became durable when the account was being reconciled");
    desk.submit(2, "1");
    assert!(not_sent(&desk).contains("it is being reconciled"), "{}", not_sent(&desk));
}

#[test]
fn an_approval_of_another_build_is_refused() {
    let mut desk = Desk::ready();
    let approved = approve(1, intent(1, Side::Buy, "1", at(0)));
    desk.on(0, Input::Submit(approved.of_build("ringfence 0.0.1")));
    assert!(not_sent(&desk).contains("built from ringfence 0.0.1"), "{}", not_sent(&desk));
    assert!(desk.sent.is_empty());
}

#[test]
fn a_child_that_exceeds_its_approval_does_not_leave() {
    for (quantity, leaves) in [("1", true), ("0.999", true), ("1.001", false), ("0", false), ("-1", false)] {
        let mut desk = Desk::ready();
        desk.durable = false;
        let id = desk.submit(1, "1");
        desk.manager.orders.get_mut(&id).unwrap().order.quantity = quantity.parse().unwrap();
        assert_eq!(desk.manager.may_leave(id).is_ok(), leaves, "{quantity}");
    }
    let mut desk = Desk::ready();
    desk.durable = false;
    let id = desk.submit(1, "1");
    desk.manager.orders.get_mut(&id).unwrap().order.side = Side::Sell;
    assert!(desk.manager.may_leave(id).is_err(), "the other side was approved");
}

#[test]
fn what_would_rest_against_a_close_of_the_kill_switch_does_not_leave() {
    let mut desk = Desk::ready();
    desk.durable = false;
    let id = desk.submit(1, "1");
    let mut modes = ModeTable::default();
    modes.set_barred([(account(), symbol(), Side::Buy)].into());
    desk.on(1, Input::Modes(modes.clone()));
    assert!(desk.manager.may_leave(id).unwrap_err().contains("own_cross"));
    modes.set_barred([(account(), symbol(), Side::Sell)].into());
    desk.on(2, Input::Modes(modes));
    assert_eq!(desk.manager.may_leave(id), Ok(()));
}

#[test]
fn a_risk_manager_hears_of_a_recovering_account_at_once_and_of_its_orders() {
    let mut out = Outbox::new();
    let mut desk = Desk::ready();
    desk.submit(1, "1");
    desk.manager.on(at(1), Input::Reconnected, &mut out);
    out.drain().for_each(drop);
    desk.manager.on(at(2), Input::RiskManager(Incarnation(2)), &mut out);
    let told: Vec<_> = out.drain().collect();
    let [Step::Do(Effect::Recovering(book))] = &told[..] else { panic!("{told:?}") };
    assert_eq!((book.open.len(), book.build), (1, BUILD));
}

fn peaks(desk: &Desk) -> (String, String) {
    let peaks = desk.manager.view(at(0)).peaks.expect("known");
    (peaks.day.to_string(), peaks.ever.to_string())
}

fn wallet(desk: &mut Desk, millis: i64, wallet: &str) {
    desk.manager.positions.adopt_wallet(wallet.parse().unwrap(), at(millis));
    desk.on(millis, Input::Tick);
}

#[test]
fn the_peak_of_the_day_begins_with_the_day_and_the_highest_ever_stays_over_a_restart() {
    let mut desk = Desk::ready();
    wallet(&mut desk, 2_000, "1000");
    wallet(&mut desk, 4_000, "900");
    assert_eq!(peaks(&desk), ("1000".to_owned(), "1000".to_owned()));
    let day = 86_400_000;
    wallet(&mut desk, day, "950");
    assert_eq!(peaks(&desk), ("950".to_owned(), "1000".to_owned()));
    let state = desk.replayed();
    assert_eq!(state.peaks.map(|peaks| peaks.ever.to_string()), Some("1000".to_owned()), "it is in the journal");
    let mut after = Desk::recovered(state, 2);
    after.venue(day, VenueEvent::SnapshotIs(VenueSnapshot { wallet: "700".parse().unwrap(), ..VenueSnapshot::default() }));
    after.venue(day + 2_000, VenueEvent::SnapshotIs(VenueSnapshot { wallet: "700".parse().unwrap(), ..VenueSnapshot::default() }));
    assert_eq!(peaks(&after).1, "1000");
}

#[test]
fn funds_that_are_paid_in_or_out_move_the_peaks_along() {
    let mut desk = Desk::ready();
    wallet(&mut desk, 2_000, "1000");
    let moved = |id, amount: &str| crate::domain::order::FundsMoved {
        kind: crate::domain::order::FundsKind::Transfer,
        id,
        amount: amount.parse().unwrap(),
        symbol: None,
        at: at(3_000),
    };
    let funds = vec![moved(1, "-400")];
    desk.venue(3_500, VenueEvent::SnapshotIs(VenueSnapshot { wallet: "600".parse().unwrap(), funds, ..VenueSnapshot::default() }));
    assert_eq!(peaks(&desk), ("600".to_owned(), "600".to_owned()));
}

#[test]
fn a_person_who_raises_a_drawdown_begins_the_peak_anew_and_another_halt_does_not() {
    for (cause, expected) in [("drawdown_peak: limit 0.3, found 0.4", "500"), ("halt by ann: a drill", "1000")] {
        let mut desk = Desk::ready();
        wallet(&mut desk, 2_000, "1000");
        wallet(&mut desk, 4_000, "500");
        let mut halted = ModeTable::default();
        halted.latch(Scope::Account(account()), cause, at(4_000));
        [halted, ModeTable::default()].into_iter().for_each(|modes| desk.on(5_000, Input::Modes(modes)));
        assert_eq!(peaks(&desk).1, expected, "{cause}");
        assert_eq!(desk.replayed().peaks.map(|peaks| peaks.ever.to_string()).as_deref(), Some(expected), "{cause}");
    }
}
