#include "caffe/util/image_kind.hpp"

#include <map>

#include "fixtures.hpp"
#include "image_kinds.hpp"
#include "temp_dir.hpp"

namespace caffe {
namespace {

TEST(ImageKind, IsKnownByContent) {
  const std::map<string, int> values{
      {"color.png", 3},   {"color.jpg", 3},         {"gray.png", 1},   {"gray.jpg", 1},
      {"bits.png", 1},    {"alpha.png", 4},         {"cmyk.jpg", 4},   {"gray_alpha.png", 2},
      {"palette.png", 1}, {"palette_alpha.png", 1}, {"gray16.png", 1}, {"turned.jpg", 3},
      {"color.bmp", 0},   {"color.tif", 0},         {"color.webp", 0}};
  for (const ImageFile& file : image_files()) {
    const ImageKind kind = kind_of_image(read_file(file.path()));
    EXPECT_EQ(kind.encoding, encoding_name(file.name)) << file.name;
    const auto found = values.find(file.name);
    if (found == values.end()) continue;
    EXPECT_EQ(kind.values_per_pixel, found->second) << file.name;
  }
}

TEST(ImageKind, OfOtherStarts) {
  EXPECT_EQ(kind_of_image("GIF89a").encoding, "gif");
  EXPECT_EQ(kind_of_image("P5 3 2 255 ......").encoding, "pnm");
  EXPECT_EQ(kind_of_image(string("MM\0*....", 8)).encoding, "tif");
  EXPECT_EQ(kind_of_image(string("\0\0\0\x0CjP  \r\n", 10)).encoding, "jp2");
  for (const string other : {"", "P", "P5", "Photo", "RIFF1234WAVE...", "<svg>", "\xFF\xD8"}) {
    EXPECT_EQ(kind_of_image(other).encoding, "") << other;
  }
  EXPECT_EQ(kind_of_image("\xFF\xD8\xFF").values_per_pixel, 0);
  EXPECT_EQ(kind_of_image("\x89PNG\r\n\x1A\n").values_per_pixel, 0);
}

TEST(ImageKind, EncodingsHaveOneName) {
  for (const string name : {"jpg", "JPG", ".jpg", "jpeg", "a/b.c/photo.JPEG", "jpe"}) {
    EXPECT_EQ(encoding_name(name), "jpg") << name;
  }
  EXPECT_EQ(encoding_name("x.TIFF"), "tif");
  EXPECT_EQ(encoding_name("pgm"), "pnm");
  EXPECT_EQ(encoding_name("png"), "png");
}

}  // namespace
}  // namespace caffe
