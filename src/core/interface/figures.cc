#include "core/interface/figures.h"

#include "core/os/mutex.h"

namespace tenure::core {
namespace {

heap_figures figures;
os::mutex lock;

}  // namespace

void lock_figures() noexcept { lock.lock(); }
void unlock_figures() noexcept { lock.unlock(); }

current_figures::current_figures() noexcept {
  lock_figures();
  read_figures(&figures);
}
current_figures::~current_figures() { unlock_figures(); }

const heap_figures& current_figures::operator*() const noexcept { return figures; }

}  // namespace tenure::core
