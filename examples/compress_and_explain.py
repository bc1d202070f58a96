"""Train, compress, explain and write the pages, as a pipeline would."""

import tempfile
from pathlib import Path

import toolkit

splits = toolkit.load("wine")
model = toolkit.build("tabular", splits.fit.train, seed=0)
model, history = toolkit.train(model, splits.fit, toolkit.Settings(epochs=30, batch=16))

out = Path(tempfile.mkdtemp())
frontier = toolkit.compress(model, splits, ["float16", "int8"], out=out, history=history)
for measurement in frontier.run.measurements:
    if measurement.name in ("bytes", "accuracy"):
        print(measurement.subject, measurement.name, round(measurement.value, 1), measurement.unit)

small = frontier.chosen or frontier.candidates[0]
pair = [toolkit.predictor(a.path, a.name) for a in (frontier.base, small)]
# quick: by default the figures are over 24 rows, and their intervals narrower
why = toolkit.study(pair, splits, rows=3, sample=8)
for measurement in why.measurements:
    if measurement.name.startswith("reason_cosine "):
        print(measurement.subject, measurement.name, round(measurement.value, 4))

for page in (*toolkit.write(frontier.run, out), *toolkit.write(why, out)):
    print(page)
