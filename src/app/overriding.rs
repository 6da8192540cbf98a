//! A person's override on its way to risk: checked, durable, then told. What it means for an order is `domain/risk`'s.

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::tree::Plan;
use crate::actors::names;
use crate::api::{ApiProblem, OperatorCommand, Verb};
use crate::domain::mode::Scope;
use crate::domain::record::Record;
use crate::domain::risk::overrides::Override;
use crate::messages::{Post, RiskMessage};

/// How long the answer waits for the journal: a healthy disk takes a few thousandths of it.
const DURABLE_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Grants what an operator asked for. It is in the journal before risk hears of it; a risk manager that is away meanwhile reads it
/// there.
///
/// # Errors
/// When it may not be granted, or the journal does not take it.
pub async fn grant(plan: &Plan, command: &OperatorCommand) -> Result<String, ApiProblem> {
    let (Verb::Override { symbol, controls, seconds }, Scope::Account(account)) = (&command.verb, command.scope) else {
        return Err(ApiProblem::unprocessable("expected an override of one account"));
    };
    if !plan.around.roster.get().symbols.contains(symbol) {
        return Err(ApiProblem::not_found(format!("expected a symbol that is traded, found {symbol}")));
    }
    let now = plan.around.clock.now();
    let granted = Override {
        // No two are granted in one nanosecond by persons.
        id: u64::try_from(now.0).unwrap_or_default(),
        account,
        symbol: *symbol,
        controls: controls.clone(),
        expires: now + std::time::Duration::from_secs(*seconds),
        by: command.by.clone(),
        reason: command.reason.clone(),
    };
    granted.check(now).map_err(|error| ApiProblem::unprocessable(error.to_string()))?;
    let outcome = format!("the next order of {account} on {symbol} may pass {} until {}", controls.join(", "), granted.expires);
    let told = Record::OperatorCommand {
        verb: command.verb.name().to_owned(),
        scope: command.scope,
        by: command.by.clone(),
        reason: command.reason.clone(),
        outcome: outcome.clone(),
    };
    let (done, durable) = oneshot::channel();
    // Whoever no longer waits does not hear of it.
    plan.around.journal.append(vec![Record::OverrideGranted { granted: granted.clone() }, told], move |result| drop(done.send(result)));
    match timeout(DURABLE_WITHIN, durable).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(why))) => return Err(ApiProblem::unavailable(format!("not granted: the journal did not take it: {why}"))),
        _ => {
            return Err(ApiProblem::unavailable(
                "not granted yet: the journal is slow; look at the disk, and at the status before you ask again",
            ));
        }
    }
    Post::new(&plan.around.directory, &names::risk_manager()).tell(RiskMessage::Override(Box::new(granted)));
    Ok(outcome)
}
