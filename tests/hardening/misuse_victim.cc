// Commits one misuse of the heap: misuse_victim CASE SIZE OFFSET. Tells the address it is about to misuse on standard
// output, in hexadecimal. Exit code 0: the program went on after it, and its heap is still in order; 5: it is not.
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <semaphore>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/engaged.h"
#include "support/memory_probe.h"

namespace {

using tenure::testing::exported;
using tenure::testing::opaque;

std::size_t size = 0;
std::size_t offset = 0;

template <class type>
type* announce(type* address) {
  char line[32];
  const int length = std::snprintf(line, sizeof line, "%p\n", static_cast<const void*>(address));
  if (write(STDOUT_FILENO, line, static_cast<std::size_t>(length)) != length) std::_Exit(6);
  return opaque(address);
}

// Frees so that the caller's frame is still there to be seen: not as its last act, which would be a jump.
void free_seen(void* place) {
  std::free(opaque(place));
  static_cast<void>(opaque(0));
}

// Other work of the same size class and of others, so that the block is not alone on its list.
void other_work(std::size_t blocks) {
  std::vector<void*> all;
  for (std::size_t count = 0; count < blocks; ++count) all.push_back(std::malloc(count % 3 == 0 ? size : count % 700));
  for (void* each : all) std::free(each);
}

char* block() {
  char* made = static_cast<char*>(std::malloc(opaque(size)));
  std::memset(made, 0x11, size);
  return made;
}

void double_free() {
  char* place = announce(block());
  std::free(place);
  std::free(opaque(place));
}

void double_free_after_others() {
  std::vector<char*> all;
  for (int count = 0; count < 50; ++count) all.push_back(block());
  char* place = announce(all[20]);
  for (char* each : all) std::free(each);
  std::free(opaque(place));
}

// So many more blocks are freed that the first leaves the thread's cache.
void double_free_through_caches() {
  std::vector<char*> all;
  for (int count = 0; count < 20000; ++count) all.push_back(block());
  char* place = announce(all[5]);
  for (char* each : all) std::free(each);
  std::free(opaque(place));
}

// The other thread is there before the first free, so that starting it cannot be what is given the block next.
void double_free_in_another_thread() {
  char* place = block();
  std::binary_semaphore freed(0);
  std::thread second([&] {
    freed.acquire();
    free_seen(place);
  });
  announce(place);
  std::free(place);
  freed.release();
  second.join();
}

void double_free_after_the_thread_ended() {
  char* place = block();
  std::thread([&] { std::free(place); }).join();
  announce(place);
  std::free(opaque(place));
}

void double_free_from_thread_to_thread() {
  char* place = nullptr;
  std::thread([&] { place = block(); }).join();
  std::thread([&] { std::free(place); }).join();
  announce(place);
  std::thread([&] { free_seen(place); }).join();
}

void interior() {
  other_work(100);
  char* place = block();
  std::free(announce(place + offset));
}

void interior_of_aligned() {
  auto* place = static_cast<char*>(std::aligned_alloc(4096, opaque(size)));
  std::free(announce(place + offset));
}

void stack() {
  char on_stack[64] = {};
  std::free(announce(on_stack + offset));
}

char global_bytes[256];
void global() { std::free(announce(global_bytes + offset)); }

void constant() { std::free(announce(const_cast<char*>("text in the program"))); }

void code() { std::free(announce(reinterpret_cast<char*>(&code))); }

void mapped() {
  void* region = mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::free(announce(static_cast<char*>(region) + offset));
}

void wild() { std::free(announce(reinterpret_cast<char*>(offset))); }

// A place in the heap's own range that was never handed out.
void beyond() {
  char* place = block();
  std::free(announce(place + offset));
}

void realloc_of_freed() {
  char* place = announce(block());
  std::free(place);
  static_cast<void>(opaque(std::realloc(opaque(place), opaque(offset))));
}

void realloc_of_interior() {
  char* place = block();
  static_cast<void>(opaque(std::realloc(announce(place + offset), opaque(size))));
}

void realloc_of_foreign() {
  static_cast<void>(opaque(std::realloc(announce(static_cast<void*>(global_bytes)), opaque(size))));
}

void usable_size_of_foreign() {
  char on_stack[64] = {};
  std::size_t sum = malloc_usable_size(announce(on_stack));
  sum += malloc_usable_size(opaque(static_cast<void*>(global_bytes)));
  for (const std::size_t address : {std::size_t{1}, std::size_t{0x1000}, std::size_t{0xdeadbeef000}, SIZE_MAX}) {
    sum += malloc_usable_size(opaque(reinterpret_cast<void*>(address)));
  }
  sum += malloc_usable_size(block() + 1);
  if (sum != 0) std::_Exit(7);
}

struct with_destructor {
  explicit with_destructor(int number = 0) : number_(number) {}
  ~with_destructor() { number_ = -1; }
  int number_;
  char bulk[60];
};

// The compiler keeps the count in front of such an array, so that delete without [] frees an interior pointer.
void delete_of_array() {
  auto* array = new with_destructor[10];
  ::operator delete(announce(static_cast<void*>(opaque(array))));
}

// So many that some are sampled.
template <class make, class drop>
void many(make make_one, drop drop_one) {
  std::vector<void*> all;
  for (int count = 0; count < 4000 && count * size < 100'000'000; ++count) all.push_back(opaque(make_one()));
  for (void* each : all) drop_one(opaque(each));
}
void* new_object() { return ::operator new(size); }
void* new_array() { return ::operator new[](size); }
void drop_object(void* place) { ::operator delete(place); }
void drop_array(void* place) { ::operator delete[](place); }

void array_by_delete() { many(new_array, drop_object); }
void array_by_sized_delete() {
  many(new_array, [](void* place) { ::operator delete(place, size); });
}
void array_by_free() { many(new_array, std::free); }
void object_by_array_delete() { many(new_object, drop_array); }
void object_by_free() { many(new_object, std::free); }
void malloc_by_delete() {
  many([] { return std::malloc(size); }, drop_object);
}
void calloc_by_array_delete() {
  many([] { return std::calloc(1, size); }, drop_array);
}
void everything_as_it_should_be() {
  many(new_object, drop_object);
  many(new_array, drop_array);
  many([] { return std::realloc(std::malloc(size / 3), size); }, std::free);
  many([] { return std::aligned_alloc(64, (size + 63) / 64 * 64); }, std::free);
  many([] { return ::operator new (size, std::align_val_t{64}); },
       [](void* place) { ::operator delete (place, std::align_val_t{64}); });
  many([] { return std::realloc(::operator new(size / 3), size); }, std::free);
}

void sized_delete() {
  void* place = announce(::operator new(opaque(size)));
  ::operator delete(opaque(place), opaque(offset));
}

void sized_array_delete() {
  void* place = announce(::operator new[](opaque(size)));
  ::operator delete[](opaque(place), opaque(offset));
}

void sized_free() {
  auto* free_sized = exported<void(void*, std::size_t)>("free_sized");
  if (free_sized == nullptr) std::_Exit(8);
  free_sized(announce(block()), opaque(offset));
}

struct heap_of_tests;
void free_in_another_heap() {
  auto* create = exported<heap_of_tests*(const char*)>("tenure_heap_create");
  auto* allocate = exported<void*(heap_of_tests*, std::size_t, std::size_t)>("tenure_heap_allocate");
  auto* free_block = exported<void(heap_of_tests*, void*)>("tenure_heap_free");
  if (create == nullptr || allocate == nullptr || free_block == nullptr) std::_Exit(8);
  heap_of_tests* first = create("first");
  heap_of_tests* second = create("second");
  free_block(second, announce(allocate(first, size, 16)));
}

void double_free_in_a_heap() {
  auto* create = exported<heap_of_tests*(const char*)>("tenure_heap_create");
  auto* allocate = exported<void*(heap_of_tests*, std::size_t, std::size_t)>("tenure_heap_allocate");
  auto* free_block = exported<void(heap_of_tests*, void*)>("tenure_heap_free");
  if (create == nullptr || allocate == nullptr || free_block == nullptr) std::_Exit(8);
  heap_of_tests* heap = create("first");
  void* place = announce(allocate(heap, size, 16));
  free_block(heap, place);
  free_block(heap, opaque(place));
}

// Writes beyond the end of a block into its neighbour, which is free and was freed last: the neighbour's link is gone.
void overflow_into_a_free_neighbour() {
  std::vector<char*> all;
  for (int count = 0; count < 65; ++count) all.push_back(block());
  std::sort(all.begin(), all.end());
  const std::size_t stride = malloc_usable_size(all[0]);
  const auto first =
      std::adjacent_find(all.begin(), all.end(), [&](const char* a, const char* b) { return a + stride == b; });
  if (first == all.end()) std::_Exit(8);
  char* const overflowing = first[0];
  char* const neighbour = announce(first[1]);
  for (char* each : all) {
    if (each != overflowing && each != neighbour) std::free(each);
  }
  std::free(neighbour);
  std::memset(opaque(overflowing), 'A', stride + sizeof(void*));
}

void overwritten_link_in_malloc() {
  overflow_into_a_free_neighbour();
  for (int count = 0; count < 1000; ++count) block();
}

void overwritten_link_in_trim() {
  overflow_into_a_free_neighbour();
  malloc_trim(0);
}

// After a misuse that was passed over, no block may be handed out twice and none may change.
bool heap_is_in_order() {
  std::set<void*> seen;
  std::vector<char*> all;
  const std::size_t blocks = std::min(std::size_t{2000}, (std::size_t{16} << 20) / size + 3);
  for (std::size_t count = 0; count < blocks; ++count) {
    all.push_back(static_cast<char*>(std::malloc(size)));
    if (!seen.insert(all.back()).second) return false;
    tenure::testing::fill_pattern(all.back(), std::min(size, std::size_t{100000}), count);
  }
  for (std::size_t count = 0; count < blocks; ++count) {
    if (!tenure::testing::has_pattern(all[count], std::min(size, std::size_t{100000}), count)) return false;
    std::free(all[count]);
  }
  return true;
}

struct misuse_case {
  const char* name;
  void (*commit)();
};
const misuse_case cases[] = {
    {"double_free", double_free},
    {"double_free_after_others", double_free_after_others},
    {"double_free_through_caches", double_free_through_caches},
    {"double_free_in_another_thread", double_free_in_another_thread},
    {"double_free_after_the_thread_ended", double_free_after_the_thread_ended},
    {"double_free_from_thread_to_thread", double_free_from_thread_to_thread},
    {"double_free_in_a_heap", double_free_in_a_heap},
    {"interior", interior},
    {"interior_of_aligned", interior_of_aligned},
    {"stack", stack},
    {"global", global},
    {"constant", constant},
    {"code", code},
    {"mapped", mapped},
    {"wild", wild},
    {"beyond", beyond},
    {"realloc_of_freed", realloc_of_freed},
    {"realloc_of_interior", realloc_of_interior},
    {"realloc_of_foreign", realloc_of_foreign},
    {"usable_size_of_foreign", usable_size_of_foreign},
    {"delete_of_array", delete_of_array},
    {"array_by_delete", array_by_delete},
    {"array_by_sized_delete", array_by_sized_delete},
    {"array_by_free", array_by_free},
    {"object_by_array_delete", object_by_array_delete},
    {"object_by_free", object_by_free},
    {"malloc_by_delete", malloc_by_delete},
    {"calloc_by_array_delete", calloc_by_array_delete},
    {"everything_as_it_should_be", everything_as_it_should_be},
    {"sized_delete", sized_delete},
    {"sized_array_delete", sized_array_delete},
    {"sized_free", sized_free},
    {"free_in_another_heap", free_in_another_heap},
    {"overwritten_link_in_malloc", overwritten_link_in_malloc},
    {"overwritten_link_in_trim", overwritten_link_in_trim},
};

}  // namespace

int main(int count, char** arguments) {
  tenure::testing::require_engaged();
  if (count != 4) return 9;
  size = std::strtoull(arguments[2], nullptr, 0);
  offset = std::strtoull(arguments[3], nullptr, 0);
  for (const misuse_case& each : cases) {
    if (std::strcmp(each.name, arguments[1]) != 0) continue;
    each.commit();
    return heap_is_in_order() ? 0 : 5;
  }
  return 9;
}
