//! An HTTP server for language models.
//!
//! ```text
//! client ─ HTTP ─▶ connection ─▶ router ─▶ guard (keys, limits) ─▶ handler ─┬─ Generation ─▶ Engine: one thread per model,
//!                                                                          │                 one batch of all texts
//!                                                                          └─ scores, suggestions: blocking threads
//! ```
//!
//! Programs speak OpenAI's completions API, or the routes for scores, suggestions and lists of hypotheses; people use the
//! page at `/`. [`openapi.json`](OPENAPI) describes all routes.
//!
//! Promises: a generated text depends on its request and seed, not on what else the server does; a client that disconnects
//! frees its place at once; every request gets an answer, if necessary 429; no request stops the server. Keys and prompts
//! are not logged. Not here: models (`infer`), flags (`cli`).

mod api;
mod connection;
mod engine;
mod error;
mod guard;
mod metrics;
mod model;
mod options;
mod page;
mod server;
mod sessions;

pub use api::OPENAPI;
pub use error::ServeError;
pub use options::{ApiKeys, Limits, ServeOptions};
pub use server::{Server, Stopper, routes};
