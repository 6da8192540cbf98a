//! A journal row in one line for a person. The JSON form has everything; this has what one looks for.

use crate::domain::order::{NewOrder, OrderKind};
use crate::domain::record::Record;
use crate::domain::risk::overrides::Override;

pub(super) fn summary(record: &Record) -> String {
    match record {
        Record::DaemonStarted { version, config_hash, .. } => format!("started {version}, config {}", short(config_hash)),
        Record::DaemonStopped { reason, .. } => format!("stopped: {reason}"),
        Record::OrderIntended { intent, order, .. } => {
            format!("{} {} by {} ({})", order.client_order_id, wish(order), intent.strategy, intent.reason)
        }
        Record::OrderRefused { intent, control, limit, value } => {
            format!("{} {} {} by {}: {control}: limit {limit}, found {value}", intent.side, intent.quantity, intent.symbol, intent.strategy)
        }
        Record::OrderChanged { client_order_id, status, filled, detail, .. } => {
            format!("{client_order_id} {status}, filled {filled}{}", after_colon(detail.as_deref()))
        }
        Record::Filled { fill, .. } => {
            format!("{} {} {} {} at {}, fee {}", fill.client_order_id, fill.side, fill.quantity, fill.symbol, fill.price, fill.fee)
        }
        Record::DayOpened { equity, .. } => format!("day opened with equity {equity}"),
        Record::Reconciled { findings, wallet, .. } => {
            format!("wallet {wallet}, {} findings{}", findings.len(), after_colon(Some(&findings.join("; "))))
        }
        // The cause names the person and the reason where there is one.
        Record::FundsMoved { moved, .. } => {
            let told = moved.iter().map(|entry| {
                let symbol = entry.symbol.map(|symbol| format!(" of {symbol}")).unwrap_or_default();
                format!("{}{symbol} {}", entry.kind, entry.amount)
            });
            told.collect::<Vec<_>>().join(", ")
        }
        Record::ModeChanged { scope, from, to, cause, .. } => format!("{scope}: {from} → {to}: {cause}"),
        Record::OverrideGranted { granted } => {
            let Override { account, symbol, controls, expires, by, reason, .. } = granted;
            format!("override of {} for {account} on {symbol} until {expires} by {by}: {reason}", controls.join(", "))
        }
        Record::OverrideUsed { intent, symbol, controls, .. } => {
            format!("override of {} used by {intent} on {symbol}", controls.join(", "))
        }
        Record::EquityPeaked { peaks, because, .. } => {
            format!("equity peaked at {}, of the day at {}{}", peaks.ever, peaks.day, after_colon(because.as_deref()))
        }
        Record::OperatorCommand { verb, scope, by, reason, outcome } => format!("{verb} {scope} by {by}: {reason}; {outcome}"),
        Record::ConfigChanged { changes, config_hash } => format!("config {}: {}", short(config_hash), changes.join("; ")),
        Record::Supervision { child, incarnation, event, class, detail } => {
            let class = class.map_or_else(String::new, |class| format!(" ({class})"));
            format!("{child} #{incarnation} {event}{class}{}", after_colon(Some(detail)))
        }
        Record::KillSwitch { scope, event, detail } => format!("{scope}: {event}{}", after_colon(Some(detail))),
        Record::Alert { id, event, severity, alarm, text, times, by, reason, .. } => {
            let by = by.as_ref().map_or_else(String::new, |by| format!(" by {by}: {}", reason.as_deref().unwrap_or_default()));
            format!("#{id} {event}{by}: {severity} {alarm}, {times} times: {text}")
        }
    }
}

fn wish(order: &NewOrder) -> String {
    let kind = match order.kind {
        OrderKind::Market => "at market".to_owned(),
        OrderKind::Limit { price } => format!("at {price}"),
        OrderKind::StopMarket { trigger } => format!("stop {trigger}"),
        OrderKind::StopLimit { trigger, price } => format!("stop {trigger} at {price}"),
        OrderKind::TakeProfitMarket { trigger } => format!("take profit {trigger}"),
        OrderKind::TakeProfitLimit { trigger, price } => format!("take profit {trigger} at {price}"),
    };
    format!("{} {} {} {kind}", order.side, order.quantity, order.symbol)
}

/// Twelve characters tell two configurations apart; the JSON form has them all.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

fn after_colon(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).map_or_else(String::new, |text| format!(": {text}"))
}
