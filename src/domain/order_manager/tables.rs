//! How many entries the order manager keeps, for whoever watches that nothing grows. It changes nothing.

use super::OrderManager;

impl OrderManager {
    /// Each table by its name.
    #[must_use]
    pub fn tables(&self) -> [(&'static str, usize); 7] {
        let (trades, funds) = self.positions.remembered();
        [
            ("orders", self.orders.len()),
            ("orders_live", self.live.len()),
            ("order_tombstones", self.tombstones.len()),
            ("trades_remembered", trades),
            ("funds_remembered", funds),
            ("marks", self.marks.len()),
            ("doubts", self.doubts.len()),
        ]
    }
}
