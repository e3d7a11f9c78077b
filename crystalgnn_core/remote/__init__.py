"""Other machines: requests that are retried, checked downloads, and their cache."""
