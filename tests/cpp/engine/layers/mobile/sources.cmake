# Tests of caffe/layers/mobile. One file in a line.
list(APPEND fork_layer_tests
)
