// Every request that a managed heap makes of the system is refused, one after another: memory (operator new, malloc,
// mmap, mprotect, madvise), threads, the handlers of fork. For each a child of fork() does everything that a program
// does with a heap; it is told std::bad_alloc or goes on, and when nothing is refused any more all is as its own notes
// say. Only where an exception could not be thrown may it end, with a sentence that says what there was no memory for.
//
// The requests are counted where they leave this program: the linker puts the functions below in place of the
// system's, and operator new is this file's. So what is refused here is what is asked for, and not what was thought of.
#include <gtest/gtest.h>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <tenure/gc.hpp>
#include <tenure/gc/snapshot.hpp>

#include "support/rounds.h"
#include "unit/gc/plans.h"

using namespace tenure;

namespace {

// Requests since it was armed are numbered from 1 on.
struct refusal {
  std::atomic<bool> is_armed{false};
  std::atomic<long> asked{0};
  std::atomic<long> refused{0};
  long first = 0;
  long last = 0;

  bool refuses() noexcept {
    if (!is_armed.load(std::memory_order_relaxed)) return false;
    const long number = asked.fetch_add(1, std::memory_order_relaxed) + 1;
    if (number < first || number > last) return false;
    refused.fetch_add(1, std::memory_order_relaxed);
    errno = ENOMEM;
    return true;
  }
};
constinit refusal requests;

[[gnu::noinline]] void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  void* made = requests.refuses() ? nullptr : std::aligned_alloc(alignment, (bytes + alignment - 1) & ~(alignment - 1));
  if (made == nullptr) throw std::bad_alloc();
  return made;
}
// Compiled by itself: a compiler that sees free() meet operator new warns of it.
[[gnu::noinline]] void give_back(void* given) noexcept { std::free(given); }

}  // namespace

void* operator new(std::size_t bytes) { return allocate_or_throw(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* given) noexcept { give_back(given); }
void operator delete(void* given, std::size_t) noexcept { give_back(given); }
void operator delete(void* given, std::align_val_t) noexcept { give_back(given); }
void operator delete(void* given, std::size_t, std::align_val_t) noexcept { give_back(given); }

extern "C" {
void* __real_malloc(std::size_t bytes);
void* __real_calloc(std::size_t count, std::size_t bytes);
void* __real_realloc(void* given, std::size_t bytes);
void* __real_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset);
int __real_mprotect(void* at, std::size_t bytes, int protection);
int __real_madvise(void* at, std::size_t bytes, int advice);
int __real_pthread_create(pthread_t* made, const pthread_attr_t* with, void* (*run)(void*), void* argument);
int __real_pthread_atfork(void (*before)(), void (*in_parent)(), void (*in_child)());

void* __wrap_malloc(std::size_t bytes) { return requests.refuses() ? nullptr : __real_malloc(bytes); }
void* __wrap_calloc(std::size_t count, std::size_t bytes) {
  return requests.refuses() ? nullptr : __real_calloc(count, bytes);
}
void* __wrap_realloc(void* given, std::size_t bytes) {
  return requests.refuses() ? nullptr : __real_realloc(given, bytes);
}
void* __wrap_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  return requests.refuses() ? MAP_FAILED : __real_mmap(at, bytes, protection, flags, file, offset);
}
int __wrap_mprotect(void* at, std::size_t bytes, int protection) {
  return requests.refuses() ? -1 : __real_mprotect(at, bytes, protection);
}
int __wrap_madvise(void* at, std::size_t bytes, int advice) {
  return requests.refuses() ? -1 : __real_madvise(at, bytes, advice);
}
int __wrap_pthread_create(pthread_t* made, const pthread_attr_t* with, void* (*run)(void*), void* argument) {
  return requests.refuses() ? EAGAIN : __real_pthread_create(made, with, run, argument);
}
int __wrap_pthread_atfork(void (*before)(), void (*in_parent)(), void (*in_child)()) {
  return requests.refuses() ? ENOMEM : __real_pthread_atfork(before, in_parent, in_child);
}
}

namespace {

constexpr std::uint32_t most_enders = 64;
std::atomic<int> destroyed[most_enders];

struct node {
  gc::member<node> next;
  std::uint32_t id = 0;
  std::uint64_t filling[30] = {};
};
// Looks at what lies in its cell before it is made: a collector may have looked there, too.
struct looker {
  looker() noexcept {
    const volatile std::uint64_t* lay = words;
    for (int i = 0; i < 29; ++i) found_something = found_something || lay[i] != 0;
    count = 0;
  }
  TENURE_GC_MEMBERS(looker, before, words, count);
  gc::member<looker> before;
  std::uint64_t words[29];
  std::uint64_t count;
  static bool found_something;
};
bool looker::found_something = false;
struct ender {
  explicit ender(std::uint32_t given) : id(given) {}
  ~ender() { destroyed[id].fetch_add(1); }
  TENURE_GC_MEMBERS(ender, id, peer);
  std::uint32_t id;
  gc::member<node> peer;
};
struct large {
  large() noexcept {}
  TENURE_GC_MEMBERS(large, first, bytes);
  gc::member<node> first;
  char bytes[100'000];
};
struct holder {
  gc::vector<gc::member<node>> row;
  gc::string text;
  gc::map<int, gc::member<node>> table;
  gc::weak_map<node, node> pairs;
};

// False: there was no memory. What else is thrown ends the child.
template <class Step>
bool attempt(Step step) {
  try {
    step();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

#define EXPECT_IN_CHILD(condition)                                               \
  do {                                                                           \
    if (!(condition)) {                                                          \
      std::fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #condition); \
      ::_exit(1);                                                                \
    }                                                                            \
  } while (false)

// What a program does with a heap, with notes of what it was not refused.
class program {
 public:
  explicit program(gc::plan plan) : plan_(plan) {}

  void run() {
    attempt([&] { open(); });
    if (!heap_) return;
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 8; ++i) add_node();
      add_ender(round == 1);
      refer();
      fill();
      attempt([&] {
        const gc::local<large> made = heap_->make<large>();
        made->first = head_.get();
        std::memset(made->bytes, 0x5a, sizeof made->bytes);
      });
      if (!test::named(plan_).moves) attempt([&] { from_another_thread(round == 0); });
      attempt([&] { round % 2 == 0 ? heap_->collect() : heap_->collect_young(); });
      drop_half();
      // Each cycle reads the cgroup's files for it.
      heap_->set_collector_share_percent(0);
    }
    attempt([&] { const gc::heap_snapshot taken(*heap_); });
    attempt([&] { heap_->check(); });
    // Growth begins cycles by itself, and blocks come and go.
    for (int i = 0; i < 1000; ++i) attempt([&] { heap_->make<looker>()->words[i % 29] = 1; });
  }

  // Nothing is refused any more.
  void check() {
    if (!heap_) open();
    settle();
    heap_->check();
    std::uint32_t expected = listed_;
    for (gc::local<node> at(head_.get()); at; at = at->next) {
      EXPECT_IN_CHILD(expected != 0 && at->id == ids_[--expected]);
      EXPECT_IN_CHILD(at->filling[0] == 0 && at->filling[29] == at->id);
    }
    EXPECT_IN_CHILD(expected == 0);
    for (std::uint32_t id = 0; id < enders_; ++id) EXPECT_IN_CHILD(destroyed[id] == (id == kept_id_ ? 0 : 1));
    EXPECT_IN_CHILD(!oldest_is_known_ || (oldest_.lock() && oldest_.lock()->id == ids_[0]));
    EXPECT_IN_CHILD(dead_.expired());
    if (holder_) {
      EXPECT_IN_CHILD(holder_->row.size() == row_size_ && holder_->table.size() == table_size_);
      for (const gc::member<node>& each : holder_->row) EXPECT_IN_CHILD(each->filling[29] == each->id);
      EXPECT_IN_CHILD(holder_->text.size() == text_size_);
    }
    // As many as take each block again that was given back.
    for (gc::local<looker> last; !last || last->count < 1500;) {
      const gc::local<looker> next = heap_->make<looker>();
      next->count = last ? last->count + 1 : 0;
      next->before = last;
      last = next;
    }
    EXPECT_IN_CHILD(!looker::found_something);
    head_ = nullptr;
    holder_ = nullptr;
    kept_ = nullptr;
    guardian_.reset();
    settle();
    settle();
    EXPECT_IN_CHILD(heap_->statistics().live_objects == 0);
    EXPECT_IN_CHILD(heap_->objects().empty());
    EXPECT_IN_CHILD(oldest_.expired());
    for (std::uint32_t id = 0; id < enders_; ++id) EXPECT_IN_CHILD(destroyed[id] == 1);
    heap_.reset();
  }

 private:
  void open() {
    heap_.emplace(gc::heap_options{.name = "refused",
                                   .plan = plan_,
                                   .least_growth_bytes = 128 << 10,
                                   .soft_ms_per_free_mib = 0,
                                   .sample_bytes = 8 << 10,
                                   .collector_share_percent = 99,
                                   .poison = true});
  }

  void settle() {
    for (int i = 0; i < 2; ++i) {
      heap_->wait_for_destructors();
      heap_->collect();
    }
    heap_->wait_for_destructors();
  }

  void add_node() {
    attempt([&] {
      gc::local<node> made = heap_->make<node>();
      made->id = next_id_++;
      made->filling[29] = made->id;
      made->next = head_.get();
      head_ = made.get();
      ids_[listed_++] = made->id;
    });
  }

  void add_ender(bool is_kept) {
    attempt([&] {
      const gc::local<ender> made = heap_->make<ender>(enders_);
      const std::uint32_t id = enders_++;
      made->peer = heap_->make<node>();
      if (!is_kept) return;
      kept_ = made.get();
      kept_id_ = id;
    });
  }

  void refer() {
    if (!head_) return;
    if (!oldest_is_known_) {
      attempt([&] {
        gc::local<node> at(head_.get());
        while (at->next) at = at->next;
        oldest_ = gc::weak<node>(at);
        oldest_is_known_ = true;
      });
    }
    attempt([&] { dead_ = gc::weak<node>(heap_->make<node>()); });
    attempt([&] { soft_ = gc::soft<node>(gc::local<node>(head_.get())); });
    attempt([&] {
      const gc::local<node> dies = heap_->make<node>();
      if (!queue_) queue_.emplace();
      end_ = gc::phantom<node>(dies, *queue_, 1);
      if (!guardian_) guardian_.emplace();
      guardian_->guard(dies);
    });
  }

  void fill() {
    if (!head_) return;
    attempt([&] {
      if (!holder_) holder_ = heap_->make<holder>().get();
    });
    if (!holder_) return;
    const gc::local<holder> into(holder_.get());
    attempt([&] {
      into->row.push_back(head_.get());
      ++row_size_;
    });
    attempt([&] {
      into->text += "some text that needs room";
      text_size_ += 25;
    });
    attempt([&] {
      if (into->table.try_emplace(static_cast<int>(table_size_), gc::member<node>()).second) ++table_size_;
    });
    attempt([&] {
      const gc::local<node> key(head_.get());
      const gc::local<node> value = heap_->make<node>();
      into->pairs.insert(key, value);
    });
  }

  // Whoever begins with a gc::local, and not by making an object, cannot be told that there is no room for it.
  void from_another_thread(bool begins_with_local) {
    std::thread other([this, begins_with_local] {
      attempt([&] {
        if (!begins_with_local) heap_->make<node>();
        gc::local<node> first;
        for (int i = 0; i < 40; ++i) {
          gc::local<node> made = heap_->make<node>();
          made->next = first;
          first = made;
        }
        const gc::root<node> kept(first.get());
      });
    });
    other.join();
  }

  // Of the list the younger half, so that a cycle finds something dead in a block that stays.
  void drop_half() {
    const std::uint32_t dropped = listed_ / 2;
    for (std::uint32_t i = 0; i < dropped; ++i) head_ = gc::local<node>(head_->next).get();
    listed_ -= dropped;
  }

  const gc::plan plan_;
  std::optional<test::any_heap> heap_;
  gc::root<node> head_;
  gc::root<ender> kept_;
  gc::root<holder> holder_;
  std::optional<gc::phantom_queue<int>> queue_;
  std::optional<gc::guardian<node>> guardian_;
  gc::phantom<node> end_;
  gc::weak<node> oldest_;
  gc::weak<node> dead_;
  gc::soft<node> soft_;
  std::uint32_t ids_[64] = {};
  std::uint32_t listed_ = 0;
  std::uint32_t next_id_ = 1;
  std::uint32_t enders_ = 0;
  std::uint32_t kept_id_ = most_enders;
  std::size_t row_size_ = 0;
  std::size_t text_size_ = 0;
  std::size_t table_size_ = 0;
  bool oldest_is_known_ = false;
};

struct ended {
  bool was_refused = false;
  bool is_right = false;
  std::string said;
};

constexpr int refused_nothing = 77;

struct started {
  pid_t child = -1;
  int said = -1;  // what it writes to standard error
};

started start_refused(gc::plan plan, long first, long count) {
  started made;
  made.said = ::memfd_create("said", 0);
  made.child = ::fork();
  if (made.child != 0) return made;
  ::dup2(made.said, 2);
  ::alarm(120);
  requests.first = first;
  requests.last = first + count - 1;
  requests.is_armed = true;
  alignas(program) static char room[sizeof(program)];
  auto* refused = new (room) program(plan);
  refused->run();
  requests.is_armed = false;
  refused->check();
  ::_exit(requests.refused == 0 ? refused_nothing : 0);
}

ended wait_for(const started& made) {
  int status = 0;
  EXPECT_GE(made.said, 0);
  EXPECT_EQ(::waitpid(made.child, &status, 0), made.child);
  ended found;
  char text[4096];
  for (ssize_t got = 0; (got = ::pread(made.said, text, sizeof text, static_cast<off_t>(found.said.size()))) > 0;) {
    found.said.append(text, static_cast<std::size_t>(got));
  }
  ::close(made.said);
  if (WIFEXITED(status)) {
    found.was_refused = WEXITSTATUS(status) != refused_nothing;
    found.is_right = found.said.empty() && (WEXITSTATUS(status) == 0 || !found.was_refused);
    return found;
  }
  found.was_refused = true;
  found.is_right = WTERMSIG(status) == SIGABRT &&
                   found.said.starts_with("tenure: out of memory: the system has none for") &&
                   found.said.find('\n') + 1 == found.said.size();
  return found;
}

class refusal_of : public ::testing::TestWithParam<gc::plan> {};

// Beyond so many requests the program has not come, whatever the plan.
constexpr long most_requests = 5000;

void refuse_each(gc::plan plan, long count, long step) {
  constexpr std::size_t at_once = 4;
  long asked = 0;
  long endings = 0;
  long runs = 0;
  for (bool was_refused = true; was_refused;) {
    ASSERT_LT(asked, most_requests);
    started children[at_once];
    for (std::size_t i = 0; i < at_once; ++i) {
      children[i] = start_refused(plan, asked + 1 + static_cast<long>(i) * step, count);
    }
    for (const started& child : children) {
      const ended found = wait_for(child);
      EXPECT_TRUE(found.is_right) << "request " << asked + 1 << " refused: " << found.said;
      was_refused = found.was_refused;
      endings += found.said.empty() ? 0 : 1;
      asked += step;
      ++runs;
    }
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(asked, 200);
  // Few of them may end the program.
  EXPECT_LT(endings * 8, runs);
}

// Every third, as most places ask more than three times; TENURE_TEST_EVERY_REQUEST=1 is for whoever changes what is
// asked for.
TEST_P(refusal_of, one_request_leaves_a_heap_that_works) {
  const bool every = std::getenv("TENURE_TEST_EVERY_REQUEST") != nullptr;
  refuse_each(GetParam(), 1, every ? 1 : test::under_sanitizer ? 83 : 3);
}

TEST_P(refusal_of, many_in_a_row_leave_a_heap_that_works) {
  refuse_each(GetParam(), 60, test::under_sanitizer ? 151 : 7);
}

INSTANTIATE_TEST_SUITE_P(plans, refusal_of, test::collecting_plans(), test::plan_name);

}  // namespace
