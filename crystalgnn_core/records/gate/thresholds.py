"""Thresholds of the change gate that hold for every source.

`tests/benchmarks/change_gate.py` measures what they find, and the false alarms.
"""

from __future__ import annotations

SMALL_UPDATE = 0.05  # of the rows; it words the report and raises no alarm
MAX_IDS_LOST = 0.5  # of the rows; a release retires some ids, a new numbering all of them
MAX_NEW_UNLABELLED = 0.25  # of new rows; databases publish some before they are computed
NEW_REJECTS = 2.0  # times `max_rejects`: shares of a few new rows vary more
MAX_SPREAD_RATIO = 3.0  # well below 10, the smallest constant factor of a wrong unit
MAX_OUTSIDE = 0.15  # of new labels; 0.01 of the same materials, but new ones reach farther
MAX_OUTSIDE_BY_UNIT = 0.03  # three times what is expected, as a wrong unit explains them
MAX_EXPLAINED = 0.2  # of changed labels; a correction turns the sign of some
MAX_SCHEME_SHIFT = 0.1  # of labels; databases recompute materials a few at a time
MAX_LICENSE_SHIFT = 0.01  # of rows: a licence decides on their use, so few may change it
FEW_LEFT = 0.2  # of the rows or labels that are expected
MIN_EXPECTED = 15  # rows or labels; fewer can be missing by chance
MIN_LABELS = 50  # before, to know where labels lie
MIN_NEW_LABELS = 20  # to compare them with those before
MIN_PAIRS = 5  # changed or lost labels; fewer are corrections of single rows

# of a first version, which is judged by what is known of inorganic crystals
MIN_REFUSED = 20  # rows; fewer are looked at one by one
MIN_IMPLAUSIBLE = 10  # rows
FIRST_REFUSED = 0.5  # of the rows but those without a label
FIRST_UNLABELLED = 0.95  # of the rows; a folder may hold many more than its label table
FIRST_IMPLAUSIBLE = 0.05  # of the labels; below 0.1 % in databases
LARGE_ENERGY = 5.0  # eV/atom; hardly any compound is as strongly bound as LaF3, 4.5
USUAL_SIZES = (0.12, 2.3)  # times what is expected; 0.22 to 1.51 in sound sets
USUAL_GAPS = (0.4, 15.0)  # eV, of the highest tenth of those above zero; 0.7 to 7.4
USUAL_MODULI = (5.0, 700.0)  # GPa, of the highest tenth; 21 to 375 in sound sets

# keys that configurations of earlier versions may hold
FORMER_SETTINGS = {
    "small_update", "max_ids_lost", "max_new_unlabelled", "max_new_rejects", "min_pairs",
    "max_spread_ratio", "max_outside", "max_slipped", "max_explained", "max_scheme_shift",
    "max_license_shift", "min_element_rows", "min_labels", "min_new_labels",
}  # fmt: skip
