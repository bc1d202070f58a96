import json

from toolkit import provenance


def test_versions_name_what_can_change_a_result():
    found = provenance.versions()
    assert {"python", "tensorflow", "onnxruntime", "shap", "lime"} <= set(found)
    assert "not installed" not in found.values()


def test_machine_and_data_are_json(wine):
    assert json.loads(json.dumps(provenance.machine()))["cores"] >= 1
    about = json.loads(json.dumps(provenance.about(wine)))
    assert sum(about["rows"].values()) == 178
