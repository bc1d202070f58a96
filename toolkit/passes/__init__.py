"""The passes, by the name that recipes use.

To add one: a file here with a frozen dataclass of `base.Pass` whose fields are its settings, a
line in `PASSES`, and a test beside the others. The contract test finds it by itself.
"""

from __future__ import annotations

from toolkit.passes.base import Pass, apply
from toolkit.passes.channels import Channels
from toolkit.passes.cluster import Cluster
from toolkit.passes.distil import Distil
from toolkit.passes.distil_features import DistilFeatures
from toolkit.passes.distil_reasons import DistilReasons
from toolkit.passes.dynamic_int8 import DynamicInt8
from toolkit.passes.equalise import Equalise
from toolkit.passes.float16 import Float16
from toolkit.passes.integer_operators import IntegerOperators
from toolkit.passes.low_rank import LowRank
from toolkit.passes.pack import Pack
from toolkit.passes.prune import Prune
from toolkit.passes.quantise_aware import QuantiseAware
from toolkit.passes.round_weights import RoundWeights
from toolkit.passes.shorten import Shorten
from toolkit.passes.static_int8 import StaticInt8
from toolkit.passes.weights_int4 import WeightsInt4

__all__ = ["PASSES", "Pass", "apply"]

PASSES: dict[str, type[Pass]] = {
    "cluster": Cluster,
    "channels": Channels,
    "distil": Distil,
    "distil_features": DistilFeatures,
    "distil_reasons": DistilReasons,
    "dynamic_int8": DynamicInt8,
    "equalise": Equalise,
    "float16": Float16,
    "integer_operators": IntegerOperators,
    "pack": Pack,
    "prune": Prune,
    "low_rank": LowRank,
    "quantise_aware": QuantiseAware,
    "round_weights": RoundWeights,
    "shorten": Shorten,
    "static_int8": StaticInt8,
    "weights_int4": WeightsInt4,
}
