"""What do the tables of the paper need, and what came out?

May import `training` and what is below it.
"""
