"""The program's work in a process of its own, for a face that draws: requests in, replies out, as lines of JSON.

The face imports no store, no parser and no model; what crashes here, or prints, does not reach the screen.
"""
