import numpy as np
import pytest

from toolkit import models
from toolkit.errors import MatchError, ModelError
from toolkit.models.graph import copied
from toolkit.training import Settings, fitted, train


def start(splits, **options):
    return models.build("tabular", splits.fit.train, **options)


def test_the_same_seed_gives_the_same_weights_and_leaves_numpy_alone(wine):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    settings = Settings(epochs=2)
    runs = [train(start(wine), wine.fit, settings, seed=s)[0].get_weights() for s in (3, 3, 4)]
    assert all((a == b).all() for a, b in zip(runs[0], runs[1], strict=True))
    assert any((a != b).any() for a, b in zip(runs[0], runs[2], strict=True))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_steps_taken_together_are_the_same_steps(wine, monkeypatch, tmp_path):
    """14 steps an epoch, eight or one at a time, with what draws lots and what counts."""
    import keras
    from keras import layers

    from toolkit import training

    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(16, "relu"), layers.BatchNormalization(), layers.Dropout(0.5)]
    net = keras.Sequential([layers.Input((13,)), *hidden, layers.Dense(3, "softmax")])
    runs = []
    monkeypatch.setattr(training, "FEW", 0)
    for at_once in (8, 1):
        monkeypatch.setattr(training, "AT_ONCE", at_once)
        runs.append(train(net, wine.fit, Settings(epochs=3, batch=8)))
    assert len(wine.fit.train.x) > 8 * 8
    assert all(
        (a == b).all() for a, b in zip(*(model.get_weights() for model, _ in runs), strict=True)
    )
    assert runs[0][1].series == runs[1][1].series
    # whoever trains on hears of every step
    runs[0][0].save(tmp_path / "net.keras")
    assert keras.models.load_model(tmp_path / "net.keras").steps_per_execution == 1


def test_a_step_is_traced_once(wine, tabular, monkeypatch):
    """What is made in it the first time would have it traced again, which is most of the wait."""
    import keras
    import tf_keras

    from toolkit.bridge import to_tf_keras

    traced = []
    for of in (keras, tf_keras):
        step = of.Model.train_step
        monkeypatch.setattr(
            of.Model, "train_step", lambda *a, of=of, step=step: traced.append(of) or step(*a)
        )
    train(tabular, wine.fit, Settings(epochs=2))
    twin = to_tf_keras(tabular).model
    rows = [(part.x, part.y) for part in (wine.fit.train, wine.fit.validation)]
    loss = tf_keras.losses.SparseCategoricalCrossentropy()
    brief = Settings(epochs=2)
    fitted(twin, *rows, loss, brief, subject="twin", seed=0, library=tf_keras)
    assert traced == [keras, tf_keras]


def test_the_model_given_stays_as_it_is(wine):
    model = start(wine)
    before = [w.copy() for w in model.get_weights()]
    train(model, wine.fit, Settings(epochs=1))
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("loss", ["crossentropy", "mse"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_loss_falls(loss, optimizer, wine):
    rate = 0.1 if optimizer == "sgd" else None
    _, history = train(start(wine), wine.fit, Settings(loss, optimizer, rate, 32, 8))
    assert history.series["loss"][-1] < history.series["loss"][0]
    assert len(history.series["val_accuracy"]) == 8


def test_it_stops_when_the_loss_is_low_enough(wine):
    _, history = train(start(wine), wine.fit, Settings(batch=16, epochs=60, stop_below=0.4))
    losses = history.series["loss"]
    assert losses[-1] < 0.4 <= losses[-2]
    assert history.facts["stopped_early"]


def test_gradient_descent_is_the_textbook_step(wine):
    """One batch, one epoch, no hidden layer: w - rate * gradient, by hand."""
    import keras

    data = wine.fit.train
    model = keras.Sequential([keras.layers.Input((13,)), keras.layers.Dense(3, "softmax")])
    w, b = (a.astype(np.float64) for a in model.get_weights())
    x = data.x.astype(np.float64) / 1000
    scaled = type(wine.fit)(
        *(
            type(data)((d.x / 1000).astype(np.float32), d.y, d.classes, d.features, d.kind)
            for d in (data, wine.fit.validation, wine.fit.calibration)
        )
    )
    z = x @ w + b
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    error = (p - np.eye(3)[data.y]) / len(x)
    trained, _ = train(
        model, scaled, Settings(optimizer="sgd", learning_rate=0.5, batch=1000, epochs=1)
    )
    assert np.allclose(trained.get_weights()[0], w - 0.5 * x.T @ error, atol=1e-6)
    assert np.allclose(trained.get_weights()[1], b - 0.5 * error.sum(axis=0), atol=1e-6)


def test_frozen_layers_stay_as_they_are(wine, tabular):
    """A backbone that somebody froze, in the training of the base."""
    given = copied(tabular)
    first, *_, last = (layer for layer in given.layers if hasattr(layer, "kernel"))
    first.trainable = False
    after, _ = train(given, wine.fit, Settings(epochs=1))
    assert np.array_equal(after.get_layer(first.name).kernel, first.kernel)
    assert not np.array_equal(after.get_layer(last.name).kernel, last.kernel)


def test_a_copy_normalises_as_its_model_does(wine):
    import keras

    layer = keras.layers.Normalization()
    layer.adapt(wine.fit.train.x)
    model = keras.Sequential([keras.layers.Input((13,)), layer, keras.layers.Dense(3, "softmax")])
    rows = wine.test.x
    assert (copied(model)(rows).numpy() == model(rows).numpy()).all()


def test_validation_is_over_all_its_rows_in_every_epoch(digits):
    """The last val_loss is that of the model that comes out, on these very rows."""
    start = models.build("mlp", digits.fit.train)
    model, history = train(start, digits.fit, Settings(batch=32, epochs=3))
    held = digits.fit.validation
    assert len(held) > 3 * 32
    p = model.predict(held.x, verbose=0).astype(np.float64)
    loss = -np.log(p[np.arange(len(held)), held.y]).mean()
    # a mean of float32 losses: each is off by some 1e-7 of its size
    assert history.series["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    right = (p.argmax(axis=1) == held.y).mean()
    assert history.series["val_accuracy"][-1] == pytest.approx(right, abs=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [{"loss": "mae"}, {"optimizer": "adm"}, {"epochs": -1}, {"batch": 0}, {"learning_rate": -1.0}],
)
def test_wrong_settings(wrong):
    with pytest.raises(ModelError):
        Settings(**wrong)


def test_a_model_for_other_data(wine, digits):
    with pytest.raises(MatchError, match="shape"):
        train(start(wine), digits.fit)


def test_divergence_is_said(wine):
    import keras

    model = keras.Sequential([keras.layers.Input((13,)), keras.layers.Dense(3)])
    with pytest.raises(ModelError, match="lower the learning rate"):
        train(model, wine.fit, Settings(optimizer="sgd", learning_rate=1e38, epochs=3))
