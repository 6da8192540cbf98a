//! Whatever accounts, market and time do: money is conserved to the last digit, nobody owes, reduce-only never opens, the change
//! log is the state, and the same inputs make the same outputs.

use proptest::prelude::*;

use super::*;
use crate::domain::money::Ratio;
use crate::exchange::core::report::UserReport;
use crate::exchange::core::state::{Changes, SavedState};

const NAMES: [&str; 3] = ["a", "b", "other"];
const DEPOSIT: i64 = 30_000;

#[derive(Debug, Clone)]
enum Action {
    Trade { who: usize, buys: bool, lots: i64, reduces: bool },
    Rest { who: usize, buys: bool, away: i64, lots: i64, reduces: bool },
    Stop { who: usize, buys: bool, away: i64, lots: i64, closes: bool },
    Trail { who: usize, buys: bool, lots: i64 },
    Move { by: i64 },
    Isolate { who: usize, on: bool },
    Leverage { who: usize, leverage: u8 },
    Adjust { who: usize, amount: i64 },
    Fund { rate: i64 },
    Pass { seconds: u64 },
    Force { who: usize, liquidates: bool },
    CancelAll { who: usize },
}

fn action() -> impl Strategy<Value = Action> {
    let who = || 0..NAMES.len();
    prop_oneof![
        6 => (who(), any::<bool>(), 2..4_000_i64, any::<bool>()).prop_map(|(who, buys, lots, reduces)| Action::Trade { who, buys, lots, reduces }),
        4 => (who(), any::<bool>(), -30..300_i64, 2..1_000_i64, any::<bool>())
            .prop_map(|(who, buys, away, lots, reduces)| Action::Rest { who, buys, away, lots, reduces }),
        2 => (who(), any::<bool>(), 1..3_000_i64, 2..1_000_i64, any::<bool>())
            .prop_map(|(who, buys, away, lots, closes)| Action::Stop { who, buys, away, lots, closes }),
        1 => (who(), any::<bool>(), 2..1_000_i64).prop_map(|(who, buys, lots)| Action::Trail { who, buys, lots }),
        8 => (-60_000..60_000_i64).prop_map(|by| Action::Move { by }),
        2 => (who(), any::<bool>()).prop_map(|(who, on)| Action::Isolate { who, on }),
        2 => (who(), 1..=125_u8).prop_map(|(who, leverage)| Action::Leverage { who, leverage }),
        1 => (who(), -3_000..3_000_i64).prop_map(|(who, amount)| Action::Adjust { who, amount }),
        2 => (-200..200_i64).prop_map(|rate| Action::Fund { rate }),
        2 => (1..40_000_u64).prop_map(|seconds| Action::Pass { seconds }),
        1 => (who(), any::<bool>()).prop_map(|(who, liquidates)| Action::Force { who, liquidates }),
        1 => who().prop_map(|who| Action::CancelAll { who }),
    ]
}

const fn side(buys: bool) -> Side {
    if buys { Side::Buy } else { Side::Sell }
}

/// A desk with poor accounts and a thin book, and where its price is.
struct World {
    desk: Desk,
    at: i64,
}

impl World {
    fn new() -> Self {
        let insurance_fund = Money(Decimal::from(20_000));
        let config = ExchangeConfig { log_changes: true, log_reports: true, insurance_fund, ..ExchangeConfig::default() };
        let mut exchange = Exchange::new(config);
        let symbol = exchange.add_symbol(instruments::bundled(InstrumentKind::Perpetual, btc()).unwrap());
        for (owner, name) in NAMES.iter().enumerate() {
            exchange.open_account(account(name), AccountSetup { owner: owner as u32, ..setup(DEPOSIT) });
        }
        let mut desk = Desk { exchange, symbol, now: START, next_id: 0, update_id: 100, out: Vec::new() };
        desk.moves_thin(MID);
        Self { desk, at: MID }
    }

    /// Does one thing; what the accounts were told of it in process.
    fn step(&mut self, action: &Action) -> Vec<VenueEvent> {
        // What is refused is refused: the state that follows is what counts.
        let ignore = |_: Result<(), Reject>| {};
        let desk = &mut self.desk;
        let (now, id) = (desk.now, |who: usize| account(NAMES[who]));
        match *action {
            Action::Trade { who, buys, lots, reduces } => {
                let order = NewOrder { reduce_only: reduces, ..desk.at_market(side(buys), lots) };
                return desk.place(NAMES[who], order).1;
            }
            Action::Rest { who, buys, away, lots, reduces } => {
                let price = if buys { self.at - away } else { self.at + away };
                let order = NewOrder { reduce_only: reduces, ..desk.limit(side(buys), price, lots) };
                return desk.place(NAMES[who], order).1;
            }
            Action::Stop { who, buys, away, lots, closes } => {
                let trigger = price(if buys { self.at + away } else { self.at - away });
                let lots = if closes { 0 } else { lots };
                let order = desk.order(side(buys), OrderKind::StopMarket { trigger }, lots);
                let request = OrderRequest { order, extras: Extras { close_position: closes, ..Extras::default() } };
                ignore(desk.exchange.place_algo(now, id(who), &request).map(|_| ()));
            }
            Action::Trail { who, buys, lots } => {
                let trailing = Some(Trailing { activation: None, callback: Ratio(Decimal::new(1, 2)) });
                let order = desk.order(side(buys), OrderKind::StopMarket { trigger: Price::ZERO }, lots);
                let request = OrderRequest { order, extras: Extras { trailing, ..Extras::default() } };
                ignore(desk.exchange.place_algo(now, id(who), &request).map(|_| ()));
            }
            Action::Move { by } => {
                self.at = (self.at + by).clamp(200_000, 2_000_000);
                return desk.moves_thin(self.at);
            }
            Action::Isolate { who, on } => {
                let to = if on { MarginType::Isolated } else { MarginType::Crossed };
                ignore(desk.exchange.change_margin_type(now, id(who), btc(), to));
            }
            Action::Leverage { who, leverage } => ignore(desk.exchange.change_leverage(now, id(who), btc(), leverage).map(|_| ())),
            Action::Adjust { who, amount } => {
                ignore(desk.exchange.adjust_margin(now, id(who), btc(), PositionSide::Both, Money(Decimal::from(amount))));
            }
            Action::Fund { rate } => {
                desk.exchange.charge_funding_now(now, btc(), Some(Ratio(Decimal::new(rate, 5))), &mut desk.out).unwrap()
            }
            Action::Pass { seconds } => return desk.pass(Duration::from_secs(seconds)),
            Action::Force { who, liquidates: true } => ignore(desk.exchange.liquidate(now, id(who), None, &mut desk.out)),
            Action::Force { who, liquidates: false } => {
                ignore(desk.exchange.deleverage(now, id(who), btc(), PositionSide::Both, None, &mut desk.out));
            }
            Action::CancelAll { who } => {
                let told = desk.command(NAMES[who], &VenueCommand::CancelAll { symbol: None });
                return told.into_iter().map(|output| output.event).collect();
            }
        }
        desk.out.drain(..).map(|output| output.event).collect()
    }
}

impl Desk {
    fn moves_thin(&mut self, ticks: i64) -> Vec<VenueEvent> {
        let mut events = self.snapshot(&[(ticks - 5, 700), (ticks - 90, 3_000)], &[(ticks + 5, 700), (ticks + 90, 3_000)]);
        events.extend(self.print(ticks, 1, true));
        events.extend(self.mark(ticks));
        events
    }
}

fn check_money(desk: &Desk, told: &[UserReport]) {
    let saved = desk.exchange.saved_state();
    for name in NAMES {
        desk.check_ledger(name, DEPOSIT);
        let row = saved.accounts.iter().find(|row| row.account == account(name)).unwrap();
        let leg = row.symbols.first().map(|slot| slot.net).unwrap_or_default();
        // wallet − cost is the deposit less what was paid and plus what was got, exactly.
        let trades: Decimal = saved
            .trades
            .iter()
            .filter(|trade| trade.fill.account == account(name))
            .map(|trade| trade.fill.price.0 * trade.fill.side.signed(trade.fill.quantity).0 + trade.fill.fee.0)
            .sum();
        let besides = desk.income(name, IncomeKind::FundingFee) + desk.income(name, IncomeKind::InsuranceClear);
        assert_eq!(row.wallet - leg.cost, Decimal::from(DEPOSIT) - trades + besides, "{name}");
        assert!(leg.lots != 0 || leg.isolated.is_zero(), "{name}: isolated margin of nothing");
        assert!(leg.lots != 0 || leg.cost.is_zero(), "{name}: cost of nothing");
    }
    // What the stream said last is what is so.
    for name in NAMES {
        let last = told.iter().rev().find_map(|report| match &report.event {
            UserEvent::Margin { wallets, .. } if report.account == account(name) => Some(wallets[0].wallet),
            _ => None,
        });
        assert!(last.is_none_or(|wallet| wallet == Money(desk.wallet(name))), "{name}");
    }
}

/// After the mark was looked at, everybody has his maintenance margin, or nothing at stake and no debt.
fn check_solvency(desk: &Desk) {
    for name in NAMES {
        let risk = desk.risk(name);
        let shown = desk.exchange.account_margin(account(name)).unwrap().assets[0];
        if risk.quantity.is_zero() {
            assert!(!shown.wallet.is_negative(), "{name} owes {}", shown.wallet);
        } else if risk.isolated {
            assert!(risk.isolated_margin >= risk.maintenance, "{name}: {risk:?}");
        } else {
            assert!(shown.margin_balance >= shown.maintenance, "{name}: {shown:?}");
        }
    }
}

/// Keeps a copy of the state by the change log alone.
fn follow(copy: &mut SavedState, changes: Changes) {
    for row in changes.accounts {
        match copy.accounts.iter_mut().find(|known| known.account == row.account) {
            Some(known) => *known = row,
            None => copy.accounts.push(row),
        }
    }
    for (open, gone, now) in [(&mut copy.open, &changes.gone, changes.open), (&mut copy.algos, &changes.algos_gone, changes.algos)] {
        // Whichever the reader takes first.
        assert!(!now.iter().any(|row| gone.contains(&row.order.id)), "{now:?} {gone:?}");
        open.retain(|row| !gone.contains(&row.order.id) && !now.iter().any(|new| new.order.id == row.order.id));
        open.extend(now);
        open.sort_by_key(|row| row.order.id);
    }
    for row in changes.algos_ended {
        match copy.algos_ended.iter_mut().find(|known| known.algo.algo_id() == row.algo.algo_id()) {
            Some(known) => *known = row,
            None => copy.algos_ended.push(row),
        }
    }
    copy.trades.extend(changes.trades);
    copy.trades.sort_by_key(|trade| (trade.fill.trade_id, trade.fill.venue_order_id));
    copy.income.extend(changes.income);
    copy.income.sort_by_key(|row| row.transaction_id);
    copy.fundings.extend(changes.fundings);
    copy.counters = changes.counters;
}

fn comparable(mut state: SavedState) -> SavedState {
    state.open.iter_mut().for_each(|row| row.order.queue_ahead = 0);
    state.income.sort_by_key(|row| row.transaction_id);
    state.algos_ended.sort_by_key(|row| row.algo.algo_id());
    // An account's balance is dated when the clock first sees it, which is no change.
    state.accounts.iter_mut().for_each(|row| row.margin.updated_at = Timestamp::ZERO);
    SavedState { closed: Vec::new(), markets: Vec::new(), ..state }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn money_is_conserved_and_nobody_owes(actions in prop::collection::vec(action(), 1..60)) {
        let mut world = World::new();
        let (mut copy, mut told) = (SavedState::default(), Vec::new());
        for action in &actions {
            let before: Vec<Quantity> = NAMES.iter().map(|name| world.desk.position(name)).collect();
            let events = world.step(action);
            let reducing = match action {
                Action::Trade { who, reduces: true, .. } => Some(*who),
                Action::Rest { who, reduces: true, .. } => Some(*who),
                _ => None,
            };
            // Where nobody else's order met the account's own, its position moved by this order alone.
            if let Some(who) = reducing.filter(|who| fills(&events).iter().filter(|fill| fill.account == account(NAMES[*who])).count() < 2) {
                let after = world.desk.position(NAMES[who]);
                prop_assert!(after.is_zero() || after.is_positive() == before[who].is_positive(), "reduce-only flipped");
                prop_assert!(after.abs() <= before[who].abs(), "reduce-only enlarged");
            }
            told.extend(world.desk.exchange.drain_reports());
            check_money(&world.desk, &told);
            if matches!(action, Action::Move { .. }) {
                check_solvency(&world.desk);
            }
            follow(&mut copy, world.desk.exchange.drain_changes());
        }
        prop_assert_eq!(comparable(copy), comparable(world.desk.exchange.saved_state()));
    }

    #[test]
    fn the_same_inputs_make_the_same_outputs(actions in prop::collection::vec(action(), 1..40)) {
        let run = || {
            let mut world = World::new();
            let events: Vec<_> = actions.iter().map(|action| world.step(action)).collect();
            (events, world.desk.exchange.drain_reports(), world.desk.exchange.drain_forced_orders(), world.desk.exchange.saved_state())
        };
        prop_assert_eq!(run(), run());
    }
}
