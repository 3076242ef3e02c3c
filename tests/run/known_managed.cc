// A program with managed objects whose number it knows, because it keeps and drops each by hand. It says on standard
// output how many there are, HEAP|TYPE|FUNCTION|OBJECTS a line, and ends as its argument says: "kill", "exit" or
// "fork".
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <vector>

#include <tenure/gc.hpp>

namespace gc = tenure::gc;

struct page {
  gc::member<page> next;
  char text[100];
};
struct note {
  gc::member<page> on;
};
struct tree {
  gc::member<tree> left, right;
};

namespace {

constexpr std::size_t pages = 1000, dropped_pages = 600, late_pages = 30, notes = 500, trees = 200'000;

template <class T>
using kept = std::vector<gc::root<T>>;

[[gnu::noinline]] void write_pages(gc::heap& in, kept<page>& into, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) into.emplace_back(in.make<page>());
}
[[gnu::noinline]] void write_notes(gc::heap& in, kept<note>& into, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) into.emplace_back(in.make<note>());
}
[[gnu::noinline]] void copy_pages(gc::heap& in, kept<page>& into, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) into.emplace_back(in.make<page>());
}
[[gnu::noinline]] void plant(gc::heap& in, kept<tree>& into, std::size_t count) {
  gc::local<tree> last;
  for (std::size_t i = 0; i < count; ++i) {
    gc::local<tree> made = in.make<tree>();
    made->left = last;
    last = made;
  }
  into.emplace_back(last);
}

void end(const char* how) {
  std::fflush(stdout);
  if (std::strcmp(how, "kill") == 0) ::raise(SIGKILL);
}

}  // namespace

int main(int, char** arguments) {
  const char* how = arguments[1];
  // Of the first, each object is a sample.
  gc::heap documents({.name = "documents", .sample_bytes = 1});
  gc::heap forest({.name = "forest", .sample_bytes = 4096});
  kept<page> written, copied;
  kept<note> noted;
  kept<tree> planted;
  {
    gc::heap gone({.name = "gone", .sample_bytes = 1});
    kept<note> none;
    write_notes(gone, none, 10);
  }
  write_pages(documents, written, pages);
  write_notes(documents, noted, notes);
  plant(forest, planted, trees);
  written.resize(pages - dropped_pages);
  documents.collect();
  copy_pages(documents, copied, late_pages);
  std::printf("documents|page|write_pages|%zu\n", pages - dropped_pages);
  std::printf("documents|page|copy_pages|%zu\n", late_pages);
  std::printf("documents|note|write_notes|%zu\n", notes);
  std::printf("forest|tree|plant|%zu\n", trees);
  end(how);
  if (std::strcmp(how, "fork") == 0) {
    const pid_t child = ::fork();
    if (child == 0) {
      // What it was left, less what it drops.
      noted.clear();
      documents.collect();
      end("kill");
    }
    ::waitpid(child, nullptr, 0);
  }
  std::fflush(stdout);
  _exit(0);  // as it is: nothing is given back
}
