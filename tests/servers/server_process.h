// A real server in a folder of its own, for the time of a test: started as a user without rights, killed, started
// again.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tenure::testing {

// Removed with all that is in it.
class temporary_folder {
 public:
  temporary_folder() {
    char path[] = "/tmp/tenure-servers-test.XXXXXX";
    if (::mkdtemp(path) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = path;
    std::filesystem::permissions(path_, std::filesystem::perms::all);  // the server is another user
  }
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// As the user nobody where this is root, who may not run PostgreSQL; it ends when this process does.
inline pid_t spawn(const std::vector<std::string>& command, const temporary_folder& folder) {
  std::vector<std::string> words = {"setpriv", "--pdeathsig", "KILL"};
  if (::geteuid() == 0) {
    for (const char* word : {"--reuid", "nobody", "--regid", "nogroup", "--clear-groups"}) words.emplace_back(word);
  }
  words.insert(words.end(), command.begin(), command.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  const std::string log = folder.path() + "/log";
  ::posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  ::posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  pid_t started = -1;
  const int failure = ::posix_spawnp(&started, "setpriv", &files, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  if (failure != 0) throw std::runtime_error("setpriv could not be started");
  return started;
}

inline std::string read_log(const temporary_folder& folder) {
  std::ifstream file(folder.path() + "/log");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void run_to_end(const std::vector<std::string>& command, const temporary_folder& folder) {
  int status = 0;
  if (::waitpid(spawn(command, folder), &status, 0) < 0 || status != 0) {
    throw std::runtime_error(command[0] + " failed:\n" + read_log(folder));
  }
}

class server_process {
 public:
  // `answers` is asked until it does.
  server_process(const temporary_folder& folder, std::vector<std::string> command, std::function<bool()> answers)
      : folder_(folder), command_(std::move(command)), answers_(std::move(answers)) {
    start();
  }
  ~server_process() { end(SIGQUIT); }
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;

  // One that refuses to start, because what the last one left behind has not gone yet, is started again.
  void start() {
    using clock = std::chrono::steady_clock;
    for (const auto begin = clock::now(); clock::now() - begin < std::chrono::seconds(60);) {
      if (process_ < 0 || ::waitpid(process_, nullptr, WNOHANG) == process_) process_ = spawn(command_, folder_);
      if (answers_()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    throw std::runtime_error(command_[0] + " did not start:\n" + read_log(folder_));
  }
  void end(int with_signal) {
    if (process_ < 0) return;
    ::kill(process_, with_signal);
    for (int i = 0; i < 500 && ::waitpid(process_, nullptr, WNOHANG) == 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }

 private:
  const temporary_folder& folder_;
  const std::vector<std::string> command_;
  const std::function<bool()> answers_;
  pid_t process_ = -1;
};

}  // namespace tenure::testing
