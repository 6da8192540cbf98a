//! The feature columns of a bar, as `data features` writes them and strategies read them: one machine that is fed bars
//! and gives the whole row, each value empty before its warm-up.

use super::{Adx, Atr, Bar, Ema, Indicator, Macd, MacdValue, Rsi, Sma, Squeeze, VolumeRatio};

/// One row of features. `None` is a value that has not warmed up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FeatureRow {
    pub close: f64,
    pub sma_20: Option<f64>,
    pub sma_50: Option<f64>,
    pub ema_12: Option<f64>,
    pub ema_26: Option<f64>,
    pub rsi_14: Option<f64>,
    pub macd: Option<f64>,
    pub macd_signal: Option<f64>,
    pub macd_hist: Option<f64>,
    pub bb_upper: Option<f64>,
    pub bb_middle: Option<f64>,
    pub bb_lower: Option<f64>,
    pub atr_14: Option<f64>,
    pub adx_14: Option<f64>,
    pub squeeze: Option<bool>,
    pub volume_ratio_20: Option<f64>,
}

impl FeatureRow {
    /// The columns after `close`, in order: names and values side by side, so that they cannot drift apart. The squeeze
    /// is 1 or 0.
    #[must_use]
    pub fn columns(&self) -> [(&'static str, Option<f64>); 15] {
        [
            ("sma_20", self.sma_20),
            ("sma_50", self.sma_50),
            ("ema_12", self.ema_12),
            ("ema_26", self.ema_26),
            ("rsi_14", self.rsi_14),
            ("macd", self.macd),
            ("macd_signal", self.macd_signal),
            ("macd_hist", self.macd_hist),
            ("bb_upper", self.bb_upper),
            ("bb_middle", self.bb_middle),
            ("bb_lower", self.bb_lower),
            ("atr_14", self.atr_14),
            ("adx_14", self.adx_14),
            ("squeeze", self.squeeze.map(f64::from)),
            ("volume_ratio_20", self.volume_ratio_20),
        ]
    }
}

/// All features of one series of bars.
#[derive(Debug, Clone)]
pub struct Features {
    sma_50: Sma,
    ema_12: Ema,
    ema_26: Ema,
    rsi_14: Rsi,
    macd: Macd,
    atr_14: Atr,
    adx_14: Adx,
    /// Has the Bollinger bands (20, 2) inside, whose middle is also the SMA 20.
    squeeze: Squeeze,
    volume_ratio_20: VolumeRatio,
    row: FeatureRow,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            sma_50: Sma::new(50),
            ema_12: Ema::new(12),
            ema_26: Ema::new(26),
            rsi_14: Rsi::new(14),
            macd: Macd::new(12, 26, 9),
            atr_14: Atr::new(14),
            adx_14: Adx::new(14),
            squeeze: Squeeze::default(),
            volume_ratio_20: VolumeRatio::new(20),
            row: FeatureRow::default(),
        }
    }
}

impl Features {
    /// Takes the next closed bar and gives its row.
    pub fn push(&mut self, bar: Bar) -> &FeatureRow {
        let squeeze = self.squeeze.push(bar);
        let bands = self.squeeze.bands();
        let macd = self.macd.push(bar.close);
        let line = |pick: fn(MacdValue) -> f64| macd.map(pick);
        self.row = FeatureRow {
            close: bar.close,
            sma_20: bands.map(|bands| bands.middle),
            sma_50: self.sma_50.push(bar.close),
            ema_12: self.ema_12.push(bar.close),
            ema_26: self.ema_26.push(bar.close),
            rsi_14: self.rsi_14.push(bar.close),
            macd: line(|value| value.macd),
            macd_signal: line(|value| value.signal),
            macd_hist: line(|value| value.histogram),
            bb_upper: bands.map(|bands| bands.upper),
            bb_middle: bands.map(|bands| bands.middle),
            bb_lower: bands.map(|bands| bands.lower),
            atr_14: self.atr_14.push(bar),
            adx_14: self.adx_14.push(bar).map(|value| value.adx),
            squeeze,
            volume_ratio_20: self.volume_ratio_20.push(bar.volume),
        };
        &self.row
    }

    /// The row of the last bar.
    #[must_use]
    pub fn row(&self) -> &FeatureRow {
        &self.row
    }
}
