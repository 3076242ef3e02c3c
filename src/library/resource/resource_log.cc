#include <tenure/adaptor/logging_resource_adaptor.hpp>

#include <algorithm>
#include <charconv>
#include <istream>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

#include "core/base/bits.h"

namespace tenure {
namespace {

constexpr std::string_view heading = "tenure resource log 1 ";

struct parser {
  std::string_view rest;
  std::size_t line = 1;

  [[noreturn]] void refuse(const char* why) const {
    throw std::invalid_argument("tenure::resource_log: line " + std::to_string(line) + ": " + why);
  }
  std::uint64_t number(int base) {
    std::uint64_t result = 0;
    if (rest.empty() || rest.front() != ' ') refuse("a number is missing");
    rest.remove_prefix(1);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), result, base);
    if (error != std::errc()) refuse("this is no number");
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return result;
  }
};

struct live_request {
  std::size_t block;
  std::size_t bytes;
  std::size_t alignment;
};

}  // namespace

resource_log resource_log::read(std::istream& from) {
  resource_log log;
  std::unordered_map<std::uint64_t, live_request> live;
  std::uint64_t live_bytes = 0;
  parser text;
  std::string line;
  if (!std::getline(from, line) || !line.starts_with(heading)) text.refuse("this is no log of a resource");
  log.name_ = line.substr(heading.size());
  while (std::getline(from, line)) {
    ++text.line;
    text.rest = line;
    const char kind = line.empty() ? '\0' : line.front();
    if (kind != '+' && kind != '-' && kind != '!') text.refuse("it begins with none of + - !");
    text.rest.remove_prefix(1);
    const std::uint64_t address = kind == '!' ? 0 : text.number(16);
    request one{request_kind::refusal, 0, text.number(10), text.number(10), text.number(10)};
    if (!text.rest.empty()) text.refuse("there is more than a request");
    if (!core::is_power_of_two(one.alignment) || one.bytes > PTRDIFF_MAX) {
      if (kind != '!') text.refuse("nobody can have been given such a block");
    }
    if (kind == '+') {
      one.kind = request_kind::allocation;
      one.block = log.allocations_++;
      // An address that comes again without a release was given up with others at once, as by an arena's reset.
      const auto [place, is_new] = live.try_emplace(address);
      if (!is_new) live_bytes -= place->second.bytes;
      if (one.bytes > UINT64_MAX - live_bytes) text.refuse("more is in use than there are addresses");
      place->second = {one.block, one.bytes, one.alignment};
      live_bytes += one.bytes;
      log.peak_bytes_ = std::max(log.peak_bytes_, live_bytes);
    } else if (kind == '-') {
      const auto found = live.find(address);
      if (found == live.end()) text.refuse("the address is not in use");
      if (found->second.bytes != one.bytes || found->second.alignment != one.alignment) {
        text.refuse("the block was allocated with another size or alignment");
      }
      one.kind = request_kind::release;
      one.block = found->second.block;
      live_bytes -= one.bytes;
      live.erase(found);
    }
    log.requests_.push_back(one);
  }
  if (from.bad()) text.refuse("what follows cannot be read");
  return log;
}

resource_log::replay_figures resource_log::replay(std::pmr::memory_resource& on) const {
  replay_figures figures;
  std::vector<void*> blocks(allocations_);
  const auto give_back = [&] {
    for (const request& one : requests_) {
      if (one.kind != request_kind::allocation || blocks[one.block] == nullptr) continue;
      on.deallocate(blocks[one.block], one.bytes, one.alignment);
    }
  };
  const auto begin = std::chrono::steady_clock::now();
  for (const request& one : requests_) {
    if (one.kind == request_kind::allocation) {
      try {
        blocks[one.block] = on.allocate(one.bytes, one.alignment);
        ++figures.allocations;
      } catch (const std::bad_alloc&) {
        ++figures.refusals;
      } catch (...) {
        give_back();
        throw;
      }
    } else if (one.kind == request_kind::release && blocks[one.block] != nullptr) {
      on.deallocate(blocks[one.block], one.bytes, one.alignment);
      blocks[one.block] = nullptr;
      ++figures.releases;
    }
  }
  figures.elapsed_ns = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin).count());
  give_back();
  return figures;
}

}  // namespace tenure
