//! The listen keys of the accounts: one each, good for an hour from when it was made or last renewed. A pure machine: the time
//! and new keys are given. Who listens by a key is not its business; it says whose a key is and which have run out.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::AccountId;
use crate::domain::time::Timestamp;

/// How long a key is good for.
pub const VALID_FOR: Duration = Duration::from_secs(3_600);

/// The account has no key that is still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoListenKey;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    key: String,
    until: Timestamp,
}

/// A key that is good no more, and whose it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    pub account: AccountId,
    pub key: String,
}

/// All keys of one product.
#[derive(Debug, Default)]
pub struct ListenKeys {
    by_account: BTreeMap<AccountId, Held>,
    owners: BTreeMap<String, AccountId>,
    /// Found run out by a request, not yet told by `expire`.
    expired: Vec<Expired>,
}

impl ListenKeys {
    /// The account's key, renewed; a new one where it has none. Everybody who asks for the account gets the same.
    pub fn open(&mut self, now: Timestamp, account: AccountId, fresh: impl FnOnce() -> String) -> &str {
        self.let_run_out(now, account);
        let held = self.by_account.entry(account).or_insert_with(|| {
            let key = fresh();
            self.owners.insert(key.clone(), account);
            Held { key, until: now }
        });
        held.until = now + VALID_FOR;
        &held.key
    }

    /// Renews the account's key.
    ///
    /// # Errors
    /// When it has none.
    pub fn renew(&mut self, now: Timestamp, account: AccountId) -> Result<&str, NoListenKey> {
        self.let_run_out(now, account);
        let held = self.by_account.get_mut(&account).ok_or(NoListenKey)?;
        held.until = now + VALID_FOR;
        Ok(&held.key)
    }

    /// Ends the account's key for everybody who uses it.
    ///
    /// # Errors
    /// When it has none.
    pub fn close(&mut self, now: Timestamp, account: AccountId) -> Result<String, NoListenKey> {
        self.let_run_out(now, account);
        self.remove(account).ok_or(NoListenKey)
    }

    /// Lets a key run out before its time.
    pub fn expire_early(&mut self, account: AccountId) {
        if let Some(key) = self.remove(account) {
            self.expired.push(Expired { account, key });
        }
    }

    /// Whose key it is, while it is good.
    #[must_use]
    pub fn owner(&self, now: Timestamp, key: &str) -> Option<AccountId> {
        let account = *self.owners.get(key)?;
        self.by_account.get(&account).filter(|held| now < held.until).map(|_| account)
    }

    /// The account's key, good or not.
    #[must_use]
    pub fn of(&self, account: AccountId) -> Option<&str> {
        self.by_account.get(&account).map(|held| &*held.key)
    }

    /// Takes out what has run out by now.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Expired> {
        let over: Vec<AccountId> = self.by_account.iter().filter(|(_, held)| held.until <= now).map(|(account, _)| *account).collect();
        over.into_iter().for_each(|account| self.expire_early(account));
        std::mem::take(&mut self.expired)
    }

    fn let_run_out(&mut self, now: Timestamp, account: AccountId) {
        if self.by_account.get(&account).is_some_and(|held| held.until <= now) {
            self.expire_early(account);
        }
    }

    fn remove(&mut self, account: AccountId) -> Option<String> {
        let held = self.by_account.remove(&account)?;
        self.owners.remove(&held.key);
        Some(held.key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn account(name: &str) -> AccountId {
        AccountId::new(name).unwrap()
    }

    #[test]
    fn an_account_has_one_key_which_each_renewal_makes_good_for_another_hour() {
        let (mut keys, alpha) = (ListenKeys::default(), account("alpha"));
        assert_eq!(keys.open(START, alpha, || "first".to_owned()), "first");
        let later = START + VALID_FOR - Duration::from_millis(1);
        assert_eq!(keys.open(later, alpha, || "second".to_owned()), "first");
        assert_eq!(keys.renew(later, alpha), Ok("first"));
        assert_eq!(keys.owner(START + VALID_FOR, "first"), Some(alpha));
        assert!(keys.expire(START + VALID_FOR).is_empty());
        let end = later + VALID_FOR;
        assert_eq!(keys.owner(end, "first"), None);
        assert_eq!(keys.expire(end), [Expired { account: alpha, key: "first".to_owned() }]);
        assert_eq!(keys.renew(end, alpha), Err(NoListenKey));
        assert_eq!(keys.open(end, alpha, || "second".to_owned()), "second");
    }

    #[test]
    fn a_key_that_a_request_finds_run_out_is_still_told_once() {
        let (mut keys, alpha) = (ListenKeys::default(), account("alpha"));
        keys.open(START, alpha, || "first".to_owned());
        assert_eq!(keys.open(START + VALID_FOR, alpha, || "second".to_owned()), "second");
        assert_eq!(keys.expire(START + VALID_FOR).len(), 1);
        assert!(keys.expire(START + VALID_FOR).is_empty());
    }

    #[test]
    fn a_closed_key_is_nobodys_and_is_not_told_as_expired() {
        let (mut keys, alpha) = (ListenKeys::default(), account("alpha"));
        keys.open(START, alpha, || "first".to_owned());
        assert_eq!(keys.close(START, alpha), Ok("first".to_owned()));
        assert_eq!((keys.owner(START, "first"), keys.close(START, alpha)), (None, Err(NoListenKey)));
        assert!(keys.expire(START + VALID_FOR).is_empty());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Open(u8),
        Renew(u8),
        Close(u8),
        Wait(u16),
        Expire,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3_u8).prop_map(Step::Open),
            (0..3_u8).prop_map(Step::Renew),
            (0..3_u8).prop_map(Step::Close),
            (0..5_000_u16).prop_map(Step::Wait),
            Just(Step::Expire),
        ]
    }

    proptest! {
        /// Every key that was ever given ends exactly once: closed, expired, or still held.
        #[test]
        fn every_key_ends_once(steps in proptest::collection::vec(step(), 1..60)) {
            let accounts = ["a", "b", "c"].map(account);
            let (mut keys, mut now, mut made, mut ended) = (ListenKeys::default(), START, 0_u32, 0_u32);
            for step in steps {
                match step {
                    Step::Open(who) => {
                        let mut fresh = || { made += 1; made.to_string() };
                        let key = keys.open(now, accounts[usize::from(who)], &mut fresh).to_owned();
                        prop_assert_eq!(keys.owner(now, &key), Some(accounts[usize::from(who)]));
                    }
                    Step::Renew(who) => { let _ = keys.renew(now, accounts[usize::from(who)]); }
                    Step::Close(who) => ended += u32::from(keys.close(now, accounts[usize::from(who)]).is_ok()),
                    Step::Wait(seconds) => now = now + Duration::from_secs(seconds.into()),
                    Step::Expire => ended += u32::try_from(keys.expire(now).len()).unwrap(),
                }
            }
            ended += u32::try_from(keys.expire(now + VALID_FOR).len()).unwrap();
            prop_assert_eq!(made, ended);
        }
    }
}
