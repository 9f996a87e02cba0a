"""What can be typed after `maap`?

The only package that imports click. A command's module is imported when the command is asked for;
it reads the options and starts the work, in a child process where that needs Caffe.
"""
