"""How sure an answer is, and who answers instead where it is not sure enough."""
