//! Language models in use.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use numpy::PyArray2;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use rondo::data::TokenIds;
use rondo::infer::Passage;
use rondo::infer::{self, Cache, Completing, Decoder, DecoderState, OpenOptions};
use rondo::infer::{RegionUnit, SurprisalOptions, Surprisals};
use rondo::kernels::cpu::InstructionSet;
use rondo::kernels::{Device, DeviceChoice, PrecisionChoice, Work};

use crate::stream::{Stream, options};
use crate::suggester::{self, Suggester, Word};
use crate::{arrays, error};

/// A language model; see `_rondo.pyi`.
#[pyclass(frozen, module = "rondo")]
pub(crate) struct LanguageModel {
    model: infer::LanguageModel,
    /// The process that opened it: its threads do not exist in others.
    process: u32,
    /// Decoders that are not in use: each has memory for its steps.
    decoders: Mutex<Vec<Decoder>>,
}

/// The state of a model after the tokens of a hypothesis.
#[pyclass(frozen, module = "rondo")]
pub(crate) struct State(DecoderState);

/// A word and its surprisal in bits.
type Surprisal = (String, Option<f64>);

/// One text, or several.
#[derive(FromPyObject)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

/// The device with this name, and this many threads, by default all of the machine.
fn open_device(name: &str, threads: Option<usize>, precision: &str) -> PyResult<Device> {
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let precision: PrecisionChoice = precision.parse().map_err(error::of_model)?;
    let choice: DeviceChoice = name.parse().map_err(error::of_model)?;
    let (device, _) = choice.open(threads, InstructionSet::detect()).map_err(error::of_model)?;
    match precision.apply(device, Work::Batches, true) {
        (device, None) => Ok(device),
        (_, Some(error)) => Err(error::of_model(error)),
    }
}

/// The CPU with this many threads, by default all of the machine.
pub(crate) fn device(threads: Option<usize>, precision: &str) -> PyResult<Device> {
    open_device("cpu", threads, precision)
}

impl LanguageModel {
    pub(crate) fn new(model: infer::LanguageModel) -> LanguageModel {
        LanguageModel { model, process: std::process::id(), decoders: Mutex::default() }
    }

    /// The model, to compute with.
    pub(crate) fn here(&self) -> PyResult<&infer::LanguageModel> {
        let device = self.model.device();
        if self.process == std::process::id() || (device.threads() == 1 && !device.works_ahead()) {
            return Ok(&self.model);
        }
        Err(error::ModelError::new_err(
            "the model was opened before a fork: open it in the child process, or pickle it",
        ))
    }

    fn log_probs(&self, py: Python<'_>, texts: &[String]) -> PyResult<Vec<f64>> {
        let model = self.here()?;
        let scored = py.detach(|| model.score(texts)).map_err(error::of_model)?;
        Ok(scored.iter().map(|line| line.score.log_prob_sum).collect())
    }
}

#[pymethods]
impl LanguageModel {
    #[staticmethod]
    #[pyo3(signature = (path, *, device="cpu", threads=None, precision="f32", mmap=false))]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        device: &str,
        threads: Option<usize>,
        precision: &str,
        mmap: bool,
    ) -> PyResult<Self> {
        let device = open_device(device, threads, precision)?;
        let options = OpenOptions { mmap, ..OpenOptions::default() };
        let opened = py.detach(|| infer::LanguageModel::open_with(&path, &options, &device));
        opened.map(Self::new).map_err(error::of_model)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.model.save(&path)).map_err(error::of_model)
    }

    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.model.path().map(PathBuf::from)
    }

    #[getter]
    fn vocab(&self) -> Vec<String> {
        self.model.codec().vocab().tokens().map(str::to_owned).collect()
    }

    #[getter]
    fn vocab_size(&self) -> usize {
        self.model.model().vocab_size()
    }

    #[getter]
    fn line_end(&self) -> Option<u32> {
        self.model.codec().line_end()
    }

    #[getter]
    fn unknown(&self) -> Option<u32> {
        self.model.codec().unknown_id()
    }

    #[getter]
    fn parameter_count(&self) -> usize {
        self.model.model().parameters().count()
    }

    fn encode(&self, text: &str) -> PyResult<Vec<u32>> {
        self.model.codec().encode_prefix(text).map_err(error::of_text)
    }

    fn decode(&self, ids: Vec<u32>) -> PyResult<String> {
        self.model.codec().decode(&ids).map_err(error::of_text)
    }

    fn score<'py>(&self, py: Python<'py>, texts: Texts) -> PyResult<Bound<'py, PyAny>> {
        match texts {
            Texts::One(text) => Ok(self.log_probs(py, &[text])?[0].into_pyobject(py)?.into_any()),
            Texts::Many(texts) => Ok(arrays::vector(py, &self.log_probs(py, &texts)?).into_any()),
        }
    }

    fn full_scores(&self, py: Python<'_>, text: String) -> PyResult<Vec<(String, f64, bool)>> {
        let model = self.here()?;
        let scored = py.detach(|| model.score(&[text])).map_err(error::of_model)?;
        let unknown = self.model.codec().unknown_id();
        let line = scored.into_iter().next();
        let tokens = line.iter().flat_map(|line| {
            let tokens = line.line.tokens.iter().zip(&line.line.ids).zip(&line.score.log_probs);
            tokens
                .map(|((token, &id), &log_prob)| (token.to_owned(), f64::from(log_prob), Some(id) == unknown))
        });
        Ok(tokens.collect())
    }

    fn perplexity(&self, py: Python<'_>, text: String) -> PyResult<f64> {
        let model = self.here()?;
        let scored = py.detach(|| model.score(&[text])).map_err(error::of_model)?;
        let mean = |line: &infer::ScoredLine| -line.score.log_prob_sum / line.score.log_probs.len() as f64;
        Ok(scored.first().map_or(f64::NAN, mean).exp())
    }

    #[pyo3(signature = (text, *, cache=None, theta=0.662, weight=0.1279))]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        text: String,
        cache: Option<usize>,
        theta: f64,
        weight: f64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let model = self.here()?;
        let evaluate = || match cache {
            None => model.evaluate(&text),
            Some(window) => {
                let ids = TokenIds::from(model.codec().encode(&text)?.ids);
                let cache = Cache { window, theta, lambda: weight };
                let found = model.evaluate_with_cache(&ids, &cache, &mut |_| ControlFlow::Continue(()));
                found.map(|found| found.cached)
            }
        };
        let found = py.detach(evaluate).map_err(error::of_model)?;
        let result = PyDict::new(py);
        result.set_item("loss", found.nll_mean())?;
        result.set_item("perplexity", found.perplexity())?;
        result.set_item("tokens", found.tokens)?;
        Ok(result)
    }

    #[pyo3(signature = (texts, *, unit="word"))]
    fn surprisals(&self, py: Python<'_>, texts: Vec<String>, unit: &str) -> PyResult<Vec<Vec<Surprisal>>> {
        let unit = match unit {
            "word" => RegionUnit::Word,
            "token" => RegionUnit::Token,
            "character" => RegionUnit::Character,
            other => {
                let message = format!("unknown unit `{other}`, expected `word`, `token` or `character`");
                return Err(error::ModelError::new_err(message));
            }
        };
        let model = self.here()?;
        let read = || {
            let options = SurprisalOptions { unit, ..SurprisalOptions::default() };
            let passage = |text: &String| Passage { text: text.clone().into_bytes(), ..Passage::default() };
            let passages: Vec<Passage> = texts.iter().map(passage).collect();
            Surprisals::new(std::slice::from_ref(model), options)?.read(&passages)
        };
        let regions = py.detach(read).map_err(error::of_model)?;
        let surprisal = |text: &str, region: &infer::Region| {
            let word = text.get(region.bytes.clone()).unwrap_or_default().to_owned();
            let log_prob = region.scores.first().and_then(|score| score.log_prob);
            (word, log_prob.map(|log_prob| 0.0 - log_prob / std::f64::consts::LN_2))
        };
        let of_text = |(text, regions): (&String, Vec<infer::Region>)| {
            regions.iter().map(|region| surprisal(text, region)).collect()
        };
        Ok(texts.iter().zip(regions).map(of_text).collect())
    }

    #[pyo3(signature = (prompt="", **sampling))]
    fn stream(&self, py: Python<'_>, prompt: &str, sampling: Option<&Bound<'_, PyDict>>) -> PyResult<Stream> {
        let options = options(sampling)?;
        let model = self.here()?;
        let stream = py.detach(|| model.stream(prompt, options)).map_err(error::of_model)?;
        Ok(Stream::new(stream, &self.model))
    }

    #[pyo3(signature = (prompt="", **sampling))]
    fn generate(
        &self,
        py: Python<'_>,
        prompt: &str,
        sampling: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<String> {
        let options = options(sampling)?;
        let mut stream = self.here()?.stream(prompt, options).map_err(error::of_model)?;
        let mut text = String::new();
        // In parts, so that Ctrl-C is noticed.
        loop {
            let part = py.detach(|| {
                stream.by_ref().take(64).map(|piece| Ok(piece?.text)).collect::<infer::Result<Vec<_>>>()
            });
            let part = part.map_err(error::of_model)?;
            if part.is_empty() {
                return Ok(text);
            }
            text.push_str(&part.concat());
            py.check_signals()?;
        }
    }

    #[pyo3(signature = (text, n=5, *, partial=false, **preferences))]
    fn complete(
        &self,
        py: Python<'_>,
        text: &str,
        n: usize,
        partial: bool,
        preferences: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Vec<Word>> {
        let preferences = suggester::preferences(preferences)?;
        let model = self.here()?;
        let completing = Completing { partial, ..model.completing(n) };
        let complete = || model.completer().with_preferences(preferences)?.complete(text, &completing);
        py.detach(complete).map(suggester::words).map_err(error::of_model)
    }

    #[pyo3(signature = (**preferences))]
    fn suggester(slf: &Bound<'_, Self>, preferences: Option<&Bound<'_, PyDict>>) -> PyResult<Suggester> {
        let preferences = suggester::preferences(preferences)?;
        let completer = slf.get().model.completer().with_preferences(preferences).map_err(error::of_model)?;
        Ok(Suggester::new(infer::Suggester::new(completer), slf.clone().unbind()))
    }

    fn begin(&self) -> State {
        State(self.model.decoder().begin())
    }

    fn advance<'py>(
        &self,
        py: Python<'py>,
        states: Vec<Py<State>>,
        tokens: Vec<u32>,
    ) -> PyResult<(Vec<State>, Bound<'py, PyArray2<f32>>)> {
        let states: Vec<DecoderState> = states.iter().map(|state| state.get().0.clone()).collect();
        let model = self.here()?;
        let advance = || {
            let idle = self.decoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut decoder = idle.unwrap_or_else(|| model.decoder());
            let advanced = decoder.advance(&states, &tokens);
            self.decoders.lock().unwrap_or_else(PoisonError::into_inner).push(decoder);
            advanced
        };
        let (states, rows) = py.detach(advance).map_err(error::of_model)?;
        let vocab_size = self.model.model().vocab_size();
        Ok((states.into_iter().map(State).collect(), arrays::matrix(py, rows.into_values(), vocab_size)?))
    }

    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let parameters = self.model.model().parameters();
        let all = PyDict::new(py);
        for id in parameters.ids() {
            let values = parameters.values(id).read().map_err(error::of_model)?;
            all.set_item(parameters.name(id), arrays::array(py, &values, parameters.shape(id))?)?;
        }
        Ok(all)
    }

    #[getter]
    fn embeddings<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let parameters = self.model.model().parameters();
        let Some(id) = parameters.find("embedding.weight") else { return Ok(None) };
        let values = parameters.values(id).read().map_err(error::of_model)?;
        arrays::array(py, &values, parameters.shape(id)).map(Some)
    }

    /// The model file as bytes, for pickle.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("model.safetensors");
        self.model.save(&path).map_err(error::of_model)?;
        Ok(PyBytes::new(py, &fs::read(path)?))
    }

    #[staticmethod]
    #[pyo3(signature = (contents, *, threads=None))]
    fn from_bytes(contents: &[u8], threads: Option<usize>) -> PyResult<Self> {
        let opened = infer::LanguageModel::from_bytes("the model", contents, &device(threads, "f32")?);
        opened.map(Self::new).map_err(error::of_model)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let contents = slf.get().to_bytes(slf.py())?;
        Ok((slf.get_type().getattr("from_bytes")?, (contents,)))
    }

    fn __repr__(&self) -> String {
        let vocab_size = self.model.model().vocab_size();
        let tokenizer = self.model.codec().tokenizer();
        let path = self.model.path().map(|path| format!(", {}", path.display())).unwrap_or_default();
        format!(
            "LanguageModel({} parameters, {vocab_size} tokens ({tokenizer}){path})",
            self.parameter_count()
        )
    }
}

#[pymethods]
impl State {
    fn __repr__(&self) -> &'static str {
        "State()"
    }
}
