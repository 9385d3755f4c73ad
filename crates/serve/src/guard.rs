//! What every request passes first: the checks of its key and of the host that it names, and the log and the count of its answer. A panic in a handler
//! becomes an answer.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use crate::api::{ROUTES, Shared};
use crate::error::ApiError;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Numbers requests.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

/// Answers a request, with an id in the header `x-request-id`.
pub(crate) async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    // Other paths are not told apart: clients choose them.
    let route = path.and_then(|path| ROUTES.into_iter().find(|route| *route == path)).unwrap_or("other");
    let method = request.method().clone();
    let mut response = if shared.options.keys.is_empty() && !names_this_machine(&request) {
        ApiError::wrong_host().into_response()
    } else if route.starts_with("/v1/") && !has_key(&shared, &request) {
        ApiError::unauthorized().into_response()
    } else {
        let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        answer.unwrap_or_else(|_| {
            tracing::error!(id, route, "a handler panicked");
            ApiError::internal().into_response()
        })
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, HeaderValue::from(id));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let (status, elapsed) = (response.status(), begun.elapsed());
    shared.metrics.answered(route, status, elapsed);
    tracing::info!(id, %method, route, status = status.as_u16(), seconds = elapsed.as_secs_f64(), "request");
    response
}

/// Whether a request is to an address or to `localhost`. A page of another site can give its own name the address of this
/// machine, and a browser would then let it read the answers.
fn names_this_machine(request: &Request) -> bool {
    let Some(host) = request.headers().get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

fn has_key(shared: &Shared, request: &Request) -> bool {
    if shared.options.keys.is_empty() {
        return true;
    }
    let given = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let key = given.and_then(|given| given.strip_prefix(b"Bearer "));
    key.is_some_and(|key| shared.options.keys.contains(key))
}
