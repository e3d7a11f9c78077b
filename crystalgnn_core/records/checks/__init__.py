"""What a structure or a label must fulfil to become a record."""
