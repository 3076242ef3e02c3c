// Progress line: what is being done, on standard error, for whoever waits: only on a terminal, only after a second, and
// gone at the end.
//
//   reading: 35 % (symbols of libshop.so)
//
// A thread of its own writes it. So it is there, and says what takes so long, in the middle of work that tells nothing
// until it is done, such as reading the symbols of one large library.
#pragma once

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace tenure::cli {

class progress_line {
 public:
  struct place {
    int descriptor = STDERR_FILENO;
    std::chrono::milliseconds patience{1000};  // before it appears
  };

  // `doing`: what is done until something else is shown.
  explicit progress_line(std::string doing) : progress_line(std::move(doing), place{}) {}
  progress_line(std::string doing, const place& where);
  ~progress_line();
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;

  // At any rate: the thread writes when it is time to.
  void show(const char* doing, double share);
  // Of what nobody knows how long it takes.
  void show(const std::string& doing);
  // A module's symbols are being looked up, as a part of what is done.
  void show_symbols_of(const std::string& module_path);

  // The same as functions, for analyses (analyze::progress_function) and the symbolizer; valid while the line lives.
  std::function<void(const char* doing, double share)> function() {
    return [this](const char* doing, double share) { show(doing, share); };
  }
  std::function<void(const std::string& module_path)> lookups() {
    return [this](const std::string& module_path) { show_symbols_of(module_path); };
  }

 private:
  void write_until_the_end();
  std::string text() const;

  const place where_;
  const bool is_terminal_;
  std::mutex lock_;
  std::condition_variable ended_;
  std::string doing_;   // below the lock, as the rest
  double share_ = -1;   // negative: not known
  std::string module_;  // whose symbols are looked up; empty: none
  bool is_ending_ = false;
  std::thread writer_;
};

}  // namespace tenure::cli
