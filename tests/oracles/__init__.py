"""Every mart computed once more, row by row in plain Python, from event dicts: what the tests compare with."""
