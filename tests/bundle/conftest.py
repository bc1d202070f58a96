"""A bundle as it was made, and unpacked as on a device."""

import zipfile

import pytest

from toolkit import bundle
from toolkit.checks import checked


@pytest.fixture(scope="module")
def run(frontier):
    return checked(frontier.run)


@pytest.fixture(scope="module")
def packed(run, digits, tmp_path_factory):
    """The bundle of the int8 model."""
    return bundle.write(run, digits.test, tmp_path_factory.mktemp("out") / "b.zip", name="int8")


@pytest.fixture
def folder(packed, tmp_path):
    """The bundle unpacked, as on a device."""
    with zipfile.ZipFile(packed) as inside:
        inside.extractall(tmp_path)
    return tmp_path
