#include <tenure/eviction/adaptive.hpp>

#include <algorithm>
#include <array>
#include <variant>

#include <tenure/eviction/contest.hpp>
#include <tenure/eviction/lirs.hpp>
#include <tenure/eviction/lru.hpp>
#include <tenure/eviction/s3_fifo.hpp>
#include <tenure/eviction/w_tiny_lfu.hpp>

namespace tenure::eviction {
namespace {

using node = adaptive::node;

constexpr std::size_t most_simulated = 1024;
// In all four together: nodes, tables, and the most that is remembered for an entry.
constexpr std::size_t simulated_entry_bytes = 1024;

// One of the four, chosen at run time. `owner` tells its entries from those of the other instance.
class instance {
 public:
  instance(std::uint64_t capacity, std::size_t side_limit_bytes, std::uint8_t owner)
      : policy_(std::in_place_index<0>, capacity, side_limit_bytes), owner_(owner) {}

  // It is empty.
  void become(std::size_t number, std::uint64_t capacity, std::size_t side_limit_bytes) {
    structure_check(count() == 0, "a policy with entries is replaced");
    if (number == 0) policy_.emplace<0>(capacity, side_limit_bytes);
    if (number == 1) policy_.emplace<1>(capacity, side_limit_bytes);
    if (number == 2) policy_.emplace<2>(capacity, side_limit_bytes);
    if (number == 3) policy_.emplace<3>(capacity, side_limit_bytes);
  }

  std::size_t number() const noexcept { return policy_.index(); }
  std::uint8_t owner() const noexcept { return owner_; }
  std::string_view name() const noexcept {
    return std::visit([](const auto& one) { return one.name; }, policy_);
  }
  std::uint64_t used() const noexcept {
    return std::visit([](const auto& one) { return one.used(); }, policy_);
  }
  std::size_t count() const noexcept {
    return std::visit([](const auto& one) { return one.count(); }, policy_);
  }
  std::size_t side_bytes() const noexcept {
    return std::visit([](const auto& one) { return one.side_bytes(); }, policy_);
  }
  void check() const noexcept {
    std::visit([](const auto& one) { one.check(); }, policy_);
  }
  void hit(node& one) noexcept {
    std::visit([&](auto& mine) { mine.hit(one); }, policy_);
  }
  void erase(node& one) noexcept {
    std::visit([&](auto& mine) { mine.erase(one); }, policy_);
  }
  template <class evict_function>
  void insert(node& one, evict_function&& evict) {
    one.owner = owner_;
    std::visit([&](auto& mine) { mine.insert(one, [&](auto& gone) { evict(static_cast<node&>(gone)); }); }, policy_);
  }
  template <class evict_function>
  bool evict_one(evict_function&& evict) {
    return std::visit([&](auto& mine) { return mine.evict_one([&](auto& gone) { evict(static_cast<node&>(gone)); }); },
                      policy_);
  }
  template <class evict_function>
  void set_capacity(std::uint64_t capacity, evict_function&& evict) {
    std::visit([&](auto& mine) { mine.set_capacity(capacity, [&](auto& gone) { evict(static_cast<node&>(gone)); }); },
               policy_);
  }

 private:
  std::variant<lirs, s3_fifo, lru, w_tiny_lfu> policy_;
  std::uint8_t owner_;
};

}  // namespace

struct adaptive::state {
  state(std::uint64_t of_capacity, std::size_t side_limit_bytes)
      : capacity(of_capacity),
        instance_limit_bytes(side_limit_bytes == no_limit ? no_limit : side_limit_bytes / 4),
        contest(of_capacity, std::min<std::size_t>(side_limit_bytes / 2 / simulated_entry_bytes, most_simulated)),
        instances{{{of_capacity, instance_limit_bytes, 1}, {of_capacity, instance_limit_bytes, 2}}} {}

  instance& current() noexcept { return instances[current_number]; }
  instance& former() noexcept { return instances[1 - current_number]; }

  void observe(const node& one) {
    wanted = contest.observe(one, wanted);
    if (wanted == current().number()) return;
    // A third policy waits until the former one has given up all; the former one itself can come back at once.
    if (wanted != former().number()) {
      if (former().count() != 0) return;
      former().become(wanted, capacity, instance_limit_bytes);
    }
    current_number = 1 - current_number;
    ++changes;
    if (contest.sampling_shift() == 0) move_over();
  }

  // While all identities are simulated, it is known what the winner would hold: that moves over at once, the next to go
  // first, and what it would not hold stays with the former policy.
  void move_over() {
    node* kept = nullptr;
    node* last = nullptr;
    const auto unreachable = [](node&) { structure_damaged("an entry that had room has none"); };
    for (std::size_t left = former().count(); left > 0; --left) {
      former().evict_one([&](node& one) {
        if (contest.holds(wanted, one.identity)) return current().insert(one, unreachable);
        set_next_in_chain<node, 1>(one, nullptr);
        if (last == nullptr) {
          kept = &one;
        } else {
          set_next_in_chain<node, 1>(*last, &one);
        }
        last = &one;
      });
    }
    former().become(former().number(), capacity, instance_limit_bytes);
    while (kept != nullptr) {
      node& one = *kept;
      kept = next_in_chain<node, 1>(one);
      set_next_in_chain<node, 1>(one, nullptr);
      former().insert(one, unreachable);
    }
  }

  std::uint64_t capacity;
  std::size_t instance_limit_bytes;
  eviction::contest<lirs, s3_fifo, lru, w_tiny_lfu> contest;
  std::array<instance, 2> instances;
  std::size_t current_number = 0;
  std::size_t wanted = 0;  // the leader of the contest
  std::uint64_t changes = 0;
};

// The state itself is within the limit too.
adaptive::adaptive(std::uint64_t capacity, std::size_t side_limit_bytes)
    : policy_base(capacity),
      state_(std::make_unique<state>(capacity, side_limit_bytes == no_limit
                                                   ? no_limit
                                                   : side_limit_bytes - std::min(side_limit_bytes, sizeof(state)))) {}
adaptive::~adaptive() = default;

std::uint64_t adaptive::used() const noexcept { return state_->current().used() + state_->former().used(); }
std::size_t adaptive::count() const noexcept { return state_->current().count() + state_->former().count(); }
std::size_t adaptive::side_bytes() const noexcept {
  return sizeof(state) + state_->current().side_bytes() + state_->former().side_bytes() + state_->contest.size_bytes();
}

std::string_view adaptive::current_name() const noexcept { return state_->current().name(); }
std::uint64_t adaptive::changes() const noexcept { return state_->changes; }

void adaptive::hit(node& one) {
  state_->observe(one);
  instance& current = state_->current();
  if (one.owner == current.owner()) return current.hit(one);
  state_->former().erase(one);
  current.insert(one, [](node&) { structure_damaged("an entry that had room has none"); });
}

void adaptive::erase(node& one) noexcept {
  (one.owner == state_->current().owner() ? state_->current() : state_->former()).erase(one);
}

void adaptive::insert_with(node& one, const taker& evict) {
  structure_check(one.place == 0, "an entry is inserted twice");
  state_->observe(one);
  if (one.weight > capacity_) return evict(one);
  while (used() + one.weight > capacity_ && state_->former().evict_one(evict)) {
  }
  state_->current().insert(one, evict);
}

bool adaptive::evict_one_with(const taker& evict) {
  return state_->former().evict_one(evict) || state_->current().evict_one(evict);
}

void adaptive::set_capacity_with(std::uint64_t capacity, const taker& evict) {
  capacity_ = state_->capacity = capacity;
  while (used() > capacity_) evict_one_with(evict);
  state_->current().set_capacity(capacity, evict);
  state_->former().set_capacity(capacity, evict);
  state_->contest.set_capacity(capacity);
}

void adaptive::check() const noexcept {
  state_->current().check();
  state_->former().check();
  state_->contest.check();
  structure_check(used() <= capacity_, "more than the capacity");
  structure_check(state_->current().owner() != state_->former().owner(), "two policies with one number");
}

}  // namespace tenure::eviction
