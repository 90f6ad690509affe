"""Engines for other programs: our model behind OpenAI's HTTP interface, and servers that go on in the background."""
