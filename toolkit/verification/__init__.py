"""Is a page true? Its models, its data and its figures are checked, and some of it made again.

pages.py: what a page carries and shows. attributions.py: files by their hash, some rows explained
again. figures.py: the figures computed again.
"""

from __future__ import annotations

from toolkit.verification.attributions import named, recomputed, versions
from toolkit.verification.figures import figures
from toolkit.verification.pages import Checked, page, shown

__all__ = ["Checked", "figures", "named", "page", "recomputed", "shown", "versions"]
