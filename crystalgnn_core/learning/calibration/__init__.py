"""How far to trust a prediction: intervals, and how unlike the training rows a row is."""
