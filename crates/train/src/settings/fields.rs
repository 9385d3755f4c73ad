//! The list of all settings: the one place where a setting is named, described and given a type.

use std::marker::PhantomData;
use std::path::PathBuf;

use rondo_data::{BatchOrder, BlankLines, Joints, LastBatch, TokenizerKind, VocabOrder, VocabSplits};
use rondo_kernels::Precision;
use rondo_nn::{Cell, Initializer};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Field;
use super::choices::*;
use super::interval::CheckpointEvery;
use super::macros::{aliased, impl_serde, is_common, sections};
use super::table::{ReadValue, Table, WriteValue, read_table, write_table};
use super::value::Value;

sections! {
    /// What is read, and how it becomes tokens.
    "Text", ""
    text: TextSettings {
        /// Named corpus: built-in, wikitext-2, ptb, time-machine, sherlock-holmes or tiny-shakespeare
        corpus: String, "NAME", "built-in";
        /// Folder with train, valid and test text, or text files: where the named corpus is, or what to
        /// read instead
        data: Vec<PathBuf>, "PATH", "";
        /// What a token is: words between white space, with `<eos>` for each line end; for running text, words and
        /// punctuation as Moses parts them, with `<eos>` for each sentence end; Unicode characters; or bytes
        tokenizer: TokenizerKind, "TOKENS", "words";
        /// Whether a line without words is an `<eos>` or nothing
        blank_lines: BlankLines, "WHAT", "keep";
        /// Split running text into sentences, whatever its lines; if not, each line is one
        sentences: bool, "BOOL", "true";
        /// What becomes of dashes, commas and points inside the words and numbers of running text: kept; dashes
        /// parted as ` @-@ `; or all parted, as in WikiText
        joints: Joints, "WHAT", "keep";
        /// Make all letters of running text small
        lowercase: bool, "BOOL", "false";
        /// Order of the ids: special tokens and then by falling frequency, or as the text has them first
        vocab_order: VocabOrder, "ORDER", "frequency";
        /// Texts that the vocabulary is made from
        vocab_from: VocabSplits, "TEXTS", "train for words, else all";
        /// Leave tokens out of the vocabulary that occur fewer times than this; 1 leaves out none
        min_frequency: u64, "TIMES", "1";
        /// Most tokens in the vocabulary, special ones included; 0 is no limit
        max_vocab_size: usize, "TOKENS", "0";
        /// Token that stands for all outside the vocabulary; '' is none, which makes them an error
        unknown_token: String, "TOKEN", "<unk> for words, else none";
        /// Token that the vocabulary has whether or not it occurs, beside the tokenizer's own; '' is none
        reserved_tokens: Vec<String>, "TOKEN", "";
        /// Characters to leave out at the end of the text, such as a license; 0 leaves out none
        drop_tail_chars: u64, "CHARS", "0";
        /// Take invalid UTF-8 and NUL bytes for U+FFFD, a sign for each sequence, instead of refusing the text; bytes
        /// are what they are either way
        lossy: bool, "BOOL", "false";
        /// Part of a text without validation text that is split off for it, from the end; 0 is none
        valid_fraction: f64, "FRACTION", "0.05";
        /// Part of a text without test text that is split off for it, from the end; 0 is none
        test_fraction: f64, "FRACTION", "0.05";
    }

    /// The recurrent language model.
    "Model", ""
    model: ModelSettings {
        /// Named model that the other settings of the model change: standard_lstm_lm_200,
        /// standard_lstm_lm_650, standard_lstm_lm_1500, awd_lstm_lm_600 or awd_lstm_lm_1150
        preset: String, "NAME", "";
        /// How a token enters the network: as a learnt vector, or as zeros with a single one
        input: ModelInput, "INPUT", "embedding";
        /// Recurrent cell of every layer
        cell: Cell, "CELL", "lstm";
        /// Width of the embedding
        embedding_size: usize, "WIDTH", "the hidden size";
        /// Width of each recurrent layer
        hidden_size: usize, "WIDTH", "200";
        /// Number of recurrent layers
        layers: usize, "LAYERS", "2";
        /// Widths of the recurrent layers one by one, from the input on, where they differ
        hidden_sizes: Vec<usize>, "WIDTH", "";
        /// Use the embedding as the decoder's weight
        tied: bool, "BOOL", "true where the widths are equal";
        /// Bias vectors of each layer: 1, or 2 as in PyTorch and MXNet
        biases: usize, "COUNT", "2";
        /// Probability of dropping a unit, at each of the three places below; 0 is off
        dropout: f32, "P", "0.2";
        /// Probability of dropping a unit of the embedding; 0 is off
        dropout_input: f32, "P", "as --dropout";
        /// Probability of dropping a unit between two layers; 0 is off
        dropout_between: f32, "P", "as --dropout";
        /// Probability of dropping a unit of the last layer; 0 is off
        dropout_output: f32, "P", "as --dropout";
        /// Probability of dropping a word (embedding dropout): its row of the embedding is 0 wherever it occurs
        /// in a batch; 0 is off
        dropout_words: f32, "P", "0";
        /// Probability of dropping a number of the recurrent matrices for a batch (weight-drop); 0 is off
        dropout_weights: f32, "P", "0";
        /// Place where one dropout mask serves all steps of a batch; '' is none
        locked_dropout: Vec<Site>, "PLACE", "";
    }

    /// How the parameters begin: zeros, xavier, uniform:LIMIT or normal:DEVIATION.
    "Initialization", "init-"
    init: InitSettings {
        /// Distribution of the embedding (and a tied decoder) at the start, or of a one-hot input's weight
        embedding: Initializer, "HOW", "uniform:0.1";
        /// Distribution of the recurrent layers' matrices at the start
        recurrent: Initializer, "HOW", "xavier";
        /// Distribution of the decoder's matrix at the start
        decoder: Initializer, "HOW", "xavier";
        /// Distribution of all biases at the start
        bias: Initializer, "HOW", "zeros";
    }

    /// How the text is walked through, and how often.
    "Training", ""
    training: TrainingSettings {
        /// Model to go on from, a file or the folder of a run: its shape, tokenizer and vocabulary are kept
        from: PathBuf, "PATH", "";
        /// Add the words of the training text to the vocabulary of --from; the old ones keep what was learnt
        extend_vocab: bool, "BOOL", "false";
        /// Times to go through the training text
        epochs: usize, "EPOCHS", "10";
        /// Columns that the text is cut into and that are read side by side
        batch_size: usize, "ROWS", "20";
        /// Time steps per batch, through which gradients flow back
        bptt: usize, "STEPS", "35";
        /// What becomes of a last batch that is not full
        last_batch alias "last_chunk": LastBatch, "WHAT", "keep";
        /// Draw the length of each batch at random around --bptt, anew in each epoch, and scale the learning
        /// rate with it
        variable_bptt: bool, "BOOL", "false";
        /// Order of the batches in an epoch
        batch_order alias "chunk_order": BatchOrder, "ORDER", "sequential";
        /// Most batches of an epoch; 0 is no limit
        max_batches: usize, "BATCHES", "0";
        /// Begin a batch with the state that the one before it ended with, instead of zeros
        carry_state: bool, "BOOL", "true";
        /// How often to save all that is needed to go on with the run after an interruption, beside the ends of
        /// epochs: 30s, 10m, 2h or 500steps; 0 saves at the end of epochs only
        checkpoint_every: CheckpointEvery, "INTERVAL", "10m";
        /// What to do when a loss or gradient is infinite or none at all: stop, skip the step, or go back to the
        /// last checkpoint with a lower learning rate
        on_nan: OnNan, "WHAT", "stop";
        /// How often to go back, for rollback, before the run stops after all
        max_rollbacks: usize, "TIMES", "3";
        /// What the learning rate is multiplied by each time, for rollback
        rollback_factor: f64, "FACTOR", "0.5";
        /// Batches from one report of progress and metrics to the next; 0 reports at the end of epochs only
        log_every: usize, "BATCHES", "200";
        /// How much of the moving loss stays with each new batch; 0 follows the latest
        moving_loss_decay: f64, "SHARE", "0.99";
        /// Seed of everything random
        seed: u64, "SEED", "1";
        /// Threads to compute with; results depend on their number in the last digits
        threads: usize, "THREADS", "one for each core";
        /// What the factors of matrix products are rounded to; bf16 is faster where the processor multiplies it, and
        /// f32 is used where it does not
        precision: Precision, "PRECISION", "f32";
    }

    /// How losses become gradients and gradients become steps.
    "Optimization", ""
    optimization: OptimizationSettings {
        /// Rule that turns gradients into steps
        optimizer: OptimizerKind, "RULE", "sgd";
        /// Size of the steps at the start
        learning_rate: f64, "RATE", "20 for sgd, else 0.001";
        /// Share of the last step that is added to the next, for sgd; 0 is off
        momentum: f64, "SHARE", "0";
        /// Weight decay (L2 penalty); 0 is off
        weight_decay: f64, "RATE", "0";
        /// Decay of the average of gradients, for adam and adamw
        beta1: f64, "DECAY", "0.9";
        /// Decay of the average of squared gradients, for adam and adamw
        beta2: f64, "DECAY", "0.999";
        /// Number that keeps adam and adamw from dividing by 0
        epsilon: f64, "NUMBER", "0.00000001";
        /// Loss that is differentiated: mean or sum over the tokens of a batch (losses are printed as means)
        loss_reduction: LossReduction, "WHICH", "mean";
        /// What the gradient is divided by after clipping: nothing or the batch rows
        step_divisor: StepDivisor, "WHAT", "one";
        /// Largest norm of the gradient of all parameters, in --clip-norm-unit; 0 is off
        clip_norm: f64, "NORM", "0.25";
        /// Unit of --clip-norm: as it is, times the batch rows, or times the tokens of a batch
        clip_norm_unit: ClipUnit, "UNIT", "one";
        /// Largest absolute value of each element of the gradient, applied before --clip-norm; 0 is off
        clip_value: f64, "VALUE", "0";
        /// Activation regularization (alpha): penalty on the mean square of the last layer's dropped output; 0
        /// is off
        activation_penalty: f32, "ALPHA", "0";
        /// Temporal activation regularization (beta): penalty on the mean square of the last layer's change
        /// from step to step; 0 is off
        temporal_penalty: f32, "BETA", "0";
        /// Weights that are evaluated and saved: those of the latest step, their average since the validation
        /// loss stopped getting better (NT-ASGD), or since a given epoch
        averaging: AveragingKind, "WHEN", "off";
        /// Epochs in a row that are no better than the best before averaging begins, for nt-asgd
        averaging_patience: usize, "EPOCHS", "5";
        /// Epochs before averaging begins, for asgd
        averaging_after: usize, "EPOCHS", "0";
        /// When the learning rate is lowered: if the validation loss gets no better, every so many epochs,
        /// or never
        schedule: ScheduleKind, "WHEN", "plateau";
        /// What the learning rate is multiplied by to lower it
        decay_factor: f64, "FACTOR", "0.25 for plateau, 0.5 for step";
        /// Epochs from one lowering to the next, for step
        decay_every: usize, "EPOCHS", "10";
        /// Epochs in a row that are no better than the best before the rate is lowered, for plateau
        patience: usize, "EPOCHS", "1";
        /// Go on from the best weights when the rate is lowered, for plateau
        reload_best: bool, "BOOL", "false";
    }

    /// How validation and test text are evaluated.
    "Evaluation", "evaluation-"
    evaluation: EvaluationSettings {
        /// Epochs from one evaluation on validation text to the next; the last epoch always has one
        every: usize, "EPOCHS", "1";
        /// Columns that an evaluation text is cut into
        batch_size: usize, "ROWS", "as --batch-size";
        /// Time steps per batch of an evaluation; changes nothing but speed and memory
        bptt: usize, "STEPS", "as --bptt";
    }

    /// Text that is generated after each epoch, to look at.
    "Samples", "sample-"
    sample: SampleSettings {
        /// Text that a sample after each epoch begins with, one sample for each; '' is no samples
        prefix: Vec<String>, "TEXT", "";
        /// Tokens of a sample after its prefix
        length: usize, "TOKENS", "50";
        /// Temperature of the samples: 1 draws as the model says, lower is more cautious
        temperature: f64, "T", "1";
    }
}
