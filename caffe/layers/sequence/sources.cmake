# Layers for text and sequences. One file in a line.
list(APPEND cu
  layers/sequence/ctc_loss_base.cu
  layers/sequence/labelsequence_accuracy_layer.cu
  layers/sequence/reverse_layer.cu
  layers/sequence/reverse_time_layer.cu
  layers/sequence/transpose_layer.cu
)
list(APPEND cpp
  layers/sequence/continuation_indicator_layer.cpp
  layers/sequence/crnn_ctc_loss_layer.cpp
  layers/sequence/ctc_loss_layer.cpp
  layers/sequence/warp_ctc_loss_layer.cpp
)
