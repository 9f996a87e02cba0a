"""What is a data set, how is it read, and how is a net fed from it?

`data.importers` make data sets from published files. May import `host`, `images`, `util`.
"""
