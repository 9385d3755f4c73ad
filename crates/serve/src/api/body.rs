//! Reads the body of a request as JSON.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;

use super::Shared;
use crate::error::ApiError;

/// A body in JSON. It must say that it is: a page of another site can send other bodies without being asked.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Shared> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, ApiError> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
            return Err(ApiError::not_json());
        }
        let limits = &shared.options.limits;
        let read = read(request.into_body(), limits.body_bytes);
        let bytes =
            tokio::time::timeout(limits.client_timeout, read).await.map_err(|_| ApiError::slow())??;
        let value = serde_json::from_slice(&bytes);
        Ok(JsonBody(value.map_err(|error| ApiError::invalid(format!("the body is not valid: {error}")))?))
    }
}

async fn read(body: Body, most_bytes: usize) -> Result<axum::body::Bytes, ApiError> {
    to_bytes(body, most_bytes).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        match source.is_some_and(|source| source.to_string().contains("length limit")) {
            true => ApiError::too_large(most_bytes),
            false => ApiError::invalid("the body could not be read"),
        }
    })
}
