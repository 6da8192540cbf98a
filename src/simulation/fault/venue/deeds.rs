//! Faults that are done: to sockets and listen keys, to the venue's clock and its rules, and at the engine (liquidation, funding, a
//! person's hand). And the end of all of them. What befalls single requests and frames is `faults`'.

use std::time::Duration;

use futures_util::FutureExt as _;
use rust_decimal::Decimal;

use super::super::Class;
use super::net::Due;
use super::{Desk, SimVenue, VenueFault};
use crate::domain::ids::{AccountId, Asset, ClientOrderId, Symbol};
use crate::domain::instrument::{Instrument, Ticks};
use crate::domain::market_data::{MarketEventRef, TradePrint};
use crate::domain::money::{Money, Price, Quantity, Ratio};
use crate::domain::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce};
use crate::domain::time::Timestamp;
use crate::exchange::core::OrderName;
use crate::exchange::core::request::OrderRequest;
use crate::exchange::wire::faults::{FaultDesk, Kind, Rule};

/// The market's stream is away for this long when the venue closes everything.
const MARKET_AWAY_MS: (u64, u64) = (150, 2_500);

impl SimVenue {
    /// Lets a fault begin.
    pub fn fault(&mut self, now: Timestamp, fault: &VenueFault) {
        self.at(now);
        match fault.class {
            Class::F05Missed => self.cut_account(fault),
            Class::F06ListenKey => self.expire_key(fault),
            Class::F07Closed => self.close_everything(fault),
            Class::F09Skew => self.skew(fault, 900, 9_000),
            Class::F18VenueClock => self.skew(fault, 15_000, 900_000),
            Class::F10RateLimit if self.random.below(2) == 0 => self.venue.limits().ban_all(now + fault.lasts),
            Class::F12Zombie => self.deafen(fault),
            Class::F13Maintenance => self.maintain(fault),
            Class::F14Filters => self.change_rules(fault),
            Class::F15Liquidation => self.take_over(fault),
            Class::F16Funding => self.charge_funding(),
            Class::F17ByHand => self.lend_a_hand(fault),
            Class::F24Stale => self.answer_from_the_past(fault),
            // An order has to come meanwhile; and of whomever, a cancel, a question or a fill at once.
            Class::F01NoAnswer => self.net.state().faults.begin(now, &VenueFault { lasts: fault.lasts * 4, ..fault.clone() }),
            Class::F02NotFound | Class::F03FillBeforeAck | Class::F08FillRacesCancel => {
                let wider = VenueFault { lasts: fault.lasts * 6, account: None, ..fault.clone() };
                self.net.state().faults.begin(now, &wider);
            }
            _ => self.net.state().faults.begin(now, fault),
        }
        self.settle();
    }

    pub(super) fn mend(&mut self) {
        FaultDesk::disarm(&self.venue);
        self.market_silent = Timestamp::ZERO;
        let mut state = self.net.state();
        state.faults.end_all();
        state.shut.clear();
        // The way is whole again, and with it comes the word that sockets which were silent are dead.
        let deaf: Vec<u64> = state.sockets.iter().filter(|(_, side)| side.deaf).map(|(id, _)| *id).collect();
        for id in deaf {
            state.after(Duration::from_millis(1), Due::Close(id, "the connection was reset".to_owned()));
        }
        drop(state);
        if self.market_down.is_some() {
            self.open_market();
        }
    }

    fn fire(&self, class: Class) {
        self.net.state().faults.fire(class);
    }

    fn cut_account(&mut self, fault: &VenueFault) {
        let Some(account) = fault.account else { return };
        let mut state = self.net.state();
        let until = state.now + fault.lasts;
        state.shut.insert(account, until);
        state.cut(Some(account), "the connection was reset");
    }

    fn expire_key(&mut self, fault: &VenueFault) {
        let Some(account) = fault.account else { return };
        let told = self.random.below(2) == 0;
        if self.net.state().is_heard(account) {
            self.fire(Class::F06ListenKey);
        }
        self.users.expire_early(account, told);
        self.users.expire(self.clocks.world());
    }

    /// With a word before, or without.
    fn close_everything(&mut self, fault: &VenueFault) {
        let mut state = self.net.state();
        let (now, live) = (state.now, state.live(None).collect::<Vec<_>>());
        if !live.is_empty() {
            state.faults.fire(Class::F07Closed);
        }
        if self.random.below(2) == 0 {
            let text = format!("{{\"e\":\"serverShutdown\",\"E\":{}}}", now.as_millis());
            for socket in live {
                state.tell(socket, &text);
                state.put(now + fault.lasts + Duration::from_millis(50), Due::Close(socket, "the venue shuts down".to_owned()));
            }
        } else {
            state.cut(None, "24 hours are up");
        }
        drop(state);
        self.drop_market();
    }

    fn drop_market(&mut self) {
        let away = Duration::from_millis(self.random.between(MARKET_AWAY_MS.0, MARKET_AWAY_MS.1));
        let mut state = self.net.state();
        self.market_down = Some(state.now + away);
        state.after(away, Due::MarketBack);
    }

    /// User streams, or the market's.
    fn deafen(&mut self, fault: &VenueFault) {
        if self.random.below(4) == 0 {
            self.market_silent = self.clocks.world() + fault.lasts;
            return;
        }
        let mut state = self.net.state();
        let live: Vec<u64> = state.live(fault.account).collect();
        for id in live {
            if let Some(side) = state.sockets.get_mut(&id) {
                side.deaf = true;
            }
        }
    }

    fn maintain(&mut self, fault: &VenueFault) {
        let mut state = self.net.state();
        let now = state.now;
        // Everybody's, and longer than a hiccup.
        let everybody = VenueFault { account: None, lasts: fault.lasts * 4, ..fault.clone() };
        state.faults.begin(now, &everybody);
        state.cut(None, "the venue is under maintenance");
        drop(state);
        self.drop_market();
    }

    fn skew(&mut self, fault: &VenueFault, low: u64, high: u64) {
        let far = i64::try_from(self.random.between(low, high)).unwrap_or(i64::MAX);
        let millis = if self.random.below(2) == 0 { far } else { -far };
        let mut rule = Rule::new(Kind::SkewClock { millis });
        // Longer than between two looks at the venue's clock, now and then.
        let lasting = VenueFault { lasts: fault.lasts * 8, account: None, ..fault.clone() };
        rule.duration_ms = Some(millis_of(lasting.lasts));
        self.arm(rule);
        let mut state = self.net.state();
        let now = state.now;
        state.faults.begin(now, &lasting);
    }

    fn answer_from_the_past(&mut self, fault: &VenueFault) {
        let mut rule = Rule::new(Kind::Stale);
        (rule.account, rule.duration_ms) = (fault.account, Some(millis_of(fault.lasts)));
        // Only what is read.
        rule.verb = Some("GET".to_owned());
        self.arm(rule);
        let mut state = self.net.state();
        let now = state.now;
        state.faults.begin(now, fault);
    }

    fn arm(&self, rule: Rule) {
        // Invariant: an exchange without a thread answers at once, and the rule names what is there.
        let armed = FaultDesk::arm(&self.venue, rule).now_or_never().expect("invariant: an exchange without a thread answers at once");
        debug_assert!(armed.is_ok(), "{armed:?}");
    }

    fn any_symbol(&mut self) -> Option<Instrument> {
        self.random.pick(&self.setup.instruments).map(|(instrument, _)| instrument.clone())
    }

    fn change_rules(&mut self, fault: &VenueFault) {
        let Some(instrument) = self.any_symbol() else { return };
        let fault_kind = match self.random.below(3) {
            0 => Kind::Trading { open: false },
            1 => Kind::Filters {
                price_step: Some(Price(instrument.price_step.0 * Decimal::TEN)),
                quantity_step: None,
                min_quantity: None,
                min_notional: None,
            },
            _ => Kind::Filters {
                price_step: None,
                quantity_step: Some(Quantity(instrument.quantity_step.0 * Decimal::from(5))),
                min_quantity: None,
                min_notional: Some(Money(instrument.min_notional.0 * Decimal::from(50))),
            },
        };
        let mut rule = Rule::new(fault_kind);
        rule.symbol = Some(instrument.symbol);
        self.arm(rule);
        let mut state = self.net.state();
        let (now, lasting) = (state.now, VenueFault { lasts: fault.lasts * 2, account: None, ..fault.clone() });
        state.faults.begin(now, &lasting);
        state.after(lasting.lasts, Due::Relist(instrument.symbol));
    }

    /// The rules are as they were.
    pub(super) fn relist(&mut self, symbol: Symbol) {
        let found = self.setup.instruments.iter().map(|(instrument, _)| instrument).find(|instrument| instrument.symbol == symbol);
        let Some(instrument) = found else { return };
        let rules = Kind::Filters {
            price_step: Some(instrument.price_step),
            quantity_step: Some(instrument.quantity_step),
            min_quantity: Some(instrument.min_quantity),
            min_notional: Some(instrument.min_notional),
        };
        for fault in [Kind::Trading { open: true }, rules] {
            let mut rule = Rule::new(fault);
            rule.symbol = Some(symbol);
            self.arm(rule);
        }
    }

    fn take_over(&mut self, fault: &VenueFault) {
        let Some(account) = fault.account else { return };
        let deleverage = self.random.below(2) == 0;
        let done = self.engine(move |desk| {
            let held = desk.exchange.account_margin(account)?.positions.into_iter().find(|position| !position.quantity.is_zero())?;
            let done = if deleverage {
                desk.exchange.deleverage(desk.now, account, held.symbol, held.position_side, None, desk.outputs)
            } else {
                desk.exchange.liquidate(desk.now, account, Some(held.symbol), desk.outputs)
            };
            done.ok()
        });
        if done.is_some() {
            self.fire(Class::F15Liquidation);
        }
    }

    fn charge_funding(&mut self) {
        let Some(symbol) = self.any_symbol().map(|instrument| instrument.symbol) else { return };
        let rate = i64::try_from(self.random.between(1, 3_000)).unwrap_or(1) - 1_500;
        let accounts: Vec<AccountId> = self.setup.accounts.iter().map(|(account, _)| *account).collect();
        let paid = self.engine(move |desk| {
            let rate = Ratio(Decimal::new(rate, 6));
            let held = accounts.iter().filter_map(|account| desk.exchange.account_margin(*account));
            let anybody = held.flat_map(|account| account.positions).any(|at| at.symbol == symbol && !at.quantity.is_zero());
            desk.exchange.charge_funding_now(desk.now, symbol, Some(rate), desk.outputs).is_ok() && anybody
        });
        if paid {
            self.fire(Class::F16Funding);
        }
    }

    /// A person trades or moves money, as the venue's own website lets him.
    fn lend_a_hand(&mut self, fault: &VenueFault) {
        let Some(account) = fault.account else { return };
        match self.random.below(6) {
            0 => self.move_money(account),
            1 => self.hand_order(account, Some(fault.lasts * 2)),
            _ => self.hand_order(account, None),
        }
    }

    fn move_money(&mut self, account: AccountId) {
        let Some(asset) = self.setup.instruments.first().and_then(|(instrument, _)| Asset::new(&instrument.quote).ok()) else { return };
        let amount = i64::try_from(self.random.between(1, 2_000)).unwrap_or(1) - 1_000;
        let moved = self.engine(move |desk| desk.exchange.transfer(desk.now, account, asset, Money(Decimal::from(amount))).is_ok());
        if moved {
            self.fire(Class::F17ByHand);
        }
    }

    /// At the market, or resting for a while.
    fn hand_order(&mut self, account: AccountId, rests: Option<Duration>) {
        let Some(instrument) = self.any_symbol() else { return };
        let side = if self.random.below(2) == 0 { Side::Buy } else { Side::Sell };
        let number = self.number();
        let Ok(id) = ClientOrderId::new(&format!("web_{number:x}")) else { return };
        let share = self.random.between(1, 5);
        let symbol = instrument.symbol;
        let placed = self.engine(move |desk| {
            let order = hand_order(desk, &instrument, side, share, rests.is_some(), id)?;
            desk.exchange.place_order(desk.now, account, &OrderRequest::from(order), desk.outputs).ok()
        });
        if placed.is_some() {
            self.fire(Class::F17ByHand);
            if let Some(rests) = rests {
                self.net.state().after(rests, Due::HandCancels(account, symbol, id));
            }
        }
    }

    pub(super) fn hand_cancels(&mut self, account: AccountId, symbol: Symbol, id: ClientOrderId) {
        self.engine(move |desk| {
            // It may have filled meanwhile.
            let _ = desk.exchange.cancel_order(desk.now, account, symbol, OrderName::Client(id), desk.outputs);
        });
    }

    /// Somebody's trade is quicker than a cancel: the order fills, in part or whole.
    pub(super) fn race(&mut self, account: AccountId, id: Option<ClientOrderId>) {
        let Some(id) = id else { return };
        let share = i64::try_from(self.random.between(1, 4)).unwrap_or(4);
        let print = self.number();
        let filled = self.engine(move |desk| {
            let symbols: Vec<Symbol> = desk.exchange.symbols().collect();
            let order = symbols.into_iter().find_map(|symbol| desk.exchange.order(account, symbol, OrderName::Client(id)))?.order;
            let index = desk.exchange.symbol_index(order.symbol)?;
            let instrument = desk.exchange.instrument(index)?;
            let price = instrument.ticks(order.kind.limit_price().filter(|_| !order.status.is_terminal())?)?;
            let lots = instrument.lots(order.quantity - order.filled)?;
            let away = if order.side == Side::Buy { -1 } else { 1 };
            let quantity = crate::domain::instrument::Lots((lots.0 * share / 4).max(1));
            let print =
                TradePrint { id: u64::MAX / 2 + print, price: Ticks(price.0 + away), quantity, buyer_is_maker: order.side == Side::Buy };
            desk.exchange.market(desk.now, index, MarketEventRef::Trade(print), desk.outputs);
            Some(())
        });
        if filled.is_some() {
            self.fire(Class::F08FillRacesCancel);
        }
    }
}

fn hand_order(desk: &Desk<'_>, instrument: &Instrument, side: Side, share: u64, rests: bool, id: ClientOrderId) -> Option<NewOrder> {
    let index = desk.exchange.symbol_index(instrument.symbol)?;
    let (bid, ask) = desk.exchange.touch(index);
    let touch = if side == Side::Buy { bid } else { ask }?.price;
    let away = (touch.0 / 1_000).max(1) * if side == Side::Buy { -1 } else { 1 };
    let price = instrument.price(Ticks(touch.0 + away));
    let worth = instrument.min_notional.0 * Decimal::from(share + 1);
    let quantity = instrument.quantity_down(Quantity(worth.checked_div(price.0)?)) + instrument.quantity_step;
    Some(NewOrder {
        client_order_id: id,
        symbol: instrument.symbol,
        side,
        position_side: PositionSide::Both,
        kind: if rests { OrderKind::Limit { price } } else { OrderKind::Market },
        time_in_force: TimeInForce::default(),
        quantity,
        reduce_only: false,
        self_trade_prevention: SelfTradePrevention::default(),
    })
}

fn millis_of(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
