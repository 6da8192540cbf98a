//! Which streams go over which connection. A busy symbol has one of its own, so that its bursts delay nobody; quiet ones share, up
//! to the venue's limit of streams and to a load that one connection carries well. An exchange on this machine needs one
//! connection for all.

use crate::domain::instrument::{Instrument, InstrumentKind};

/// Binance's limit of streams for one connection, and Aster's.
const STREAMS_MAX: usize = 1_024;
const ASTER_STREAMS_MAX: usize = 200;
/// Quiet symbols of one connection: some 20 messages a second each in a busy hour, so that a connection stays below what a busy
/// symbol alone makes.
const SHARING_MAX: usize = 50;
/// Base currencies whose symbols made more than 200 messages a second each, books and touches included, when this was measured
/// (2024); nothing else came near.
const BUSY: [&str; 6] = ["BTC", "ETH", "SOL", "XRP", "DOGE", "BNB"];

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Scheme, host and, where the venue has routes, the route.
    pub base: String,
    /// Of which symbols, as places in what was given.
    pub members: Vec<usize>,
}

/// How a venue's streams are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    /// An exchange on this machine.
    Together,
    Venue {
        streams_max: usize,
        /// USD-M's `/public` and `/market`.
        routed: bool,
    },
}

impl Spread {
    /// What the address tells: without TLS it is a machine of our own; USD-M of Binance is routed, Aster is not.
    fn of(base: &str, kind: InstrumentKind) -> Self {
        match base.strip_prefix("wss://") {
            None => Self::Together,
            Some(host) if host.contains("asterdex") => Self::Venue { streams_max: ASTER_STREAMS_MAX, routed: false },
            Some(_) => Self::Venue { streams_max: STREAMS_MAX, routed: kind == InstrumentKind::Perpetual },
        }
    }
}

/// The streams of a symbol by address. Trades of USD-M come as aggregates where the venue is routed: single ones are in none of its
/// tables.
fn kinds(kind: InstrumentKind, route: &str) -> &'static [&'static str] {
    match (kind, route) {
        (InstrumentKind::Spot, _) => &["depth@100ms", "bookTicker", "trade"],
        (InstrumentKind::Perpetual, "/public") => &["depth@100ms", "bookTicker"],
        (InstrumentKind::Perpetual, "/market") => &["aggTrade", "markPrice@1s"],
        (InstrumentKind::Perpetual, _) => &["depth@100ms", "bookTicker", "trade", "markPrice@1s"],
    }
}

/// The connections for these symbols, all of one venue's product.
#[must_use]
pub fn plan(base: &str, instruments: &[Instrument]) -> Vec<Plan> {
    let base = base.trim_end_matches('/');
    let Some(kind) = instruments.first().map(|instrument| instrument.kind) else { return Vec::new() };
    let (streams_max, routes, sharing): (usize, &[&str], usize) = match Spread::of(base, kind) {
        Spread::Together => (STREAMS_MAX, &[""], usize::MAX),
        Spread::Venue { streams_max, routed: false } => (streams_max, &[""], SHARING_MAX),
        Spread::Venue { streams_max, routed: true } => (streams_max, &["/public", "/market"], SHARING_MAX),
    };
    let mut plans = Vec::new();
    for route in routes {
        // Of products mixed on one machine the larger number of streams counts.
        let most = sharing.min(streams_max / kinds(kind, route).len().max(if sharing == usize::MAX { 4 } else { 1 }));
        for members in groups(instruments, most, sharing == usize::MAX) {
            plans.push(Plan { base: format!("{base}{route}"), members });
        }
    }
    plans
}

/// The streams of these symbols at an address of a plan.
#[must_use]
pub fn streams(base: &str, instruments: &[Instrument]) -> Vec<String> {
    let route = ["/public", "/market"].into_iter().find(|route| base.ends_with(route)).unwrap_or_default();
    let of = |instrument: &Instrument| {
        let symbol = instrument.symbol.as_str().to_ascii_lowercase();
        kinds(instrument.kind, route).iter().map(move |kind| format!("{symbol}@{kind}"))
    };
    instruments.iter().flat_map(of).collect()
}

/// Busy ones alone, the others together in their order, as evenly as it goes.
fn groups(instruments: &[Instrument], most: usize, together: bool) -> Vec<Vec<usize>> {
    let is_busy = |at: &usize| !together && BUSY.contains(&instruments[*at].base.as_str());
    let (busy, quiet): (Vec<usize>, Vec<usize>) = (0..instruments.len()).partition(is_busy);
    let mut groups: Vec<Vec<usize>> = busy.into_iter().map(|at| vec![at]).collect();
    let count = quiet.len().div_ceil(most.max(1)).max(1);
    let size = quiet.len().div_ceil(count).max(1);
    groups.extend(quiet.chunks(size).map(<[usize]>::to_vec));
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::Symbol;
    use crate::exchange::instruments::inferred;

    fn instruments(kind: InstrumentKind, names: &[&str]) -> Vec<Instrument> {
        names.iter().map(|name| inferred(kind, Symbol::new(name).unwrap(), 2, 3)).collect()
    }

    fn streams_of(plan: &Plan, listed: &[Instrument]) -> Vec<String> {
        let members: Vec<Instrument> = plan.members.iter().map(|at| listed[*at].clone()).collect();
        streams(&plan.base, &members)
    }

    #[test]
    fn an_exchange_on_this_machine_needs_one_connection() {
        let plans = plan("ws://127.0.0.1:1/", &instruments(InstrumentKind::Perpetual, &["BTCUSDT", "ETHUSDT"]));
        assert_eq!(plans.len(), 1);
        assert_eq!(plans[0].base, "ws://127.0.0.1:1");
        assert_eq!(
            streams_of(&plans[0], &instruments(InstrumentKind::Perpetual, &["BTCUSDT", "ETHUSDT"]))[..4],
            ["btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@trade", "btcusdt@markPrice@1s"]
        );
    }

    #[test]
    fn busy_symbols_are_alone_and_quiet_ones_together() {
        let plans = plan("wss://stream.binance.com:9443", &instruments(InstrumentKind::Spot, &["ADAUSDT", "BTCUSDT", "LTCUSDT"]));
        let members: Vec<&[usize]> = plans.iter().map(|plan| &*plan.members).collect();
        assert_eq!(members, [&[1][..], &[0, 2]]);
    }

    #[test]
    fn usdm_of_binance_is_routed_and_aster_is_not() {
        let all = instruments(InstrumentKind::Perpetual, &["LTCUSDT"]);
        let plans = plan("wss://fstream.binance.com", &all);
        assert_eq!(
            plans.iter().map(|plan| &*plan.base).collect::<Vec<_>>(),
            ["wss://fstream.binance.com/public", "wss://fstream.binance.com/market"]
        );
        assert_eq!(streams_of(&plans[1], &all), ["ltcusdt@aggTrade", "ltcusdt@markPrice@1s"]);
        assert_eq!(streams_of(&plan("wss://fstream.asterdex.com", &all)[0], &all).len(), 4);
    }

    proptest! {
        /// Whatever is listed: every symbol's streams are there once, and no connection has more than the venue allows.
        #[test]
        fn nothing_is_left_out_and_no_limit_is_passed(count in 0_usize..700, host in 0_usize..3, spot in any::<bool>()) {
            let base = ["ws://localhost:1", "wss://stream.binance.com", "wss://fstream.asterdex.com"][host];
            let kind = if spot { InstrumentKind::Spot } else { InstrumentKind::Perpetual };
            let names: Vec<String> = (0..count).map(|n| format!("C{n}USDT")).collect();
            let listed = instruments(kind, &names.iter().map(String::as_str).collect::<Vec<_>>());
            let plans = plan(base, &listed);
            let limit = if host == 2 { 200 } else { 1_024 };
            let each: Vec<Vec<String>> = plans.iter().map(|plan| streams_of(plan, &listed)).collect();
            if host > 0 {
                prop_assert!(each.iter().all(|streams| (1..=limit).contains(&streams.len())));
            }
            let mut streams: Vec<String> = each.into_iter().flatten().collect();
            let each = if spot { 3 } else { 4 };
            prop_assert_eq!(streams.len(), count * each);
            streams.sort();
            streams.dedup();
            prop_assert_eq!(streams.len(), count * each);
        }
    }
}
