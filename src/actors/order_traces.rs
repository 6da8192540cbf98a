//! The spans of orders under way: risk → journal → venue → fill, each the child of the one before, all in the trace that
//! began with the signal. After a restart the trace goes on from what the journal kept, with a link to the restart. Every
//! span that begins here ends when its step does, at the latest with the executor.

use std::collections::{HashMap, HashSet};

use crate::domain::ids::{AccountId, ClientOrderId, Incarnation, IntentId};
use crate::domain::order::{Fill, OrderIntent, OrderReport, OrderStatus, TraceContext};
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
    /// The first order of a later life shows the restart, too.
    restart_shown: bool,
    /// Orders of earlier lives: what happens to them now has the restart behind it.
    earlier: HashSet<ClientOrderId>,
    approved: HashMap<IntentId, TraceContext>,
    flows: HashMap<ClientOrderId, Flow>,
}

impl OrderTraces {
    /// `earlier` are the orders that the journal brought back: by them a first incarnation knows of a life before.
    pub(super) fn new(account: AccountId, incarnation: Incarnation, earlier: impl Iterator<Item = ClientOrderId>) -> Self {
        let earlier: HashSet<ClientOrderId> = if trace::enabled() { earlier.collect() } else { HashSet::new() };
        let cause = match incarnation {
            Incarnation(1) if earlier.is_empty() => None,
            Incarnation(1) => Some("the daemon was started again"),
            _ => Some("restarted by its supervisor"),
        };
        let child = format!("executor/{account}");
        let restart = cause.and_then(|cause| trace::restart_context(&child, incarnation.0, cause));
        Self { account, restart, restart_shown: false, earlier, approved: HashMap::new(), flows: HashMap::new() }
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
        let first = !std::mem::replace(&mut self.restart_shown, true);
        let links = self.restart.as_slice().get(usize::from(!first)..).unwrap_or_default();
        let journal = trace::start_child(span::JOURNAL, parent, &self.order_fields(&id), links);
        let parent = journal.context().or(parent);
        self.flows.insert(id, Flow { journal: Some(journal), venue: None, parent });
    }

    /// Durable: the next step is the venue's.
    pub(super) fn sending(&mut self, id: ClientOrderId) {
        let account = self.account;
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if let Some(mut journal) = flow.journal.take() {
            journal.set_status(Outcome::Succeeded);
        }
        let fields = [("account", Field::Shown(&account)), ("client_order_id", Field::Shown(&id))];
        let venue = trace::start_child(span::VENUE, flow.parent, &fields, &[]);
        flow.parent = venue.context().or(flow.parent);
        flow.venue = Some(venue);
    }

    /// The venue's word on whether it took the order.
    pub(super) fn answered(&mut self, id: ClientOrderId, failure: Option<&str>) {
        if let Some(mut venue) = self.flows.get_mut(&id).and_then(|flow| flow.venue.take()) {
            venue.set_status(failure.map_or(Outcome::Succeeded, Outcome::Failed));
        }
    }

    /// No word yet; the span goes on until there is one.
    pub(super) fn unknown(&mut self, id: ClientOrderId, why: &str) {
        if let Some(venue) = self.flows.get_mut(&id).and_then(|flow| flow.venue.as_mut()) {
            venue.event("outcome unknown", &[("why", Field::Text(why))]);
        }
    }

    pub(super) fn filled(&self, report: &OrderReport, fill: &Fill) {
        if !trace::enabled() {
            return;
        }
        let id = report.client_order_id;
        let parent = self.flows.get(&id).and_then(|flow| flow.parent).or(report.trace);
        let fields = [
            ("account", Field::Shown(&self.account)),
            ("client_order_id", Field::Shown(&id)),
            ("trade_id", Field::Shown(&fill.trade_id)),
            ("price", Field::Shown(&fill.price)),
            ("quantity", Field::Shown(&fill.quantity)),
        ];
        trace::start_child(span::FILL, parent, &fields, self.links(id)).end();
    }

    /// Nothing more is expected; a late fill still finds the trace in its report.
    pub(super) fn ended(&mut self, report: &OrderReport) {
        if !trace::enabled() {
            return;
        }
        let id = report.client_order_id;
        let failure = report.detail.as_deref().filter(|_| report.status != OrderStatus::Filled);
        // Refused at the last hop: it has no other span beside risk's.
        if let Some(risk) = report.intent.and_then(|intent| self.approved.remove(&intent)) {
            let mut refused = trace::start_child(span::JOURNAL, Some(risk), &self.order_fields(&id), &[]);
            refused.set_status(Outcome::Failed(failure.unwrap_or("not sent")));
        }
        // An order of an earlier life ends without a span of its own that could show it.
        if self.earlier.contains(&id) && report.status != OrderStatus::Filled && report.trace.is_some() {
            let mut venue = trace::start_child(span::VENUE, report.trace, &self.order_fields(&id), self.links(id));
            venue.set("status", Field::Shown(&report.status));
        }
        self.answered(id, failure);
        if let Some(mut journal) = self.flows.remove(&id).and_then(|flow| flow.journal) {
            // It never came as far as the venue.
            journal.set_status(Outcome::Failed(failure.unwrap_or("not sent")));
        }
        self.earlier.remove(&id);
    }

    fn links(&self, id: ClientOrderId) -> &[TraceContext] {
        if self.earlier.contains(&id) { self.restart.as_slice() } else { &[] }
    }

    fn order_fields<'a>(&'a self, id: &'a ClientOrderId) -> [(&'static str, Field<'a>); 2] {
        [("account", Field::Shown(&self.account)), ("client_order_id", Field::Shown(id))]
    }
}
