# Layers of small networks: MobileNet, ShuffleNet, SENet, YOLO's Reorg. One file in a line.
list(APPEND cu
  layers/mobile/axpy_layer.cu
  layers/mobile/hard_swish_layer.cu
  layers/mobile/mish_layer.cu
  layers/mobile/pixel_shuffle_layer.cu
  layers/mobile/relu6_layer.cu
  layers/mobile/reorg_layer.cu
  layers/mobile/transpose_blocks.cu
)
list(APPEND cpp
  layers/mobile/channel_shuffle_layer.cpp
  layers/mobile/conv_dw_layer.cpp
  layers/mobile/depthwise_conv_layer.cpp
  layers/mobile/inner_convolution.cpp
  layers/mobile/shuffle_channel_layer.cpp
)
