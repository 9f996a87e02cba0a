"""How does a published data set, or a folder of images, become ours?

May import `data`, `images`, `util`.
"""
