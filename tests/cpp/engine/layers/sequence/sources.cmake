# Tests of caffe/layers/sequence. One file in a line.
list(APPEND fork_layer_tests
  layers/sequence/test_crnn_layers.cpp
  layers/sequence/test_ctc_loss_layer.cpp
  layers/sequence/test_reverse_layer.cpp
  layers/sequence/test_transpose_layer.cpp
  layers/sequence/test_warp_ctc_loss_layer.cpp
)
