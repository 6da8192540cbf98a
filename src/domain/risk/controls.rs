//! Every control that can say no to an order or stop trading by itself, in one table: its stable name, which rows of the field's
//! demands it answers (C01–C24, A5 and B6), and what it holds. Names only; the checks are beside it, and nothing decides here.
//! Refusals, trips, metrics, journal rows and the control matrix all use these names.

/// One control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// As refusals and trips spell it.
    pub name: &'static str,
    /// The demands that it answers.
    pub covers: &'static [&'static str],
    /// What it holds, for people.
    pub holds: &'static str,
}

macro_rules! controls {
    ($($constant:ident = $name:literal, [$($covers:literal),+], $holds:literal;)*) => {
        $(pub const $constant: &str = $name;)*

        /// In the order in which risk asks them; what stops trading by itself behind them, and the executor's own last.
        pub const ALL: &[Control] = &[$(Control { name: $name, covers: &[$($covers),+], holds: $holds }),*];
    };
}

controls! {
    LADDER_MODE = "ladder_mode", ["C01", "C09"], "what the mode of everything, the account, the strategy and the symbol lets through";
    RECONCILIATION = "reconciliation", ["C12"], "no order on an account whose book is not known";
    DUPLICATE_INTENT = "duplicate_intent", ["C15"], "the same intent again, and an order equal to the strategy's last one too soon";
    INSTRUMENT_PERMISSION = "instrument_permission", ["C09", "C17"], "symbols that the account is configured for";
    STRATEGY_PERMISSION = "strategy_permission", ["C09", "C17"], "accounts and symbols that the strategy is configured for";
    ORDER_QUANTITY = "order_quantity", ["C05", "C15"], "the venue's lot size, and the largest quantity of one order";
    STALE_MARKET = "stale_market", ["C03", "C15"], "no order on a market that is silent or broken";
    ABNORMAL_MARKET = "abnormal_market", ["B6", "E7"], "nothing is opened on a spread too wide, a jump, or a one-sided book; repeated, the symbol is halted";
    PRICE_COLLAR = "price_collar", ["C03", "C15"], "how far an order's price may be from the reference";
    PRICE_COLLAR_PERIOD = "price_collar_period", ["C03"], "how far it may be from any reference within a period";
    ORDER_VALUE = "order_value", ["C04", "C15"], "the most that one order may be worth, by account, symbol and strategy";
    REDUCE_ONLY = "reduce_only", ["C18"], "a reducing order is no larger than what it reduces";
    MESSAGE_RATE = "message_rate", ["C06"], "new orders, changes and cancels of one account within a period";
    STRATEGY_MESSAGE_RATE = "strategy_message_rate", ["C06", "C09", "C21"], "the same of one strategy";
    FIRM_MESSAGE_RATE = "firm_message_rate", ["C06", "C09"], "the same of all accounts together";
    EXECUTION_RATE = "execution_rate", ["C21"], "orders of one strategy that executed within a period";
    REPEATED_EXECUTIONS = "repeated_executions", ["C08"], "after so many executed orders the strategy is halted until a named person resumes it";
    ORDER_TO_TRADE = "order_to_trade", ["C24"], "messages for each trade of an account on a symbol; reducing orders and cancels are counted and pass";
    DAILY_LOSS = "daily_loss", ["A5"], "what an account may lose in one UTC day";
    DRAWDOWN_DAY = "drawdown_day", ["B6", "A5"], "how far equity may fall from the day's peak";
    DRAWDOWN_PEAK = "drawdown_peak", ["B6", "A5"], "how far equity may fall from its highest ever";
    CONSECUTIVE_REJECTS = "consecutive_rejects", ["B6"], "orders that the venue refused one after the other";
    CONSECUTIVE_LOSSES = "consecutive_losses", ["B6"], "trades that closed with a loss one after the other";
    MARGIN_FLOOR = "margin_floor", ["B6"], "the share of equity that must stay free after the order";
    LIQUIDATION_DISTANCE = "liquidation_distance", ["B6"], "how far the price must be from liquidation after the order";
    RISK_PER_TRADE = "risk_per_trade", ["B6"], "the share of equity lost when the order's stop is reached";
    RISK_TOTAL = "risk_total", ["B6"], "the same of everything that the account has open";
    POSITION_VALUE = "position_value", ["C18", "C07", "A5"], "position plus working orders of one account on one symbol, both sides apart";
    CAPITAL = "capital", ["C15", "C07"], "positions plus working orders of all accounts together";
    OWN_CROSS = "own_cross", ["C23", "C21"], "orders of one owner's accounts never meet: an opening order is refused, a reducing one waits for confirmed cancels";
    OVERRIDE = "override", ["C10"], "one order past named limits, by a named person, until it expires; never past the kill switch";
    EXECUTOR_DOWN = "executor_down", ["C22"], "an approval that nobody took was not sent";
    LAST_HOP = "last_hop", ["C22"], "the executor holds account, build, risk manager, mode, quantity and id against what is true where it stands";
}

/// The control of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Control> {
    ALL.iter().find(|control| control.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once_and_is_found() {
        for (place, control) in ALL.iter().enumerate() {
            assert_eq!(ALL.iter().position(|other| other.name == control.name), Some(place), "{}", control.name);
            assert_eq!(find(control.name), Some(control));
        }
        assert_eq!(find("price_colar"), None);
    }
}
