import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from toolkit import run
from toolkit.errors import DataError
from toolkit.glossary import UNSAVED, Layer, Measurement


def equal(a, b):
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(
            equal(getattr(a, f.name), getattr(b, f.name))
            for f in dataclasses.fields(a)
            if f.metadata != UNSAVED
        )
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return a == b


def test_all_of_a_real_run_comes_back(full_run, tmp_path):
    path = tmp_path / "run.json"
    run.save(full_run, path)
    assert equal(run.load(path), full_run)


@settings(max_examples=25)
@given(
    arrays(
        np.float32, array_shapes(max_dims=3, max_side=4), elements=st.floats(-1e6, 1e6, width=32)
    ),
    st.text(),
)
def test_any_array_and_name_come_back(values, name):
    made = run.Run(
        "t", "now", "c", "base", None, {}, layers=(Layer(name, name, "weights", values),)
    )
    assert equal(run.from_json(run.to_json(made)), made)


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1}', '{"format": 2}', "[1]"])
def test_what_is_no_run(text):
    with pytest.raises(DataError, match="not a saved run"):
        run.from_json(text)


def test_subjects_are_in_the_order_measured_and_the_base_first():
    m = [Measurement(s, "accuracy", 1.0, "%", 1) for s in ("b", "a", "b")]
    made = run.Run("t", "now", "c", "a", None, {}, measurements=tuple(m))
    assert made.subjects() == ("a", "b")
    assert made.measured("a", "nothing") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("seeds", 5), ("data", None), ("versions", [1]), ("base", None), ("measurements", {})],
)
def test_fields_of_another_kind(full_run, field, value):
    raw = json.loads(run.to_json(full_run))
    raw[field] = value
    with pytest.raises(DataError, match=f"{field} is no"):
        run.from_json(json.dumps(raw))


def test_figures_that_are_none(full_run, tmp_path):
    raw = json.loads(run.to_json(full_run))
    raw["measurements"][0]["value"] = "many"
    for text in (json.dumps(raw), run.to_json(full_run).replace(": 0.", ": NaN", 1), "[" * 100_000):
        with pytest.raises(DataError, match="not a saved run"):
            run.from_json(text)
    (tmp_path / "run.json").write_bytes(b'{"format": 1, "title": "\xff')
    with pytest.raises(DataError, match="not a saved run"):
        run.load(tmp_path / "run.json")
