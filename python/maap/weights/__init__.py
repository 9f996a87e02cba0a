"""What is in a .caffemodel, and where do the published ones come from?

May import `nets` (the table of layer types) and `util`.
"""
