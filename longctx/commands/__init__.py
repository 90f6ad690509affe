"""One file a command: options to requests, events to output. Use cases live outside this room."""
