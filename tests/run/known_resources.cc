// A program with one of each resource and adaptor, each with blocks in use. It says on standard output what each of
// them says of itself, as `kind|name|held bytes|used bytes|used blocks|parent`, and ends with the blocks in use.
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <utility>

#include <tenure/adaptors.hpp>
#include <tenure/arena.hpp>
#include <tenure/binning.hpp>
#include <tenure/buddy.hpp>
#include <tenure/fixed_pool.hpp>
#include <tenure/frame_ring.hpp>
#include <tenure/huge_page.hpp>
#include <tenure/lazy.hpp>
#include <tenure/mapped_file.hpp>
#include <tenure/numa.hpp>
#include <tenure/secure.hpp>
#include <tenure/shared.hpp>
#include <tenure/slab.hpp>
#ifdef TENURE_HAS_COMPRESSED
#include <tenure/compressed.hpp>
#endif

namespace {

void tell(const char* kind, const tenure::memory_resource& of, const char* parent = "") {
  const tenure::resource_statistics now = of.statistics();
  std::printf("%s|%s|%llu|%llu|%llu|%s\n", kind, of.name(), static_cast<unsigned long long>(now.held_bytes),
              static_cast<unsigned long long>(now.used_bytes), static_cast<unsigned long long>(now.used_blocks),
              parent);
}

// 37 blocks of several sizes, of which 9 go back.
void use(std::pmr::memory_resource& memory, std::size_t largest_bytes) {
  for (std::size_t i = 0; i < 37; ++i) {
    const std::size_t bytes = 1 + i * 29 % largest_bytes;
    void* block = memory.allocate(bytes);
    if (i % 4 == 3) memory.deallocate(block, bytes);
  }
}

void use_resources(const tenure::account& server) {
  static tenure::arena request({.name = "request", .parent = &server});
  static tenure::fixed_pool nodes({.name = "nodes", .block_bytes = 64, .parent = &server});
  static tenure::buddy buffers({.name = "buffers", .bytes = 1 << 20, .parent = &server});
  use(request, 500);
  use(nodes, 64);
  use(buffers, 20'000);
  tell("arena", request, "server");
  tell("pool", nodes, "server");
  tell("buddy", buffers, "server");
  static tenure::slab texts({.name = "texts", .parent = &server});
  static tenure::frame_ring frames({.name = "frames", .parent = &server});
  use(texts, 6000);
  use(frames, 500);
  frames.advance();
  use(frames, 700);
  tell("slab", texts, "server");
  tell("frame_ring", frames, "server");
}

void use_pages(const tenure::account& server) {
  static tenure::huge_page pages({.name = "pages", .parent = &server});
  static tenure::mapped_file runs({.name = "runs", .folder = "/tmp", .parent = &server});
  static tenure::numa near({.name = "near", .parent = &server});
  use(pages, 20'000);
  use(near, 20'000);
  use(runs, 20'000);
  static tenure::secure keys({.name = "keys", .must_lock = false, .parent = &server});
  use(keys, 100);
  tell("secure", keys, "server");
  tell("huge_page", pages, "server");
  tell("mapped_file", runs, "server");
  tell("numa", near, "server");
  static tenure::lazy sparse({.name = "sparse", .parent = &server});
  use(sparse, 20'000);
  static_cast<char*>(sparse.allocate(std::size_t{1} << 30))[12'345'678] = 1;
  sparse.look();
  tell("lazy", sparse, "server");
  static tenure::shared messages({.name = "messages", .parent = &server});
  use(messages, 20'000);
  tell("shared", messages, "server");
#ifdef TENURE_HAS_COMPRESSED
  if (tenure::compressed::why_not() != nullptr) return;
  static tenure::compressed cold({.name = "cold", .parent = &server});
  use(cold, 20'000);
  tell("compressed", cold, "server");
#endif
}

void use_binning() {
  static tenure::fixed_pool small({.name = "small", .block_bytes = 64});
  static tenure::binning documents({.name = "documents", .bins = {{64, &small}}});
  use(documents, 200);
  tell("pool", small);
  tell("binning", documents);
}

void use_adaptors() {
  static std::ofstream nowhere("/dev/null");
  static tenure::statistics_resource_adaptor counted({.name = "counted"});
  static tenure::limiting_resource_adaptor limited({.name = "limited", .limit_bytes = 1 << 20});
  static tenure::tracking_resource_adaptor tracked({.name = "tracked"});
  static tenure::logging_resource_adaptor logged({.name = "logged", .to = &nowhere});
  static tenure::failure_injecting_resource_adaptor failing({.name = "failing"});
  static tenure::aligned_resource_adaptor aligned({.name = "aligned"});
  static tenure::synchronized_resource_adaptor shared({.name = "shared"});
  static tenure::fallback_resource_adaptor fallback({.name = "fallback"});
  static tenure::copy_detecting_resource_adaptor watched({.name = "watched"});
  const std::pair<const char*, tenure::resource_adaptor*> all[] = {
      {"statistics adaptor", &counted},  {"limiting adaptor", &limited},  {"tracking adaptor", &tracked},
      {"logging adaptor", &logged},      {"failure adaptor", &failing},   {"aligned adaptor", &aligned},
      {"synchronized adaptor", &shared}, {"fallback adaptor", &fallback}, {"copy detector", &watched}};
  for (const auto& [kind, one] : all) {
    use(*one, 1000);
    tell(kind, *one);
  }
}

}  // namespace

int main() {
  static tenure::account server("server");
  use_resources(server);
  use_pages(server);
  use_binning();
  use_adaptors();
  std::fflush(stdout);
  _exit(0);  // as it is: nothing is given back
}
