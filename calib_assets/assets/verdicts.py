"""Everything that must hold of finished results; a check on files (checksums) stands in ``checks``."""

from calib_assets.assets.canopy.verdicts import CANOPY_RULES, COMPARISON_RULES
from calib_assets.assets.cases.code_rules import CODING_RULES
from calib_assets.assets.cases.collapse_rules import COLLAPSE_RULES
from calib_assets.assets.order.verdicts import ORDER_RULES
from calib_assets.assets.rule import Rule
from calib_assets.assets.shape.verdicts import SHAPE_RULES

RULEBOOK: tuple[Rule, ...] = (
    *(*SHAPE_RULES, *ORDER_RULES, *CANOPY_RULES, *COMPARISON_RULES),
    *(*COLLAPSE_RULES, *CODING_RULES),
)

__all__ = [
    *("CANOPY_RULES", "CODING_RULES", "COLLAPSE_RULES", "COMPARISON_RULES", "ORDER_RULES", "RULEBOOK", "SHAPE_RULES"),
]
