//! The daemon's HTTP face: health, status, metrics, events and the operator's verbs. Thin: everything it shows and does
//! goes through `Control`, which the daemon implements over published views, so that no request touches a hot actor.
//! Nothing here decides about an order.

mod command;
mod endpoint;
mod guard;
mod problem;
mod routes;
mod server;
mod sse;
mod token;
pub mod view;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

pub use command::{CommandOutcome, InjectedFault, OperatorCommand, Verb};
pub use endpoint::{Endpoint, EndpointError};
pub use problem::ApiProblem;
pub use server::{ApiConfig, ApiServer, BindError};
pub use sse::EVENT_BUFFER;
pub use token::{Token, TokenError};
pub use view::{AdminStatusView, AlertsView, EventKind, Health, PublicEvent, Readiness, StatusView};

/// What the API needs of the daemon. Everything but `command` answers at once, from published views.
pub trait Control: Send + Sync + 'static {
    fn status(&self) -> StatusView;

    fn admin_status(&self) -> AdminStatusView;

    fn ready(&self) -> Readiness;

    /// What a person must hear of, and who has.
    fn alerts(&self) -> AlertsView;

    /// What keeps it from being ready is the least that is not well.
    fn health(&self) -> Health {
        self.ready().waiting_for.into_iter().map(|name| format!("{name} is not ready")).collect::<Vec<_>>().into()
    }

    /// Carries a command out and answers when its outcome is known. It may take as long as `routes::COMMAND_TIMEOUT`; the
    /// command itself must not depend on the caller waiting for it.
    fn command(&self, command: OperatorCommand) -> BoxFuture<'_, Result<CommandOutcome, ApiProblem>>;

    /// Prometheus' text form.
    fn metrics(&self) -> String;

    /// Events from now on. Make the channel with `EVENT_BUFFER`: a reader that falls further behind is let go.
    fn events(&self) -> broadcast::Receiver<Arc<PublicEvent>>;
}
