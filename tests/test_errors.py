import pytest

from toolkit.errors import BadInput, DataError, ToolkitError, near


def test_one_line_whatever_is_in_it():
    error = DataError("a\nb  c", "x", "y")
    assert str(error) == "a b c; x; y"
    assert isinstance(error, BadInput)
    assert isinstance(error, ToolkitError)


def test_near_lists_all_when_nothing_is_close():
    assert near("zzz", ["b", "a"]) == "choose one of a, b"


@pytest.mark.parametrize("typed", ["int-8", "in8", "int8s"])
def test_near_finds_a_slip(typed):
    assert "int8" in near(typed, ["float16", "int8", "distil"])
