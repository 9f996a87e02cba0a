"""How far does a training scale? What a step takes with more ranks, from one that was timed.

A model (`model`) of what `host.ranks` does, and what it needs to know (`facts`, `sums`).
"""
