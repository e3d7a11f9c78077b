"""CSV that is read record by record, however it is written."""
