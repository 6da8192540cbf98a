//! What may be lost, each limit at its edge and one past it, on both sides, with nothing, with less than nothing and with what
//! is not known.

use super::super::super::order::{Liquidation, VenueMargin};
use super::super::margin::{Bracket, Brackets};
use super::*;

fn ratio(text: &str) -> Ratio {
    text.parse().unwrap()
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

/// Limits that only `change` makes tight.
fn tight(change: impl Fn(&mut AccountLimits, &mut SymbolLimits)) -> RiskLimits {
    let mut limits = limits();
    limits.max_capital = Some(money("1000000000"));
    let account_limits = limits.accounts.get_mut(&account()).unwrap();
    let much = Some(ratio("1000"));
    (account_limits.hard.max_risk_per_trade, account_limits.hard.max_risk_total) = (much, much);
    account_limits.leverage = Some(100);
    account_limits.max_messages = Some(MessageRate { count: 1_000, period: Duration::from_secs(1) });
    let mut symbol_limits = account_limits.symbols[&symbol()];
    symbol_limits.max_order_value = Some(money("1000000"));
    symbol_limits.max_order_quantity = Some("1000".parse().unwrap());
    symbol_limits.max_position_value = Some(money("1000000"));
    symbol_limits.min_liquidation_distance = Some(ratio("0.001"));
    change(account_limits, &mut symbol_limits);
    account_limits.symbols.insert(symbol(), symbol_limits);
    limits
}

fn with_equity(equity: &str, position: &str) -> AccountBook {
    let mut book = book(position, "0");
    book.view.equity = money(equity);
    book.view.peaks = Some(EquityPeaks { utc_day: 0, day: money(equity), ever: money(equity) });
    book
}

fn machine_of(limits: RiskLimits, book: AccountBook) -> RiskMachine {
    let mut machine = RiskMachine::new(Incarnation(1), limits, ModeTable::default());
    let mut out = Outbox::new();
    machine.on(at(0), Input::Market(view("100")), &mut out);
    machine.on(at(0), Input::Book(book), &mut out);
    machine
}

fn trips(machine: &mut RiskMachine, input: Input) -> Vec<(Scope, Mode, String)> {
    let mut out = Outbox::new();
    machine.on(at(0), input, &mut out);
    let trip = |step| if let Step::Do(Effect::Trip { scope, mode, cause }) = step { Some((scope, mode, cause)) } else { None };
    out.drain().filter_map(trip).collect()
}

#[test]
fn the_margin_floor_counts_leverage_working_orders_and_the_venues_own_figure() {
    let limits = tight(|account, _| (account.hard.margin_floor, account.leverage) = (Some(ratio("0.2")), Some(10)));
    for side in [Side::Buy, Side::Sell] {
        let mut machine = machine_of(limits.clone(), with_equity("1000", "0"));
        assert_eq!(propose(&mut machine, 0, intent(1, side, "80")), None, "800 tied up of 1000, 200 free");
        assert_eq!(propose(&mut machine, 1, intent(2, side, "0.1")).as_deref(), Some("margin_floor"), "{side}");
    }
    let unlevered = tight(|account, _| (account.hard.margin_floor, account.leverage) = (Some(ratio("0.2")), None));
    refused(&mut machine_of(unlevered, with_equity("1000", "0")), intent(1, Side::Buy, "8.001"), "margin_floor");
    for equity in ["0", "-1"] {
        let nothing = tight(|account, _| account.hard.margin_floor = Some(ratio("0")));
        refused(&mut machine_of(nothing, with_equity(equity, "0")), intent(1, Side::Buy, "0.1"), "margin_floor");
    }
    let told = |available: &str| {
        let mut book = with_equity("1000", "0");
        book.view.margin = Some(VenueMargin { at: at(0), equity: money("1000"), available: money(available), ..VenueMargin::default() });
        machine_of(limits.clone(), book)
    };
    assert_eq!(propose(&mut told("300"), 0, intent(1, Side::Buy, "10")), None, "100 of the venue's 300 stay 200");
    refused(&mut told("300"), intent(1, Side::Buy, "10.1"), "margin_floor");
    let mut machine = told("300");
    assert_eq!(propose(&mut machine, 0, intent(1, Side::Buy, "5")), None);
    assert_eq!(
        propose(&mut machine, 1, intent(2, Side::Buy, "5.1")).as_deref(),
        Some("margin_floor"),
        "the first is not in the venue's figure"
    );
    let mut lost = with_equity("950", "0").view;
    lost.margin = Some(VenueMargin { at: at(0), equity: money("1000"), available: money("300"), ..VenueMargin::default() });
    let mut machine = told("300");
    machine.on(at(0), Input::Account(lost), &mut Outbox::new());
    refused(&mut machine, intent(1, Side::Buy, "6.1"), "margin_floor");
}

#[test]
fn a_reducing_order_passes_whatever_is_free() {
    let limits = tight(|account, _| (account.hard.margin_floor, account.leverage) = (Some(ratio("0.9")), None));
    let mut machine = machine_of(limits, with_equity("100", "5"));
    refused(&mut machine, intent(1, Side::Buy, "0.1"), "margin_floor");
    assert_eq!(propose(&mut machine, 1, intent(2, Side::Sell, "5")), None, "it makes the position smaller");
    assert_eq!(propose(&mut machine, 2, OrderIntent { reduce_only: true, ..intent(3, Side::Sell, "5") }), None);
}

#[test]
fn liquidation_stays_its_distance_away_on_both_sides_by_the_brackets_and_by_the_venues_word() {
    let step = Bracket { notional_cap: money("1000000"), rate: ratio("0.05"), cumulative: Money::ZERO };
    let limits = || {
        let limits = tight(|account, symbol| {
            symbol.min_liquidation_distance = Some(ratio("0.1"));
            account.leverage = Some(100);
        });
        RiskLimits { brackets: BTreeMap::from([(symbol(), Brackets::new(vec![step]))]), ..limits }
    };
    // 1000 of equity; at 90 a long of q has lost 10 q and needs 4.5 q, at 110 a short has lost 10 q and needs 5.5 q.
    for (side, most, past) in [(Side::Buy, "68.965", "68.966"), (Side::Sell, "64.516", "64.517")] {
        assert_eq!(propose(&mut machine_of(limits(), with_equity("1000", "0")), 0, intent(1, side, most)), None, "{side}");
        refused(&mut machine_of(limits(), with_equity("1000", "0")), intent(1, side, past), "liquidation_distance");
    }
    let held = |price: &str, quantity: &str| {
        let liquidation = Liquidation {
            symbol: symbol(),
            position_side: PositionSide::Both,
            quantity: quantity.parse().unwrap(),
            price: price.parse().unwrap(),
        };
        let margin = VenueMargin {
            at: at(0),
            equity: money("1000"),
            available: money("1000"),
            liquidations: vec![liquidation],
            ..VenueMargin::default()
        };
        let mut book = with_equity("1000", quantity);
        book.view.margin = Some(margin);
        machine_of(limits(), book)
    };
    assert_eq!(propose(&mut held("90", "1"), 0, intent(1, Side::Buy, "1")), None);
    refused(&mut held("90.1", "1"), intent(1, Side::Buy, "1"), "liquidation_distance");
    assert_eq!(propose(&mut held("110", "-1"), 0, intent(1, Side::Sell, "1")), None);
    refused(&mut held("109.9", "-1"), intent(1, Side::Sell, "1"), "liquidation_distance");
    assert_eq!(propose(&mut held("99", "1"), 0, intent(1, Side::Sell, "1")), None, "it makes that position smaller");
}

#[test]
fn an_isolated_position_has_its_own_margin_alone() {
    let limits = tight(|account, symbol| {
        symbol.min_liquidation_distance = Some(ratio("0.05"));
        (account.leverage, account.isolated) = (Some(20), true);
    });
    refused(&mut machine_of(limits, with_equity("1000000", "0")), intent(1, Side::Buy, "1"), "liquidation_distance");
}

#[test]
fn one_order_risks_its_share_at_the_stop_and_the_whole_collar_without_one() {
    let limits = tight(|account, symbol| {
        account.hard.max_risk_per_trade = Some(ratio("0.03"));
        symbol.period_collar = Some(PeriodCollar { distance: ratio("0.1"), period: Duration::from_secs(60) });
        symbol.price_collar = Some(ratio("0.1"));
    });
    let machine = || machine_of(limits.clone(), with_equity("1000", "0"));
    let stopped = |side, quantity, stop: &str| OrderIntent { stop: Some(stop.parse().unwrap()), ..intent(1, side, quantity) };
    assert_eq!(propose(&mut machine(), 0, intent(1, Side::Buy, "3")), None, "3 × 10 are 3 % of 1000");
    refused(&mut machine(), intent(1, Side::Sell, "3.001"), "risk_per_trade");
    for (side, stop, wrong) in [(Side::Buy, "98", "102"), (Side::Sell, "102", "98")] {
        assert_eq!(propose(&mut machine(), 0, stopped(side, "15", stop)), None, "15 × 2");
        refused(&mut machine(), stopped(side, "15.001", stop), "risk_per_trade");
        refused(&mut machine(), stopped(side, "15", wrong), "risk_per_trade");
        refused(&mut machine(), stopped(side, "15", "0"), "risk_per_trade");
        refused(&mut machine(), stopped(side, "15", "-98"), "risk_per_trade");
    }
}

#[test]
fn what_everything_risks_counts_positions_to_their_stops_and_orders_to_theirs() {
    let limits = tight(|account, symbol| {
        account.hard.max_risk_total = Some(ratio("0.05"));
        symbol.period_collar = Some(PeriodCollar { distance: ratio("0.1"), period: Duration::from_secs(60) });
    });
    let machine = |position: &str| machine_of(limits.clone(), with_equity("1000", position));
    let one_more = |number, quantity: &str| OrderIntent { stop: Some("99".parse().unwrap()), ..intent(number, Side::Buy, quantity) };
    assert_eq!(propose(&mut machine("4"), 0, one_more(1, "10")), None, "40 without a stop, and 10");
    refused(&mut machine("4"), one_more(1, "10.001"), "risk_total");
    let mut stopped = machine("4");
    let stop =
        OrderIntent { kind: OrderKind::StopMarket { trigger: "95".parse().unwrap() }, reduce_only: true, ..intent(1, Side::Sell, "4") };
    assert_eq!(propose(&mut stopped, 0, stop), None);
    assert_eq!(propose(&mut stopped, 1, one_more(2, "30")), None, "20 to the stop, and 30");
    assert_eq!(propose(&mut stopped, 2, one_more(3, "0.1")).as_deref(), Some("risk_total"));
}

#[test]
fn a_drawdown_trips_at_its_limit_from_the_days_and_the_highest_peak_and_not_before() {
    for (control, day, ever) in [("drawdown_day", "1000", "1000"), ("drawdown_peak", "900.02", "2000")] {
        let limits =
            tight(|account, _| (account.hard.max_drawdown_day, account.hard.max_drawdown) = (Some(ratio("0.1")), Some(ratio("0.55"))));
        let fallen = |equity: &str| {
            let mut view = with_equity(equity, "5").view;
            view.peaks = Some(EquityPeaks { utc_day: 0, day: money(day), ever: money(ever) });
            view
        };
        let mut machine = machine_of(limits.clone(), with_equity("900.01", "5"));
        assert_eq!(trips(&mut machine, Input::Account(fallen("900.01"))), vec![], "{control}");
        assert_eq!(propose(&mut machine, 0, intent(1, Side::Buy, "0.1")), None, "{control}");
        let tripped = trips(&mut machine, Input::Account(fallen("900")));
        assert_eq!(tripped.len(), 1, "{tripped:?}");
        assert!(
            tripped[0].2.starts_with(control) && tripped[0].0 == Scope::Account(account()) && tripped[0].1 == Mode::Halted,
            "{tripped:?}"
        );
        assert_eq!(propose(&mut machine, 200, intent(2, Side::Buy, "0.2")).as_deref(), Some(control));
        assert_eq!(propose(&mut machine, 400, OrderIntent { reduce_only: true, ..intent(3, Side::Sell, "5") }), None);
        let everything = RiskLimits { drawdown_halts: limits::Halts::Everything, ..limits };
        let mut machine = machine_of(everything, with_equity("1000", "5"));
        assert_eq!(trips(&mut machine, Input::Account(fallen("900")))[0].0, Scope::Global);
    }
    let mut machine = machine_of(tight(|_, _| {}), with_equity("1000", "0"));
    machine.on(at(0), Input::Account(AccountView { peaks: None, ..with_equity("1000", "0").view }), &mut Outbox::new());
    refused(&mut machine, intent(1, Side::Buy, "0.1"), "drawdown_day");
}

#[test]
fn refused_orders_and_losing_trades_one_after_the_other_halt_the_account_and_a_success_begins_anew() {
    let limits = tight(|account, _| (account.hard.max_consecutive_rejects, account.hard.max_consecutive_losses) = (Some(3), Some(2)));
    let rejected = |number: u32| Input::Report(Arc::new(report(&intent(number, Side::Buy, "1"), OrderStatus::Rejected, "0")));
    let taken = |number: u32| Input::Report(Arc::new(report(&intent(number, Side::Buy, "1"), OrderStatus::Working, "0")));
    let mut machine = machine_of(limits.clone(), with_equity("1000", "0"));
    let mut seen = Vec::new();
    for input in [rejected(1), rejected(2), taken(3), rejected(4), rejected(5)] {
        seen.extend(trips(&mut machine, input));
    }
    assert_eq!(seen, vec![], "two in a row, twice");
    let tripped = trips(&mut machine, rejected(6));
    assert!(tripped.len() == 1 && tripped[0].2.starts_with("consecutive_rejects"), "{tripped:?}");
    refused(&mut machine, intent(10, Side::Buy, "1"), "consecutive_rejects");
    let mut halted = ModeTable::default();
    halted.latch(Scope::Account(account()), "consecutive_rejects", at(0));
    [halted, ModeTable::default()].into_iter().for_each(|modes| machine.on(at(0), Input::Modes(modes), &mut Outbox::new()));
    assert_eq!(propose(&mut machine, 200, intent(11, Side::Buy, "1")), None, "a person has looked");

    let filled = |number: u32, side: Side, price: &str| {
        let order = intent(number, side, "1");
        let mut told = report(&order, OrderStatus::Filled, "1");
        told.fill = Some(crate::domain::order::Fill {
            account: account(),
            symbol: symbol(),
            client_order_id: told.client_order_id,
            venue_order_id: u64::from(number),
            trade_id: u64::from(number),
            side,
            position_side: PositionSide::Both,
            price: price.parse().unwrap(),
            quantity: "1".parse().unwrap(),
            fee: money("0.01"),
            fee_taken: None,
            maker: false,
            at: at(0),
        });
        Input::Report(Arc::new(told))
    };
    let mut machine = machine_of(limits, with_equity("1000", "0"));
    let trades =
        [(Side::Buy, "100"), (Side::Sell, "100"), (Side::Buy, "100"), (Side::Sell, "101"), (Side::Sell, "100"), (Side::Buy, "100.5")];
    for (number, (side, price)) in (1..).zip(trades) {
        assert_eq!(trips(&mut machine, filled(number, side, price)), vec![], "a fee's loss, a gain, a loss");
    }
    assert_eq!(trips(&mut machine, filled(7, Side::Buy, "100")), vec![]);
    let tripped = trips(&mut machine, filled(8, Side::Sell, "99"));
    assert!(tripped.len() == 1 && tripped[0].2.starts_with("consecutive_losses"), "{tripped:?}");
}

#[test]
fn an_abnormal_market_opens_nothing_and_halts_its_symbol_when_it_comes_once_too_often() {
    let spread = |bid: &str, ask: &str| {
        let one = "1".parse().unwrap();
        MarketView { bid: Some((bid.parse().unwrap(), one)), ask: Some((ask.parse().unwrap(), one)), ..view("100") }
    };
    let limits = tight(|_, symbol| {
        symbol.abnormal = Some(AbnormalMarket {
            max_spread: ratio("0.01"),
            max_jump: ratio("0.05"),
            jump_period: Duration::from_secs(10),
            halt_after: MessageRate { count: 2, period: Duration::from_secs(60) },
        });
    });
    let mut machine = machine_of(limits.clone(), with_equity("100000", "5"));
    let cases = [
        (spread("99.5", "100.5"), None),
        (spread("99.5", "100.6"), Some("abnormal_market")),
        (MarketView { bid: None, ..view("100") }, Some("abnormal_market")),
        (MarketView { ask: None, ..view("100") }, Some("abnormal_market")),
        (spread("0", "100"), Some("abnormal_market")),
        (spread("-1", "100"), Some("abnormal_market")),
    ];
    for (number, (view, expected)) in (1..).zip(cases) {
        let mut machine = machine_of(limits.clone(), with_equity("100000", "5"));
        machine.on(at(0), Input::Market(view), &mut Outbox::new());
        assert_eq!(propose(&mut machine, 0, intent(number, Side::Buy, "1")).as_deref(), expected, "{view:?}");
        let closes = OrderIntent { reduce_only: true, ..intent(number + 100, Side::Sell, "5") };
        // A bid of nothing is a price that no order goes out at.
        let has_bid = view.bid.is_none_or(|(price, _)| price.is_positive());
        assert_eq!(propose(&mut machine, 0, closes).as_deref(), (!has_bid).then_some("price_collar"), "what reduces passes");
    }
    let (wide, calm) = (spread("98", "102"), view("100"));
    for round in 0..2 {
        assert_eq!(trips(&mut machine, Input::Market(wide)), vec![], "{round}");
        assert_eq!(trips(&mut machine, Input::Market(wide)), vec![], "one episode is one, however long");
        trips(&mut machine, Input::Market(calm));
    }
    let tripped = trips(&mut machine, Input::Market(wide));
    assert!(tripped.len() == 1 && tripped[0].0 == Scope::Symbol(symbol()) && tripped[0].1 == Mode::Halted, "{tripped:?}");
}

#[test]
fn a_jump_within_its_period_is_abnormal_and_forgotten_behind_it() {
    let limits = tight(|_, symbol| {
        let abnormal = symbol.abnormal.as_mut().unwrap();
        (abnormal.max_jump, abnormal.jump_period) = (ratio("0.02"), Duration::from_secs(16));
    });
    for (to, expected) in [("102", None), ("102.1", Some("abnormal_market")), ("98.1", None), ("98", Some("abnormal_market"))] {
        let mut machine = machine_of(limits.clone(), with_equity("100000", "0"));
        machine.on(at(1_000), Input::Market(MarketView { heard_at: at(1_000), ..view(to) }), &mut Outbox::new());
        assert_eq!(propose(&mut machine, 1_000, intent(1, Side::Buy, "1")).as_deref(), expected, "{to}");
        machine.on(at(18_000), Input::Market(MarketView { heard_at: at(18_000), ..view(to) }), &mut Outbox::new());
        assert_eq!(propose(&mut machine, 18_000, intent(2, Side::Buy, "1")), None, "{to}, and then for long");
    }
}

#[test]
fn the_collar_over_a_period_holds_an_order_near_every_price_of_it() {
    let limits = tight(|_, symbol| {
        symbol.period_collar = Some(PeriodCollar { distance: ratio("0.05"), period: Duration::from_secs(60) });
        symbol.price_collar = Some(ratio("0.05"));
    });
    let mut machine = machine_of(limits, with_equity("100000", "0"));
    machine.on(at(1_000), Input::Market(MarketView { heard_at: at(1_000), ..view("104") }), &mut Outbox::new());
    let ask = |machine: &mut RiskMachine, number, price| propose(machine, 1_000, limit(number, Side::Buy, "1", price));
    assert_eq!(ask(&mut machine, 1, "105"), None);
    assert_eq!(ask(&mut machine, 2, "105.1").as_deref(), Some("price_collar_period"), "within 5 % of 104, and not of 100");
    assert_eq!(ask(&mut machine, 3, "98.8"), None);
    assert_eq!(ask(&mut machine, 4, "98.7").as_deref(), Some("price_collar"));
    machine.on(at(70_000), Input::Market(MarketView { heard_at: at(70_000), ..view("104") }), &mut Outbox::new());
    assert_eq!(propose(&mut machine, 70_000, limit(5, Side::Buy, "1", "105.1")), None, "100 was longer ago");
}

#[test]
fn every_limit_of_losses_that_is_missing_refuses_and_names_itself() {
    let cases: [(&str, RiskLimits); 10] = [
        ("margin_floor", tight(|account, _| account.hard.margin_floor = None)),
        ("liquidation_distance", tight(|_, symbol| symbol.min_liquidation_distance = None)),
        ("risk_per_trade", tight(|account, _| account.hard.max_risk_per_trade = None)),
        ("risk_total", tight(|account, _| account.hard.max_risk_total = None)),
        ("drawdown_day", tight(|account, _| account.hard.max_drawdown_day = None)),
        ("drawdown_peak", tight(|account, _| account.hard.max_drawdown = None)),
        ("consecutive_rejects", tight(|account, _| account.hard.max_consecutive_rejects = None)),
        ("consecutive_losses", tight(|account, _| account.hard.max_consecutive_losses = None)),
        ("abnormal_market", tight(|_, symbol| symbol.abnormal = None)),
        ("price_collar_period", tight(|_, symbol| symbol.period_collar = None)),
    ];
    for (control, limits) in cases {
        refused(&mut machine_of(limits, with_equity("100000", "0")), intent(1, Side::Buy, "1"), control);
    }
}
