//! Training.

use std::ops::ControlFlow;
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rondo::train::{Event, Observer, Outcome, Session, SessionOptions, SettingsSource, Trained};

use crate::data::Corpus;
use crate::model::LanguageModel;
use crate::{error, settings};

/// What Python's functions said during a run.
struct Calls {
    callback: Option<Py<PyAny>>,
    /// The exception of a function, or Ctrl-C: the run stops, and then it is raised.
    error: Option<PyErr>,
}

impl Calls {
    /// Reports an event, and returns whether the run is to stop.
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        if self.error.is_some() {
            return ControlFlow::Break(());
        }
        let told = Python::attach(|py| -> PyResult<bool> {
            py.check_signals()?;
            let (Some(callback), Some(event)) = (&self.callback, described(py, event)?) else {
                return Ok(true);
            };
            let answer = callback.call1(py, (event,))?;
            // Only False stops.
            Ok(!answer.extract::<bool>(py).is_ok_and(|goes_on| !goes_on))
        });
        match told {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

/// An event as a dictionary; `None` for those that Python is not told about.
fn described<'py>(py: Python<'py>, event: Event<'_>) -> PyResult<Option<Bound<'py, PyDict>>> {
    let told = PyDict::new(py);
    match event {
        Event::Note(note) => {
            told.set_item("kind", "note")?;
            told.set_item("text", note.to_string())?;
        }
        Event::EpochStarted { epoch, epochs, batches, learning_rate, .. } => {
            told.set_item("kind", "epoch_started")?;
            told.set_item("epoch", epoch)?;
            told.set_item("epochs", epochs)?;
            told.set_item("batches", batches)?;
            told.set_item("learning_rate", learning_rate)?;
        }
        Event::Batch(report) | Event::Log(report) => {
            told.set_item("kind", if matches!(event, Event::Log(_)) { "log" } else { "batch" })?;
            told.set_item("epoch", report.epoch)?;
            told.set_item("batch", report.batch)?;
            told.set_item("batches", report.batches)?;
            told.set_item("step", report.step)?;
            told.set_item("loss", report.nll_mean)?;
            told.set_item("moving_loss", report.moving_loss)?;
            told.set_item("tokens_per_s", report.tokens_per_s)?;
            told.set_item("gradient_norm", report.gradient_norm)?;
            told.set_item("learning_rate", report.learning_rate)?;
        }
        Event::Evaluating { what, done, total } => {
            told.set_item("kind", "evaluating")?;
            told.set_item("text", what)?;
            told.set_item("done", done)?;
            told.set_item("total", total)?;
        }
        Event::EpochFinished(report) => {
            told.set_item("kind", "epoch")?;
            told.set_item("epoch", report.epoch)?;
            told.set_item("step", report.step)?;
            told.set_item("train_loss", report.train_loss)?;
            told.set_item("valid_loss", report.valid_loss)?;
            told.set_item("test_loss", report.test_loss)?;
            told.set_item("is_best", report.is_best)?;
            told.set_item("learning_rate", report.learning_rate)?;
            told.set_item("tokens_per_s", report.tokens_per_s)?;
            told.set_item("elapsed_s", report.elapsed_s)?;
        }
        Event::Sample { prefix, text } => {
            told.set_item("kind", "sample")?;
            told.set_item("prefix", prefix)?;
            told.set_item("text", text)?;
        }
        _ => return Ok(None),
    }
    Ok(Some(told))
}

/// The plan of a new run, as TOML.
#[pyfunction]
#[pyo3(signature = (given, *, recipe=None))]
pub(crate) fn plan(given: &Bound<'_, PyDict>, recipe: Option<String>) -> PyResult<String> {
    let settings = settings::read(given)?;
    let source = recipe.map_or_else(SettingsSource::default, SettingsSource::Recipe);
    source.plan(settings).and_then(|plan| plan.to_toml()).map_err(error::of_training)
}

/// Trains a model, and returns it with its folder and results.
#[pyfunction]
#[pyo3(signature = (given, *, corpus=None, recipe=None, out=None, resume=false, callback=None))]
pub(crate) fn train<'py>(
    py: Python<'py>,
    given: &Bound<'py, PyDict>,
    corpus: Option<&Corpus>,
    recipe: Option<String>,
    out: Option<PathBuf>,
    resume: bool,
    callback: Option<Py<PyAny>>,
) -> PyResult<(Option<LanguageModel>, PathBuf, Bound<'py, PyDict>)> {
    let settings = settings::read(given)?;
    let in_memory = corpus.map(|corpus| corpus.corpus().clone());
    let mut calls = Calls { callback, error: None };
    let run = || {
        let mut observer = |event: Event<'_>| calls.observe(event);
        let source = recipe.map_or_else(SettingsSource::default, SettingsSource::Recipe);
        let folder = out.clone();
        let observer = Some(&mut observer as &mut dyn Observer);
        let options = SessionOptions { source, out, in_memory, observer, ..SessionOptions::default() };
        let mut session = match folder {
            Some(folder) if resume => Session::resume(folder, settings, options)?,
            _ => Session::start(settings, options)?,
        };
        let mut observer = |event: Event<'_>| calls.observe(event);
        session.run(&mut observer)
    };
    let trained = py.detach(run);
    // What Python raised is why the run stopped.
    if let Some(error) = calls.error {
        return Err(error);
    }
    let Trained { outcome, folder, model } = trained.map_err(error::of_training)?;
    Ok((model.map(LanguageModel::new), folder.path().to_owned(), results(py, &outcome)?))
}

fn results<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<Bound<'py, PyDict>> {
    let results = PyDict::new(py);
    results.set_item("best_epoch", outcome.best_epoch)?;
    results.set_item("valid_loss", outcome.best_valid)?;
    results.set_item("test_loss", outcome.best_test)?;
    results.set_item("steps", outcome.steps)?;
    results.set_item("tokens", outcome.tokens)?;
    results.set_item("training_s", outcome.training_s)?;
    results.set_item("elapsed_s", outcome.elapsed_s)?;
    results.set_item("interrupted", outcome.interrupted)?;
    Ok(results)
}
