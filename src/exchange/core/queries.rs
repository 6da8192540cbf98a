//! What the exchange answers about an account: an order, the whole of it. Changes nothing.

use rust_decimal::Decimal;

use crate::domain::ids::{ClientOrderId, Symbol};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{Fill, Liquidation, TradesWanted, VenueMargin, VenueOrder, VenuePosition, VenueSnapshot};

use super::Exchange;
use super::account::Account;

impl Exchange {
    /// The order under that id: the open one, else the newest that ended.
    pub(super) fn query(&self, account: usize, symbol: Symbol, id: ClientOrderId) -> Option<VenueOrder> {
        let holder = &self.accounts[account];
        if let Some((index, slot)) = holder.open.get(&id) {
            let order = self.markets[*index].orders.get(*slot)?;
            return Some(self.shown(*index, order, order.open_status())).filter(|order| order.symbol == symbol);
        }
        holder
            .closed
            .iter()
            .rev()
            .find(|order| order.order.client_order_id == id && order.order.symbol == symbol)
            .map(|view| view.order.clone())
    }

    pub(super) fn snapshot(&self, account: usize, trades: &TradesWanted) -> VenueSnapshot {
        let holder = &self.accounts[account];
        let open = holder.open.values().filter_map(|(index, slot)| {
            let order = self.markets[*index].orders.get(*slot)?;
            Some(self.shown(*index, order, order.open_status()))
        });
        let mut open_orders: Vec<VenueOrder> = open.collect();
        open_orders.sort_unstable_by_key(|order| order.venue_order_id);
        let beside_holdings = self.is_spot_engine();
        let (wallet, positions) = if beside_holdings { self.holdings(holder) } else { (Money(holder.wallet), self.positions(holder)) };
        VenueSnapshot {
            open_orders,
            positions,
            wallet,
            beside_holdings,
            trades: wanted_of(holder, trades),
            funds: Vec::new(),
            on_their_way: 0,
            margin: Some(self.venue_margin(account)),
            as_of: Some(if beside_holdings { holder.spot.updated_at() } else { holder.margin.updated_at }),
        }
    }

    fn venue_margin(&self, account: usize) -> VenueMargin {
        let holder = &self.accounts[account];
        if self.is_spot_engine() {
            let (equity, available) = self.cash(holder);
            return VenueMargin { equity, available, ..VenueMargin::default() };
        }
        let Some(margin) = self.account_margin(holder.id) else { return VenueMargin::default() };
        // Invariant: the first asset is the one that everything is margined in.
        let main = &margin.assets[0];
        let liquidations = margin.positions.iter().filter(|position| position.liquidation_price.is_positive());
        VenueMargin {
            equity: main.margin_balance,
            available: main.available,
            maintenance: main.maintenance,
            liquidations: liquidations
                .map(|position| Liquidation {
                    symbol: position.symbol,
                    position_side: position.position_side,
                    quantity: position.quantity,
                    price: position.liquidation_price,
                })
                .collect(),
            leverage: margin.positions.iter().map(|position| (position.symbol, position.leverage)).collect(),
            ..VenueMargin::default()
        }
    }

    fn positions(&self, account: &Account) -> Vec<VenuePosition> {
        let shown = account.slots.iter().flat_map(|(index, slot)| {
            let market = &self.markets[*index];
            slot.legs().map(|(position_side, leg)| VenuePosition {
                symbol: market.instrument.symbol,
                position_side,
                quantity: Quantity((Decimal::from(leg.lots) * market.unit.step).normalize()),
                entry_price: Price(leg.entry_price(&market.unit)),
                closable: None,
            })
        });
        shown.collect()
    }
}

/// Times and trade ids of an account ascend over all its symbols, so the tail is all that is looked at.
fn wanted_of(account: &Account, wanted: &TradesWanted) -> Vec<Fill> {
    let from = account.trades.partition_point(|trade| !wanted.values().any(|from| from.reaches(&trade.fill)));
    let fills = account.trades.iter().skip(from).map(|trade| &trade.fill);
    fills.filter(|fill| fill.is_wanted(wanted)).cloned().collect()
}
