"""Which Caffe runs the nets, and how do its process and the helper processes live and die?

May import `util`.
"""
