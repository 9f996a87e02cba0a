# Tests of caffe/layers/segmentation. One file in a line.
list(APPEND fork_layer_tests
)
