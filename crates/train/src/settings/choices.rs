//! Enums for settings that take one of a few words, except those whose type is defined in another crate.

use rondo_data::Unit;

/// Defines an enum whose variants are written as the given words.
macro_rules! choice {
    ($(#[$meta:meta])+ $name:ident { $( $(#[$variant_meta:meta])+ $variant:ident = $word:literal, )+ }) => {
        $(#[$meta])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$variant_meta])+ $variant, )+ }

        impl $name {
            /// The words used in flags, recipes and plans, in the order of the variants.
            pub const NAMES: &[&str] = &[$($word),+];

            /// The variant with this word, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $( $word => Some($name::$variant), )+ _ => None }
            }

            /// Its word, as used in flags, recipes and plans.
            pub fn name(self) -> &'static str {
                match self { $( $name::$variant => $word, )+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

choice! {
    /// The input representation of a token.
    ModelInput {
        /// A learned embedding vector.
        Embedding = "embedding",
        /// A one-hot vector.
        OneHot = "one-hot",
    }
}

choice! {
    /// A place where dropout is applied.
    Site {
        /// On the output of the embedding.
        Input = "input",
        /// On the output of each recurrent layer except the last.
        Between = "between",
        /// On the output of the last recurrent layer.
        Output = "output",
    }
}

choice! {
    /// The optimizer.
    OptimizerKind {
        /// Stochastic gradient descent, with optional momentum.
        Sgd = "sgd",
        /// Adam, with weight decay added to the gradient (L2 penalty).
        Adam = "adam",
        /// AdamW: Adam with decoupled weight decay.
        AdamW = "adamw",
    }
}

choice! {
    /// How the losses of a batch's tokens are reduced to the loss that is differentiated.
    LossReduction {
        /// Their mean.
        Mean = "mean",
        /// Their sum.
        Sum = "sum",
    }
}

choice! {
    /// What the gradient is divided by after clipping.
    StepDivisor {
        /// Not divided.
        One = "one",
        /// By the batch size, `B`.
        Batch = "batch",
    }
}

choice! {
    /// The unit of the gradient norm limit.
    ClipUnit {
        /// The limit itself.
        One = "one",
        /// The limit times the batch size, `B`.
        Batch = "batch",
        /// The limit times the number of tokens in a full batch, `T·B`.
        Tokens = "tokens",
    }
}

choice! {
    /// How the learning rate changes.
    ScheduleKind {
        /// It is reduced when the validation loss stops improving.
        Plateau = "plateau",
        /// It is reduced at a fixed interval of epochs.
        Step = "step",
        /// It does not change.
        Constant = "constant",
        /// It decreases with every step, linearly until the end of the run.
        Linear = "linear",
        /// It decreases with every step, along half a period of a cosine until the end of the run.
        Cosine = "cosine",
    }
}

choice! {
    /// Where the state is reset to zero.
    ResetState {
        /// Nowhere: it is carried through the whole text.
        Never = "never",
        /// Before each line: lines are independent.
        Line = "line",
        /// Before each paragraph, which ends with a blank line: paragraphs are independent.
        Paragraph = "paragraph",
        /// Before each batch.
        Batch = "batch",
    }
}

impl ResetState {
    /// The units of the text that are independent, if they are lines or paragraphs.
    pub fn unit(self) -> Option<Unit> {
        match self {
            ResetState::Never | ResetState::Batch => None,
            ResetState::Line => Some(Unit::Line),
            ResetState::Paragraph => Some(Unit::Paragraph),
        }
    }
}

choice! {
    /// What to do when a loss or gradient is NaN or infinite.
    OnNan {
        /// Stop the run with an error.
        Stop = "stop",
        /// Skip the step, reset the hidden state to zero, and continue with the next batch.
        Skip = "skip",
        /// Go back to the last checkpoint and continue with a lower learning rate.
        Rollback = "rollback",
    }
}
