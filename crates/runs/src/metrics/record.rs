//! The measurements recorded at one point of a run.

use serde::{Deserialize, Deserializer, Serialize};

/// Defines the record from the list of its measurements, so that metrics files and event files have the same ones.
macro_rules! record {
    ($( $(#[$doc:meta])+ $key:ident: $tag:literal, )+) => {
        /// The measurements at one point of a run: after some batches, or at the end of an epoch.
        ///
        /// In JSON, a measurement that was not made is left out. A value that is not finite, which JSON cannot
        /// represent, is written as `null` and read as NaN. Other keys are ignored when reading.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct Record {
            /// The epoch, counted from 1.
            pub epoch: usize,
            /// The number of optimizer steps since the start of the run.
            pub step: u64,
            $(
                $(#[$doc])+
                #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_as_nan")]
                pub $key: Option<f64>,
            )+
        }

        impl Record {
            /// The measurements that were made, with their TensorBoard names.
            pub fn measurements(&self) -> impl Iterator<Item = (&'static str, f64)> {
                [$( ($tag, self.$key), )+].into_iter().filter_map(|(tag, value)| Some((tag, value?)))
            }
        }
    };
}

record! {
    /// Mean loss over the batches since the last record of this kind, in nats per token.
    train_loss: "loss/train",
    /// The smoothed training loss (its exponential moving average), in nats per token.
    moving_loss: "loss/moving",
    /// Mean loss on the validation text, in nats per token.
    valid_loss: "loss/valid",
    /// Mean loss on the validation text with the latest weights, if the averaged weights are the ones evaluated.
    unaveraged_valid_loss: "loss/valid_unaveraged",
    /// Mean loss on the test text, in nats per token.
    test_loss: "loss/test",
    /// Perplexity on the training text: the exponential of `train_loss`.
    train_perplexity: "perplexity/train",
    /// Perplexity on the validation text.
    valid_perplexity: "perplexity/valid",
    /// Perplexity on the test text.
    test_perplexity: "perplexity/test",
    /// The learning rate of the last step.
    learning_rate: "training/learning_rate",
    /// The gradient norm over all parameters before clipping, at the last step.
    gradient_norm: "training/gradient_norm",
    /// Steps skipped because a value was not finite, since the start of the run; left out if there are none.
    skipped_steps: "training/skipped_steps",
    /// Rollbacks to a checkpoint because a value was not finite, since the start of the run; left out if there
    /// are none.
    rollbacks: "training/rollbacks",
    /// Training tokens per second since the last record of this kind.
    tokens_per_s: "training/tokens_per_s",
    /// Seconds since the start of the run, excluding interruptions.
    elapsed_s: "training/elapsed_s",
}

/// Parses a number; `null` stands for a value that JSON cannot represent.
fn null_as_nan<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Ok(Some(Option::deserialize(from)?.unwrap_or(f64::NAN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_written_and_what_is_not_a_number_is_null() {
        let record = Record {
            epoch: 2,
            step: 200,
            train_loss: Some(5.25),
            valid_loss: Some(f64::NAN),
            valid_perplexity: Some(f64::INFINITY),
            ..Record::default()
        };
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(
            json,
            r#"{"epoch":2,"step":200,"train_loss":5.25,"valid_loss":null,"valid_perplexity":null}"#
        );
        let read: Record = serde_json::from_str(&json).unwrap();
        assert_eq!((read.train_loss, read.test_loss), (Some(5.25), None));
        assert!(read.valid_perplexity.is_some_and(f64::is_nan));
    }

    #[test]
    fn every_measurement_has_a_name_of_its_own_in_tensorboard() {
        let mut json = serde_json::Map::new();
        for key in ["train_loss", "moving_loss", "valid_loss", "test_loss", "train_perplexity"] {
            json.insert(key.to_owned(), 1.0.into());
        }
        json.insert("epoch".to_owned(), 1.into());
        json.insert("step".to_owned(), 1.into());
        json.insert("a key of a later version".to_owned(), "x".into());
        let record: Record = serde_json::from_value(json.into()).unwrap();
        let tags: Vec<&str> = record.measurements().map(|(tag, _)| tag).collect();
        assert_eq!(tags, ["loss/train", "loss/moving", "loss/valid", "loss/test", "perplexity/train"]);
    }
}
