"""From a source to the record table: staged in parts, committed once."""
