"""Texts end to end: sources, vocabularies, models with and without their own, words as players."""

import json
import zipfile

import numpy as np
import pytest

from toolkit.data import load, reworded, words
from toolkit.data.splits import Raw, split
from toolkit.data.words import encoded, pieces
from toolkit.errors import DataError, ModelError
from toolkit.glossary import Words
from toolkit.models import build, open_model, parted
from toolkit.predict import predictor

GOOD = ["a truly wonderful film", "wonderful acting, a joy", "what a joy this is", "great fun!"]
BAD = ["a truly dreadful film", "dreadful acting, a bore", "what a bore this is", "no fun..."]
AWKWARD = ["", "   ", "Ünïcode ÄÖ words", "tabs\tand  spaces", "don't-stop!", "<br />x", "日本 語"]


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """Two files of lines, a class each."""
    folder = tmp_path_factory.mktemp("reviews")
    for name, lines in (("good", GOOD), ("bad", BAD)):
        (folder / f"{name}.txt").write_text("\n".join(lines * 15) + "\n")
    return f"{folder}/good.txt,{folder}/bad.txt"


@pytest.fixture(scope="module")
def vectorised(tmp_path_factory):
    """A .keras file with TextVectorization inside."""
    import keras

    layers = keras.layers
    vectorise = layers.TextVectorization(output_sequence_length=6)
    vectorise.adapt(GOOD + BAD)
    keras.utils.set_random_seed(0)
    embed = layers.Embedding(vectorise.vocabulary_size(), 4, mask_zero=True)
    net = [keras.Input((1,), dtype="string"), vectorise, embed, layers.LSTM(5)]
    model = keras.Sequential([*net, layers.Dense(1, "sigmoid")])
    path = tmp_path_factory.mktemp("text") / "text.keras"
    model.save(path)
    return path, model


@pytest.mark.parametrize("standardize", ["lower_and_strip_punctuation", "lower", None])
@pytest.mark.parametrize("division", ["whitespace", "character"])
@pytest.mark.parametrize("length", [3, 40])
def test_words_are_those_of_keras(standardize, division, length):
    import keras

    layer = keras.layers.TextVectorization(
        standardize=standardize, split=division, output_sequence_length=length
    )
    texts = [*GOOD, *BAD, *AWKWARD]
    layer.adapt(texts)
    ours = Words(
        tuple(layer.get_vocabulary()),
        length,
        lower=bool(standardize),
        strip=standardize == "lower_and_strip_punctuation",
        characters=division == "character",
    )
    assert np.array_equal(words.encoded(texts, ours), layer(texts).numpy())


def test_a_text_is_shown_as_the_model_sees_it():
    """Each piece has the index that the model gets of it, and none where it gets nothing."""
    vocabulary = ("", "[UNK]", "über", "good", "film", "a", "b")

    def shown(text, **settings):
        words = Words(vocabulary, settings.pop("length", 9), **settings)
        found = pieces(text, words, encoded([text], words)[0])
        assert "".join(one for one, _ in found) == text
        assert [i for _, i in found if i] == [int(i) for i in encoded([text], words)[0] if i]
        return {one: i for one, i in found if one.strip()}

    # only ASCII is made small
    assert shown("ÜBER über Good") == {"ÜBER": 1, "über": 2, "Good": 3}
    assert shown("film! film", strip=False) == {"film!": 1, "film": 4}
    assert shown("FILM film", lower=False) == {"FILM": 1, "film": 4}
    assert shown("... good", unknown=None) == {"...": 0, "good": 3}
    assert shown("a b good film", length=2) == {"a": 5, "b": 6, "good": 0, "film": 0}
    assert shown("a b good film", length=2, cut="pre") == {"a": 0, "b": 0, "good": 3, "film": 4}
    assert shown("ab", characters=True) == {"a": 5, "b": 6}
    # indices of words that are no words when they are read again
    parts = Words(("", "[UNK]", "##ing", "go"), 4)
    told = [one for one in pieces("go ##ing", parts, np.float32([3, 2, 0, 0])) if one[1]]
    assert told == [("go", 3), ("##ing", 2)]
    assert not any(i for _, i in pieces("of another", parts, np.float32([3, 0, 0, 0])))


def test_both_ends_can_be_filled_and_cut():
    vocabulary = Words(("", "[UNK]", "a", "b", "c"), 2, padding="pre", cut="pre")
    assert words.encoded(["a", "a b c", "x"], vocabulary).tolist() == [[0, 2], [3, 4], [0, 1]]
    dropping = Words(("", "a", "b"), 3, unknown=None)
    assert words.encoded(["a x b"], dropping).tolist() == [[1, 2, 0]]


def test_a_vocabulary_is_made_of_training_rows_alone(reviews):
    splits = load(reviews)
    lonely = np.empty(60, dtype=object)
    lonely[:] = [f"same word{i} word{i}" for i in range(60)]
    found = split(Raw("r", lonely, np.arange(60) % 2))
    tested = {f"word{i}" for i in range(60) if f"same word{i} word{i}" in set(found.test.texts)}
    assert tested
    assert not tested & set(found.test.words.vocabulary)
    assert splits.test.kind == "text"
    assert splits.test.classes == ("good", "bad")
    assert splits.facts["duplicates"] == 112


def test_sources_of_texts(reviews, tmp_path):
    lines = [("good", t) for t in GOOD * 15] + [("bad", t) for t in BAD * 15]
    (tmp_path / "t.txt").write_text("\n".join(f"{y}\t{t}" for y, t in lines))
    quoted = "\n".join(f'{i},{y},"{t}"' for i, (y, t) in enumerate(lines))
    (tmp_path / "two.csv").write_text("review,label\n" + "\n".join(f'"{t}",{y}' for y, t in lines))
    (tmp_path / "three.csv").write_text("id,label,review\n" + quoted)
    for i, (y, t) in enumerate(lines):
        path = tmp_path / "folder" / ("test" if i % 4 == 0 else "train") / y / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(t)
    for spec, options in (
        (tmp_path / "t.txt", {}),
        (tmp_path / "two.csv", {"text": "review"}),
        (tmp_path / "three.csv", {"text": "review"}),
        (tmp_path / "folder", {}),
    ):
        splits = load(spec, **options)
        assert splits.test.kind == "text", spec
        assert splits.test.classes == ("bad", "good")
        fit = splits.fit
        every = [
            t for d in (fit.train, fit.validation, fit.calibration, splits.test) for t in d.texts
        ]
        assert sorted(every) == sorted(t for _, t in lines)
    with pytest.raises(DataError, match="did you mean review"):
        load(tmp_path / "three.csv", text="revew")


def test_a_column_of_sentences_is_told_by_itself(tmp_path):
    lines = [f'"the film number {i} was good to see",{i % 2}' for i in range(60)]
    (tmp_path / "t.csv").write_text("words,label\n" + "\n".join(lines))
    assert load(tmp_path / "t.csv").test.kind == "text"


def test_latin_letters_are_read_and_said(tmp_path):
    for name in ("a.pos", "a.neg"):
        (tmp_path / name).write_bytes("une soirée d'été\n".encode("latin-1") * 40)
    splits = load(f"{tmp_path}/a.pos,{tmp_path}/a.neg")
    assert splits.facts["encoding"] == "windows-1252"
    assert splits.test.classes == ("pos", "neg")
    assert "soirée" in splits.test.texts[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [("no tab here\n", "no tab in line 1"), ("", "no tab")],
)
def test_lines_without_labels(content, said, tmp_path):
    (tmp_path / "t.txt").write_text(content)
    with pytest.raises(DataError, match=said):
        load(tmp_path / "t.txt")


def test_vocabulary_files(tmp_path):
    mine = Words(("", "[UNK]", "film", "ü"), 7, None, lower=False, padding="pre")
    assert words.read(words.write(tmp_path / "v.json", mine)) == mine
    (tmp_path / "lines.txt").write_text("[UNK]\nfilm\njoy\n")
    assert words.read(tmp_path / "lines.txt", 5).vocabulary == ("", "[UNK]", "film", "joy")
    (tmp_path / "index.json").write_text(json.dumps({"film": 1, "joy": 2}))
    found = words.read(tmp_path / "index.json", 4)
    assert words.encoded(["what a joy film"], found).tolist() == [[0, 0, 2, 1]]
    for wrong in ("{", "[]", '{"a": "b"}', '{"a": -1}', '{"a": 99999999}'):
        (tmp_path / "wrong.json").write_text(wrong)
        with pytest.raises(DataError, match=r"vocabulary|no words") as caught:
            words.read(tmp_path / "wrong.json")
        assert "\n" not in str(caught.value)


def test_a_model_that_takes_text_is_parted(vectorised):
    import tensorflow as tf

    path, model = vectorised
    rest, vocabulary = parted(open_model(path))
    texts = [*GOOD, *BAD, *AWKWARD]
    wanted = model.predict(tf.constant([[t] for t in texts]), verbose=0)
    given = rest.predict(words.encoded(texts, vocabulary), verbose=0)
    assert np.abs(wanted - given).max() < 1e-6


def test_a_functional_model_that_takes_text(tmp_path):
    import keras
    import tensorflow as tf

    layers = keras.layers
    vectorise = layers.TextVectorization(output_sequence_length=6)
    vectorise.adapt(GOOD + BAD)
    first = keras.Input((1,), dtype="string")
    x = layers.Embedding(vectorise.vocabulary_size(), 4)(vectorise(first))
    x = layers.Concatenate()([layers.GlobalMaxPooling1D()(x), layers.GlobalAveragePooling1D()(x)])
    model = keras.Model(first, layers.Dense(3, "softmax")(x))
    model.save(tmp_path / "m.keras")
    rest, vocabulary = parted(open_model(tmp_path / "m.keras"))
    wanted = model.predict(tf.constant([[t] for t in GOOD]), verbose=0)
    assert np.abs(rest(words.encoded(GOOD, vocabulary)) - wanted).max() < 1e-6


def test_a_vocabulary_that_is_not_in_the_file(vectorised, tmp_path):
    """HDF5 does not hold it, and a .keras may have lost it."""
    path, model = vectorised
    model.save(tmp_path / "m.h5")
    with pytest.raises(ModelError, match="vocabulary") as caught:
        parted(open_model(tmp_path / "m.h5"))
    assert "\n" not in str(caught.value)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "m.keras", "w") as new:
        for name in old.namelist():
            if "assets" not in name:
                new.writestr(name, old.read(name))
    with pytest.raises(ModelError):
        parted(open_model(tmp_path / "m.keras"))


def test_layers_whose_work_cannot_be_done_beside_the_model():
    import keras

    layers = keras.layers
    for settings in ({"output_mode": "multi_hot"}, {"ngrams": 2}):
        vectorise = layers.TextVectorization(**settings)
        vectorise.adapt(GOOD)
        first = keras.Input((1,), dtype="string")
        model = keras.Model(first, vectorise(first))
        with pytest.raises(ModelError, match=next(iter(settings))):
            parted(model)


def test_the_file_and_the_keras_model_say_the_same_of_words(vectorised, reviews):
    from toolkit.exporting import export

    model = open_model(vectorised[0])
    rest, vocabulary = parted(model)
    splits = reworded(load(reviews), vocabulary)
    made = export(model, splits.fit.validation).model
    big, small = predictor(rest), predictor(made.SerializeToString(), "small")
    assert np.abs(big(splits.test.x) - small(splits.test.x)).max() < 1e-5


def test_words_are_players_and_the_reason_is_found(reviews):
    from toolkit import training
    from toolkit.explainers import EXPLAINERS
    from toolkit.explanation import decisions, explain

    splits = load(reviews)
    start = build("text", splits.fit.train)
    model, _ = training.train(start, splits.fit, training.Settings(epochs=60, batch=16))
    predict = predictor(model, "text")
    row = next(i for i, t in enumerate(splits.test.texts) if "wonderful film" in t)
    shown = decisions([predict], splits.test, [row], background=splits.fit.train)[0]
    assert shown.text == "a truly wonderful film"
    assert set(shown.players) == {"a", "truly", "wonderful", "film"}
    for method in ("shapley", "lime"):
        (one,) = explain(
            [predict], EXPLAINERS[method](), splits.test, [row], background=splits.fit.train
        )
        assert shown.players[int(np.argmax(one.values))] == "wonderful", method
        if method == "shapley":
            assert abs(one.values.sum() + one.base - one.prediction) < 1e-6


def test_compressing_a_model_that_takes_text(vectorised, reviews, tmp_path):
    """By the commands, from the .keras file to the page; the vocabulary lies beside the files."""
    from toolkit.cli import run

    out = tmp_path / "small"
    path = str(vectorised[0])
    arguments = [path, "--data", reviews, "--recipe", "float16", "--out", str(out)]
    assert run(["compress"], arguments, "compress") in (0, 1)
    kept = words.read(out / "vocabulary.json")
    assert kept.vocabulary == parted(open_model(vectorised[0]))[1].vocabulary
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["input"]["vocabulary"] == "vocabulary.json"
    page = tmp_path / "why.html"
    files = [str(out / "base.onnx"), "--against", str(out / "float16.onnx")]
    arguments = [*files, "--data", reviews, "--rows", "2", "--out", str(page)]
    assert run(["explain"], arguments, "explain") == 0
    assert '<p class="words">' in page.read_text()
    (out / "vocabulary.json").unlink()
    assert run(["explain"], arguments, "explain") == 2


def test_a_page_about_a_model_that_takes_text_is_verified(vectorised, reviews, tmp_path, capsys):
    """The words are in the .keras file: no vocabulary has to be named."""
    from toolkit.cli import run

    page, about = tmp_path / "why.html", [str(vectorised[0]), "--data", reviews]
    given = ["--rows", "2", "--method", "shapley", "--lang", "de", "--out", str(page)]
    assert run(["explain"], [*about, *given], "explain") == 0
    assert run(["verify"], [str(page), *about, "--rows", "1"], "verify") == 0
    assert capsys.readouterr().out.rstrip().endswith("verified")


def test_indices_without_a_vocabulary_are_refused(reviews, tmp_path, capsys):
    import keras

    from toolkit.cli import run

    layers = keras.layers
    net = [keras.Input((None,)), layers.Embedding(20, 4), layers.GlobalAveragePooling1D()]
    keras.Sequential([*net, layers.Dense(2, "softmax")]).save(tmp_path / "m.keras")
    arguments = [str(tmp_path / "m.keras"), "--data", reviews, "--out", str(tmp_path / "o")]
    assert run(["compress"], [*arguments, "--recipe", "float16"], "compress") == 2
    assert "--vocabulary" in capsys.readouterr().err
    found = load(reviews).test.words
    (tmp_path / "v.txt").write_text("\n".join(found.vocabulary[:20]) + "\n")
    more = ["--recipe", "float16", "--vocabulary", str(tmp_path / "v.txt")]
    assert run(["compress"], [*arguments, *more], "compress") in (0, 1)


def test_film_reviews_end_to_end(more_data, tmp_path):
    """Sentences of Pang and Lee 2005: a small net of our own, its int8 file and its reasons."""
    from toolkit import training
    from toolkit.search import compress
    from toolkit.studying import study

    splits = load(f"{more_data}/rt-polarity.pos,{more_data}/rt-polarity.neg")
    assert (
        sum(
            len(p)
            for p in (splits.fit.train, splits.fit.validation, splits.fit.calibration, splits.test)
        )
        == 10_662
    )
    start = build("text", splits.fit.train)
    model, _ = training.train(start, splits.fit, training.Settings(epochs=6))
    frontier = compress(model, splits, ["int8"], out=tmp_path)
    right = frontier.run.measured("base", "accuracy")
    assert right.low > 70  # a bag of words does 75 to 77 % on this set
    small = frontier.candidates[0]
    assert small.nbytes < frontier.base.nbytes / 3
    pair = [predictor(a.path, a.name) for a in (frontier.base, small)]
    why = study(pair, splits, rows=3, sample=8)
    assert why.measured(small.name, "reason_cosine shapley").value > 0.95


def test_rows_of_indices_get_their_words_back(reviews, tmp_path):
    """A file of indices, of words or of parts of words, is explained by word as well."""
    splits = load(reviews)
    fit, vocabulary = splits.fit, splits.test.words
    parts = (fit.train, fit.validation, fit.calibration, splits.test)
    x, y = np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])
    np.savez(tmp_path / "i.npz", x_train=x.astype(np.int32), y_train=y)
    found = reworded(load(tmp_path / "i.npz"), vocabulary)
    assert found.test.kind == "text"
    row = found.test.x[0]
    assert found.test.texts[0].split() == [vocabulary.vocabulary[int(i)] for i in row if i]
    np.savez(tmp_path / "i.npz", x_train=x + 10_000, y_train=y)
    with pytest.raises(DataError, match="neither texts nor indices"):
        reworded(load(tmp_path / "i.npz"), vocabulary)
