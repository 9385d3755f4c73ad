"""The package: training, models, errors."""

from __future__ import annotations

import doctest
import math
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import rondo
from rondo._progress import Notebook, Terminal

sys.path.append(str(Path(__file__).parent.parent / "examples"))
import beam_search  # noqa: E402

LINES = ["the cat sat on the mat", "a dog sat on a log", "the dog saw a cat", "a cat saw the dog"] * 60
SMALL = {"hidden_size": 16, "layers": 1, "epochs": 3, "batch_size": 4, "bptt": 8, "optimizer": "adam", "threads": 1}


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> rondo.History:
    return rondo.train(LINES, out=tmp_path_factory.mktemp("runs") / "run", progress=False, learning_rate=0.02, **SMALL)


@pytest.fixture
def model(history: rondo.History) -> rondo.LanguageModel:
    assert history.model is not None
    return history.model


def test_training_lowers_the_loss_and_leaves_a_run(history: rondo.History) -> None:
    losses = [epoch["train_loss"] for epoch in history.epochs]
    assert len(losses) == 3 and losses == sorted(losses, reverse=True)
    assert history.results["steps"] > 0 and not history.results["interrupted"]
    assert (history.folder / "best.safetensors").exists()
    assert "<svg" in (history._repr_svg_() or "")
    again = rondo.open(history.folder)
    assert history.model is not None
    assert again.score(LINES[:3]).tolist() == history.model.score(LINES[:3]).tolist()


def test_data_can_be_a_path_a_text_or_a_corpus(tmp_path: Path) -> None:
    text = "".join(f"{line}\n" for line in LINES)
    (tmp_path / "text.txt").write_text(text)
    flags = {**SMALL, "epochs": 1, "max_steps": 5}
    scores = []
    for number, data in enumerate([tmp_path / "text.txt", str(tmp_path / "text.txt"), text, iter(LINES)]):
        history = rondo.train(data, out=tmp_path / f"run{number}", progress=False, **flags)
        assert history.model is not None
        scores.append(history.model.score("the cat sat"))
    assert len(set(scores)) == 1
    assert "ptb" in rondo.data.corpora()


def test_a_run_resumes(tmp_path: Path) -> None:
    flags = {**SMALL, "epochs": 2}
    whole = rondo.train(LINES, out=tmp_path / "whole", progress=False, **flags)
    part = rondo.train(
        LINES,
        out=tmp_path / "part",
        progress=False,
        callbacks=[lambda event: event["kind"] != "batch" or event["step"] < 20],
        **flags,
    )
    assert part.results["interrupted"] and part.results["steps"] == 20
    resumed = rondo.train(out=tmp_path / "part", resume=True, progress=False)
    assert not resumed.results["interrupted"]
    assert resumed.results["valid_loss"] == whole.results["valid_loss"]


def test_exceptions_of_callbacks_and_data_are_raised(tmp_path: Path) -> None:
    def fail(event: rondo.Event) -> None:
        if event["kind"] == "batch":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rondo.train(LINES, out=tmp_path / "a", progress=False, callbacks=[fail], **SMALL)

    def lines():
        yield from LINES
        raise LookupError("no more")

    with pytest.raises(LookupError):
        rondo.train(lines(), out=tmp_path / "b", progress=False, **SMALL)


def test_mistakes_have_the_messages_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="unknown setting `hiden_size`; did you mean `hidden_size`?"):
        rondo.train(LINES, hiden_size=3)
    with pytest.raises(rondo.TrainingError, match="cell"):
        rondo.train(LINES, cell="transformer")
    with pytest.raises(rondo.TextError, match="missing.txt"):
        rondo.train(tmp_path / "missing.txt")
    with pytest.raises(rondo.ModelError, match="missing"):
        rondo.open(tmp_path / "missing")
    with pytest.raises(rondo.ModelError, match="expected `cpu`, `gpu`, `gpu:N` or `auto`"):
        rondo.open(tmp_path, device="cuda")
    (tmp_path / "broken.safetensors").write_bytes(b"no model")
    with pytest.raises(rondo.RondoError, match="broken.safetensors"):
        rondo.open(tmp_path / "broken.safetensors")


def test_scores_agree_with_each_other(model: rondo.LanguageModel) -> None:
    texts = ["the cat sat on the mat", "", "mat zebra the"]
    scores = model.score(texts)
    assert scores.dtype == np.float64 and scores.shape == (3,)
    for text, score in zip(texts, scores):
        tokens = model.full_scores(text)
        assert math.isclose(sum(log_prob for _, log_prob, _ in tokens), score, rel_tol=1e-5)
        assert math.isclose(model.perplexity(text), math.exp(-score / len(tokens)), rel_tol=1e-6)
        assert model.score(text) == pytest.approx(score)
    assert [unknown for _, _, unknown in model.full_scores("mat zebra the")] == [False, True, False, False]
    assert scores[0] > model.score("mat the on sat cat the")
    words = model.surprisals(texts[:1])[0]
    assert [word for word, _ in words][:2] == ["the", "cat"]
    bits = sum(bits for _, bits in words if bits is not None)
    assert math.isclose(bits * math.log(2), -scores[0], rel_tol=1e-5)
    text = "\n".join(LINES)
    plain, cached = model.evaluate(text), model.evaluate(text, cache=100, theta=0.3, weight=0.1)
    assert plain["perplexity"] < 10
    # A text is read in one column, so that the cache has all that comes before.
    unused = model.evaluate(text, cache=100, weight=0)
    assert cached["tokens"] == unused["tokens"] == sum(len(line.split()) + 1 for line in LINES) - 1
    assert unused["loss"] == pytest.approx(plain["loss"], rel=0.05) and cached["loss"] != unused["loss"]
    with pytest.raises(rondo.ModelError, match="lambda|weight"):
        model.evaluate(text, cache=100, weight=1.5)


def test_texts_are_generated_and_completed(model: rondo.LanguageModel) -> None:
    text = model.generate("the cat", max_tokens=5, seed=3)
    assert text == model.generate("the cat", max_tokens=5, seed=3)
    pieces = list(model.stream("the cat", max_tokens=5, seed=3))
    assert "".join(piece for piece, _, _, _ in pieces) == text
    assert [stop for _, _, _, stop in pieces] == [None] * 4 + ["length"]
    assert model.generate("the", temperature=0, stop="sat", max_tokens=50).count("sat") == 0
    words = model.complete("the", 3)
    assert len(words) == 3 and words == sorted(words, key=lambda word: -word[1])
    with pytest.raises(TypeError, match="did you mean `temperature`?"):
        model.generate("the", temprature=1)  # type: ignore[call-arg]


def test_suggestions_follow_a_text_and_preferences(model: rondo.LanguageModel) -> None:
    assert model.line_end is not None
    ids = [model.line_end, *model.encode("the")]
    states, rows = [model.begin()], np.empty((0, 0))
    for token in ids:
        states, rows = model.advance(states, [token])
    expected = {word: float(log_prob) for word, log_prob in zip(model.vocab, rows[0]) if word not in ("<unk>", "<eos>")}
    everything = dict(model.complete("the", 100))
    assert everything == pytest.approx(expected, abs=1e-5)

    # A text that grows, is corrected, and ends in a part of a word.
    suggester = model.suggester()
    for text in ["t", "the", "the ", "the c", "the cat s", "the d", "a"]:
        found = suggester.suggest(text, 3)
        assert found == model.complete(text, 3, partial=True)
        assert found and all(word.startswith(text.rpartition(" ")[2]) for word, _ in found)
    assert suggester.suggest("the", partial=False) == model.complete("the") != suggester.suggest("the")

    first, second = (word for word, _ in model.complete("the", 2))
    for excluded in [[first], {first}, (word for word in [first])]:
        assert model.suggester(exclude=excluded).suggest("the ")[0][0] == second
    assert model.complete("the", 1, exclude=[first])[0][0] == second
    capital = model.suggester(capitalize=True, words_only=True)
    assert [word for word, _ in capital.suggest("The c", 1)] == ["cat"]
    assert [word for word, _ in capital.suggest("Th", 1)] == ["The"]

    own = model.suggester(user_words={"cat": 1, "zebra": 3.0}, user_weight=0.5)
    probabilities = {word: math.exp(log_prob) for word, log_prob in own.suggest("the ", 100)}
    assert probabilities["zebra"] == pytest.approx(0.5 * 3 / 4)
    assert probabilities["cat"] == pytest.approx(0.5 * math.exp(everything["cat"]) + 0.5 / 4)
    assert probabilities["dog"] == pytest.approx(0.5 * math.exp(everything["dog"]))
    assert own.suggest("the zo") == []
    own.learn("Zorro, the zoo! zoo")
    learned = {word: math.exp(log_prob) for word, log_prob in own.suggest("the zo")}
    assert learned == pytest.approx({"zoo": 0.5 * 2 / 8})
    same = model.complete("the", user_words=["cat"]), model.complete("the", user_words={"cat": 7.0})
    assert same[0] == same[1]

    with pytest.raises(TypeError, match="did you mean `exclude`?"):
        model.suggester(exclud=["the"])  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="`exclude` must be a collection of words, not a text"):
        model.suggester(exclude="the")
    with pytest.raises(rondo.ModelError, match="-1"):
        model.complete("the", user_words={"cat": -1})
    with pytest.raises(rondo.ModelError, match="1.5"):
        model.suggester(user_weight=1.5)


def test_suggestions_of_characters(tmp_path: Path) -> None:
    history = rondo.train(LINES, tokenizer="chars", out=tmp_path / "run", progress=False, learning_rate=0.02, **SMALL)
    model = history.model
    assert model is not None
    words = model.suggester(words_only=True, exclude=["cat"]).suggest("the c", 2)
    assert words == model.complete("the c", 2, words_only=True, exclude=["cat"])
    assert words and all(word.startswith("c") and word != "cat" for word, _ in words)
    with pytest.raises(rondo.ModelError, match="need a model of words"):
        model.suggester(user_words=["cat"])
    with pytest.raises(rondo.ModelError, match="need a model of words"):
        model.suggester().learn("cat")


def test_a_decoder_sees_the_distribution_of_the_next_token(model: rondo.LanguageModel) -> None:
    assert model.line_end is not None
    ids = model.encode("the cat sat")
    states, rows = model.advance([model.begin()], [model.line_end])
    total = 0.0
    for token in [*ids, model.line_end]:
        assert rows.shape == (1, len(model.vocab)) == (1, model.vocab_size) and rows.dtype == np.float32
        assert np.exp(rows).sum() == pytest.approx(1.0, abs=1e-4)
        total += rows[0, token]
        states, rows = model.advance(states, [token])
    assert total == pytest.approx(model.score("the cat sat"), rel=1e-4)
    # Hypotheses can share a state.
    both, rows = model.advance([states[0], states[0]], ids[:2])
    assert len(both) == 2 and rows.shape[0] == 2
    with pytest.raises(rondo.ModelError):
        model.advance(states, [10**6])


def test_beam_search_with_shallow_fusion(model: rondo.LanguageModel) -> None:
    """An acoustic model that hears `the mat sat` a little better than `the cat sat`."""
    heard = [{"the": -0.1}, {"mat": -0.6, "cat": -0.8}, {"sat": -0.1}]
    assert beam_search.decode(model, heard, weight=0.0) == ["the", "mat", "sat"]
    assert beam_search.decode(model, heard, weight=1.0) == ["the", "cat", "sat"]


def test_models_are_pickled_and_used_by_threads(model: rondo.LanguageModel, tmp_path: Path) -> None:
    expected = model.score(LINES[:8]).tolist()
    assert pickle.loads(pickle.dumps(model)).score(LINES[:8]).tolist() == expected
    model.save(tmp_path / "model.safetensors")
    assert rondo.open(tmp_path / "model.safetensors", mmap=True).score(LINES[:8]).tolist() == expected
    found: list[list[float]] = []
    threads = [threading.Thread(target=lambda: found.append(model.score(LINES[:8]).tolist())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_weights_are_arrays(model: rondo.LanguageModel) -> None:
    weights = model.state_dict()
    assert sum(array.size for array in weights.values()) == model.parameter_count
    assert model.embeddings is not None
    assert weights["embedding.weight"].shape == model.embeddings.shape == (len(model.vocab), 16)
    assert f"{model.parameter_count} parameters" in repr(model)


def test_plans_are_checked_and_trainers_fit_and_resume(tmp_path: Path) -> None:
    plan = rondo.Plan(LINES, cell="gru", **SMALL)
    assert 'cell = "gru"' in plan.to_toml() and repr(plan).startswith("Plan(cell='gru', hidden_size=16")
    with pytest.raises(TypeError, match="did you mean `hidden_size`"):
        rondo.Plan(LINES, hiden_size=3)
    with pytest.raises(rondo.TrainingError, match="no effect"):
        rondo.Plan(LINES, momentum=0.9, optimizer="adam")
    with pytest.raises(rondo.TrainingError, match="did you mean `ptb-rnn`"):
        rondo.Plan(recipe="ptb-rn")
    steps: list[int] = []

    def stop(event: rondo.Event) -> bool:
        if event["kind"] == "batch":
            steps.append(event["step"])
        return len(steps) < 10

    whole = rondo.Trainer(plan, out=tmp_path / "whole").fit(progress=False)
    first = rondo.Trainer(plan, out=tmp_path / "run").fit([stop], progress=False)
    assert first.results["interrupted"] and first.results["steps"] == 10
    second = rondo.Trainer.resume(tmp_path / "run").fit(progress=False)
    assert second.results["valid_loss"] == whole.results["valid_loss"]
    with pytest.raises(TypeError, match="folder of the run"):
        rondo.train(resume=True)


def test_ids_are_data(tmp_path: Path) -> None:
    ids = np.arange(1000) % 7
    history = rondo.train(ids, out=tmp_path / "run", progress=False, learning_rate=0.02, **SMALL)
    model = history.model
    assert model is not None and model.vocab == [str(i) for i in range(7)] and model.line_end is None
    _, rows = model.advance(model.advance([model.begin()], [3])[0], [4])
    assert rows[0].argmax() == 5
    with pytest.raises(rondo.TrainingError, match="pass it again"):
        rondo.train(out=tmp_path / "run", resume=True, epochs=4, progress=False)
    resumed = rondo.train(ids, out=tmp_path / "run", resume=True, epochs=4, progress=False)
    assert resumed.results["best_epoch"] == 4

    vocab = rondo.data.Vocab(["<unk>", "<eos>", "a", "b"], unknown="<unk>")
    corpus = rondo.data.Corpus([2, 3, 1] * 50, valid=[2, 3, 1], vocab=vocab)
    assert corpus.test is None and corpus.vocab == vocab and corpus.decode(corpus.valid) == "a b\n"
    assert corpus.encode("b zebra\n").tolist() == [3, 0, 1]
    model = rondo.train(corpus, out=tmp_path / "words", progress=False, **SMALL).model
    assert model is not None and model.score("a b") > model.score("b a")
    for wrong, message in [([2, 4] * 20, "out of range"), ([-1], "not an id"), ([0.5], "integers"), ([[1]], "vector")]:
        with pytest.raises((rondo.TextError, ValueError, TypeError), match=message):
            rondo.data.Corpus(wrong, vocab=vocab)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`tokenizer` has no effect"):
        rondo.train(corpus, tokenizer="chars")


def test_texts_become_counts_vocabularies_and_batches(tmp_path: Path) -> None:
    assert doctest.testmod(rondo.data).failed == 0
    counter = rondo.data.Counter.read(LINES)
    assert counter["the"] == 240 and counter["<eos>"] == 240 and list(counter)[:3] == ["the", "cat", "sat"]
    (tmp_path / "text.txt").write_text("\n".join(LINES) + "\n")
    assert rondo.data.Counter.read(tmp_path / "text.txt") == counter
    assert rondo.data.Counter.read("ab\nb", "chars") == {"a": 1, "b": 2, "\n": 2}
    rare = counter.discard(100)
    assert rare["<unk>"] == 120 and rare.total() == counter.total() and "log" not in rare
    vocab = rondo.data.Vocab.from_counts(rare, reserved=["<eos>"])
    assert vocab.tokens[:3] == ["<unk>", "<eos>", "a"] and len(vocab) == len(rare)
    assert vocab["mouse"] == 0 and vocab[["a", "mouse"]].tolist() == [2, 0] and "mouse" not in vocab
    assert vocab.to_tokens(np.array([2, 0])) == ["a", "<unk>"] and vocab.counts is not None
    vocab.save(tmp_path / "vocab.json")
    assert rondo.data.Vocab.load(tmp_path / "vocab.json") == pickle.loads(pickle.dumps(vocab)) == vocab
    with pytest.raises(KeyError):
        rondo.data.Vocab(["a"])["b"]

    corpus = rondo.data.read_corpus(LINES, min_frequency=100)
    assert corpus.vocab.tokens[:2] == ["<unk>", "<eos>"] and "the" in corpus.vocab and "log" not in corpus.vocab
    assert corpus.valid is not None and corpus.test is not None
    assert len(corpus.train) + len(corpus.valid) + len(corpus.test) == counter.total()
    with pytest.raises(TypeError, match="did you mean `tokenizer`"):
        rondo.data.read_corpus(LINES, tokeniser="chars")

    ids = np.arange(23)
    for last_batch, shapes in [("keep", [(4, 3), (2, 3)]), ("discard", [(4, 3)])]:
        batches = rondo.data.Batches(ids, 3, 4, last_batch=last_batch)
        assert [inputs.shape for inputs, _ in batches] == shapes and batches.dropped_tokens == 2
        for (inputs, targets), start in zip(batches, (0, 4)):
            columns = np.stack([np.arange(7), np.arange(7, 14), np.arange(14, 21)], axis=1)
            assert (inputs == columns[start : start + 4][: len(inputs)]).all() and (targets == inputs + 1).all()
    assert batches[-1][0].shape == (4, 3)
    with pytest.raises(IndexError):
        batches[1]
    with pytest.raises(rondo.TextError, match="too short|batch"):
        rondo.data.batchify([1, 2], 3, 4)


def test_progress_in_notebooks_and_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    batch = {"kind": "batch", "epoch": 1, "batch": 3, "batches": 4, "moving_loss": 2.0, "tokens_per_s": 1000.0}
    epoch = {"kind": "epoch", "epoch": 1, "train_loss": 2.0, "valid_loss": None, "test_loss": 1.5, "is_best": True}
    events = [{"kind": "epoch_started", "epochs": 2}, batch, {"kind": "note", "text": "1 < 2"}, epoch]

    class Shown(Notebook):
        def _show(self) -> None:
            seen.append(self.html())

    seen: list[str] = []
    notebook, terminal = Shown(), Terminal()
    for event in events:
        notebook(event)
        terminal(event)
    assert '<progress value="3" max="4">' in seen[0] and "epoch 1/2" in seen[0]
    assert "1 &lt; 2" in seen[-1] and "<progress" not in seen[-1]
    assert "<th>epoch</th><th>train</th><th>test</th>" in seen[-1] and "<td>1.5000</td><td>best</td>" in seen[-1]
    printed = capsys.readouterr().err
    assert "epoch 1/2  " + "\u2501" * 18 + "\u2500" * 6 in printed and "train 2.0000  test 1.5000  best" in printed


def test_pictures(history: rondo.History, model: rondo.LanguageModel, tmp_path: Path) -> None:
    assert rondo.plot.runs([history.folder])._repr_html_().startswith("<svg")
    shown = rondo.plot.surprisal(model, ["the <unk> sat", "a dog"]).source
    assert shown.count("<div>") == 2 and "&lt;unk&gt;" in shown and "bits" in shown
    with pytest.raises(rondo.RondoError, match="unknown axis"):
        rondo.plot.runs([history.folder], x="weeks")
    with pytest.raises(rondo.RondoError):
        rondo.plot.runs([tmp_path])


def test_subwords(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("".join(f"{line}\n" for line in LINES))
    file = rondo.data.train_bpe([tmp_path / "text.txt"], tmp_path / "tokenizer.json", vocab_size=280)
    assert rondo.data.Tokenizer(str(file)).tokenize("the cat\n") == ["the", "Ġcat", "Ċ"]
    history = rondo.train(LINES, tokenizer=file, out=tmp_path / "run", progress=False, **SMALL)
    assert history.model is not None and history.model.decode(history.model.encode("the 🐈")) == "the 🐈"
    assert rondo.data.Tokenizer("words").tokenize("a b") == ["a", "b", "<eos>"]


def test_models_are_converted(history: rondo.History, model: rondo.LanguageModel, tmp_path: Path) -> None:
    files = rondo.convert.export(history.folder, tmp_path / "torch", to="pytorch")
    assert [file.name for file in files] == ["model.pt", "config.json", "model.py"]
    (tmp_path / "words.txt").write_text("\n".join(model.vocab))
    again = rondo.convert.load(files[0], vocab_list=tmp_path / "words.txt", tokenizer="words")
    assert again.score(LINES[:4]).tolist() == model.score(LINES[:4]).tolist()
    with pytest.raises(rondo.ModelError, match="lists the tokens, but not how texts are split"):
        rondo.convert.load(files[0], vocab_list=tmp_path / "words.txt")
    with pytest.raises(rondo.ModelError, match="unknown format"):
        rondo.convert.export(history.folder, tmp_path, to="tensorflow")


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_stops_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    code = (
        "import os, signal, rondo\n"
        "def interrupt(event):\n"
        "    if event['kind'] == 'batch' and event['step'] == 30:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        f"rondo.train({LINES!r}, out='run', epochs=100, hidden_size=16, callbacks=[interrupt])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0 and ended.stderr.rstrip().endswith("KeyboardInterrupt"), ended.stderr
    resumed = rondo.train(out=tmp_path / "run", resume=True, max_steps=40, progress=False)
    assert resumed.results["steps"] == 40


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_after_a_fork_a_model_is_refused_or_works(history: rondo.History) -> None:
    for threads, refused in [(1, False), (2, True)]:
        model = rondo.open(history.folder, threads=threads)
        suggester = model.suggester()
        for compute in (lambda: model.score("the cat sat"), lambda: suggester.suggest("the c")):
            expected = compute()
            child = os.fork()
            if child == 0:
                try:
                    os._exit(0 if compute() == expected and not refused else 1)
                except rondo.ModelError as error:
                    os._exit(0 if refused and "fork" in str(error) else 2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_freed(history: rondo.History) -> None:
    def resident() -> int:
        status = Path("/proc/self/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def use() -> None:
        model = rondo.open(history.folder)
        states = [model.begin()] * 100
        for _ in range(5):
            states, rows = model.advance(states, [2] * 100)
        model.generate(max_tokens=20)

    for _ in range(5):
        use()
    before = resident()
    for _ in range(40):
        use()
    assert resident() - before < 20_000  # kB
