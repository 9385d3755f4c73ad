//! Short descriptions of models and counts.

use indicatif::HumanCount;
use rondo_nn::{Biases, Cell, DropoutSite, Input, RnnLmConfig};

/// A configuration in one line, such as `lstm 2 × 200, embedding 200, tied, dropout 0.2 input`.
pub(crate) fn model(config: &RnnLmConfig) -> String {
    let RnnLmConfig { input, cell, ref hidden_sizes, biases, tied, dropout, .. } = *config;
    let layers = match hidden_sizes.as_slice() {
        [first, rest @ ..] if rest.iter().all(|size| size == first) => {
            format!("{} × {first}", hidden_sizes.len())
        }
        sizes => sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" → "),
    };
    let mut parts = vec![format!("{cell} {layers}")];
    let options = &config.cell_options;
    parts.extend(options.projection_size.map(|size| format!("projected to {size}")));
    parts.extend(options.cell_clip.map(|limit| format!("cell states within ±{limit}")));
    if cell == Cell::Mogrifier {
        let rank = options.mogrifier.rank.map_or(String::new(), |rank| format!(" of rank {rank}"));
        parts.push(format!("{} rounds{rank}", options.mogrifier.rounds));
    }
    parts.push(match input {
        Input::Embedding(width) => format!("embedding {width}"),
        Input::OneHot => "one-hot input".to_owned(),
    });
    if tied {
        parts.push("tied".to_owned());
    }
    if let Some(softmax) = &config.adaptive_softmax {
        let cutoffs = softmax.cutoffs().iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        parts.push(format!("adaptive softmax at {cutoffs}"));
    }
    if biases == Biases::One {
        parts.push("one bias per layer".to_owned());
    }
    let mut sites = vec![("input", dropout.input), ("between", dropout.between), ("output", dropout.output)];
    // A single layer has nothing between layers.
    sites.retain(|(name, site)| site.probability > 0.0 && (*name != "between" || hidden_sizes.len() > 1));
    if !sites.is_empty() {
        let site = |(name, DropoutSite { probability, locked }): (&str, DropoutSite)| {
            format!("{probability} {name}{}", if locked { " (locked)" } else { "" })
        };
        parts.push(format!("dropout {}", sites.into_iter().map(site).collect::<Vec<_>>().join(", ")));
    }
    for (name, probability) in [("embedding dropout", dropout.words), ("weight-drop", dropout.weights)] {
        if probability > 0.0 {
            parts.push(format!("{name} {probability}"));
        }
    }
    parts.join(", ")
}

/// A count with thousands separators.
pub(crate) fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

/// A word quoted for a shell if needed.
pub(crate) fn in_shell(word: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "/._-+@:,\\".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use rondo_nn::{AdaptiveSoftmax, Dropout, Preset};

    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(in_shell("runs/ptb-1"), "runs/ptb-1");
        assert_eq!(in_shell(""), "''");
        assert_eq!(in_shell("my runs/don't"), "'my runs/don'\\''t'");
    }

    #[test]
    fn a_model_is_described_in_a_line() {
        let zoo = Preset::find("standard_lstm_lm_200").unwrap().config(10);
        let expected =
            "lstm 2 × 200, embedding 200, tied, dropout 0.2 input, 0.2 between, 0.2 output (locked)";
        assert_eq!(model(&zoo), expected);
        let bare = RnnLmConfig {
            input: Input::OneHot,
            hidden_sizes: vec![64],
            biases: Biases::One,
            tied: false,
            dropout: Dropout::default(),
            ..zoo.clone()
        };
        assert_eq!(model(&bare), "lstm 1 × 64, one-hot input, one bias per layer");
        let adaptive_softmax = Some(AdaptiveSoftmax::new(vec![20, 300]));
        let adaptive = RnnLmConfig { adaptive_softmax, ..bare };
        assert_eq!(
            model(&adaptive),
            "lstm 1 × 64, one-hot input, adaptive softmax at 20, 300, one bias per layer"
        );
        assert!(model(&RnnLmConfig { hidden_sizes: vec![6, 2], ..zoo }).starts_with("lstm 6 → 2, "));
    }
}
