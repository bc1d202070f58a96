import pytest

from toolkit.artifact import read_manifest
from toolkit.errors import DataError


def test_the_manifest_says_how_each_came_about(frontier):
    folder = frontier.base.path.parent
    found = read_manifest(folder)
    assert [a.name for a in found] == ["base", "float16", "int8"]
    passes = [f["pass"] for f in found[2].facts]
    assert passes == ["export", "static_int8", "integer_operators", "shorten"]
    assert 'kind = "static_int8"' in found[2].recipe


def test_a_changed_file_is_noticed(frontier, tmp_path):
    for path in frontier.base.path.parent.glob("[!.]*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "int8.onnx").write_bytes(b"x")
    with pytest.raises(DataError, match="is not the file"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"artifacts": [{}]}'])
def test_damaged_manifests(text, tmp_path):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="damaged"):
        read_manifest(tmp_path)


def test_a_folder_without_one(tmp_path):
    with pytest.raises(DataError, match=r"no manifest\.json"):
        read_manifest(tmp_path)
