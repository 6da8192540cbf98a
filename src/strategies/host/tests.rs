use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::testing::*;
use super::*;
use crate::domain::ids::IntentId;
use crate::domain::instrument::InstrumentKind;
use crate::domain::market::MarketUpdate;
use crate::domain::money::Quantity;
use crate::domain::order::{OrderStatus, Side};
use crate::domain::position::Position;
use crate::strategies::{Draft, Holdings};

type Log = Arc<Mutex<Vec<String>>>;

/// Writes down what it hears, and buys one with every live bar.
struct Scribe {
    log: Log,
    interest: Interest,
    buys: bool,
}

impl Strategy for Scribe {
    fn interest(&self) -> Interest {
        self.interest
    }

    fn on(&mut self, input: StrategyInput<'_>, desk: &mut Desk<'_>) {
        let heard = match input {
            StrategyInput::Bar { candle, warming, .. } => {
                if self.buys {
                    desk.propose(Draft::market(account(), btc(), Side::Buy, quantity("1"), "test"));
                }
                format!("bar {}{}", candle.close, if warming { " warming" } else { "" })
            }
            StrategyInput::Market(view) => format!("market {}", view.last.unwrap()),
            StrategyInput::Report(report) => format!("report {}", report.status),
            StrategyInput::Refused(refusal) => format!("refused {}", refusal.control),
            StrategyInput::Account(_) => "account".to_owned(),
            StrategyInput::Wake => "wake".to_owned(),
        };
        let working = desk.working(account(), btc()).len();
        self.log.lock().unwrap().push(format!("{heard}; {} held, {working} working", desk.position(account(), btc())));
    }
}

fn scribe(interest: Interest, buys: bool) -> (Log, Box<dyn Strategy>) {
    let log = Log::default();
    (Arc::clone(&log), Box::new(Scribe { log, interest, buys }))
}

fn bench(interest: Interest, buys: bool) -> (Log, Bench) {
    let (log, strategy) = scribe(interest, buys);
    (log, Bench::new(config(InstrumentKind::Perpetual), strategy))
}

fn heard(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

#[test]
fn only_bars_of_the_interval_are_told_each_once_and_ticks_only_when_wanted() {
    let (log, mut bench) = bench(Interest::default(), false);
    bench.feed(HostInput::WarmUp { symbol: btc(), candles: &[candle(0, price("1")), candle(1, price("2"))] });
    bench.skip_bars(1);
    bench.bar("2");
    bench.bar("3");
    bench.wait(Duration::from_secs(1));
    assert_eq!(heard(&log), ["bar 1 warming; 0 held, 0 working", "bar 2 warming; 0 held, 0 working", "bar 3; 0 held, 0 working"]);
    let (log, mut bench) = super::tests::bench(Interest { market_updates: true, ..Interest::default() }, false);
    bench.wait(Duration::from_secs(1));
    assert_eq!(heard(&log), ["market 100; 0 held, 0 working"]);
}

#[test]
fn nothing_is_proposed_from_history_or_before_the_accounts_books_are_known() {
    let (_, mut bench) = bench(Interest::default(), true);
    bench.feed(HostInput::WarmUp { symbol: btc(), candles: &[candle(0, price("1"))] });
    bench.skip_bars(1);
    bench.bar("2");
    assert_eq!(bench.proposals(), []);
    bench.account_view();
    bench.bar("3");
    assert_eq!(moves(&bench.proposals()), ["+1"]);
}

#[test]
fn a_proposal_counts_as_working_until_its_end_and_fills_make_the_position() {
    let (log, mut bench) = bench(Interest::default(), true);
    bench.account_view();
    bench.bar("2");
    let order = bench.proposals().remove(0);
    bench.report(&order, OrderStatus::Persisting, None);
    bench.report(&order, OrderStatus::Working, Some(quantity("0.4")));
    bench.report(&order, OrderStatus::Filled, Some(quantity("0.6")));
    let expected = [
        "account; 0 held, 0 working",
        "bar 2; 0 held, 1 working",
        "report persisting; 0 held, 1 working",
        "report working; 0.4 held, 1 working",
        "report filled; 1 held, 0 working",
    ];
    assert_eq!(heard(&log), expected);
}

#[test]
fn a_refused_and_an_unanswered_proposal_are_taken_off_the_desk() {
    let (log, mut bench) = bench(Interest::default(), true);
    bench.account_view();
    bench.bar("2");
    let order = bench.proposals().remove(0);
    bench.refuse(&order, "order_value");
    bench.refuse(&order, "order_value");
    bench.bar("3");
    bench.wait(ANSWER_MAX);
    bench.wait(ANSWER_MAX);
    let expected = [
        "account; 0 held, 0 working",
        "bar 2; 0 held, 1 working",
        "refused order_value; 0 held, 0 working",
        "bar 3; 0 held, 1 working",
        "refused unanswered; 0 held, 0 working",
    ];
    assert_eq!(heard(&log), expected);
}

#[test]
fn intent_ids_go_on_where_the_host_before_was() {
    let (_, mut bench) = bench(Interest::default(), true);
    bench.account_view();
    bench.bar("2");
    bench.restart(config(InstrumentKind::Perpetual), scribe(Interest::default(), true).1, &[]);
    bench.bar("3");
    let ids: Vec<IntentId> = bench.proposals().iter().map(|order| order.id).collect();
    assert_eq!(ids, [IntentId::compose(Epoch(1), 3, 0), IntentId::compose(Epoch(1), 3, 1)]);
    assert_eq!(bench.host.next_intent(), 2);
}

#[test]
fn the_whole_position_of_the_account_is_adopted_and_follows_it() {
    let (log, mut bench) = bench(Interest::default(), false);
    bench.set_position(quantity("2"), price("100"));
    bench.set_position(quantity("-1"), price("100"));
    bench.set_position(Quantity::ZERO, price("0"));
    assert_eq!(heard(&log), ["account; 2 held, 0 working", "account; -1 held, 0 working", "account; 0 held, 0 working"]);
}

#[test]
fn a_view_older_than_a_booked_fill_does_not_undo_it() {
    let (log, mut bench) = bench(Interest::default(), true);
    bench.account_view();
    bench.bar("2");
    let order = bench.proposals().remove(0);
    bench.report(&order, OrderStatus::Filled, Some(quantity("1")));
    heard(&log);
    bench.now = bench.now - Duration::from_secs(1);
    bench.set_position(Quantity::ZERO, price("0"));
    assert_eq!(heard(&log), ["account; 1 held, 0 working"]);
}

#[test]
fn a_shared_symbol_counts_only_the_strategys_own_fills() {
    let (log, strategy) = scribe(Interest::default(), false);
    let mut position = Position::default();
    position.adopt(quantity("1"), price("100"));
    let holdings = Holdings::Own(vec![(account(), btc(), position)]);
    let mut bench = Bench::new(HostConfig { holdings, ..config(InstrumentKind::Perpetual) }, strategy);
    bench.set_position(quantity("5"), price("100"));
    assert_eq!(heard(&log), ["account; 1 held, 0 working"]);
}

/// Buys once, then cancels that order at every wake and asks to be woken.
struct Canceller;

impl Strategy for Canceller {
    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn on(&mut self, input: StrategyInput<'_>, desk: &mut Desk<'_>) {
        match input {
            StrategyInput::Account(_) => {
                let intent = desk.propose(Draft::market(account(), btc(), Side::Buy, quantity("1"), "test"));
                desk.cancel(account(), btc(), intent, "changed_mind");
                desk.set_leverage(account(), btc(), 5);
                desk.set_leverage(account(), btc(), 5);
                desk.wake_at(desk.now() + Duration::from_secs(5));
                desk.wake_at(desk.now() + Duration::from_secs(1));
            }
            StrategyInput::Wake => {
                desk.working(account(), btc()).iter().map(|order| order.intent).collect::<Vec<_>>().into_iter().for_each(|intent| {
                    desk.cancel(account(), btc(), intent, "woken");
                    desk.cancel(account(), btc(), intent, "woken");
                })
            }
            _ => {}
        }
    }
}

#[test]
fn a_cancel_waits_for_the_orders_name_goes_once_and_may_be_asked_again_after_a_refusal() {
    let mut bench = Bench::new(config(InstrumentKind::Perpetual), Box::new(Canceller));
    bench.account_view();
    let fresh = bench.fresh();
    let [StrategyEffect::Propose(order), StrategyEffect::SetLeverage { leverage: 5, .. }] = fresh.as_slice() else {
        panic!("{fresh:?}");
    };
    bench.report(order, OrderStatus::Persisting, None);
    assert!(matches!(bench.fresh().as_slice(), [StrategyEffect::Cancel { reason, .. }] if reason == "changed_mind"));
    bench.report(order, OrderStatus::PendingCancel, None);
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.fresh(), [], "the first cancel is still on its way");
    bench.report(order, OrderStatus::Working, None);
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.fresh(), [], "woken once, for the earlier of both asks");
    bench.account_view();
    bench.wait(Duration::from_secs(1));
    let cancels = bench.fresh().iter().filter(|effect| matches!(effect, StrategyEffect::Cancel { .. })).count();
    assert_eq!(cancels, 1);
}

fn cancels(effects: &[StrategyEffect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, StrategyEffect::Cancel { .. })).count()
}

/// Whoever is to pass a cancel on may die with it: the order rests until it is asked for again.
#[test]
fn a_cancel_that_nobody_answers_is_asked_again_until_the_executor_has_it() {
    let mut bench = Bench::new(config(InstrumentKind::Perpetual), Box::new(Canceller));
    bench.account_view();
    let [StrategyEffect::Propose(order), ..] = &bench.fresh()[..] else { panic!("no proposal") };
    bench.report(order, OrderStatus::Working, None);
    assert_eq!(cancels(&bench.fresh()), 1);
    bench.wait(ANSWER_MAX - Duration::from_secs(1));
    assert_eq!(bench.fresh(), [], "it may be on its way");
    for round in 1..4 {
        // An executor that recovered knows nothing of the wish and reports the order as it stands.
        bench.report(order, OrderStatus::Working, None);
        bench.wait(Duration::from_secs(1));
        assert_eq!(cancels(&bench.fresh()), 1, "round {round}");
        bench.wait(ANSWER_MAX - Duration::from_secs(1));
        assert_eq!(bench.fresh(), []);
    }
    bench.report(order, OrderStatus::PendingCancel, None);
    bench.wait(ANSWER_MAX);
    bench.wait(ANSWER_MAX);
    assert_eq!(bench.fresh(), [], "the executor has it, and asks the venue by itself");
    bench.report(order, OrderStatus::Unknown, None);
    bench.wait(ANSWER_MAX);
    assert_eq!(cancels(&bench.fresh()), 1, "an executor that lost it again is asked again");
    bench.report(order, OrderStatus::Canceled, None);
    bench.wait(ANSWER_MAX);
    assert_eq!(bench.fresh(), []);
}

#[test]
fn a_lost_proposal_that_was_to_be_cancelled_is_cancelled_when_it_turns_up() {
    let mut bench = Bench::new(config(InstrumentKind::Perpetual), Box::new(Canceller));
    bench.account_view();
    let [StrategyEffect::Propose(order), ..] = &bench.fresh()[..] else { panic!("no proposal") };
    bench.wait(ANSWER_MAX);
    assert_eq!(bench.fresh(), []);
    bench.report(order, OrderStatus::Working, None);
    assert!(matches!(bench.fresh().as_slice(), [StrategyEffect::Cancel { reason, .. }] if reason == "changed_mind"));
    bench.wait(ANSWER_MAX);
    assert_eq!(cancels(&bench.fresh()), 1, "and that cancel may get lost like any other");
}

#[test]
fn a_leverage_is_asked_again_after_the_account_was_told_anew() {
    let leverages =
        |effects: &[StrategyEffect]| effects.iter().filter(|effect| matches!(effect, StrategyEffect::SetLeverage { .. })).count();
    let mut bench = Bench::new(config(InstrumentKind::Perpetual), Box::new(Canceller));
    bench.account_view();
    assert_eq!(leverages(&bench.fresh()), 1);
    bench.account_view();
    assert_eq!(leverages(&bench.fresh()), 0, "it is on its way or has arrived");
    bench.feed(HostInput::Anew(account()));
    bench.account_view();
    assert_eq!(leverages(&bench.fresh()), 1);
}

#[test]
fn strangers_accounts_symbols_and_orders_change_nothing() {
    let (log, mut bench) = bench(Interest::default(), true);
    bench.account_view();
    heard(&log);
    let other = Symbol::new("ETHUSDT").unwrap();
    bench.feed(HostInput::WarmUp { symbol: other, candles: &[candle(0, price("1"))] });
    let view = crate::domain::market::MarketView { symbol: other, ..view(price("1"), seconds(1)) };
    bench.feed(HostInput::Market(&MarketUpdate { view, closed: Default::default() }));
    bench.bar("2");
    let order = bench.proposals().remove(0);
    bench.refuse(&order, "order_value");
    heard(&log);
    let foreign = crate::domain::order::OrderIntent { strategy: StrategyId::new("other").unwrap(), ..order };
    bench.report(&foreign, OrderStatus::Working, None);
    assert_eq!(heard(&log), [""; 0]);
}

/// Writes down what it is told of recoveries, and of views.
struct Survivor(Log);

impl Strategy for Survivor {
    fn interest(&self) -> Interest {
        Interest::default()
    }

    fn on(&mut self, input: StrategyInput<'_>, _desk: &mut Desk<'_>) {
        if let StrategyInput::Account(_) = input {
            self.0.lock().unwrap().push("account".to_owned());
        }
    }

    fn recovered(&mut self, recovered: &Recovered<'_>, desk: &mut Desk<'_>) {
        let (missed, found) = (recovered.missed.len(), recovered.findings.len());
        let held = desk.position(recovered.account, btc());
        self.0.lock().unwrap().push(format!("recovered: {missed} missed, {found} found, {held} held"));
        desk.propose(Draft::market(recovered.account, btc(), Side::Sell, held, "test").reducing());
    }
}

#[test]
fn a_strategy_hears_of_a_reconciliation_once_with_the_truth_on_its_desk_and_before_the_view() {
    let log = Log::default();
    let mut bench = Bench::new(config(InstrumentKind::Perpetual), Box::new(Survivor(Arc::clone(&log))));
    bench.account_view();
    let opened = std::mem::take(&mut *log.lock().unwrap());
    assert_eq!(opened, ["recovered: 0 missed, 0 found, 0 held", "account"], "an account that opens was recovered");
    let fill = Fill {
        account: account(),
        symbol: btc(),
        client_order_id: crate::domain::ids::ClientOrderId::new("rf-main-1-7").unwrap(),
        venue_order_id: 7,
        trade_id: 1,
        side: Side::Buy,
        position_side: crate::domain::order::PositionSide::Both,
        price: price("100"),
        quantity: quantity("1"),
        fee: money("0"),
        fee_taken: None,
        maker: false,
        at: seconds(1),
    };
    let elsewhere = Fill { symbol: Symbol::new("ETHUSDT").unwrap(), ..fill.clone() };
    let reconciliation = Reconciliation {
        account: account(),
        at: seconds(2),
        findings: vec![Finding::MissedFill { fill: fill.clone() }, Finding::MissedFill { fill: elsewhere.clone() }],
        missed: vec![(None, fill), (None, elsewhere)],
        first: false,
    };
    bench.feed(HostInput::Reconciled(&reconciliation));
    assert!(heard(&log).is_empty(), "its books come first");
    bench.proposals();
    bench.set_position(quantity("1"), price("100"));
    assert_eq!(heard(&log), ["recovered: 1 missed, 1 found, 1 held", "account"]);
    assert_eq!(moves(&bench.proposals()).len(), 1, "it may act at once");
    bench.account_view();
    assert_eq!(heard(&log), ["account"], "once");
}
