"""The compile: propose, race on shared examples, confirm on held-out ones, write down."""
