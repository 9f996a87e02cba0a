# Losses for faces, embeddings and unbalanced classes. One file in a line.
list(APPEND cu
)
list(APPEND cpp
)
