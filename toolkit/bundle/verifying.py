"""A bundle somebody sent -> whether its files are whole and it answers here as it did there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from toolkit.bundle import device
from toolkit.bundle.archive import unzipped
from toolkit.bundle.writing import script
from toolkit.errors import DataError
from toolkit.files import sha256
from toolkit.glossary import Facts


@dataclass(frozen=True)
class Verdict:
    """What verifying found.

    name: of the model. sha256: of the zip. files: how many the manifest knows. altered: file ->
    what is wrong with it. replay: the samples asked again, or None where a file is altered. ours:
    whether run.py is the script of this version; it was not run.
    """

    name: str
    sha256: str
    files: int
    altered: dict[str, str]
    replay: Facts | None
    ours: bool

    @property
    def passed(self) -> bool:
        """Whether every file is whole and every answer within the tolerance."""
        return not self.altered and self.replay is not None and bool(self.replay["passed"])


def verify(path: str | Path) -> Verdict:
    """Check the hashes of a bundle and ask its samples again on this machine.

    No code of the bundle runs. Raises DataError when it is no bundle or cannot be read safely.
    """
    path = Path(path)
    files = unzipped(path)
    if "manifest.json" not in files:
        held = ", ".join(list(files)[:4]) or "nothing"
        raise DataError(
            f"{path} is not a bundle: it holds {held}", "a zip that compress --bundle wrote", ""
        )
    with TemporaryDirectory() as name:
        folder = Path(name)
        for member, content in files.items():
            (folder / member).write_bytes(content)
        try:
            told = device.manifest(folder)
            altered = device.altered(folder, told)
            known = {*told["files"], "manifest.json"}
            altered.update({n: "is not in the manifest" for n in files if n not in known})
            lost = {"model.onnx", "labels.json", "preprocessing.json", "samples.npz"} - set(files)
            altered.update(dict.fromkeys(lost, "is missing"))
            replay = None
            if not altered:
                replay = device.replayed(folder, told, device.Model(folder))
        except (device.RefusedError, LookupError, TypeError, ValueError, AttributeError) as error:
            # whatever JSON and arrays of another form do to what reads them
            raise DataError(
                f"{path} is not a bundle ({error})", "a zip that compress --bundle wrote", ""
            ) from error
    ours = files.get("run.py") == script()
    return Verdict(str(told["name"]), sha256(path), len(told["files"]), altered, replay, ours)
