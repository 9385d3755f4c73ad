//! A run from settings to a trained model: finds, reads and checks everything before the first step, then
//! trains.
//!
//! ```text
//! settings over a recipe, plan or model ──▶ Plan ─┐
//! corpus: built-in, published, your own files ────┼─▶ Trainer ─▶ run ─▶ Trained: outcome, folder, model
//! folder: new or existing, locked; checkpoint ────┘
//! ```
//!
//! Promises: invalid settings and texts are refused before a folder is created; an [`Observer`] receives a
//! [`Note`] about anything the user should know. Not here: command-line flags, printing, signals.
//!
//! This is a single file because new, repeated and resumed runs take the same steps in an order that matters.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rondo_collective::{Collective, alone, local_rank};
use rondo_data::tales::TalesText;
use rondo_data::{Batches, Corpus, Places, VocabSource};
use rondo_infer::{LanguageModel, ModelParts, OpenOptions};
use rondo_kernels::cpu::InstructionSet;
use rondo_kernels::{Device, Work};
use rondo_nn::{RnnLm, RnnLmConfig, WeightFormat};
use rondo_runs::{Change, CorpusFingerprint, Provenance, RunFolder, RunLock};

use crate::checkpoint::Checkpoint;
use crate::memory::{CorpusSize, MemoryEstimate};
use crate::normalizer::{NormalizerOptions, fit_normalizer};
use crate::observer::{Event, Observer, Outcome, Watch};
use crate::plan::absolute;
use crate::progress::Pause;
use crate::provenance::fingerprint;
use crate::repetition::Repetition;
use crate::resume::{changes, resumed_plan};
use crate::settings::{ResetState, Settings, SettingsFile};
use crate::time_plan::TimePlan;
use crate::trainer::Origin;
use crate::{CorpusChoice, Plan, Result, SoftmaxPlan, TrainError, Trainer, TrainingPlan};

mod base_model;
mod corpus_lookup;
mod corpus_reading;
mod note;
mod ranks;
mod settings_source;
mod sizes;
mod stored;

use base_model::Basis;
pub use corpus_lookup::{BUILT_IN, DATA_VARIABLE, FoundCorpus, IN_MEMORY, MIRROR_VARIABLE, default_places};
use corpus_lookup::{find, with_named_corpus};
use corpus_reading::read;
pub use note::Note;
use ranks::{folder_of_first_rank, require_equal_devices, require_shared_texts};
pub use settings_source::SettingsSource;
use settings_source::{Wanted, corpus_name};
use sizes::size_by_time;
use stored::{Stored, is_stream, relocate, relocate_in_settings, stream_name};

/// A larger vocabulary makes training slow on any processor.
const LARGE_VOCABULARY: usize = 200_000;

/// The parent folder of runs that are not given a folder.
const RUNS: &str = "runs";

/// A run that is ready to start or to resume.
///
/// ```no_run
/// use rondo_train::{Session, SessionOptions, Settings};
///
/// let settings = Settings::parse("mine", "[text]\ndata = ['poems.txt']\n[training]\nepochs = 3")?;
/// let trained = Session::start(settings, SessionOptions::default())?.run(&mut ())?;
/// println!("{:?} nats per token, in {}", trained.outcome.best_test, trained.folder.path().display());
/// # Ok::<(), rondo_train::TrainError>(())
/// ```
#[derive(Debug)]
pub struct Session {
    trainer: Trainer,
    folder: RunFolder,
    /// Held until the run ends.
    lock: Option<RunLock>,
    device: Device,
    /// Whether the device was given and does not follow from the plan, and the instruction set otherwise.
    device_is_given: bool,
    instructions: Option<InstructionSet>,
    title: String,
    tales: Option<TalesText>,
    changes: Vec<Change>,
    /// The changes that are still to be made to repeat another run.
    repetition: Repetition,
    /// What decides the number of steps of a run that has a limited time, unless it repeats another run.
    time_plan: Option<TimePlan>,
    is_complete: bool,
    /// Whether the observer asked to stop before the run began.
    asked_to_stop: bool,
}

/// How to set up a session. Every field has a default.
pub struct SessionOptions<'a> {
    /// The base settings of a new run, which the given settings override.
    pub source: SettingsSource,
    /// The folder of a new run [default: the first unused one of `runs/NAME-1`, `runs/NAME-2`, …].
    pub out: Option<PathBuf>,
    /// The name of a new run [default: the name of its recipe or corpus].
    pub name: Option<String>,
    /// A corpus that has already been read, instead of the texts that the settings name; their other settings of the
    /// text have no effect [default: none]. The run does not keep it: to resume the run, pass it again.
    pub in_memory: Option<Corpus>,
    /// The fingerprint that the corpus of a new run must have [default: any].
    pub corpus: Option<CorpusFingerprint>,
    /// The device to compute on [default: the plan's, with its threads and precision, or `f32` if it does not support
    /// that precision or is slower with it].
    pub device: Option<Device>,
    /// The instruction set of the default device [default: the best that the processor supports]. With one that is given,
    /// the precision of the plan is used even if it is slower than `f32`.
    pub instructions: Option<InstructionSet>,
    /// Where to look for published corpora [default: [`default_places`]].
    pub places: Places,
    /// The processes that train together, of which this is one [default: only this one]. All must be given the same settings,
    /// and the run's folder and the texts must be on a file system that they share. Only the first one writes, and its
    /// observer alone receives notes.
    pub ranks: Arc<dyn Collective>,
    /// Receives notes and download progress while the session is set up [default: none].
    pub observer: Option<&'a mut dyn Observer>,
}

impl Default for SessionOptions<'_> {
    fn default() -> Self {
        SessionOptions {
            source: SettingsSource::default(),
            out: None,
            name: None,
            in_memory: None,
            corpus: None,
            device: None,
            instructions: None,
            places: default_places(),
            ranks: alone(),
            observer: None,
        }
    }
}

/// The result of a session.
#[derive(Debug)]
pub struct Trained {
    /// Losses, steps and times.
    pub outcome: Outcome,
    /// The folder of the run.
    pub folder: RunFolder,
    /// The model with the best parameters; `None` if the run was stopped before there were any.
    pub model: Option<LanguageModel>,
}

impl Session {
    /// Prepares a new run in a new folder; the settings override those of the [source](SessionOptions::source).
    ///
    /// # Errors
    /// Those of [`Plan::new`] and [`Plan::continuing`], of finding and reading the texts, of
    /// [`Trainer::new`], [`RunsError::RunExists`](crate::RunsError::RunExists) if the folder already
    /// contains a run, and [`TrainError::RecipeNeedsText`].
    pub fn start(settings: Settings, options: SessionOptions<'_>) -> Result<Session> {
        let settings = with_corpus_in_memory(settings, options.in_memory.is_some());
        let wanted = options.source.resolve(settings)?;
        wanted.require_text()?;
        Session::begin(wanted, None, options)
    }

    /// Prepares a new run that repeats the run in a folder: with the settings that it began with, and with the
    /// changes that were made to them when it was resumed, each at the same place. It is not interrupted there.
    ///
    /// The corpus must have the fingerprint of that run's, unless the options say otherwise; the other options are
    /// those for new runs, except that the source has no effect.
    ///
    /// # Errors
    /// As [`Session::start`]; those of reading the files of the run.
    pub fn repeat(run: impl Into<PathBuf>, options: SessionOptions<'_>) -> Result<Session> {
        let run = RunFolder::open(run)?;
        let provenance = Provenance::read(&run)?;
        let repetition = Repetition::of(&run, &provenance)?;
        let mut settings = repetition.settings.clone();
        relocate_in_settings(&mut settings.text, &run);
        let wanted = Wanted { name: corpus_name(&settings), settings, recipe: None, file: None };
        let corpus = options.corpus.clone().or(Some(provenance.corpus));
        Session::begin(wanted, Some(repetition), SessionOptions { corpus, ..options })
    }

    fn begin(wanted: Wanted, repetition: Option<Repetition>, options: SessionOptions<'_>) -> Result<Session> {
        let begun = Instant::now();
        let is_repetition = repetition.is_some();
        let repetition = repetition.unwrap_or_default();
        let settings = &wanted.settings;
        let name = options.name.unwrap_or_else(|| wanted.name.clone());
        let mut silent = ();
        let mut watch = Watch::new(options.observer.unwrap_or(&mut silent), false);
        if let Some((run, step)) = options.source.changed_run() {
            watch.notify(Event::Note(Note::FinalPlan { run, step }));
        }
        let plan = Plan::new(settings).map_err(|error| wanted.locate(error))?;
        let (device_is_given, instructions) = (options.device.is_some(), options.instructions);
        let ranks = &options.ranks;
        let device = device(options.device, instructions, &plan, &**ranks, &mut watch)?;
        require_equal_devices(&**ranks, &device)?;
        let (mut plan, model) =
            with_base_model(plan, settings, &device).map_err(|error| wanted.locate(error))?;
        let title_of_own = own_title(&plan.text.corpus);
        let out = options.out.clone().unwrap_or_else(|| Path::new(RUNS).join(&name));
        let out = absolute(&out)?;
        require_shared_texts(&**ranks, &plan.text)?;
        let mut stored = Stored::texts(&mut plan.text, &out)?;
        let (title, tales, corpus) = if let Some(corpus) = options.in_memory {
            use_in_memory(&mut plan, &corpus, model.is_some())?;
            (IN_MEMORY.to_owned(), None, corpus)
        } else {
            let found = find(&plan.text.corpus, &options.places, &mut watch);
            let FoundCorpus { title, choice, texts, tales } = found.map_err(|error| wanted.locate(error))?;
            plan.text.corpus = choice;
            if ranks.leads() {
                stored = stored.and_vocabulary(&mut plan.text, &out).map_err(|error| wanted.locate(error))?;
            }
            let corpus = read(&texts, &plan, &options.places, &stored, &mut watch)?;
            (title_of_own.unwrap_or(title), tales, corpus)
        };
        notify_of_texts(&plan, &corpus, &device, &mut watch)?;
        if let Some(expected) = options.corpus {
            expected.check(&fingerprint(&corpus)?)?;
        }
        let time = plan.training.time.0.filter(|_| !is_repetition);
        let chosen = &settings.model;
        let has_model = model.is_some() || chosen.preset.is_some() || chosen.hidden_sizes.is_some();
        let has_sizes = has_model || wanted.recipe.is_some() || wanted.file.is_some();
        if let Some(time) = time.filter(|_| !has_sizes) {
            size_by_time(&mut plan, settings, &corpus, (&device, time), &**ranks, &mut watch)?;
        }
        let trainer = match model {
            Some(model) => Trainer::continuing_with(plan, corpus, model, ranks)?,
            None => Trainer::new_with(plan, corpus, &device, ranks)?,
        };
        let mut trainer = trainer.with_origin(Origin::new(settings, wanted.recipe)?);
        // The folder is created last, so that nothing is left behind if the plan or a text is invalid.
        let plan = trainer.plan().to_toml()?;
        let folder = folder_of_first_rank(&**ranks, || {
            Ok(match options.out {
                Some(path) => RunFolder::create(path, &plan)?,
                None => RunFolder::create_next(RUNS, &name, &plan)?,
            })
        })?;
        store_texts(stored, &folder, &mut trainer)?;
        let lock = ranks.leads().then(|| folder.lock()).transpose()?;
        let asked_to_stop = watch.asked_to_stop;
        let time_plan = time.map(|time| TimePlan::new(time, begun));
        Ok(Session {
            trainer,
            folder,
            lock,
            device,
            device_is_given,
            instructions,
            title,
            tales,
            changes: vec![],
            repetition,
            time_plan,
            is_complete: false,
            asked_to_stop,
        })
    }

    /// Prepares a new run that continues training the model at `model`, a model file or the folder of a run.
    /// It uses the settings and the text that the model was trained with, unless the given settings override
    /// them.
    ///
    /// # Errors
    /// As [`Session::start`]; those of [`LanguageModel::open`], in
    /// [`TrainError::Infer`](crate::TrainError::Infer).
    pub fn continue_from(
        model: impl Into<PathBuf>,
        mut settings: Settings,
        options: SessionOptions<'_>,
    ) -> Result<Session> {
        settings.training.from = Some(model.into());
        Session::start(settings, options)
    }

    /// Prepares to resume the run in a folder from its last checkpoint, or from the beginning if it has none;
    /// `settings` override its own. The options for new runs have no effect.
    ///
    /// # Errors
    /// [`RunsError::NoRun`](crate::RunsError::NoRun) and [`RunsError::Locked`](crate::RunsError::Locked);
    /// those of [`Checkpoint::latest`], [`resumed_plan`], of finding and reading the texts, and of
    /// [`Trainer::resuming`].
    pub fn resume(
        folder: impl Into<PathBuf>,
        settings: Settings,
        options: SessionOptions<'_>,
    ) -> Result<Session> {
        let begun = Instant::now();
        let folder = RunFolder::open(folder)?;
        let ranks = &options.ranks;
        let lock = ranks.leads().then(|| folder.lock()).transpose()?;
        let mut silent = ();
        let mut watch = Watch::new(options.observer.unwrap_or(&mut silent), false);
        let (file, before) = SettingsFile::read(&folder.plan())?;
        let checkpoint = Checkpoint::of_first_rank(&**ranks, || latest_checkpoint(&folder, &mut watch))?;
        let basis = match &checkpoint {
            Some(checkpoint) if before.training.from.is_some() => Some(Basis::of_run(&folder, checkpoint)?),
            _ => None,
        };
        let planned = |settings: &Settings| match &basis {
            Some(basis) => basis.plan(settings),
            None => Plan::new(settings),
        };
        let settings = with_corpus_in_memory(settings, options.in_memory.is_some());
        let flags = with_named_corpus(settings);
        let file = file.overridden_by(&flags);
        let resumed = resumed_plan(&folder, checkpoint.as_ref(), flags, planned);
        let (plan, changes) = resumed.map_err(|error| file.locate(error))?;
        changes.iter().for_each(|change| watch.notify(Event::Note(Note::Changed(change))));
        let is_complete = checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.is_complete(&plan));
        let (elapsed_s, steps) = checkpoint.as_ref().map_or((0.0, 0), |checkpoint| {
            let progress = &checkpoint.progress;
            (progress.elapsed_s, progress.steps)
        });
        let planned = plan.training.max_steps;
        let resumed = |time| TimePlan::resumed(time, (begun, elapsed_s), steps, planned);
        let time_plan = plan.training.time.0.map(resumed);
        let (device_is_given, instructions) = (options.device.is_some(), options.instructions);
        let device = device(options.device, instructions, &plan, &**ranks, &mut watch)?;
        require_equal_devices(&**ranks, &device)?;
        if checkpoint.is_some() && ranks.leads() {
            let before = last_device(&folder)?;
            if before != device.to_string() {
                watch.notify(Event::Note(Note::OtherDevice { before: &before, now: &device }));
            }
        }
        let (mut plan, model) = match checkpoint {
            Some(_) => (plan, None),
            None => {
                let settings = plan.settings();
                with_base_model(plan, &settings, &device)?
            }
        };
        relocate(&mut plan.text, &folder);
        let title_of_own = own_title(&plan.text.corpus);
        require_shared_texts(&**ranks, &plan.text)?;
        let stored = Stored::texts(&mut plan.text, folder.path())?;
        let (title, tales, corpus) = if let Some(corpus) = options.in_memory {
            use_in_memory(&mut plan, &corpus, basis.is_some() || model.is_some())?;
            (IN_MEMORY.to_owned(), None, corpus)
        } else {
            let FoundCorpus { title, choice, texts, tales } =
                find(&plan.text.corpus, &options.places, &mut watch)?;
            plan.text.corpus = choice;
            let corpus = read(&texts, &plan, &options.places, &stored, &mut watch)?;
            (title_of_own.unwrap_or(title), tales, corpus)
        };
        notify_of_texts(&plan, &corpus, &device, &mut watch)?;
        let from_checkpoint = checkpoint.is_some();
        let mut trainer = match (checkpoint, model) {
            (Some(checkpoint), _) => {
                let from = (checkpoint, changes.clone());
                Trainer::resuming_with(plan, corpus, &device, from, ranks)?
            }
            (None, Some(model)) => Trainer::continuing_with(plan, corpus, model, ranks)?,
            (None, None) => Trainer::new_with(plan, corpus, &device, ranks)?,
        };
        // The first rank writes only when all have read.
        ranks.gather(vec![])?;
        store_texts(stored, &folder, &mut trainer)?;
        if !from_checkpoint && !changes.is_empty() && ranks.leads() {
            // A run that resumes from a checkpoint writes its changed plan when it starts.
            folder.replace_plan(&trainer.plan().to_toml()?)?;
        }
        Ok(Session {
            trainer,
            folder,
            lock,
            device,
            device_is_given,
            instructions,
            title,
            tales,
            changes,
            repetition: Repetition::default(),
            time_plan,
            is_complete,
            asked_to_stop: watch.asked_to_stop,
        })
    }

    /// The plan of the run.
    pub fn plan(&self) -> &Plan {
        self.trainer.plan()
    }

    /// The texts.
    pub fn corpus(&self) -> &Corpus {
        self.trainer.corpus()
    }

    /// The folder of the run.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The batches of the training text, in the order of the text.
    pub fn batches(&self) -> &Batches {
        self.trainer.batches()
    }

    /// The device that the run computes on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The processes that train together, of which this is one.
    pub fn ranks(&self) -> &Arc<dyn Collective> {
        self.trainer.ranks()
    }

    /// The name of the corpus in messages.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The sentences of the built-in corpus, if the run uses it.
    pub fn tales(&self) -> Option<&TalesText> {
        self.tales.as_ref()
    }

    /// The settings that were changed on resume.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether a resumed run had already trained all its epochs, so that there is nothing to do.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Trains to the end of the plan, or until the observer asks to stop. When called again, it resumes from
    /// there.
    ///
    /// # Errors
    /// As [`Trainer::run`] and [`Trainer::best_model`].
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<Trained> {
        let ranks = Arc::clone(self.trainer.ranks());
        let _lock = match self.lock.take() {
            None if ranks.leads() => Some(self.folder.lock()?),
            lock => lock,
        };
        let outcome = loop {
            let asked_to_stop = std::mem::take(&mut self.asked_to_stop);
            let until = match &self.time_plan {
                Some(time_plan) => time_plan.next_pause(self.trainer.plan().training.max_steps),
                None => self.repetition.next_place().map(Pause::At),
            };
            let outcome = self.trainer.run_locked(&self.folder, observer, asked_to_stop, until)?;
            let is_over = until.is_none() || (outcome.end.is_some() && self.time_plan.is_some());
            if outcome.interrupted || is_over {
                break outcome;
            }
            let change = match &mut self.time_plan {
                Some(_) => self.replan(&outcome)?,
                None => self
                    .repetition
                    .advance()?
                    .map(|change| (self.repetition.settings.clone(), change.settings)),
            };
            if let Some((settings, changes)) = change {
                self.change_settings(&settings, changes, observer)?;
            }
        };
        let model = match self.trainer.best_model()? {
            Some(model) if !outcome.interrupted && ranks.leads() => {
                Some(self.with_normalizer(model, observer)?)
            }
            model => model,
        };
        Ok(Trained { outcome, folder: self.folder.clone(), model })
    }

    /// The best model with the approximate normalizer that the plan asks for, which is stored in its file, too.
    fn with_normalizer(&self, model: LanguageModel, observer: &mut dyn Observer) -> Result<LanguageModel> {
        let TrainingPlan { normalizer, seed, .. } = self.trainer.plan().training;
        let Some(frequent) = normalizer else { return Ok(model) };
        let path = self.folder.best_model();
        let stored = LanguageModel::open(&path, &self.device)?;
        // A run that was already complete has it: weights and normalizer are written together.
        if let Some(known) = stored.normalizer().filter(|known| known.frequent.len() == frequent) {
            return Ok(model.with_normalizer(known.clone()));
        }
        let mut watch = Watch::new(observer, false);
        watch.notify(Event::FittingNormalizer { frequent });
        let corpus = self.trainer.corpus();
        let valid = corpus.valid.as_ref().unwrap_or(&corpus.train);
        let options = NormalizerOptions { frequent, seed, ..NormalizerOptions::default() };
        let fitted = fit_normalizer(&model, &corpus.train, valid, options)?;
        watch.notify(Event::NormalizerFitted { statistics: fitted.statistics });
        stored.with_normalizer(fitted.clone()).save(&path)?;
        Ok(model.with_normalizer(fitted))
    }

    /// The settings from here on of a run with a limited time, and the changes that lead to them; `None` if it is on time.
    fn replan(&mut self, outcome: &Outcome) -> Result<Option<(Settings, Vec<Change>)>> {
        let Some(time_plan) = &mut self.time_plan else { return Ok(None) };
        let elapsed_s = time_plan.elapsed_s();
        let evaluation_s = self.trainer.evaluation_seconds(time_plan.probe_s())?;
        let (plan, times) = (self.trainer.plan(), (elapsed_s, time_plan.elapsed_s()));
        let steps = time_plan.replan(times, outcome.steps, evaluation_s, plan.training.max_steps);
        // The clock of the first rank decides.
        let steps =
            self.trainer.ranks().broadcast(steps.map_or(vec![], |steps| steps.to_le_bytes().to_vec()))?;
        let Ok(steps) = steps.try_into().map(u64::from_le_bytes) else { return Ok(None) };
        let before = plan.settings();
        let mut settings = before.clone();
        settings.training.max_steps = Some(steps);
        // Enough epochs for so many steps: the steps decide.
        let batches =
            self.trainer.batches().batch_count().min(plan.training.max_batches.unwrap_or(usize::MAX));
        let epochs = steps.div_ceil(batches.max(1) as u64) as usize + 1;
        settings.training.epochs = Some(plan.training.epochs.max(epochs));
        let changes = changes(&before, &settings);
        Ok(Some((settings, changes)))
    }

    /// Changes settings at the latest checkpoint.
    fn change_settings(
        &mut self,
        settings: &Settings,
        changes: Vec<Change>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let mut watch = Watch::new(observer, false);
        let ranks = Arc::clone(self.trainer.ranks());
        let read = || latest_checkpoint(&self.folder, &mut watch);
        let Some(checkpoint) = Checkpoint::of_first_rank(&*ranks, read)? else {
            let (path, reason) = (self.folder.path().to_owned(), "the folder contains none".to_owned());
            return Err(TrainError::NoCheckpoint { path, reason });
        };
        let mut plan = match settings.training.from {
            Some(_) => Basis::of_run(&self.folder, &checkpoint)?.plan(settings)?,
            None => Plan::new(settings)?,
        };
        plan.text.corpus.clone_from(&self.trainer.plan().text.corpus);
        let given = self.device_is_given.then(|| self.device.clone());
        self.device = device(given, self.instructions, &plan, &*ranks, &mut watch)?;
        self.asked_to_stop = watch.asked_to_stop;
        self.trainer.change_plan(plan, &self.device, checkpoint, changes)
    }
}

/// The settings, with the corpus named as being in memory if it is.
fn with_corpus_in_memory(mut settings: Settings, is_in_memory: bool) -> Settings {
    if is_in_memory {
        settings.text.corpus = Some(IN_MEMORY.to_owned());
    }
    settings
}

/// Lets the plan say how the corpus in memory was read. A model to continue from must know its tokens.
fn use_in_memory(plan: &mut Plan, corpus: &Corpus, continues: bool) -> Result<()> {
    let options = &mut plan.text.options;
    let vocab = VocabSource::Given(corpus.vocab().clone());
    if continues && (options.tokenizer != *corpus.tokenizer() || options.vocab != vocab) {
        return Err(TrainError::OtherCodec);
    }
    (options.tokenizer, options.vocab) = (corpus.tokenizer().clone(), vocab);
    // The settings may name texts, too: those of a recipe or of another run.
    plan.text.corpus = CorpusChoice::InMemory;
    Ok(())
}

/// The name of the user's own texts in messages, if one of them is stdin.
fn own_title(choice: &CorpusChoice) -> Option<String> {
    let CorpusChoice::Own(paths) = choice else { return None };
    let first = paths.first().filter(|path| is_stream(path))?;
    let first = stream_name(first);
    Some(if paths.len() > 1 { format!("{first} and {} more", paths.len() - 1) } else { first })
}

/// Notifies of what looks unintended in the texts, and of a vocabulary that makes training slow. Fails if it is too small
/// for the normalizer that the plan asks for.
fn notify_of_texts(plan: &Plan, corpus: &Corpus, device: &Device, watch: &mut Watch<'_>) -> Result<()> {
    for (origin, note, others) in corpus.notes() {
        watch.notify(Event::Note(Note::Text { origin, note: &note, others }));
    }
    let vocab_size = corpus.vocab().len();
    if let Some(frequent) = plan.training.normalizer.filter(|&frequent| frequent >= vocab_size) {
        return Err(TrainError::SmallVocabulary { vocab_size, frequent });
    }
    if vocab_size > LARGE_VOCABULARY && plan.model.softmax == SoftmaxPlan::Full {
        let config = plan.model.config(vocab_size);
        let estimate = MemoryEstimate::of(plan, &CorpusSize::from(corpus), device)?;
        let softmax_fraction = softmax_fraction(&config);
        let bytes = estimate.total();
        watch.notify(Event::Note(Note::LargeVocabulary { vocab_size, bytes, softmax_fraction }));
    }
    Ok(())
}

/// The fraction of the multiplications per token that the softmax over the vocabulary takes.
fn softmax_fraction(config: &RnnLmConfig) -> f64 {
    let is_of_layer = |(name, shape): &(String, Vec<usize>)| name.starts_with("rnn.") && shape.len() == 2;
    let matrices = config.parameter_shapes().into_iter().filter(is_of_layer);
    let recurrent: f64 = matrices.map(|(_, shape)| shape[0] as f64 * shape[1] as f64).sum();
    let softmax = config.vocab_size as f64 * config.last_output_size() as f64;
    softmax / (softmax + recurrent)
}

/// Moves the stored texts into the folder of the run, and names them in its plan.
fn store_texts(stored: Stored, folder: &RunFolder, trainer: &mut Trainer) -> Result<()> {
    if stored.is_empty() {
        return Ok(());
    }
    stored.move_to(folder, trainer.text_mut())?;
    Ok(folder.replace_plan(&trainer.plan().to_toml()?)?)
}

/// The given device, or that of the plan.
fn device(
    given: Option<Device>,
    instructions: Option<InstructionSet>,
    plan: &Plan,
    ranks: &dyn Collective,
    watch: &mut Watch<'_>,
) -> Result<Device> {
    if let Some(device) = given {
        return Ok(device);
    }
    let is_forced = instructions.is_some();
    let instructions = instructions.unwrap_or_else(InstructionSet::detect);
    let choice = plan.training.device;
    let choice = if ranks.is_alone() { choice } else { choice.of_rank(local_rank().unwrap_or(ranks.rank())) };
    let (device, missing) = choice.open(plan.training.threads, instructions)?;
    if let Some(error) = missing {
        watch.notify(Event::Note(Note::NoGpu { error: &error, used: &device }));
    }
    let (device, missing) = plan.training.precision.apply(device, Work::Batches, is_forced);
    if let Some(error) = missing {
        watch.notify(Event::Note(Note::Precision { error: &error, used: device.precision() }));
    }
    Ok(device)
}

/// The plan and the model of a run that continues from a model; otherwise the unchanged plan and no model.
fn with_base_model(plan: Plan, settings: &Settings, device: &Device) -> Result<(Plan, Option<RnnLm>)> {
    let Some(from) = &plan.training.from else { return Ok((plan, None)) };
    let parts = ModelParts::open(from, &OpenOptions::default(), device)?;
    let ModelParts { path, model, codec, resets, metadata, .. } = parts;
    if WeightFormat::in_metadata(&metadata) == WeightFormat::Int8 {
        return Err(TrainError::Quantized { path });
    }
    let basis = Basis::of_model(&model, codec);
    // Unless the settings say otherwise, the model is trained on what it was trained on.
    let mut below = Settings::default();
    below.training.reset_state = resets.and_then(|resets| ResetState::from_name(resets.name()));
    Ok((basis.plan(&below.overlaid_with(settings.clone()))?, Some(model)))
}

/// The device that a run was computed on last, as it described itself.
fn last_device(folder: &RunFolder) -> Result<String> {
    let Provenance { device, mut resumptions, .. } = Provenance::read(folder)?;
    Ok(resumptions.pop().map_or(device, |last| last.device))
}

/// The latest undamaged checkpoint.
fn latest_checkpoint(folder: &RunFolder, watch: &mut Watch<'_>) -> Result<Option<Checkpoint>> {
    let Some((checkpoint, damaged)) = Checkpoint::latest(folder)? else {
        watch.notify(Event::Note(Note::NoCheckpoint));
        return Ok(None);
    };
    damaged.iter().for_each(|error| watch.notify(Event::Note(Note::DamagedCheckpoint(error))));
    Ok(Some(checkpoint))
}
