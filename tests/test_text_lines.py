"""Where lines and words of texts end: as editors and Keras end them, not as Python does."""

import pytest

from toolkit.bundle import device
from toolkit.data import load, words
from toolkit.glossary import Words

ODD = (
    "a\u00a0good film",
    "good\u3000film",
    "good\u2028film bad",
    "a\x85b",
    "good\x1cfilm",
    "a\x0bb\x0cc",
)


def test_words_end_where_keras_ends_them():
    """A no-break space, common in texts of the web, ends no word there."""
    import keras

    names = ["good", "film", "a", "b", "c", "bad"]
    layer = keras.layers.TextVectorization(vocabulary=names, output_sequence_length=5)
    known = Words(("", "[UNK]", *names), 5)
    found = words.encoded(ODD, known).tolist()
    assert found == layer(list(ODD)).numpy().tolist()
    spec = {"vocabulary": known.vocabulary, "length": 5, "lower": True, "strip": True}
    spec |= {"characters": False, "cut": "post", "padding": "post", "unknown": 1}
    assert device.encoded(list(ODD), spec).tolist() == found


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_a_line_ends_where_editors_end_it(tmp_path, encoding):
    """An ellipsis of Windows, read as Latin-1, is a sign at which Python ends lines."""
    sign = "…" if encoding == "cp1252" else "…\u2028\x85"
    texts = [f"good film{sign} number {i}" for i in range(60)]
    for name, end in (("a.pos", "\n"), ("a.neg", "\r\n")):
        (tmp_path / name).write_bytes(end.join(texts).encode(encoding))
    splits = load(f"{tmp_path}/a.pos,{tmp_path}/a.neg")
    parts = [splits.test, *(getattr(splits.fit, p) for p in ("train", "validation", "calibration"))]
    assert sum(map(len, parts)) == 120
    assert all("…" in text for text in splits.test.texts)
    labelled = tmp_path / "all.txt"
    labelled.write_bytes(
        "\n".join(f"{'pn'[i % 2]}\t{t}" for i, t in enumerate(texts)).encode(encoding)
    )
    assert load(labelled).test.classes == ("n", "p")
