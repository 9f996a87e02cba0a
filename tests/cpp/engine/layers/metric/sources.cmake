# Tests of caffe/layers/metric. One file in a line.
list(APPEND fork_layer_tests
)
