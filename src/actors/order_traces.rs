//! The spans of orders under way: risk → journal → venue → fill, each the child of the one before, all in the trace that
//! began with the signal. After a restart the trace goes on from what the journal kept, with a link to the restart.

use std::collections::HashMap;

use crate::domain::ids::{AccountId, ClientOrderId, Incarnation, IntentId};
use crate::domain::order::{Fill, OrderIntent, OrderReport, TraceContext};
use crate::telemetry::trace::{self, ActiveSpan, Field, Outcome, span};

/// Risk spans whose order has not come yet. They come in the same turn; the bound is for those that never do.
const APPROVED_MAX: usize = 1_024;

struct Flow {
    journal: Option<ActiveSpan>,
    venue: Option<ActiveSpan>,
    parent: Option<TraceContext>,
}

pub(super) struct OrderTraces {
    account: AccountId,
    restart: Option<TraceContext>,
    approved: HashMap<IntentId, TraceContext>,
    flows: HashMap<ClientOrderId, Flow>,
}

impl OrderTraces {
    pub(super) fn new(account: AccountId, restarted: Option<Incarnation>) -> Self {
        let child = format!("executor/{account}");
        let restart = restarted.and_then(|incarnation| trace::restart_context(&child, incarnation.0, "restarted by its supervisor"));
        Self { account, restart, approved: HashMap::new(), flows: HashMap::new() }
    }

    fn links(&self) -> &[TraceContext] {
        self.restart.as_slice()
    }

    pub(super) fn approved(&mut self, intent: IntentId, risk: Option<TraceContext>) {
        if let Some(risk) = risk {
            if self.approved.len() >= APPROVED_MAX {
                self.approved.clear();
            }
            self.approved.insert(intent, risk);
        }
    }

    pub(super) fn journalling(&mut self, intent: &OrderIntent, id: ClientOrderId) {
        if !trace::enabled() {
            return;
        }
        let parent = self.approved.remove(&intent.id).or(intent.trace);
        let fields = [("account", Field::Shown(&self.account)), ("client_order_id", Field::Shown(&id))];
        let journal = trace::start_child(span::JOURNAL, parent, &fields, self.links());
        let parent = journal.context().or(parent);
        self.flows.insert(id, Flow { journal: Some(journal), venue: None, parent });
    }

    pub(super) fn sending(&mut self, id: ClientOrderId) {
        let links: Vec<TraceContext> = self.links().to_vec();
        let Some(flow) = self.flows.get_mut(&id) else { return };
        flow.journal = None;
        let venue = trace::start_child(span::VENUE, flow.parent, &[("client_order_id", Field::Shown(&id))], &links);
        flow.parent = venue.context().or(flow.parent);
        flow.venue = Some(venue);
    }

    pub(super) fn answered(&mut self, id: ClientOrderId, failure: Option<&str>) {
        if let Some(mut venue) = self.flows.get_mut(&id).and_then(|flow| flow.venue.take()) {
            venue.set_status(failure.map_or(Outcome::Succeeded, Outcome::Failed));
        }
    }

    pub(super) fn filled(&mut self, report: &OrderReport, fill: &Fill) {
        if !trace::enabled() {
            return;
        }
        let id = report.client_order_id;
        let parent = self.flows.get(&id).and_then(|flow| flow.parent).or(report.trace);
        let fields = [
            ("client_order_id", Field::Shown(&id)),
            ("trade_id", Field::Shown(&fill.trade_id)),
            ("price", Field::Shown(&fill.price)),
            ("quantity", Field::Shown(&fill.quantity)),
        ];
        trace::start_child(span::FILL, parent, &fields, self.links()).end();
    }

    /// Nothing more is expected; a late fill still finds the trace in its report.
    pub(super) fn ended(&mut self, id: ClientOrderId, failure: Option<&str>) {
        self.answered(id, failure);
        self.flows.remove(&id);
    }
}
