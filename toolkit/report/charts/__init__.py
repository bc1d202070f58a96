"""Charts as inline SVG, one form a file: no script, every mark tells its value.

Drawn by ourselves: ten charts of a plotting library as SVG are two to twenty times as many bytes,
and those that draw by script are blank without it. To add a form: a file and a name here.
"""

from toolkit.report.charts.bars import bars, means
from toolkit.report.charts.beeswarm import beeswarm
from toolkit.report.charts.confusion import confusion
from toolkit.report.charts.frontier import Point, frontier
from toolkit.report.charts.lines import lines
from toolkit.report.charts.reliability import Bin, reliability
from toolkit.report.charts.ruler import Place, ruler
from toolkit.report.charts.scatter import scatter
from toolkit.report.charts.strip import strip
from toolkit.report.charts.waterfall import waterfall

__all__ = [
    "Bin",
    "Place",
    "Point",
    "bars",
    "beeswarm",
    "confusion",
    "frontier",
    "lines",
    "means",
    "reliability",
    "ruler",
    "scatter",
    "strip",
    "waterfall",
]
