// heap_snapshot: the reachable objects of a heap at one moment, who leads to whom by what member, and what each
// retains.
//
//     const tenure::gc::heap_snapshot taken(documents);
//     for (const auto& type : taken.by_type())
//       std::printf("%zu bytes retained by %zu of %s\n", type.retained_bytes, type.objects,
//       std::string(type.name).c_str());
//     std::ofstream file("documents.heapsnapshot");
//     taken.write_v8(file);   // for the Memory panel of Chromium's DevTools, and whatever else reads V8's format
//
// What an object retains is its own cell and all that would die with it: what it dominates, in the sense that every way
// from a root leads through it. Bytes that several share are retained by whoever leads to all of them, or by nobody.
// A weak or soft reference leads nowhere. The value of an ephemeron is led to by its key.
//
// Members are called by their names where TENURE_GC_MEMBERS lists them, those of an aggregate f1, f2 and so on,
// elements by their numbers. Where an object was allocated is known of those that were sampled: one in heap_options::
// sample_bytes on the average, each of which stands for `sampled_bytes` of its kind.
//
// Threads that store pointers wait while it is taken: some 0.2 us an object. Memory: some 48 bytes an object and 12 an
// edge. What it holds are copies, but for names of types, which are the program's. Throws std::bad_alloc. Any thread.
// Source: T. Lengauer and R. E. Tarjan, A fast algorithm for finding dominators in a flowgraph, 1979.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tenure/api.h>
#include <tenure/call_site.hpp>
#include <tenure/gc/heap.hpp>

namespace tenure::gc {

struct snapshot_object {
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  const void* address;         // of the object, for an array of its first element
  std::string_view type;       // as the compiler prints it
  std::size_t bytes;           // of its cell
  std::size_t retained_bytes;  // with its own
  std::uint32_t dominator;     // the nearest object that every way here leads through; none: there is no such one
  std::uint32_t site;          // in sites(); none: it was not sampled
};

struct snapshot_edge {
  std::uint32_t to;    // in objects()
  std::uint32_t name;  // for name_of()
  std::size_t element;
};

struct snapshot_root {
  std::uint32_t holder;  // in holders()
  std::uint32_t to;      // in objects()
};

// Objects of one type. What they retain together counts nothing twice.
struct snapshot_type {
  std::string_view name;
  std::size_t objects = 0;
  std::size_t bytes = 0;
  std::size_t retained_bytes = 0;
};

// Sampled objects that are alive, by where they were allocated.
struct snapshot_site {
  call_site stack;
  std::string_view type;  // of the first of them
  std::size_t sampled_objects = 0;
  std::size_t sampled_bytes = 0;   // what they stand for
  std::size_t retained_bytes = 0;  // by the sampled ones, each by itself
};

class TENURE_API heap_snapshot {
 public:
  explicit heap_snapshot(const heap& of);
  ~heap_snapshot();
  heap_snapshot(heap_snapshot&&) noexcept;
  heap_snapshot(const heap_snapshot&) = delete;
  heap_snapshot& operator=(const heap_snapshot&) = delete;
  heap_snapshot& operator=(heap_snapshot&&) = delete;

  std::span<const snapshot_object> objects() const noexcept;
  // "local of thread 1234", "root", "queued destructor".
  std::span<const std::string> holders() const noexcept;
  std::span<const snapshot_root> roots() const noexcept;
  std::span<const snapshot_edge> edges_of(std::size_t object) const noexcept;
  // "next", "parts[1].target", "[17]", "value of a pair".
  std::string name_of(const snapshot_edge& edge) const;

  // What retains most comes first.
  std::vector<snapshot_type> by_type() const;
  std::span<const snapshot_site> sites() const noexcept;

  // V8's format, version of Node 20 and Chromium 120: JSON, objects in nodes of type "object".
  void write_v8(std::ostream& to) const;

 private:
  struct graph;
  std::unique_ptr<graph> graph_;
};

}  // namespace tenure::gc
