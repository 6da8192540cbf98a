//! I8: accounts of one owner never cross. No two of their orders trade with each other, and none leaves while another that it
//! could meet is on its way or at the venue. The venue's self-trade prevention is no cure: that it had to act is a cross. The
//! kill switch's closing orders ask nobody, and a person's hand cannot be held: what meets those is no fault of the daemon's.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::order::{EndReason, Fill, NewOrder};
use crate::domain::time::Timestamp;

use super::super::venue::VenueFact;
use super::look::{Invariant, Look};
use super::observation::{Holder, Observation, Sender};
use super::orders::{Orders, could_match, described};

/// How long an order that asked nobody may meet others: the longest that one of them is on its way.
const EXCUSED: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Crossing {
    owners: BTreeMap<AccountId, u32>,
    /// Whose order each side of a trade was, by the trade's id.
    trades: BTreeMap<(Symbol, u64), (AccountId, ClientOrderId)>,
    /// When an order that asked nobody last came from an owner.
    unasked: BTreeMap<u32, Timestamp>,
}

impl Crossing {
    /// `orders` as they are before this observation.
    pub(super) fn observe(&mut self, look: &mut Look, orders: &Orders, seen: &Observation<'_>) {
        match seen {
            Observation::Began { holders, .. } => {
                self.owners = holders.iter().map(|Holder { account, owner, .. }| (*account, *owner)).collect();
            }
            Observation::Left { account, by: Sender::Executor, order } => self.left(look, orders, *account, order),
            Observation::Left { account, .. } => self.excuse(look, *account),
            Observation::Venue(VenueFact::FromOutside { account, .. }) => self.excuse(look, *account),
            Observation::Venue(VenueFact::Traded(fill)) => self.traded(look, orders, fill),
            Observation::Venue(VenueFact::Ended { account, id, reason: EndReason::SelfTradePrevented }) => {
                self.prevented(look, *account, *id);
            }
            _ => {}
        }
    }

    fn excuse(&mut self, look: &Look, account: AccountId) {
        if let Some(owner) = self.owners.get(&account) {
            self.unasked.insert(*owner, look.now);
        }
    }

    fn is_excused(&self, look: &Look, owner: u32) -> bool {
        self.unasked.get(&owner).is_some_and(|at| look.now.since(*at) < EXCUSED)
    }

    fn left(&self, look: &mut Look, orders: &Orders, account: AccountId, order: &NewOrder) {
        let Some(owner) = self.owners.get(&account) else { return };
        look.at(Invariant::I8);
        let ours = orders.live().filter(|known| known.has_left() && known.order.client_order_id != order.client_order_id);
        let mut siblings = ours.filter(|known| self.owners.get(&known.account) == Some(owner));
        if let Some(met) = siblings.find(|known| could_match(order, &known.order)) {
            let id = order.client_order_id;
            let found = format!("{account}'s {id} to {} {} left while {} could trade", order.side, order.symbol, described(met));
            look.broke(Invariant::I8, format!("no two orders of owner {owner} that could meet"), found);
        }
    }

    fn traded(&mut self, look: &mut Look, orders: &Orders, fill: &Fill) {
        let (id, account) = (fill.client_order_id, fill.account);
        let Some((other, with)) = self.trades.insert((fill.symbol, fill.trade_id), (account, id)) else { return };
        look.at(Invariant::I8);
        let owner = self.owners.get(&account);
        let ours = [id, with].iter().all(|id| orders.get(*id).is_some());
        if with != id
            && ours
            && owner.is_some()
            && owner == self.owners.get(&other)
            && !owner.is_some_and(|owner| self.is_excused(look, *owner))
        {
            let found = format!("{account}'s {id} traded with {other}'s {with} in trade {}", fill.trade_id);
            look.broke(Invariant::I8, "no trade between accounts of one owner", found);
        }
    }

    fn prevented(&self, look: &mut Look, account: AccountId, id: ClientOrderId) {
        let Some(owner) = self.owners.get(&account).filter(|owner| !self.is_excused(look, **owner)) else { return };
        look.at(Invariant::I8);
        look.broke(Invariant::I8, format!("orders of owner {owner} that do not meet"), format!("the venue had to prevent it: {id} ended"));
    }
}
