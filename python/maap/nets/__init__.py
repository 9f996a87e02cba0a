"""Which layers does a net have, and which nets are made of it?

Text and messages; only shapes are asked of Caffe. May import `config`, `host`, `util`.
"""
