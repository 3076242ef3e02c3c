#include "instruments/cli/progress_line.h"

#include <fmt/format.h>
#include <signal.h>

#include <filesystem>
#include <utility>

#include "instruments/cli/output_file.h"
#include "instruments/cli/terminal.h"

namespace tenure::cli {
namespace {

constexpr std::chrono::milliseconds pause{100};
constexpr const char* clear_line = "\r\033[K";

// Signals are for the thread that began.
class signals_blocked {
 public:
  signals_blocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

progress_line::progress_line(std::string doing, const place& where)
    : where_(where), is_terminal_(::isatty(where.descriptor) == 1), doing_(std::move(doing)) {
  if (!is_terminal_) return;
  const signals_blocked for_the_thread;
  writer_ = std::thread([this] { write_until_the_end(); });
}

progress_line::~progress_line() {
  if (!is_terminal_) return;
  {
    const std::lock_guard guard(lock_);
    is_ending_ = true;
  }
  ended_.notify_one();
  writer_.join();
}

void progress_line::show(const char* doing, double share) {
  if (!is_terminal_) return;
  const std::lock_guard guard(lock_);
  if (doing_ != doing) doing_ = doing;
  share_ = share;
  module_.clear();
}

void progress_line::show(const std::string& doing) {
  if (!is_terminal_) return;
  const std::lock_guard guard(lock_);
  doing_ = doing;
  share_ = -1;
  module_.clear();
}

void progress_line::show_symbols_of(const std::string& module_path) {
  if (!is_terminal_) return;
  const std::lock_guard guard(lock_);
  if (module_ != module_path) module_ = module_path;
}

std::string progress_line::text() const {
  std::string text = doing_;
  if (share_ >= 0) text += fmt::format(": {:.0f} %", share_ * 100);
  if (!module_.empty()) text += fmt::format(" (symbols of {})", std::filesystem::path(module_).filename().string());
  return in_one_line(std::move(text));
}

void progress_line::write_until_the_end() {
  std::string shown;
  std::unique_lock guard(lock_);
  std::chrono::milliseconds wait = where_.patience;
  while (!ended_.wait_for(guard, wait, [this] { return is_ending_; })) {
    wait = pause;
    std::string now = text();
    if (now == shown) continue;
    shown = std::move(now);
    // Whoever works does not wait for the terminal.
    guard.unlock();
    write_all(where_.descriptor, clear_line + shown);
    guard.lock();
  }
  if (!shown.empty()) write_all(where_.descriptor, clear_line);
}

}  // namespace tenure::cli
