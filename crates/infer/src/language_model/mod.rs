//! A language model as one value: weights, vocabulary, tokenizer and device together.
//!
//! ```text
//! run folder or model file ─ open ─▶ LanguageModel ─┬─ score, evaluate, rescore    lines and texts
//!                                                    ├─ complete, stream            text continuations
//!                                                    ├─ scorer, predictor, streams  reusable objects for the same
//!                                                    └─ decoder                     states for beam search
//! ```
//!
//! Promises: parts that do not belong together are rejected; a clone is cheap and shares the weights; clones
//! can be used by any number of threads at the same time.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rondo_data::{EncodedLine, TextCodec, TokenIds};
use rondo_kernels::Device;
use rondo_nn::{Model, ModelContext, ModelFile, RnnLm, WeightFormat};
use rondo_runs::write_atomically;

use crate::evaluate::{EvaluationPart, Reader, evaluate_by, for_each_token_of};
use crate::lattice::LatticeScorer;
use crate::memory::check_evaluation;
use crate::rescore::{Entry, List, ListScorer, Weights};
use crate::{
    BeamSearch, Cache, CacheEvaluation, CacheTuning, Completer, Completing, Completion, Decoder, Evaluation,
    Hypothesis, InferError, Interpolation, Measures, ModelHandle, NgramEvaluation, Normalizer, Predictor,
    Resets, Result, ScoredLine, Scorer, Scoring, StreamOptions, Streams, Suggester, TextCounts, TextStream,
    evaluate_baseline, evaluate_with_cache, evaluate_with_ngram, tune_cache, tune_ngram,
};

mod open;

pub use open::{ModelParts, OpenOptions};

/// The default number of columns for evaluation.
const COLUMNS: usize = 20;
/// The default number of steps per batch for evaluation.
const STEPS: usize = 35;

/// The name of the model file's attachment that contains the codec.
const CODEC: &str = "codec";
/// The metadata key of the tokenizer: version 0.1.0 kept the vocabulary in a separate file.
const TOKENIZER: &str = "tokenizer";

/// A language model: weights, vocabulary, tokenizer and device together.
///
/// ```no_run
/// use rondo_infer::{LanguageModel, StreamOptions};
/// use rondo_kernels::Device;
///
/// let model = LanguageModel::open("runs/ptb-1", &Device::cpu(2)?)?;
/// println!("{:.2}", model.evaluate("the cat sat on the mat\n")?.perplexity());
/// for piece in model.stream("the cat", StreamOptions::default())? {
///     print!("{}", piece?.text);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LanguageModel {
    handle: ModelHandle,
    codec: TextCodec,
    origin: Option<Arc<Origin>>,
    /// Stored with the model; used only if asked for.
    normalizer: Option<Arc<Normalizer>>,
}

/// Where a model was loaded from.
#[derive(Debug)]
struct Origin {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
}

impl LanguageModel {
    /// Combines a model with the codec for its texts.
    ///
    /// # Errors
    /// [`InferError::CodecSize`] if the vocabulary sizes of the codec and the model differ.
    pub fn new(model: impl Into<ModelHandle>, codec: TextCodec) -> Result<LanguageModel> {
        let handle = model.into();
        let (found, expected) = (codec.vocab().len(), handle.model().vocab_size());
        if found != expected {
            return Err(InferError::CodecSize { found, expected });
        }
        Ok(LanguageModel { handle, codec, origin: None, normalizer: None })
    }

    /// The shared weights.
    pub fn handle(&self) -> &ModelHandle {
        &self.handle
    }

    /// The weights.
    pub fn model(&self) -> &dyn Model {
        self.handle.model()
    }

    /// The weights, mutably; `None` while other handles share them.
    pub fn model_mut(&mut self) -> Option<&mut (dyn Model + 'static)> {
        self.handle.model_mut()
    }

    /// Converts text to the model's ids and back.
    pub fn codec(&self) -> &TextCodec {
        &self.codec
    }

    /// The device it runs on.
    pub fn device(&self) -> &Device {
        self.handle.device()
    }

    /// The file it was opened from, if any.
    pub fn path(&self) -> Option<&Path> {
        self.origin.as_ref().map(|origin| origin.path.as_path())
    }

    /// Other metadata of its file, such as the epoch, as short texts by name.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        let metadata = self.origin.iter().flat_map(|origin| &origin.metadata);
        metadata.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The same model with a different codec.
    ///
    /// # Errors
    /// [`InferError::CodecSize`] if the vocabulary sizes of the codec and the model differ.
    pub fn with_codec(&self, codec: TextCodec) -> Result<LanguageModel> {
        let (origin, normalizer) = (self.origin.clone(), self.normalizer.clone());
        Ok(LanguageModel { origin, normalizer, ..LanguageModel::new(self.handle.clone(), codec)? })
    }

    /// The same model in another handle.
    pub(crate) fn with_handle(&self, handle: ModelHandle) -> LanguageModel {
        LanguageModel { handle, ..self.clone() }
    }

    /// The approximate normalizer in the model's file, if it has one.
    pub fn normalizer(&self) -> Option<&Normalizer> {
        self.normalizer.as_deref()
    }

    /// The same model with this normalizer, which [`save`](LanguageModel::save) stores in its file. It is not used until
    /// [`approximate`](LanguageModel::approximate) asks for it.
    #[must_use]
    pub fn with_normalizer(&self, normalizer: Normalizer) -> LanguageModel {
        LanguageModel { normalizer: Some(Arc::new(normalizer)), ..self.clone() }
    }

    /// Writes the model atomically to a file that [`LanguageModel::open`] can read, with weights in the format of the file
    /// that it was read from, if any.
    ///
    /// # Errors
    /// [`InferError::Runs`] if it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let format = self.origin.as_ref().map(|origin| WeightFormat::in_metadata(&origin.metadata));
        self.save_as(path, format.unwrap_or_default())
    }

    /// Writes the model as [`save`](Self::save) does, with weights in this format.
    ///
    /// # Errors
    /// [`InferError::Runs`] if it cannot be written.
    pub fn save_as(&self, path: impl AsRef<Path>, format: WeightFormat) -> Result<()> {
        let metadata = self.metadata().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut metadata = metadata.collect();
        format.set_in(&mut metadata);
        let mut context = model_context(&self.codec, self.handle.resets(), metadata);
        if let Some(normalizer) = &self.normalizer {
            normalizer.store(&mut context);
        }
        let write = |to: &mut dyn Write| ModelFile::write(self.model(), &context, to);
        Ok(write_atomically(path.as_ref(), write)?)
    }

    /// Scores each line independently: its log-probability after a line end, including its own line end.
    ///
    /// # Errors
    /// [`InferError::Data`] if a line contains an out-of-vocabulary token and the model has no unknown token.
    pub fn score<S: AsRef<str>>(&self, lines: &[S]) -> Result<Vec<ScoredLine>> {
        let codec = self.codec_of_lines();
        let encoded = lines
            .iter()
            .zip(1..)
            .map(|(line, number)| encode_line(&codec, "the line", line.as_ref(), number));
        let encoded = encoded.collect::<rondo_data::Result<Vec<_>>>()?;
        let scoring = Scoring { start: self.codec.line_end(), ..Scoring::default() };
        let ids: Vec<&[u32]> = encoded.iter().map(|line| line.ids.as_slice()).collect();
        let scores = self.scorer(scoring)?.score(&ids)?;
        Ok(encoded.into_iter().zip(scores).map(|(line, score)| ScoredLine { line, score }).collect())
    }

    /// The codec for single lines: the text of a line is not split into sentences.
    fn codec_of_lines(&self) -> TextCodec {
        self.codec.with_tokenizer(self.codec.tokenizer().with_sentences(false))
    }

    /// How well the model predicts a text: the same measure that the trainer reports.
    ///
    /// # Errors
    /// [`InferError::Data`] as for [`score`](Self::score); [`InferError::TextTooShort`] if there are fewer
    /// than 2 tokens.
    pub fn evaluate(&self, text: &str) -> Result<Evaluation> {
        let ids = TokenIds::from(self.codec.encode(text)?.ids);
        self.evaluate_ids(&ids, COLUMNS, STEPS, &mut |_| ControlFlow::Continue(()))
    }

    /// Evaluates a text with a neural cache: see [`evaluate_with_cache`].
    ///
    /// # Errors
    /// As [`evaluate_with_cache`].
    pub fn evaluate_with_cache(
        &self,
        ids: &TokenIds,
        cache: &Cache,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<CacheEvaluation> {
        self.require_running_text("a neural cache")?;
        evaluate_with_cache(self.model(), &mut self.handle.workspace(), ids, cache, progress)
    }

    /// Evaluates a text with a cache for every combination of settings: see [`tune_cache`].
    ///
    /// # Errors
    /// As [`tune_cache`].
    pub fn tune_cache(
        &self,
        ids: &TokenIds,
        window: usize,
        thetas: &[f64],
        lambdas: &[f64],
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<CacheTuning> {
        self.require_running_text("a neural cache")?;
        let workspace = &mut self.handle.workspace();
        tune_cache(self.model(), workspace, ids, window, thetas, lambdas, progress)
    }

    /// Fails if the model was trained on independent lines or paragraphs, for `what` adapts to the text so far.
    ///
    /// # Errors
    /// [`InferError::IndependentUnits`].
    pub fn require_running_text(&self, what: &'static str) -> Result<()> {
        match self.handle.resets() {
            Some(resets) => Err(InferError::IndependentUnits { what, unit: resets.name() }),
            None => Ok(()),
        }
    }

    /// [`evaluate_with`](crate::evaluate_with) for an encoded text.
    ///
    /// # Errors
    /// As [`evaluate_with`](crate::evaluate_with); [`InferError::NotEnoughMemory`] if the batches do not fit in memory.
    pub fn evaluate_ids(
        &self,
        ids: &TokenIds,
        batch_size: usize,
        bptt: usize,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Evaluation> {
        check_evaluation(self.model(), ids.len(), batch_size, bptt)?;
        let workspace = &mut self.handle.workspace();
        evaluate_by(Reader::of(&self.handle), workspace, ids, (batch_size, bptt), progress)
    }

    /// Evaluates a text with the model, an n-gram model and both interpolated: see [`evaluate_with_ngram`].
    ///
    /// # Errors
    /// As [`evaluate_with_ngram`]; [`InferError::NotEnoughMemory`] if the batches do not fit in memory.
    pub fn evaluate_with_ngram(
        &self,
        ids: &TokenIds,
        interpolation: &Interpolation,
        batch_size: usize,
        bptt: usize,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<NgramEvaluation> {
        check_evaluation(self.model(), ids.len(), batch_size, bptt)?;
        let (workspace, resets) = (&mut self.handle.workspace(), self.handle.resets());
        let sizes = (batch_size, bptt);
        evaluate_with_ngram(self.model(), workspace, ids, resets, interpolation, sizes, progress)
    }

    /// Finds the best weight of an n-gram model on a text: see [`tune_ngram`].
    ///
    /// # Errors
    /// As [`tune_ngram`]; [`InferError::NotEnoughMemory`] if the batches do not fit in memory.
    pub fn tune_ngram(
        &self,
        ids: &TokenIds,
        interpolation: &Interpolation,
        batch_size: usize,
        bptt: usize,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<NgramEvaluation> {
        check_evaluation(self.model(), ids.len(), batch_size, bptt)?;
        let (workspace, resets) = (&mut self.handle.workspace(), self.handle.resets());
        let sizes = (batch_size, bptt);
        tune_ngram(self.model(), workspace, ids, resets, interpolation, sizes, progress)
    }

    /// [`evaluate_ids`](Self::evaluate_ids), with unknown tokens apart, and what the text consists of.
    ///
    /// # Errors
    /// As [`evaluate_ids`](Self::evaluate_ids).
    pub fn measure(
        &self,
        ids: &TokenIds,
        batch_size: usize,
        bptt: usize,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Measures> {
        self.measure_part(ids, batch_size, bptt, EvaluationPart::WHOLE, progress)
    }

    /// The same for some of the columns: the sums of the losses over all parts are those of the text. What the text consists
    /// of is counted for all of it.
    ///
    /// # Errors
    /// As [`evaluate_ids`](Self::evaluate_ids).
    pub fn measure_part(
        &self,
        ids: &TokenIds,
        batch_size: usize,
        bptt: usize,
        part: EvaluationPart,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Measures> {
        check_evaluation(self.model(), ids.len(), batch_size, bptt)?;
        let unknown = self.codec.unknown_id();
        let mut measures = Measures::of_nothing();
        let (reader, sizes) = (Reader::of(&self.handle), (batch_size, bptt));
        let workspace = &mut self.handle.workspace();
        let progress = &mut |done, _| progress(done);
        for_each_token_of(reader, workspace, ids, sizes, part, progress, &mut |predicted| {
            measures.add(f64::from(predicted.nll), unknown == Some(predicted.target));
        })?;
        measures.counts = TextCounts::of(&self.codec, ids)?;
        Ok(measures)
    }

    /// Evaluates a baseline on the tokens that [`measure`](Self::measure) predicts: see [`evaluate_baseline`].
    ///
    /// # Errors
    /// As [`evaluate_baseline`].
    pub fn evaluate_baseline(
        &self,
        ids: &TokenIds,
        batch_size: usize,
        probability: impl Fn(u32, u32) -> f64,
    ) -> Result<Evaluation> {
        evaluate_baseline(ids, self.handle.resets(), batch_size, probability)
    }

    /// The `count` most likely words after `text`, which is read as the beginning of a line; excludes the
    /// unknown token and the line end.
    ///
    /// # Errors
    /// As [`Completer::complete`].
    pub fn complete(&self, text: &str, count: usize) -> Result<Vec<Completion>> {
        self.completer().complete(text, &self.completing(count))
    }

    /// The options that propose this many words, but neither the unknown token nor the line end.
    pub fn completing(&self, top: usize) -> Completing {
        let forbidden = self.codec.unknown_id().into_iter().chain(self.codec.line_end()).collect();
        Completing { top, forbidden, ..Completing::default() }
    }

    /// Reranks the hypotheses of another system: grouped by id, best first, each with the model's
    /// log-probability.
    ///
    /// # Errors
    /// As [`score_lists`](Self::score_lists).
    pub fn rescore(&self, entries: Vec<Entry>, weights: &Weights) -> Result<Vec<List>> {
        let mut lists = self.score_lists(entries, &Scoring::default())?;
        lists.iter_mut().for_each(|list| list.sort(weights));
        Ok(lists)
    }

    /// Scores the hypotheses of another system and groups them by id, in the order of first occurrence;
    /// `scoring` sets the batch size.
    ///
    /// # Errors
    /// As [`ListScorer::score`].
    pub fn score_lists(&self, entries: Vec<Entry>, scoring: &Scoring) -> Result<Vec<List>> {
        let scored = entries.into_iter().map(|mut entry| (std::mem::take(&mut entry.id), entry.into()));
        let mut lists = List::group(scored);
        self.list_scorer(scoring.batch_size)?.score(&mut lists)?;
        Ok(lists)
    }

    /// A scorer for lists of hypotheses, `batch_size` at a time.
    ///
    /// # Errors
    /// As [`Scorer::new`].
    pub fn list_scorer(&self, batch_size: usize) -> Result<ListScorer> {
        let scoring = Scoring { start: self.codec.line_end(), batch_size, ..Scoring::default() };
        Ok(ListScorer::new(self.codec_of_lines(), self.scorer(scoring)?))
    }

    /// Searches lattices.
    pub fn lattice_scorer(&self) -> LatticeScorer {
        LatticeScorer::new(self.codec_of_lines(), self.decoder())
    }

    /// Generates a text that continues `prompt`, piece by piece. If the prompt is empty and the model has no line-end
    /// token to start from, the first token is drawn by its frequency in the training text
    /// ([`Streams::admit_first`]).
    ///
    /// # Errors
    /// [`InferError::EmptyPrefix`] if that is so and the vocabulary has no [counts](rondo_data::Vocab::counts);
    /// as [`score`](Self::score), [`Sampler::new`](crate::Sampler::new) and
    /// [`TextAssembler::new`](crate::TextAssembler::new).
    pub fn stream(&self, prompt: &str, options: StreamOptions) -> Result<TextStream> {
        TextStream::new(&self.handle, &self.codec, prompt, options)
    }

    /// Generates the whole text that [`stream`](Self::stream) yields in pieces.
    ///
    /// # Errors
    /// As [`stream`](Self::stream).
    pub fn generate(&self, prompt: &str, options: StreamOptions) -> Result<String> {
        self.stream(prompt, options)?.map(|piece| Ok(piece?.text)).collect()
    }

    /// Generates many texts at once, batched.
    pub fn streams(&self) -> Streams {
        Streams::new(&self.handle)
    }

    /// Beam search for the most likely continuations of a prefix of ids.
    ///
    /// # Errors
    /// As [`BeamSearch::run`].
    pub fn search(&self, search: &BeamSearch, prefix: &[u32]) -> Result<Vec<Hypothesis>> {
        search.run(&self.handle, prefix)
    }

    /// A scorer for sentences given as ids.
    ///
    /// # Errors
    /// As [`Scorer::new`].
    pub fn scorer(&self, scoring: Scoring) -> Result<Scorer> {
        Scorer::new(&self.handle, scoring)
    }

    /// A predictor of the next token.
    pub fn predictor(&self) -> Predictor {
        Predictor::new(&self.handle)
    }

    /// A completer of texts.
    pub fn completer(&self) -> Completer {
        Completer::new(&self.handle, &self.codec)
    }

    /// A completer of a text that grows; [`Suggester::new`] is one for a user with preferences.
    pub fn suggester(&self) -> Suggester {
        Suggester::new(self.completer())
    }

    /// A decoder that advances states, for beam search and keyboards.
    pub fn decoder(&self) -> Decoder {
        Decoder::new(&self.handle)
    }
}

impl From<RnnLm> for ModelHandle {
    fn from(model: RnnLm) -> ModelHandle {
        ModelHandle::new(model)
    }
}

impl From<&ModelHandle> for ModelHandle {
    fn from(handle: &ModelHandle) -> ModelHandle {
        handle.clone()
    }
}

/// Encodes a line with its own line end: even an empty line has one. A line feed within it is part of the
/// line.
pub(crate) fn encode_line(
    codec: &TextCodec,
    origin: &str,
    line: &str,
    number: u64,
) -> rondo_data::Result<EncodedLine> {
    let text = format!("{line}\n");
    let mut encoded = EncodedLine { number, ..EncodedLine::default() };
    for part in codec.lines(text.as_bytes(), origin) {
        encoded.append(part?);
    }
    if let (true, Some(end)) = (encoded.ids.is_empty(), codec.line_end()) {
        encoded.tokens.extend(codec.vocab().token(end));
        encoded.ids.push(end);
    }
    Ok(encoded)
}

/// What a model file contains in addition to the model, so that it can be opened without any other file.
pub fn model_context(
    codec: &TextCodec,
    resets: Option<Resets>,
    mut metadata: BTreeMap<String, String>,
) -> ModelContext {
    metadata.insert(TOKENIZER.to_owned(), codec.tokenizer().to_json());
    if let Some(resets) = resets {
        metadata.insert(Resets::KEY.to_owned(), resets.name().to_owned());
    }
    ModelContext {
        vocab_fingerprint: codec.vocab().fingerprint(),
        metadata,
        attachments: BTreeMap::from([(CODEC.to_owned(), codec.to_json().into_bytes())]),
        tensors: BTreeMap::new(),
    }
}
