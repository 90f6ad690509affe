"""Sources to documents: discovery, reading, segments and the shelf. Knows no model and no tokenizer."""
