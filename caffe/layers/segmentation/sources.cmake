# Layers of DeepLab, PSPNet, SegNet, ENet, DeconvNet. One file in a line.
list(APPEND cu
  layers/segmentation/bn_layer.cu
  layers/segmentation/interp_layer.cu
  layers/segmentation/put_back.cu
  layers/segmentation/unpooling_layer.cu
  layers/segmentation/upsample_layer.cu
)
list(APPEND cpp
)
