"""Optimizers against each other, in simulated worlds, by the number of program calls."""
