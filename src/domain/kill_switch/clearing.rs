//! How the kill switch closes a position without meeting an own order (C23): what another account of the same owner has resting
//! against the close is cancelled first, and the venue has to show that it is gone. Meanwhile nothing of the kind may come to
//! rest: the gate bars it before anybody is asked, so that what the venue shows then is all that there will be. A close is an
//! order at the market, which only meets what rests.

use super::*;

/// Who is in the way of an account's closing orders.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Way {
    /// What is closed: the symbol, and the side of the order that closes it.
    closes: BTreeSet<(Symbol, Side)>,
    /// Accounts of the same owner that have not shown since the bar that nothing of theirs stands against it.
    unclear: BTreeSet<AccountId>,
}

impl Way {
    pub(super) fn ask(&self, round: u64, out: &mut Outbox<Record, Effect>) {
        for account in &self.unclear {
            let command = VenueCommand::Snapshot { trades: TradesWanted::new() };
            out.push(Effect::Send { account: *account, round, command });
        }
    }
}

/// The orders that would close what is held.
fn closes(snapshot: &VenueSnapshot) -> BTreeSet<(Symbol, Side)> {
    let held = snapshot.positions.iter().filter(|position| !position.to_close().is_zero());
    held.map(|position| (position.symbol, if position.quantity.is_positive() { Side::Sell } else { Side::Buy })).collect()
}

impl KillSwitch {
    fn owner(&self, account: AccountId) -> OwnerId {
        self.accounts.get(&account).map(|plan| plan.owner).unwrap_or_default()
    }

    /// The accounts of the same owner, the account itself not among them.
    fn siblings(&self, account: AccountId) -> impl Iterator<Item = AccountId> {
        let owner = self.owner(account);
        self.accounts.iter().filter(move |(id, plan)| plan.owner == owner && **id != account).map(|(id, _)| *id)
    }

    /// What must not rest as long as these sweeps close positions.
    pub(super) fn bars(&self) -> BTreeSet<(AccountId, Symbol, Side)> {
        let closing = self.sweeps.iter().filter_map(|(account, sweep)| Some((*account, sweep.way.as_ref()?)));
        let against = |(account, way): (AccountId, &Way)| {
            let all: Vec<AccountId> = self.siblings(account).chain([account]).collect();
            let barred = way.closes.iter().map(|(symbol, side)| (*symbol, side.opposite())).collect::<Vec<_>>();
            all.into_iter().flat_map(move |id| barred.clone().into_iter().map(move |(symbol, side)| (id, symbol, side)))
        };
        closing.flat_map(against).collect()
    }

    /// Whether nothing of the owner's stands against what closes the positions that are shown.
    pub(super) fn may_close(&self, account: AccountId, snapshot: &VenueSnapshot) -> bool {
        let way = self.sweeps.get(&account).and_then(|sweep| sweep.way.as_ref());
        way.is_some_and(|way| way.unclear.is_empty() && closes(snapshot).is_subset(&way.closes)) || self.siblings(account).next().is_none()
    }

    /// Bars what could come to rest against the close, then asks every account of the owner what it has there.
    pub(super) fn clear_the_way(&mut self, account: AccountId, snapshot: &VenueSnapshot, out: &mut Outbox<Record, Effect>) {
        let (siblings, wanted) = (self.siblings(account).collect::<BTreeSet<_>>(), closes(snapshot));
        let Some(sweep) = self.sweeps.get_mut(&account) else { return };
        let round = sweep.round;
        if sweep.way.as_ref().is_some_and(|way| wanted.is_subset(&way.closes)) {
            let waiting = sweep.way.iter().flat_map(|way| &way.unclear).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            sweep.last_why = format!("orders of {waiting} may stand against what closes its positions: they are being cancelled");
            return;
        }
        let mut closes = wanted;
        closes.extend(sweep.way.iter().flat_map(|way| &way.closes).copied());
        let way = Way { closes, unclear: siblings };
        sweep.way = Some(way.clone());
        self.tell_modes(out);
        way.ask(round, out);
    }

    /// What a sibling shows while the way is being cleared: cancelled until it shows nothing, then the account is looked at again.
    pub(super) fn shows_the_way(
        &mut self,
        now: Timestamp,
        (sibling, round): (AccountId, u64),
        snapshot: &VenueSnapshot,
        out: &mut Outbox<Record, Effect>,
    ) {
        let Some((account, sweep)) = self.sweeps.iter_mut().find(|(_, sweep)| sweep.round == round) else { return };
        let Some(way) = sweep.way.as_mut().filter(|way| way.unclear.contains(&sibling)) else { return };
        if snapshot.on_their_way > 0 {
            sweep.last_why = format!("orders of {sibling} that left before have no answer yet and may stand against the close");
            return;
        }
        // A snapshot does not say how long an order is in force: one that is listed stands.
        let stands = |order: &&super::super::order::VenueOrder| {
            order.kind.limit_price().is_some() && way.closes.contains(&(order.symbol, order.side.opposite()))
        };
        let against: Vec<_> = snapshot.open_orders.iter().filter(stands).map(|order| (order.symbol, order.client_order_id)).collect();
        for (symbol, client_order_id) in &against {
            let command = VenueCommand::Cancel { symbol: *symbol, client_order_id: *client_order_id };
            out.push(Effect::Send { account: sibling, round, command });
        }
        if !against.is_empty() {
            sweep.last_why = format!("{} orders of {sibling} stand against the close and are being cancelled", against.len());
            sweep.next_try = sweep.next_try.min(now + RETRY_AFTER);
            return;
        }
        way.unclear.remove(&sibling);
        if way.unclear.is_empty() {
            let command = VenueCommand::Snapshot { trades: TradesWanted::new() };
            out.push(Effect::Send { account: *account, round, command });
        }
    }
}
