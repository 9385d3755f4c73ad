"""Makes golden/tokenizers: small tokenizers, and what the libraries that define their formats make of some lines.

Written with Python 3.11.7, tokenizers 0.23.2 and sentencepiece 0.2.3:

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.2 sentencepiece==0.2.3
    venv/bin/python golden/make_tokenizers.py
"""

import io
import json
import random
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = Path(__file__).parent / "tokenizers"

WORDS = (
    "the a cat dog river mountain house reader walks walked walking sees seen quickly lower lowest newer newest "
    "unhappy unhappiness don't it's well-known café naïve straße 1984 3.14 नमस्ते दुनिया 你好 世界 привет мир"
).split()

LINES = [
    "the cat walks",
    "The Cat, walking to the lowest mountain!",
    "  two  spaces and a tab\there ",
    "unhappinesses don't matter: 1984 or 3.14?",
    "café naïve straße ﬁne ①",
    "नमस्ते दुनिया 你好 世界 привет",
    "emoji 🦀 and zero\u200bwidth e\u0301",
    "<unk> in </s> the text <|endoftext|>",
    "▁already ##marked Ġtokens",
    "",
    " ",
    "x" * 60,
]


def corpus():
    source = random.Random(7)
    lines = []
    for _ in range(3000):
        line = " ".join(source.choice(WORDS) for _ in range(source.randint(3, 12)))
        lines.append(line[:1].upper() + line[1:] + source.choice([".", "!", "?", ""]))
    return lines


def hugging_face(name, tokenizer, trainer, lines):
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.save(str(OUT / f"{name}.json"))
    encodings = [tokenizer.encode(line, add_special_tokens=False) for line in LINES]
    return {
        "size": tokenizer.get_vocab_size(),
        "ids": [encoding.ids for encoding in encodings],
        "decoded": [tokenizer.decode(encoding.ids, skip_special_tokens=False) for encoding in encodings],
    }


def sentence_piece(name, lines, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, minloglevel=2, character_coverage=1.0, **options
    )
    (OUT / f"{name}.model").write_bytes(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = [processor.encode(line) for line in LINES]
    return {"size": processor.vocab_size(), "ids": ids, "decoded": [processor.decode(line) for line in ids]}


def main():
    OUT.mkdir(exist_ok=True)
    lines = corpus()
    byte_level = Tokenizer(models.BPE())
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    byte_level.post_processor = processors.ByteLevel(trim_offsets=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    of_bytes = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
    )

    word_piece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    word_piece.normalizer = normalizers.BertNormalizer(lowercase=True)
    word_piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    word_piece.decoder = decoders.WordPiece()
    of_pieces = trainers.WordPieceTrainer(
        vocab_size=200, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )

    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.NFKC()
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    of_unigrams = trainers.UnigramTrainer(
        vocab_size=200, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False
    )

    expected = {
        "lines": LINES,
        "byte_bpe.json": hugging_face("byte_bpe", byte_level, of_bytes, lines),
        "word_piece.json": hugging_face("word_piece", word_piece, of_pieces, lines),
        "unigram.json": hugging_face("unigram", unigram, of_unigrams, lines),
        "sp_unigram.model": sentence_piece("sp_unigram", lines, vocab_size=130, model_type="unigram"),
        "sp_bpe.model": sentence_piece(
            "sp_bpe", lines, vocab_size=200, model_type="bpe", normalization_rule_name="identity"
        ),
        "sp_bytes.model": sentence_piece(
            "sp_bytes",
            lines,
            vocab_size=450,
            model_type="bpe",
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            user_defined_symbols=["<unk2>"],
        ),
    }
    (OUT / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


main()
