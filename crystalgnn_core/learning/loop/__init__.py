"""The training loop, piece by piece: batches, steps, averages, epochs."""
