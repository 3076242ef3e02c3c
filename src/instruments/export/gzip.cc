#include "instruments/export/gzip.h"

#include <zlib.h>

#include <limits>

namespace tenure::exporting {

std::expected<std::string, std::string> gzip(std::string_view content) {
  constexpr int window_bits = 15, gzip_wrapper = 16, memory_level = 8;
  if (content.size() > std::numeric_limits<uInt>::max()) return std::unexpected("it is greater than 4 GiB.");
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_bits + gzip_wrapper, memory_level,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return std::unexpected("there is no memory to compress it.");
  }
  std::string result(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  const int outcome = deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  if (outcome != Z_STREAM_END) return std::unexpected("it could not be compressed.");
  return result;
}

}  // namespace tenure::exporting
