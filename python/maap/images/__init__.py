"""What can be done with the pixels of one image: read, fit, box, D*, draw.

Knows no net, no data set and no run. May import `util`.
"""
