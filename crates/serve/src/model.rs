//! The models of a server, by name.

use std::sync::Arc;

use rondo_infer::LanguageModel;

use crate::engine::Engine;
use crate::error::{ApiError, ServeError};
use crate::metrics::Metrics;
use crate::options::Limits;

/// A model, and the engine that generates its texts.
#[derive(Debug)]
pub(crate) struct ServedModel {
    pub(crate) name: String,
    pub(crate) model: LanguageModel,
    pub(crate) engine: Engine,
}

/// All models of a server; at least one.
#[derive(Clone, Debug)]
pub(crate) struct Models(Arc<[Arc<ServedModel>]>);

impl Models {
    pub(crate) fn start(
        models: Vec<(String, LanguageModel)>,
        limits: &Limits,
        metrics: &Arc<Metrics>,
    ) -> Result<Models, ServeError> {
        let mut served: Vec<Arc<ServedModel>> = Vec::with_capacity(models.len());
        for (name, model) in models {
            if served.iter().any(|known| known.name == name) {
                return Err(ServeError::DuplicateName(name));
            }
            let engine =
                Engine::start(&name, model.clone(), limits, metrics.clone()).map_err(ServeError::Start)?;
            served.push(Arc::new(ServedModel { name, model, engine }));
        }
        if served.is_empty() { Err(ServeError::NoModels) } else { Ok(Models(served.into())) }
    }

    /// The model with this name; without a name, the first one.
    pub(crate) fn find(&self, name: Option<&str>) -> Result<Arc<ServedModel>, ApiError> {
        let Some(name) = name else { return Ok(self.0[0].clone()) };
        self.0.iter().find(|model| model.name == name).cloned().ok_or_else(|| {
            let known: Vec<String> = self.0.iter().map(|model| format!("`{}`", model.name)).collect();
            let message = format!("there is no model `{name}`, only {}", known.join(", "));
            ApiError { param: Some("model".into()), ..ApiError::not_found("model_not_found", message) }
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ServedModel> + Clone {
        self.0.iter().map(|model| &**model)
    }
}
