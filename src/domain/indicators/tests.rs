//! TA-Lib is the reference: `tests/fixtures/indicators.csv` holds its values for a seeded series, and
//! `make_indicators.py` beside it makes them anew.

use proptest::prelude::*;

use super::*;

const TOLERANCE: f64 = 1e-9;
const GOLDEN: &str = include_str!("../../../tests/fixtures/indicators.csv");

fn agrees(found: f64, expected: f64) -> bool {
    found == expected || (found - expected).abs() <= TOLERANCE * expected.abs()
}

fn check(row: usize, column: &str, found: Option<f64>, expected: Option<f64>) {
    let same = match (found, expected) {
        (Some(found), Some(expected)) => agrees(found, expected),
        (None, None) => true,
        _ => false,
    };
    assert!(same, "row {row}, {column}: expected {expected:?}, found {found:?}");
}

/// What TA-Lib says of a bar, by column.
type Reference = Vec<(&'static str, Option<f64>)>;

fn golden() -> Vec<(Bar, Reference)> {
    let mut lines = GOLDEN.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &'static str| {
        let cells: Vec<Option<f64>> = line.split(',').map(|cell| cell.parse().ok()).collect();
        let input = |index: usize| cells[index].unwrap();
        let bar = Bar { open: input(0), high: input(1), low: input(2), close: input(3), volume: input(4) };
        (bar, names[5..].iter().copied().zip(cells[5..].iter().copied()).collect())
    };
    lines.map(row).collect()
}

#[test]
fn every_feature_and_its_warm_up_is_ta_libs() {
    let mut features = Features::default();
    for (row, (bar, expected)) in golden().into_iter().enumerate() {
        let columns = features.push(bar).columns();
        for ((name, found), (column, expected)) in columns.into_iter().zip(expected) {
            assert_eq!(name, column);
            check(row, name, found, expected);
        }
    }
}

#[test]
fn ranges_directions_and_extremes_are_ta_libs() {
    let (mut range, mut adx) = (TrueRange::default(), Adx::new(14));
    let (mut high, mut low) = (RollingHigh::new(20), RollingLow::new(20));
    for (row, (bar, expected)) in golden().into_iter().enumerate() {
        let of = |name: &str| expected.iter().find(|(column, _)| *column == name).unwrap().1;
        check(row, "true_range", range.push(bar), of("true_range"));
        check(row, "highest_20", high.push(bar.high), of("highest_20"));
        check(row, "lowest_20", low.push(bar.low), of("lowest_20"));
        if let Some(value) = adx.push(bar) {
            check(row, "plus_di_14", Some(value.plus_di), of("plus_di_14"));
            check(row, "minus_di_14", Some(value.minus_di), of("minus_di_14"));
        }
    }
}

/// Deterministic noise in -1..1 without a random source.
fn noise(index: u64) -> f64 {
    let mixed = (index.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (index << 7)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11;
    mixed as f64 / (1_u64 << 52) as f64 - 1.0
}

#[test]
fn a_constant_price_has_a_deviation_of_exactly_zero_whatever_came_before() {
    let mut bands = Bollinger::new(20, 2.0);
    for index in 0..1_000 {
        bands.push(1e15 * noise(index));
    }
    for _ in 0..19 {
        bands.push(0.1);
    }
    assert_eq!(bands.push(0.1), Some(Bands { upper: 0.1, middle: 0.1, lower: 0.1 }));
}

#[test]
fn a_deviation_keeps_its_digits_at_a_large_offset_and_after_two_million_bars() {
    let (mut bands, mut mean) = (Bollinger::new(20, 2.0), Sma::new(50));
    for index in 0..2_000_000 {
        // Multiples of 2^-10 at an offset of 2^33: every input is exact, so is the deviation.
        let value = 8_589_934_592.0 + f64::from(u8::from(index % 2 == 0)) / 1_024.0;
        bands.push(value);
        mean.push(value);
    }
    let found = bands.value().unwrap();
    let deviation = (found.upper - found.middle) / 2.0;
    assert!(agrees(deviation, 1.0 / 2_048.0), "{deviation}");
    assert!(agrees(mean.value().unwrap(), 8_589_934_592.0 + 1.0 / 2_048.0));
}

#[test]
fn a_market_that_never_moved_has_no_strength_no_trend_and_no_squeeze() {
    let mut features = Features::default();
    for _ in 0..100 {
        features.push(Bar { open: 7.3, high: 7.3, low: 7.3, close: 7.3, volume: 0.0 });
    }
    let row = features.row();
    assert_eq!((row.rsi_14, row.adx_14, row.atr_14), (Some(0.0), Some(0.0), Some(0.0)));
    assert_eq!((row.squeeze, row.volume_ratio_20), (Some(false), None));
}

#[test]
fn early_macd_is_not_the_difference_of_two_averages_of_their_own() {
    let (mut macd, mut fast, mut slow) = (Macd::new(12, 26, 9), Ema::new(12), Ema::new(26));
    let mut first = None;
    for index in 0..34 {
        let value = 100.0 + f64::from(index) * f64::from(index);
        let difference = fast.push(value).zip(slow.push(value)).map(|(fast, slow)| fast - slow);
        first = macd.push(value).zip(difference);
        assert_eq!(first.is_some(), index == 33, "the first value stands with the signal, at bar 33");
    }
    let (value, difference) = first.unwrap();
    assert!((value.macd - difference).abs() > 0.01, "{value:?} {difference}");
}

proptest! {
    /// The sliding windows against the definition, over series whose magnitude changes by orders.
    #[test]
    fn windows_agree_with_the_definition(
        length in 1_usize..40,
        values in proptest::collection::vec((-1.0_f64..1.0, 0_i32..16), 1..300),
    ) {
        let values: Vec<f64> = values.into_iter().map(|(mantissa, exponent)| mantissa * 10_f64.powi(exponent)).collect();
        let (mut mean, mut bands) = (Sma::new(length), Bollinger::new(length, 1.0));
        let (mut high, mut low) = (RollingHigh::new(length), RollingLow::new(length));
        for (index, value) in values.iter().enumerate() {
            let found = (mean.push(*value), bands.push(*value), high.push(*value), low.push(*value));
            let Some(window) = (index + 1).checked_sub(length).map(|start| &values[start..=index]) else {
                prop_assert_eq!(found, (None, None, None, None));
                continue;
            };
            let (Some(mean), Some(bands), Some(high), Some(low)) = found else {
                return Err(TestCaseError::fail("no value after warm-up"));
            };
            let scale = window.iter().fold(0.0_f64, |scale, value| scale.max(value.abs()));
            let expected = window.iter().sum::<f64>() / length as f64;
            let variance = window.iter().map(|value| (value - expected).powi(2)).sum::<f64>() / length as f64;
            prop_assert!((mean - expected).abs() <= 1e-13 * scale);
            prop_assert!((bands.middle - expected).abs() <= 1e-13 * scale);
            let deviation = (bands.upper - bands.lower) / 2.0;
            prop_assert!((deviation - variance.sqrt()).abs() <= 1e-12 * scale.max(1e-300));
            prop_assert_eq!(high, window.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            prop_assert_eq!(low, window.iter().copied().fold(f64::INFINITY, f64::min));
        }
    }
}
