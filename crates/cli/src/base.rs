//! The base of logarithms in results.

use clap::ValueEnum;

/// The base of logarithms.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Base {
    #[value(name = "2")]
    Two,
    E,
    #[value(name = "10")]
    Ten,
}

impl Base {
    /// Its name in JSON and messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Base::Two => "2",
            Base::E => "e",
            Base::Ten => "10",
        }
    }

    /// The unit of a surprisal, in the name of its column.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Base::Two => "bits",
            Base::E => "nats",
            Base::Ten => "log10",
        }
    }

    /// The name of the logarithm, in the name of a column.
    pub(crate) fn log_name(self) -> &'static str {
        match self {
            Base::Two => "log2",
            Base::E => "ln",
            Base::Ten => "log10",
        }
    }

    /// A natural logarithm as a logarithm to this base.
    pub(crate) fn log(self, nats: f64) -> f64 {
        let log = match self {
            Base::Two => nats / std::f64::consts::LN_2,
            Base::E => nats,
            Base::Ten => nats / std::f64::consts::LN_10,
        };
        // The logarithm of 1 is 0 and not -0.
        log + 0.0
    }

    /// The same as a column, with four decimals.
    pub(crate) fn column(self, nats: f64) -> String {
        let column = format!("{:.4}", self.log(nats));
        if column == "-0.0000" { "0.0000".to_owned() } else { column }
    }
}
