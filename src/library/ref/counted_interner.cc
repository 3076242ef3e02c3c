#include <tenure/interner.hpp>

#include <ctime>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "core/base/yield_point.h"
#include "library/ref/string_table.h"
#include "library/resource/call_site.h"

namespace tenure {
namespace detail {
namespace {

// Times are taken from one another in 32 bits.
constexpr std::int64_t longest_grace_ms = std::int64_t{1} << 31;
// CLOCK_MONOTONIC_COARSE goes in steps of the kernel's tick.
constexpr std::uint32_t clock_step_ms = 10;

std::uint32_t now_ms() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(now.tv_sec) * 1000 +
                                    static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000);
}

}  // namespace

// A reader takes a reference to what it finds by an exchange from 1 or more, and compares only then: the text of an
// entry is changed while it has none. The memory of an entry stays that of entries of its size, so the count can always
// be looked at; 0 says that there is nothing.
class counted_strings {
  struct rehash {
    std::uint64_t seed;
    std::uint64_t operator()(const counted_string& one) const noexcept {
      return hash_of({one.text(), one.bytes}, seed);
    }
  };

 public:
  explicit counted_strings(const interner_options& options)
      : name_(options.name),
        account_(name_.c_str(), "interner", options.parent),
        grace_ms_(static_cast<std::uint32_t>(std::clamp<std::int64_t>(options.grace.count(), 0, longest_grace_ms))),
        seed_(options.hash_seed != 0 ? options.hash_seed : make_seed()) {
    for (auto& one : shards_) one = std::make_unique<shard>(account_);
  }
  ~counted_strings() {
    for (const auto& in : shards_) {
      in->table.for_each([&](counted_string* one) {
        const std::uint32_t users = one->references.load(std::memory_order_acquire) - 1;
        if (users != 0) report_left(one, users);
        if (one->bytes > counted_string::longest_in_cell) give_long(*one);
      });
    }
  }
  counted_strings(const counted_strings&) = delete;
  counted_strings& operator=(const counted_strings&) = delete;

  counted_string* find(std::string_view text) const noexcept {
    const std::uint64_t hash = hash_of(text, seed_);
    shard& in = *shards_[shard_of(hash)];
    if (counted_string* const found = look(in, hash, text); found != nullptr) return found;
    const std::lock_guard held(in.lock);
    return look_held(in, hash, text);
  }

  counted_string* intern(std::string_view text) {
    const std::uint64_t hash = hash_of(text, seed_);
    shard& in = *shards_[shard_of(hash)];
    if (counted_string* const found = look(in, hash, text); found != nullptr) [[likely]] {
      return found;
    }
    if (text.size() >= std::numeric_limits<std::uint32_t>::max()) {
      throw std::length_error("tenure: a string of 2^32 - 1 bytes or more cannot be interned");
    }
    for (provisions brought(account_);;) {
      shortage missing;
      {
        const std::lock_guard held(in.lock);
        if (counted_string* const found = look_held(in, hash, text); found != nullptr) return found;
        if (grace_ms_ != 0) sweep_some(in);
        missing = missing_for(in, text);
        if (brought.cover(missing)) return put(in, hash, text, brought);
      }
      brought.take(missing);
    }
  }

  void release(counted_string* one) noexcept {
    std::uint32_t references = one->references.load(std::memory_order_relaxed);
    std::uint64_t hash = 0;
    do {
      if (!is_positive(references)) return;  // saturated: it stays
      if (references == 2) {
        if (grace_ms_ != 0) one->idle_since_ms.store(now_ms(), std::memory_order_relaxed);
        // The text cannot be read any more once the reference has gone.
        hash = hash_of({one->text(), one->bytes}, seed_);
      }
    } while (!one->references.compare_exchange_weak(references, references - 1, std::memory_order_acq_rel,
                                                    std::memory_order_relaxed));
    if (references != 2 || grace_ms_ != 0) return;
    TENURE_YIELD_POINT();
    shard& in = *shards_[shard_of(hash)];
    const std::lock_guard held(in.lock);
    // Another thread may have taken it, let go of it and freed it meanwhile, and a new one may lie there, which
    // somebody else is about to free in the same way. Whoever finds it without users frees it, if it is this shard's.
    if (in.table.find(hash, [&](const counted_string* there) { return there == one; }) == one && take_last(*one)) {
      drop(in, one, hash);
    }
  }

  std::uint64_t sweep() noexcept {
    return sweep_all([this](const counted_string& one) { return is_aged(one); });
  }
  std::size_t trim() noexcept {
    const std::uint64_t before = account_.statistics().held_bytes;
    sweep_all([](const counted_string&) { return true; });
    const std::uint64_t now = account_.statistics().held_bytes;
    return static_cast<std::size_t>(before - std::min(before, now));
  }

  template <class Function>
  void for_each(Function function) const {
    for (const auto& in : shards_) {
      const std::lock_guard held(in->lock);
      in->table.for_each([&](const counted_string* one) { function(std::string_view(one->text(), one->bytes)); });
    }
  }
  const char* name() const noexcept { return name_.c_str(); }
  const tenure::account& account() const noexcept { return account_; }
  interner_statistics statistics() const noexcept { return figures_of(shards_, account_); }
  void set_limits(account_limits limits) noexcept { account_.set_limits(limits); }
  void check() const {
    for (const auto& in : shards_) {
      const std::lock_guard held(in->lock);
      std::uint64_t bytes = 0;
      in->table.for_each([&](counted_string* one) {
        const std::string_view text(one->text(), one->bytes);
        const std::uint64_t hash = hash_of(text, seed_);
        TENURE_CHECK(one->references.load(std::memory_order_relaxed) >= 1 && one->home == this);
        TENURE_CHECK(&*in == &*shards_[shard_of(hash)] && text.data()[text.size()] == 0);
        TENURE_CHECK(in->table.find(hash, [&](const counted_string* there) { return there == one; }) == one);
        bytes += text.size();
      });
      TENURE_CHECK(bytes == in->text_bytes);
    }
  }

 private:
  static constexpr std::size_t step_bytes = 16;
  static constexpr std::size_t cell_sizes = 33;  // up to 512 bytes with the entry and the 0

  struct alignas(64) shard {
    explicit shard(tenure::account& account) : table(account), memory(account) {}
    string_table<counted_string> table;
    std::mutex lock;
    entry_memory memory;
    std::uint64_t text_bytes = 0;
    std::uint64_t swept_to = 0;
    std::array<counted_string*, cell_sizes> free{};
  };

  // With a reference to what it returns.
  counted_string* look(const shard& in, std::uint64_t hash, std::string_view text) const noexcept {
    return in.table.find(hash, [&](counted_string* one) {
      if (one->hash.load(std::memory_order_relaxed) != static_cast<std::uint32_t>(hash)) return false;
      std::uint32_t references = one->references.load(std::memory_order_relaxed);
      do {
        TENURE_YIELD_POINT();
        if (references == 0) return false;
      } while (!one->references.compare_exchange_weak(references, references + 1, std::memory_order_acquire,
                                                      std::memory_order_relaxed));
      if (!is_positive(references + 1)) [[unlikely]] {
        saturate(one->references);
      }
      TENURE_YIELD_POINT();
      if (std::string_view(one->text(), one->bytes) == text) return true;
      release_counted(one);
      return false;
    });
  }
  // With the lock: what is in the table stays there and has a reference.
  static counted_string* look_held(const shard& in, std::uint64_t hash, std::string_view text) noexcept {
    counted_string* const found = in.table.find(hash, [&](const counted_string* one) {
      return one->hash.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(hash) &&
             std::string_view(one->text(), one->bytes) == text;
    });
    if (found != nullptr && !is_positive(found->references.fetch_add(1, std::memory_order_acquire) + 1)) [[unlikely]] {
      saturate(found->references);
    }
    return found;
  }

  static char* behind(counted_string* one) noexcept { return reinterpret_cast<char*>(one + 1); }
  static std::size_t cell_of(std::size_t text_bytes) noexcept {
    const std::size_t behind_bytes = text_bytes > counted_string::longest_in_cell ? sizeof(char*) : text_bytes + 1;
    return (sizeof(counted_string) + behind_bytes + step_bytes - 1) / step_bytes;
  }

  // These with the lock.
  static shortage missing_for(const shard& in, std::string_view text) noexcept {
    const std::size_t cell = cell_of(text.size());
    return {in.table.missing_bytes(), in.free[cell] != nullptr ? 0 : in.memory.missing_bytes(cell * step_bytes),
            text.size() > counted_string::longest_in_cell ? text.size() + 1 : 0};
  }
  counted_string* put(shard& in, std::uint64_t hash, std::string_view text, provisions& brought) noexcept {
    if (in.table.missing_bytes() != 0) in.table.grow(brought.table, rehash{seed_});
    counted_string* const made = take(in, text, brought);
    made->hash.store(static_cast<std::uint32_t>(hash), std::memory_order_relaxed);
    // The table's and the caller's; whoever sees it sees the text.
    made->references.store(2, std::memory_order_release);
    in.table.insert(hash, made);
    in.text_bytes += text.size();
    return made;
  }
  // A free entry with the text in it and no references.
  counted_string* take(shard& in, std::string_view text, provisions& brought) noexcept {
    const std::size_t cell = cell_of(text.size());
    counted_string* one = in.free[cell];
    if (one != nullptr) {
      std::memcpy(&in.free[cell], behind(one), sizeof one);
    } else {
      one = ::new (in.memory.take(cell * step_bytes, brought.chunk)) counted_string;
      one->home = this;
    }
    one->bytes = static_cast<std::uint32_t>(text.size());
    char* to = behind(one);
    if (text.size() > counted_string::longest_in_cell) {
      to = static_cast<char*>(brought.text.detach());
      std::memcpy(behind(one), &to, sizeof to);
    }
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    to[text.size()] = 0;
    return one;
  }
  void give_long(const counted_string& one) noexcept {
    give_charged(account_, const_cast<char*>(one.text()), std::size_t{one.bytes} + 1);
  }

  // The table's reference, of an entry that nobody has; false where somebody has taken one meanwhile.
  static bool take_last(counted_string& one) noexcept {
    std::uint32_t only = 1;
    return one.references.compare_exchange_strong(only, 0, std::memory_order_acq_rel);
  }
  void drop(shard& in, counted_string* one, std::uint64_t hash) noexcept {
    in.table.erase(hash, one, rehash{seed_});
    in.text_bytes -= one->bytes;
    const std::size_t cell = cell_of(one->bytes);
    if (one->bytes > counted_string::longest_in_cell) give_long(*one);
    std::memcpy(behind(one), &in.free[cell], sizeof one);
    in.free[cell] = one;
  }
  bool is_aged(const counted_string& one) const noexcept {
    return now_ms() - one.idle_since_ms.load(std::memory_order_relaxed) >= grace_ms_ + clock_step_ms;
  }
  // True where it has gone. May be null. The text of an entry without users is changed with the lock only.
  template <class Predicate>
  bool drop_if(shard& in, counted_string* one, Predicate is_over) noexcept {
    if (one == nullptr || one->references.load(std::memory_order_acquire) != 1 || !is_over(*one)) return false;
    TENURE_YIELD_POINT();
    if (!take_last(*one)) return false;
    // Somebody may have had it meanwhile, and its grace has begun anew.
    if (!is_over(*one)) {
      one->references.store(1, std::memory_order_release);
      return false;
    }
    drop(in, one, hash_of({one->text(), one->bytes}, seed_));
    return true;
  }
  template <class Predicate>
  std::uint64_t sweep_all(Predicate is_over) noexcept {
    std::uint64_t swept = 0;
    for (const auto& in : shards_) {
      const std::lock_guard held(in->lock);
      // Another one may have come to the place of one that goes.
      for (std::uint64_t at = 0; at < in->table.capacity();) {
        ++(drop_if(*in, in->table.in_slot(at), is_over) ? swept : at);
      }
    }
    return swept;
  }
  // Two places for each string that comes, so that a table is passed before it can grow twice.
  void sweep_some(shard& in) noexcept {
    for (int i = 0; i < 2; ++i) {
      drop_if(in, in.table.in_slot(in.swept_to++), [this](const counted_string& one) { return is_aged(one); });
    }
  }
  void report_left(const counted_string* one, std::uint32_t users) const noexcept {
    const std::string what = "interner destroyed while " + std::to_string(users) + " symbols of \"" +
                             std::string(one->text(), std::min<std::size_t>(one->bytes, 64)) + "\" are there";
    const resources::call_site here = resources::capture_site();
    resources::report_misuse(what.c_str(), one, sizeof *one, "interner", name_.c_str(), {{"ended here", &here}});
  }

  std::string name_;
  tenure::account account_;
  std::uint32_t grace_ms_;
  std::uint64_t seed_;
  std::array<std::unique_ptr<shard>, interner_shards> shards_;
};

void release_counted(counted_string* one) noexcept { one->home->release(one); }

}  // namespace detail

counted_interner::counted_interner(const interner_options& options)
    : strings_(std::make_unique<detail::counted_strings>(options)) {}
counted_interner::~counted_interner() = default;
detail::counted_string* counted_interner::intern_entry(std::string_view text) { return strings_->intern(text); }
detail::counted_string* counted_interner::find_entry(std::string_view text) const noexcept {
  return strings_->find(text);
}
std::uint64_t counted_interner::sweep() noexcept { return strings_->sweep(); }
void counted_interner::visit(void (*function)(void*, std::string_view), void* context) const {
  strings_->for_each([&](std::string_view text) { function(context, text); });
}
const char* counted_interner::name() const noexcept { return strings_->name(); }
tenure_account* counted_interner::account() const noexcept { return strings_->account().handle(); }
interner_statistics counted_interner::statistics() const noexcept { return strings_->statistics(); }
void counted_interner::set_limits(account_limits limits) noexcept { strings_->set_limits(limits); }
std::size_t counted_interner::trim() noexcept { return strings_->trim(); }
void counted_interner::check() const { strings_->check(); }

}  // namespace tenure
