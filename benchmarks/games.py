"""What explanations are measured on: small classifiers trained on the spot, seed 0, as `.onnx`.

Adult with 12 columns, scaled (a net of 64 and 64 units); the same with its categories as 91 columns
in all; breast_cancer (30 columns), wine (13), MNIST (cnn, 10,000 training pictures); CIFAR-10 with
the ResNet-8 of MLPerf Tiny. TOOLKIT_DATA has adult.data, mnist.npz and cifar10.npz, TOOLKIT_MODELS
pretrainedResnet.h5. QUICK: two epochs.
"""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from toolkit import artifact, load, models, training
from toolkit.explainers.players import features, grid
from toolkit.exporting import export
from toolkit.predict import OnnxPredictor

QUICK = "--quick" in sys.argv
FOLDER = Path(tempfile.mkdtemp())
DATA = Path(os.environ["TOOLKIT_DATA"])


def trained(name, splits, build, epochs):
    """The trained net and its `.onnx` on onnxruntime."""
    settings = training.Settings(epochs=2 if QUICK else epochs, batch=64)
    net, _ = training.train(build(splits.fit.train), splits.fit, settings)
    path = artifact.save(export(net, splits.fit.validation).model, name, FOLDER).path
    right = (OnnxPredictor(path, name)(splits.test.x).argmax(1) == splits.test.y).mean()
    print(f"{name}: {splits.test.x[0].size} values, accuracy {100 * right:.1f} %", flush=True)
    return net, OnnxPredictor(path, name)


def changed(splits, columns):
    """The same splits with every part's table made anew by `columns`."""
    fit = splits.fit
    parts = {n: columns(getattr(fit, n)) for n in ("train", "validation", "calibration")}
    return replace(splits, fit=replace(fit, **parts), test=columns(splits.test))


def adult(spread):
    """Adult without its weight and its second education column, scaled; spread: 0 and 1 columns."""
    splits = load(str(DATA / "adult.data"))
    mean, scale = splits.fit.train.x.mean(0), splits.fit.train.x.std(0)
    kept = [i for i in range(14) if i not in (2, 3)]

    def columns(data):
        x, names = [], []
        for i in kept:
            values = data.categories.get(i, ())
            if spread and values:
                x.append(np.eye(len(values))[data.x[:, i].astype(int)])
                names += [f"{data.features[i]}={value}" for value in values]
            else:
                x.append((data.x[:, [i]] - mean[i]) / scale[i])
                names.append(data.features[i])
        table = np.concatenate(x, axis=1).astype(np.float32)
        return replace(data, x=table, features=tuple(names), categories={}, fill={})

    return changed(splits, columns)


def dense(train):
    """A plain net of two layers of 64 on scaled columns."""
    import keras

    keras.utils.set_random_seed(0)
    first, units = keras.layers.Input(train.x.shape[1:]), len(train.classes)
    layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(64, "relu")]
    return keras.Sequential([first, *layers, keras.layers.Dense(units, "softmax")])


def mnist():
    """MNIST with 10,000 training pictures."""
    splits = load(str(DATA / "mnist.npz"))
    return replace(splits, fit=replace(splits.fit, train=splits.fit.train.rows(slice(10_000))))


made = {}


def made_once(name):
    """The splits, net and onnxruntime session of a data set, trained when first asked for."""
    if name == "cifar10" and name not in made:
        from nets import resnet8

        model, splits = resnet8(1000)
        made[name] = splits, None, OnnxPredictor(model.SerializeToString(), name)
    if name not in made:
        ways = {
            "adult": (lambda: adult(spread=False), dense, 10),
            "adult one-hot": (lambda: adult(spread=True), dense, 10),
            "breast_cancer": (lambda: load("breast_cancer"), tabular, 40),
            "wine": (lambda: load("wine"), tabular, 20),
            "mnist": (mnist, lambda train: models.build("cnn", train), 3),
        }
        read, build, epochs = ways[name]
        splits = read()
        made[name] = (splits, *trained(name.replace(" ", "_"), splits, build, epochs))
    return made[name]


def tabular(train):
    """The toolkit's own classifier of tables."""
    return models.build("tabular", train)


def games(name, rows, patches=49):
    """Test rows of a data set as players, with the class explained: [(players, target)]."""
    splits, _, onnx = made_once(name)
    train, found = splits.fit.train, []
    if splits.test.kind == "image":
        train = train.rows(slice(2000))
    first = None
    for row in range(rows):
        x = splits.test.x[row]
        if splits.test.kind == "image":
            players = grid(x, train, patches=patches)
        else:
            first = first or features(x, train)
            players = replace(first, x=x)
        found.append((players, int(onnx(x[None])[0].argmax())))
    return onnx, found
