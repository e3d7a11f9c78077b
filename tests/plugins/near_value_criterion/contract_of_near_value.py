from near_value import NearValue

from crystalgnn_core.contracts.criteria import CriterionContract


class TestNearValue(CriterionContract):
    criterion = NearValue(column="band_gap", best=1.4, width=0.3)
