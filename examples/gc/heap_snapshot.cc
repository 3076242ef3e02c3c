// What keeps memory, by type and by object, and a file for the Memory panel of Chromium's DevTools.
//
//     gc_heap_snapshot_example [FILE.heapsnapshot]
#include <cstdio>
#include <fstream>
#include <string>

#include <tenure/gc.hpp>

namespace gc = tenure::gc;

struct paragraph {
  gc::member<paragraph> next;
  gc::member<paragraph> refers_to;
  std::string text;
};
struct cache_entry {
  gc::member<paragraph> of;
  char layout[200];
};
class document {
 public:
  document(gc::heap& in, int paragraphs) {
    for (int i = 0; i < paragraphs; ++i) {
      const gc::local<paragraph> added = in.make<paragraph>();
      added->next = first_;
      first_ = added;
    }
  }
  gc::local<paragraph> first() const { return first_; }
  void keep(const gc::local<cache_entry>& made) { shown_ = made; }

 private:
  TENURE_GC_MEMBERS(document, first_, shown_);
  gc::member<paragraph> first_;
  gc::member<cache_entry> shown_;
};

int main(int count, char** arguments) {
  gc::heap documents({.name = "documents", .sample_bytes = 2048});
  gc::root<document> one(documents.make<document>(documents, 1000));
  gc::root<document> two(documents.make<document>(documents, 10));
  // A reference across: what both lead to is retained by neither.
  two->first()->refers_to = one->first()->next;
  {
    const gc::local<cache_entry> entry = documents.make<cache_entry>();
    entry->of = one->first();
    one->keep(entry);
  }

  const gc::heap_snapshot taken(documents);
  for (const gc::snapshot_type& type : taken.by_type()) {
    std::printf("type %zu objects %zu bytes %zu retained %.*s\n", type.objects, type.bytes, type.retained_bytes,
                static_cast<int>(type.name.size()), type.name.data());
  }
  for (const gc::snapshot_object& object : taken.objects()) {
    if (object.type != "document") continue;
    std::printf("document retains %zu bytes\n", object.retained_bytes);
  }
  for (const gc::snapshot_site& site : taken.sites()) {
    std::printf("site %zu sampled %.*s\n", site.sampled_objects, static_cast<int>(site.type.size()), site.type.data());
  }
  if (count > 1) {
    std::ofstream file(arguments[1]);
    taken.write_v8(file);
    std::printf("objects %zu\n", taken.objects().size());
  }
  return 0;
}
