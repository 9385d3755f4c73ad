//! What other tools call our flags: the word_language_model example of PyTorch, the code of AWD-LSTM, GluonNLP, torch-rnn
//! and char-rnn, TheanoLM, fairseq, fastText, KenLM, and scripts of Hugging Face.

use clap::Command;

/// Our flags, each with the names it has elsewhere. Underscores there are hyphens here.
const NAMES: [(&str, &[&str]); 36] = [
    ("learning-rate", &["lr"]),
    ("optimizer", &["optim"]),
    ("momentum", &["mom"]),
    ("weight-decay", &["wdecay", "wd"]),
    ("decay-factor", &["lr-decay", "learning-rate-decay"]),
    ("clip-norm", &["clip", "grad-clip", "max-grad-norm", "clip-grad"]),
    ("activation-penalty", &["alpha"]),
    ("temporal-penalty", &["beta"]),
    ("averaging-patience", &["nonmono"]),
    ("cell", &["rnn-type", "cell-type"]),
    (
        "hidden-size",
        &["nhid", "rnn-size", "num-hidden", "hidden-dim", "hidden-units", "hid-size", "n-hidden"],
    ),
    ("embedding-size", &["emsize", "wordvec-size", "embed-size", "embedding-dim", "emb-size", "emb-dim"]),
    ("layers", &["nlayers", "num-layers", "n-layers", "n-layer"]),
    ("dropout-weights", &["wdrop", "weight-drop"]),
    ("dropout-words", &["dropoute"]),
    ("dropout-input", &["dropouti"]),
    ("dropout-between", &["dropouth"]),
    ("batch-size", &["bsz"]),
    (
        "bptt",
        &["bptt-len", "bptt-length", "seq-len", "seq-length", "sequence-length", "num-steps", "block-size"],
    ),
    ("epochs", &["epoch", "max-epoch", "max-epochs", "num-epochs", "n-epochs", "nepochs"]),
    ("train", &["train-file", "train-data", "train-text", "trainpref", "training-set", "train-path"]),
    (
        "valid",
        &[
            "valid-file",
            "valid-data",
            "validation",
            "val",
            "dev",
            "dev-file",
            "val-file",
            "validpref",
            "validation-file",
        ],
    ),
    ("test", &["test-file", "test-data", "testpref", "test-path"]),
    ("data", &["data-dir", "data-path", "corpus-file", "text-file"]),
    ("text-field", &["text-column", "text-key", "json-field", "jsonl-field", "column", "field"]),
    ("normalize", &["normalization", "unicode-normalization", "nfc", "nfkc"]),
    ("lowercase", &["lower", "lower-case", "do-lower-case"]),
    ("punctuation", &["remove-punctuation", "strip-punctuation"]),
    ("vocab-list", &["vocab-file", "vocab-path", "word-list", "wordlist", "limit-vocab-file"]),
    ("max-vocab-size", &["vocab-size", "max-vocab", "nwords"]),
    ("min-frequency", &["min-count", "min-freq", "mincount", "word-min-freq", "threshold"]),
    ("log-every", &["log-interval", "print-every"]),
    ("out", &["save", "save-dir", "checkpoint-dir"]),
    ("model", &["checkpoint", "load", "model-path"]),
    ("tokens", &["length", "words", "max-tokens", "max-new-tokens"]),
    ("prefix", &["prompt", "primetext", "start-text"]),
];

/// The flag of `command` that another tool calls `flag`.
pub(super) fn ours(flag: &str, command: &Command) -> Option<&'static str> {
    let flag = flag.trim_start_matches('-').replace('_', "-");
    let of_command = |name: &str| command.get_arguments().any(|argument| argument.get_long() == Some(name));
    let is_known_as = |(ours, theirs): &(&str, &[&str])| *ours == flag || theirs.contains(&flag.as_str());
    let candidates = NAMES.iter().filter(|names| is_known_as(names)).map(|&(ours, _)| ours);
    candidates.into_iter().find(|ours| of_command(ours))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn all_flags() -> Vec<String> {
        let command = crate::Cli::command();
        let arguments = command.get_subcommands().flat_map(Command::get_arguments);
        arguments.filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
    }

    #[test]
    fn all_names_lead_to_flags_and_none_is_one() {
        let flags = all_flags();
        for (ours, theirs) in NAMES {
            assert!(flags.iter().any(|flag| flag == ours), "there is no `--{ours}`");
            for name in theirs {
                let command = crate::Cli::command();
                let train = command.find_subcommand("train").unwrap();
                let taken = train.get_arguments().any(|argument| argument.get_long() == Some(name));
                assert!(!taken, "`--{name}` is a flag of ours");
            }
        }
    }

    #[test]
    fn a_flag_is_found_in_the_command_that_has_it() {
        let command = crate::Cli::command();
        let [train, generate] = ["train", "generate"].map(|name| command.find_subcommand(name).unwrap());
        assert_eq!(ours("--lr", train), Some("learning-rate"));
        assert_eq!(ours("--rnn_size", train), Some("hidden-size"));
        assert_eq!(ours("--batch_size", train), Some("batch-size"));
        assert_eq!(ours("--prompt", generate), Some("prefix"));
        for (theirs, expected) in [
            ("--emsize", "embedding-size"),
            ("--nhid", "hidden-size"),
            ("--bptt-len", "bptt"),
            ("--vocab-file", "vocab-list"),
            ("--text_column", "text-field"),
            ("--dev", "valid"),
        ] {
            assert_eq!(ours(theirs, train), Some(expected), "{theirs}");
        }
        assert_eq!(ours("--lr", generate), None);
        assert_eq!(ours("--unheard-of", train), None);
    }
}
