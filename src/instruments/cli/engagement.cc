#include "instruments/cli/engagement.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "instruments/cli/elf_facts.h"
#include "instruments/cli/preload_library.h"
#include "instruments/collect/session_folder.h"
#include "wire/region.h"

namespace tenure::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds patience{10};

struct child_answer {
  int status = 0;
  std::string output;
  bool timed_out = false;
};

std::string read_until_end(int from, bool& timed_out) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::string text;
  std::array<char, 4096> buffer;
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    struct pollfd waiting {
      from, POLLIN, 0
    };
    if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) == 0) return timed_out = true, text;
    const ssize_t got = read(from, buffer.data(), buffer.size());
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

child_answer run_probe(const fs::path& library, const fs::path& session) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {.status = -1, .output = {}};
  const std::string preload = "LD_PRELOAD=" + library.string();
  const std::string folder = "TENURE_SESSION=" + session.string();
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!text.starts_with("LD_PRELOAD=") && !text.starts_with("TENURE_")) environment.push_back(*entry);
  }
  environment.push_back(const_cast<char*>(preload.c_str()));
  environment.push_back(const_cast<char*>(folder.c_str()));
  environment.push_back(nullptr);
  char own[] = "tenure", word[] = "probe";
  char* arguments[] = {own, word, nullptr};
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execve("/proc/self/exe", arguments, environment.data());
    _exit(127);
  }
  close(ends[1]);
  child_answer answer;
  if (child > 0) {
    answer.output = read_until_end(ends[0], answer.timed_out);
    if (answer.timed_out) kill(child, SIGKILL);
    waitpid(child, &answer.status, 0);
  }
  close(ends[0]);
  return answer;
}

bool is_region(const fs::path& path) {
  wire::region_header header{};
  std::ifstream file(path, std::ios::binary);
  return file.read(reinterpret_cast<char*>(&header), sizeof header) && header.magic == wire::region_magic &&
         header.version == wire::region_version;
}

bool holds_region(const fs::path& session) {
  std::error_code error;
  for (const fs::directory_entry& found : fs::directory_iterator(session, error)) {
    if (found.path().extension() == ".region" && is_region(found.path())) return true;
  }
  return false;
}

// DF_STATIC_TLS says that thread-local variables are reached by a fixed distance from the thread pointer.
void read_thread_storage(engagement& result) {
  std::ifstream file(result.library, std::ios::binary);
  const auto facts = read_elf(file);
  if (!facts) return;
  result.tls_bytes = facts->tls_bytes;
  const bool is_static = (facts->flags & DF_STATIC_TLS) != 0;
  result.tls_model = is_static ? "initial-exec" : "dynamic";
}

std::string reason_of(const engagement& result, const child_answer& answer) {
  if (answer.timed_out) return "the test program did not answer within 10 seconds on the heap.";
  if (WIFSIGNALED(answer.status)) {
    return std::string("the test program died on the heap: ") + strsignal(WTERMSIG(answer.status)) + ".";
  }
  if (!WIFEXITED(answer.status) || WEXITSTATUS(answer.status) != 0) {
    return "the test program could not start on the heap: " + answer.output.substr(0, answer.output.find('\n'));
  }
  if (!result.is_active) return "the loader did not take the heap: malloc came from " + result.malloc_library + ".";
  if (result.malloc_library != result.library) {
    return "another library took malloc first: " + result.malloc_library + ".";
  }
  if (!result.has_region) return "the heap runs, but left no region file in its session, so nothing could be watched.";
  return {};
}

}  // namespace

engagement check_engagement() {
  engagement result;
  const auto library = find_preload_library();
  if (!library) {
    result.failure = library.error();
    return result;
  }
  std::error_code ignored;
  result.library = fs::canonical(*library, ignored);
  read_thread_storage(result);
  if (result.library.string().find_first_of(" :") != std::string::npos) {
    result.failure =
        "the path " + result.library.string() + " holds a blank or a colon, which LD_PRELOAD cannot carry.";
    return result;
  }
  const auto session = collect::session_folder::create();
  if (!session) {
    result.failure = session.error();
    return result;
  }
  const child_answer answer = run_probe(result.library, session->path());
  std::istringstream lines(answer.output);
  for (std::string line; std::getline(lines, line);) {
    const std::string value = line.substr(std::min(line.size(), line.find('=') + 1));
    if (line.starts_with("active=")) result.is_active = value == "1";
    if (line.starts_with("version=")) result.engine_version = value;
    if (line.starts_with("malloc=")) result.malloc_library = fs::canonical(value, ignored);
  }
  result.has_region = holds_region(session->path());
  result.failure = reason_of(result, answer);
  return result;
}

int probe_command() {
  const auto active = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "tenure_is_active"));
  const auto version = reinterpret_cast<const char* (*)()>(dlsym(RTLD_DEFAULT, "tenure_version"));
  Dl_info home{};
  dladdr(dlsym(RTLD_DEFAULT, "malloc"), &home);
  std::printf("active=%d\nversion=%s\nmalloc=%s\n", active != nullptr ? active() : 0,
              version != nullptr ? version() : "", home.dli_fname != nullptr ? home.dli_fname : "");
  return 0;
}

}  // namespace tenure::cli
