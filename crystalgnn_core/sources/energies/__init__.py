"""Formation energies from total energies: corrections and references."""
