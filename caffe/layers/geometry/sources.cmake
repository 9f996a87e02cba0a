# Layers that sample at computed places. One file in a line.
list(APPEND cu
  layers/geometry/attention_crop_layer.cu
  layers/geometry/correlation_layer.cu
  layers/geometry/spatial_transformer_layer.cu
)
list(APPEND cpp
)
