//! Who may ask: the checks before any handler. A page on the internet can make a browser send requests to 127.0.0.1 and,
//! by rebinding its name, read the answers; so the Host must be one of ours and an Origin, where there is one, too. What
//! changes anything, and all of `/admin`, needs the bearer token besides.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{ApiProblem, Token};

/// The checks of one server.
#[derive(Debug)]
pub(super) struct Guard {
    authorities: HashSet<String>,
    token: Token,
}

impl Guard {
    /// `extra` are names that a reverse proxy or a scraper uses, with or without a port.
    pub(super) fn new(bound: SocketAddr, extra: &[String], token: Token) -> Self {
        let port = bound.port();
        let mut names = vec![bound.ip().to_string()];
        if bound.is_ipv6() {
            names = vec![format!("[{}]", bound.ip())];
        }
        if bound.ip().is_loopback() || bound.ip().is_unspecified() {
            names.extend(["127.0.0.1", "localhost", "[::1]"].map(str::to_owned));
        }
        names.extend(extra.iter().map(|name| name.to_ascii_lowercase()));
        let mut authorities: HashSet<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
        authorities.extend(extra.iter().map(|name| name.to_ascii_lowercase()));
        if port == 80 {
            authorities.extend(names);
        }
        Self { authorities, token }
    }

    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), ApiProblem> {
        self.check_host(headers)?;
        self.check_origin(headers)?;
        let reads_only = matches!(*method, Method::GET | Method::HEAD);
        if !reads_only || path == "/admin" || path.starts_with("/admin/") {
            self.check_token(headers)?;
        }
        Ok(())
    }

    fn check_host(&self, headers: &HeaderMap) -> Result<(), ApiProblem> {
        let found = single(headers, header::HOST).map_err(|found| self.foreign("host", "Host", &found))?;
        match found {
            Some(host) if self.authorities.contains(&host.to_ascii_lowercase()) => Ok(()),
            other => Err(self.foreign("host", "Host", other.unwrap_or("none"))),
        }
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), ApiProblem> {
        let found = single(headers, header::ORIGIN).map_err(|found| self.foreign("origin", "Origin", &found))?;
        let Some(origin) = found else { return Ok(()) };
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        match authority {
            Some(authority) if self.authorities.contains(&authority.to_ascii_lowercase()) => Ok(()),
            _ => Err(self.foreign("origin", "Origin", origin)),
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), ApiProblem> {
        let found = single(headers, header::AUTHORIZATION).map_err(|_| ApiProblem::unauthorized("more than one such header"))?;
        let Some(value) = found else { return Err(ApiProblem::unauthorized("no such header")) };
        let bearer = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, presented)) = bearer else { return Err(ApiProblem::unauthorized("another scheme")) };
        if self.token.matches(presented.trim()) { Ok(()) } else { Err(ApiProblem::unauthorized("another token")) }
    }

    fn foreign(&self, code: &str, header: &str, found: &str) -> ApiProblem {
        let mut expected: Vec<&str> = self.authorities.iter().map(String::as_str).collect();
        expected.sort_unstable();
        let detail = format!(
            "expected {header} to be one of {}, found {found:?}; name further hosts in the configuration's daemon.http_allowed_hosts",
            expected.join(", ")
        );
        ApiProblem::forbidden(code, detail)
    }
}

/// The header's one value; an `Err` describes a header that is there twice or is no text.
fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, String> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    match (first, second) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| "bytes that are no text".to_owned()),
        (Some(_), Some(_)) => Err("more than one".to_owned()),
    }
}

pub(super) async fn enforce(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Result<Response, ApiProblem> {
    guard.check(request.method(), request.uri().path(), request.headers())?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn guard(bound: &str, extra: &[&str]) -> Guard {
        let dir = tempfile::tempdir().unwrap();
        let extra: Vec<String> = extra.iter().map(|name| (*name).to_owned()).collect();
        Guard::new(bound.parse().unwrap(), &extra, Token::load_or_create(dir.path()).unwrap())
    }

    fn get(guard: &Guard, headers: &[(HeaderName, &str)]) -> Result<(), ApiProblem> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        guard.check(&Method::GET, "/status", &map)
    }

    #[test]
    fn every_name_of_the_loopback_is_ours_with_the_right_port_only() {
        let guard = guard("127.0.0.1:8080", &[]);
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"] {
            assert_eq!(get(&guard, &[(header::HOST, host)]), Ok(()), "{host}");
        }
        for host in ["127.0.0.1", "localhost:8081", "evil.example:8080", "127.0.0.1:8080.evil.example", ""] {
            assert_eq!(get(&guard, &[(header::HOST, host)]).unwrap_err().status, 403, "{host}");
        }
        assert_eq!(get(&guard, &[]).unwrap_err().status, 403);
        assert_eq!(get(&guard, &[(header::HOST, "localhost:8080"), (header::HOST, "evil:8080")]).unwrap_err().status, 403);
    }

    #[test]
    fn an_origin_is_absent_or_ours() {
        let guard = guard("127.0.0.1:8080", &["ops.example"]);
        let host = (header::HOST, "127.0.0.1:8080");
        assert_eq!(get(&guard, &[host.clone(), (header::ORIGIN, "http://localhost:8080")]), Ok(()));
        assert_eq!(get(&guard, &[host.clone(), (header::ORIGIN, "https://ops.example")]), Ok(()));
        for origin in ["null", "http://evil.example", "http://localhost:8081", "file://"] {
            assert_eq!(get(&guard, &[host.clone(), (header::ORIGIN, origin)]).unwrap_err().status, 403, "{origin}");
        }
    }

    #[test]
    fn an_address_that_is_not_the_loopback_does_not_answer_to_localhost() {
        let guard = guard("192.0.2.7:8080", &[]);
        assert_eq!(get(&guard, &[(header::HOST, "192.0.2.7:8080")]), Ok(()));
        assert_eq!(get(&guard, &[(header::HOST, "localhost:8080")]).unwrap_err().status, 403);
    }
}
