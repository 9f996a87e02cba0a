"""What does `maap train` do, from settings to a finished run (paper, Algorithm 1)?

May import all of the above; only `paper` and `cli` import it.
"""
