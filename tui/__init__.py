"""The terminal UI room: renders the events of `longctx`, holds no use case of its own."""
