#include <tenure/interner.hpp>

#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "library/ref/string_table.h"

namespace tenure {
namespace detail {

void check_length(std::string_view text) {
  if (text.size() >= std::numeric_limits<std::uint32_t>::max()) {
    throw std::length_error("tenure: a string of 2^32 - 1 bytes or more cannot be interned");
  }
}

// An entry has the lower half of the hash, and the table wants all of it: the strings are hashed again when it grows.
class permanent_strings {
 public:
  explicit permanent_strings(const interner_options& options)
      : name_(options.name),
        account_(name_.c_str(), "interner", options.parent),
        seed_(options.hash_seed != 0 ? options.hash_seed : make_seed()) {
    for (auto& one : shards_) one = std::make_unique<shard>(account_);
  }

  const interned* find(std::string_view text) const noexcept {
    const std::uint64_t hash = hash_of(text, seed_);
    shard& in = *shards_[shard_of(hash)];
    if (const interned* const found = look(in, hash, text); found != nullptr) return found;
    const std::lock_guard held(in.lock);
    return look(in, hash, text);
  }

  const interned* intern(std::string_view text) {
    const std::uint64_t hash = hash_of(text, seed_);
    shard& in = *shards_[shard_of(hash)];
    if (const interned* const found = look(in, hash, text); found != nullptr) [[likely]] {
      return found;
    }
    check_length(text);
    for (provisions brought(account_);;) {
      shortage missing;
      {
        const std::lock_guard held(in.lock);
        if (const interned* const found = look(in, hash, text); found != nullptr) return found;
        missing = {in.table.missing_bytes(), in.memory.missing_bytes(entry_bytes(text)), 0};
        if (brought.cover(missing)) return put(in, hash, text, brought);
      }
      brought.take(missing);
    }
  }

  template <class Function>
  void for_each(Function function) const {
    for (const auto& in : shards_) {
      std::vector<interned*> all;
      {
        const std::lock_guard held(in->lock);
        in->table.for_each([&](interned* one) { all.push_back(one); });
      }
      for (const interned* one : all) function(one);
    }
  }
  const char* name() const noexcept { return name_.c_str(); }
  const tenure::account& account() const noexcept { return account_; }
  interner_statistics statistics() const noexcept { return figures_of(shards_, account_); }
  void set_limits(account_limits limits) noexcept { account_.set_limits(limits); }
  void check() const {
    std::uint64_t seen = 0;
    for_each([&](const interned* one) {
      TENURE_CHECK(find({one->text(), one->bytes}) == one);
      TENURE_CHECK(one->text()[one->bytes] == 0);
      ++seen;
    });
    TENURE_CHECK(seen <= statistics().strings);
  }

 private:
  struct alignas(64) shard {
    explicit shard(tenure::account& account) : table(account), memory(account) {}
    string_table<interned> table;
    std::mutex lock;
    entry_memory memory;
    std::uint64_t text_bytes = 0;
  };

  static std::size_t entry_bytes(std::string_view text) noexcept {
    return (sizeof(interned) + text.size() + 1 + 7) / 8 * 8;
  }
  // With the lock.
  const interned* put(shard& in, std::uint64_t hash, std::string_view text, provisions& brought) noexcept {
    if (in.table.missing_bytes() != 0) {
      in.table.grow(brought.table, [this](const interned& one) { return hash_of({one.text(), one.bytes}, seed_); });
    }
    auto* const made = ::new (in.memory.take(entry_bytes(text), brought.chunk))
        interned{static_cast<std::uint32_t>(text.size()), static_cast<std::uint32_t>(hash)};
    char* const to = reinterpret_cast<char*>(made + 1);
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    to[text.size()] = 0;
    in.table.insert(hash, made);
    in.text_bytes += text.size();
    return made;
  }
  static const interned* look(const shard& in, std::uint64_t hash, std::string_view text) noexcept {
    return in.table.find(hash, [&](const interned* one) {
      return one->hash == static_cast<std::uint32_t>(hash) && one->bytes == text.size() &&
             (text.empty() || std::memcmp(one->text(), text.data(), text.size()) == 0);
    });
  }

  std::string name_;
  tenure::account account_;
  std::uint64_t seed_;
  std::array<std::unique_ptr<shard>, interner_shards> shards_;
};

}  // namespace detail

interner::interner(const interner_options& options) : strings_(std::make_unique<detail::permanent_strings>(options)) {}
interner::~interner() = default;
const detail::interned* interner::intern_entry(std::string_view text) { return strings_->intern(text); }
const detail::interned* interner::find_entry(std::string_view text) const noexcept { return strings_->find(text); }
void interner::visit(void (*function)(void*, const detail::interned*), void* context) const {
  strings_->for_each([&](const detail::interned* one) { function(context, one); });
}
const char* interner::name() const noexcept { return strings_->name(); }
tenure_account* interner::account() const noexcept { return strings_->account().handle(); }
interner_statistics interner::statistics() const noexcept { return strings_->statistics(); }
void interner::set_limits(account_limits limits) noexcept { strings_->set_limits(limits); }
void interner::check() const { strings_->check(); }

}  // namespace tenure
