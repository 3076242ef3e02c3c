#include "library/compressed/cold_pages.h"

#include <fcntl.h>
#include <lz4.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <system_error>

namespace tenure::resources {
namespace {

using steady_clock = std::chrono::steady_clock;

constexpr std::uint8_t raw_rest = 8;
constexpr std::size_t part_pages = 8;  // looked at with the mutex held

// What does not shrink by a quarter is left as it is: it would cost the time and give nothing.
std::size_t most_compressed_bytes(std::size_t page_bytes) noexcept { return page_bytes / 4 * 3; }

std::size_t checked_bytes(const compressed_options& options, std::size_t page_bytes) {
  if (options.limit_bytes == 0 || options.limit_bytes % page_bytes != 0 ||
      options.limit_bytes / page_bytes > UINT32_MAX) {
    throw std::invalid_argument("tenure::compressed: the limit is a number of OS pages");
  }
  if (options.most_resident_bytes / page_bytes < cold_pages::least_resident_pages) {
    throw std::invalid_argument("tenure::compressed: most_resident_bytes is at least 16 OS pages");
  }
  return options.limit_bytes;
}

[[noreturn]] void end_without_memory() noexcept {
  std::fputs("tenure: tenure::compressed: the system has no memory for a page that is touched\n", stderr);
  std::abort();
}

bool is_all_zeros(const char* content, std::size_t bytes) noexcept {
  return content[0] == 0 && std::memcmp(content, content + 1, bytes - 1) == 0;
}

}  // namespace

cold_pages::cold_pages(const compressed_options& options)
    : page_bytes_(static_cast<std::size_t>(::sysconf(_SC_PAGESIZE))),
      most_resident_pages_(options.most_resident_bytes / page_bytes_),
      cold_after_(options.cold_after),
      channel_(options.must_serve_system_calls),
      states_(checked_bytes(options, page_bytes_) / page_bytes_),
      queue_(states_.size()),
      store_(options.limit_bytes),
      scratch_(page_bytes_) {
  try {
    file_ = ::memfd_create("tenure compressed", MFD_CLOEXEC);
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    if (file_ < 0 || stop_ < 0 || ::ftruncate(file_, static_cast<off_t>(bytes())) != 0) {
      throw std::system_error(errno, std::generic_category(), "tenure::compressed: no memory file can be made");
    }
    for (std::uintptr_t* at : {&user_, &own_}) {
      void* const memory = ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_, 0);
      if (memory == MAP_FAILED) throw std::bad_alloc();
      *at = reinterpret_cast<std::uintptr_t>(memory);
      ::madvise(memory, bytes(), MADV_NOHUGEPAGE);
      // A child's touch of a page that is not there would put an empty one in its place.
      if (::madvise(memory, bytes(), MADV_DONTFORK) != 0) throw std::bad_alloc();
    }
    channel_.watch(user_, bytes());
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      thread_ = std::thread([this] { serve(); });
    } catch (...) {
      ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
      throw;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  } catch (...) {
    unmap();
    throw;
  }
}

void cold_pages::unmap() noexcept {
  for (const std::uintptr_t at : {user_, own_}) {
    if (at != 0) ::munmap(reinterpret_cast<void*>(at), bytes());
  }
  for (const int file : {file_, stop_}) {
    if (file >= 0) ::close(file);
  }
}

cold_pages::~cold_pages() {
  const std::uint64_t one = 1;
  if (::write(stop_, &one, sizeof one) != sizeof one) std::abort();
  thread_.join();
  unmap();
}

// --- the thread that faults wait for

int cold_pages::wait_ms(steady_clock::time_point next_turn) const noexcept {
  if (cold_after_.count() == 0) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_turn - steady_clock::now()).count();
  return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left, 0, 60'000));
}

void cold_pages::serve() {
  ::pthread_setname_np(::pthread_self(), "tenure-cold");
  std::size_t left = 0;  // of this turn
  auto next_turn = steady_clock::now() + cold_after_;
  for (;;) {
    pollfd both[2] = {{channel_.descriptor(), POLLIN, 0}, {stop_, POLLIN, 0}};
    if (::poll(both, 2, left != 0 ? 0 : wait_ms(next_turn)) < 0 && errno != EINTR) end_without_memory();
    if (both[1].revents != 0) return;
    if (both[0].revents != 0) {
      std::uintptr_t addresses[32];
      const std::size_t count = channel_.read_faults(addresses, 32);
      for (std::size_t i = 0; i < count; ++i) serve_fault(addresses[i]);
    }
    if (cold_after_.count() == 0) continue;
    if (left != 0) {
      const std::lock_guard held(mutex_);
      turn_part(left);
    } else if (steady_clock::now() >= next_turn) {
      const std::lock_guard held(mutex_);
      left = queued_;
      next_turn = steady_clock::now() + cold_after_;
    }
  }
}

void cold_pages::serve_fault(std::uintptr_t address) noexcept {
  const auto arrived = steady_clock::now();
  const std::size_t number = (address - user_) / page_bytes_;
  const std::lock_guard held(mutex_);
  const bool was_stored = states_[number].now == state::stored;
  if (!bring(number)) end_without_memory();
  if (was_stored) figures_.decompression.add(steady_clock::now() - arrived);
}

bool cold_pages::bring(std::size_t number) noexcept {
  page& one = states_[number];
  switch (one.now) {
    case state::empty:
      make_room();
      ++figures_.new_faults;
      if (!channel_.put_zeros(user_address(number), page_bytes_)) return false;
      become_resident(number);
      return true;
    case state::stored: {
      make_room();
      ++figures_.compressed_faults;
      const int bytes = ::LZ4_decompress_safe(reinterpret_cast<const char*>(store_.content(one.piece)), scratch_.data(),
                                              one.piece.bytes, static_cast<int>(page_bytes_));
      if (bytes != static_cast<int>(page_bytes_)) std::abort();  // the store has been overwritten
      if (!channel_.put_content(user_address(number), scratch_.data(), page_bytes_)) return false;
      store_.remove(one.piece);
      --stored_pages_;
      become_resident(number);
      return true;
    }
    case state::idle:
      ++figures_.watched_faults;
      one.now = state::hot;
      return channel_.map_what_is_there(user_address(number), page_bytes_);
    case state::hot:
    case state::raw:  // another thread has waited for the same page, or the kernel has had it in swap
      return channel_.map_what_is_there(user_address(number), page_bytes_);
  }
  return false;
}

void cold_pages::become_resident(std::size_t number) noexcept {
  states_[number].now = state::hot;
  ++resident_pages_;
  enqueue(number);
}

void cold_pages::enqueue(std::size_t number) noexcept {
  if (states_[number].is_queued) return;
  states_[number].is_queued = true;
  queue_[(queue_first_ + queued_++) % queue_.size()] = static_cast<std::uint32_t>(number);
}

// --- what takes pages away

// Room for one more. Each of those there is looked at twice at most: once to take its mapping, once to compress it;
// what is found to be incompressible counts no longer.
void cold_pages::make_room() noexcept {
  while (resident_pages_ >= most_resident_pages_) look_at_next();
}

// The first of the queue, which goes to its end when it stays. True when it was compressed.
bool cold_pages::look_at_next() noexcept {
  const std::size_t number = queue_[queue_first_];
  queue_first_ = (queue_first_ + 1) % queue_.size();
  --queued_;
  page& one = states_[number];
  one.is_queued = false;
  switch (one.now) {
    case state::hot:
      take_mapping(number);
      break;
    case state::idle:
      if (compress(number)) return true;
      break;
    case state::raw:
      if (one.rest-- == 0) {
        one.now = state::hot;
        --raw_pages_;
        ++resident_pages_;
        take_mapping(number);
      }
      break;
    case state::empty:
    case state::stored:
      return false;
  }
  enqueue(number);
  return false;
}

void cold_pages::take_mapping(std::size_t number) noexcept {
  if (::madvise(reinterpret_cast<void*>(user_address(number)), page_bytes_, MADV_DONTNEED) == 0) {
    states_[number].now = state::idle;
  } else {
    // The program has locked it: it stays.
    states_[number].now = state::raw;
    states_[number].rest = raw_rest;
    --resident_pages_;
    ++raw_pages_;
  }
}

// False when it stays, as incompressible: mapped again by whoever touches it.
bool cold_pages::compress(std::size_t number) noexcept {
  page& one = states_[number];
  const auto* const content = reinterpret_cast<const char*>(own_address(number));
  if (is_all_zeros(content, page_bytes_)) {
    one.now = state::empty;
  } else {
    const int bytes = ::LZ4_compress_default(content, scratch_.data(), static_cast<int>(page_bytes_),
                                             static_cast<int>(most_compressed_bytes(page_bytes_)));
    if (bytes <= 0 || !store_.add(scratch_.data(), static_cast<std::size_t>(bytes), one.piece)) {
      ++figures_.refused_compressions;
      one.now = state::raw;
      one.rest = raw_rest;
      --resident_pages_;
      ++raw_pages_;
      return false;
    }
    one.now = state::stored;
    ++stored_pages_;
  }
  ++figures_.compressions;
  --resident_pages_;
  punch(number, 1);
  return true;
}

void cold_pages::punch(std::size_t number, std::size_t count) noexcept {
  while (::fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(number * page_bytes_),
                     static_cast<off_t>(count * page_bytes_)) != 0) {
    if (errno != EINTR) std::abort();
  }
}

void cold_pages::turn_part(std::size_t& left) noexcept {
  for (std::size_t i = 0; i < part_pages && left != 0; ++i, --left) {
    if (queued_ == 0) {
      left = 0;
      return;
    }
    look_at_next();
  }
}

void cold_pages::turn() noexcept {
  std::size_t left = 0;
  {
    const std::lock_guard held(mutex_);
    left = queued_;
  }
  while (left != 0) {
    const std::lock_guard held(mutex_);
    turn_part(left);
  }
}

std::size_t cold_pages::drop(std::uintptr_t begin, std::size_t bytes) noexcept {
  const std::size_t first = (begin - user_) / page_bytes_;
  const std::size_t count = (bytes + page_bytes_ - 1) / page_bytes_;
  const std::lock_guard held(mutex_);
  const std::size_t stored_before = store_.taken_bytes();
  std::size_t pages = 0;
  for (std::size_t number = first; number < first + count; ++number) {
    page& one = states_[number];
    if (one.now == state::stored) {
      store_.remove(one.piece);
      --stored_pages_;
    } else if (one.now != state::empty) {
      --(one.now == state::raw ? raw_pages_ : resident_pages_);
      ++pages;
    }
    one.now = state::empty;
  }
  if (pages != 0) punch(first, count);
  return pages * page_bytes_ + stored_before - store_.taken_bytes();
}

// --- figures

std::size_t cold_pages::taken_bytes() const {
  const std::lock_guard held(mutex_);
  return (resident_pages_ + raw_pages_) * page_bytes_ + store_.taken_bytes();
}

compressed_statistics cold_pages::statistics() const {
  const std::lock_guard held(mutex_);
  compressed_statistics now = figures_;
  now.resident_bytes = resident_pages_ * page_bytes_;
  now.incompressible_bytes = raw_pages_ * page_bytes_;
  now.compressed_bytes = stored_pages_ * page_bytes_;
  now.store_bytes = store_.taken_bytes();
  return now;
}

bool cold_pages::is_sound() const {
  const std::lock_guard held(mutex_);
  std::size_t resident = 0, raw = 0, stored = 0, queued = 0;
  for (const page& one : states_) {
    resident += one.now == state::hot || one.now == state::idle ? 1 : 0;
    raw += one.now == state::raw ? 1 : 0;
    stored += one.now == state::stored ? 1 : 0;
    queued += one.is_queued ? 1 : 0;
    if ((one.now == state::hot || one.now == state::idle || one.now == state::raw) && !one.is_queued) return false;
  }
  return resident == resident_pages_ && raw == raw_pages_ && stored == stored_pages_ && queued == queued_ &&
         resident <= most_resident_pages_ && store_.is_sound();
}

}  // namespace tenure::resources
