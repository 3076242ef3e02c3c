// A program whose memory is known: what it keeps, what it churns, and on which thread. Its words:
//   keep MIB     blocks of 1000 bytes from keep_blocks(), never freed
//   churn MIB    blocks of 2000 bytes from churn_blocks(), each freed at once
//   hand MIB     blocks of 3000 bytes from make_blocks() on a thread, freed on the main one
//   touch MIB    an anonymous mapping of its own, touched
//   heap COUNT   blocks of 1000 bytes in a first-class heap "kept things" below whose account nothing stands
//   charge BYTES to the account "decoded images" of kind "cache", below "server"
//   stay SECONDS
//   await STEP   writes the step's number and a newline to standard output and waits for a line on standard input
//   settle N     allocates and frees N blocks of each size above: more than a cache hands out without a look around
//   release N    frees the newest N blocks of what keep has kept
//   fork MIB     a child that keeps as many in blocks of 1000 bytes and exits; the parent waits
//   drop COUNT   a child that frees the newest COUNT blocks of what keep has kept, and exits; the parent waits
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <tenure/tenure.h>

namespace {

std::size_t blocks_of(std::size_t mebibytes, std::size_t size) { return mebibytes * 1024 * 1024 / size; }

// A block that the compiler cannot leave out. By its name a wrapper of malloc: reports speak of its callers.
char* allocate_block(std::size_t size) {
  char* volatile made = static_cast<char*>(std::malloc(size));
  std::memset(made, 1, size);
  return made;
}

}  // namespace

std::vector<char*> kept;

[[gnu::noinline]] void keep_blocks(std::size_t mebibytes) {
  for (std::size_t left = blocks_of(mebibytes, 1000); left > 0; --left) kept.push_back(allocate_block(1000));
}

[[gnu::noinline]] void release_blocks(std::size_t count) {
  for (; count > 0; --count) {
    std::free(kept.back());
    kept.pop_back();
  }
}

[[gnu::noinline]] void churn_blocks(std::size_t mebibytes) {
  for (std::size_t left = blocks_of(mebibytes, 2000); left > 0; --left) std::free(allocate_block(2000));
}

[[gnu::noinline]] void make_blocks(std::size_t mebibytes, std::vector<char*>& into) {
  for (std::size_t left = blocks_of(mebibytes, 3000); left > 0; --left) into.push_back(allocate_block(3000));
}

// The program links nothing of Tenure's: what is preloaded has these.
template <class Function>
Function* tenure_function(const char* name) {
  auto* const found = reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
  if (found == nullptr) std::abort();
  return found;
}

void keep_in_heap(std::size_t count) {
  tenure_heap* const heap = tenure_function<decltype(tenure_heap_create)>("tenure_heap_create")("kept things");
  auto* const allocate = tenure_function<decltype(tenure_heap_allocate)>("tenure_heap_allocate");
  for (; count > 0; --count) std::memset(allocate(heap, 1000, 8), 1, 1000);
}

void charge_account(std::size_t bytes) {
  auto* const create = tenure_function<decltype(tenure_account_create)>("tenure_account_create");
  auto* const charge = tenure_function<decltype(tenure_account_charge)>("tenure_account_charge");
  auto* const release = tenure_function<decltype(tenure_account_release)>("tenure_account_release");
  tenure_account* const server = create("server", "application", nullptr);
  tenure_account* const images = create("decoded images", "cache", server);
  tenure_function<decltype(tenure_account_set_limits)>("tenure_account_set_limits")(server, TENURE_NO_LIMIT, bytes * 3);
  charge(images, bytes * 2, 4);
  if (charge(server, bytes * 2, 1) != 0) std::abort();
  release(images, bytes, 1);
}

// By read and write: nothing here allocates.
void await_line(std::size_t step) {
  char text[32];
  const int length = std::snprintf(text, sizeof text, "%zu\n", step);
  if (::write(STDOUT_FILENO, text, static_cast<std::size_t>(length)) != length) std::abort();
  do {
    if (::read(STDIN_FILENO, text, 1) != 1) std::exit(0);
  } while (text[0] != '\n');
}

[[gnu::noinline]] void settle(std::size_t count) {
  for (const std::size_t size : {1000u, 2000u, 3000u}) {
    for (std::size_t left = count; left > 0; --left) std::free(allocate_block(size));
  }
}

void in_child(void (*does)(std::size_t amount), std::size_t amount) {
  const pid_t child = ::fork();
  if (child == 0) {
    does(amount);
    std::exit(0);
  }
  if (::waitpid(child, nullptr, 0) != child) std::abort();
}

int main(int count, char** words) {
  for (int word = 1; word + 1 < count; word += 2) {
    const std::string what = words[word];
    const std::size_t amount = std::stoul(words[word + 1]);
    if (what == "keep") keep_blocks(amount);
    if (what == "churn") churn_blocks(amount);
    if (what == "hand") {
      std::vector<char*> handed;
      std::thread([&] { make_blocks(amount, handed); }).join();
      for (char* one : handed) std::free(one);
    }
    if (what == "heap") keep_in_heap(amount);
    if (what == "charge") charge_account(amount);
    if (what == "touch") {
      void* const memory = ::mmap(nullptr, amount << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      std::memset(memory, 1, amount << 20);
    }
    if (what == "await") await_line(amount);
    if (what == "settle") settle(amount);
    if (what == "release") release_blocks(amount);
    if (what == "fork") in_child(keep_blocks, amount);
    if (what == "drop") in_child(release_blocks, amount);
    if (what == "stay") ::sleep(static_cast<unsigned>(amount));
  }
}
