"""Pure state machines and waiting, which the layers of engines and the calls of tools share."""
