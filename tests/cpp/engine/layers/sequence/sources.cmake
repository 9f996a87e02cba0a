# Tests of caffe/layers/sequence. One file in a line.
list(APPEND fork_layer_tests
)
