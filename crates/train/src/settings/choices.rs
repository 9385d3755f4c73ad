//! The settings that are one of a few words, but for those that other crates have a type for.

/// Makes an enum whose variants are written as the words beside them.
macro_rules! choice {
    ($(#[$meta:meta])+ $name:ident { $( $(#[$variant_meta:meta])+ $variant:ident = $word:literal, )+ }) => {
        $(#[$meta])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$variant_meta])+ $variant, )+ }

        impl $name {
            /// The words, in flags, recipes and plans, in the order of the variants.
            pub const NAMES: &[&str] = &[$($word),+];

            /// The variant written as `name`.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $( $word => Some($name::$variant), )+ _ => None }
            }

            /// Its word in flags, recipes and plans.
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
    /// How a token enters the network.
    ModelInput {
        /// As a learnt vector.
        Embedding = "embedding",
        /// As a vector of zeros with a single one.
        OneHot = "one-hot",
    }
}

choice! {
    /// A place where units are dropped.
    Site {
        /// On the embedding.
        Input = "input",
        /// On each layer's output but the last's.
        Between = "between",
        /// On the last layer's output.
        Output = "output",
    }
}

choice! {
    /// The rule that turns gradients into steps.
    OptimizerKind {
        /// Stochastic gradient descent, with momentum if asked for.
        Sgd = "sgd",
        /// Adam; weight decay is added to the gradient.
        Adam = "adam",
        /// Adam with weight decay apart from the gradient.
        AdamW = "adamw",
    }
}

choice! {
    /// How the losses of a batch's tokens become the loss that is differentiated.
    LossReduction {
        /// Their mean.
        Mean = "mean",
        /// Their sum.
        Sum = "sum",
    }
}

choice! {
    /// What a (clipped) gradient is divided by before the step.
    StepDivisor {
        /// Nothing.
        One = "one",
        /// The batch rows, `B`.
        Batch = "batch",
    }
}

choice! {
    /// What the largest gradient norm is counted in.
    ClipUnit {
        /// As it is.
        One = "one",
        /// Times the batch rows, `B`.
        Batch = "batch",
        /// Times the tokens of a whole batch, `T·B`.
        Tokens = "tokens",
    }
}

choice! {
    /// Whether the average of the weights is what is evaluated and saved.
    AveragingKind {
        /// The weights themselves are.
        Off = "off",
        /// The average since the validation loss stopped getting better (NT-ASGD).
        NtAsgd = "nt-asgd",
        /// The average since a given epoch.
        Asgd = "asgd",
    }
}

choice! {
    /// How the learning rate changes from epoch to epoch.
    ScheduleKind {
        /// It is lowered when the validation loss gets no better.
        Plateau = "plateau",
        /// It is lowered every so many epochs.
        Step = "step",
        /// It stays.
        Constant = "constant",
    }
}

choice! {
    /// What to do when a loss or gradient is not a finite number.
    OnNan {
        /// The run ends with an error.
        Stop = "stop",
        /// The step is not taken, the carried state is forgotten, and training goes on with the next batch.
        Skip = "skip",
        /// Training goes on from the last checkpoint with a lower learning rate.
        Rollback = "rollback",
    }
}
