"""Sections of the compression page that appear when a Run has what they show."""

import dataclasses
import re

import numpy as np

from tests.test_report_sections import (
    DATA,
    MACHINE,
    attribution,
    decision,
    measured,
    section,
    words,
)
from toolkit import report
from toolkit.glossary import Confusion, History, LayerError
from toolkit.run import Run


def compressed(**more):
    m = (
        measured("base", "bytes", 9000, unit="B"),
        measured("int8", "bytes", 1000, unit="B"),
        measured("base", "accuracy", 90, 88, 92, unit="%"),
        measured("int8", "accuracy", 80, 78, 82, unit="%"),
        measured("int8", "accuracy_drop", 10, 8, 12, unit="points"),
        measured("int8", "latency_ratio", 0.5, 0.45, 0.55, unit="x"),
        *more.pop("measurements", ()),
    )
    confusions = (
        Confusion("base", np.array([[45, 5], [5, 45]])),
        Confusion("int8", np.array([[48, 2], [18, 32]])),
    )
    return Run(
        "t",
        "now",
        "compress",
        "base",
        "int8",
        DATA,
        measurements=m,
        confusions=confusions,
        machine=MACHINE,
        **more,
    )


def test_the_tiles_say_what_the_verdict_stands_on():
    drift = measured("int8", "reason_drift shapley", 0.03, 0.01, 0.06)
    text = words(
        section(report.render(compressed(measurements=(drift,)), "compression"), "verdict")
    )
    for figure in (
        "9.0 times smaller",
        "10.0 points of accuracy lost 95 %: 8.0 to 12.0",
        "2.00 times faster",
        "97 of 100 rows keep their answer for the same reasons",
    ):
        assert figure in text


def test_the_class_that_lost_most_comes_first():
    text = section(report.render(compressed(), "compression"), "classes")
    rows = re.findall(r"<tr><th scope=.row.>(\w+)</th>", text)
    assert rows == ["yes", "no"]
    assert "26.0" in words(text)


def test_a_class_that_fell_beyond_chance_is_marked():
    fell = measured("int8", "accuracy_drop class:yes", 26, 10, 40, unit="points", n=50)
    text = section(report.render(compressed(measurements=(fell,)), "compression"), "classes")
    assert text.count('class="worse"') == 1
    assert "26.0 10.0 to 40.0" in words(text)
    text = section(report.render(compressed(), "compression"), "classes")
    assert 'class="worse"' not in text


def test_a_job_begun_in_python_shows_no_command():
    text = words(section(report.render(compressed(), "compression"), "provenance"))
    assert "Made by a call in Python" in text


def test_mistakes_that_grew_are_listed():
    text = words(section(report.render(compressed(), "compression"), "confusion"))
    assert "yes no 5 18 +13" in text


def test_slices_and_processors_when_they_were_measured():
    more = (
        measured("base", "accuracy slice:sex=f", 91, 89, 93, unit="%", n=50),
        measured("int8", "accuracy slice:sex=f", 60, 58, 62, unit="%", n=50),
        measured("int8", "accuracy target:avx2", 70, unit="%"),
        measured("int8", "accuracy target:vnni", 80, unit="%"),
        measured("int8", "target_spread", 10, unit="points"),
    )
    text = report.render(compressed(measurements=more), "compression")
    assert "sex=f 50 91.0" in words(section(text, "slices"))
    assert "int8 10.00 70.0 80.0" in words(section(text, "targets"))
    quarters = [
        measured(who, f"accuracy slice:x={end}", 91, 89, 93, unit="%", n=50)
        for who in ("base", "int8")
        for end in ("to -0.6627", "above 0.6776")
    ]
    run = compressed(measurements=tuple(quarters))
    for lang, said in {
        "en": ("x: to −0.6627", "x: above 0.6776"),
        "de": ("x: bis −0,6627", "x: über 0,6776"),
    }.items():
        shown = words(section(report.render(run, "compression", lang=lang), "slices"))
        assert all(one in shown for one in said)
    text = report.render(compressed(), "compression")
    assert section(text, "slices") is None
    assert section(text, "targets") is None


def test_the_layer_at_fault_is_named():
    errors = (
        LayerError("int8", "conv_1", "Conv", 40.0, 0.9999, 0.9, 0.0, 0.001, 100),
        LayerError("int8", "conv_2", "Conv", 12.0, 0.97, 0.1, 0.0, 0.03, 200),
    )
    text = section(report.render(compressed(layer_errors=errors), "compression"), "layer-errors")
    assert "conv_2 is at fault" in text
    assert "uses only 10 %" in words(text)
    assert "conv_1 is at fault" not in text
    text = section(
        report.render(compressed(layer_errors=errors[:1]), "compression"), "layer-errors"
    )
    assert "No layer moves much. conv_1 moves most" in words(text)
    assert "at fault" not in text


def test_layers_of_long_names_are_told_apart_in_their_drawing():
    names = [f"functional_1/multi_head_attention/{part}/MatMul:0" for part in ("query", "value")]
    errors = [LayerError("int8", n, "MatMul", 40.0, 1.0, 0.9, 0.0, 0.001, 100) for n in names]
    text = report.render(compressed(layer_errors=tuple(errors)), "compression")
    shown = words(section(text, "layer-errors"))
    assert "…_attention/query/MatMul:0" in shown
    assert "…_attention/value/MatMul:0" in shown


def test_limits_are_drawn_and_dominated_files_are_faint():
    worse = (
        measured("fat", "bytes", 2000, unit="B"),
        measured("fat", "accuracy", 70, 68, 72, unit="%"),
        # the smallest, so that no other beats it, however much better they are
        measured("tiny", "bytes", 500, unit="B"),
        measured("tiny", "accuracy", 60, 58, 62, unit="%"),
    )
    run = compressed(measurements=worse, budget={"max_bytes": 5000, "max_drop": 2.0})
    text = section(report.render(run, "compression"), "trade-off")
    assert text.count('<line class="limit"') == 2
    assert re.search(r'class="point dominated"><title>fat', text)
    assert text.count('class="point dominated"') == 1


def test_a_training_is_drawn_with_its_figures():
    history = History("base", {"loss": (2.0, 1.0), "val_loss": (2.5, 1.5)})
    text = section(report.render(compressed(histories=(history,)), "compression"), "training")
    assert "1 2.0000 2.5000 2 1.0000 1.5000" in words(text)


def test_where_models_disagree_both_reasons_are_shown():
    rows = range(6)
    decisions = tuple(decision(r, flip=r == 5) for r in rows)
    reasons = tuple(attribution(s, r, [0.1, 0.2]) for s in ("base", "int8") for r in rows)
    run = dataclasses.replace(compressed(), decisions=decisions, attributions=reasons)
    text = section(report.render(run, "compression"), "disagreements")
    assert "1 of the 6 decisions" in text
    assert re.findall(r'id="differs-(\d+)"', text) == ["5"]


def test_how_sure_it_is_stands_beside_how_often_it_is_right():
    bins = [
        measured(s, name, value, *ends, unit="%", n=40)
        for s in ("base", "int8")
        for name, value, *ends in (
            ("right bin:0", 62.5, 47.0, 75.8),
            ("sure bin:0", 71.0),
            ("right bin:1", 95.0, 83.5, 98.6),
            ("sure bin:1", 97.0),
        )
    ]
    run = compressed()
    run = dataclasses.replace(run, measurements=(*run.measurements, *bins))
    shown = section(report.render(run, "compression"), "calibration")
    assert "base: 71.0 % sure, 62.5 % right, 40 answers" in shown
    assert shown.count("<circle") == 4
    assert section(report.render(compressed(), "compression"), "calibration") is None
