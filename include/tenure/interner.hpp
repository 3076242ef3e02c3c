// tenure::interner and counted_interner: each string once, and as a symbol that is one word.
//
//     tenure::interner names({.name = "identifiers"});
//     tenure::symbol one = names.intern("colour");          // the same word for the same string, for good
//     if (one == names.intern(token)) ...                   // compares addresses
//     std::puts(one.c_str());
//
//     tenure::counted_interner labels({.name = "labels", .grace = std::chrono::seconds(10)});
//     tenure::counted_symbol label = labels.intern(text);   // copied and let go of like an arc
//
// interner keeps strings for as long as it lives itself. counted_interner keeps a string while a symbol of it lives,
// and then, where `grace` is not 0, for so long at least, so that one that comes and goes is not made anew each time
// (weak). What is over its grace goes in passing, when others come, and with sweep().
//
// A string that is there is found without a lock and without a write to anything that other threads read but, in
// counted_interner, its own count. Strings may hold any bytes; c_str() ends in a 0 besides.
//
// When: the same strings over and over: identifiers, labels, header names, keys to compare. When not: strings of which
// each is different; values of other types (flyweight).
//
// Thread-safe, apart from construction and destruction; shrinkers of the account may intern, let go and sweep. Symbols
// must be gone before their counted_interner: one that is left ends in a message. Symbols of different interners
// compare unequal. Errors: std::bad_alloc, also at a hard limit of the account; std::length_error from 2^32 - 1 bytes
// on.
// Cost: some 10 ns for a string of a dozen bytes that is there; beside the bytes of a string, 9 to 16 for an entry, 25
// to 40 where it is counted, and 21 to 43 for the tables (docs/library/interner.md).
// Source: symbols of Lisp; sharded open addressing; memory that keeps its type, as in Linux's SLAB_TYPESAFE_BY_RCU.
#pragma once

#include <atomic>
#include <chrono>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include <tenure/api.h>
#include <tenure/account.hpp>
#include <tenure/ref/counts.hpp>

namespace tenure {

namespace detail {

// In front of the text, which ends in a 0.
struct interned {
  std::uint32_t bytes;
  std::uint32_t hash;
  const char* text() const noexcept { return reinterpret_cast<const char*>(this + 1); }
};

class counted_strings;
// 0 references: free; 1: in the table, and nobody has it; else one more than symbols.
struct counted_string {
  std::atomic<std::uint32_t> references{0};
  std::uint32_t bytes = 0;
  std::atomic<std::uint32_t> hash{0};
  std::atomic<std::uint32_t> idle_since_ms{0};
  counted_strings* home = nullptr;
  // Behind it; of one that is too long for a cell, the address of the text.
  static constexpr std::uint32_t longest_in_cell = 487;
  const char* text() const noexcept {
    const char* const behind = reinterpret_cast<const char*>(this + 1);
    if (bytes <= longest_in_cell) [[likely]] {
      return behind;
    }
    return *reinterpret_cast<const char* const*>(behind);
  }
};
TENURE_API void release_counted(counted_string* one) noexcept;

class permanent_strings;

}  // namespace detail

// A string of an interner; valid as long as that.
class symbol {
 public:
  symbol() = default;
  std::string_view view() const noexcept {
    return entry_ == nullptr ? std::string_view() : std::string_view(entry_->text(), entry_->bytes);
  }
  // Null of an empty symbol, which is not the symbol of the empty string.
  const char* c_str() const noexcept { return entry_ == nullptr ? nullptr : entry_->text(); }
  explicit operator bool() const noexcept { return entry_ != nullptr; }
  bool operator==(const symbol&) const = default;
  // An order that is the same for as long as the interner lives, and not that of the strings.
  std::strong_ordering operator<=>(const symbol& other) const noexcept {
    return std::compare_three_way()(entry_, other.entry_);
  }
  std::size_t hash() const noexcept { return std::hash<const void*>()(entry_); }

 private:
  friend class interner;
  explicit symbol(const detail::interned* of) noexcept : entry_(of) {}
  const detail::interned* entry_ = nullptr;
};

// A string of a counted_interner, kept while this lives.
class counted_symbol {
 public:
  counted_symbol() = default;
  counted_symbol(const counted_symbol& other) noexcept : entry_(other.entry_) {
    if (entry_ == nullptr) return;
    if (!detail::is_positive(entry_->references.fetch_add(1, std::memory_order_relaxed) + 1)) [[unlikely]] {
      detail::saturate(entry_->references);
    }
  }
  counted_symbol(counted_symbol&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  counted_symbol& operator=(counted_symbol other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~counted_symbol() {
    if (entry_ != nullptr) detail::release_counted(entry_);
  }

  std::string_view view() const noexcept {
    return entry_ == nullptr ? std::string_view() : std::string_view(entry_->text(), entry_->bytes);
  }
  const char* c_str() const noexcept { return entry_ == nullptr ? nullptr : entry_->text(); }
  explicit operator bool() const noexcept { return entry_ != nullptr; }
  bool operator==(const counted_symbol& other) const noexcept { return entry_ == other.entry_; }
  std::strong_ordering operator<=>(const counted_symbol& other) const noexcept {
    return std::compare_three_way()(entry_, other.entry_);
  }
  std::size_t hash() const noexcept { return std::hash<const void*>()(entry_); }

 private:
  friend class counted_interner;
  explicit counted_symbol(detail::counted_string* of) noexcept : entry_(of) {}
  detail::counted_string* entry_ = nullptr;
};

struct interner_options {
  std::string_view name = "strings";
  std::chrono::milliseconds grace{0};  // of counted_interner; at most 24 days, and 0 where it is below
  const tenure::account* parent = nullptr;
  std::uint64_t hash_seed = 0;  // 0: one of the process's own, which nobody outside can know
};

struct interner_statistics {
  std::uint64_t strings = 0;
  std::uint64_t text_bytes = 0;  // of the strings there are
  std::uint64_t held_bytes = 0;  // taken for them, with tables; the account has the same figure
};

class TENURE_API interner {
 public:
  explicit interner(const interner_options& options = {});
  ~interner();
  interner(const interner&) = delete;
  interner& operator=(const interner&) = delete;

  symbol intern(std::string_view text) { return symbol(intern_entry(text)); }
  // Empty where the string has not been interned.
  symbol find(std::string_view text) const noexcept { return symbol(find_entry(text)); }

  // Every string, in no order; others may intern meanwhile, and theirs may be among them.
  template <std::invocable<symbol> Function>
  void for_each(Function function) const {
    visit([](void* context, const detail::interned* one) { (*static_cast<Function*>(context))(symbol(one)); },
          &function);
  }
  const char* name() const noexcept;
  tenure_account* account() const noexcept;
  interner_statistics statistics() const noexcept;
  // Of what is held; at a hard limit intern() throws std::bad_alloc for a string that is new.
  void set_limits(account_limits limits) noexcept;
  // Nothing to give back: its strings stay for good.
  std::size_t trim() noexcept { return 0; }
  void check() const;

 private:
  const detail::interned* intern_entry(std::string_view text);
  const detail::interned* find_entry(std::string_view text) const noexcept;
  void visit(void (*function)(void*, const detail::interned*), void* context) const;
  std::unique_ptr<detail::permanent_strings> strings_;
};

class TENURE_API counted_interner {
 public:
  explicit counted_interner(const interner_options& options = {});
  ~counted_interner();
  counted_interner(const counted_interner&) = delete;
  counted_interner& operator=(const counted_interner&) = delete;

  counted_symbol intern(std::string_view text) { return counted_symbol(intern_entry(text)); }
  // Empty where the string is not there; one in its grace is.
  counted_symbol find(std::string_view text) const noexcept { return counted_symbol(find_entry(text)); }
  // Frees what nobody has and is over its grace. The number of strings.
  std::uint64_t sweep() noexcept;

  // Every string that is there, in no order. Interning and letting go wait meanwhile, so `function` must do neither.
  template <std::invocable<std::string_view> Function>
  void for_each(Function function) const {
    visit([](void* context, std::string_view text) { (*static_cast<Function*>(context))(text); }, &function);
  }
  const char* name() const noexcept;
  tenure_account* account() const noexcept;
  interner_statistics statistics() const noexcept;
  // Of what is held; at a hard limit intern() throws std::bad_alloc for a string that is new.
  void set_limits(account_limits limits) noexcept;
  // Frees what nobody has, in its grace too. Texts from 488 bytes on give their memory back, of which it returns the
  // bytes; entries with shorter ones keep it for others of their size.
  std::size_t trim() noexcept;
  void check() const;

 private:
  detail::counted_string* intern_entry(std::string_view text);
  detail::counted_string* find_entry(std::string_view text) const noexcept;
  void visit(void (*function)(void*, std::string_view), void* context) const;
  std::unique_ptr<detail::counted_strings> strings_;
};

}  // namespace tenure

template <>
struct std::hash<tenure::symbol> {
  std::size_t operator()(const tenure::symbol& of) const noexcept { return of.hash(); }
};
template <>
struct std::hash<tenure::counted_symbol> {
  std::size_t operator()(const tenure::counted_symbol& of) const noexcept { return of.hash(); }
};
