//! Errors: those of starting a server, and those that clients get, in the format of OpenAI's API.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rondo_data::DataError;
use rondo_infer::InferError;
use serde_json::json;

/// Why a server does not start, or ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The server would be reachable from other machines by anyone.
    #[error("the address {0} can be reached from other machines, so clients need API keys")]
    NoKeys(SocketAddr),
    /// The address cannot be used.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Two models have the same name.
    #[error("two models have the name `{0}`")]
    DuplicateName(String),
    /// There are no models.
    #[error("there is no model to serve")]
    NoModels,
    /// The system gives no threads or other resources.
    #[error("could not start the server")]
    Start(#[source] io::Error),
}

/// An error that a client gets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// The field of the request that is wrong.
    pub(crate) param: Option<Cow<'static, str>>,
    pub(crate) code: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> ApiError {
        ApiError { status, message: message.into(), param: None, code: None }
    }

    /// 400: something about the request is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, message)
    }

    /// 400: the value of this field is wrong.
    pub(crate) fn field(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> ApiError {
        ApiError { param: Some(param.into()), ..ApiError::invalid(message) }
    }

    /// 404.
    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { code: Some(code), ..ApiError::new(StatusCode::NOT_FOUND, message) }
    }

    /// 401.
    pub(crate) fn unauthorized() -> ApiError {
        let message = "no valid API key was given in the header `Authorization: Bearer KEY`";
        ApiError { code: Some("invalid_api_key"), ..ApiError::new(StatusCode::UNAUTHORIZED, message) }
    }

    /// 403.
    pub(crate) fn wrong_host() -> ApiError {
        let message = "without API keys, the server is only for `localhost` and addresses of this machine, not for the \
                       name in the header `Host`";
        ApiError::new(StatusCode::FORBIDDEN, message)
    }

    /// 405.
    pub(crate) fn wrong_method() -> ApiError {
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "the route does not have this method")
    }

    /// 413.
    pub(crate) fn too_large(most_bytes: usize) -> ApiError {
        let message = format!("the body has more than {most_bytes} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// 415.
    pub(crate) fn not_json() -> ApiError {
        let message = "the body must have the header `Content-Type: application/json`";
        ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    }

    /// 408.
    pub(crate) fn slow() -> ApiError {
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
    }

    /// 429: too many requests wait.
    pub(crate) fn busy() -> ApiError {
        let message = "the server has too many requests; try again later";
        ApiError {
            code: Some("rate_limit_exceeded"),
            ..ApiError::new(StatusCode::TOO_MANY_REQUESTS, message)
        }
    }

    /// 503: the server is about to stop.
    pub(crate) fn stopping() -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the server is about to stop")
    }

    /// 500.
    pub(crate) fn internal() -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the server has a defect; its log says more")
    }

    /// The kind of error, as OpenAI's clients know it.
    fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        json!({ "error": {
            "message": self.message, "type": self.kind(), "param": self.param, "code": self.code,
        } })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.to_json())).into_response();
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<InferError> for ApiError {
    /// What a text or a setting causes is the client's; the rest is not.
    fn from(error: InferError) -> ApiError {
        match &error {
            InferError::NonFiniteLogits | InferError::NoStream { .. } => {
                tracing::error!(%error, "a model failed");
                ApiError::internal()
            }
            InferError::NotEnoughMemory { .. } => ApiError::invalid(error.to_string()),
            InferError::Data(source) => source.into(),
            _ => ApiError::invalid(error.to_string()),
        }
    }
}

impl From<&DataError> for ApiError {
    fn from(error: &DataError) -> ApiError {
        ApiError::invalid(error.to_string())
    }
}

impl From<DataError> for ApiError {
    fn from(error: DataError) -> ApiError {
        (&error).into()
    }
}
