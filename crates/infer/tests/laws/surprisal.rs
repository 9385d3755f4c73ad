//! Surprisals of words, tokens and characters.

use rondo_data::{Joints, Normalization, TextCodec, Tokenizer, Vocab};
use rondo_infer::{
    InferError, LanguageModel, ModelHandle, Normalizer, NormalizerStatistics, Passage, Region, RegionFault,
    RegionUnit, Start, SurprisalOptions, Surprisals, UnknownWords,
};
use rondo_nn::{Cell, Initialization, Initializer, Input};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;

use crate::{assert_close, log_probs_after, log_probs_of, numbers, pytorch_model, rnn_lm};

const WORDS: [&str; 9] = ["<unk>", "<eos>", "the", "cat", "sat", ",", ".", "'s", "mat"];
/// Characters, with another line end than the last id.
const CHARACTERS: [&str; 5] = ["a", "\n", "b", " ", "\u{a0}"];

fn vocab(tokens: &[&str]) -> Vocab {
    let unknown = tokens.contains(&"<unk>").then_some("<unk>");
    Vocab::from_tokens("test", tokens.iter().copied(), unknown).unwrap()
}

fn language_model(tokens: &[&str], tokenizer: Tokenizer) -> LanguageModel {
    let model = rnn_lm(Cell::Lstm, Input::Embedding(6), tokens.len());
    LanguageModel::new(model, TextCodec::new(tokenizer, vocab(tokens))).unwrap()
}

/// A model with the same tokens and other parameters.
fn another(model: &LanguageModel, seed: u64) -> LanguageModel {
    let mut other = rnn_lm(Cell::Lstm, Input::Embedding(6), model.codec().vocab().len());
    let initialization = Initialization {
        embedding: Initializer::Uniform(1.0),
        recurrent: Initializer::Uniform(0.6),
        decoder: Initializer::Uniform(1.5),
        bias: Initializer::Uniform(0.6),
    };
    other.initialize(&initialization, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
    LanguageModel::new(other, model.codec().clone()).unwrap()
}

fn bytes() -> LanguageModel {
    let all: Vec<String> = (0..=255_u8)
        .map(|byte| {
            let is_itself = byte == b' ' || byte.is_ascii_graphic();
            if is_itself { char::from(byte).to_string() } else { format!("<0x{byte:02X}>") }
        })
        .collect();
    language_model(&all.iter().map(String::as_str).collect::<Vec<_>>(), Tokenizer::bytes())
}

fn subwords(file: &str) -> LanguageModel {
    let codec = crate::subword_codec(file);
    let model = rnn_lm(Cell::Lstm, Input::Embedding(6), codec.vocab().len());
    LanguageModel::new(model, codec).unwrap()
}

fn moses() -> LanguageModel {
    language_model(&WORDS, Tokenizer::moses())
}

fn passages(texts: &[&str]) -> Vec<Passage> {
    texts.iter().map(|text| Passage { text: text.as_bytes().to_vec(), ..Passage::default() }).collect()
}

fn read(model: &LanguageModel, options: SurprisalOptions, texts: &[&str]) -> Vec<Vec<Region>> {
    Surprisals::new(std::slice::from_ref(model), options).unwrap().read(&passages(texts)).unwrap()
}

fn by(unit: RegionUnit) -> SurprisalOptions {
    SurprisalOptions { unit, ..SurprisalOptions::default() }
}

fn log_prob(region: &Region) -> f64 {
    region.scores[0].log_prob.unwrap()
}

fn sum(regions: &[Region]) -> f64 {
    regions.iter().map(log_prob).sum()
}

/// Texts with what is awkward in them.
const AWKWARD: [&str; 14] = [
    "the cat's mat.",
    "don't “quote” it — 'ever'",
    "a well-known — dash–y, 2,000.5 thing…",
    "Ça coûte cher, e\u{301}té",
    "in the U.S. they sat.",
    "zyzzyva the cat",
    "two  spaces   and ends ",
    " the",
    "<eos> in <eos> the text",
    "",
    "   ",
    "😀 👩‍👩‍👧 !",
    "tab\there, \u{a0}and\u{3000}there",
    "<unk> & <s> @-@ \u{1}",
];

fn models() -> Vec<LanguageModel> {
    let characters: Vec<String> = AWKWARD
        .concat()
        .chars()
        .chain(['\n'])
        .collect::<std::collections::BTreeSet<char>>()
        .into_iter()
        .map(String::from)
        .collect();
    let characters: Vec<&str> = characters.iter().map(String::as_str).collect();
    vec![
        language_model(&WORDS, Tokenizer::words()),
        moses(),
        language_model(&WORDS, Tokenizer::moses().with_joints(Joints::All).with_lowercase(true)),
        language_model(&WORDS, Tokenizer::words().with_normalization(Normalization::Nfkc)),
        language_model(&characters, Tokenizer::chars()),
        language_model(
            &["<unk>", "\n", "a", "t", " "],
            Tokenizer::chars().with_normalization(Normalization::Nfc),
        ),
        bytes(),
        subwords("byte_bpe.json"),
        subwords("sp_bytes.model"),
    ]
}

/// Whether the model predicts characters.
fn is_of_characters(model: &LanguageModel) -> bool {
    !model.codec().is_of_words() && !model.codec().is_of_subwords()
}

#[test]
fn the_surprisals_of_a_text_add_up_to_its_score() {
    for model in models() {
        let name = model.codec().tokenizer().to_string();
        let expected: Vec<f64> = AWKWARD
            .iter()
            .map(|text| {
                let line = model.codec().line_encoder("test").encode(text.as_bytes()).unwrap();
                let ids: Vec<u32> = model.codec().line_end().into_iter().chain(line.ids).collect();
                log_probs_of(model.handle(), &ids).iter().sum()
            })
            .collect();
        for unit in [RegionUnit::Word, RegionUnit::Token, RegionUnit::Character] {
            if unit == RegionUnit::Character && !is_of_characters(&model) {
                continue;
            }
            for batch_size in [1, 3, 32] {
                let options = SurprisalOptions { batch_size, ..by(unit) };
                let found = read(&model, options, &AWKWARD);
                for ((regions, text), expected) in found.iter().zip(AWKWARD).zip(&expected) {
                    let what = format!("{name}, {unit:?}, batch size {batch_size}, {text:?}");
                    if unit == RegionUnit::Character && text.contains('\u{301}') && name == "chars" {
                        // One token of the model that normalizes has two characters of the text.
                        continue;
                    }
                    assert!(
                        regions.iter().all(|region| region.scores[0].fault.is_none()),
                        "{what}: {regions:?}"
                    );
                    // Words that consist of control characters have no tokens.
                    let sum: f64 = regions.iter().filter_map(|region| region.scores[0].log_prob).sum();
                    assert_close(&what, sum, *expected, 1e-4 * (1.0 - expected));
                }
            }
        }
    }
}

#[test]
fn regions_cover_the_text_except_for_whitespace() {
    for model in models() {
        for (unit, split_punctuation) in [
            (RegionUnit::Word, false),
            (RegionUnit::Word, true),
            (RegionUnit::Token, false),
            (RegionUnit::Character, false),
        ] {
            if unit == RegionUnit::Character && !is_of_characters(&model) {
                continue;
            }
            let options = SurprisalOptions { split_punctuation, ..by(unit) };
            for (regions, text) in read(&model, options, &AWKWARD).iter().zip(AWKWARD) {
                let characters: Vec<char> = text.chars().collect();
                let (mut byte, mut character) = (0, 0);
                for region in regions {
                    assert!(
                        String::from_utf8_lossy(&text.as_bytes()[byte..region.bytes.start])
                            .chars()
                            .all(|char| char.is_whitespace() || char < ' ')
                    );
                    assert!(
                        characters[character.min(region.characters.start)..region.characters.start]
                            .iter()
                            .all(|char| char.is_whitespace() || *char < ' ')
                    );
                    if unit != RegionUnit::Token
                        || text.is_char_boundary(region.bytes.start)
                            && text.is_char_boundary(region.bytes.end)
                    {
                        let by_characters: String = characters[region.characters.clone()].iter().collect();
                        assert_eq!(by_characters, text[region.bytes.clone()]);
                    }
                    (byte, character) = (region.bytes.end, region.characters.end);
                }
                let end = regions.last().unwrap();
                assert!(end.is_end && end.bytes == (text.len()..text.len()), "{regions:?}");
                assert_eq!(end.characters.end, characters.len());
            }
        }
    }
}

#[test]
fn a_model_of_pytorch_says_the_same() {
    let golden =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/torch_surprisal.safetensors"))
            .unwrap();
    let golden = SafeTensors::deserialize(&golden).unwrap();
    let floats = |name: &str| numbers(&golden.tensor(name).unwrap(), f32::from_le_bytes);
    let ids = |name: &str| numbers(&golden.tensor(name).unwrap(), u32::from_le_bytes);

    let tokens: Vec<String> =
        (0..23).map(|id| if id == 1 { "<eos>".to_owned() } else { format!("w{id}") }).collect();
    let vocab = Vocab::from_tokens("test", tokens.iter().map(String::as_str), None).unwrap();
    let model =
        LanguageModel::new(pytorch_model(&golden), TextCodec::new(Tokenizer::words(), vocab)).unwrap();

    let texts: Vec<String> = [0, 1]
        .map(|number| {
            let ids = ids(&format!("{number}.ids"));
            ids[..ids.len() - 1].iter().map(|id| format!("w{id}")).collect::<Vec<_>>().join(" ")
        })
        .to_vec();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let without = read(&model, SurprisalOptions::default(), &texts);
    let with_states = SurprisalOptions { states: true, ..SurprisalOptions::default() };
    let mut reader = Surprisals::new(std::slice::from_ref(&model), with_states).unwrap();
    let parts = ["hidden/0", "cell/0", "hidden/1", "cell/1"].map(|name| (name.to_owned(), 9));
    assert_eq!(reader.state_parts(), parts);
    let with = reader.read(&passages(&texts)).unwrap();
    for (number, (regions, with)) in without.iter().zip(&with).enumerate() {
        let bits = |nats: f64| nats / std::f64::consts::LN_2;
        let expected = |name: &str| floats(&format!("{number}.{name}"));
        let (surprisals, entropies) = (expected("surprisal"), expected("entropy"));
        let (ranks, hidden, cell) = (ids(&format!("{number}.rank")), expected("hidden"), expected("cell"));
        assert_eq!(regions.len(), ranks.len());
        for (place, (region, with)) in regions.iter().zip(with).enumerate() {
            for score in [&region.scores[0], &with.scores[0]] {
                assert_close("surprisal", -bits(score.log_prob.unwrap()), surprisals[place].into(), 1e-5);
                assert_close("entropy", bits(score.entropy.unwrap()), entropies[place].into(), 1e-5);
                assert_eq!(score.rank, Some(ranks[place]));
            }
            assert!(region.scores[0].state.is_empty());
            let (hidden, cell) = (&hidden[18 * place..18 * (place + 1)], &cell[18 * place..18 * (place + 1)]);
            let expected = [&hidden[..9], &cell[..9], &hidden[9..], &cell[9..]].concat();
            assert_eq!(with.scores[0].state.len(), expected.len());
            for (&found, &expected) in with.scores[0].state.iter().zip(&expected) {
                assert_close("state", found.into(), expected.into(), 1e-5);
            }
        }
    }
}

/// Words of one to `longest` letters `a` and `b`.
fn all_words(longest: u32) -> Vec<String> {
    let words = |len: u32| {
        (0..1_u32 << len)
            .map(move |bits| (0..len).map(|place| if bits >> place & 1 == 0 { 'a' } else { 'b' }).collect())
    };
    (1..=longest).flat_map(words).collect()
}

/// The probabilities of all words and of the end add up to 1.
#[test]
fn words_of_characters_have_probabilities() {
    const LONGEST: u32 = 7;
    let model = language_model(&CHARACTERS, Tokenizer::chars());
    let separators = [1, 3, 4];
    let after = |text: &str| {
        let ids: Vec<u32> = format!("\n{text}")
            .chars()
            .map(|char| model.codec().vocab().id(&char.to_string()).unwrap())
            .collect();
        log_probs_after(model.handle(), &ids)
    };
    let share = |after: &[f64]| separators.iter().map(|&id: &usize| after[id].exp()).sum::<f64>();
    for (before, index) in [("", 0), ("ab", 1), ("b a", 2)] {
        let spaced =
            |word: &str| if before.is_empty() { word.to_owned() } else { format!("{before} {word}") };
        let texts: Vec<String> = all_words(LONGEST).iter().map(|word| spaced(word)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let words = read(&model, SurprisalOptions::default(), &texts);
        let mut total: f64 = words.iter().map(|regions| log_prob(&regions[index]).exp()).sum();
        // What is left: another separator at once, or a longer word.
        let first = after(&spaced(""));
        let (last, read) = (first.last().unwrap(), first.len() - 1);
        let known = |char: usize| {
            if before.is_empty() { 1.0 } else { first[read - 1][char].exp() / share(&first[read - 1]) }
        };
        total += known(3) * share(last);
        for word in all_words(LONGEST).iter().filter(|word| word.len() == LONGEST as usize) {
            let log_probs = after(&spaced(word));
            let letters: f64 = word
                .chars()
                .zip(&log_probs[read..])
                .map(|(char, after)| after[if char == 'a' { 0 } else { 2 }])
                .sum();
            total += known(3) * letters.exp() * (1.0 - share(log_probs.last().unwrap()));
        }
        if !before.is_empty() {
            // The end, and a separator that is not a space.
            let end = read_end(&model, before);
            assert_close("end", end, known(1), 1e-6);
            total += end + known(4);
        }
        assert_close(&format!("after {before:?}"), total, 1.0, 1e-5);
    }
}

fn read_end(model: &LanguageModel, text: &str) -> f64 {
    log_prob(read(model, SurprisalOptions::default(), &[text])[0].last().unwrap()).exp()
}

#[test]
fn context_is_read_and_not_scored() {
    let models = [moses(), subwords("byte_bpe.json"), language_model(&CHARACTERS, Tokenizer::chars())];
    for model in models {
        let (context, text) =
            if !is_of_characters(&model) { ("the cat", "sat mat") } else { ("ab a", "b ba") };
        let together = read(&model, SurprisalOptions::default(), &[&format!("{context} {text}")]);
        let passage = Passage { text: text.into(), context: context.into(), ..Passage::default() };
        let mut reader = Surprisals::new(std::slice::from_ref(&model), SurprisalOptions::default()).unwrap();
        let apart = reader.read(&[passage]).unwrap();
        let skipped = together[0].len() - apart[0].len();
        assert_eq!(skipped, 2);
        for (place, (apart, together)) in apart[0].iter().zip(&together[0][skipped..]).enumerate() {
            // The space before the first word is part of the context.
            if place > 0 || !is_of_characters(&model) {
                assert_close("region", log_prob(apart), log_prob(together), 1e-5);
            }
        }
        assert_eq!(apart[0][0].bytes.start, 0);
    }
}

#[test]
fn documents_carry_their_state() {
    let model = moses();
    let options = SurprisalOptions { carry_state: true, ..SurprisalOptions::default() };
    let texts = ["the cat sat.", "mat", "", "the mat", "cat's"];
    let continues = [false, true, true, false, true];
    let all: Vec<Passage> = passages(&texts)
        .into_iter()
        .zip(continues)
        .map(|(passage, continues)| Passage { continues, ..passage })
        .collect();
    let mut reader = Surprisals::new(std::slice::from_ref(&model), options).unwrap();
    // In two calls, the second of which continues the first.
    let mut found = reader.read(&all[..2]).unwrap();
    found.extend(reader.read(&all[2..]).unwrap());
    for document in [0..3, 3..5] {
        let ids: Vec<u32> = texts[document.clone()]
            .iter()
            .flat_map(|text| {
                let ids = model.codec().line_encoder("test").encode(text.as_bytes()).unwrap().ids;
                // A blank line has no tokens in running text.
                ids
            })
            .collect();
        let expected: f64 = log_probs_of(model.handle(), &[vec![1], ids].concat()).iter().sum();
        let sum: f64 = found[document].iter().map(|regions| sum(regions)).sum();
        assert_close("document", sum, expected, 1e-5 * (1.0 - expected));
    }
}

#[test]
fn a_text_that_follows_nothing_has_no_first_score() {
    let options = SurprisalOptions { start: Start::Zero, ..SurprisalOptions::default() };
    let model = moses();
    let regions = &read(&model, options.clone(), &["the cat sat"])[0];
    assert_eq!(regions[0].scores[0].log_prob, None);
    let expected = log_probs_of(model.handle(), &[2, 3, 4, 1]);
    for (region, expected) in regions[1..].iter().zip(expected) {
        assert_close("region", log_prob(region), expected, 1e-5);
    }
    // A model without a line end.
    let model = language_model(&["a", "b", " "], Tokenizer::chars());
    let regions = &read(&model, SurprisalOptions::default(), &["a b"])[0];
    assert_eq!((regions.len(), regions[0].scores[0].log_prob), (2, None));
    assert!(regions[1].scores[0].log_prob.is_some());
    let blank = &read(&model, SurprisalOptions::default(), &[""])[0];
    assert!(blank.len() == 1 && blank[0].is_end && blank[0].scores[0].log_prob == Some(0.0));
}

#[test]
fn unknown_words_are_marked_missing_or_shared() {
    let model = moses();
    let at = |unknown| {
        read(&model, SurprisalOptions { unknown, ..SurprisalOptions::default() }, &["the dog, <unk> cat"])
    };
    let [mark, missing, share] =
        [UnknownWords::Mark, UnknownWords::Missing, UnknownWords::Share(1000)].map(at);
    let unknown: Vec<usize> = mark[0].iter().map(|region| region.scores[0].unknown_tokens).collect();
    assert_eq!(unknown, [0, 1, 1, 0, 0]);
    for (place, &unknown) in unknown.iter().enumerate() {
        let [mark, missing, share] =
            [&mark, &missing, &share].map(|found| found[0][place].scores[0].log_prob);
        assert_eq!(missing, mark.filter(|_| unknown == 0));
        let expected = mark.unwrap() - if unknown > 0 { 1000.0_f64.ln() } else { 0.0 };
        assert_close("shared", share.unwrap(), expected, 1e-12);
    }
}

#[test]
fn frequencies_are_those_of_single_known_tokens() {
    let plain = moses();
    let counted = vocab(&WORDS).with_counts(vec![4, 10, 8, 2, 0, 4, 4, 0, 0]).unwrap();
    let model = plain.with_codec(TextCodec::new(Tokenizer::moses(), counted)).unwrap();
    let regions = &read(&model, SurprisalOptions::default(), &["the cat sat cat, dog"])[0];
    let found: Vec<Option<f64>> = regions.iter().map(|region| region.scores[0].log_frequency).collect();
    for (place, share) in [(0, 0.25), (1, 0.0625), (5, 0.3125)] {
        assert_close("frequency", found[place].unwrap().exp(), share, 1e-12);
    }
    assert_eq!([found[2], found[3], found[4]], [None; 3]);
    assert!(read(&plain, SurprisalOptions::default(), &["the"])[0][0].scores[0].log_frequency.is_none());
}

#[test]
fn a_character_without_id_is_impossible_and_left_out() {
    let model = language_model(&CHARACTERS, Tokenizer::chars());
    let [with, without] =
        ["ab axb b", "ab ab b"].map(|text| read(&model, SurprisalOptions::default(), &[text]).remove(0));
    assert_eq!(with[1].scores[0].log_prob, Some(f64::NEG_INFINITY));
    assert_eq!(with[1].scores[0].unknown_tokens, 1);
    for place in [0, 2, 3] {
        assert_close("others", log_prob(&with[place]), log_prob(&without[place]), 1e-6);
    }
}

#[test]
fn what_does_not_fit_is_reported() {
    let split = SurprisalOptions { split_punctuation: true, ..SurprisalOptions::default() };
    let regions = &read(&language_model(&WORDS, Tokenizer::words()), split, &["the cat, sat"])[0];
    let faults: Vec<Option<&RegionFault>> =
        regions.iter().map(|region| region.scores[0].fault.as_ref()).collect();
    let shared = RegionFault::SharedToken("cat,".to_owned());
    assert_eq!(faults, [None, Some(&shared), Some(&shared), None, None]);
    assert_eq!(regions[1].scores[0].log_prob, None);

    let of_words = language_model(&WORDS, Tokenizer::words());
    let error = |models: &[LanguageModel], options| Surprisals::new(models, options).unwrap_err();
    assert!(matches!(
        error(std::slice::from_ref(&of_words), by(RegionUnit::Character)),
        InferError::NoCharacters { .. }
    ));
    let both = [of_words, moses()];
    assert!(matches!(error(&both, by(RegionUnit::Token)), InferError::DifferentTokens { .. }));
    let ensemble = SurprisalOptions { ensemble: true, ..SurprisalOptions::default() };
    assert!(matches!(error(&both, ensemble), InferError::DifferentTokens { .. }));
    let states = SurprisalOptions { states: true, ..SurprisalOptions::default() };
    assert!(matches!(error(&both, states), InferError::OneModel { .. }));
    let share = SurprisalOptions { unknown: UnknownWords::Share(0), ..SurprisalOptions::default() };
    assert!(matches!(error(&both[..1], share), InferError::ZeroSize { .. }));
}

#[test]
fn an_ensemble_is_the_mean_of_probabilities() {
    let texts = ["ab ba", "b", "", "a  b"];
    let first = language_model(&CHARACTERS, Tokenizer::chars());
    let models = [first.clone(), another(&first, 11), another(&first, 12)];
    let options = SurprisalOptions { ensemble: true, unit: RegionUnit::Token, ..SurprisalOptions::default() };
    let found = Surprisals::new(&models, options.clone()).unwrap().read(&passages(&texts)).unwrap();
    for (regions, text) in found.iter().zip(texts) {
        let ids: Vec<u32> = format!("\n{text}\n")
            .chars()
            .map(|char| first.codec().vocab().id(&char.to_string()).unwrap())
            .collect();
        let after: Vec<_> =
            models.iter().map(|model| log_probs_after(model.handle(), &ids[..ids.len() - 1])).collect();
        for (place, region) in regions.iter().enumerate() {
            let mean: Vec<f64> = (0..CHARACTERS.len())
                .map(|id| after.iter().map(|after| after[place][id].exp()).sum::<f64>() / 3.0)
                .collect();
            let target = ids[place + 1] as usize;
            for (score, after) in region.scores.iter().zip(&after) {
                assert_close("model", score.log_prob.unwrap(), after[place][target], 1e-5);
            }
            let ensemble = &region.scores[3];
            assert_close("ensemble", ensemble.log_prob.unwrap(), mean[target].ln(), 1e-5);
            let entropy: f64 = mean.iter().map(|p| -p * p.ln()).sum();
            assert_close("entropy", ensemble.entropy.unwrap(), entropy, 1e-5);
            assert_eq!(
                ensemble.rank.unwrap() as usize,
                1 + mean.iter().filter(|&&p| p > mean[target]).count()
            );
        }
    }
    // By word, too: the parts add up.
    let by_word = SurprisalOptions { unit: RegionUnit::Word, ..options };
    let words = Surprisals::new(&models, by_word).unwrap().read(&passages(&texts)).unwrap();
    for (words, tokens) in words.iter().zip(&found) {
        for model in 0..4 {
            let total = |regions: &[Region]| {
                regions.iter().map(|region| region.scores[model].log_prob.unwrap()).sum::<f64>()
            };
            assert_close("sum", total(words), total(tokens), 1e-5);
        }
    }
}

/// The same model with the logits of all tokens and `e^bias` more in the sum.
fn approximate(model: &LanguageModel, bias: f32) -> LanguageModel {
    let vocab = model.codec().vocab().len() as u32;
    let width = model.model().decoder().unwrap().weight;
    let hidden = model.model().parameters().shape(width)[1];
    let normalizer = Normalizer {
        frequent: (0..vocab).collect(),
        hidden_weight: vec![0.0; hidden],
        hidden_bias: vec![0.0],
        output_weight: vec![0.0],
        output_bias: bias,
        statistics: NormalizerStatistics::default(),
    };
    model.with_normalizer(normalizer).approximate().unwrap()
}

#[test]
fn approximate_surprisals_are_those_of_the_normalizer() {
    let first = moses();
    let second = another(&first, 7);
    let models = [first.clone(), second.clone(), approximate(&first, -30.0), approximate(&second, 2.0)];
    let texts = ["the cat sat, the mat's.", "the dog", ""];
    let options = SurprisalOptions { ensemble: true, batch_size: 2, ..SurprisalOptions::default() };
    let mut surprisals = Surprisals::new(&models[2..], options).unwrap();
    let found = surprisals.read(&passages(&texts)).unwrap();
    let exact =
        Surprisals::new(&models[..2], SurprisalOptions::default()).unwrap().read(&passages(&texts)).unwrap();
    let mut scored = models[3].scorer(rondo_infer::Scoring { start: Some(1), ..Default::default() }).unwrap();
    for ((found, exact), text) in found.iter().zip(&exact).zip(texts) {
        let mut sums = [0.0; 2];
        for (found, exact) in found.iter().zip(exact) {
            let [a, b, mean] = [0, 1, 2].map(|place| found.scores[place].log_prob.unwrap());
            assert_close("all tokens are summed", a, exact.scores[0].log_prob.unwrap(), 1e-4);
            if found.scores[0].tokens == 1 {
                assert_close("mean", mean, ((a.exp() + b.exp()) / 2.0).ln(), 1e-4);
            }
            assert!(found.scores.iter().all(|score| score.entropy.is_none() && score.rank.is_none()));
            sums = [sums[0] + b, sums[1] + exact.scores[1].log_prob.unwrap()];
        }
        let line = models[3].codec().line_encoder("text").encode(text.as_bytes()).unwrap();
        let expected = scored.score(&[line.ids]).unwrap()[0].log_prob_sum;
        assert_close("a text", sums[0], expected, 1e-4);
        assert!(text.is_empty() || sums[0] < sums[1] - 0.1, "{sums:?}");
    }
    let check = models[2].normalizer_check().unwrap().here;
    assert!(check.positions > 0 && check.mean.abs() < 1e-4, "{check:?}");
    let characters = approximate(&language_model(&CHARACTERS, Tokenizer::chars()), 0.0);
    let error = Surprisals::new(std::slice::from_ref(&characters), by(RegionUnit::Word)).unwrap_err();
    assert!(matches!(error, InferError::NeedsDistribution { .. }), "{error}");
    assert!(sum(&read(&characters, by(RegionUnit::Character), &["ab a"])[0]).is_finite());
}

#[test]
fn models_with_different_tokens_stand_side_by_side() {
    let models = [
        moses(),
        language_model(&CHARACTERS, Tokenizer::chars()),
        language_model(&WORDS, Tokenizer::words()),
    ];
    let texts = ["ab a", "b", ""];
    let found =
        Surprisals::new(&models, SurprisalOptions::default()).unwrap().read(&passages(&texts)).unwrap();
    for (index, model) in models.iter().enumerate() {
        let alone = read(model, SurprisalOptions::default(), &texts);
        for (together, alone) in found.iter().flatten().zip(alone.iter().flatten()) {
            assert_eq!(together.bytes, alone.bytes);
            let (found, expected) = (&together.scores[index], &alone.scores[0]);
            assert_eq!((found.tokens, found.rank), (expected.tokens, expected.rank));
            assert_close("alone", found.log_prob.unwrap(), expected.log_prob.unwrap(), 1e-6);
        }
    }
}

#[test]
fn a_damaged_model_is_refused() {
    let codec = TextCodec::new(Tokenizer::words(), {
        let tokens: Vec<String> = (0..crate::VOCAB_SIZE).map(|id| format!("w{id}")).collect();
        Vocab::from_tokens("test", tokens.iter().map(String::as_str), None).unwrap()
    });
    let model = LanguageModel::new(crate::damaged_model(), codec).unwrap();
    let _: &ModelHandle = model.handle();
    let error = model.surprisals(&["w1 w2"]).unwrap_err();
    assert!(matches!(error, InferError::NonFiniteLogits));
}
