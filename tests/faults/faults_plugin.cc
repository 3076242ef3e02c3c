// A C++ plugin with statics, a thread-local and containers, which allocates when it is loaded, used and unloaded.
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

std::map<int, std::string> table = [] {
  std::map<int, std::string> made;
  for (int key = 0; key < 200; ++key) made.emplace(key, std::string(static_cast<std::size_t>(key), 'p'));
  return made;
}();
std::unique_ptr<std::vector<char>> bulk = std::make_unique<std::vector<char>>(200000, 'b');
thread_local std::string last_answer;

}  // namespace

extern "C" int plugin_work(int key) {
  last_answer = table.at(key) + std::string(100, 'w');
  bulk->push_back('c');
  return static_cast<int>(last_answer.size());
}

// Memory that the plugin allocates and its user frees, after the plugin is gone.
extern "C" char* plugin_gift() { return new char[1000](); }
