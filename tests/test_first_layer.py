"""A net with a dense first layer answers rows with hidden players as if they had been made."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.alignment import Mapped
from toolkit.explainers.duels import Table, solve
from toolkit.fidelity.difference import Difference, Remembered
from toolkit.masked import Masked, Masks
from toolkit.predict import OnnxPredictor

VALUES, UNITS = 12, 5


def rng():
    return np.random.default_rng(0)


def predictor(nodes, constants, shape=(VALUES,), batch="n"):
    """A classifier whose first nodes are given, from "x" to "a", and then Relu, Gemm, Softmax."""
    last = rng().normal(size=(UNITS, 3)).astype(np.float32)
    ends = [
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("MatMul", ["r", "last"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"]),
    ]
    held = {k: np.asarray(v) for k, v in {**constants, "last": last}.items()}
    graph = helper.make_graph(
        [*nodes, *ends],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(v, k) for k, v in held.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return OnnxPredictor(made.SerializeToString(), "net")


def batch(k=4, games=3, shape=(VALUES,), scale=1.0):
    """Games of k players whose values lie anywhere, some of them nobody's."""
    many, r = int(np.prod(shape)), rng()
    x, other = (r.normal(0, scale, (games, many)).astype(np.float32) for _ in range(2))
    place = r.integers(0, k + 1, (games, many))
    return Masked(x, other, place, Masks(k, 0, 9, r.random((9, k)) < 0.5), shape)


W = rng().normal(size=(VALUES, UNITS)).astype(np.float32)
B = rng().normal(size=UNITS).astype(np.float32)
HALF = np.float16(W)
NODE = helper.make_node
DENSE = NODE("Gemm", ["y", "w", "b"], ["a"])
NETS = {
    "gemm": ([NODE("Gemm", ["x", "w", "b"], ["a"])], {"w": W, "b": B}, (VALUES,)),
    "turned": (
        [NODE("Gemm", ["x", "w", "b"], ["a"], transB=1, alpha=0.5, beta=2.0)],
        {"w": W.T.copy(), "b": B},
        (VALUES,),
    ),
    "no bias": ([NODE("MatMul", ["x", "w"], ["a"])], {"w": W}, (VALUES,)),
    "bias after": (
        [NODE("MatMul", ["x", "w"], ["y"]), NODE("Add", ["b", "y"], ["a"])],
        {"w": W, "b": B[None]},
        (VALUES,),
    ),
    "scaled": (
        [NODE("Sub", ["x", "m"], ["s"]), NODE("Div", ["s", "d"], ["y"]), DENSE],
        {"w": W, "b": B, "m": np.arange(VALUES, dtype=np.float32), "d": np.float32([[3.0]])},
        (VALUES,),
    ),
    "the other way round": (
        [NODE("Sub", ["m", "x"], ["y"]), DENSE],
        {"w": W, "b": B, "m": np.float32(2)},
        (VALUES,),
    ),
    "a picture": (
        [NODE("Mul", ["x", "m"], ["s"]), NODE("Flatten", ["s"], ["y"]), DENSE],
        {"w": W, "b": B, "m": np.float32([[[0.5]], [[2.0]]])},
        (2, 3, 2),
    ),
    "reshaped": (
        [NODE("Reshape", ["x", "to"], ["y"]), DENSE],
        {"w": W, "b": B, "to": np.array([-1, VALUES])},
        (3, 4),
    ),
    "float16": (
        [NODE("Cast", ["h"], ["w"], to=TensorProto.FLOAT), NODE("Gemm", ["x", "w", "b"], ["a"])],
        {"h": HALF, "b": B},
        (VALUES,),
    ),
}
OTHERS = {
    "read twice": (
        [NODE("Gemm", ["x", "w", "b"], ["y"]), NODE("Mul", ["x", "one"], ["s"]),
         NODE("ReduceSum", ["s", "axis"], ["t"]), NODE("Add", ["y", "t"], ["a"])],
        {"w": W, "b": B, "one": np.float32(1), "axis": np.array([1])}, (VALUES,), "n",
    ),
    "bent first": ([NODE("Tanh", ["x"], ["y"]), DENSE], {"w": W, "b": B}, (VALUES,), "n"),
    "by itself": ([NODE("Mul", ["x", "x"], ["y"]), DENSE], {"w": W, "b": B}, (VALUES,), "n"),
    "a row a call": ([NODE("Gemm", ["x", "w", "b"], ["a"])], {"w": W, "b": B}, (VALUES,), 1),
    "on each step": (
        [NODE("MatMul", ["x", "w"], ["y"]), NODE("ReduceMax", ["y"], ["a"], axes=[1], keepdims=0)],
        {"w": W}, (2, VALUES), "n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("k", [1, 4])
def test_answers_are_those_of_the_rows(name, k):
    nodes, constants, shape = NETS[name]
    net = predictor(nodes, constants, shape)
    assert net.parted is not None
    asked = batch(k, shape=shape)
    found = net.masked(asked)
    assert found.dtype == np.float32
    assert np.allclose(found, net(asked.rows()), atol=2e-6)
    # sums are in another order, so that equal bits would mean that rows were made after all
    assert net.parted[0].suits(asked).all()


@pytest.mark.parametrize("name", OTHERS)
def test_of_other_nets_the_rows_are_made(name):
    nodes, constants, shape, size = OTHERS[name]
    net = predictor(nodes, constants, shape, size)
    asked = batch(shape=shape)
    assert net.parted is None
    assert net.masked(asked).tobytes() == net(asked.rows()).tobytes()


@pytest.mark.parametrize("odd", [1e9, 3e38, np.inf, np.nan])
def test_a_value_that_drowns_the_others_is_not_added_and_taken_away_again(odd):
    """And no other game is answered in another way for its sake."""
    nodes, constants, _ = NETS["gemm"]
    net, asked = predictor(nodes, constants), batch()
    before = net.masked(asked).reshape(9, 3, 3)
    asked.other[1, 0] = odd
    found = net.masked(asked).reshape(9, 3, 3)
    rows = net(asked.rows()).reshape(9, 3, 3)
    assert found[:, 1].tobytes() == rows[:, 1].tobytes()
    assert found[:, [0, 2]].tobytes() == before[:, [0, 2]].tobytes() != rows[:, [0, 2]].tobytes()
    asked.other[:, 0] = odd
    assert net.masked(asked).tobytes() == net(asked.rows()).tobytes()


def test_more_players_than_one_sum_are_asked_by_rows(monkeypatch):
    """Longer sums are cut by the number of threads."""
    from toolkit.models import first_layer

    nodes, constants, _ = NETS["gemm"]
    net, asked = predictor(nodes, constants), batch()
    assert first_layer._PLAYERS + 1 <= 128  # what MLAS sums at once
    monkeypatch.setattr(first_layer, "_PLAYERS", 3)
    assert net.masked(asked).tobytes() == net(asked.rows()).tobytes()


def test_constants_among_the_inputs_of_an_old_file():
    nodes, constants, _ = NETS["bias after"]
    net, asked = predictor(nodes, constants), batch()
    old = onnx.ModelProto()
    old.CopyFrom(net._model)
    old.ir_version = 3
    for held in old.graph.initializer:
        told = helper.make_tensor_value_info(held.name, held.data_type, held.dims)
        old.graph.input.append(told)
    again = OnnxPredictor(old.SerializeToString(), "old")
    assert again.parted is not None
    assert again.masked(asked).tobytes() == net.masked(asked).tobytes()


def test_a_file_that_is_changed_later_is_answered_as_it_was_opened(tmp_path):
    nodes, constants, _ = NETS["gemm"]
    first, asked = predictor(nodes, constants), batch()
    path = tmp_path / "m.onnx"
    path.write_bytes(first._model.SerializeToString())
    opened = OnnxPredictor(path, "m")
    path.unlink()
    assert opened.masked(asked).tobytes() == first.masked(asked).tobytes()
    assert opened.parameters == first.parameters


def test_a_batch_is_as_large_as_if_rows_were_made(monkeypatch):
    from toolkit.models import batches

    nodes, constants, _ = NETS["gemm"]
    net = predictor(nodes, constants)
    asked = batch(games=40)
    whole, sizes = net.masked(asked), []
    first, behind = net.parted

    class Watched:
        def run(self, *told):
            found = behind.run(*told)
            sizes.append(len(found[0]))
            return found

    net.parted = first, Watched()
    monkeypatch.setattr(batches, "VALUES", 32 * 13)
    assert net.masked(asked).tobytes() == whole.tobytes()
    assert sum(sizes) == 40 * 9
    assert max(sizes) <= 4 * 9 < 40 * 9
    assert min(sizes) >= 4 * 4


def test_all_coalitions_of_most_values_are_made_which_is_quicker():
    nodes, constants, _ = NETS["gemm"]
    net, asked = predictor(nodes, constants), batch(k=6)
    every = Masked(asked.x, asked.other, asked.place, Masks(6, 0, 64), (VALUES,))
    assert net.parted[0].suits(asked).all()
    assert net.masked(every).tobytes() == net(every.rows()).tobytes()


def test_the_rows_are_those_of_the_masks():
    asked = batch(k=3, games=2, shape=(3, 4))
    rows = asked.rows().reshape(9, 2, VALUES)
    for m, there in enumerate(asked.masks.there):
        for game in range(2):
            shown = np.append(there, False)[asked.place[game]]
            expected = np.where(shown, asked.x[game], asked.other[game])
            assert rows[m, game].tobytes() == expected.tobytes()
    for first, count in ((0, 8), (1, 6), (4, 3), (6, 1), (3, 2)):
        every = Masks(3, first, count)
        chosen = Masks(3, 0, count, every.there)
        counted, made = (
            Masked(asked.x, asked.other, asked.place, masks, (VALUES,)).rows()
            for masks in (every, chosen)
        )
        assert counted.tobytes() == made.tobytes()


def test_channels_first_are_asked_as_rows():
    """Of a picture whose colours come last the model would take others for its values."""
    nodes, constants, _ = NETS["reshaped"]
    net, asked = predictor(nodes, constants, (3, 2, 2)), batch(shape=(2, 2, 3))
    assert net.parted is not None
    assert net.masked(asked).tobytes() == net(asked.rows()).tobytes()
    straight = Masked(asked.x, asked.other, asked.place, asked.masks, (3, 2, 2))
    assert not np.allclose(net.masked(asked), net.masked(straight), atol=1e-3)


@pytest.mark.parametrize("name", ["tabular", "mlp"])
def test_our_own_nets_are_asked_without_rows(name, request):
    from toolkit.exporting import export

    data = request.getfixturevalue({"tabular": "wine", "mlp": "digits"}[name])
    step = export(request.getfixturevalue(name), data.fit.validation)
    net = OnnxPredictor(step.model.SerializeToString(), name)
    assert net.parted is not None
    x = data.test.x[:2].reshape(2, -1)
    place = np.tile(np.arange(x.shape[1]) % 5, (2, 1))
    asked = Masked(x, x[::-1].copy(), place, Masks(5, 0, 32), data.test.x.shape[1:])
    assert net.parted[0].suits(asked).all()
    assert np.allclose(net.masked(asked), net(asked.rows()), atol=2e-6)


@pytest.mark.parametrize("budget", [500, 10**5])
def test_values_in_any_company_and_batch_have_the_same_bits(budget, monkeypatch):
    from toolkit.explainers import duels

    r, wide = rng(), 40
    kernel = r.normal(size=(wide, UNITS)).astype(np.float32)
    net = predictor([NODE("Gemm", ["x", "w", "b"], ["a"])], {"w": kernel, "b": B}, (wide,))
    # most columns are alike in all rows, so that few of them play
    x, background = np.zeros((5, wide), np.float32), np.zeros((7, wide), np.float32)
    x[:, :VALUES], background[:, :VALUES] = r.integers(0, 4, (5, VALUES)), rng().random((7, VALUES))
    shares, targets = np.full(7, 1 / 7), r.integers(0, 3, 5)

    def solved(places, unmade=net.masked):
        groups, many = np.arange(wide), np.full(len(places), budget)
        some = Table(x[places], targets[places], groups, background, shares, wide, (wide,))
        return solve(net, some, many, 0, unmade)

    together, rows = solved([0, 1, 2, 3, 4]), solved([0, 1, 2, 3, 4], None)
    assert together.sampled.any() == (budget == 500)
    assert np.allclose(together.values, rows.values, atol=2e-6)
    assert together.values.tobytes() != rows.values.tobytes()
    assert solved([2]).values.tobytes() == together.values[[2]].tobytes()
    monkeypatch.setattr(duels, "_VALUES", 100)
    monkeypatch.setattr(duels, "_ROWS", 64)
    assert solved([4, 1]).values.tobytes() == together.values[[4, 1]].tobytes()


def test_wrapped_models_answer_as_they_do_of_the_rows():
    """Rescaled, its classes in another order; remembered; the difference of two."""
    net = predictor(*NETS["gemm"])
    asked, mapped = batch(), Mapped(net, scale=0.5, offset=0.2, order=[2, 0, 1])
    plain = SimpleNamespace(name="plain", classes=3, shape=(VALUES,))
    for predict in (mapped, Remembered(net), Remembered(mapped), Difference(net, mapped)):
        assert np.allclose(predict.masked(asked), predict(asked.rows()), atol=2e-6), predict
    assert Mapped(plain).masked is None
    once = Remembered(net)
    assert once.masked(asked).tobytes() == once.masked(asked).tobytes()
    other = Masked(asked.x, asked.other, asked.place, Masks(4, 0, 16), asked.shape)
    assert once.masked(other).shape != once.masked(asked).shape
