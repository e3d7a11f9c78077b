"""What a material is, what is refused, and the table that holds it."""
