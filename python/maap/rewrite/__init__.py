"""How do the training images become D* (paper, Algorithm 1)?

May import `attention` and what is below it.
"""
