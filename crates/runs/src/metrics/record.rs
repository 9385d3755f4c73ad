//! The measurements recorded at one point of a run.

use serde::{Deserialize, Deserializer, Serialize};

/// What a record is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    /// The evaluation of the model that a run continues from, before its first step.
    Start,
    /// An interval: the batches since the previous record of this kind, or since the start of the epoch.
    #[default]
    Batch,
    /// A complete epoch and its evaluation.
    Epoch,
    /// A kind of a later version.
    #[serde(other)]
    Other,
}

impl RecordKind {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            RecordKind::Start => "start",
            RecordKind::Batch => "batch",
            RecordKind::Epoch => "epoch",
            RecordKind::Other => "other",
        }
    }
}

/// The definition of a measurement. It has one meaning, in every record that contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Its key in JSON.
    pub key: &'static str,
    /// Its unit; empty for a number without one.
    pub unit: &'static str,
    /// The kinds of records that can contain it.
    pub kinds: &'static [RecordKind],
    /// Its tag in TensorBoard.
    pub tag: &'static str,
    /// What it measures.
    pub meaning: &'static str,
}

/// Defines the record from the list of its measurements, so that metrics files, event files and the documentation
/// have the same ones.
macro_rules! record {
    ($( $(#[doc = $doc:literal])+ $key:ident: $unit:literal, [$($kind:ident),+], $tag:literal; )+) => {
        /// The measurements at one point of a run: after some batches, at the end of an epoch, or before the first
        /// step.
        ///
        /// `docs/reference/metrics.md` has the unit and the meaning of each key, and the section "Metrics" of
        /// `docs/runs.md` what version 0.1.0 wrote.
        ///
        /// In JSON, a measurement that was not made is left out. A value that is not finite, which JSON cannot
        /// represent, is written as `null` and read as NaN. Other keys are ignored when reading. Records of version
        /// 0.1.0, which have no `kind`, are read too.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(from = "Line")]
        pub struct Record {
            /// What the record is about.
            pub kind: RecordKind,
            /// The epoch, counted from 1; 0 before the first step.
            pub epoch: usize,
            /// The number of optimizer steps since the start of the run.
            pub step: u64,
            /// The number of training tokens since the start of the run; `None` in records of version 0.1.0.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub tokens: Option<u64>,
            $(
                $(#[doc = $doc])+
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $key: Option<f64>,
            )+
        }

        impl Record {
            /// The definitions of the measurements, in the order of their keys in JSON.
            pub const MEASUREMENTS: &'static [Measurement] = &[$(
                Measurement {
                    key: stringify!($key),
                    unit: $unit,
                    kinds: &[$(RecordKind::$kind),+],
                    tag: $tag,
                    meaning: concat!($($doc),+),
                },
            )+];

            /// The measurements that were made, with their tags in TensorBoard.
            pub fn measurements(&self) -> impl Iterator<Item = (&'static str, f64)> {
                let values = [$( self.$key, )+];
                let tags = Self::MEASUREMENTS.iter().map(|measurement| measurement.tag);
                tags.zip(values).filter_map(|(tag, value)| Some((tag, value?)))
            }

            /// The record without the measurements of time and speed, which differ from run to run.
            pub fn without_times(&self) -> Record {
                let mut record = self.clone();
                $( if matches!($unit, "s" | "tokens/s") { record.$key = None; } )+
                record
            }
        }

        /// A line of a metrics file: a record, or one of version 0.1.0.
        #[derive(Deserialize)]
        struct Line {
            kind: Option<RecordKind>,
            epoch: usize,
            step: u64,
            tokens: Option<u64>,
            $( #[serde(default, deserialize_with = "null_as_nan")] $key: Option<f64>, )+
            #[serde(flatten)]
            old: Old,
        }

        impl From<Line> for Record {
            fn from(line: Line) -> Record {
                let Line { kind, epoch, step, tokens, $( $key, )+ old } = line;
                let record = |kind| Record { kind, epoch, step, tokens, $( $key, )+ };
                match kind {
                    Some(kind) => record(kind),
                    None => old.added_to(record(RecordKind::default())),
                }
            }
        }
    };
}

record! {
    /// Mean loss over the batches of the interval; with a sampled softmax, this and the other training losses are those
    /// among the candidates
    interval_loss: "nats per token", [Batch], "loss/train_interval";
    /// exp(`interval_loss`); missing with a sampled softmax
    interval_perplexity: "", [Batch], "perplexity/train_interval";
    /// Mean loss over the batches of the epoch so far
    epoch_loss_so_far: "nats per token", [Batch], "loss/train_epoch_so_far";
    /// Exponential moving average of the losses of all batches since the start of the run, with decay
    /// `moving_loss_decay`. Its bias is corrected unless `moving_loss_correction` is off
    moving_loss: "nats per token", [Batch], "loss/train_moving_average";
    /// Mean loss over all batches of the epoch, while the weights changed and with dropout
    epoch_loss: "nats per token", [Epoch], "loss/train_epoch";
    /// exp(`epoch_loss`); missing with a sampled softmax
    epoch_perplexity: "", [Epoch], "perplexity/train_epoch";
    /// Mean loss on the validation text, of the averaged weights if there are any
    valid_loss: "nats per token", [Start, Batch, Epoch], "loss/valid";
    /// Mean loss on the validation text with the latest weights, if `valid_loss` is that of averaged ones
    unaveraged_valid_loss: "nats per token", [Epoch], "loss/valid_unaveraged";
    /// Mean loss on the test text, evaluated only if the model is the best so far
    test_loss: "nats per token", [Start, Batch, Epoch], "loss/test";
    /// exp(`valid_loss`)
    valid_perplexity: "", [Start, Batch, Epoch], "perplexity/valid";
    /// exp(`test_loss`)
    test_perplexity: "", [Start, Batch, Epoch], "perplexity/test";
    /// Learning rate of the last step, as the schedule gives it
    learning_rate: "", [Batch, Epoch], "training/learning_rate";
    /// Learning rate of the last step, which `variable_bptt` scales by the length of the batch; left out without it
    step_learning_rate: "", [Batch], "training/step_learning_rate";
    /// Global gradient norm before clipping, at the last step of the interval
    unclipped_gradient_norm_last: "", [Batch], "gradient_norm/unclipped_last";
    /// Global gradient norm before clipping, mean over the steps of the interval
    unclipped_gradient_norm_mean: "", [Batch], "gradient_norm/unclipped_mean";
    /// Steps skipped because a value was NaN or infinite, since the start of the run; left out if there are none
    skipped_steps: "steps", [Batch, Epoch], "training/skipped_steps";
    /// Rollbacks to a checkpoint because a value was NaN or infinite, since the start of the run; left out if there
    /// are none
    rollbacks: "", [Batch, Epoch], "training/rollbacks";
    /// Tokens of the interval, divided by the time of its training steps
    interval_training_tokens_per_s: "tokens/s", [Batch], "speed/train_interval";
    /// Tokens of the epoch, divided by the time of its training steps
    epoch_training_tokens_per_s: "tokens/s", [Epoch], "speed/train_epoch";
    /// Tokens of the epoch, divided by the time from its first batch to the end of its evaluation
    epoch_tokens_per_s: "tokens/s", [Epoch], "speed/train_epoch_with_evaluation";
    /// Time of all training steps since the start of the run, those included that were repeated after a rollback
    training_s: "s", [Start, Batch, Epoch], "time/training_s";
    /// Time since the start of the run, without interruptions: `training_s` and everything else
    elapsed_s: "s", [Start, Batch, Epoch], "time/elapsed_s";
}

impl Record {
    /// Whether the record was written by version 0.1.0, which recorded fewer measurements.
    pub fn is_of_0_1_0(&self) -> bool {
        self.tokens.is_none()
    }
}

/// The keys of version 0.1.0 whose meaning depended on what the record was about.
#[derive(Deserialize)]
struct Old {
    #[serde(default, deserialize_with = "null_as_nan")]
    train_loss: Option<f64>,
    #[serde(default, deserialize_with = "null_as_nan")]
    train_perplexity: Option<f64>,
    #[serde(default, deserialize_with = "null_as_nan")]
    gradient_norm: Option<f64>,
    #[serde(default, deserialize_with = "null_as_nan")]
    tokens_per_s: Option<f64>,
}

impl Old {
    /// The record of version 0.1.0 under the present names.
    fn added_to(self, record: Record) -> Record {
        let Old { train_loss, train_perplexity, gradient_norm, tokens_per_s } = self;
        if gradient_norm.is_some() || record.moving_loss.is_some() {
            Record {
                kind: RecordKind::Batch,
                interval_loss: train_loss,
                interval_perplexity: train_perplexity,
                unclipped_gradient_norm_last: gradient_norm,
                interval_training_tokens_per_s: tokens_per_s,
                ..record
            }
        } else {
            // The evaluation before the first step was recorded with epoch 0.
            let kind = if record.epoch == 0 { RecordKind::Start } else { RecordKind::Epoch };
            Record {
                kind,
                epoch_loss: train_loss,
                epoch_perplexity: train_perplexity,
                epoch_training_tokens_per_s: tokens_per_s,
                ..record
            }
        }
    }
}

/// Parses a number; `null` stands for a value that JSON cannot represent.
fn null_as_nan<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Ok(Some(Option::deserialize(from)?.unwrap_or(f64::NAN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Record {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_was_measured_is_written_and_what_is_not_a_number_is_null() {
        let record = Record {
            kind: RecordKind::Epoch,
            epoch: 2,
            step: 200,
            tokens: Some(7000),
            epoch_loss: Some(5.25),
            valid_loss: Some(f64::NAN),
            valid_perplexity: Some(f64::INFINITY),
            ..Record::default()
        };
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(
            json,
            r#"{"kind":"epoch","epoch":2,"step":200,"tokens":7000,"epoch_loss":5.25,"valid_loss":null,"valid_perplexity":null}"#
        );
        let read = read(&json);
        assert_eq!((read.kind, read.tokens), (RecordKind::Epoch, Some(7000)));
        assert_eq!((read.epoch_loss, read.test_loss), (Some(5.25), None));
        assert!(read.valid_perplexity.is_some_and(f64::is_nan));
        assert!(!read.is_of_0_1_0());
    }

    #[test]
    fn keys_and_kinds_of_a_later_version_are_no_error() {
        let record = read(
            r#"{"kind":"batch","epoch":1,"step":1,"tokens":2,"interval_loss":3.0,"new":"x","train_loss":9}"#,
        );
        let expected =
            Record { epoch: 1, step: 1, tokens: Some(2), interval_loss: Some(3.0), ..Record::default() };
        assert_eq!(record, expected);
        assert_eq!(read(r#"{"kind":"trial","epoch":1,"step":1}"#).kind, RecordKind::Other);
    }

    #[test]
    fn records_of_0_1_0_have_the_present_names() {
        let batch = read(
            r#"{"epoch":1,"step":10,"train_loss":2.5,"moving_loss":2.9,"train_perplexity":12.2,
                "learning_rate":0.01,"gradient_norm":0.25,"tokens_per_s":900.0,"elapsed_s":0.5}"#,
        );
        let expected = Record {
            kind: RecordKind::Batch,
            epoch: 1,
            step: 10,
            interval_loss: Some(2.5),
            interval_perplexity: Some(12.2),
            moving_loss: Some(2.9),
            learning_rate: Some(0.01),
            unclipped_gradient_norm_last: Some(0.25),
            interval_training_tokens_per_s: Some(900.0),
            elapsed_s: Some(0.5),
            ..Record::default()
        };
        assert_eq!(batch, expected);
        assert!(batch.is_of_0_1_0());

        let epoch = read(
            r#"{"epoch":1,"step":25,"train_loss":2.75,"valid_loss":null,"train_perplexity":15.6,
                "learning_rate":0.01,"tokens_per_s":800.0,"elapsed_s":0.75}"#,
        );
        assert_eq!((epoch.kind, epoch.epoch_loss), (RecordKind::Epoch, Some(2.75)));
        assert_eq!((epoch.epoch_perplexity, epoch.epoch_training_tokens_per_s), (Some(15.6), Some(800.0)));
        assert_eq!((epoch.interval_loss, epoch.interval_training_tokens_per_s), (None, None));
        assert!(epoch.valid_loss.is_some_and(f64::is_nan));

        let start = read(r#"{"epoch":0,"step":0,"valid_loss":2.5,"valid_perplexity":12.2,"elapsed_s":0.1}"#);
        assert_eq!((start.kind, start.valid_loss), (RecordKind::Start, Some(2.5)));
    }

    #[test]
    fn times_and_speeds_can_be_left_out() {
        let record = Record {
            step: 3,
            interval_loss: Some(2.0),
            interval_training_tokens_per_s: Some(1.0),
            training_s: Some(2.0),
            elapsed_s: Some(3.0),
            ..Record::default()
        };
        let expected = Record { step: 3, interval_loss: Some(2.0), ..Record::default() };
        assert_eq!(record.without_times(), expected);
    }

    #[test]
    fn every_measurement_has_a_tag_of_its_own_in_tensorboard() {
        let record = Record {
            interval_loss: Some(1.0),
            epoch_loss: Some(2.0),
            moving_loss: Some(3.0),
            elapsed_s: Some(4.0),
            ..Record::default()
        };
        let found: Vec<_> = record.measurements().collect();
        let expected = [
            ("loss/train_interval", 1.0),
            ("loss/train_moving_average", 3.0),
            ("loss/train_epoch", 2.0),
            ("time/elapsed_s", 4.0),
        ];
        assert_eq!(found, expected);
        let mut tags: Vec<_> = Record::MEASUREMENTS.iter().map(|measurement| measurement.tag).collect();
        tags.sort_unstable();
        let all = tags.len();
        tags.dedup();
        assert_eq!(tags.len(), all);
    }
}
