//! The plan's faults, one by one: to the venue, to the device, to the clocks, or to an actor, at the moment that the seed drew. A
//! fault counts when it has an effect; what was only armed is counted where it strikes.

use std::sync::Arc;

use crate::domain::ids::{AccountId, IntentId, StrategyId, Symbol};
use crate::domain::money::{Price, Quantity};
use crate::domain::order::{OrderIntent, OrderKind, PositionSide, Side, TimeInForce};
use crate::domain::restart::ExitHow;
use crate::messages::RiskMessage;
use rust_decimal::Decimal;

use super::daemon::{Actor, Ambush, Blow, Event, Fuse, Mail, Role};
use super::disk::DiskFault;
use super::venue::VenueFault;
use super::world::World;
use super::{Class, Place};

/// The proposer's slot of what misbehaves: strategies have lower ones, the kill switch the last.
const ROGUE_SLOT: u16 = 0xE00;
/// A message has rarely more effects than this, so that a fuse of this length burns anywhere in it.
const EFFECTS_MAX: u64 = 12;

impl World {
    pub(super) fn fault(&mut self, number: usize) {
        if self.calm {
            return;
        }
        let class = self.plan.faults[number].class;
        match class.place() {
            Place::Venue => {
                let mut hub = self.hub.borrow_mut();
                let accounts = hub.scene.accounts.clone();
                let fault = VenueFault::draw(class, &accounts, &mut hub.chances.fault);
                let now = hub.now;
                hub.venue.fault(now, &fault);
            }
            Place::Disk => {
                let mut hub = self.hub.borrow_mut();
                let fault = DiskFault::draw(class, &mut hub.chances.fault);
                let now = hub.now;
                if let Some(journal) = &mut hub.journal {
                    journal.fail(now, &fault);
                }
                drop(hub);
                // What a power cut leaves of a write is seen at a power cut only.
                if matches!(class, Class::F19Torn | Class::F19Lost | Class::F19Reordered) && self.hub.borrow().up {
                    self.hub.borrow_mut().fired(Class::F20Kill, None);
                    self.kill_process(true);
                }
            }
            Place::Daemon => self.daemon_fault(class),
            Place::Clock => self.clock_fault(class),
            Place::Operator => self.operator_fault(class),
            Place::Strategy => self.rogue(class),
        }
    }

    fn daemon_fault(&mut self, class: Class) {
        if !self.hub.borrow().up {
            return;
        }
        match class {
            Class::F20Kill => {
                let mut hub = self.hub.borrow_mut();
                let power = hub.chances.fault.chance(300_000);
                let somewhere = hub.chances.fault.chance(500_000);
                drop(hub);
                // Half of them in the middle of somebody's message.
                match self.victim().filter(|_| somewhere) {
                    Some(role) => self.doom(role, Blow::Kill { power, class }),
                    None => {
                        self.hub.borrow_mut().fired(class, None);
                        self.kill_process(power);
                    }
                }
            }
            Class::F20KillBeforeSend => {
                let mut hub = self.hub.borrow_mut();
                let ambushes = [Ambush::Written, Ambush::Durable, Ambush::Left];
                hub.ambush = hub.chances.fault.pick(&ambushes).copied();
            }
            Class::F21Redelivered => self.hub.borrow_mut().redeliver = true,
            Class::F25Panic => {
                if let Some(role) = self.victim() {
                    self.doom(role, Blow::Panic);
                }
            }
            Class::F25Kill => {
                if let Some((role, incarnation)) = self.living() {
                    self.counts(class, role);
                    self.end(role, incarnation, ExitHow::Killed);
                }
            }
            Class::F25Wedge => self.stick(class, false),
            Class::F25Spin => self.stick(class, true),
            _ => {}
        }
    }

    fn doom(&mut self, role: Role, blow: Blow) {
        let left = u32::try_from(self.hub.borrow_mut().chances.fault.below(EFFECTS_MAX)).unwrap_or_default();
        self.doomed.insert(role, Fuse { left, blow, blown: false });
    }

    fn victim(&self) -> Option<Role> {
        self.living().map(|(role, _)| role)
    }

    /// Somebody who is there: the seed draws among all.
    fn living(&self) -> Option<(Role, crate::domain::ids::Incarnation)> {
        let mut hub = self.hub.borrow_mut();
        let here: Vec<_> = hub
            .boxes
            .iter()
            .filter(|(_, mailbox)| mailbox.published && !mailbox.wedged && !mailbox.spinning)
            .filter_map(|(role, mailbox)| Some((*role, mailbox.owner?)))
            .collect();
        hub.chances.fault.pick(&here).copied()
    }

    /// Waits for ever, or spins. One that spins on the trading thread takes the thread along.
    fn stick(&mut self, class: Class, spins: bool) {
        let Some((role, _)) = self.living() else { return };
        let mut hub = self.hub.borrow_mut();
        let on = match role {
            Role::Executor(at) | Role::Stream(at) => hub.scene.accounts.get(at).copied(),
            _ => None,
        };
        hub.fired(class, on);
        hub.say(role, format_args!("{}", if spins { "spins" } else { "waits for ever" }));
        if let Some(mailbox) = hub.boxes.get_mut(&role) {
            (mailbox.wedged, mailbox.spinning) = (!spins, spins);
        }
        if spins && role.is_trading() && !self.app.trading_stands {
            self.app.trading_stands = true;
            let due = hub.now + hub.scene.settings.supervision.thread_deadline;
            hub.at(due, Event::Watchdog);
        }
    }

    fn clock_fault(&mut self, class: Class) {
        let mut hub = self.hub.borrow_mut();
        let now = hub.now;
        match class {
            Class::ClockStep => {
                // Up to ten seconds either way; a day's change now and then.
                let by = hub.chances.fault.between(0, 20_000);
                let millis = i64::try_from(by).unwrap_or_default() - 10_000;
                hub.clock.step_wall(millis * 1_000_000);
            }
            Class::ClockDrift => {
                let fast = hub.chances.fault.between(0, 40_000);
                hub.clock.set_rate(now, i64::try_from(fast).unwrap_or_default() - 20_000);
            }
            _ => return,
        }
        hub.fired(class, None);
    }

    /// What a strategy without any sense proposes.
    fn rogue(&mut self, class: Class) {
        let crossing = (class == Class::StrategyCrosses).then(|| self.crossing()).flatten();
        let mut hub = self.hub.borrow_mut();
        let (symbols, accounts) = (hub.scene.symbols.clone(), hub.scene.accounts.clone());
        let random = &mut hub.chances.fault;
        let (Some(symbol), Some(account)) = (random.pick(&symbols).copied(), random.pick(&accounts).copied()) else { return };
        let strategy = hub.scene.strategies[0];
        let side = if hub.chances.fault.below(2) == 0 { Side::Buy } else { Side::Sell };
        let price = self.boards.board.get(symbol).and_then(|view| view.reference()).unwrap_or_default();
        let lot = hub.scene.limits.instruments.get(&symbol).map(|instrument| instrument.min_quantity).unwrap_or_default();
        let (account, symbol, side, kind, quantity) = match class {
            Class::StrategyNonsense => {
                let odd = [Quantity::ZERO, -lot, Quantity(Decimal::new(1, 12)), Quantity(Decimal::MAX)];
                let prices = [Price::ZERO, -price, Price(Decimal::new(1, 12)), Price(Decimal::MAX), price];
                let quantity = hub.chances.fault.pick(&odd).copied().unwrap_or_default();
                let price = hub.chances.fault.pick(&prices).copied().unwrap_or_default();
                (account, symbol, side, OrderKind::Limit { price }, quantity)
            }
            Class::StrategyHuge => {
                (account, symbol, side, OrderKind::Market, Quantity(Decimal::from(hub.chances.fault.between(50, 5_000))))
            }
            Class::StrategyCrosses => match crossing {
                Some(crossing) => crossing,
                None => return,
            },
            _ => (account, symbol, side, OrderKind::Market, Quantity(lot.0 * Decimal::from(3))),
        };
        let times = if class == Class::StrategyDuplicate { 3 } else { 1 };
        for _ in 0..times {
            self.lasting.rogue += 1;
            let id = IntentId::compose(hub.epoch, ROGUE_SLOT, self.lasting.rogue);
            let intent = intent(id, strategy, account, symbol, side, kind, quantity, hub.time());
            hub.say(Role::Strategy(0), format_args!("misbehaves: {intent:?}"));
            if hub.post(Role::Risk, Mail::Risk(RiskMessage::Propose(Arc::new(intent)))).is_ok() {
                hub.fired(class, Some(account));
            }
        }
    }

    /// The other side of a neighbour's resting order, at its price.
    fn crossing(&self) -> Option<(AccountId, Symbol, Side, OrderKind, Quantity)> {
        let mut resting = Vec::new();
        for (_, actor) in self.actors.values() {
            let Actor::Executor(rules) = actor else { continue };
            for order in rules.machine().open_orders() {
                if let OrderKind::Limit { .. } = order.order.kind {
                    resting.push((rules.machine().account(), order.order.clone()));
                }
            }
        }
        let mut hub = self.hub.borrow_mut();
        let (owner, order) = hub.chances.fault.pick(&resting).cloned()?;
        let others: Vec<AccountId> = hub.scene.accounts.iter().copied().filter(|account| *account != owner).collect();
        let account = hub.chances.fault.pick(&others).copied()?;
        Some((account, order.symbol, order.side.opposite(), order.kind, order.quantity))
    }
}

#[allow(clippy::too_many_arguments, reason = "an intent's own fields, filled in one place")]
fn intent(
    id: IntentId,
    strategy: StrategyId,
    account: AccountId,
    symbol: Symbol,
    side: Side,
    kind: OrderKind,
    quantity: Quantity,
    decided_at: crate::domain::time::Timestamp,
) -> OrderIntent {
    OrderIntent {
        id,
        strategy,
        account,
        symbol,
        side,
        position_side: PositionSide::Both,
        kind,
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity,
        reduce_only: false,
        stop: None,
        decided_at,
        reason: "misbehaves".to_owned(),
        trace: None,
    }
}
