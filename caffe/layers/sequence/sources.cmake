# Layers for text and sequences. One file in a line.
list(APPEND cu
)
list(APPEND cpp
)
