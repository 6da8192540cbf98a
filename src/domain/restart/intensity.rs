//! Sliding windows of charged restarts: at most so many in any period, over all classes and for single ones.

use crate::domain::mutants::{self, Mutant};
use std::collections::VecDeque;

use super::spec::{Intensity, SupervisorPolicy};
use crate::domain::mode::FaultClass;
use crate::domain::time::Timestamp;

/// The restarts of one budget that still count. Bounded by the intensity: what would exceed it is refused instead.
#[derive(Debug, Clone)]
struct Window {
    intensity: Intensity,
    charged: VecDeque<Timestamp>,
}

impl Window {
    const fn new(intensity: Intensity) -> Self {
        Self { intensity, charged: VecDeque::new() }
    }

    fn has_room(&mut self, now: Timestamp) -> bool {
        while self.charged.front().is_some_and(|at| now.since(*at) >= self.intensity.period) {
            self.charged.pop_front();
        }
        self.charged.len() < self.intensity.restarts as usize
    }
}

/// A supervisor's budgets.
#[derive(Debug, Clone)]
pub(super) struct Budgets {
    overall: Window,
    classes: Vec<(FaultClass, Window)>,
}

impl Budgets {
    pub(super) fn new(policy: &SupervisorPolicy) -> Self {
        let classes = policy.class_intensity.iter().map(|(class, intensity)| (*class, Window::new(*intensity))).collect();
        Self { overall: Window::new(policy.intensity), classes }
    }

    /// Charges one restart, or says which budget it would exceed; then nothing is charged.
    pub(super) fn charge(&mut self, now: Timestamp, class: FaultClass) -> Result<(), String> {
        let mut own = self.classes.iter_mut().find(|(of, _)| *of == class).map(|(_, window)| window);
        if let Some(window) = own.as_mut()
            && !window.has_room(now)
        {
            let Intensity { restarts, period } = window.intensity;
            return Err(format!("more than {restarts} restarts for {class} faults within {period:?}"));
        }
        if !self.overall.has_room(now) {
            let Intensity { restarts, period } = self.overall.intensity;
            return Err(format!("more than {restarts} restarts within {period:?}"));
        }
        if mutants::on(Mutant::RestartsUncounted) {
            return Ok(());
        }
        self.overall.charged.push_back(now);
        if let Some(window) = own {
            window.charged.push_back(now);
        }
        Ok(())
    }
}
