//! What a strategy has in its hands while it decides: the time, its markets, accounts, positions and orders, and the way to
//! ask for more. A desk lives for one input. It proposes; it approves nothing and sends nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::ids::{AccountId, IntentId, StrategyId, Symbol};
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market::MarketView;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{OrderIntent, OrderKind, PositionSide, Side, TimeInForce};
use crate::domain::position::Position;
use crate::domain::time::Timestamp;

use super::StrategyEffect;
use super::books::{ANSWER_MAX, Books, Cancel, WorkingOrder};

/// An order as a strategy wishes it; the desk adds the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub account: AccountId,
    pub symbol: Symbol,
    pub side: Side,
    pub kind: OrderKind,
    pub time_in_force: TimeInForce,
    pub quantity: Quantity,
    pub reduce_only: bool,
    /// Where the strategy will cut the loss of what this opens: risk counts the way there, and without one the way to the
    /// collar's end.
    pub stop: Option<Price>,
    /// Why, in a word or two, for the journal.
    pub reason: String,
}

impl Draft {
    /// A market order that may open a position.
    #[must_use]
    pub fn market(account: AccountId, symbol: Symbol, side: Side, quantity: Quantity, reason: impl Into<String>) -> Self {
        let kind = OrderKind::Market;
        Self {
            account,
            symbol,
            side,
            kind,
            time_in_force: TimeInForce::default(),
            quantity,
            reduce_only: false,
            stop: None,
            reason: reason.into(),
        }
    }

    /// The same, but it may only make the position smaller.
    #[must_use]
    pub fn reducing(self) -> Self {
        Self { reduce_only: true, ..self }
    }

    /// The same, with the stop that the strategy will place once it has filled.
    #[must_use]
    pub fn stopped_at(self, stop: Option<Price>) -> Self {
        Self { stop, ..self }
    }

    #[must_use]
    pub fn of_kind(self, kind: OrderKind) -> Self {
        Self { kind, ..self }
    }
}

/// Numbers intents and carries who they are from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbering {
    pub strategy: StrategyId,
    pub epoch: crate::domain::ids::Epoch,
    pub slot: u16,
    pub next: u32,
}

impl Numbering {
    fn take(&mut self) -> IntentId {
        let id = IntentId::compose(self.epoch, self.slot, self.next);
        // At 300 intents a second without a pause it takes five months to come round. From then on risk, which remembers the
        // newest id of each proposer, refuses every intent of this strategy as a duplicate: nothing is sent twice, and nothing
        // more is sent. A restart of the daemon begins a new epoch, whose ids are newer than all before.
        self.next = self.next.wrapping_add(1);
        id
    }
}

/// Times at which the host must look up, whatever it is fed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Alarms {
    /// The earliest time the strategy asked for.
    pub wake: Option<Timestamp>,
    /// The earliest time a proposal or a cancel has waited too long for its answer.
    pub answer: Option<Timestamp>,
}

impl Alarms {
    pub(super) fn sooner(slot: &mut Option<Timestamp>, at: Timestamp) {
        *slot = Some(slot.map_or(at, |earlier| earlier.min(at)));
    }
}

pub struct Desk<'a> {
    pub(super) now: Timestamp,
    pub(super) books: &'a mut Books,
    pub(super) numbering: &'a mut Numbering,
    pub(super) alarms: &'a mut Alarms,
    pub(super) effects: &'a mut Vec<StrategyEffect>,
    pub(super) warming: bool,
}

impl Desk<'_> {
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The accounts that may be traded now, in their order: those whose books are known. Cheap to take, and the desk stays
    /// free to propose while it is walked.
    #[must_use]
    pub fn accounts(&self) -> Arc<[AccountId]> {
        Arc::clone(&self.books.open_accounts)
    }

    /// The symbols that the strategy was given, in their order.
    #[must_use]
    pub fn symbols(&self) -> Arc<[Symbol]> {
        Arc::clone(&self.books.symbols)
    }

    #[must_use]
    pub fn instrument(&self, symbol: Symbol) -> Option<&Instrument> {
        self.books.markets.get(&symbol).map(|market| &market.instrument)
    }

    #[must_use]
    pub fn market(&self, symbol: Symbol) -> Option<&MarketView> {
        self.books.markets.get(&symbol)?.view.as_ref()
    }

    /// The strategy's position, signed: short is negative. On spot, where fees are taken out of what is bought, it is what of the
    /// holding an order can sell: whole lots, and none where they are fewer than the venue takes.
    #[must_use]
    pub fn position(&self, account: AccountId, symbol: Symbol) -> Quantity {
        let Some(known) = self.books.accounts.get(&account) else { return Quantity::ZERO };
        let held = known.positions.get(&symbol).map(Position::quantity).unwrap_or_default();
        match self.instrument(symbol) {
            Some(instrument) if instrument.kind == InstrumentKind::Spot => sellable(instrument, held),
            _ => held,
        }
    }

    /// The position's average entry, for placing stops and targets; `None` when flat or unknown.
    #[must_use]
    pub fn entry_price(&self, account: AccountId, symbol: Symbol) -> Option<Price> {
        self.books.accounts.get(&account)?.positions.get(&symbol)?.entry_price().filter(|price| price.is_positive())
    }

    /// The strategy's orders that are not terminal, proposals without an answer included, oldest first.
    #[must_use]
    pub fn working(&self, account: AccountId, symbol: Symbol) -> &[WorkingOrder] {
        self.books.accounts.get(&account).and_then(|known| known.working.get(&symbol)).map_or(&[], Vec::as_slice)
    }

    /// The symbols on which the account has a position or a working order, in their order.
    #[must_use]
    pub fn active(&self, account: AccountId) -> BTreeSet<Symbol> {
        let Some(known) = self.books.accounts.get(&account) else { return BTreeSet::new() };
        let held = known.positions.keys().copied().filter(|symbol| !self.position(account, *symbol).is_zero());
        let working = known.working.iter().filter(|(_, orders)| !orders.is_empty()).map(|(symbol, _)| *symbol);
        held.chain(working).collect()
    }

    /// The account's wallet plus open profit; zero while its books are not known.
    #[must_use]
    pub fn equity(&self, account: AccountId) -> Money {
        self.books.accounts.get(&account).map(|known| known.equity).unwrap_or_default()
    }

    /// Proposes an order. It counts as working at once, and is answered by a report or a refusal. During warm-up, and for an
    /// account that is not open, nothing happens.
    pub fn propose(&mut self, draft: Draft) -> IntentId {
        let intent = self.numbering.take();
        if self.warming || !self.books.is_open(draft.account) {
            return intent;
        }
        let order = WorkingOrder {
            intent,
            client_order_id: None,
            side: draft.side,
            kind: draft.kind,
            quantity: draft.quantity,
            filled: Quantity::ZERO,
            reduce_only: draft.reduce_only,
            status: None,
            since: self.now,
            cancel: Cancel::No,
        };
        if let Some(account) = self.books.accounts.get_mut(&draft.account) {
            account.insert(draft.symbol, order);
        }
        Alarms::sooner(&mut self.alarms.answer, self.now + ANSWER_MAX);
        self.effects.push(StrategyEffect::Propose(Arc::new(OrderIntent {
            id: intent,
            strategy: self.numbering.strategy,
            account: draft.account,
            symbol: draft.symbol,
            side: draft.side,
            position_side: PositionSide::Both,
            kind: draft.kind,
            time_in_force: draft.time_in_force,
            quantity: draft.quantity,
            reduce_only: draft.reduce_only,
            stop: draft.stop,
            decided_at: self.now,
            reason: draft.reason,
            trace: None,
        })));
        intent
    }

    /// Asks for the cancel of one of the strategy's orders, once: while an earlier ask is on its way nothing is sent, and one that
    /// got lost on its way is repeated without the strategy's doing. An order that nobody has reported yet is cancelled with
    /// its first report.
    pub fn cancel(&mut self, account: AccountId, symbol: Symbol, intent: IntentId, reason: &str) {
        let Some(orders) = self.books.accounts.get_mut(&account).and_then(|known| known.working.get_mut(&symbol)) else { return };
        let Some(order) = orders.iter_mut().find(|order| order.intent == intent) else { return };
        if order.is_being_canceled() {
            return;
        }
        let Some(client_order_id) = order.client_order_id else {
            order.cancel = Cancel::WhenReported(reason.to_owned());
            return;
        };
        order.cancel = Cancel::Asked { at: self.now, reason: reason.to_owned() };
        Alarms::sooner(&mut self.alarms.answer, self.now + ANSWER_MAX);
        self.effects.push(StrategyEffect::Cancel { account, symbol, client_order_id, reason: reason.to_owned() });
    }

    /// Asks for a leverage; the same one again is not sent, unless the account's executor was started again meanwhile: ask
    /// whenever it matters, before each entry.
    pub fn set_leverage(&mut self, account: AccountId, symbol: Symbol, leverage: u8) {
        let Some(known) = self.books.accounts.get_mut(&account).filter(|known| known.open) else { return };
        if self.warming || known.leverage.insert(symbol, leverage) == Some(leverage) {
            return;
        }
        self.effects.push(StrategyEffect::SetLeverage { account, symbol, leverage });
    }

    /// Asks for a [`super::StrategyInput::Wake`] with the first input at or after `at`. Only the earliest ask is kept: ask
    /// again when woken.
    pub fn wake_at(&mut self, at: Timestamp) {
        Alarms::sooner(&mut self.alarms.wake, at);
    }
}

fn sellable(instrument: &Instrument, held: Quantity) -> Quantity {
    let whole = if instrument.lots(held).is_some() { held } else { instrument.quantity_down(held) };
    if whole < instrument.min_quantity { Quantity::ZERO } else { whole }
}
