# Losses for faces, embeddings and unbalanced classes. One file in a line.
list(APPEND cu
  layers/metric/center_loss_layer.cu
  layers/metric/focal_loss_layer.cu
  layers/metric/l1_loss_layer.cu
  layers/metric/scale_rank_loss_layer.cu
  layers/metric/triplet_loss_layer.cu
)
list(APPEND cpp
)
