//! Answers and events of each product, and what they say to the order manager.

use super::*;

fn translator(product: Product) -> Translator {
    Translator::new(product, AccountId::new("main").unwrap(), &[])
}

#[test]
fn an_order_that_nobody_remembers_is_looked_for_in_both_places() {
    let id = ClientOrderId::new("rf-main-1-1").unwrap();
    assert!(translator(Product::BinanceUsdm).may_be_algo(id));
    assert!(!translator(Product::BinanceSpot).may_be_algo(id));
}
