//! What becomes of an order that could meet one of the owner's own (C23). One that may open is refused. One that only reduces
//! waits: whoever is in its way is asked to be cancelled, and it leaves when the venue has confirmed that. Nothing leaves on a
//! delay: an order of unknown outcome is in the way for as long as it is unknown.
//!
//! **Who makes way.** A close or a stop, which never rests, displaces whatever of ours rests in its way, targets of other
//! positions included: to be out matters more than a better price. A target at a limit displaces only what opens. A stranger's
//! order, a person's, is displaced by nobody: it is waited for.
//!
//! **Accounts that have not spoken.** A restarted risk manager counts what the journal has, but an executor may hold an approval
//! of its predecessor. Until every account of the owner that trades the symbol has answered, or is known to have no executor,
//! nothing passes that could be met; that takes a message's time, however long a venue is silent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::ids::{AccountId, ClientOrderId, Epoch, Symbol};
use super::super::mutants::{self, Mutant};
use super::super::order::OrderIntent;
use super::super::time::Timestamp;
use super::checks::{Broken, no};
use super::gate::{Known, OrderKey, Reach, Standing};
use super::{Out, RiskMachine, controls, refuse};

/// Orders that may wait at once: every account's stops and targets on a handful of symbols. One more is refused, and its
/// strategy closes or tries again.
const WAITING_MAX: usize = 256;
/// How long one may wait: less than a strategy waits for an answer (10 s), so that none is proposed twice.
const WAIT_MAX: Duration = Duration::from_secs(8);
/// Between two asks for the same cancel: an executor that died with the first one is back within.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// One reducing order that waits.
#[derive(Debug)]
struct Waiting {
    intent: Arc<OrderIntent>,
    since: Timestamp,
    /// Whose cancel was asked for, and when.
    asked: BTreeMap<OrderKey, Timestamp>,
}

/// The waiting room, in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Room(Vec<Waiting>);

impl RiskMachine {
    /// Whether an order would meet none of its owner's.
    pub(super) fn crosses_nothing(&self, intent: &OrderIntent) -> Result<(), Broken> {
        let reach = Reach::of(intent.side, intent.kind, intent.time_in_force);
        let OrderIntent { account, symbol, side, .. } = *intent;
        if reach.rests && self.modes.is_barred(account, symbol, side) {
            return Err(no(controls::OWN_CROSS, "no order against the kill switch's close", format!("a {side} that may rest on {symbol}")));
        }
        let owner = self.owner(account);
        if let Some((key, standing)) = self.gate.met_by(owner, symbol, reach).find(|_| !mutants::on(Mutant::OwnCrossAllowed)) {
            let name = standing.name.map_or_else(|| format!("{:?}", key.order), |name| name.to_string());
            let found = format!("{side} of {account} could meet {} {name} of {}", standing.reach.side, key.account);
            return Err(no(controls::OWN_CROSS, format!("no order of {owner} meets another"), found));
        }
        match self.unspoken(account, symbol) {
            Some(silent) => {
                Err(no(controls::OWN_CROSS, "every account of the owner has said what it has open", format!("{silent} has not yet")))
            }
            None => Ok(()),
        }
    }

    /// An account of the same owner that trades the symbol and may hold an approval that nobody here knows of.
    fn unspoken(&self, account: AccountId, symbol: Symbol) -> Option<AccountId> {
        let owner = self.owner(account);
        let trades = self.limits.accounts.iter().filter(|(_, limits)| limits.owner == owner && limits.symbols.contains_key(&symbol));
        trades.map(|(id, _)| *id).find(|id| !self.has_spoken(*id))
    }

    /// Takes a reducing order into the waiting room, or refuses it where it must not displace what is in its way.
    pub(super) fn wait(&mut self, now: Timestamp, intent: Arc<OrderIntent>, broken: Broken, out: &mut Out) {
        self.remember(intent.id);
        if self.room.0.len() >= WAITING_MAX || self.must_yield(&intent) {
            return refuse(intent, broken, out);
        }
        self.displace_waiting(&intent, out);
        let owner = self.owner(intent.account);
        self.gate.put(owner, OrderKey::of(&intent), Standing::intended(&intent, true));
        self.room.0.push(Waiting { intent, since: now, asked: BTreeMap::new() });
        self.let_out(now, out);
    }

    /// A target does not displace what protects or closes another position.
    fn must_yield(&self, intent: &OrderIntent) -> bool {
        let reach = Reach::of(intent.side, intent.kind, intent.time_in_force);
        reach.rests && self.gate.met_by(self.owner(intent.account), intent.symbol, reach).any(|(_, standing)| standing.reduce_only)
    }

    /// Targets that wait make way at once for what never rests: nobody has to confirm anything.
    fn displace_waiting(&mut self, intent: &OrderIntent, out: &mut Out) {
        let reach = Reach::of(intent.side, intent.kind, intent.time_in_force);
        let met = self.gate.met_by(self.owner(intent.account), intent.symbol, reach);
        let waiting: Vec<OrderKey> = met.filter(|(_, standing)| standing.waiting).map(|(key, _)| key).collect();
        for key in waiting {
            let Some(at) = self.room.0.iter().position(|waiting| OrderKey::of(&waiting.intent) == key) else { continue };
            let displaced = self.room.0.remove(at).intent;
            self.gate.take(key);
            let found = format!("{} of {} goes first", intent.reason, intent.account);
            refuse(displaced, no(controls::OWN_CROSS, "a target makes way for a close", found), out);
        }
    }

    /// Lets out of the room whatever has nothing in its way any more, asks for what is, and gives up what waited too long. What
    /// leaves is checked like any other order: much may have changed.
    pub(super) fn let_out(&mut self, now: Timestamp, out: &mut Out) {
        if self.room.0.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.room.0);
        waiting.retain_mut(|one| {
            let intent = Arc::clone(&one.intent);
            let Err(broken) = self.crosses_nothing(&intent) else {
                self.gate.take(OrderKey::of(&intent));
                match self.check(now, &intent) {
                    Ok(passed) => self.approve(now, intent, passed, out),
                    Err(broken) => refuse(intent, broken, out),
                }
                return false;
            };
            if now.since(one.since) >= WAIT_MAX {
                self.gate.take(OrderKey::of(&intent));
                let found = format!("{} for {WAIT_MAX:?}", broken.value);
                refuse(intent, Broken { value: found, ..broken }, out);
                return false;
            }
            self.ask_for_way(now, one, out);
            true
        });
        // Nobody enters while it is being emptied; what was approved meanwhile is at the gate.
        debug_assert!(self.room.0.is_empty());
        self.room.0 = waiting;
    }

    fn ask_for_way(&mut self, now: Timestamp, one: &mut Waiting, out: &mut Out) {
        let reach = Reach::of(one.intent.side, one.intent.kind, one.intent.time_in_force);
        let owner = self.owner(one.intent.account);
        let ours = |standing: &Standing| standing.strategy.is_some() && !standing.waiting;
        let met = self.gate.met_by(owner, one.intent.symbol, reach).filter(|(_, standing)| ours(standing));
        let in_the_way: Vec<(OrderKey, Option<ClientOrderId>)> =
            met.map(|(key, standing)| (key, standing.name.or_else(|| composed(key)))).collect();
        for (key, name) in in_the_way {
            let due = one.asked.get(&key).is_none_or(|asked| now.since(*asked) >= ASK_EVERY);
            let (true, Some(name)) = (due, name) else { continue };
            one.asked.insert(key, now);
            let reason = format!("{}: {} of {} must leave", controls::OWN_CROSS, one.intent.reason, one.intent.account);
            self.cancel(now, key.account, one.intent.symbol, name, reason, out);
        }
    }
}

/// The name that an executor gives to an order that it has not reported yet: intents carry their epoch.
fn composed(key: OrderKey) -> Option<ClientOrderId> {
    let Known::Intent(intent) = key.order else { return None };
    let epoch = Epoch(u32::try_from(intent.0 >> 44).ok()?);
    Some(ClientOrderId::compose(key.account, epoch, intent))
}
