//! Where alerts go: the event stream, the log, the metrics, and, where one is configured, an HTTP address (a webhook). Each telling is
//! handed over and never waited for; a sink that is down loses tellings, which are counted, and nothing else. Whether something
//! is an alert is decided in `domain::alerts`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use super::hub::Hub;
use super::tree::Plan;
use crate::actors::alerts::{AlertDesk, Listener};
use crate::actors::names;
use crate::api::view::{AcknowledgedView, AlertView, AlertsView};
use crate::api::{ApiProblem, EventKind};
use crate::domain::alerts::{AckError, Alert, AlertBook, AlertEvent, Told};
use crate::domain::mode::FaultClass;
use crate::domain::restart::RuntimeKind;
use crate::messages::Clock;
use crate::settings;
use crate::supervision::{Child, ChildContext, ChildFault};
use crate::telemetry::events::{AlertTold, AlertUndelivered};
use crate::telemetry::metrics;

/// Tellings that wait for the webhook: an hour of a daemon that alerts once every fifteen seconds.
const WAITING_MAX: usize = 256;
/// A relay on this machine or in this network answers in milliseconds; one that takes longer is down.
const ANSWER: Duration = Duration::from_secs(3);
/// Tries of one telling. The alert itself stays open whatever becomes of them.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The sinks of this daemon.
#[derive(Clone)]
pub struct AlertSinks {
    webhook: Option<Webhook>,
}

#[derive(Clone)]
struct Webhook {
    url: Arc<str>,
    queue: mpsc::Sender<Told>,
    /// Outlives the task that reads it, so that nothing is lost with one.
    waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Told>>>,
}

impl AlertSinks {
    #[must_use]
    pub fn of(settings: &settings::Alerts) -> Self {
        let webhook = settings.webhook.as_deref().map(|url| {
            let (queue, waiting) = mpsc::channel(WAITING_MAX);
            Webhook { url: url.into(), queue, waiting: Arc::new(tokio::sync::Mutex::new(waiting)) }
        });
        Self { webhook }
    }

    /// The desk that tells these sinks.
    #[must_use]
    pub fn desk(&self, book: AlertBook, escalate_after: Duration, clock: &Clock, hub: &Arc<Hub>) -> AlertDesk {
        AlertDesk::new(book, escalate_after, clock.clone(), self.listener(clock.clone(), Arc::clone(hub)))
    }

    fn listener(&self, clock: Clock, hub: Arc<Hub>) -> Listener {
        let webhook = self.webhook.clone();
        Arc::new(move |told| {
            hub.tell(clock.now(), EventKind::Alert, line(told));
            metrics::alert_published("events", clock.now().since(told.since));
            AlertTold { told }.emit();
            if let Some(webhook) = &webhook
                && webhook.queue.try_send(told.clone()).is_err()
            {
                AlertUndelivered { sink: "webhook", id: told.alert.id, why: "too many wait for it" }.emit();
            }
        })
    }

    /// The task that carries alerts out of the house, where one is configured.
    #[must_use]
    pub fn child(&self, clock: &Clock) -> Option<Child> {
        let (webhook, clock) = (self.webhook.clone()?, clock.clone());
        let child = Child::task(names::plain("alert_webhook"), RuntimeKind::Services, move |context| {
            deliver(context, webhook.clone(), clock.clone())
        });
        // While it waits for an answer it beats; only a wedge is silent for so long.
        Some(child.heartbeat(ANSWER))
    }
}

async fn deliver(context: ChildContext, webhook: Webhook, clock: Clock) -> Result<(), ChildFault> {
    let fault = |error: reqwest::Error| ChildFault::new(FaultClass::Transport, format!("a client for the webhook: {error}"));
    // A redirect could lead to anywhere; a proxy from the environment has no business with a relay.
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(ANSWER);
    let client = client.build().map_err(fault)?;
    let mut waiting = webhook.waiting.lock().await;
    context.reporter.ready();
    loop {
        let told = tokio::select! {
            told = context.reporter.attend(waiting.recv()) => told,
            () = context.stop.cancelled() => return Ok(()),
        };
        let Some(told) = told else { return Ok(()) };
        tokio::select! {
            sent = context.reporter.attend(send(&client, &webhook.url, &told)) => match sent {
                Ok(()) => metrics::alert_published("webhook", clock.now().since(told.since)),
                Err(why) => AlertUndelivered { sink: "webhook", id: told.alert.id, why: &why }.emit(),
            },
            () = context.stop.cancelled() => return Ok(()),
        }
    }
}

async fn send(client: &reqwest::Client, url: &str, told: &Told) -> Result<(), String> {
    let body = json!({ "event": told.event, "alert": told.alert, "text": line(told) });
    let (mut pause, mut why) = (FIRST_PAUSE, String::new());
    for _ in 0..TRIES {
        match client.post(url).json(&body).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => why = format!("answered with status {}", answer.status()),
            // Its text would have the whole address in it, which may carry somebody's token.
            Err(error) => why = error.without_url().to_string(),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Err(why)
}

/// One line for a person.
fn line(told: &Told) -> String {
    let Told { event, alert: Alert { id, kind, severity, text, times, level, .. }, .. } = told;
    let often = if *times > 1 { format!(" ({times} times)") } else { String::new() };
    match event {
        AlertEvent::Raised => format!("#{id} {severity} {kind}: {text}"),
        AlertEvent::Repeated => format!("#{id} again{often}, {severity} {kind}: {text}"),
        AlertEvent::Escalated => {
            format!("#{id} nobody has acknowledged it, told louder for the {level}. time{often}, {severity} {kind}: {text}")
        }
        AlertEvent::Acknowledged => format!("#{id} acknowledged{often}, {severity} {kind}: {text}"),
    }
}

/// What the API shows.
#[must_use]
pub fn view(plan: &Plan) -> AlertsView {
    let (open, acknowledged) = plan.around.alerts.book();
    let acknowledged = acknowledged.into_iter().map(|known| AcknowledgedView {
        alert: shown(known.alert),
        by: known.by,
        reason: known.reason,
        at: known.at,
    });
    AlertsView { open: open.into_iter().map(shown).collect(), acknowledged: acknowledged.collect() }
}

fn shown(alert: Alert) -> AlertView {
    let Alert { id, kind, severity, subject, text, times, level, raised_at, last_at, .. } = alert;
    AlertView { id, kind, severity, subject, text, times, level, raised_at, last_at }
}

/// A person has heard it.
///
/// # Errors
/// When there is no such alert or somebody was quicker.
pub fn acknowledge(plan: &Plan, id: u64, by: &str, reason: &str) -> Result<String, ApiProblem> {
    let around = &plan.around;
    let heard = around.alerts.acknowledge(&around.journal, id, by, reason).map_err(|error| match error {
        AckError::NoSuchAlert { .. } => ApiProblem::not_found(error.to_string()),
        AckError::Already { .. } => ApiProblem::conflict(error.to_string()),
        AckError::Unnamed { .. } => ApiProblem::unprocessable(error.to_string()),
    })?;
    Ok(format!("alert {id} acknowledged: {}", heard.text))
}
