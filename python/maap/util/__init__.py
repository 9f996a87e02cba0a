"""Files that are whole or absent, progress, text, and Caffe's message classes.

Imports nothing of maap but `maap.errors`.
"""
