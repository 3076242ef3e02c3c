// tenure::numa: blocks whose pages lie on chosen NUMA nodes.
//
//   policy                    pages of a region go
//   numa_policy::local        to the node of the thread that touches them first, whatever the process's own policy is
//   numa_policy::bind         to `nodes` and nowhere else: where these are full the kernel frees memory there, or kills
//   numa_policy::preferred    to the first of `nodes` while it has room, then anywhere
//   numa_policy::interleaved  to `nodes` in turn, page by page
//
// Regions come from the system and are bound before anybody touches them. bytes_by_node() tells where their pages
// really are, and migrate() moves them.
//
//     tenure::numa table_memory({.name = "routes", .policy = tenure::numa_policy::interleaved});
//     tenure::numa mine({.name = "shard 1", .policy = tenure::numa_policy::bind, .nodes = {1}});
//
// When: a table that threads of all nodes read (interleaved: no node's memory is the bottleneck); data of a worker that
// stays on one node but is filled by another thread (bind, preferred). When not: a machine with one node, where it is
// huge_page without the huge pages; threads that fill what they read, which lies right by itself.
//
// A release of what is no block in use, or with another size, ends in a message, always; with checks on with both
// sites.
//
// One thread at a time. Errors: std::bad_alloc, for alignments beyond 2 MiB too; std::invalid_argument for a node that
// the process may not use, and for regions that are no power of two of at least 2 MiB; std::system_error where the
// kernel refuses to place memory (containers often forbid mbind). A kernel without NUMA has one node, 0.
// Cost: a buddy's; one system call a region. Source: mbind(2), move_pages(2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <tenure/detail/region_resource.hpp>
#include <tenure/memory_resource.hpp>

namespace tenure {

enum class numa_policy { local, bind, preferred, interleaved };

struct numa_options {
  std::string_view name = "numa";
  numa_policy policy = numa_policy::local;
  std::vector<unsigned> nodes = {};     // empty: all that the process may use; without meaning for `local`
  std::size_t region_bytes = 32 << 20;  // a larger block gets a region of its own
  std::size_t smallest_bytes = 4096;    // a power of two
  resource_checks checks = resource_checks::by_build;
  const tenure::account* parent = nullptr;
};

struct numa_share {
  unsigned node;
  std::size_t bytes;
};

class TENURE_API numa final : public detail::region_resource {
 public:
  explicit numa(const numa_options& options = {});

  // Where the pages lie that have been touched, by node; asks the kernel for each page.
  std::vector<numa_share> bytes_by_node() const;
  // From now on `nodes` instead; pages that lie elsewhere are moved, as far as the kernel can (pages that are shared,
  // after fork(), stay). Takes a copy of each page, with the threads that touch it meanwhile waiting. Throws
  // std::invalid_argument, std::system_error, and for policy `local`, which names no nodes, std::logic_error.
  void migrate(const std::vector<unsigned>& nodes);

  // The nodes that the process may take memory from (its cpuset's), in order.
  static std::vector<unsigned> allowed_nodes();
  // The node of the processor that the calling thread is on.
  static unsigned current_node() noexcept;

 private:
  static constexpr std::size_t most_nodes = 1024;  // the kernel's
  struct node_set {
    static constexpr std::size_t word_bits = 8 * sizeof(unsigned long);
    unsigned long words[most_nodes / word_bits] = {};
  };

  static node_set set_of(const std::vector<unsigned>& nodes);
  std::uintptr_t map_region(std::size_t bytes) const override;
  void place(std::uintptr_t begin, std::size_t bytes, bool move) const;

  numa_policy policy_;
  node_set nodes_;
};

}  // namespace tenure
