//! The exchange's engine over a real recording: its book agrees with the recorded touches, and resting orders never fill with
//! more than the tape has traded at or through their price since they joined.

use ringfence::domain::ids::{AccountId, ClientOrderId};
use ringfence::domain::market_data::MarketEventRef;
use ringfence::domain::money::{Money, Quantity};
use ringfence::domain::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce, VenueCommand, VenueEvent};
use ringfence::exchange::sources::recording::{Options, Recording};
use ringfence::exchange::{AccountSetup, Exchange, ExchangeConfig};
use rust_decimal::Decimal;

use crate::support::skip::shared_data;

const RECORDING: &str = "market/usdm/btcusdt_20240808.gz";

/// A bid at the touch every hundredth frame; how much the tape could have given it is counted beside it.
#[test]
fn resting_orders_fill_with_no_more_than_the_tape_traded() {
    let Some(path) = shared_data(RECORDING) else { return };
    let mut source = Recording::open(&[path], &Options::default()).unwrap();
    let mut exchange = Exchange::new(ExchangeConfig::default());
    let instrument = source.instruments()[0].clone();
    let symbol = exchange.add_symbol(instrument.clone());
    let account = AccountId::new("tape").unwrap();
    exchange.open_account(account, AccountSetup { deposit: Money(Decimal::from(1_000_000)), owner: 0, hedge: false });
    let (mut out, mut frames, mut joined, mut fills, mut ticker) = (Vec::new(), 0_u64, None, 0, None);
    while let Some(frame) = source.next_frame() {
        let frame = frame.unwrap();
        let (now, event) = (frame.received_at, frame.event);
        frames += 1;
        exchange.market(now, symbol, event, &mut out);
        match event {
            MarketEventRef::Ticker(shown) => {
                ticker = Some(shown.id).max(ticker);
                if ticker == Some(shown.id) && exchange.book(symbol, 1).unwrap().0 <= shown.id {
                    assert_eq!(exchange.touch(symbol), (Some(shown.bid), Some(shown.ask)), "frame {frames}");
                }
                if let Some((price, traded, _)) = &mut joined
                    && shown.ask.price <= *price
                {
                    // Quoted through: what is displayed may fill us too.
                    *traded += shown.ask.quantity.0;
                }
            }
            MarketEventRef::Trade(print) => {
                if let Some((price, traded, _)) = &mut joined
                    && print.buyer_is_maker
                    && print.price <= *price
                {
                    *traded += print.quantity.0;
                }
            }
            _ => {}
        }
        for output in out.drain(..) {
            let (VenueEvent::Filled(fill), Some((_, traded, filled))) = (output.event, &mut joined) else { continue };
            *filled += instrument.lots(fill.quantity).unwrap().0;
            fills += 1;
            assert!(filled <= traded, "frame {frames}: filled {filled} lots, the tape traded {traded}");
        }
        if frames.is_multiple_of(500)
            && let (Some(bid), _) = exchange.touch(symbol)
        {
            exchange.command(now, account, &VenueCommand::CancelAll { symbol: None }, &mut out);
            let order = NewOrder {
                client_order_id: ClientOrderId::new(&format!("tape-{frames}")).unwrap(),
                symbol: instrument.symbol,
                side: Side::Buy,
                position_side: PositionSide::Both,
                kind: OrderKind::Limit { price: instrument.price(bid.price) },
                time_in_force: TimeInForce::PostOnly,
                quantity: Quantity(Decimal::new(50, 3)),
                reduce_only: false,
                self_trade_prevention: SelfTradePrevention::ExpireMaker,
            };
            exchange.command(now, account, &VenueCommand::Place(order), &mut out);
            out.clear();
            joined = Some((bid.price, 0, 0));
        }
    }
    assert!(frames > 50_000 && fills > 20, "{frames} frames, {fills} fills");
}
