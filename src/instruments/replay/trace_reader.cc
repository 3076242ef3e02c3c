#include "instruments/replay/trace_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "instruments/replay/recognition.h"

namespace tenure::replay {
namespace {

constexpr std::size_t head_bytes = 64 * 1024;
constexpr std::size_t longest_line_bytes = 64 * 1024;
constexpr std::uint64_t most_blocks_a_line = 1 << 20;
constexpr std::size_t piece_bytes = 1 << 20;

class open_file {
 public:
  explicit open_file(const std::string& path)
      : descriptor_(path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~open_file() {
    if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
  }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  int descriptor() const noexcept { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace

trace_reader::trace_reader(std::string name, reader_options options)
    : name_(std::move(name)), options_(options), csv_(options.columns) {}

std::expected<void, std::string> trace_reader::feed(std::string_view bytes) {
  pending_ += bytes;
  if (!is_recognised_) {
    if (!options_.format && pending_.size() < head_bytes) return {};
    if (const outcome known = recognise(); !known) return known;
  }
  return take(false);
}

std::expected<trace, std::string> trace_reader::finish() {
  outcome done = is_recognised_ ? outcome() : recognise();
  if (done) done = take(true);
  if (!done) return std::unexpected(done.error());
  if (trace_.requests.empty()) return std::unexpected("'" + name_ + "' holds no requests.");
  trace_.has_sizes = trace_.format == trace_format::oracle_general || csv_.has_sizes();
  return std::move(trace_);
}

trace_reader::outcome trace_reader::recognise() {
  is_recognised_ = true;
  if (options_.format) {
    trace_.format = *options_.format;
    return {};
  }
  const auto known = recognise_format(std::string_view(pending_).substr(0, head_bytes));
  if (!known) return std::unexpected("'" + name_ + "' " + known.error() + ".");
  trace_.format = *known;
  return {};
}

trace_reader::outcome trace_reader::take(bool is_end) {
  return trace_.format == trace_format::oracle_general ? take_records(is_end) : take_lines(is_end);
}

trace_reader::outcome trace_reader::take_records(bool is_end) {
  std::string_view rest = pending_;
  for (; rest.size() >= oracle_record_bytes && !is_full(); rest.remove_prefix(oracle_record_bytes)) {
    const oracle_record one = oracle_record_in(rest);
    if (!is_possible_next(one, records_)) {
      return std::unexpected("'" + name_ + "' is damaged, or no oracleGeneral: record " + std::to_string(records_ + 1) +
                             " says that its object is asked for next by request " + std::to_string(one.next) + ".");
    }
    ++records_;
    add({identity_of(one.object), one.size});
  }
  if (is_end && !rest.empty() && !is_full()) {
    return std::unexpected("'" + name_ + "' is cut off: " + std::to_string(rest.size()) + " of " +
                           std::to_string(oracle_record_bytes) + " bytes of record " + std::to_string(records_ + 1) +
                           " are there.");
  }
  pending_.erase(0, pending_.size() - rest.size());
  return {};
}

trace_reader::outcome trace_reader::take_lines(bool is_end) {
  std::string_view rest = pending_;
  while (!rest.empty() && !is_full()) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos && !is_end && rest.size() <= longest_line_bytes) break;
    std::string_view line = rest.substr(0, end);
    ++lines_;
    if (line.size() > longest_line_bytes) return wrong_line("is longer than 64 KiB");
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos || line.starts_with('#')) continue;
    if (const outcome done = take_line(line); !done) return done;
  }
  pending_.erase(0, pending_.size() - rest.size());
  return {};
}

trace_reader::outcome trace_reader::take_line(std::string_view line) {
  if (trace_.format == trace_format::arc) return take_blocks(line);
  if (trace_.format != trace_format::csv) return take_integer(line);
  const auto one = csv_.take(line);
  if (!one) return wrong_line(one.error());
  if (*one) add(**one);
  return {};
}

trace_reader::outcome trace_reader::take_integer(std::string_view line) {
  line.remove_prefix(line.find_first_not_of(" \t"));
  line = line.substr(0, line.find_last_not_of(" \t") + 1);
  if (trace_.format == trace_format::lirs && line == "*") return {};
  const auto number = number_in(line);
  if (!number) return wrong_line("is no number: '" + std::string(line.substr(0, 40)) + "'");
  add({identity_of(*number), 1});
  return {};
}

// "first count flags number": what stands behind the count is of no account.
trace_reader::outcome trace_reader::take_blocks(std::string_view line) {
  const auto next_number = [&line] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    const auto number = number_in(line.substr(0, end));
    line.remove_prefix(end);
    return number;
  };
  const auto first = next_number(), count = next_number();
  if (!first || !count) return wrong_line("does not begin with the first block and how many there are");
  if (*count > most_blocks_a_line) return wrong_line("asks for more than 1048576 blocks at once");
  for (std::uint64_t i = 0; i < *count && !is_full(); ++i) add({identity_of(*first + i), 1});
  return {};
}

std::unexpected<std::string> trace_reader::wrong_line(std::string_view what) const {
  return std::unexpected("'" + name_ + "', read as " + std::string(name_of(trace_.format)) + ": line " +
                         std::to_string(lines_) + " " + std::string(what) + ".");
}

void trace_reader::add(request one) {
  if (!is_full()) trace_.requests.push_back(one);
}

std::expected<trace, std::string> read_trace(const std::string& path, const reader_options& options) {
  const std::string name = path == "-" ? "standard input" : path;
  const auto failed = [&] {
    return std::unexpected("'" + name + "' cannot be read: " + std::generic_category().message(errno) + ".");
  };
  const open_file file(path);
  if (file.descriptor() < 0) return failed();
  trace_reader reader(name, options);
  std::vector<char> piece(piece_bytes);
  while (!reader.is_full()) {
    const ssize_t got = ::read(file.descriptor(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed();
    if (got == 0) break;
    const auto taken = reader.feed({piece.data(), static_cast<std::size_t>(got)});
    if (!taken) return std::unexpected(taken.error());
  }
  return reader.finish();
}

}  // namespace tenure::replay
