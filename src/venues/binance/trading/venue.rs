//! A venue of the Binance family as the port has it: one account object for each account that trades there. The executor's commands
//! go to whoever listens for the account; the kill switch asks over connections of its own.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::link::Link;
use super::orders::perform;
use super::weight::Purpose;
use crate::domain::dead_man::Countdown;
use crate::domain::ids::AccountId;
use crate::domain::order::{VenueCommand, VenueEvent};
use crate::venues::binance::codec::answers::DoneAnswer;
use crate::venues::binance::codec::outcome::Failure;
use crate::venues::port::{Heard, NotTaken, Venue};

/// An account and the ways to it.
struct Member {
    account: Arc<Account>,
    /// Where commands go; replaced by whoever listens next. Bounded by the account's open orders and its executor's questions.
    commands: Mutex<Option<mpsc::UnboundedSender<VenueCommand>>>,
    /// Cancels and orders of the kill switch that have no answer yet: a look at what is open comes behind them.
    asked: Mutex<Vec<CancellationToken>>,
}

/// Every account on venues of this family.
#[derive(Default)]
pub struct BinanceVenue {
    members: ArcSwap<FxHashMap<AccountId, Arc<Member>>>,
}

impl BinanceVenue {
    /// Takes an account in; one that is there already stays.
    pub fn add(&self, account: Arc<Account>) {
        let member = Arc::new(Member { account, commands: Mutex::default(), asked: Mutex::default() });
        self.members.rcu(|members| {
            let mut members = FxHashMap::clone(members);
            members.entry(member.account.id).or_insert_with(|| Arc::clone(&member));
            members
        });
    }

    #[must_use]
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.members.load().values().map(|member| Arc::clone(&member.account)).collect()
    }

    fn member(&self, account: AccountId) -> Result<Arc<Member>, NotTaken> {
        let member = self.members.load().get(&account).cloned();
        member.ok_or_else(|| NotTaken { found: format!("no account {account} there") })
    }
}

impl Venue for BinanceVenue {
    fn send(&self, account: AccountId, command: VenueCommand) -> Result<(), NotTaken> {
        let members = self.members.load();
        let member = members.get(&account).ok_or_else(|| NotTaken { found: format!("no account {account} there") })?;
        let commands = member.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = commands.as_ref().filter(|sender| !sender.is_closed());
        let sender = sender.ok_or_else(|| NotTaken { found: "its connection is being opened".to_owned() })?;
        if let VenueCommand::Place(order) = &command {
            member.account.admit(order).map_err(|found| NotTaken { found })?;
        }
        sender.send(command).map_err(|_| NotTaken { found: "its connection is being opened".to_owned() })
    }

    fn listen(&self, account: AccountId) -> Result<BoxStream<'static, Heard>, NotTaken> {
        let member = self.member(account)?;
        let (sender, receiver) = mpsc::unbounded_channel();
        *member.commands.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        let link = Link::new(Arc::clone(&member.account), receiver);
        Ok(stream::unfold(link, |mut link| async move { link.next().await.map(|heard| (heard, link)) }).boxed())
    }

    fn ask(&self, account: AccountId, command: VenueCommand) -> BoxFuture<'static, Result<Vec<VenueEvent>, NotTaken>> {
        let member = match self.member(account) {
            Ok(member) => member,
            Err(error) => return std::future::ready(Err(error)).boxed(),
        };
        let is_look = matches!(command, VenueCommand::Snapshot { .. });
        let (before, done) = {
            let mut asked = member.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.retain(|question| !question.is_cancelled());
            if is_look {
                (asked.clone(), None)
            } else {
                // A cancel waits for nobody: what was asked before it may hang.
                asked.push(CancellationToken::new());
                (Vec::new(), asked.last().cloned().map(CancellationToken::drop_guard))
            }
        };
        async move {
            for question in before {
                // Answered or given up: both end it.
                question.cancelled().await;
            }
            let events = perform(&member.account, &member.account.safety, Purpose::Kill, command).await.events;
            drop(done);
            Ok(events)
        }
        .boxed()
    }

    fn count_down(&self, word: Countdown) -> BoxFuture<'static, Result<(), NotTaken>> {
        let member = self.member(word.account);
        async move {
            let account = &member?.account;
            let millis = u64::try_from(word.after.as_millis()).unwrap_or(u64::MAX);
            // Spot has none.
            let Ok(request) = account.host().product.countdown_cancel_all(word.symbol, millis) else { return Ok(()) };
            let answer: Result<DoneAnswer, Failure> = account.safety.ask(Purpose::Kill, &request).await;
            answer.map(drop).map_err(|failure| NotTaken { found: failure.to_string() })
        }
        .boxed()
    }
}
