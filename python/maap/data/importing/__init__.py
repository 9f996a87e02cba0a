"""What do the importers share: lists into a layout, a layout into a data set?

`layout`, `archive` and `matlab` load neither OpenCV nor NumPy when they are imported, so that the
command line can list the importers at once. May import `data`, `images`, `util`.
"""
