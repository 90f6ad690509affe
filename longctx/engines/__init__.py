"""The engines: what turns a prompt of token ids into tokens; each heavy package is loaded by its own engine only."""
