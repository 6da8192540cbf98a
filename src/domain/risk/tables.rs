//! How many entries risk keeps, for whoever watches that nothing grows. It changes nothing.

use super::RiskMachine;

impl RiskMachine {
    /// Each table by its name.
    #[must_use]
    pub fn tables(&self) -> [(&'static str, usize); 6] {
        let sum = |of: fn(&super::Account) -> usize| self.accounts.values().map(of).sum();
        [
            ("reservations", sum(|account| account.open.len())),
            ("messages_counted", sum(|account| account.messages.len())),
            ("books", sum(|account| account.books.len())),
            ("proposers", self.newest.len()),
            ("twins", self.twins.len()),
            ("markets", self.markets.len()),
        ]
    }
}
