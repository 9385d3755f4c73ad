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
        Ok(JsonBody(parsed(&bytes)?))
    }
}

/// Reads the body; an error names the field whose value is of another type.
fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (reason, path) = (in_words(error.inner()), error.path().to_string());
        // What is no JSON, no object, missing or unknown is not the value of a field.
        let is_of_body = path == "." || path.starts_with('[');
        if !error.inner().is_data() || is_of_body || reason.starts_with("unknown field") {
            ApiError::invalid(format!("the body is not valid: {reason}"))
        } else if reason.starts_with(&format!("`{path}`")) {
            ApiError::field(path, reason)
        } else {
            let message = format!("`{path}`: {reason}");
            ApiError::field(path, message)
        }
    })?;
    json.end().map_err(|error| ApiError::invalid(format!("the body is not valid: {error}")))?;
    Ok(value)
}

/// The error with the names of Rust's types in words.
fn in_words(error: &serde_json::Error) -> String {
    let types = [
        ("u32", "a non-negative integer"),
        ("u64", "a non-negative integer"),
        ("usize", "a non-negative integer"),
        ("f32", "a number"),
        ("f64", "a number"),
    ];
    types.iter().fold(error.to_string(), |text, (name, words)| {
        text.replace(&format!("expected {name} at line"), &format!("expected {words} at line"))
    })
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
