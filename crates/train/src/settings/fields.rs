//! The list of all settings: the one place where a setting is named, described and given a type.

use std::path::PathBuf;

use rondo_data::{
    BatchOrder, BlankLines, Division, Joints, LastBatch, Normalization, Punctuation, TokenizerChoice,
    VocabOrder, VocabSplits,
};
use rondo_kernels::{DeviceChoice, PrecisionChoice};
use rondo_nn::{Cell, Initializer};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Field;
use super::averaging_kind::AveragingKind;
use super::byte_size::ByteSize;
use super::choices::*;
use super::interval::{CheckpointEvery, TimeLimit};
use super::macros::{aliased, impl_serde, is_common, sections};
use super::softmax_kind::{SamplerKind, SoftmaxKind};
use super::table::{ReadValue, Table, WriteValue, read_table, write_table};
use super::value::Value;

sections! {
    /// The text, and how it becomes tokens.
    "Text", ""
    text: TextSettings {
        /// Named corpus: built-in, wikitext-2, ptb, time-machine, sherlock-holmes or tiny-shakespeare
        corpus: String, "NAME", "built-in", common;
        /// Your own text: a folder with train, valid and test files or with texts to split, or one or more text files.
        /// They can be compressed (gzip, Zstandard); - is stdin. Also the location of a named corpus
        data: Vec<PathBuf>, "PATH", "", common;
        /// Your own training text, one or more files, instead of --data
        train: Vec<PathBuf>, "FILE", "";
        /// Your own validation text, with --train
        valid: Vec<PathBuf>, "FILE", "";
        /// Your own test text, with --train
        test: Vec<PathBuf>, "FILE", "";
        /// Field of JSON Lines, or column of CSV or TSV, that contains the text: each record is a line, and line ends
        /// within it become spaces; '' reads files as plain text
        text_field: String, "NAME", "";
        /// Unit of a token. words: split at whitespace, `<eos>` at each line end. moses: words and
        /// punctuation of running text, `<eos>` at each sentence end. chars: Unicode characters. bytes: bytes. Or the file
        /// of a tokenizer for subwords: tokenizer.json (Hugging Face; `rondo tokenizer train` makes one) or a .model of
        /// SentencePiece
        tokenizer: TokenizerChoice, "TOKENS", "words", common;
        /// How to treat lines without words: keep them as a single `<eos>`, or skip them
        blank_lines: BlankLines, "MODE", "keep";
        /// Split running text into sentences (moses); if off, each line is a sentence
        sentences: bool, "BOOL", "true";
        /// How to split hyphens, commas and periods inside words and numbers (moses): keep them, split hyphens as
        /// ` @-@ `, or split all of them as WikiText does
        joints: Joints, "MODE", "keep";
        /// Lowercase the text (words, moses); special tokens such as `<unk>` stay as they are (words)
        lowercase: bool, "BOOL", "false";
        /// Punctuation and symbols at the ends of words (words): keep them, or remove them, and words that consist of
        /// nothing else. Inside a word they stay, as in `don't` and `well-known`
        punctuation: Punctuation, "MODE", "keep";
        /// Token that replaces numbers such as `7`, `1,234.5` and `12:30` (words); with --punctuation remove also `$5`
        /// and `50%`; '' keeps them
        number_token: String, "TOKEN", "";
        /// Unicode normalization of all texts, kept with the model: none, nfc (accents composed with their letters)
        /// or nfkc (in addition, ligatures, full-width letters and other variants replaced)
        normalize: Normalization, "FORM", "none";
        /// Vocabulary of your own: a file with one word per line, instead of the words of the text, in this order; special
        /// tokens such as `<unk>` and `<eos>` that it lacks are added first
        vocab_list: PathBuf, "FILE", "";
        /// Order of token ids: special tokens first and then by decreasing frequency, or by first appearance
        vocab_order: VocabOrder, "ORDER", "frequency";
        /// Texts to build the vocabulary from
        vocab_from: VocabSplits, "TEXTS", "train for words, else all";
        /// Minimum count of a token in the vocabulary; 1 keeps all tokens
        min_frequency: u64, "COUNT", "1";
        /// Maximum vocabulary size, special tokens included; 0 is no limit
        max_vocab_size: usize, "TOKENS", "0";
        /// Memory for counting tokens, such as 2GB: if it is exceeded, the rarest tokens are forgotten, which may then be
        /// missing from the vocabulary, and the text is read twice; 0 is no limit
        count_memory: ByteSize, "SIZE", "0";
        /// Token that replaces out-of-vocabulary tokens; '' makes an out-of-vocabulary token an error
        unknown_token: String, "TOKEN", "<unk> for words, else none";
        /// Token to add to the vocabulary even if the text does not contain it; '' is none
        reserved_tokens: Vec<String>, "TOKEN", "";
        /// Folder for the tokenized text, which is used again and does not need memory; '' keeps it in memory
        ids_dir: PathBuf, "DIR", "the user's cache folder for more than 256 MB of text, else memory";
        /// Number of characters to drop from the end of each text file, such as a license; 0 drops none
        drop_tail_chars: u64, "CHARS", "0";
        /// Replace invalid UTF-8 sequences and NUL bytes by U+FFFD instead of refusing the text. Has no effect with
        /// the tokenizer bytes
        lossy: bool, "BOOL", "false";
        /// Where the text that is split off for validation and testing comes from: the end of the text, or lines drawn
        /// at random, the same for each seed
        split: Division, "PLACE", "end; random-lines with --shuffle-lines";
        /// Fraction of the text to split off for validation if there is no validation text; 0 is off
        valid_fraction: f64, "FRACTION", "0.05";
        /// Fraction of the text to split off for testing if there is no test text; 0 is off
        test_fraction: f64, "FRACTION", "0.05";
    }

    /// The recurrent language model.
    "Model", ""
    model: ModelSettings {
        /// Named configuration to start from: standard_lstm_lm_200, standard_lstm_lm_650,
        /// standard_lstm_lm_1500, awd_lstm_lm_600, awd_lstm_lm_1150 or keyboard_cifg_lm_670
        preset: String, "NAME", "";
        /// Input representation of a token: a learned embedding or a one-hot vector
        input: ModelInput, "INPUT", "embedding";
        /// Recurrent cell. cifg: an LSTM with coupled input and forget gates. mogrifier: an LSTM whose input and state
        /// gate each other before each step
        cell: Cell, "CELL", "lstm", common;
        /// Embedding size
        embedding_size: usize, "SIZE", "the hidden size, or that of its projection", common;
        /// Hidden size of each recurrent layer
        hidden_size: usize, "SIZE", "200", common;
        /// Number of recurrent layers, at most 1024
        layers: usize, "LAYERS", "2", common;
        /// Hidden size of each layer, first layer first, where the sizes differ; replaces --hidden-size and
        /// --layers
        hidden_sizes: Vec<usize>, "SIZE", "";
        /// Size that the output of each recurrent layer is projected to, which is then the size of its hidden state (LSTMP),
        /// for lstm and cifg; 0 is off
        projection_size: usize, "SIZE", "0";
        /// Cell clipping: limit of the elements of the cell state after each step, for lstm, cifg and mogrifier; 0 is off
        cell_clip: f32, "LIMIT", "0";
        /// Number of rounds in which input and state gate each other before each step, for mogrifier
        mogrifier_rounds: usize, "ROUNDS", "5";
        /// Rank of the matrices of these rounds, each of which is then the product of two, for mogrifier; 0 is full rank
        mogrifier_rank: usize, "RANK", "0";
        /// Weight tying: the decoder shares the embedding's weight
        tied: bool, "BOOL", "true where the sizes agree", common;
        /// Softmax over the vocabulary: over all tokens (full), or, which is faster for large vocabularies, in training
        /// over the targets and a sample (sampled:DRAWS, such as sampled:4096, drawn in each step), or in the model in two
        /// steps, with clusters of rarer tokens that begin at these frequency ranks (adaptive:CUTOFFS, such as
        /// adaptive:2000,10000; without --tied). Evaluations are always exact
        softmax: SoftmaxKind, "SOFTMAX", "full";
        /// Distribution of the tokens that are drawn, for sampled: a power of their frequency (unigram:POWER), or
        /// log-uniform over frequency ranks (log-uniform)
        sampler: SamplerKind, "SAMPLER", "unigram:0.75";
        /// Bias vectors per layer: 1, or 2 (input and recurrent) as in PyTorch and MXNet
        biases: usize, "COUNT", "2";
        /// Dropout probability on the embedding, between layers and on the last layer's output; 0 is off
        dropout: f32, "P", "0.2", common;
        /// Dropout probability on the embedding; 0 is off
        dropout_input: f32, "P", "as --dropout";
        /// Dropout probability between recurrent layers; 0 is off
        dropout_between: f32, "P", "as --dropout";
        /// Dropout probability on the last layer's output; 0 is off
        dropout_output: f32, "P", "as --dropout";
        /// Embedding dropout: probability of zeroing all occurrences of a word in a batch; 0 is off
        dropout_words: f32, "P", "0";
        /// Weight-drop (DropConnect) on the recurrent weights: probability of zeroing an element for a whole
        /// batch; 0 is off
        dropout_weights: f32, "P", "0";
        /// Use locked (variational) dropout here: one mask for all time steps of a batch; '' is nowhere
        locked_dropout: Vec<Site>, "PLACE", "";
    }

    /// How parameters are initialized: zeros, xavier, uniform:LIMIT or normal:DEVIATION.
    "Initialization", "init-"
    init: InitSettings {
        /// Initialization of the embedding (and of a tied decoder), or of the input weight for one-hot input:
        /// zeros, xavier, uniform:LIMIT or normal:DEVIATION
        embedding: Initializer, "INIT", "uniform:0.1";
        /// Initialization of the weights of the recurrent layers
        recurrent: Initializer, "INIT", "xavier";
        /// Initialization of the decoder's weight
        decoder: Initializer, "INIT", "xavier";
        /// Initialization of all biases
        bias: Initializer, "INIT", "zeros";
    }

    /// Batches, epochs, checkpoints and devices.
    "Training", ""
    training: TrainingSettings {
        /// Fine-tune this model, a file or a run folder; its architecture, tokenizer and vocabulary are kept
        from: PathBuf, "PATH", "", common;
        /// Add new words of the training text to the vocabulary of --from; existing words keep their weights
        extend_vocab: bool, "BOOL", "false";
        /// Number of passes over the training text
        epochs: usize, "EPOCHS", "10", common;
        /// Early stopping: end the run after this many evaluations in a row without improvement of the validation
        /// loss; 0 is off
        early_stopping: usize, "EVALUATIONS", "0";
        /// Batch size: number of parallel sequences that the text is split into
        batch_size: usize, "SEQUENCES", "20", common;
        /// Gradient accumulation: compute each batch in this many parts of its sequences, one after another, and add up their
        /// gradients. The results are those of the whole batch, up to rounding, with the memory of a part; 1 is off
        accumulate: usize, "PARTS", "1";
        /// Truncated BPTT length: time steps per batch
        bptt: usize, "STEPS", "35", common;
        /// How to treat the last batch of an epoch if it is shorter: keep or discard it
        last_batch alias "last_chunk": LastBatch, "MODE", "keep";
        /// Vary the BPTT length at random around --bptt from batch to batch, and scale the learning rate with
        /// it (AWD-LSTM)
        variable_bptt: bool, "BOOL", "false";
        /// Order of the batches in an epoch
        batch_order alias "chunk_order": BatchOrder, "ORDER", "sequential";
        /// Maximum number of batches per epoch; 0 is no limit
        max_batches: usize, "BATCHES", "0";
        /// Maximum number of training steps (batches) of the run, which can end it within an epoch; 0 is no limit
        max_steps: u64, "STEPS", "0";
        /// Time of the whole run, evaluations included: 30s, 10m or 2h. The number of steps follows from the speed of the
        /// machine, which is measured first; without a recipe, so do the size of the model and other defaults; 0 is no limit
        time: TimeLimit, "TIME", "0", common;
        /// Fit an approximate normalizer to the best model at the end of the run, for `--approximate`: it sums this many of
        /// the most frequent tokens exactly; 0 is off
        normalizer: usize, "TOKENS", "0";
        /// Where to reset the state to zero: never, before each line or paragraph (independent texts, one per line, or
        /// separated by blank lines), or before each batch
        reset_state: ResetState, "PLACE", "never";
        /// Old form of --reset-state: true is never, false is batch
        carry_state: bool, "BOOL", "";
        /// Read the lines (or paragraphs) of --reset-state in a new random order in each epoch
        shuffle_lines: bool, "BOOL", "false";
        /// Time or steps between checkpoints within an epoch: 30s, 10m, 2h or 500steps; 0 saves at the end of
        /// epochs only
        checkpoint_every: CheckpointEvery, "INTERVAL", "10m";
        /// What to do when a loss (training, validation or test) or a gradient is NaN or infinite: stop the run, skip
        /// the step or evaluation, or roll back to the last checkpoint and lower the learning rate
        on_nan: OnNan, "ACTION", "stop";
        /// Maximum number of rollbacks before the run stops, for rollback
        max_rollbacks: usize, "COUNT", "3";
        /// Factor to multiply the learning rate by at each rollback, for rollback
        rollback_factor: f64, "FACTOR", "0.5";
        /// Batches between progress reports and metrics records; 0 reports at the end of epochs only
        log_every: usize, "BATCHES", "200";
        /// Decay of the moving-average loss; 0 shows the loss of the latest batch
        moving_loss_decay: f64, "DECAY", "0.99";
        /// Correct the bias of the moving-average loss, as Adam does; if off, it starts from the first loss, which
        /// keeps a large weight for 1 / (1 - decay) batches
        moving_loss_correction: bool, "BOOL", "true";
        /// Random seed
        seed: u64, "SEED", "1", common;
        /// Device to compute on: cpu, gpu, gpu:N (see `rondo devices`), or auto, which is a GPU if there is one. The last
        /// digits of results depend on it. The environment variable RONDO_DEVICE sets another default
        device: DeviceChoice, "DEVICE", "cpu", common;
        /// Number of threads, at most 1024. The last digits of results depend on it
        threads: usize, "THREADS", "one per core", common;
        /// Precision of matrix multiplications: f32; bf16, where it is faster, and f32 elsewhere; bf16x3, nearly as exact as
        /// f32, on processors with AMX; or auto, the fastest
        precision: PrecisionChoice, "PRECISION", "f32";
    }

    /// Loss, optimizer, clipping and learning-rate schedule.
    "Optimization", ""
    optimization: OptimizationSettings {
        /// Optimizer
        optimizer: OptimizerKind, "OPTIMIZER", "sgd", common;
        /// Initial learning rate
        learning_rate: f64, "RATE", "0.001; for sgd 20 (lstm, mogrifier, cifg), 10 (gru), 2 (rnn_tanh) or 1 (rnn_relu)", common;
        /// Momentum, for sgd; 0 is off
        momentum: f64, "MOMENTUM", "0";
        /// Weight decay (L2 penalty; decoupled for adamw); 0 is off
        weight_decay: f64, "DECAY", "0";
        /// Decay rate of the first moment, for adam and adamw
        beta1: f64, "BETA", "0.9";
        /// Decay rate of the second moment, for adam and adamw
        beta2: f64, "BETA", "0.999";
        /// Epsilon in Adam's denominator, for adam and adamw
        epsilon: f64, "EPSILON", "0.00000001";
        /// Reduction of the loss over the tokens of a batch for the gradient; reported losses are always means
        loss_reduction: LossReduction, "REDUCTION", "mean";
        /// What to divide the gradient by after clipping: one (nothing) or the batch size
        step_divisor: StepDivisor, "DIVISOR", "one";
        /// Gradient clipping: maximum global gradient norm, in --clip-norm-unit; 0 is off
        clip_norm: f64, "NORM", "0.25", common;
        /// Unit of --clip-norm: one, the batch size, or the tokens of a batch
        clip_norm_unit: ClipUnit, "UNIT", "one";
        /// Gradient clipping by value: maximum absolute value of each element, before --clip-norm; 0 is off
        clip_value: f64, "VALUE", "0";
        /// Activation regularization (AR, alpha): L2 penalty on the last layer's output after dropout; 0 is off
        activation_penalty: f32, "ALPHA", "0";
        /// Temporal activation regularization (TAR, beta): L2 penalty on the change of the last layer's output
        /// from step to step; 0 is off
        temporal_penalty: f32, "BETA", "0";
        /// Weights to evaluate and save: the current ones (off), their average since the validation loss stopped
        /// improving (nt-asgd), since a given epoch (asgd) or over the last part of the run (tail:FRACTION, such as
        /// tail:0.25), or their exponential moving average (ema:DECAY, such as ema:0.999)
        averaging: AveragingKind, "METHOD", "off; tail:0.4 with --time";
        /// Epochs without improvement before averaging starts, for nt-asgd
        averaging_patience: usize, "EPOCHS", "5";
        /// Epochs before averaging starts, for asgd
        averaging_after: usize, "EPOCHS", "0";
        /// Learning-rate schedule: lower it when the validation loss stops improving (plateau), every few epochs
        /// (step), never (constant), or with every step until the end of the run (linear, cosine)
        schedule: ScheduleKind, "SCHEDULE", "plateau; constant with --time";
        /// Factor to multiply the learning rate by
        decay_factor: f64, "FACTOR", "0.25 for plateau, 0.5 for step";
        /// Epochs between reductions of the learning rate, for step
        decay_every: usize, "EPOCHS", "10";
        /// Epochs without improvement before the learning rate is reduced, for plateau
        patience: usize, "EPOCHS", "1";
        /// Reload the best weights when the learning rate is reduced, for plateau
        reload_best: bool, "BOOL", "false";
        /// End the run instead of training with a learning rate below this; 0 is off. For linear and cosine, the
        /// learning rate at the end of the run
        min_learning_rate: f64, "RATE", "0";
        /// Warm-up, for all schedules: number of steps at the start of the run over which the learning rate increases
        /// linearly; 0 is off
        warmup: usize, "STEPS", "0";
    }

    /// How validation and test texts are evaluated.
    "Evaluation", "evaluation-"
    evaluation: EvaluationSettings {
        /// Epochs between evaluations on the validation text; the last epoch is always evaluated
        every: usize, "EPOCHS", "1; only the last with --time";
        /// With averaging, also evaluate the current weights on the validation text, for comparison
        unaveraged: bool, "BOOL", "true; false with --time";
        /// Batch size of evaluations
        batch_size: usize, "SEQUENCES", "as --batch-size";
        /// Time steps per batch in evaluations; affects only speed and memory
        bptt: usize, "STEPS", "as --bptt";
    }

    /// Sample text to generate after each epoch.
    "Samples", "sample-"
    sample: SampleSettings {
        /// Prompt of a sample to generate after each epoch; can be repeated; '' is no sample
        prefix: Vec<String>, "TEXT", "";
        /// Number of tokens to generate after the prompt
        length: usize, "TOKENS", "50";
        /// Sampling temperature; lower is closer to greedy
        temperature: f64, "T", "1";
    }
}
