// Reads the tables of a database that Debian's sqlite3 has made, page by page through a pool of 32 frames, and finds in
// it what sqlite3 itself finds: every row of a table by a scan, and single rows by their number down the B-tree. Then
// it changes a letter of every row in place, logs each page before it is written, and sqlite3 finds what was changed.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <tenure/page_pool.hpp>

namespace {

using bytes = std::span<const std::byte>;

std::uint64_t big_endian(bytes from, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | std::to_integer<std::uint64_t>(from[i]);
  return value;
}

// SQLite's integer of variable length; `from` goes on behind it.
std::uint64_t take_varint(bytes& from) {
  std::uint64_t value = 0;
  for (int i = 0; i < 9; ++i) {
    const auto byte = std::to_integer<std::uint64_t>(from[0]);
    from = from.subspan(1);
    if (i == 8) return value << 8 | byte;
    value = value << 7 | (byte & 0x7f);
    if (byte < 0x80) break;
  }
  return value;
}

struct value {
  std::int64_t number = 0;
  std::string text;
};
using row = std::vector<value>;

std::size_t width_of(std::uint64_t type) {
  static constexpr std::size_t widths[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0};
  return type < 12 ? widths[type] : (type - 12) / 2;
}

// A record: the types of its values, then the values.
row row_of(bytes record) {
  bytes rest = record;
  bytes types = record.first(take_varint(rest));
  bytes values = record.subspan(types.size());
  take_varint(types);
  row all;
  while (!types.empty()) {
    const std::uint64_t type = take_varint(types);
    const std::size_t width = width_of(type);
    value one;
    if (type >= 12) {
      one.text.assign(reinterpret_cast<const char*>(values.data()), width);
    } else if (type >= 1 && type <= 6) {
      const unsigned unused = static_cast<unsigned>(64 - 8 * width);
      one.number = static_cast<std::int64_t>(big_endian(values, width) << unused) >> unused;
    } else {
      one.number = type == 9;
    }
    values = values.subspan(width);
    all.push_back(std::move(one));
  }
  return all;
}

class sqlite_file {
 public:
  using visitor = std::function<void(std::int64_t number, const row& values)>;

  sqlite_file(tenure::page_pool_base& pool, std::uint32_t file, std::size_t usable_bytes)
      : pool_(pool), file_(file), usable_(usable_bytes) {}

  std::uint64_t root_of(const std::string& table) {
    std::uint64_t root = 0;
    scan(1, [&](std::int64_t, const row& values) {
      if (values[0].text == "table" && values[1].text == table) root = static_cast<std::uint64_t>(values[3].number);
    });
    if (root == 0) throw std::runtime_error("no table " + table);
    return root;
  }

  // Every row below a page. That page stays pinned meanwhile, so there are as many pins as the tree has levels.
  void scan(std::uint64_t number, const visitor& visit) {
    const tenure::pinned_page page = pin(number);
    const node tree(page.bytes(), number);
    if (!tree.is_leaf) {
      // Which pages come next is known, wherever they lie.
      for (std::size_t i = 0; i < tree.cells; ++i) {
        if (i % read_ahead == 0) prefetch_children(tree, i);
        scan(big_endian(tree.cell(i), 4), visit);
      }
      return scan(tree.right_most, visit);
    }
    for (std::size_t i = 0; i < tree.cells; ++i) {
      bytes cell = tree.cell(i);
      const std::uint64_t size = take_varint(cell);
      const auto row_number = static_cast<std::int64_t>(take_varint(cell));
      visit(row_number, payload_of(cell, size));
    }
  }

  // The first letter of the last column's text, in every row below a page; how many there were.
  std::size_t change_texts(std::uint64_t number, char to) {
    std::vector<std::uint64_t> below;
    {
      const tenure::pinned_page page = pin(number);
      const node tree(page.bytes(), number);
      if (!tree.is_leaf) {
        for (std::size_t i = 0; i < tree.cells; ++i) below.push_back(big_endian(tree.cell(i), 4));
        below.push_back(tree.right_most);
      }
    }
    std::size_t changed = 0;
    for (const std::uint64_t each : below) changed += change_texts(each, to);
    if (!below.empty()) return changed;
    const tenure::writable_page page = pool_.pin_to_write({file_, number - 1});
    const node leaf(page.bytes(), number);
    for (std::size_t i = 0; i < leaf.cells; ++i) {
      bytes cell = leaf.cell(i);
      take_varint(cell);
      take_varint(cell);
      bytes types = cell;
      const std::uint64_t head = take_varint(types);
      std::size_t width = 0;
      std::uint64_t type = 0;
      for (const std::byte* const end = cell.data() + head; types.data() < end;) {
        width += width_of(type);
        type = take_varint(types);
      }
      if (width_of(type) == 0) continue;
      page.data()[cell.data() + head + width - page.data()] = static_cast<std::byte>(to);
      ++changed;
    }
    return changed;
  }

  // False where there is no such row.
  bool find(std::uint64_t root, std::int64_t wanted, row& found) {
    tenure::pinned_page page = pin(root);
    for (std::uint64_t number = root;;) {
      const node tree(page.bytes(), number);
      std::uint64_t next = tree.right_most;
      for (std::size_t i = 0; i < tree.cells; ++i) {
        bytes cell = tree.cell(i);
        const std::uint64_t first = tree.is_leaf ? take_varint(cell) : big_endian(cell, 4);
        if (!tree.is_leaf) cell = cell.subspan(4);
        const auto row_number = static_cast<std::int64_t>(take_varint(cell));
        if (tree.is_leaf && row_number == wanted) {
          found = payload_of(cell, first);
          return true;
        }
        if (tree.is_leaf || row_number < wanted) continue;
        next = first;
        break;
      }
      if (tree.is_leaf) return false;
      page = pin(number = next);
    }
  }

 private:
  static constexpr std::size_t read_ahead = 8;

  // A page of a table's B-tree: leaves hold rows, the others pages and the largest number of a row below each.
  struct node {
    node(bytes page, std::uint64_t number) : all(page), head(page.subspan(number == 1 ? 100 : 0)) {
      const auto kind = std::to_integer<unsigned>(head[0]);
      if (kind != 0x0d && kind != 0x05) throw std::runtime_error("no page of a table");
      is_leaf = kind == 0x0d;
      cells = big_endian(head.subspan(3), 2);
      if (!is_leaf) right_most = big_endian(head.subspan(8), 4);
    }
    bytes cell(std::size_t i) const { return all.subspan(big_endian(head.subspan((is_leaf ? 8 : 12) + 2 * i), 2)); }
    bytes all, head;
    bool is_leaf = false;
    std::size_t cells = 0;
    std::uint64_t right_most = 0;
  };

  tenure::pinned_page pin(std::uint64_t number) { return pool_.pin({file_, number - 1}); }

  void prefetch_children(const node& tree, std::size_t from) {
    for (std::size_t i = from; i < std::min(from + read_ahead, tree.cells); ++i) {
      pool_.prefetch({file_, big_endian(tree.cell(i), 4) - 1}, 1);
    }
  }

  // What does not fit into the leaf goes on in pages of its own.
  row payload_of(bytes cell, std::uint64_t size) {
    const std::uint64_t most = usable_ - 35;
    if (size <= most) return row_of(cell.first(size));
    const std::uint64_t least = (usable_ - 12) * 32 / 255 - 23;
    const std::uint64_t wanted = least + (size - least) % (usable_ - 4);
    const std::uint64_t here = wanted <= most ? wanted : least;
    std::vector<std::byte> whole(cell.begin(), cell.begin() + static_cast<std::ptrdiff_t>(here));
    for (std::uint64_t next = big_endian(cell.subspan(here), 4); whole.size() < size;) {
      const tenure::pinned_page page = pin(next);
      const std::size_t some = std::min<std::size_t>(size - whole.size(), usable_ - 4);
      const bytes part = page.bytes().subspan(4, some);
      whole.insert(whole.end(), part.begin(), part.end());
      next = big_endian(page.bytes(), 4);
    }
    return row_of(whole);
  }

  tenure::page_pool_base& pool_;
  std::uint32_t file_;
  std::size_t usable_;
};

std::string run(const std::string& command) {
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("no shell");
  std::string told;
  char part[4096];
  for (std::size_t got; (got = std::fread(part, 1, sizeof part, pipe)) > 0;) told.append(part, got);
  if (::pclose(pipe) != 0) throw std::runtime_error("failed: " + command);
  return told;
}

struct order {
  std::int64_t amount = 0;
  std::size_t note_bytes = 0;
  bool operator==(const order&) const = default;
};

// By sqlite3: the database, and all that is in it.
std::map<std::int64_t, order> make(const std::string& path) {
  run("sqlite3 " + path +
      " 'CREATE TABLE orders(id INTEGER PRIMARY KEY, amount INTEGER, note TEXT);"
      "  WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
      "  INSERT INTO orders SELECT 3 * i, (i * 7919) % 100003 - 50000,"
      "    printf(\"%.*c\", CASE i % 500 WHEN 0 THEN 20000 ELSE i % 97 END, \"x\") FROM n;'");
  std::map<std::int64_t, order> all;
  const std::string told = run("sqlite3 " + path + " 'SELECT id, amount, length(note) FROM orders'");
  for (const char* at = told.c_str(); *at != '\0';) {
    long long id = 0, amount = 0;
    std::size_t note = 0;
    int length = 0;
    if (std::sscanf(at, "%lld|%lld|%zu%n", &id, &amount, &note, &length) != 3) throw std::runtime_error("no row");
    all[id] = {amount, note};
    at += length + 1;
  }
  return all;
}

bool is_same(sqlite_file& database, std::uint64_t root, const std::map<std::int64_t, order>& known) {
  std::map<std::int64_t, order> scanned;
  database.scan(root, [&](std::int64_t number, const row& values) {
    scanned[number] = {values[1].number, values[2].text.size()};
  });
  if (scanned != known) return false;
  std::mt19937_64 random(1);
  for (int i = 0; i < 5000; ++i) {
    const auto wanted = static_cast<std::int64_t>(random() % 61'000);
    const auto there = known.find(wanted);
    row found;
    if (database.find(root, wanted, found) != (there != known.end())) return false;
    if (there != known.end() && order{found[1].number, found[2].text.size()} != there->second) return false;
  }
  return true;
}

int show(const std::string& path) {
  const std::map<std::int64_t, order> known = make(path);
  const auto disk = std::make_shared<tenure::disk_file>(path, tenure::disk_file_options{.is_writable = true});
  std::byte head[100];
  if (disk->read(0, head) != sizeof head) throw std::runtime_error("no database");
  const std::uint64_t told = big_endian(bytes(head).subspan(16), 2);
  const std::size_t page_bytes = told == 1 ? 65536 : told;

  std::set<std::uint64_t> logged;
  tenure::page_pool<> pool({.name = "orders",
                            .page_bytes = page_bytes,
                            .limit_pages = 32,
                            .prefetch_pages = 8,
                            .before_write = [&](tenure::page_id page, bytes) {
                              logged.insert(page.number);
                              return std::optional<std::uint64_t>(page.number);
                            }});
  sqlite_file database(pool, pool.add(disk), page_bytes - std::to_integer<std::size_t>(head[20]));
  const bool same = is_same(database, database.root_of("orders"), known);
  const tenure::page_pool_statistics figures = pool.statistics();
  std::printf("%zu rows in %llu pages of %zu bytes, read through %llu frames: %s\n", known.size(),
              static_cast<unsigned long long>(disk->size_bytes() / page_bytes), page_bytes,
              static_cast<unsigned long long>(figures.peak_frames), same ? "as sqlite3 reads them" : "NOT as sqlite3");
  std::printf("%llu pins: %.1f %% hits, %llu pages read ahead, %llu of them wanted\n",
              static_cast<unsigned long long>(figures.hits + figures.misses), 100 * figures.hit_ratio(),
              static_cast<unsigned long long>(figures.prefetches),
              static_cast<unsigned long long>(figures.prefetch_hits));
  const std::size_t changed = database.change_texts(database.root_of("orders"), 'y');
  const std::uint64_t evicted = pool.statistics().writes;
  pool.checkpoint();
  const std::string found =
      run("sqlite3 " + path + " 'PRAGMA integrity_check; SELECT count(*) FROM orders WHERE note LIKE \"y%\"'");
  const bool is_there = found == "ok\n" + std::to_string(changed) + "\n";
  std::printf("%zu rows changed in %zu pages, %llu of them written before the checkpoint: %s\n", changed, logged.size(),
              static_cast<unsigned long long>(evicted), is_there ? "as sqlite3 finds" : "NOT there");
  return same && is_there ? 0 : 1;
}

}  // namespace

int main() {
  if (std::system("command -v sqlite3 > /dev/null") != 0) {
    std::printf("sqlite3 is not installed: nothing to read\n");
    return 0;
  }
  char path[] = "/tmp/tenure-orders-XXXXXX";
  const int made = ::mkstemp(path);
  if (made < 0) return 1;
  ::close(made);
  int result = 1;
  try {
    result = show(path);
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
  }
  ::unlink(path);
  return result;
}
