#include <tenure/numa.hpp>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "core/base/check.h"
#include "library/resource/checks.h"

namespace tenure {
namespace {

// <numaif.h> is libnuma's, and this is all of it that is needed.
constexpr int mode_preferred = 1;
constexpr int mode_bind = 2;
constexpr int mode_interleave = 3;
constexpr int mode_local = 4;
constexpr unsigned move_misplaced = 1u << 1;      // MPOL_MF_MOVE
constexpr unsigned long mems_allowed = 1ul << 2;  // MPOL_F_MEMS_ALLOWED

int mode_of(numa_policy policy) noexcept {
  switch (policy) {
    case numa_policy::local:
      return mode_local;
    case numa_policy::bind:
      return mode_bind;
    case numa_policy::preferred:
      return mode_preferred;
    case numa_policy::interleaved:
      return mode_interleave;
  }
  TENURE_CHECK(false);
  return mode_local;
}

}  // namespace

std::vector<unsigned> numa::allowed_nodes() {
  node_set set;
  if (::syscall(SYS_get_mempolicy, nullptr, set.words, most_nodes, nullptr, mems_allowed) != 0) return {0};
  std::vector<unsigned> nodes;
  for (unsigned node = 0; node < most_nodes; ++node) {
    if ((set.words[node / node_set::word_bits] >> (node % node_set::word_bits) & 1) != 0) nodes.push_back(node);
  }
  return nodes;
}

unsigned numa::current_node() noexcept {
  unsigned node = 0;
  return ::syscall(SYS_getcpu, nullptr, &node, nullptr) == 0 ? node : 0;
}

numa::node_set numa::set_of(const std::vector<unsigned>& nodes) {
  const std::vector<unsigned> allowed = allowed_nodes();
  node_set set;
  for (const unsigned node : nodes.empty() ? allowed : nodes) {
    if (std::find(allowed.begin(), allowed.end(), node) == allowed.end()) {
      std::string text =
          "tenure::numa: the process may take no memory from node " + std::to_string(node) + ", but from";
      for (const unsigned one : allowed) text += " " + std::to_string(one);
      throw std::invalid_argument(text);
    }
    set.words[node / node_set::word_bits] |= 1ul << (node % node_set::word_bits);
  }
  return set;
}

numa::numa(const numa_options& options)
    : region_resource(options.name, "numa", {options.region_bytes, options.smallest_bytes, options.checks},
                      options.parent),
      policy_(options.policy),
      nodes_(set_of(options.policy == numa_policy::local ? std::vector<unsigned>{} : options.nodes)) {}

void numa::place(std::uintptr_t begin, std::size_t bytes, bool move) const {
  const bool named = policy_ != numa_policy::local;
  // The kernel takes one bit less than it is told.
  if (::syscall(SYS_mbind, begin, bytes, mode_of(policy_), named ? nodes_.words : nullptr, named ? most_nodes + 1 : 0,
                move ? move_misplaced : 0u) == 0) {
    return;
  }
  if (errno == ENOSYS) return;           // a kernel for one node
  if (!named && errno == EPERM) return;  // what happens by itself, unless the process has another policy
  if (errno == ENOMEM) throw std::bad_alloc();
  throw std::system_error(errno, std::generic_category(), "tenure::numa: the kernel refuses to place memory (mbind)");
}

std::uintptr_t numa::map_region(std::size_t bytes) const {
  const std::uintptr_t begin = map_aligned(bytes);
  try {
    place(begin, bytes, false);
  } catch (...) {
    ::munmap(reinterpret_cast<void*>(begin), bytes);
    throw;
  }
  return begin;
}

void numa::migrate(const std::vector<unsigned>& nodes) {
  if (policy_ == numa_policy::local) throw std::logic_error("tenure::numa: policy `local` has no nodes to migrate to");
  const node_set before = nodes_;
  nodes_ = set_of(nodes);
  try {
    for (const region& one : regions()) place(one.begin, one.bytes, true);
  } catch (...) {
    nodes_ = before;
    throw;
  }
}

std::vector<numa_share> numa::bytes_by_node() const {
  constexpr std::size_t batch = 512;
  const std::size_t page_bytes = resources::os_page_bytes();
  std::vector<std::size_t> sums;
  void* pages[batch];
  int nodes[batch];
  for (const region& one : regions()) {
    for (std::size_t offset = 0; offset < one.bytes;) {
      std::size_t count = 0;
      for (; count < batch && offset < one.bytes; offset += page_bytes) {
        pages[count++] = reinterpret_cast<void*>(one.begin + offset);
      }
      if (::syscall(SYS_move_pages, 0, count, pages, nullptr, nodes, 0) != 0) {
        if (errno == ENOSYS) return {};
        throw std::system_error(errno, std::generic_category(), "tenure::numa: where pages are (move_pages)");
      }
      for (std::size_t i = 0; i < count; ++i) {
        if (nodes[i] < 0) continue;  // nobody has touched it
        const auto node = static_cast<std::size_t>(nodes[i]);
        if (node >= sums.size()) sums.resize(node + 1);
        sums[node] += page_bytes;
      }
    }
  }
  std::vector<numa_share> shares;
  for (std::size_t node = 0; node < sums.size(); ++node) {
    if (sums[node] != 0) shares.push_back({static_cast<unsigned>(node), sums[node]});
  }
  return shares;
}

}  // namespace tenure
