"""Which data sets can be imported? One module each, with its declaration in ``IMPORTER``.

`maap.data.importer` finds the modules by listing this package: a new file here is a new importer.
They load neither OpenCV nor NumPy when they are imported. May import `data`, `images`, `util`.
"""
