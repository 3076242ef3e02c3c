// The reader of resources' logs, with any text at all; what it takes is replayed on a resource that looks at each call.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory_resource>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <tenure/adaptor/logging_resource_adaptor.hpp>

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// Gives small blocks out and takes back what it has given, as it was asked for.
class strict_memory final : public std::pmr::memory_resource {
 public:
  ~strict_memory() override { require(live_.empty()); }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (bytes > 65536 || alignment > 4096) throw std::bad_alloc();
    void* block = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    live_[block] = {bytes, alignment};
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    const auto found = live_.find(block);
    require(found != live_.end() && found->second == std::pair(bytes, alignment));
    live_.erase(found);
    std::pmr::new_delete_resource()->deallocate(block, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  std::map<void*, std::pair<std::size_t, std::size_t>> live_;
};

void read_and_replay(const std::string& text) {
  std::istringstream from(text);
  try {
    const auto log = tenure::resource_log::read(from);
    strict_memory memory;
    const auto figures = log.replay(memory);
    require(figures.allocations + figures.refusals == log.allocations());
    require(figures.releases <= figures.allocations);
  } catch (const std::invalid_argument&) {
    // Refused, with the line.
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size_bytes) {
  const std::string text(reinterpret_cast<const char*>(data), size_bytes);
  read_and_replay(text);
  read_and_replay("tenure resource log 1 fuzz\n" + text);
  return 0;
}
