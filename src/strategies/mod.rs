//! Strategies: one file each, no async, no clock, no I/O. A strategy sees the market, its orders and its accounts through
//! a `Desk` and puts its wishes onto it; the `StrategyHost` around it numbers intents and keeps positions.
//!
//! To add one: write a file with a struct that implements [`Strategy`] and [`Configured`], and one line in [`registry`];
//! or, in a binary of your own, `registry().with(Kind::of::<Yours>())`. `examples/custom_strategy.rs` is one to copy.

mod books;
pub mod bracket;
mod desk;
pub mod ema_cross;
mod host;
pub mod indicator_score;
pub mod patience;
mod registry;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::market::{MarketUpdate, MarketView};
use crate::domain::market_data::Candle;
use crate::domain::order::{AccountView, Fill, OrderIntent, OrderReport, Refusal};
use crate::domain::reconcile::{Finding, Reconciliation};

pub use books::{Holdings, WorkingOrder};
pub use desk::{Desk, Draft};
pub use host::{HostConfig, StrategyHost};
pub use registry::{Built, Configured, Kind, Problem, Registry};

/// The kinds that come with Ringfence. A new one is one line here.
#[must_use]
pub fn registry() -> Registry {
    Registry::default().with(Kind::of::<ema_cross::EmaCross>()).with(Kind::of::<indicator_score::IndicatorScore>())
}

/// What decides. A strategy gets each input once, in order, and must behave the same for the same inputs: no clock but
/// [`Desk::now`], no random numbers, no iteration over hashed maps.
pub trait Strategy: Send {
    /// What it wants to hear. Asked once, before the first input.
    fn interest(&self) -> Interest;

    /// Takes one input; whatever it wants done it puts onto the desk.
    fn on(&mut self, input: StrategyInput<'_>, desk: &mut Desk<'_>);

    /// An account's books agree with its venue's again: at the start, after the strategy, its executor or the connection to the
    /// venue was started anew. It comes before the account's view and so before anything is decided on what stands there now; what
    /// the strategy still believes from before may be wrong. The desk has the truth: positions, working orders, markets. To be
    /// overridden by whoever keeps something about an account that the desk does not.
    fn recovered(&mut self, recovered: &Recovered<'_>, desk: &mut Desk<'_>) {
        let _ = (recovered, desk);
    }
}

/// What a reconciliation found of an account, as far as it is the strategy's business.
#[derive(Debug, Clone, Copy)]
pub struct Recovered<'a> {
    pub account: AccountId,
    /// Fills that were booked while the account was held back, of this strategy's orders; where it is alone on a symbol, all of that
    /// symbol. The desk's positions have them already; a strategy that ran then has heard their reports as well.
    pub missed: &'a [Fill],
    /// What differed and what was done about it: about this strategy's symbols, and about the account's money.
    pub findings: &'a [Finding],
}

impl Recovered<'_> {
    /// Whether something was put right that says that the strategy's own view of the symbol is not what it was.
    #[must_use]
    pub fn concerns(&self, symbol: Symbol) -> bool {
        self.missed.iter().any(|fill| fill.symbol == symbol) || self.findings.iter().any(|finding| finding.symbol() == Some(symbol))
    }
}

/// What a strategy wants to hear. Reports, refusals and account views it always hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest {
    /// Every market update, not only closed bars. Without it an update costs the host a look-up and a copy, some 10 ns.
    pub market_updates: bool,
    /// How many closed bars of history it wants before the first live one.
    pub warm_up_bars: usize,
}

/// What a strategy is told.
#[derive(Debug, Clone, Copy)]
pub enum StrategyInput<'a> {
    /// A bar of the configured interval closed. With `warming` it is history: learn from it; proposals are dropped.
    Bar {
        symbol: Symbol,
        candle: &'a Candle,
        warming: bool,
    },
    Market(&'a MarketView),
    /// One of its orders changed. Position and working orders on the desk already include it.
    Report(&'a OrderReport),
    /// Risk said no, or nobody answered in time (`control` is `unanswered`). The order is off the desk already.
    Refused(&'a Refusal),
    /// An account's books changed. The first one opens the account to the strategy.
    Account(&'a AccountView),
    /// A time asked for with [`Desk::wake_at`] has passed.
    Wake,
}

/// What a strategy host is told. The same inputs come from actors, the backtest and the simulation.
///
/// At start and after a restart a host is fed in this order: `WarmUp` for each symbol, then for each account a `Report` of
/// every order of this strategy that is not terminal, then the account's `Account` view. An account is open to the
/// strategy from its first view, so that nothing is decided on half of its books. From then on the reports and views of
/// one account come in the order in which its executor made them, a fill's report before the view that includes it.
#[derive(Debug, Clone)]
pub enum HostInput<'a> {
    /// History of the strategy's bar interval, oldest first, before any live bar.
    WarmUp {
        symbol: Symbol,
        candles: &'a [Candle],
    },
    Market(&'a MarketUpdate),
    Report(&'a OrderReport),
    Refused(&'a Refusal),
    /// An account's books: after recovery and on every change.
    Account(&'a AccountView),
    /// The account's books are about to be told anew, because its executor or the risk manager was started again: a leverage
    /// that was asked of it before may be lost.
    Anew(AccountId),
    /// The account was held against its venue. Kept until the account's next view: the strategy hears of it right before that.
    Reconciled(&'a Reconciliation),
}

/// What a strategy host wants.
#[derive(Debug, Clone, PartialEq)]
pub enum StrategyEffect {
    Propose(Arc<OrderIntent>),
    Cancel { account: AccountId, symbol: Symbol, client_order_id: ClientOrderId, reason: String },
    SetLeverage { account: AccountId, symbol: Symbol, leverage: u8 },
}
