//! Vocabularies, corpora and batches.

use std::path::PathBuf;

use numpy::{PyArray1, ToPyArray};
use pyo3::exceptions::{PyIndexError, PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use rondo::data::{self, LastBatch, Tales, TextCodec, TokenIds, VocabOptions, VocabOrder};
use rondo::train::{FoundCorpus, SettingsSource, TrainError, default_places};

use crate::tokenizer::Tokenizer;
use crate::{arrays, error, settings};

/// Tokens and their ids; see `_rondo.pyi`.
#[pyclass(frozen, module = "rondo.data", eq)]
#[derive(Clone, PartialEq)]
pub(crate) struct Vocab(data::Vocab);

/// One token, or several.
#[derive(FromPyObject)]
enum Tokens {
    One(String),
    Many(Vec<String>),
}

impl Vocab {
    fn id(&self, token: &str) -> PyResult<u32> {
        self.0.id_or_unknown(token).ok_or_else(|| PyKeyError::new_err(token.to_owned()))
    }
}

#[pymethods]
impl Vocab {
    #[new]
    #[pyo3(signature = (tokens, *, unknown=None))]
    fn new(tokens: Vec<String>, unknown: Option<&str>) -> PyResult<Self> {
        data::Vocab::from_tokens("the tokens", tokens, unknown).map(Vocab).map_err(error::of_text)
    }

    #[staticmethod]
    #[pyo3(signature = (
        counts, *, max_size=None, min_frequency=1, unknown=Some("<unk>".to_owned()), reserved=vec![],
        order="frequency"
    ))]
    fn from_counts(
        counts: &Bound<'_, PyDict>,
        max_size: Option<usize>,
        min_frequency: u64,
        unknown: Option<String>,
        reserved: Vec<String>,
        order: &str,
    ) -> PyResult<Self> {
        let order = match order {
            "frequency" => VocabOrder::Frequency,
            "first-appearance" => VocabOrder::FirstAppearance,
            other => {
                let message = format!("unknown order `{other}`, expected `frequency` or `first-appearance`");
                return Err(PyValueError::new_err(message));
            }
        };
        let mut counter = data::Counter::new();
        for (token, count) in counts {
            counter.add_many(&token.extract::<String>()?, count.extract()?);
        }
        let options = VocabOptions { order, min_freq: min_frequency, max_size, unknown, reserved };
        data::Vocab::from_counter(&counter, &options).map(Vocab).map_err(error::of_text)
    }

    #[staticmethod]
    fn load(path: PathBuf) -> PyResult<Self> {
        data::Vocab::load(path).map(Vocab).map_err(error::of_text)
    }

    fn save(&self, path: PathBuf) -> PyResult<()> {
        self.0.save(path).map_err(error::of_text)
    }

    #[getter]
    fn tokens(&self) -> Vec<String> {
        self.0.tokens().map(str::to_owned).collect()
    }

    #[getter]
    fn unknown(&self) -> Option<&str> {
        self.0.unknown_token()
    }

    #[getter]
    fn counts(&self) -> Option<Vec<u64>> {
        self.0.counts().map(<[u64]>::to_vec)
    }

    fn to_tokens(&self, ids: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
        let tokens = |ids: Vec<u32>| {
            let tokens = self.0.decode(&ids).map_err(error::of_text)?;
            Ok(tokens.into_iter().map(str::to_owned).collect())
        };
        tokens(arrays::ids(ids)?)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, tokens: Tokens) -> PyResult<Bound<'py, PyAny>> {
        match tokens {
            Tokens::One(token) => Ok(self.id(&token)?.into_pyobject(py)?.into_any()),
            Tokens::Many(tokens) => {
                let ids = tokens.iter().map(|token| self.id(token)).collect::<PyResult<Vec<u32>>>()?;
                Ok(ids.to_pyarray(py).into_any())
            }
        }
    }

    fn __contains__(&self, token: &str) -> bool {
        self.0.id(token).is_some()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyTuple::new(py, self.tokens())?.try_iter()?.into_any())
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[staticmethod]
    fn _from_json(json: &str) -> PyResult<Self> {
        data::Vocab::from_json("the vocabulary", json).map(Vocab).map_err(error::of_text)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        Ok((slf.get_type().getattr("_from_json")?, (slf.get().0.to_json(),)))
    }

    fn __repr__(&self) -> String {
        let unknown = self.0.unknown_token().map(|token| format!(", unknown {token:?}")).unwrap_or_default();
        format!("Vocab({} tokens{unknown})", self.0.len())
    }
}

/// Texts as ids; see `_rondo.pyi`.
#[pyclass(frozen, module = "rondo.data")]
pub(crate) struct Corpus(data::Corpus);

impl Corpus {
    pub(crate) fn corpus(&self) -> &data::Corpus {
        &self.0
    }
}

#[pymethods]
impl Corpus {
    #[new]
    #[pyo3(signature = (
        train, valid=None, test=None, *, vocab=None, tokenizer=None, valid_fraction=0.05, test_fraction=0.05
    ))]
    fn new(
        train: &Bound<'_, PyAny>,
        valid: Option<&Bound<'_, PyAny>>,
        test: Option<&Bound<'_, PyAny>>,
        vocab: Option<&Vocab>,
        tokenizer: Option<&str>,
        valid_fraction: f64,
        test_fraction: f64,
    ) -> PyResult<Self> {
        let train = arrays::ids(train)?;
        let [valid, test] = [valid, test].map(|ids| ids.map(arrays::ids).transpose());
        let (valid, test) = (valid?, test?);
        let tokenizer = Tokenizer::named(tokenizer.unwrap_or("words"))?;
        let vocab = match vocab {
            Some(vocab) => vocab.0.clone(),
            // Ids without a vocabulary are their own names.
            None => {
                let all = [Some(&train), valid.as_ref(), test.as_ref()].into_iter().flatten().flatten();
                let largest = all.copied().max().unwrap_or(0);
                let tokens = (0..=largest).map(|id| id.to_string());
                data::Vocab::from_tokens("the ids", tokens, None).map_err(error::of_text)?
            }
        };
        let codec = TextCodec::new(tokenizer, vocab);
        let corpus = if valid.is_none() && test.is_none() {
            data::Corpus::of_divided_ids(codec, train, valid_fraction, test_fraction)
        } else {
            let [valid, test] = [valid, test].map(|ids| ids.map(TokenIds::from));
            data::Corpus::of_ids(codec, train.into(), valid, test)
        };
        corpus.map(Corpus).map_err(error::of_text)
    }

    #[getter]
    fn train<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u32>>> {
        array(py, &self.0.train)
    }

    #[getter]
    fn valid<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray1<u32>>>> {
        self.0.valid.as_ref().map(|ids| array(py, ids)).transpose()
    }

    #[getter]
    fn test<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray1<u32>>>> {
        self.0.test.as_ref().map(|ids| array(py, ids)).transpose()
    }

    #[getter]
    fn vocab(&self) -> Vocab {
        Vocab(self.0.vocab().clone())
    }

    fn encode<'py>(&self, py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let encoded = self.0.codec.encode(text).map_err(error::of_text)?;
        Ok(encoded.ids.to_pyarray(py))
    }

    fn decode(&self, ids: &Bound<'_, PyAny>) -> PyResult<String> {
        self.0.codec.decode(&arrays::ids(ids)?).map_err(error::of_text)
    }

    fn __repr__(&self) -> String {
        let len = |ids: &Option<TokenIds>| ids.as_ref().map_or(0, TokenIds::len);
        format!(
            "Corpus({} train, {} valid, {} test, vocabulary of {})",
            self.0.train.len(),
            len(&self.0.valid),
            len(&self.0.test),
            self.0.vocab().len()
        )
    }
}

fn array<'py>(py: Python<'py>, ids: &TokenIds) -> PyResult<Bound<'py, PyArray1<u32>>> {
    Ok(ids.read(0..ids.len()).map_err(error::of_text)?.to_pyarray(py))
}

/// Batches for truncated backpropagation through time; see `_rondo.pyi`.
#[pyclass(frozen, module = "rondo.data", sequence)]
pub(crate) struct Batches(data::Batches);

#[pymethods]
impl Batches {
    #[new]
    #[pyo3(signature = (ids, batch_size, bptt, *, last_batch="keep"))]
    fn new(ids: &Bound<'_, PyAny>, batch_size: usize, bptt: usize, last_batch: &str) -> PyResult<Self> {
        let last_batch = match last_batch {
            "keep" => LastBatch::Keep,
            "discard" => LastBatch::Discard,
            other => {
                let message = format!("unknown last_batch `{other}`, expected `keep` or `discard`");
                return Err(PyValueError::new_err(message));
            }
        };
        let ids = TokenIds::from(arrays::ids(ids)?);
        data::Batches::new(&ids, batch_size, bptt, last_batch).map(Batches).map_err(error::of_text)
    }

    fn __len__(&self) -> usize {
        self.0.batch_count()
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        index: isize,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let count = self.0.batch_count();
        let index = if index < 0 { index + count as isize } else { index };
        let in_range = usize::try_from(index).ok().filter(|&index| index < count);
        let index = in_range.ok_or_else(|| PyIndexError::new_err("there is no such batch"))?;
        let batch = self.0.batch(index);
        let shape = [batch.steps, self.0.batch_size()];
        let (mut inputs, mut targets) = (vec![0; shape[0] * shape[1]], vec![0; shape[0] * shape[1]]);
        self.0.fill(batch, &mut inputs, &mut targets).map_err(error::of_text)?;
        let matrix = |ids: &[u32]| ids.to_pyarray(py).call_method1("reshape", (shape[0], shape[1]));
        Ok((matrix(&inputs)?, matrix(&targets)?))
    }

    #[getter]
    fn dropped_tokens(&self) -> usize {
        self.0.dropped_tokens()
    }

    fn __repr__(&self) -> String {
        format!("Batches({} × [{}, {}])", self.0.batch_count(), self.0.bptt(), self.0.batch_size())
    }
}

/// Reads the texts that settings name.
#[pyfunction]
pub(crate) fn read_corpus(py: Python<'_>, given: &Bound<'_, PyDict>) -> PyResult<Corpus> {
    let settings = settings::read(given)?;
    let read = || {
        let plan = SettingsSource::default().plan(settings)?;
        let found = FoundCorpus::find(&plan.text.corpus, &default_places(), &mut ())?;
        Ok::<_, TrainError>(data::Corpus::read(&found.texts, &plan.text.options)?)
    };
    py.detach(read).map(Corpus).map_err(error::of_training)
}

/// Counts the tokens of files, in order of first appearance.
#[pyfunction]
pub(crate) fn count_tokens(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    tokenizer: &Tokenizer,
) -> PyResult<Vec<(String, u64)>> {
    let count = || {
        let mut counter = data::Counter::new();
        for path in paths {
            let source = data::TextSource::File(path);
            tokenizer.tokenizer().for_each_token(source.open()?, &source.origin(), |token, _| {
                counter.add(token);
                Ok(())
            })?;
        }
        Ok::<_, data::DataError>(counter)
    };
    let counter = py.detach(count).map_err(error::of_text)?;
    Ok(counter.iter().map(|(token, count)| (token.to_owned(), count)).collect())
}

/// Sentences of the built-in language.
#[pyfunction]
#[pyo3(signature = (count, *, seed=Tales::SEED))]
pub(crate) fn tales(count: usize, seed: u64) -> Vec<String> {
    Tales::new().sentences(seed, 0).take(count).collect()
}
