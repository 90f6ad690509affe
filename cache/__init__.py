"""The prefix-block room: keys, sizes and bytes of stored KV blocks; knows no attention and imports no torch."""
