//! What a soak measures, and whether it stayed flat: a figure's growth is the median of the slopes between all pairs of samples
//! (Theil and Sen), which a few outliers do not move, over what is left after the warm-up.

use std::collections::BTreeMap;
use std::time::Duration;

/// Of the whole time, what passes before anything is judged: caches fill, allocators find their size.
const WARM_UP: f64 = 0.4;

/// All figures over time.
#[derive(Debug, Default)]
pub struct Samples {
    of: BTreeMap<String, Vec<(f64, f64)>>,
}

/// How one figure went, without the warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    pub first: f64,
    pub last: f64,
    pub highest: f64,
    pub median: f64,
    /// By which it grew in the time that is judged, had it grown by its slope throughout.
    pub grown: f64,
}

impl Samples {
    /// Takes every figure of Prometheus' text form that `wanted` takes; those of one name with different labels are added up.
    pub fn take(&mut self, at: Duration, metrics: &str, wanted: impl Fn(&str) -> Option<String>) {
        let mut now: BTreeMap<String, f64> = BTreeMap::new();
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            if let (Some(name), Ok(value)) = (wanted(name), value.parse::<f64>()) {
                *now.entry(name).or_default() += value;
            }
        }
        for (name, value) in now {
            self.of.entry(name).or_default().push((at.as_secs_f64(), value));
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.of.keys()
    }

    pub fn course(&self, name: &str) -> Course {
        let all = &self.of[name];
        let (begin, end) = (all[0].0, all[all.len() - 1].0);
        let judged: Vec<(f64, f64)> = all.iter().copied().filter(|(at, _)| *at >= begin + (end - begin) * WARM_UP).collect();
        let values: Vec<f64> = judged.iter().map(|(_, value)| *value).collect();
        let span = judged[judged.len() - 1].0 - judged[0].0;
        Course {
            first: values[0],
            last: values[values.len() - 1],
            highest: all.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max),
            median: median(values),
            grown: slope(&judged) * span,
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(index, one)| points[index + 1..].iter().map(move |other| (one, other)));
    median(pairs.filter(|(one, other)| other.0 > one.0).map(|(one, other)| (other.1 - one.1) / (other.0 - one.0)).collect())
}

#[test]
fn growth_is_found_through_noise_and_warm_up_and_outliers_are_none() {
    let course = |value: &dyn Fn(u32) -> f64| {
        let mut samples = Samples::default();
        for second in 0..100 {
            samples.take(Duration::from_secs(second.into()), &format!("# x\nx{{a=\"b\"}} {}", value(second)), |_| Some("x".to_owned()));
        }
        samples.course("x")
    };
    let noise = |second: u32| f64::from(second * 7_919 % 13);
    let flat = course(&|second| 100.0 + noise(second) + if second == 70 { 900.0 } else { 0.0 } + if second < 30 { 50.0 } else { 0.0 });
    assert!(flat.grown.abs() < 4.0, "{flat:?}");
    let leak = course(&|second| 100.0 + noise(second) + f64::from(second));
    assert!((50.0..70.0).contains(&leak.grown), "{leak:?}");
}
