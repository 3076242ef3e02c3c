#include "core/interface/report.h"

#include "core/heap/named_heap.h"
#include "core/interface/figures.h"
#include "core/os/virtual_memory.h"

namespace tenure::core {
namespace {

constexpr std::size_t report_capacity_bytes = 64 * 1024;

void add_line(text_writer& text, const char* name, std::uint64_t bytes) noexcept {
  text.add("  ").add(name);
  for (std::size_t i = __builtin_strlen(name); i < 34; ++i) text.add(" ");
  text.add_decimal(bytes, 16).add("  ").add_bytes(bytes).add("\n");
}

void add_class_line(text_writer& text, const class_figures& of) noexcept {
  text.add_decimal(of.block_bytes, 8).add_decimal(of.spans, 8).add_decimal(of.live_blocks, 12);
  text.add_decimal(of.cached_blocks, 10).add_decimal(of.batch_blocks, 10).add_decimal(of.span_free_blocks, 12);
  text.add("\n");
}

void add_field(text_writer& text, const char* name, std::uint64_t value, bool last = false) noexcept {
  text.add("\"").add(name).add("\":").add_decimal(value);
  if (!last) text.add(",");
}

void add_class_json(text_writer& text, const class_figures& of) noexcept {
  text.add("{");
  add_field(text, "block_bytes", of.block_bytes);
  add_field(text, "span_count", of.spans);
  add_field(text, "span_bytes", of.span_bytes);
  add_field(text, "live_blocks", of.live_blocks);
  add_field(text, "cached_blocks", of.cached_blocks);
  add_field(text, "batch_blocks", of.batch_blocks);
  add_field(text, "span_free_blocks", of.span_free_blocks, true);
  text.add("}");
}

// As a JSON string: a name may hold whatever its giver liked.
void add_json_text(text_writer& text, const char* value) noexcept {
  text.add("\"");
  for (const char* at = value; *at != 0; ++at) {
    const auto byte = static_cast<unsigned char>(*at);
    if (byte == '"' || byte == '\\') {
      text.add("\\").add(at, 1);
    } else if (byte < 0x20) {
      const char code[] = {'\\', 'u', '0', '0', static_cast<char>('0' + byte / 16), "0123456789abcdef"[byte % 16]};
      text.add(code, sizeof code);
    } else {
      text.add(at, 1);
    }
  }
  text.add("\"");
}

// Calls tell(heap, its figures) for each first-class heap, the oldest last; none ends meanwhile.
template <class Function>
void for_each_named_heap(Function tell) noexcept {
  lock_named_heaps();
  for (named_heap* heap = named_heap::first(); heap != nullptr; heap = heap->next()) tell(*heap, heap->statistics());
  unlock_named_heaps();
}

}  // namespace

void add_statistics_text(text_writer& text) noexcept {
  const current_figures now;
  const heap_figures& figures = *now;
  text.add("Tenure heap\n");
  add_line(text, "live", figures.live_bytes);
  add_line(text, "in thread caches", figures.cached_bytes);
  add_line(text, "in batches between threads", figures.batch_bytes);
  add_line(text, "fragmented (free in spans, ends)", figures.fragmented_bytes);
  add_line(text, "named heaps", figures.named_span_bytes);
  add_line(text, "free, waiting (dirty)", figures.free_dirty_bytes);
  add_line(text, "= committed", figures.committed_bytes);
  add_line(text, "free, returned (clean)", figures.free_clean_bytes);
  add_line(text, "metadata", figures.metadata_bytes);
  text.add("  live blocks ").add_decimal(figures.live_blocks).add(", large ").add_decimal(figures.large_blocks);
  text.add(", thread caches ").add_decimal(figures.thread_caches).add("\n");
  text.add("   block   spans        live    cached   batches     in spans\n");
  for (std::size_t i = 1; i < class_count; ++i) {
    if (figures.classes[i].spans != 0) add_class_line(text, figures.classes[i]);
  }
  bool first = true;
  for_each_named_heap([&](const named_heap& heap, const named_heap_statistics& of) noexcept {
    if (first) text.add("    live bytes   live blocks    span bytes  named heap\n");
    first = false;
    text.add_decimal(of.live_bytes, 14).add_decimal(of.live_blocks, 14).add_decimal(of.span_bytes, 14);
    text.add("  ").add(heap.name()).add("\n");
  });
}

void add_statistics_json(text_writer& text) noexcept {
  const current_figures now;
  const heap_figures& figures = *now;
  text.add("{\"schema\":\"tenure.statistics/1\",");
  add_field(text, "live_bytes", figures.live_bytes);
  add_field(text, "live_blocks", figures.live_blocks);
  add_field(text, "cached_bytes", figures.cached_bytes);
  add_field(text, "batch_bytes", figures.batch_bytes);
  add_field(text, "fragmented_bytes", figures.fragmented_bytes);
  add_field(text, "committed_bytes", figures.committed_bytes);
  add_field(text, "free_dirty_bytes", figures.free_dirty_bytes);
  add_field(text, "free_clean_bytes", figures.free_clean_bytes);
  add_field(text, "mapped_bytes", figures.chunk_bytes);
  add_field(text, "metadata_bytes", figures.metadata_bytes);
  add_field(text, "large_bytes", figures.large_bytes);
  add_field(text, "large_blocks", figures.large_blocks);
  add_field(text, "named_span_bytes", figures.named_span_bytes);
  add_field(text, "named_live_bytes", figures.named_live_bytes);
  add_field(text, "named_live_blocks", figures.named_live_blocks);
  add_field(text, "thread_caches", figures.thread_caches);
  add_field(text, "unread_lists", figures.unread_lists);
  text.add("\"classes\":[");
  bool first = true;
  for (std::size_t i = 1; i < class_count; ++i) {
    if (figures.classes[i].spans == 0) continue;
    if (!first) text.add(",");
    first = false;
    add_class_json(text, figures.classes[i]);
  }
  text.add("],\"heaps\":[");
  first = true;
  for_each_named_heap([&](const named_heap& heap, const named_heap_statistics& of) noexcept {
    text.add(first ? "{\"name\":" : ",{\"name\":");
    first = false;
    add_json_text(text, heap.name());
    text.add(",");
    add_field(text, "live_bytes", of.live_bytes);
    add_field(text, "live_blocks", of.live_blocks);
    add_field(text, "span_bytes", of.span_bytes);
    add_field(text, "allocated_bytes", of.allocated_bytes);
    add_field(text, "allocations", of.allocations);
    add_field(text, "peak_live_bytes", of.peak_live_bytes, true);
    text.add("}");
  });
  text.add("]}");
}

void write_report(int file_descriptor) noexcept {
  void* memory = os::map_anywhere(report_capacity_bytes);
  if (memory == nullptr) return;
  text_writer text(static_cast<char*>(memory), report_capacity_bytes);
  add_statistics_text(text);
  write_all(file_descriptor, text.data(), text.size_bytes());
  os::unmap(memory, report_capacity_bytes);
}

}  // namespace tenure::core
