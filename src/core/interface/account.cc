// The budget's part of the C interface, include/tenure/tenure.h.
#include "core/interface/account.h"

#include <cerrno>
#include <cstring>

#include <tenure/tenure.h>

#include "core/base/check.h"
#include "core/budget/charge.h"
#include "core/budget/contents.h"
#include "core/budget/shrinker.h"
#include "core/heap/heap.h"
#include "core/heap/named_heap.h"
#include "core/interface/export.h"
#include "core/os/mutex.h"
#include "core/telemetry/record.h"

using namespace tenure;

namespace {

// The line of the record that the owner writes is the structure of the C interface.
static_assert(offsetof(wire::account_use, used_bytes) == offsetof(tenure_account_use, used_bytes));
static_assert(offsetof(wire::account_use, used_blocks) == offsetof(tenure_account_use, used_blocks));
static_assert(offsetof(wire::account_use, peak_used_bytes) == offsetof(tenure_account_use, peak_used_bytes));
static_assert(offsetof(wire::account_use, allocations) == offsetof(tenure_account_use, allocations));
static_assert(sizeof(wire::account_use) >= sizeof(tenure_account_use));
static_assert(TENURE_NO_LIMIT == wire::no_limit);

budget::account* of(tenure_account* account) noexcept { return reinterpret_cast<budget::account*>(account); }
const budget::account* of(const tenure_account* account) noexcept {
  return reinterpret_cast<const budget::account*>(account);
}
tenure_account* handle(budget::account* account) noexcept { return reinterpret_cast<tenure_account*>(account); }

std::uint64_t load(const std::uint64_t& word) noexcept { return __atomic_load_n(&word, __ATOMIC_RELAXED); }

void fill(const budget::account* from, tenure_account_stats* to) noexcept {
  to->held_bytes = load(from->held_bytes);
  to->held_blocks = load(from->held_blocks);
  to->peak_held_bytes = load(from->peak_held_bytes);
  to->soft_limit_bytes = load(from->soft_limit_bytes);
  to->hard_limit_bytes = load(from->hard_limit_bytes);
  to->refusals = load(from->refusals);
  to->used_bytes = load(from->use.used_bytes);
  to->used_blocks = load(from->use.used_blocks);
  // Who publishes plainly may raise the peak later than the figure itself.
  const std::uint64_t peak = load(from->use.peak_used_bytes);
  to->peak_used_bytes = peak < to->used_bytes ? to->used_bytes : peak;
  to->allocations = load(from->use.allocations);
  to->publishes_use = __atomic_load_n(&from->publishes_use, __ATOMIC_RELAXED) != 0 ? 1 : 0;
  to->name = from->name;
  to->kind = from->kind;
  to->parent = handle(budget::parent_of(from));
}

// A shrinker of the C interface: its function and context, at the slot that its handle names.
struct foreign_shrinker {
  tenure_shrink_function function;
  void* context;
};
foreign_shrinker foreign_shrinkers[budget::shrinker_capacity];
bool foreign_taken[budget::shrinker_capacity];
std::uint32_t foreign_handles[budget::shrinker_capacity];
os::mutex foreign_lock;

std::uint64_t call_foreign(void* context, const budget::pressure& why) {
  const auto* shrinker = static_cast<const foreign_shrinker*>(context);
  TENURE_CHECK(shrinker->function != nullptr);
  const tenure_pressure told{sizeof told, static_cast<tenure_pressure_level>(why.level), handle(why.origin),
                             why.wanted_bytes};
  return shrinker->function(shrinker->context, &told);
}

}  // namespace

void tenure::core::lock_foreign_shrinkers() noexcept { foreign_lock.lock(); }
void tenure::core::unlock_foreign_shrinkers() noexcept { foreign_lock.unlock(); }

TENURE_EXPORT tenure_account* tenure_account_create(const char* name, const char* kind, tenure_account* parent) {
  core::initialize();
  budget::account* account = budget::open(name == nullptr ? "" : name, kind == nullptr ? "" : kind, of(parent));
  if (account == nullptr) errno = ENOMEM;
  return handle(account);
}

TENURE_EXPORT int tenure_account_destroy(tenure_account* account) {
  return account == nullptr || budget::close(of(account)) ? 1 : 0;
}

TENURE_EXPORT int tenure_account_charge(tenure_account* account, std::uint64_t bytes, std::uint64_t blocks) {
  return account == nullptr || budget::charge(of(account), bytes, blocks) ? 1 : 0;
}

TENURE_EXPORT void tenure_account_release(tenure_account* account, std::uint64_t bytes, std::uint64_t blocks) {
  if (account != nullptr) budget::release(of(account), bytes, blocks);
}

TENURE_EXPORT void tenure_account_set_limits(tenure_account* account, std::uint64_t soft_bytes,
                                             std::uint64_t hard_bytes) {
  if (account != nullptr) budget::set_limits(of(account), soft_bytes, hard_bytes);
}

TENURE_EXPORT tenure_account_use* tenure_account_publish_use(tenure_account* account) {
  if (account == nullptr) return nullptr;
  return reinterpret_cast<tenure_account_use*>(budget::publish_use(of(account)));
}

TENURE_EXPORT std::uint32_t tenure_account_add_content(tenure_account* account, const char* type,
                                                       std::size_t type_bytes, const std::uint64_t* frames,
                                                       std::uint32_t frame_count, std::uint64_t bytes,
                                                       std::uint64_t object_thousandths) {
  if (account == nullptr) return 0;
  for (std::uint32_t i = 0; i < frame_count; ++i) telemetry::announce_module_of(frames[i]);
  return budget::add_content(of(account), {type, type_bytes, frames, frame_count}, {bytes, object_thousandths});
}

TENURE_EXPORT void tenure_account_remove_content(std::uint32_t content, std::uint64_t bytes,
                                                 std::uint64_t object_thousandths) {
  if (content != 0) budget::remove_content(content, {bytes, object_thousandths});
}

TENURE_EXPORT int tenure_account_statistics(const tenure_account* account, tenure_account_stats* statistics) {
  if (statistics->struct_size < sizeof(tenure_account_stats) || account == nullptr) return 0;
  fill(of(account), statistics);
  return 1;
}

TENURE_EXPORT void tenure_account_visit(tenure_account_visitor visit, void* context) {
  const std::uint32_t count = budget::record_count();
  for (std::uint32_t i = 0; i < count; ++i) {
    budget::account* one = budget::record_at(i);
    if (!budget::is_open(one)) continue;
    tenure_account_stats figures{};
    figures.struct_size = sizeof figures;
    fill(one, &figures);
    if (visit(context, handle(one), &figures) == 0) return;
  }
}

TENURE_EXPORT std::uint64_t tenure_account_refused_count() { return budget::refused_accounts(); }

TENURE_EXPORT tenure_account* tenure_heap_account(const tenure_heap* heap) {
  return handle(reinterpret_cast<const core::named_heap*>(heap)->account());
}

TENURE_EXPORT tenure_shrinker tenure_shrinker_register(tenure_account* account, std::int32_t priority,
                                                       tenure_shrink_function shrink, void* context) {
  os::lock_guard held(foreign_lock);
  for (std::uint32_t i = 0; i < budget::shrinker_capacity; ++i) {
    if (foreign_taken[i]) continue;
    foreign_shrinkers[i] = {shrink, context};
    const std::uint32_t made = budget::register_shrinker(of(account), priority, call_foreign, &foreign_shrinkers[i]);
    foreign_taken[i] = made != 0;
    foreign_handles[i] = made;
    return made;
  }
  return 0;
}

TENURE_EXPORT void tenure_shrinker_unregister(tenure_shrinker shrinker) {
  if (shrinker == 0) return;
  budget::unregister_shrinker(shrinker);
  os::lock_guard held(foreign_lock);
  for (std::uint32_t i = 0; i < budget::shrinker_capacity; ++i) {
    if (foreign_taken[i] && foreign_handles[i] == shrinker) foreign_taken[i] = false;
  }
}

TENURE_EXPORT std::uint64_t tenure_relieve_pressure(std::uint64_t wanted_bytes) {
  return budget::run_shrinkers(nullptr, wanted_bytes, budget::pressure_level::process);
}
