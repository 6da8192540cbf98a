//! What a machine wants done, in the order it must be done. A machine never acts: it writes into an outbox, and its
//! driver (an actor, the backtest, the simulation) performs the steps one after another. `Persist` holds its own effects
//! back until its rows are durable, so persist-before-send is decided here and is the same in every driver.

/// One step of an outbox.
#[derive(Debug, Clone, PartialEq)]
pub enum Step<R, E> {
    /// Do this now.
    Do(E),
    /// Make `rows` durable, in this order; only then do `then`, in this order. Steps behind it do not wait.
    Persist { rows: Vec<R>, then: Vec<E> },
}

/// The ordered steps of one input. `R` is a row of the journal, `E` an effect of the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Outbox<R, E> {
    steps: Vec<Step<R, E>>,
}

impl<R, E> Default for Outbox<R, E> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<R, E> Outbox<R, E> {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, effect: E) {
        self.steps.push(Step::Do(effect));
    }

    pub fn persist(&mut self, rows: Vec<R>, then: Vec<E>) {
        self.steps.push(Step::Persist { rows, then });
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps in order; the outbox keeps its storage for the next input.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Step<R, E>> {
        self.steps.drain(..)
    }

    #[must_use]
    pub fn steps(&self) -> &[Step<R, E>] {
        &self.steps
    }
}
