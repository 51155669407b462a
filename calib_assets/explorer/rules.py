"""What the page must know of a decoding rule to offer it; how it cuts is in ``static/engine.js``, by the same name."""

from calib_assets.decoding import RULES


def rule_cards() -> list[dict]:
    """Every registered rule: name, label, parameter, its default grid, and whether it is an oracle."""
    return [
        {
            "name": rule.name,
            "label": rule.label,
            "parameter": rule.parameter,
            "grid": [value for value in rule.default_grid if value is not None],
            "oracle": rule.uses_valid_set,
            "about": (rule.__doc__ or "").strip().splitlines()[0].replace("``", ""),
        }
        for rule in RULES.values()
    ]
