"""Catalogue of the shape study's report: every figure and table of a model and task, in paper order.

To add one, write its figure function or its table function and name it here.
"""

from calib_assets import figures
from calib_assets.report import shape_tables
from calib_assets.report.item import Item


def main_floor(floors: tuple[float, ...]) -> float:
    """The validity floor of figures that show one: the paper's 0.8 if it is listed, else the first.

    >>> main_floor((0.5, 0.8)), main_floor((0.9,)), main_floor(())
    (0.8, 0.9, 0.8)
    """
    return 0.8 if 0.8 in floors or not floors else floors[0]


def shape_items(floors: tuple[float, ...]) -> list[Item]:
    """Items in reading order; a figure at one validity floor takes 0.8 if it is listed, else the first."""
    main = main_floor(floors)
    return [
        Item(
            "token-distribution",
            "Token distribution",
            ("conditional_ranks",),
            figures.token_distribution,
            "Probability by rank at one context, both axes logarithmic. Most of the tail is left out.",
            "Counterpart of Figure 1, left",
            "Next-token probability falling with rank; valid and invalid tokens.",
        ),
        Item(
            "mass",
            "Mass by temperature",
            ("mass_by_temperature",),
            figures.mass_by_temperature,
            "Where the probability of the next token goes as temperature rises.",
            "Counterpart of Figure 1, right",
            "Stacked shares of valid and invalid mass against temperature.",
        ),
        Item(
            "calibration",
            "Calibration of every conditional",
            ("conditional_calibration",),
            figures.conditional_calibration,
            "A dot is one context of the trie.",
            "Definition D.1, graded",
            "Four panels by depth: order AUROC, valid mass, shape divergence, effective support.",
        ),
        Item(
            "calibration-table",
            "Calibration by depth",
            ("conditional_calibration",),
            shape_tables.calibration,
            "Medians over the contexts of a depth.",
            "Definition D.1",
        ),
        Item(
            "tradeoff",
            "Temperature alone",
            ("decoding_sweep",),
            figures.temperature_tradeoff,
            "Sampling without truncation; a point a temperature.",
            "Counterpart of Figure 5, left",
            "Validity against diversity as temperature changes.",
        ),
        Item(
            "sequences",
            "Sequence probabilities",
            ("sequence_probabilities",),
            figures.sequence_probability,
            "Valid sequences sorted by probability at each temperature; the bars on the right hold the mass "
            "of all invalid sequences together.",
            "Counterpart of Figures 5 (right) and 10",
            "Probability of valid sequences by rank on a logarithmic scale, with bars of invalid mass.",
        ),
        Item(
            "sequence-table",
            "Most and least probable answers",
            ("sequence_probabilities",),
            shape_tables.answers,
            "At the temperature nearest to 1.",
            "Figures 5 (right) and 10",
        ),
        Item(
            "frontier",
            "Validity–diversity frontiers",
            ("validity_diversity_frontier", "decoding_sweep"),
            lambda frontier, sweep: figures.validity_diversity_frontier(frontier, sweep=sweep, floors=floors),
            "Best diversity that each rule reaches at or above a validity, over all its parameters and "
            "temperatures. Faint points are single configurations.",
            "Counterpart of Figures 6 and 9",
            "Pareto frontier of every decoding rule in the plane of validity and diversity.",
        ),
        Item(
            "best-table",
            "Best diversity at validity floors",
            ("best_diversity",),
            shape_tables.best,
            "With the configuration that reaches it.",
            "§5.3",
        ),
        Item(
            "gap",
            "Order gap and shape gap",
            ("calibration_gap",),
            figures.calibration_gap,
            "Diversity achieved by the best practical rule, then what is lost to shape and to order.",
            "§5.3",
            "Stacked bars at each validity floor.",
        ),
        Item(
            "gap-table", "Order gap and shape gap", ("calibration_gap",), shape_tables.gaps, "", "§5.3"
        ),
        Item(
            "precision-recall",
            "Sequence precision and recall",
            ("sequence_precision_recall",),
            figures.sequence_precision_recall,
            "Best recall of each rule at a floor on precision, sampling uniformly from the retained sets.",
            "§4.2",
            "Pareto frontier of sequence precision and recall.",
        ),
        Item(
            "factors",
            "Factors by step",
            ("sequence_steps", "sequence_precision_recall"),
            lambda steps, points: figures.step_factors(steps, points, precision_floor=main),
            "The configuration of each rule with the largest recall above the floor.",
            "Theorem E.1",
            "Step precision and step recall of each rule by step.",
        ),
        Item(
            "identity-table",
            "Identity of Theorem E.1",
            ("sequence_precision_recall", "sequence_steps"),
            shape_tables.identity,
            "Largest difference between a sequence value and the product of its factors, "
            "over all configurations of a rule; the study requires less than 10⁻⁹.",
            "Theorem E.1",
        ),
        Item(
            "order-bound",
            "Order bound",
            ("theory_e3",),
            figures.order_bound,
            "Recall that cutoff rules reach at a precision, and the most that hardness allows.",
            "Theorem E.3",
            "Measured recall and its bound against a floor on sequence precision.",
        ),
        Item(
            "shape-bound",
            "Shape bound",
            ("theory_f4",),
            figures.shape_bound,
            "Diversity at each temperature and the bound for geometric, order-calibrated conditionals.",
            "Theorem F.4, Corollaries F.5 and F.6",
            "Measured diversity and its bounds against validity.",
        ),
        Item(
            "logits",
            "Logit fits",
            ("logit_fit_curves", "logit_fits"),
            figures.logit_fit,
            "Sorted logits with a linear head and a logarithmic tail, by least squares. All ranks weigh the same, so "
            "the thousands of the tail decide: the first ranks may lie far off the curve.",
            "Counterpart of Figures 13 to 15",
            "Small multiples of sorted logits with their piecewise fit.",
        ),
        Item(
            "logit-table",
            "Logit fits",
            ("logit_fits", "logit_fit_curves"),
            shape_tables.fits,
            "Where C is as large as the search allows, the tail is a straight line, which has no exponent.",
            "Appendix I",
        ),
    ]


def table_names() -> tuple[str, ...]:
    """Names of the tables that a complete partition section is made of, in order of first use."""
    return tuple(dict.fromkeys(name for entry in shape_items((0.8,)) for name in entry.needs))
