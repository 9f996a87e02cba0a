"""What does a trained net see in an image?

May import `nets`, `data`, `images`, `host`.
"""
