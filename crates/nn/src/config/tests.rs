//! Tests of configurations: which are rejected, parameter counts, and the JSON format.

use super::*;

#[test]
fn every_kind_of_model_has_the_parameters_it_needs() {
    let names = |config: &RnnLmConfig| -> Vec<String> {
        config.parameter_shapes().iter().map(|(name, shape)| format!("{name} {shape:?}")).collect()
    };
    let embedding = RnnLmConfig { hidden_sizes: vec![6, 5], cell: Cell::Gru, tied: false, ..small() };
    let expected = [
        "embedding.weight [9, 4]",
        "rnn.0.weight_ih [18, 4]",
        "rnn.0.weight_hh [18, 6]",
        "rnn.0.bias_ih [18]",
        "rnn.0.bias_hh [18]",
        "rnn.1.weight_ih [15, 6]",
        "rnn.1.weight_hh [15, 5]",
        "rnn.1.bias_ih [15]",
        "rnn.1.bias_hh [15]",
        "decoder.weight [9, 5]",
        "decoder.bias [9]",
    ];
    assert_eq!(names(&embedding), expected);
    let one_hot = RnnLmConfig {
        input: Input::OneHot,
        cell: Cell::RnnTanh,
        hidden_sizes: vec![4],
        biases: Biases::One,
        tied: false,
        dropout: Dropout::default(),
        ..small()
    };
    one_hot.check().unwrap();
    let expected = [
        "input.weight [9, 4]",
        "rnn.0.weight_hh [4, 4]",
        "rnn.0.bias_ih [4]",
        "decoder.weight [9, 4]",
        "decoder.bias [9]",
    ];
    assert_eq!(names(&one_hot), expected);
    assert_eq!(one_hot.parameter_count(), 36 + 16 + 4 + 36 + 9);
    let mut projected = RnnLmConfig { cell: Cell::Cifg, hidden_sizes: vec![6, 5], tied: false, ..small() };
    projected.cell_options.projection_size = Some(3);
    projected.check().unwrap();
    let expected = [
        "embedding.weight [9, 4]",
        "rnn.0.weight_ih [18, 4]",
        "rnn.0.weight_hh [18, 3]",
        "rnn.0.bias_ih [18]",
        "rnn.0.bias_hh [18]",
        "rnn.0.weight_hr [3, 6]",
        "rnn.1.weight_ih [15, 3]",
        "rnn.1.weight_hh [15, 3]",
        "rnn.1.bias_ih [15]",
        "rnn.1.bias_hh [15]",
        "rnn.1.weight_hr [3, 5]",
        "decoder.weight [9, 3]",
        "decoder.bias [9]",
    ];
    assert_eq!(names(&projected), expected);
    let mut gated = RnnLmConfig { cell: Cell::Mogrifier, hidden_sizes: vec![5], tied: false, ..small() };
    gated.check().unwrap();
    let rounds = |config: &RnnLmConfig| -> Vec<String> {
        names(config).into_iter().filter(|name| name.contains("mogrifier")).collect()
    };
    assert_eq!(rounds(&gated), ["rnn.0.mogrifier_x [12, 5]", "rnn.0.mogrifier_h [10, 4]"]);
    gated.cell_options.mogrifier = MogrifierOptions { rounds: 1, rank: Some(2) };
    assert_eq!(rounds(&gated), ["rnn.0.mogrifier_x_right [2, 5]", "rnn.0.mogrifier_x_left [4, 2]"]);
    let adaptive = RnnLmConfig { hidden_sizes: vec![4, 35], ..adaptive(&[3, 5]) };
    adaptive.check().unwrap();
    let expected = [
        "decoder.head.weight [5, 35]",
        "decoder.tails.0.projection [8, 35]",
        "decoder.tails.0.weight [2, 8]",
        "decoder.tails.1.projection [2, 35]",
        "decoder.tails.1.weight [4, 2]",
    ];
    assert!(names(&adaptive).ends_with(&expected.map(str::to_owned)));
}

#[test]
fn sizes_that_do_not_fit_are_refused_by_name() {
    type Change = fn(&mut RnnLmConfig);
    let cases: [(Change, &str); 30] = [
        (|c| c.vocab_size = 0, "`vocab_size` must be at least 1"),
        (|c| c.hidden_sizes.clear(), "`hidden_sizes` must have at least one layer"),
        (|c| c.hidden_sizes = vec![0, 4], "`hidden_sizes` must all be at least 1"),
        (|c| c.input = Input::Embedding(0), "`embedding_size` must be at least 1"),
        (
            |c| c.input = Input::Embedding(3),
            "`embedding_size` must equal the last hidden size (4) when `tied` is on, but is 3",
        ),
        (|c| c.input = Input::OneHot, "`tied` requires an embedding, but the input is one-hot"),
        (
            |c| (c.input, c.tied) = (Input::OneHot, false),
            "`dropout.input` requires an embedding, but the input is one-hot",
        ),
        (
            |c| {
                (c.input, c.tied) = (Input::OneHot, false);
                c.dropout = Dropout { words: 0.1, ..Dropout::default() };
            },
            "`dropout.words` requires an embedding, but the input is one-hot",
        ),
        (|c| c.dropout.words = 1.5, "`dropout.words` must be at least 0 and below 1, but is 1.5"),
        (|c| c.dropout.weights = 1.0, "`dropout.weights` must be at least 0 and below 1, but is 1"),
        (
            |c| c.dropout.between.probability = 1.0,
            "`dropout.between` must be at least 0 and below 1, but is 1",
        ),
        (
            |c| c.dropout.output.probability = -0.5,
            "`dropout.output` must be at least 0 and below 1, but is -0.5",
        ),
        (
            |c| c.dropout.input.probability = f32::NAN,
            "`dropout.input` must be at least 0 and below 1, but is NaN",
        ),
        (
            |c| c.adaptive_softmax = Some(AdaptiveSoftmax::new(vec![4])),
            "`tied` cannot be on with an adaptive softmax",
        ),
        (|c| *c = adaptive(&[]), "`softmax` must have at least one cutoff"),
        (|c| *c = adaptive(&[4, 4]), "`softmax` must have increasing cutoffs of at least 1, but has 4,4"),
        (
            |c| *c = adaptive(&[4, 9]),
            "`softmax` must have cutoffs below the vocabulary size (9), but the last is 9",
        ),
        (
            |c| *c = adaptive(&[4, 6]),
            "`softmax` has 2 cutoffs, but the last hidden size (4) is enough for 1, because each tail is 4 times narrower \
             than the one before",
        ),
        (
            |c| c.hidden_sizes = vec![1 << 40, 4],
            "`hidden_sizes` and the other sizes give more parameters than memory can hold",
        ),
        (
            |c| (c.cell, c.cell_options.projection_size) = (Cell::Gru, Some(2)),
            "`projection_size` requires the cell `lstm` or `cifg`, but the cell is `gru`",
        ),
        (
            |c| c.cell_options.projection_size = Some(4),
            "`projection_size` must be at least 1 and less than the hidden size (4), but is 4",
        ),
        (
            |c| c.cell_options.projection_size = Some(0),
            "`projection_size` must be at least 1 and less than the hidden size (4), but is 0",
        ),
        (
            |c| c.cell_options.projection_size = Some(3),
            "`embedding_size` must equal the projection size (3) when `tied` is on, but is 4",
        ),
        (
            |c| (c.cell, c.cell_options.cell_clip) = (Cell::RnnTanh, Some(2.0)),
            "`cell_clip` requires a cell with a cell state, such as `lstm`, but the cell is `rnn_tanh`",
        ),
        (|c| c.cell_options.cell_clip = Some(0.0), "`cell_clip` must be a finite number above 0, but is 0"),
        (
            |c| c.cell_options.cell_clip = Some(f32::NAN),
            "`cell_clip` must be a finite number above 0, but is NaN",
        ),
        (
            |c| c.cell_options.mogrifier.rank = Some(3),
            "`mogrifier_rounds` requires the cell `mogrifier`, but the cell is `lstm`",
        ),
        (
            |c| (c.cell, c.cell_options.mogrifier.rounds) = (Cell::Mogrifier, 65),
            "`mogrifier_rounds` must be from 1 to 64, but is 65",
        ),
        (
            |c| (c.cell, c.cell_options.mogrifier.rank) = (Cell::Mogrifier, Some(0)),
            "`mogrifier_rank` must be at least 1",
        ),
        (
            |c| {
                (c.cell, c.input, c.tied) = (Cell::Mogrifier, Input::OneHot, false);
                c.dropout = Dropout::default();
            },
            "`cell` `mogrifier` requires an embedding, but the input is one-hot",
        ),
    ];
    small().check().unwrap();
    for (change, expected) in cases {
        let mut config = small();
        change(&mut config);
        assert_eq!(config.check().unwrap_err().to_string(), expected);
    }
}

/// Model files contain it: what is written today must stay readable forever.
#[test]
fn its_json_stays_what_it_is() {
    let json = r#"{"vocab_size":9,"input":{"embedding":4},"cell":"lstm","hidden_sizes":[4,4],"biases":"two","tied":true,"dropout":{"input":{"probability":0.2,"locked":false},"between":{"probability":0.0,"locked":false},"output":{"probability":0.5,"locked":true}}}"#;
    assert_eq!(serde_json::to_string(&small()).unwrap(), json);
    assert_eq!(serde_json::from_str::<RnnLmConfig>(json).unwrap(), small());
    // Files from before word and weight dropout do not have these keys, nor do files where both are off.
    let mut dropping = small();
    (dropping.dropout.words, dropping.dropout.weights) = (0.25, 0.5);
    let named = json.replace("\"locked\":true}}", "\"locked\":true},\"words\":0.25,\"weights\":0.5}");
    assert_eq!(serde_json::to_string(&dropping).unwrap(), named);
    assert_eq!(serde_json::from_str::<RnnLmConfig>(&named).unwrap(), dropping);
    // Nor do files without an adaptive softmax; one over tokens in order of frequency does not list them.
    let softmax = |text: &str| {
        json.replace("\"tied\":true", "\"tied\":false")
            .replace("true}}}", &format!("true}}}},\"adaptive_softmax\":{text}}}"))
    };
    let ordered = softmax(r#"{"cutoffs":[4]}"#);
    assert_eq!(serde_json::to_string(&adaptive(&[4])).unwrap(), ordered);
    assert_eq!(serde_json::from_str::<RnnLmConfig>(&ordered).unwrap(), adaptive(&[4]));
    let other = softmax(r#"{"cutoffs":[4],"order":[0,2,5,8,1,3,4,6,7]}"#);
    let mut config = adaptive(&[4]);
    config.adaptive_softmax = Some(AdaptiveSoftmax::new(vec![4]).with_order(vec![8, 5, 2, 0, 7, 6, 4, 3, 1]));
    assert_eq!(serde_json::to_string(&config).unwrap(), other);
    assert_eq!(serde_json::from_str::<RnnLmConfig>(&other).unwrap(), config);
    let repeated: RnnLmConfig = serde_json::from_str(&other.replace("8,1", "8,8")).unwrap();
    let error = repeated.check().unwrap_err().to_string();
    assert_eq!(error, "`softmax` must have an order that lists each token of the vocabulary once");
    // Nor do files of layers without anything in addition to their cell.
    let mut projected = small();
    (projected.cell_options.projection_size, projected.cell_options.cell_clip) = (Some(3), Some(50.0));
    let options = r#","cell_options":{"projection_size":3,"cell_clip":50.0}}"#;
    let named = format!("{}{options}", json.strip_suffix('}').unwrap());
    assert_eq!(serde_json::to_string(&projected).unwrap(), named);
    assert_eq!(serde_json::from_str::<RnnLmConfig>(&named).unwrap(), projected);
    let mut gated = RnnLmConfig { cell: Cell::Mogrifier, ..small() };
    gated.cell_options.mogrifier = MogrifierOptions { rounds: 4, rank: Some(2) };
    let options = r#","cell_options":{"mogrifier":{"rounds":4,"rank":2}}}"#;
    let named = format!("{}{options}", json.replace("lstm", "mogrifier").strip_suffix('}').unwrap());
    assert_eq!(serde_json::to_string(&gated).unwrap(), named);
    assert_eq!(serde_json::from_str::<RnnLmConfig>(&named).unwrap(), gated);
    let one_hot = json.replace(r#"{"embedding":4}"#, r#""one-hot""#);
    assert_eq!(serde_json::from_str::<RnnLmConfig>(&one_hot).unwrap().input, Input::OneHot);
    let unknown = json.replace("tied", "knotted");
    assert!(serde_json::from_str::<RnnLmConfig>(&unknown).unwrap_err().to_string().contains("`knotted`"));
}

#[test]
fn initializers_are_read_as_they_are_written() {
    for initializer in
        [Initializer::Zeros, Initializer::Uniform(0.1), Initializer::Xavier, Initializer::Normal(0.01)]
    {
        assert_eq!(initializer.to_string().parse::<Initializer>().unwrap(), initializer);
    }
    for text in
        ["", "ones", "uniform", "uniform:", "uniform:-1", "normal:inf", "normal:NaN", "xavier:1", "zeros "]
    {
        let error = text.parse::<Initializer>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("unknown initializer `{text}`, expected ")), "{error}");
    }
}

/// An adaptive softmax with these cutoffs.
fn adaptive(cutoffs: &[usize]) -> RnnLmConfig {
    let adaptive_softmax = Some(AdaptiveSoftmax::new(cutoffs.to_vec()));
    RnnLmConfig { tied: false, adaptive_softmax, ..small() }
}

fn small() -> RnnLmConfig {
    let site = |probability, locked| DropoutSite { probability, locked };
    RnnLmConfig {
        vocab_size: 9,
        input: Input::Embedding(4),
        cell: Cell::Lstm,
        hidden_sizes: vec![4, 4],
        biases: Biases::Two,
        tied: true,
        dropout: Dropout {
            input: site(0.2, false),
            between: site(0.0, false),
            output: site(0.5, true),
            ..Dropout::default()
        },
        adaptive_softmax: None,
        cell_options: CellOptions::default(),
    }
}
