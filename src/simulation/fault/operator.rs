//! The person at the screen: gives the commands that the plan draws, and resumes what is halted, by name and with a reason, in the
//! safety phase now and then and in the liveness phase until nothing is halted any more.

use std::time::Duration;

use crate::domain::kill_switch::{Order, Verb};
use crate::domain::mode::{Mode, Scope};
use crate::domain::money::Money;
use crate::domain::restart::Input;
use crate::domain::time::Timestamp;
use crate::messages::inbox::Reply;
use crate::messages::{KillWord, RiskMessage};
use rust_decimal::Decimal;

use super::Class;
use super::checker::Observation;
use super::daemon::{Event, Mail, Role};
use super::world::World;

const NAME: &str = "ada";
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// As in the daemon: a resume that nobody took in time is taken back, because nobody expects it later.
const ACTED_WITHIN: Duration = Duration::from_secs(2);
/// In the safety phase a halt stands for some seconds.
const RESUMES_MILLIONTHS: u32 = 250_000;

#[derive(Debug, Default)]
pub struct Operator {
    /// Resumes that wait in the kill switch's inbox.
    pending: Vec<(u64, Timestamp)>,
}

impl World {
    /// A look at the screen.
    pub(super) fn operate(&mut self) {
        let mut hub = self.hub.borrow_mut();
        let now = hub.now;
        hub.world(now + LOOK_EVERY, Event::Operator);
        let (up, acts) = (hub.up, self.calm || hub.chances.operator.chance(RESUMES_MILLIONTHS));
        drop(hub);
        let overdue: Vec<u64> = self.operator.pending.iter().filter(|(_, at)| now.since(*at) >= ACTED_WITHIN).map(|(id, _)| *id).collect();
        for id in overdue {
            // One that is being carried out already is carried out.
            let _taken_back = self.boards.inbox.withdraw(id);
        }
        self.operator.pending.retain(|(_, at)| now.since(*at) < ACTED_WITHIN);
        if !up || !acts || self.app.exit.is_some() {
            return;
        }
        let held: Vec<Scope> = self.boards.modes.get().iter().filter(|entry| entry.mode > Mode::Normal).map(|entry| entry.scope).collect();
        for scope in held {
            self.command(Verb::Resume, scope, "looked into it");
        }
    }

    fn command(&mut self, verb: Verb, scope: Scope, reason: &str) {
        let mut hub = self.hub.borrow_mut();
        hub.say(Role::KillSwitch, format_args!("{NAME} asks: {verb} {scope}"));
        let class = match verb {
            Verb::Halt | Verb::Cancel => Class::OperatorHalt,
            Verb::Flatten => Class::OperatorFlatten,
            Verb::Resume => Class::OperatorResume,
        };
        match verb {
            Verb::Resume => hub.observe(&Observation::ResumeAsked { scope, by: NAME, reason }),
            Verb::Halt => hub.observe(&Observation::HaltAsked { scope, by: NAME }),
            Verb::Cancel | Verb::Flatten => {}
        }
        if !self.calm {
            hub.fired(class, None);
        }
        let now = hub.now;
        drop(hub);
        if verb == Verb::Halt && scope == Scope::Global {
            self.boards.gate.slam();
        }
        let order = Order { verb, scope, by: NAME.to_owned(), reason: reason.to_owned() };
        let (reply, _progress) = Reply::new();
        let id = self.word(KillWord::Operator { order, reply });
        if verb == Verb::Resume {
            self.operator.pending.extend(id.map(|id| (id, now)));
        }
    }

    pub(super) fn operator_fault(&mut self, class: Class) {
        if !self.hub.borrow().up || self.app.exit.is_some() {
            return;
        }
        let scope = self.some_scope();
        match class {
            Class::OperatorHalt => self.command(Verb::Halt, scope, "does not like it"),
            Class::OperatorFlatten => {
                let scope = if matches!(scope, Scope::Global | Scope::Account(_)) { scope } else { Scope::Global };
                self.command(Verb::Flatten, scope, "wants out");
            }
            Class::OperatorResume => self.command(Verb::Resume, scope, "thinks it is well"),
            Class::OperatorRestart => self.restart_somebody(),
            Class::OperatorSettings => self.new_limits(),
            _ => {}
        }
    }

    fn some_scope(&self) -> Scope {
        let mut hub = self.hub.borrow_mut();
        let scene = std::sync::Arc::clone(&hub.scene);
        let mut scopes = vec![Scope::Global];
        scopes.extend(scene.accounts.iter().map(|account| Scope::Account(*account)));
        scopes.extend(scene.symbols.iter().map(|symbol| Scope::Symbol(*symbol)));
        scopes.extend(scene.strategies.iter().map(|strategy| Scope::Strategy(*strategy)));
        hub.chances.operator.pick(&scopes).copied().unwrap_or(Scope::Global)
    }

    /// `ringfence restart NAME`.
    fn restart_somebody(&mut self) {
        let mut hub = self.hub.borrow_mut();
        let roles = Role::all(&hub.scene);
        let Some(role) = hub.chances.operator.pick(&roles).copied() else { return };
        hub.fired(Class::OperatorRestart, None);
        let name = role.name(&hub.scene);
        hub.say(role, format_args!("{NAME} asks: restart"));
        drop(hub);
        self.to_supervisor(role, Input::Restart { name });
    }

    /// Other limits, as after a reload of the settings: an order may be worth less or more than before.
    fn new_limits(&mut self) {
        let mut hub = self.hub.borrow_mut();
        let worth = hub.chances.operator.between(500, 6_000);
        for account in hub.limits.accounts.values_mut() {
            for limits in account.symbols.values_mut() {
                limits.max_order_value = Some(Money(Decimal::from(worth)));
            }
        }
        let limits = hub.limits.clone();
        hub.observe(&Observation::LimitsChanged { limits: &limits });
        hub.fired(Class::OperatorSettings, None);
        // A risk manager that is not there reads them when it is.
        drop(hub.post(Role::Risk, Mail::Risk(RiskMessage::Limits(Box::new(limits)))));
    }
}
