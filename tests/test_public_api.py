import pkgutil

import toolkit

PUBLIC = [
    "Budget", "Frontier", "Recipe", "Run", "Settings", "ToolkitError", "build", "checked",
    "compress", "distil_explainer", "explain", "explain_rows", "export", "listening", "load",
    "measure", "on", "open_model", "predictor", "resuming", "study", "train", "working",
    "write",
]  # fmt: skip


def test_the_public_names_are_these_and_all_of_them_are_there():
    assert toolkit.__all__ == PUBLIC == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(toolkit, name).__doc__, name
    assert dir(toolkit) == PUBLIC


def test_another_name_is_an_attribute_error():
    assert not hasattr(toolkit, "nothing")


def test_no_public_name_is_a_module_which_would_take_its_place_once_imported():
    assert not {module.name for module in pkgutil.iter_modules(toolkit.__path__)} & set(PUBLIC)
