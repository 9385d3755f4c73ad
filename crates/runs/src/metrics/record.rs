//! What is recorded about a run at one point.

use serde::{Deserialize, Deserializer, Serialize};

/// Makes the record from the list of its measurements, so that files and event files have the same ones.
macro_rules! record {
    ($( $(#[$doc:meta])+ $key:ident: $tag:literal, )+) => {
        /// What is recorded about a run at one point: after some batches, or at the end of an epoch.
        ///
        /// In JSON, a measurement that was not made is left out; one that is not a finite number, for which
        /// JSON has no word, is `null` and is read as NaN. Other keys are ignored in reading.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct Record {
            /// The epoch, counted from 1.
            pub epoch: usize,
            /// How many steps the optimizer has made since the start of the run.
            pub step: u64,
            $(
                $(#[$doc])+
                #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "null_as_nan")]
                pub $key: Option<f64>,
            )+
        }

        impl Record {
            /// The measurements that were made, each with its name in TensorBoard.
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
    /// The same of the latest weights themselves, where it is their average that is judged.
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
    /// The norm of the gradient of all parameters before clipping, at the last step.
    gradient_norm: "training/gradient_norm",
    /// Steps that were not taken since a number was not finite, since the start of the run; left out if there are none.
    skipped_steps: "training/skipped_steps",
    /// How often training has gone back to a checkpoint for that reason; left out if it never has.
    rollbacks: "training/rollbacks",
    /// Training tokens per second since the last record of this kind.
    tokens_per_s: "training/tokens_per_s",
    /// Seconds since the start of the run, interruptions left out.
    elapsed_s: "training/elapsed_s",
}

/// Reads a number; `null` stands for one that JSON cannot hold.
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
