"""Crystal graphs: neighbours, Parquet shards, batches."""
