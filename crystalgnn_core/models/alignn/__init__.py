"""The atomistic line graph network of Choudhary and DeCost (2021)."""
