"""Texts -> the indices of their words, and the vocabulary file that travels with a model."""

from __future__ import annotations

import dataclasses
import json
import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import DataError
from toolkit.files import write_text
from toolkit.glossary import Data, Fit, Floats, Splits, Words

MOST_WORDS = 10_000
"""The words of our own vocabularies, the commonest first; rarer ones are unknown words."""

LONGEST = 512
MOST_BYTES = 64 * 2**20

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_BARE = str.maketrans("", "", string.punctuation)
_SPACED = re.compile(r"[^ \t\n\r\x0b\x0c]+")
_PARTED = re.compile(r"[^ \t\n\r\x0b\x0c]+|[ \t\n\r\x0b\x0c]+")
_FILLED, _UNKNOWN = "", "[UNK]"


def tokens(text: str, words: Words) -> list[str]:
    """The words of a text, as Keras' TextVectorization finds them (ASCII case and punctuation).

    >>> tokens("Isn't it  GOOD?", Words(("", "[UNK]"), 4))
    ['isnt', 'it', 'good']
    """
    if words.lower:
        text = text.translate(_LOWER)
    if words.strip:
        text = text.translate(_BARE)
    return list(text) if words.characters else spaced(text)


def pieces(text: str, words: Words, row: Floats) -> list[tuple[str, int]]:
    """What a text is written of, in order and whole, each with the index that the model gets of it.

    row: f32 (length,), the indices of the text. 0 is of what the model does not see: spaces, signs
    that are taken off, what is beyond its length. All are 0 where the row is of another text.

    >>> words = Words(("", "[UNK]", "film"), 2)
    >>> pieces("Bad FILM!", words, encoded(["Bad FILM!"], words)[0])
    [('Bad', 1), (' ', 0), ('FILM!', 2)]
    """
    written = list(text) if words.characters else _PARTED.findall(text)
    place = {word: i for i, word in enumerate(words.vocabulary)}
    found: list[tuple[int, int]] = []
    for at, one in enumerate(written):
        token = tokens(one, words)
        index = place.get(token[0], words.unknown) if token else None
        if index is not None:
            found.append((at, index))
    kept = found[: words.length] if words.cut == "post" else found[-words.length :]
    seen = [int(i) for i in row if i]
    if [i for _, i in kept if i] != seen:
        # a row of indices, whose text is made of its words one by one
        places = [at for at, one in enumerate(written) if one.strip()]
        kept = list(zip(places, seen, strict=True)) if len(places) == len(seen) else []
    own = dict(kept)
    return [(one, own.get(at, 0)) for at, one in enumerate(written)]


def spaced(text: str) -> list[str]:
    r"""What stands between spaces, of which Keras knows those of ASCII.

    >>> spaced("a\u00a0good  film")
    ['a\xa0good', 'film']
    """
    return _SPACED.findall(text)


def encoded(texts: Iterable[str], words: Words) -> Floats:
    """Indices of the words of each text, f32 (n, length), filled up with 0.

    >>> encoded(["good film"], Words(("", "[UNK]", "film"), 3))
    array([[1., 2., 0.]], dtype=float32)
    """
    place = {word: i for i, word in enumerate(words.vocabulary)}
    rows = [
        [i for i in (place.get(t, words.unknown) for t in tokens(text, words)) if i is not None]
        for text in texts
    ]
    out = np.zeros((len(rows), words.length), np.float32)
    for row, found in zip(out, rows, strict=True):
        kept = found[: words.length] if words.cut == "post" else found[-words.length :]
        if words.padding == "post":
            row[: len(kept)] = kept
        elif kept:
            row[-len(kept) :] = kept
    return out


def fitted(texts: Sequence[str]) -> Words:
    """A vocabulary of the words that come at least twice, and a length that holds most texts.

    >>> fitted(["a good film", "a bad film"]).vocabulary
    ('', '[UNK]', 'a', 'film')
    """
    draft = Words((_FILLED, _UNKNOWN), LONGEST)
    counts: Counter[str] = Counter()
    lengths = []
    for text in texts:
        found = tokens(text, draft)
        counts.update(found)
        lengths.append(len(found))
    often = sorted((word for word, n in counts.items() if n > 1), key=lambda w: (-counts[w], w))
    length = int(np.quantile(lengths, 0.98)) if lengths else 1
    vocabulary = (_FILLED, _UNKNOWN, *often[: MOST_WORDS - 2])
    return replace(draft, vocabulary=vocabulary, length=min(max(length, 1), LONGEST))


def reworded(splits: Splits, words: Words, length: int | None = None) -> Splits:
    """The same texts as indices into another vocabulary; `length` None keeps that of `words`.

    Rows that are indices already (of words or of parts of words) get their texts back.
    Raises DataError when the data holds neither.
    """
    words = replace(words, length=length or words.length)
    if splits.test.texts is None:
        words = replace(words, length=splits.test.x.shape[1])

    def again(data: Data) -> Data:
        if data.texts is None:
            return replace(data, kind="text", words=words, texts=_decoded(data, words), features=())
        return replace(
            data, x=encoded(data.texts if data.texts is not None else (), words), words=words
        )

    fit = splits.fit
    parts = Fit(again(fit.train), again(fit.validation), again(fit.calibration))
    return replace(splits, fit=parts, test=again(splits.test))


def _decoded(data: Data, words: Words) -> NDArray[Any]:
    """The words of rows of indices, as texts; the filling is left out."""
    known = len(words.vocabulary)
    whole = data.kind == "tabular" and not data.categories and bool((data.x % 1 == 0).all())
    if not whole or data.x.min(initial=0) < 0 or data.x.max(initial=0) >= known:
        raise DataError(
            "the rows are neither texts nor indices of words",
            f"texts, or whole numbers from 0 to {known - 1:,}",
            "check --data, --text and --vocabulary",
        )
    out = np.empty(len(data), dtype=object)
    out[:] = [" ".join(words.vocabulary[int(i)] for i in row if i) for row in data.x]
    return out


def write(path: Path, words: Words) -> Path:
    """Write the vocabulary and its settings as JSON, whole or not at all."""
    return write_text(path, json.dumps({"format": 1, **dataclasses.asdict(words)}, indent=0) + "\n")


def read(path: Path, length: int | None = None) -> Words:
    """Read a vocabulary: what `write` wrote, a word a line, or {word: index} as JSON.

    A line's number is the index of its word, from 0. In JSON also what Keras' Tokenizer wrote:
    these texts are filled up and cut at their beginning and drop unknown words, as Keras does.
    length: of the model's input, for files that do not tell it.
    Raises DataError for what is none of these.
    """
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        what = "is too large" if path.is_file() else "does not exist"
        raise DataError(f"{path} {what}", "a vocabulary, .txt or .json", "check the path")
    with path.open("rb") as stream:
        if stream.read(1) == b"\x80":
            raise DataError(
                f"{path} is a pickle, which can run any code and is not opened",
                "one word a line, or {word: index} as JSON",
                "load it where you trust it and write what tokenizer.to_json() gives",
            )
    try:
        text = path.read_text(encoding="utf-8")
        told = path.suffix == ".json" or text.startswith("{")
        found = _from_json(json.loads(text)) if told else _from_lines(text)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is not a vocabulary ({str(error)[:100]})",
            "one word a line, or {word: index} as JSON",
            "write it so",
        ) from error
    if len(found.vocabulary) < 2:
        raise DataError(f"{path} holds no words", "one word a line", "check the file")
    return replace(found, length=length or found.length)


def beside(model: Path) -> Path | None:
    """The vocabulary file that lies beside a model, NAME.vocabulary.json or vocabulary.json."""
    for name in (f"{model.stem}.vocabulary", "vocabulary"):
        for suffix in (".json", ".txt"):
            if (model.parent / f"{name}{suffix}").is_file():
                return model.parent / f"{name}{suffix}"
    return None


def _from_lines(text: str) -> Words:
    lines = text.removesuffix("\n").split("\n")
    vocabulary = tuple(line.rstrip("\r") for line in lines)
    if vocabulary[0] not in (_FILLED, "[PAD]", "<pad>", "<PAD>"):
        # Keras' own vocabulary files leave out the filling
        start = (_FILLED,) if vocabulary[0] in ("[UNK]", "<unk>", "<UNK>") else (_FILLED, _UNKNOWN)
        vocabulary = (*start, *vocabulary)
    return Words(vocabulary, LONGEST)


def _from_json(raw: Any) -> Words:
    if isinstance(raw, list):
        return Words(tuple(str(word) for word in raw), LONGEST)
    if raw.get("format") == 1 and "vocabulary" in raw:
        fields = {f.name: raw[f.name] for f in dataclasses.fields(Words)}
        return Words(**{**fields, "vocabulary": tuple(str(w) for w in fields["vocabulary"])})
    config = raw.get("config") if isinstance(raw.get("config"), dict) else {}
    index = config.get("word_index", raw)
    index = json.loads(index) if isinstance(index, str) else index
    places = {str(word): int(i) for word, i in index.items()}
    most = config.get("num_words") or max(places.values()) + 1
    if min(places.values()) < 0 or max(places.values()) > 10 * len(places) + 100:
        raise ValueError("indices that are not those of words")
    vocabulary = [_FILLED] * (max(places.values()) + 1)
    for word, i in places.items():
        vocabulary[i] = word
    unknown = places.get(config.get("oov_token") or _UNKNOWN)
    return Words(tuple(vocabulary[:most]), LONGEST, unknown, padding="pre", cut="pre")
