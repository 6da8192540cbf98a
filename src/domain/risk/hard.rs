//! Hard risk (B6): what an account may lose, before each order that may open. Margin that stays free, distance to liquidation,
//! the risk of the order and of everything together, drawdowns, runs of failures. Arithmetic on what is known, and where
//! something is not known the answer is no.

use super::super::money::{Money, Price};
use super::super::order::OrderIntent;
use super::account::Account;
use super::book::stop_distance;
use super::checks::{Broken, Check, Exposure, Rules, configured, no};
use super::limits::{AccountLimits, HardLimits};
use super::margin::Stressed;
use super::{RiskMachine, controls};

/// Lets a check pass that a person overrode.
type Pardoning<'a> = &'a dyn Fn(Check) -> Check;

impl RiskMachine {
    /// That the limits of losses are there at all is asked of every order, also of one that only reduces.
    pub(super) fn configured_losses(&self, limits: &AccountLimits) -> Check {
        configured(controls::DAILY_LOSS, limits.max_daily_loss).map(|_| ())
    }

    pub(super) fn check_hard(
        &self,
        account: &Account,
        intent: &OrderIntent,
        rules: &Rules<'_>,
        pass: Pardoning<'_>,
        (exposure, price): (Exposure, Price),
    ) -> Check {
        let hard = &rules.account.hard;
        pass(check_drawdown_day(account, hard))?;
        pass(check_drawdown(account, hard))?;
        check_run(controls::CONSECUTIVE_REJECTS, hard.max_consecutive_rejects, account.rejects)?;
        check_run(controls::CONSECUTIVE_LOSSES, hard.max_consecutive_losses, account.losses)?;
        if !exposure.grows() {
            // It makes the whole smaller: nothing more is tied up, and nothing more can be lost.
            return [
                configured(controls::MARGIN_FLOOR, hard.margin_floor).map(|_| ()),
                configured(controls::LIQUIDATION_DISTANCE, rules.symbol.min_liquidation_distance).map(|_| ()),
                configured(controls::RISK_PER_TRADE, hard.max_risk_per_trade).map(|_| ()),
                configured(controls::RISK_TOTAL, hard.max_risk_total).map(|_| ()),
            ]
            .into_iter()
            .collect();
        }
        let more = price * (exposure.after - exposure.before);
        pass(self.check_margin_floor(account, intent, hard, more))?;
        pass(self.check_liquidation(account, intent, rules, price))?;
        let lost = self.loss_of(intent, rules, price)?;
        pass(check_risk_per_trade(account, hard, lost))?;
        pass(check_risk_total(account, hard, lost))
    }

    /// What is free after the order by our own figures, and by the venue's less all that it may not have seen yet: the smaller
    /// one counts.
    fn check_margin_floor(&self, account: &Account, intent: &OrderIntent, hard: &HardLimits, more: Money) -> Check {
        let floor = configured(controls::MARGIN_FLOOR, hard.margin_floor)?;
        let tied = more * self.initial_share(intent.account, intent.symbol);
        let ours = account.equity - account.initial - tied;
        let venues = account.margin.as_ref().map(|margin| {
            let committed: Money = account.committed.iter().map(|(_, amount)| *amount).sum();
            // What was lost since then is free no more; what was earned since then may be gone by the time that the order is there.
            let lost = (margin.equity - account.equity).max(Money::ZERO);
            margin.available - lost - committed - tied
        });
        let free = venues.map_or(ours, |venues| venues.min(ours));
        let least = account.equity * floor;
        // Without equity there is no share of it: nothing is opened.
        if free < least || !account.equity.is_positive() {
            return Err(no(controls::MARGIN_FLOOR, format!("{least} free, {floor} of an equity of {}", account.equity), free));
        }
        Ok(())
    }

    fn check_liquidation(&self, account: &Account, intent: &OrderIntent, rules: &Rules<'_>, price: Price) -> Check {
        let distance = configured(controls::LIQUIDATION_DISTANCE, rules.symbol.min_liquidation_distance)?;
        if self.is_spot(intent.symbol) {
            return Ok(());
        }
        let market = self.price(intent.symbol).unwrap_or(price);
        // The venue's own word on what is held: it has seen all of it.
        if let Some(told) = account.margin.as_ref().and_then(|margin| margin.liquidation_price(intent.symbol, intent.side))
            && (market - told).abs() < market * distance
        {
            return Err(no(controls::LIQUIDATION_DISTANCE, format!("{distance} from {market}"), format!("{told}, by the venue")));
        }
        let brackets = self.limits.brackets.get(&intent.symbol);
        let book = account.books.get(&intent.symbol);
        let quantity = book.map_or(intent.quantity, |book| book.towards(intent.side, intent.quantity));
        let equity = if rules.account.isolated {
            (market * quantity) * self.initial_share(intent.account, intent.symbol)
        } else {
            account.equity - (account.maintenance - book.map(|book| book.maintenance).unwrap_or_default())
        };
        let stressed = Stressed { side: intent.side, quantity, price: market, equity };
        if !stressed.left_after(brackets, distance).is_positive() {
            let at = stressed.liquidation_price(brackets).map_or_else(|| "none left".to_owned(), |price| price.to_string());
            return Err(no(controls::LIQUIDATION_DISTANCE, format!("{distance} from {market}"), at));
        }
        Ok(())
    }

    /// What the order loses at the stop that its strategy promised; without one the whole way to the collar's end, where a market
    /// counts as abnormal.
    fn loss_of(&self, intent: &OrderIntent, rules: &Rules<'_>, price: Price) -> Result<Money, Broken> {
        let collar = configured(controls::PRICE_COLLAR_PERIOD, rules.symbol.period_collar)?;
        let distance = stop_distance(intent, price).unwrap_or_else(|| price * collar.distance);
        Ok(distance * intent.quantity)
    }
}

fn check_drawdown_day(account: &Account, hard: &HardLimits) -> Check {
    let limit = configured(controls::DRAWDOWN_DAY, hard.max_drawdown_day)?;
    let Some(peaks) = account.peaks else { return Err(no(controls::DRAWDOWN_DAY, limit, "not known: no peak of the day yet")) };
    account.drawdown_day(limit).map_or(Ok(()), |_| Err(no(controls::DRAWDOWN_DAY, limit, format!("{} of {}", account.equity, peaks.day))))
}

fn check_drawdown(account: &Account, hard: &HardLimits) -> Check {
    let limit = configured(controls::DRAWDOWN_PEAK, hard.max_drawdown)?;
    let Some(peaks) = account.peaks else { return Err(no(controls::DRAWDOWN_PEAK, limit, "not known: no peak yet")) };
    account.drawdown(limit).map_or(Ok(()), |_| Err(no(controls::DRAWDOWN_PEAK, limit, format!("{} of {}", account.equity, peaks.ever))))
}

/// For as long as the trip over a run of failures is on its way to whoever halts the account.
fn check_run(control: &'static str, limit: Option<u32>, found: u32) -> Check {
    let limit = configured(control, limit)?;
    if found >= limit { Err(no(control, limit, format!("{found} one after the other"))) } else { Ok(()) }
}

fn check_risk_per_trade(account: &Account, hard: &HardLimits, lost: Money) -> Check {
    let share = configured(controls::RISK_PER_TRADE, hard.max_risk_per_trade)?;
    let most = account.equity * share;
    if lost > most {
        return Err(no(controls::RISK_PER_TRADE, format!("{most}, {share} of an equity of {}", account.equity), lost));
    }
    Ok(())
}

fn check_risk_total(account: &Account, hard: &HardLimits, lost: Money) -> Check {
    let share = configured(controls::RISK_TOTAL, hard.max_risk_total)?;
    let (most, total) = (account.equity * share, account.at_risk + lost);
    if total > most {
        return Err(no(controls::RISK_TOTAL, format!("{most}, {share} of an equity of {}", account.equity), total));
    }
    Ok(())
}
