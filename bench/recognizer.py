#!/usr/bin/env python3
"""Measures rescoring with a real recognizer: word errors of the recognizer, of n-best lists and of lattices.

    python3 bench/recognizer.py text shared/data speech           # texts to train on, sentences to speak
    rondo train --data speech/text --epochs 2 --max-vocab-size 20000 --softmax sampled:2048 --averaging tail:0.4 --out speech/run
    python bench/recognizer.py speak speech --count 240           # flite speaks, pocketsphinx recognizes
    python3 bench/recognizer.py measure speech --model speech/run # tunes on one half, measures on the other

`speak` needs the program flite (Debian's package of this name) and the Python package pocketsphinx 5. Sentences come
from the validation and test texts of Sherlock Holmes, which the model is not trained on; each is spoken by one of three
voices in turn. Every step is deterministic, and `speak` continues where it stopped.
"""

import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
from typing import Dict, Iterator, List

import environments
from running import RunError

VOICES = ["slt", "rms", "awb"]
SHORTEST, LONGEST = 4, 14
BEST = 50
SEED = 1
SUFFIXES = "s|t|ll|re|ve|d|m"


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure rescoring with a real recognizer")
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("text", help="write the texts to train on and the sentences to speak")
    step.add_argument("data", type=pathlib.Path, help="folder with wikitext-2 and sherlock-holmes")
    step.add_argument("out", type=pathlib.Path, help="folder of the experiment")
    step = steps.add_parser("speak", help="speak and recognize the sentences")
    step.add_argument("out", type=pathlib.Path, help="folder of the experiment")
    step.add_argument("--count", type=int, metavar="N", default=240, help="sentences [default: 240]")
    step = steps.add_parser("measure", help="rescore and compare")
    step.add_argument("out", type=pathlib.Path, help="folder of the experiment")
    step.add_argument("--model", required=True, help="model file or run folder")
    step.add_argument(
        "--trigram",
        action="store_true",
        help="also score the best paths of the lattices by the recognizer's own trigram model (needs pocketsphinx)",
    )
    step.add_argument("--rondo", metavar="PATH", help="Rondo program [default: built from the checkout]")
    given = parser.parse_args(arguments)
    try:
        {"text": write_texts, "speak": speak, "measure": measure}[given.step](given)
    except (RunError, OSError, subprocess.SubprocessError) as error:
        print("error: %s" % error, file=sys.stderr)
        return 1
    return 0


def sentences(text: str, ends: str = ".?!;") -> Iterator[str]:
    """The sentences of a text in lower case without punctuation, as a recognizer writes them."""
    text = re.sub(r"^ = .*$", ".", text.lower(), flags=re.MULTILINE).replace(" @-@ ", " ")
    text = re.sub(r"(\w) ?' (%s)\b" % SUFFIXES, r"\1'\2", text)
    text = re.sub(r"(\w) '(%s)\b" % SUFFIXES, r"\1'\2", text)
    for sentence in re.split("[%s]+(?:\\s|$)" % re.escape(ends), text.replace("\n", " ")):
        words = [word.strip("'") for word in re.findall(r"<unk>|[\w']+", sentence)]
        words = [word for word in words if word]
        if words:
            yield " ".join(words)


def write_texts(given: argparse.Namespace) -> None:
    def read(path: str) -> str:
        return (given.data / path).read_text(encoding="utf-8")

    sherlock = {part: read("sherlock-holmes/sherlockholmes.%s.txt" % part) for part in ["train", "valid", "test"]}
    train = [*sentences(read("wikitext-2/train.txt")), *2 * list(sentences(sherlock["train"]))]
    random.Random(SEED).shuffle(train)
    # Whole sentences without rare words are few, so clauses are spoken too.
    unseen = sherlock["valid"] + sherlock["test"]
    spoken = sorted(set(filter(can_be_spoken, sentences(unseen, '.?!;,"-'))))
    random.Random(SEED).shuffle(spoken)
    valid = list(sentences(read("wikitext-2/valid.txt")))[: len(spoken)] + list(sentences(sherlock["valid"]))
    text = given.out / "text"
    text.mkdir(parents=True, exist_ok=True)
    for name, lines in [("text/train.txt", train), ("text/valid.txt", valid), ("spoken.txt", spoken)]:
        (given.out / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    print("%d sentences to train on, %d that can be spoken" % (len(train), len(spoken)))


def can_be_spoken(sentence: str) -> bool:
    """Whether all words are known and none is a number, which a voice would spell in its own way."""
    return SHORTEST <= len(sentence.split()) <= LONGEST and re.fullmatch(r"[a-z' ]+", sentence) is not None


def speak(given: argparse.Namespace) -> None:
    import pocketsphinx

    spoken = (given.out / "spoken.txt").read_text(encoding="utf-8").splitlines()[: given.count]
    folder = given.out / "lattices"
    folder.mkdir(exist_ok=True)
    recognized = given.out / "recognized.jsonl"
    known = {json.loads(line)["id"] for line in recognized.open(encoding="utf-8")} if recognized.exists() else set()
    decoder = pocketsphinx.Decoder(samprate=16000, loglevel="FATAL")
    with recognized.open("a", encoding="utf-8") as out, tempfile.TemporaryDirectory() as place:
        wave = pathlib.Path(place) / "spoken.wav"
        for number, text in enumerate(spoken):
            name = "utt%04d" % number
            if name in known:
                continue
            voice = VOICES[number % len(VOICES)]
            subprocess.run(["flite", "-voice", voice, "-o", str(wave), text], check=True, capture_output=True)
            start = time.perf_counter()
            decoder.start_utt()
            decoder.process_raw(wave.read_bytes()[44:], full_utt=True)
            decoder.end_utt()
            seconds = time.perf_counter() - start
            best = decoder.hyp()
            lists: Dict[str, float] = {}
            for one in decoder.nbest():
                if one is None or len(lists) >= BEST:
                    break
                lists.setdefault(one.hypstr, one.score)
            decoder.get_lattice().write_htk(str(folder / (name + ".slf")))
            record = {
                "id": name,
                "reference": text,
                "recognized": best.hypstr if best else "",
                "seconds": round(seconds, 3),
                "nbest": [[text, score] for text, score in lists.items()],
            }
            out.write(json.dumps(record) + "\n")
            out.flush()


def measure(given: argparse.Namespace) -> None:
    rondo = given.rondo or environments.build_rondo(3600)
    with (given.out / "recognized.jsonl").open(encoding="utf-8") as lines:
        all_records = [json.loads(line) for line in lines]
    halves = [all_records[0::2], all_records[1::2]]
    folder = given.out / "work"
    folder.mkdir(exist_ok=True)
    for name, records in zip(["tune", "test"], halves):
        write_inputs(given.out, folder, name, records)
    references = {one["id"]: one["reference"] for one in halves[1]}
    recognized = {one["id"]: one["recognized"] for one in halves[1]}
    oracle = sum(min(edits(one["reference"], text) for text, _ in one["nbest"] or [["", 0]]) for one in halves[1])
    words = sum(len(text.split()) for text in references.values())
    rows = [("pocketsphinx", rate(errors(references, recognized), words), "")]
    shared = ["--model", given.model]
    sides = {
        "n-best lists (%d)" % BEST: lambda half: [str(folder / (half + ".tsv"))],
        "lattices": lambda half: ["--format", "slf", "--file-list", str(folder / (half + ".files"))],
    }
    tuned = {}
    for name, inputs in sides.items():
        flags = tuned[name] = tune(rondo, [*shared, *inputs("tune")], folder)
        start = time.perf_counter()
        best, _ = run(rondo, [*shared, *inputs("test"), *flags, "--best"])
        seconds = (time.perf_counter() - start) / len(references)
        rows.append((name, rate(errors(references, texts(best)), words), "%.0f ms" % (1000 * seconds)))
    if given.trigram:
        trigram = Trigram()
        for half in ["tune", "test"]:
            inputs = [*shared, *sides["lattices"](half), *tuned["lattices"]]
            (folder / (half + ".paths")).write_text(trigram.add_to(run(rondo, [*inputs, "--json"])[0]), encoding="utf-8")
        flags = tune(rondo, [*shared, str(folder / "tune.paths"), "--format", "tsv"], folder)
        best, _ = run(rondo, [*shared, str(folder / "test.paths"), "--format", "tsv", *flags, "--best"])
        rows.append(("best 100 paths, with the trigram", rate(errors(references, texts(best)), words), ""))
    rows.append(("best of each n-best list", rate(oracle, words), ""))
    print("%d utterances, %d words; tuned on %d others" % (len(references), words, len(halves[0])))
    print("| hypotheses | word errors | time per utterance |\n|---|---:|---:|")
    for row in rows:
        print("| %s | %s | %s |" % row)


def write_inputs(out: pathlib.Path, folder: pathlib.Path, name: str, records: List[dict]) -> None:
    def write(ending: str, lines: List[str]) -> None:
        (folder / (name + ending)).write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    write(".ref", ["%s\t%s" % (one["id"], one["reference"]) for one in records])
    write(".files", [str(out / "lattices" / (one["id"] + ".slf")) for one in records])
    write(".tsv", ["%s\t%s\t%s" % (one["id"], score, text) for one in records for text, score in one["nbest"]])


def tune(rondo: str, arguments: List[str], folder: pathlib.Path) -> List[str]:
    """The flags of the weights that are best for the half for tuning."""
    tuned = weights(run(rondo, [*arguments, "--reference", str(folder / "tune.ref"), "--best"])[1])
    flags = ["--weight", tuned.pop("weight"), "--word-bonus", tuned.pop("word bonus")]
    for score, weight in tuned.items():
        flags += ["--weight", "%s=%s" % (score.replace("weight of ", ""), weight)]
    return flags


def texts(best: str) -> Dict[str, str]:
    """The best text of each id. A line of a list is id, scores and text; of a lattice, id and text."""
    lines = [re.split(r"\t.*\t| ", line + " ", maxsplit=1) for line in best.splitlines()]
    return {line[0]: line[1] for line in lines}


class Trigram:
    """The language model of the recognizer, which its lattices do not have the scores of."""

    def __init__(self) -> None:
        import pocketsphinx

        self.math = pocketsphinx.LogMath()
        path = pocketsphinx.get_model_path("en-us/en-us.lm.bin")
        self.model = pocketsphinx.NGramModel(pocketsphinx.Config(lm=None, loglevel="FATAL"), self.math, path)

    def log_prob(self, text: str) -> float:
        """The natural logarithm of the probability of a sentence."""
        words = ["<s>", *text.split(), "</s>"]
        # The word comes first, then its history, the latest word first.
        ngrams = [words[max(0, at - 2) : at + 1][::-1] for at in range(1, len(words))]
        return sum(self.math.log_to_ln(self.model.prob(ngram)) for ngram in ngrams)

    def add_to(self, paths: str) -> str:
        """The paths that `rondo rescore --json` has found, as a list with the acoustic and the trigram's score."""
        lines = []
        for one in map(json.loads, paths.splitlines()):
            scores = (one["scores"]["acoustic"], one["scores"]["posterior"], self.log_prob(one["text"]))
            lines.append("\t".join([one["id"], *map(str, scores), one["text"]]) + "\n")
        return "".join(lines)


def run(rondo: str, arguments: List[str]) -> "tuple[str, str]":
    done = subprocess.run([rondo, "rescore", *arguments], capture_output=True, encoding="utf-8")
    if done.returncode != 0:
        raise RunError(done.stderr)
    return done.stdout, done.stderr


def weights(report: str) -> Dict[str, str]:
    """The weights that `rondo rescore` has tuned, as it prints them."""
    columns = [re.split(r"  +", line.strip()) for line in report.splitlines()]
    return {one[0]: one[1] for one in columns if len(one) == 3 and one[2] in ("tuned", "given")}


def errors(references: Dict[str, str], found: Dict[str, str]) -> int:
    return sum(edits(text, found.get(name, "")) for name, text in references.items())


def edits(reference: str, text: str) -> int:
    """The fewest substitutions, deletions and insertions of words."""
    words, row = text.split(), list(range(len(text.split()) + 1))
    for word in reference.split():
        before = row
        row = [before[0] + 1]
        for place, other in enumerate(words):
            row.append(min(row[-1] + 1, before[place + 1] + 1, before[place] + (word != other)))
    return row[-1]


def rate(errors: int, words: int) -> str:
    return "%.1f %% (%d)" % (100 * errors / words, errors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
