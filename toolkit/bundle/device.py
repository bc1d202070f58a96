"""Ask the model in this folder, prove that it answers here as where it was made, and time it.

    python run.py rows.npy          a line a row: its number, its class, the probability of it
    python run.py --verify          are all files whole, and the answers to the samples the same?
    python run.py --measure         the same, and speed and memory here, written to device.json

Rows come as .npy, .npz, .csv or, of texts, .txt. Needs Python 3.9 or later, numpy and onnxruntime.
Nothing is read but this folder and the rows, nothing goes over a network.
"""

# ruff: noqa: T201  # a script of its own, which prints what it found
# one file, however long: it is copied into bundles and must run there alone

from __future__ import annotations

import argparse
import codecs
import csv
import hashlib
import io
import json
import lzma
import math
import os
import platform
import re
import string
import sys
import time
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

# onnxruntime tells its maker what it opens unless this is set before it is loaded
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

FORMAT = 1
MOST_BYTES = 2**30
"""Of one array that is read; more is no row of a small model."""

MISSING = ("", "?", "NA", "N/A", "nan", "NaN", "null", "NULL", "None", "-")
TRUTHS = ("False", "True")
"""A column of these is one of 0 and 1, however they are written."""

_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
_AT_ONCE = 256
_TIMED_SECONDS, _MOST_CALLS = 3.0, 20000


class RefusedError(Exception):
    """What cannot be done, in one line: the value, what is allowed, the next step."""


def manifest(folder: Path) -> dict[str, Any]:
    """What the maker of the bundle wrote about it."""
    known: dict[str, Any] = _json(folder / "manifest.json")
    if known.get("format") != FORMAT or not isinstance(known.get("files"), dict):
        raise RefusedError("manifest.json is of another format; make the bundle again")
    return known


def altered(folder: Path, known: dict[str, Any]) -> dict[str, str]:
    """Each file that is not the one in the manifest, and what is wrong with it."""
    wrong = {}
    for name, file in known["files"].items():
        path = folder / Path(str(name)).name
        if not path.is_file():
            wrong[str(name)] = "is missing"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
            wrong[str(name)] = "was changed"
    return wrong


class Model:
    """The classifier of the folder: rows as the device has them -> probabilities f32 (n, k)."""

    def __init__(self, folder: Path | str, threads: int = 1) -> None:
        """Load it from its bytes: nothing outside the file can be drawn in."""
        import onnxruntime

        onnxruntime.disable_telemetry_events()  # on Windows it knows no such variable
        folder = Path(folder)
        self.labels = [str(label) for label in _json(folder / "labels.json")]
        self.spec = _json(folder / "preprocessing.json")
        self.folder = folder
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(
                (folder / "model.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors share no public base
            raise RefusedError(
                f"onnxruntime {onnxruntime.__version__} cannot load model.onnx "
                f"({str(error)[:160]}); install the version in manifest.json"
            ) from error
        self.input = self.session.get_inputs()[0].name
        floats = [o.name for o in self.session.get_outputs() if o.type == "tensor(float)"]
        self.output = floats[0]

    def __call__(self, x: Any) -> Any:
        """Probabilities of rows that are ready, f32 (n, *shape of the model)."""
        step = max(int(self.spec.get("rows_at_once", _AT_ONCE)), 1)
        found = [self._ask(x[i : i + step]) for i in range(0, len(x), step)]
        return np.concatenate(found) if found else np.zeros((0, len(self.labels)), np.float32)

    def _ask(self, x: Any) -> Any:
        try:
            given = np.asarray(self.session.run([self.output], {self.input: x})[0], np.float32)
        except Exception as error:  # its errors share no public base
            raise RefusedError(
                f"the model does not run on these rows ({str(error)[:160]})"
            ) from error
        head = self.spec["head"]
        if head == "sigmoid":
            return np.concatenate([1 - given, given], axis=1)
        if head == "logits":
            shifted = given.astype(np.float64)
            shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
            return (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
        return given

    def ready(self, x: Any) -> Any:
        """Rows as the device has them -> rows as the model takes them."""
        spec, wanted = self.spec, self.spec["shape"]
        x = np.asarray(x)
        if x.dtype.kind not in "biuf":
            raise RefusedError(f"the rows hold {x.dtype}; give numbers")
        row = tuple(x.shape[1:])
        values = math.prod(d or 1 for d in wanted)
        if None in wanted:
            # lengths that may differ: only a channel axis can be missing
            fits = len(row) == len(wanted) or (len(row) + 1 == len(wanted) and wanted[-1] == 1)
        else:
            grid, into = ([d for d in sizes if d != 1] for sizes in (row, wanted))
            if len(row) == 3 and row[2] in (3, 4) and (row[2], *row[:2]) == tuple(wanted):
                # channels last into a model that takes them first
                x = np.ascontiguousarray(np.moveaxis(x, 3, 1))
                grid = into
            turned = len(grid) > 1 and len(into) > 1 and grid != into
            fits = x.ndim > 1 and math.prod(row) == values and not turned
        if not fits:
            raise RefusedError(f"rows of shape {row}; the model takes {tuple(wanted)}")
        x = x.reshape(len(x), *row, 1) if None in wanted and len(row) < len(wanted) else x
        x = x if None in wanted else x.reshape(len(x), *wanted)
        x = x.astype(np.float32)
        if (spec["scale"], spec["offset"]) != (1.0, 0.0):
            x = (x * np.float32(spec["scale"]) + np.float32(spec["offset"])).astype(np.float32)
        for i, column in enumerate(spec.get("columns", ())):
            if "missing" in column:
                x[:, i] = np.where(np.isnan(x[:, i]), np.float32(column["missing"]), x[:, i])
        if not np.isfinite(x).all():
            raise RefusedError("NaN or infinite values in the rows; fill them in")
        return x

    def read(self, path: Path) -> Any:
        """The rows of a file, ready for the model."""
        if not path.is_file():
            raise RefusedError(f"no file at {path}; give a .npy, .npz, .csv or .txt")
        kind = path.suffix.lower()
        if kind == ".npy":
            return self.ready(_array(path))
        if kind == ".npz":
            found = arrays(path)
            name = next((n for n in ("x", "x_test", "x_train") if n in found), None)
            if name is None and len(found) != 1:
                raise RefusedError(f"{path} holds {', '.join(found)}; name the array of rows x")
            return self.ready(found[name] if name else next(iter(found.values())))
        if kind in {".csv", ".tsv"}:
            return self.ready(_table(path, self.spec.get("columns", [])))
        if kind == ".txt" and "words" in self.spec:
            # str.splitlines would cut at signs too that stand within texts
            lines = (
                _decoded(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n").split("\n")
            )
            words = _json(self.folder / self.spec["words"])
            return encoded([line.strip() for line in lines if line.strip()], words)
        raise RefusedError(f"{path} is no .npy, .npz, .csv{' or .txt' * ('words' in self.spec)}")


def encoded(texts: list[str], words: dict[str, Any]) -> Any:
    """The indices of the words of each text, f32 (n, length), as the model was trained on them."""
    place = {word: i for i, word in enumerate(words["vocabulary"])}
    lower = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
    bare = str.maketrans("", "", string.punctuation)
    out = np.zeros((len(texts), words["length"]), np.float32)
    for row, text in enumerate(texts):
        text = text.translate(lower) if words["lower"] else text  # noqa: PLW2901
        text = text.translate(bare) if words["strip"] else text  # noqa: PLW2901
        # words end at the spaces of ASCII alone, as in Keras
        parts = list(text) if words["characters"] else re.findall(r"[^ \t\n\r\x0b\x0c]+", text)
        found = [i for i in (place.get(p, words["unknown"]) for p in parts) if i is not None]
        length = words["length"]
        found = found[:length] if words["cut"] == "post" else found[-length:]
        if found:
            start = 0 if words["padding"] == "post" else length - len(found)
            out[row, start : start + len(found)] = found
    return out


def replayed(folder: Path, known: dict[str, Any], model: Model) -> dict[str, Any]:
    """The samples asked again, one row a call, and how far the answers are from those kept."""
    samples = arrays(folder / "samples.npz")
    x, kept = samples["x"], samples["probabilities"]
    given = np.concatenate([model(x[i : i + 1]) for i in range(len(x))])
    apart = np.abs(given - kept).max(axis=1)
    allowed = known["samples"]
    # a comparison with NaN is never true
    near = apart <= float(allowed["rounding"])
    few = bool(len(x) - int(near.sum()) <= allowed["falls"])
    return {
        "rows": len(x),
        "same_bits": int((given == kept).all(axis=1).sum()),
        "same_class": int((given.argmax(axis=1) == kept.argmax(axis=1)).sum()),
        "largest_difference": float(apart.max(initial=0.0)),
        "beyond_rounding": len(x) - int(near.sum()),
        "allowed": {name: allowed[name] for name in ("rounding", "step", "falls")},
        "passed": few and bool((apart <= float(allowed["step"])).all()),
    }


def machine() -> dict[str, Any]:
    """The processor, those of its features that integer kernels care for, cores and system."""
    source = Path("/proc/cpuinfo")
    text = source.read_text(encoding="utf-8", errors="replace") if source.is_file() else ""
    pairs = [line.split(":", 1) for line in text.splitlines() if ":" in line]
    fields = {pair[0].strip(): pair[1].strip() for pair in pairs}
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    return {
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "features": [name for name in _FEATURES if name in flags],
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
    }


def measured(model: Model, folder: Path) -> list[dict[str, Any]]:
    """One row a call on one thread: us at the median and at 95 %; ms to load; MB at the peak."""
    x = arrays(folder / "samples.npz")["x"]
    feed = {model.input: x[:1]}
    for _ in range(20):
        model.session.run(None, feed)
    peak = _peak()
    times: list[float] = []
    until = time.perf_counter() + _TIMED_SECONDS
    while len(times) < 20 or (time.perf_counter() < until and len(times) < _MOST_CALLS):
        start = time.perf_counter()
        model.session.run(None, feed)
        times.append(1e6 * (time.perf_counter() - start))
    times.sort()
    n = len(times)
    # the sign test's interval of a median, by its normal approximation
    half = 0.98 * math.sqrt(n)
    low, high = times[max(int(n / 2 - half), 0)], times[min(int(n / 2 + half), n - 1)]
    found = [
        _figure("latency_p50", times[n // 2], "us", n, low, high),
        _figure("latency_p95", times[min(int(0.95 * n), n - 1)], "us", n),
    ]
    loads = []
    for _ in range(5):
        start = time.perf_counter()
        Model(folder)
        loads.append(1e3 * (time.perf_counter() - start))
    found.append(_figure("load", sorted(loads)[2], "ms", 5, min(loads), max(loads)))
    if peak is not None:
        found.append(_figure("peak_memory", peak / 1e6, "MB", 1))
    return found


# what damaged files end in: RuntimeError for an encrypted one, SyntaxError for a broken head
DAMAGED = (
    *(ValueError, OSError, EOFError, SyntaxError, RuntimeError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)


def arrays(path: Path) -> dict[str, Any]:
    """The arrays of an .npz: nothing pickled, and none larger than its place in the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as stream:
                    _bounded(stream, member.file_size, member.filename)
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except DAMAGED as error:
        raise RefusedError(f"cannot read {path} ({error}); give plain arrays") from error


def _array(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            _bounded(stream, path.stat().st_size, path.name)
        return np.load(path, allow_pickle=False)
    except DAMAGED as error:
        raise RefusedError(f"cannot read {path} ({error}); give a plain array") from error


def _bounded(stream: Any, size: int, name: str) -> None:
    """Refuse an array whose header claims more than there is, before memory is taken for it."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0
    shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(stream)
    claimed = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or claimed > min(size, MOST_BYTES):
        raise ValueError(f"{name} claims {shape} of {dtype}")


def _table(path: Path, columns: list[dict[str, Any]]) -> Any:
    """The columns of a table in the model's order, f32; categories as codes, missing as NaN."""
    if not columns:
        raise RefusedError(f"{path} is a table and the model takes none; give a .npy")
    text = _decoded(path.read_bytes())
    names = [str(column["name"]) for column in columns]
    first = text.partition("\n")[0]

    def fits(separator: str) -> tuple[int, int]:
        """How many of the names stand between such signs, and how many signs there are."""
        cells = [cell.strip().strip('"') for cell in first.split(separator)]
        return sum(name in cells for name in names), first.count(separator)

    separator = max(",;\t|", key=fits)
    stream = io.StringIO(text, newline="")
    lines = [
        [cell.strip() for cell in row]
        for row in csv.reader(stream, delimiter=separator, skipinitialspace=True)
        if any(cell.strip() for cell in row)
    ]
    comma = "," if separator == "," else _comma(lines)
    head = lines[0] if lines else []
    if all(name in head for name in names):
        places, lines = [head.index(name) for name in names], lines[1:]
    elif len(head) == len(names) and not any(name in head for name in names):
        places = list(range(len(names)))
    else:
        lost = next(name for name in names if name not in head)
        raise RefusedError(f"{path} has no column '{lost}'; its first line must name all columns")
    out = np.zeros((len(lines), len(names)), np.float32)
    for n, line in enumerate(lines):
        for i, column in enumerate(columns):
            cell = line[places[i]] if places[i] < len(line) else ""
            if not column.get("categories"):
                cell = cell.replace(",", comma)
            out[n, i] = _cell(cell, column, n + 1)
    return out


def _comma(lines: list[list[str]]) -> str:
    """What a comma within numbers stands for: a point, or nothing where it parts thousands."""
    grouped = False
    for cells in zip(*lines):  # noqa: B905  # lines may be shorter
        found = [re.fullmatch(r"[+-]?(\d*),(\d+)", cell) for cell in cells]
        if any(m and (len(m[2]) != 3 or m[1] in ("", "0")) for m in found):
            return "."
        plain = any(re.fullmatch(r"[+-]?\d{1,3}", cell) for cell in cells)
        many = [re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", cell) for cell in cells]
        whole = [bool(re.fullmatch(r"[+-]?\d*,[\d,]+", cell)) for cell in cells]
        grouped |= plain and any(many) and all(m or not w for m, w in zip(many, whole))  # noqa: B905
    return "" if grouped else "."


def _decoded(content: bytes) -> str:
    """A text in UTF-8, in UTF-16 with its mark, in Windows' letters, or else in Latin-1."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _cell(cell: str, column: dict[str, Any], row: int) -> float:
    name, known = column["name"], column.get("categories")
    if known:
        if cell.capitalize() in TRUTHS and cell not in known:
            cell = cell.capitalize()
        cell = "missing" if cell in MISSING and cell not in known else cell
        if cell in known:
            return float(known.index(cell))
        shown = ", ".join(known[:8])
        raise RefusedError(f"'{cell}' in column '{name}', row {row}; one of {shown}")
    if cell in MISSING:
        if "missing" in column:
            return math.nan
        raise RefusedError(f"no value in column '{name}', row {row}; none was missing in training")
    if cell.capitalize() in TRUTHS:
        return float(TRUTHS.index(cell.capitalize()))
    try:
        return float(cell)
    except ValueError:
        raise RefusedError(f"'{cell}' in column '{name}', row {row}; give a number") from None


def _figure(  # noqa: PLR0917
    name: str, value: float, unit: str, n: int, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "n": n, "low": low, "high": high}


def _peak() -> int | None:
    """The most memory this process has held, bytes, where the system tells it."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    for line in status.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RefusedError(f"cannot read {path} ({error}); unpack the bundle again") from error


def _written(path: Path, found: dict[str, Any]) -> None:
    """Write it whole or not at all."""
    draft = path.with_name(path.name + ".writing")
    draft.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def told(found: dict[str, Any]) -> str:
    """What the replay found, in a sentence."""
    allowed = found["allowed"]
    text = (
        f"{found['rows']} samples: {found['same_bits']} the same to the bit, "
        f"{found['same_class']} of the same class, largest difference of a probability "
        f"{found['largest_difference']:.2g}; allowed {allowed['rounding']:.2g}"
    )
    if allowed["falls"]:
        text += f", and {allowed['step']:.2g} in {allowed['falls']} of them"
    return text


def _checked(folder: Path, options: argparse.Namespace) -> int:
    """Verify, and measure where that was asked for: 0, or 1 when a check failed."""
    import onnxruntime

    known = manifest(folder)
    wrong = altered(folder, known)
    for name, what in wrong.items():
        print(f"{name} {what}")
    if wrong:
        print("unpack the bundle again")
        return 1
    model = Model(folder)
    replay = replayed(folder, known, model)
    found: dict[str, Any] = {
        "format": FORMAT,
        "kind": "device",
        "name": known["name"],
        "model": known["files"]["model.onnx"]["sha256"],
        "machine": machine(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
        "replay": replay,
    }
    lines = [f"{len(known['files'])} files are whole", told(replay)]
    if options.measure:
        found["measurements"] = measured(model, folder)
        lines += [f"{m['name']} {m['value']:.4g} {m['unit']}" for m in found["measurements"]]
        out = options.out or Path("device.json")
        _written(out, found)
        lines.append(f"written: {out}; fold it in with: toolkit measure DIR --import {out.name}")
    print(json.dumps(found, indent=1) if options.json else "\n".join(lines))
    if not replay["passed"]:
        print("this machine answers otherwise than the one that made the bundle", file=sys.stderr)
    return 0 if replay["passed"] else 1


def _answered(folder: Path, options: argparse.Namespace) -> int:
    model = Model(folder, threads=0)
    p = model(model.read(options.rows))
    best = p.argmax(axis=1)
    if options.json:
        print(json.dumps({"labels": model.labels, "probabilities": p.tolist()}))
        return 0
    for row, k in enumerate(best):
        print(f"{row}\t{model.labels[int(k)]}\t{p[row, k]:.4f}")
    return 0


def main(arguments: list[str] | None = None, folder: Path | None = None) -> int:
    """Run the command: 0 done, 1 a check failed, 2 bad input."""
    folder = folder or Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="?", type=Path, help="rows to classify")
    parser.add_argument("--verify", action="store_true", help="check files and samples")
    parser.add_argument("--measure", action="store_true", help="and time it here")
    parser.add_argument("--out", type=Path, help="where --measure writes (device.json)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if options.rows is None and not (options.verify or options.measure):
        parser.error("give a file of rows, or --verify, or --measure")
    if options.rows is not None and (options.verify or options.measure):
        parser.error(
            f"a file of rows ({options.rows}) and --verify or --measure; give one of them: "
            "what --measure writes is named by --out"
        )
    if options.out is not None and not options.measure:
        parser.error(f"--out {options.out} names what --measure writes; add --measure")
    try:
        ask = _answered if options.rows is not None else _checked
        return ask(folder, options)
    except (UnicodeError, csv.Error) as error:
        print(
            f"run.py: {options.rows} is no text that can be read ({error}); give it in UTF-8",
            file=sys.stderr,
        )
        return 2
    except (RefusedError, OSError) as error:
        print(f"run.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
