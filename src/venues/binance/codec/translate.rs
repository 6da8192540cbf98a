//! Between the venue's words and the daemon's: answers and user events of one account become `VenueEvent`s. A pure machine: it
//! remembers names of orders and of conditional orders that became others, holds a word back that may be about one of those,
//! and asks nobody. What cannot be told as an event of an order is told as a reason to reconcile.
//!
//! An order that is not ours (a person's hand, `autoclose-`, `adl_autoclose`) keeps the name that the venue gave it: the order
//! manager books its fills as what they are.

use std::collections::BTreeMap;

use super::answers::{AlgoAnswer, AlgoStanding, ImmediateFill, OrderAnswer, TradeAnswer, UnknownWord, position_side, side, status};
use super::events::{AccountEvent, AlgoOrder, FuturesOrder, SpotOrder, UserEvent};
use super::names::{Algos, OrderNames};
use super::outcome::{Answer, Failure, is_not_found, read};
use super::product::{Conditional, Product};
use super::read::{Text, client_order_id};
use crate::domain::ids::{AccountId, Asset, ClientOrderId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{EndReason, FeeTaken, Fill, NewOrder, OrderStatus, PositionSide, Side, TimeInForce, VenueEvent, VenueOrder};
use crate::domain::time::Timestamp;

/// Words held back at once: a conditional order that triggers makes a handful.
const HELD_MAX: usize = 256;

/// How spot's refusal of a maker begins that would take; its code is that of every refusal by the engine.
const WOULD_TAKE: &str = "Order would immediately match and take";

/// What an answer comes to: events for the account, and why it was not a plain yes, for whoever keeps clocks and limits.
#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    pub events: Vec<VenueEvent>,
    pub failure: Option<Failure>,
}

/// What a user event comes to.
#[derive(Debug, PartialEq)]
pub enum Told {
    Event(VenueEvent),
    /// Something changed that no event of an order explains: the books are to be held against the venue's.
    Reconcile(String),
    /// Money that came or went besides trades: funding, a transfer.
    Moved {
        reason: String,
        asset: Asset,
        amount: Money,
        at: Timestamp,
    },
    /// Positions near liquidation.
    MarginCall(Vec<Symbol>),
    /// Nothing more comes over this stream: a new one is needed, and a reconciliation behind it.
    StreamOver(&'static str),
}

/// By which interface an order is asked for or cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    ByClientId,
    /// It was a conditional order and has triggered.
    ByVenueId(u64),
    Algo,
}

#[derive(Debug, Clone, Copy)]
struct Market {
    base: Asset,
    quote: Asset,
}

/// One account's side of the conversation.
#[derive(Debug)]
pub struct Translator {
    product: Product,
    account: AccountId,
    markets: BTreeMap<Symbol, Market>,
    names: OrderNames,
    algos: Algos,
    held: Vec<(Symbol, u64, VenueEvent)>,
}

impl Translator {
    /// Names of orders, conditional orders, words that wait for a name.
    pub(super) fn kept(&self) -> (usize, usize, usize) {
        (self.names.kept(), self.algos.kept(), self.held.len())
    }
}

/// What every report of a trade says.
struct Traded<'a> {
    symbol: Symbol,
    client_order_id: ClientOrderId,
    venue_order_id: u64,
    trade_id: u64,
    side: Side,
    position_side: PositionSide,
    price: rust_decimal::Decimal,
    quantity: rust_decimal::Decimal,
    commission: rust_decimal::Decimal,
    commission_asset: Option<&'a Text<'a>>,
    maker: bool,
    at: i64,
}

impl Translator {
    #[must_use]
    pub fn new<'i>(product: Product, account: AccountId, instruments: impl IntoIterator<Item = &'i Instrument>) -> Self {
        let market = |instrument: &Instrument| {
            let (base, quote) = (Asset::new(&instrument.base).ok()?, Asset::new(&instrument.quote).ok()?);
            Some((instrument.symbol, Market { base, quote }))
        };
        let markets = instruments.into_iter().filter_map(market).collect();
        Self { product, account, markets, names: OrderNames::default(), algos: Algos::default(), held: Vec::new() }
    }

    #[must_use]
    pub const fn product(&self) -> Product {
        self.product
    }

    /// Where an order of that name is to be found. One that nobody remembers is asked for as an ordinary one; when the venue does
    /// not know it and has an algo service ([`Self::may_be_algo`]), there too, before it counts as unknown.
    #[must_use]
    pub fn asked(&self, name: ClientOrderId) -> Asked {
        match self.algos.of(name) {
            Some(algo) => algo.became.map_or(Asked::Algo, Asked::ByVenueId),
            None => Asked::ByClientId,
        }
    }

    #[must_use]
    pub fn may_be_algo(&self, name: ClientOrderId) -> bool {
        self.product.capabilities().conditional == Conditional::AlgoService && self.asked(name) == Asked::ByClientId
    }

    /// The order is about to be sent: from now on its words are recognised, whatever comes first.
    pub fn sending(&mut self, order: &NewOrder) {
        if self.product.is_algo(order.kind) {
            self.algos.learn(order.client_order_id, order.symbol, order.side, order.position_side);
        }
    }

    /// The answer to a new order. `now` dates a refusal, which has no time of its own.
    pub fn placed(&mut self, now: Timestamp, order: &NewOrder, answer: Result<Answer<'_>, Failure>) -> Heard {
        let id = order.client_order_id;
        if self.product.is_algo(order.kind) {
            let taken = answer.and_then(|answer| read::<AlgoAnswer<'_>>(self.product, answer));
            return match taken {
                Ok(algo) => Heard { events: vec![accepted(id, algo.algo_id, algo.update_time)], failure: None },
                Err(failure) => {
                    if failure.is_definite() {
                        self.algos.ended(id);
                    }
                    refused(now, id, failure)
                }
            };
        }
        match answer.and_then(|answer| read::<OrderAnswer<'_>>(self.product, answer)) {
            Ok(taken) => Heard { events: self.taken(order, &taken), failure: None },
            // Spot refuses a maker that would take, where others let it expire: it ended as it was asked to.
            Err(Failure::Refused { code: -2010, message }) if is_maker(order) && message.starts_with(WOULD_TAKE) => {
                let ended = VenueEvent::Ended { client_order_id: id, reason: EndReason::Expired, filled: Quantity::ZERO, at: now };
                Heard { events: vec![ended], failure: None }
            }
            Err(failure) => refused(now, id, failure),
        }
    }

    /// Accepted, with what it traded at once, and its end if it has come. What the stream tells again is told twice.
    fn taken(&mut self, order: &NewOrder, taken: &OrderAnswer<'_>) -> Vec<VenueEvent> {
        let id = order.client_order_id;
        self.names.learn(order.symbol, taken.order_id, id);
        let mut events = vec![VenueEvent::Accepted { client_order_id: id, venue_order_id: taken.order_id, at: taken.at() }];
        for fill in &taken.fills {
            events.extend(self.immediate(order, taken, fill).map(VenueEvent::Filled));
        }
        let filled = Quantity(taken.executed_qty.or_zero());
        let reason = match status(taken.status.as_str()) {
            Ok(OrderStatus::Canceled) => EndReason::Canceled,
            Ok(OrderStatus::Expired) if taken.status.as_str() == "EXPIRED_IN_MATCH" => EndReason::SelfTradePrevented,
            Ok(OrderStatus::Expired) => EndReason::Expired,
            _ => return events,
        };
        events.push(VenueEvent::Ended { client_order_id: id, reason, filled, at: taken.at() });
        events
    }

    fn immediate(&self, order: &NewOrder, taken: &OrderAnswer<'_>, fill: &ImmediateFill<'_>) -> Option<Fill> {
        let (price, quantity) = (fill.price.0?, fill.qty.0?);
        Some(self.fill(&Traded {
            symbol: order.symbol,
            client_order_id: order.client_order_id,
            venue_order_id: taken.order_id,
            trade_id: fill.trade_id,
            side: order.side,
            position_side: order.position_side,
            price,
            quantity,
            commission: fill.commission.or_zero(),
            commission_asset: fill.commission_asset.as_ref(),
            maker: false,
            at: taken.at().as_millis(),
        }))
    }

    /// The answer to a cancel, of whichever interface. A venue that does not know the order any more, and one that did not answer,
    /// both leave a question (F08).
    pub fn cancelled(&mut self, now: Timestamp, id: ClientOrderId, answer: Result<Answer<'_>, Failure>) -> Heard {
        let product = self.product;
        let ended = |filled| VenueEvent::Ended { client_order_id: id, reason: EndReason::Canceled, filled, at: now };
        let gone = if self.asked(id) == Asked::Algo {
            // Its answer shows no order: one that waits for its trigger has not filled.
            answer.and_then(|answer| read::<super::answers::DoneAnswer>(product, answer)).map(|_| Some(Quantity::ZERO))
        } else {
            answer.and_then(|answer| read::<OrderAnswer<'_>>(product, answer)).map(|order| order.executed_qty.0.map(Quantity))
        };
        match gone {
            Ok(Some(filled)) => {
                self.algos.ended(id);
                Heard { events: vec![ended(filled)], failure: None }
            }
            // What it filled is not said: the stream says it, or the order is asked for.
            Ok(None) => Heard::default(),
            Err(failure) => {
                let (code, message) = failure.words();
                let event = VenueEvent::CancelRefused { client_order_id: id, code, message: message.to_owned() };
                Heard { events: vec![event], failure: Some(failure) }
            }
        }
    }

    /// The answer to a question about an ordinary order, under the name that it is known by here.
    pub fn queried(&mut self, id: ClientOrderId, answer: Result<Answer<'_>, Failure>) -> Heard {
        let read = answer.and_then(|answer| {
            let order = read::<OrderAnswer<'_>>(self.product, answer)?;
            order.order(self.product).map_err(|error| Failure::silence(error.to_string()))
        });
        match read {
            Ok(Some(order)) => {
                self.names.learn(order.symbol, order.venue_order_id, id);
                let order = Some(VenueOrder { client_order_id: id, ..order });
                Heard { events: vec![VenueEvent::OrderIs { client_order_id: id, order }], failure: None }
            }
            other => unknown_order(id, other.err()),
        }
    }

    /// The answer to a question about a conditional order: itself, or the order that it became, which is asked for next.
    ///
    /// # Errors
    /// What is to be told instead.
    pub fn queried_algo(&mut self, id: ClientOrderId, answer: Result<Answer<'_>, Failure>) -> Result<Asked, Heard> {
        let product = self.product;
        let standing = answer.and_then(|answer| {
            let algo = read::<AlgoAnswer<'_>>(product, answer)?;
            algo.standing().map_err(|error| Failure::silence(error.to_string()))
        });
        match standing {
            Ok(Some(AlgoStanding::Became { symbol, venue_order_id, .. })) => {
                self.became(id, symbol, venue_order_id);
                Ok(Asked::ByVenueId(venue_order_id))
            }
            Ok(Some(AlgoStanding::Itself(order))) => {
                self.algos.learn(id, order.symbol, order.side, order.position_side);
                if order.status.is_terminal() {
                    self.algos.ended(id);
                }
                let order = Some(VenueOrder { client_order_id: id, ..order });
                Err(Heard { events: vec![VenueEvent::OrderIs { client_order_id: id, order }], failure: None })
            }
            other => Err(unknown_order(id, other.err())),
        }
    }

    pub(super) fn became(&mut self, id: ClientOrderId, symbol: Symbol, venue_order_id: u64) {
        self.algos.became(id, venue_order_id);
        self.names.learn(symbol, venue_order_id, id);
    }

    /// What an open order is called here: one that a trigger made has its conditional order's name.
    pub fn open_order(&mut self, order: VenueOrder) -> VenueOrder {
        let name = self.names.of(order.symbol, order.venue_order_id).unwrap_or(order.client_order_id);
        self.names.learn(order.symbol, order.venue_order_id, name);
        VenueOrder { client_order_id: name, ..order }
    }

    /// A conditional order that the venue lists as open.
    pub fn open_algo(&mut self, order: &VenueOrder) {
        self.algos.learn(order.client_order_id, order.symbol, order.side, order.position_side);
    }

    #[must_use]
    pub fn name_of(&self, symbol: Symbol, venue_order_id: u64) -> Option<ClientOrderId> {
        self.names.of(symbol, venue_order_id)
    }

    /// The venue said who the order is, or does not know it any more: then it is nobody's here.
    pub fn named(&mut self, symbol: Symbol, venue_order_id: u64, name: Option<ClientOrderId>) {
        self.names.learn(symbol, venue_order_id, name.unwrap_or_else(|| client_order_id("", venue_order_id)));
    }

    /// A listed trade as a fill, if its order's name is known. [`Self::named`] makes it known.
    ///
    /// # Errors
    /// When a word of it is not known.
    pub fn traded(&self, trade: &TradeAnswer<'_>) -> Result<Option<Fill>, UnknownWord> {
        let Some(symbol) = trade.symbol.symbol() else { return Ok(None) };
        let Some(client_order_id) = self.names.of(symbol, trade.order_id) else { return Ok(None) };
        Ok(Some(self.fill(&Traded {
            symbol,
            client_order_id,
            venue_order_id: trade.order_id,
            trade_id: trade.id,
            side: trade.side()?,
            position_side: position_side(trade.position_side.as_str())?,
            price: trade.price.0,
            quantity: trade.qty.0,
            commission: trade.commission.or_zero(),
            commission_asset: trade.commission_asset.as_ref(),
            maker: trade.maker,
            at: trade.time,
        })))
    }

    fn fill(&self, traded: &Traded<'_>) -> Fill {
        let (price, quantity) = (Price(traded.price), Quantity(traded.quantity));
        let asset = traded.commission_asset.and_then(Text::asset);
        let market = self.markets.get(&traded.symbol);
        let amount = Quantity(traded.commission);
        let (fee, fee_taken) = match (asset, market) {
            (None, _) => (Money(traded.commission), None),
            (Some(asset), Some(market)) if asset == market.quote => (Money(traded.commission), None),
            (Some(asset), Some(market)) if asset == market.base && self.product.capabilities().holdings => {
                (price * amount, Some(FeeTaken::FromPosition { quantity: amount }))
            }
            (Some(asset), _) => (Money::ZERO, Some(FeeTaken::Elsewhere { asset, quantity: amount })),
        };
        Fill {
            account: self.account,
            symbol: traded.symbol,
            client_order_id: traded.client_order_id,
            venue_order_id: traded.venue_order_id,
            trade_id: traded.trade_id,
            side: traded.side,
            position_side: traded.position_side,
            price,
            quantity,
            fee,
            fee_taken: fee_taken.filter(|_| !amount.is_zero()),
            maker: traded.maker,
            at: Timestamp::from_millis(traded.at),
        }
    }

    /// What a user event means for the account.
    pub fn user(&mut self, event: &UserEvent<'_>) -> Vec<Told> {
        let told = match event {
            UserEvent::SpotOrder(order) => self.spot_order(order),
            UserEvent::Order(event) => self.futures_order(&event.order),
            UserEvent::Algo(event) => self.algo(Timestamp::from_millis(event.at), &event.order),
            UserEvent::Account(event) => Ok(moved(event)),
            UserEvent::SpotBalance(change) => Ok(change.asset.asset().map_or_else(Vec::new, |asset| {
                let (amount, at) = (Money(change.delta.0), Timestamp::from_millis(change.at));
                vec![Told::Moved { reason: "TRANSFER".to_owned(), asset, amount, at }]
            })),
            UserEvent::Config(event) => Ok(event.symbol.iter().filter_map(leverage).collect()),
            UserEvent::MarginCall(call) => {
                Ok(vec![Told::MarginCall(call.positions.iter().filter_map(|position| position.symbol.symbol()).collect())])
            }
            UserEvent::StreamTerminated => Ok(vec![Told::StreamOver("the venue ended the subscription")]),
            UserEvent::ListenKeyExpired => Ok(vec![Told::StreamOver("the listen key expired")]),
            UserEvent::ServerShutdown => Ok(vec![Told::StreamOver("the venue's server is going down")]),
            // Balances follow from trades; a list's orders, a light trade's order and a refused trigger's algo have events of their own.
            UserEvent::SpotPosition(_) | UserEvent::SpotList(_) | UserEvent::SpotLock(_) => Ok(Vec::new()),
            UserEvent::Trade(_) | UserEvent::TriggerRejected(_) | UserEvent::Other(_) => Ok(Vec::new()),
        };
        told.unwrap_or_else(|error| vec![Told::Reconcile(error.to_string())])
    }

    fn spot_order(&mut self, order: &SpotOrder<'_>) -> Result<Vec<Told>, UnknownWord> {
        let Some(symbol) = order.symbol.symbol() else { return Ok(Vec::new()) };
        let original = order.original_client_order_id.as_ref().filter(|name| !name.0.is_empty());
        let id = client_order_id(original.unwrap_or(&order.client_order_id).as_str(), order.order_id);
        self.names.learn(symbol, order.order_id, id);
        let at = Timestamp::from_millis(order.at);
        let filled = Quantity(order.filled.or_zero());
        let ended = |reason| VenueEvent::Ended { client_order_id: id, reason, filled, at };
        let event = match order.execution.as_str() {
            "NEW" => VenueEvent::Accepted { client_order_id: id, venue_order_id: order.order_id, at },
            "TRADE" => {
                let trade = order.trade_id.0.or(order.allocation_id.0);
                let (Some(trade_id), Some(price), Some(quantity)) = (trade, order.last_price.0, order.last_quantity.0) else {
                    return Ok(vec![Told::Reconcile(format!("a trade of {symbol} without its numbers"))]);
                };
                VenueEvent::Filled(self.fill(&Traded {
                    symbol,
                    client_order_id: id,
                    venue_order_id: order.order_id,
                    trade_id,
                    side: side(order.side.as_str())?,
                    position_side: PositionSide::Both,
                    price,
                    quantity,
                    commission: order.commission.or_zero(),
                    commission_asset: order.commission_asset.as_ref(),
                    maker: order.maker,
                    at: order.at,
                }))
            }
            "CANCELED" => ended(EndReason::Canceled),
            "EXPIRED" => ended(EndReason::Expired),
            "TRADE_PREVENTION" if status(order.status.as_str())?.is_terminal() => ended(EndReason::SelfTradePrevented),
            "REJECTED" => VenueEvent::Rejected { client_order_id: id, code: -2010, message: order.reject_reason.0.to_string(), at },
            "TRADE_PREVENTION" | "REPLACED" => return Ok(Vec::new()),
            other => return Ok(vec![Told::Reconcile(format!("an execution of a kind that is not known: {}", short(other)))]),
        };
        Ok(vec![Told::Event(event)])
    }

    fn futures_order(&mut self, order: &FuturesOrder<'_>) -> Result<Vec<Told>, UnknownWord> {
        let Some(symbol) = order.symbol.symbol() else { return Ok(Vec::new()) };
        let spoken = client_order_id(order.client_order_id.as_str(), order.order_id);
        if self.algos.of(spoken).is_some_and(|algo| algo.became.is_none()) {
            self.became(spoken, symbol, order.order_id);
        }
        let known = self.names.of(symbol, order.order_id);
        let id = known.unwrap_or(spoken);
        let Some(event) = self.futures_event(symbol, id, order)? else {
            return Ok(vec![]);
        };
        let event = match event {
            Told::Event(event) => event,
            other => return Ok(vec![other]),
        };
        let (order_side, leg) = (side(order.side.as_str())?, position_side(order.position_side.as_str())?);
        let nameless = known.is_none() && !id.is_ours(self.account);
        if nameless && self.algos.may_have_made(symbol, order_side, leg) && self.held.len() < HELD_MAX {
            self.held.push((symbol, order.order_id, event));
            return Ok(vec![]);
        }
        self.names.learn(symbol, order.order_id, id);
        Ok(vec![Told::Event(event)])
    }

    fn futures_event(&self, symbol: Symbol, id: ClientOrderId, order: &FuturesOrder<'_>) -> Result<Option<Told>, UnknownWord> {
        let at = Timestamp::from_millis(order.at);
        let filled = Quantity(order.filled.or_zero());
        let ended = |reason| VenueEvent::Ended { client_order_id: id, reason, filled, at };
        let traded = order.last_quantity.or_zero() > rust_decimal::Decimal::ZERO;
        let event = match (order.execution.as_str(), order.status.as_str()) {
            // CALCULATED is a liquidation's execution; one without a trade changed nothing yet.
            ("TRADE" | "CALCULATED", _) if traded => {
                let (Some(trade_id), Some(price)) = (order.trade_id.0.filter(|id| *id > 0), order.last_price.0) else {
                    return Ok(Some(Told::Reconcile(format!("order {id} on {symbol} traded without a trade id"))));
                };
                VenueEvent::Filled(self.fill(&Traded {
                    symbol,
                    client_order_id: id,
                    venue_order_id: order.order_id,
                    trade_id,
                    side: side(order.side.as_str())?,
                    position_side: position_side(order.position_side.as_str())?,
                    price,
                    quantity: order.last_quantity.or_zero(),
                    commission: order.commission.or_zero(),
                    commission_asset: order.commission_asset.as_ref(),
                    maker: order.maker,
                    at: order.at,
                }))
            }
            ("NEW", _) => VenueEvent::Accepted { client_order_id: id, venue_order_id: order.order_id, at },
            (_, "EXPIRED_IN_MATCH") => ended(EndReason::SelfTradePrevented),
            ("CANCELED", _) => ended(EndReason::Canceled),
            ("EXPIRED", _) => ended(EndReason::Expired),
            ("AMENDMENT" | "TRADE" | "CALCULATED", _) => return Ok(None),
            (other, _) => return Ok(Some(Told::Reconcile(format!("an execution of a kind that is not known: {}", short(other))))),
        };
        Ok(Some(Told::Event(event)))
    }

    fn algo(&mut self, at: Timestamp, order: &AlgoOrder<'_>) -> Result<Vec<Told>, UnknownWord> {
        let Some(symbol) = order.symbol.symbol() else { return Ok(Vec::new()) };
        let id = client_order_id(order.client_algo_id.as_str(), order.algo_id);
        if let Some(actual) = order.actual_order_id.0.filter(|id| *id > 0) {
            self.became(id, symbol, actual);
            return Ok(self.release(|held_symbol, order_id| (held_symbol, order_id) == (symbol, actual), Some(id)));
        }
        let ended = |reason| {
            let event = VenueEvent::Ended { client_order_id: id, reason, filled: Quantity::ZERO, at };
            vec![Told::Event(event)]
        };
        let told = match order.status.as_str() {
            "NEW" => vec![Told::Event(VenueEvent::Accepted { client_order_id: id, venue_order_id: order.algo_id, at })],
            "CANCELED" => ended(EndReason::Canceled),
            "EXPIRED" | "REJECTED" => ended(EndReason::Expired),
            "TRIGGERING" | "TRIGGERED" | "FINISHED" => Vec::new(),
            other => vec![Told::Reconcile(format!("a conditional order in a state that is not known: {}", short(other)))],
        };
        if matches!(order.status.as_str(), "CANCELED" | "EXPIRED" | "REJECTED" | "FINISHED") {
            self.algos.ended(id);
        }
        Ok(told)
    }

    /// Whether words are held back, because they may be about an order that a trigger made.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Nobody explained them in time: they are told as what they say themselves.
    pub fn let_go(&mut self) -> Vec<Told> {
        self.release(|_, _| true, None)
    }

    fn release(&mut self, which: impl Fn(Symbol, u64) -> bool, name: Option<ClientOrderId>) -> Vec<Told> {
        let (gone, kept) = std::mem::take(&mut self.held).into_iter().partition(|(symbol, id, _)| which(*symbol, *id));
        self.held = kept;
        let gone: Vec<(Symbol, u64, VenueEvent)> = gone;
        gone.into_iter().map(|(_, _, event)| Told::Event(name.map_or_else(|| event.clone(), |name| renamed(&event, name)))).collect()
    }
}

fn is_maker(order: &NewOrder) -> bool {
    order.time_in_force == TimeInForce::PostOnly
}

fn accepted(id: ClientOrderId, venue_order_id: u64, at: i64) -> VenueEvent {
    VenueEvent::Accepted { client_order_id: id, venue_order_id, at: Timestamp::from_millis(at) }
}

/// A definite no is a rejection, whatever its reason; everything else is an unknown outcome, never a failure (F01).
fn refused(now: Timestamp, id: ClientOrderId, failure: Failure) -> Heard {
    let (code, message) = failure.words();
    let event = if failure.is_definite() {
        VenueEvent::Rejected { client_order_id: id, code, message: message.to_owned(), at: now }
    } else {
        VenueEvent::OutcomeUnknown { client_order_id: id, why: failure.to_string() }
    };
    Heard { events: vec![event], failure: Some(failure) }
}

/// "Not found" is an answer; anything else is none, and the question comes again.
fn unknown_order(id: ClientOrderId, failure: Option<Failure>) -> Heard {
    let not_found =
        matches!(&failure, None | Some(Failure::Refused { .. })) && failure.as_ref().is_none_or(|failure| is_not_found(failure.words().0));
    let events = if not_found { vec![VenueEvent::OrderIs { client_order_id: id, order: None }] } else { Vec::new() };
    Heard { events, failure }
}

/// Trades tell their own profit and commission: what is left are funding, transfers and the like.
fn moved(event: &AccountEvent<'_>) -> Vec<Told> {
    let reason = event.change.reason.as_str();
    if reason == "ORDER" {
        return Vec::new();
    }
    let at = Timestamp::from_millis(event.at);
    let moved = event.change.balances.iter().filter_map(|change| {
        let (asset, amount) = (change.asset.asset()?, Money(change.change.0?));
        (!amount.is_zero()).then(|| Told::Moved { reason: short(reason), asset, amount, at })
    });
    moved.collect()
}

fn leverage(change: &super::events::LeverageChange<'_>) -> Option<Told> {
    Some(Told::Event(VenueEvent::LeverageIs { symbol: change.symbol.symbol()?, leverage: change.leverage }))
}

fn renamed(event: &VenueEvent, name: ClientOrderId) -> VenueEvent {
    let mut event = event.clone();
    match &mut event {
        VenueEvent::Accepted { client_order_id, .. } | VenueEvent::Ended { client_order_id, .. } => *client_order_id = name,
        VenueEvent::Filled(fill) => fill.client_order_id = name,
        _ => {}
    }
    event
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
#[path = "translate_tests.rs"]
mod tests;
