//! Every control at its limit and one step past it, with absent limits and broken references; and that a reservation
//! stands until the venue's definite word.

use std::time::Duration;

use super::super::instrument::{Instrument, InstrumentKind};
use super::super::ladder::ModeTable;
use super::super::money::{Price, Quantity};
use super::super::order::{EquityPeaks, OrderKind, OrderStatus, PositionSide, PositionView, Side, TimeInForce};
use super::super::outbox::Step;
use super::limits::{AbnormalMarket, AccountLimits, HardLimits, MessageRate, OrderToTrade, PeriodCollar, StrategyLimits, SymbolLimits};
use super::*;

mod crossing;
mod hard_limits;
mod scoped;
pub(crate) mod support;
pub(crate) mod unknown;

fn account() -> AccountId {
    AccountId::new("a").unwrap()
}

fn symbol() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn strategy() -> StrategyId {
    StrategyId::new("s").unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn instrument() -> Instrument {
    Instrument {
        symbol: symbol(),
        kind: InstrumentKind::Perpetual,
        base: "BTC".into(),
        quote: "USDT".into(),
        price_step: "0.1".parse().unwrap(),
        quantity_step: "0.001".parse().unwrap(),
        min_quantity: "0.001".parse().unwrap(),
        max_quantity: "1000".parse().unwrap(),
        min_notional: "5".parse().unwrap(),
        price_band: "0.05".parse().unwrap(),
        maker_fee: "0.0002".parse().unwrap(),
        taker_fee: "0.0004".parse().unwrap(),
        max_leverage: 125,
    }
}

fn symbol_limits() -> SymbolLimits {
    SymbolLimits {
        price_collar: Some("0.05".parse().unwrap()),
        max_order_value: Some("1000".parse().unwrap()),
        max_order_quantity: Some("8".parse().unwrap()),
        max_position_value: Some("2000".parse().unwrap()),
        duplicate_window: Some(Duration::from_millis(100)),
        stale_after: Some(Duration::from_secs(5)),
        period_collar: Some(PeriodCollar { distance: "0.5".parse().unwrap(), period: Duration::from_secs(60) }),
        abnormal: Some(AbnormalMarket {
            max_spread: "0.1".parse().unwrap(),
            max_jump: "0.5".parse().unwrap(),
            jump_period: Duration::from_secs(10),
            halt_after: MessageRate { count: 2, period: Duration::from_secs(60) },
        }),
        min_liquidation_distance: Some("0.1".parse().unwrap()),
    }
}

/// Losses that no test of something else reaches.
fn hard() -> HardLimits {
    let whole = Some(Ratio("1".parse().unwrap()));
    HardLimits {
        margin_floor: Some("0".parse().unwrap()),
        max_risk_per_trade: whole,
        max_risk_total: whole,
        max_drawdown_day: whole,
        max_drawdown: whole,
        max_consecutive_rejects: Some(1_000),
        max_consecutive_losses: Some(1_000),
    }
}

fn strategy_limits() -> StrategyLimits {
    StrategyLimits {
        accounts: BTreeSet::from([account(), AccountId::new("b").unwrap()]),
        symbols: BTreeSet::from([symbol()]),
        max_order_value: None,
        max_messages: Some(MessageRate { count: 1_000, period: Duration::from_secs(10) }),
        max_executions: Some(MessageRate { count: 1_000, period: Duration::from_secs(10) }),
        max_repeated_executions: Some(1_000),
    }
}

fn limits() -> RiskLimits {
    let account_limits = AccountLimits {
        max_messages: Some(MessageRate { count: 5, period: Duration::from_secs(10) }),
        max_daily_loss: Some("100".parse().unwrap()),
        order_to_trade: Some(OrderToTrade { max_ratio: 100, free_messages: 1_000 }),
        hard: hard(),
        symbols: BTreeMap::from([(symbol(), symbol_limits())]),
        ..AccountLimits::default()
    };
    RiskLimits {
        max_capital: Some("2500".parse().unwrap()),
        max_messages: Some(MessageRate { count: 1_000, period: Duration::from_secs(10) }),
        strategies: BTreeMap::from([(strategy(), strategy_limits())]),
        accounts: BTreeMap::from([(account(), account_limits)]),
        instruments: BTreeMap::from([(symbol(), instrument())]),
        ..RiskLimits::default()
    }
}

fn view(price: &str) -> MarketView {
    let price: Price = price.parse().unwrap();
    let one = "1".parse().unwrap();
    MarketView {
        symbol: symbol(),
        at: at(0),
        heard_at: at(0),
        bid: Some((price, one)),
        ask: Some((price, one)),
        last: Some(price),
        mark: Some(price),
        stale: false,
        sequence: 1,
    }
}

fn book(position: &str, day_pnl: &str) -> AccountBook {
    let quantity: Quantity = position.parse().unwrap();
    let position = PositionView {
        symbol: symbol(),
        position_side: PositionSide::Both,
        quantity,
        entry_price: "100".parse().unwrap(),
        unrealized: Money::ZERO,
    };
    let view = AccountView {
        account: account(),
        wallet: Money::ZERO,
        equity: support::equity(),
        day_pnl: Some(day_pnl.parse().unwrap()),
        positions: vec![position],
        peaks: Some(support::peaks()),
        margin: None,
        at: at(0),
    };
    AccountBook { view, open: vec![], since: Timestamp::ZERO, build: BUILD }
}

/// A risk machine with a market at 100 and a flat, known account.
fn machine_with(limits: RiskLimits) -> RiskMachine {
    let mut machine = RiskMachine::new(Incarnation(1), limits, ModeTable::default());
    let mut out = Outbox::new();
    machine.on(at(0), Input::Market(view("100")), &mut out);
    machine.on(at(0), Input::Book(book("0", "0")), &mut out);
    machine
}

fn machine() -> RiskMachine {
    machine_with(limits())
}

fn intent(number: u32, side: Side, quantity: &str) -> OrderIntent {
    OrderIntent {
        id: IntentId(u64::from(number)),
        strategy: strategy(),
        account: account(),
        symbol: symbol(),
        side,
        position_side: PositionSide::Both,
        kind: OrderKind::Market,
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity: quantity.parse().unwrap(),
        reduce_only: false,
        stop: None,
        decided_at: at(0),
        reason: "test".into(),
        trace: None,
    }
}

fn limit(number: u32, side: Side, quantity: &str, price: &str) -> OrderIntent {
    OrderIntent { kind: OrderKind::Limit { price: price.parse().unwrap() }, ..intent(number, side, quantity) }
}

/// The control that refused, or `None` when the intent passed.
fn propose(machine: &mut RiskMachine, millis: i64, intent: OrderIntent) -> Option<String> {
    let mut out = Outbox::new();
    machine.on(at(millis), Input::Propose(Arc::new(intent)), &mut out);
    let steps: Vec<_> = out.drain().collect();
    match &steps[0] {
        Step::Do(Effect::Submit(approved)) => {
            assert_eq!(approved.incarnation(), Incarnation(1));
            None
        }
        Step::Do(Effect::Refuse(refusal)) => {
            assert!(!refusal.limit.is_empty() && !refusal.value.is_empty(), "{refusal:?}");
            assert!(matches!(&steps[1], Step::Persist { .. }), "a refusal is journalled");
            Some(refusal.control.clone())
        }
        other => panic!("{other:?}"),
    }
}

fn report(intent: &OrderIntent, status: OrderStatus, filled: &str) -> OrderReport {
    OrderReport {
        account: intent.account,
        strategy: Some(intent.strategy),
        intent: Some(intent.id),
        symbol: intent.symbol,
        client_order_id: ClientOrderId::new("x").unwrap(),
        side: intent.side,
        position_side: intent.position_side,
        kind: intent.kind,
        reduce_only: intent.reduce_only,
        quantity: intent.quantity,
        filled: filled.parse().unwrap(),
        status,
        fill: None,
        detail: None,
        at: at(0),
        trace: None,
    }
}

#[track_caller]
fn refused(machine: &mut RiskMachine, intent: OrderIntent, control: &str) {
    assert_eq!(propose(machine, 0, intent).as_deref(), Some(control));
}

/// A new risk manager hears the books before it has looked at any market.
#[test]
fn exposure_that_was_told_before_its_price_counts_towards_the_capital() {
    let mut machine = RiskMachine::new(Incarnation(1), limits(), ModeTable::default());
    let mut out = Outbox::new();
    machine.on(at(0), Input::Book(book("2", "0")), &mut out);
    assert_eq!(machine.capital(), "200".parse().unwrap(), "at what it cost, until there is a price");
    machine.on(at(0), Input::Market(view("120")), &mut out);
    assert_eq!(machine.capital(), "240".parse().unwrap());
    machine.on(at(0), Input::Market(view("130")), &mut out);
    assert_eq!(machine.capital(), "260".parse().unwrap());
    machine.on(at(0), Input::Book(book("0", "0")), &mut out);
    assert_eq!(machine.capital(), Money::ZERO);
}

#[test]
fn a_working_order_told_before_its_price_is_valued_with_the_first_one() {
    let mut machine = RiskMachine::new(Incarnation(1), limits(), ModeTable::default());
    let mut out = Outbox::new();
    let open = vec![report(&intent(1, Side::Buy, "3"), OrderStatus::Working, "0")];
    let flat = AccountView { positions: vec![], ..book("0", "0").view };
    machine.on(at(0), Input::Book(AccountBook { view: flat, open, since: Timestamp::ZERO, build: BUILD }), &mut out);
    machine.on(at(0), Input::Market(view("120")), &mut out);
    assert_eq!(machine.capital(), "360".parse().unwrap());
}

/// Long and short legs net to nothing, and each can still grow past the limit.
#[test]
fn a_hedged_legs_orders_count_on_top_of_the_leg() {
    let mut machine = machine();
    let mut hedged = book("0", "0");
    let leg = |position_side, quantity: &str| PositionView {
        position_side,
        quantity: quantity.parse().unwrap(),
        ..hedged.view.positions[0].clone()
    };
    hedged.view.positions = vec![leg(PositionSide::Long, "15"), leg(PositionSide::Short, "-15")];
    machine.on(at(0), Input::Book(hedged), &mut Outbox::new());
    let buy = OrderIntent { position_side: PositionSide::Long, ..intent(1, Side::Buy, "6") };
    refused(&mut machine, buy, "position_value");
}

#[test]
fn an_order_within_every_limit_passes() {
    assert_eq!(propose(&mut machine(), 0, limit(1, Side::Buy, "1", "99.9")), None);
}

#[test]
fn every_missing_limit_refuses_and_names_itself() {
    let without = |change: fn(&mut SymbolLimits)| {
        let mut limits = limits();
        change(limits.accounts.get_mut(&account()).unwrap().symbols.get_mut(&symbol()).unwrap());
        limits
    };
    let cases: [(&str, RiskLimits); 9] = [
        ("price_collar", without(|limits| limits.price_collar = None)),
        ("order_value", without(|limits| limits.max_order_value = None)),
        ("order_quantity", without(|limits| limits.max_order_quantity = None)),
        ("position_value", without(|limits| limits.max_position_value = None)),
        ("duplicate_intent", without(|limits| limits.duplicate_window = None)),
        ("stale_market", without(|limits| limits.stale_after = None)),
        ("capital", RiskLimits { max_capital: None, ..limits() }),
        ("instrument_permission", RiskLimits { accounts: BTreeMap::new(), ..limits() }),
        ("instrument_permission", RiskLimits { instruments: BTreeMap::new(), ..limits() }),
    ];
    for (control, limits) in cases {
        refused(&mut machine_with(limits), intent(1, Side::Buy, "1"), control);
    }
    for control in ["message_rate", "daily_loss"] {
        let mut limits = limits();
        let account = limits.accounts.get_mut(&account()).unwrap();
        if control == "message_rate" {
            account.max_messages = None
        } else {
            account.max_daily_loss = None
        }
        refused(&mut machine_with(limits), intent(1, Side::Buy, "1"), control);
    }
}

#[test]
fn order_quantity_and_value_hold_at_the_limit_and_break_one_step_past_it() {
    let mut wide = limits();
    let symbol_limits = wide.accounts.get_mut(&account()).unwrap().symbols.get_mut(&symbol()).unwrap();
    symbol_limits.max_order_value = Some("100000".parse().unwrap());
    assert_eq!(propose(&mut machine_with(wide.clone()), 0, intent(1, Side::Sell, "8")), None);
    refused(&mut machine_with(wide), intent(1, Side::Sell, "8.001"), "order_quantity");
    let mut by_value = limits();
    by_value.accounts.get_mut(&account()).unwrap().symbols.get_mut(&symbol()).unwrap().max_order_quantity = Some("100".parse().unwrap());
    assert_eq!(propose(&mut machine_with(by_value.clone()), 0, intent(1, Side::Buy, "10")), None);
    refused(&mut machine_with(by_value), intent(1, Side::Buy, "10.001"), "order_value");
}

#[test]
fn a_negative_or_off_grid_quantity_never_slips_under_a_cap() {
    for quantity in ["-1", "0", "0.0005", "1001"] {
        refused(&mut machine(), intent(1, Side::Sell, quantity), "order_quantity");
    }
}

#[test]
fn the_collar_holds_on_both_sides_and_needs_a_reference() {
    for (price, control) in
        [("105", None), ("95", None), ("105.1", Some("price_collar")), ("94.9", Some("price_collar")), ("100.05", Some("price_collar"))]
    {
        for side in [Side::Buy, Side::Sell] {
            assert_eq!(propose(&mut machine(), 0, limit(1, side, "1", price)).as_deref(), control, "{side} at {price}");
        }
    }
    for broken in [view("0"), MarketView { bid: None, ask: None, last: None, mark: None, ..view("100") }] {
        let mut machine = machine();
        machine.on(at(0), Input::Market(broken), &mut Outbox::new());
        refused(&mut machine, intent(1, Side::Buy, "1"), "price_collar");
    }
}

#[test]
pub(crate) fn in_flight_orders_count_towards_the_position_at_once_and_unknown_ones_for_as_long_as_it_takes() {
    let mut machine = machine();
    let first = intent(1, Side::Buy, "8");
    assert_eq!(propose(&mut machine, 0, first.clone()), None);
    assert_eq!(propose(&mut machine, 1, intent(2, Side::Buy, "7.999")), None);
    refused(&mut machine, intent(3, Side::Buy, "4.002"), "position_value");
    machine.on(at(2), Input::Report(Arc::new(report(&first, OrderStatus::Unknown, "0"))), &mut Outbox::new());
    refused(&mut machine, intent(4, Side::Buy, "4.002"), "position_value");
    machine.on(at(3), Input::Report(Arc::new(report(&first, OrderStatus::Rejected, "0"))), &mut Outbox::new());
    assert_eq!(propose(&mut machine, 200, intent(5, Side::Buy, "4.002")), None);
}

#[test]
fn both_sides_count_apart_and_the_worse_one_is_held_to_the_limit() {
    let mut machine = machine();
    assert_eq!(propose(&mut machine, 0, limit(1, Side::Buy, "8", "99")), None);
    assert_eq!(propose(&mut machine, 0, limit(2, Side::Sell, "8", "101")), None);
    assert_eq!(propose(&mut machine, 0, limit(3, Side::Sell, "8", "101.1")), None);
    refused(&mut machine, limit(4, Side::Sell, "4", "101.2"), "position_value");
}

#[test]
fn capital_is_over_all_accounts() {
    let mut limits = limits();
    let other = AccountId::new("b").unwrap();
    limits.accounts.insert(other, limits.accounts[&account()].clone());
    let mut machine = machine_with(limits);
    let mut elsewhere = book("18", "0");
    elsewhere.view.account = other;
    machine.on(at(0), Input::Book(elsewhere), &mut Outbox::new());
    assert_eq!(machine.capital(), "1800".parse().unwrap());
    assert_eq!(propose(&mut machine, 0, intent(1, Side::Buy, "7")), None);
    refused(&mut machine, intent(2, Side::Buy, "0.1"), "capital");
}

#[test]
fn the_message_rate_counts_new_orders_and_cancels_and_forgives_after_its_period() {
    let mut machine = machine();
    for number in 0..3 {
        assert_eq!(propose(&mut machine, i64::from(number) * 200, intent(number, Side::Buy, "1")), None);
    }
    for _ in 0..2 {
        let id = ClientOrderId::new("x").unwrap();
        let cancel = Input::Cancel { account: account(), symbol: symbol(), client_order_id: id, reason: "t".into() };
        machine.on(at(500), cancel, &mut Outbox::new());
    }
    assert_eq!(propose(&mut machine, 900, intent(10, Side::Buy, "2")).as_deref(), Some("message_rate"));
    machine.on(at(10_000), Input::Market(MarketView { heard_at: at(10_000), ..view("100") }), &mut Outbox::new());
    assert_eq!(propose(&mut machine, 10_001, intent(11, Side::Buy, "2")), None);
}

#[test]
fn a_cancel_is_never_refused() {
    let mut machine = RiskMachine::new(Incarnation(1), RiskLimits::default(), ModeTable::default());
    let id = ClientOrderId::new("x").unwrap();
    let mut out = Outbox::new();
    let cancel = Input::Cancel { account: account(), symbol: symbol(), client_order_id: id, reason: "t".into() };
    machine.on(at(0), cancel, &mut out);
    assert!(matches!(out.steps()[0], Step::Do(Effect::Cancel { .. })));
}

#[test]
fn the_same_intent_and_an_equal_order_too_soon_are_refused() {
    let mut machine = machine();
    assert_eq!(propose(&mut machine, 0, intent(1, Side::Buy, "1")), None);
    assert_eq!(propose(&mut machine, 500, intent(1, Side::Buy, "2")).as_deref(), Some("duplicate_intent"));
    assert_eq!(propose(&mut machine, 99, intent(2, Side::Buy, "1")).as_deref(), Some("duplicate_intent"));
    assert_eq!(propose(&mut machine, 100, intent(3, Side::Buy, "1")), None);
}

#[test]
fn a_stale_or_silent_market_is_no_basis_for_an_order() {
    let mut machine = machine();
    assert_eq!(propose(&mut machine, 5_000, intent(1, Side::Buy, "1")), None);
    assert_eq!(propose(&mut machine, 5_001, intent(2, Side::Buy, "2")).as_deref(), Some("stale_market"));
    machine.on(at(0), Input::Market(MarketView { stale: true, ..view("100") }), &mut Outbox::new());
    refused(&mut machine, intent(3, Side::Buy, "2"), "stale_market");
}

#[test]
fn a_markets_age_is_measured_by_our_own_clock_whatever_the_venues_says() {
    for venues in [at(-3_600_000), at(3_600_000)] {
        let mut machine = machine();
        machine.on(at(0), Input::Market(MarketView { at: venues, ..view("100") }), &mut Outbox::new());
        assert_eq!(propose(&mut machine, 5_000, intent(1, Side::Buy, "1")), None);
        assert_eq!(propose(&mut machine, 5_001, intent(2, Side::Buy, "2")).as_deref(), Some("stale_market"));
    }
}

#[test]
fn the_ladder_lets_through_what_its_mode_says() {
    for (mode, opening, reducing) in [
        (Mode::Normal, None, None),
        (Mode::ReduceOnly, Some("ladder_mode"), None),
        (Mode::CancelOnly, Some("ladder_mode"), Some("ladder_mode")),
    ] {
        let mut machine = machine();
        machine.on(at(0), Input::Book(book("5", "0")), &mut Outbox::new());
        let mut modes = ModeTable::default();
        modes.set(Scope::Account(account()), mode, "t", at(0));
        machine.on(at(0), Input::Modes(modes), &mut Outbox::new());
        assert_eq!(propose(&mut machine, 0, intent(1, Side::Buy, "1")).as_deref(), opening, "{mode}");
        let reduce = OrderIntent { reduce_only: true, ..intent(2, Side::Sell, "5") };
        assert_eq!(propose(&mut machine, 0, reduce).as_deref(), reducing, "{mode}");
    }
}

#[test]
fn reduce_only_must_be_true() {
    let mut machine = machine();
    machine.on(at(0), Input::Book(book("5", "0")), &mut Outbox::new());
    let reduce = |number, side, quantity| OrderIntent { reduce_only: true, ..intent(number, side, quantity) };
    refused(&mut machine, reduce(1, Side::Sell, "5.001"), "reduce_only");
    refused(&mut machine, reduce(2, Side::Buy, "1"), "reduce_only");
    assert_eq!(propose(&mut machine, 0, reduce(3, Side::Sell, "5")), None);
}

#[test]
fn the_daily_loss_trips_until_the_account_is_halted_and_lets_only_reducing_orders_pass() {
    let mut machine = machine();
    machine.on(at(0), Input::Book(book("5", "-99.99")), &mut Outbox::new());
    assert_eq!(propose(&mut machine, 0, intent(1, Side::Buy, "1")), None);
    let trips = |machine: &mut RiskMachine, loss: &str| {
        let mut out = Outbox::new();
        machine.on(at(0), Input::Account(book("5", loss).view), &mut out);
        out.drain().filter(|step| matches!(step, Step::Do(Effect::Trip { mode: Mode::Halted, .. }))).count()
    };
    assert_eq!([trips(&mut machine, "-100"), trips(&mut machine, "-101")], [1, 1], "nobody may have heard the first");
    let account = book("5", "0").view.account;
    let mut halted = ModeTable::default();
    halted.latch(Scope::Account(account), "daily_loss", at(0));
    machine.on(at(0), Input::Modes(halted), &mut Outbox::new());
    assert_eq!(trips(&mut machine, "-102"), 0, "it is halted");
    machine.on(at(0), Input::Modes(ModeTable::default()), &mut Outbox::new());
    assert_eq!(trips(&mut machine, "-103"), 0, "a person raised it and knows why");
    refused(&mut machine, intent(2, Side::Buy, "2"), "daily_loss");
    assert_eq!(propose(&mut machine, 0, OrderIntent { reduce_only: true, ..intent(3, Side::Sell, "5") }), None);
}

#[test]
fn nothing_passes_until_the_accounts_book_is_known() {
    let mut machine = RiskMachine::new(Incarnation(1), limits(), ModeTable::default());
    machine.on(at(0), Input::Market(view("100")), &mut Outbox::new());
    refused(&mut machine, intent(1, Side::Buy, "1"), "reconciliation");
}

#[test]
fn a_rebuild_keeps_what_was_approved_and_is_not_in_the_executors_book_yet() {
    let mut machine = machine();
    assert_eq!(propose(&mut machine, 0, intent(1, Side::Buy, "8")), None);
    machine.on(at(1), Input::Book(book("0", "0")), &mut Outbox::new());
    assert_eq!(machine.capital(), "800".parse().unwrap());
    let by_a_successor = AccountBook { since: at(2), ..book("0", "0") };
    machine.on(at(3), Input::Book(by_a_successor), &mut Outbox::new());
    assert_eq!(machine.capital(), Money::ZERO, "what died in a dead executor's mailbox was never sent");
}

#[test]
fn the_collar_leaves_the_triggers_of_reducing_orders_alone() {
    let mut machine = machine();
    machine.on(at(0), Input::Book(book("5", "0")), &mut Outbox::new());
    let stop = |number, reduce_only| OrderIntent {
        kind: OrderKind::StopMarket { trigger: "90".parse().unwrap() },
        reduce_only,
        ..intent(number, Side::Sell, "5")
    };
    refused(&mut machine, stop(1, false), "price_collar");
    assert_eq!(propose(&mut machine, 0, stop(2, true)), None);
}

proptest::proptest! {
    /// Whatever is proposed, filled, cancelled or unknown: approved exposure never leaves the limit at a steady price.
    #[test]
    fn exposure_never_exceeds_its_limit(steps in proptest::collection::vec((0u8..4, 1u32..6_000, proptest::bool::ANY), 1..60)) {
        let mut machine = machine();
        let mut live: Vec<(OrderIntent, u32)> = Vec::new();
        let mut position = 0i64;
        for (number, (what, lots, buy)) in steps.into_iter().enumerate() {
            let now = number as i64 * 3_000;
            machine.on(at(now), Input::Market(MarketView { heard_at: at(now), ..view("100") }), &mut Outbox::new());
            let side = if buy { Side::Buy } else { Side::Sell };
            let quantity = Quantity(rust_decimal::Decimal::new(i64::from(lots), 3));
            if what < 2 {
                let intent = OrderIntent { quantity, ..intent(number as u32, side, "1") };
                if propose(&mut machine, now, intent.clone()).is_none() {
                    live.push((intent, lots));
                }
            } else if let Some((intent, lots)) = live.pop() {
                let filled = if what == 2 { i64::from(lots) } else { 0 };
                position += if intent.side == Side::Buy { filled } else { -filled };
                let mut told = report(&intent, if what == 2 { OrderStatus::Filled } else { OrderStatus::Canceled }, "0");
                if what == 2 {
                    told.filled = intent.quantity;
                    told.fill = Some(crate::domain::order::Fill {
                        account: account(), symbol: symbol(), client_order_id: told.client_order_id, venue_order_id: 1,
                        trade_id: number as u64, side: intent.side, position_side: PositionSide::Both,
                        price: "100".parse().unwrap(), quantity: intent.quantity, fee: Money::ZERO, fee_taken: None, maker: false, at: at(now),
                    });
                }
                machine.on(at(now), Input::Report(Arc::new(told)), &mut Outbox::new());
            }
            let buying: i64 = live.iter().filter(|(intent, _)| intent.side == Side::Buy).map(|(_, lots)| i64::from(*lots)).sum();
            let selling: i64 = live.iter().filter(|(intent, _)| intent.side == Side::Sell).map(|(_, lots)| i64::from(*lots)).sum();
            let worst = (position + buying).max(selling - position).max(position.abs());
            proptest::prop_assert!(worst <= 20_000, "{worst} lots at 100 against 2000 USD");
        }
    }
}
