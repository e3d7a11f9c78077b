"""CIF, by gemmi where that is safe and by pymatgen elsewhere."""
