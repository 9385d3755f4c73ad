"""What of the package is written in Rust."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

__version__: str

class RondoError(Exception):
    """Something that Rondo cannot do; all its errors are of this class."""

class TextError(RondoError):
    """A text, a vocabulary or a tokenizer cannot be read."""

class ModelError(RondoError):
    """A model cannot be opened or used as asked."""

class TrainingError(RondoError):
    """Settings are invalid, or a run cannot begin or continue."""

class State:
    """The state of a model after the tokens of a hypothesis. It is never modified: hypotheses can share one."""

class Stream(Iterator[tuple[str, str, float, str | None]]):
    """The pieces of a generated text: text, token, log-probability, and why the text ends here, if it does
    (``token``, ``string`` or ``length``)."""

    def __iter__(self) -> Stream: ...
    def __next__(self) -> tuple[str, str, float, str | None]: ...

class Suggester:
    """Suggests words while a text is written; `LanguageModel.suggester` makes one. A model of words keeps its state: a
    new word costs one step of the model, and a keystroke within a word none."""

    def suggest(self, text: str, n: int = 5, *, partial: bool = True) -> list[tuple[str, float]]:
        """The ``n`` most likely words after a text, or, if it does not end with a space and ``partial`` is True, those
        that its last word can become; with their log-probabilities. If the text does not begin with the one before, it is
        read from its beginning."""

    def learn(self, text: str) -> None:
        """Add the words of a text to the user's own, each as often as it occurs. Nothing is trained."""

class LanguageModel:
    """A language model: weights, vocabulary and tokenizer. Any number of threads can use it. Log-probabilities are
    natural logarithms."""

    @staticmethod
    def open(
        path: str | os.PathLike[str],
        *,
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "f32",
        mmap: bool = False,
    ) -> LanguageModel:
        """Open a model; see `rondo.open`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file."""

    @property
    def path(self) -> os.PathLike[str] | None:
        """The file that it was opened from."""

    @property
    def vocab(self) -> list[str]:
        """The tokens in the order of their ids."""

    @property
    def vocab_size(self) -> int:
        """The number of tokens, V."""

    @property
    def line_end(self) -> int | None:
        """The id of the token that ends a line, which also comes before the first token of one."""

    @property
    def unknown(self) -> int | None:
        """The id of the token that stands for those that are not in the vocabulary."""

    @property
    def parameter_count(self) -> int:
        """The number of parameters."""

    @property
    def embeddings(self) -> npt.NDArray[np.float32] | None:
        """The embedding of each token ``[V, E]``; None for one-hot inputs."""

    def state_dict(self) -> dict[str, npt.NDArray[np.float32]]:
        """The weights by name, in PyTorch's layout and order of gates."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text that is to be continued: its last line gets no line end."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""

    @overload
    def score(self, texts: str) -> float:  # type: ignore[overload-overlap]
        """The log-probability of a line with its line end, after a line end."""

    @overload
    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """The same for each of several lines."""

    def full_scores(self, text: str) -> list[tuple[str, float, bool]]:
        """Each token of a line and its line end: the token, its log-probability, and whether it is unknown."""

    def perplexity(self, text: str) -> float:
        """The perplexity of a line, per token."""

    def evaluate(
        self, text: str, *, cache: int | None = None, theta: float = 0.662, weight: float = 0.1279
    ) -> dict[str, float]:
        """``loss`` in nats per token, ``perplexity`` and ``tokens`` of a text, as the trainer reports them.

        Parameters
        ----------
        text
            The text.
        cache
            The window of a neural cache, in tokens; by default, there is none. With a cache, the text is read in one
            column instead of up to 20.
        theta
            How strongly the similarity of positions counts in the cache.
        weight
            The weight of the cache in the mixture, from 0 to 1.
        """

    def surprisals(self, texts: Sequence[str], *, unit: str = "word") -> list[list[tuple[str, float | None]]]:
        """The surprisal in bits of each word (``unit="word"``), token or character of lines; the last one is that of
        the line end. None where there is no score."""

    def stream(
        self,
        prompt: str = "",
        *,
        max_tokens: int | None = 100,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float = 1.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        seed: int = 1,
        stop: str | Sequence[str] = (),
        stop_tokens: Sequence[int] = (),
    ) -> Stream:
        """Continue a text, piece by piece. Temperature 0 is greedy."""

    def generate(
        self,
        prompt: str = "",
        *,
        max_tokens: int | None = 100,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float = 1.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        seed: int = 1,
        stop: str | Sequence[str] = (),
        stop_tokens: Sequence[int] = (),
    ) -> str:
        """Continue a text; returns what is new."""

    def complete(
        self,
        text: str,
        n: int = 5,
        *,
        partial: bool = False,
        exclude: Iterable[str] = (),
        words_only: bool = False,
        capitalize: bool = False,
        user_words: Mapping[str, float] | Iterable[str] = (),
        user_weight: float = 0.2,
    ) -> list[tuple[str, float]]:
        """The ``n`` most likely next words, with their log-probabilities; never the unknown token or the line end. With
        ``partial``, the text ends in an incomplete word unless a space follows it. The other arguments are those of
        `suggester`."""

    def suggester(
        self,
        *,
        exclude: Iterable[str] = (),
        words_only: bool = False,
        capitalize: bool = False,
        user_words: Mapping[str, float] | Iterable[str] = (),
        user_weight: float = 0.2,
    ) -> Suggester:
        """Suggestions for a text that grows, and for a user with preferences.

        Parameters
        ----------
        exclude
            Words that are never suggested.
        words_only
            Suggest no punctuation.
        capitalize
            Begin words with a capital letter at the start of a sentence, and where the incomplete word does, if the
            model's words are lowercase; the text is then read as lowercase, too.
        user_words
            Words of the user's own, with or without weights; they need not be in the vocabulary of the model, which
            must be a model of words.
        user_weight
            From 0 to below 1: the probability of a word is ``1 - user_weight`` times the model's plus ``user_weight``
            times its fraction of all weights.
        """

    def begin(self) -> State:
        """The state before any token. Advance it by `line_end` first, if there is one."""

    def advance(
        self, states: Sequence[State], tokens: Sequence[int]
    ) -> tuple[list[State], npt.NDArray[np.float32]]:
        """Feed each state its token, all in one step: the new states, and the log-probabilities of the next token
        ``[N, V]``."""

    def to_bytes(self) -> bytes:
        """The model file as bytes; pickle uses it."""

    @staticmethod
    def from_bytes(contents: bytes, *, threads: int | None = None) -> LanguageModel:
        """The model of a file's bytes."""

class Tokenizer:
    """A tokenizer: ``words``, ``moses``, ``chars``, ``bytes``, or the file of a tokenizer for subwords."""

    def __init__(self, name: str) -> None: ...
    @property
    def name(self) -> str: ...
    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text, with those for its line ends."""

class Vocab:
    """Tokens and their ids. Iterating gives the tokens in the order of their ids.

    Parameters
    ----------
    tokens
        The tokens in the order of their ids.
    unknown
        The one among them that stands for all others; by default, others are an error.
    """

    def __init__(self, tokens: Sequence[str], *, unknown: str | None = None) -> None: ...
    @staticmethod
    def from_counts(
        counts: Mapping[str, int],
        *,
        max_size: int | None = None,
        min_frequency: int = 1,
        unknown: str | None = "<unk>",
        reserved: Sequence[str] = (),
        order: str = "frequency",
    ) -> Vocab:
        """The vocabulary of counted tokens: the unknown token, the reserved ones, and the others by decreasing
        frequency (ties alphabetical), or all by first appearance (``order="first-appearance"``)."""

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Vocab:
        """Read a ``vocab.json``, such as the one of a run."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``vocab.json``."""

    @property
    def tokens(self) -> list[str]:
        """The tokens in the order of their ids."""

    @property
    def unknown(self) -> str | None:
        """The token that stands for those that are not in the vocabulary."""

    @property
    def counts(self) -> list[int] | None:
        """How often each token occurs in the training text, if that is known."""

    def to_tokens(self, ids: Sequence[int] | npt.NDArray[np.integer[Any]]) -> list[str]:
        """The tokens of ids."""

    @overload
    def __getitem__(self, tokens: str) -> int:  # type: ignore[overload-overlap]
        """The id of a token, or of the unknown token (KeyError if there is none)."""

    @overload
    def __getitem__(self, tokens: Sequence[str]) -> npt.NDArray[np.uint32]:
        """The ids of tokens."""

    def __contains__(self, token: str) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...

class Corpus:
    """Training, validation and test text as ids, with their vocabulary. `rondo.train` takes it as data.

    Parameters
    ----------
    train
        The ids of the training text: a vector of integers.
    valid, test
        Those of the validation and test text. Without either, the end of ``train`` is split off.
    vocab
        The tokens; by default, each id is its own name.
    tokenizer
        How new texts are split into these tokens: ``words`` (the default), ``moses``, ``chars``, ``bytes``, or a file.
    valid_fraction, test_fraction
        The fractions to split off; 0 for none.
    """

    def __init__(
        self,
        train: Sequence[int] | npt.NDArray[np.integer[Any]],
        valid: Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
        test: Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
        *,
        vocab: Vocab | None = None,
        tokenizer: str | None = None,
        valid_fraction: float = 0.05,
        test_fraction: float = 0.05,
    ) -> None: ...
    @property
    def train(self) -> npt.NDArray[np.uint32]:
        """The ids of the training text."""

    @property
    def valid(self) -> npt.NDArray[np.uint32] | None:
        """The ids of the validation text."""

    @property
    def test(self) -> npt.NDArray[np.uint32] | None:
        """The ids of the test text."""

    @property
    def vocab(self) -> Vocab:
        """The vocabulary."""

    def encode(self, text: str) -> npt.NDArray[np.uint32]:
        """The ids of a text, line ends included."""

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer[Any]]) -> str:
        """The text of ids."""

class Batches(Sequence[tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]]):
    """Batches for truncated backpropagation through time: a sequence of inputs and targets, both ``[T, B]``. See
    `rondo.data.batchify`."""

    def __init__(
        self,
        ids: Sequence[int] | npt.NDArray[np.integer[Any]],
        batch_size: int,
        bptt: int,
        *,
        last_batch: str = "keep",
    ) -> None: ...
    def __len__(self) -> int: ...
    def __getitem__(  # type: ignore[override]
        self, index: int
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]: ...
    @property
    def dropped_tokens(self) -> int:
        """The number of ids at the end that fill no row of the columns."""

def count_tokens(paths: Sequence[str], tokenizer: Tokenizer) -> list[tuple[str, int]]: ...
def tales(count: int, *, seed: int = ...) -> list[str]:
    """Sentences of the built-in language, one for each line."""

def read_corpus(given: Mapping[str, Any]) -> Corpus: ...
def plan(given: Mapping[str, Any], *, recipe: str | None = None) -> str: ...
def text_settings() -> list[str]: ...
def train(
    given: Mapping[str, Any],
    *,
    corpus: Corpus | None = None,
    recipe: str | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callback: Callable[[dict[str, Any]], object] | None = None,
) -> tuple[LanguageModel | None, str | os.PathLike[str], dict[str, Any]]: ...
def settings() -> dict[str, tuple[str, str]]:
    """All settings of training: help and default by name."""

def corpora() -> list[str]:
    """The names of the published corpora."""

def train_tokenizer(
    files: Sequence[str], *, vocab_size: int = 8000, min_frequency: int = 2, whole: Sequence[str] = ()
) -> str: ...
def load(
    path: str | os.PathLike[str],
    *,
    vocab_list: str | os.PathLike[str] | None = None,
    vocab_from_corpus: str | os.PathLike[str] | None = None,
    tokenizer: str | None = None,
    cell: str | None = None,
) -> LanguageModel: ...
def export(
    path: str | os.PathLike[str], out: str | os.PathLike[str], *, to: str, int8: bool = False
) -> list[str | os.PathLike[str]]: ...
def plot_runs(folders: Sequence[str | os.PathLike[str]], x: str) -> str: ...

_Matrix = npt.NDArray[np.float32]
_Ids = npt.NDArray[np.uint32]

class Generator:
    """Random numbers for initial values, the same on every machine. The command uses this generator, too."""

    def __init__(self, seed: int) -> None: ...
    def normal(self, shape: tuple[int, int], deviation: float) -> _Matrix:
        """Normally distributed numbers with mean 0 and this standard deviation."""

    def uniform(self, shape: tuple[int, int], limit: float) -> _Matrix:
        """Numbers between ``-limit`` and ``limit``."""

    def xavier(self, shape: tuple[int, int]) -> _Matrix:
        """Numbers between ``±√(6 / (rows + columns))`` (Glorot & Bengio 2010)."""

class Parameters:
    """Named matrices, and their gradients after `Tape.backward`. A vector is a matrix of one row.

    ``parameters[name]`` is a copy; assigning to it writes."""

    def __init__(self, *, threads: int | None = None) -> None: ...
    def add(self, name: str, values: _Matrix) -> None:
        """Add a parameter."""

    def __getitem__(self, name: str) -> _Matrix: ...
    def __setitem__(self, name: str, values: _Matrix) -> None: ...
    def __contains__(self, name: str) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def keys(self) -> list[str]:
        """The names, in the order in which they were added."""

    def gradients(self) -> dict[str, _Matrix]:
        """The gradient of each parameter, from the last `Tape.backward`."""

    def sgd(self, learning_rate: float, *, clip_norm: float | None = None) -> float:
        """One step of SGD, after scaling all gradients to a norm of at most ``clip_norm``. Returns the norm before."""

class Value:
    """A matrix that a tape will compute."""

    @property
    def shape(self) -> tuple[int, int]: ...

class Tape:
    """Operations on matrices, recorded in order. Sizes are checked when an operation is recorded (ValueError)."""

    def __init__(self, parameters: Parameters) -> None: ...
    def __len__(self) -> int: ...
    def parameter(self, name: str) -> Value:
        """A parameter ``[R, C]``."""

    def constant(self, values: _Matrix) -> Value:
        """Numbers that need no gradient, such as the state before a batch."""

    def one_hot(self, ids: _Ids, size: int) -> Value:
        """The one-hot rows of ids: ``[R] → [R, size]``."""

    def select_rows(self, x: Value, rows: _Ids) -> Value:
        """Rows of a matrix by their numbers, such as embeddings: ``[R, C], [N] → [N, C]``."""

    def product(self, a: Value, b: Value) -> Value:
        """The product of matrices: ``[M, K] · [K, N] → [M, N]``."""

    def add(self, a: Value, b: Value) -> Value:
        """``a + b``, element-wise."""

    def multiply(self, a: Value, b: Value) -> Value:
        """``a ∘ b``, element-wise."""

    def scale(self, x: Value, factor: float) -> Value:
        """``factor · x``."""

    def add_row(self, x: Value, row: Value) -> Value:
        """Add a row ``[1, C]`` to each row of ``x [R, C]``."""

    def tanh(self, x: Value) -> Value:
        """``tanh x``."""

    def sigmoid(self, x: Value) -> Value:
        """``1 / (1 + e⁻ˣ)``."""

    def relu(self, x: Value) -> Value:
        """``max(0, x)``."""

    def softmax(self, x: Value, *, temperature: float = 1.0) -> Value:
        """The softmax of each row."""

    def slice_rows(self, x: Value, start: int, end: int) -> Value:
        """Rows ``start`` to ``end``, which is excluded."""

    def slice_columns(self, x: Value, start: int, end: int) -> Value:
        """Columns ``start`` to ``end``, which is excluded."""

    def concat_rows(self, parts: Sequence[Value]) -> Value:
        """Matrices below each other."""

    def concat_columns(self, parts: Sequence[Value]) -> Value:
        """Matrices side by side."""

    def run(self, outputs: Sequence[Value]) -> list[_Matrix]:
        """Compute everything, and return some values."""

    def backward(
        self, logits: Value, targets: _Ids, *, outputs: Sequence[Value] = ()
    ) -> tuple[npt.NDArray[np.float32], list[_Matrix]]:
        """Compute everything, the cross-entropy of each row of logits with its target in nats, and the gradients of
        the mean over rows. Returns the cross-entropies ``[R]`` and the values of ``outputs``."""
