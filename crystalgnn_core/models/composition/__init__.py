"""Models that see the composition alone: a perceptron and boosted trees."""
