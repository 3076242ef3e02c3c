// Files of other tools, packed in every way and cut in every place.
#include "instruments/record/unpacked_file.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <string>

#include "support/dice.h"

namespace tenure::record {
namespace {

std::string thrown_text(std::size_t length) {
  test::dice dice(5);
  std::string text;
  while (text.size() < length) text += "line " + std::to_string(dice.below(1000)) + "\n";
  return text;
}

std::string gzipped(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(packed.size() - stream.avail_out);
  deflateEnd(&stream);
  return packed;
}

std::string zstd_packed(const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  return packed;
}

struct unpacked {
  std::string text;
  std::string error;
};

unpacked unpack(const std::string& packed) {
  unpacked result;
  auto file = unpacked_file::over({reinterpret_cast<const std::uint8_t*>(packed.data()), packed.size()});
  for (auto piece = file.next(); !piece.empty(); piece = file.next())
    result.text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  result.error = file.error().value_or("");
  return result;
}

TEST(UnpackedFile, GivesBackWhatWasPacked) {
  for (const std::size_t length : {1u, 100u, 3'000'000u}) {
    const std::string text = thrown_text(length);
    for (const std::string& packed : {text, gzipped(text), zstd_packed(text)}) {
      const unpacked found = unpack(packed);
      EXPECT_EQ(found.error, "");
      EXPECT_TRUE(found.text == text) << length;
    }
  }
}

// Much more comes out than goes in: what has no room is kept for the next piece.
TEST(UnpackedFile, GivesBackWhatWasPackedTightly) {
  const std::string text(10'000'000, 'x');
  EXPECT_TRUE(unpack(gzipped(text)).text == text);
  EXPECT_TRUE(unpack(zstd_packed(text)).text == text);
}

TEST(UnpackedFile, TakesSeveralPartsAsOne) {
  const std::string one = thrown_text(1000), other = thrown_text(70'000);
  EXPECT_TRUE(unpack(gzipped(one) + gzipped(other)).text == one + other);
  EXPECT_TRUE(unpack(zstd_packed(one) + zstd_packed(other)).text == one + other);
}

TEST(UnpackedFile, SaysWhereverItIsCut) {
  const std::string text = thrown_text(2000);
  for (const std::string& packed : {gzipped(text), zstd_packed(text)})
    for (std::size_t length = 4; length < packed.size(); ++length)
      EXPECT_EQ(unpack(packed.substr(0, length)).error, "it is cut off") << length;
}

TEST(UnpackedFile, SaysWhatIsDamaged) {
  std::string packed = gzipped(thrown_text(2000));
  packed[packed.size() - 6] ^= 1;  // of the checksum
  EXPECT_EQ(unpack(packed).error, "its gzip data are damaged");
  packed = zstd_packed(thrown_text(2000));
  packed[5] = '\xff';
  EXPECT_NE(unpack(packed).error, "");
}

TEST(UnpackedFile, SaysWhatIsNoFile) {
  EXPECT_FALSE(unpacked_file::open("/no/such/file"));
  EXPECT_FALSE(unpacked_file::open("/proc"));
}

}  // namespace
}  // namespace tenure::record
