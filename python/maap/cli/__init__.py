"""What can be typed after `maap`?

The only package that imports click. Each command starts its work in a child process.
"""
