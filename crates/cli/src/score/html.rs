//! An HTML page that colors each token by its surprisal.
//!
//! ```text
//! text ─ lines ─ tokens ─ Predictor ─▶ surprisal = −log₂ p(token | all before it), in bits
//!                                   └▶ the most likely tokens in its place, for the tooltip
//! ```
//!
//! Promises: the page is self-contained and has no script; colors are one hue of increasing strength, readable with any
//! color vision and on a light or dark background; the text is escaped and never interpreted as markup.

use std::path::Path;

use anyhow::Result;
use rondo_data::{EncodedLine, TextCodec};
use rondo_infer::{Candidate, Evaluation};
use rondo_runs::{Perplexity, write_atomically};

use super::ScoreArgs;
use crate::console::Console;
use crate::describe;
use crate::input::Input;
use crate::lines::LineBatches;
use crate::model_args::Loaded;

/// Bits per step of color; the last step has no upper limit.
const BITS_PER_STEP: f64 = 2.0;
const STEPS: usize = 8;

/// Number of most likely tokens in a tooltip.
const LIKELIEST: usize = 3;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:17px/1.9 Georgia,serif;max-width:52em;margin:2em auto;padding:0 1em}\
h1{font-size:1.3em;margin:0}\
header p{font:14px/1.5 system-ui,sans-serif;margin:.4em 0}\
ol{list-style:none;padding:0;margin:1.5em 0}\
li{white-space:pre-wrap;overflow-wrap:anywhere;padding-left:3.5em;position:relative}\
li::before{content:attr(value);position:absolute;left:0;width:2.7em;text-align:right;font:12px/2.7 system-ui,sans-serif;opacity:.6}\
b{font-weight:inherit;border-radius:3px;padding:.1em 0}\
header b{padding:.1em .6em}\
.u{text-decoration:underline dotted 2px}\
.n{opacity:.6}\
";

/// The content of a page, line by line.
struct Page<'a> {
    codec: &'a TextCodec,
    lines: String,
    evaluation: Evaluation,
    unknown_words: u64,
}

/// The model's prediction in the place of a token.
struct Guess {
    log_prob: f64,
    most_likely: Vec<Candidate>,
}

/// Writes the page for these texts to the file `to`. Returns the number of lines with tokens that have no id: they are
/// shown, and not read.
pub(super) fn write(inputs: &[Input], args: &ScoreArgs, loaded: &Loaded, to: &Path) -> Result<u64> {
    let console = Console::new(false);
    let codec = loaded.codec();
    let start = codec.line_end();
    let mut page = Page::new(codec);
    let mut impossible = 0;
    for input in inputs {
        let origin = input.origin();
        // No state crosses from one file to the next.
        let mut predictor = loaded.model.predictor();
        // The token that the next one follows; it is read when there is one.
        let mut last = start;
        let mut encoder = codec.line_encoder(&origin);
        let mut batches = LineBatches::open(input, loaded.text_field.as_deref(), Some(codec), console)?;
        loop {
            let lines = batches.next()?;
            if lines.is_empty() {
                break;
            }
            for line in lines {
                let line = encoder.encode(&line)?;
                super::check(&line, &origin, args.strict)?;
                if !line.missing.is_empty() {
                    impossible += 1;
                    page.add(&line, &[]);
                    continue;
                }
                if !args.carry_state {
                    predictor.restart();
                    last = start;
                }
                let ids: Vec<u32> = last.iter().chain(&line.ids).copied().collect();
                let mut guesses = Vec::new();
                if let [read @ .., _] = ids.as_slice() {
                    predictor.read(read, |place, distribution| {
                        let log_prob = distribution.log_prob(ids[place + 1]);
                        let most_likely = distribution.most_likely(LIKELIEST, |_| true);
                        guesses.push(Guess { log_prob, most_likely });
                    })?;
                }
                last = ids.last().copied();
                page.add(&line, &guesses);
            }
        }
    }
    let title = inputs.iter().map(Input::origin).collect::<Vec<_>>().join(", ");
    let html = page.html(&title, &loaded.path.display().to_string(), args.carry_state);
    write_atomically(to, |file| file.write_all(html.as_bytes()))?;
    console.say(&format!("wrote `{}`", to.display()));
    Ok(impossible)
}

impl<'a> Page<'a> {
    fn new(codec: &'a TextCodec) -> Self {
        let evaluation = Evaluation { nll_sum: 0.0, tokens: 0 };
        Page { codec, lines: String::new(), evaluation, unknown_words: 0 }
    }

    /// Adds a line; `guesses` are for its last tokens, the others were only read.
    fn add(&mut self, line: &EncodedLine, guesses: &[Guess]) {
        let words = self.codec.is_of_words();
        let read_only = line.tokens.len() - guesses.len();
        // The same word within the line is a word, as in the scores.
        let end =
            self.codec.tokenizer().eos().filter(|eos| line.tokens.last().is_some_and(|last| last == *eos));
        let mut ids = line.ids.iter();
        self.lines += &format!("<li value=\"{}\">", line.number);
        for (place, token) in line.tokens.iter().enumerate() {
            if words && place > 0 {
                self.lines.push(' ');
            }
            let guess = place.checked_sub(read_only).and_then(|place| guesses.get(place));
            let id = if line.missing.iter().any(|missing| missing == token) { None } else { ids.next() };
            let unknown = id.is_none_or(|&id| Some(id) == self.codec.unknown_id());
            let mut class = guess.map_or("n".to_owned(), |guess| format!("s{}", step(guess.log_prob)));
            if unknown {
                class += " u";
            }
            let shown = match end {
                Some(eos) if token == eos && place + 1 < line.tokens.len() => token.to_owned(),
                _ => shown(token, self.codec),
            };
            let tip = escaped(&self.tooltip(&shown, guess, unknown, !line.missing.is_empty()));
            let shown = escaped(&shown);
            self.lines += &format!("<b class=\"{class}\" title=\"{tip}\">{shown}</b>");
        }
        self.lines += "</li>\n";
        self.unknown_words += line.out_of_vocab_tokens;
        self.evaluation.tokens += guesses.len() as u64;
        self.evaluation.nll_sum -= guesses.iter().map(|guess| guess.log_prob).sum::<f64>();
    }

    /// What is said about a token; `impossible` if its line has probability 0.
    fn tooltip(&self, shown_token: &str, guess: Option<&Guess>, unknown: bool, impossible: bool) -> String {
        let mut tip = shown_token.to_owned();
        if unknown {
            tip += "\nnot in the vocabulary";
        }
        let Some(Guess { log_prob, most_likely }) = guess else {
            return tip
                + if impossible { "\nnot read: the line has probability 0" } else { "\nread, not scored" };
        };
        tip += &format!("\n{:.2} bits, probability {}", bits(*log_prob), probability(*log_prob));
        let candidate = |candidate: &Candidate| {
            let token = self.codec.vocab().token(candidate.id).unwrap_or_default();
            format!("{} {}", shown(token, self.codec), probability(candidate.log_prob))
        };
        tip + "\nmost likely: " + &most_likely.iter().map(candidate).collect::<Vec<_>>().join(", ")
    }

    fn html(&self, title: &str, model: &str, carry_state: bool) -> String {
        let context = if carry_state { "all preceding text" } else { "the preceding tokens of its line" };
        let (title, model) = (escaped(title), escaped(model));
        let color = |step: usize| format!(".s{step}{{background:rgb(230 97 1/{}%)}}", 10 * step);
        let colors: String = (0..STEPS).map(color).collect();
        let swatch = |step: usize| {
            let last = if step + 1 == STEPS { "+" } else { "" };
            format!("<b class=\"s{step}\">{}{last}</b>", BITS_PER_STEP * step as f64)
        };
        let legend: String = (0..STEPS).map(swatch).collect();
        let perplexity = Perplexity::from_nll_mean(self.evaluation.nll_mean());
        let bits = self.evaluation.bits_per_token();
        let tokens = describe::count(self.evaluation.tokens as usize);
        let unknown_words = describe::count(self.unknown_words as usize);
        let lines = &self.lines;
        format!(
            "<!DOCTYPE html>\n\
            <html lang=\"und\">\n<head>\n<meta charset=\"utf-8\">\n\
            <meta name=\"viewport\" content=\"width=device-width\">\n\
            <title>{title}: surprisal</title>\n<style>{STYLE}{colors}</style>\n</head>\n<body>\n<header>\n\
            <h1>{title}</h1>\n\
            <p>Each token is colored by its surprisal (−log₂ of its probability) under <i>{model}</i>, given \
            {context}.</p>\n\
            <p>perplexity <strong>{perplexity}</strong> · <strong>{bits:.3}</strong> bits per token · \
            {tokens} tokens · <span class=\"u\">out-of-vocabulary words</span> {unknown_words}</p>\n\
            <p>bits {legend}</p>\n</header>\n<ol>\n{lines}</ol>\n</body>\n</html>\n"
        )
    }
}

fn bits(log_prob: f64) -> f64 {
    // 0 − x, for −x would make a certain token's zero a negative one.
    0.0 - log_prob / std::f64::consts::LN_2
}

/// The step of color for a token.
fn step(log_prob: f64) -> usize {
    ((bits(log_prob) / BITS_PER_STEP) as usize).min(STEPS - 1)
}

/// A probability in three digits.
fn probability(log_prob: f64) -> String {
    let probability = log_prob.exp();
    if probability >= 0.001 { format!("{probability:.3}") } else { format!("{probability:.1e}") }
}

/// A token in visible form: a line end would be invisible.
fn shown(token: &str, codec: &TextCodec) -> String {
    match codec.join([token]).as_str() {
        "\n" => "⏎".to_owned(),
        "\r" => "␍".to_owned(),
        _ => token.to_owned(),
    }
}

/// A text as HTML, in an element or between double quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\n' => html.push_str("&#10;"),
            // Control characters are not allowed in HTML.
            char if char.is_control() && char != '\t' => html.push('\u{fffd}'),
            char => html.push(char),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use rondo_data::{Tokenizer, Vocab};

    use super::*;

    #[test]
    fn no_text_is_taken_for_markup() {
        assert_eq!(escaped("a<b>&\"\n\u{1}"), "a&lt;b&gt;&amp;&quot;&#10;\u{fffd}");
        let vocab = Vocab::from_tokens("test", ["<unk>", "<eos>", "a"], Some("<unk>")).unwrap();
        let codec = TextCodec::new(Tokenizer::default(), vocab);
        let mut page = Page::new(&codec);
        let tokens = ["<script>", "a", "<eos>"].into_iter().collect();
        let line = EncodedLine {
            number: 3,
            tokens,
            ids: vec![0, 2, 1],
            out_of_vocab_tokens: 1,
            ..EncodedLine::default()
        };
        let guess = |id, log_prob: f64| Guess {
            log_prob,
            most_likely: vec![Candidate { id, log_prob: 0.5_f64.ln() }],
        };
        page.add(&line, &[guess(0, 1e-9_f64.ln()), guess(2, 0.0)]);
        let html = page.html("a & b.txt", "<m>", false);
        assert!(
            !html.contains("<script>")
                && html.contains("<h1>a &amp; b.txt</h1>")
                && html.contains("&lt;m&gt;")
        );
        // The first was only read; the second is a great surprise, the last is none.
        assert!(html.contains(
            "<b class=\"n u\" title=\"&lt;script&gt;&#10;not in the vocabulary&#10;read, not scored\">"
        ));
        assert!(html.contains("<b class=\"s7\" title=\"a&#10;29.90 bits, probability 1.0e-9&#10;most likely: &lt;unk&gt; 0.500\">a</b>"));
        assert!(html.contains(
            "<b class=\"s0\" title=\"⏎&#10;0.00 bits, probability 1.000&#10;most likely: a 0.500\">⏎</b>"
        ));
        assert!(html.contains("<strong>14.949</strong> bits per token · 2 tokens"));
    }

    #[test]
    fn a_line_end_is_shown_as_one_only_at_the_end_of_the_line() {
        let vocab = Vocab::from_tokens("test", ["<unk>", "<eos>", "a"], Some("<unk>")).unwrap();
        let codec = TextCodec::new(Tokenizer::default(), vocab);
        let mut page = Page::new(&codec);
        let line = codec.line_encoder("test").encode(b"<eos> a").unwrap();
        page.add(&line, &[]);
        let shown = [
            ("n u", "&lt;eos&gt;&#10;not in the vocabulary", "&lt;eos&gt;"),
            ("n", "a", "a"),
            ("n", "⏎", "⏎"),
        ];
        let tokens = shown.map(|(class, tip, token)| {
            format!("<b class=\"{class}\" title=\"{tip}&#10;read, not scored\">{token}</b>")
        });
        assert_eq!(page.lines, format!("<li value=\"1\">{}</li>\n", tokens.join(" ")));
    }

    #[test]
    fn colors_grow_with_the_bits() {
        let steps = [0.0, -1.9, -2.1, -13.9, -14.1, -500.0, f64::NEG_INFINITY]
            .map(|bits| step(bits * std::f64::consts::LN_2));
        assert_eq!(steps, [0, 0, 1, 6, 7, 7, 7]);
    }
}
