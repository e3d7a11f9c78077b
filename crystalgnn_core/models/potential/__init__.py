"""Models on the features of an interatomic potential, whose weights stay as they are."""
