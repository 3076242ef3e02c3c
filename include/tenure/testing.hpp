// Assertions about memory for unit tests, with any test framework.
//
//     EXPECT_TRUE(tenure::expect_no_leaks([] { parse("{}"); }));                        // GoogleTest
//     CHECK(tenure::expect_allocations_at_most(3, [&] { cart.add(item); }));            // Catch2
//
//     tenure::memory_scope scope;
//     cart.add(item);
//     EXPECT_TRUE(scope.no_allocations());
//     cart.clear();
//     EXPECT_TRUE(scope.no_leaks());
//
// What is counted: every malloc, calloc, realloc, operator new and the like of the calling thread, from the scope's
// begin on, exactly. A realloc counts as one allocation. A leak is such a block that nobody has freed when the question
// is asked; another thread may have freed it. What other threads allocate is not counted: a test of several threads has
// a scope in each. What the C library keeps for itself (a stream's buffer, what a thread needs) is an allocation and no
// leak.
//
// An answer is an `expectation`: true or false, with a message that names the call sites which allocated. It becomes a
// testing::AssertionResult where GoogleTest wants one, and is printed by <<, so the message is in the test's output.
//
// It needs malloc to be Tenure's: link tenure::malloc or tenure::preload, or link tenure::tenure and run the program
// under LD_PRELOAD=libtenure-malloc.so. Where it is not, every expectation is false and its message says so; a test
// that is to be skipped there asks tenure::counts_allocations() first. A sanitizer has a malloc of its own.
//
// Thread-safety: a scope is used by the thread that made it. Scopes may lie in one another. Errors: what the function
// throws passes through. Cost: in a scope some hundred nanoseconds an allocation; outside of one, and for other
// threads, nothing. Message: reads the symbol tables of the files that are named.
// Source: the markers of pytest-memray; docs/library/testing.md.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tenure/tenure.h>
#include <tenure/detail/symbol_names.hpp>

namespace tenure {

// Whether allocations of this program can be counted.
inline bool counts_allocations() noexcept { return tenure_is_active() != 0; }

namespace detail {

// testing::AssertionResult of GoogleTest, by what it can do.
template <class Result>
concept assertion_result = std::constructible_from<Result, bool> && requires(Result& result, const std::string& text) {
  { result.failure_message() } -> std::convertible_to<const char*>;
  result << text;
};

}  // namespace detail

class expectation {
 public:
  expectation(bool holds, std::string message) : holds_(holds), message_(std::move(message)) {}

  explicit operator bool() const noexcept { return holds_; }
  const std::string& message() const noexcept { return message_; }

  template <detail::assertion_result Result>
  operator Result() const {  // NOLINT(google-explicit-constructor): EXPECT_TRUE asks for it without a word
    Result result(holds_);
    if (!holds_) result << message_;
    return result;
  }
  friend std::ostream& operator<<(std::ostream& to, const expectation& one) {
    return to << (one.holds_ ? "holds" : one.message_);
  }

 private:
  bool holds_;
  std::string message_;  // empty when it holds
};

struct memory_figures {
  std::uint64_t allocations = 0, allocated_bytes = 0;  // bytes as requested
  std::uint64_t frees = 0;                             // of whatever block
  std::uint64_t live_blocks = 0, live_bytes = 0;       // what the C library keeps for itself included
  std::uint64_t peak_live_bytes = 0;
};

namespace detail {

struct allocating_site {
  std::vector<std::uint64_t> frames;
  std::uint64_t blocks = 0, bytes = 0;  // allocated, or alive
};

inline std::string count_of(std::uint64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// Frames of the heap itself, with which every stack begins.
inline bool is_of_the_heap(const named_address& one, const std::string& heap_module, bool heap_is_program) {
  if (!heap_is_program && one.module == heap_module) return true;
  static constexpr std::string_view names[] = {"malloc",        "calloc",         "realloc",  "reallocarray",
                                               "aligned_alloc", "posix_memalign", "memalign", "valloc"};
  return one.function.starts_with("operator new") || one.function.starts_with("tenure::core::") ||
         one.function.starts_with("tenure::telemetry::") || one.function.find("tenure::wire::") != std::string::npos ||
         std::find(std::begin(names), std::end(names), one.function) != std::end(names);
}

// The block is the C library's own, and stays until the process ends.
inline bool keeps_for_itself(std::string_view function) {
  static constexpr std::string_view beginnings[] = {"_IO_file_doallocate",
                                                    "_IO_wfile_doallocate",
                                                    "setlocale",
                                                    "pthread_create",
                                                    "__pthread_create",
                                                    "_dl_allocate_tls",
                                                    "_dl_",
                                                    "dlopen",
                                                    "__cxa_thread_atexit",
                                                    "tzset",
                                                    "bindtextdomain",
                                                    "textdomain",
                                                    "getpw",
                                                    "getgr"};
  return std::any_of(std::begin(beginnings), std::end(beginnings),
                     [&](std::string_view one) { return function.starts_with(one); });
}

// A test framework's own frames say nothing.
inline bool is_of_the_framework(std::string_view function) {
  return function.find("testing::internal::") != std::string_view::npos || function.starts_with("testing::Test::") ||
         function.starts_with("Catch::");
}

// While it lives, the calling thread's allocations are not counted: what a message needs is nobody's.
class not_counted {
 public:
  not_counted() noexcept { tenure_tally_suspend(); }
  ~not_counted() { tenure_tally_resume(); }
  not_counted(const not_counted&) = delete;
  not_counted& operator=(const not_counted&) = delete;
};

}  // namespace detail

class memory_scope {
 public:
  memory_scope() noexcept : tally_(tenure_tally_begin()) {}
  ~memory_scope() {
    if (tenure_tally_end(tally_) != 0) tenure_tally_free(tally_);
  }
  memory_scope(const memory_scope&) = delete;
  memory_scope& operator=(const memory_scope&) = delete;

  memory_figures figures() const noexcept {
    const tenure_tally_stats told = statistics();
    return {told.allocations, told.allocated_bytes, told.frees,
            told.live_blocks, told.live_bytes,      told.peak_live_bytes};
  }

  // Each may be asked several times; the scope goes on.
  expectation no_leaks() const {
    const detail::not_counted quiet;
    if (tally_ == nullptr) return cannot_count();
    std::vector<detail::allocating_site> left = sites(true);
    detail::symbol_names names;
    std::erase_if(left, [&](const detail::allocating_site& site) { return is_of_the_c_library(site, names); });
    std::uint64_t blocks = 0, bytes = 0;
    for (const detail::allocating_site& site : left) {
      blocks += site.blocks;
      bytes += site.bytes;
    }
    if (blocks == 0) return {true, {}};
    return {false, detail::count_of(blocks, "block") + " of " + detail::count_of(bytes, "byte") +
                       " allocated here and not freed" + message_of(std::move(left), names)};
  }
  expectation allocations_at_most(std::uint64_t most) const {
    return at_most(&tenure_tally_stats::allocations, most, "allocation", "");
  }
  expectation no_allocations() const { return allocations_at_most(0); }
  expectation allocated_bytes_at_most(std::uint64_t most) const {
    return at_most(&tenure_tally_stats::allocated_bytes, most, "byte", " allocated");
  }
  // Of blocks that were allocated in the scope: the most that were alive at once.
  expectation peak_bytes_at_most(std::uint64_t most) const {
    return at_most(&tenure_tally_stats::peak_live_bytes, most, "byte", " alive at once");
  }

 private:
  tenure_tally_stats statistics() const noexcept {
    tenure_tally_stats told = {};
    told.struct_size = sizeof told;
    if (tally_ != nullptr) tenure_tally_statistics(tally_, &told);
    return told;
  }

  static expectation cannot_count() {
    return {false,
            counts_allocations()
                ? "the system has no memory to count allocations with"
                : "malloc of this program is not Tenure's, so nothing can be counted: link tenure::malloc, or run "
                  "it under LD_PRELOAD=libtenure-malloc.so"};
  }

  expectation at_most(std::uint64_t tenure_tally_stats::*which, std::uint64_t most, const char* unit,
                      const char* what) const {
    const detail::not_counted quiet;
    if (tally_ == nullptr) return cannot_count();
    const std::uint64_t measured = statistics().*which;
    if (measured <= most) return {true, {}};
    detail::symbol_names names;
    return {false, detail::count_of(measured, unit) + what + ", " + std::to_string(most) + " allowed" +
                       message_of(sites(false), names)};
  }

  std::vector<detail::allocating_site> sites(bool alive) const {
    struct context {
      std::vector<detail::allocating_site> found;
      bool alive;
    } into{{}, alive};
    tenure_tally_visit(
        tally_,
        [](void* to, const tenure_tally_site* site) {
          auto* const all = static_cast<context*>(to);
          const std::uint64_t blocks = all->alive ? site->live_blocks : site->allocations;
          const std::uint64_t bytes = all->alive ? site->live_bytes : site->allocated_bytes;
          if (blocks != 0) all->found.push_back({{site->frames, site->frames + site->frame_count}, blocks, bytes});
          return 1;
        },
        &into);
    return std::move(into.found);
  }

  // Before anything of the program comes a function that allocates for the C library itself.
  static bool is_of_the_c_library(const detail::allocating_site& site, detail::symbol_names& names) {
    for (const std::uint64_t frame : site.frames) {
      const detail::named_address one = names.of(frame);
      if (one.module.starts_with("libtenure") || detail::is_of_the_heap(one, {}, true)) continue;
      if (!one.module.starts_with("libc.") && !one.module.starts_with("ld-") && !one.module.starts_with("libstdc++") &&
          !one.module.starts_with("libpthread"))
        return false;
      if (detail::keeps_for_itself(one.function)) return true;
    }
    return false;
  }

  // The sites, most bytes first, each with its stack.
  std::string message_of(std::vector<detail::allocating_site> all, detail::symbol_names& names) const {
    constexpr std::size_t most_sites = 5;
    std::sort(all.begin(), all.end(), [](const auto& left, const auto& right) {
      return left.bytes != right.bytes ? left.bytes > right.bytes : left.frames < right.frames;
    });
    std::string text;
    for (std::size_t i = 0; i < std::min(all.size(), most_sites); ++i) {
      text += "\n  " + detail::count_of(all[i].blocks, "block") + ", " + detail::count_of(all[i].bytes, "byte");
      text += stack_text(all[i].frames, names);
    }
    if (all.size() > most_sites) text += "\n  and " + detail::count_of(all.size() - most_sites, "more call site");
    const std::uint64_t missed = statistics().missed;
    if (missed != 0) text += "\n  " + detail::count_of(missed, "call") + " of signal handlers could not be counted";
    return text;
  }

  static std::string stack_text(const std::vector<std::uint64_t>& frames, detail::symbol_names& names) {
    constexpr std::size_t most_frames = 8;
    if (frames.empty()) return "\n    its stack was not kept";
    const std::string heap_module = names.of(frames[0]).module;
    const bool heap_is_program = !heap_module.starts_with("libtenure");
    std::string text;
    std::size_t shown = 0;
    for (const std::uint64_t frame : frames) {
      const detail::named_address one = names.of(frame);
      if (shown == 0 && detail::is_of_the_heap(one, heap_module, heap_is_program)) continue;
      if (shown == most_frames || (shown != 0 && detail::is_of_the_framework(one.function))) break;
      char place[32];
      std::snprintf(place, sizeof place, "+0x%llx", static_cast<unsigned long long>(one.offset));
      text += "\n    " + (one.function.empty() ? std::string("?") : one.function) + "  [" + one.module + place + "]";
      ++shown;
    }
    return text;
  }

  tenure_tally* tally_;
};

// The function is called once, and its memory is held against what is expected.
template <std::invocable Function>
[[nodiscard]] expectation expect_no_leaks(Function&& function) {
  const memory_scope scope;
  std::forward<Function>(function)();
  return scope.no_leaks();
}
template <std::invocable Function>
[[nodiscard]] expectation expect_allocations_at_most(std::uint64_t most, Function&& function) {
  const memory_scope scope;
  std::forward<Function>(function)();
  return scope.allocations_at_most(most);
}
template <std::invocable Function>
[[nodiscard]] expectation expect_no_allocations(Function&& function) {
  return expect_allocations_at_most(0, std::forward<Function>(function));
}
template <std::invocable Function>
[[nodiscard]] expectation expect_allocated_bytes_at_most(std::uint64_t most, Function&& function) {
  const memory_scope scope;
  std::forward<Function>(function)();
  return scope.allocated_bytes_at_most(most);
}
template <std::invocable Function>
[[nodiscard]] expectation expect_peak_bytes_at_most(std::uint64_t most, Function&& function) {
  const memory_scope scope;
  std::forward<Function>(function)();
  return scope.peak_bytes_at_most(most);
}

}  // namespace tenure
