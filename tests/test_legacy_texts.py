"""Models and vocabularies of Keras 2 that take text."""

import numpy as np
import pytest

from toolkit.data import words
from toolkit.errors import DataError, ModelError
from toolkit.models import open_model, parted

GOOD = ["a truly wonderful film", "wonderful acting, a joy", "what a joy this is", "great fun!"]
BAD = ["a truly dreadful film", "dreadful acting, a bore", "what a bore this is", "no fun..."]


def test_the_tokenizer_of_keras_2(tmp_path):
    from tf_keras.preprocessing.sequence import pad_sequences
    from tf_keras.preprocessing.text import Tokenizer

    for settings in ({}, {"oov_token": "<oov>"}, {"num_words": 8, "oov_token": "<oov>"}):
        tokenizer = Tokenizer(**settings)
        tokenizer.fit_on_texts(GOOD)
        (tmp_path / "t.json").write_text(tokenizer.to_json())
        texts = ["a wonderful joy", "what dreadful fun is this film of old", "nothing known here"]
        wanted = pad_sequences(tokenizer.texts_to_sequences(texts), 4)
        ours = words.encoded(texts, words.read(tmp_path / "t.json", 4))
        assert np.array_equal(ours, wanted), settings


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_files_of_keras_2_that_take_text(kind, tmp_path):
    """A .keras holds its vocabulary, a SavedModel does not and needs it given."""
    import tensorflow as tf
    import tf_keras

    layers = tf_keras.layers
    vectorise = layers.TextVectorization(output_sequence_length=5)
    vectorise.adapt(GOOD + BAD)
    first = layers.Input((1,), dtype="string")
    reading = layers.SimpleRNN(4) if kind == "sequential" else layers.GlobalAveragePooling1D()
    tail = [layers.Embedding(40, 4, mask_zero=True), reading, layers.Dense(2, "softmax")]
    model = tf_keras.Sequential([first, vectorise, *tail])
    if kind == "functional":
        x = vectorise(first)
        for layer in tail:
            x = layer(x)
        model = tf_keras.Model(first, x)
    wanted = model.predict(tf.constant([[t] for t in GOOD + BAD]), verbose=0)
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m", save_format="tf")
    rest, own = parted(open_model(tmp_path / "m.keras"))
    assert np.abs(rest(words.encoded(GOOD + BAD, own)) - wanted).max() < 1e-6
    with pytest.raises(ModelError, match="vocabulary"):
        parted(open_model(tmp_path / "m"))
    rest, found = parted(open_model(tmp_path / "m"), own)
    assert np.abs(rest(words.encoded(GOOD + BAD, found)) - wanted).max() < 1e-6


def test_a_pickled_tokenizer_is_told_and_not_opened(tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was here"), "w"))

    (tmp_path / "tokenizer.pickle").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match=r"is a pickle.*tokenizer.to_json"):
        words.read(tmp_path / "tokenizer.pickle")
    assert not (tmp_path / "was here").exists()
