//! The routes: each reads a request, asks a model, and answers.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::guard;
use crate::metrics::Metrics;
use crate::model::{Models, ServedModel};
use crate::options::ServeOptions;
use crate::page;
use crate::sessions::Sessions;

mod answer;
mod body;
mod completions;
mod next;
mod prompt;
mod rescore;
mod runs;
mod score;

/// The description of all routes, requests and answers, in OpenAPI's format. The server has it at `/openapi.json`.
pub const OPENAPI: &str = include_str!("openapi.json");

/// The routes.
pub(crate) const ROUTES: [&str; 11] = [
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/readyz",
    "/v1/completions",
    "/v1/models",
    "/v1/next",
    "/v1/rescore",
    "/v1/runs",
    "/v1/runs/{run}",
    "/v1/score",
];

/// What all handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) models: Models,
    pub(crate) options: Arc<ServeOptions>,
    pub(crate) metrics: Arc<Metrics>,
    sessions: Arc<Sessions>,
    /// Held while a request other than a generation computes.
    computing: Arc<Semaphore>,
    /// Held while such a request waits for that.
    waiting: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(models: Models, options: ServeOptions, metrics: Arc<Metrics>) -> Shared {
        Shared {
            models,
            waiting: Arc::new(Semaphore::new(options.limits.queue)),
            options: Arc::new(options),
            metrics,
            sessions: Arc::default(),
            computing: Arc::new(Semaphore::new(1)),
        }
    }

    /// Runs a computation that blocks, one at a time, outside of the threads that answer requests.
    async fn compute<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let Ok(_waiting) = self.waiting.clone().try_acquire_owned() else { return Err(ApiError::busy()) };
        // The semaphores are never closed.
        let permit = self.computing.clone().acquire_owned().await.map_err(|_| ApiError::stopping())?;
        let computed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            compute()
        });
        computed.await.map_err(|error| {
            tracing::error!(%error, "a computation failed");
            ApiError::internal()
        })?
    }
}

/// All routes, with the checks before them.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(async || "ready\n"))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(async || ([(header::CONTENT_TYPE, "application/json")], OPENAPI)))
        .route("/v1/models", get(models))
        .route("/v1/completions", post(completions::complete))
        .route("/v1/score", post(score::score))
        .route("/v1/next", post(next::next))
        .route("/v1/rescore", post(rescore::rescore))
        .route("/v1/runs", get(runs::list))
        .route("/v1/runs/{run}", get(runs::show))
        .fallback(async || ApiError::not_found("unknown_url", "there is no such route; see /openapi.json"))
        .method_not_allowed_fallback(async || ApiError::wrong_method())
        .layer(middleware::from_fn_with_state(shared.clone(), guard::check))
        .with_state(shared)
}

async fn metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let load = |model: &ServedModel| model.engine.load();
    let models: Vec<(&str, usize, usize)> = shared
        .models
        .iter()
        .map(|model| {
            let (running, waiting) = load(model);
            (model.name.as_str(), running, waiting)
        })
        .collect();
    let text = shared.metrics.text(models.into_iter());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

async fn models(State(shared): State<Shared>) -> impl IntoResponse {
    let model = |model: &ServedModel| {
        json!({
            "id": model.name,
            "object": "model",
            "created": 0,
            "owned_by": "rondo",
            "unit": model.model.codec().unit(),
            "vocab_size": model.model.codec().vocab().len(),
            "parameters": model.model.model().parameters().count(),
            "has_normalizer": model.model.normalizer().is_some(),
        })
    };
    axum::Json(json!({ "object": "list", "data": shared.models.iter().map(model).collect::<Vec<_>>() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openapi_describes_all_routes() {
        let openapi: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let described: Vec<&str> = openapi["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, ROUTES);
    }

    #[test]
    fn openapi_describes_all_fields_of_requests() {
        let openapi: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        for (name, fields) in [
            ("CompletionRequest", completions::FIELDS),
            ("ScoreRequest", score::FIELDS),
            ("NextRequest", next::FIELDS),
            ("RescoreRequest", rescore::FIELDS),
        ] {
            let properties = openapi["components"]["schemas"][name]["properties"].as_object().unwrap();
            let described: Vec<&str> = properties.keys().map(String::as_str).collect();
            assert_eq!(described, fields, "{name}");
            // The fields are those that the request is read from.
            for field in fields {
                let text = format!("{{\"{field}\": null}}");
                let read = |error: serde_json::Error| error.to_string();
                let error = match name {
                    "CompletionRequest" => {
                        serde_json::from_str::<completions::Request>(&text).err().map(read)
                    }
                    "ScoreRequest" => serde_json::from_str::<score::Request>(&text).err().map(read),
                    "NextRequest" => serde_json::from_str::<next::Request>(&text).err().map(read),
                    _ => serde_json::from_str::<rescore::Request>(&text).err().map(read),
                };
                assert!(!error.unwrap_or_default().contains("unknown field"), "{name}: {field}");
            }
        }
    }
}
