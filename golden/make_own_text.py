"""Writes the sentences, tokens and detokenized text of two books according to sacremoses and NLTK.

    python3 -m venv venv && venv/bin/pip install sacremoses==0.2.0 nltk==3.10.4
    venv/bin/python golden/make_own_text.py [--punkt-tab DIR] [--data ../shared/data]

`--punkt-tab` is NLTK's pretrained English model, a folder with `abbrev_types.txt` and three other tables:
`punkt_tab/english` of `nltk_data`. The tables are not included here: they were trained on the Wall Street Journal and
have no license of their own.

Writes to golden/own_text:
- `sentences.json`: passages of The Time Machine with NLTK's sentences, the tokens of each with
  `aggressive_dash_splits`, and the text detokenized from these tokens.
- `NAME.tsv`: one line per sentence of The Time Machine, split by NLTK's pretrained English model, and one line per 40
  sentences of Tiny Shakespeare, split by the parameters learned from that text. A line has the end of its last sentence
  (in bytes), the number of tokens, and the first eight digits of three SHA-256 hashes: of the tokens joined by line
  feeds, of the tokens with `aggressive_dash_splits`, and of the text detokenized from the latter.
- `NAME.trained.json`: the parameters that `PunktTrainer` learns from the text, and the resulting ends of the sentences
  as a hash.
"""

import argparse
import hashlib
import json
import pathlib
import platform

import nltk
import nltk.redos
import sacremoses
from nltk.tokenize import punkt

TEXTS = {
    "time-machine": "time-machine/timemachine-gutenberg.txt",
    "tiny-shakespeare": "tiny-shakespeare/input.txt",
}
nltk.redos.DEFAULT_TIMEOUT = None  # Five seconds are not enough for a whole book on a busy machine.
HERE = pathlib.Path(__file__).parent / "own_text"
MOSES = sacremoses.MosesTokenizer("en")
DETOKENIZER = sacremoses.MosesDetokenizer("en")
VERSIONS = {"python": platform.python_version(), "sacremoses": "0.2.0", "nltk": nltk.__version__}


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def pretrained(folder):
    def read(name):
        return (folder / name).read_text("utf-8").splitlines()

    parameters = punkt.PunktParameters()
    parameters.abbrev_types = set(read("abbrev_types.txt"))
    parameters.sent_starters = set(read("sent_starters.txt"))
    parameters.collocations = {tuple(line.split("\t")) for line in read("collocations.tab")}
    for line in read("ortho_context.tab"):
        word, flags = line.rsplit("\t", 1)
        parameters.ortho_context[word] = int(flags)
    return punkt.PunktSentenceTokenizer(parameters)


def tokens(sentence, **options):
    return MOSES.tokenize(sentence, escape=False, **options)


def rows(text, splitter, sentences_a_line):
    spans = [(start, end) for start, end in splitter.span_tokenize(text) if text[start:end].strip()]
    for first in range(0, len(spans), sentences_a_line):
        found, dashed, joined = [], [], []
        for start, end in spans[first : first + sentences_a_line]:
            found += tokens(text[start:end])
            words = tokens(text[start:end], aggressive_dash_splits=True)
            dashed += words
            joined.append(DETOKENIZER.detokenize(words, unescape=False))
        hashes = [sha("\n".join(lines))[:8] for lines in (found, dashed, joined)]
        yield "\t".join([str(len(text[:end].rstrip().encode())), str(len(found)), *hashes])


def learned(text, parameters):
    contexts = sorted(f"{word}\t{flags}" for word, flags in parameters.ortho_context.items() if flags)
    spans = punkt.PunktSentenceTokenizer(parameters).span_tokenize(text)
    ends = [len(text[:end].rstrip().encode()) for start, end in spans if text[start:end].strip()]
    return {
        "versions": VERSIONS,
        "abbreviations": sorted(parameters.abbrev_types),
        "collocations": sorted(map(list, parameters.collocations)),
        "starters": sorted(parameters.sent_starters),
        "orthography": {"words": len(contexts), "sha256": sha("\n".join(contexts))},
        "sentence_ends": {"sentences": len(ends), "sha256": sha("\n".join(map(str, ends)))},
    }


def passages(text, splitter):
    """Every eighth paragraph: a sample from the whole book."""
    paragraphs = [paragraph.strip() for paragraph in text.split("\n\n")]
    for paragraph in [paragraph for paragraph in paragraphs if paragraph.count(" ") > 12][::8]:
        sentences = []
        for sentence in splitter.tokenize(paragraph):
            dashed = tokens(sentence, aggressive_dash_splits=True)
            joined = DETOKENIZER.detokenize(dashed, unescape=False)
            sentences.append({"text": sentence, "tokens": " ".join(dashed), "detokenized": joined})
        yield {"text": paragraph, "sentences": sentences}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--punkt-tab", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("../shared/data"))
    arguments = parser.parse_args()
    splitter = pretrained(arguments.punkt_tab)
    HERE.mkdir(exist_ok=True)
    for name, path in TEXTS.items():
        text = (arguments.data / path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        parameters = punkt.PunktTrainer(text).get_params()
        own = punkt.PunktSentenceTokenizer(parameters)
        trained = json.dumps(learned(text, parameters), indent=1, ensure_ascii=False)
        (HERE / f"{name}.trained.json").write_text(trained + "\n")
        lines = rows(text, splitter, 1) if name == "time-machine" else rows(text, own, 40)
        (HERE / f"{name}.tsv").write_text("\n".join(lines) + "\n")
        if name == "time-machine":
            book = {"versions": VERSIONS, "passages": list(passages(text, splitter))}
            (HERE / "sentences.json").write_text(json.dumps(book, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
