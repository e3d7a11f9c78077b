"""Headings of the table of ranked candidates."""

import pandas as pd

from crystalgnn_core.reporting.table import table_columns


def test_a_true_value_without_a_predicted_one_says_what_it_is():
    ranking = pd.DataFrame(
        {
            "band_gap": [1.0],
            "band_gap_true": [1.2],
            "bulk_modulus_true": [90.0],
            "shear_modulus_true": [40.0],
            "fermi_energy_true": [None],
        }
    )
    headers = {column.name: column.header for column in table_columns(ranking)}
    assert headers == {
        "band_gap": "Band gap",
        "band_gap_true": "true",
        "bulk_modulus_true": "true bulk modulus",
        "shear_modulus_true": "true shear modulus",
    }
