// The program `caffe`. All but this is in pycaffe too, for nets with Python layers
// (python/caffe/command.py).

#include "tools/caffe_command.hpp"

int main(int argc, char** argv) {
  return caffe_main(argc, argv);
}
