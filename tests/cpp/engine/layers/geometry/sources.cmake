# Tests of caffe/layers/geometry. One file in a line.
list(APPEND fork_layer_tests
)
