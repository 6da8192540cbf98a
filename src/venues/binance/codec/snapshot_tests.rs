//! Answers as venues give them, put together to what a snapshot needs.

use super::*;
use crate::domain::ids::{AccountId, ClientOrderId};
use crate::domain::instrument::InstrumentKind;
use crate::domain::money::Ratio;
use crate::domain::order::FeeTaken;

fn answer(body: &str) -> Answer<'_> {
    Answer { status: 200, retry_after: None, body: body.as_bytes() }
}

fn instrument(base: &str, quote: &str, kind: InstrumentKind) -> Instrument {
    Instrument {
        symbol: Symbol::new(&format!("{base}{quote}")).unwrap(),
        kind,
        base: base.into(),
        quote: quote.into(),
        price_step: "0.01".parse().unwrap(),
        quantity_step: "0.001".parse().unwrap(),
        min_quantity: "0.001".parse().unwrap(),
        max_quantity: "9000".parse().unwrap(),
        min_notional: "5".parse().unwrap(),
        price_band: Ratio::ZERO,
        maker_fee: Ratio::ZERO,
        taker_fee: Ratio::ZERO,
        max_leverage: 1,
    }
}

fn translator(product: Product, instruments: &[Instrument]) -> Translator {
    Translator::new(product, AccountId::new("main").unwrap(), instruments)
}

#[test]
fn a_spot_account_is_cash_and_holdings_of_the_instruments_that_are_traded() {
    let instruments = [instrument("BTC", "USDT", InstrumentKind::Spot), instrument("ETH", "USDT", InstrumentKind::Spot)];
    let body = r#"{"canTrade":true,"updateTime":7,"balances":[{"asset":"USDT","free":"900.10000000","locked":"99.90000000"},
        {"asset":"BTC","free":"0.99825000","locked":"1.00000000"},{"asset":"ETH","free":"0.00050000","locked":"0"},{"asset":"DOGE","free":"7","locked":"0"}]}"#;
    let usdt = Asset::new("USDT").unwrap();
    let Held { wallet, positions, beside_holdings, as_of, margin } = holdings(usdt, &instruments, |_| None, answer(body)).unwrap();
    assert_eq!((beside_holdings, as_of), (true, Some(Timestamp::from_millis(7))));
    assert_eq!(wallet, "1000".parse().unwrap());
    assert_eq!(margin.map(|margin| margin.available), Some("900.10".parse().unwrap()), "the rest is in orders");
    let shown: Vec<_> = positions.iter().map(|position| (position.symbol.as_str(), position.quantity, position.to_close())).collect();
    let quantity = |text: &str| text.parse::<Quantity>().unwrap();
    assert_eq!(shown, [("BTCUSDT", quantity("1.99825"), quantity("1.998")), ("ETHUSDT", quantity("0.0005"), Quantity::ZERO)]);
    let cheap = |_| Some("1".parse().unwrap());
    let Held { positions, .. } = holdings(usdt, &instruments, cheap, answer(body)).unwrap();
    assert_eq!(positions[0].to_close(), Quantity::ZERO, "worth less than the venue takes an order for");
}

#[test]
fn two_instruments_in_one_coin_cannot_share_a_spot_account() {
    let btc = instrument("BTC", "USDT", InstrumentKind::Spot);
    assert_eq!(check_holdings([&btc, &instrument("ETH", "USDT", InstrumentKind::Spot)]), Ok(()));
    let error = check_holdings([&btc, &instrument("BTC", "FDUSD", InstrumentKind::Spot)]).unwrap_err();
    assert!(error.to_string().starts_with("BTCUSDT and BTCFDUSD are both positions in BTC"), "{error}");
}

#[test]
fn what_is_settled_in_two_currencies_cannot_share_an_account() {
    let [btc, eth] = ["BTC", "ETH"].map(|base| instrument(base, "USDT", InstrumentKind::Spot));
    let error = check_purse(&[btc.clone(), instrument("ETH", "BTC", InstrumentKind::Spot)]).unwrap_err();
    assert!(error.to_string().starts_with("BTCUSDT is settled in USDT and ETHBTC in BTC"), "{error}");
    assert_eq!(check_purse(&[btc, eth]), Ok(()));
}

#[test]
fn positions_and_wallet_of_a_futures_account_are_read_and_flat_ones_left_out() {
    let body = r#"[{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"-0.300","entryPrice":"61800.1","markPrice":"61700","unRealizedProfit":"1"},
        {"symbol":"ETHUSDT","positionSide":"BOTH","positionAmt":"0.000","entryPrice":"0.0"},
        {"symbol":"币安人生USDT","positionSide":"BOTH","positionAmt":"5","entryPrice":"1"}]"#;
    let found = positions(Product::BinanceUsdm, answer(body)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].quantity, found[0].entry_price), ("-0.3".parse().unwrap(), "61800.1".parse().unwrap()));
    let body = r#"[{"asset":"BNB","balance":"1"},{"accountAlias":"x","asset":"USDT","balance":"122607.35137903","crossUnPnl":"7"}]"#;
    let money = |asset: &str| wallet(Product::BinanceUsdm, Asset::new(asset).unwrap(), answer(body)).unwrap();
    assert_eq!((money("USDT"), money("USDC")), ("122607.35137903".parse().unwrap(), Money::ZERO));
    let refused = positions(Product::BinanceUsdm, Answer { status: 401, retry_after: None, body: br#"{"code":-2015,"msg":"no"}"# });
    assert_eq!(refused, Err(Failure::Refused { code: -2015, message: "no".into() }));
}

#[test]
fn trades_are_fills_once_their_orders_have_names() {
    let instruments = [instrument("BTC", "USDT", InstrumentKind::Spot)];
    let mut translator = translator(Product::BinanceSpot, &instruments);
    let body = r#"[{"symbol":"BTCUSDT","id":8,"orderId":71,"price":"100","qty":"0.5","commission":"0.0005","commissionAsset":"BTC","time":2,"isBuyer":true,"isMaker":false},
        {"symbol":"BTCUSDT","id":7,"orderId":70,"price":"100","qty":"1","commission":"0.1","commissionAsset":"USDT","time":1,"isBuyer":false,"isMaker":true},
        {"symbol":"BTCUSDT","id":9,"orderId":70,"price":"100","qty":"1","commission":"0.0001","commissionAsset":"BNB","time":3,"isBuyer":false,"isMaker":true}]"#;
    let symbol = instruments[0].symbol;
    let listed = translator.listed(answer(body)).unwrap();
    assert_eq!((listed.found, listed.newest, listed.fills.len()), (3, Some(9), 0));
    assert_eq!(listed.unnamed, BTreeSet::from([(symbol, 70), (symbol, 71)]));
    translator.named(symbol, 70, Some(ClientOrderId::new("rf-main-1-7").unwrap()));
    translator.named(symbol, 71, None);
    let listed = translator.listed(answer(body)).unwrap();
    let [seven, eight, nine] = &listed.fills[..] else { panic!("{listed:?}") };
    assert_eq!((seven.trade_id, seven.client_order_id.as_str(), seven.fee, seven.maker), (7, "rf-main-1-7", "0.1".parse().unwrap(), true));
    assert_eq!(
        (eight.client_order_id.as_str(), eight.fee, eight.moved()),
        ("venue-71", "0.05".parse().unwrap(), "0.4995".parse().unwrap())
    );
    assert!(matches!(nine.fee_taken, Some(FeeTaken::Elsewhere { asset, .. }) if asset.as_str() == "BNB") && nine.fee.is_zero());
}

#[test]
fn an_order_that_cannot_be_understood_spoils_the_list() {
    let mut translator = translator(Product::BinanceUsdm, &[]);
    let order = |status: &str| {
        format!(
            r#"[{{"symbol":"BTCUSDT","orderId":1,"clientOrderId":"a","status":"{status}","type":"LIMIT","side":"BUY","price":"1","origQty":"1","executedQty":"0"}}]"#
        )
    };
    assert_eq!(translator.open_orders(answer(&order("NEW"))).unwrap().len(), 1);
    let error = translator.open_orders(answer(&order("DREAMING"))).unwrap_err();
    assert!(!error.is_definite() && error.to_string().contains("DREAMING"), "{error}");
}

#[test]
fn leverage_and_margin_type_are_read_from_where_each_venue_says_them() {
    let config = r#"[{"symbol":"BTCUSDT","marginType":"CROSSED","isAutoAddMargin":false,"leverage":21,"maxNotionalValue":"1000000"}]"#;
    let positions =
        r#"[{"entryPrice":"0.0","marginType":"isolated","leverage":"10","positionAmt":"0.000","symbol":"BTCUSDT","positionSide":"BOTH"}]"#;
    let usdm = symbol_settings(Product::BinanceUsdm, answer(config)).unwrap();
    let aster = symbol_settings(Product::AsterV3, answer(positions)).unwrap();
    assert_eq!((usdm[0].leverage, usdm[0].isolated), (21, false));
    assert_eq!((aster[0].leverage, aster[0].isolated), (10, true));
}

#[test]
fn what_is_held_is_dated_by_its_newest_change() {
    let balances = r#"[{"asset":"BNB","balance":"1","updateTime":90},{"asset":"USDT","balance":"1000","updateTime":20}]"#;
    let shown = |time: &str| format!(r#"[{{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"0.5","entryPrice":"100"{time}}}]"#);
    let (product, usdt) = (Product::BinanceUsdm, Asset::new("USDT").unwrap());
    for (time, newest) in [(r#","updateTime":30"#, 30), (r#","updateTime":10"#, 20), ("", 20)] {
        let held = held(product, usdt, answer(balances), answer(&shown(time))).unwrap();
        assert_eq!((held.wallet, held.positions.len()), ("1000".parse().unwrap(), 1));
        assert_eq!(held.as_of, Some(Timestamp::from_millis(newest)), "another asset's changes are no business of ours");
    }
    let undated = held(product, usdt, answer(r#"[{"asset":"USDT","balance":"1000"}]"#), answer("[]")).unwrap();
    assert_eq!(undated.as_of, None);
}
