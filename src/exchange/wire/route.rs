//! One request that the exchange answers: its address, what it asks of the caller, what it costs, and who answers it. The same
//! row serves HTTP and the WebSocket API. Rows are data; `venue` does what they say.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::context::Context;
use super::parameters::Parameters;
use super::problem::Problem;

/// A successful answer: its JSON text, sent as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// # Errors
    /// When it cannot be written as JSON, which the venue calls an unknown error.
    pub fn of(value: &impl Serialize) -> Result<Self, Problem> {
        serde_json::to_string(value).map(Self).map_err(|_| Problem::UNKNOWN)
    }

    /// Text that is JSON already.
    #[must_use]
    pub const fn raw(text: String) -> Self {
        Self(text)
    }

    #[must_use]
    pub fn empty_object() -> Self {
        Self("{}".to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        Self(value.to_string())
    }
}

/// What a handler gives.
pub type Answer = Result<Json, Problem>;

/// Who answers: any async function of context and parameters.
pub trait Handler: Send + Sync + 'static {
    fn answer(&self, context: Context, parameters: Parameters) -> BoxFuture<'static, Answer>;
}

impl<H, F> Handler for H
where
    H: Fn(Context, Parameters) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    fn answer(&self, context: Context, parameters: Parameters) -> BoxFuture<'static, Answer> {
        Box::pin(self(context, parameters))
    }
}

/// The venue's methods of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

/// What a request must bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Nothing.
    None,
    /// An API key: listen keys, old trades.
    Key,
    /// Key and signature (`USER_DATA`, `USER_STREAM`).
    Signed,
    /// Key and signature, and the key may trade (`TRADE`).
    Trade,
}

/// A number that may depend on the parameters.
#[derive(Clone, Copy)]
pub enum Amount {
    Fixed(u32),
    Of(fn(&Parameters) -> u32),
}

impl Amount {
    #[must_use]
    pub fn of(self, parameters: &Parameters) -> u32 {
        match self {
            Self::Fixed(amount) => amount,
            Self::Of(amount) => amount(parameters),
        }
    }
}

/// One row of the table.
#[derive(Clone)]
pub struct Route {
    pub verb: Verb,
    pub path: &'static str,
    /// Its names in the WebSocket API.
    pub methods: Vec<&'static str>,
    pub security: Security,
    pub weight: Amount,
    /// Weight that only a failure costs: spot's orders since 2026-04.
    pub weight_of_failure: u32,
    /// New orders that it counts as.
    pub orders: Amount,
    /// Orders stay counted even when the request is refused (`cancelReplace`).
    pub counts_refused: bool,
    handler: Arc<dyn Handler>,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.path)
    }
}

impl Route {
    /// A row of weight one that counts as no order and has no name in the WebSocket API.
    pub fn new(verb: Verb, path: &'static str, security: Security, handler: impl Handler) -> Self {
        Self {
            verb,
            path,
            methods: Vec::new(),
            security,
            weight: Amount::Fixed(1),
            weight_of_failure: 0,
            orders: Amount::Fixed(0),
            counts_refused: false,
            handler: Arc::new(handler),
        }
    }

    /// The same row under another path; it has no name of its own in the WebSocket API.
    #[must_use]
    pub fn under(&self, path: &'static str) -> Self {
        Self { path, methods: Vec::new(), ..self.clone() }
    }

    /// Each row whose path is the first of a pair, under the second.
    #[must_use]
    pub fn renamed(rows: &[Self], paths: &[(&'static str, &'static str)]) -> Vec<Self> {
        let under = |row: &Self| paths.iter().find(|(path, _)| *path == row.path).map(|(_, other)| row.under(other));
        rows.iter().filter_map(under).collect()
    }

    pub fn get(path: &'static str, security: Security, handler: impl Handler) -> Self {
        Self::new(Verb::Get, path, security, handler)
    }

    pub fn post(path: &'static str, security: Security, handler: impl Handler) -> Self {
        Self::new(Verb::Post, path, security, handler)
    }

    pub fn put(path: &'static str, security: Security, handler: impl Handler) -> Self {
        Self::new(Verb::Put, path, security, handler)
    }

    pub fn delete(path: &'static str, security: Security, handler: impl Handler) -> Self {
        Self::new(Verb::Delete, path, security, handler)
    }

    /// A name in the WebSocket API; a row may have several.
    #[must_use]
    pub fn method(mut self, name: &'static str) -> Self {
        self.methods.push(name);
        self
    }

    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = Amount::Fixed(weight);
        self
    }

    #[must_use]
    pub const fn weight_of(mut self, weight: fn(&Parameters) -> u32) -> Self {
        self.weight = Amount::Of(weight);
        self
    }

    /// Costs nothing when it succeeds, and this when it fails.
    #[must_use]
    pub const fn weight_of_failure(mut self, weight: u32) -> Self {
        (self.weight, self.weight_of_failure) = (Amount::Fixed(0), weight);
        self
    }

    #[must_use]
    pub const fn orders(mut self, orders: u32) -> Self {
        self.orders = Amount::Fixed(orders);
        self
    }

    #[must_use]
    pub const fn orders_of(mut self, orders: fn(&Parameters) -> u32) -> Self {
        self.orders = Amount::Of(orders);
        self
    }

    #[must_use]
    pub const fn counts_refused(mut self) -> Self {
        self.counts_refused = true;
        self
    }

    /// Whether it can count as new orders at all.
    #[must_use]
    pub const fn counts_orders(&self) -> bool {
        !matches!(self.orders, Amount::Fixed(0))
    }

    pub(super) fn handle(&self, context: Context, parameters: Parameters) -> BoxFuture<'static, Answer> {
        self.handler.answer(context, parameters)
    }
}

/// What an address has.
pub enum Found<'r> {
    Route(&'r Arc<Route>),
    /// The path exists, under other methods.
    OtherVerb,
    Nothing,
}

/// All rows, by address and by method.
#[derive(Debug, Default)]
pub struct Routes {
    by_path: HashMap<&'static str, Vec<Arc<Route>>>,
    by_method: HashMap<&'static str, Arc<Route>>,
}

impl Routes {
    /// Of two rows with the same address the later one stands: a dialect overrides.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = Route>) -> Self {
        let mut routes = Self::default();
        for row in rows {
            let row = Arc::new(row);
            for method in &row.methods {
                routes.by_method.insert(method, Arc::clone(&row));
            }
            let verbs = routes.by_path.entry(row.path).or_default();
            verbs.retain(|other| other.verb != row.verb);
            verbs.push(row);
        }
        routes
    }

    #[must_use]
    pub fn find(&self, path: &str, verb: Option<Verb>) -> Found<'_> {
        let Some(verbs) = self.by_path.get(path) else { return Found::Nothing };
        verbs.iter().find(|row| Some(row.verb) == verb).map_or(Found::OtherVerb, Found::Route)
    }

    /// By the WebSocket API's name, which may begin with the version: `v3/order.place`.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<&Arc<Route>> {
        let plain = || name.split_once('/').filter(|(version, _)| matches!(*version, "v1" | "v3")).map(|(_, plain)| plain);
        self.by_method.get(name).or_else(|| self.by_method.get(plain()?))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.by_path.values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn nothing(_: Context, _: Parameters) -> Answer {
        Ok(Json::empty_object())
    }

    #[test]
    fn a_row_is_found_by_its_address_and_by_its_method() {
        let routes = Routes::new([
            Route::get("/api/v3/order", Security::Signed, nothing).method("order.status").weight(4),
            Route::post("/api/v3/order", Security::Trade, nothing).method("order.place"),
            Route::get("/api/v3/order", Security::Signed, nothing).weight(9),
        ]);
        let weight = |found: Found<'_>| match found {
            Found::Route(row) => row.weight.of(&Parameters::empty(super::super::parameters::Manners::Strict)),
            Found::OtherVerb => 405,
            Found::Nothing => 404,
        };
        assert_eq!(weight(routes.find("/api/v3/order", Some(Verb::Get))), 9);
        assert_eq!(weight(routes.find("/api/v3/order", Some(Verb::Put))), 405);
        assert_eq!(weight(routes.find("/api/v3/order", None)), 405);
        assert_eq!(weight(routes.find("/api/v3/orders", Some(Verb::Get))), 404);
        assert_eq!(routes.method("v3/order.place").unwrap().verb, Verb::Post);
        assert!(routes.method("v2/order.place").is_none());
        assert_eq!("DELETE".parse(), Ok(Verb::Delete));
    }
}
