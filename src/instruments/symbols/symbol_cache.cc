#include "instruments/symbols/symbol_cache.h"

#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <unordered_map>

namespace tenure::symbols {
namespace {

namespace fs = std::filesystem;

constexpr char table_magic[8] = {'T', 'N', 'R', 'S', 'Y', 'M', 'S', '\n'};
constexpr std::uint32_t table_version = 1;
constexpr std::uint64_t table_limit_bytes = 64ull << 20;  // what is read into memory at most

struct table_header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t header_bytes;
  std::uint64_t checksum;  // of the rest of the header and of all that follows
  std::uint64_t fingerprint;
  std::uint64_t entry_count;
  std::uint64_t frame_count;
  std::uint64_t string_bytes;
};
constexpr std::size_t checked_offset_bytes = offsetof(table_header, fingerprint);

struct entry_record {
  std::uint64_t address;
  std::uint32_t first_frame;
  std::uint32_t frame_count;
};

enum frame_flags : std::uint32_t { inlined_flag = 1, named_flag = 2 };

struct frame_record {
  std::uint32_t function, file, system_name;
  std::uint32_t line;
  std::uint32_t flags;
};

fs::path path_of(const fs::path& folder, const std::string& build_id) { return folder / (build_id + ".symbols"); }

// A build-id comes from a file of the watched program: nothing but hexadecimal digits may become a file name.
bool is_usable(const fs::path& folder, const std::string& build_id) {
  return !folder.empty() && build_id.size() >= 8 && build_id.size() <= 128 &&
         build_id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::optional<std::string> read_file(const fs::path& path) {
  std::error_code error;
  const std::uint64_t size = fs::file_size(path, error);
  if (error || size < sizeof(table_header) || size > table_limit_bytes) return std::nullopt;
  std::string content(size, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(content.data(), static_cast<std::streamsize>(size))) return std::nullopt;
  return content;
}

// A table whose every offset has been held against its size.
class table_view {
 public:
  static std::optional<table_view> open(const std::string& content) {
    table_view view;
    std::memcpy(&view.header, content.data(), sizeof view.header);
    const table_header& h = view.header;
    if (std::memcmp(h.magic, table_magic, sizeof table_magic) != 0 || h.version != table_version ||
        h.header_bytes != sizeof h || h.entry_count > content.size() || h.frame_count > content.size() ||
        h.string_bytes > content.size()) {
      return std::nullopt;
    }
    const std::uint64_t expected =
        sizeof h + h.entry_count * sizeof(entry_record) + h.frame_count * sizeof(frame_record) + h.string_bytes;
    if (expected != content.size()) return std::nullopt;
    if (XXH3_64bits(content.data() + checked_offset_bytes, content.size() - checked_offset_bytes) != h.checksum) {
      return std::nullopt;
    }
    view.entries_ = content.data() + sizeof h;
    view.frames_ = view.entries_ + h.entry_count * sizeof(entry_record);
    view.strings_ = view.frames_ + h.frame_count * sizeof(frame_record);
    if (h.string_bytes == 0 || view.strings_[h.string_bytes - 1] != '\0') return std::nullopt;
    return view;
  }

  entry_record entry(std::size_t index) const { return at<entry_record>(entries_, index); }

  std::optional<frame> frame_at(std::size_t index) const {
    const auto record = at<frame_record>(frames_, index);
    if (std::max({record.function, record.file, record.system_name}) >= header.string_bytes) return std::nullopt;
    frame result;
    result.function = strings_ + record.function;
    result.file = strings_ + record.file;
    result.system_name = strings_ + record.system_name;
    result.line = record.line;
    result.is_inlined = (record.flags & inlined_flag) != 0;
    result.is_named = (record.flags & named_flag) != 0;
    return result;
  }

  table_header header{};

 private:
  template <typename Record>
  static Record at(const char* begin, std::size_t index) {
    Record record;
    std::memcpy(&record, begin + index * sizeof record, sizeof record);
    return record;
  }

  const char* entries_ = nullptr;
  const char* frames_ = nullptr;
  const char* strings_ = nullptr;
};

class table_writer {
 public:
  table_writer() { strings_.push_back('\0'); }  // offset 0 is the empty string

  std::string write(const symbol_cache::table& entries, std::uint64_t fingerprint) {
    std::string body, frames;
    table_header header{};
    for (const auto& [address, list] : entries) {
      const entry_record record{address, static_cast<std::uint32_t>(header.frame_count),
                                static_cast<std::uint32_t>(list.size())};
      append(body, record);
      for (const frame& f : list) {
        const std::uint32_t flags = (f.is_inlined ? inlined_flag : 0u) | (f.is_named ? named_flag : 0u);
        append(frames, frame_record{intern(f.function), intern(f.file), intern(f.system_name), f.line, flags});
      }
      header.frame_count += list.size();
    }
    std::memcpy(header.magic, table_magic, sizeof table_magic);
    header.version = table_version;
    header.header_bytes = sizeof header;
    header.fingerprint = fingerprint;
    header.entry_count = entries.size();
    header.string_bytes = strings_.size();
    std::string whole;
    append(whole, header);
    whole += body;
    whole += frames;
    whole += strings_;
    header.checksum = XXH3_64bits(whole.data() + checked_offset_bytes, whole.size() - checked_offset_bytes);
    std::memcpy(whole.data(), &header, sizeof header);
    return whole;
  }

 private:
  template <typename Record>
  static void append(std::string& to, const Record& record) {
    to.append(reinterpret_cast<const char*>(&record), sizeof record);
  }

  std::uint32_t intern(const std::string& text) {
    if (text.empty()) return 0;
    const auto [place, is_new] = offsets_.try_emplace(text, static_cast<std::uint32_t>(strings_.size()));
    if (is_new) strings_.append(text.c_str(), text.size() + 1);
    return place->second;
  }

  std::string strings_;
  std::unordered_map<std::string, std::uint32_t> offsets_;
};

bool write_and_rename(const fs::path& path, const std::string& content) {
  std::error_code error;
  const fs::path temporary = path.string() + "." + std::to_string(getpid()) + ".temporary";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (file) fs::rename(temporary, path, error);
  if (!file || error) {
    fs::remove(temporary, error);
    return false;
  }
  return true;
}

// Least recently used tables go until the rest fits; temporary files of writers that died go after an hour.
void bound_folder(const fs::path& folder, std::uint64_t limit_bytes) {
  struct item {
    fs::file_time_type used;
    std::uint64_t bytes;
    fs::path path;
  };
  std::vector<item> items;
  std::uint64_t total = 0;
  std::error_code error;
  const auto now = fs::file_time_type::clock::now();
  for (const fs::directory_entry& found : fs::directory_iterator(folder, error)) {
    const auto used = found.last_write_time(error);
    if (error) continue;
    if (found.path().extension() == ".temporary" && now - used > std::chrono::hours(1)) fs::remove(found.path(), error);
    if (found.path().extension() != ".symbols") continue;
    items.push_back({used, found.file_size(error), found.path()});
    total += items.back().bytes;
  }
  std::sort(items.begin(), items.end(), [](const item& a, const item& b) { return a.used < b.used; });
  for (const item& oldest : items) {
    if (total <= limit_bytes) break;
    if (fs::remove(oldest.path, error)) total -= oldest.bytes;
  }
}

}  // namespace

std::optional<symbol_cache::table> symbol_cache::load(const fs::path& folder, const std::string& build_id,
                                                      std::uint64_t fingerprint) {
  if (!is_usable(folder, build_id)) return std::nullopt;
  const std::optional<std::string> content = read_file(path_of(folder, build_id));
  if (!content) return std::nullopt;
  const std::optional<table_view> view = table_view::open(*content);
  if (!view || (fingerprint != 0 && view->header.fingerprint != fingerprint)) return std::nullopt;
  table entries;
  for (std::size_t i = 0; i < view->header.entry_count; ++i) {
    const entry_record entry = view->entry(i);
    if (std::uint64_t{entry.first_frame} + entry.frame_count > view->header.frame_count) return std::nullopt;
    std::vector<frame>& frames = entries[entry.address];
    for (std::uint32_t k = 0; k < entry.frame_count; ++k) {
      std::optional<frame> one = view->frame_at(entry.first_frame + k);
      if (!one) return std::nullopt;
      frames.push_back(std::move(*one));
    }
    if (frames.empty()) return std::nullopt;
  }
  return entries;
}

bool symbol_cache::save(const fs::path& folder, const std::string& build_id, std::uint64_t fingerprint,
                        const table& entries, std::uint64_t limit_bytes) {
  if (!is_usable(folder, build_id) || entries.empty()) return false;
  std::error_code error;
  if (fs::create_directories(folder, error)) fs::permissions(folder, fs::perms::owner_all, error);
  const std::string content = table_writer().write(entries, fingerprint);
  if (content.size() > std::min(limit_bytes, table_limit_bytes)) return false;
  if (!write_and_rename(path_of(folder, build_id), content)) return false;
  bound_folder(folder, limit_bytes);
  return true;
}

void symbol_cache::touch(const fs::path& folder, const std::string& build_id) {
  if (!is_usable(folder, build_id)) return;
  std::error_code ignored;
  fs::last_write_time(path_of(folder, build_id), fs::file_time_type::clock::now(), ignored);
}

}  // namespace tenure::symbols
