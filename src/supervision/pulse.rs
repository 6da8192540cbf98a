//! Whether everything that must be alive has shown it since it was last believed: what a service manager's watchdog is fed by. A
//! pure machine. A sign that stood still in that time is no life, whatever it was before.

/// One thing that must be alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A count that grows while it lives.
    Beats(u64),
    /// Work that must not stay: the number of what is running, `None` while there is nothing to do.
    Work(Option<u64>),
    /// It stands, or it does not.
    Stands(bool),
}

/// What was seen since the last time that all of them had moved.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    /// Of each sign what it was then, and whether it has moved since.
    since: Vec<(Sign, bool)>,
}

impl Pulse {
    /// Looks at the signs, always the same ones in the same order. `true` when each has moved since this last said so, and all that
    /// must stand stands now; the first look only remembers.
    pub fn beats(&mut self, signs: &[Sign]) -> bool {
        if self.since.len() != signs.len() {
            self.since = signs.iter().map(|sign| (*sign, false)).collect();
            return false;
        }
        for ((before, moved), now) in self.since.iter_mut().zip(signs) {
            *moved |= match now {
                Sign::Beats(_) => now != before,
                Sign::Work(work) => work.is_none() || now != before,
                Sign::Stands(_) => true,
            };
        }
        let alive = self.since.iter().all(|(_, moved)| *moved) && !signs.contains(&Sign::Stands(false));
        if alive {
            self.since = signs.iter().map(|sign| (*sign, false)).collect();
        }
        alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(pulse: &mut Pulse, looks: &[[Sign; 3]]) -> Vec<bool> {
        looks.iter().map(|signs| pulse.beats(signs)).collect()
    }

    fn signs(beats: u64, work: Option<u64>, stands: bool) -> [Sign; 3] {
        [Sign::Beats(beats), Sign::Work(work), Sign::Stands(stands)]
    }

    #[test]
    fn it_beats_while_everything_moves_and_stops_with_whatever_stops_first() {
        let looks = [signs(1, None, true), signs(2, None, true), signs(3, Some(1), true), signs(4, Some(3), true)];
        assert_eq!(fed(&mut Pulse::default(), &looks), [false, true, true, true]);
        for still in [signs(4, Some(5), true), signs(5, Some(3), true), signs(5, Some(5), false)] {
            let mut pulse = Pulse::default();
            fed(&mut pulse, &looks);
            assert_eq!(fed(&mut pulse, &[still, still, still]), [false; 3], "{still:?}");
        }
    }

    #[test]
    fn those_that_move_in_turns_are_all_alive() {
        let mut pulse = Pulse::default();
        let looks = [signs(1, Some(1), true), signs(2, Some(1), true), signs(2, Some(3), true), signs(2, Some(3), true)];
        assert_eq!(fed(&mut pulse, &looks), [false, false, true, false]);
    }

    #[test]
    fn other_signs_are_looked_at_from_the_beginning() {
        let mut pulse = Pulse::default();
        fed(&mut pulse, &[signs(1, None, true), signs(2, None, true)]);
        assert!(!pulse.beats(&[Sign::Beats(9)]));
        assert!(pulse.beats(&[Sign::Beats(10)]));
    }
}
