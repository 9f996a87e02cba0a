"""How good are a net's classes and its regions?

May import `rewrite`, `attention` and what is below them.
"""
