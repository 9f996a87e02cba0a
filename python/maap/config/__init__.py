"""Which settings does a run have, and where do their values come from?

Imported by every start of the command line, so nothing heavy. May import
`images.a_star` and `util`.
"""
