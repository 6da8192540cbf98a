//! What is not known never passes for nothing: accounts whose executors have not spoken yet, symbols without a price, days
//! without a figure.

use super::*;

fn other() -> AccountId {
    AccountId::new("b").unwrap()
}

fn limits_of_two() -> RiskLimits {
    let mut limits = limits();
    limits.accounts.insert(other(), limits.accounts[&account()].clone());
    limits
}

/// The other account as the journal has it: `position` at 100, and one order that may live.
fn journalled(position: &str, open: Option<OrderIntent>) -> AccountBook {
    let mut journalled = book(position, "0");
    journalled.view.account = other();
    let of_other = |intent: OrderIntent| OrderReport { account: other(), ..report(&intent, OrderStatus::Unknown, "0") };
    journalled.open = open.map(of_other).into_iter().collect();
    journalled
}

#[test]
pub(crate) fn an_account_that_has_not_been_heard_of_counts_with_what_the_journal_says_and_holds_nobody_up() {
    let mut machine = machine_with(limits_of_two());
    assert!(!machine.has_heard_of(other()));
    machine.on(at(0), Input::Journalled(journalled("15", Some(intent(90, Side::Buy, "3")))), &mut Outbox::new());
    machine.on(at(0), Input::Absent(other()), &mut Outbox::new());
    assert!(machine.has_heard_of(other()));
    assert_eq!(machine.capital(), "1800".parse().unwrap());
    let of_other = OrderIntent { account: other(), ..intent(91, Side::Buy, "1") };
    refused(&mut machine, of_other, "reconciliation");
    assert_eq!(propose(&mut machine, 0, intent(92, Side::Buy, "7")), None, "its neighbour trades");
    refused(&mut machine, intent(93, Side::Buy, "0.1"), "capital");
    let flat = Input::Book(journalled("0", None));
    machine.on(at(1), flat, &mut Outbox::new());
    assert_eq!(propose(&mut machine, 1, intent(94, Side::Buy, "0.1")), None, "the executor's word counts");
    machine.on(at(2), Input::Journalled(journalled("15", None)), &mut Outbox::new());
    assert_eq!(machine.capital(), "710".parse().unwrap(), "and the journal no more");
}

#[test]
fn what_has_no_market_price_counts_at_its_own() {
    let valued = |open: OrderIntent, position: &str| {
        let mut machine = RiskMachine::new(Incarnation(1), limits_of_two(), ModeTable::default());
        machine.on(at(0), Input::Book(journalled(position, Some(open))), &mut Outbox::new());
        let before = machine.capital();
        machine.on(at(0), Input::Market(view("50")), &mut Outbox::new());
        (before.to_string(), machine.capital().to_string())
    };
    assert_eq!(valued(limit(1, Side::Buy, "4", "99"), "0"), ("396".to_owned(), "200".to_owned()));
    assert_eq!(valued(limit(1, Side::Buy, "4", "101"), "5"), ("909".to_owned(), "450".to_owned()));
    let mut machine = RiskMachine::new(Incarnation(1), limits_of_two(), ModeTable::default());
    let mut at_market = journalled("0", Some(intent(1, Side::Buy, "4")));
    at_market.view.positions.clear();
    machine.on(at(0), Input::Journalled(at_market), &mut Outbox::new());
    assert_eq!(machine.capital(), "1000".parse().unwrap(), "the most that one order may be worth");
}

#[test]
fn a_days_figure_that_is_not_known_refuses_what_may_open_and_keeps_what_was_tripped() {
    let trips = |out: &mut Outbox<Record, Effect>| out.drain().filter(|step| matches!(step, Step::Do(Effect::Trip { .. }))).count();
    let mut machine = machine();
    let unknown = |position: &str| AccountView { day_pnl: None, ..book(position, "0").view };
    let mut out = Outbox::new();
    machine.on(at(0), Input::Account(book("5", "-100").view), &mut out);
    assert_eq!(trips(&mut out), 1);
    let mut halted = ModeTable::default();
    halted.latch(Scope::Account(account()), "daily_loss", at(0));
    // Halted for it, and raised again by a person.
    [halted, ModeTable::default()].into_iter().for_each(|modes| machine.on(at(0), Input::Modes(modes), &mut out));
    machine.on(at(0), Input::Book(AccountBook { view: unknown("5"), ..book("5", "0") }), &mut out);
    machine.on(at(0), Input::Account(book("5", "-100").view), &mut out);
    assert_eq!(trips(&mut out), 0, "told and heard already");
    machine.on(at(0), Input::Account(unknown("5")), &mut out);
    refused(&mut machine, intent(1, Side::Buy, "1"), "daily_loss");
    assert_eq!(propose(&mut machine, 0, OrderIntent { reduce_only: true, ..intent(2, Side::Sell, "5") }), None);
    machine.on(at(0), Input::Account(book("5", "0").view), &mut out);
    assert_eq!(propose(&mut machine, 0, intent(3, Side::Buy, "1")), None);
}

#[test]
fn a_refusal_for_want_of_the_days_figure_names_the_symbol_without_a_price() {
    let mut machine = machine();
    let elsewhere = Symbol::new("ETHUSDT").unwrap();
    let mut unpriced = AccountView { day_pnl: None, ..book("5", "0").view };
    unpriced.positions[0].symbol = elsewhere;
    machine.on(at(0), Input::Book(AccountBook { view: unpriced, ..book("0", "0") }), &mut Outbox::new());
    let mut out = Outbox::new();
    machine.on(at(0), Input::Propose(Arc::new(intent(1, Side::Buy, "1"))), &mut out);
    let refusal = out.drain().find_map(|step| if let Step::Do(Effect::Refuse(refusal)) = step { Some(refusal) } else { None });
    let refusal = refusal.expect("an order on an unknown day is refused");
    assert_eq!((refusal.control.as_str(), refusal.value.as_str()), ("daily_loss", "not known: no price of ETHUSDT"));
}

/// The executor was not there: the order was surely not sent, and what it had reserved is free again. Its number is used up.
#[test]
fn an_approval_that_nobody_took_frees_its_exposure_and_is_no_order() {
    let mut machine = machine();
    let first = intent(1, Side::Buy, "8");
    assert_eq!(propose(&mut machine, 0, first.clone()), None);
    assert!(machine.capital() > Money::ZERO);
    machine.on(at(1), Input::NotTaken(Arc::new(first)), &mut Outbox::new());
    assert_eq!(machine.capital(), Money::ZERO);
    refused(&mut machine, intent(1, Side::Buy, "1"), "duplicate_intent");
}
