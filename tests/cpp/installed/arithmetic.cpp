// math_functions.hpp and mkl_alternate.hpp, im2col.hpp, rng.hpp.

#include <iostream>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/util/cudnn.hpp"
#include "caffe/util/device_alternate.hpp"
#include "caffe/util/im2col.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/mkl_alternate.hpp"
#include "caffe/util/rng.hpp"

namespace caffe {

DEFINE_CAFFE_CPU_UNARY_FUNC(halve, y[i] = x[i] / 2)

template <typename Dtype>
static void check_mkl_names() {
  const Dtype a[3] = {1, 4, 9}, b[3] = {2, 2, 2};
  Dtype y[3];
  vSqrt<Dtype>(3, a, y);
  CHECK_EQ(y[2], 3);
  vSqr(3, a, y);
  CHECK_EQ(y[1], 16);
  vMul(3, a, b, y);
  CHECK_EQ(y[2], 18);
  vDiv(3, a, b, y);
  CHECK_EQ(y[1], 2);
  vAdd(3, a, b, y);
  CHECK_EQ(y[0], 3);
  vSub(3, a, b, y);
  CHECK_EQ(y[0], -1);
  vAbs(3, y, y);
  CHECK_EQ(y[0], 1);
  vPowx(3, a, Dtype(2), y);
  CHECK_EQ(y[1], 16);
  vLn(3, a, y);
  CHECK_EQ(y[0], 0);
  vExp(3, y, y);
  CHECK_EQ(y[0], 1);
  caffe_cpu_halve(3, a, y);
  CHECK_EQ(y[1], 2);
  caffe_axpy(3, Dtype(2), a, y);
  CHECK_EQ(y[1], 10);
}

static void check_by_type() {
  const float a[2] = {1, 4};
  const double b[2] = {1, 4};
  float y[2] = {1, 1};
  double z[2] = {1, 1};
  vsSqrt(2, a, y);
  vdSqrt(2, b, z);
  CHECK_EQ(y[1] + z[1], 4);
  vsAdd(2, a, a, y);
  vdMul(2, b, b, z);
  CHECK_EQ(y[1] + z[1], 24);
  vsPowx(2, a, 0.5f, y);
  vdPowx(2, b, 0.5, z);
  CHECK_EQ(y[1] + z[1], 4);
  cblas_saxpby(2, 2.f, a, 1, 3.f, y, 1);
  CHECK_EQ(y[1], 14);
}

static void check_im2col() {
  vector<float> image(2 * 3 * 3);
  for (int i = 0; i < image.size(); ++i) image[i] = i;
  vector<float> columns(2 * 4 * 4), back(image.size());
  im2col_cpu(&image[0], 2, 3, 3, 2, 2, 0, 0, 1, 1, 1, 1, &columns[0]);
  CHECK_EQ(columns[0], 0);
  CHECK_EQ(columns[4], 1);
  col2im_cpu(&columns[0], 2, 3, 3, 2, 2, 0, 0, 1, 1, 1, 1, &back[0]);
  CHECK_EQ(back[4], 4 * image[4]);
}

static void check_random() {
  Caffe::set_random_seed(1701);
  vector<int> order(50), same(50);
  for (int i = 0; i < 50; ++i) order[i] = same[i] = i;
  shuffle(order.begin(), order.end());
  CHECK(order != same);
  caffe::rng_t* generator = caffe_rng();
  CHECK_NE((*generator)(), (*generator)());
  vector<float> values(1000);
  caffe_rng_gaussian<float>(1000, 3, 1, &values[0]);
  CHECK_NEAR(caffe_cpu_asum(1000, &values[0]) / 1000, 3, 0.2);
}

static void check_devices() {
  bool refused = false;
  try {
    Caffe::DeviceQuery();
  } catch (const std::exception& error) {
    refused = std::string(error.what()).find("built without CUDA") != std::string::npos;
  }
#ifdef CPU_ONLY
  CHECK(refused);
#endif
}

}  // namespace caffe

int main(int, char** argv) {
  ::google::InitGoogleLogging(argv[0]);
  caffe::check_mkl_names<float>();
  caffe::check_mkl_names<double>();
  caffe::check_by_type();
  caffe::check_im2col();
  caffe::check_random();
  caffe::check_devices();
  std::cout << "OK" << std::endl;
}
