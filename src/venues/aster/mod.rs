//! Aster's futures: Binance's dialect (`venues::binance::codec` has its products) with signatures of its own.

pub mod sign;
