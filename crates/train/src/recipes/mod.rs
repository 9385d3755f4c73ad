//! Recipes: the settings of published results, with the published and the measured perplexities.
//!
//! A recipe is a settings file with an additional table, `[recipe]`, that describes it. The recipes in this
//! crate's folder `recipes/` are embedded in the program.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::settings::parse_toml;
use crate::{Result, Settings, TrainError};

mod verify;

pub use verify::{Finding, Verification};

/// Embeds recipes by their names.
macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$( ($name, include_str!(concat!("../../recipes/", $name, ".toml"))), )+]
    };
}

/// The name and text of each embedded recipe, smallest first.
const EMBEDDED: &[(&str, &str)] = embedded![
    "built-in",
    "time-machine-char",
    "ptb-lstm-small",
    "ptb-rnn",
    "ptb-rnn-lstm",
    "ptb-fast",
    "ptb-fast-105",
    "shakespeare-char-fast",
    "wikitext2-fast",
    "wikitext2-fast-108",
    "wikitext2-standard-200",
    "own-text",
    "log-keys",
    "sessions",
    "molecules",
    "surprisal",
    "wikitext2-standard-650",
    "wikitext2-standard-1500",
    "ptb-lstm-full",
    "awd-lstm-600",
    "awd-lstm-1150",
];

/// Settings and their description.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The description and the results.
    pub about: About,
    /// The settings.
    pub settings: Settings,
}

/// The description of a recipe, with published and measured results.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The recipe's name, which is also the name of its file.
    pub name: String,
    /// The model and the corpus, in a few words.
    pub title: String,
    /// What characterizes it, in a few sentences.
    pub summary: String,
    /// Where it comes from.
    pub source: String,
    /// The command that runs it.
    pub command: String,
    /// How many minutes that takes on two cores.
    pub minutes: Option<f64>,
    /// Results that others have published.
    #[serde(default)]
    pub published: Vec<Published>,
    /// Results that we have measured.
    #[serde(default)]
    pub measured: Vec<Measured>,
    /// What a run must reach to count as a reproduction: a table, or a list of tables.
    #[serde(default, deserialize_with = "one_or_many")]
    pub verify: Vec<Verify>,
}

/// A published result.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Settings that differ from the recipe's.
    #[serde(default)]
    pub with: Settings,
    /// The number of epochs trained.
    pub after_epoch: usize,
    /// The perplexity on the validation text.
    pub valid: Option<Band>,
    /// The perplexity on the test text.
    pub test: Option<Band>,
    /// Remarks.
    pub note: Option<String>,
}

/// A result of our own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Settings that differ from the recipe's.
    #[serde(default)]
    pub with: Settings,
    /// The number of epochs trained.
    pub after_epoch: usize,
    /// The perplexity on the validation text.
    pub valid: Option<f64>,
    /// The perplexity on the test text.
    pub test: Option<f64>,
    /// Training tokens per second.
    pub tokens_per_s: Option<f64>,
    /// Machine, date, and remarks.
    pub note: Option<String>,
}

/// What a run must reach to count as a reproduction.
///
/// A recipe may have several. Those with the same settings are judged by the same run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// A name to select it by. Several may share a name.
    pub name: Option<String>,
    /// Settings that differ from the recipe's.
    #[serde(default)]
    pub with: Settings,
    /// The number of epochs of which the best model counts; by default, all epochs of the run.
    pub after_epoch: Option<usize>,
    /// The perplexity on the validation text.
    pub valid: Option<Band>,
    /// The perplexity on the test text.
    pub test: Option<Band>,
}

/// A range of perplexities, both ends included; in TOML, `[low, high]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Band {
    /// Whether the perplexity is within the band. NaN never is.
    pub fn contains(self, perplexity: f64) -> bool {
        (self.low..=self.high).contains(&perplexity)
    }
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high {
            write!(f, "{}", self.low)
        } else {
            write!(f, "{}–{}", self.low, self.high)
        }
    }
}

impl<'de> Deserialize<'de> for Band {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let [low, high] = <[f64; 2]>::deserialize(from)?;
        if low <= high {
            Ok(Band { low, high })
        } else {
            Err(serde::de::Error::custom(format!("expected [low, high], found [{low}, {high}]")))
        }
    }
}

/// Reads a table, or a list of tables.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<Verify>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<Verify>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table or a list of tables")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Self::Value, A::Error> {
            Ok(vec![Verify::deserialize(MapAccessDeserializer::new(map))?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> std::result::Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(seq))
        }
    }

    from.deserialize_any(OneOrMany)
}

impl Recipe {
    /// Reads a recipe from TOML. `origin` is the name of the file, for errors.
    ///
    /// # Errors
    /// [`TrainError::Settings`] as in [`Settings::parse`], and for a mistake in the description;
    /// [`TrainError::NoIntroduction`] if there is no table `[recipe]`.
    pub fn parse(origin: &str, text: &str) -> Result<Recipe> {
        let settings = Settings::parse(origin, text)?;
        let Described { recipe } = parse_toml(origin, text)?;
        let about = recipe.ok_or_else(|| TrainError::NoIntroduction { origin: origin.to_owned() })?;
        Ok(Recipe { about, settings })
    }
}

/// The table `[recipe]` of a settings file; the other tables are ignored.
#[derive(Deserialize)]
struct Described {
    recipe: Option<About>,
}

/// The names of the embedded recipes, smallest recipe first.
pub fn names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

/// The text of an embedded recipe.
///
/// # Errors
/// [`TrainError::UnknownRecipe`], which suggests the nearest name.
pub fn text(name: &str) -> Result<&'static str> {
    let found = EMBEDDED.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, text)| *text)
        .ok_or_else(|| TrainError::UnknownRecipe { name: name.to_owned(), known: names().collect() })
}

/// An embedded recipe.
///
/// # Errors
/// [`TrainError::UnknownRecipe`], which suggests the nearest name.
pub fn find(name: &str) -> Result<Recipe> {
    Recipe::parse(name, text(name)?)
}

/// All embedded recipes, smallest first.
///
/// # Errors
/// As [`Recipe::parse`]. A test ensures that every embedded recipe can be read.
pub fn all() -> Result<Vec<Recipe>> {
    names().map(find).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rondo_data::{BatchOrder, BlankLines, LastBatch, Punctuation, Tokenizer};
    use rondo_nn::{ActivationPenalty, Cell, Initializer, Input};

    use super::*;
    use crate::settings::{ClipUnit, LossReduction, StepDivisor};
    use crate::{AveragingRule, ClipNorm, CorpusChoice, OptimizationPlan, OptimizerPlan, Plan, ScheduleRule};

    fn plan(name: &str) -> Plan {
        Plan::new(&find(name).unwrap().settings).unwrap()
    }

    #[test]
    fn every_recipe_is_a_plan_in_all_its_variants_and_says_what_it_is() {
        for recipe in all().unwrap() {
            let Recipe { about, settings } = recipe;
            Plan::new(&settings).unwrap();
            let published = about.published.iter().map(|published| &published.with);
            let measured = about.measured.iter().map(|measured| &measured.with);
            let verify = about.verify.iter().map(|verify| &verify.with);
            for with in published.chain(measured).chain(verify) {
                Plan::new(&settings.clone().overlaid_with(with.clone())).unwrap();
            }
            for Verify { with, after_epoch, valid, test, .. } in &about.verify {
                let epochs =
                    Plan::new(&settings.clone().overlaid_with(with.clone())).unwrap().training.epochs;
                assert!(after_epoch.is_none_or(|after_epoch| (1..=epochs).contains(&after_epoch)));
                assert!(valid.is_some() || test.is_some());
            }
            assert!(EMBEDDED.iter().any(|(name, _)| *name == about.name), "{}", about.name);
            assert!(about.command.starts_with("rondo train"), "{}", about.command);
            assert!(!about.summary.is_empty() && !about.title.is_empty() && !about.source.is_empty());
        }
    }

    #[test]
    fn all_files_are_embedded_under_their_names() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let embedded: BTreeSet<String> =
            all().unwrap().iter().map(|recipe| recipe.about.name.clone() + ".toml").collect();
        assert_eq!(files, embedded);
        assert!(names().eq(all().unwrap().iter().map(|recipe| recipe.about.name.as_str())));
    }

    #[test]
    fn an_unknown_name_is_refused_and_the_nearest_named() {
        let error = find("ptb-rn").unwrap_err().to_string();
        assert!(error.starts_with("unknown recipe `ptb-rn`, expected one of `built-in`, "), "{error}");
        assert!(error.ends_with("; did you mean `ptb-rnn`?"), "{error}");
    }

    #[test]
    fn a_file_without_introduction_or_with_a_mistake_in_it_is_no_recipe() {
        let error = Recipe::parse("my.toml", "[model]\nlayers = 1").unwrap_err().to_string();
        assert_eq!(error, "`my.toml` has no `[recipe]` table with the recipe's name and description");
        let about = "[recipe]\nname = \"x\"\ntitle = \"\"\nsummary = \"\"\nsource = \"\"\ncommand = \"\"\n";
        let error = Recipe::parse("my.toml", &format!("{about}verify = {{ valid = [3, 2] }}\n")).unwrap_err();
        assert_eq!(error.to_string(), "`my.toml`, line 7: expected [low, high], found [3, 2]");
        let list = "[[recipe.verify]]\nvalid = [2, 3]\n[[recipe.verify]]\nvalid = [2, 3]\nafter = 2\n";
        let error = Recipe::parse("my.toml", &format!("{about}{list}")).unwrap_err().to_string();
        assert!(error.starts_with("`my.toml`, line 11: unknown field `after`"), "{error}");
        let error = Recipe::parse("my.toml", &format!("{about}verify = 3\n")).unwrap_err().to_string();
        assert!(error.contains("expected a table or a list of tables"), "{error}");
        let error =
            Recipe::parse("my.toml", &format!("{about}verify = {{ with = {{ model = {{ sell = 1 }} }} }}\n"));
        let expected = "`my.toml`, line 7: unknown key `sell` in `[model]`; did you mean `cell`?";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }

    #[test]
    fn bands_are_a_table_or_a_list_of_tables() {
        let about = "[recipe]\nname = \"x\"\ntitle = \"\"\nsummary = \"\"\nsource = \"\"\ncommand = \"\"\n";
        let verify = |bands: &str| Recipe::parse("my.toml", &format!("{about}{bands}")).unwrap().about.verify;
        let band = "valid = [2, 3]\nwith = { model = { cell = \"gru\" } }\n";
        let one = verify(&format!("[recipe.verify]\n{band}"));
        assert_eq!(one.len(), 1);
        assert_eq!(verify(&format!("[[recipe.verify]]\n{band}")), one);
        let list = verify(&format!("[[recipe.verify]]\n{band}[[recipe.verify]]\nafter_epoch = 1\n{band}"));
        assert_eq!((list[0].clone(), list[1].after_epoch, list.len()), (one[0].clone(), Some(1), 2));
        assert!(verify("").is_empty());
    }

    #[test]
    fn bands_include_their_ends_and_are_printed_as_ranges() {
        let band = Band { low: 172.0, high: 178.0 };
        assert!(band.contains(172.0) && band.contains(178.0));
        assert!(!band.contains(178.1) && !band.contains(f64::NAN));
        assert_eq!(
            (band.to_string(), Band { low: 183.8, high: 183.8 }.to_string()),
            ("172–178".into(), "183.8".into())
        );
    }

    #[test]
    fn wikitext2_is_as_published() {
        let plan = plan("wikitext2-standard-200");
        assert_eq!(plan.text.corpus, CorpusChoice::Named { name: "wikitext-2".into(), data: None });
        assert_eq!(
            plan.model.config(33_278),
            rondo_nn::Preset::find("standard_lstm_lm_200").unwrap().config(33_278)
        );
        assert_eq!(
            (plan.init.embedding, plan.init.recurrent),
            (Initializer::Uniform(0.1), Initializer::Xavier)
        );
        assert_eq!((plan.training.batch_size, plan.training.bptt, plan.training.epochs), (20, 35, 3));
        assert_eq!(plan.training.last_batch, LastBatch::Discard);
        let expected = OptimizationPlan {
            optimizer: OptimizerPlan::Sgd { momentum: 0.0 },
            learning_rate: 20.0,
            weight_decay: 0.0,
            loss_reduction: LossReduction::Mean,
            step_divisor: StepDivisor::One,
            clip_norm: Some(ClipNorm { limit: 0.25, unit: ClipUnit::One }),
            clip_value: None,
            penalty: ActivationPenalty::default(),
            min_learning_rate: None,
            schedule: ScheduleRule::Plateau { decay_factor: 0.25, patience: 1, reload_best: false },
            warmup: 0,
            averaging: AveragingRule::Off,
        };
        assert_eq!(plan.optimization, expected);
    }

    #[test]
    fn surprisal_is_the_example_of_pytorch_on_normalized_words() {
        let plan = plan("surprisal");
        let tokenizer = Tokenizer::words().with_lowercase(true).with_punctuation(Punctuation::Remove);
        let tokenizer = tokenizer.with_number_token("NUM").with_blank_lines(BlankLines::Skip);
        assert_eq!(plan.text.options.tokenizer, tokenizer);
        assert_eq!((plan.model.cell, &plan.model.hidden_sizes), (Cell::Lstm, &vec![200, 200]));
        assert!(plan.model.input == Input::Embedding(200) && !plan.model.tied);
        let dropout = plan.model.dropout;
        for site in [dropout.input, dropout.between, dropout.output] {
            assert!(site.probability == 0.2 && !site.locked);
        }
        assert_eq!([plan.init.embedding, plan.init.decoder], [Initializer::Uniform(0.1); 2]);
        assert_eq!((plan.training.batch_size, plan.training.bptt, plan.training.epochs), (20, 35, 10));
        let as_published = &self::plan("wikitext2-standard-200").optimization;
        assert_eq!(&plan.optimization, as_published);
    }

    #[test]
    fn ptb_lstm_shuffles_batches_clips_by_rows_and_keeps_its_learning_rate() {
        let small = plan("ptb-lstm-small");
        assert_eq!(
            (small.training.max_batches, small.training.batch_order),
            (Some(20), BatchOrder::Shuffled)
        );
        assert!(small.training.reset_state == crate::settings::ResetState::Never && !small.model.tied);
        assert_eq!((&small.model.hidden_sizes, small.model.input), (&vec![32], Input::Embedding(32)));
        assert_eq!(small.optimization.clip_norm_limit(10, 16), Some(4.0));
        let full = plan("ptb-lstm-full");
        assert_eq!((full.training.max_batches, full.training.epochs), (None, 40));
        for plan in [&small, &full] {
            assert_eq!(plan.optimization.schedule, ScheduleRule::Constant);
            assert_eq!(plan.optimization.learning_rate, 20.0);
        }
        assert_eq!(full.model.hidden_sizes, [650, 650]);
    }

    #[test]
    fn ptb_rnn_clips_by_tokens_and_goes_back_to_the_best() {
        let plan = plan("ptb-rnn");
        assert_eq!((plan.model.cell, plan.model.hidden_sizes), (Cell::RnnRelu, vec![100, 100]));
        assert_eq!(plan.optimization.clip_norm_limit(5, 32), Some(32.0));
        assert_eq!(plan.optimization.step_scale(32), 1.0 / 32.0);
        let schedule = ScheduleRule::Plateau { decay_factor: 0.25, patience: 1, reload_best: true };
        assert_eq!(plan.optimization.schedule, schedule);
    }

    #[test]
    fn the_lstm_of_ptb_rnn_differs_from_it_in_cell_and_epochs_only() {
        let with = "[model]\ncell = 'lstm'\n[training]\nepochs = 2";
        let expected =
            find("ptb-rnn").unwrap().settings.overlaid_with(Settings::parse("test", with).unwrap());
        assert_eq!(find("ptb-rnn-lstm").unwrap().settings, expected);
    }

    #[test]
    fn time_machine_is_a_bare_network_on_characters() {
        let plan = plan("time-machine-char");
        assert_eq!((plan.model.input, plan.model.cell), (Input::OneHot, Cell::RnnTanh));
        assert_eq!(
            (plan.text.options.tokenizer, plan.text.options.drop_tail_chars),
            (Tokenizer::chars(), 38_083)
        );
        assert_eq!((plan.text.options.valid_fraction, plan.optimization.clip_norm), (0.0, None));
        assert_eq!([plan.init.embedding, plan.init.bias], [Initializer::Normal(0.01); 2]);
        assert_eq!((plan.sample.prefixes.len(), plan.sample.length), (2, 1024));
        assert_eq!(plan.optimization.schedule, ScheduleRule::Step { decay_factor: 0.5, decay_every: 100 });
    }
}
