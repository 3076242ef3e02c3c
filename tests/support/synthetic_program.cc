// A program that behaves, towards the command, as one on Tenure's heap does, by way of region_writer.h. What it does is
// said by its arguments, one word each, in order:
//
//   samples:N       N samples of 1000 of 1024 bytes at two call sites; of every three, two are freed
//   resident:BYTES  touches so much anonymous memory, and waits until the command has had time to see it
//   in_use:BYTES    so much of the heap is in use from now on, by its counters
//   exit:CODE       leaves the exit state in the region and exits
//   kill:SIGNAL     sends itself a signal
//   wait:FILE       waits until the file exists
//   fork            a child does the remaining words, its parent waits and exits with the same status
//   daemon          a child that nobody waits for does the remaining words; its parent exits with 0
//   exec            becomes itself, afresh, with the remaining words
//   print:TEXT      to standard output
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "tests/support/region_writer.h"

namespace {

using tenure::testing::clock_ns;
using tenure::testing::region_writer;

std::unique_ptr<region_writer> region;
char** arguments;
std::uint32_t next_generation = 0;

void open_region(tenure::wire::origin origin) {
  const char* const session = std::getenv("TENURE_SESSION");
  if (session == nullptr) return;
  const auto pid = static_cast<std::uint32_t>(::getpid());
  const std::filesystem::path folder = session;
  while (std::filesystem::exists(folder / (std::to_string(pid) + "." + std::to_string(next_generation) + ".region")))
    ++next_generation;
  region = std::make_unique<region_writer>(folder, pid, next_generation, origin);
  std::ostringstream command_line;
  command_line << std::ifstream("/proc/self/cmdline").rdbuf();
  region->set_command_line(command_line.str(), std::filesystem::read_symlink("/proc/self/exe").string());
  region->publish();
  region->write_module("/synthetic/program", 0x400000, 0x500000, 0);
  region->write_thread(pid, "synthetic");
}

void write_samples(std::uint64_t count) {
  for (std::uint64_t id = 1; id <= count; ++id) {
    tenure::testing::written_sample sample;
    sample.id = id;
    sample.time_ns = clock_ns(CLOCK_MONOTONIC);
    sample.requested_bytes = 1000;
    sample.usable_bytes = 1024;
    sample.thread_id = static_cast<std::uint32_t>(::getpid());
    sample.frames = {id % 2 == 0 ? 0x401000u : 0x402000u, 0x403000u};
    while (!region->write_sample(sample)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (id % 3 == 0) continue;
    while (!region->write_free(id, clock_ns(CLOCK_MONOTONIC), sample.thread_id, {0x404000u, 0x403000u}))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void exit_properly(int code) {
  std::ostringstream smaps;
  smaps << std::ifstream("/proc/self/smaps").rdbuf();
  if (region) region->exit_with(smaps.str(), 1);
  ::_exit(code);
}

void do_word(const std::string& word, char** rest) {
  const std::size_t colon = word.find(':');
  const std::string name = word.substr(0, colon);
  const std::string value = colon == std::string::npos ? "" : word.substr(colon + 1);
  if (name == "samples") {
    write_samples(std::stoull(value));
  } else if (name == "resident") {
    static void* volatile touched = nullptr;  // that nobody reads it must not be seen
    touched = std::malloc(std::stoull(value));
    std::memset(touched, 1, std::stoull(value));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  } else if (name == "in_use") {
    region->statistics().chunk_bytes = std::stoull(value);
  } else if (name == "exit") {
    exit_properly(std::stoi(value));
  } else if (name == "kill") {
    ::raise(std::stoi(value));
  } else if (name == "wait") {
    while (!std::filesystem::exists(value)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  } else if (name == "print") {
    [[maybe_unused]] const ssize_t written = ::write(1, value.data(), value.size());
  } else if (name == "exec") {
    *--rest = arguments[0];
    ::execv("/proc/self/exe", rest);
  } else if (name == "fork" || name == "daemon") {
    int ready[2];
    if (::pipe(ready) != 0) ::_exit(99);
    const pid_t child = ::fork();
    if (child == 0) {
      region.reset();
      next_generation = 0;
      open_region(tenure::wire::origin::fork);
      ::close(ready[0]);
      ::close(ready[1]);
      return;
    }
    // The end of file comes when the child has its region, so that a daemon is there before its parent goes.
    ::close(ready[1]);
    char byte;
    [[maybe_unused]] const ssize_t got = ::read(ready[0], &byte, 1);
    int status = 0;
    if (name == "fork") ::waitpid(child, &status, 0);
    exit_properly(WEXITSTATUS(status));
  }
}

}  // namespace

int main(int, char** argv) {
  arguments = argv;
  open_region(tenure::wire::origin::exec);
  for (char** word = argv + 1; *word != nullptr; ++word) do_word(*word, word + 1);
  exit_properly(0);
}
