// A library without a layer.

int nothing_of_caffe() {
  return 0;
}
